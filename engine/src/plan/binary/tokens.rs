//! A value as a list of tokens and not as a tree, so that wrong bytes cannot nest it deeper than [`MAX_DEPTH`].

use std::collections::BTreeMap;

use pipe_contract::Value;
use serde::de::Error;
use serde::{Deserialize, Serialize};

/// Values are not nested deeper; the reader of pipeline files refuses less.
const MAX_DEPTH: u32 = 64;

/// A value, its parts in the order in which they are written.
#[derive(Serialize, Deserialize)]
pub(super) struct Tokens<'a>(#[serde(borrow)] Vec<Token<'a>>);

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
    pub fn of(value: &'a Value) -> Self {
        let mut tokens = Vec::new();
        add(value, &mut tokens);
        Self(tokens)
    }

    /// The value, if the tokens are those of one.
    pub fn value<E: Error>(&self) -> Result<Value, E> {
        let mut tokens = self.0.iter().copied();
        let value = value_of(&mut tokens, 0).filter(|_| tokens.next().is_none());
        value.ok_or_else(|| E::custom("these are not the tokens of a value"))
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

#[cfg(test)]
mod tests {
    use serde::de::value::Error;

    use super::*;

    fn read(tokens: &[Token<'_>]) -> Option<Value> {
        Tokens(tokens.to_vec()).value::<Error>().ok()
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let map = |entries: &[(&str, Value)]| {
            Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
        };
        let list = Value::List(vec![Value::Null, Value::Bool(true), Value::List(Vec::new()), Value::Float(-0.1)]);
        let value =
            map(&[("a", list), ("b", map(&[])), ("c", map(&[("d", Value::Text("x".into()))])), ("e", Value::Int(-7))]);
        assert_eq!(Tokens::of(&value).value::<Error>().ok(), Some(value));
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
