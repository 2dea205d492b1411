//! The tree of a text, as the parser of YAML reads it. Its errors are the parser's own; `super::syntax` puts them into words.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};

use super::node::{Name, Node, NodeTree, ScalarStyle};
use crate::diag::Span;

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
                NodeTree::Scalar { text: self.plain(span).map_or(text, str::to_owned), style: ScalarStyle::Quoted }
            }
            Raw::Text(text) => NodeTree::Scalar { text, style: ScalarStyle::Quoted },
            Raw::Typed(shown) => self.typed(span, shown),
            Raw::Null => NodeTree::Scalar { text: String::new(), style: ScalarStyle::Plain },
            Raw::List(items) => NodeTree::List(items.into_iter().map(|item| self.node(item, span)).collect()),
            // Keys that begin with `x-` are for the author (for anchors, say) and are ignored everywhere.
            Raw::Map(entries) => NodeTree::Map(
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
    fn typed(&self, span: Span, shown: String) -> NodeTree {
        NodeTree::Scalar { text: self.plain(span).map_or(shown, str::to_owned), style: ScalarStyle::Plain }
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

/// The place that the parser gives, if it gives one in bytes.
pub(super) fn span_of(location: Location, file: u32) -> Option<Span> {
    let start = u32::try_from(location.span().byte_offset()?).ok()?;
    let length = u32::try_from(location.span().byte_len()?).ok()?;
    (location.line() > 0).then_some(Span { file, start, end: start.saturating_add(length) })
}
