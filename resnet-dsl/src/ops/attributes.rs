//! Attributes in the text form: `{k=3x3 s=1 p=1 relu}`, keys with values and flags, separated by spaces.

use std::fmt;
use std::str::FromStr;

use crate::ops::Dims;
use crate::ops::{Padding, Sides};

/// The largest size that the text form takes, so that no arithmetic of shapes overflows.
pub(super) const LARGEST: usize = 1 << 20;

/// An operator's attributes, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    list: Vec<(String, Option<String>)>,
}

/// The text form of a number pair, sides, padding or shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl Attributes {
    /// Adds `key=value`.
    pub fn put(&mut self, key: &str, value: impl fmt::Display) {
        self.list.push((key.to_owned(), Some(value.to_string())));
    }

    /// Adds `key` if it is set.
    pub fn flag(&mut self, key: &str, set: bool) {
        if set {
            self.list.push((key.to_owned(), None));
        }
    }

    /// Takes the value of `key` out.
    ///
    /// # Errors
    /// If it is missing or malformed.
    pub fn take<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Result<T, String> {
        self.take_optional(key)?.ok_or_else(|| format!("`{key}=` is missing"))
    }

    /// Takes the value of `key` out, if there is one.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn take_optional<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Result<Option<T>, String> {
        let Some(place) = self.list.iter().position(|(k, v)| k == key && v.is_some()) else {
            return Ok(None);
        };
        let (_, value) = self.list.remove(place);
        let value = value.unwrap_or_default();
        value.parse().map(Some).map_err(|error| format!("`{key}={value}`: {error}"))
    }

    /// Takes a size out, which may be zero.
    ///
    /// # Errors
    /// If it is missing, malformed or larger than 2^20.
    pub fn take_size(&mut self, key: &str) -> Result<usize, String> {
        let size = self.take(key)?;
        if size > LARGEST { Err(format!("`{key}={size}` is larger than {LARGEST}")) } else { Ok(size) }
    }

    /// Takes a flag out.
    pub fn take_flag(&mut self, key: &str) -> bool {
        let place = self.list.iter().position(|(k, v)| k == key && v.is_none());
        place.map(|place| self.list.remove(place)).is_some()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// The attributes that nobody took.
    pub fn finish(&self) -> Result<(), String> {
        if self.list.is_empty() { Ok(()) } else { Err(format!("unknown attributes {self}")) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Keys and values; a flag has none.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.list.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self
            .iter()
            .map(|(key, value)| value.map_or(key.to_owned(), |value| format!("{key}={value}")))
            .collect();
        write!(f, "{{{}}}", texts.join(" "))
    }
}

impl FromStr for Attributes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .ok_or_else(|| format!("`{text}` is not {{attributes}}"))?;
        let list = inner
            .split_whitespace()
            .map(|item| match item.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (item.to_owned(), None),
            })
            .collect();
        Ok(Attributes { list })
    }
}

/// `3` for equal sizes, else `3x5`.
impl fmt::Display for Text<[usize; 2]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text([height, width]) = self;
        if height == width { write!(f, "{height}") } else { write!(f, "{height}x{width}") }
    }
}

impl FromStr for Text<[usize; 2]> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not a size, which is written 3 or 3x5");
        let numbers: Vec<usize> = numbers(text, 'x').ok_or_else(error)?;
        match numbers[..] {
            [side] => Ok(Text([side, side])),
            [height, width] => Ok(Text([height, width])),
            _ => Err(error()),
        }
    }
}

/// `1` for equal sides, else `top,bottom,left,right`.
impl fmt::Display for Text<Sides> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(Sides { top, bottom, left, right }) = self;
        if [bottom, left, right] == [top; 3] {
            write!(f, "{top}")
        } else {
            write!(f, "{top},{bottom},{left},{right}")
        }
    }
}

impl FromStr for Text<Sides> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not a padding, which is written 1 or top,bottom,left,right");
        match numbers(text, ',').ok_or_else(error)?[..] {
            [side] => Ok(Text(Sides { top: side, bottom: side, left: side, right: side })),
            [top, bottom, left, right] => Ok(Text(Sides { top, bottom, left, right })),
            _ => Err(error()),
        }
    }
}

/// `same`, or sides; `valid` is `0`.
impl fmt::Display for Text<Padding> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Padding::Same => f.write_str("same"),
            Padding::Valid => f.write_str("0"),
            Padding::Sides(sides) => write!(f, "{}", Text(sides)),
        }
    }
}

impl FromStr for Text<Padding> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "same" {
            return Ok(Text(Padding::Same));
        }
        Ok(Text(Padding::Sides(text.parse::<Text<Sides>>()?.0)))
    }
}

/// `1x224x224x3`.
impl fmt::Display for Text<Dims> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text([n, h, w, c]) = self;
        write!(f, "{n}x{h}x{w}x{c}")
    }
}

impl FromStr for Text<Dims> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not a shape, which is written 1x224x224x3");
        Ok(Text(numbers(text, 'x').ok_or_else(error)?.try_into().map_err(|_| error())?))
    }
}

fn numbers(text: &str, separator: char) -> Option<Vec<usize>> {
    text.split(separator).map(|number| number.parse().ok().filter(|size| *size <= LARGEST)).collect()
}
