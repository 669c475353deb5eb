//! What a calibration table names weights by: a hash of all tensors that a network reads, in any order.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::weights::fill::fnv1a64;

/// The sum of the tensors' hashes, so that threads may read them in any order.
#[derive(Default)]
pub(super) struct Fingerprint(AtomicU64);

impl Fingerprint {
    /// Adds a tensor: its name, and its elements as little-endian f32. (FNV-1a, eight bytes at a time.)
    pub(super) fn add(&self, name: &str, numbers: &[[u8; 4]]) {
        let (pairs, rest) = numbers.as_chunks::<2>();
        let words = pairs.iter().map(|pair| pair.as_flattened()).chain(rest.iter().map(|one| &one[..]));
        let hash = words.fold(fnv1a64(name.as_bytes()), |hash, bytes| {
            let word = bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            // The product alone would leave the lower bits to the lower bytes.
            let mixed = (hash ^ word).wrapping_mul(0x0000_0100_0000_01B3);
            mixed ^ (mixed >> 32)
        });
        self.0.fetch_add(hash, Ordering::Relaxed);
    }

    /// The hash of all that was added.
    pub(super) fn finish(self) -> u64 {
        self.0.into_inner()
    }
}
