//! Pairs tensors with a spec's by their names, whatever those begin with.

use std::collections::{HashMap, HashSet};

use crate::candidate::Candidate;
use crate::checkpoint::Tensor;
use crate::fit::{Pairing, has_shape, layout};
use crate::slots::{Part, Slot};
use resnet_dsl::ir::Op;
use resnet_dsl::ir::graph::Value;
use resnet_dsl::spec::Overrides;
use resnet_plan::KernelLayout;

/// The pairing of a file with a spec; `None` if no name is the spec's.
pub(super) fn pair(tensors: &[Tensor], candidate: &Candidate) -> Option<Pairing> {
    let pairing = as_it_is(tensors, candidate.clone())?;
    let (classes, input) = (classes(tensors, &pairing), input(tensors, &pairing));
    if classes.is_none() && input.is_none() {
        return Some(pairing);
    }
    let overrides = Overrides { classes, input, ..Overrides::default() };
    match Candidate::parse(&candidate.like, &overrides) {
        Ok(candidate) => as_it_is(tensors, candidate),
        Err(_) => Some(pairing),
    }
}

/// The pairing with a spec as it is.
fn as_it_is(tensors: &[Tensor], candidate: Candidate) -> Option<Pairing> {
    let slots = &candidate.slots;
    let files: HashMap<&str, usize> =
        tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
    let (of_file, of_spec) = prefixes(&files, slots, tensors)?;
    let mut pairs: Vec<Option<usize>> = slots
        .iter()
        .map(|slot| {
            let rest = slot.name.strip_prefix(of_spec.as_str()).unwrap_or(&slot.name);
            files.get(format!("{of_file}{rest}").as_str()).copied()
        })
        .collect();
    let found = |pairs: &[Option<usize>]| {
        let found: Vec<(usize, usize)> =
            pairs.iter().enumerate().filter_map(|(slot, tensor)| Some((slot, (*tensor)?))).collect();
        found
    };
    let kernels = found(&pairs);
    let kernels = kernels.iter().map(|(slot, tensor)| (&slots[*slot], &tensors[*tensor]));
    let layout = layout(kernels.filter(|(slot, _)| slot.kernel.is_some()));
    let mut used: HashSet<usize> = pairs.iter().flatten().copied().collect();
    // Behind another prefix than the others, as the head often is.
    for (slot, pair) in slots.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
        let ends = |tensor: &Tensor| {
            tensor.name.strip_suffix(&slot.name).is_some_and(|rest| rest.ends_with(['.', '/']))
                && has_shape(slot, tensor, layout)
        };
        let mut same = (0..tensors.len()).filter(|index| !used.contains(index) && ends(&tensors[*index]));
        if let (Some(only), None) = (same.next(), same.next()) {
            used.insert(only);
            *pair = Some(only);
        }
    }
    head(tensors, &candidate, &mut pairs, &mut used);
    let fits = slots
        .iter()
        .zip(&pairs)
        .map(|(slot, tensor)| tensor.is_some_and(|tensor| has_shape(slot, &tensors[tensor], layout)));
    let fits: Vec<bool> = fits.collect();
    let extra = extra(tensors, &used, &candidate);
    let cut =
        cut(&candidate, &pairs).filter(|_| candidate.like.ships() || lacks_classifier(&candidate, &pairs));
    let misshapen = pairs.iter().zip(&fits).any(|(tensor, fits)| tensor.is_some() && !fits);
    let missing = pairs.iter().any(Option::is_none);
    let complete = !misshapen
        && (!missing || cut.is_some())
        && !belongs(tensors, &pairs, &extra, &of_file)
        && !ends_otherwise(
            &extra.iter().map(|index| &tensors[*index]).collect::<Vec<_>>(),
            &candidate,
            &pairs,
            layout,
            [&of_file, &of_spec],
        );
    Some(Pairing { candidate, tensors: pairs, fits, layout, extra, complete, cut })
}

/// The value that the classifier reads.
pub(super) fn before_classifier(candidate: &Candidate) -> Option<String> {
    let node = &candidate.slots[classifier(candidate)?.0].node;
    cut(candidate, &candidate.slots.iter().map(|slot| (slot.node != *node).then_some(0)).collect::<Vec<_>>())
}

/// Whether only the classifier's tensors are missing.
fn lacks_classifier(candidate: &Candidate, pairs: &[Option<usize>]) -> bool {
    let Some((kernel, _)) = classifier(candidate) else { return false };
    let node = &candidate.slots[kernel].node;
    candidate.slots.iter().zip(pairs).all(|(slot, pair)| pair.is_some() != (slot.node == *node))
}

/// Whether tensors that are left are the network's end in another form: they lie in a module whose own tensors are missing, or are the
/// kernel of a dense layer that reads what the network would end with.
fn ends_otherwise(
    left: &[&Tensor],
    candidate: &Candidate,
    pairs: &[Option<usize>],
    layout: KernelLayout,
    [of_file, of_spec]: [&str; 2],
) -> bool {
    let absent = candidate.slots.iter().zip(pairs).filter(|(_, pair)| pair.is_none()).map(|(slot, _)| {
        let name = slot.name.strip_prefix(of_spec).unwrap_or(&slot.name);
        format!("{of_file}{}", parent(name))
    });
    let absent: HashSet<String> = absent.collect();
    let end = classifier(candidate).map(|(kernel, [.., inputs, outputs])| match pairs[kernel] {
        Some(_) => outputs,
        None => inputs,
    });
    left.iter().any(|tensor| {
        let read = match (&tensor.dims[..], layout) {
            ([read, _], KernelLayout::Hwio) | ([_, read], _) => Some(*read),
            _ => None,
        };
        let inside = |module: &String| {
            tensor.name.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with(['.', '/']))
        };
        absent.iter().any(inside) || (tensor.element.is_float() && read.is_some() && read == end)
    })
}

/// What the file's names and the spec's begin with, where they agree behind that.
fn prefixes(files: &HashMap<&str, usize>, slots: &[Slot], tensors: &[Tensor]) -> Option<(String, String)> {
    let names: HashSet<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let mut votes: HashMap<(&str, &str), (usize, usize)> = HashMap::new();
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut vote = |prefixes, place| votes.entry(prefixes).or_insert((0, place)).0 += 1;
    for (place, tensor) in tensors.iter().enumerate() {
        // A hash takes as long as its text is.
        let short = starts(&tensor.name).filter(|start| tensor.name.len() - start <= longest);
        for start in short.filter(|start| names.contains(&tensor.name[*start..])) {
            vote((&tensor.name[..start], ""), place);
        }
    }
    for slot in slots {
        for start in starts(&slot.name).skip(1).filter(|start| files.contains_key(&slot.name[*start..])) {
            vote(("", &slot.name[..start]), usize::MAX);
        }
    }
    // Of equals, that which comes first in the file.
    let best = votes.into_iter().max_by_key(|((file, spec), (votes, place))| {
        (*votes, std::cmp::Reverse((*place, file.len() + spec.len())))
    });
    best.map(|((file, spec), _)| (file.to_owned(), spec.to_owned()))
}

/// Where the parts of a name begin.
fn starts(name: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(name.match_indices(['.', '/']).map(|(index, _)| index + 1))
}

/// The dense layer at the end by its shape, if the file calls it otherwise: the only kernel left that reads as many elements.
fn head(tensors: &[Tensor], candidate: &Candidate, pairs: &mut [Option<usize>], used: &mut HashSet<usize>) {
    let Some((kernel, [.., inputs, _])) = classifier(candidate) else { return };
    if pairs[kernel].is_some() || pairs.iter().all(Option::is_none) {
        return;
    }
    // A convolution of one pixel that reads as much may be of anything: of a feature pyramid, of a decoder.
    let is_head = |tensor: &Tensor| matches!(tensor.dims[..], [_, read] if read == inputs);
    let mut heads = (0..tensors.len()).filter(|index| !used.contains(index) && is_head(&tensors[*index]));
    let (Some(only), None) = (heads.next(), heads.next()) else { return };
    let module = parent(&tensors[only].name);
    let bias = (0..tensors.len()).find(|index| {
        *index != only
            && parent(&tensors[*index].name) == module
            && tensors[*index].dims == tensors[only].dims[..1]
    });
    let node = &candidate.slots[kernel].node;
    let slot = candidate.slots.iter().position(|slot| slot.node == *node && slot.part == Part::Bias);
    if slot.is_some() == bias.is_some() {
        used.extend([only].into_iter().chain(bias));
        pairs[kernel] = Some(only);
        if let Some(slot) = slot {
            pairs[slot] = bias;
        }
    }
}

/// The kernel of the dense layer whose units are the classes, and its height, width, inputs and outputs.
pub(super) fn classifier(candidate: &Candidate) -> Option<(usize, [usize; 4])> {
    let classes = candidate.classes?;
    candidate.slots.iter().enumerate().rev().find_map(|(index, slot)| {
        let (layout, shape) = slot.kernel?;
        (layout == layout.dense() && shape[3] == classes).then_some((index, shape))
    })
}

/// How many classes the file has, if they are others than the spec's.
fn classes(tensors: &[Tensor], pairing: &Pairing) -> Option<usize> {
    let (kernel, [.., inputs, outputs]) = classifier(&pairing.candidate)?;
    let dims = &tensors[pairing.tensors[kernel]?].dims;
    let classes = match dims[..] {
        [classes, read] | [classes, read, 1, 1]
            if read == inputs && !(classes == inputs && outputs == read) =>
        {
            classes
        }
        [read, classes] if read == inputs => classes,
        _ => return None,
    };
    (classes != outputs).then_some(classes)
}

/// The input that the file has, if its first convolution reads other channels than the spec's.
fn input(tensors: &[Tensor], pairing: &Pairing) -> Option<[usize; 3]> {
    let Pairing { candidate, tensors: pairs, layout, .. } = pairing;
    let graph = &candidate.graph;
    let [height, width, channels] = candidate.input;
    let reads_input = |slot: &Slot| {
        let node = graph.topological().into_iter().find(|value| graph.node(*value).name == slot.node);
        let first = node.and_then(|value| graph.operands(value).first().copied());
        first.is_some_and(|value| matches!(graph.node(value).op, Op::Input(_)))
    };
    candidate.slots.iter().zip(pairs).find_map(|(slot, tensor)| {
        let (order, [rows, columns, inputs, outputs]) = slot.kernel?;
        let tensor = &tensors[(*tensor)?];
        if inputs != channels || order == order.dense() || !reads_input(slot) {
            return None;
        }
        let found = Tensor::len(&tensor.dims)?.checked_div(rows * columns * outputs)?;
        let is_kernel = layout.dims([rows, columns, found, outputs]) == tensor.dims;
        (is_kernel && found != channels).then_some([height, width, found])
    })
}

/// The tensors that are not used, but counters.
pub(super) fn extra(tensors: &[Tensor], used: &HashSet<usize>, candidate: &Candidate) -> Vec<usize> {
    let left = (0..tensors.len()).filter(|index| !used.contains(index));
    left.filter(|index| !is_counter(&tensors[*index], &candidate.ignored)).collect()
}

/// Whether a tensor is no weight: a counter, or what the naming scheme leaves out.
fn is_counter(tensor: &Tensor, ignored: &[String]) -> bool {
    ignored.iter().any(|ending| tensor.name.ends_with(ending))
        || (!tensor.element.is_float() && tensor.dims.iter().all(|size| *size == 1))
}

/// Whether a tensor that is left lies between those of the network: in a module that it also has tensors in.
fn belongs(tensors: &[Tensor], pairs: &[Option<usize>], extra: &[usize], prefix: &str) -> bool {
    let module = |index: usize| {
        let rest = tensors[index].name.strip_prefix(prefix)?;
        Some(&rest[..rest.find(['.', '/']).unwrap_or(rest.len())])
    };
    let own: HashSet<&str> = pairs.iter().flatten().filter_map(|index| module(*index)).collect();
    let parents: HashSet<&str> = pairs.iter().flatten().map(|index| parent(&tensors[*index].name)).collect();
    let above: HashSet<&str> = parents.iter().map(|module| parent(module)).collect();
    extra.iter().any(|index| {
        let name = &tensors[*index].name;
        // `fc.3` beside `fc.1`: another layer of the same head.
        let beside = parent(parent(name));
        module(*index).is_some_and(|module| own.contains(module))
            || (!beside.is_empty() && beside != prefix.trim_end_matches(['.', '/']) && above.contains(beside))
    })
}

/// The module that a tensor or module lies in.
pub(super) fn parent(name: &str) -> &str {
    name.rfind(['.', '/']).map_or("", |end| &name[..end])
}

/// The last value that is computed without tensors that are missing, if all others are for it: what follows is a head that the file
/// does not have.
fn cut(candidate: &Candidate, pairs: &[Option<usize>]) -> Option<String> {
    let graph = &candidate.graph;
    let nodes = |there: bool| {
        let slots = candidate.slots.iter().zip(pairs).filter(move |(_, tensor)| tensor.is_some() == there);
        slots.map(|(slot, _)| slot.node.as_str()).collect::<HashSet<&str>>()
    };
    let (missing, there) = (nodes(false), nodes(true));
    if missing.is_empty() || there.is_empty() || graph.outputs().len() != 1 {
        return None;
    }
    let mut whole: HashSet<Value> = HashSet::new();
    let mut last = None;
    for value in graph.topological() {
        let node = graph.node(value);
        let complete = !missing.contains(node.name.as_str());
        if complete && graph.operands(value).iter().all(|operand| whole.contains(operand)) {
            whole.insert(value);
            last = Some(value);
        }
    }
    let last = last?;
    let mut needed = HashSet::new();
    let mut waiting = vec![last];
    while let Some(value) = waiting.pop() {
        if needed.insert(value) {
            waiting.extend(graph.operands(value));
        }
    }
    let names: HashSet<&str> = needed.iter().map(|value| graph.node(*value).name.as_str()).collect();
    there.iter().all(|node| names.contains(node)).then(|| graph.node(last).name.clone())
}

/// With all ends of the name hashed, this takes minutes.
#[test]
fn long_names_take_no_longer() {
    let slot = |name: &str| {
        let (name, node) = (name.to_owned(), String::new());
        Slot { name, node, dims: vec![1], part: Part::Bias, kernel: None }
    };
    let bytes = crate::Bytes::new(vec![0; 4]);
    let name = "a.".repeat(500_000) + "fc.bias";
    let tensors = [Tensor { name, dims: vec![1], element: crate::Element::F32, bytes }];
    let files = HashMap::from([(tensors[0].name.as_str(), 0)]);
    let (of_file, of_spec) = prefixes(&files, &[slot("fc.bias")], &tensors).unwrap();
    assert_eq!((of_file.len(), of_spec.as_str()), (1_000_000, ""));
}
