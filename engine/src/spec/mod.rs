//! What the author wrote, with line and column: declarations without defaults, before profiles are applied.
//!
//! Decides the shape of the language and nothing about its meaning: values are [`Node`]s that `plan` types later,
//! because only a stage kind declares the types of its parameters. The keys are in [`keys`], once.

mod block_mistakes;
mod flow_mistakes;
mod foreign;
mod keys;
mod node;
mod parse;
mod paths;
mod quantity;
mod read;
mod reference;
mod syntax;
mod yaml_tree;

use std::path::PathBuf;

pub use keys::{FILES, Key, KeyTable, PARAM_TYPES, Shape, TABLES};
pub use node::{Name, Node, NodeTree, ScalarStyle, resolve, shortened};
pub use parse::parse;
pub use paths::without_dots;
pub use quantity::{bytes, duration, share, show_bytes};
pub use read::load;
pub(crate) use read::open;
pub use reference::{Pick, Reference, Selector, TextPiece, Written, read as read_written, read_text};

use crate::diag::{SourceTexts, Span};

/// A pipeline file with its includes.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Every text read so far.
    pub sources: SourceTexts,
    /// The pipeline file, absolute.
    pub file: PathBuf,
    /// `pipeline:`.
    pub name: Name,
    /// `about:`.
    pub about: String,
    /// `seed:`.
    pub seed: u64,
    /// Parameters, those of includes under `namespace.name`.
    pub params: Vec<ParamDecl>,
    /// Profiles.
    pub profiles: Vec<ProfileDecl>,
    /// Stages outside of profiles, those of includes under `namespace.name`.
    pub stages: Vec<NamedStage>,
    /// `results:` outside of profiles.
    pub results: Vec<ResultDecl>,
    /// `claims:`.
    pub claims: Vec<ClaimDecl>,
    /// `release:` outside of profiles.
    pub releases: Vec<ReleaseDecl>,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A list.
    List,
    /// A map.
    Map,
    /// Text; numbers and booleans are taken as written.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
}

impl ParamType {
    /// As written after `type:`.
    pub fn word(self) -> &'static str {
        match self {
            ParamType::List => "list",
            ParamType::Map => "map",
            ParamType::Text => "text",
            ParamType::Int => "int",
            ParamType::Float => "float",
            ParamType::Bool => "bool",
        }
    }

    /// The type of this word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::List, Self::Map, Self::Text, Self::Int, Self::Float, Self::Bool].into_iter().find(|of| of.word() == word)
    }
}

/// A declared parameter.
#[derive(Clone, Debug)]
pub struct ParamDecl {
    /// Its full name.
    pub name: Name,
    /// Its type.
    pub of: ParamType,
    /// The value in the file. `None` if every profile must give one.
    pub default: Option<Node>,
    /// What the including file gives, if this belongs to an include.
    pub given: Option<(String, Node)>,
    /// Its folder: `{ lines: FILE }` is relative to it.
    pub folder: PathBuf,
}

/// A profile.
#[derive(Clone, Debug)]
pub struct ProfileDecl {
    /// Its name.
    pub name: Name,
    /// `about:`.
    pub about: String,
    /// `default: true`.
    pub default: bool,
    /// `extends:`.
    pub extends: Option<Name>,
    /// `simulated:`, if it is given.
    pub simulated: Option<bool>,
    /// `params:`.
    pub params: Vec<(Name, Node)>,
    /// `stages:`.
    pub stages: Vec<NamedStage>,
    /// `results:`.
    pub results: Vec<ResultDecl>,
    /// `release:`.
    pub releases: Vec<ReleaseDecl>,
}

/// A stage, or its removal.
#[derive(Clone, Debug)]
pub struct NamedStage {
    /// Its full name.
    pub name: Name,
    /// The name space it is written in; empty in the pipeline file, else with a final dot.
    pub scope: String,
    /// The folder of the file it is written in: project files are relative to it.
    pub folder: PathBuf,
    /// The declaration; `None` for `none`.
    pub body: Option<Box<StageDecl>>,
}

/// A stage as written.
#[derive(Clone, Debug)]
pub struct StageDecl {
    /// `each:`.
    pub each: Vec<(Name, Node)>,
    /// `drop:`.
    pub drop: Option<Node>,
    /// `keep:`.
    pub keep: Option<Node>,
    /// `uses:` or `run:`.
    pub work: WorkDecl,
    /// `in:`.
    pub inputs: Vec<(Name, Node)>,
    /// `with:`.
    pub with: Vec<(Name, Node)>,
    /// `seed:`.
    pub seed: Option<Node>,
    /// `resources:`, each alternative with its place.
    pub resources: Vec<(Span, Vec<(Name, Node)>)>,
    /// `credential:`.
    pub credential: Option<Node>,
    /// `retry:`.
    pub retry: Option<Node>,
    /// `timeout:`.
    pub timeout: Option<Node>,
    /// `coverage:`.
    pub coverage: Vec<(Name, Node)>,
    /// `absent:`.
    pub absent: Vec<Name>,
    /// `restricted:`.
    pub restricted: Vec<Name>,
    /// `temp:`.
    pub temporary: bool,
}

/// The work of a stage as written.
#[derive(Clone, Debug)]
pub enum WorkDecl {
    /// `uses:`.
    Uses(Name),
    /// `run:`.
    Run(RunDecl),
}

/// A command as written.
#[derive(Clone, Debug)]
pub struct RunDecl {
    /// The body.
    pub body: Name,
    /// `out:`.
    pub out: Vec<(Name, Name)>,
    /// `env:`.
    pub env: Vec<(Name, Node)>,
    /// `tools:`.
    pub tools: Vec<(Name, ToolDecl)>,
    /// `shell:`.
    pub shell: Option<&'static str>,
    /// `optional:`.
    pub optional: Vec<Name>,
    /// `isolation:`.
    pub isolation: Option<&'static str>,
    /// `net:`.
    pub net: bool,
    /// `random:`.
    pub random: bool,
}

/// A tool as written.
#[derive(Clone, Debug)]
pub enum ToolDecl {
    /// A command whose first line of output is the version.
    Version(Name),
    /// A Python environment.
    Venv(Name),
}

/// A line of `results:`, or its removal.
#[derive(Clone, Debug)]
pub struct ResultDecl {
    /// The path, with `${axis}` and `{a,b}`.
    pub path: Name,
    /// The reference; `None` for `none`.
    pub artifact: Option<Name>,
}

/// A claim as written.
#[derive(Clone, Debug)]
pub struct ClaimDecl {
    /// Where it is written.
    pub span: Span,
    /// `text:`.
    pub text: String,
    /// `profile:`.
    pub profile: Option<Name>,
    /// `cell.table`.
    pub table: Name,
    /// `cell.where`.
    pub filter: Vec<(Name, Name)>,
    /// `cell.column`.
    pub column: String,
    /// `equals:`.
    pub equals: f64,
    /// `within:`.
    pub within: f64,
}

/// A release as written.
#[derive(Clone, Debug)]
pub struct ReleaseDecl {
    /// `ports:`.
    pub ports: Vec<Name>,
    /// `rule: { aggregate }`, else `because` and `approved`.
    pub why: ReleaseWhyDecl,
}

/// Why, as written.
#[derive(Clone, Debug)]
pub enum ReleaseWhyDecl {
    /// `rule: { aggregate: k }`.
    Aggregate(u32),
    /// `because:` and `approved:`.
    Approved {
        /// The reason.
        because: String,
        /// Who and when, if it was.
        approved: Option<String>,
    },
}
