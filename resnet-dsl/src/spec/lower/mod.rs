//! Lowers a spec: stem, blocks and head become the nodes of a graph.
//!
//! ```text
//! for each layer: nodes that read the value before (or the one that `from` names), and each other
//! the last value of a block has the block's name, that of a stage is known by the stage's
//! ```

mod check;
mod conv;
mod layer;
mod naming;
mod residual;

use std::collections::HashMap;

use resnet_plan::nearest;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ir::{Graph, Node, Op, Output, Value};
use crate::ops::Sides;
use crate::spec::Parsed;
use crate::spec::ast::{Block, Layer, Reference, Spec};
use crate::spec::metadata::Metadata;
use crate::spec::names::{Name, Names};
use naming::Section;

/// The graph of a spec, up to the first layer or block that is unclear.
pub(super) fn lower(spec: Spec, errors: &mut Diagnostics) -> Parsed {
    let [height, width, channels] = spec.input;
    let dims = [spec.batch, height, width, channels];
    let mut graph = Graph::new(&spec.name);
    graph.precision = spec.precision.clone();
    let input = Node {
        name: "input".to_owned(),
        op: Op::Input(dims),
        ty: None,
        halo: Sides::default(),
        block: String::new(),
        span: spec.input_span,
        used: None,
    };
    let input = graph.add(input, &[]);
    let flow = Flow { value: input, channels: Some(channels), stride: Some([1, 1]) };
    let mut lowering = Lowering {
        names: &spec.names,
        classes: spec.classes,
        graph,
        flow,
        known: HashMap::from([("input".to_owned(), flow)]),
        section: Section::outside("stem"),
        stages: HashMap::new(),
    };
    match lowering.all(&spec, errors) {
        Some(()) => lowering.outputs(&spec.outputs, errors),
        // Names of values that are not there yet are no mistakes.
        None => lowering.outputs(&spec.outputs, &mut Diagnostics::default()),
    }
    let Lowering { mut graph, stages, .. } = lowering;
    match graph.users(input).first() {
        Some(first) => graph.node_mut(input).block = graph.node(*first).block.clone(),
        None if errors.is_empty() => errors.push(
            Diagnostic::new("the network has no layers", spec.input_span)
                .help("give it a `stem`, `stages` or a `head`"),
        ),
        None => {}
    }
    check::names(&graph, errors);
    let Spec { input_span, classes, names, preprocessing, labels, labels_span, warnings, .. } = spec;
    let metadata = Metadata { ignored: names.ignored, preprocessing, labels };
    Parsed { graph, input: dims, input_span, classes, metadata, stages, labels_span, warnings }
}

/// A value, and what is known of it before shapes are inferred.
#[derive(Clone, Copy)]
struct Flow {
    value: Value,
    /// Its channels; `None` once a flatten has mixed them with pixels.
    channels: Option<usize>,
    /// The product of all strides since the innermost residual began; `None` where that is no number.
    stride: Option<[usize; 2]>,
}

/// The graph so far, and what the next layer reads.
struct Lowering<'a> {
    names: &'a Names,
    classes: Option<usize>,
    graph: Graph,
    flow: Flow,
    /// Values by their names.
    known: HashMap<String, Flow>,
    section: Section,
    /// The stage of each block.
    stages: HashMap<String, String>,
}

impl Lowering<'_> {
    /// Everything up to the first thing that is unclear; then `None`.
    fn all(&mut self, spec: &Spec, errors: &mut Diagnostics) -> Option<()> {
        self.layers(&spec.stem, errors)?;
        let mut outside = self.section.clone();
        for (number, stage) in (self.names.first_stage..).zip(&spec.stages) {
            for (index, block) in stage.blocks.iter().enumerate() {
                let name = block.name.clone().unwrap_or_else(|| self.names.block(index));
                self.section = Section::block(number, name, block.span);
                self.section.block = self.pattern(Name::Block);
                self.stages.insert(self.section.block.clone(), self.pattern(Name::Stage));
                self.block(block, errors)?;
            }
            let name = self.pattern(Name::Stage);
            self.known.entry(name).or_insert(self.flow);
        }
        outside.block = "head".to_owned();
        self.section = outside;
        self.layers(&spec.head, errors)
    }

    /// The layers of a block. Its last value has the block's name.
    fn block(&mut self, block: &Block, errors: &mut Diagnostics) -> Option<()> {
        let first = self.graph.len();
        self.layers(&block.layers, errors)?;
        let has_name = block.layers.last().is_some_and(|layer: &Layer| layer.name.is_some());
        let grew = self.graph.len() > first;
        let node = self.graph.node_mut(self.flow.value);
        if grew && !has_name && node.block == self.section.block {
            node.name.clone_from(&self.section.block);
        }
        self.known.insert(self.section.block.clone(), self.flow);
        Some(())
    }

    fn layers(&mut self, layers: &[Layer], errors: &mut Diagnostics) -> Option<()> {
        layers.iter().try_for_each(|layer| self.layer(layer, errors))
    }

    /// The outputs that a spec names; without any, the last value is the output. It also stands for those that there are not.
    fn outputs(&mut self, outputs: &[Reference], errors: &mut Diagnostics) {
        let mut found: Vec<Output> = Vec::new();
        let mut names: HashMap<String, Span> = HashMap::new();
        for reference in outputs {
            let Flow { value, .. } = self.find(reference, errors).unwrap_or(self.flow);
            let name = self.fill(&reference.name);
            if let Some(first) = names.insert(name.clone(), reference.span) {
                let error = Diagnostic::new(format!("the output `{name}` is there twice"), reference.span);
                errors.push(error.also(first, "first here"));
            }
            let own = self.graph.node(value).name == name;
            found.push(Output { name: (!own).then_some(name), value });
        }
        if outputs.is_empty() {
            found.push(Output { name: None, value: self.flow.value });
        }
        self.graph.set_outputs(found);
    }

    /// An earlier value.
    fn find(&self, reference: &Reference, errors: &mut Diagnostics) -> Option<Flow> {
        let name = self.fill(&reference.name);
        let found = self.known.get(&name).copied();
        if found.is_none() {
            let known: Vec<&str> = self.known.keys().map(String::as_str).collect();
            let error = Diagnostic::new(format!("there is no value `{name}` before this"), reference.span);
            errors.push(match nearest(&name, &known) {
                Some(nearest) => error.help(format!("did you mean `{nearest}`?")),
                None => error.help("`resnet inspect --stage spec` lists all values"),
            });
        }
        found
    }

    /// Adds a node, whose value the next layer reads.
    fn add(&mut self, name: String, op: Op, operands: &[Value], span: Span) {
        let used = self.section.used.filter(|used| *used != span);
        let block = self.section.block.clone();
        let node = Node { name: name.clone(), op, ty: None, halo: Sides::default(), block, span, used };
        self.flow.value = self.graph.add(node, operands);
        self.known.insert(name, Flow { stride: None, ..self.flow });
    }

    /// Adds a node that reads what the last one computes.
    fn chain(&mut self, name: String, op: Op, span: Span) {
        self.add(name, op, &[self.flow.value], span);
    }

    /// The image has this stride on the one before; `None`: no stride that a shortcut could have.
    fn strided(&mut self, stride: Option<[usize; 2]>) {
        let product = |[a, b]: [usize; 2], [c, d]: [usize; 2]| Some([a.checked_mul(c)?, b.checked_mul(d)?]);
        self.flow.stride = self.flow.stride.zip(stride).and_then(|(all, stride)| product(all, stride));
    }
}
