//! Lowers a spec: stem, blocks and head become the nodes of a graph. The only place that knows what a residual block is.
//!
//! ```text
//! basic:       k x k, k x k                    bottleneck:  1x1, k x k, 1x1
//! each convolution: conv, batch norm, ReLU (the last one: none)
//! shortcut:    the input; or 1x1 conv, batch norm; or every n-th pixel
//! block:       relu(branch + shortcut)
//! ```

use std::collections::{HashMap, HashSet};

use resnet_plan::text::is_name;
use resnet_plan::{Algorithm, Algorithms, BatchNorm, Kernel, KernelLayout, Text};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ir::param::{BiasParam, KernelParam};
use crate::ir::{Graph, Node, Op, Value};
use crate::ops::{self, Activation, Padding, Sides};
use crate::spec::Parsed;
use crate::spec::ast::{self, Block, BlockKind, Relu, Shortcut, Spec, StrideOn};
use crate::spec::metadata::Metadata;
use crate::spec::names::{Name, Names, Place};
use crate::spec::stages;

/// The graph of a spec, up to the first layer or block that is unclear.
pub(super) fn lower(spec: Spec, errors: &mut Diagnostics) -> Parsed {
    let [height, width, channels] = spec.input;
    let mut graph = Graph::new(&spec.name);
    let dims = [spec.batch, height, width, channels];
    let input = graph.add(node("input".to_owned(), Op::Input(dims), "", spec.input_span), &[]);
    let mut lowering = Lowering {
        names: &spec.names,
        classes: spec.classes,
        graph,
        value: input,
        channels: Some(channels),
        block: "stem".to_owned(),
        convs: 0,
    };
    lowering.all(&spec, errors);
    let Lowering { mut graph, value: output, .. } = lowering;
    graph.precision = spec.precision;
    graph.set_output(output);
    match graph.users(input).first() {
        Some(first) => graph.node_mut(input).block = graph.node(*first).block.clone(),
        None if errors.is_empty() => errors.push(
            Diagnostic::new("the network has no layers", spec.input_span)
                .help("give it a `stem`, `stages` or a `head`"),
        ),
        None => {}
    }
    check_names(&graph, errors);
    let warnings = stages::warnings(spec.stride_on_span, &spec.stages);
    let Spec { input_span, classes, names, preprocessing, labels, .. } = spec;
    let metadata = Metadata { ignored: names.ignored, preprocessing, labels };
    Parsed { graph, input: dims, input_span, classes, metadata, warnings }
}

/// Values have names of their own, and all names can be written in the text form.
fn check_names(graph: &Graph, errors: &mut Diagnostics) {
    let mut seen: HashMap<&str, &Node> = HashMap::new();
    let mut told = HashSet::new();
    let nodes = || graph.topological().into_iter().map(|value| graph.node(value));
    for node in nodes() {
        let Some(first) = seen.insert(&node.name, node) else { continue };
        // Blocks of one name have layers of one name: that is one mistake.
        if !told.insert((first.span.start, node.span.start)) {
            continue;
        }
        let message = format!("the name `{}` is used twice", node.name);
        let diagnostic = Diagnostic::new(message, node.span).help("give one of the two another `name`");
        errors.push(match first.op {
            Op::Input(_) => diagnostic,
            _ => diagnostic.also(first.span, "first here"),
        });
    }
    for node in nodes() {
        for name in std::iter::once(node.name.as_str()).chain(tensors(&node.op)) {
            if !is_name(name) {
                errors.push(
                    Diagnostic::new(format!("`{name}` cannot be a name"), node.span)
                        .help("names are made of letters, digits and _ . / -"),
                );
            }
        }
    }
}

/// The tensor names of an operator, before anything is folded into it.
fn tensors(op: &Op) -> Vec<&str> {
    match op {
        Op::Conv2d(ops::Conv2d { weights, bias, .. }) | Op::Dense(ops::Dense { weights, bias, .. }) => {
            let bias = match bias {
                Some(BiasParam::Load(name)) => Some(&**name),
                _ => None,
            };
            std::iter::once(&*weights.tensor().name).chain(bias).collect()
        }
        Op::BatchNorm { norm: BatchNorm { gamma, beta, mean, variance, .. }, .. } => {
            vec![gamma, beta, mean, variance]
        }
        _ => Vec::new(),
    }
}

fn node(name: String, op: Op, block: &str, span: Span) -> Node {
    Node { name, op, ty: None, halo: Sides::default(), block: block.to_owned(), span }
}

/// The graph so far, and what the next layer reads.
struct Lowering<'a> {
    names: &'a Names,
    classes: Option<usize>,
    graph: Graph,
    value: Value,
    /// Channels of `value`; `None` once a flatten has mixed them with pixels.
    channels: Option<usize>,
    /// The block that nodes belong to.
    block: String,
    /// Convolutions outside blocks.
    convs: usize,
}

impl Lowering<'_> {
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
        self.block = "head".to_owned();
        for layer in &spec.head {
            self.layer(layer, errors)?;
        }
        Some(())
    }

    /// Adds a node, whose value the next layer reads.
    fn add(&mut self, name: String, op: Op, operands: &[Value], span: Span) {
        self.value = self.graph.add(node(name, op, &self.block, span), operands);
    }

    /// Adds a node that reads what the last one computes.
    fn chain(&mut self, name: String, op: Op, span: Span) {
        self.add(name, op, &[self.value], span);
    }

    /// Convolution and batch norm.
    fn conv(&mut self, conv: &ast::Conv, name: String, norm: String, span: Span) {
        let ast::Conv { filters, kernel, stride, padding, bias, batch_norm, winograd, .. } = *conv;
        let op = Op::Conv2d(ops::Conv2d {
            filters,
            kernel,
            stride,
            padding,
            weights: self.kernel(&name, self.names.layout),
            bias: self.bias(&name, bias),
            dilation: [1, 1],
            groups: 1,
            standardized: None,
            activation: Activation::NONE,
            algorithms: (!winograd).then_some(Algorithms::all(Algorithm::Direct)),
            split: None,
        });
        self.chain(name, op, span);
        self.channels = Some(filters);
        if let Some(epsilon) = batch_norm {
            let tensor = |tensor| self.tensor(tensor, &norm);
            let norm_tensors = BatchNorm {
                gamma: tensor(Name::Gamma),
                beta: tensor(Name::Beta),
                mean: tensor(Name::Mean),
                variance: tensor(Name::Variance),
                epsilon,
                channels: None,
            };
            let op = Op::BatchNorm { norm: norm_tensors, activation: Activation::NONE };
            self.chain(norm, op, span);
        }
    }

    fn kernel(&self, layer: &str, layout: KernelLayout) -> KernelParam {
        KernelParam::Load(Kernel { name: self.tensor(Name::Kernel, layer), layout })
    }

    fn bias(&self, layer: &str, bias: bool) -> Option<BiasParam> {
        bias.then(|| BiasParam::Load(self.tensor(Name::Bias, layer)))
    }

    fn tensor(&self, tensor: Name, layer: &str) -> Text {
        self.names.name(tensor, Place { layer, ..Place::default() }).into()
    }

    /// A layer of the stem or the head; `None` if it is unclear.
    fn layer(&mut self, layer: &ast::Layer, errors: &mut Diagnostics) -> Option<()> {
        let (span, names) = (layer.span, self.names);
        let is_conv = matches!(layer.kind, ast::LayerKind::Conv(_));
        self.convs += usize::from(is_conv);
        let conv = if is_conv { self.convs } else { 0 };
        let place = Place { conv, classes: self.classes.unwrap_or(0), ..Place::default() };
        let own = |default: String| layer.name.clone().unwrap_or(default);
        let named = |name| own(names.name(name, place));
        match &layer.kind {
            ast::LayerKind::ZeroPad(sides) => {
                self.chain(own("zero_pad".to_owned()), Op::ZeroPad(*sides), span);
            }
            ast::LayerKind::Conv(conv) => {
                self.conv(conv, named(Name::StemConv), names.name(Name::StemNorm, place), span);
                if conv.relu {
                    self.chain(names.name(Name::StemRelu, place), Op::Activation(Activation::RELU), span);
                }
            }
            ast::LayerKind::MaxPool(pool) => self.chain(named(Name::MaxPool), Op::MaxPool(*pool), span),
            ast::LayerKind::AveragePool(pool) => {
                self.chain(named(Name::AveragePool), Op::AveragePool(*pool), span);
            }
            ast::LayerKind::Flatten => {
                self.chain(own("flatten".to_owned()), Op::Flatten, span);
                self.channels = None;
            }
            ast::LayerKind::Dense { units, bias } => {
                let Some(units) = units.or(self.classes) else {
                    errors.push(
                        Diagnostic::new("a dense layer needs `units`", span)
                            .help("or give the spec `classes`, its default"),
                    );
                    return None;
                };
                let name = named(Name::Dense);
                let weights = self.kernel(&name, names.layout.dense());
                let bias = self.bias(&name, *bias);
                self.chain(
                    name,
                    Op::Dense(ops::Dense { units, weights, bias, activation: Activation::NONE }),
                    span,
                );
                self.channels = Some(units);
            }
            ast::LayerKind::Softmax => self.chain(named(Name::Softmax), Op::Softmax, span),
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
        let names = self.names;
        let named =
            |which: Name, conv| names.name(which, Place { stage, block: name, conv, ..Place::default() });
        let (input, channels) = (self.value, self.channels);
        self.block = named(Name::Block, 0);
        for (conv, number) in convolutions(block).iter().zip(1..) {
            self.conv(conv, named(Name::Conv, number), named(Name::Norm, number), *span);
            if conv.relu {
                self.chain(named(Name::Relu, number), Op::Activation(Activation::RELU), *span);
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
                let conv = ast::Conv {
                    filters: output,
                    kernel: [1, 1],
                    stride: *stride,
                    padding: Padding::Valid,
                    bias: settings.bias,
                    batch_norm: batch_norm.unwrap_or(settings.batch_norm),
                    relu: false,
                    winograd: settings.winograd,
                };
                self.conv(&conv, named(Name::Shortcut, 0), named(Name::ShortcutNorm, 0), *span);
            }
            Shortcut::Subsample { front, back } => {
                let missing = output.saturating_sub(channels.unwrap_or(0));
                let front =
                    front.unwrap_or_else(|| missing.saturating_sub(back.unwrap_or(missing.div_ceil(2))));
                let back = back.unwrap_or(missing.saturating_sub(front));
                if let Some(channels) = channels
                    && front + channels + back != output
                {
                    errors.push(Diagnostic::new(
                        format!("{front} + {channels} + {back} channels of the shortcut are not the {output} of the branch"),
                        *span,
                    ));
                }
                let op = Op::Subsample(ops::Subsample { stride: *stride, front, back });
                self.chain(named(Name::Shortcut, 0), op, *span);
            }
            Shortcut::Identity | Shortcut::Auto => {}
        }
        let sum = if settings.relu == Relu::AfterAdd { Name::Add } else { Name::Block };
        self.add(named(sum, 0), Op::Add { activation: Activation::NONE }, &[branch, self.value], *span);
        if settings.relu == Relu::AfterAdd {
            self.chain(named(Name::Block, 0), Op::Activation(Activation::RELU), *span);
        }
        self.channels = Some(output);
        Some(())
    }
}

/// The convolutions of a block's branch.
fn convolutions(block: &Block) -> Vec<ast::Conv> {
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
    let count = shapes.len().min(filters.len());
    let conv = |(index, ((kernel, padding), filters)): (usize, ((_, _), &usize))| ast::Conv {
        filters: *filters,
        kernel,
        stride: if index == strided { *stride } else { [1, 1] },
        padding,
        bias: settings.bias,
        batch_norm: settings.batch_norm,
        relu: index + 1 < count || settings.relu == Relu::BeforeAdd,
        winograd: settings.winograd,
    };
    shapes.into_iter().zip(filters).enumerate().map(conv).collect()
}
