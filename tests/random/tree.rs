//! A spec as a tree: what is drawn, what is shrunk, and, printed, what is compiled.

use std::fmt;

/// A node of YAML.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Number(usize),
    Word(String),
    List(Vec<Tree>),
    Map(Map),
}

/// Keys and values, in the order of the text.
pub(crate) type Map = Vec<(String, Tree)>;

impl Tree {
    pub(crate) fn word(word: &str) -> Tree {
        Tree::Word(word.to_owned())
    }

    /// A map of one key.
    pub(crate) fn one(key: &str, value: Tree) -> Tree {
        Tree::Map(vec![(key.to_owned(), value)])
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        let Tree::Map(map) = self else { return None };
        map.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The list under a key of a map; an empty one is added if there is none.
    pub(crate) fn list(&mut self, key: &str) -> &mut Vec<Tree> {
        let Tree::Map(map) = self else { panic!("not a map: {self}") };
        let place = map.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            map.push((key.to_owned(), Tree::List(Vec::new())));
            map.len() - 1
        });
        match &mut map[place].1 {
            Tree::List(list) => list,
            other => panic!("`{key}` is not a list: {other}"),
        }
    }

    /// The text of a spec: a key a line, lists an item a line.
    pub(crate) fn text(&self) -> String {
        let Tree::Map(map) = self else { return self.to_string() };
        let line = |(key, value): &(String, Tree)| match value {
            Tree::List(items) if !items.is_empty() => {
                let items: String = items.iter().map(|item| format!("  - {item}\n")).collect();
                format!("{key}:\n{items}")
            }
            _ => format!("{key}: {value}\n"),
        };
        map.iter().map(line).collect()
    }
}

/// In one line.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |items: Vec<String>| items.join(", ");
        match self {
            Tree::Number(number) => write!(f, "{number}"),
            Tree::Word(word) => f.write_str(word),
            Tree::List(items) => write!(f, "[{}]", join(items.iter().map(Tree::to_string).collect())),
            Tree::Map(map) => {
                let entries = map.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                write!(f, "{{{}}}", join(entries))
            }
        }
    }
}
