//! Every network that ships computes what its origin does (torchvision, timm, Keras..), with weights that a formula makes, and has the
//! origin's tensors: names, sizes, roles. The references are made by `origins/make.py`, which says what they hold.
//!
//! Small networks run on every instruction set of this machine, the others on the best one; with `ORIGINS=all` all do on every one, which
//! takes minutes. `ORIGINS=timm/` is all whose names begin so.

mod common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use common::{drawn_input, isas, npy, path, say};
use resnet::runtime::weights::fill::fnv1a64;
use resnet::runtime::{Isa, Program, Weights};
use resnet_dsl::{Spec, shipped};
use resnet_plan::{Dims, Plan, Role};
use serde_json::Value;

/// The largest error, as a share of the largest number of the outputs.
const TOLERANCE: f32 = 1e-5;

/// Parameters of a network that runs on every instruction set.
const SMALL: usize = 2_000_000;

#[test]
fn networks_compute_what_their_origins_do() {
    let chosen = std::env::var("ORIGINS").unwrap_or_default();
    let prefix = if chosen == "all" { "" } else { &chosen };
    let isas = isas("networks and their origins");
    let mut faults = Vec::new();
    let origins = origins().into_iter().filter(|name| name.starts_with(prefix));
    for name in origins {
        let Some(text) = shipped::get(&name) else {
            faults.push(format!("{name}: there is no such spec"));
            continue;
        };
        let origin = Origin::read(&name);
        let everywhere = !chosen.is_empty() || origin.parameters <= SMALL;
        let isas = if everywhere { &isas[..] } else { &[Isa::best()] };
        faults.extend(origin.compare(text, isas).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// All that ship but the two that have no origin.
#[test]
fn every_network_has_an_origin() {
    let others = ["digits", "resnet50"];
    let ship: Vec<&str> = shipped::names().filter(|name| !others.contains(name)).collect();
    assert_eq!(ship, origins());
}

/// The names of all references.
fn origins() -> Vec<String> {
    let files = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let root = path("tests/origins");
    let references = files(&root).into_iter().filter(|path| path.is_dir()).flat_map(|folder| files(&folder));
    let json = references.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let name =
        |path: PathBuf| path.strip_prefix(&root).unwrap().with_extension("").to_str().unwrap().to_owned();
    let mut names: Vec<String> = json.map(name).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// A reference.
struct Origin {
    name: String,
    /// `[N, H, W, C]`
    input: Dims,
    channels_first: bool,
    outputs: Vec<Output>,
    parameters: usize,
    tensors: usize,
    hash: String,
}

/// What is kept of an output: every `step`-th number.
struct Output {
    dims: Dims,
    step: usize,
    numbers: Vec<f32>,
}

impl Origin {
    fn read(name: &str) -> Self {
        let file = |ending| path(&format!("tests/origins/{name}.{ending}"));
        let json: Value = serde_json::from_slice(&std::fs::read(file("json")).unwrap()).unwrap();
        let channels_first = json["layout"] == "NCHW";
        let mut input = dims(&json["input"]);
        if channels_first {
            input[1..].rotate_left(1);
        }
        let mut numbers = npy(&file("npy")).into_iter();
        let output = |output: &Value| {
            let (dims, step) = (dims(&output["shape"]), number(&output["step"]));
            let count = dims.iter().product::<usize>().div_ceil(step);
            Output { dims, step, numbers: numbers.by_ref().take(count).collect() }
        };
        let outputs = json["outputs"].as_array().unwrap().iter().map(output).collect();
        assert_eq!(numbers.next(), None, "{name}.npy");
        Origin {
            name: name.to_owned(),
            input,
            channels_first,
            outputs,
            parameters: number(&json["parameters"]),
            tensors: number(&json["tensors"]),
            hash: json["hash"].as_str().unwrap().to_owned(),
        }
    }

    /// What is otherwise in the network that ships.
    fn compare(&self, text: &str, isas: &[Isa]) -> Vec<String> {
        let spec = Spec { name: &self.name, text, overrides: &Default::default() };
        let plan = match spec.compile(&mut |_| Err("there are no files".to_owned())) {
            Ok(compiled) => compiled.plan,
            Err(errors) => return errors.messages(&self.name, text),
        };
        let dims_of_outputs: Vec<Dims> = plan.outputs.iter().map(|output| output.view.dims).collect();
        let mut faults: Vec<String> = [
            differ("input", self.input, plan.input),
            differ("outputs", self.outputs.iter().map(|output| output.dims).collect(), dims_of_outputs),
            differ("parameters", self.parameters, plan.description.parameters),
            self.other_tensors(&plan),
        ]
        .into_iter()
        .flatten()
        .collect();
        if faults.is_empty() {
            faults.extend(isas.iter().filter_map(|isa| self.compute(&plan, *isa).err()));
        }
        faults
    }

    fn other_tensors(&self, plan: &Plan) -> Option<String> {
        let line = |name, dims, role| format!("{name} {dims:?} {role}\n");
        let tensors = plan.description.tensors();
        let mut lines: Vec<String> =
            tensors.map(|tensor| line(tensor.name, tensor.dims, role(tensor.role))).collect();
        lines.sort();
        let text = lines.concat();
        if lines.len() == self.tensors && format!("{:016x}", fnv1a64(text.as_bytes())) == self.hash {
            return None;
        }
        let ours = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.name.replace('/', "-") + ".tensors");
        std::fs::write(&ours, text).unwrap();
        let (name, ours) = (&self.name, ours.display());
        Some(format!(
            "other tensors: compare with `diff <(python tests/origins/make.py --tensors {name}) {ours}`"
        ))
    }

    /// Runs it with one thread and with two.
    fn compute(&self, plan: &Plan, isa: Isa) -> Result<(), String> {
        let input = drawn_input(self.input, self.channels_first);
        let weights = Weights::formula_for(isa, &plan.description).map_err(|error| error.to_string())?;
        let largest =
            self.outputs.iter().flat_map(|output| &output.numbers).fold(0.0f32, |max, x| max.max(x.abs()));
        let mut errors = [0.0; 2];
        for (threads, error) in (1..).zip(&mut errors) {
            let threads = NonZeroUsize::new(threads).unwrap();
            let program = Program::new(plan.clone(), weights.clone(), threads);
            let mut program = program.map_err(|error| error.to_string())?;
            program.run(&input).map_err(|error| error.to_string())?;
            let each = self.outputs.iter().zip(program.outputs());
            let each = each.map(|(expected, (_, found))| expected.error(found));
            *error = each.fold(0.0, f32::max) / largest;
        }
        let told =
            format!("an error of {:.1e} with 1 thread, of {:.1e} with 2, on {isa}", errors[0], errors[1]);
        say(&format!("{}: {told}", self.name));
        if errors.iter().all(|error| *error <= TOLERANCE) { Ok(()) } else { Err(told) }
    }
}

impl Output {
    /// The largest difference, or infinity where a number is none.
    fn error(&self, found: &[f32]) -> f32 {
        let errors = self.numbers.iter().zip(found.iter().step_by(self.step)).map(|(a, b)| (a - b).abs());
        errors.fold(0.0, |max, error| if error.is_nan() { f32::INFINITY } else { max.max(error) })
    }
}

fn differ<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Option<String> {
    (expected != found).then(|| format!("{what}: the origin has {expected:?}, the spec {found:?}"))
}

/// Sizes of a file, `[N, C]` or four.
fn dims(sizes: &Value) -> Dims {
    let sizes: Vec<usize> = sizes.as_array().unwrap().iter().map(number).collect();
    match sizes[..] {
        [images, channels] => [images, 1, 1, channels],
        _ => sizes.try_into().unwrap(),
    }
}

fn number(json: &Value) -> usize {
    json.as_u64().unwrap() as usize
}

/// A role's own word.
fn role(role: Role) -> String {
    let text = format!("{role:?}").to_lowercase();
    text.split(' ').next().unwrap().to_owned()
}
