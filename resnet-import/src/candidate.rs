//! A spec that a file may be of, and what it computes with.

use std::path::{Path, PathBuf};

use resnet_dsl::ir::Graph;
use resnet_dsl::spec::Overrides;
use resnet_dsl::spec::names::USUAL;
use resnet_dsl::{Spec, shipped};

use crate::error::Error;
use crate::passes;
use crate::slots::{self, Slot};

/// A preprocessing that is one of images of any channels.
pub(crate) const OPEN: &str = "preprocessing: {}";

/// A spec's text, and where it is from.
#[derive(Clone, Debug)]
pub struct Like {
    /// The name of a spec that ships, or the path of a file.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Where the files are that it names; `None`: it ships.
    pub folder: Option<PathBuf>,
}

/// Which specs a file may be of.
#[derive(Clone, Copy, Debug)]
pub enum Specs<'a> {
    /// This one: the caller knows it.
    Only(&'a Like),
    /// One of these, if any.
    Any(&'a [Like]),
}

/// A spec as a network.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The spec.
    pub like: Like,
    /// Its graph: see [`passes::typed`].
    pub graph: Graph,
    /// Its tensors, in the order of the graph.
    pub slots: Vec<Slot>,
    /// How many classes there are, if the spec says it.
    pub classes: Option<usize>,
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Endings of tensors that a file may hold beside these.
    pub ignored: Vec<String>,
}

impl Like {
    /// All specs that ship.
    pub fn shipped() -> impl Iterator<Item = Like> {
        shipped::names().filter_map(|name| {
            let text = shipped::get(name)?.to_owned();
            Some(Like { name: name.to_owned(), text, folder: None })
        })
    }

    /// What sorts that one first which a file is most likely of, as far as its place tells: one of the folder that the name of the
    /// file or of its folder speaks of; else one of the folder that has the name of the [usual](USUAL) scheme, as most files do.
    pub(crate) fn preference(&self, path: &Path) -> (bool, bool, String) {
        let folder = self.name.split_once('/').map_or("", |(folder, _)| folder);
        let places = [path.file_name(), path.parent().and_then(Path::file_name)];
        let told = places.into_iter().flatten().any(|place| says(&place.to_string_lossy(), folder));
        (!told, folder != USUAL, self.name.clone())
    }

    /// Whether it ships.
    pub fn ships(&self) -> bool {
        self.folder.is_none()
    }

    /// The text of a file beside it.
    pub(crate) fn read(&self, file: &str) -> Result<String, String> {
        let folder = self.folder.as_deref().ok_or("a spec that ships has no files beside it")?;
        std::fs::read_to_string(folder.join(file)).map_err(|error| error.to_string())
    }
}

impl<'a> Specs<'a> {
    /// All that a file may be of.
    pub(crate) fn all(self) -> &'a [Like] {
        match self {
            Specs::Only(like) => std::slice::from_ref(like),
            Specs::Any(likes) => likes,
        }
    }
}

impl Candidate {
    /// What a spec stands for.
    ///
    /// # Errors
    /// The spec's mistakes, or why it cannot be what is asked for instead.
    pub(crate) fn parse(like: &Like, overrides: &Overrides) -> Result<Self, Error> {
        // For images of other channels, a spec needs another preprocessing, which says nothing about the graph.
        let open = format!("name: open\nlike: {}\n{OPEN}\n", like.name);
        let text = if like.ships() && overrides.input.is_some() { &open } else { &like.text };
        let spec = Spec { name: &like.name, text, overrides };
        let parsed = spec.parse(&mut |file| like.read(file)).map_err(|errors| {
            let text = errors.render(&like.name, &like.text);
            Error::Unsupported(format!("{} cannot be compiled\n\n{text}", like.name))
        })?;
        let graph = passes::typed(&parsed.graph)?;
        let [_, height, width, channels] = parsed.input;
        Ok(Candidate {
            slots: slots::slots(&graph),
            like: like.clone(),
            graph,
            classes: parsed.classes,
            input: [height, width, channels],
            ignored: parsed.metadata.ignored,
        })
    }

    /// The same for another number of classes.
    ///
    /// # Errors
    /// As [`Candidate::parse`].
    pub(crate) fn with_classes(&self, classes: usize) -> Result<Self, Error> {
        Candidate::parse(&self.like, &Overrides { classes: Some(classes), ..Overrides::default() })
    }
}

/// Whether a text has a word that stands alone.
fn says(text: &str, word: &str) -> bool {
    let alone = |neighbor: Option<char>| !neighbor.is_some_and(char::is_alphanumeric);
    !word.is_empty()
        && text.match_indices(word).any(|(start, _)| {
            alone(text[..start].chars().next_back()) && alone(text[start + word.len()..].chars().next())
        })
}

#[test]
fn files_speak_of_folders_in_whole_words() {
    let like = Like { name: "timm/resnet18".to_owned(), text: String::new(), folder: None };
    for (path, told) in [
        ("/home/timmy/x.pth", false),
        ("/home/timm/models/x.pth", false),
        ("timmy.pth", false),
        ("x.pth", false),
        ("timm_resnet18.pth", true),
        ("models/resnet18.timm.pth", true),
        ("/models/timm/x.pth", true),
    ] {
        assert_eq!(like.preference(Path::new(path)).0, !told, "{path}");
    }
}

#[test]
fn specs_that_ship_can_be_of_other_channels() {
    for like in Like::shipped() {
        for channels in [1, 3, 4] {
            let overrides = Overrides { input: Some([224, 224, channels]), ..Overrides::default() };
            Candidate::parse(&like, &overrides).unwrap();
        }
    }
}

/// Other specs that a file may be of, in words, and how to choose them: "a and b have", "if it is one of these, add --like a".
pub(crate) fn others(names: &[String]) -> Option<[String; 2]> {
    match names {
        [] => None,
        [only] => Some([format!("{only} has"), format!("if it is that, add --like {only}")]),
        [first, .., last] => {
            let all = names[..names.len() - 1].join(", ");
            Some([
                format!("{all} and {last} have"),
                format!("if it is one of these, add its name, as --like {first}"),
            ])
        }
    }
}

/// A candidate in words, up to one of its values if that is its output.
pub(crate) fn network(name: &str, candidate: &Candidate, output: Option<&str>) -> String {
    let [height, width, channels] = candidate.input;
    let graph = &candidate.graph;
    let scores = graph.output().and_then(|value| Some(graph.node(value).ty?.dims[3]));
    let what = match (output, candidate.classes.filter(|classes| Some(*classes) == scores)) {
        (Some(output), _) => format!(" up to {output}"),
        (None, Some(classes)) => format!(" with {classes} classes"),
        (None, None) => String::new(),
    };
    format!("{name}{what}, input {height}x{width}x{channels}")
}
