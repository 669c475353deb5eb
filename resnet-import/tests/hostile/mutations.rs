//! Small files of which something was changed at random: each is imported, or refused. `IMPORT_CASES` sets how many there are of each.

use crate::{seeds, survived};

#[test]
fn changed_files_are_survived() {
    let cases: usize = std::env::var("IMPORT_CASES").map_or(100, |cases| cases.parse().unwrap());
    let mut random = Random(0x5EED);
    let seeds = seeds();
    for (name, seed) in &seeds {
        let mut imported = 0;
        for _ in 0..cases {
            let mut file = seed.clone();
            for _ in 0..=random.below(4) {
                let other = &seeds[random.below(seeds.len())].1;
                change(&mut file, other, &mut random);
            }
            imported += usize::from(survived(name, &file).is_ok());
        }
        println!("{name}: {imported} of {cases} were imported");
    }
}

/// Changes a few bytes. `other` is where new ones come from.
fn change(file: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(file.len() + 1);
    let len = random.below(40).min(file.len() - at);
    match random.below(6) {
        0 if len > 0 => file[at] ^= 1 << random.below(8),
        // A number of 1, 2, 4 or 8 bytes, a large one or a small one.
        1 => {
            let number = 1u64.rotate_left(random.below(64) as u32).wrapping_sub(random.below(3) as u64);
            let width = len.min(1 << random.below(4));
            file[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        }
        2 => drop(file.drain(at..at + len)),
        3 => {
            let part = file[at..at + len].repeat(1 + random.below(3));
            file.splice(at..at, part);
        }
        4 => {
            let from = random.below(other.len() + 1);
            let part = other[from..(from + len).min(other.len())].to_vec();
            file.splice(at..at + len, part);
        }
        5 if random.below(8) == 0 => file.truncate(at),
        _ => file[at..at + len].fill([0, 0xff, 0x7f, 0x80][random.below(4)]),
    }
}

struct Random(u64);

impl Random {
    /// Below `limit`. (Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators": SplitMix64.)
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
