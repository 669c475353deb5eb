//! Activations: functions of each element, alone or as the end of another operator.

use resnet_plan::{Activation as Function, Slope};

use crate::ops::Attributes;

/// A function of each element. By default it changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activation {
    /// Which.
    pub function: Function,
    /// PReLU: the tensor of its slopes.
    pub slope: Option<Slope>,
}

impl Activation {
    /// Nothing is changed.
    pub const NONE: Self = Activation { function: Function::None, slope: None };
    /// Negative elements become zero.
    pub const RELU: Self = Activation { function: Function::Relu, slope: None };

    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        self.function == Function::None
    }

    /// The name of an operator of its own.
    pub fn name(&self) -> &'static str {
        self.function.name()
    }

    /// Learned parameters, for so many channels.
    pub fn parameters(&self, channels: usize) -> u64 {
        match &self.slope {
            None => 0,
            Some(slope) => slope.len(channels) as u64,
        }
    }

    /// As a part of another operator: `relu`, `act=silu`, `act=prelu slope=@name`.
    pub(crate) fn print(&self, to: &mut Attributes) {
        match self.function {
            Function::None => {}
            Function::Relu => to.flag("relu", true),
            function => to.put("act", function),
        }
        if let Some(slope) = &self.slope {
            to.put("slope", slope);
        }
    }

    /// What [`Activation::print`] writes.
    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        let relu = from.take_flag("relu");
        let function =
            from.take_optional("act")?.unwrap_or(if relu { Function::Relu } else { Function::None });
        Activation { function, slope: from.take_optional("slope")? }.checked()
    }

    /// The operator of this name: `relu`, `leaky_relu {slope=0.1}`, `prelu {slope=@name}`.
    pub(crate) fn of_name(name: &str, from: &mut Attributes) -> Option<Result<Self, String>> {
        let function = match name {
            "leaky_relu" => match from.take("slope") {
                Ok(slope) => Function::LeakyRelu(slope),
                Err(error) => return Some(Err(error)),
            },
            _ => name.parse().ok()?,
        };
        let slope = match from.take_optional("slope") {
            Ok(slope) => slope,
            Err(error) => return Some(Err(error)),
        };
        (function != Function::None).then(|| Activation { function, slope }.checked())
    }

    /// The attributes of an operator of its own.
    pub(crate) fn attributes(&self, to: &mut Attributes) {
        if let Function::LeakyRelu(slope) = self.function {
            to.put("slope", slope);
        }
        if let Some(slope) = &self.slope {
            to.put("slope", slope);
        }
    }

    fn checked(self) -> Result<Self, String> {
        if (self.function == Function::Prelu) != self.slope.is_some() {
            return Err("`prelu` and nothing else has a tensor of slopes".to_owned());
        }
        Ok(self)
    }
}
