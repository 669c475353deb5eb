//! Text in diagrams: how wide it is at most, what fits, and what XML makes of it.

/// A font that diagrams use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Font {
    /// The diagram's name.
    Title,
    /// Names of stages and blocks.
    Heading,
    /// What a layer is.
    Body,
    /// What is beside that.
    Small,
}

impl Font {
    pub(crate) const ALL: [Font; 4] = [Font::Title, Font::Heading, Font::Body, Font::Small];

    pub(crate) fn class(self) -> &'static str {
        match self {
            Font::Title => "title",
            Font::Heading => "heading",
            Font::Body => "body",
            Font::Small => "small",
        }
    }

    /// In pixels.
    pub(crate) fn size(self) -> i32 {
        match self {
            Font::Title => 18,
            Font::Heading => 12,
            Font::Body => 11,
            Font::Small => 10,
        }
    }

    pub(crate) fn bold(self) -> bool {
        matches!(self, Font::Title | Font::Heading)
    }

    /// How many pixels a text takes at most. Fonts differ: these are the advances of DejaVu Sans, the widest of the common ones.
    pub(crate) fn width(self, text: &str) -> i32 {
        let ems: f64 = text.chars().map(advance).sum();
        let ems = if self.bold() { ems * 1.12 } else { ems };
        (ems * f64::from(self.size())).ceil() as i32
    }

    /// As much of a text's beginning as fits.
    pub(crate) fn fit(self, text: &str, room: i32) -> String {
        let kept = |count: usize| text.chars().take(count).collect::<String>() + "…";
        self.shorten(text, room, kept)
    }

    /// As much of a name's end as fits: whole parts of it, if they are half of that.
    pub(crate) fn fit_end(self, name: &str, room: i32) -> String {
        let length = name.chars().count();
        let kept = |count: usize| "…".to_owned() + &name.chars().skip(length - count).collect::<String>();
        let longest = self.shorten(name, room, kept);
        let end = longest.strip_prefix('…').unwrap_or_default();
        let parts = end.find(['.', '_', '/']).map(|at| format!("…{}", &end[at + 1..]));
        match parts {
            Some(parts) if longest != name && 2 * self.width(&parts) >= room => parts,
            _ => longest,
        }
    }

    /// As many of a list's parts as fit, and at least some of the first one.
    pub(crate) fn fit_list(self, list: &str, room: i32) -> String {
        let ends = list.match_indices(", ").map(|(at, _)| at).chain([list.len()]);
        let longest = ends.filter(|end| self.width(&list[..*end]) <= room).last();
        longest.map_or_else(|| self.fit(list, room), |end| list[..end].to_owned())
    }

    fn shorten(self, text: &str, room: i32, kept: impl Fn(usize) -> String) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let counts = (1..text.chars().count()).rev().map(kept);
        counts.into_iter().find(|text| self.width(text) <= room).unwrap_or_default()
    }
}

/// In em.
fn advance(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' => 0.3,
        ' ' | '.' | ',' | ':' | ';' | '/' | '\\' | '·' | '-' | '!' => 0.37,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' => 0.42,
        'w' | '+' | '=' | '×' | '<' | '>' | '#' | '~' | 'µ' => 0.84,
        'm' | 'M' | 'W' | '@' | '%' | '&' | '…' => 1.0,
        'A'..='Z' => 0.79,
        ' '..='~' => 0.64,
        _ => 1.1,
    }
}

/// Text as XML holds it. Characters that XML knows no way to write are left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("&#10;"),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => escaped.push(character),
        }
    }
    escaped
}

/// `56×56×64` of a batch of those.
pub(crate) fn shape([_, height, width, channels]: [usize; 4]) -> String {
    format!("{height}×{width}×{channels}")
}

/// `25.6 M`.
pub(crate) fn count(number: u64) -> String {
    let scaled = |unit: f64, letter: &str| {
        let value = number as f64 / unit;
        let decimals = if value < 10.0 { 2 } else { 1 };
        format!("{value:.decimals$} {letter}")
    };
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => scaled(1e3, "K"),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// `25.6 M parameters`.
pub(crate) fn parameters(number: u64) -> String {
    if number == 1 { "1 parameter".to_owned() } else { format!("{} parameters", count(number)) }
}

/// `1 block`, `3 blocks`.
pub(crate) fn several(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shortened_to_what_fits() {
        for font in Font::ALL {
            for room in 0..200 {
                for text in ["conv 3x3, stride 2, padding 1", "层".repeat(9).as_str(), "", "W"] {
                    for short in [font.fit(text, room), font.fit_end(text, room), font.fit_list(text, room)] {
                        assert!(font.width(&short) <= room, "{short} in {room}");
                    }
                }
            }
        }
        assert_eq!(Font::Body.fit_list("conv 3x3, stride 2, padding 1", 130), "conv 3x3, stride 2");
        assert_eq!(Font::Small.fit_end("stages.0.blocks.11", 80), "…0.blocks.11");
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(escape("<a b=\"c\">&'\u{1}\n"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;&#10;");
    }

    #[test]
    fn counts_have_a_unit() {
        assert_eq!([999, 1_500, 25_557_032, 4_089_184_256].map(count), ["999", "1.50 K", "25.6 M", "4.09 G"]);
    }
}
