//! How far a value may be from its evaluation in float64: four times as far as is expected, and more where chance has a part.
//!
//! What is expected is found out by evaluating the graph once more, in float64, with the errors that the network's elements and
//! algorithms make:
//!
//! ```text
//! for each kernel:  round its elements as the layer does; change each by a random part, as large as what the layer's sums lose
//! for each value of the plan:  round its elements as the plan does
//! expected error of a value = how far it is from the evaluation without these errors
//! ```
//! So errors go where the network takes them: sums that cancel, norms that take away a mean, and long networks have more of them.
//!
//! A sum of n products in f32 is a random walk: the k-th addition rounds a partial sum of k products, by 0.41 of 2^-24 in the root
//! mean square (Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis, 2019, bound such sums). Together that is as if each product were wrong by a
//! random part of 0.29 sqrt(n) 2^-24. Algorithms that transform lose more: [`loss`] is the table.

use std::collections::HashMap;

use resnet::runtime::weights::fill;
use resnet::runtime::{Plan, Precision};
use resnet_dsl::evaluate::{Array, EvaluateError, evaluate_rounded};
use resnet_dsl::ir::Graph;
use resnet_plan::{Action, Algorithm, Algorithms, Element, Role, Step, WeightTensor};

use super::distance::Distance;
use crate::weights::Tensors;

/// How far a value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// The most that [`Distance::relative_error`] may be.
    pub(crate) relative_error: f64,
    /// The least that [`Distance::decibels`] may be.
    pub(crate) decibels: f64,
}

/// What an error may be of the expected one, at least: see [`margin`].
const MARGIN: f64 = 4.0;
/// What is expected at least: a rounding of f32.
const LEAST: f64 = 1.0 / (1 << 24) as f64;
/// And at most: nothing is left of the value. (What overflows is no error that was to be expected.)
const MOST: f64 = 1.0;

/// What an algorithm's sums of n products lose in f32, in parts of 2^-24 of each product.
fn loss(algorithm: Algorithm, products: f64) -> f64 {
    match algorithm {
        // Of 2x2, each point's sum is over channels alone, and factors are 1 and 1/2.
        Algorithm::Direct | Algorithm::Winograd { output: 2, .. } => 0.3 * products.sqrt(),
        // Points up to 2 or 1/2, whose powers are far apart; and the transforms round too.
        Algorithm::Winograd { .. } | Algorithm::WinogradRows { .. } => 0.6 * products.sqrt() + 3.0,
        // What one product loses is left over in sums of several.
        Algorithm::Strassen { .. } => 0.6 * products.sqrt(),
    }
}

/// What an error may be of the expected one, of a value that so many elements carry: twice what one of a thousand is beyond by chance,
/// if the errors of both are random. Of softmax it may be one element, of ten classes it is a few.
fn margin(carried_by: f64) -> f64 {
    (2.0 + 40.0 / carried_by.max(1.0)).max(MARGIN)
}

impl Bound {
    pub(crate) fn holds(&self, distance: &Distance) -> bool {
        distance.relative_error() <= self.relative_error && distance.decibels() >= self.decibels
    }

    /// Of the difference of two that may each be as far.
    pub(crate) fn twice(self) -> Self {
        Bound { relative_error: 2.0 * self.relative_error, decibels: self.decibels - 20.0 * 2f64.log10() }
    }
}

/// All values of a graph for an input, as they are expected with the errors of a plan.
pub(crate) fn disturbed(
    graph: &Graph,
    plan: &Plan,
    tensors: &mut Tensors,
    input: &[f64],
) -> Result<HashMap<String, Array>, EvaluateError> {
    let kernels = kernels(plan);
    let mut load = |tensor: &WeightTensor<'_>| {
        let mut elements = tensors(tensor)?;
        if let (Role::Kernel { fan_in, .. }, Some(kernel)) = (tensor.role, kernels.get(tensor.name)) {
            kernel.disturb(&mut elements, tensor.name, fan_in);
        }
        Ok(elements)
    };
    let elements: HashMap<&str, Element> =
        computed(plan).map(|step| (step.name.as_str(), step.write.element)).collect();
    let mut round = |name: &str, value: &mut [f64]| {
        if let Some(element) = elements.get(name) {
            value.iter_mut().for_each(|number| *number = rounded(*number, *element));
        }
    };
    evaluate_rounded(graph, &mut load, input, &mut round)
}

/// The steps of a plan that compute a value.
pub(crate) fn computed(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.steps.iter().filter(|step| !matches!(step.action, Action::Clear | Action::Copy))
}

/// The bounds of values, by how far they are expected to be.
pub(crate) fn bounds(expected: &HashMap<String, Distance>) -> HashMap<String, Bound> {
    let bound = |distance: &Distance| {
        let margin = margin(distance.carried_by());
        let [relative_error, noise] = [distance.relative_error(), distance.noise()]
            .map(|expected| margin * expected.clamp(LEAST, MOST));
        Bound { relative_error, decibels: -20.0 * noise.log10() }
    };
    expected.iter().map(|(name, distance)| (name.clone(), bound(distance))).collect()
}

/// What becomes of a kernel's elements.
struct Disturbed {
    precision: Precision,
    algorithms: Algorithms,
}

/// Those of a plan's layers, by tensor.
fn kernels(plan: &Plan) -> HashMap<String, Disturbed> {
    let kernel = |action: Action| {
        let Action::Conv { layer, conv } = action else { return None };
        let layer = &plan.description.layers[layer];
        let precision = layer.elements[0].precision();
        Some((layer.kernel.name.to_string(), Disturbed { precision, algorithms: conv.algorithms }))
    };
    plan.steps.iter().filter_map(|step| kernel(step.action)).collect()
}

impl Disturbed {
    fn disturb(&self, kernel: &mut [f64], name: &str, products: usize) {
        let step = kernel.iter().fold(0.0, |largest: f64, element| element.abs().max(largest)) / 127.0;
        // The most that an algorithm of the layer loses; uniform, so that the root mean square is as large.
        let losses = self.algorithms.each().map(|algorithm| loss(algorithm, products as f64));
        let loss = losses.into_iter().fold(0.0, f64::max) * LEAST * 12f64.sqrt();
        let centered = fill::uniform(name).map(|random| f64::from(random) - 0.5);
        for (element, random) in kernel.iter_mut().zip(centered) {
            match self.precision {
                Precision::F32 => *element *= 1.0 + loss * random,
                Precision::Bf16 => *element = rounded(*element * (1.0 + loss * random), Element::Bf16),
                // Sums are exact.
                Precision::Int8 => *element += step * random,
            }
        }
    }
}

/// A number as an element holds it.
fn rounded(number: f64, element: Element) -> f64 {
    let quantized = |least: f64, most: f64| {
        let scale = f64::from(element.scale());
        (number / scale).round_ties_even().clamp(least, most) * scale
    };
    match element {
        Element::F32 => f64::from(number as f32),
        Element::Bf16 => {
            let bits = (number as f32).to_bits();
            let even = (bits >> 16) & 1;
            match number.is_nan() {
                true => number,
                false => f64::from(f32::from_bits((bits + 0x7FFF + even) & 0xFFFF_0000)),
            }
        }
        Element::U8(_) => quantized(0.0, 255.0),
        Element::I8(_) => quantized(-128.0, 127.0),
    }
}

#[cfg(test)]
mod tests {
    use resnet::runtime::weights::fill::Filler;
    use resnet_dsl::Spec;
    use resnet_dsl::evaluate::evaluate;
    use resnet_dsl::spec::Overrides;

    use super::*;

    /// What is expected is within the bounds, and one element that is wrong is not.
    #[test]
    fn a_wrong_pixel_is_beyond() {
        let text = "name: one\ninput: 8x8x16\nstem: [conv: {filters: 16, kernel: 3, padding: 1}]\nhead: [average_pool: global]";
        let input: Vec<f64> = fill::uniform("input").take(8 * 8 * 16).map(|u| f64::from(u) - 0.5).collect();
        for precision in [Precision::F32, Precision::Bf16] {
            let overrides = Overrides { precision: Some(precision), ..Default::default() };
            let spec = Spec { name: "one", text, overrides: &overrides };
            let graph = spec.parse(&mut |_| Err(String::new())).unwrap().graph;
            let plan = spec.compile(&mut |_| Err(String::new())).unwrap().plan;
            let mut tensors = |tensor: &WeightTensor<'_>| {
                Ok(Filler::Formula.fill(tensor).into_iter().map(f64::from).collect::<Vec<f64>>())
            };
            let exact = evaluate(&graph, &mut tensors, &input).unwrap();
            let disturbed = disturbed(&graph, &plan, &mut tensors, &input).unwrap();
            let distance = |name: &str, found: &[f64]| {
                let mut distance = Distance::default();
                distance.add_all(&exact[name].data, found);
                distance
            };
            let expected =
                disturbed.iter().map(|(name, array)| (name.clone(), distance(name, &array.data))).collect();
            let bound = bounds(&expected)["relu1"];
            let mut found = disturbed["relu1"].data.clone();
            assert!(bound.holds(&distance("relu1", &found)));
            let wrong = found.iter().position(|element| *element > 0.0).unwrap();
            found[wrong] += 0.05 * expected["relu1"].largest;
            assert!(!bound.holds(&distance("relu1", &found)), "{precision}: {bound:?}");
        }
    }

    #[test]
    fn elements_round_to_the_nearest() {
        assert_eq!(rounded(1.0 + 2f64.powi(-8), Element::Bf16), 1.0);
        assert_eq!(rounded(1.0 + 3.0 * 2f64.powi(-8), Element::Bf16), 1.0 + 2f64.powi(-6));
        assert_eq!(rounded(-1.0 - 2f64.powi(-30), Element::F32), -1.0);
        assert_eq!(rounded(f64::INFINITY, Element::Bf16), f64::INFINITY);
        assert!(rounded(f64::NAN, Element::Bf16).is_nan());
        let [u8, i8] = [Element::U8(0.5), Element::I8(0.5)];
        assert_eq!([rounded(1.3, u8), rounded(-7.0, u8), rounded(200.0, u8)], [1.5, 0.0, 127.5]);
        assert_eq!([rounded(-1.3, i8), rounded(-70.0, i8), rounded(70.0, i8)], [-1.5, -64.0, 63.5]);
    }
}
