//! The passes: each one a free function that rewrites the graph, in the order of [`PIPELINE`].
//!
//! Three rules hold for all of them. A value keeps its name as long as it computes the same thing, so that graphs
//! before and after a pass can be compared value by value. A fused operator takes the place and the name of the last
//! one it replaces. The verifier runs after each pass, and names it if something no longer holds.

mod assign_layout;
mod assign_precision;
mod assign_split;
mod eliminate_dead;
mod fold_batch_norm;
mod fold_input_norm;
mod fuse_activation;
mod fuse_gate;
mod fuse_residual;
mod infer_shapes;
mod lower_dense;
mod select_algorithms;
mod skip_identities;
mod trace;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ir::Graph;
use crate::ir::verify::verify;
use crate::spec::metadata::Precision;

/// Whether a value cannot be negative, and so is quantized without a sign.
pub use assign_precision::never_negative;
/// The first pass, for a network that is only looked at for mistakes.
pub use infer_shapes::run as infer_shapes;
pub use trace::{Done, trace};

/// A named rewrite.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its name, as `--after` takes it.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// What it did, of one and of several: `batch norm folded`, `batch norms folded`.
    pub done: [&'static str; 2],
    /// Whether it fuses what other precisions compute step by step, of networks in f32 only.
    pub only_f32: bool,
    /// The rewrite.
    pub run: fn(&mut Graph) -> Result<(), Diagnostics>,
}

/// All passes, in order.
pub const PIPELINE: &[Pass] = &[
    Pass {
        name: "infer-shapes",
        summary: "give every value its type, and put `same` padding and global windows in numbers",
        done: ["value typed", "values typed"],
        only_f32: false,
        run: infer_shapes::run,
    },
    Pass {
        name: "skip-identities",
        summary: "remove pools of one pixel with stride 1",
        done: ["pool removed", "pools removed"],
        only_f32: false,
        run: skip_identities::run,
    },
    Pass {
        name: "fold-batch-norm",
        summary: "fold batch norms into the weights of the convolutions before them, symbolically",
        done: ["batch norm folded", "batch norms folded"],
        only_f32: false,
        run: fold_batch_norm::run,
    },
    Pass {
        name: "lower-dense",
        summary: "make dense layers convolutions as large as their input",
        done: ["dense layer made a convolution", "dense layers made convolutions"],
        only_f32: false,
        run: lower_dense::run,
    },
    Pass {
        name: "fold-input-norm",
        summary: "fold batch norms that are left into the weights of the convolutions behind them, symbolically",
        done: ["batch norm folded", "batch norms folded"],
        only_f32: false,
        run: fold_input_norm::run,
    },
    Pass {
        name: "fuse-residual",
        summary: "let the last convolution of a branch add the shortcut to its sums",
        done: ["shortcut fused", "shortcuts fused"],
        only_f32: false,
        run: fuse_residual::run,
    },
    Pass {
        name: "fuse-activation",
        summary: "let convolutions, sums, products and norms end with the activation behind them",
        done: ["activation fused", "activations fused"],
        only_f32: false,
        run: fuse_activation::run,
    },
    Pass {
        name: "eliminate-dead",
        summary: "remove what no output needs",
        done: ["value removed", "values removed"],
        only_f32: false,
        run: eliminate_dead::run,
    },
    Pass {
        name: "assign-precision",
        summary: "choose what every value holds: f32, bf16, or 8-bit integers by the calibration table",
        done: ["value narrowed or converted", "values narrowed or converted"],
        only_f32: false,
        run: assign_precision::run,
    },
    Pass {
        name: "fuse-gate",
        summary: "let a 1x1 convolution multiply its sums with a gate, made of the mean of its input",
        done: ["gate fused", "gates fused"],
        only_f32: true,
        run: fuse_gate::run,
    },
    Pass {
        name: "select-algorithms",
        summary: "choose how each convolution is computed, by what it costs",
        done: ["algorithm chosen", "algorithms chosen"],
        only_f32: false,
        run: select_algorithms::run,
    },
    Pass {
        name: "assign-split",
        summary: "choose what the threads of a convolution share out",
        done: ["convolution split by channels", "convolutions split by channels"],
        only_f32: false,
        run: assign_split::run,
    },
    Pass {
        name: "assign-layout",
        summary: "give every buffer the halo that its users' padding needs",
        done: ["value given a halo", "values given a halo"],
        only_f32: false,
        run: assign_layout::run,
    },
];

/// Runs the pipeline up to and including the pass `last`, or all of it. `observe` sees the graph after each pass.
///
/// # Errors
/// What a pass finds wrong with the network; or a fault of a pass, found by the verifier.
pub fn run_until(
    graph: &mut Graph,
    last: Option<&str>,
    observe: impl FnMut(&Pass, &Graph),
) -> Result<(), Diagnostics> {
    run_fused(graph, last, true, observe)
}

/// As [`run_until`]; what only f32 have is fused, or not.
///
/// # Errors
/// As [`run_until`].
pub(crate) fn run_fused(
    graph: &mut Graph,
    last: Option<&str>,
    fused: bool,
    mut observe: impl FnMut(&Pass, &Graph),
) -> Result<(), Diagnostics> {
    sound(graph, "building the graph")?;
    for pass in PIPELINE {
        if !pass.only_f32 || fused && graph.precision == Precision::F32 {
            (pass.run)(graph)?;
        }
        sound(graph, pass.name)?;
        observe(pass, graph);
        if last == Some(pass.name) {
            break;
        }
    }
    Ok(())
}

fn sound(graph: &Graph, culprit: &str) -> Result<(), Diagnostics> {
    let mut errors = Diagnostics::default();
    for fault in verify(graph) {
        errors.push(Diagnostic::new(format!("after {culprit}: {fault}"), Span::default()));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
