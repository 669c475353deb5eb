//! Pooling layers, and others that change the size of an image.

use crate::diag::{Diagnostic, Diagnostics};
use crate::ops::{AveragePool, Blur, Exponent, GemPool, Op, Over, Padding, Pool, StatisticsPool};
use crate::spec::ast::LayerKind;
use crate::spec::fields::{Fields, choice, flag, number, padding, pair, size};
use crate::spec::layers::{Context, LayerType, kind};
use crate::spec::settings::epsilon;

pub(super) const KINDS: &[LayerType] = &[
    kind("max_pool", "a pooling layer", Some("window"), max_pool),
    kind("average_pool", "a pooling layer", Some("window"), average_pool),
    kind("statistics_pool", "a pooling layer", Some("over"), statistics_pool),
    kind("gem_pool", "a pooling layer", Some("exponent"), gem_pool),
    kind("blur", "a blur", Some("size"), blur),
    kind("upsample", "an upsampling layer", Some("scale"), upsample),
];

fn max_pool(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    pool(fields, errors).map(|pool| LayerKind::Op(Op::MaxPool(pool)))
}

/// Of windows, or `average_pool: global`.
fn average_pool(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    if fields.has_word("window", "global") {
        fields.take("window");
        return Some(LayerKind::Op(Op::AveragePool(AveragePool { pool: None, count_padding: false })));
    }
    let count_padding = fields.read("count_padding", errors, flag).unwrap_or(false);
    let pool = pool(fields, errors)?;
    Some(LayerKind::Op(Op::AveragePool(AveragePool { pool: Some(pool), count_padding })))
}

/// A binomial filter: `blur: 3`, `blur: {size: 3, stride: 2}`.
fn blur(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let size = fields.required("size", errors).and_then(|node| {
        let size = size(node, errors)?;
        if size <= Blur::LARGEST {
            return Some(size);
        }
        let message = format!("the size of a blur is at most {}, not {size}", Blur::LARGEST);
        errors.push(Diagnostic::new(message, node.span));
        None
    });
    let stride = fields.read("stride", errors, pair).unwrap_or([1, 1]);
    Some(LayerKind::Op(Op::Blur(Blur { size: size?, stride })))
}

/// `statistics_pool: width`, `statistics_pool: {over: image, epsilon: 1.0e-7}`
fn statistics_pool(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let places = [("width", Over::Width), ("image", Over::Image)];
    let over = fields.read("over", errors, |node, errors| choice(node, &places, errors));
    let epsilon = fields.read("epsilon", errors, epsilon).unwrap_or(0.0);
    Some(LayerKind::Op(Op::StatisticsPool(StatisticsPool { over: over.unwrap_or(Over::Image), epsilon })))
}

/// `gem_pool: 3`, `gem_pool: {learned: true}`
fn gem_pool(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let exponent = fields.read("exponent", errors, |node, errors| {
        let exponent = number(node, errors)?;
        if exponent > 0.0 {
            return Some(exponent);
        }
        errors.push(Diagnostic::new(format!("an exponent is larger than 0, not {exponent}"), node.span));
        None
    });
    let learned = fields.take("learned");
    if let (Some(node), Some(_)) = (learned, exponent)
        && flag(node, errors) == Some(true)
    {
        let error = Diagnostic::new("an exponent is a number or learned, not both", node.span);
        errors.push(error.help("leave out one of `exponent` and `learned`"));
    }
    let learned = learned.and_then(|node| flag(node, errors)).unwrap_or(false);
    let epsilon = fields.read("epsilon", errors, epsilon).unwrap_or(1e-6);
    let exponent = match learned {
        true => Exponent::Load("".into()),
        false => Exponent::Fixed(exponent.unwrap_or(3.0)),
    };
    Some(LayerKind::Op(Op::GemPool(GemPool { exponent, epsilon })))
}

/// `upsample: 2`
fn upsample(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let times = fields.required("scale", errors).and_then(|node| pair(node, errors));
    times.map(|times| LayerKind::Op(Op::Upsample(times)))
}

fn pool(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Option<Pool> {
    let window = fields.required("window", errors).and_then(|node| pair(node, errors));
    let stride = fields.read("stride", errors, pair);
    let padding = fields.read("padding", errors, padding).unwrap_or(Padding::Valid);
    let ceil = fields.read("ceil", errors, flag).unwrap_or(false);
    let window = window?;
    Some(Pool { window, stride: stride.unwrap_or(window), padding, ceil })
}
