//! One layer: the nodes that it becomes, by its kind.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ops::GroupNorm;
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
            LayerKind::Op(op) if self.section.is_block() && op.is_nothing() => {}
            LayerKind::Op(op) => {
                let name = match op {
                    Op::BatchNorm { .. } | Op::GroupNorm(GroupNorm { affine: Some(_), .. }) => {
                        self.norm_name(own)
                    }
                    Op::GroupNorm(GroupNorm { groups: None, .. }) => self.called(own, "instance_norm"),
                    Op::MaxPool(_) => self.called_as(own, Name::MaxPool, op.name()),
                    Op::AveragePool(_) => self.called_as(own, Name::AveragePool, op.name()),
                    Op::Softmax => self.called_as(own, Name::Softmax, op.name()),
                    _ => self.called(own, op.name()),
                };
                let mut op = op.clone();
                for (pattern, tensor) in op.tensors_mut() {
                    *tensor = self.tensor(pattern, &name);
                }
                self.flow.channels = op.channels(self.flow.channels);
                let stride = op.stride();
                self.chain(name, op, span);
                self.strided(stride);
            }
            LayerKind::Conv(conv) => {
                let names = self.conv_names(own, conv.norm.as_ref());
                self.conv(conv, names, span);
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
            LayerKind::Residual { branch, shortcut, activation } => {
                self.residual(own, branch, shortcut, *activation, span, errors)?;
            }
            LayerKind::Gate(layers) => self.gate(own, layers, span, errors)?,
            LayerKind::Add { with, activation } => self.sum(own, with, *activation, span, errors)?,
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
