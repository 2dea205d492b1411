//! Parameters of a kind, declared once: [`parameters!`](macro@crate::parameters) makes from one declaration both what the engine
//! checks and documents ([`Param`]: name, type, bounds, default, meaning) and the struct that the kind's code reads.
//!
//! ```
//! use pipe_contract::{Kind, Type, Value, choice, parameters};
//!
//! parameters! {
//!     /// Parameters of `demo/scale`.
//!     struct Parameters {
//!         /// by how much
//!         factor: f64 = 1.5, in 0.0..=10.0;
//!         /// columns; none for all of them
//!         columns: Vec<String> = Vec::new();
//!         /// what happens to missing values
//!         missing: Missing = Missing::Keep, neutral Missing::Keep;
//!         /// the name of the result, which must be given
//!         name: String;
//!     }
//! }
//!
//! choice! {
//!     /// What happens to missing values.
//!     #[derive(Clone, Copy, Debug, PartialEq, Eq)]
//!     enum Missing {
//!         /// They stay.
//!         Keep = "keep",
//!         /// Their rows go.
//!         Drop = "drop",
//!     }
//! }
//!
//! let kind = Kind::new("demo/scale", 1, "multiplies a table").parameters::<Parameters>();
//! assert_eq!(kind.params[0].of, Type::Float(0.0, 10.0));
//! assert_eq!(kind.params[2].default, Some(Value::Text("keep".into())));
//! assert_eq!(kind.params[3].about, "the name of the result, which must be given");
//! ```
//!
//! A field's comment is what users read about it. `neutral` is for a parameter that is added after the first release: at this value
//! it is left out of the key. `one_of WORDS` restricts a text to a list that is declared elsewhere. A last line `..name: Type;` takes
//! in the parameters that several kinds share.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::{Param, Type, Value};

/// The parameters of a kind as a struct; made by [`parameters!`](macro@crate::parameters).
pub trait Parameters: Sized {
    /// What is declared to the engine, in written order.
    fn declared() -> Vec<Param>;

    /// The struct, from checked values with defaults filled in.
    ///
    /// # Errors
    /// A value is missing or of another type: which one.
    fn read(values: &BTreeMap<String, Value>) -> Result<Self, String>;
}

/// A kind without parameters of its own may still be asked for them.
impl Parameters for () {
    fn declared() -> Vec<Param> {
        Vec::new()
    }

    fn read(_: &BTreeMap<String, Value>) -> Result<Self, String> {
        Ok(())
    }
}

/// A type that a parameter can have.
pub trait Parameter: Sized {
    /// The declared type, without bounds but those of the Rust type.
    fn declared_type() -> Type;

    /// A default or neutral value as declared.
    fn to_value(self) -> Value;

    /// Read from a value of the declared type; `None` for any other.
    fn read(value: &Value) -> Option<Self>;
}

/// A number that may be bounded.
pub trait Bounded: Parameter {
    /// The declared type of numbers in a closed range.
    fn within(range: RangeInclusive<Self>) -> Type;
}

/// The value of one parameter.
///
/// # Errors
/// It is missing or of another type.
pub fn read_parameter<T: Parameter>(values: &BTreeMap<String, Value>, name: &str) -> Result<T, String> {
    let value = values.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    T::read(value).ok_or_else(|| format!("`{name}` is the {} {value}", value.type_name()))
}

impl Param {
    /// A parameter of this type that must be given.
    pub fn of<T: Parameter>(name: &'static str, about: &'static str) -> Self {
        Self { name, of: T::declared_type(), default: None, neutral: None, about: about.trim_ascii() }
    }

    /// With a value where it is not given.
    #[must_use]
    pub fn or<T: Parameter>(mut self, default: T) -> Self {
        self.default = Some(default.to_value());
        self
    }

    /// In a closed range.
    #[must_use]
    pub fn within<T: Bounded>(mut self, range: RangeInclusive<T>) -> Self {
        self.of = T::within(range);
        self
    }

    /// One of these words.
    #[must_use]
    pub fn one_of(mut self, words: &'static [&'static str]) -> Self {
        self.of = Type::Choice(words);
        self
    }

    /// Left out of the key at this value.
    #[must_use]
    pub fn neutral_at<T: Parameter>(mut self, value: T) -> Self {
        self.neutral = Some(value.to_value());
        self
    }
}

/// Declares the parameters of a kind and the struct that its code reads; see the [module](mod@crate::parameters).
#[macro_export]
macro_rules! parameters {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $about:literal])+
                $field_vis:vis $field:ident : $type:ty
                $(= $default:expr)? $(, in $range:expr)? $(, one_of $words:expr)? $(, neutral $neutral:expr)? ;
            )*
            $(.. $shared_vis:vis $shared:ident : $shared_type:ty ;)*
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[doc = $about])+ $field_vis $field: $type,)*
            $(
                #[doc = "Parameters that several kinds share."]
                $shared_vis $shared: $shared_type,
            )*
        }

        impl $crate::Parameters for $name {
            fn declared() -> Vec<$crate::Param> {
                let own: Vec<$crate::Param> = vec![$(
                    $crate::Param::of::<$type>(stringify!($field), concat!($($about),+))
                        $(.or::<$type>($default))?
                        $(.within::<$type>($range))?
                        $(.one_of($words))?
                        $(.neutral_at::<$type>($neutral))?
                ),*];
                let shared: Vec<Vec<$crate::Param>> = vec![$(<$shared_type as $crate::Parameters>::declared()),*];
                own.into_iter().chain(shared.into_iter().flatten()).collect()
            }

            fn read(values: &std::collections::BTreeMap<String, $crate::Value>) -> Result<Self, String> {
                Ok(Self {
                    $($field: $crate::read_parameter(values, stringify!($field))?,)*
                    $($shared: <$shared_type as $crate::Parameters>::read(values)?,)*
                })
            }
        }
    };
}

/// Declares an enum that a parameter can be, with the word for each variant; see the [module](mod@crate::parameters).
#[macro_export]
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        $vis enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $crate::Parameter for $name {
            fn declared_type() -> $crate::Type {
                $crate::Type::Choice(&[$($word),+])
            }

            fn to_value(self) -> $crate::Value {
                let word = match self { $(Self::$variant => $word,)+ };
                $crate::Value::Text(word.to_owned())
            }

            fn read(value: &$crate::Value) -> Option<Self> {
                match value.as_text()? {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

impl Parameter for bool {
    fn declared_type() -> Type {
        Type::Bool
    }

    fn to_value(self) -> Value {
        Value::Bool(self)
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl Parameter for f64 {
    fn declared_type() -> Type {
        Type::Float(f64::MIN, f64::MAX)
    }

    fn to_value(self) -> Value {
        Value::Float(self)
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Float(value) => Some(*value),
            #[expect(
                clippy::cast_precision_loss,
                reason = "who writes a whole number for a number means the nearest one"
            )]
            Value::Int(value) => Some(*value as f64),
            _ => None,
        }
    }
}

impl Bounded for f64 {
    fn within(range: RangeInclusive<Self>) -> Type {
        Type::Float(*range.start(), *range.end())
    }
}

/// Whole numbers; what does not fit into 64 bits with a sign cannot be written in a pipeline file either.
macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Parameter for $type {
            fn declared_type() -> Type {
                <$type as Bounded>::within(<$type>::MIN..=<$type>::MAX)
            }

            fn to_value(self) -> Value {
                Value::Int(i64::try_from(self).unwrap_or(i64::MAX))
            }

            fn read(value: &Value) -> Option<Self> {
                match value {
                    Value::Int(value) => Self::try_from(*value).ok(),
                    _ => None,
                }
            }
        }

        impl Bounded for $type {
            fn within(range: RangeInclusive<Self>) -> Type {
                let bound = |end: &$type| i64::try_from(*end).unwrap_or(i64::MAX);
                Type::Int(bound(range.start()), bound(range.end()))
            }
        }
    )+};
}

whole_number!(i64, u32, u64, usize);

impl Parameter for String {
    fn declared_type() -> Type {
        Type::Text
    }

    fn to_value(self) -> Value {
        Value::Text(self)
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_text().map(str::to_owned)
    }
}

/// Anything, as it is.
impl Parameter for Value {
    fn declared_type() -> Type {
        Type::Any
    }

    fn to_value(self) -> Value {
        self
    }

    fn read(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: Parameter> Parameter for Vec<T> {
    fn declared_type() -> Type {
        Type::List(Box::new(T::declared_type()))
    }

    fn to_value(self) -> Value {
        Value::List(self.into_iter().map(T::to_value).collect())
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::List(values) => values.iter().map(T::read).collect(),
            _ => None,
        }
    }
}

impl<T: Parameter> Parameter for BTreeMap<String, T> {
    fn declared_type() -> Type {
        Type::Map(Box::new(T::declared_type()))
    }

    fn to_value(self) -> Value {
        Value::Map(self.into_iter().map(|(name, value)| (name, value.to_value())).collect())
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Map(values) => values.iter().map(|(name, value)| Some((name.clone(), T::read(value)?))).collect(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    parameters! {
        /// What several kinds share.
        #[derive(Debug, PartialEq)]
        struct Place {
            /// threads inside operations
            threads: u32 = 1, in 1..=1_024;
        }
    }

    choice! {
        /// How to look.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum View {
            /// A part.
            Labels = "labels",
            /// All of it.
            Map = "map",
        }
    }

    const WORDS: &[&str] = &["area", "ring"];

    parameters! {
        /// All the types.
        #[derive(Debug, PartialEq)]
        struct All {
            /// a share, explained
            /// in two lines
            share: f64 = 0.2, in 0.0..=1.0, neutral 0.2;
            /// a count
            pub count: usize = 3, in 1..=5;
            /// a seed
            seed: u64;
            /// a word
            output: String, one_of WORDS;
            /// a choice
            view: View = View::Labels;
            /// fields by name
            fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
            /// yes or no
            points: bool = true;
            ..place: Place;
        }
    }

    fn declared(name: &str) -> Param {
        All::declared().into_iter().find(|param| param.name == name).unwrap()
    }

    #[test]
    fn one_declaration_gives_name_type_bounds_default_and_meaning() {
        let share = declared("share");
        assert_eq!((share.of, share.about), (Type::Float(0.0, 1.0), "a share, explained in two lines"));
        assert_eq!((share.default, share.neutral), (Some(Value::Float(0.2)), Some(Value::Float(0.2))));
        assert_eq!(declared("count").of, Type::Int(1, 5));
        assert_eq!((declared("seed").of, declared("seed").default), (Type::Int(0, i64::MAX), None));
        assert_eq!(declared("output").of, Type::Choice(WORDS));
        assert_eq!(declared("view").of, Type::Choice(&["labels", "map"]));
        assert_eq!(declared("fields").of, Type::Map(Box::new(Type::List(Box::new(Type::Text)))));
        let names: Vec<&str> = All::declared().iter().map(|param| param.name).collect();
        assert_eq!(names, ["share", "count", "seed", "output", "view", "fields", "points", "threads"]);
    }

    #[test]
    fn what_is_declared_is_read_back_typed() {
        let mut values: BTreeMap<String, Value> =
            All::declared().into_iter().filter_map(|param| Some((param.name.to_owned(), param.default?))).collect();
        assert_eq!(All::read(&values).unwrap_err(), "`seed` is missing");
        values.insert("seed".into(), Value::Int(-1));
        values.insert("output".into(), Value::Text("ring".into()));
        assert_eq!(All::read(&values).unwrap_err(), "`seed` is the int -1");
        values.insert("seed".into(), Value::Int(7));
        values.insert("view".into(), Value::Text("map".into()));
        let expected = All {
            share: 0.2,
            count: 3,
            seed: 7,
            output: "ring".into(),
            view: View::Map,
            fields: BTreeMap::new(),
            points: true,
            place: Place { threads: 1 },
        };
        assert_eq!(All::read(&values), Ok(expected));
    }
}
