//! What a layer is, in words: `conv 3x3, stride 2, padding 1`, without what is usual.

use resnet_plan::{Algorithm, Algorithms};

use crate::ir::Op;
use crate::ops::{
    AveragePool, Blur, Conv2d, Dense, Exponent, GemPool, GroupNorm, Over, Padding, Pool, Sides,
    StatisticsPool, Subsample, Text,
};

/// An operator in words, as a spec gives it: without what is fused into it.
pub fn kind(op: &Op) -> String {
    match op {
        Op::ZeroPad(sides) => format!("zero pad {}", Text(*sides)),
        Op::Conv2d(conv) => convolution(conv),
        Op::BatchNorm { norm, .. } => {
            format!("batch norm, epsilon {:e}{}", norm.epsilon, range(norm.channels))
        }
        Op::GroupNorm(norm) => normalization(norm),
        Op::Activation(activation) => activation.function.to_string(),
        Op::MaxPool(pool) => format!("max pool {}", pooling(pool)),
        Op::AveragePool(AveragePool { pool: None, .. }) => "average pool, global".to_owned(),
        Op::AveragePool(AveragePool { pool: Some(pool), count_padding }) => {
            let counting = if *count_padding { ", padding counts" } else { "" };
            format!("average pool {}{counting}", pooling(pool))
        }
        Op::StatisticsPool(StatisticsPool { over, epsilon }) => {
            let over = if *over == Over::Width { "width" } else { "image" };
            format!("mean and deviation of the {over}, epsilon {epsilon:e}")
        }
        Op::GemPool(GemPool { exponent, epsilon }) => {
            let exponent = match exponent {
                Exponent::Fixed(exponent) => exponent.to_string(),
                Exponent::Load(_) => "learned".to_owned(),
            };
            format!("generalized mean, exponent {exponent}, epsilon {epsilon:e}")
        }
        Op::Blur(Blur { size, stride }) => {
            format!("blur {}", window([*size; 2], *stride, [1, 1], Padding::Valid))
        }
        Op::Upsample(times) => format!("upsample {}x{}", times[0], times[1]),
        Op::Subsample(Subsample { stride, front, back }) => {
            format!("subsample, stride {}, {front} + {back} zero channels", Text(*stride))
        }
        Op::Dense(Dense { bias, .. }) => {
            if bias.as_ref().is_some_and(|bias| bias.tensor.is_some()) { "dense, bias" } else { "dense" }
                .to_owned()
        }
        Op::L2Normalize { epsilon } => format!("l2 normalize, epsilon {epsilon:e}"),
        op => op.words(),
    }
}

fn convolution(conv: &Conv2d) -> String {
    let Conv2d { kernel, stride, dilation, groups, padding, standardized, bias, algorithms, .. } = conv;
    let mut text = format!("conv {}", window(*kernel, *stride, [1, 1], *padding));
    if *dilation != [1, 1] {
        text += &format!(", dilation {}", Text(*dilation));
    }
    if *groups != 1 {
        text += &format!(", {groups} groups");
    }
    if standardized.is_some() {
        text += ", standardized";
    }
    if bias.as_ref().is_some_and(|bias| bias.tensor.is_some()) {
        text += ", bias";
    }
    if *algorithms == Some(Algorithms::all(Algorithm::Direct)) {
        text += ", winograd off";
    }
    text
}

fn normalization(GroupNorm { groups, affine, channels, epsilon, .. }: &GroupNorm) -> String {
    let what = match groups {
        Some(groups) => format!("group norm, {groups} groups"),
        None => "instance norm".to_owned(),
    };
    let affine = if affine.is_some() { "" } else { ", no weights" };
    format!("{what}, epsilon {epsilon:e}{}{affine}", range(*channels))
}

/// Channels that are normalized, where not all are.
fn range(channels: Option<[usize; 2]>) -> String {
    channels.map(|[first, end]| format!(", channels {first}..{end}")).unwrap_or_default()
}

fn pooling(Pool { window: size, stride, padding, ceil }: &Pool) -> String {
    window(*size, *stride, *size, *padding) + if *ceil { ", ceil" } else { "" }
}

/// `3x3, stride 2, padding 1`, without what is usual.
fn window(size: [usize; 2], stride: [usize; 2], usual_stride: [usize; 2], padding: Padding) -> String {
    let mut text = format!("{}x{}", size[0], size[1]);
    if stride != usual_stride {
        text += &format!(", stride {}", Text(stride));
    }
    match padding {
        Padding::Valid => {}
        Padding::Sides(sides) if sides == Sides::default() => {}
        Padding::Same => text += ", same",
        Padding::Sides(sides) => text += &format!(", padding {}", Text(sides)),
    }
    text
}
