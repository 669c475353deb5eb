//! Makes a tree smaller as long as something stays true of it, by changes that know nothing of what it stands for.
//!
//! ```text
//! until no change is kept:
//!     for each node: leave out an item or an entry; halve a number, take one off it
//! ```

use super::tree::Tree;

/// A tree of which `holds` is true, as it is of `tree`, and of no change of it.
pub(crate) fn shrink(mut tree: Tree, mut holds: impl FnMut(&Tree) -> bool) -> Tree {
    loop {
        let (mut index, mut changed) = (0, false);
        // A change that is kept leaves the next one in its place.
        while let Some(smaller) = changes(&tree).into_iter().nth(index) {
            if holds(&smaller) {
                (tree, changed) = (smaller, true);
            } else {
                index += 1;
            }
        }
        if !changed {
            return tree;
        }
    }
}

/// All changes of a tree, the outer ones first.
fn changes(tree: &Tree) -> Vec<Tree> {
    match tree {
        Tree::Word(_) => Vec::new(),
        Tree::Number(number) => {
            let smaller = [number / 2, number.saturating_sub(1)].into_iter();
            smaller.filter(|smaller| smaller < number).map(Tree::Number).collect()
        }
        Tree::List(items) => {
            let inner = |place: usize| {
                let replaced = move |smaller| with(items, place, Some(smaller));
                changes(&items[place]).into_iter().map(replaced)
            };
            let places = || 0..items.len();
            let lists = places().map(|place| with(items, place, None)).chain(places().flat_map(inner));
            lists.map(Tree::List).collect()
        }
        Tree::Map(entries) => {
            let inner = |place: usize| {
                let (key, value) = &entries[place];
                let replaced = move |smaller| with(entries, place, Some((key.clone(), smaller)));
                changes(value).into_iter().map(replaced)
            };
            let places = || 0..entries.len();
            let maps = places().map(|place| with(entries, place, None)).chain(places().flat_map(inner));
            maps.map(Tree::Map).collect()
        }
    }
}

/// The items with another one, or none, at a place.
fn with<T: Clone>(items: &[T], place: usize, item: Option<T>) -> Vec<T> {
    let mut items = items.to_vec();
    items.splice(place..=place, item);
    items
}

#[test]
fn what_matters_is_left() {
    let strides = |stride| Tree::one("stride", Tree::Number(stride));
    let tree = Tree::List(vec![Tree::word("flatten"), strides(2), strides(7), Tree::List(Vec::new())]);
    let is_large = |item: &Tree| matches!(item.get("stride"), Some(Tree::Number(3..)));
    let found = shrink(tree, |tree| matches!(tree, Tree::List(items) if items.iter().any(is_large)));
    assert_eq!(found.to_string(), "[{stride: 3}]");
}
