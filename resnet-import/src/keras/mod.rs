//! Models and weights of Keras 2 and 3 and of tf.keras: `.h5`, `.keras`, `.weights.h5`. Python code in them is never run.

mod activations;
mod builder;
mod config;
mod convs;
mod layers;
mod network;
mod norms;
mod snake;
mod weights;

use serde_json::Value;

use resnet_dsl::ir::{Op, Output};

use crate::archive::Archive;
use crate::budget::Budget;
use crate::checkpoint::{Bytes, Checkpoint, Tensor};
use crate::error::Error;
use crate::hdf5::{File, Group};
use crate::model::{INPUT, Model, assumed};
use crate::names::{Names, legal};
use crate::passes;
use crate::read::Contents;
use builder::Flow;
use config::{Layer, Network, short, size};
use network::Walk;
use weights::{Stored, Weights, canonical};

/// Whether an archive's names are those of a model of Keras 3.
pub(crate) fn is_model(archive: &Archive<'_>) -> bool {
    archive.names().any(|name| [CONFIG, METADATA, WEIGHTS].contains(&name))
}

/// The entries of such an archive.
const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";
const WEIGHTS: &str = "model.weights.h5";

/// What an HDF5 file holds: a model, or weights only.
///
/// # Errors
/// If the file is damaged or holds no weights of Keras, or a layer has no counterpart: which, and what to do.
pub(crate) fn read(file: &Bytes, budget: Budget) -> Result<Contents, Error> {
    let file = File::open(file, budget)?;
    let root = file.root()?;
    match root.text("model_config")? {
        Some(config) => model(config, &version(&root)?, file).map(Contents::Network),
        None => Ok(Contents::Tensors(checkpoint(&weights_of(&file)?))),
    }
}

/// The model that an archive holds.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_archive(archive: &Archive<'_>, mut budget: Budget) -> Result<Contents, Error> {
    let mut entry = |name: &str| {
        let missing = || {
            Error::Malformed(format!(
                "the zip archive has no `{name}`: a model of Keras 3 has it; save it by `model.save(\"model.keras\")`"
            ))
        };
        archive.entry(name, &mut budget)?.ok_or_else(missing)
    };
    let text = |name: &str, bytes: &Bytes| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Error::Malformed(format!("`{name}` of the zip archive is no text"))),
    };
    let weights = entry(WEIGHTS)?;
    let config = text(CONFIG, &entry(CONFIG)?)?;
    let metadata = text(METADATA, &entry(METADATA)?)?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Error::Malformed(format!("`{METADATA}` of the zip archive is no JSON: {error}")))?;
    let version = metadata.get("keras_version").and_then(Value::as_str).unwrap_or("3");
    model(config, version, File::open(&weights, budget)?).map(Contents::Network)
}

/// The model of this configuration.
fn model(text: String, version: &str, file: File) -> Result<Model, Error> {
    file.take(memory(&text), || "the model's configuration".to_owned())?;
    let config: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Malformed(format!("the model's configuration is no JSON: {error}")))?;
    drop(text);
    let weights = weights_of(&file)?;
    build(&config, &weights, version, file.into_budget())
}

fn weights_of(file: &File) -> Result<Weights, Error> {
    Weights::read(&file.root()?)?.ok_or_else(|| {
        Error::Unsupported(
            "the HDF5 file holds no weights of Keras: it has neither `layer_names` nor `layers`".to_owned(),
        )
    })
}

/// Weights without a model, called by their layers: `conv1/kernel`.
fn checkpoint(weights: &Weights) -> Checkpoint {
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut taken = Names::default();
    for layer in &weights.layers {
        let roles = if weights.numbered { roles(&layer.key, layer.tensors.len()) } else { &[] };
        for (index, (weight, tensor)) in layer.tensors.iter().enumerate() {
            let role = roles.get(index).copied().unwrap_or_else(|| canonical(weight));
            let owner = owner(layer, weight);
            // In a model within the model, the name of the layer alone is enough, if no other has it.
            let inner =
                owner.strip_prefix(&layer.name).and_then(|rest| rest.strip_prefix('/')).unwrap_or(owner);
            let [inner, whole] = [inner, owner].map(|owner| legal(&format!("{owner}/{role}")));
            let name = if taken.contains(&inner) { whole } else { inner };
            let dims = plain(role, &tensor.dims);
            tensors.push(Tensor { name: taken.give(&name), dims, ..tensor.clone() });
        }
    }
    Checkpoint { format: "Keras weights", tensors, notes: Vec::new() }
}

/// Slopes that rows and columns share are as many as channels.
fn plain(role: &str, dims: &[usize]) -> Vec<usize> {
    match dims {
        [1, 1, channels] if role == "alpha" => vec![*channels],
        dims => dims.to_vec(),
    }
}

/// The layer that a weight is of: in a model within the model, its name says it.
fn owner<'a>(layer: &'a Stored, weight: &'a str) -> &'a str {
    match weight.rsplit_once('/') {
        Some((owner, _)) if !owner.is_empty() => owner,
        _ => &layer.name,
    }
}

/// What the numbered weights of a class are.
fn roles(key: &str, count: usize) -> &'static [&'static str] {
    let class = weights::class(key).0;
    let class = class.rsplit_once('/').map_or(class, |(_, last)| last);
    match (class, count) {
        ("batch_normalization", 4) => &["gamma", "beta", "moving_mean", "moving_variance"],
        ("batch_normalization", 3) => &["beta", "moving_mean", "moving_variance"],
        ("batch_normalization", 2) => &["moving_mean", "moving_variance"],
        ("group_normalization" | "layer_normalization", 2) => &["gamma", "beta"],
        ("conv2d" | "dense" | "depthwise_conv2d", _) => &["kernel", "bias"],
        ("separable_conv2d", _) => &["depthwise_kernel", "pointwise_kernel", "bias"],
        ("p_re_lu", 1) => &["alpha"],
        ("normalization", 3) => &["mean", "variance", "count"],
        _ => &[],
    }
}

fn version(root: &Group<'_>) -> Result<String, Error> {
    if let Some(version) = root.text("keras_version")? {
        return Ok(version);
    }
    let weights = root.group("model_weights")?.map(|group| group.text("keras_version")).transpose()?;
    Ok(weights.flatten().unwrap_or_else(|| "3".to_owned()))
}

/// About how many bytes a JSON text takes when it is read.
fn memory(text: &str) -> usize {
    let count = |c: u8| text.bytes().filter(|byte| *byte == c).count();
    text.len() + 400 * count(b'{') + 128 * count(b':') + 72 * (count(b',') + count(b'['))
}

fn build(config: &Value, weights: &Weights, version: &str, budget: Budget) -> Result<Model, Error> {
    let network = Network::read(config)?;
    let config = config.get("config").unwrap_or(&Value::Null);
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(3);
    let mut walk = Walk::new(&legal(network.name), weights, major, budget);
    let (input, any_size) = input(&mut walk, &network, config)?;
    let outputs = walk.whole(&network, input)?;
    let mut graph = walk.builder.graph;
    graph.set_outputs(outputs.iter().map(|output| Output { name: None, value: output.value }).collect());
    passes::check(&graph)?;
    let [_, height, width, channels] = input.dims;
    let notes = if any_size { vec![assumed([height, width, channels])] } else { Vec::new() };
    let format = format!("Keras model (saved by Keras {})", short(version));
    Ok(Model { format, operators: network.layers.len(), graph, tensors: walk.builder.tensors, notes })
}

/// The input, whose size the first layer says, and whether that leaves the size open.
fn input(walk: &mut Walk<'_>, network: &Network<'_>, config: &Value) -> Result<(Flow, bool), Error> {
    let unknown = || {
        Error::Unsupported(format!(
            "the size of the input of `{}` is not said: build the model with an `Input` before it is saved",
            network.name
        ))
    };
    let name = network.inputs.first().map(|input| input.layer);
    if network.inputs.len() > 1 {
        return Err(Error::Unsupported(format!(
            "`{}` has {} inputs; a network of the language has one",
            network.name,
            network.inputs.len()
        )));
    }
    let mut layers = network.layers.iter();
    let first: Option<&Layer<'_>> = match name {
        Some(name) => layers.find(|layer| layer.name == name),
        None => layers.next(),
    };
    let first = first.ok_or_else(unknown)?;
    let shape = ["batch_shape", "batch_input_shape"].iter().find_map(|key| first.get(key));
    let shape =
        shape.or_else(|| config.get("build_input_shape")).and_then(Value::as_array).ok_or_else(unknown)?;
    let side = |value: &Value, usual: usize| if value.is_null() { Some(usual) } else { size(value) };
    let dims = match shape.as_slice() {
        [_, height, width, channels] => side(height, INPUT[0]).zip(side(width, INPUT[1])).zip(size(channels)),
        _ => None,
    };
    let ((height, width), channels) = dims.ok_or_else(|| {
        first.unsupported(format!(
            "is not an image of height, width and channels: {}",
            short(&Value::Array(shape.clone()).to_string())
        ))
    })?;
    let any_size = shape.iter().skip(1).any(Value::is_null);
    Ok((walk.builder.add(first, "input", Op::Input([1, height, width, channels]), &[])?, any_size))
}
