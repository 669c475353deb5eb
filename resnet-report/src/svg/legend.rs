//! What colours mean.

use crate::report::Report;

use super::kinds::Kind;
use super::scene::{Group, Text};
use super::text::Font;

const BETWEEN: i32 = 18;
const LINE: i32 = 18;

/// The kinds that the graph has, in rows of at most this width; `class` is that of their boxes.
pub(crate) fn legend(report: &Report, class: &str, width: i32) -> Group {
    let mut group = Group { class: "bare".to_owned(), ..Group::default() };
    let fused =
        report.layers.iter().flat_map(|layer| layer.fused.iter().map(|fused| fused.operator.as_str()));
    let operators: Vec<&str> =
        report.layers.iter().map(|layer| layer.operator.as_str()).chain(fused).collect();
    let (mut x, mut y) = (0, 0);
    for kind in Kind::ALL {
        if !operators.iter().any(|operator| Kind::of(operator) == kind) {
            continue;
        }
        let needed = 20 + Font::Small.width(kind.title());
        if x > 0 && x + needed > width {
            (x, y) = (0, y + LINE);
        }
        let class = format!("{class} {}", kind.class());
        group.children.push(Group { class, at: (x, y + 2), size: (14, 12), radius: 3, ..Group::default() });
        group.texts.push(Text::new((x + 20, y + 12), Font::Small, kind.title()));
        x += needed + BETWEEN;
        group.size = (group.size.0.max(x - BETWEEN), y + LINE);
    }
    group
}
