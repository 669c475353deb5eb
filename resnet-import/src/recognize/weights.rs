//! The weights of a spec from those of a graph that computes the same.
//!
//! ```text
//! file               spec               weights
//! kernel, bias       kernel, norm       a norm that changes nothing but by the bias: gamma 1, variance 1 - epsilon, beta the bias
//! kernel, bias, norm kernel, norm       the mean less the bias
//! kernel, norm       kernel, bias       folded: kernel * scale, beta - mean * scale
//! norm, epsilon e    norm, epsilon e'   the variance plus e - e'
//! group norm         the same, affine   gamma 1, beta 0
//! ```

use std::collections::HashMap;

use resnet_dsl::ir::Op;
use resnet_dsl::ir::graph::Value;
use resnet_dsl::ops::{Activation, Conv2d, Exponent, GroupNorm};
use resnet_plan::{BatchNorm, Text};

use crate::checkpoint::Tensor;
use crate::recognize::canonical::Canonical;
use crate::weight::{Source, Weight};

/// What the weights of a spec are made of.
pub(crate) struct Mapping<'a> {
    /// The file's tensors by their names.
    tensors: &'a HashMap<&'a str, &'a Tensor>,
    pub(crate) weights: Vec<Weight>,
    /// Epsilons of batch norms: the file's and the spec's.
    pub(crate) epsilons: Vec<[f64; 2]>,
}

impl<'a> Mapping<'a> {
    /// The weights of the pairs of values that compute the same, the file's and the spec's; `None` if the spec has no place for one
    /// of the file's, or the file has not the tensors that its graph names.
    pub(crate) fn of(
        tensors: &'a HashMap<&'a str, &'a Tensor>,
        file: &Canonical,
        spec: &Canonical,
        pairs: &[(Value, Value)],
    ) -> Option<Self> {
        let mut mapping = Mapping { tensors, weights: Vec::new(), epsilons: Vec::new() };
        for (theirs, ours) in pairs {
            let channels = spec.channels(*ours);
            mapping.node(&file.graph.node(*theirs).op, &spec.graph.node(*ours).op, channels)?;
        }
        Some(mapping)
    }

    fn node(&mut self, file: &Op, spec: &Op, [inputs, outputs]: [usize; 2]) -> Option<()> {
        match (file, spec) {
            (Op::Conv2d(theirs), Op::Conv2d(ours)) => {
                self.conv(theirs, ours, inputs)?;
                self.slopes(&theirs.activation, &ours.activation, outputs)
            }
            (Op::BatchNorm { norm: theirs, activation }, Op::BatchNorm { norm: ours, activation: own }) => {
                self.norm(theirs, ours, None, outputs)?;
                self.slopes(activation, own, outputs)
            }
            (Op::GroupNorm(theirs), Op::GroupNorm(ours)) => {
                self.affine_of_group_norm(theirs, ours, ours.normalized(outputs))?;
                self.slopes(&theirs.activation, &ours.activation, outputs)
            }
            (Op::Activation(theirs), Op::Activation(ours))
            | (Op::Add { activation: theirs }, Op::Add { activation: ours })
            | (Op::Multiply { activation: theirs }, Op::Multiply { activation: ours }) => {
                self.slopes(theirs, ours, outputs)
            }
            (Op::GemPool(theirs), Op::GemPool(ours)) => match (&theirs.exponent, &ours.exponent) {
                (Exponent::Load(theirs), Exponent::Load(ours)) => self.same(theirs, ours, &[1]),
                (_, Exponent::Fixed(_)) => Some(()),
                (Exponent::Fixed(_), Exponent::Load(_)) => None,
            },
            (Op::ChannelConv(theirs), Op::ChannelConv(ours)) => {
                self.same(&theirs.weights, &ours.weights, &[1, 1, ours.kernel])
            }
            // What computes the same has the same operator: the others have no weights, or cannot correspond.
            (_, ours) => {
                let ends_with_activation = ours.clone().activation_mut().is_some();
                (!ends_with_activation && ours.tensors().is_empty()).then_some(())
            }
        }
    }

    fn conv(&mut self, file: &Conv2d, spec: &Conv2d, inputs: usize) -> Option<()> {
        let [height, width] = spec.kernel;
        let shape = [height, width, inputs / spec.groups.max(1), spec.filters];
        let kernel = self.tensor(&file.weights.tensor.name, shape.iter().product())?;
        let (from, to) = (file.weights.tensor.layout, spec.weights.tensor.layout);
        let mut kernel = Source::kernel(kernel, from, to, shape);
        let bias = file.bias.as_ref().and_then(|bias| bias.tensor.as_ref());
        let bias = match bias {
            Some(name) => Some(self.tensor(name, spec.filters)?),
            None => None,
        };
        let our_bias = spec.bias.as_ref().and_then(|bias| bias.tensor.as_ref());
        match (&file.weights.batch_norm, &spec.weights.batch_norm) {
            (Some(theirs), Some(ours)) => {
                let shift = bias.as_ref().filter(|_| our_bias.is_none()).map(Tensor::to_f64);
                self.norm(theirs, ours, shift, spec.filters)?;
                self.bias(bias, our_bias, spec.filters);
            }
            (None, Some(ours)) => {
                let offset = bias.map_or(vec![0.0; spec.filters], |bias| bias.to_f64());
                let fill = |value: f64| Source::Computed(vec![value; spec.filters]);
                self.add(&ours.gamma, &[spec.filters], fill(1.0));
                self.add(&ours.beta, &[spec.filters], Source::Computed(offset));
                self.add(&ours.mean, &[spec.filters], fill(0.0));
                self.add(&ours.variance, &[spec.filters], fill(1.0 - ours.epsilon));
                self.bias(None, our_bias, spec.filters);
            }
            (Some(theirs), None) => {
                let our_bias = our_bias?;
                let (scale, mut shift) = self.affine(theirs, spec.filters)?;
                if let Some(bias) = &bias {
                    let bias = bias.to_f64();
                    shift
                        .iter_mut()
                        .zip(bias)
                        .zip(&scale)
                        .for_each(|((shift, bias), scale)| *shift += bias * scale);
                }
                let [of_output, ..] = to.strides(shape);
                let scales = (0..).map(|place: usize| scale[place / of_output.max(1) % spec.filters]);
                let scaled =
                    kernel.to_f64().iter().zip(scales).map(|(weight, scale)| weight * scale).collect();
                kernel = Source::Computed(scaled);
                self.add(our_bias, &[spec.filters], Source::Computed(shift));
            }
            (None, None) => {
                let zero = |bias: &Tensor| bias.to_f64().iter().all(|value| *value == 0.0);
                if our_bias.is_none() && !bias.as_ref().is_none_or(zero) {
                    return None;
                }
                self.bias(bias, our_bias, spec.filters);
            }
        }
        self.add(&spec.weights.tensor.name, &to.dims(shape), kernel);
        Some(())
    }

    /// A bias that the spec has; without one in the file, zeros.
    fn bias(&mut self, file: Option<Tensor>, spec: Option<&Text>, len: usize) {
        if let Some(name) = spec {
            let source = file.map_or_else(|| Source::Computed(vec![0.0; len]), Source::Same);
            self.add(name, &[len], source);
        }
    }

    /// A batch norm, after a bias that the spec has no place for.
    fn norm(
        &mut self,
        file: &BatchNorm,
        spec: &BatchNorm,
        bias: Option<Vec<f64>>,
        channels: usize,
    ) -> Option<()> {
        let channels = spec.normalized(channels);
        self.same(&file.gamma, &spec.gamma, &[channels])?;
        self.same(&file.beta, &spec.beta, &[channels])?;
        let mean = self.tensor(&file.mean, channels)?;
        let mean = match bias {
            None => Source::Same(mean),
            Some(bias) => {
                Source::Computed(mean.to_f64().iter().zip(bias).map(|(mean, bias)| mean - bias).collect())
            }
        };
        self.add(&spec.mean, &[channels], mean);
        let variance = self.tensor(&file.variance, channels)?;
        let more = file.epsilon - spec.epsilon;
        let variance = if file.epsilon as f32 == spec.epsilon as f32 {
            Source::Same(variance)
        } else {
            Source::Computed(variance.to_f64().iter().map(|variance| variance + more).collect())
        };
        self.add(&spec.variance, &[channels], variance);
        self.epsilons.push([file.epsilon, spec.epsilon]);
        Some(())
    }

    /// Scale and offset of a group norm. Exporters leave out those that change nothing.
    fn affine_of_group_norm(&mut self, file: &GroupNorm, spec: &GroupNorm, channels: usize) -> Option<()> {
        match (&file.affine, &spec.affine) {
            (Some([gamma, beta]), Some([our_gamma, our_beta])) => {
                self.same(gamma, our_gamma, &[channels])?;
                self.same(beta, our_beta, &[channels])
            }
            (None, Some([gamma, beta])) => {
                self.add(gamma, &[channels], Source::Computed(vec![1.0; channels]));
                self.add(beta, &[channels], Source::Computed(vec![0.0; channels]));
                Some(())
            }
            (Some(_), None) => None,
            (None, None) => Some(()),
        }
    }

    /// What a batch norm multiplies with, and what it adds.
    fn affine(&self, norm: &BatchNorm, channels: usize) -> Option<(Vec<f64>, Vec<f64>)> {
        let load = |name: &Text| Some(self.tensor(name, channels)?.to_f64());
        let (gamma, beta) = (load(&norm.gamma)?, load(&norm.beta)?);
        let (mean, variance) = (load(&norm.mean)?, load(&norm.variance)?);
        let scale: Vec<f64> = gamma
            .iter()
            .zip(variance)
            .map(|(gamma, variance)| gamma / (variance + norm.epsilon).sqrt())
            .collect();
        let shift =
            beta.iter().zip(&mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
        Some((scale, shift))
    }

    fn slopes(&mut self, file: &Activation, spec: &Activation, channels: usize) -> Option<()> {
        let (Some(theirs), Some(ours)) = (&file.slope, &spec.slope) else { return Some(()) };
        let slopes = self.tensor(&theirs.name, theirs.len(channels))?;
        let source = match (theirs.single, ours.single) {
            (true, false) => Source::Computed(vec![slopes.to_f64().first().copied()?; channels]),
            (false, true) => return None,
            _ => Source::Same(slopes),
        };
        self.add(&ours.name, &[ours.len(channels)], source);
        Some(())
    }

    /// A tensor as it is.
    fn same(&mut self, file: &str, spec: &str, dims: &[usize]) -> Option<()> {
        let tensor = self.tensor(file, dims.iter().product())?;
        self.add(spec, dims, Source::Same(tensor));
        Some(())
    }

    /// A tensor of the file that is a weight of so many elements.
    fn tensor(&self, name: &str, len: usize) -> Option<Tensor> {
        let tensor = *self.tensors.get(name)?;
        (tensor.element.is_float() && Tensor::len(&tensor.dims) == Some(len)).then(|| tensor.clone())
    }

    fn add(&mut self, name: &str, dims: &[usize], source: Source) {
        self.weights.push(Weight { name: name.to_owned(), dims: dims.to_vec(), source });
    }
}
