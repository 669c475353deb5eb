//! Static memory planning: buffers that are never needed at the same time may share their place.
//!
//! ```text
//! for each buffer, in some order:
//!     take the lowest place that no placed buffer, alive at the same time, covers
//! ```
//! Placing a set of intervals with least memory is NP-hard (dynamic storage allocation); "largest first" is the usual
//! heuristic (Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference", section 5). Here
//! three orders are tried and the best is kept.

use std::cmp::Reverse;

use resnet_plan::Buffer;

/// Gives every buffer its place; the size of the arena that holds them all.
pub(super) fn place(buffers: &mut [Buffer]) -> usize {
    let orders: [fn(&Buffer) -> Rank; 3] = [
        |buffer| (Reverse(buffer.bytes), buffer.live[0]),
        |buffer| (Reverse(buffer.bytes * (buffer.live[1] - buffer.live[0] + 1)), buffer.live[0]),
        |buffer| (Reverse(0), buffer.live[0]),
    ];
    let best = orders.iter().map(|order| first_fit(buffers, order)).min_by_key(|(peak, _)| *peak);
    let Some((peak, offsets)) = best else { return 0 };
    for (buffer, offset) in buffers.iter_mut().zip(offsets) {
        buffer.offset = offset;
    }
    peak
}

/// By what buffers are sorted: those that compare less are placed first.
type Rank = (Reverse<usize>, usize);

fn first_fit(buffers: &[Buffer], key: impl Fn(&Buffer) -> Rank) -> (usize, Vec<usize>) {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|index| key(&buffers[*index]));
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut peak = 0;
    for index in order {
        let buffer = &buffers[index];
        // `placed` is sorted by offset, so the first gap is the lowest.
        let mut offset = 0;
        for other in &placed {
            let (start, live) = (offsets[*other], buffers[*other].live);
            let together = live[0] <= buffer.live[1] && buffer.live[0] <= live[1];
            if together && start < offset + buffer.bytes {
                offset = offset.max(start + buffers[*other].bytes);
            }
        }
        offsets[index] = offset;
        peak = peak.max(offset + buffer.bytes);
        let rank = placed.partition_point(|other| offsets[*other] <= offset);
        placed.insert(rank, index);
    }
    (peak, offsets)
}
