//! Pickles, without Python: a machine that builds plain values and calls nothing.
//!
//! A pickle is a program for a stack machine that may call any function of Python. This machine knows the functions that make
//! tensors and the containers around them (`globals.rs`), and writes down that they were asked for ([`Node::Call`]); it refuses all
//! others by name.
//!
//! Values that are referred to twice are in memory once: containers are [`Node`]s, and values refer to them. So what a pickle
//! makes is never larger than the pickle, and a cycle is a node that refers to itself: who follows references has to expect that.

mod globals;
mod machine;
mod scan;
#[cfg(test)]
mod tests;

use crate::error::Error;

/// A value of a pickle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that needs more than 64 bits: two's complement, little-endian.
    Long(&'a [u8]),
    /// A number.
    Float(f64),
    /// A text. (Escape sequences, which only protocol 0 has, are as they lie in the file.)
    Text(&'a str),
    /// Bytes, or a text that is not UTF-8.
    Bytes(&'a [u8]),
    /// Something that others may refer to as well.
    Node(Id),
}

/// Which node of its pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// What values refer to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    /// A list, or a `deque`.
    List(Vec<Value<'a>>),
    /// A tuple.
    Tuple(Vec<Value<'a>>),
    /// A set, or a frozen one.
    Set(Vec<Value<'a>>),
    /// A dictionary of any kind, in its order.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// A function or class of Python.
    Global {
        /// Where it is defined.
        module: &'a str,
        /// What it is called.
        name: &'a str,
    },
    /// An object that a function would make.
    Call {
        /// The function.
        function: Id,
        /// What it would be called with: a tuple.
        arguments: Id,
        /// What the object would be told afterwards.
        state: Value<'a>,
    },
    /// An object that is outside of the pickle, by what the pickle says of it. PyTorch refers to storages so.
    Persistent(Value<'a>),
}

/// What a pickle holds.
#[derive(Clone, Debug)]
pub(crate) struct Pickle<'a> {
    /// Its value.
    pub(crate) root: Value<'a>,
    /// How many bytes it takes, the end mark included.
    pub(crate) len: usize,
    nodes: Vec<Node<'a>>,
}

/// Reads the pickle that `bytes` begin with. It may have `limit` values; each takes about 100 bytes of memory.
///
/// # Errors
///
/// If it ends too early, is damaged, has more values than that, or refers to a function or class that is not known.
pub(crate) fn read(bytes: &[u8], limit: usize) -> Result<Pickle<'_>, Error> {
    machine::run(bytes, limit)
}

impl<'a> Pickle<'a> {
    /// What a value refers to; `None` if it is a plain one.
    pub(crate) fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(id) => self.nodes.get(id.0 as usize),
            _ => None,
        }
    }

    /// All nodes, in the order of the pickle.
    pub(crate) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The entries of a dictionary.
    pub(crate) fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.node(value)? {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(crate) fn items(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.node(value)? {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The module and name of a function or class.
    pub(crate) fn global(&self, value: Value<'a>) -> Option<(&'a str, &'a str)> {
        match self.node(value)? {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// The module and name of the function that would make an object, and the function's arguments.
    pub(crate) fn call(&self, value: Value<'a>) -> Option<(&'a str, &'a str, &[Value<'a>])> {
        match self.node(value)? {
            Node::Call { function, arguments, .. } => {
                let (module, name) = self.global(Value::Node(*function))?;
                Some((module, name, self.items(Value::Node(*arguments))?))
            }
            _ => None,
        }
    }
}
