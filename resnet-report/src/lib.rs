//! What the compiler made of a spec, as data ([`Report`]), as a diagram and as a page.
//!
//! [`Report::new`] asks the compiler; everything else is made from the report alone, so what is drawn is what the JSON says.
#![forbid(unsafe_code)]

mod collect;
mod fused;
mod html;
mod report;
mod svg;

pub use html::html;
pub use report::*;
pub use svg::{Detail, legend_svg, stage_svgs, style, svg};
