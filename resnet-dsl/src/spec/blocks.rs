//! Spells a spec out: stem, blocks and head become layers. The only place that knows what a residual block is.
//!
//! ```text
//! basic:       k x k, k x k                    bottleneck:  1x1, k x k, 1x1
//! each convolution: conv, batch norm, ReLU (the last one: none)
//! shortcut:    the input; or 1x1 conv, batch norm; or every n-th pixel
//! block:       relu(branch + shortcut)
//! ```

use std::collections::{HashMap, HashSet};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::ast::{self, Block, BlockKind, Relu, Shortcut, Spec, StrideOn};
use crate::spec::names::{Name, Names, Place};
use crate::spec::network::{Layer, LayerKind, Network, Operand, Padding, Sides, Weights};

/// The network of a spec, up to the first layer or block that is unclear.
pub(super) fn expand(spec: Spec, errors: &mut Diagnostics) -> Network {
    let [height, width, channels] = spec.input;
    let mut layers = Layers {
        names: &spec.names,
        classes: spec.classes,
        list: Vec::new(),
        value: Operand::Input,
        channels: Some(channels),
        group: "stem".to_owned(),
        convs: 0,
    };
    layers.all(&spec, errors);
    let list = layers.list;
    if list.is_empty() && errors.is_empty() {
        errors.push(
            Diagnostic::new("the network has no layers", spec.input_span)
                .help("give it a `stem`, `stages` or a `head`"),
        );
    }
    unique(&list, errors);
    Network {
        name: spec.name,
        input: [spec.batch, height, width, channels],
        input_span: spec.input_span,
        layers: list,
        scheme: spec.names.scheme,
        ignored: spec.names.ignored.clone(),
        preprocessing: spec.preprocessing,
        classes: spec.classes,
        labels: spec.labels,
        precision: spec.precision,
    }
}

fn unique(layers: &[Layer], errors: &mut Diagnostics) {
    let mut seen: HashMap<&str, Span> = HashMap::from([("input", Span::default())]);
    let mut told = HashSet::new();
    for layer in layers {
        if let Some(first) = seen.insert(&layer.name, layer.span)
            // Blocks of one name have layers of one name: that is one mistake.
            && told.insert((first.start, layer.span.start))
        {
            let message = format!("the name `{}` is used twice", layer.name);
            let diagnostic = Diagnostic::new(message, layer.span).help("give one of the two another `name`");
            errors.push(if first == Span::default() {
                diagnostic
            } else {
                diagnostic.also(first, "first here")
            });
        }
    }
}

/// The layers so far, and what the next one reads.
struct Layers<'a> {
    names: &'a Names,
    classes: Option<usize>,
    list: Vec<Layer>,
    value: Operand,
    /// Channels of `value`; `None` once a flatten has mixed them with pixels.
    channels: Option<usize>,
    group: String,
    /// Convolutions outside blocks.
    convs: usize,
}

/// A convolution with what follows it.
struct Branch {
    filters: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    bias: bool,
    batch_norm: Option<f64>,
    winograd: bool,
}

impl Layers<'_> {
    /// Everything up to the first thing that is unclear; then `None`.
    fn all(&mut self, spec: &Spec, errors: &mut Diagnostics) -> Option<()> {
        for layer in &spec.stem {
            self.layer(layer, errors)?;
        }
        for (index, stage) in spec.stages.iter().enumerate() {
            for (block_index, block) in stage.blocks.iter().enumerate() {
                let name = block.name.clone().unwrap_or_else(|| spec.names.block(block_index));
                self.block(block, spec.names.first_stage + index, &name, errors)?;
            }
        }
        self.group = "head".to_owned();
        for layer in &spec.head {
            self.layer(layer, errors)?;
        }
        Some(())
    }

    fn push(&mut self, name: String, inputs: Vec<Operand>, kind: LayerKind, span: Span) -> Operand {
        self.list.push(Layer { name, inputs, kind, block: self.group.clone(), span });
        self.value = Operand::Layer(self.list.len() - 1);
        self.value
    }

    fn chain(&mut self, name: String, kind: LayerKind, span: Span) {
        self.push(name, vec![self.value], kind, span);
    }

    /// Convolution and batch norm.
    fn conv(&mut self, branch: &Branch, name: String, norm: String, span: Span) {
        let kind = LayerKind::Conv {
            filters: branch.filters,
            kernel: branch.kernel,
            stride: branch.stride,
            padding: branch.padding,
            weights: self.weights(&name, branch.bias),
            winograd: branch.winograd,
        };
        self.chain(name, kind, span);
        self.channels = Some(branch.filters);
        if let Some(epsilon) = branch.batch_norm {
            let tensor = |tensor| self.names.name(tensor, Place { layer: &norm, ..Place::default() });
            let kind = LayerKind::BatchNorm {
                epsilon,
                gamma: tensor(Name::Gamma),
                beta: tensor(Name::Beta),
                mean: tensor(Name::Mean),
                variance: tensor(Name::Variance),
            };
            self.chain(norm, kind, span);
        }
    }

    fn weights(&self, layer: &str, bias: bool) -> Weights {
        let tensor = |tensor| self.names.name(tensor, Place { layer, ..Place::default() });
        Weights {
            kernel: tensor(Name::Kernel),
            layout: self.names.layout,
            bias: bias.then(|| tensor(Name::Bias)),
        }
    }

    /// A layer of the stem or the head; `None` if it is unclear.
    fn layer(&mut self, layer: &ast::Layer, errors: &mut Diagnostics) -> Option<()> {
        let span = layer.span;
        let classes = self.classes.unwrap_or(0);
        let named = |name: Name, conv: usize| {
            let place = Place { conv, classes, ..Place::default() };
            layer.name.clone().unwrap_or_else(|| self.names.name(name, place))
        };
        match &layer.kind {
            ast::LayerKind::ZeroPad(sides) => {
                let name = layer.name.clone().unwrap_or_else(|| "zero_pad".to_owned());
                self.chain(name, LayerKind::ZeroPad(*sides), span);
            }
            ast::LayerKind::Conv(conv) => {
                self.convs += 1;
                let place = Place { conv: self.convs, classes, ..Place::default() };
                let name = named(Name::StemConv, self.convs);
                let norm = self.names.name(Name::StemNorm, place);
                let relu = self.names.name(Name::StemRelu, place);
                let ast::Conv { filters, kernel, stride, padding, bias, batch_norm, winograd, .. } = *conv;
                let branch = Branch { filters, kernel, stride, padding, bias, batch_norm, winograd };
                self.conv(&branch, name, norm, span);
                if conv.relu {
                    self.chain(relu, LayerKind::Relu, span);
                }
            }
            ast::LayerKind::MaxPool(pool) => {
                let name = named(Name::MaxPool, 0);
                self.chain(name, LayerKind::MaxPool(*pool), span);
            }
            ast::LayerKind::AveragePool { pool, count_padding } => {
                let name = named(Name::AveragePool, 0);
                let kind = LayerKind::AveragePool { pool: *pool, count_padding: *count_padding };
                self.chain(name, kind, span);
            }
            ast::LayerKind::GlobalAveragePool => {
                let name = named(Name::AveragePool, 0);
                self.chain(name, LayerKind::GlobalAveragePool, span);
            }
            ast::LayerKind::Flatten => {
                let name = layer.name.clone().unwrap_or_else(|| "flatten".to_owned());
                self.chain(name, LayerKind::Flatten, span);
                self.channels = None;
            }
            ast::LayerKind::Dense { units, bias } => {
                let name = named(Name::Dense, 0);
                let Some(units) = units.or(self.classes) else {
                    errors.push(
                        Diagnostic::new("a dense layer needs `units`", span)
                            .help("or give the spec `classes`, its default"),
                    );
                    return None;
                };
                let weights = self.weights(&name, *bias);
                self.chain(name, LayerKind::Dense { units, weights }, span);
                self.channels = Some(units);
            }
            ast::LayerKind::Softmax => {
                let name = named(Name::Softmax, 0);
                self.chain(name, LayerKind::Softmax, span);
            }
            ast::LayerKind::Unclear => return None,
        }
        Some(())
    }

    /// A residual block; `None` if it is unclear.
    fn block(&mut self, block: &Block, stage: usize, name: &str, errors: &mut Diagnostics) -> Option<()> {
        if block.unclear {
            return None;
        }
        let Block { settings, filters, stride, span, .. } = block;
        let place = |conv| Place { stage, block: name, conv, ..Place::default() };
        let input = self.value;
        let channels = self.channels;
        self.group = self.names.name(Name::Block, place(0));
        let convolutions = convolutions(block);
        let last = convolutions.len();
        for (index, branch) in convolutions.iter().enumerate() {
            let place = place(index + 1);
            self.conv(branch, self.names.name(Name::Conv, place), self.names.name(Name::Norm, place), *span);
            if index + 1 < last || settings.relu == Relu::BeforeAdd {
                self.chain(self.names.name(Name::Relu, place), LayerKind::Relu, *span);
            }
        }
        let branch = self.value;
        let output = filters.last().copied().unwrap_or(0);
        let same = *stride == [1, 1] && channels == Some(output);
        let shortcut = match settings.shortcut {
            Shortcut::Auto if same => Shortcut::Identity,
            Shortcut::Auto => Shortcut::Projection { batch_norm: None },
            Shortcut::Subsample { .. } if same => Shortcut::Identity,
            other => other,
        };
        self.value = input;
        match shortcut {
            Shortcut::Projection { batch_norm } => {
                let branch = Branch {
                    filters: output,
                    kernel: [1, 1],
                    stride: *stride,
                    padding: Padding::Valid,
                    bias: settings.bias,
                    batch_norm: batch_norm.unwrap_or(settings.batch_norm),
                    winograd: settings.winograd,
                };
                let conv = self.names.name(Name::Shortcut, place(0));
                self.conv(&branch, conv, self.names.name(Name::ShortcutNorm, place(0)), *span);
            }
            Shortcut::Subsample { front, back } => {
                let missing = output.saturating_sub(channels.unwrap_or(0));
                let front =
                    front.unwrap_or_else(|| missing.saturating_sub(back.unwrap_or(missing.div_ceil(2))));
                let back = back.unwrap_or(missing.saturating_sub(front));
                if channels.is_some_and(|channels| front + channels + back != output) {
                    let channels = channels.unwrap_or(0);
                    errors.push(Diagnostic::new(
                        format!("{front} + {channels} + {back} channels of the shortcut are not the {output} of the branch"),
                        *span,
                    ));
                }
                let name = self.names.name(Name::Shortcut, place(0));
                self.chain(name, LayerKind::Subsample { stride: *stride, front, back }, *span);
            }
            Shortcut::Identity | Shortcut::Auto => {}
        }
        let shortcut = self.value;
        let sum = if settings.relu == Relu::AfterAdd { Name::Add } else { Name::Block };
        self.push(self.names.name(sum, place(0)), vec![branch, shortcut], LayerKind::Add, *span);
        if settings.relu == Relu::AfterAdd {
            self.chain(self.names.name(Name::Block, place(0)), LayerKind::Relu, *span);
        }
        self.channels = Some(output);
        Some(())
    }
}

/// The convolutions of a block's branch.
fn convolutions(block: &Block) -> Vec<Branch> {
    let Block { settings, filters, stride, .. } = block;
    let [height, width] = settings.kernel;
    let half = Padding::Sides(Sides {
        top: (height - 1) / 2,
        bottom: (height - 1) / 2,
        left: (width - 1) / 2,
        right: (width - 1) / 2,
    });
    let wide = settings.padding.unwrap_or(half);
    let one = ([1, 1], Padding::Valid);
    let (shapes, strided) = match (settings.kind, settings.stride_on) {
        (BlockKind::Basic, _) => (vec![(settings.kernel, wide); 2], 0),
        (BlockKind::Bottleneck, StrideOn::First) => (vec![one, (settings.kernel, wide), one], 0),
        (BlockKind::Bottleneck, StrideOn::Middle) => (vec![one, (settings.kernel, wide), one], 1),
    };
    let branch = |(index, ((kernel, padding), filters)): (usize, ((_, _), &usize))| Branch {
        filters: *filters,
        kernel,
        stride: if index == strided { *stride } else { [1, 1] },
        padding,
        bias: settings.bias,
        batch_norm: settings.batch_norm,
        winograd: settings.winograd,
    };
    shapes.into_iter().zip(filters).enumerate().map(branch).collect()
}
