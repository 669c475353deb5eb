//! A network as a file describes it.

use resnet_dsl::ir::Graph;

use crate::checkpoint::Tensor;

/// A graph and its tensors.
///
/// The graph is as a spec would give it before all passes. Its operators name their tensors, in the order (`oihw`, `hwio`, ..) that
/// the names' suffixes say; `tensors` has all of them under these names.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the file is, as messages say it: "ONNX model (opset 17, exported by PyTorch 2.15)".
    pub format: String,
    /// How many operators the file has.
    pub operators: usize,
    /// What is computed.
    pub graph: Graph,
    /// What is computed with.
    pub tensors: Vec<Tensor>,
    /// What a person should know of how it was read, each a line.
    pub notes: Vec<String>,
}

/// Height, width and channels of the input where a file leaves them open: those of ImageNet, in most networks.
pub(crate) const INPUT: [usize; 3] = [224, 224, 3];

/// The note of an input whose size the file leaves open.
pub(crate) fn assumed([height, width, channels]: [usize; 3]) -> String {
    format!(
        "the file leaves the input's size open: it is {height}x{width}x{channels} here; for another, say `input` in the spec"
    )
}
