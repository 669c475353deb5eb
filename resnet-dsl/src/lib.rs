//! The compiler: a spec becomes a graph, the graph is optimized and planned, the plan is written down as Rust.
//!
//! [`Spec::compile`] is the whole road; [`codegen::generate`] is its end. This is an ordinary library, without I/O and
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
pub mod shipped;
pub mod spec;

use codegen::Metadata;
use diag::{Diagnostic, Diagnostics};
use ir::Graph;
use plan::Plan;
use spec::network::{LayerKind, Network, Precision};
use spec::{Overrides, ReadFile};

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
    /// What is no part of the computation.
    pub metadata: Metadata,
}

impl Spec<'_> {
    /// The checked network. `read` gives the text of a file that the spec names (class labels).
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn parse(&self, read: ReadFile<'_>) -> Result<Network, Diagnostics> {
        self.check(read).map(|(network, _)| network)
    }

    /// The graph of the network, as the spec says it: before all passes.
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn graph(&self, read: ReadFile<'_>) -> Result<Graph, Diagnostics> {
        self.check(read).map(|(_, graph)| graph)
    }

    /// The whole pipeline: parse, build the graph, run the passes, plan.
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn compile(&self, read: ReadFile<'_>) -> Result<Compiled, Diagnostics> {
        let (network, _) = self.check(read)?;
        if let Precision::Int8(table) = &network.precision {
            let (made_for, this) = (table.spec, fingerprint(&network)?);
            if made_for != this {
                let mut errors = Diagnostics::default();
                let message = format!(
                    "the calibration table was made for the network {made_for:016x}, this is {this:016x}"
                );
                let error = Diagnostic::new(message, network.input_span);
                errors.push(error.help("calibrate this one: resnet calibrate"));
                return Err(errors);
            }
        }
        let batch = network.input[0];
        let graph = |images: usize| {
            let mut network = network.clone();
            network.input[0] = images;
            let mut graph = ir::build::build(&network)?;
            pass::run_until(&mut graph, None, |_, _| {})?;
            Ok(graph)
        };
        let (graph, plan) = (graph(batch)?, plan::plan(batch, graph)?);
        let Network { scheme, ignored, preprocessing, labels, .. } = network;
        Ok(Compiled { graph, plan, metadata: Metadata { scheme, ignored, preprocessing, labels } })
    }

    /// What a spec with mistakes probably stands for: batch, height, width and channels of the output. With it, code that
    /// uses the network is not reported along with the mistakes.
    pub fn probable_output(&self) -> [usize; 4] {
        let (network, _) = spec::parse(self.text, self.overrides, &mut |_| Ok(String::new()));
        let (batch, classes) = network.map_or((1, None), |network| (network.input[0], network.classes));
        [batch, 1, 1, classes.unwrap_or(1)]
    }

    /// What a calibration table of this network names it by.
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn fingerprint(&self, read: ReadFile<'_>) -> Result<u64, Diagnostics> {
        fingerprint(&self.check(read)?.0)
    }

    /// The network and its graph. Shapes are looked at even if there are other mistakes, so that all are told at once.
    fn check(&self, read: ReadFile<'_>) -> Result<(Network, Graph), Diagnostics> {
        let (network, mut errors) = spec::parse(self.text, self.overrides, read);
        let Some(network) = network.filter(|network| !network.layers.is_empty()) else { return Err(errors) };
        match ir::build::build(&network) {
            Ok(graph) => {
                let shapes = pass::infer_shapes(&mut graph.clone());
                errors.extend(shapes.err().unwrap_or_default());
                if errors.is_empty() {
                    return Ok((network, graph));
                }
            }
            Err(more) => errors.extend(more),
        }
        Err(errors)
    }
}

/// A hash of everything that the values of a network depend on, but its weights: the text of its graph, all that can be fused
/// fused, for one image. (FNV-1a, 64 bits.)
fn fingerprint(network: &Network) -> Result<u64, Diagnostics> {
    let mut network = network.clone();
    network.input[0] = 1;
    network.precision = Precision::F32;
    for layer in &mut network.layers {
        if let LayerKind::Conv { winograd, .. } = &mut layer.kind {
            *winograd = true; // does not change values
        }
    }
    let mut graph = ir::build::build(&network)?;
    pass::run_until(&mut graph, Some("eliminate-dead"), |_, _| {})?;
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    Ok(graph.to_string().bytes().fold(0xCBF2_9CE4_8422_2325, hash))
}
