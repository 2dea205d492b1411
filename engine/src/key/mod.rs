//! The action key: the digest of everything that may change the bytes a stage writes, and of nothing else.
//!
//! This is where mistakes are subtle. Something forgotten gives wrong results that look right; something too much
//! reruns hours of work because a stage was renamed. So here is the whole list.
//!
//! | enters | because |
//! |---|---|
//! | layout version ([`LAYOUT`]) | another encoding of the same parts is another key |
//! | kind and its version | other code; the version is raised when the same task may give other bytes. A renamed kind enters under its former name ([`pipe_contract::Kind::key_name`]), so that renaming it reruns nothing |
//! | parameters, typed and with defaults | they are handed to the code. A parameter that was added after the first release is left out at its `neutral` value, so that adding it reruns nothing |
//! | inputs by port: one digest, or a list of coordinates with digest or cause of absence | content, never where it came from. Coordinates of a gather are content: they are handed to the code |
//! | coordinates on the axes that the kind declares (`run:` stages: all axes) | the kind reads them; others are not passed to it, so they cannot matter |
//! | the seed of random kinds | it is handed to the code |
//! | whether subjects are simulated, for kinds that draw the stamp | it changes the figure; it is not passed to other kinds |
//! | facts of `run:` stages: body, shell, declared outputs, environment, tools, `net`, which optional inputs are unset, names under which inputs are found | all of that is visible to the command |
//! | the device, if a parameter pins one | it is a parameter like any other, neutral at `any` |
//!
//! | stays out | because |
//! |---|---|
//! | modification times, owners, permissions other than "executable" | touching and copying files changes nothing |
//! | absolute paths, the checkout's folder | moving a project changes nothing |
//! | names of stages, pipelines and profiles; the order of stages | they name the work, they do not change it |
//! | job count, granted threads, resources, retries, time-outs | they are about how the work is done. (A kind whose bytes depend on threads has a parameter for it) |
//! | credentials | secrets enter nothing that is stored; what was fetched is content |
//! | the device and instruction set it happened to run on | written in the record, so that a user can request the same |
//! | `isolation: none`, and whether this machine could isolate at all; `readable:` of `pipe.toml` | they decide whether an undeclared read fails, not what a stage that declares all it reads writes; they are in the record |
//! | causes of absence that a stage accepts, and its coverage | they decide whether there is an output, not which |
//!
//! The parts are stored beside the record ([`KeyParts`]), so that a later miss can be explained by comparing old with
//! new: digest and explanation come from the same struct ([`Reason`]).
//!
//! A gather may have a thousand cells and many readers. Its list is encoded once ([`CellList`]), stored
//! as a blob of its own, and the key holds that blob's digest.

mod addressed;
mod cells;
mod encode;
mod fact_change;
mod fact_name;
mod reason;
mod run_facts;

use std::borrow::Cow;
use std::collections::BTreeMap;

use pipe_cache::{Action, Content, Digest};
use pipe_contract::{Coordinates, Value};
use serde::{Deserialize, Serialize};

pub use addressed::Addressed;
pub use cells::{CellList, CellState};
pub use fact_name::FactName;
pub use reason::{Reason, explain};
pub use run_facts::{RunFacts, run_facts};

use encode::Encoder;

/// How parts are encoded. Raising it reruns everything everywhere.
///
/// 1: first form.
pub const LAYOUT: u32 = 1;

/// The kind name under which `run:` stages are keyed; no registered kind has it.
pub const COMMAND: &str = "run";

/// The version of how `run:` stages are carried out: raised when the same command may see something else.
///
/// 2: bash, copies of project files, nothing readable but what is declared, no network. 1: first form.
pub const COMMAND_VERSION: u32 = 2;

/// What enters a key, in the form that is stored beside the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyParts {
    /// [`LAYOUT`] when it was made.
    pub layout: u32,
    /// The name of the kind for keys ([`pipe_contract::Kind::key_name`]), or [`COMMAND`].
    pub kind: String,
    /// Its version.
    pub kind_version: u32,
    /// Parameters without those at their neutral value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// Inputs by port.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, KeyInput>,
    /// Coordinates on declared axes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at: BTreeMap<String, String>,
    /// The seed of a random kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// For kinds that draw the stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<bool>,
    /// What is true of a `run:` stage besides its inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// The content at an input port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyInput {
    /// One artifact.
    One(Addressed),
    /// A gather: the digest of its [`CellList`].
    Many(Digest<Content>),
}

/// What enters a key, borrowed from plan and registry, so that ten thousand keys cost no copies.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// The name of the kind for keys ([`pipe_contract::Kind::key_name`]), or [`COMMAND`].
    pub kind: &'a str,
    /// Its version.
    pub kind_version: u32,
    /// All parameters of the instance.
    pub params: &'a BTreeMap<String, Value>,
    /// Values at which a parameter is left out.
    pub neutral: &'a [(&'a str, &'a Value)],
    /// Inputs, by port in ascending order.
    pub inputs: &'a [(&'a str, KeyInput)],
    /// All coordinates of the instance.
    pub at: &'a Coordinates,
    /// The axes whose coordinates enter; `None` is all.
    pub axes: Option<&'a [&'a str]>,
    /// The seed of a random kind.
    pub seed: Option<u64>,
    /// For kinds that draw the stamp.
    pub simulated: Option<bool>,
    /// Facts of a `run:` stage, by name in ascending order ([`run_facts()`]).
    pub facts: &'a [(Cow<'a, str>, Cow<'a, str>)],
}

impl<'a> Parts<'a> {
    /// The key. `buffer` is room that is used again from key to key.
    pub fn key(&self, buffer: &mut Vec<u8>) -> Digest<Action> {
        buffer.clear();
        let mut encoder = Encoder::new(buffer);
        encoder.number(u64::from(LAYOUT));
        encoder.text(self.kind);
        encoder.number(u64::from(self.kind_version));
        encoder.list(self.params(), |encoder, (name, value)| {
            encoder.text(name);
            encoder.value(value);
        });
        encoder.list(self.inputs.iter(), |encoder, (port, input)| {
            encoder.text(port);
            match input {
                KeyInput::One(content) => {
                    encoder.byte(1);
                    encoder.content(content);
                }
                KeyInput::Many(list) => {
                    encoder.byte(2);
                    encoder.digest(list);
                }
            }
        });
        encoder.list(self.at(), |encoder, (axis, at)| {
            encoder.text(axis);
            encoder.text(at);
        });
        encoder.option(self.seed, |encoder, seed| encoder.number(seed));
        encoder.option(self.simulated, |encoder, simulated| encoder.byte(u8::from(simulated)));
        encoder.list(self.facts.iter(), |encoder, (name, fact)| {
            encoder.text(name);
            encoder.text(fact);
        });
        Digest::of(buffer)
    }

    /// The parts as they are stored beside the record.
    pub fn to_owned(&self) -> KeyParts {
        KeyParts {
            layout: LAYOUT,
            kind: self.kind.to_owned(),
            kind_version: self.kind_version,
            params: self.params().map(|(name, value)| (name.clone(), value.clone())).collect(),
            inputs: self.inputs.iter().map(|(port, input)| ((*port).to_owned(), *input)).collect(),
            at: self.at().map(|(axis, at)| (axis.clone(), at.clone())).collect(),
            seed: self.seed,
            simulated: self.simulated,
            facts: self.facts.iter().map(|(name, fact)| (name.to_string(), fact.to_string())).collect(),
        }
    }

    fn params(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        let neutral = self.neutral;
        self.params.iter().filter(move |(name, value)| {
            !neutral.iter().any(|(neutral_name, neutral)| *neutral_name == name.as_str() && neutral == value)
        })
    }

    fn at(&self) -> impl Iterator<Item = (&'a String, &'a String)> + use<'a> {
        let axes = self.axes;
        self.at.iter().filter(move |(axis, _)| axes.is_none_or(|axes| axes.contains(&axis.as_str())))
    }
}

#[cfg(test)]
mod tests;
