//! Tables in JSON as rows under one list of columns, the form that `pandas.DataFrame(**table)` takes: the names of columns are
//! said once, not in every row. Independent of what the rows are about.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Rows under one list of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Row"), try_from = "RawTable<R>")]
pub struct ManifestTable<R> {
    columns: Vec<String>,
    /// The rows.
    #[serde(rename = "data")]
    pub rows: Vec<R>,
}

/// A row of a [`ManifestTable`]: in JSON a list, with its values in the order of the columns. [`row!`] declares one.
pub trait Row: DeserializeOwned {
    /// The names of its values.
    const COLUMNS: &[&str];
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Row"))]
struct RawTable<R> {
    columns: Vec<String>,
    data: Vec<R>,
}

impl<R: Row> TryFrom<RawTable<R>> for ManifestTable<R> {
    type Error = String;

    fn try_from(raw: RawTable<R>) -> Result<Self, String> {
        if raw.columns != R::COLUMNS {
            return Err(format!("expected the columns {:?}, found {:?}", R::COLUMNS, raw.columns));
        }
        Ok(raw.data.into())
    }
}

impl<R: Row> From<Vec<R>> for ManifestTable<R> {
    fn from(rows: Vec<R>) -> Self {
        Self { columns: R::COLUMNS.iter().map(|name| (*name).to_owned()).collect(), rows }
    }
}

impl<R: Row> Default for ManifestTable<R> {
    fn default() -> Self {
        Vec::new().into()
    }
}

/// Declares a struct that is a [`Row`]: its fields are the columns, in the order in which they are written.
macro_rules! row {
    (
        $(#[$about:meta])*
        pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $type:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl $crate::report::row_table::Row for $name {
            const COLUMNS: &[&str] = &[$(stringify!($field)),*];
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                ($(&self.$field,)*).serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <($($type,)*)>::deserialize(deserializer).map(|($($field,)*)| Self { $($field),* })
            }
        }
    };
}
pub(super) use row;

#[cfg(test)]
mod tests {
    use super::*;

    row! {
        /// A row.
        pub struct Fruit {
            /// A text.
            pub name: String,
            /// A number, if it is known.
            pub weight: Option<f64>,
        }
    }

    #[test]
    fn columns_are_the_fields_in_their_order() {
        let pear = Fruit { name: "pear".into(), weight: None };
        let table = ManifestTable::from(vec![pear]);
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(json, r#"{"columns":["name","weight"],"data":[["pear",null]]}"#);
        assert_eq!(serde_json::from_str::<ManifestTable<Fruit>>(&json).unwrap(), table);
        let swapped = r#"{"columns":["weight","name"],"data":[]}"#;
        let error = serde_json::from_str::<ManifestTable<Fruit>>(swapped).unwrap_err().to_string();
        assert!(error.contains(r#"expected the columns ["name", "weight"], found ["weight", "name"]"#), "{error}");
    }
}
