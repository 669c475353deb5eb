//! What a diagram is made of: boxes in boxes, with lines and text.

use std::fmt::Write as _;

use super::text::{Font, escape};

/// Right, down; in pixels, from the corner of the box that it is in.
pub(crate) type Point = (i32, i32);

/// A box, and all that lies in it.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The names of its rules.
    pub(crate) class: String,
    pub(crate) at: Point,
    /// Width, height.
    pub(crate) size: Point,
    /// Radius of its corners.
    pub(crate) radius: i32,
    pub(crate) tooltip: String,
    /// The layer that it is.
    pub(crate) layer: Option<String>,
    pub(crate) lines: Vec<Line>,
    pub(crate) texts: Vec<Text>,
    pub(crate) children: Vec<Group>,
}

/// A value on its way.
#[derive(Debug)]
pub(crate) struct Line {
    /// Corners of a path of horizontal and vertical pieces.
    pub(crate) points: Vec<Point>,
    /// The layer that computes the value.
    pub(crate) from: String,
    /// The layer that needs it; none where it goes on to another line.
    pub(crate) to: Option<String>,
    pub(crate) arrow: bool,
}

#[derive(Debug)]
pub(crate) struct Text {
    /// Start of the baseline, or its end.
    pub(crate) at: Point,
    pub(crate) font: Font,
    /// Whether `at` is its end.
    pub(crate) right: bool,
    /// Whether it stands back.
    pub(crate) muted: bool,
    pub(crate) text: String,
}

impl Text {
    pub(crate) fn new(at: Point, font: Font, text: impl Into<String>) -> Text {
        Text { at, font, right: false, muted: false, text: text.into() }
    }

    pub(crate) fn muted(self) -> Text {
        Text { muted: true, ..self }
    }

    pub(crate) fn aligned_right(self) -> Text {
        Text { right: true, ..self }
    }

    /// Its first and last pixel.
    pub(crate) fn span(&self) -> (i32, i32) {
        let width = self.font.width(&self.text);
        let start = if self.right { self.at.0 - width } else { self.at.0 };
        (start, start + width)
    }
}

impl Group {
    /// A diagram of this size and name, with what stands in `style`.
    pub(crate) fn diagram(&self, label: &str, style: &str) -> String {
        let (width, height) = self.size;
        let mut xml = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n",
            escape(label)
        );
        if !style.is_empty() {
            let _ = write!(xml, "<style>\n{style}</style>\n");
        }
        self.draw(&mut xml);
        xml + "</svg>\n"
    }

    fn draw(&self, xml: &mut String) {
        let Group { class, at: (x, y), size: (width, height), radius, .. } = self;
        let _ = write!(xml, "<g class=\"{class}\"");
        if self.at != (0, 0) {
            let _ = write!(xml, " transform=\"translate({x},{y})\"");
        }
        if let Some(layer) = &self.layer {
            let _ = write!(xml, " data-layer=\"{}\"", escape(layer));
        }
        let _ = write!(xml, ">");
        if !self.tooltip.is_empty() {
            let _ = write!(xml, "<title>{}</title>", escape(&self.tooltip));
        }
        let _ = write!(xml, "<rect width=\"{width}\" height=\"{height}\"");
        if *radius > 0 {
            let _ = write!(xml, " rx=\"{radius}\"");
        }
        let _ = writeln!(xml, "/>");
        self.lines.iter().for_each(|line| line.draw(xml));
        self.texts.iter().for_each(|text| text.draw(xml));
        self.children.iter().for_each(|child| child.draw(xml));
        let _ = writeln!(xml, "</g>");
    }
}

impl Text {
    fn draw(&self, xml: &mut String) {
        let (x, y) = self.at;
        let class = self.font.class();
        let muted = if self.muted { " muted" } else { "" };
        let anchor = if self.right { " text-anchor=\"end\"" } else { "" };
        let text = escape(&self.text);
        let _ = writeln!(xml, "<text class=\"{class}{muted}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>");
    }
}

/// Of rounded corners.
const RADIUS: i32 = 5;

impl Line {
    fn draw(&self, xml: &mut String) {
        let mut path = String::new();
        let points = &self.points;
        for (index, &(x, y)) in points.iter().enumerate() {
            let corner =
                index.checked_sub(1).and_then(|before| points.get(before)).zip(points.get(index + 1));
            match corner {
                None if index == 0 => drop(write!(path, "M{x} {y}")),
                None => drop(write!(path, "L{x} {y}")),
                Some((&before, &after)) => {
                    let (from, to) = (toward((x, y), before), toward((x, y), after));
                    let _ = write!(path, "L{} {}Q{x} {y} {} {}", from.0, from.1, to.0, to.1);
                }
            }
        }
        let _ = write!(xml, "<g class=\"line\" data-from=\"{}\"", escape(&self.from));
        if let Some(to) = &self.to {
            let _ = write!(xml, " data-to=\"{}\"", escape(to));
        }
        let _ = write!(xml, "><title>{}</title><path d=\"{path}\"/>", escape(&self.from));
        if let (true, [.., before, (x, y)]) = (self.arrow, &points[..]) {
            let (dx, dy) = ((x - before.0).signum(), (y - before.1).signum());
            let [left, right] = [1, -1].map(|side| (x - 6 * dx + 3 * side * dy, y - 6 * dy + 3 * side * dx));
            let _ = write!(
                xml,
                "<path class=\"tip\" d=\"M{x} {y}L{} {}L{} {}z\"/>",
                left.0, left.1, right.0, right.1
            );
        }
        let _ = writeln!(xml, "</g>");
    }
}

/// Where a corner begins: a little toward a neighbour, at most half of the way.
fn toward((x, y): Point, (to_x, to_y): Point) -> Point {
    let step = |from: i32, to: i32| (to - from).signum() * RADIUS.min((to - from).abs() / 2);
    (x + step(x, to_x), y + step(y, to_y))
}
