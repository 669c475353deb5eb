//! The stack machine.

use std::collections::HashMap;
use std::str::FromStr;

use super::globals;
use super::scan::Scan;
use super::{Id, Node, Pickle, Value};
use crate::error::Error;

/// Runs the program that `bytes` begin with.
pub(super) fn run(bytes: &[u8], limit: usize) -> Result<Pickle<'_>, Error> {
    let mut machine = Machine {
        scan: Scan::new(bytes),
        at: 0,
        left: limit,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        nodes: Vec::new(),
    };
    loop {
        machine.at = machine.scan.at();
        let [opcode] = machine.scan.array()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle { root, len: machine.scan.at(), nodes: machine.nodes });
        }
        machine.spend(1)?;
        machine.step(opcode)?;
    }
}

struct Machine<'a> {
    scan: Scan<'a>,
    /// Where the opcode is that is executed.
    at: usize,
    /// How many values may still be made.
    left: usize,
    stack: Vec<Value<'a>>,
    /// How long the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Result<(), Error> {
        let value = match opcode {
            // NONE, NEWTRUE, NEWFALSE
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            // INT, LONG, BININT, BININT1, BININT2, LONG1, LONG4
            b'I' => match self.scan.line()? {
                b"00" => Value::Bool(false),
                b"01" => Value::Bool(true),
                line => Value::Int(self.parsed(line)?),
            },
            b'L' => {
                let line = self.scan.line()?;
                Value::Int(self.parsed(line.strip_suffix(b"L").unwrap_or(line))?)
            }
            b'J' => Value::Int(i32::from_le_bytes(self.scan.array()?).into()),
            b'K' => Value::Int(u8::from_le_bytes(self.scan.array()?).into()),
            b'M' => Value::Int(u16::from_le_bytes(self.scan.array()?).into()),
            0x8a => long(self.scan.counted::<1>()?),
            0x8b => long(self.scan.counted::<4>()?),
            // FLOAT, BINFLOAT
            b'F' => {
                let line = self.scan.line()?;
                Value::Float(self.parsed(line)?)
            }
            b'G' => Value::Float(f64::from_be_bytes(self.scan.array()?)),
            // UNICODE, BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; BINSTRING, SHORT_BINSTRING
            b'V' => text(self.scan.line()?),
            b'X' | b'T' => text(self.scan.counted::<4>()?),
            0x8c | b'U' => text(self.scan.counted::<1>()?),
            0x8d => text(self.scan.counted::<8>()?),
            // STRING
            b'S' => {
                let quoted = self.scan.line()?;
                let bare = |quote: &[u8]| quoted.strip_prefix(quote)?.strip_suffix(quote);
                let bare = bare(b"'").or_else(|| bare(b"\""));
                text(bare.ok_or_else(|| self.damaged("a text in quotes"))?)
            }
            // BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8
            b'B' => Value::Bytes(self.scan.counted::<4>()?),
            b'C' => Value::Bytes(self.scan.counted::<1>()?),
            0x8e | 0x96 => Value::Bytes(self.scan.counted::<8>()?),
            // DUP; GET, BINGET, LONG_BINGET
            b'2' => self.top()?,
            b'g' | b'h' | b'j' => {
                let index = self.index(opcode)?;
                let value = self.memo.get(&index).copied();
                value.ok_or_else(|| self.damaged(&format!("a value with number {index}")))?
            }
            _ => return self.build(opcode),
        };
        self.push(value);
        Ok(())
    }

    /// Opcodes that do more than to push a value.
    fn build(&mut self, opcode: u8) -> Result<(), Error> {
        match opcode {
            // PROTO, FRAME
            0x80 => match self.scan.array()? {
                [0..=5] => {}
                [protocol] => return Err(self.unknown(&format!("protocol {protocol} of pickle"))),
            },
            0x95 => drop(self.scan.array::<8>()?),
            // MARK, POP, POP_MARK
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_mark()?),

            // EMPTY_LIST, LIST, APPEND, APPENDS
            b']' => self.push_node(Node::List(Vec::new()))?,
            b'l' => {
                let items = self.pop_mark()?;
                self.push_node(Node::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(items)?;
            }
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.push_tuple(0)?,
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b't' => {
                let items = self.pop_mark()?;
                self.push_node(Node::Tuple(items))?;
            }
            // EMPTY_SET, FROZENSET (ADDITEMS is above)
            0x8f => self.push_node(Node::Set(Vec::new()))?,
            0x91 => {
                let items = self.pop_mark()?;
                self.push_node(Node::Set(items))?;
            }
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.push_node(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_mark()?;
                self.push_node(Node::Dict(Vec::new()))?;
                self.set(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(&items)?;
            }

            // PUT, BINPUT, LONG_BINPUT; MEMOIZE
            b'p' | b'q' | b'r' => {
                let index = self.index(opcode)?;
                self.put(index)?;
            }
            // Each costs a byte of the file, so that there are never more than 2^32 of them.
            0x94 => self.put(self.memo.len() as u32)?,

            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let module = self.scan.text()?;
                let name = self.scan.text()?;
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(self.damaged("the name of a class"));
                };
                self.push_global(module, name)?;
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(function, arguments)?;
            }
            // BUILD
            b'b' => {
                let told = self.pop()?;
                match self.top_node()? {
                    Node::Call { state, .. } => *state = told,
                    // What dictionaries are told are attributes of no concern here, such as `_metadata` of a state dict.
                    Node::Dict(_) => {}
                    _ => return Err(self.damaged("an object that has a state")),
                }
            }
            // PERSID, BINPERSID
            b'P' => {
                let line = self.scan.line()?;
                self.push_node(Node::Persistent(text(line)))?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push_node(Node::Persistent(id))?;
            }
            _ => return Err(self.unknown(&format!("opcode {opcode:#04x}"))),
        }
        Ok(())
    }

    fn call(&mut self, function: Value<'a>, arguments: Value<'a>) -> Result<(), Error> {
        let (module, name) = match self.node(function) {
            Some(Node::Global { module, name }) => (*module, *name),
            _ => return Err(self.damaged("a class or function to call")),
        };
        let Some(Node::Tuple(items)) = self.node(arguments) else {
            return Err(self.damaged("a tuple of arguments"));
        };
        let last = items.last().copied();
        match (module, name) {
            ("collections", "OrderedDict" | "Counter" | "defaultdict") | (_, "dict") => {
                match last.and_then(|last| self.node(last)) {
                    // A dictionary is the same one: nobody changes it afterwards.
                    Some(Node::Dict(_)) => last.into_iter().for_each(|last| self.push(last)),
                    Some(Node::List(pairs)) => {
                        let pairs = pairs.clone();
                        self.spend(pairs.len())?;
                        let mut entries = Vec::with_capacity(pairs.len());
                        for pair in pairs {
                            match self.node(pair) {
                                Some(Node::List(pair) | Node::Tuple(pair)) if pair.len() == 2 => {
                                    entries.extend(pair.first().copied().zip(pair.last().copied()));
                                }
                                _ => return Err(self.damaged("a key and a value")),
                            }
                        }
                        self.push_node(Node::Dict(entries))?;
                    }
                    _ => self.push_node(Node::Dict(Vec::new()))?,
                }
            }
            ("collections", "deque") => {
                let items = match last.and_then(|last| self.node(last)) {
                    Some(Node::List(items)) => items.clone(),
                    _ => Vec::new(),
                };
                self.spend(items.len())?;
                self.push_node(Node::List(items))?;
            }
            _ => match (function, arguments) {
                (Value::Node(function), Value::Node(arguments)) => {
                    self.push_node(Node::Call { function, arguments, state: Value::None })?;
                }
                _ => return Err(self.damaged("a function and its arguments")),
            },
        }
        Ok(())
    }

    fn push_global(&mut self, module: &'a str, name: &'a str) -> Result<(), Error> {
        if !globals::is_known(module, name) {
            return Err(globals::refusal(module, name, self.at, &self.place()));
        }
        self.push_node(Node::Global { module, name })
    }

    /// The keys that lead to the value which comes next.
    fn place(&self) -> String {
        let mut keys = Vec::new();
        let mut end = self.stack.len();
        for start in self.marks.iter().rev().copied().chain([0]) {
            self.open_keys(start, end, &mut keys);
            end = start;
        }
        // The outermost ones say enough.
        let keys = keys.iter().rev().take(8).map(|key| key.chars().take(100).collect::<String>());
        keys.collect::<Vec<_>>().join(".")
    }

    /// The keys whose values are not complete, the innermost first, in a part of the stack between marks.
    fn open_keys(&self, start: usize, end: usize, keys: &mut Vec<&'a str>) {
        let entries = |value: &Value<'a>| match self.node(*value) {
            Some(Node::Dict(entries)) => Some(entries.len()),
            _ => None,
        };
        let is_in_dict =
            start.checked_sub(1).and_then(|below| self.stack.get(below)).and_then(entries).is_some();
        let mut open = self.stack.get(start..end).unwrap_or_default();
        // A container that is being filled is above its key.
        if let [below @ .., Value::Node(_)] = open {
            open = below;
        }
        while let [below @ .., Value::Text(key)] = open {
            match below {
                // A dictionary that is about to get its only entry.
                [below @ .., dict] if entries(dict) == Some(0) => open = below,
                _ if is_in_dict => open = &[],
                _ => break,
            }
            keys.push(key);
        }
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    fn push_node(&mut self, node: Node<'a>) -> Result<(), Error> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| self.too_large())?;
        self.nodes.push(node);
        self.push(Value::Node(Id(id)));
        Ok(())
    }

    fn push_tuple(&mut self, len: usize) -> Result<(), Error> {
        let start = self.stack.len().checked_sub(len).filter(|start| *start >= self.bottom());
        let start = start.ok_or_else(|| self.damaged("the items of a tuple"))?;
        let items = self.stack.drain(start..).collect();
        self.push_node(Node::Tuple(items))
    }

    fn parsed<T: FromStr>(&self, line: &[u8]) -> Result<T, Error> {
        let number = str::from_utf8(line).ok().and_then(|line| line.parse().ok());
        number.ok_or_else(|| self.damaged("a number"))
    }

    /// How long the stack was at the last mark: values below belong to others.
    fn bottom(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Value<'a>, Error> {
        let top = self.stack.get(self.bottom()..).and_then(<[_]>::last);
        top.copied().ok_or_else(|| self.damaged("a value"))
    }

    fn top_node(&mut self) -> Result<&mut Node<'a>, Error> {
        let Value::Node(Id(id)) = self.top()? else { return Err(self.damaged("a container")) };
        let at = self.at;
        self.nodes.get_mut(id as usize).ok_or_else(|| damaged(at, "a container"))
    }

    fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        let Value::Node(Id(id)) = value else { return None };
        self.nodes.get(id as usize)
    }

    fn pop(&mut self) -> Result<Value<'a>, Error> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// All values since the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, Error> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        let mark = mark.ok_or_else(|| self.damaged("a mark"))?;
        Ok(self.stack.drain(mark..).collect())
    }

    fn extend(&mut self, items: Vec<Value<'a>>) -> Result<(), Error> {
        match self.top_node()? {
            Node::List(list) | Node::Set(list) => list.extend(items),
            _ => return Err(self.damaged("a list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Value<'a>]) -> Result<(), Error> {
        let (pairs, rest) = items.as_chunks::<2>();
        match self.top_node()? {
            Node::Dict(entries) if rest.is_empty() => {
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            _ => return Err(self.damaged("a dictionary, keys and values")),
        }
        Ok(())
    }

    /// The number of a remembered value: a line, a byte, or four.
    fn index(&mut self, opcode: u8) -> Result<u32, Error> {
        Ok(match opcode {
            b'p' | b'g' => {
                let line = self.scan.line()?;
                self.parsed(line)?
            }
            b'q' | b'h' => u8::from_le_bytes(self.scan.array()?).into(),
            _ => u32::from_le_bytes(self.scan.array()?),
        })
    }

    fn put(&mut self, index: u32) -> Result<(), Error> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn spend(&mut self, values: usize) -> Result<(), Error> {
        self.left = self.left.checked_sub(values).ok_or_else(|| self.too_large())?;
        Ok(())
    }

    fn too_large(&self) -> Error {
        Error::Refused(format!(
            "the pickle holds far more than tensors: too many values up to byte {}. Save only the tensors: \
             `torch.save(model.state_dict(), \"model.pth\")`",
            self.at
        ))
    }

    fn damaged(&self, expected: &str) -> Error {
        damaged(self.at, expected)
    }

    fn unknown(&self, what: &str) -> Error {
        Error::Refused(format!(
            "the pickle has {what} at byte {}, which `torch.save` does not write",
            self.at
        ))
    }
}

fn damaged(at: usize, expected: &str) -> Error {
    Error::Malformed(format!("the pickle is damaged at byte {at}: there should be {expected}"))
}

fn text(bytes: &[u8]) -> Value<'_> {
    str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text)
}

fn long(bytes: &[u8]) -> Value<'_> {
    let mut wide = [if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        None => Value::Long(bytes),
    }
}
