//! One parameter as the engine checks and documents it: name, type, bounds, default, meaning.

use crate::Value;

/// A parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name in `with:`.
    pub name: &'static str,
    /// Its type and range.
    pub of: Type,
    /// The value when it is not given; `None` means it must be.
    pub default: Option<Value>,
    /// For a parameter added after the first release: the value at which it is left out of the key.
    pub neutral: Option<Value>,
    /// What it does, with units.
    pub about: &'static str,
}

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number in a closed range.
    Int(i64, i64),
    /// A number in a closed range; whole numbers are taken too.
    Float(f64, f64),
    /// Any text (numbers and booleans are taken as written).
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    List(Box<Type>),
    /// A map from text.
    Map(Box<Type>),
    /// Anything.
    Any,
}
