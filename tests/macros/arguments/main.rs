//! Mistakes between the braces of the macro.
resnet::resnet! { struct A; file "digits" }
resnet::resnet! { struct B; model "digits", clases: 3 }
resnet::resnet! { struct C; model "digits", input: 28x28 }
resnet::resnet! { struct D; model "digits", batch: 2, batch: 3 }
resnet::resnet! { struct E; model "digits", batch: 0 }
resnet::resnet! { struct F; model "digits", winograd: maybe }
resnet::resnet! { G; model "digits" }
resnet::resnet50! { model digits }

fn main() {}
