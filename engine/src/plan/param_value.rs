//! The value of a param of the pipeline, with what gave it. Part of the plan, of manifests and of `parameters.json`.

use pipe_contract::Value;
use serde::{Deserialize, Serialize};

/// The final value of a param, and what gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParamValue {
    /// The value; the text as written of a number that is not written as its value is ([`crate::spec::Node::spelled`]),
    /// because that is what a `run:` stage gets.
    pub value: Value,
    /// What gave it.
    pub origin: ParamOrigin,
}

/// What gave a param its value: the last of these that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamOrigin {
    /// Its declaration in the pipeline file or an included one.
    File,
    /// The file that includes the one with its declaration.
    Include,
    /// The profile, or one that it extends.
    Profile,
    /// `--set`.
    Set,
}
