//! The compiler: a spec becomes a graph, the graph is optimized and planned, the plan is written down as Rust.
//!
//! [`Spec::compile`] is the whole pipeline; [`codegen::generate`] is its end. This is an ordinary library, without I/O and
//! without `proc_macro`: the `resnet!` macro and `resnet inspect` are thin shells over it.
#![forbid(unsafe_code)]

pub mod calibration;
pub mod codegen;
pub mod diag;
pub mod evaluate;
pub mod ir;
pub mod ops;
pub mod pass;
pub mod plan;
mod quoted;
pub mod shipped;
pub mod spec;
pub mod summary;

use diag::{Diagnostic, Diagnostics};
use ir::{Graph, Op, Output};
use resnet_plan::{Ending, Plan};
use spec::metadata::{Metadata, Precision};
use spec::{Overrides, Parsed, ReadFile};

/// A spec's text, and where it is from.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// The file or model, as messages name it.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// What the caller asks for instead.
    pub overrides: &'a Overrides,
}

/// A compiled network.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The graph of the whole batch after all passes.
    pub graph: Graph,
    /// The plan.
    pub plan: Plan,
}

impl Spec<'_> {
    /// The graph before all passes, and what the spec says beside it. Shapes are looked at even if there are other mistakes,
    /// so that all are told at once. `read` gives the text of a file that the spec names (class labels).
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn parse(&self, read: ReadFile<'_>) -> Result<Parsed, Diagnostics> {
        let (parsed, mut errors) = spec::parse(self, read);
        if let Some(parsed) = &parsed {
            let mut graph = parsed.graph.clone();
            let shapes = pass::infer_shapes(&mut graph);
            errors.extend(shapes.err().unwrap_or_default());
            if errors.is_empty() {
                errors.extend(label_mistakes(parsed, &graph));
            }
        }
        parsed.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// The whole pipeline: parse, run the passes, plan.
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn compile(&self, read: ReadFile<'_>) -> Result<Compiled, Diagnostics> {
        self.parse(read)?.compile()
    }

    /// As [`Spec::compile`], without what is fused in f32 only: a network in f32 then has all values that it has in bf16 and int8, to be
    /// calibrated by or compared with.
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn compile_unfused(&self, read: ReadFile<'_>) -> Result<Compiled, Diagnostics> {
        self.parse(read)?.compile_fused(false)
    }

    /// What a spec with mistakes probably stands for: names and sizes of the outputs (batch, height, width and channels). With
    /// them, code that uses the network is not reported along with the mistakes.
    pub fn probable_outputs(&self) -> Vec<(String, ops::Dims)> {
        let (parsed, _) = spec::parse(self, &mut |_| Ok(String::new()));
        let Some(Parsed { mut graph, input: [batch, ..], classes, .. }) = parsed else { return Vec::new() };
        let scores = [batch, 1, 1, classes.unwrap_or(1)];
        // What comes after a mistake has no shape.
        let _ = pass::infer_shapes(&mut graph);
        let dims = |output: &Output| match (graph.outputs(), graph.node(output.value).ty) {
            ([_, _, ..], Some(ty)) => ty.dims,
            _ => scores,
        };
        graph.outputs().iter().map(|output| (graph.output_name(output).to_owned(), dims(output))).collect()
    }

    /// What the spec says without effect; nothing if it has mistakes.
    pub fn warnings(&self, read: ReadFile<'_>) -> Diagnostics {
        let (parsed, errors) = spec::parse(self, read);
        parsed.filter(|_| errors.is_empty()).map(|parsed| parsed.warnings).unwrap_or_default()
    }

    /// What a calibration table of this network names it by.
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn fingerprint(&self, read: ReadFile<'_>) -> Result<u64, Diagnostics> {
        fingerprint(&self.parse(read)?.graph)
    }

    /// Whether it is one that ships with the compiler.
    fn is_shipped(&self) -> bool {
        shipped::get(self.name) == Some(self.text)
    }
}

impl Parsed {
    /// The rest of [`Spec::compile`]: run the passes, plan.
    ///
    /// # Errors
    /// As [`Spec::compile`].
    pub fn compile(self) -> Result<Compiled, Diagnostics> {
        self.check_calibration()?;
        self.compile_fused(true)
    }

    /// What only f32 have is fused, or not.
    fn compile_fused(self, fused: bool) -> Result<Compiled, Diagnostics> {
        let Parsed { graph: unoptimized, input: [batch, ..], classes, metadata, .. } = self;
        let graph = |images| {
            let mut graph = unoptimized.clone();
            graph.set_batch(images);
            pass::run_fused(&mut graph, None, fused, |_, _| {})?;
            Ok(graph)
        };
        let (graph, mut plan) = (graph(batch)?, plan::plan(batch, graph)?);
        let Metadata { ignored, preprocessing, labels } = metadata;
        plan.description.ignored = ignored.into_iter().map(Into::into).collect();
        plan.description.labels = labels.into_iter().map(Into::into).collect();
        plan.description.preprocessing = preprocessing;
        plan.description.ending = ending(&unoptimized, classes, plan.output());
        Ok(Compiled { graph, plan })
    }

    /// Whether the calibration table of int8 was made for this network.
    ///
    /// # Errors
    /// If it was made for another one.
    pub fn check_calibration(&self) -> Result<(), Diagnostics> {
        let Precision::Int8(table) = &self.graph.precision else { return Ok(()) };
        let (made_for, this) = (table.spec, fingerprint(&self.graph)?);
        if made_for == this {
            return Ok(());
        }
        let mut errors = Diagnostics::default();
        let [made, name] = [&table.network, &self.graph.name].map(|name| quoted::network(name));
        let message = format!(
            "the calibration table was made for the network `{made}` ({made_for:016x}), this is `{name}` ({this:016x})"
        );
        let error = Diagnostic::new(message, self.input_span);
        errors.push(error.help("calibrate this one: resnet calibrate"));
        Err(errors)
    }
}

/// What the output of a network is, whose spec may say how many classes there are. A dense layer at the end makes scores even if
/// the spec says nothing.
fn ending(graph: &Graph, classes: Option<usize>, [_, height, width, channels]: ops::Dims) -> Ending {
    let last = graph.output().map(|output| &graph.node(output).op);
    match last {
        _ if [height, width] != [1, 1] || graph.outputs().len() > 1 => Ending::Features,
        Some(Op::Softmax) => Ending::Probabilities,
        Some(Op::Dense(_)) => Ending::Logits,
        _ if classes == Some(channels) => Ending::Logits,
        _ => Ending::Features,
    }
}

/// What is wrong with the labels of a network that has classes: there must be one for each. `graph` has types.
fn label_mistakes(parsed: &Parsed, graph: &Graph) -> Diagnostics {
    let mut errors = Diagnostics::default();
    let last = graph.output().map(|output| graph.node(output));
    let Some((last, dims)) = last.and_then(|last| Some((last, last.ty?.dims))) else { return errors };
    let (labels, [.., values]) = (parsed.metadata.labels.len(), dims);
    let has_classes = ending(graph, parsed.classes, dims) != Ending::Features;
    if has_classes && labels > 0 && labels != values {
        let message =
            format!("there are {labels} labels, and `{}` gives scores of {values} classes", last.name);
        let error = Diagnostic::new(message, parsed.labels_span).also(last.span, format!("{values} here"));
        errors.push(error.help("give a label for each class, or none"));
    }
    errors
}

/// A hash of everything that the values of a network depend on, but its weights: the text of its graph, all that can be fused
/// fused, for one image. (FNV-1a, 64 bits.)
fn fingerprint(graph: &Graph) -> Result<u64, Diagnostics> {
    let mut graph = graph.clone();
    graph.set_batch(1);
    graph.precision = Precision::F32;
    spec::allow_winograd(&mut graph, true); // does not change values
    pass::run_until(&mut graph, Some("eliminate-dead"), |_, _| {})?;
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    Ok(graph.to_string().bytes().fold(0xCBF2_9CE4_8422_2325, hash))
}
