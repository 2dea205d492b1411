//! Which line is wrong in a text that is not legal YAML because of a colon or of indentation.
//!
//! The parser notices at the first key that fits nowhere; the mistake is often in the line above it. Lines are read as
//! authors see them: their indentation, and whether they have a key. Independent of brackets and quotes
//! (`super::flow_mistakes`), and of pipelines.

use crate::diag::{Class, Diagnostic, Span};

/// One line with words.
#[derive(Clone, Copy)]
struct Line<'t> {
    /// Where its first word begins.
    at: usize,
    column: usize,
    /// Without indentation and comment.
    words: &'t str,
}

/// The mistake in the line at byte `error`, or in the one above it.
pub(super) fn mistake(text: &str, file: u32, error: usize) -> Option<Diagnostic> {
    let (above, line) = lines_around(text, error)?;
    above
        .and_then(|above| text_not_indented(file, above, line))
        .or_else(|| no_colon(file, line))
        .or_else(|| above.and_then(|above| no_colon(file, above)))
        .or_else(|| above.and_then(|above| other_column(file, above, line)))
}

/// The line at a byte and the nearest one above it that has words.
fn lines_around(text: &str, at: usize) -> Option<(Option<Line<'_>>, Line<'_>)> {
    let mut above = None;
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let words = line.trim_start_matches(' ');
        let column = line.len() - words.len();
        let words = words.find(" #").map_or(words, |comment| &words[..comment]).trim_end();
        let found =
            (!words.is_empty() && !words.starts_with('#')).then_some(Line { at: begin + column, column, words });
        begin += line.len();
        if begin > at || begin == text.len() {
            return Some((above, found?));
        }
        above = found.or(above);
    }
    None
}

fn span(file: u32, start: usize, length: usize) -> Span {
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    Span { file, start: at(start), end: at(start + length) }
}

/// `run: |` with the text below it in the column of its key.
fn text_not_indented(file: u32, above: Line<'_>, line: Line<'_>) -> Option<Diagnostic> {
    let (key, sign) = above.words.rsplit_once(": ")?;
    let begins_text = sign.starts_with(['|', '>']) && sign[1..].chars().all(|c| "+-123456789".contains(c));
    (begins_text && line.column <= above.column).then(|| {
        let message = format!("the text below `{key}: {sign}` is not indented");
        Diagnostic::new(Class::Syntax, span(file, line.at, line.words.len()), message)
            .also(span(file, above.at, above.words.len()), "it belongs to this key")
            .hint("indent each line of the text more than the key")
    })
}

/// `run:echo x`, `stages` alone, `run echo x`.
fn no_colon(file: u32, line: Line<'_>) -> Option<Diagnostic> {
    let words = line.words.trim_start_matches("- ");
    let at = line.at + line.words.len() - words.len();
    if words.contains(": ")
        || words.ends_with(':')
        || words.starts_with(['"', '\'', '{', '[', '&', '*', '|', '>', '}', ']', '#'])
    {
        return None;
    }
    let word = &words[..words.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(words.len())];
    if word.is_empty() {
        return None;
    }
    let rest = &words[word.len()..];
    if let Some(value) = rest.strip_prefix(':') {
        let message = "a space is missing after this colon";
        return Some(
            Diagnostic::new(Class::Syntax, span(file, at + word.len(), 1), message)
                .label("without it YAML takes the line for a text")
                .hint(format!("write `{word}: {value}`")),
        );
    }
    if let Some(value) = rest.strip_prefix('：') {
        return Some(
            Diagnostic::new(
                Class::Syntax,
                span(file, at + word.len(), '：'.len_utf8()),
                "this is not the colon of YAML",
            )
            .label("a wide colon, which keyboards for Chinese and Japanese write")
            .hint(format!("write `{word}:{value}`")),
        );
    }
    let value = rest.trim_start_matches([' ', '=']);
    Some(
        Diagnostic::new(Class::Syntax, span(file, at, word.len()), format!("a colon is missing after `{word}`"))
            .hint(if value.is_empty() { format!("write `{word}:`") } else { format!("write `{word}: {value}`") }),
    )
}

/// A key in a column in which the map above it has none.
fn other_column(file: u32, above: Line<'_>, line: Line<'_>) -> Option<Diagnostic> {
    let has_key = line.words.contains(": ") || line.words.ends_with(':');
    (has_key && above.column != line.column).then(|| {
        let message = format!(
            "this key begins in column {}, but the line above it in column {}",
            line.column + 1,
            above.column + 1
        );
        Diagnostic::new(Class::Syntax, span(file, line.at, line.words.find(':').unwrap_or(1)), message)
            .hint("the keys of one map begin in the same column; those of a map inside it are further right")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_mistake_is_named() {
        for (text, error, expected) in [
            ("a:\n  run:echo x\n  out: y\n", "out", "a space is missing after this colon"),
            ("a\n  run: y\n", "run", "a colon is missing after `a`"),
            ("a:\n  b = c\n  d: e\n", "d", "a colon is missing after `b`"),
            ("a:\n  b: c\n\n # x\n   d: e\n", "d", "this key begins in column 4, but the line above it in column 3"),
            ("a:\n  b: |\n  echo x\n", "echo", "the text below `b: |` is not indented"),
        ] {
            let found = mistake(text, 0, text.find(error).unwrap()).expect(text);
            assert!(found.message.starts_with(expected), "{text}: {}", found.message);
        }
        assert_eq!(mistake("", 0, 0), None);
        assert_eq!(mistake("- x\n", 0, 9), mistake("- x\n", 0, 0));
    }
}
