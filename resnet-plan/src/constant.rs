//! Values of a plan as Rust expressions, in which this crate is called `plan`: what generated code is made of.

use std::borrow::Cow;
use std::fmt::Debug;

/// A value that can be written down as Rust.
pub trait Constant {
    /// Appends the expression.
    fn write(&self, to: &mut String);

    /// The expression.
    fn constant(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }
}

/// Lets a struct or an enum of this crate be written down: `constant!(struct NAME { FIELD, .. })`,
/// `constant!(enum NAME { VARIANT, VARIANT(value), VARIANT { FIELD, .. }, .. })`.
macro_rules! constant {
    (struct $Type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::constant::Constant for $Type {
            fn write(&self, to: &mut String) {
                let $Type { $($field),* } = self;
                to.push_str(concat!("plan::", stringify!($Type), " { "));
                $(
                    to.push_str(concat!(stringify!($field), ": "));
                    $field.write(to);
                    to.push_str(", ");
                )*
                to.push('}');
            }
        }
    };
    (enum $Type:ident { $($Variant:ident $(($value:ident))? $({ $($field:ident),* $(,)? })?),* $(,)? }) => {
        impl $crate::constant::Constant for $Type {
            fn write(&self, to: &mut String) {
                match self {
                    $($Type::$Variant $(($value))? $({ $($field),* })? => {
                        to.push_str(concat!("plan::", stringify!($Type), "::", stringify!($Variant)));
                        $(
                            to.push('(');
                            $value.write(to);
                            to.push(')');
                        )?
                        $(
                            to.push_str(" { ");
                            $(
                                to.push_str(concat!(stringify!($field), ": "));
                                $field.write(to);
                                to.push_str(", ");
                            )*
                            to.push('}');
                        )?
                    })*
                }
            }
        }
    };
}
pub(crate) use constant;

/// What `Debug` writes as Rust does.
macro_rules! literal {
    ($($Type:ty),*) => {
        $(impl Constant for $Type {
            fn write(&self, to: &mut String) {
                literal(self, to);
            }
        })*
    };
}
literal!(bool, u8, usize, u64, f32, f64);

fn literal(value: &impl Debug, to: &mut String) {
    to.push_str(&format!("{value:?}"));
}

impl Constant for Cow<'static, str> {
    fn write(&self, to: &mut String) {
        to.push_str("plan::Text::Borrowed(");
        literal(self, to);
        to.push(')');
    }
}

impl<T: Constant + Clone> Constant for Cow<'static, [T]> {
    fn write(&self, to: &mut String) {
        to.push_str("plan::Cow::Borrowed(&");
        self.as_ref().write(to);
        to.push(')');
    }
}

impl<T: Constant> Constant for [T] {
    fn write(&self, to: &mut String) {
        to.push('[');
        for value in self {
            value.write(to);
            to.push_str(", ");
        }
        to.push(']');
    }
}

impl<T: Constant, const N: usize> Constant for [T; N] {
    fn write(&self, to: &mut String) {
        self.as_slice().write(to);
    }
}

impl<T: Constant> Constant for Option<T> {
    fn write(&self, to: &mut String) {
        match self {
            None => to.push_str("::core::option::Option::None"),
            Some(value) => {
                to.push_str("::core::option::Option::Some(");
                value.write(to);
                to.push(')');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Element, Resize, Slope};

    #[test]
    fn values_are_written_as_rust() {
        let slope = Some(Slope { name: "a\"b".into(), single: true });
        let expected = "::core::option::Option::Some(plan::Slope { name: plan::Text::Borrowed(\"a\\\"b\"), single: true, })";
        assert_eq!(slope.constant(), expected);
        assert_eq!(Resize::To([32, 36]).constant(), "plan::Resize::To([32, 36, ])");
        assert_eq!(Element::U8(0.1).constant(), "plan::Element::U8(0.1)");
        assert_eq!(Element::F32.constant(), "plan::Element::F32");
        assert_eq!((1e-5f64).constant(), "1e-5");
    }
}
