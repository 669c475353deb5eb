//! Activations: functions of one element that layers end with.

use crate::constant::constant;

use std::fmt;
use std::str::FromStr;

/// A function of one element, as PyTorch defines it. NaN stays NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// `x`
    #[default]
    None,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x`, if that is negative times this slope.
    LeakyRelu(f32),
    /// `x`, if that is negative times the slope of its channel, which is a weight.
    Prelu,
    /// `x * sigmoid(x)`
    Silu,
    /// `x * hard_sigmoid(x)`
    HardSwish,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `relu6(x + 3) / 6`
    HardSigmoid,
}

/// Those that have no parameter, and their names.
const NAMES: [(Activation, &str); 8] = [
    (Activation::None, "none"),
    (Activation::Relu, "relu"),
    (Activation::Relu6, "relu6"),
    (Activation::Prelu, "prelu"),
    (Activation::Silu, "silu"),
    (Activation::HardSwish, "hard_swish"),
    (Activation::Sigmoid, "sigmoid"),
    (Activation::HardSigmoid, "hard_sigmoid"),
];

constant!(
    enum Activation {
        None,
        Relu,
        Relu6,
        LeakyRelu(slope),
        Prelu,
        Silu,
        HardSwish,
        Sigmoid,
        HardSigmoid,
    }
);

impl Activation {
    /// Its definition. `slope` is that of the channel, for [`Activation::Prelu`].
    pub fn apply(self, x: f64, slope: f64) -> f64 {
        // (`clamp` keeps NaN.)
        let hard_sigmoid = || (x + 3.0).clamp(0.0, 6.0) / 6.0;
        let leaky = |slope: f64| if x < 0.0 { slope * x } else { x };
        match self {
            Activation::None => x,
            Activation::Relu => x.clamp(0.0, f64::INFINITY),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::LeakyRelu(slope) => leaky(f64::from(slope)),
            Activation::Prelu => leaky(slope),
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::HardSwish => x * hard_sigmoid(),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::HardSigmoid => hard_sigmoid(),
        }
    }

    /// What it is called, without parameters.
    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(activation, _)| *activation == self);
        named.map_or("leaky_relu", |(_, name)| name)
    }

    /// Whether `f(s * x) = s * f(x)` for every scale `s` above zero.
    pub const fn is_homogeneous(self) -> bool {
        matches!(self, Activation::None | Activation::Relu | Activation::LeakyRelu(_) | Activation::Prelu)
    }

    /// Whether no result is below zero.
    pub const fn is_positive(self) -> bool {
        matches!(self, Activation::Relu | Activation::Relu6 | Activation::Sigmoid | Activation::HardSigmoid)
    }
}

/// `relu`, `leaky_relu(0.01)`.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMES.iter().find(|(activation, _)| activation == self)) {
            (_, Some((_, name))) => f.write_str(name),
            (Activation::LeakyRelu(slope), None) => write!(f, "leaky_relu({slope:?})"),
            (other, None) => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMES.iter().find(|(_, name)| *name == text).map(|(activation, _)| *activation);
        let slope = || text.strip_prefix("leaky_relu(")?.strip_suffix(')')?.parse().ok();
        named
            .or_else(|| slope().filter(|slope: &f32| slope.is_finite()).map(Activation::LeakyRelu))
            .ok_or_else(|| {
                let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
                format!("`{text}` is not an activation: {} or leaky_relu(slope)", names.join(", "))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 9] = [
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu(0.01),
        Activation::Prelu,
        Activation::Silu,
        Activation::HardSwish,
        Activation::Sigmoid,
        Activation::HardSigmoid,
    ];

    #[test]
    fn names_are_read_as_they_are_written() {
        for activation in ALL {
            assert_eq!(activation.to_string().parse(), Ok(activation));
        }
        assert_eq!(Activation::LeakyRelu(0.01).to_string(), "leaky_relu(0.01)");
        for text in ["", "Relu", "leaky_relu", "leaky_relu()", "leaky_relu(inf)", "leaky_relu(0.1"] {
            assert!(text.parse::<Activation>().is_err(), "{text}");
        }
    }

    /// Values of PyTorch 2.
    #[test]
    fn they_are_those_of_pytorch() {
        let near = |found: f64, expected: f64| (found - expected).abs() <= 1e-6;
        let values = |activation: Activation| [-2.0, 1.0, 8.0].map(|x| activation.apply(x, 0.25));
        for (activation, expected) in [
            (Activation::None, [-2.0, 1.0, 8.0]),
            (Activation::Relu, [0.0, 1.0, 8.0]),
            (Activation::Relu6, [0.0, 1.0, 6.0]),
            (Activation::LeakyRelu(0.5), [-1.0, 1.0, 8.0]),
            (Activation::Prelu, [-0.5, 1.0, 8.0]),
            (Activation::Silu, [-0.2384058, 0.7310586, 7.9973175]),
            (Activation::HardSwish, [-0.3333333, 0.6666667, 8.0]),
            (Activation::Sigmoid, [0.1192029, 0.7310586, 0.9996647]),
            (Activation::HardSigmoid, [0.1666667, 0.6666667, 1.0]),
        ] {
            let found = values(activation);
            assert!(
                found.iter().zip(expected).all(|(y, expected)| near(*y, expected)),
                "{activation}: {found:?}"
            );
        }
    }

    #[test]
    fn nan_stays_and_signs_are_as_said() {
        for activation in ALL {
            assert!(activation.apply(f64::NAN, 0.25).is_nan(), "{activation}");
            let negative = (-1000..1000).any(|x| activation.apply(f64::from(x) / 100.0, 0.25) < 0.0);
            assert_eq!(negative, !activation.is_positive(), "{activation}");
        }
    }
}
