//! Mistakes between the braces of the macro.
resnet::resnet! { struct A; file "digits" }
resnet::resnet! { struct B; model "digits", clases: 3 }
resnet::resnet! { struct C; model "digits", input: 28x28 }
resnet::resnet! { struct D; model "digits", batch: 2, batch: 3 }
resnet::resnet! { struct E; model "digits", batch: 0 }
resnet::resnet! { struct F; model "digits", winograd: maybe }
resnet::resnet! { G; model "digits" }
resnet::resnet50! { model digits }
resnet::resnet! { struct H; model "digits", input: 28x28x10000000000000 }
resnet::resnet! { struct I; model "digits", input: 28x28x18446744073709551616 }
resnet::resnet! { struct J; model "digits", classes: 18446744073709551615 }
resnet::resnet! { struct K; model "digits", precision: int8 { calibration: "wide.yaml" } }

fn main() {}
