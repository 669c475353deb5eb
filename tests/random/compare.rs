//! Executes a network and compares its values: f32 and bf16 with the evaluator, int8 to the bit with plain loops.
//!
//! ```text
//! exact = every value of the graph before all passes, in f64
//! int8:   a calibration table of their largest elements; every value of the optimized graph, in integers
//! run on NaN, so that whatever is read but not written shows; run on the input
//! compare what each step has written, and the output
//! ```
//! An error in f32 and bf16 is a share of the largest element of the value and of all that it is computed from: where a sum
//! cancels, or a ReLU cuts it off, the rounding of its terms stays.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use resnet::runtime::network::Observation;
use resnet::runtime::weights::fill::uniform;
use resnet::runtime::{Isa, Precision, Program, Weights};
use resnet_dsl::calibration::{Calibration, SCALES};
use resnet_dsl::diag::Diagnostics;
use resnet_dsl::evaluate::{Array, evaluate, statistics};
use resnet_dsl::ir::{Graph, Op};
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Compiled, Spec, pass};
use resnet_plan::{Action, Plan, Step};

use crate::formula::formula;
use crate::integer;

/// The largest errors.
const F32: f64 = 1e-5;
const BF16: f64 = 2e-2;

/// How a network is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) precision: Precision,
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
}

/// What is wrong with a network.
pub(crate) enum Failure {
    Compile(String),
    Run(String),
    Panic(String),
    /// The first value that parts, and by how much.
    Value(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Compile(errors) => write!(f, "it does not compile\n{errors}"),
            Failure::Run(error) => write!(f, "it does not run: {error}"),
            Failure::Panic(message) => write!(f, "it panics: {message}"),
            Failure::Value(difference) => f.write_str(difference),
        }
    }
}

/// What a value is to be.
struct Expected {
    array: Array,
    /// How far elements may be from it; 0: they have the same bits.
    tolerance: f64,
}

/// Compiles and runs a network; gives its plan.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(text: &str, how: How) -> Result<Plan, Failure> {
    let result = catch_unwind(AssertUnwindSafe(|| compare(text, how)));
    result.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or(panic.downcast_ref::<&str>().copied());
        Err(Failure::Panic(message.unwrap_or_default().to_owned()))
    })
}

fn compare(text: &str, how: How) -> Result<Plan, Failure> {
    let refused = |errors: Diagnostics| Failure::Compile(errors.render("random", text));
    let fails = |error: resnet::Error| Failure::Run(error.to_string());
    let mut overrides = Overrides::default();
    let spec = Spec { name: "random", text, overrides: &overrides };
    let mut graph = spec.parse(&mut no_files).map_err(refused)?.graph;
    pass::infer_shapes(&mut graph).map_err(refused)?;
    let input: Vec<f32> = uniform("input")
        .take(dims(&graph, "input").iter().product())
        .map(|u| (2.0 * u - 1.0) * 2.0)
        .collect();
    let exact = evaluate(&graph, &mut formula, &input.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
    let exact = exact.map_err(|error| Failure::Run(error.to_string()))?;

    if how.precision == Precision::Int8 {
        overrides.calibration = Some(table(&spec, &exact).map_err(refused)?);
    }
    overrides.precision = Some(how.precision);
    let spec = Spec { name: "random", text, overrides: &overrides };
    let Compiled { graph: optimized, plan } = spec.compile(&mut no_files).map_err(refused)?;
    let weights = Weights::formula_for(how.isa, plan.description()).map_err(fails)?;
    let threads = NonZeroUsize::new(how.threads).expect("a thread");
    let mut program = Program::new(plan.clone(), weights, threads).map_err(fails)?;

    let shapes: HashMap<&str, [usize; 4]> = optimized
        .topological()
        .into_iter()
        .filter_map(|value| Some((&*optimized.node(value).name, optimized.node(value).ty?.dims)))
        .collect();
    program.run(&vec![f32::NAN; input.len()]).map_err(fails)?;
    let found = observe(&mut program, &input, &shapes)?;
    let found = || {
        let steps = plan.steps.iter().zip(&found).filter(|(step, _)| writes_a_value(step));
        steps.map(|(Step { name, .. }, found)| (&**name, &**found))
    };
    let expected = match how.precision {
        Precision::F32 => shares(&graph, exact, F32),
        Precision::Bf16 => shares(&graph, exact, BF16),
        Precision::Int8 => steps(&optimized, &input, &found().collect()),
    };
    for (name, found) in found() {
        near(name, &expected[name], found)?;
    }
    let graph = if how.precision == Precision::Int8 { &optimized } else { &graph };
    program.run(&input).map_err(fails)?;
    for (output, (_, found)) in graph.outputs().iter().zip(program.outputs()) {
        let name = &graph.node(output.value).name;
        near(name, &expected[name], found)?;
    }
    Ok(plan)
}

fn no_files(_: &str) -> Result<String, String> {
    Err("no files".to_owned())
}

fn dims(graph: &Graph, name: &str) -> [usize; 4] {
    let mut values = graph.topological().into_iter().map(|value| graph.node(value));
    values.find(|node| node.name == name).and_then(|node| node.ty).expect("a typed value").dims
}

/// A calibration table: of each value, the largest element is the last integer.
fn table(spec: &Spec<'_>, values: &HashMap<String, Array>) -> Result<Calibration, Diagnostics> {
    let Compiled { graph, plan } = spec.compile(&mut no_files)?;
    let unsigned = pass::never_negative(&graph);
    let scale = |value| {
        let steps = if unsigned.contains(&value) { 255.0 } else { 127.0 };
        let name = &graph.node(value).name;
        let largest = largest(&values[name]);
        (name.clone(), if largest > 0.0 { ((largest / steps) as f32).max(SCALES[0]) } else { 1.0 })
    };
    Ok(Calibration {
        network: "random".to_owned(),
        spec: spec.fingerprint(&mut no_files)?,
        weights: Weights::formula_fingerprint(plan.description()),
        method: "minmax".to_owned(),
        images: 1,
        scales: graph.topological().into_iter().map(scale).collect(),
    })
}

/// Values that are met but for a share of the largest element among them and their operands, those operands' operands, and so on.
fn shares(graph: &Graph, mut values: HashMap<String, Array>, share: f64) -> HashMap<String, Expected> {
    let mut scales: HashMap<&str, f64> = HashMap::new();
    for value in graph.topological() {
        let name = &graph.node(value).name;
        let operands: Vec<&str> =
            graph.operands(value).into_iter().map(|operand| &*graph.node(operand).name).collect();
        let of_operands = operands.iter().map(|name| scales[name]).fold(0.0, f64::max);
        let scale = of_operands * gain(&graph.node(value).op, &operands, &values);
        scales.insert(name, scale.max(largest(&values[name])));
    }
    let expected = |(name, scale): (&str, f64)| {
        let array = values.remove(name).expect("each name once");
        (name.to_owned(), Expected { array, tolerance: share * scale })
    };
    scales.into_iter().map(expected).collect()
}

/// What an operator may make of an error of its operands, as far as its result does not grow along.
fn gain(op: &Op, operands: &[&str], values: &HashMap<String, Array>) -> f64 {
    let least = |of: fn(&Array) -> f64| (of(&values[operands[0]])).recip().max(1.0);
    match op {
        // Standardized weights are about 1, whatever the number of terms, and their sum is 0: what is equal in the terms cancels.
        Op::Conv2d(conv) if conv.standardized.is_some() => {
            let terms = conv.kernel[0] * conv.kernel[1] * values[operands[0]].dims[3] / conv.groups;
            (terms as f64).sqrt()
        }
        Op::Multiply { .. } => operands.iter().map(|name| largest(&values[*name])).fold(1.0, f64::max),
        Op::GroupNorm(norm) => {
            let moments = statistics::moments(&values[operands[0]], norm);
            moments.iter().map(|[_, deviation]| deviation.recip()).fold(1.0, f64::max)
        }
        Op::L2Normalize { .. } => least(|x| {
            let norms = x.data.chunks(x.dims[3]).map(|pixel| pixel.iter().map(|x| x * x).sum::<f64>().sqrt());
            norms.fold(f64::INFINITY, f64::min).max(1e-12)
        }),
        _ => 1.0,
    }
}

/// Values that are met to the bit, or but for a step of rounding, by what kernels have found of their operands.
fn steps(graph: &Graph, input: &[f32], found: &HashMap<&str, &[f32]>) -> HashMap<String, Expected> {
    let values = integer::evaluate(graph, &mut formula, input, found).into_iter();
    values.map(|(name, value)| (name, Expected { array: value.array, tolerance: value.tolerance })).collect()
}

fn largest(array: &Array) -> f64 {
    array.data.iter().fold(0.0, |largest, element| element.abs().max(largest))
}

/// A copy writes another value, a cleared halo none.
fn writes_a_value(step: &Step) -> bool {
    !matches!(step.action, Action::Clear | Action::Copy)
}

/// What each step that writes a value has written, of all images.
fn observe(
    program: &mut Program,
    input: &[f32],
    shapes: &HashMap<&str, [usize; 4]>,
) -> Result<Vec<Vec<f32>>, Failure> {
    let plan = program.plan().clone();
    let sections = plan.sections.iter();
    let mut order = sections.flat_map(|section| (0..section.passes).flat_map(move |_| section.steps.clone()));
    let mut found = vec![Vec::new(); plan.steps.len()];
    let mut wrongly_filled = None;
    let keeps_zeros = plan.steps.iter().all(|step| step.action.activation().apply(0.0, 0.25) == 0.0);
    let mut observe = |Observation { dims: [images, height, width, stored], elements }: Observation<'_>| {
        let index = order.next().expect("a step of the plan");
        let step = &plan.steps[index];
        if !writes_a_value(step) {
            return;
        }
        let channels = shapes[&*step.name][3];
        let ([top, left], [rows, columns]) = (step.write.at, step.write.size);
        for pixel in 0..images * rows * columns {
            let (n, row, column) = (pixel / columns / rows, pixel / columns % rows, pixel % columns);
            let first = ((n * height + top + row) * width + left + column) * stored;
            found[index].extend((first..first + channels).map(|place| elements.get(place)));
            // Zeros, or, behind an activation that makes something else of 0, any number: weights for what fills up words are zeros.
            let is_filled = |x: f32| if keeps_zeros { x == 0.0 } else { x.is_finite() };
            if !(first + channels..first + stored).all(|place| is_filled(elements.get(place))) {
                wrongly_filled = Some(step.name.clone());
            }
        }
    };
    program.run_observed(input, &mut observe).map_err(|error| Failure::Run(error.to_string()))?;
    match wrongly_filled {
        Some(name) => Err(Failure::Value(format!("%{name} is filled up with what does not belong there"))),
        None => Ok(found),
    }
}

fn near(name: &str, expected: &Expected, found: &[f32]) -> Result<(), Failure> {
    let Expected { array, tolerance } = expected;
    if array.data.len() != found.len() {
        let message = format!("%{name} has {} elements, expected {:?}", found.len(), array.dims);
        return Err(Failure::Value(message));
    }
    for (place, (expected, found)) in array.data.iter().zip(found).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        let same = found.to_bits() == (*expected as f32).to_bits();
        if !(same || *tolerance > 0.0 && error <= *tolerance) {
            let message = format!(
                "%{name} is {found} at {place} of {:?}, expected {expected}, within {tolerance:.1e}",
                array.dims
            );
            return Err(Failure::Value(message));
        }
    }
    Ok(())
}
