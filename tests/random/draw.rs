//! Draws networks: everything in the spec language that changes what is computed.
//!
//! ```text
//! a network has a style (sizes, channels, batch) and a budget of multiply-adds
//! stem, stages, head:  draw a part; it stays if the network with it has shapes, and no more multiply-adds than the budget
//! ```

use resnet_dsl::diag::Diagnostics;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, pass};

use super::layers::{
    activation, batch_norm, definition, dense, flag, kernel, layer, padding, stride, winograd,
};
use super::tree::{Map, Tree};

/// The most multiply-adds of a network, for its whole batch.
const LARGEST_BUDGET: u64 = 20_000_000;

/// The most elements of an image that is flattened before a dense layer: few enough for the sums of int8.
const LARGEST_FLAT: usize = 1 << 16;

/// What the compiler says of parts that do not fit what is before them.
const MISFITS: [&str; 15] = [
    "the network has no layers",
    "is larger than its input",
    "pooling window must be smaller than the window",
    "the two sides of a sum differ",
    "is used twice",
    "channels of the shortcut are not the",
    "is empty",
    "is too large",
    "groups of one size",
    "the standard deviation of one pixel",
    "is too small for a blur",
    "cannot be multiplied",
    "needs an input of one pixel",
    "needs a flat input",
    "there are no channels",
];

/// Numbers from a seed: splitmix64. And how many names were given.
pub(crate) struct Draw(u64, usize);

impl Draw {
    /// Those of a network.
    pub(crate) fn new(seed: usize, index: usize) -> Self {
        let mut draw = Draw(seed as u64, 0);
        Draw(draw.number(0, usize::MAX - 1).wrapping_add(index) as u64, 0)
    }

    /// A name that nothing else has.
    pub(super) fn name(&mut self) -> String {
        self.1 += 1;
        format!("drawn.{}", self.1)
    }

    /// From `least` to `most`.
    pub(crate) fn number(&mut self, least: usize, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        least + ((z ^ (z >> 31)) % (most - least + 1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.number(1, count) == 1
    }

    pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.number(0, choices.len() - 1)].clone()
    }
}

/// A network, and how many parts did not fit.
pub(crate) struct Drawn {
    pub(crate) spec: Tree,
    pub(crate) parts: usize,
    pub(crate) misfits: usize,
}

/// A network.
pub(crate) fn network(draw: &mut Draw) -> Drawn {
    let style = draw.pick(&STYLES);
    let Style { sides: [least, most], batch, channels, .. } = style;
    let mut input = [draw.number(least, most), draw.number(least, most), 0];
    if draw.one_in(2) {
        input[1] = input[0];
    }
    input[2] = if draw.one_in(2) { draw.pick(&[1, 3, 3, 4]) } else { channels.draw(draw, 128) };
    let map = |pairs: &[(&str, usize)]| {
        Tree::Map(pairs.iter().map(|(key, value)| ((*key).to_owned(), Tree::Number(*value))).collect())
    };
    let mut fields = Fields::default();
    fields.put("name", Tree::word("random"));
    fields.put("input", map(&[("height", input[0]), ("width", input[1]), ("channels", input[2])]));
    let images = if draw.one_in(2) { batch[0] } else { draw.number(batch[0], batch[1]) };
    fields.put("batch", Tree::Number(images));
    fields.put("classes", Tree::Number(draw.number(1, 40)));
    fields.put("names", names(draw));
    settings(draw, &mut fields, 8);
    fields.perhaps(draw, 4, "define", definition);
    let mut network = Network {
        spec: Tree::Map(fields.0),
        budget: LARGEST_BUDGET >> draw.number(0, style.spread),
        shape: input,
        most: usize::MAX,
        channels,
        parts: 0,
        misfits: 0,
    };
    for _ in 0..draw.number(0, 4) {
        network.part("stem", draw, layer);
    }
    for _ in 0..draw.number(0, 3) {
        network.part("stages", draw, stage);
    }
    for _ in 0..draw.number(0, 2) {
        network.part("head", draw, layer);
    }
    if draw.one_in(3) {
        network.part("head", draw, |_, _| Tree::one("average_pool", Tree::word("global")));
    }
    if draw.one_in(2) && network.shape.iter().product::<usize>() <= LARGEST_FLAT {
        network.part("head", draw, |_, _| Tree::word("flatten"));
        network.part("head", draw, dense);
    }
    if draw.one_in(4) {
        network.part("head", draw, |_, _| Tree::word("softmax"));
    }
    while network.is_empty() {
        network.part("stem", draw, layer);
    }
    if draw.one_in(4) {
        network.outputs(draw);
    }
    let Network { spec, parts, misfits, .. } = network;
    Drawn { spec, parts, misfits }
}

/// A network as far as it is drawn.
pub(super) struct Network {
    spec: Tree,
    budget: u64,
    /// Height, width and channels of what comes out.
    pub(super) shape: [usize; 3],
    channels: Channels,
    /// The most channels of the next part.
    most: usize,
    parts: usize,
    misfits: usize,
}

impl Network {
    /// Draws a part of a list; again, of fewer channels, if it does not fit.
    fn part(&mut self, list: &str, draw: &mut Draw, part: impl Fn(&mut Draw, &Network) -> Tree) {
        for most in [512, 128, 32, 4] {
            self.most = most;
            let mut longer = self.spec.clone();
            longer.list(list).push(named(part(draw, self), &self.spec));
            self.parts += 1;
            match measure(&longer) {
                Ok(Measured { shape, macs, .. }) if macs <= self.budget => {
                    (self.spec, self.shape) = (longer, shape);
                    return;
                }
                Ok(_) => {}
                Err(message) if MISFITS.iter().any(|misfit| message.contains(misfit)) => {}
                Err(message) => panic!("{message}\n\n{}", longer.text()),
            }
            self.misfits += 1;
        }
    }

    /// Some values are outputs, too.
    fn outputs(&mut self, draw: &mut Draw) {
        let names = measure(&self.spec).map(|measured| measured.names).unwrap_or_default();
        let mut chosen: Vec<String> = (0..draw.number(1, 3)).map(|_| draw.pick(&names)).collect();
        chosen.sort();
        chosen.dedup();
        let words = chosen.iter().map(|name| Tree::Word(name.clone())).collect();
        let Tree::Map(map) = &mut self.spec else { panic!("not a map") };
        map.push(("outputs".to_owned(), Tree::List(words)));
    }

    /// The channels of a layer.
    pub(super) fn channels(&self, draw: &mut Draw) -> usize {
        self.channels.draw(draw, self.most)
    }

    fn is_empty(&self) -> bool {
        ["stem", "stages", "head"].iter().all(|list| self.spec.get(list).is_none())
    }
}

/// A network whose shapes are known.
pub(crate) struct Measured {
    /// Height, width and channels of the output.
    shape: [usize; 3],
    macs: u64,
    /// What values are called.
    names: Vec<String>,
}

/// A network's shapes; or why it has none.
pub(crate) fn measure(spec: &Tree) -> Result<Measured, String> {
    let (text, overrides) = (spec.text(), Overrides::default());
    let spec = Spec { name: "random", text: &text, overrides: &overrides };
    let render = |errors: Diagnostics| errors.render("random", &text);
    let mut graph = spec.parse(&mut |_| Err("no files".to_owned())).map_err(render)?.graph;
    pass::infer_shapes(&mut graph).map_err(render)?;
    let dims = |value| graph.node(value).ty.expect("a typed graph").dims;
    let macs = |value| {
        let operands: Vec<_> = graph.operands(value).into_iter().map(dims).collect();
        graph.node(value).op.macs(&operands, dims(value))
    };
    let macs = graph.topological().into_iter().map(macs).sum();
    let [_, height, width, channels] = dims(graph.output().expect("an output"));
    let names = graph.topological().into_iter().map(|value| graph.node(value).name.clone()).collect();
    Ok(Measured { shape: [height, width, channels], macs, names })
}

/// Sizes that go together.
#[derive(Clone, Copy)]
struct Style {
    /// The least and the most of the input's height and width, and of images.
    sides: [usize; 2],
    batch: [usize; 2],
    channels: Channels,
    /// How often the budget may be halved.
    spread: usize,
}

/// Images of all sizes; few tiles and many for Winograd's algorithm; small images of many channels for Strassen's; batches whose
/// activations outgrow the caches.
const STYLES: [Style; 7] = [
    Style { sides: [1, 8], batch: [1, 5], channels: Channels::Any, spread: 8 },
    Style { sides: [1, 70], batch: [1, 5], channels: Channels::Any, spread: 8 },
    Style { sides: [1, 70], batch: [1, 5], channels: Channels::Vectors, spread: 5 },
    Style { sides: [3, 16], batch: [1, 5], channels: Channels::Vectors, spread: 3 },
    Style { sides: [8, 32], batch: [1, 2], channels: Channels::Vectors, spread: 2 },
    Style { sides: [5, 12], batch: [1, 2], channels: Channels::Wide, spread: 1 },
    Style { sides: [48, 70], batch: [3, 5], channels: Channels::Vectors, spread: 0 },
];

/// How many channels layers have.
#[derive(Clone, Copy)]
enum Channels {
    /// Few, odd ones, multiples of 16.
    Any,
    /// Multiples of 16.
    Vectors,
    /// Multiples of 64 from 128 on.
    Wide,
}

impl Channels {
    /// So many, and no more than `most` if that goes together.
    fn draw(self, draw: &mut Draw, most: usize) -> usize {
        let mut of = |unit: usize, least: usize, many: usize| {
            unit * draw.number(least, many.min(most / unit).max(least))
        };
        match (self, of(1, 0, 3)) {
            (Channels::Any, 0) => of(1, 1, 4),
            (Channels::Any, 1) => 1 + of(2, 0, 20),
            (Channels::Any, 2) => of(1, 1, 100),
            (Channels::Any, _) | (Channels::Vectors, 0 | 1) => of(16, 1, 8),
            (Channels::Vectors, _) => of(32, 1, 8),
            (Channels::Wide, _) => of(64, 2, 8),
        }
    }
}

/// Entries of a map; those with a chance are often left out.
#[derive(Default)]
pub(super) struct Fields(pub(super) Map);

impl Fields {
    pub(super) fn put(&mut self, key: &str, value: Tree) {
        self.0.push((key.to_owned(), value));
    }

    pub(super) fn perhaps(
        &mut self,
        draw: &mut Draw,
        one_in: usize,
        key: &str,
        value: impl FnOnce(&mut Draw) -> Tree,
    ) {
        if draw.one_in(one_in) {
            let value = value(draw);
            self.put(key, value);
        }
    }
}

fn names(draw: &mut Draw) -> Tree {
    if draw.one_in(3) {
        let mut fields = Fields::default();
        fields.put("like", Tree::word(draw.pick(&["torchvision", "document"])));
        fields.put("layout", Tree::word(draw.pick(&["oihw", "hwio"])));
        return Tree::Map(fields.0);
    }
    Tree::word(draw.pick(&["torchvision", "document"]))
}

/// The block that the spec defines, or a bottleneck, with groups.
fn block(draw: &mut Draw) -> Tree {
    let groups = Tree::one("groups", Tree::Number(draw.pick(&[1, 2, 4, 16])));
    if draw.one_in(2) { Tree::word("drawn") } else { Tree::one("drawn", groups) }
}

fn stage(draw: &mut Draw, network: &Network) -> Tree {
    let mut fields = Fields::default();
    let kind = draw.pick(&["basic", "bottleneck", "bottleneck"]);
    let of_stage = filters(draw, network, kind);
    let own = kind == "bottleneck" && network.spec.get("define").is_some() && draw.one_in(2);
    fields.put("block", if own { block(draw) } else { Tree::word(kind) });
    fields.put("filters", of_stage.clone());
    fields.perhaps(draw, 2, "stride", stride);
    settings(draw, &mut fields, 8);
    if fields.0.iter().all(|(key, _)| key != "shortcut") {
        fields.perhaps(draw, 6, "shortcut", |draw| subsample(draw, network, &of_stage));
    }
    let count = draw.number(1, 3);
    let blocks = if draw.one_in(2) {
        Tree::Number(count)
    } else {
        let block = |index: usize| {
            let name = ["a", "b", "c"][index];
            let mut own = Fields::default();
            settings(draw, &mut own, 10);
            own.perhaps(draw, 10, "stride", stride);
            own.perhaps(draw, 10, "filters", |draw| filters(draw, network, kind));
            if own.0.is_empty() { Tree::word(name) } else { Tree::one(name, Tree::Map(own.0)) }
        };
        Tree::List((0..count).map(block).collect())
    };
    fields.put("blocks", blocks);
    Tree::Map(fields.0)
}

/// Of a block; often as many come out as go in.
fn filters(draw: &mut Draw, network: &Network, kind: &str) -> Tree {
    let count = if kind == "basic" { 2 } else { 3 };
    let mut filters: Vec<usize> = (0..count).map(|_| network.channels(draw)).collect();
    if draw.one_in(2) {
        filters[count - 1] = network.shape[2];
    } else if draw.one_in(4) {
        return Tree::Number(filters[0].div_ceil(4));
    }
    Tree::List(filters.into_iter().map(Tree::Number).collect())
}

/// A subsampled shortcut that has as many channels as the branch, if that has no fewer than go in.
fn subsample(draw: &mut Draw, network: &Network, filters: &Tree) -> Tree {
    let last = match filters {
        Tree::List(filters) => filters.last(),
        _ => None,
    };
    let Some(Tree::Number(last)) = last else { return Tree::word("subsample") };
    let zeros = draw.number(0, last.saturating_sub(network.shape[2]));
    Tree::one("subsample", Tree::one(draw.pick(&["front", "back"]), Tree::Number(zeros)))
}

/// What may stand at the top, in a stage and in a block, each with a chance; but for kinds and filters.
fn settings(draw: &mut Draw, fields: &mut Fields, one_in: usize) {
    fields.perhaps(draw, one_in, "kernel", kernel);
    let often_same = |draw: &mut Draw| if draw.one_in(3) { padding(draw) } else { Tree::word("same") };
    fields.perhaps(draw, one_in, "padding", often_same);
    fields.perhaps(draw, one_in, "stride_on", |draw| Tree::word(draw.pick(&["first", "middle", "last"])));
    fields.perhaps(draw, 2 * one_in, "activation", activation);
    fields.perhaps(draw, one_in, "relu", |draw| Tree::word(draw.pick(&["after_add", "before_add", "none"])));
    fields.perhaps(draw, one_in, "bias", flag);
    fields.perhaps(draw, one_in, "batch_norm", batch_norm);
    fields.perhaps(draw, one_in, "winograd", winograd);
    if !draw.one_in(2) {
        return;
    }
    fields.perhaps(draw, one_in, "shortcut", |draw| match draw.number(0, 4) {
        0 => Tree::word("auto"),
        1 => Tree::word("identity"),
        2 => Tree::word("projection"),
        3 => Tree::one("projection", Tree::one("batch_norm", batch_norm(draw))),
        _ => Tree::word("subsample"),
    });
}

/// A layer with a name of its own, if there is another of its kind.
fn named(layer: Tree, spec: &Tree) -> Tree {
    let of_kind = |layer: &Tree| match layer {
        Tree::Word(kind) => kind.clone(),
        Tree::Map(map) => map[0].0.clone(),
        _ => String::new(),
    };
    let kind = of_kind(&layer);
    let lists = ["stem", "head"].iter().filter_map(|list| spec.get(list));
    let count: usize = lists
        .map(|list| match list {
            Tree::List(layers) => layers.iter().filter(|layer| of_kind(layer) == kind).count(),
            _ => 0,
        })
        .sum();
    let name = |map: Map| {
        let name = ("name".to_owned(), Tree::Word(format!("{kind}.{count}")));
        Tree::one(&kind, Tree::Map([vec![name], map].concat()))
    };
    let has_name = matches!(&layer, Tree::Map(map) if map[0].1.get("name").is_some());
    match layer {
        layer if count == 0 || has_name => layer,
        Tree::Word(_) => name(Vec::new()),
        Tree::Map(map) => match map[0].1.clone() {
            Tree::Map(fields) => name(fields),
            other => Tree::one(&kind, other),
        },
        other => other,
    }
}
