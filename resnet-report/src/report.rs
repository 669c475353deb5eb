//! The report: the types are its schema, which docs/inspect.schema.json writes down for other programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the schema. It is raised when a field goes or changes its meaning, not when one is added.
pub const VERSION: u32 = 1;

/// What the compiler made of a spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// What was asked for.
    pub spec: Spec,
    /// What each pass changed, in order; the first one is the spec itself.
    pub passes: Vec<Pass>,
    /// The values of the graph after all passes, each after its operands.
    pub layers: Vec<Layer>,
    /// What a run does.
    pub plan: Plan,
    /// How convolutions could be computed: one for each convolution, of bf16 and int8 one for each of two classes of instruction sets, in the
    /// graph's order. (Reports that were written before it are read, too.)
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// Where activations lie.
    pub memory: Memory,
    /// What the network costs.
    pub costs: Costs,
    /// The generated Rust.
    pub code: String,
    /// What was measured, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub measured: Option<Measured>,
    /// How far the values are from a reference, if that was computed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified: Option<Verified>,
}

/// A spec as it is read: shapes, parameters and multiply-adds are of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The network's name.
    pub name: String,
    /// The spec's file or shipped name, as the user gave it.
    pub source: String,
    /// Batch, height, width, channels.
    pub input: [usize; 4],
    /// What a run gives.
    pub outputs: Vec<Output>,
    /// `f32`, `bf16` or `int8`.
    pub precision: String,
    /// Learned parameters.
    pub parameters: u64,
    /// Multiply-adds.
    pub macs: u64,
    /// Its layers.
    pub layers: Vec<SpecLayer>,
    /// How an image becomes an input.
    pub preprocessing: Preprocessing,
    /// Names of the classes.
    pub labels: Vec<String>,
}

/// How an image becomes an input: resized, cropped, `(byte * scale - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// What it is resized to before it is cropped.
    pub resize: Option<Resize>,
    /// Whether the center is cut out.
    pub crop: bool,
    /// `bilinear` or `bicubic`.
    pub interpolation: String,
    /// Order of the channels: `rgb`, `bgr`, `gray`.
    pub channels: String,
    /// What is behind transparent pixels: red, green, blue.
    pub background: [u8; 3],
    /// What a byte is multiplied with.
    pub scale: f32,
    /// Taken away from each channel.
    pub mean: Vec<f32>,
    /// What each channel is divided by.
    pub std: Vec<f32>,
}

/// What an image is resized to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Resize {
    /// The shorter side.
    Shorter(usize),
    /// Height and width.
    To([usize; 2]),
    /// The least height and width that cover these.
    Cover {
        /// Height and width.
        cover: [usize; 2],
    },
}

/// An output of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// What the spec calls it.
    pub name: String,
    /// The layer that computes it.
    pub layer: String,
    /// Batch, height, width, channels.
    pub shape: [usize; 4],
}

/// A layer of the spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecLayer {
    /// Its name.
    pub name: String,
    /// The residual block, or `stem`, or `head`.
    pub block: String,
    /// What it is: `conv 3x3, stride 2, padding 1`.
    pub kind: String,
    /// Shape of the result.
    pub shape: [usize; 4],
    /// Learned parameters.
    pub parameters: u64,
    /// Multiply-adds.
    pub macs: u64,
}

/// What a pass changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// What it did: `53 batch norms folded`.
    pub outcome: String,
    /// Values of the graph after it.
    pub values: usize,
    /// The values that it changed.
    pub changes: Vec<Change>,
}

/// What became of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The block that it belongs to.
    pub block: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// What is gone: a line, or the words of a line that is adjusted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub before: Vec<String>,
    /// What is new: a line, or the words of a line that is adjusted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub after: Vec<String>,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is gone.
    Removed,
    /// It is new.
    Added,
    /// Another operator computes it.
    Replaced,
    /// The same operator computes it in another way.
    Adjusted,
}

/// A value of the graph after all passes: of the whole batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// The residual block, or `stem`, or `head`.
    pub block: String,
    /// The stage that the block belongs to; `stem` and `head` are stages of their own.
    pub stage: String,
    /// The operator.
    pub operator: String,
    /// What it is: `conv 3x3, stride 2, padding 1`.
    pub kind: String,
    /// The values that it is computed from.
    pub operands: Vec<String>,
    /// What was operators of their own in the spec and is done on the way, in this order.
    pub fused: Vec<Fused>,
    /// Batch, height, width, channels.
    pub shape: [usize; 4],
    /// What it holds: `f32`, `bf16`, `u8(0.02)` with the quantization scale
    pub element: String,
    /// Zeros around each image: top, bottom, left, right.
    pub halo: [usize; 4],
    /// Learned parameters, those of what is fused included.
    pub parameters: u64,
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes of its weights as they are stored, batch norms folded.
    pub weight_bytes: usize,
    /// Bytes of activations that its steps read and write.
    pub activation_bytes: usize,
    /// Operations (a multiply-add is two) a byte of weights and activations.
    pub intensity: f64,
    /// How a convolution is computed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub algorithm: Option<String>,
    /// Its steps in the plan.
    pub steps: Vec<usize>,
    /// Microseconds of its steps on the machine of the costs.
    pub predicted_us: f64,
}

/// The graph after some pass, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The network's name.
    pub network: String,
    /// The values, each after its operands.
    pub values: Vec<GraphValue>,
    /// The outputs, the main one last.
    pub outputs: Vec<Output>,
}

/// A value of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphValue {
    /// Its name.
    pub name: String,
    /// The residual block, or `stem`, or `head`.
    pub block: String,
    /// The operator.
    pub op: String,
    /// The values that it is computed from.
    pub operands: Vec<String>,
    /// Attributes as in the text form; a flag's value is empty.
    pub attributes: BTreeMap<String, String>,
    /// Batch, height, width, channels, once shapes are inferred.
    pub shape: Option<[usize; 4]>,
    /// Zeros around each image: top, bottom, left, right.
    pub halo: [usize; 4],
}

/// An operator that another one does on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fused {
    /// The operator: `batch_norm`, `add`, `relu`.
    pub operator: String,
    /// Its tensors or its operand.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub name: String,
    /// Whether it comes before the operator that it is fused into.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub before: bool,
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How often they are done: a large batch is computed in parts.
    pub sections: Vec<Section>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The value that it writes.
    pub name: String,
    /// The block of the spec that it belongs to.
    pub block: String,
    /// What it does, in the words of the plan's text.
    pub action: String,
    /// What it reads; nothing where that is the network's input, or nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reads: Option<View>,
    /// The gate that its sums are multiplied with, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate: Option<View>,
    /// What it writes.
    pub writes: View,
    /// Microseconds on the machine of the costs, of all passes of a run.
    pub predicted_us: f64,
}

/// A value in a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Index of the buffer.
    pub buffer: usize,
    /// The shape with its halo: batch, height, width, channels.
    pub dims: [usize; 4],
    /// The value's first row and column.
    pub at: [usize; 2],
    /// The value's height and width.
    pub size: [usize; 2],
}

/// Steps that are done together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The first step and the end.
    pub steps: [usize; 2],
    /// How often they are done.
    pub passes: usize,
    /// Images of a pass.
    pub images: usize,
}

/// Where activations lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes of all activations.
    pub peak_bytes: usize,
    /// Bytes that each thread works in beside that.
    pub scratch_bytes: usize,
    /// The parts of that memory.
    pub buffers: Vec<Buffer>,
}

/// A part of the memory of activations, for as long as what it holds is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// The first value that it holds.
    pub name: String,
    /// Place in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub bytes: usize,
    /// The first and the last step that need it.
    pub live: [usize; 2],
    /// Whether it holds something of all images, and not of a pass'.
    pub whole: bool,
}

/// How a convolution could be computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The convolution.
    pub layer: String,
    /// The instruction sets: `widened` (elements are widened) or `dots` (an instruction multiplies words of them; AMX computes direct sums only);
    /// all, as for f32, if there is none.
    pub class: Option<String>,
    /// All ways to compute it.
    pub ways: Vec<Way>,
    /// Why the one that was taken is not the cheapest, if it is not.
    pub because: Option<String>,
    /// Algorithms for such windows that are refused.
    pub refused: Vec<Refused>,
}

/// A way to compute a convolution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The algorithm and its sizes, as in the plan.
    pub algorithm: String,
    /// Multiply-adds of f32 that take as long.
    pub cost: usize,
    /// Whether it was taken.
    pub chosen: bool,
}

/// An algorithm that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The algorithm.
    pub algorithm: String,
    /// Why not.
    pub why: String,
}

/// What the network costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Learned parameters.
    pub parameters: u64,
    /// Multiply-adds of a run.
    pub macs: u64,
    /// Bytes of the weights in each precision, batch norms folded.
    pub weight_bytes: WeightBytes,
    /// Bytes of all activations.
    pub peak_bytes: usize,
    /// What times are predicted for.
    pub machine: Machine,
    /// Milliseconds of a run on that machine.
    pub predicted_ms: f64,
}

/// Bytes of the weights in each precision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightBytes {
    /// In f32.
    pub f32: usize,
    /// In bf16.
    pub bf16: usize,
    /// In int8.
    pub int8: usize,
}

/// One core of a processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// What it is.
    pub name: String,
    /// The most GFLOP/s in the network's precision (a multiply-add is two).
    pub gflops: f64,
    /// GB/s of activations.
    pub bandwidth: f64,
}

/// What `resnet bench --layers` measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The instruction set.
    pub isa: String,
    /// Threads.
    pub threads: usize,
    /// Runs.
    pub runs: usize,
    /// The most GFLOP/s of these threads in the network's precision.
    pub peak_gflops: f64,
    /// Median microseconds of each step of the plan, of all passes of a run.
    pub steps_us: Vec<f64>,
}

/// What `resnet verify` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// What was compared with: `float64`.
    pub reference: String,
    /// Inputs.
    pub inputs: usize,
    /// One for each instruction set.
    pub isas: Vec<VerifiedIsa>,
}

/// What `resnet verify` found with one instruction set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifiedIsa {
    /// The instruction set.
    pub isa: String,
    /// The first layer that is further from the reference than it may be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_beyond: Option<String>,
    /// The layers.
    pub layers: Vec<VerifiedLayer>,
}

/// How far a layer is from the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifiedLayer {
    /// Its name.
    pub name: String,
    /// The largest error in units of the last place.
    pub max_ulp: f64,
    /// The largest error.
    pub max_error: f64,
    /// The largest error over the largest value.
    pub relative_error: f64,
    /// The cosine of the angle between both.
    pub cosine: f64,
    /// The relative error that it may have.
    pub bound: f64,
    /// Whether it has no more.
    pub within: bool,
}
