//! A block's layers from top to bottom: a rank is a row, the longest path goes straight down in a lane, others have lanes beside it.

use std::collections::HashMap;

use super::graph::{Block, Graph, is_added};
use super::node::{self, node};
use super::route::{Edge, Spot, route};
use super::scene::{Group, Text};
use super::text::{Font, shape};

/// A block's diagram, and where its result's way crosses its border: in at the top, out at the bottom.
pub(crate) struct Drawn {
    pub(crate) group: Group,
    pub(crate) enters: Option<i32>,
    pub(crate) leaves: Option<i32>,
}

pub(crate) const PADDING: i32 = 12;
/// Where the name stands.
pub(crate) const HEADER: i32 = 22;

/// The diagram of a block; `bare` is one that has no border and no name of its own.
pub(crate) fn block(graph: &Graph<'_>, block: &Block<'_>, bare: bool) -> Drawn {
    let mut items = items(graph, block);
    let edges = edges(block, &items);
    rank(&mut items, &edges);
    align(&mut items, &edges);
    let spots: Vec<Spot> = items.iter().map(|item| item.spot).collect();
    let routed = route(&spots, &edges, bare);
    let mut group = Group {
        class: if bare { "bare".to_owned() } else { "block".to_owned() },
        size: routed.size,
        radius: 8,
        tooltip: if bare { String::new() } else { block.name.to_owned() },
        lines: routed.lines,
        ..Group::default()
    };
    let center = |item: usize| routed.corners[item].0 + node::WIDTH / 2;
    let find = |what: What| items.iter().position(|item| item.what == what);
    let (enters, leaves) = (find(What::Enters).map(center), find(What::Leaves).map(center));
    let shape_of = |name: &str| graph.layers.get(name).map(|layer| shape(layer.shape)).unwrap_or_default();
    let room = node::WIDTH / 2 - 8;
    if !bare {
        let end = enters.map_or(group.size.0 - PADDING, |x| x - 6);
        let name = block.title(Font::Heading, end - PADDING);
        group.texts.push(Text::new((PADDING, 15), Font::Heading, name));
    }
    if let (Some(x), Some(name), false) = (enters, block.enters, bare) {
        group.texts.push(Text::new((x + 6, 15), Font::Small, Font::Small.fit(&shape_of(name), room)).muted());
    }
    for (index, item) in items.into_iter().enumerate() {
        let (x, y) = routed.corners[index];
        if item.what == What::Layer && edges.iter().any(|edge| edge.from == index) {
            let text = Font::Small.fit(&shape_of(&item.name), room);
            let at = (x + node::WIDTH / 2 + 6, y + item.spot.height + 12);
            group.texts.push(Text::new(at, Font::Small, text).muted());
        }
        if let Some(mut child) = item.group {
            child.at = (x + (node::WIDTH - child.size.0) / 2, y);
            group.children.push(child);
        }
    }
    Drawn { group, enters, leaves }
}

/// What stands in a row.
struct Item {
    what: What,
    /// The value's.
    name: String,
    spot: Spot,
    group: Option<Group>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Layer,
    Fetched,
    Enters,
    Leaves,
}

/// Layers are first, in order.
fn items(graph: &Graph<'_>, block: &Block<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut add = |what, name: &str, added_at, group: Option<Group>| {
        let height = group.as_ref().map_or(0, |group| group.size.1);
        let spot = Spot { rank: 0, lane: 0, height, added_at };
        items.push(Item { what, name: name.to_owned(), spot, group });
    };
    for layer in &block.layers {
        let sent = block.sent.iter().filter(|(name, _)| *name == layer.name).map(|(_, to)| to.as_str());
        let node = node(layer, sent);
        add(What::Layer, &layer.name, node.added_at, Some(node.group));
    }
    for name in &block.fetched {
        let dims = graph.layers.get(name).map(|layer| shape(layer.shape)).unwrap_or_default();
        let text = Font::Small.fit_list(&format!("from {name}, {dims}"), node::WIDTH - 12);
        let group = Group {
            class: "tag".to_owned(),
            size: (Font::Small.width(&text) + 12, 18),
            radius: 9,
            tooltip: format!("{name} {dims}"),
            texts: vec![Text::new((6, 13), Font::Small, text)],
            ..Group::default()
        };
        add(What::Fetched, name, 0, Some(group));
    }
    block.enters.iter().for_each(|name| add(What::Enters, name, 0, None));
    block.leaves.iter().for_each(|name| add(What::Leaves, name, 0, None));
    items
}

/// Every operand of every layer, and the way out.
fn edges(block: &Block<'_>, items: &[Item]) -> Vec<Edge> {
    let computed = items.iter().enumerate().filter(|(_, item)| item.what != What::Leaves);
    let sources: HashMap<&str, usize> = computed.map(|(index, item)| (item.name.as_str(), index)).collect();
    let mut edges = Vec::new();
    for (to, layer) in block.layers.iter().enumerate() {
        for (operand, name) in layer.operands.iter().enumerate() {
            if let Some(&from) = sources.get(name.as_str()) {
                let added = is_added(layer, operand);
                let names = (name.clone(), Some(layer.name.clone()));
                edges.push(Edge { from, to, added, second: operand > 0, names });
            }
        }
    }
    if let (Some(to), Some(name)) = (items.iter().position(|item| item.what == What::Leaves), block.leaves) {
        let names = (name.to_owned(), None);
        edges.extend(sources.get(name).map(|&from| Edge { from, to, added: false, second: false, names }));
    }
    edges
}

/// Every layer one below the lowest of its operands; the way out below all.
fn rank(items: &mut [Item], edges: &[Edge]) {
    for index in 0..items.len() {
        if items[index].what == What::Layer {
            let operands =
                edges.iter().filter(|edge| edge.to == index).map(|edge| items[edge.from].spot.rank);
            items[index].spot.rank = operands.max().unwrap_or(0) + 1;
        }
    }
    let last = items.iter().map(|item| item.spot.rank).max().unwrap_or(0);
    for item in items.iter_mut().filter(|item| item.what == What::Leaves) {
        item.spot.rank = last + 1;
    }
}

/// The longest path to the result is in the first lane; what is left is cut into paths, each in the first lane that is free there.
fn align(items: &mut [Item], edges: &[Edge]) {
    let mut placed = vec![false; items.len()];
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for index in 0..items.len() {
        if matches!(items[index].what, What::Enters | What::Leaves) {
            placed[index] = true;
            taken.push((0, items[index].spot.rank));
        }
    }
    let layers = items.iter().filter(|item| item.what == What::Layer).count();
    let leaving = edges.iter().find(|edge| items[edge.to].what == What::Leaves).map(|edge| edge.from);
    for start in leaving.into_iter().chain((0..layers).rev()) {
        let mut path = Vec::new();
        let mut next = Some(start).filter(|start| !placed[*start]);
        while let Some(item) = next {
            placed[item] = true;
            path.push(item);
            let operands = edges.iter().filter(|edge| edge.to == item).map(|edge| edge.from);
            let operands = operands.filter(|from| items[*from].what == What::Layer && !placed[*from]);
            // Of equals the first: that is what a value is added to.
            next = operands.rev().max_by_key(|from| items[*from].spot.rank);
        }
        if let (Some(last), Some(first)) = (path.first(), path.last()) {
            let ranks = items[*first].spot.rank..=items[*last].spot.rank;
            let lane = free(&taken, 0, ranks.clone());
            taken.extend(ranks.map(|rank| (lane, rank)));
            path.into_iter().for_each(|item| items[item].spot.lane = lane);
        }
    }
    for index in layers..items.len() {
        if items[index].what == What::Fetched {
            let near =
                edges.iter().find(|edge| edge.from == index).map_or(0, |edge| items[edge.to].spot.lane);
            let lane = free(&taken, near, 0..=0);
            taken.push((lane, 0));
            items[index].spot.lane = lane;
        }
    }
}

/// The first lane, from one on, in which these ranks are free.
fn free(taken: &[(usize, usize)], from: usize, ranks: std::ops::RangeInclusive<usize>) -> usize {
    let is_free = |lane: &usize| !taken.iter().any(|(other, rank)| other == lane && ranks.contains(rank));
    (from..).find(is_free).unwrap_or(from)
}
