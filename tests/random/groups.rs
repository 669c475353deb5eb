//! Convolutions in groups and with dilation, standardized weights, and activations, on every instruction set.

use resnet::runtime::{Isa, Precision};

use super::{How, check};

const LAYERS: &str = "stem:
  - conv: {name: merged, filters: 64, kernel: 3, padding: same, groups: 16, dilation: 2, activation: silu}
  - conv: {name: fused, filters: 128, kernel: 3, padding: same, groups: 2, activation: relu}
  - conv: {name: wide, filters: 140, kernel: 3, padding: same, groups: 4, dilation: 2, activation: relu}
  - conv: {name: blocks, filters: 96, kernel: 3x5, padding: same, groups: 4, stride: 2, standardized: true, activation: hard_swish}
  - conv: {name: depthwise, filters: 96, kernel: 3, padding: same, groups: 96, activation: relu6}
  - conv: {name: uneven, filters: 60, kernel: 3, padding: same, groups: 3, dilation: 1x3, bias: true, activation: hard_sigmoid}
  - conv: {name: fours, filters: 60, kernel: 5x3, padding: same, groups: 15, activation: relu}
  - conv: {name: twos, filters: 60, kernel: 3x1, padding: same, groups: 30, stride: 1x2, activation: relu}
  - conv: {name: more, filters: 72, kernel: 1, activation: relu}
  - conv: {name: eights, filters: 72, kernel: 3, padding: same, groups: 9, activation: relu}
  - conv: {name: narrow, filters: 6, kernel: 1, groups: 2, activation: {leaky_relu: {slope: 0.1}}}
head: []";

#[test]
fn convolutions_in_groups() {
    for isa in Isa::available() {
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let mut text = format!("name: groups\ninput: 9x11x32\nbatch: 2\n{LAYERS}\n");
            if precision == Precision::Int8 {
                // Integers are worked out to the bit behind a ReLU only.
                for inexact in ["silu", "hard_swish", "relu6", "hard_sigmoid", "{leaky_relu: {slope: 0.1}}"] {
                    text = text.replace(inexact, "relu");
                }
            }
            let how = How { precision, isa, threads: 2 };
            check(&text, how).unwrap_or_else(|failure| panic!("{how:?}: {failure}"));
        }
    }
}
