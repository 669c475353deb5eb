//! Layers with weights: convolutions, dense layers, norms.

use resnet_plan::{
    Activation as Function, Algorithm, Algorithms, BatchNorm, Kernel, KernelLayout, Slope, Text,
};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ir::Op;
use crate::ir::param::{BiasParam, KernelParam, Param};
use crate::ops;
use crate::spec::ast::{Activation, Conv};
use crate::spec::lower::Lowering;
use crate::spec::lower::naming::ConvNames;
use crate::spec::names::Name;

impl Lowering<'_> {
    /// Convolution, batch norm and activation.
    pub(super) fn conv(&mut self, conv: &Conv, names: ConvNames, span: Span) {
        let Conv { filters, kernel, stride, dilation, groups, standardized, padding, .. } = *conv;
        let op = Op::Conv2d(ops::Conv2d {
            filters,
            kernel,
            stride,
            dilation,
            groups,
            standardized,
            gated: false,
            padding,
            weights: self.kernel(&names.conv, self.names.layout),
            bias: self.bias(&names.conv, conv.bias),
            activation: ops::Activation::NONE,
            algorithms: (!conv.winograd).then_some(Algorithms::all(Algorithm::Direct)),
            split: None,
        });
        self.flow.channels = Some(filters);
        self.chain(names.conv, op, span);
        self.strided(Some(stride));
        if let Some(epsilon) = conv.batch_norm {
            self.batch_norm(names.norm, epsilon, None, span);
        }
        // The name of a weight is never numbered: two that are the same are an error.
        let is_weight = conv.activation.function == Function::Prelu;
        let name = |lowering: &mut Self| {
            if is_weight { names.activation } else { lowering.unique(names.activation) }
        };
        self.activation(conv.activation, name, span);
    }

    /// `None` if the number of units is not known.
    pub(super) fn dense(
        &mut self,
        units: Option<usize>,
        bias: bool,
        name: String,
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let Some(units) = units.or(self.classes) else {
            errors.push(
                Diagnostic::new("a dense layer needs `units`", span)
                    .help("or give the spec `classes`, its default"),
            );
            return None;
        };
        let weights = self.kernel(&name, self.names.layout.dense());
        let bias = self.bias(&name, bias);
        self.flow.channels = Some(units);
        self.chain(
            name,
            Op::Dense(ops::Dense { units, weights, bias, activation: ops::Activation::NONE }),
            span,
        );
        self.strided(None);
        Some(())
    }

    pub(super) fn batch_norm(
        &mut self,
        name: String,
        epsilon: f64,
        channels: Option<[usize; 2]>,
        span: Span,
    ) {
        let tensor = |tensor| self.tensor(tensor, &name);
        let norm = BatchNorm {
            gamma: tensor(Name::Gamma),
            beta: tensor(Name::Beta),
            mean: tensor(Name::Mean),
            variance: tensor(Name::Variance),
            epsilon,
            channels,
        };
        self.chain(name, Op::BatchNorm { norm, activation: ops::Activation::NONE }, span);
    }

    /// An activation, if there is one, under the name that is made for it.
    pub(super) fn activation(
        &mut self,
        Activation { function, shared }: Activation,
        name: impl FnOnce(&mut Self) -> String,
        span: Span,
    ) {
        if function == Function::None {
            return;
        }
        let name = name(self);
        let tensor = (function == Function::Prelu).then(|| self.tensor(Name::Slope, &name));
        let slope = tensor.map(|name| Slope { name, single: shared });
        self.chain(name, Op::Activation(ops::Activation { function, slope }), span);
    }

    pub(super) fn tensor(&self, tensor: Name, layer: &str) -> Text {
        self.names.tensor(tensor, layer).into()
    }

    fn kernel(&self, layer: &str, layout: KernelLayout) -> KernelParam {
        Param::load(Kernel { name: self.tensor(Name::Kernel, layer), layout })
    }

    fn bias(&self, layer: &str, bias: bool) -> Option<BiasParam> {
        bias.then(|| Param::load(Some(self.tensor(Name::Bias, layer))))
    }
}
