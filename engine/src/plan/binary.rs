//! Parts of a plan that serde has no compact binary form for: values, shared texts and paths.
//!
//! Derived forms do for everything else. These are for [`super::plan_cache`] alone: they borrow from the bytes that are
//! read. A value is a list of tokens and not a tree, so that wrong bytes cannot nest it deeper than [`MAX_DEPTH`].

use std::collections::BTreeMap;

use pipe_contract::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values are not nested deeper; the reader of pipeline files refuses less.
const MAX_DEPTH: u32 = 64;

/// A value, its parts in the order in which they are written.
#[derive(Serialize, Deserialize)]
struct Tokens<'a>(#[serde(borrow)] Vec<Token<'a>>);

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Token<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// So many values follow.
    List(u32),
    /// So many keys follow, each with its value.
    Map(u32),
    Key(&'a str),
}

impl<'a> Tokens<'a> {
    fn of(value: &'a Value) -> Self {
        let mut tokens = Vec::new();
        add(value, &mut tokens);
        Self(tokens)
    }

    /// The value; `None` if the tokens are not those of one.
    fn value(&self) -> Option<Value> {
        let mut tokens = self.0.iter().copied();
        let value = value_of(&mut tokens, 0)?;
        tokens.next().is_none().then_some(value)
    }
}

fn add<'a>(value: &'a Value, tokens: &mut Vec<Token<'a>>) {
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    match value {
        Value::Null => tokens.push(Token::Null),
        Value::Bool(value) => tokens.push(Token::Bool(*value)),
        Value::Int(value) => tokens.push(Token::Int(*value)),
        Value::Float(value) => tokens.push(Token::Float(*value)),
        Value::Text(text) => tokens.push(Token::Text(text)),
        Value::List(values) => {
            tokens.push(Token::List(count(values.len())));
            values.iter().for_each(|value| add(value, tokens));
        }
        Value::Map(values) => {
            tokens.push(Token::Map(count(values.len())));
            for (key, value) in values {
                tokens.push(Token::Key(key));
                add(value, tokens);
            }
        }
    }
}

fn value_of<'a>(tokens: &mut impl Iterator<Item = Token<'a>>, depth: u32) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match tokens.next()? {
        Token::Null => Value::Null,
        Token::Bool(value) => Value::Bool(value),
        Token::Int(value) => Value::Int(value),
        Token::Float(value) => Value::Float(value),
        Token::Text(text) => Value::Text(text.to_owned()),
        Token::List(count) => {
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(value_of(tokens, depth + 1)?);
            }
            Value::List(values)
        }
        Token::Map(count) => {
            let mut values = BTreeMap::new();
            for _ in 0..count {
                let Token::Key(key) = tokens.next()? else { return None };
                values.insert(key.to_owned(), value_of(tokens, depth + 1)?);
            }
            Value::Map(values)
        }
        Token::Key(_) => return None,
    })
}

fn read_value<E: serde::de::Error>(tokens: &Tokens<'_>) -> Result<Value, E> {
    tokens.value().ok_or_else(|| E::custom("these are not the tokens of a value"))
}

/// Parameters of an instance.
pub(super) mod values {
    use super::*;

    pub fn serialize<S: Serializer>(values: &BTreeMap<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, Tokens::of(value))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
        let values = BTreeMap::<String, Tokens<'de>>::deserialize(deserializer)?;
        values.into_iter().map(|(name, tokens)| Ok((name, read_value(&tokens)?))).collect()
    }
}

/// Params of the pipeline.
pub(super) mod params {
    use super::*;
    use crate::plan::param_value::{ParamOrigin, ParamValue};

    type Params = BTreeMap<String, ParamValue>;

    pub fn serialize<S: Serializer>(params: &Params, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(params.iter().map(|(name, param)| (name, (Tokens::of(&param.value), param.origin))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Params, D::Error> {
        let params = BTreeMap::<String, (Tokens<'de>, ParamOrigin)>::deserialize(deserializer)?;
        let param = |(name, (tokens, origin)): (String, (Tokens<'_>, ParamOrigin))| {
            Ok((name, ParamValue { value: read_value(&tokens)?, origin }))
        };
        params.into_iter().map(param).collect()
    }
}

/// What is shared while a plan is in memory, by its content.
pub(super) mod shared {
    use std::sync::Arc;

    use super::*;

    pub fn serialize<S: Serializer, T: Serialize + ?Sized>(of: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        of.as_ref().serialize(serializer)
    }

    pub fn deserialize<'de, D, T>(deserializer: D) -> Result<Arc<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: ToOwned + ?Sized,
        T::Owned: Deserialize<'de>,
        Arc<T>: From<T::Owned>,
    {
        T::Owned::deserialize(deserializer).map(Arc::from)
    }
}

/// [`shared`], if there is any.
pub(super) mod shared_option {
    use std::sync::Arc;

    use super::*;

    pub fn serialize<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
        text.as_deref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<str>>, D::Error> {
        Ok(Option::<&str>::deserialize(deserializer)?.map(Arc::from))
    }
}

/// Paths, which need not be UTF-8.
pub(super) mod path {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    use super::*;

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(path.as_os_str().as_bytes())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tokens: &[Token<'_>]) -> Option<Value> {
        Tokens(tokens.to_vec()).value()
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let map = |entries: &[(&str, Value)]| {
            Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
        };
        let list = Value::List(vec![Value::Null, Value::Bool(true), Value::List(Vec::new()), Value::Float(-0.1)]);
        let value =
            map(&[("a", list), ("b", map(&[])), ("c", map(&[("d", Value::Text("x".into()))])), ("e", Value::Int(-7))]);
        assert_eq!(Tokens::of(&value).value(), Some(value));
    }

    #[test]
    fn wrong_tokens_are_no_value() {
        let deep = vec![Token::List(1); 100_000];
        let wrong: [&[Token<'_>]; 6] = [
            &[],
            &[Token::List(2), Token::Null],
            &[Token::List(u32::MAX), Token::Null],
            &[Token::Map(1), Token::Null, Token::Null],
            &[Token::Null, Token::Null],
            &deep,
        ];
        for tokens in wrong {
            assert_eq!(read(tokens), None);
        }
    }
}
