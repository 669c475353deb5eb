//! What a weight file that does not fit probably is, and what to do: the lines before the list of its faults.

use std::collections::BTreeMap;

use resnet_plan::{Description, KernelLayout};

use crate::weights::known::{endings, signs};

/// Tensors: their names and shapes. (One type for a network's and a file's: the program is smaller.)
pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// How many signs of other networks are told, and how many tensors that are missing still.
const SHOWN: usize = 3;

/// What is said of a file that only has a prefix too many.
const FITS: &str = "the file fits";

/// Advice on a file that has faults; `path` is what Python opens it by.
pub(super) fn advice(network: &Description, path: &str, found: &Shapes) -> Vec<String> {
    let wanted = shapes(network.tensors().map(|tensor| (tensor.name, tensor.dims)));
    let prefix = prefix(&wanted, found);
    let mut lines = prefix.as_ref().map(|prefix| strip(&wanted, path, found, prefix)).unwrap_or_default();
    let prefix = prefix.unwrap_or_default();
    lines.extend(classes(network, found, &prefix));
    let unfit = found
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .filter(|(name, shape)| wanted.get(bare(name, &prefix)).is_none_or(|dims| dims != shape));
    let signs = signs(unfit).take(SHOWN);
    lines.extend(
        signs.map(|(name, what)| format!("`{name}` {:?} is a sign of {what} (docs/weights.md)", found[name])),
    );
    if lines.is_empty() && !wanted.is_empty() && !found.keys().any(|name| wanted.contains_key(&**name)) {
        lines.push(
            "no tensor has a name of the network's: it is another network's file, or needs another naming scheme (`names` in \
             docs/spec-language.md, docs/weights.md)"
                .to_owned(),
        );
    }
    lines
}

/// The prefix, ending in `.` or `/`, behind which at least half of the network's or of the file's names stand, and more of them than
/// without it. Of several, the last one in the order of letters.
fn prefix(wanted: &Shapes, found: &Shapes) -> Option<String> {
    // Of each prefix, the lengths of the names behind it.
    let mut behind = Shapes::new();
    let longest = wanted.keys().map(String::len).max().unwrap_or(0);
    for name in found.keys() {
        for ending in
            endings(name).skip(1).filter(|ending| ending.len() <= longest && wanted.contains_key(*ending))
        {
            behind.entry(name[..name.len() - ending.len()].to_owned()).or_default().push(ending.len());
        }
    }
    // (Of equals, the last in the map's order.)
    let (prefix, lengths) = behind.into_iter().max_by_key(|(_, lengths)| lengths.len())?;
    let count = lengths.len();
    let without = found.keys().filter(|name| wanted.contains_key(*name)).count();
    (count > without && 2 * count >= wanted.len().min(found.len())).then_some(prefix)
}

/// What stripping a prefix would do, and how it is done.
fn strip(wanted: &Shapes, path: &str, found: &Shapes, prefix: &str) -> Vec<String> {
    let fitting = found
        .iter()
        .map(|(name, shape)| (bare(name, prefix), shape))
        .filter(|(name, shape)| wanted.get(*name).is_some_and(|dims| dims == *shape))
        .map(|(name, shape)| (name, shape.clone()));
    let fitting = shapes(fitting);
    let unfit: Vec<&String> = wanted.keys().filter(|name| !fitting.contains_key(*name)).collect();
    let with = found.keys().filter(|name| name.starts_with(prefix)).count();
    let names = if with == found.len() {
        format!("all {with} names begin with `{prefix}`")
    } else {
        format!("{with} of {} names begin with `{prefix}`", found.len())
    };
    // What stands beside the network is of no use, unless it is a part of it.
    let is_beside = with < found.len() && !found.keys().any(|name| fitting.contains_key(name));
    let only = if is_beside { format!(" if n.startswith({prefix:?})") } else { String::new() };
    let is_left =
        |name: &String| !wanted.contains_key(bare(name, prefix)) && (!is_beside || name.starts_with(prefix));
    let then = match &*unfit {
        [] if found.keys().any(is_left) => "the file has all of the network's tensors, and others".to_owned(),
        [] => FITS.to_owned(),
        unfit => {
            let first: Vec<String> =
                unfit.iter().take(SHOWN).map(|name| format!("{name} {:?}", wanted[*name])).collect();
            let rest = match unfit.len() - first.len() {
                0 => String::new(),
                rest => format!(" and {rest} more"),
            };
            let (some, all) = (fitting.len(), wanted.len());
            format!("the file has {some} of the network's {all} tensors, all but {}{rest}", first.join(", "))
        }
    };
    vec![
        match then == FITS && with == found.len() {
            true => format!(
                "{names}: without that, {then}. Give the spec's `names` the key `prefix: {prefix}`, or strip it, in Python:"
            ),
            false => format!("{names}: without that, {then}. To strip it, in Python:"),
        },
        format!(
            "  from safetensors.torch import *; save_file({{n.removeprefix({prefix:?}): t for n, t in \
             load_file({path:?}).items(){only}}}, \"stripped.safetensors\")"
        ),
    ]
}

/// A map, made one by one: `collect` would sort, by much code.
pub(super) fn shapes<'a>(tensors: impl Iterator<Item = (&'a str, Vec<usize>)>) -> Shapes {
    let mut shapes = Shapes::new();
    tensors.for_each(|(name, shape)| drop(shapes.insert(name.to_owned(), shape)));
    shapes
}

fn bare<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// Whether the last layer has another number of classes in the file.
fn classes(network: &Description, found: &Shapes, prefix: &str) -> Option<String> {
    let layer = network.layers.last()?;
    let [output, input] = match layer.kernel.layout {
        KernelLayout::Oi | KernelLayout::OiHwc => [0, 1],
        KernelLayout::Io => [1, 0],
        KernelLayout::Oihw | KernelLayout::Hwio | KernelLayout::Ohwi => return None,
    };
    let kernel = layer.tensors().into_iter().find(|tensor| tensor.name == &*layer.kernel.name)?;
    let (classes, inputs) = (kernel.dims[output], kernel.dims[input]);
    found.iter().find_map(|(name, shape)| {
        let count = *shape.get(output).filter(|count| **count != classes)?;
        // The number of classes may be a part of the layer's name.
        let named = kernel.name == bare(name, prefix)
            || kernel.name.replace(&classes.to_string(), &count.to_string()) == bare(name, prefix);
        (named && shape.len() == 2 && shape[input] == inputs).then(|| {
            format!("`{name}` has {count} classes, the network {classes}: say `classes: {count}` in the macro, or --classes {count}")
        })
    })
}
