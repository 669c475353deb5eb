//! Tensors without a graph: which spec they are the weights of.
//!
//! ```text
//! for each spec:  by names, whatever they begin with; the number of classes is the file's
//! none fits:      by the order and the shapes of the layers, whatever they are called
//! several fit:    the one that leaves out the least; of those, the one that the name of the file or its folder speaks of
//! ```

mod names;
mod order;
mod report;

use std::path::Path;

use resnet_dsl::spec::Overrides;
use resnet_plan::KernelLayout;

use crate::candidate::{Candidate, Like, Specs};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::Error;
use crate::slots::Slot;
use crate::weight::{Source, Weight};

/// A spec whose weights a file holds.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// The spec, for the file's classes.
    pub candidate: Candidate,
    /// Its weights, but those behind `cut`.
    pub weights: Vec<Weight>,
    /// The value that the network ends with, if the file has no weights for what follows.
    pub cut: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// The tensors of a file that the slots of a spec were given, and what is left.
#[derive(Clone, Debug)]
struct Pairing {
    candidate: Candidate,
    /// The tensor of each slot.
    tensors: Vec<Option<usize>>,
    /// Whether each of them has the slot's shape.
    fits: Vec<bool>,
    /// How the file orders kernels.
    layout: KernelLayout,
    /// Tensors that are no slot's.
    extra: Vec<usize>,
    /// Whether all slots have tensors that fit, but those behind `cut`, and nothing that is left belongs between them.
    complete: bool,
    cut: Option<String>,
}

/// Finds the spec.
///
/// # Errors
/// If there is none: what is missing, extra or misshapen for the nearest one.
pub(crate) fn fit(checkpoint: &Checkpoint, specs: Specs<'_>, path: &Path) -> Result<Fit, Error> {
    let parse = |like: &Like| Candidate::parse(like, &Overrides::default());
    let candidates = match specs {
        Specs::Only(one) => vec![parse(one)?],
        // Specs that ship have no mistakes.
        Specs::Any(all) => all.iter().filter_map(|like| parse(like).ok()).collect(),
    };
    let tensors = &checkpoint.tensors;
    if let Some(error) = report::quantized(tensors) {
        return Err(error);
    }
    let pairings: Vec<Pairing> =
        candidates.iter().filter_map(|candidate| names::pair(tensors, candidate)).collect();
    let best = |mut pairings: Vec<Pairing>| {
        pairings.sort_by_cached_key(|pairing| pairing.rank(tensors, path));
        // One that has a head besides may be meant as well.
        let same = |pairing: &&Pairing| pairing.extra == pairings[0].extra;
        let ties = pairings.iter().skip(1).filter(same).map(|tie| tie.candidate.clone()).collect::<Vec<_>>();
        let best = pairings.into_iter().next()?;
        Some(best.fit(tensors, &ties))
    };
    if let Some(fit) = best(pairings.iter().filter(|pairing| pairing.complete).cloned().collect()) {
        return Ok(fit);
    }
    let by_order = candidates.iter().filter_map(|candidate| order::pair(tensors, candidate)).collect();
    match best(by_order) {
        Some(mut fit) => {
            let note = "tensors were taken by the order and the shapes of their layers: their names are not the spec's";
            fit.notes.insert(0, note.to_owned());
            Ok(fit)
        }
        None => Err(report::misfit(checkpoint, &pairings, specs, path)),
    }
}

impl Pairing {
    /// What sorts the best one first.
    fn rank(&self, tensors: &[Tensor], path: &Path) -> impl Ord + use<> {
        (self.left_out(tensors), self.candidate.like.preference(path))
    }

    /// How many elements the file has beside the spec's, and the spec beside the file's.
    fn left_out(&self, tensors: &[Tensor]) -> usize {
        let extra = self.extra.iter().filter_map(|tensor| Tensor::len(&tensors[*tensor].dims));
        let slots = self.candidate.slots.iter().zip(&self.tensors);
        let missing =
            slots.filter(|(_, tensor)| tensor.is_none()).filter_map(|(slot, _)| Tensor::len(&slot.dims));
        extra.chain(missing).fold(0, usize::saturating_add)
    }

    /// The fit; `ties` are other specs that have all of these tensors.
    fn fit(self, tensors: &[Tensor], ties: &[Candidate]) -> Fit {
        let mut notes = report::ties(&self.candidate, ties);
        if !self.extra.is_empty() {
            let names: Vec<&str> = self.extra.iter().map(|tensor| tensors[*tensor].name.as_str()).collect();
            notes.push(format!("left out {}", report::summed_up(&names)));
        }
        let Pairing { candidate, tensors: pairs, layout, cut, .. } = self;
        let slots = candidate.slots.iter().zip(pairs);
        let weights =
            slots.filter_map(|(slot, tensor)| Some(weight(slot, tensors[tensor?].clone(), layout))).collect();
        Fit { candidate, weights, cut, notes }
    }
}

/// A tensor of a file as a slot's.
fn weight(slot: &Slot, tensor: Tensor, layout: KernelLayout) -> Weight {
    let source = match slot.kernel {
        Some((to, shape)) => Source::kernel(tensor, order_of(layout, to), to, shape),
        None => Source::Same(tensor),
    };
    Weight { name: slot.name.clone(), dims: slot.dims.clone(), source }
}

/// The order that a file has for the kernels that a spec has in this one.
fn order_of(file: KernelLayout, spec: KernelLayout) -> KernelLayout {
    if spec == spec.dense() { file.dense() } else { file }
}

/// Whether a tensor is a weight of a slot's sizes, in a file that orders kernels like this. Sizes of 1 may be left out or added.
fn has_shape(slot: &Slot, tensor: &Tensor, layout: KernelLayout) -> bool {
    let wanted =
        slot.kernel.map_or_else(|| slot.dims.clone(), |(spec, shape)| order_of(layout, spec).dims(shape));
    let larger = |dims: &[usize]| dims.iter().copied().filter(|size| *size != 1).collect::<Vec<_>>();
    tensor.element.is_float() && (wanted == tensor.dims || larger(&wanted) == larger(&tensor.dims))
}

/// How a file orders kernels: as most of those agree with that have a slot's name.
fn layout<'a>(kernels: impl Iterator<Item = (&'a Slot, &'a Tensor)> + Clone) -> KernelLayout {
    let orders = [KernelLayout::Oihw, KernelLayout::Hwio, KernelLayout::Ohwi];
    let own = kernels.clone().find_map(|(slot, _)| {
        let (layout, _) = slot.kernel?;
        orders.into_iter().find(|order| order_of(*order, layout) == layout)
    });
    let agree = |order: &KernelLayout| {
        kernels.clone().filter(|(slot, tensor)| has_shape(slot, tensor, *order)).count()
    };
    // Of equals, `max_by_key` takes the last.
    orders.into_iter().chain(own).max_by_key(agree).unwrap_or(KernelLayout::Oihw)
}
