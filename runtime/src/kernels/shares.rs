//! How the threads share a job out.
//!
//! ```text
//! each thread has an equal part, cut into blocks:    it takes its own, from the first on;
//!                                                    then those that others have not begun, from their last on
//! ```
//! So a core that is slower, or whose other half is busy, computes less. (A thread that the system has put aside is waited for: it is at a
//! block.) Which blocks there are does not depend on who takes them.

use std::ops::Range;
use std::sync::atomic::Ordering;

use resnet_plan::Split;

use crate::threads::{OwnLine, Taken, Threads};

/// Blocks of a thread's part of what is not a convolution.
const BLOCKS: usize = 4;

/// Cuts a range into as few blocks of at most `most` as can be, of nearly one size, which is a multiple of `unit` if that fits.
pub(crate) fn blocks(range: Range<usize>, most: usize, unit: usize) -> impl Iterator<Item = Range<usize>> {
    let size = block(range.len(), most, unit);
    range.clone().step_by(size).map(move |start| start..(start + size).min(range.end))
}

/// The size of such blocks.
fn block(len: usize, most: usize, unit: usize) -> usize {
    len.div_ceil(len.div_ceil(most).max(1)).next_multiple_of(unit).clamp(1, most)
}

/// Does some work, of which units do not depend on each other: some of them at a time, and so many of a part `together`, as far as
/// possible. (Not generic, which keeps code small.)
pub(crate) fn share_out(
    threads: &Threads,
    units: usize,
    together: usize,
    work: &(dyn Fn(Range<usize>) + Sync),
) {
    let shares = Shares::of(Split::Pixels, threads, units, 1, 1);
    let most = match threads.count() {
        1 => units,
        count => units.div_ceil(BLOCKS * count).max(together),
    };
    threads.run(|index, _| shares.of_thread(index).blocks(most.max(1), 1).for_each(work));
}

/// A job that is shared out: by units (pixels, or tiles or pairs of them), or by panels of output channels.
pub(crate) struct Shares<'a> {
    taken: &'a [OwnLine<Taken>],
    units: usize,
    /// Units that stay together.
    together: usize,
    panels: usize,
    by_panels: bool,
    /// Whether threads take of others' parts: what is taken is counted in 32 bits.
    balanced: bool,
}

/// What a thread takes of a job. All threads ask for blocks once, and for the same; by panels, for those of each block once.
#[derive(Clone, Copy)]
pub(crate) struct Share<'a> {
    shares: &'a Shares<'a>,
    index: usize,
}

impl<'a> Shares<'a> {
    /// Between two jobs: nothing is taken yet.
    pub(crate) fn of(
        split: Split,
        threads: &'a Threads,
        units: usize,
        together: usize,
        panels: usize,
    ) -> Self {
        let taken = threads.taken();
        for taken in taken {
            taken.0.store(0, Ordering::Relaxed);
        }
        let by_panels = split == Split::Channels && panels >= taken.len();
        let balanced = units.max(panels) <= u32::MAX as usize;
        Shares { taken, units, together, panels, by_panels, balanced }
    }

    pub(crate) fn of_thread(&'a self, index: usize) -> Share<'a> {
        Share { shares: self, index }
    }

    /// A thread's part, of units or of panels.
    fn part(&self, index: usize) -> Range<usize> {
        let Shares { units, together, panels, by_panels, taken, .. } = *self;
        if by_panels {
            return share(panels, index, taken.len());
        }
        let groups = share(units.div_ceil(together), index, taken.len());
        groups.start * together..(groups.end * together).min(units)
    }
}

impl<'a> Share<'a> {
    /// The units that all blocks have together if no thread takes more or less than its part.
    pub(crate) fn units(self) -> Range<usize> {
        if self.shares.by_panels { 0..self.shares.units } else { self.shares.part(self.index) }
    }

    /// The panels that are multiplied with each block if no thread takes more or less than its part.
    pub(crate) fn own_panels(self) -> Range<usize> {
        if self.shares.by_panels { self.shares.part(self.index) } else { 0..self.shares.panels }
    }

    /// Blocks of at most so many units, of nearly one size, which is a multiple of `unit` if that fits.
    pub(crate) fn blocks(self, most: usize, unit: usize) -> Blocks<'a> {
        self.parts(self.shares.balanced && !self.shares.by_panels, self.units(), most, unit)
    }

    /// The panels that are multiplied with a block.
    pub(crate) fn panels(self, block: &Range<usize>) -> impl Iterator<Item = usize> + use<'a> {
        // With one count for all blocks, only those of a single one can be taken.
        let Shares { balanced, by_panels, units, .. } = *self.shares;
        let balanced = balanced && by_panels && block.len() == units;
        self.parts(balanced, self.own_panels(), 1, 1).map(|panel| panel.start)
    }

    fn parts(self, balanced: bool, own: Range<usize>, most: usize, unit: usize) -> Blocks<'a> {
        let threads = if balanced { self.shares.taken.len() } else { 0 };
        Blocks { share: self, most, unit, owners: 0..threads, own: if balanced { 0..0 } else { own } }
    }
}

/// Blocks of a range of one's own, or of all threads' parts.
pub(crate) struct Blocks<'a> {
    share: Share<'a>,
    most: usize,
    unit: usize,
    /// Those that may have blocks left, counted from the thread itself on.
    owners: Range<usize>,
    own: Range<usize>,
}

impl Iterator for Blocks<'_> {
    type Item = Range<usize>;

    /// (Code of its own: there are many that ask.)
    #[inline(never)]
    fn next(&mut self) -> Option<Range<usize>> {
        let Share { shares, index } = self.share;
        while !self.owners.is_empty() {
            let owner = (index + self.owners.start) % shares.taken.len();
            let part = shares.part(owner);
            let size = block(part.len(), self.most, self.unit);
            let count = part.len().div_ceil(size);
            if let Some(place) = take(&shares.taken[owner].0, count, owner == index) {
                let start = part.start + place * size;
                return Some(start..(start + size).min(part.end));
            }
            self.owners.start += 1;
        }
        if self.own.is_empty() {
            return None;
        }
        let start = self.own.start;
        self.own.start = (start + block(self.own.len(), self.most, self.unit)).min(self.own.end);
        Some(start..self.own.start)
    }
}

/// Takes a block of so many: the next of the first ones, counted in the lower half, or of the last ones, counted in the upper one.
fn take(taken: &Taken, count: usize, first: bool) -> Option<usize> {
    let halves = |taken: u64| [(taken & u64::from(u32::MAX)) as usize, (taken >> 32) as usize];
    let more = if first { 1 } else { 1 << 32 };
    let left = |taken: u64| (halves(taken).iter().sum::<usize>() < count).then_some(taken + more);
    let [front, back] = halves(taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).ok()?);
    Some(if first { front } else { count - 1 - back })
}

/// The part of `total` that thread `index` of `count` has: whole units, as equal as possible.
fn share(total: usize, index: usize, count: usize) -> Range<usize> {
    total * index / count..total * (index + 1) / count
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Mutex;

    use super::*;

    /// Each unit with each panel once, whoever is slow, and the same blocks for any of them.
    #[test]
    fn everything_is_taken_once() {
        for count in [1, 2, 3, 5] {
            let threads = Threads::new(NonZeroUsize::new(count).unwrap(), 0).unwrap();
            for (units, together, panels, most, unit) in [
                (0, 1, 3, 4, 1),
                (1, 1, 1, 4, 1),
                (100, 1, 3, 7, 2),
                (96, 8, 2, 16, 16),
                (30, 1, 9, 100, 6),
                (9, 1, 40, 4, 1),
            ] {
                for split in [Split::Pixels, Split::Channels] {
                    for slow in 0..count {
                        let shares = Shares::of(split, &threads, units, together, panels);
                        let seen = Mutex::new(vec![0; units * panels]);
                        threads.run(|index, _| {
                            let share = shares.of_thread(index);
                            for block in share.blocks(most, unit) {
                                assert!(!block.is_empty() && block.len() <= most);
                                for panel in share.panels(&block) {
                                    if index == slow {
                                        std::thread::sleep(std::time::Duration::from_micros(100));
                                    }
                                    let mut seen = seen.lock().unwrap();
                                    block.clone().for_each(|unit| seen[unit * panels + panel] += 1);
                                }
                            }
                        });
                        assert!(seen.into_inner().unwrap().iter().all(|times| *times == 1));
                    }
                }
            }
        }
    }

    #[test]
    fn parts_are_taken_from_both_ends() {
        let taken = Taken::new(0);
        let order = [true, false, false, true, true, false].map(|first| take(&taken, 5, first));
        assert_eq!(order, [Some(0), Some(4), Some(3), Some(1), Some(2), None]);
    }
}
