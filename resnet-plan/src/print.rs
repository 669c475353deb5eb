//! `Display` of a plan: a report of where everything lies and what is done when. It is not read back.

use std::fmt;

use crate::element::Element;
use crate::pixels::plus;
use crate::plan::{Plan, View};
use crate::text::is_name;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = &self.description;
        match &description.name {
            name if is_name(name) => writeln!(f, "plan {name}")?,
            name => writeln!(f, "plan {name:?}")?,
        }
        writeln!(
            f,
            "arena {} bytes, {} more a thread, weights {} bytes, {} multiply-adds",
            description.peak_bytes, description.scratch_bytes, description.weight_bytes, description.macs
        )?;
        if !self.is_at_once() {
            writeln!(f, "sections:")?;
            for section in &self.sections {
                let (start, last) = (section.steps.start, section.steps.end.saturating_sub(1));
                let (passes, images) = (section.passes, self.images(section));
                writeln!(f, "  steps {start:>3}..{last:<3} {passes} x {images} image(s)")?;
            }
        }
        writeln!(f, "buffers:")?;
        for (index, buffer) in self.buffers.iter().enumerate() {
            let [first, last] = buffer.live;
            writeln!(
                f,
                "  {index:>3}: bytes {:>8}..{:<8} steps {first:>3}..{last:<3} {}{}",
                buffer.offset,
                plus(buffer.offset, buffer.bytes),
                buffer.name,
                if buffer.whole { " of all images" } else { "" }
            )?;
        }
        let mut block = None;
        for (index, step) in self.steps.iter().enumerate() {
            if block != Some(&step.block) {
                writeln!(f, "{}:", step.block)?;
                block = Some(&step.block);
            }
            write!(f, "  {index:>3}: {} = {}", step.name, step.action)?;
            if let Some(read) = &step.read {
                write!(f, " {read}")?;
            }
            if let Some(gate) = &step.gate {
                write!(f, " gated by {gate}")?;
            }
            writeln!(f, " -> {}", step.write)?;
        }
        Ok(())
    }
}

/// `#3 58x58x64 (1,1)+56x56`: buffer, tensor, and the value in it, unless that fills the tensor.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { buffer, element, dims: [n, h, w, c], at: [top, left], size: [height, width] } = self;
        write!(f, "#{buffer} ")?;
        if *element != Element::F32 {
            write!(f, "{element} ")?;
        }
        write!(f, "{n}x{h}x{w}x{c}")?;
        if self.is_dense() { Ok(()) } else { write!(f, " ({top},{left})+{height}x{width}") }
    }
}
