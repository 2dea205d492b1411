//! Parameters of an instance.

use std::collections::BTreeMap;

use pipe_contract::Value;
use serde::{Deserialize, Deserializer, Serializer};

use super::tokens::Tokens;

pub fn serialize<S: Serializer>(values: &BTreeMap<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(name, value)| (name, Tokens::of(value))))
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
    let values = BTreeMap::<String, Tokens<'de>>::deserialize(deserializer)?;
    values.into_iter().map(|(name, tokens)| Ok((name, tokens.value()?))).collect()
}
