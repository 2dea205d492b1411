//! YAML as a tree in which every value has its place and its text as written.
//!
//! One untyped tree instead of derived types: ids like `010512` must stay text until code that has the
//! declared type needs a number, and each reader of the tree has its own messages. Scalars are resolved here by the
//! YAML 1.2 core schema (`yes` is text, `010` is text, `1_000` is text), not by the parser's more liberal rules.

use std::collections::BTreeMap;
use std::fmt;

use pipe_contract::Value;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};

use crate::diag::{Class, Diagnostic, Sources, Span};

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it is written (for an alias: where the anchor is).
    pub span: Span,
    /// What it is.
    pub tree: Tree,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Text, number, boolean or nothing: see [`Node::value`].
    Scalar {
        /// As written, without quotes.
        text: String,
        /// Which values it may be.
        style: Style,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in written order; keys are distinct.
    Map(Vec<(Name, Node)>),
}

/// Which values a scalar may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: text, number, boolean or nothing, by the YAML 1.2 core schema.
    Plain,
    /// Quoted, or a block of text: text whatever it looks like.
    Quoted,
    /// The value of an axis: text, but a number where a stage kind asks for a number.
    Coordinate,
}

/// Text with its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// As written, without quotes.
    pub text: String,
    /// Where.
    pub span: Span,
}

impl Node {
    /// Text that is text whatever it looks like.
    pub fn text(span: Span, text: impl Into<String>) -> Self {
        Self { span, tree: Tree::Scalar { text: text.into(), style: Style::Quoted } }
    }

    /// The value of an axis.
    pub fn coordinate(span: Span, text: impl Into<String>) -> Self {
        Self { span, tree: Tree::Scalar { text: text.into(), style: Style::Coordinate } }
    }

    /// A scalar's text as written.
    pub fn written(&self) -> Option<&str> {
        match &self.tree {
            Tree::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it is `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.tree, Tree::Scalar { text, style: Style::Plain } if is_null(text))
    }

    /// The entry of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.tree {
            Tree::Map(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The value by the YAML 1.2 core schema.
    pub fn value(&self) -> Value {
        match &self.tree {
            Tree::Scalar { text, style: Style::Plain } => resolve(text),
            Tree::Scalar { text, .. } => Value::Text(text.clone()),
            Tree::List(items) => Value::List(items.iter().map(Node::value).collect()),
            Tree::Map(entries) => Value::Map(
                entries.iter().map(|(name, node)| (name.text.clone(), node.value())).collect::<BTreeMap<_, _>>(),
            ),
        }
    }

    /// The value as a stage kind takes it that asks for a number or a boolean: that of an axis is converted.
    pub fn converted(&self) -> Value {
        match &self.tree {
            Tree::Scalar { text, style: Style::Coordinate } => resolve(text),
            _ => self.value(),
        }
    }

    /// The value as the body of a `run:` stage gets it: scalars are the text as written (`1.10` is `1.10`, `0x1F` is
    /// `0x1F`), also in a list. A value with maps or lists inside is JSON: numbers in it are as written where that is a
    /// number of JSON, else texts.
    pub fn as_written(&self) -> Value {
        match &self.tree {
            _ if self.is_null() => Value::Null,
            Tree::Scalar { text, .. } => Value::Text(text.clone()),
            Tree::List(items) if items.iter().all(|item| matches!(item.tree, Tree::Scalar { .. })) => {
                Value::List(items.iter().map(Node::as_written).collect())
            }
            Tree::List(_) | Tree::Map(_) => {
                let mut json = String::new();
                self.write_json(&mut json);
                Value::Text(json)
            }
        }
    }

    /// Compact JSON with sorted keys.
    fn write_json(&self, json: &mut String) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        match &self.tree {
            Tree::List(items) => {
                json.push('[');
                for (index, item) in items.iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    item.write_json(json);
                }
                json.push(']');
            }
            Tree::Map(entries) => {
                let sorted: BTreeMap<&str, &Node> =
                    entries.iter().map(|(name, node)| (name.text.as_str(), node)).collect();
                json.push('{');
                for (index, (name, node)) in sorted.into_iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    json.push_str(&text(name));
                    json.push(':');
                    node.write_json(json);
                }
                json.push('}');
            }
            Tree::Scalar { text: written, .. } => match self.value() {
                Value::Null => json.push_str("null"),
                Value::Bool(flag) => json.push_str(if flag { "true" } else { "false" }),
                Value::Int(_) | Value::Float(_) if is_json_number(written) => json.push_str(written),
                _ => json.push_str(&text(written)),
            },
        }
    }

    /// The word for its type in messages, with the value where it is short: "int `3`".
    pub fn described(&self) -> String {
        match &self.tree {
            Tree::List(items) if items.is_empty() => "an empty list".to_owned(),
            Tree::List(_) => "a list".to_owned(),
            Tree::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
            Tree::Map(_) => "a map".to_owned(),
            Tree::Scalar { text, .. } => match self.value() {
                Value::Null => "nothing".to_owned(),
                value => format!("{} `{}`", value.type_name(), shortened(text)),
            },
        }
    }
}

/// The first line of a text, cut where messages would become unreadable.
pub fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 40 && line.len() == text.len() {
        return line.to_owned();
    }
    format!("{}…", line.chars().take(40).collect::<String>())
}

fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// A plain scalar by the YAML 1.2 core schema. What is not exactly a number, boolean or null is text.
pub fn resolve(text: &str) -> Value {
    if is_null(text) {
        return Value::Null;
    }
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    integer(text).or_else(|| float(text)).unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// Decimal without leading zeros, `0o17` or `0x1F`.
fn integer(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = match digits.get(..2) {
        Some("0o") => 8,
        Some("0x") => 16,
        _ => 10,
    };
    let digits = if radix == 10 { digits } else { &digits[2..] };
    let padded = radix == 10 && digits.len() > 1 && digits.starts_with('0');
    if digits.is_empty() || padded || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().map(Value::Int)
}

/// A finite number with a fraction or an exponent.
fn float(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, rest) = digits.split_at(digits.find(['.', 'e', 'E'])?);
    let padded = whole.len() > 1 && whole.starts_with('0');
    let plain = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let has_digit = whole.bytes().chain(rest.bytes()).any(|byte| byte.is_ascii_digit());
    if padded || !plain || !has_digit {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float)
}

/// Reads one file of `sources` into a tree.
///
/// # Errors
/// What is not legal YAML, with the place, reworded for authors of pipelines.
pub fn parse(sources: &Sources, file: u32) -> Result<Node, Diagnostic> {
    let text = &sources.get(file).text;
    if text.len() > u32::MAX as usize / 2 {
        return Err(Diagnostic::new(Class::Syntax, Span::start_of(file), "the file is larger than 2 GiB"));
    }
    let tree: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options(DuplicateKeyPolicy::Error))
        .map_err(|error| syntax_error(sources, file, &error))?;
    Ok(Builder { text, file }.node(tree, Span::start_of(file)))
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        // Without it `yes`, `no`, `on`, `off`, `y` and `n` become booleans, also where they are keys.
        strict_booleans: true,
        duplicate_keys: duplicate_keys,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        // A generated pipeline of 10,000 stages has some 200,000 nodes; alias bombs stay impossible.
        budget: serde_saphyr::budget! {
            max_nodes: 4_000_000,
            max_events: 16_000_000,
        },
    }
}

/// The tree as serde sees it; scalars that are not text are looked up again in the source.
enum Raw {
    Text(String),
    Typed(String),
    Null,
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a boolean, a list or a map")
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(format!("{value:?}")))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Converts the tree of serde to ours; holds the text, so that scalars keep their spelling.
struct Builder<'a> {
    text: &'a str,
    file: u32,
}

impl Builder<'_> {
    /// `near` is the place of values that have none of their own, such as nothing after a key.
    fn node(&self, raw: Spanned<Raw>, near: Span) -> Node {
        let span = self.span(raw.defined).unwrap_or(near);
        let tree = match raw.value {
            // What the parser gives as text is text, whether it was quoted or not; only a number that is too large
            // comes spelled anew.
            Raw::Text(text) if matches!(text.as_str(), ".inf" | "-.inf" | ".nan") => {
                Tree::Scalar { text: self.plain(span).map_or(text, str::to_owned), style: Style::Quoted }
            }
            Raw::Text(text) => Tree::Scalar { text, style: Style::Quoted },
            Raw::Typed(shown) => self.typed(span, shown),
            Raw::Null => Tree::Scalar { text: String::new(), style: Style::Plain },
            Raw::List(items) => Tree::List(items.into_iter().map(|item| self.node(item, span)).collect()),
            // Keys that begin with `x-` are for the author (for anchors, say) and are ignored everywhere.
            Raw::Map(entries) => Tree::Map(
                entries
                    .into_iter()
                    .filter(|(key, _)| !key.value.starts_with("x-"))
                    .map(|(key, value)| self.entry(key, value, span))
                    .collect(),
            ),
        };
        Node { span, tree }
    }

    fn entry(&self, key: Spanned<String>, value: Spanned<Raw>, near: Span) -> (Name, Node) {
        let span = self.span(key.defined).unwrap_or(near);
        (Name { text: key.value, span }, self.node(value, span))
    }

    /// A scalar that the parser took for a number or a boolean: its spelling is that of the file.
    fn typed(&self, span: Span, shown: String) -> Tree {
        Tree::Scalar { text: self.plain(span).map_or(shown, str::to_owned), style: Style::Plain }
    }

    /// The characters of a plain scalar on one line; `None` for anything else.
    fn plain(&self, span: Span) -> Option<&str> {
        let written = self.text.get(span.start as usize..span.end as usize)?.trim();
        let special =
            written.is_empty() || written.starts_with(['"', '\'', '|', '>', '!', '&', '*']) || written.contains('\n');
        (!special).then_some(written)
    }

    fn span(&self, location: Location) -> Option<Span> {
        span_of(location, self.file)
    }
}

fn span_of(location: Location, file: u32) -> Option<Span> {
    let start = u32::try_from(location.span().byte_offset()?).ok()?;
    let length = u32::try_from(location.span().byte_len()?).ok()?;
    (location.line() > 0).then_some(Span { file, start, end: start.saturating_add(length) })
}

/// The parser's error in our words, at its place.
fn syntax_error(sources: &Sources, file: u32, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let text = &sources.get(file).text;
    let span = error.location().and_then(|location| place(text, location, file)).unwrap_or(Span::start_of(file));
    if let Error::DuplicateMappingKey { key, .. } = error {
        return duplicate_key(sources, file, span, key.as_deref());
    }
    if let Some(diagnostic) = unquoted_in_flow(text, file, span) {
        return diagnostic;
    }
    if let Error::MultipleDocuments { .. } = error {
        return Diagnostic::new(Class::Syntax, span, "a second document begins here, after `---`")
            .hint("a file holds one pipeline: put the other one into a file of its own, or remove `---`");
    }
    let message = plain_message(error);
    let diagnostic = Diagnostic::new(Class::Syntax, span, format!("this is not legal YAML: {message}"));
    match remedy(&message) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// What usually is behind a message of the parser.
fn remedy(message: &str) -> Option<&'static str> {
    let of = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if of(&["tab"]) {
        Some("indent with spaces")
    } else if of(&["quoted"]) {
        Some("is a quote not closed?")
    } else if of(&["anchor"]) {
        Some("an anchor is written `&name` before it is used as `*name`")
    } else if of(&["flow", "',' or '}'", "',' or ']'"]) {
        Some("is a bracket not closed, or a comma missing?")
    } else if of(&["block mapping", "block collection", "mapping values", "indentation", "simple key"]) {
        Some("check the indentation: the keys of one map begin in the same column, with a colon and a space after each")
    } else {
        None
    }
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

/// The parser's sentence without the place, which we show ourselves.
fn plain_message(error: &Error) -> String {
    let message = match error {
        Error::Message { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    let message = message.lines().next().unwrap_or_default().trim();
    let cut = [" at line ", " at byte ", " (line "].iter().filter_map(|mark| message.find(mark)).min();
    message[..cut.unwrap_or(message.len())].trim_end_matches([':', ',', ' ']).to_owned()
}

fn duplicate_key(sources: &Sources, file: u32, second: Span, key: Option<&str>) -> Diagnostic {
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
fn first_of(sources: &Sources, file: u32, second: Span, key: &str) -> Option<Span> {
    let text = &sources.get(file).text;
    let tree: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options(DuplicateKeyPolicy::FirstWins)).ok()?;
    let mut found = None;
    visit_keys(&Builder { text, file }.node(tree, Span::start_of(file)), &mut |name| {
        if name.text == key && name.span.start < second.start {
            found = found.max(Some(name.span));
        }
    });
    found
}

fn visit_keys(node: &Node, visit: &mut impl FnMut(&Name)) {
    match &node.tree {
        Tree::Scalar { .. } => {}
        Tree::List(items) => items.iter().for_each(|item| visit_keys(item, visit)),
        Tree::Map(entries) => entries.iter().for_each(|(name, value)| {
            visit(name);
            visit_keys(value, visit);
        }),
    }
}

/// A common mistake: `${x}` or `$x[...]` unquoted inside `{ }` or `[ ]`, which YAML reads as the start of a new map or list.
fn unquoted_in_flow(text: &str, file: u32, error: Span) -> Option<Diagnostic> {
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
        return Some(diagnostic("${...}").hint(format!("put it in quotes: \"{written}\"")));
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
                return Some((start, end_of_value(text, index, until)));
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
fn end_of_value(text: &str, from: usize, until: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in text[from..until].char_indices() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' if depth == 0 => return from + text[from..from + offset].trim_end().len(),
            '}' | ']' => depth -= 1,
            ',' | '\n' if depth == 0 => return from + text[from..from + offset].trim_end().len(),
            _ => {}
        }
    }
    until
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<(Sources, Node), Diagnostic> {
        let mut sources = Sources::default();
        let file = sources.add("/p.yaml".into(), "p.yaml".into(), text.to_owned());
        parse(&sources, file).map(|node| (sources, node))
    }

    #[test]
    fn scalars_follow_yaml_1_2_and_keep_their_spelling() {
        for (written, expected) in [
            ("010512", Value::Text("010512".into())),
            ("115017", Value::Int(115_017)),
            ("yes", Value::Text("yes".into())),
            ("n", Value::Text("n".into())),
            ("true", Value::Bool(true)),
            ("1_000", Value::Text("1_000".into())),
            ("0x1F", Value::Int(31)),
            ("1e3", Value::Float(1000.0)),
            ("0.50", Value::Float(0.5)),
            ("12:30", Value::Text("12:30".into())),
            (".inf", Value::Text(".inf".into())),
            ("1e999", Value::Text("1e999".into())),
            ("~", Value::Null),
            ("\"12\"", Value::Text("12".into())),
            ("-7", Value::Int(-7)),
            ("99999999999999999999", Value::Text("99999999999999999999".into())),
        ] {
            let (_, node) = tree(&format!("a: {written}\n")).expect(written);
            let value = node.get("a").expect("a");
            assert_eq!(value.value(), expected, "{written}");
            if written != "~" {
                assert_eq!(value.written(), Some(written.trim_matches('"')), "{written}");
            }
        }
    }

    #[test]
    fn commands_get_the_text_as_written() {
        for (written, expected) in [
            ("1.10", Value::Text("1.10".into())),
            ("0x1F", Value::Text("0x1F".into())),
            ("True", Value::Text("True".into())),
            ("~", Value::Null),
            ("\"1.10\"", Value::Text("1.10".into())),
            ("&x 1.10", Value::Text("1.10".into())),
            ("!!float 1.10", Value::Text("1.10".into())),
            ("[1.10, 1e3]", Value::List(vec![Value::Text("1.10".into()), Value::Text("1e3".into())])),
            (
                "{ b: [1.10, 0x1F, +1], a: True, \"c\": \"2\", d: ~, 1.50: x }",
                Value::Text(r#"{"1.50":"x","a":true,"b":[1.10,"0x1F","+1"],"c":"2","d":null}"#.into()),
            ),
            ("[[1.10], { x: 1e3 }]", Value::Text(r#"[[1.10],{"x":1e3}]"#.into())),
        ] {
            let (_, node) = tree(&format!("a: {written}\n")).expect(written);
            assert_eq!(node.get("a").expect("a").as_written(), expected, "{written}");
        }
    }

    #[test]
    fn spans_hold_the_value_and_anchors_and_merges_work() {
        let (sources, node) = tree("a: &x { n: 010, y: [1, two] }\nb:\n  <<: *x\n  n: 3\nc: *x\n").expect("legal");
        let b = node.get("b").expect("b");
        assert_eq!(b.get("n").expect("n").value(), Value::Int(3));
        let Tree::List(items) = &b.get("y").expect("merged").tree else { panic!("a list") };
        assert_eq!(sources.text(items[1].span), "two");
        assert_eq!(node.get("c").and_then(|c| c.get("n")).and_then(Node::written), Some("010"));
        assert_eq!(sources.text(node.get("b").and_then(|b| b.get("n")).expect("n").span), "3");
    }

    #[test]
    fn duplicate_keys_point_at_both() {
        let error = tree("stages:\n  a: 1\n  b: 2\n  a: 3\n").expect_err("twice");
        assert_eq!(error.class, Class::DuplicateKey);
        let mut sources = Sources::default();
        sources.add("/p".into(), "p".into(), "stages:\n  a: 1\n  b: 2\n  a: 3\n".into());
        assert_eq!(sources.position(error.primary.expect("placed").span).line, 4);
        assert_eq!(sources.position(error.others[0].span).line, 2);
    }

    #[test]
    fn unquoted_braces_in_flow_style_show_the_legal_spelling() {
        for text in
            ["in: { file: $a.b/${each.sid}.h5 }\n", "in: { file: x.csv, other: ${params.x} }\n", "a: [ ${x} ]\n"]
        {
            let error = tree(text).expect_err(text);
            assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("quotes: \"")), "{text}: {error:?}");
        }
        let error = tree("in: { images: $images[*].pixels }\n").expect_err("brackets");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("$images(*).pixels")), "{error:?}");
    }
}
