//! Kinds of operators, and their colours in light and in dark.

use std::fmt::Write as _;

use super::text::Font;

/// What operators have in common for someone who looks at a diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Product,
    Norm,
    Activation,
    Add,
    Multiply,
    Pool,
    Data,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Product, Kind::Norm, Kind::Activation, Kind::Add, Kind::Multiply, Kind::Pool, Kind::Data];

    pub(crate) fn of(operator: &str) -> Kind {
        match operator {
            "conv2d" | "channel_conv" | "dense" => Kind::Product,
            "batch_norm" | "group_norm" | "l2_normalize" => Kind::Norm,
            "add" => Kind::Add,
            "multiply" => Kind::Multiply,
            "max_pool" | "average_pool" | "statistics_pool" | "gem_pool" | "blur" => Kind::Pool,
            "input" | "zero_pad" | "subsample" | "upsample" | "flatten" | "convert" => Kind::Data,
            _ => Kind::Activation,
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Kind::Product => "product",
            Kind::Norm => "norm",
            Kind::Activation => "activation",
            Kind::Add => "add",
            Kind::Multiply => "multiply",
            Kind::Pool => "pool",
            Kind::Data => "data",
        }
    }

    /// As the legend calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::Product => "convolution, dense",
            Kind::Norm => "norm",
            Kind::Activation => "activation",
            Kind::Add => "add",
            Kind::Multiply => "multiply",
            Kind::Pool => "pool, blur",
            Kind::Data => "input, pad, resize, convert",
        }
    }

    /// Its area.
    fn fill(self) -> Color {
        match self {
            Kind::Product => Color("#cfe2fb", "#1d3f6b"),
            Kind::Norm => Color("#ecd9fb", "#4d2f75"),
            Kind::Activation => Color("#fde3b8", "#5a3f10"),
            Kind::Add => Color("#c4edd0", "#17492b"),
            Kind::Multiply => Color("#fbd3e2", "#5e2140"),
            Kind::Pool => Color("#c2ebea", "#124849"),
            Kind::Data => Color("#e4e7eb", "#343b45"),
        }
    }

    /// Its border.
    fn stroke(self) -> Color {
        match self {
            Kind::Product => Color("#2f6fbf", "#6ea8f0"),
            Kind::Norm => Color("#9440d0", "#c28bf5"),
            Kind::Activation => Color("#b06d0a", "#e0a94a"),
            Kind::Add => Color("#23824a", "#5cc585"),
            Kind::Multiply => Color("#b83370", "#f08ab5"),
            Kind::Pool => Color("#137c7c", "#4fc4c4"),
            Kind::Data => Color("#6b7580", "#98a3af"),
        }
    }
}

/// A colour in light and in dark.
#[derive(Clone, Copy, Debug)]
struct Color(&'static str, &'static str);

const TEXT: Color = Color("#1c2128", "#e9edf2");
const MUTED: Color = Color("#434b55", "#bcc5cf");
const LINE: Color = Color("#5d6874", "#8b97a4");
const PAGE: Color = Color("#ffffff", "#15181d");
const STAGE: Color = Color("#f4f6f8", "#1b1f26");
const BLOCK: Color = Color("#ffffff", "#22272f");
const BORDER: Color = Color("#cdd4db", "#3a434e");

/// The rules of a file: light, or dark where that is preferred.
pub(crate) fn file_style() -> String {
    let mut style = fonts();
    style += &colors(&|color| color.0.to_owned());
    let _ =
        write!(style, "@media (prefers-color-scheme: dark) {{\n{}}}\n", colors(&|color| color.1.to_owned()));
    style
}

/// The rules of diagrams in a page: light or dark as the page is.
pub(crate) fn page_style() -> String {
    fonts() + &colors(&|color| format!("light-dark({}, {})", color.0, color.1))
}

fn fonts() -> String {
    let mut rules = ".graph text { font-family: system-ui, sans-serif; }\n".to_owned();
    for font in Font::ALL {
        let (class, size, weight) = (font.class(), font.size(), if font.bold() { 600 } else { 400 });
        let _ = writeln!(rules, ".graph .{class} {{ font-size: {size}px; font-weight: {weight}; }}");
    }
    rules
}

fn colors(css: &dyn Fn(Color) -> String) -> String {
    let mut rules = String::new();
    let [text, muted, line, page] = [TEXT, MUTED, LINE, PAGE].map(css);
    let [stage, block, border] = [STAGE, BLOCK, BORDER].map(css);
    let _ = write!(
        rules,
        ".graph text {{ fill: {text}; }}\n\
         .graph text.muted {{ fill: {muted}; }}\n\
         .graph .page > rect {{ fill: {page}; }}\n\
         .graph .stage > rect {{ fill: {stage}; stroke: {border}; }}\n\
         .graph .block > rect {{ fill: {block}; stroke: {border}; }}\n\
         .graph .bare > rect {{ fill: none; }}\n\
         .graph .tag > rect {{ fill: {block}; stroke: {line}; }}\n\
         .graph .line path {{ fill: none; stroke: {line}; stroke-width: 1.5; }}\n\
         .graph .line .tip {{ fill: {line}; stroke: none; }}\n"
    );
    for kind in Kind::ALL {
        let [class, fill, stroke] = [kind.class().to_owned(), css(kind.fill()), css(kind.stroke())];
        let _ = writeln!(rules, ".graph .{class} > rect {{ fill: {fill}; stroke: {stroke}; }}");
        let _ = writeln!(rules, ".graph .mark.{class} > rect {{ fill: {stroke}; stroke: none; }}");
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As WCAG 2 defines it.
    fn luminance(color: &str) -> f64 {
        let linear = |at: usize| {
            let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let [one, other] = [one, other].map(luminance);
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn assert_contrast(one: Color, other: Color, least: f64) {
        assert!(contrast(one.0, other.0) >= least, "{one:?} {other:?} in light");
        assert!(contrast(one.1, other.1) >= least, "{one:?} {other:?} in dark");
    }

    #[test]
    fn text_and_lines_have_the_contrast_of_wcag_aa() {
        for kind in Kind::ALL {
            assert_contrast(TEXT, kind.fill(), 4.5);
            assert_contrast(MUTED, kind.fill(), 4.5);
            assert_contrast(kind.stroke(), kind.fill(), 2.5);
            assert_contrast(kind.stroke(), BLOCK, 3.0);
        }
        for area in [PAGE, STAGE, BLOCK] {
            assert_contrast(TEXT, area, 4.5);
            assert_contrast(MUTED, area, 4.5);
            assert_contrast(LINE, area, 3.0);
        }
    }
}
