//! Diagnostics: what is wrong, where, and what to do. They accumulate, so that one run reports every mistake.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A range of bytes in the source text; the empty default stands for "no place".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub message: String,
    /// Places, the first being the mistake's own; each with what is to be seen there (may be empty).
    pub labels: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// What it means for the rest.
    pub severity: Severity,
}

/// What a mistake means for the rest of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What stands around it cannot be understood.
    Error,
    /// An error, but what stands around it is clear, as around an unknown key.
    Minor,
    /// Something that has no effect: the text can be used.
    Warning,
}

/// All mistakes of one source text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    serious: usize,
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(message: impl Into<String>, span: Span) -> Self {
        Diagnostic {
            message: message.into(),
            labels: vec![(span, String::new())],
            help: None,
            severity: Severity::Error,
        }
    }

    /// The same, marked as one that leaves all around it clear.
    pub fn minor(mut self) -> Self {
        self.severity = Severity::Minor;
        self
    }

    /// The same, marked as a warning.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same with a note at its own place.
    pub fn label(mut self, note: impl Into<String>) -> Self {
        self.labels[0].1 = note.into();
        self
    }

    /// The same with a second place.
    pub fn also(mut self, span: Span, note: impl Into<String>) -> Self {
        self.labels.push((span, note.into()));
        self
    }

    /// The same with advice.
    pub fn help(mut self, advice: impl Into<String>) -> Self {
        self.help = Some(advice.into());
        self
    }
}

impl Diagnostic {
    fn render(&self, origin: &str, text: &str, renderer: &Renderer) -> String {
        let (title, level) = match self.severity {
            Severity::Error | Severity::Minor => ("error", Level::ERROR),
            Severity::Warning => ("warning", Level::WARNING),
        };
        let (message, help) = (short(&self.message), self.help.as_deref().map(short));
        if self.labels[0].0 == Span::default() {
            let help = help.map(|help| format!("\n  = help: {help}"));
            return format!("{title}: {message}{}", help.unwrap_or_default());
        }
        let mut snippet = Snippet::source(text).path(origin);
        for (index, (span, note)) in self.labels.iter().enumerate() {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(within(*span, text));
            snippet =
                snippet.annotation(if note.is_empty() { annotation } else { annotation.label(short(note)) });
        }
        let mut group: Group<'_> = level.primary_title(message).element(snippet);
        if let Some(help) = help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

/// A message in which words and quotations of the user's text are not longer than need be.
fn short(message: &str) -> String {
    const MOST: usize = 200;
    let cut = |part: &str| match part.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}..", &part[..end]),
        None => part.to_owned(),
    };
    let quotations = message.split('`').enumerate();
    let parts = quotations.map(|(index, part)| if index % 2 == 1 { cut(part) } else { part.to_owned() });
    let message = parts.collect::<Vec<_>>().join("`");
    message.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

/// A span as a range that begins and ends inside the text and between letters.
fn within(span: Span, text: &str) -> std::ops::Range<usize> {
    let floor = |mut place: usize| {
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        place
    };
    let start = floor(span.start.min(text.len()));
    start..floor(span.end.clamp(start, text.len())).max(start)
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.serious += usize::from(diagnostic.severity == Severity::Error);
        self.list.push(diagnostic);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Diagnostics) {
        self.serious += other.serious;
        self.list.extend(other.list);
    }

    /// How many there are that leave something unclear.
    pub fn serious(&self) -> usize {
        self.serious
    }

    /// Whether one has this place as its own.
    pub fn mentions(&self, place: Span) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.labels.first().is_some_and(|(span, _)| *span == place))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.list.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.labels.first().map(|(span, _)| span.start));
        sorted.into_iter()
    }

    /// All as rustc would show them: message, file, line, column and the line's text. `origin` names the file.
    pub fn render(&self, origin: &str, text: &str) -> String {
        self.render_by(origin, text, &Renderer::plain())
    }

    /// The same in colors, as terminals show them.
    pub fn render_styled(&self, origin: &str, text: &str) -> String {
        self.render_by(origin, text, &Renderer::styled())
    }

    fn render_by(&self, origin: &str, text: &str, renderer: &Renderer) -> String {
        let all: Vec<String> =
            self.iter().map(|diagnostic| diagnostic.render(origin, text, renderer)).collect();
        all.join("\n\n")
    }

    /// The same, one string each, without the `error: ` in front, which rustc adds.
    pub fn messages(&self, origin: &str, text: &str) -> Vec<String> {
        let message = |diagnostic: &Diagnostic| {
            let text = diagnostic.render(origin, text, &Renderer::plain());
            text.split_once(": ").map_or_else(|| text.clone(), |(_, message)| message.to_owned())
        };
        self.iter().map(message).collect()
    }
}

#[test]
fn colors_change_no_text() {
    let mut all = Diagnostics::default();
    all.push(Diagnostic::new("a mistake", Span { start: 0, end: 4 }).label("here").help("mend it"));
    let styled = all.render_styled("file", "text");
    let mut parts = styled.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    let plain = parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest));
    assert_ne!(styled, plain);
    assert_eq!(plain, all.render("file", "text"));
}

#[test]
fn long_texts_are_cut() {
    let long = "word ".repeat(1000);
    let mut all = Diagnostics::default();
    let diagnostic = Diagnostic::new(format!("the name `{long}` is none"), Span { start: 0, end: 4 });
    all.push(diagnostic.label(format!("`{long}`")).help("x".repeat(1000)));
    let text = all.render("file", &long.repeat(10));
    assert!(text.starts_with("error: the name `word word") && text.contains("..` is none"), "{text}");
    assert!(text.len() < 1_500, "{}: {text}", text.len());
}
