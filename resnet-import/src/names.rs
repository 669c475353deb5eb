//! Names of values and tensors: such that graphs can be written with them, and each given once.

use std::collections::HashMap;

use resnet_plan::text::is_name;

/// Names that are taken, and how often each was asked for.
#[derive(Default)]
pub(crate) struct Names(HashMap<String, usize>);

impl Names {
    /// Whether it is taken.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// This name, or this with a number, which is taken from now on.
    pub(crate) fn give(&mut self, name: &str) -> String {
        let mut own = name.to_owned();
        while self.0.contains_key(&own) {
            let count = self.0.entry(name.to_owned()).or_insert(1);
            *count += 1;
            own = format!("{name}_{count}");
        }
        self.0.insert(own.clone(), 1);
        own
    }
}

/// A text as a name: characters that names do not have are underscores.
pub(crate) fn legal(text: &str) -> String {
    let name: String =
        text.chars().map(|c| if is_name(c.encode_utf8(&mut [0; 4])) { c } else { '_' }).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

#[test]
fn names_are_legal_and_given_once() {
    let mut names = Names::default();
    let given = ["a b", "a_b_2", "a:b", "a b", ""].map(|name| names.give(&legal(name)));
    assert_eq!(given, ["a_b", "a_b_2", "a_b_3", "a_b_4", "_"]);
}
