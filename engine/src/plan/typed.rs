//! Converts values to parameters: checked against the type and range that a kind declares.

use std::collections::BTreeMap;

use pipe_contract::{Type, Value};

use crate::diag::{Class, Diagnostic, nearest};
use crate::spec::{Node, NodeTree};

/// A parameter's value, or what is wrong with it.
pub(super) fn typed(name: &str, node: &Node, of: &Type) -> Result<Value, Diagnostic> {
    let wrong = || {
        let message = format!("parameter `{name}` is {}, found {}", describe(of), node.described());
        Diagnostic::new(Class::Value, node.span, message)
    };
    let value = match of {
        Type::Bool | Type::Int(..) | Type::Float(..) => node.converted(),
        _ => node.value(),
    };
    match (of, &value) {
        (Type::Any, _) => Ok(value),
        (Type::Bool, Value::Bool(_)) => Ok(value),
        (Type::Bool, _) => Err(wrong().hint("write `true` or `false`")),
        (Type::Int(low, high), Value::Int(number)) if (low..=high).contains(&number) => Ok(value),
        (Type::Float(low, high), Value::Float(number)) if number >= low && number <= high => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53 are no parameters of a float")]
        (Type::Float(low, high), Value::Int(number)) if (*number as f64) >= *low && (*number as f64) <= *high => {
            Ok(Value::Float(*number as f64))
        }
        (Type::Text, _) => match node.written() {
            Some(text) if !node.is_null() => Ok(Value::Text(text.to_owned())),
            _ => Err(wrong()),
        },
        (Type::Choice(words), _) => match node.written() {
            Some(text) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Some(text) => Err(match nearest(text, words.iter().copied()) {
                Some(near) => wrong().hint(format!("did you mean `{near}`?")),
                None => wrong(),
            }),
            None => Err(wrong()),
        },
        (Type::List(of), _) => match &node.tree {
            NodeTree::List(items) => {
                Ok(Value::List(items.iter().map(|item| typed(name, item, of)).collect::<Result<_, _>>()?))
            }
            _ => Err(wrong().hint("a list is `[a, b]`")),
        },
        (Type::Map(of), _) => match &node.tree {
            NodeTree::Map(entries) => {
                let typed = |(key, node): &(crate::spec::Name, Node)| {
                    Ok((key.text.clone(), typed(&format!("{name}.{}", key.text), node, of)?))
                };
                Ok(Value::Map(entries.iter().map(typed).collect::<Result<BTreeMap<_, _>, Diagnostic>>()?))
            }
            _ => Err(wrong().hint("a map is `{ key: value }`")),
        },
        _ => Err(wrong()),
    }
}

/// What a type takes, in words.
pub(super) fn describe(of: &Type) -> String {
    match of {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::Int(i64::MIN, i64::MAX) => "a whole number".to_owned(),
        Type::Int(low, i64::MAX) => format!("a whole number of at least {low}"),
        Type::Int(low, high) => format!("a whole number from {low} to {high}"),
        Type::Float(low, high) if *low <= f64::MIN && *high >= f64::MAX => "a number".to_owned(),
        Type::Float(low, high) if *high >= f64::MAX => format!("a number of at least {low}"),
        Type::Float(low, high) => format!("a number from {low} to {high}"),
        Type::Text => "a text".to_owned(),
        Type::Choice(words) => format!("one of {}", crate::diag::list(words.iter(), 12)),
        Type::List(of) => format!("a list of values, each {}", describe(of)),
        Type::Map(of) => format!("a map of values, each {}", describe(of)),
        Type::Any => "anything".to_owned(),
    }
}
