//! Layers with several inputs: residuals, gates, sums.

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ir::Op;
use crate::ops::{self, Padding, Subsample};
use crate::spec::ast::{Activation, Conv, Layer, Projection, Reference, Shortcut};
use crate::spec::lower::{Flow, Lowering};
use crate::spec::names::Name;

impl Lowering<'_> {
    /// `activation(branch + shortcut)`; `None` if a layer is unclear.
    pub(super) fn residual(
        &mut self,
        own: Option<&String>,
        branch: &[Layer],
        shortcut: &Shortcut,
        activation: Activation,
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let outer = self.flow.stride;
        let input = Flow { stride: Some([1, 1]), ..self.flow };
        self.flow = input;
        self.layers(branch, errors)?;
        let branch = self.flow;
        self.flow = input;
        let was_shortcut = std::mem::replace(&mut self.section.shortcut, true);
        self.shortcut(shortcut, branch, span, errors)?;
        self.section.shortcut = was_shortcut;
        let shortcut = std::mem::replace(&mut self.flow, Flow { stride: outer, ..branch });
        self.strided(branch.stride);
        self.summed(own, Flow { stride: None, ..branch }, shortcut, activation, span);
        Some(())
    }

    /// The other side of the sum, from the residual's input to what fits `branch`.
    fn shortcut(
        &mut self,
        shortcut: &Shortcut,
        branch: Flow,
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let same = branch.stride == Some([1, 1]) && branch.channels == self.flow.channels;
        match shortcut {
            Shortcut::Identity => return Some(()),
            Shortcut::Auto(_) | Shortcut::Subsample { .. } | Shortcut::Layers(_) if same => return Some(()),
            Shortcut::Layers(layers) => return self.layers(layers, errors),
            Shortcut::Auto(_) | Shortcut::Projection(_) | Shortcut::Subsample { .. } => {}
        }
        let (Some(stride), Some(filters)) = (branch.stride, branch.channels) else {
            let error = Diagnostic::new("the shape of this branch is not clear to a shortcut", span);
            errors.push(error.help("say what the shortcut is: `identity`, or a list of layers"));
            return None;
        };
        match *shortcut {
            Shortcut::Subsample { front, back } => {
                self.subsample(stride, filters, [front, back], span, errors)?;
            }
            Shortcut::Auto(projection) | Shortcut::Projection(projection) => {
                self.projection(projection, stride, filters, span);
            }
            Shortcut::Identity | Shortcut::Layers(_) => {}
        }
        Some(())
    }

    fn projection(&mut self, projection: Projection, stride: [usize; 2], filters: usize, span: Span) {
        let Projection { bias, batch_norm, winograd } = projection;
        let conv = Conv {
            filters,
            kernel: [1, 1],
            stride,
            dilation: [1, 1],
            groups: 1,
            standardized: None,
            padding: Padding::Valid,
            bias,
            batch_norm,
            norm: None,
            activation: Activation::NONE,
            winograd,
        };
        let names = self.conv_names(None, None);
        self.conv(&conv, names, span);
    }

    /// Every n-th pixel, and zero channels; `None` if they are not the branch's.
    fn subsample(
        &mut self,
        stride: [usize; 2],
        filters: usize,
        [front, back]: [Option<usize>; 2],
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let channels = self.flow.channels;
        let missing = filters.saturating_sub(channels.unwrap_or(0));
        let front = front.unwrap_or_else(|| missing.saturating_sub(back.unwrap_or(missing.div_ceil(2))));
        let back = back.unwrap_or(missing.saturating_sub(front));
        if let Some(channels) = channels
            && front + channels + back != filters
        {
            let message = format!(
                "{front} + {channels} + {back} channels of the shortcut are not the {filters} of the branch"
            );
            errors.push(Diagnostic::new(message, span).help(match channels > filters {
                true => "`subsample` adds channels, and takes none away: use `projection`",
                false => "give `front` or `back` alone, or both so that this is the sum",
            }));
            return None;
        }
        let name =
            if self.section.is_block() { self.pattern(Name::Shortcut) } else { "subsample".to_owned() };
        let name = self.unique(name);
        self.flow.channels = Some(filters);
        self.chain(name, Op::Subsample(Subsample { stride, front, back }), span);
        Some(())
    }

    /// The input, times what the layers make of it.
    pub(super) fn gate(
        &mut self,
        own: Option<&String>,
        layers: &[Layer],
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let input = self.flow;
        self.layers(layers, errors)?;
        let gate = std::mem::replace(&mut self.flow, input);
        let name = self.called(own, "gate");
        let op = Op::Multiply { activation: ops::Activation::NONE };
        self.add(name, op, &[input.value, gate.value], span);
        Some(())
    }

    /// The current value and named ones.
    pub(super) fn sum(
        &mut self,
        own: Option<&String>,
        with: &[Reference],
        activation: Activation,
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let mut others =
            with.iter().map(|reference| self.find(reference, errors)).collect::<Option<Vec<_>>>()?;
        let last = others.pop()?;
        for other in others {
            self.summed(None, self.flow, other, Activation::NONE, span);
        }
        self.summed(own, self.flow, last, activation, span);
        Some(())
    }

    /// `activation(a + b)`, called by `own` or by the section.
    fn summed(&mut self, own: Option<&String>, a: Flow, b: Flow, activation: Activation, span: Span) {
        let last = activation == Activation::NONE;
        let add = match own.filter(|_| last) {
            Some(own) => self.fill(own),
            None if self.section.is_block() => self.unique(self.pattern(Name::Add)),
            None => self.unique("add".to_owned()),
        };
        self.add(add, Op::Add { activation: ops::Activation::NONE }, &[a.value, b.value], span);
        self.activation(activation, |lowering| lowering.called(own, activation.function.name()), span);
    }
}
