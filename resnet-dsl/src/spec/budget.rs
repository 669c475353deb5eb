//! How much a spec may grow when its definitions are written out: a short text must not exhaust memory or time.

use std::cell::Cell;

use crate::diag::{Diagnostic, Diagnostics, Span};

/// The most blocks of a spec.
const MOST_BLOCKS: usize = 2_000;
/// The most layers of a spec.
const MOST_LAYERS: usize = 100_000;
/// How deep lists of layers may lie in layers.
const DEEPEST: usize = 16;
/// The most values, keys aside, of all layers.
const MOST_VALUES: usize = 1_000_000;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    blocks: Cell<usize>,
    layers: Cell<usize>,
    values: Cell<usize>,
    told: Cell<bool>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            blocks: Cell::new(MOST_BLOCKS),
            layers: Cell::new(MOST_LAYERS),
            values: Cell::new(MOST_VALUES),
            told: Cell::new(false),
        }
    }
}

impl Budget {
    /// Blocks that are left.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.get()
    }

    /// Takes so many blocks, which stand at `span`; if there are too many, says so.
    pub(super) fn take_blocks(&self, count: usize, span: Span, errors: &mut Diagnostics) -> Option<()> {
        let Some(rest) = self.blocks.get().checked_sub(count) else {
            errors.push(Diagnostic::new(format!("a spec has at most {MOST_BLOCKS} blocks"), span));
            return None;
        };
        self.blocks.set(rest);
        Some(())
    }

    /// Takes a layer; if there are too many, says so once.
    pub(super) fn take_layer(&self, span: Span, errors: &mut Diagnostics) -> Option<()> {
        self.take(&self.layers, 1, span, errors)
    }

    /// Whether a list may lie in so many layers; if not, says so once.
    pub(super) fn allows_depth(&self, depth: usize, span: Span, errors: &mut Diagnostics) -> bool {
        if depth > DEEPEST {
            self.refuse(format!("layers are nested more than {DEEPEST} deep"), span, errors);
        }
        depth <= DEEPEST
    }

    /// Takes values; if there are too many, says so once.
    pub(super) fn take_values(&self, count: usize, span: Span, errors: &mut Diagnostics) -> Option<()> {
        self.take(&self.values, count, span, errors)
    }

    fn take(&self, from: &Cell<usize>, count: usize, span: Span, errors: &mut Diagnostics) -> Option<()> {
        let rest = from.get().checked_sub(count);
        from.set(rest.unwrap_or(0));
        if rest.is_none() {
            let message = format!(
                "with all definitions written out, the spec has more than {MOST_LAYERS} layers or {MOST_VALUES} values"
            );
            self.refuse(message, span, errors);
        }
        rest.map(|_| ())
    }

    /// Tells the first excess only: there may be many more.
    fn refuse(&self, message: String, span: Span, errors: &mut Diagnostics) {
        if !self.told.replace(true) {
            errors.push(Diagnostic::new(message, span));
        }
    }
}
