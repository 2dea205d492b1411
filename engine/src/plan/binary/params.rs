//! Params of the pipeline.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serializer};

use super::tokens::Tokens;
use crate::plan::param_value::{ParamOrigin, ParamValue};

type Params = BTreeMap<String, ParamValue>;

pub fn serialize<S: Serializer>(params: &Params, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(params.iter().map(|(name, param)| (name, (Tokens::of(&param.value), param.origin))))
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Params, D::Error> {
    let params = BTreeMap::<String, (Tokens<'de>, ParamOrigin)>::deserialize(deserializer)?;
    let param = |(name, (tokens, origin)): (String, (Tokens<'_>, ParamOrigin))| {
        Ok((name, ParamValue { value: tokens.value()?, origin }))
    };
    params.into_iter().map(param).collect()
}
