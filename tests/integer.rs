//! int8: every value of a network has the bits that plain loops give, on every instruction set.

mod common;
#[path = "../resnet-dsl/tests/formula/mod.rs"]
mod formula;
#[path = "../resnet-dsl/tests/integer/mod.rs"]
mod integer;

use std::collections::HashMap;

use common::{isas, path, reference_input, session};
use formula::formula;
use resnet::runtime::{Description, Isa, Precision, Shape, Weights};
use resnet::{Network, Session};
use resnet_dsl::evaluate::Load;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Compiled, Spec, shipped};
use resnet_plan::{Action, WeightTensor};
use safetensors::SafeTensors;

resnet::resnet! { struct Digits; model "digits", precision: int8 }
resnet::resnet! { struct ResNet20; model "cifar/resnet20", precision: int8 }

fn compile(model: &str) -> Compiled {
    let overrides = Overrides { precision: Some(Precision::Int8), ..Overrides::default() };
    let spec = Spec { name: model, text: shipped::get(model).unwrap(), overrides: &overrides };
    spec.compile(&mut |_| Err("no files".to_owned())).unwrap()
}

/// Compares what each step writes, on all instruction sets.
fn check<N: Network>(model: &str, load: Load<'_>, weights: impl Fn(Isa) -> Weights) {
    let Compiled { graph, plan, .. } = compile(model);
    let input = reference_input::<N>(true);
    let expected = integer::evaluate(&graph, load, &input, &HashMap::new());
    for isa in isas(&format!("{model} in int8")) {
        let mut session: Session<N> = session(weights(isa), 2);
        let mut steps = plan.steps.iter();
        let mut compared = 0;
        let mut observe = |observation: resnet::runtime::network::Observation<'_>| {
            let step = steps.next().unwrap();
            // A copy is another value's, a cleared halo none's.
            if matches!(step.action, Action::Clear | Action::Copy) {
                return;
            }
            let [_, height, width, stored] = step.write.dims;
            assert_eq!(expected[&step.name].tolerance, 0.0, "%{}", step.name);
            let array = &expected[&step.name].array;
            let [_, rows, columns, channels] = array.dims;
            for (index, expected) in array.data.iter().enumerate() {
                let (pixel, channel) = (index / channels, index % channels);
                let (n, row, column) = (pixel / columns / rows, pixel / columns % rows, pixel % columns);
                let (row, column) = (step.write.at[0] + row, step.write.at[1] + column);
                let found =
                    observation.elements.get(((n * height + row) * width + column) * stored + channel);
                let place = [n, row, column, channel];
                assert_eq!(
                    found.to_bits(),
                    (*expected as f32).to_bits(),
                    "{isa}: %{} at {place:?}",
                    step.name
                );
            }
            compared += 1;
        };
        session.run_observed(N::Input::from_slice(&input).unwrap(), &mut observe).unwrap();
        assert!(steps.next().is_none() && compared > plan.description.layers.len());
    }
}

#[test]
fn digits() {
    let file = path("models/digits.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut load = |tensor: &WeightTensor<'_>| {
        let data = tensors.tensor(tensor.name).map_err(|error| error.to_string())?.data();
        let (numbers, _) = data.as_chunks();
        Ok(numbers.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect())
    };
    check::<Digits>("digits", &mut load, |isa| Weights::load_for(isa, &Digits::DESCRIPTION, &file).unwrap());
}

/// With shortcuts that are subsampled, and weights that the scales were not made for: many values are cut off.
#[test]
fn resnet20() {
    let description = Description { calibrated: None, ..ResNet20::DESCRIPTION };
    check::<ResNet20>("cifar/resnet20", &mut formula, |isa| Weights::formula_for(isa, &description).unwrap());
}
