//! YAML as a tree in which every value has its place and its text as written.
//!
//! One untyped tree instead of derived types: ids like `010512` must stay text until code that has the
//! declared type needs a number, and each reader of the tree has its own messages. Scalars are resolved here by the
//! YAML 1.2 core schema (`yes` is text, `010` is text, `1_000` is text), not by the parser's more liberal rules.

use std::collections::BTreeMap;

use pipe_contract::Value;

use crate::diag::{Class, Diagnostic, Span};

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it is written (for an alias: where the anchor is).
    pub span: Span,
    /// What it is.
    pub tree: NodeTree,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeTree {
    /// Text, number, boolean or nothing: see [`Node::value`].
    Scalar {
        /// As written, without quotes.
        text: String,
        /// Which values it may be.
        style: ScalarStyle,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in written order; keys are distinct.
    Map(Vec<(Name, Node)>),
}

/// Which values a scalar may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarStyle {
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
        Self { span, tree: NodeTree::Scalar { text: text.into(), style: ScalarStyle::Quoted } }
    }

    /// The value of an axis.
    pub fn coordinate(span: Span, text: impl Into<String>) -> Self {
        Self { span, tree: NodeTree::Scalar { text: text.into(), style: ScalarStyle::Coordinate } }
    }

    /// A scalar's text as written.
    pub fn written(&self) -> Option<&str> {
        match &self.tree {
            NodeTree::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it is `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.tree, NodeTree::Scalar { text, style: ScalarStyle::Plain } if is_null(text))
    }

    /// The entry of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.tree {
            NodeTree::Map(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The entry of a value that must be a map. `shown` is the path of the value, `span` where the name is written.
    ///
    /// # Errors
    /// It is not a map, or it has no such entry.
    pub fn field(&self, name: &str, shown: &str, span: Span) -> Result<&Node, Diagnostic> {
        let NodeTree::Map(entries) = &self.tree else {
            let message = format!("`{shown}` is {}, which has no field `{name}`", self.described());
            return Err(Diagnostic::new(Class::Reference, span, message));
        };
        self.get(name).ok_or_else(|| {
            let message = format!("`{shown}` has no field `{name}`");
            let known = entries.iter().map(|(known, _)| known.text.as_str());
            Diagnostic::new(Class::UnknownName, span, message).known("its fields", name, known)
        })
    }

    /// The value by the YAML 1.2 core schema.
    pub fn value(&self) -> Value {
        match &self.tree {
            NodeTree::Scalar { text, style: ScalarStyle::Plain } => resolve(text),
            NodeTree::Scalar { text, .. } => Value::Text(text.clone()),
            NodeTree::List(items) => Value::List(items.iter().map(Node::value).collect()),
            NodeTree::Map(entries) => Value::Map(
                entries.iter().map(|(name, node)| (name.text.clone(), node.value())).collect::<BTreeMap<_, _>>(),
            ),
        }
    }

    /// The value for a reader who is to see what was written: numbers and booleans that are not written as their value
    /// is (`1.10`, `0x1F`, `True`) are the text as written, also in lists and maps.
    pub fn spelled(&self) -> Value {
        match &self.tree {
            NodeTree::Scalar { text, .. } => match self.value() {
                value @ (Value::Int(_) | Value::Float(_) | Value::Bool(_)) if value.to_string() != *text => {
                    Value::Text(text.clone())
                }
                value => value,
            },
            NodeTree::List(items) => Value::List(items.iter().map(Node::spelled).collect()),
            NodeTree::Map(entries) => {
                Value::Map(entries.iter().map(|(name, node)| (name.text.clone(), node.spelled())).collect())
            }
        }
    }

    /// The value as a stage kind takes it that asks for a number or a boolean: that of an axis is converted.
    pub fn converted(&self) -> Value {
        match &self.tree {
            NodeTree::Scalar { text, style: ScalarStyle::Coordinate } => resolve(text),
            _ => self.value(),
        }
    }

    /// The value as the body of a `run:` stage gets it: scalars are the text as written (`1.10` is `1.10`, `0x1F` is
    /// `0x1F`), also in a list. A value with maps or lists inside is JSON: numbers in it are as written where that is a
    /// number of JSON, else texts.
    pub fn as_written(&self) -> Value {
        match &self.tree {
            _ if self.is_null() => Value::Null,
            NodeTree::Scalar { text, .. } => Value::Text(text.clone()),
            NodeTree::List(items) if items.iter().all(|item| matches!(item.tree, NodeTree::Scalar { .. })) => {
                Value::List(items.iter().map(Node::as_written).collect())
            }
            NodeTree::List(_) | NodeTree::Map(_) => {
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
            NodeTree::List(items) => {
                json.push('[');
                for (index, item) in items.iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    item.write_json(json);
                }
                json.push(']');
            }
            NodeTree::Map(entries) => {
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
            NodeTree::Scalar { text: written, .. } => match self.value() {
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
            NodeTree::List(items) if items.is_empty() => "an empty list".to_owned(),
            NodeTree::List(_) => "a list".to_owned(),
            NodeTree::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
            NodeTree::Map(_) => "a map".to_owned(),
            NodeTree::Scalar { text, .. } => match self.value() {
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
