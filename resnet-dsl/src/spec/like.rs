//! A spec that is like one that ships: what it says itself counts, all else is as there.

use crate::diag::{Diagnostic, Diagnostics};
use crate::shipped;
use crate::spec::fields::{Fields, wrong};
use crate::spec::tree::{Key, Kind, Node};
use crate::spec::yaml;

/// The whole spec of a tree with the key `like`, and the keys that are as in the spec that ships. Mistakes in what that says are
/// shown where it is named. `None` if the tree has no such key.
pub(super) fn whole(tree: &Node, errors: &mut Diagnostics) -> Option<(Node, Vec<String>)> {
    let Kind::Map(own) = &tree.kind else { return None };
    let like = Fields::of(tree, "a spec", &mut Diagnostics::default()).take("like")?;
    let base = base(like, errors).unwrap_or_default();
    let mut whole: Vec<(Key, Node)> = own.iter().filter(|(key, _)| key.text != "like").cloned().collect();
    let mut inherited = Vec::new();
    for (key, value) in base {
        match whole.iter_mut().find(|(own, _)| own.text == key.text) {
            Some((_, own)) if key.text == "names" => begin_as(own, value),
            Some(_) => {}
            None => {
                inherited.push(key.text.clone());
                whole.push((key, value));
            }
        }
    }
    Some((Node { kind: Kind::Map(whole), ..tree.clone() }, inherited))
}

/// The keys and values of the spec that ships.
fn base(like: &Node, errors: &mut Diagnostics) -> Option<Vec<(Key, Node)>> {
    let Some(name) = like.word() else {
        wrong(like, "the name of a spec that ships", errors);
        return None;
    };
    let Some(text) = shipped::get(name) else {
        let error = Diagnostic::new(format!("no spec `{name}` ships"), like.span);
        errors.push(error.help(shipped::likely(name)));
        return None;
    };
    match yaml::read(text).ok()?.at(like.span).kind {
        Kind::Map(map) => Some(map),
        _ => None,
    }
}

/// A map of patterns that names no scheme begins as the one that the other spec has.
fn begin_as(own: &mut Node, other: Node) {
    let Kind::Map(patterns) = &mut own.kind else { return };
    let has = |patterns: &[(Key, Node)], key: &str| patterns.iter().any(|(own, _)| own.text == key);
    if has(patterns, "like") {
        return;
    }
    match other.kind {
        Kind::Map(others) => {
            let new: Vec<_> = others.into_iter().filter(|(key, _)| !has(patterns, &key.text)).collect();
            patterns.extend(new);
        }
        _ => patterns.push((Key { text: "like".to_owned(), span: other.span }, other)),
    }
}
