//! Pairs tensors with a spec's by the order and the shapes of their layers, whatever they are called.
//!
//! ```text
//! file:  tensors of one module are a layer; layers in the order of the file, or of their names
//! spec:  layers in the order of the graph, the shorter side of a sum before the longer one, or behind it
//! pair:  the n-th kernel with the n-th kernel, the n-th norm with the n-th norm, ..; all shapes agree
//! ```
//! If more than one of these orders agrees, and they differ in what is paired, nothing is.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use resnet_dsl::ir::graph::{Graph, Value};
use resnet_plan::KernelLayout;

use crate::candidate::Candidate;
use crate::checkpoint::Tensor;
use crate::fit::names::{classifier, extra, parent};
use crate::fit::{Pairing, has_shape};
use crate::slots::{Part, Slot, of_node};

/// A layer's tensors: what they are for, and which they are.
type Layer = Vec<(Part, usize)>;

/// The pairing of a file with a spec; `None` if the orders of their layers do not agree, or in several ways.
pub(super) fn pair(tensors: &[Tensor], candidate: &Candidate) -> Option<Pairing> {
    let layers = file(tensors);
    let candidate = match classes(tensors, &layers, candidate) {
        Some(classes) => candidate.with_classes(classes).ok()?,
        None => candidate.clone(),
    };
    let mut natural = layers.clone();
    let name = |layer: &Layer| layer.first().map_or("", |(_, tensor)| tensors[*tensor].name.as_str());
    natural.sort_by(|a, b| by_name(name(a), name(b)));
    let mut found: Option<(Vec<Option<usize>>, KernelLayout)> = None;
    for layers in [&layers, &natural] {
        for shortcut_first in [false, true] {
            let order = order(&candidate, shortcut_first);
            for layout in [KernelLayout::Oihw, KernelLayout::Hwio, KernelLayout::Ohwi] {
                let Some(pairs) = agree(tensors, layers, &candidate.slots, &order, layout) else { continue };
                match &found {
                    Some((other, _)) if *other != pairs => return None,
                    _ => found = Some((pairs, layout)),
                }
            }
        }
        if found.is_some() {
            break;
        }
    }
    let (pairs, layout) = found?;
    let fits = vec![true; pairs.len()];
    let extra = extra(tensors, &pairs.iter().flatten().copied().collect(), &candidate);
    Some(Pairing { candidate, tensors: pairs, fits, layout, extra, complete: true, cut: None })
}

/// The layers of a file, in its order.
fn file(tensors: &[Tensor]) -> Vec<Layer> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for (index, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.element.is_float()) {
        let place = *places.entry(parent(&tensor.name)).or_insert(layers.len());
        if place == layers.len() {
            layers.push(Vec::new());
        }
        layers[place].push(index);
    }
    let parts = |layer: Vec<usize>| {
        let is_norm = layer.len() > 1 && layer.iter().all(|tensor| tensors[*tensor].dims.len() <= 1);
        layer.into_iter().map(|tensor| (part(&tensors[tensor], is_norm), tensor)).collect()
    };
    layers.into_iter().map(parts).collect()
}

/// What a tensor is for, by the end of its name and its shape.
fn part(tensor: &Tensor, of_norm: bool) -> Part {
    let last = tensor.name.rsplit(['.', '/']).next().unwrap_or_default().trim_end_matches(":0");
    match last {
        _ if tensor.dims.len() > 1 => Part::Kernel,
        "weight" | "gamma" | "scale" if of_norm => Part::Gamma,
        "bias" | "beta" if of_norm => Part::Beta,
        "bias" | "beta" => Part::Bias,
        _ if last.contains("mean") => Part::Mean,
        _ if last.contains("var") => Part::Variance,
        "weight" | "alpha" => Part::Slope,
        _ => Part::Other,
    }
}

/// The layers of a spec: indices of their slots.
fn order(candidate: &Candidate, shortcut_first: bool) -> Vec<Layer> {
    let graph = &candidate.graph;
    let index: HashMap<&str, usize> =
        candidate.slots.iter().enumerate().map(|(index, slot)| (slot.name.as_str(), index)).collect();
    let depths = depths(graph);
    let mut order = Vec::new();
    let mut seen: HashSet<Value> = HashSet::new();
    let mut waiting: Vec<(Value, bool)> =
        graph.outputs().iter().rev().map(|output| (output.value, false)).collect();
    while let Some((value, ready)) = waiting.pop() {
        if ready {
            let slots = of_node(graph, value);
            let layer: Layer =
                slots.iter().filter_map(|slot| Some((slot.part, *index.get(slot.name.as_str())?))).collect();
            if !layer.is_empty() {
                order.push(layer);
            }
        } else if seen.insert(value) {
            waiting.push((value, true));
            let mut operands = graph.operands(value);
            // What is pushed last is computed first.
            operands.sort_by_key(|operand| depths.get(operand).copied());
            if shortcut_first {
                operands.reverse();
            }
            waiting.extend(operands.into_iter().map(|operand| (operand, false)));
        }
    }
    order
}

/// How many values lie on the longest way to each value.
fn depths(graph: &Graph) -> HashMap<Value, usize> {
    let mut depths = HashMap::new();
    for value in graph.topological() {
        let longest = graph.operands(value).iter().filter_map(|operand| depths.get(operand)).max();
        let depth = longest.map_or(0, |depth: &usize| depth + 1);
        depths.insert(value, depth);
    }
    depths
}

/// The tensor of each slot, if all layers agree.
fn agree(
    tensors: &[Tensor],
    layers: &[Layer],
    slots: &[Slot],
    order: &[Layer],
    layout: KernelLayout,
) -> Option<Vec<Option<usize>>> {
    if layers.len() != order.len() {
        return None;
    }
    // Layers with the same parts follow each other in one order; norms may stand apart from kernels.
    let key = |layer: &Layer| {
        let mut parts: Vec<Part> = layer.iter().map(|(part, _)| *part).collect();
        parts.sort_unstable();
        parts
    };
    let mut waiting: HashMap<Vec<Part>, std::collections::VecDeque<&Layer>> = HashMap::new();
    for layer in layers {
        waiting.entry(key(layer)).or_default().push_back(layer);
    }
    let mut pairs = vec![None; slots.len()];
    for layer in order {
        let of_file = waiting.get_mut(&key(layer))?.pop_front()?;
        for (part, slot) in layer {
            let (_, tensor) = of_file.iter().find(|(of_file, _)| of_file == part)?;
            if !has_shape(&slots[*slot], &tensors[*tensor], layout) {
                return None;
            }
            pairs[*slot] = Some(*tensor);
        }
    }
    pairs.iter().all(Option::is_some).then_some(pairs)
}

/// How many classes the file has, if they are others than the spec's: the outputs of the only kernel of two sizes.
fn classes(tensors: &[Tensor], layers: &[Layer], candidate: &Candidate) -> Option<usize> {
    let (_, [.., inputs, outputs]) = classifier(candidate)?;
    let mut dense =
        layers.iter().flatten().map(|(_, tensor)| &tensors[*tensor].dims[..]).filter(|dims| dims.len() == 2);
    let (Some([a, b]), None) = (dense.next(), dense.next()) else { return None };
    let classes = if *b == inputs { *a } else { *b };
    (classes != outputs && (*a == inputs || *b == inputs)).then_some(classes)
}

/// Names whose numbers count as numbers: `conv2` is before `conv10`.
fn by_name(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a).into_iter(), parts(b).into_iter());
    loop {
        return match (a.next(), b.next()) {
            (None, None) => Ordering::Equal,
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            },
        };
    }
}

/// A name in runs of digits and of others.
fn parts(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let mut parts = Vec::new();
    let mut start = 0;
    for end in 1..=bytes.len() {
        let cut = bytes.get(end).is_none_or(|next| next.is_ascii_digit() != bytes[end - 1].is_ascii_digit());
        if cut && let Some(part) = name.get(start..end) {
            parts.push(part);
            start = end;
        }
    }
    parts
}

#[test]
fn what_is_left_is_told() {
    let text = "name: test\ninput: 8x8x3\nbatch_norm: false\nactivation: none\n\
                stem:\n  - conv: {name: a, filters: 4, kernel: 3}\n  - conv: {name: b, filters: 5, kernel: 3}\n";
    let like = crate::Like { name: "test".to_owned(), text: text.to_owned(), folder: None };
    let candidate = Candidate::parse(&like, &Default::default()).unwrap();
    let tensor = |name: &str, dims: &[usize], element: crate::Element| {
        let bytes = crate::Bytes::new(vec![0; Tensor::len(dims).unwrap() * element.bytes()]);
        Tensor { name: name.to_owned(), dims: dims.to_vec(), element, bytes }
    };
    let tensors = [
        tensor("x.weight", &[4, 3, 3, 3], crate::Element::F32),
        tensor("y.weight", &[5, 4, 3, 3], crate::Element::F32),
        tensor("steps", &[], crate::Element::I64),
        tensor("table", &[7], crate::Element::I64),
    ];
    let pairing = pair(&tensors, &candidate).unwrap();
    assert_eq!((pairing.tensors, pairing.extra), (vec![Some(0), Some(1)], vec![3]));
}
