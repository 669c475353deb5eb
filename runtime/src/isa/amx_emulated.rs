//! AMX in plain Rust, for tests: the same packed weights, tiles and order of sums on a machine that does not have it. Its other
//! kernels are those of `scalar`.
//!
//! Rounding is that of Intel's description (Software Developer's Manual, volume 2, `TDPBF16PS`).

use crate::isa::scalar;
use crate::kernels::peak::CHAINS;
use crate::kernels::table::Kernels;
use crate::kernels::tiles::{LANES, ROWS, TileConfig, TileTask, Tiles, tile_kernel};

/// A register.
type Tile = [[u32; LANES]; ROWS];
/// A row of elements.
type Row = [f32; LANES];

/// The registers, and what multiplies two of them.
struct Emulated<M> {
    config: TileConfig,
    tiles: [Tile; 8],
    multiply: std::marker::PhantomData<M>,
}

/// What is done with a row of sums.
trait Multiply {
    /// The elements of a word, in f32.
    type Elements: Copy;
    /// The elements of a row of words.
    type Weights: Copy;

    fn elements(word: u32) -> Self::Elements;

    fn weights(words: &[u32; LANES]) -> Self::Weights;

    /// Adds the products of some words.
    fn add<'a>(sums: &mut [u32; LANES], products: impl Iterator<Item = (Self::Elements, &'a Self::Weights)>)
    where
        Self: 'a;
}

impl<M> Emulated<M> {
    /// Rows of a register, and words of each.
    fn shape(&self, tile: usize) -> [usize; 2] {
        [usize::from(self.config.rows[tile]), usize::from(self.config.bytes[tile]) / 4]
    }

    /// # Safety
    /// The register's rows are there.
    unsafe fn load(&mut self, tile: usize, from: *const u32, stride: usize) {
        let [rows, words] = self.shape(tile);
        self.tiles[tile] = [[0; LANES]; ROWS];
        for (index, row) in self.tiles[tile][..rows].iter_mut().enumerate() {
            // SAFETY: the caller's contract; a row has at most so many words.
            unsafe { from.byte_add(index * stride).copy_to_nonoverlapping(row.as_mut_ptr(), words) };
        }
    }

    /// # Safety
    /// There is room for the register's rows.
    unsafe fn store(&self, tile: usize, to: *mut u32, stride: usize) {
        let [rows, words] = self.shape(tile);
        for (index, row) in self.tiles[tile][..rows].iter().enumerate() {
            // SAFETY: the caller's contract; a row has at most so many words.
            unsafe { to.byte_add(index * stride).copy_from_nonoverlapping(row.as_ptr(), words) };
        }
    }
}

impl<M: Multiply> Emulated<M> {
    /// `sums += x * w`
    fn multiply(&mut self, sums: usize, x: usize, w: usize) {
        let ([pixels, channels], [x_pixels, words]) = (self.shape(sums), self.shape(x));
        assert_eq!(
            (pixels, self.shape(w)),
            (x_pixels, [words, channels]),
            "shapes that do not fit are a fault"
        );
        let w: [M::Weights; ROWS] = std::array::from_fn(|row| M::weights(&self.tiles[w][row]));
        let x = self.tiles[x];
        for (sums, x) in self.tiles[sums].iter_mut().zip(&x).take(pixels) {
            M::add(sums, x.iter().zip(&w).take(words).map(|(word, w)| (M::elements(*word), w)));
        }
    }
}

impl<M: Multiply> Tiles for Emulated<M> {
    unsafe fn assume() -> Self {
        Emulated {
            config: TileConfig::EMPTY,
            tiles: [[[0; LANES]; ROWS]; 8],
            multiply: std::marker::PhantomData,
        }
    }

    fn configure(&mut self, config: &TileConfig) {
        self.config = *config;
        self.tiles = [[[0; LANES]; ROWS]; 8];
    }

    unsafe fn compute(&mut self, task: &TileTask, tiles: usize, vectors: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            for tile in 0..tiles {
                for vector in 0..vectors {
                    self.load(2 * tile + vector, task.start.add(vector * LANES), 0);
                }
            }
            let mut inputs = task.inputs;
            let mut weights = task.weights;
            for _ in 0..task.rows {
                for _ in 0..task.taps {
                    for _ in 0..task.blocks {
                        for vector in 0..vectors {
                            self.load(6 + vector, weights.add(vector * LANES), task.width);
                        }
                        for (tile, x) in inputs.iter_mut().enumerate().take(tiles) {
                            self.load(4 + tile, *x, task.input_stride);
                            for vector in 0..vectors {
                                self.multiply(2 * tile + vector, 4 + tile, 6 + vector);
                            }
                            *x = x.wrapping_byte_add(task.input_step);
                        }
                        weights = weights.wrapping_byte_add(task.weight_step);
                    }
                    inputs = inputs.map(|x| x.wrapping_byte_add(task.run_step));
                }
                inputs = inputs.map(|x| x.wrapping_byte_add(task.row_step));
            }
            for (tile, to) in task.sums.into_iter().enumerate().take(tiles) {
                for vector in 0..vectors {
                    self.store(2 * tile + vector, to.add(vector * LANES), task.width);
                }
            }
        }
    }

    fn release(&mut self) {
        self.config = TileConfig::EMPTY;
    }
}

/// Two bf16 in a word.
struct Bf16;

/// Values that are too small to be normal are zeros, before and after.
#[inline(always)]
fn flushed(number: f32) -> f32 {
    if number.abs() < f32::MIN_POSITIVE { 0.0f32.copysign(number) } else { number }
}

impl Multiply for Bf16 {
    type Elements = [f32; 2];
    type Weights = [Row; 2];

    #[inline(always)]
    fn elements(word: u32) -> [f32; 2] {
        [word << 16, word & 0xFFFF_0000].map(|bits| flushed(f32::from_bits(bits)))
    }

    #[inline(always)]
    fn weights(words: &[u32; LANES]) -> [Row; 2] {
        let elements = words.map(Self::elements);
        [0, 1].map(|place| elements.map(|elements| elements[place]))
    }

    // The first elements of words are summed up, the second ones, then both. A product of two bf16 is exact in f32 unless it is too
    // small or large, so to multiply and then to add is to do both at once.
    #[inline(always)]
    fn add<'a>(sums: &mut [u32; LANES], products: impl Iterator<Item = ([f32; 2], &'a [Row; 2])>) {
        let mut partial = [[0.0f32; LANES]; 2];
        for (x, w) in products {
            for place in 0..2 {
                for lane in 0..LANES {
                    partial[place][lane] = flushed(x[place] * w[place][lane] + partial[place][lane]);
                }
            }
        }
        for (lane, sum) in sums.iter_mut().enumerate() {
            let both = flushed(partial[0][lane] + partial[1][lane]);
            *sum = flushed(flushed(f32::from_bits(*sum)) + both).to_bits();
        }
    }
}

/// Four int8 in a word, inputs signed or not.
struct Bytes<const SIGNED: bool>;

impl<const SIGNED: bool> Multiply for Bytes<SIGNED> {
    type Elements = [f32; 4];
    type Weights = [Row; 4];

    #[inline(always)]
    fn elements(word: u32) -> [f32; 4] {
        let number = |byte: u8| if SIGNED { f32::from(byte.cast_signed()) } else { f32::from(byte) };
        word.to_le_bytes().map(number)
    }

    #[inline(always)]
    fn weights(words: &[u32; LANES]) -> [Row; 4] {
        let elements = words.map(Bytes::<true>::elements);
        [0, 1, 2, 3].map(|place| elements.map(|elements| elements[place]))
    }

    // The products of 16 words are less than 2^21, so f32 add them up exactly; every machine has vectors of those.
    #[inline(always)]
    fn add<'a>(sums: &mut [u32; LANES], products: impl Iterator<Item = ([f32; 4], &'a [Row; 4])>) {
        let mut partial = [0.0f32; LANES];
        for (x, w) in products {
            for lane in 0..LANES {
                let products: [f32; 4] = std::array::from_fn(|place| x[place] * w[place][lane]);
                partial[lane] += (products[0] + products[1]) + (products[2] + products[3]);
            }
        }
        for (sum, partial) in sums.iter_mut().zip(partial) {
            *sum = sum.wrapping_add((partial as i32).cast_unsigned());
        }
    }
}

pub(super) fn is_available() -> bool {
    true
}

/// The yardstick of the scalar kernels: that of f32 for bf16, that of int16 for int8.
fn peak_bf16(rounds: usize) -> u32 {
    // SAFETY: every machine has the scalar instruction set.
    unsafe { (scalar::KERNELS.float.peak)(rounds) }.to_bits()
}

fn peak_int8(rounds: usize) -> u32 {
    // SAFETY: as above.
    unsafe { (scalar::KERNELS.integer.peak)(rounds) }.to_bits()
}

/// Words that a round of them multiplies: chains of four f32, or of eight int16.
const PEAK_WORDS: usize = CHAINS * scalar::KERNELS.lanes / 2;

pub(super) const KERNELS: Kernels = Kernels {
    bf16: Some(tile_kernel!("amx-emulated", Emulated<Bf16>, Emulated<Bf16>, [],
        peak: peak_bf16, words: PEAK_WORDS)),
    int8: Some(tile_kernel!("amx-emulated", Emulated<Bytes<false>>, Emulated<Bytes<true>>, [],
        peak: peak_int8, words: PEAK_WORDS)),
    ..scalar::KERNELS
};

#[cfg(test)]
mod tests {
    use super::*;

    fn word(elements: [f32; 2]) -> u32 {
        elements[0].to_bits() >> 16 | elements[1].to_bits() & 0xFFFF_0000
    }

    fn sum(start: f32, products: &[([f32; 2], [f32; 2])]) -> f32 {
        let mut sums = [start.to_bits(); LANES];
        let w: Vec<[Row; 2]> = products.iter().map(|(_, w)| Bf16::weights(&[word(*w); LANES])).collect();
        Bf16::add(&mut sums, products.iter().zip(&w).map(|((x, _), w)| (Bf16::elements(word(*x)), w)));
        f32::from_bits(sums[3])
    }

    /// First elements and second elements have sums of their own, which begin with nothing: 1 is lost beside 2^24, 2 is not.
    #[test]
    fn the_order_of_sums() {
        let (large, one) = (16_777_216.0, [1.0, 1.0]);
        assert_eq!(sum(0.0, &[([large, 1.0], one), ([1.0, 1.0], one)]), large + 2.0);
        assert_eq!(sum(large, &[([1.0, 0.0], one), ([1.0, 0.0], one)]), large + 2.0);
        assert_eq!(sum(0.0, &[([large, 0.0], one), ([1.0, 0.0], one), ([1.0, 0.0], one)]), large);
    }

    #[test]
    fn what_is_not_normal_is_zero() {
        let (least, less) = (f32::MIN_POSITIVE, f32::from_bits(0x0040_0000));
        assert_eq!(sum(0.0, &[([less, 0.0], [4.0, 0.0])]), 0.0);
        assert_eq!(sum(0.0, &[([1.5 * least, 0.0], [0.5, 0.0])]), 0.0);
        assert_eq!(sum(less, &[([least, 0.0], [1.0, 0.0])]), least);
        assert!(sum(0.0, &[([f32::INFINITY, 0.0], [0.0, 0.0])]).is_nan());
    }

    #[test]
    fn bytes_are_signed_or_not() {
        let mut sums = [i32::MAX.cast_unsigned(); LANES];
        let w = Bytes::<false>::weights(&[0x80FF_7F01; LANES]);
        Bytes::<false>::add(&mut sums, [(Bytes::<false>::elements(0xFFFF_FFFF), &w)].into_iter());
        assert_eq!(sums[5].cast_signed(), i32::MAX.wrapping_add(255 * (1 + 127 - 1 - 128)));
        let mut sums = [0; LANES];
        Bytes::<true>::add(&mut sums, [(Bytes::<true>::elements(0xFFFF_FFFF), &w)].into_iter());
        assert_eq!(sums[5].cast_signed(), 1);
    }
}
