//! How layers without names of their own are called.

use std::collections::HashMap;

use crate::diag::Span;
use crate::spec::lower::Lowering;
use crate::spec::names::{Name, Place};

/// A part of the network within which names are counted: a block, or all that is outside blocks.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// What it is called.
    pub(super) block: String,
    /// Where the block stands.
    pub(super) used: Option<Span>,
    /// Whether a shortcut is being lowered.
    pub(super) shortcut: bool,
    /// Stage, and the block's name in it; `None` outside.
    place: Option<(usize, String)>,
    /// Convolutions.
    convs: usize,
    /// Norms that stand alone.
    norms: usize,
    /// How often each name was given.
    given: HashMap<String, usize>,
}

impl Section {
    /// Stem or head.
    pub(super) fn outside(name: &str) -> Self {
        Section {
            block: name.to_owned(),
            used: None,
            shortcut: false,
            place: None,
            convs: 0,
            norms: 0,
            given: HashMap::new(),
        }
    }

    /// A block of a stage, which stands at `used`.
    pub(super) fn block(stage: usize, name: String, used: Span) -> Self {
        Section { used: Some(used), place: Some((stage, name)), ..Section::outside("") }
    }

    /// Whether it is a block.
    pub(super) fn is_block(&self) -> bool {
        self.place.is_some()
    }
}

/// The names of a convolution and what follows it.
pub(super) struct ConvNames {
    pub(super) conv: String,
    pub(super) norm: String,
    pub(super) activation: String,
}

impl Lowering<'_> {
    /// A name of the scheme.
    pub(super) fn pattern(&self, name: Name) -> String {
        self.names.name(name, self.place(self.section.convs))
    }

    /// A name that the spec gives, with its placeholders filled in.
    pub(super) fn fill(&self, name: &str) -> String {
        self.names.fill(name, self.place(self.section.convs))
    }

    /// The name of a layer of this kind: its own, or the kind's.
    pub(super) fn called(&mut self, own: Option<&String>, kind: &str) -> String {
        match own {
            Some(own) => self.fill(own),
            None if self.section.is_block() => self.unique(format!("{}.{kind}", self.section.block)),
            None => self.unique(kind.to_owned()),
        }
    }

    /// The name of a layer that has a pattern in the scheme, outside blocks.
    pub(super) fn called_as(&mut self, own: Option<&String>, name: Name, kind: &str) -> String {
        match own {
            None if !self.section.is_block() => self.unique(self.pattern(name)),
            _ => self.called(own, kind),
        }
    }

    /// The name of a norm that stands alone: these count by themselves.
    pub(super) fn norm_name(&mut self, own: Option<&String>) -> String {
        self.section.norms += usize::from(own.is_none());
        let pattern = if self.section.is_block() { Name::Norm } else { Name::StemNorm };
        match own {
            Some(own) => self.fill(own),
            None => self.names.name(pattern, self.place(self.section.norms)),
        }
    }

    /// The names of a convolution. In the branches of blocks, those are counted that have no name of their own, or one with a number.
    pub(super) fn conv_names(&mut self, own: Option<&String>, norm: Option<&String>) -> ConvNames {
        let has_number = || own.is_none_or(|own| own.contains("{conv}") || own.contains("{letter}"));
        let (scheme, counts) = match (self.section.is_block(), self.section.shortcut) {
            (false, _) => ([Name::StemConv, Name::StemNorm, Name::StemRelu], true),
            (true, false) => ([Name::Conv, Name::Norm, Name::Relu], has_number()),
            (true, true) => ([Name::Shortcut, Name::ShortcutNorm, Name::Relu], false),
        };
        self.section.convs += usize::from(counts);
        let conv = match own {
            Some(own) => self.fill(own),
            None => self.conv_pattern(scheme[0], counts),
        };
        let norm = match norm {
            Some(norm) => self.fill(norm),
            None if counts || own.is_none() => self.conv_pattern(scheme[1], counts),
            None => format!("{conv}.norm"),
        };
        let activation = match counts {
            true => self.pattern(scheme[2]),
            false => format!("{conv}.activation"),
        };
        ConvNames { conv, norm, activation }
    }

    /// A name of the scheme; where the convolutions are not counted, the second one has a number.
    fn conv_pattern(&mut self, name: Name, counts: bool) -> String {
        let name = self.pattern(name);
        if counts { name } else { self.unique(name) }
    }

    /// The name, with a number if it was given before.
    pub(super) fn unique(&mut self, name: String) -> String {
        let given = self.section.given.entry(name.clone()).or_default();
        *given += 1;
        if *given == 1 { name } else { format!("{name}_{given}") }
    }

    fn place(&self, conv: usize) -> Place<'_> {
        let (stage, block) = match &self.section.place {
            Some((stage, block)) => (*stage, block.as_str()),
            None => (0, ""),
        };
        Place { stage, block, conv, classes: self.classes.unwrap_or(0) }
    }
}
