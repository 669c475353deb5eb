//! The report's layers as stages of blocks, and the values that go from block to block.

use std::collections::HashMap;

use crate::report::{Layer, Report};

use super::text::Font;

/// The most layers that are not cut into parts, and the fewest of a part.
const LONG: usize = 12;
const SHORT: usize = 3;

/// The layers of a network.
pub(crate) struct Graph<'a> {
    pub(crate) stages: Vec<Stage<'a>>,
    pub(crate) layers: HashMap<&'a str, &'a Layer>,
}

/// The blocks of one resolution.
pub(crate) struct Stage<'a> {
    pub(crate) name: &'a str,
    pub(crate) blocks: Vec<Block<'a>>,
}

/// Layers that belong together.
pub(crate) struct Block<'a> {
    pub(crate) name: &'a str,
    pub(crate) layers: Vec<&'a Layer>,
    /// The value that comes from the block before it, if one does.
    pub(crate) enters: Option<&'a str>,
    /// Values that come from elsewhere.
    pub(crate) fetched: Vec<&'a str>,
    /// The value that goes to the block behind it.
    pub(crate) leaves: Option<&'a str>,
    /// Where else values of this block go: a value, and `output fc` or `to fpn4`.
    pub(crate) sent: Vec<(&'a str, String)>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(report: &'a Report) -> Graph<'a> {
        let layers: HashMap<&str, &Layer> =
            report.layers.iter().map(|layer| (layer.name.as_str(), layer)).collect();
        let mut stages: Vec<Stage<'a>> = Vec::new();
        for layer in &report.layers {
            let stage =
                find_or_add(&mut stages, |stage| stage.name == layer.stage, || Stage::new(&layer.stage));
            let blocks = &mut stage.blocks;
            let block = find_or_add(blocks, |block| block.name == layer.block, || Block::new(&layer.block));
            block.layers.push(layer);
        }
        for stage in stages.iter_mut().filter(|stage| stage.is_block()) {
            stage.blocks = stage.blocks.drain(..).flat_map(Block::parts).collect();
        }
        let mut graph = Graph { stages, layers };
        graph.connect();
        for output in &report.spec.outputs {
            let of = graph.blocks_mut().find(|block| block.computes(&output.layer));
            of.into_iter()
                .for_each(|block| block.sent.push((&output.layer, format!("output {}", output.name))));
        }
        graph
    }

    fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block<'a>> {
        self.stages.iter_mut().flat_map(|stage| &mut stage.blocks)
    }

    /// Finds what goes from block to block.
    fn connect(&mut self) {
        let mut blocks: Vec<&mut Block<'a>> = self.blocks_mut().collect();
        for index in 0..blocks.len() {
            let sources = blocks[index].sources();
            let before = index.checked_sub(1).map(|before| &mut blocks[before]);
            // The last of the block before: a block has one way in, and its result is what most of it needs.
            let enters = before.and_then(|before| {
                let last = before.layers.iter().rev().find(|layer| sources.contains(&layer.name.as_str()))?;
                before.leaves = Some(&last.name);
                before.leaves
            });
            let fetched: Vec<&str> = sources.into_iter().filter(|source| Some(*source) != enters).collect();
            let to = format!("to {}", blocks[index].name);
            for source in &fetched {
                let of = blocks.iter_mut().find(|of| of.computes(source));
                of.into_iter().for_each(|of| of.sent.push((source, to.clone())));
            }
            blocks[index].enters = enters;
            blocks[index].fetched = fetched;
        }
    }
}

impl<'a> Stage<'a> {
    fn new(name: &'a str) -> Stage<'a> {
        Stage { name, blocks: Vec::new() }
    }

    pub(crate) fn layers(&self) -> impl Iterator<Item = &'a Layer> {
        self.blocks.iter().flat_map(|block| block.layers.iter().copied())
    }

    /// Whether it is a single block, that has no number.
    pub(crate) fn is_block(&self) -> bool {
        matches!(&self.blocks[..], [block] if block.name == self.name)
    }
}

impl<'a> Block<'a> {
    fn new(name: &'a str) -> Block<'a> {
        Block { name, layers: Vec::new(), enters: None, fetched: Vec::new(), leaves: None, sent: Vec::new() }
    }

    /// A long list of layers is cut where all of it goes through one value, as between residual blocks.
    fn parts(self) -> Vec<Block<'a>> {
        if self.layers.len() <= LONG {
            return vec![self];
        }
        let places: HashMap<&str, usize> =
            self.layers.iter().enumerate().map(|(place, layer)| (layer.name.as_str(), place)).collect();
        // The last layer that needs each one.
        let mut needed: Vec<usize> = (0..self.layers.len()).collect();
        for (place, layer) in self.layers.iter().enumerate() {
            for source in layer.operands.iter().filter_map(|operand| places.get(operand.as_str())) {
                needed[*source] = needed[*source].max(place);
            }
        }
        let mut parts = Vec::new();
        let mut part = Block::new(self.name);
        let mut open = 0;
        for (place, layer) in self.layers.into_iter().enumerate() {
            part.layers.push(layer);
            part.name = &layer.name;
            if open <= place && part.layers.len() >= SHORT {
                parts.push(std::mem::replace(&mut part, Block::new(self.name)));
            }
            open = open.max(needed[place]);
        }
        if !part.layers.is_empty() {
            parts.push(part);
        }
        parts
    }

    pub(crate) fn computes(&self, name: &str) -> bool {
        self.layers.iter().any(|layer| layer.name == name)
    }

    /// What it needs of other blocks, each value once.
    fn sources(&self) -> Vec<&'a str> {
        let mut sources = Vec::new();
        for operand in self.layers.iter().flat_map(|layer| &layer.operands) {
            if !self.computes(operand) && !sources.contains(&operand.as_str()) {
                sources.push(operand);
            }
        }
        sources
    }

    /// Its name, if need be without that of its stage, which stands above.
    pub(crate) fn title(&self, font: Font, room: i32) -> String {
        let stage = self.layers.first().map_or("", |layer| layer.stage.as_str());
        let rest = self.name.strip_prefix(stage).and_then(|rest| rest.strip_prefix(['.', '_', '/']));
        let rest = rest.filter(|_| font.width(self.name) > room);
        font.fit_end(rest.unwrap_or(self.name), room)
    }

    /// What it gives.
    pub(crate) fn result(&self) -> Option<&'a Layer> {
        let last = self.layers.last().copied();
        self.leaves.and_then(|name| self.layers.iter().copied().find(|layer| layer.name == name)).or(last)
    }
}

/// How the second operand of a layer is added to it on the way.
pub(crate) fn is_added(layer: &Layer, index: usize) -> bool {
    index > 0
        && layer.fused.iter().any(|fused| fused.operator == "add" && fused.name == layer.operands[index])
}

fn find_or_add<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let index = list.iter().position(is).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    });
    &mut list[index]
}
