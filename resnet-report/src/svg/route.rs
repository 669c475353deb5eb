//! Ways of values in a block: down through a lane's free rows or in a track beside its boxes, across between rows. So no way
//! goes through a box, and ways of different values have no piece in common.

use super::block::{HEADER, PADDING};
use super::node;
use super::scene::{Line, Point};

/// Where something stands: a layer, or where a value comes in or goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) rank: usize,
    pub(crate) lane: usize,
    pub(crate) height: i32,
    /// Where a value that is added on the way ends, from its top.
    pub(crate) added_at: i32,
}

/// A value that one needs and another computes.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Whether it is added on the way, and comes in at the right, not at the top.
    pub(crate) added: bool,
    /// Whether it is not what is mainly computed with, as a shortcut.
    pub(crate) second: bool,
    /// The value's, and the layer's that needs it.
    pub(crate) names: (String, Option<String>),
}

/// Where everything lies.
pub(crate) struct Routed {
    pub(crate) size: Point,
    /// Of each spot, which is [`node::WIDTH`] wide.
    pub(crate) corners: Vec<Point>,
    pub(crate) lines: Vec<Line>,
}

/// How an edge goes down.
#[derive(Clone, Copy)]
enum Way {
    /// Below its source.
    Lane,
    /// Left or right of the lane of what needs it.
    Track { right: bool, slot: usize },
}

const TRACK: i32 = 10;
const BETWEEN_LANES: i32 = 18;

/// Finds places for spots and ways for edges; `bare` is a block without a name above.
pub(crate) fn route(spots: &[Spot], edges: &[Edge], bare: bool) -> Routed {
    let mut tracks = Tracks::default();
    let ways: Vec<Way> = edges.iter().map(|edge| way(spots, edge, &mut tracks)).collect();
    let lanes = spots.iter().map(|spot| spot.lane + 1).max().unwrap_or(0);
    let mut lefts = Vec::new();
    let mut width = PADDING;
    for lane in 0..lanes {
        let [left, right] = [false, true].map(|right| tracks.count(lane, right) as i32 * TRACK);
        lefts.push(width + left);
        width += left + node::WIDTH + right + if lane + 1 < lanes { BETWEEN_LANES } else { PADDING };
    }
    let center = |spot: usize| lefts[spots[spot].lane] + node::WIDTH / 2;
    let down = |edge: &Edge, way: Way| match way {
        Way::Lane => center(edge.from),
        Way::Track { right: false, slot } => lefts[spots[edge.to].lane] - TRACK * (slot as i32 + 1),
        Way::Track { right: true, slot } => {
            lefts[spots[edge.to].lane] + node::WIDTH + TRACK * (slot as i32 + 1)
        }
    };
    let downs: Vec<i32> = edges.iter().zip(&ways).map(|(edge, way)| down(edge, *way)).collect();
    let ports: Vec<i32> = (0..edges.len()).map(|edge| port(spots, edges, &downs, edge, &center)).collect();

    let mut gaps = Gaps::default();
    let mut crossings = Vec::new();
    for (index, edge) in edges.iter().enumerate() {
        let (start, x, end) = (center(edge.from), downs[index], ports[index]);
        let first = (x != start).then(|| gaps.cross(spots[edge.from].rank, edge.from, start, x));
        let last = (!edge.added && x != end).then(|| gaps.cross(spots[edge.to].rank - 1, edge.from, x, end));
        crossings.push((first, last));
    }

    let rows = Rows::new(spots, &gaps, bare);
    let corners: Vec<Point> = spots.iter().map(|spot| (lefts[spot.lane], rows.top(spot))).collect();
    let lines = edges.iter().enumerate().map(|(index, edge)| {
        let (from, to) = (&spots[edge.from], &spots[edge.to]);
        let (start, x, end) = (center(edge.from), downs[index], ports[index]);
        let (first, last) = crossings[index];
        let mut points = vec![(start, corners[edge.from].1 + from.height)];
        if let Some(slot) = first {
            let y = rows.slot(from.rank, slot);
            points.extend([(start, y), (x, y)]);
        }
        if let Some(slot) = last {
            let y = rows.slot(to.rank - 1, slot);
            points.extend([(x, y), (end, y)]);
        }
        let top = corners[edge.to].1;
        match edge.added {
            true => {
                points.extend([(x, top + to.added_at), (lefts[to.lane] + node::WIDTH, top + to.added_at)])
            }
            false => points.push((end, top)),
        }
        let (from, to) = edge.names.clone();
        // What is added has its arrow inside of the box.
        Line { points, arrow: to.is_some() && !edge.added, from, to }
    });
    Routed { size: (width, rows.height), lines: lines.collect(), corners }
}

fn way(spots: &[Spot], edge: &Edge, tracks: &mut Tracks) -> Way {
    let (from, to) = (&spots[edge.from], &spots[edge.to]);
    let is_free = |lane: usize, ranks: std::ops::Range<usize>| {
        !spots.iter().any(|spot| spot.lane == lane && ranks.contains(&spot.rank))
    };
    let below = from.rank + 1..to.rank;
    let in_lane = match edge.added {
        // It reaches what it is added to from the right.
        true => {
            from.lane > to.lane
                && is_free(from.lane, from.rank + 1..to.rank + 1)
                && (to.lane + 1..from.lane).all(|lane| is_free(lane, to.rank..to.rank + 1))
        }
        false => is_free(from.lane, below),
    };
    if in_lane {
        return Way::Lane;
    }
    let slot = tracks.take(to.lane, edge.second, edge.from, from.rank, to.rank);
    Way::Track { right: edge.second, slot }
}

/// Where an edge comes in at the top of a box: those from the left are left of the middle, those from the right right of it.
fn port(spots: &[Spot], edges: &[Edge], downs: &[i32], edge: usize, center: &dyn Fn(usize) -> i32) -> i32 {
    let (to, x) = (edges[edge].to, downs[edge]);
    let middle = center(to);
    let above = |spot: &Spot| spot.lane == spots[to].lane && spot.rank + 1 == spots[to].rank;
    let mut others: Vec<i32> = edges
        .iter()
        .zip(downs)
        .filter(|(other, down)| {
            other.to == to && !other.added && (**down < middle) == (x < middle) && **down != middle
        })
        .map(|(_, down)| *down)
        .collect();
    others.sort_unstable_by_key(|down| (down - middle).abs());
    others.dedup();
    // The middle is kept for what stands right above.
    let kept = spots.iter().any(above)
        || downs.iter().zip(edges).any(|(down, other)| other.to == to && *down == middle);
    let alone = edges.iter().filter(|other| other.to == to && !other.added).count() == 1;
    if x == middle || (alone && !kept) {
        return middle;
    }
    let place = others.iter().position(|down| *down == x).unwrap_or(0) as i32 + 1;
    let offset = (place * 24).min(node::WIDTH / 2 - 8);
    if x < middle { middle - offset } else { middle + offset }
}

/// Vertical ways beside lanes.
#[derive(Default)]
struct Tracks(Vec<Track>);

struct Track {
    lane: usize,
    right: bool,
    slot: usize,
    source: usize,
    /// The first and the last rank.
    ranks: (usize, usize),
}

impl Tracks {
    /// The nearest track that is free there, or that the same value is in.
    fn take(&mut self, lane: usize, right: bool, source: usize, first: usize, last: usize) -> usize {
        let is_free = |slot: &usize| {
            let same = self
                .0
                .iter()
                .filter(|other| other.lane == lane && other.right == right && other.slot == *slot);
            same.into_iter()
                .all(|other| other.source == source || other.ranks.1 < first || last < other.ranks.0)
        };
        let slot = (0..).find(is_free).unwrap_or(0);
        self.0.push(Track { lane, right, slot, source, ranks: (first, last) });
        slot
    }

    fn count(&self, lane: usize, right: bool) -> usize {
        let slots = self.0.iter().filter(|track| track.lane == lane && track.right == right);
        slots.map(|track| track.slot + 1).max().unwrap_or(0)
    }
}

/// Horizontal ways below ranks.
#[derive(Default)]
struct Gaps(Vec<Crossing>);

struct Crossing {
    rank: usize,
    slot: usize,
    source: usize,
    /// Left and right.
    span: (i32, i32),
}

impl Gaps {
    /// The highest way that is free there, or that the same value is on.
    fn cross(&mut self, rank: usize, source: usize, one: i32, other: i32) -> usize {
        let span = (one.min(other), one.max(other));
        let is_free = |slot: &usize| {
            let same = self.0.iter().filter(|other| other.rank == rank && other.slot == *slot);
            same.into_iter()
                .all(|other| other.source == source || other.span.1 < span.0 || span.1 < other.span.0)
        };
        let slot = (0..).find(is_free).unwrap_or(0);
        self.0.push(Crossing { rank, slot, source, span });
        slot
    }

    fn count(&self, rank: usize) -> usize {
        self.0
            .iter()
            .filter(|crossing| crossing.rank == rank)
            .map(|crossing| crossing.slot + 1)
            .max()
            .unwrap_or(0)
    }
}

/// Tops and bottoms of ranks.
struct Rows {
    tops: Vec<i32>,
    bottoms: Vec<i32>,
    height: i32,
}

const SLOT: i32 = 8;

impl Rows {
    fn new(spots: &[Spot], gaps: &Gaps, bare: bool) -> Rows {
        let last = spots.iter().map(|spot| spot.rank).max().unwrap_or(0);
        let (mut tops, mut bottoms) = (Vec::new(), Vec::new());
        let mut y = if bare { 0 } else { HEADER };
        for rank in 0..=last {
            let row =
                spots.iter().filter(|spot| spot.rank == rank).map(|spot| spot.height).max().unwrap_or(0);
            tops.push(y);
            y += row;
            bottoms.push(y);
            let crossed = gaps.count(rank) as i32;
            y += first_slot(rank) + if crossed > 0 { SLOT * crossed + 4 } else { 8 };
        }
        let leaves = spots.iter().any(|spot| spot.rank == last && spot.height == 0);
        let end = bottoms.last().copied().unwrap_or(0);
        Rows { tops, bottoms, height: if leaves { end } else { end + if bare { 2 } else { PADDING } } }
    }

    /// What comes in does so at the block's top.
    fn top(&self, spot: &Spot) -> i32 {
        if spot.rank == 0 && spot.height == 0 { 0 } else { self.tops[spot.rank] }
    }

    fn slot(&self, rank: usize, slot: usize) -> i32 {
        self.bottoms[rank] + first_slot(rank) + SLOT * slot as i32
    }
}

/// Below a rank there is first room for its shapes; those of what comes in stand beside the name.
fn first_slot(rank: usize) -> i32 {
    if rank == 0 { 4 } else { 18 }
}
