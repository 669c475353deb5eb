//! One layer: the nodes that it becomes, by its kind.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ops::{AveragePool, Blur, ChannelConv, Exponent, GemPool, Padding, Pool, Sides};
use crate::spec::ast::{Layer, LayerKind};
use crate::spec::lower::{Flow, Lowering};
use crate::spec::names::Name;

impl Lowering<'_> {
    /// `None` if the layer is unclear.
    pub(super) fn layer(&mut self, layer: &Layer, errors: &mut Diagnostics) -> Option<()> {
        let Layer { name: own, from, kind, span } = layer;
        let (own, span) = (own.as_ref(), *span);
        if let Some(from) = from {
            self.flow = self.find(from, errors)?;
        }
        match kind {
            LayerKind::ZeroPad(sides) => {
                let name = self.called(own, "zero_pad");
                self.chain(name, Op::ZeroPad(*sides), span);
            }
            LayerKind::Conv(conv) => {
                let names = self.conv_names(own, conv.norm.as_ref());
                self.conv(conv, names, span);
            }
            LayerKind::ChannelConv(kernel) => {
                let name = self.called(own, "channel_conv");
                let weights = self.tensor(Name::Kernel, &name);
                self.chain(name, Op::ChannelConv(ChannelConv { kernel: *kernel, weights }), span);
            }
            LayerKind::Dense { units, bias, activation } => {
                let name = match own {
                    None if !self.section.is_block() => self.pattern(Name::Dense),
                    _ => self.called(own, "dense"),
                };
                let after = format!("{name}.activation");
                self.dense(*units, *bias, name, span, errors)?;
                self.activation(*activation, |_| after, span);
            }
            LayerKind::Activation(activation) => {
                self.activation(
                    *activation,
                    |lowering| lowering.called(own, activation.function.name()),
                    span,
                );
            }
            LayerKind::BatchNorm { epsilon, channels } => {
                let name = self.norm_name(own);
                self.batch_norm(name, *epsilon, *channels, span);
            }
            LayerKind::GroupNorm(norm) => {
                let name = self.norm_name(own);
                self.group_norm(name, *norm, span);
            }
            LayerKind::MaxPool(pool) | LayerKind::AveragePool(AveragePool { pool: Some(pool), .. })
                if self.section.is_block() && is_nothing(pool) => {}
            LayerKind::Blur(Blur { size: 1, stride: [1, 1] }) if self.section.is_block() => {}
            LayerKind::MaxPool(pool) => {
                let name = self.called_as(own, Name::MaxPool, "max_pool");
                self.chain(name, Op::MaxPool(*pool), span);
                self.strided(Some(pool.stride));
            }
            LayerKind::AveragePool(pool) => {
                let name = self.called_as(own, Name::AveragePool, "average_pool");
                self.chain(name, Op::AveragePool(*pool), span);
                self.strided(pool.pool.map(|pool| pool.stride));
            }
            LayerKind::StatisticsPool(pool) => {
                let name = self.called(own, "statistics_pool");
                self.flow.channels = self.flow.channels.and_then(|channels| channels.checked_mul(2));
                self.chain(name, Op::StatisticsPool(*pool), span);
                self.strided(None);
            }
            LayerKind::GemPool { exponent, epsilon } => {
                let name = self.called(own, "gem_pool");
                let exponent = match exponent {
                    Some(exponent) => Exponent::Fixed(*exponent),
                    None => Exponent::Load(self.tensor(Name::Exponent, &name)),
                };
                self.chain(name, Op::GemPool(GemPool { exponent, epsilon: *epsilon }), span);
                self.strided(None);
            }
            LayerKind::Blur(blur) => {
                let name = self.called(own, "blur");
                self.chain(name, Op::Blur(*blur), span);
                self.strided(Some(blur.stride));
            }
            LayerKind::Upsample(times) => {
                let name = self.called(own, "upsample");
                self.chain(name, Op::Upsample(*times), span);
                self.strided(None);
            }
            LayerKind::Residual { branch, shortcut, activation } => {
                self.residual(own, branch, shortcut, *activation, span, errors)?;
            }
            LayerKind::Gate(layers) => self.gate(own, layers, span, errors)?,
            LayerKind::Add { with, activation } => self.sum(own, with, *activation, span, errors)?,
            LayerKind::Flatten => {
                let name = self.called(own, "flatten");
                self.flow.channels = None;
                self.chain(name, Op::Flatten, span);
                self.strided(None);
            }
            LayerKind::Softmax => {
                let name = self.called_as(own, Name::Softmax, "softmax");
                self.chain(name, Op::Softmax, span);
            }
            LayerKind::L2Normalize { epsilon } => {
                let name = self.called(own, "l2_normalize");
                self.chain(name, Op::L2Normalize { epsilon: *epsilon }, span);
            }
            LayerKind::Nothing => {}
            LayerKind::Unclear => return None,
        }
        if let Some(own) = own {
            // Also the last of several nodes has the layer's name, and what computes nothing gives the value another one.
            let name = self.fill(own);
            self.known.insert(name, Flow { stride: None, ..self.flow });
        }
        Some(())
    }
}

/// A window of one pixel: where a block has no stride, it leaves the image as it is.
fn is_nothing(pool: &Pool) -> bool {
    let padded = !matches!(pool.padding, Padding::Valid | Padding::Same)
        && pool.padding != Padding::Sides(Sides::default());
    pool.window == [1, 1] && pool.stride == [1, 1] && !padded
}
