//! Weights that are made up: by the reference's formula, or at random from a seed.
//!
//! Both draw from one source: number `i` of a stream is the top 24 bits of splitmix64 (Steele, Lea and Flood 2014, "Fast
//! splittable pseudorandom number generators") of `state + i`; the state is a hash of the tensor's name, so a tensor's
//! elements depend on nothing else.

use resnet_plan::{Role, WeightTensor};

/// How to make weights up.
#[derive(Clone, Copy, Debug)]
pub enum Filler {
    /// The formula of the reference logits: every number of every tensor takes part in them.
    Formula,
    /// Glorot-uniform kernels, biases of zero, batch norms that change nothing.
    Glorot {
        /// Another seed, other kernels.
        seed: u64,
    },
}

impl Filler {
    /// The elements of a tensor, in the order of a weight file.
    ///
    /// # Panics
    /// If the system does not give the memory.
    pub fn fill(self, tensor: &WeightTensor<'_>) -> Vec<f32> {
        self.elements(tensor).collect()
    }

    /// The same, one after the other.
    pub(super) fn elements(self, tensor: &WeightTensor<'_>) -> impl Iterator<Item = f32> + use<> {
        let WeightTensor { name, role, .. } = *tensor;
        let state = fnv1a64(name.as_bytes());
        let (state, number): (u64, Box<dyn Fn(f32) -> f32>) = match (self, role) {
            (Filler::Formula, Role::Kernel { fan_in, .. }) => {
                let limit = (3.0 / fan_in as f64).sqrt() as f32;
                (state, Box::new(move |u| (2.0 * u - 1.0) * limit))
            }
            (Filler::Formula, Role::Bias) => (state, Box::new(|u| (2.0 * u - 1.0) * 0.1)),
            (Filler::Formula, Role::Gamma) => (state, Box::new(|u| 0.6 + 0.6 * u)),
            (Filler::Formula, Role::Beta | Role::Mean) => (state, Box::new(|u| (2.0 * u - 1.0) * 0.2)),
            (Filler::Formula, Role::Variance { .. }) => (state, Box::new(|u| 0.5 + u)),
            (Filler::Formula, Role::Slope) => (state, Box::new(|u| 0.05 + 0.4 * u)),
            (Filler::Formula, Role::Exponent) => (state, Box::new(|u| 2.0 + 2.0 * u)),
            (Filler::Glorot { seed }, Role::Kernel { fan_in, fan_out }) => {
                let limit = (6.0 / fan_in.saturating_add(fan_out) as f64).sqrt() as f32;
                (state ^ mix(seed), Box::new(move |u| (2.0 * u - 1.0) * limit))
            }
            (Filler::Glorot { .. }, Role::Gamma | Role::Variance { .. }) => (state, Box::new(|_| 1.0)),
            (Filler::Glorot { .. }, Role::Bias | Role::Beta | Role::Mean) => (state, Box::new(|_| 0.0)),
            (Filler::Glorot { .. }, Role::Slope) => (state, Box::new(|_| 0.25)),
            (Filler::Glorot { .. }, Role::Exponent) => (state, Box::new(|_| 3.0)),
        };
        stream(state).take(tensor.len()).map(number)
    }
}

/// The formula's elements for a name, in [0, 1), without end.
pub fn uniform(name: &str) -> impl Iterator<Item = f32> {
    stream(fnv1a64(name.as_bytes()))
}

fn stream(state: u64) -> impl Iterator<Item = f32> {
    (0..).map(move |i| (mix(state.wrapping_add(i)) >> 40) as f32 / (1u32 << 24) as f32)
}

/// One step of splitmix64.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo).
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that numpy computes from the formula.
    #[test]
    fn the_formula_is_numpys() {
        let first = |name, role| {
            Filler::Formula.fill(&WeightTensor { name, dims: vec![64, 3, 7, 7], role })[..3].to_vec()
        };
        let kernel = Role::Kernel { fan_in: 147, fan_out: 3136 };
        assert_eq!(first("conv1.weight", kernel), [0.012_878_555, -0.121_481_51, 0.131_433_96]);
        let variance = Role::Variance { epsilon: 1e-5 };
        assert_eq!(first("bn1.running_var", variance), [1.142_307_5, 0.984_806_7, 0.589_049_7]);
        assert_eq!(first("bn1.weight", Role::Gamma), [0.816_122_4, 0.876_168, 0.768_894_8]);
        assert_eq!(first("bn1.bias", Role::Beta), [-0.131_121_52, -0.177_438_36, -0.050_969_58]);
        assert_eq!(first("fc.bias", Role::Bias), [-0.004_469_740_7, -0.054_915_737, -0.000_019_156_932]);
    }
}
