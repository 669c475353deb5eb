//! Chooses how each convolution is computed: whatever costs least, unless the spec has chosen.

use resnet_plan::Algorithm;

use crate::diag::Diagnostics;
use crate::ir::graph::Graph;
use crate::ir::{Element, Op};
use crate::ops::cost;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let input = graph.operands(value).first().and_then(|x| graph.node(*x).ty);
        let (Some(x), Some(y)) = (input, graph.node(value).ty) else { continue };
        if let Op::Conv2d(conv) = &mut graph.node_mut(value).op
            && conv.algorithm.is_none()
        {
            let mut candidates = cost::candidates(conv, x.dims, y.dims);
            // Sums of inputs and of weights need more than 8 or 16 bits.
            candidates.retain(|algorithm| x.element == Element::F32 || *algorithm == Algorithm::Direct);
            conv.algorithm =
                candidates.into_iter().min_by_key(|algorithm| cost::cost(*algorithm, conv, x.dims, y.dims));
        }
    }
    Ok(())
}
