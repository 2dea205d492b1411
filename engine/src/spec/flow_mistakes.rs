//! Which bracket, comma or quote is wrong in a text that is not legal YAML: where it opened, and what was met instead.
//!
//! The parser stops where it can read no further, often lines below the mistake. This reads the text again from its
//! beginning, with just enough of YAML to know where brackets and quotes open and close: keys, quoted texts, blocks of text,
//! comments, and the lists and maps in brackets. What continues in the column of its own key (or left of it) was meant to
//! have ended before. Does not depend on pipelines, and is used only when the parser has refused the text: the mistake
//! that is found counts only if it explains the place where the parser stopped.

use crate::diag::{Class, Diagnostic, Span};

/// The first mistake with a bracket, comma or quote, if it explains an error at byte `error`.
pub(super) fn mistake(text: &str, file: u32, error: usize) -> Option<Diagnostic> {
    let found = Scan { text, at: 0, indent: 0 }.document().err()?;
    found.explains(text, error).then(|| found.into_diagnostic(text, file))
}

/// What is wrong, by byte offsets.
#[derive(Debug, PartialEq)]
enum Mistake {
    /// A bracket that is open where a line of an outer map begins, or at the end.
    OpenBracket { open: usize, met: usize },
    /// A bracket that a bracket of the other sort would close.
    OtherBracket { open: usize, met: usize },
    /// Two entries in brackets without a comma between them.
    NoComma { open: usize, entry: usize },
    /// A bracket inside a text without quotes, inside brackets.
    BracketInText { start: usize, end: usize },
    /// A quote that is open where a line of an outer map begins, or at the end.
    OpenQuote { open: usize, met: usize },
    /// A text that goes on after the quote that ends it.
    AfterQuote { open: usize, close: usize },
    /// A text that goes on after the bracket that closes the list or map it begins with.
    AfterBracket { open: usize, close: usize, end: usize },
}

/// What stands before the place that is read, inside brackets.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// A bracket, a comma or a colon: an entry or a value may begin.
    Nothing,
    /// A text without quotes that began here.
    Plain(usize),
    /// A quoted text, from its first to its last quote.
    Quoted(usize, usize),
    /// A list or map in brackets.
    Brackets,
}

/// One list or map in brackets that is open.
struct Level {
    open: usize,
    closing: u8,
    before: Before,
    /// Whether a colon came since the last comma.
    in_value: bool,
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// The column of the key whose value is read: what belongs to it is further right.
    indent: usize,
}

type Scanned = Result<(), Mistake>;

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').map_or(self.rest().len(), |newline| newline + 1);
    }

    /// Whether nothing but a comment is left of the line.
    fn at_line_end(&self) -> bool {
        let blank_before = self.text[..self.at].ends_with(char::is_whitespace) || self.at == 0;
        match self.next() {
            None | Some(b'\n' | b'\r') => true,
            Some(b'#') => blank_before,
            Some(_) => false,
        }
    }

    fn column(&self) -> usize {
        self.at - self.text[..self.at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn document(mut self) -> Scanned {
        while self.at < self.text.len() {
            self.skip_spaces();
            while self.rest().starts_with("- ") {
                self.at += 1;
                self.skip_spaces();
            }
            self.indent = self.column();
            self.line()?;
        }
        Ok(())
    }

    /// A line outside of brackets from its first word on: keys, then a value that may take more lines.
    fn line(&mut self) -> Scanned {
        let mut may_be_key = true;
        loop {
            self.skip_spaces();
            if self.at_line_end() {
                self.skip_line();
                return Ok(());
            }
            match self.next() {
                Some(quote @ (b'"' | b'\'')) => {
                    let open = self.at;
                    self.quoted(quote)?;
                    let close = self.at - 1;
                    if may_be_key && self.rest().starts_with([':', ' ']) && self.rest().trim_start().starts_with(':') {
                        self.skip_spaces();
                        self.at += 1;
                        may_be_key = false;
                        continue;
                    }
                    self.skip_spaces();
                    return self.ended(Mistake::AfterQuote { open, close });
                }
                Some(b'{' | b'[') => {
                    let open = self.at;
                    self.brackets()?;
                    let close = self.at - 1;
                    self.skip_spaces();
                    let line = self.rest().split('\n').next().unwrap_or_default();
                    return self.ended(Mistake::AfterBracket { open, close, end: self.at + line.trim_end().len() });
                }
                Some(b'&' | b'!') => self.at += self.rest().find(char::is_whitespace).unwrap_or(self.rest().len()),
                Some(b'|' | b'>') => {
                    self.block_of_text();
                    return Ok(());
                }
                _ => match self.key().filter(|_| may_be_key) {
                    Some(length) => {
                        self.at += length + 1;
                        may_be_key = false;
                    }
                    None => {
                        self.skip_line();
                        return Ok(());
                    }
                },
            }
        }
    }

    /// The end of a line, after a value that may not go on.
    fn ended(&mut self, otherwise: Mistake) -> Scanned {
        if !self.at_line_end() && !self.rest().starts_with([':', '}', ']']) {
            return Err(otherwise);
        }
        self.skip_line();
        Ok(())
    }

    /// The length of the key without quotes that begins here.
    fn key(&self) -> Option<usize> {
        let line = self.rest().split('\n').next()?;
        let line = line.find(" #").map_or(line, |comment| &line[..comment]);
        line.find(": ").or_else(|| line.trim_end().strip_suffix(':').map(str::len))
    }

    /// The lines below `|` or `>`, with the line it is on.
    fn block_of_text(&mut self) {
        self.skip_line();
        while self.at < self.text.len() {
            let line = self.rest().split('\n').next().unwrap_or_default();
            let words = line.trim_start_matches(' ');
            if !words.trim().is_empty() && line.len() - words.len() <= self.indent {
                return;
            }
            self.skip_line();
        }
    }

    /// A quoted text, from its first quote to behind its last.
    fn quoted(&mut self, quote: u8) -> Scanned {
        let open = self.at;
        self.at += 1;
        while let Some(next) = self.next() {
            match next {
                b'\\' if quote == b'"' => self.at += 1,
                b'\'' if quote == b'\'' && self.rest().starts_with("''") => self.at += 1,
                b'\n' if self.leaves_value() => return Err(Mistake::OpenQuote { open, met: self.line_below() }),
                next if next == quote => {
                    self.at += 1;
                    return Ok(());
                }
                _ => {}
            }
            self.at += 1;
            while !self.text.is_char_boundary(self.at.min(self.text.len())) {
                self.at += 1;
            }
            self.at = self.at.min(self.text.len());
        }
        Err(Mistake::OpenQuote { open, met: self.text.len() })
    }

    /// Whether the next line, if it has words, is not further right than the key whose value is read.
    fn leaves_value(&self) -> bool {
        let line = self.text[self.at + 1..].split('\n').next().unwrap_or_default();
        let words = line.trim_start_matches(' ');
        let comment = words.starts_with('#');
        !words.trim().is_empty() && !comment && line.len() - words.len() <= self.indent
    }

    /// Where the words of the next line begin.
    fn line_below(&self) -> usize {
        let below = &self.text[self.at + 1..];
        self.at + 1 + below.len() - below.trim_start_matches(' ').len()
    }

    /// A list or map in brackets, from its first bracket to behind its last.
    fn brackets(&mut self) -> Scanned {
        let mut levels: Vec<Level> = Vec::new();
        loop {
            self.between(&levels)?;
            let Some(next) = self.next() else {
                let open = levels.last().map_or(0, |level| level.open);
                return Err(Mistake::OpenBracket { open, met: self.text.len() });
            };
            match next {
                b'{' | b'[' => {
                    if let Some(level) = levels.last_mut() {
                        self.check_begins(level)?;
                        level.before = Before::Brackets;
                    }
                    let closing = if next == b'{' { b'}' } else { b']' };
                    levels.push(Level { open: self.at, closing, before: Before::Nothing, in_value: false });
                    self.at += 1;
                }
                b'}' | b']' => {
                    match levels.pop() {
                        Some(level) if level.closing != next => {
                            return Err(Mistake::OtherBracket { open: level.open, met: self.at });
                        }
                        _ => self.at += 1,
                    }
                    if levels.is_empty() {
                        return Ok(());
                    }
                }
                _ => {
                    if let Some(level) = levels.last_mut() {
                        self.word(level, next)?;
                    }
                }
            }
        }
    }

    /// Spaces, comments and line ends inside brackets.
    fn between(&mut self, levels: &[Level]) -> Scanned {
        loop {
            self.skip_spaces();
            if !self.at_line_end() || self.at == self.text.len() {
                return Ok(());
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            if self.next().is_none() {
                return Ok(());
            }
            if let Some(level) = levels.last().filter(|_| self.leaves_value()) {
                let met = self.line_below();
                if !self.text[met..].starts_with(['}', ']']) {
                    return Err(Mistake::OpenBracket { open: level.open, met });
                }
            }
            self.at += 1;
        }
    }

    /// A comma, a colon, a quoted text or a text without quotes.
    fn word(&mut self, level: &mut Level, next: u8) -> Scanned {
        match next {
            b',' => {
                (level.before, level.in_value) = (Before::Nothing, false);
                self.at += 1;
            }
            b':' if level.before != Before::Nothing => {
                (level.before, level.in_value) = (Before::Nothing, true);
                self.at += 1;
            }
            quote @ (b'"' | b'\'') if !matches!(level.before, Before::Plain(_)) => {
                self.check_begins(level)?;
                let open = self.at;
                self.quoted(quote)?;
                level.before = Before::Quoted(open, self.at - 1);
            }
            _ => self.plain(level)?,
        }
        Ok(())
    }

    /// A text without quotes, up to a comma, a bracket, a colon, a comment or the end of the line.
    fn plain(&mut self, level: &mut Level) -> Scanned {
        let start = self.at;
        let end = self.plain_end();
        let is_key = self.text[end..].starts_with(':');
        match level.before {
            // A text may go on in the next line, a key may not.
            Before::Plain(_) if !is_key => {}
            Before::Plain(_) => return Err(Mistake::NoComma { open: level.open, entry: start }),
            _ => {
                self.check_begins(level)?;
                level.before = Before::Plain(start);
            }
        }
        self.at = end.max(start + 1);
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        Ok(())
    }

    fn plain_end(&self) -> usize {
        let mut previous = ' ';
        for (offset, character) in self.rest().char_indices() {
            let after = &self.rest()[offset + character.len_utf8()..];
            let ends = match character {
                ',' | '{' | '}' | '[' | ']' | '\n' => true,
                ':' => after.is_empty() || after.starts_with([' ', '\n', '\r', '\t', ',', '{', '}', '[', ']']),
                '#' => previous.is_whitespace(),
                _ => false,
            };
            if ends {
                return self.at + offset;
            }
            previous = character;
        }
        self.text.len()
    }

    /// An entry or a value may begin here.
    fn check_begins(&self, level: &Level) -> Scanned {
        let entry = self.at;
        match level.before {
            Before::Nothing => Ok(()),
            Before::Plain(start) => Err(Mistake::BracketInText { start, end: end_of_value(self.text, entry) }),
            Before::Brackets => Err(Mistake::NoComma { open: level.open, entry }),
            Before::Quoted(open, close) => {
                let is_entry = level.closing == b']' || self.begins_key();
                let apart = self.text[..entry].ends_with(char::is_whitespace);
                Err(if is_entry && apart {
                    Mistake::NoComma { open: level.open, entry }
                } else {
                    Mistake::AfterQuote { open, close }
                })
            }
        }
    }

    /// Whether what begins here is a key inside brackets.
    fn begins_key(&self) -> bool {
        let text = self.rest();
        let quoted = text.starts_with(['"', '\'']);
        let end = if quoted { text[1..].find(&text[..1]).map(|end| end + 2) } else { text.find([':', ',', '}', '\n']) };
        end.is_some_and(|end| text[end..].starts_with(':') && (quoted || !text[..end].contains(char::is_whitespace)))
    }
}

impl Mistake {
    /// Whether a parser that met this mistake may have stopped at byte `error`.
    fn explains(&self, text: &str, error: usize) -> bool {
        let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count();
        let error = line_of(error);
        match *self {
            Mistake::OpenBracket { open, .. } | Mistake::OpenQuote { open, .. } => line_of(open) <= error,
            Mistake::OtherBracket { open, met } => (line_of(open)..=line_of(met) + 1).contains(&error),
            Mistake::NoComma { open, entry: met }
            | Mistake::BracketInText { start: open, end: met }
            | Mistake::AfterQuote { open, close: met }
            | Mistake::AfterBracket { open, close: met, .. } => (line_of(open)..=line_of(met) + 1).contains(&error),
        }
    }

    fn into_diagnostic(self, text: &str, file: u32) -> Diagnostic {
        let span = |start: usize, end: usize| {
            let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
            Span { file, start: at(start), end: at(end) }
        };
        let one = |at: usize| span(at, at + text[at..].chars().next().map_or(0, char::len_utf8));
        let error = |at: Span, message: String| Diagnostic::new(Class::Syntax, at, message);
        let bracket = |at: usize| &text[at..at + 1];
        let closing = |open: usize| if bracket(open) == "{" { "}" } else { "]" };
        let sort = |open: usize| if bracket(open) == "{" { "`{ }`" } else { "`[ ]`" };
        match self {
            Mistake::OpenBracket { open, met } => {
                let message = format!("the bracket `{}` is opened here and not closed", bracket(open));
                let error = error(one(open), message);
                let close = closing(open);
                if met == text.len() {
                    return error.hint(format!("close it with `{close}`"));
                }
                error
                    .also(span(met, met + word_at(text, met).len()), format!("`{close}` is missing before this line"))
                    .hint(format!("close it with `{close}`; what is inside brackets is indented more than their key"))
            }
            Mistake::OtherBracket { open, met } => {
                let message = format!("`{}` closes what was opened with `{}`", bracket(met), bracket(open));
                error(one(met), message)
                    .also(one(open), "opened here")
                    .hint(format!("close it with `{}` first", closing(open)))
            }
            Mistake::NoComma { open, entry } => {
                let word = word_at(text, entry);
                error(span(entry, entry + word.len()), format!("a comma is missing before `{word}`"))
                    .also(one(open), "inside these brackets")
                    .hint(format!("entries of {} are separated by commas", sort(open)))
            }
            Mistake::BracketInText { start, end } => {
                let written = &text[start..end];
                error(span(start, end), "a text with brackets needs quotes inside `{ }` or `[ ]`".to_owned())
                    .label("YAML ends the text at its bracket")
                    .hint(in_quotes(written))
            }
            Mistake::OpenQuote { open, met } => {
                let message = format!("the quote {} is opened here and not closed", &text[open..open + 1]);
                let error = error(one(open), message);
                let hint = "close it; a text with both sorts of quotes is easiest below `|`";
                if met == text.len() {
                    return error.hint(hint);
                }
                error.also(span(met, met + word_at(text, met).len()), "not closed before this line").hint(hint)
            }
            Mistake::AfterQuote { open, close } => {
                let quote = bracket(open);
                let (other, inside) = if quote == "'" {
                    ("\"...\"", "an apostrophe in single quotes is written twice: `''`")
                } else {
                    ("'...'", "a quote in double quotes is written `\\\"`")
                };
                error(one(close), format!("this {quote} ends the text, and more follows"))
                    .also(one(open), "the text begins with a quote, so the next one ends it")
                    .hint(format!("put the whole text in quotes of the other sort ({other}), or below `|`; {inside}"))
            }
            Mistake::AfterBracket { open, close, end } => {
                let what = if bracket(open) == "{" { "map" } else { "list" };
                if text[close + 1..].starts_with('#') {
                    return error(one(close + 1), "a comment needs a space before its `#`".to_owned())
                        .hint("write ` #`");
                }
                error(one(close), format!("this bracket ends a {what}, and more follows"))
                    .also(one(open), format!("a value that begins with `{}` is a {what}", bracket(open)))
                    .hint(format!("if it is meant to be a text: {}", in_quotes(&text[open..end])))
            }
        }
    }
}

/// How a text is written that YAML does not read as one.
fn in_quotes(text: &str) -> String {
    match (text.contains('"'), text.contains('\'')) {
        (false, _) => format!("put it in quotes: \"{text}\""),
        (true, false) => format!("put it in quotes: '{text}'"),
        (true, true) => "write it below `|`, in lines of its own".to_owned(),
    }
}

/// The word that begins at a byte, for messages.
fn word_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let quoted = rest.starts_with(['"', '\'']);
    let end = if quoted {
        rest[1..].find(&rest[..1]).map(|end| end + 2)
    } else {
        rest.find(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '{' | '}' | '[' | ']')).filter(|end| *end > 0)
    };
    let line = rest.find('\n').unwrap_or(rest.len());
    let one = rest.chars().next().map_or(0, char::len_utf8);
    &rest[..end.unwrap_or(if quoted { line } else { one }).min(line.max(one))]
}

/// A common mistake: `${x}` or `$x[...]` unquoted inside `{ }` or `[ ]`, which YAML reads as the start of a new map or list.
pub(super) fn unquoted_reference(text: &str, file: u32, error: Span) -> Option<Diagnostic> {
    let line_start = text[..(error.start as usize).min(text.len())].rfind('\n').map_or(0, |newline| newline + 1);
    // The parser may report only a later line; the flow collection it was in starts at most a few lines before.
    let from = text[..line_start].rmatch_indices('\n').nth(2).map_or(0, |(index, _)| index + 1);
    let until = text[line_start..].find('\n').map_or(text.len(), |newline| line_start + newline);
    let (start, end) = find_unquoted(text, from, until)?;
    let span = Span { file, start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? };
    let written = &text[start..end];
    let diagnostic = |bracket: &str| {
        let message = format!("`{bracket}` inside `{{ }}` or `[ ]` is not legal YAML without quotes");
        Diagnostic::new(Class::Syntax, span, message).label("YAML ends the text at this bracket")
    };
    if written.contains("${") {
        return Some(diagnostic("${...}").hint(in_quotes(written)));
    }
    let round = written.replace('[', "(").replace(']', ")");
    Some(diagnostic("[ ]").hint(format!("selectors are written in round brackets: {round}")))
}

/// Byte range of the first value in `from..until` that holds `${` or `$name[` in flow style, outside quotes and comments.
fn find_unquoted(text: &str, from: usize, until: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut depth, mut value_start, mut index) = (0_usize, from, from);
    while index < until {
        match bytes[index] {
            quote @ (b'"' | b'\'') if text[value_start..index].trim().is_empty() => {
                index += 1 + bytes[index + 1..until].iter().position(|byte| *byte == quote)?;
            }
            b'#' if index == 0 || bytes[index - 1].is_ascii_whitespace() => {
                index += bytes[index..until].iter().position(|byte| *byte == b'\n').unwrap_or(until - index);
                value_start = index;
            }
            b'{' | b'[' if depth > 0 && text[value_start..index].contains('$') => {
                let start = value_start + text[value_start..index].len() - text[value_start..index].trim_start().len();
                return Some((start, end_of_value(&text[..until], index)));
            }
            b'{' | b'[' => {
                depth += 1;
                value_start = index + 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                value_start = index + 1;
            }
            b',' | b'\n' => value_start = index + 1,
            b':' if bytes.get(index + 1).is_none_or(u8::is_ascii_whitespace) => value_start = index + 1,
            _ => {}
        }
        index += 1;
    }
    None
}

/// Where the author meant the value to end: at a comma, or at the bracket that closes the collection around it.
fn end_of_value(text: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in text[from..].char_indices() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' if depth == 0 => return from + text[from..from + offset].trim_end().len(),
            '}' | ']' => depth -= 1,
            ',' | '\n' if depth == 0 => return from + text[from..from + offset].trim_end().len(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(text: &str) -> Option<Mistake> {
        Scan { text, at: 0, indent: 0 }.document().err()
    }

    #[test]
    fn legal_texts_have_no_mistake() {
        for text in [
            "a: { b: [1, 2], \"c\": 'it''s', d: \"x \\\" y\" } # {\nb: [\n  x, # ]\n  y z,\n]\n",
            "a:\n  - { x: 1 }\n  - run: |\n      echo { \" ' [\n    out: { t: a.txt }\n",
            "a: it's { fine [\nb: x \"y\nc: &n { d: e }\nd: *n\n'e': \"f\"\n",
            "a: >-\n  {\n\n  [\nb: \"two\n  lines\"\n",
            "a: { b: two\n  lines, c: d }\nb: [a: 1, b c: 2]\nc: {a, b, url: http://x#y}\n",
            "a: !!str \"x\"\n? x\n: y\n",
            "subjects: [\n  s1,\n  s2\n]\n",
        ] {
            assert_eq!(scan(text), None, "{text}");
        }
    }

    #[test]
    fn each_mistake_is_found_where_it_is() {
        for (text, expected) in [
            ("a: { b: c\nd: e\n", Mistake::OpenBracket { open: 3, met: 10 }),
            ("a: { b: [c, d\n", Mistake::OpenBracket { open: 8, met: 14 }),
            ("a: { b: [c }\n", Mistake::OtherBracket { open: 8, met: 11 }),
            ("a: { b: 'c' d: e }\n", Mistake::NoComma { open: 3, entry: 12 }),
            ("a: ['b' 'c']\n", Mistake::NoComma { open: 3, entry: 8 }),
            ("a: { b: [c] d: e }\n", Mistake::NoComma { open: 3, entry: 12 }),
            ("a: { b: c\n  d: e }\n", Mistake::NoComma { open: 3, entry: 12 }),
            ("a: { b: x/{c,d}.e, f: g }\n", Mistake::BracketInText { start: 8, end: 17 }),
            ("a: \"b\nc: d \"e\"\n", Mistake::OpenQuote { open: 3, met: 6 }),
            ("a: 'it's'\n", Mistake::AfterQuote { open: 3, close: 6 }),
            ("a: { b: \"x\" > y }\n", Mistake::AfterQuote { open: 8, close: 10 }),
            ("a: [bc]*.d # e\n", Mistake::AfterBracket { open: 3, close: 6, end: 14 }),
        ] {
            assert_eq!(scan(text), Some(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_handled(text in "[a{}\\[\\],:#'\"\\\\ \n|ü&-]{0,40}", at in 0_usize..50) {
            let span = Span { file: 0, start: u32::try_from(at).unwrap(), end: 60 };
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let _ = mistake(&text, 0, at);
            let _ = unquoted_reference(&text, 0, Span { start: u32::try_from(at).unwrap(), ..span });
        }
    }
}
