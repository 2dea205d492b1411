//! What is wrong with a pipeline file, where exactly, and what to do about it.
//!
//! A diagnostic is data: a class, a sentence, labelled places and a remedy. Rendering (in the layout of rustc, through
//! `annotate-snippets`) is one function over it, so that programs and tests read fields and users read text.
//! Independent of pipelines: only files, byte ranges and names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use pipe_contract::{Blame, Failure};
use serde::Serialize;

/// A byte range in one of the [`SourceTexts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One after the last byte.
    pub end: u32,
}

impl Span {
    /// The part of this span from byte `from` to byte `to`, counted from its start; clipped to it.
    #[must_use]
    pub fn part(self, from: usize, to: usize) -> Span {
        let at = |offset: usize| self.start.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX)).min(self.end);
        Span { file: self.file, start: at(from), end: at(to) }
    }

    /// The empty span at the start of a file.
    #[must_use]
    pub fn start_of(file: u32) -> Span {
        Span { file, start: 0, end: 0 }
    }
}

/// One text that positions refer to.
#[derive(Debug)]
pub struct SourceText {
    /// The file, absolute; for text from the command line the option's name.
    pub path: PathBuf,
    /// Its name as the user gave it.
    pub shown: String,
    /// Its content: without a byte-order mark, lines ended by a line feed also where the file has lone carriage returns.
    pub text: String,
    /// BLAKE3 of the bytes as they were read.
    pub digest: [u8; 32],
    /// Where its lines begin, so that a position costs the same anywhere in a long file.
    lines: Vec<usize>,
}

/// Every text that a pipeline is read from, in the order of reading. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SourceTexts(Vec<Arc<SourceText>>);

/// Line and column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl SourceTexts {
    /// Adds a text; the returned number goes into [`Span::file`].
    pub fn add(&mut self, path: PathBuf, shown: String, text: String) -> u32 {
        let digest = *blake3::hash(text.as_bytes()).as_bytes();
        let text = plain_lines(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        self.0.push(Arc::new(SourceText { path, shown, text, digest, lines }));
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The text behind a span's file.
    ///
    /// # Panics
    /// If the number was not given out by [`SourceTexts::add`].
    pub fn get(&self, file: u32) -> &SourceText {
        &self.0[file as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &SourceText> {
        self.0.iter().map(Arc::as_ref)
    }

    /// The number of the source at this path, if it was read already.
    pub fn find(&self, path: &Path) -> Option<u32> {
        self.0.iter().position(|source| source.path == path).and_then(|index| u32::try_from(index).ok())
    }

    /// The characters of a span.
    pub fn text(&self, span: Span) -> &str {
        let text = &self.get(span.file).text;
        let (start, end) = clipped(text, span);
        &text[start..end]
    }

    /// Line and column of a span's start.
    pub fn position(&self, span: Span) -> Position {
        let source = self.get(span.file);
        let (start, _) = clipped(&source.text, span);
        let line = source.lines.partition_point(|begin| *begin <= start);
        let begin = source.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        Position { line: count(line), column: count(source.text[begin..start].chars().count() + 1) }
    }
}

/// A text without byte-order mark (spreadsheets and Windows editors write one), whose lone carriage returns (spreadsheets
/// on a Mac write these) are line feeds. `\r\n` stays.
fn plain_lines(text: String) -> String {
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let bytes = text.as_bytes();
    let lone = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    if !(0..bytes.len()).any(lone) {
        return text;
    }
    text.char_indices().map(|(at, character)| if lone(at) { '\n' } else { character }).collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Byte bounds that lie inside the text and on character boundaries, whatever the span is.
fn clipped(text: &str, span: Span) -> (usize, usize) {
    let boundary = |offset: u32| {
        let mut offset = (offset as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = boundary(span.start);
    (start, boundary(span.end).max(start))
}

/// The kind of mistake, for programs and for grouping tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A file cannot be read.
    File,
    /// Not legal YAML.
    Syntax,
    /// Legal YAML, but not the shape that belongs here.
    Shape,
    /// A key twice in one map.
    DuplicateKey,
    /// A key that does not exist.
    UnknownKey,
    /// A name of a stage, port, parameter, axis, kind or profile that does not exist.
    UnknownName,
    /// Something required is missing.
    Missing,
    /// A value of the wrong type or out of range.
    Value,
    /// A reference that cannot be read or does not fit.
    Reference,
    /// Axes, selectors, gathers.
    Axes,
    /// Artifact types of ports do not fit.
    PortType,
    /// Stages form a cycle.
    Cycle,
    /// Includes that cannot be followed.
    Include,
    /// Profiles that cannot be applied.
    Profile,
    /// Two results with one name.
    Collision,
    /// Another version of the language.
    Version,
    /// More than this machine can ever provide.
    Resources,
}

/// A place with a short text beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// The words; empty for carets only.
    pub text: Box<str>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub class: Class,
    /// What was found and what was expected, names in backticks, no full stop.
    pub message: Box<str>,
    /// The place of the mistake; `None` only if no file could be read.
    pub primary: Option<Label>,
    /// Other places that explain it.
    pub others: Vec<Label>,
    /// Facts that help.
    pub notes: Vec<String>,
    /// What to do.
    pub hint: Option<Box<str>>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(class: Class, span: Span, message: impl Into<Box<str>>) -> Self {
        Self {
            class,
            message: message.into(),
            primary: Some(Label { span, text: "".into() }),
            others: Vec::new(),
            notes: Vec::new(),
            hint: None,
        }
    }

    /// A mistake without a place: no file could be read.
    pub fn nowhere(class: Class, message: impl Into<Box<str>>) -> Self {
        Self { class, message: message.into(), primary: None, others: Vec::new(), notes: Vec::new(), hint: None }
    }

    /// Adds a text beside the carets.
    #[must_use]
    pub fn label(mut self, text: impl Into<Box<str>>) -> Self {
        if let Some(primary) = &mut self.primary {
            primary.text = text.into();
        }
        self
    }

    /// Points at another place too.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<Box<str>>) -> Self {
        self.others.push(Label { span, text: text.into() });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, text: impl Into<Box<str>>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// Proposes the nearest of the known names, else lists them (if they are few enough to read).
    #[must_use]
    pub fn known<'a>(mut self, what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        let listed = list(&known, 12);
        let hint = match (nearest(name, known.iter().copied()), known.is_empty()) {
            (Some(near), _) if known.len() == 1 => Some(format!("did you mean `{near}`?")),
            (Some(near), _) => Some(format!("did you mean `{near}`? {what}: {listed}")),
            (None, false) => Some(format!("{what}: {listed}")),
            (None, true) => Some(format!("{what}: none")),
        };
        self.hint = hint.map(String::into_boxed_str);
        self
    }
}

/// Names in backticks, joined with commas; at most `limit` of them, then how many more.
pub fn list<'a>(names: impl IntoIterator<Item = &'a &'a str>, limit: usize) -> String {
    let names: Vec<&str> = names.into_iter().copied().collect();
    let mut text = names.iter().take(limit).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > limit {
        text.push_str(&format!(" and {} more", names.len() - limit));
    }
    text
}

/// The known name that the author most likely meant, if any is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&wanted, &lower);
            let longest = wanted.chars().count().max(lower.chars().count());
            let is_part =
                wanted.len() >= 3 && (lower.contains(&wanted) || (lower.len() >= 3 && wanted.contains(&lower)));
            (distance <= longest.div_ceil(3) && distance < longest || is_part).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Everything that is wrong, in the order of the files. Never empty when returned as an error.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    sources: SourceTexts,
    items: Vec<Diagnostic>,
}

/// A diagnostic for programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reported {
    /// The kind of mistake.
    pub class: Class,
    /// The file as the user named it.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1, in characters.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostics {
    /// Mistakes in these sources; the same mistake at the same place is reported once.
    pub fn new(sources: SourceTexts, mut items: Vec<Diagnostic>) -> Self {
        let place = |item: &Diagnostic| item.primary.as_ref().map(|label| (label.span.file, label.span.start));
        items.sort_by_key(place);
        items.dedup_by(|a, b| a.message == b.message && place(a) == place(b));
        Self { sources, items }
    }

    /// One mistake.
    pub fn one(sources: SourceTexts, item: Diagnostic) -> Self {
        Self { sources, items: vec![item] }
    }

    /// The mistakes.
    pub fn items(&self) -> &[Diagnostic] {
        &self.items
    }

    /// Who has to act: always the author of the file.
    pub fn blame(&self) -> Blame {
        Blame::Input
    }

    /// The mistakes for programs.
    pub fn reported(&self) -> Vec<Reported> {
        self.items.iter().map(|item| self.report(item)).collect()
    }

    fn report(&self, item: &Diagnostic) -> Reported {
        let position = item.primary.as_ref().map(|label| self.sources.position(label.span));
        Reported {
            class: item.class,
            file: item.primary.as_ref().map(|label| self.sources.get(label.span.file).shown.clone()),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            message: item.message.to_string(),
            hint: item.hint.as_deref().map(str::to_owned),
        }
    }

    /// Text for the terminal: the line itself, carets, labels, hints, and the number of errors.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for item in &self.items {
            text.push_str(&renderer.render(&[self.group(item)]));
            text.push_str("\n\n");
        }
        match self.items.len() {
            1 => text.push_str("1 error in the pipeline\n"),
            number => text.push_str(&format!("{number} errors in the pipeline\n")),
        }
        text
    }

    fn group<'a>(&'a self, item: &'a Diagnostic) -> Group<'a> {
        let title = Level::ERROR.primary_title(&*item.message);
        let Some(primary) = &item.primary else { return footers(Group::with_title(title), item) };
        let mut group = title.element(self.snippet(primary.span.file, Some(primary), &item.others));
        let mut elsewhere: Vec<u32> =
            item.others.iter().map(|label| label.span.file).filter(|file| *file != primary.span.file).collect();
        elsewhere.dedup();
        for file in elsewhere {
            group = group.element(self.snippet(file, None, &item.others));
        }
        footers(group, item)
    }

    fn snippet<'a>(
        &'a self,
        file: u32,
        primary: Option<&'a Label>,
        others: &'a [Label],
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let source = self.sources.get(file);
        let annotate = |kind: AnnotationKind, label: &'a Label| {
            let (start, end) = visible(&source.text, label.span);
            let annotation = kind.span(start..end);
            if label.text.is_empty() { annotation } else { annotation.label(&*label.text) }
        };
        let mut snippet = Snippet::source(source.text.as_str()).path(source.shown.as_str());
        if let Some(primary) = primary {
            snippet = snippet.annotation(annotate(AnnotationKind::Primary, primary));
        }
        for label in others.iter().filter(|label| label.span.file == file) {
            snippet = snippet.annotation(annotate(AnnotationKind::Context, label));
        }
        snippet
    }
}

/// Notes and the hint below the snippet.
fn footers<'a>(mut group: Group<'a>, item: &'a Diagnostic) -> Group<'a> {
    for note in &item.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(hint) = &item.hint {
        group = group.element(Level::HELP.with_name("hint").message(&**hint));
    }
    group
}

/// The part of a span that is on its first line: a caret line under ten lines of YAML is of no use.
fn visible(text: &str, span: Span) -> (usize, usize) {
    let (start, end) = clipped(text, span);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let trimmed = text[start..line_end.min(end).max(start)].trim_end().len();
    (start, start + trimmed)
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostics> for Failure {
    /// The first mistake as a failure, for callers that carry only one.
    fn from(diagnostics: Diagnostics) -> Failure {
        let Some(first) = diagnostics.reported().into_iter().next() else {
            return Failure::internal("a pipeline was refused without a reason");
        };
        let mut failure = Failure::input(first.message);
        if let (Some(file), Some(line), Some(column)) = (first.file, first.line, first.column) {
            failure = failure.at(format!("{file}:{line}:{column}"));
        }
        failure.hint = first.hint;
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_likely_typo_or_a_part() {
        assert_eq!(nearest("image", ["images", "targets", "split"]), Some("images"));
        assert_eq!(nearest("lr", ["learning_rate", "gamma"]), None);
        assert_eq!(nearest("subject", ["subjects", "object"]), Some("subjects"));
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn marks_and_line_ends_of_other_systems_are_read() {
        let mut sources = SourceTexts::default();
        for (written, read) in
            [("\u{feff}a\rb\r", "a\nb\n"), ("a\r\nb\r\n", "a\r\nb\r\n"), ("a\r\r\nü\rb", "a\n\r\nü\nb"), ("", "")]
        {
            let file = sources.add("/x".into(), "x".into(), written.to_owned());
            assert_eq!(sources.get(file).text, read, "{written:?}");
            assert_eq!(sources.get(file).digest, *blake3::hash(written.as_bytes()).as_bytes());
        }
        assert_eq!(sources.position(Span { file: 0, start: 2, end: 3 }), Position { line: 2, column: 1 });
    }

    #[test]
    fn positions_count_characters_and_survive_bad_spans() {
        let mut sources = SourceTexts::default();
        let file = sources.add("/x".into(), "x".into(), "a\nüb: c\n".into());
        assert_eq!(sources.position(Span { file, start: 4, end: 5 }), Position { line: 2, column: 2 });
        assert_eq!(sources.position(Span { file, start: 3, end: 5 }), Position { line: 2, column: 1 });
        let after = Span { file, start: 900, end: 2 };
        assert_eq!(sources.position(after), Position { line: 3, column: 1 });
        let text = Diagnostics::one(sources, Diagnostic::new(Class::Syntax, after, "the end")).render(false);
        assert!(text.contains("the end"), "{text}");
    }
}
