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

use super::syntax::{span_of, syntax_error};
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
    read_tree(text, file, DuplicateKeyPolicy::Error).map_err(|error| syntax_error(sources, file, &error))
}

/// The tree of a text as the parser reads it.
pub(super) fn read_tree(text: &str, file: u32, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, Error> {
    let tree: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options(duplicate_keys))?;
    Ok(Builder { text, file }.node(tree, Span::start_of(file)))
}

/// Lists and maps inside each other.
pub(super) const MOST_NESTED: usize = 32;

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
            max_depth: MOST_NESTED,
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
