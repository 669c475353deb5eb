//! Arithmetic with a number for each channel: `x * scale + offset`.
//!
//! It is put off as long as more of it may follow, and becomes a batch norm where the value is read. In the end, where nothing else reads
//! what it is applied to, it is the bias of a convolution or the scale and offset of a group norm.

use resnet_dsl::ir::Op;
use resnet_dsl::ir::param::Param;
use resnet_dsl::ops::{Activation, Conv2d, Dense};
use resnet_plan::BatchNorm;

use crate::error::Error;
use crate::onnx::graph::Builder;
use crate::onnx::value::{Affine, Image};

/// How near a product of factors in f32 is to 1.
const NEAR: f64 = f32::EPSILON as f64;

impl Builder<'_> {
    /// Does what was left to be done to a value.
    pub(super) fn settle(&mut self, image: Image) -> Result<Image, Error> {
        let Image { affine: Some(Affine { scale, offset, name }), .. } = image.clone() else {
            return Ok(image);
        };
        let plain = Image { affine: None, ..image };
        if is_one(&scale) && offset.iter().all(|offset| *offset == 0.0) {
            return Ok(plain);
        }
        let channels = plain.dims[3];
        self.spend(channels.saturating_mul(2 * size_of::<f64>() + 4 * size_of::<f32>()))?;
        let all = |list: Vec<f64>| match list[..] {
            [number] => vec![number; channels],
            _ => list,
        };
        let [gamma, beta, mean, variance] = [const { resnet_plan::Text::Borrowed("") }; 4];
        let norm = BatchNorm { gamma, beta, mean, variance, epsilon: 0.0, channels: None };
        let op = Op::BatchNorm { norm, activation: Activation::NONE };
        let settled = self.add_named(&name, op, &[&plain], plain.axes.clone())?;
        self.affine.insert(settled.value, [all(scale), all(offset)]);
        Ok(Image { value: settled.value, ..plain })
    }

    /// Makes tensors of all numbers, those of the operators before where these can take them.
    pub(super) fn resolve_affine(&mut self) -> Result<(), Error> {
        for value in self.graph.topological() {
            let Some([scale, offset]) = self.affine.remove(&value) else { continue };
            let name = self.graph.node(value).name.clone();
            let tensor = |tensor: &str| format!("{name}.{tensor}");
            let source = self.graph.operands(value).first().copied();
            let source = source.filter(|source| self.graph.only_user(*source) == Some(value));
            if let Some(source) = source {
                let mut op = self.graph.node(source).op.clone();
                let taken = match &mut op {
                    Op::Conv2d(Conv2d { bias: bias @ None, .. })
                    | Op::Dense(Dense { bias: bias @ None, .. })
                        if is_one(&scale) =>
                    {
                        *bias = Some(Param::load(Some(self.numbers(&offset, &tensor("bias"))?)));
                        true
                    }
                    Op::GroupNorm(norm) if norm.affine.is_none() => {
                        let weight = self.numbers(&scale, &tensor("weight"))?;
                        norm.affine = Some([weight, self.numbers(&offset, &tensor("bias"))?]);
                        true
                    }
                    _ => false,
                };
                if taken {
                    self.graph.replace(value, op, source);
                    continue;
                }
            }
            let norm = BatchNorm {
                gamma: self.numbers(&scale, &tensor("weight"))?,
                beta: self.numbers(&offset, &tensor("bias"))?,
                mean: self.numbers(&vec![0.0; scale.len()], &tensor("running_mean"))?,
                variance: self.numbers(&vec![1.0; scale.len()], &tensor("running_var"))?,
                epsilon: 0.0,
                channels: None,
            };
            self.graph.node_mut(value).op = Op::BatchNorm { norm, activation: Activation::NONE };
        }
        Ok(())
    }
}

fn is_one(scale: &[f64]) -> bool {
    scale.iter().all(|scale| (scale - 1.0).abs() <= NEAR)
}
