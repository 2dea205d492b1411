//! What is not legal YAML, in words for authors of pipelines.
//!
//! The parser reports what it expected next, in terms of its grammar or of the Rust types it fills. Here its errors are
//! sorted into a few mistakes that authors make, each with the place and what to write instead. What is not recognised is
//! reported without the parser's words: the place is enough to find it.

use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location};

use super::node::{Name, Node, NodeTree};
use super::yaml_tree::{MOST_NESTED, read_tree, span_of};
use super::{block_mistakes, flow_mistakes};
use crate::diag::{Class, Diagnostic, SourceTexts, Span};

/// The parser's error in our words, at its place.
pub(super) fn syntax_error(sources: &SourceTexts, file: u32, error: &Error) -> Diagnostic {
    let error = innermost(error);
    let text = &sources.get(file).text;
    let span = error.location().and_then(|location| place(text, location, file)).unwrap_or(Span::start_of(file));
    if let Error::DuplicateMappingKey { key, .. } = error {
        return duplicate_key(sources, file, span, key.as_deref());
    }
    let unquoted = flow_mistakes::unquoted_reference(text, file, span).or_else(|| unquoted_start(text, span));
    if let Some(diagnostic) = unquoted {
        return diagnostic;
    }
    if let Some((message, hint)) = described(error, sources.text(span)) {
        return Diagnostic::new(Class::Syntax, span, message).hint(hint);
    }
    of_form(text, span, error)
}

/// What the parser says in terms of its grammar: the mistake itself is looked for in the text.
fn of_form(text: &str, span: Span, error: &Error) -> Diagnostic {
    let words = match error {
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. } => Some(msg.as_str()),
        _ => None,
    };
    let (message, hint) = words.and_then(scanned).unwrap_or(("this is not legal YAML", CHECK));
    flow_mistakes::mistake(text, span.file, span.start as usize)
        .or_else(|| words.and_then(|_| unquoted_colon(text, span)))
        .or_else(|| {
            (message == LAYOUT.1).then(|| block_mistakes::mistake(text, span.file, span.start as usize)).flatten()
        })
        .unwrap_or_else(|| Diagnostic::new(Class::Syntax, span, message).hint(hint))
}

fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        error => error,
    }
}

/// What the error means and what to do, if it is more than that the parser cannot go on; `written` is what it points at.
fn described(error: &Error, written: &str) -> Option<(String, String)> {
    let said = |message: &str, hint: &str| (message.to_owned(), hint.to_owned());
    Some(match error {
        Error::MultipleDocuments { .. } => said(
            "a second document begins here, after `---`",
            "a file holds one pipeline: put the other one into a file of its own, or remove `---`",
        ),
        Error::NullIntoString { .. } if matches!(written.trim(), "" | ":") => {
            said("a key is missing before this colon", "write the key before the colon: `key: value`")
        }
        Error::NullIntoString { .. } => (
            format!("`{}` cannot be a key: it means \"nothing\" in YAML", written.trim()),
            format!("put it in quotes if it is a name: `\"{}\":`", written.trim()),
        ),
        Error::Unexpected { .. } if written.starts_with('{') => said(
            "a map cannot be a key, and two brackets are a map inside a map",
            "a value is filled in with a dollar: `$params.name`, or \"${params.name}\" inside a longer text",
        ),
        Error::Unexpected { .. } => said("a list or a map cannot be a key", "a key is a text; put it in quotes"),
        Error::RecursiveReferencesRequireWeakTypes { .. } => said(
            "this `*name` is used inside the value that it is a name of",
            "write the value out, or move its anchor (`&name`) elsewhere",
        ),
        Error::UnknownAnchor { .. } => said(
            "`*name` stands for a value with the anchor `&name`, and there is none before this line",
            "an anchor is written `&name` before it is used as `*name`; a text that begins with `*` needs quotes",
        ),
        Error::Budget { breach: serde_saphyr::budget::BudgetBreach::Depth { .. }, .. } => (
            format!("lists and maps are nested more than {MOST_NESTED} deep here"),
            "is a bracket not closed?".to_owned(),
        ),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => said(
            "with its anchors (`*name`) written out, this file is too large",
            "use fewer anchors inside anchors; many cells of one stage are `each:`",
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } | Error::MergeKeyNotAllowed { .. } => {
            said("`<<` takes a map, or a list of maps", "for example `<<: *defaults`, where `&defaults` is a map")
        }
        Error::InvalidScalar { .. }
        | Error::InvalidBooleanStrict { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::UnsupportedTag { .. } => said(
            "this value does not fit the tag (`!!...`) before it",
            "remove the tag: values are typed where they are used, and quotes make a text",
        ),
        Error::FoldedBlockScalarMustIndentContent { .. } | Error::IndentationError { .. } => {
            said("the text below `|` or `>` is not indented", "indent it more than the key")
        }
        _ => return None,
    })
}

const CHECK: &str = "check quotes, brackets, colons and the indentation up to here";

/// Words to look for, what they mean, what to do.
type Words = (&'static [&'static str], &'static str, &'static str);

/// Messages of the parser's scanner: words to look for, what they mean, what to do. The first that fits is taken.
const SCANNED: &[Words] = &[
    (&["tab"], "a tab is used for indentation", "indent with spaces"),
    (
        &["escape character", "surrogate", "hex", "Unicode"],
        "this backslash begins an escape that YAML does not know",
        "in double quotes `\\` begins an escape: use single quotes, or write the backslash twice; paths are written with `/`",
    ),
    (
        &["unclosed quote", "quoted scalar", "end of stream"],
        "a quote is not closed",
        "close it; a text with both sorts of quotes is easiest below `|`",
    ),
    (
        &["unexpected character"],
        "a text cannot begin with this character, or have it, without quotes",
        "put the text in quotes",
    ),
    (&["misplaced bracket"], "this bracket closes nothing", "remove it, or open one before it"),
    (
        &["flow", "',' or '}'", "',' or ']'"],
        "a comma or a closing bracket is expected here",
        "is a bracket not closed, a comma missing, or a text without quotes?",
    ),
    (&["directive"], "this line begins with `%`", "put the text in quotes; a pipeline file needs no directives"),
    LAYOUT,
];

/// Colons and indentation.
const LAYOUT: Words = (
    &[
        "block mapping",
        "block collection",
        "mapping values",
        "indentation",
        "simple key",
        "block entries",
        "block sequence",
    ],
    "the indentation or a colon is wrong here",
    "the keys of one map begin in the same column, with a colon and a space after each",
);

fn scanned(message: &str) -> Option<(&'static str, &'static str)> {
    let found = SCANNED.iter().find(|(words, ..)| words.iter().any(|word| message.contains(word)));
    found.map(|(_, message, hint)| (*message, *hint))
}

/// The line around a byte: where it begins, and its text.
fn line_of(text: &str, at: usize) -> (usize, &str) {
    let at = at.min(text.len());
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    (start, text[start..end].trim_end())
}

/// A value that begins with a character that YAML keeps for itself: `*.csv`, `@x`, `%x`, `` `x` ``, `!x`.
fn unquoted_start(text: &str, error: Span) -> Option<Diagnostic> {
    let at = error.start as usize;
    let rest = text.get(at..)?;
    let end = rest.find(['\n', ',', '}', ']']).unwrap_or(rest.len());
    let value = rest[..end].trim_end();
    let glob = value.starts_with('*') && value[1..].contains(['.', '/', '*']);
    if !glob && !value.starts_with(['@', '%', '`']) {
        return None;
    }
    let (start, _) = line_of(text, at);
    let before = text[start..at].trim_end();
    (before.ends_with([':', '-', ',', '[', '{'])).then(|| {
        let span =
            Span { file: error.file, start: error.start, end: error.start + u32::try_from(value.len()).unwrap_or(0) };
        let first = value.chars().next().unwrap_or_default();
        Diagnostic::new(Class::Syntax, span, format!("a text that begins with `{first}` needs quotes"))
            .hint(format!("write \"{value}\""))
    })
}

/// A colon and a space inside a text without quotes, which YAML reads as a key: `run: echo "n: 3" > "$OUT_T"`.
fn unquoted_colon(text: &str, error: Span) -> Option<Diagnostic> {
    let (start, line) = line_of(text, error.start as usize);
    let key_at = line.len() - line.trim_start().trim_start_matches("- ").len();
    let before = line.get(..(error.start as usize).checked_sub(start)?)?;
    // The value that holds the colon: after the last key on the line that begins a map, a flow map, or an entry of one.
    let (from, key) = value_around(line, key_at, before.len())?;
    let flow = line[..from].contains(['{', '[']);
    let rest = &line[from..];
    let value = if flow { &rest[..rest.find([',', '}', ']']).unwrap_or(rest.len())] } else { rest };
    if value.starts_with(['"', '\'', '|', '>', '[', '{', '&', '*', '#', '!']) {
        return None;
    }
    let colon = from + value.find(": ").or_else(|| value.ends_with(':').then(|| value.len() - 1))?;
    let at = |offset: usize| u32::try_from(start + offset).unwrap_or(u32::MAX);
    let span = Span { file: error.file, start: at(colon), end: at(colon + 1) };
    let error = Diagnostic::new(
        Class::Syntax,
        span,
        format!("a colon and a space inside the text of `{key}`, which has no quotes"),
    )
    .label("YAML takes what is before this colon for a key");
    Some(error.hint(match (flow, value.contains('\'')) {
        (false, false) => format!("put it in quotes: `{key}: '{value}'`; or write `{key}: |` and the text in the next lines"),
        (false, true) => format!("write `{key}: |` and the text in the next lines, indented"),
        (true, _) => {
            let quotes = format!("put the whole text of `{key}` in quotes; or write the stage in several lines, with `{key}: |` and the text below");
            let word = line[from..colon].rsplit_once(' ').map_or("", |(_, word)| word);
            let is_name = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
            if is_name { format!("is `{word}` a key, and a comma missing before it? else {quotes}") } else { quotes }
        }
    }))
}

/// Where the value begins that reaches to `until` on a line, and its key.
fn value_around(line: &str, key_at: usize, until: usize) -> Option<(usize, &str)> {
    let mut found: Option<(usize, &str)> = None;
    let mut from = key_at;
    for (at, character) in line.char_indices().filter(|(at, _)| *at >= key_at) {
        if at > until {
            break;
        }
        match character {
            '{' | '[' | ',' => {
                (from, found) = (at + 1, None);
            }
            ':' if found.is_none() && line[at + 1..].starts_with(' ') => {
                let key = line[from..at].trim();
                let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
                let value = at + 1 + (line[at + 1..].len() - line[at + 1..].trim_start().len());
                found = plain.then_some((value, key));
            }
            _ => {}
        }
    }
    found.filter(|(value, _)| *value < line.len() && *value <= until)
}

/// Errors often carry only line and column.
fn place(text: &str, location: Location, file: u32) -> Option<Span> {
    if let Some(span) = span_of(location, file) {
        return Some(span);
    }
    let line = usize::try_from(location.line()).ok()?.checked_sub(1)?;
    let column = usize::try_from(location.column()).ok()?.saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let in_line: usize = text.get(line_start..)?.chars().take(column).map(char::len_utf8).sum();
    let start = u32::try_from(line_start + in_line).ok()?;
    Some(Span { file, start, end: start.saturating_add(1) })
}

fn duplicate_key(sources: &SourceTexts, file: u32, second: Span, key: Option<&str>) -> Diagnostic {
    let written = sources.text(second).trim_matches(['"', '\'']);
    let key = key.unwrap_or(written);
    let diagnostic = Diagnostic::new(Class::DuplicateKey, second, format!("key `{key}` occurs twice in one map"))
        .label("again here");
    let diagnostic = diagnostic.hint("keep one of the two, or rename one");
    match first_of(sources, file, second, key) {
        Some(first) => diagnostic.also(first, "first here"),
        None => diagnostic,
    }
}

/// The nearest earlier key of this name, found by reading the file again with the second one left out.
fn first_of(sources: &SourceTexts, file: u32, second: Span, key: &str) -> Option<Span> {
    let text = &sources.get(file).text;
    let tree = read_tree(text, file, DuplicateKeyPolicy::FirstWins).ok()?;
    let mut found = None;
    visit_keys(&tree, &mut |name| {
        if name.text == key && name.span.start < second.start {
            found = found.max(Some(name.span));
        }
    });
    found
}

fn visit_keys(node: &Node, visit: &mut impl FnMut(&Name)) {
    match &node.tree {
        NodeTree::Scalar { .. } => {}
        NodeTree::List(items) => items.iter().for_each(|item| visit_keys(item, visit)),
        NodeTree::Map(entries) => entries.iter().for_each(|(name, value)| {
            visit(name);
            visit_keys(value, visit);
        }),
    }
}
