//! What to say of tensors that are no spec's.

use std::collections::HashMap;
use std::fmt::Write;

use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::Error;
use crate::fit::names::parent;
use crate::fit::{Pairing, has_shape};

/// The most layers that are told of one kind of difference.
const MOST: usize = 5;

/// The error of a file that fits no spec.
pub(super) fn misfit(checkpoint: &Checkpoint, pairings: &[Pairing], one: bool) -> Error {
    let tensors = &checkpoint.tensors;
    let matched = |pairing: &Pairing| {
        let slots = pairing.candidate.slots.iter().zip(&pairing.fits).filter(|(_, fits)| **fits);
        slots.filter_map(|(slot, _)| Tensor::len(&slot.dims)).fold(0, usize::saturating_add)
    };
    let near = pairings.iter().max_by_key(|pairing| {
        (
            matched(pairing),
            std::cmp::Reverse((pairing.left_out(tensors), pairing.candidate.like.name.clone())),
        )
    });
    let Some(near) = near.filter(|near| matched(near) > 0) else {
        let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        return Error::Unsupported(format!(
            "the {} tensors of the {} are of no network that ships: {}\n\
             write a spec of the network (docs/spec-language.md), and add --like SPEC; or export it as ONNX, which holds the network",
            tensors.len(),
            checkpoint.format,
            summed_up(&names)
        ));
    };
    Error::Unsupported(describe(tensors, near, one))
}

/// The differences between a file and a spec, by layer.
fn describe(
    tensors: &[Tensor],
    Pairing { candidate, tensors: pairs, fits, layout, extra, .. }: &Pairing,
    one: bool,
) -> String {
    let name = &candidate.like.name;
    let slots = || candidate.slots.iter().zip(pairs);
    let missing: Vec<&str> =
        slots().filter(|(_, tensor)| tensor.is_none()).map(|(slot, _)| slot.name.as_str()).collect();
    let extra: Vec<&str> = extra.iter().map(|tensor| tensors[*tensor].name.as_str()).collect();
    let misshapen: Vec<String> = slots()
        .filter_map(|(slot, tensor)| {
            let found = &tensors[(*tensor)?];
            let fits = has_shape(slot, found, *layout);
            (!fits).then(|| match found.element.is_float() {
                true => format!("{} is {:?}, not {:?}", found.name, found.dims, slot.dims),
                false => format!("{} holds whole numbers, which are no weights", found.name),
            })
        })
        .collect();
    let fitting = fits.iter().filter(|fits| **fits).count();
    let mut text = match one {
        true => {
            format!("the file does not hold the weights of {name}: {fitting} of {} tensors fit", fits.len())
        }
        false => format!(
            "no spec that ships fits; the nearest is {name}, of whose {} tensors {fitting} fit",
            fits.len()
        ),
    };
    let mut list = |what: &str, layers: &[String]| {
        let more =
            if layers.len() > MOST { format!("  and {} more", layers.len() - MOST) } else { String::new() };
        for layer in layers.iter().take(MOST) {
            let _ = write!(text, "\n  {what:<9} {layer}");
        }
        if !more.is_empty() {
            let _ = write!(text, "\n  {:<9}{more}", "");
        }
    };
    list("missing", &by_layer(&missing));
    list("extra", &by_layer(&extra));
    list("misshapen", &misshapen);
    let _ = write!(
        text,
        "\nwrite a spec of the network (`like: {name}`, and what differs: docs/spec-language.md), and add --like SPEC; or export it \
         as ONNX, which holds the network"
    );
    text
}

/// Names of tensors, those of a layer in one: `layer1.0.conv1 (weight, bias)`.
fn by_layer(names: &[&str]) -> Vec<String> {
    let mut layers: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for name in names {
        let layer = parent(name);
        let last = name[layer.len()..].trim_start_matches(['.', '/']);
        let place = *places.entry(layer).or_insert(layers.len());
        if place == layers.len() {
            layers.push((layer, Vec::new()));
        }
        layers[place].1.push(last);
    }
    let line = |(layer, parts): &(&str, Vec<&str>)| {
        let parts = parts.join(", ");
        if layer.is_empty() { parts } else { format!("{layer} ({parts})") }
    };
    layers.iter().map(line).collect()
}

/// Names in a few words: `3 tensors (fc.weight, fc.bias, ..)`.
pub(super) fn summed_up(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().take(3).copied().collect();
    let more = if names.len() > shown.len() { ", .." } else { "" };
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} tensor{plural} ({}{more})", names.len(), shown.join(", "))
}
