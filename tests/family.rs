//! A network of all operators, executed, against the evaluator.

mod common;
#[path = "../resnet-dsl/tests/formula/mod.rs"]
mod formula;
#[path = "common/plans.rs"]
mod plans;

use std::num::NonZeroUsize;

use common::isas;
use formula::formula;
use plans::{FAMILY, family, plan};
use resnet::Runs;
use resnet::runtime::weights::fill::uniform;
use resnet::runtime::{Precision, Program, Shape, Weights};
use resnet_dsl::evaluate::evaluate;
use resnet_dsl::ir::read::read;
use resnet_dsl::pass;

resnet::resnet! { struct Compiled; include "tests/data/family.yaml" }

/// Compiled code gives the bits of the executed plan, in a tensor for each output.
#[test]
fn compiled_outputs() {
    let plan = plan(include_str!("data/family.yaml"), Precision::F32);
    let input: Vec<f32> = uniform("input").take(<Compiled as Runs>::Input::LEN).collect();
    for isa in isas("compiled outputs") {
        let weights = Weights::formula_for(isa, plan.description()).unwrap();
        let mut program = Program::new(plan.clone(), weights.clone(), NonZeroUsize::MIN).unwrap();
        program.run(&input).unwrap();
        let executed: Vec<&[f32]> = program.outputs().map(|(_, output)| output).collect();
        let mut session = Compiled::from_weights(weights).session();
        let CompiledOutputs { low, rows, unit } = session.run(Shape::from_slice(&input).unwrap()).unwrap();
        assert_eq!([low.as_slice(), rows.as_slice(), unit.as_slice()], executed[..], "{isa}");
        let unit = unit.as_slice();
        assert!(unit.iter().all(|x| x.is_finite()) && unit.iter().any(|x| *x != 0.0));
    }
}

#[test]
fn all_operators() {
    let mut graph = read(FAMILY).unwrap();
    pass::infer_shapes(&mut graph).unwrap();
    let input: Vec<f32> = uniform("input").take(2 * 9 * 11 * 6).map(|u| 4.0 * u - 2.0).collect();
    let of_f64: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
    let exact = evaluate(&graph, &mut formula, &of_f64).unwrap();
    let plan = family();
    for isa in isas("all operators") {
        for threads in [1, 3] {
            let weights = Weights::formula_for(isa, plan.description()).unwrap();
            let mut program =
                Program::new(plan.clone(), weights, NonZeroUsize::new(threads).unwrap()).unwrap();
            program.run(&vec![f32::NAN; input.len()]).unwrap();
            program.run(&input).unwrap();
            let names: Vec<&str> = program.outputs().map(|(name, _)| name).collect();
            assert_eq!(names, ["stats", "middle", "gem", "unit"]);
            for ((name, found), value) in program.outputs().zip(["stats", "n", "gem", "unit"]) {
                let expected = &exact[value].data;
                let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (f64::from(*found) - expected).abs() <= 2e-5 * largest,
                        "{isa}: {name}: {found} and not {expected}"
                    );
                }
            }
        }
    }
}
