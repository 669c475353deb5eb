//! The weights in the HDF5 files of Keras, by layer.
//!
//! ```text
//! model.h5, weights.h5        (model_weights/)LAYER/WEIGHT, in the order of the attributes `layer_names` and `weight_names`
//! model.weights.h5            layers/CLASS_3/vars/0: a number behind the class, a number for the weight
//! ```

use std::collections::HashMap;

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::hdf5::Group;
use crate::keras::config::short;

/// All weights of a file.
pub(super) struct Weights {
    /// Layers that have weights, in order.
    pub(super) layers: Vec<Stored>,
    /// Whether they are called by their classes, and their weights are numbered.
    pub(super) numbered: bool,
    by_key: HashMap<String, usize>,
}

/// The weights of a layer.
pub(super) struct Stored {
    /// Where they lie: `conv1`, `layers/conv2d_3`.
    pub(super) key: String,
    /// What the layer is called.
    pub(super) name: String,
    /// Weights, by names or numbers.
    pub(super) tensors: Vec<(String, Tensor)>,
}

/// The layer whose weights are wanted.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its key where weights are numbered.
    pub(super) numbered: String,
    /// The layer of the whole model that it is, or is a part of.
    pub(super) outer: String,
    /// What it is called within that one.
    pub(super) inner: Option<String>,
}

/// `layers` of TensorFlow 2.12.
const OLD_LAYERS: &str = "_layer_checkpoint_dependencies";

/// The most groups within groups.
const DEPTH: usize = 32;

impl Weights {
    /// All weights below a group; `None` if there is nothing of the kind.
    ///
    /// # Errors
    /// If the file is damaged.
    pub(super) fn read(root: &Group<'_>) -> Result<Option<Self>, Error> {
        let legacy = match root.group("model_weights")? {
            Some(group) => Some(group),
            None => root.group("")?,
        };
        if let Some(group) = legacy
            && let Some(names) = group.texts("layer_names")?
        {
            let layers = names.into_iter().map(|name| named(&group, name));
            return Weights::new(layers.collect::<Result<_, _>>()?, false).map(Some);
        }
        let mut layers = Vec::new();
        let start = match root.group("layers")? {
            Some(group) => Some(group),
            None => root.group(OLD_LAYERS)?,
        };
        let Some(start) = start else { return Ok(None) };
        numbered(&start, "layers", DEPTH, &mut layers)?;
        in_order(&mut layers);
        Weights::new(layers.into_iter().map(|(_, layer)| layer).collect(), true).map(Some)
    }

    fn new(layers: Vec<Stored>, numbered: bool) -> Result<Self, Error> {
        let mut by_key = HashMap::new();
        for (index, layer) in layers.iter().enumerate() {
            if by_key.insert(layer.key.clone(), index).is_some() {
                return Err(Error::Malformed(format!("the layer `{}` has weights twice", layer.key)));
            }
        }
        Ok(Weights { layers, numbered, by_key })
    }

    /// The weights of a layer that are called so, in the order in which Keras makes them.
    ///
    /// # Errors
    /// If there are others.
    pub(super) fn of(&self, place: &Place, roles: &[&str]) -> Result<Vec<&Tensor>, Error> {
        let key = if self.numbered { &place.numbered } else { &place.outer };
        let stored = self.by_key.get(key).and_then(|index| self.layers.get(*index));
        let all = stored.map_or(&[][..], |stored| &stored.tensors);
        let own: Vec<_> = match &place.inner {
            Some(inner) if !self.numbered => all.iter().filter(|(name, _)| is_of(name, inner)).collect(),
            _ => all.iter().collect(),
        };
        let by_name =
            |role: &&str| own.iter().find(|(name, _)| canonical(name) == *role).map(|(_, tensor)| tensor);
        let by_order = || (own.len() == roles.len()).then(|| own.iter().map(|(_, tensor)| tensor).collect());
        let found = if self.numbered { None } else { roles.iter().map(by_name).collect::<Option<Vec<_>>>() };
        found.or_else(by_order).ok_or_else(|| {
            let name = place.inner.as_ref().unwrap_or(&place.outer);
            let has: Vec<_> = own.iter().map(|(name, _)| name.as_str()).collect();
            let has = if has.is_empty() { "none".to_owned() } else { short(&has.join(", ")) };
            Error::Malformed(format!(
                "the weights of the layer `{name}` are not there: it needs {}, the file has {has} in `{key}`",
                roles.join(", ")
            ))
        })
    }
}

/// What a weight is, by its name: `conv1/kernel:0`, or `conv1_W` of Keras 1.
pub(super) fn canonical(name: &str) -> &str {
    let name = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    const OLD: [(&str, &str); 4] =
        [("W", "kernel"), ("b", "bias"), ("running_mean", "moving_mean"), ("running_std", "moving_variance")];
    let old = OLD
        .iter()
        .find(|(old, _)| name.strip_suffix(old).is_some_and(|rest| rest.is_empty() || rest.ends_with('_')));
    match (name, old) {
        ("depthwise_kernel", _) => "kernel",
        ("alphas", _) => "alpha",
        (_, Some((_, new))) => new,
        _ if name.ends_with("_gamma") => "gamma",
        _ if name.ends_with("_beta") => "beta",
        _ => name,
    }
}

/// Whether `inner/kernel` or `outer/inner/kernel` is a weight of this layer of a nested model.
fn is_of(name: &str, inner: &str) -> bool {
    let Some((layer, _)) = name.rsplit_once('/') else { return false };
    layer.strip_suffix(inner).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Names in a group are sorted, but what was written later lies behind, roughly: small tensors fill up what others leave. So places are
/// taken by offsets, and among the layers of a class by their numbers.
fn in_order(layers: &mut [(usize, Stored)]) {
    layers.sort_by_key(|(offset, _)| *offset);
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, (_, layer)) in layers.iter().enumerate() {
        places.entry(class(&layer.key).0.to_owned()).or_default().push(place);
    }
    for places in places.values() {
        // Insertion by exchange keeps the others where they are.
        let mut wanted = places.clone();
        wanted.sort_by_key(|place| layers.get(*place).map(|(_, layer)| class(&layer.key).1));
        for index in 0..places.len() {
            let (Some(to), Some(from)) = (places.get(index).copied(), wanted.get(index).copied()) else {
                continue;
            };
            layers.swap(to, from);
            wanted.iter_mut().skip(index).filter(|place| **place == to).for_each(|place| *place = from);
        }
    }
}

/// The class of a numbered layer, with the models around it, and its number: `layers/conv2d` and 3.
pub(super) fn class(key: &str) -> (&str, usize) {
    match key.rsplit_once('_') {
        Some((class, number)) if !number.is_empty() => {
            number.parse().map_or((key, 0), |number| (class, number))
        }
        _ => (key, 0),
    }
}

/// A layer whose weights have names.
fn named(group: &Group<'_>, name: String) -> Result<Stored, Error> {
    let mut tensors = Vec::new();
    if let Some(layer) = group.group(&name)? {
        for weight in layer.texts("weight_names")?.unwrap_or_default() {
            let tensor = layer.tensor(&weight)?;
            let missing = || Error::Malformed(format!("the layer `{name}` lacks its weight `{weight}`"));
            tensors.push((weight.clone(), tensor.ok_or_else(missing)?));
        }
    }
    Ok(Stored { key: name.clone(), name, tensors })
}

/// All layers below a group whose weights have numbers, and where they lie.
fn numbered(
    group: &Group<'_>,
    path: &str,
    depth: usize,
    layers: &mut Vec<(usize, Stored)>,
) -> Result<(), Error> {
    let deeper = depth
        .checked_sub(1)
        .ok_or_else(|| Error::Malformed(format!("too many groups within groups at `{path}`")))?;
    for name in group.groups()? {
        let Some(inner) = group.group(&name)? else { continue };
        if name != "vars" {
            let name = if name == OLD_LAYERS { "layers" } else { &name };
            numbered(&inner, &format!("{path}/{name}"), deeper, layers)?;
            continue;
        }
        let mut numbers = inner.datasets()?;
        numbers.sort_by_key(|name| name.parse::<usize>().unwrap_or(usize::MAX));
        let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
        let mut tensors = Vec::new();
        for number in numbers {
            match inner.tensor(&number) {
                Ok(Some(tensor)) => tensors.push((number, tensor)),
                // Weights go by their numbers: none is left out. The state of random numbers is no weight.
                Ok(None) => {
                    return Err(Error::Malformed(format!("the weight `{path}/vars/{number}` is not there")));
                }
                Err(Error::Unsupported(_)) if class(last).0.ends_with("generator") => {}
                Err(error) => return Err(error),
            }
        }
        let name = inner.text("name")?.unwrap_or_else(|| last.to_owned());
        if let Some((_, first)) = tensors.first() {
            let offset = inner.offset(first).unwrap_or(usize::MAX);
            layers.push((offset, Stored { key: path.to_owned(), name, tensors }));
        }
    }
    Ok(())
}
