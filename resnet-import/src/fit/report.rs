//! What to say of tensors that are no spec's.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;

use resnet_dsl::ir::Op;
use resnet_dsl::ir::graph::{Graph, Value};
use resnet_dsl::spec::Overrides;

use crate::candidate::{self, Candidate, Like, Specs};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::difference::Difference;
use crate::error::Error;
use crate::fit::names::{self, parent};
use crate::fit::{Pairing, has_shape};

/// The most layers that are told of one kind of difference.
const MOST: usize = 5;

/// The error of a file with layers that are quantized, whose numbers are no weights.
pub(super) fn quantized(tensors: &[Tensor]) -> Option<Error> {
    let names: HashSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let layer = tensors.iter().find_map(|tensor| {
        let layer = tensor.name.strip_suffix(".zero_point")?;
        names.contains(format!("{layer}.scale").as_str()).then_some(layer)
    })?;
    Some(Error::Unsupported(format!(
        "the layer `{layer}` is quantized (the file has its `scale` and `zero_point`): import the model of floats that it was made of; \
         `precision: int8` quantizes that here"
    )))
}

/// The error of a file that fits none of these specs.
pub(super) fn misfit(checkpoint: &Checkpoint, pairings: &[Pairing], specs: Specs<'_>, path: &Path) -> Error {
    let tensors = &checkpoint.tensors;
    let matched = |pairing: &Pairing| {
        let slots = pairing.candidate.slots.iter().zip(&pairing.fits).filter(|(_, fits)| **fits);
        slots.filter_map(|(slot, _)| Tensor::len(&slot.dims)).fold(0, usize::saturating_add)
    };
    let near = pairings.iter().min_by_key(|pairing| (Reverse(matched(pairing)), pairing.rank(tensors, path)));
    if let Some(near) = near.filter(|near| matched(near) > 0) {
        return Error::Unsupported(describe(tensors, near, matches!(specs, Specs::Only(_))));
    }
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let names = shown(&names);
    Error::Unsupported(match specs {
        Specs::Only(one) => format!(
            "the file does not hold the weights of {}: neither the names of its tensors ({names}) nor their order and shapes are the spec's\n{}",
            one.name,
            advice(tensors, one, None)
        ),
        Specs::Any(_) => format!(
            "the tensors of the file ({names}) are of no network that ships\n\
             write a spec of the network (docs/spec-language.md), and add --like SPEC; or export it as ONNX, which holds the network"
        ),
    })
}

/// What helps with a file that is not quite of a spec; `near`: its pairing with it, if that ships.
fn advice(tensors: &[Tensor], like: &Like, near: Option<&Pairing>) -> String {
    let name = &like.name;
    let onnx = "or export the network as ONNX, which holds its graph";
    if !like.ships() {
        return format!("change {name} (docs/spec-language.md), {onnx}");
    }
    let headless = near.and_then(|near| without_head(tensors, &near.candidate));
    let headless =
        headless.map_or(String::new(), |output| format!("; without a head, that is `outputs: [{output}]`"));
    format!(
        "write a spec of the network (`like: {name}`, and what differs: docs/spec-language.md{headless}), and add --like SPEC; {onnx}"
    )
}

/// The value that a spec has to end with to fit the file, if that is all.
fn without_head(tensors: &[Tensor], candidate: &Candidate) -> Option<String> {
    let output = names::before_classifier(candidate)?;
    let difference = Difference { outputs: vec![output.clone()], ..Difference::default() };
    let text = difference.spec("headless", &candidate.like).ok()?;
    let like = Like { text, ..candidate.like.clone() };
    let headless = Candidate::parse(&like, &Overrides::default()).ok()?;
    names::pair(tensors, &headless).filter(|pairing| pairing.complete).map(|_| output)
}

/// What is said of other specs that have the same tensors.
pub(super) fn ties(taken: &Candidate, ties: &[Candidate]) -> Vec<String> {
    let name = |candidate: &&Candidate| candidate.like.name.clone();
    let (same, others): (Vec<&Candidate>, Vec<&Candidate>) =
        ties.iter().partition(|tie| compute_the_same(&tie.graph, &taken.graph));
    let [same, others] = [same, others].map(|ties| ties.iter().map(name).collect::<Vec<String>>());
    let same = candidate::others(&same)
        .map(|[others, like]| format!("{others} the same graph, and may have another preprocessing; {like}"));
    let others = candidate::others(&others).map(|[others, like]| {
        format!(
            "{} is a guess: tensors do not say strides, dilations, pools and outputs, and {others} the same tensors; {like}",
            taken.like.name
        )
    });
    others.into_iter().chain(same).collect()
}

/// Whether two graphs have the same operators of the same tensors, whatever values are called.
fn compute_the_same(a: &Graph, b: &Graph) -> bool {
    let operators = |graph: &Graph| {
        let order = graph.topological();
        let places: HashMap<Value, usize> = order.iter().copied().zip(0..).collect();
        let place = |value: &Value| places.get(value).copied();
        let operators: Vec<(Op, Vec<Option<usize>>)> = order
            .iter()
            .map(|value| (graph.node(*value).op.clone(), graph.operands(*value).iter().map(place).collect()))
            .collect();
        let outputs: Vec<Option<usize>> = graph.outputs().iter().map(|output| place(&output.value)).collect();
        (operators, outputs)
    };
    operators(a) == operators(b)
}

/// The differences between a file and a spec, by layer.
fn describe(tensors: &[Tensor], near: &Pairing, one: bool) -> String {
    let Pairing { candidate, tensors: pairs, fits, layout, extra, .. } = near;
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
            format!(
                "the file does not hold the weights of {name}: {fitting} of the spec's {} tensors fit",
                fits.len()
            )
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
    let _ = write!(text, "\n{}", advice(tensors, &candidate.like, Some(near)));
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
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} tensor{plural} ({})", names.len(), shown(names))
}

/// The first names: `fc.weight, fc.bias, ..`
fn shown(names: &[&str]) -> String {
    let more = if names.len() > 3 { ", .." } else { "" };
    names.iter().take(3).copied().collect::<Vec<_>>().join(", ") + more
}

#[test]
fn what_tensors_do_not_say_is_told() {
    let candidate = |name: &str| {
        let like = Like::shipped().find(|like| like.name == name).unwrap();
        Candidate::parse(&like, &Overrides::default()).unwrap()
    };
    let told = |taken: &str, others: &[&str]| {
        ties(&candidate(taken), &others.iter().map(|name| candidate(name)).collect::<Vec<_>>())
    };
    assert_eq!(
        told("backbones/resnet50_c2345", &["backbones/resnet50_os8"]),
        [
            "backbones/resnet50_c2345 is a guess: tensors do not say strides, dilations, pools and outputs, and backbones/resnet50_os8 has the \
          same tensors; if it is that, add --like backbones/resnet50_os8"
        ]
    );
    assert_eq!(
        told("torchvision/resnet50", &["timm/resnet50", "timm/resnetaa50", "timm/resnetblur50"]),
        [
            "torchvision/resnet50 is a guess: tensors do not say strides, dilations, pools and outputs, and timm/resnetaa50 and \
             timm/resnetblur50 have the same tensors; if it is one of these, add its name, as --like timm/resnetaa50",
            "timm/resnet50 has the same graph, and may have another preprocessing; if it is that, add --like timm/resnet50"
        ]
    );
    assert!(told("torchvision/resnet18", &[]).is_empty());
}
