//! Why an instance is not a hit: the difference between the parts of its key now and at its last work.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pipe_cache::{Content, Digest};
use pipe_contract::{Coordinates, Value};
use serde::Serialize;

use super::fact_change::fact_change;
use super::{COMMAND, CellState, FactName, KeyInput, KeyParts};

/// One difference. Its `Display` is a sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// This instance has not worked before on this machine, and the cache has no record of the same work.
    FirstTime,
    /// The same work was begun before, but it was interrupted.
    Unfinished,
    /// The last attempt at the same work failed.
    FailedBefore,
    /// The reasons before this one compare with the last run without `--set`: there was none with the same one.
    ComparedWithProfile,
    /// It worked before, but its data were under other restrictions: what it made then is not used.
    RestrictionsChanged {
        /// Now.
        now: BTreeSet<String>,
    },
    /// It worked before, but the record of that is gone, so that nothing can be compared.
    RecordGone,
    /// The record is there, but some of its outputs are missing or damaged.
    OutputsMissing {
        /// Their ports.
        outputs: Vec<String>,
    },
    /// The user forced it.
    Forced,
    /// Recorded as a missing cell, and the user requested another attempt.
    AbsenceRetried {
        /// The recorded cause.
        cause: String,
    },
    /// `uses:` names another kind, or `run:` became `uses:`.
    KindChanged {
        /// Before.
        was: String,
        /// Now.
        now: String,
    },
    /// The kind has a newer version.
    KindVersion {
        /// The kind.
        kind: String,
        /// Before.
        was: u32,
        /// Now.
        now: u32,
    },
    /// This version of `pipe` has another key layout.
    Layout {
        /// Before.
        was: u32,
        /// Now.
        now: u32,
    },
    /// A parameter differs.
    ParameterChanged {
        /// Its name.
        name: String,
        /// Before; `None` if it was not there or at its neutral value.
        was: Option<Value>,
        /// Now; `None` as before.
        now: Option<Value>,
    },
    /// The content at a port differs.
    InputChanged {
        /// The port.
        port: String,
        /// Where its content comes from: a file of the project, or `stage.port`. `None` for a gather.
        from: Option<String>,
    },
    /// A port that was unset is set.
    InputAdded {
        /// The port.
        port: String,
    },
    /// The same content is at another port.
    InputRenamed {
        /// Its port before.
        was: String,
        /// Its port now.
        now: String,
    },
    /// A port that was set is unset.
    InputRemoved {
        /// The port.
        port: String,
    },
    /// A gather has a cell more.
    CellAdded {
        /// The port.
        port: String,
        /// The cell.
        at: Coordinates,
    },
    /// A gather has a cell less.
    CellRemoved {
        /// The port.
        port: String,
        /// The cell.
        at: Coordinates,
    },
    /// The content of a cell differs, or it became present or absent.
    CellChanged {
        /// The port.
        port: String,
        /// The cell.
        at: Coordinates,
        /// What happened, such as `other content` or `now absent (not-found)`.
        how: String,
    },
    /// A coordinate that the kind reads differs: the axis has another value under the same name.
    CoordinateChanged {
        /// The axis.
        axis: String,
        /// Before.
        was: Option<String>,
        /// Now.
        now: Option<String>,
    },
    /// The seed differs.
    SeedChanged {
        /// Before.
        was: Option<u64>,
        /// Now.
        now: Option<u64>,
    },
    /// Subjects were simulated and are real now, or the reverse.
    SimulatedChanged {
        /// Now.
        now: bool,
    },
    /// A `run:` stage without `tools:` begins with another program, or with commands of another shell.
    ProgramChanged {
        /// Before.
        was: String,
        /// Now.
        now: String,
    },
    /// Something about a `run:` stage differs: its body, environment, tools.
    FactChanged {
        /// What it is about, as in a key: [`FactName::text`].
        name: String,
        /// Before.
        was: Option<String>,
        /// Now.
        now: Option<String>,
    },
}

/// Reads the list of a gather by its digest, if it is still stored.
pub type FindCells<'f> = dyn FnMut(&Digest<Content>) -> Option<BTreeMap<Coordinates, CellState>> + 'f;

/// The differences between two sets of parts, most informative first; empty if they are equal. `cells` reads the list
/// of a gather, if it is still stored.
pub fn explain(was: &KeyParts, now: &KeyParts, cells: &mut FindCells<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if was.layout != now.layout {
        reasons.push(Reason::Layout { was: was.layout, now: now.layout });
    }
    if was.kind != now.kind {
        reasons.push(Reason::KindChanged { was: was.kind.clone(), now: now.kind.clone() });
    } else if was.kind_version != now.kind_version {
        reasons.push(Reason::KindVersion { kind: now.kind.clone(), was: was.kind_version, now: now.kind_version });
    }
    compare(&was.params, &now.params, |name, was, now| {
        reasons.push(Reason::ParameterChanged { name: name.into(), was: was.cloned(), now: now.cloned() });
    });
    reasons.extend(facts(was, now));
    compare(&was.at, &now.at, |axis, was, now| {
        reasons.push(Reason::CoordinateChanged { axis: axis.into(), was: was.cloned(), now: now.cloned() });
    });
    if was.seed != now.seed {
        reasons.push(Reason::SeedChanged { was: was.seed, now: now.seed });
    }
    if was.simulated != now.simulated {
        reasons.push(Reason::SimulatedChanged { now: now.simulated.unwrap_or(false) });
    }
    reasons.extend(inputs(was, now, cells));
    reasons
}

/// What differs in facts. Those of one side only are left out where something else says it: that `run:` became `uses:`, or that an
/// input came or went.
fn facts(was: &KeyParts, now: &KeyParts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if (was.kind == COMMAND) != (now.kind == COMMAND) {
        return reasons;
    }
    let came_or_went = |port: &str| was.inputs.contains_key(port) != now.inputs.contains_key(port);
    let programs = programs(was, now);
    compare(&was.facts, &now.facts, |name, was, now| {
        let is_said = match FactName::of(name) {
            Some(FactName::InputName(port) | FactName::Optional(port)) => came_or_went(port),
            Some(FactName::Program(_)) => programs.is_some() && (was.is_none() || now.is_none()),
            _ => false,
        };
        if !is_said {
            reasons.push(Reason::FactChanged { name: name.into(), was: was.cloned(), now: now.cloned() });
        }
    });
    // Where a body is run by another shell, that shell is often its program too.
    let programs = programs.filter(|(was_program, now_program)| {
        shell(was) == shell(now) || (shell(was), shell(now)) != (Some(was_program), Some(now_program))
    });
    reasons.extend(programs.map(|(was, now)| Reason::ProgramChanged { was: was.to_owned(), now: now.to_owned() }));
    reasons
}

/// The programs that count as facts of two commands, if they are two.
fn programs<'k>(was: &'k KeyParts, now: &'k KeyParts) -> Option<(&'k str, &'k str)> {
    let only_in = |parts: &'k KeyParts, other: &KeyParts| {
        parts.facts.keys().filter(|name| !other.facts.contains_key(*name)).find_map(|name| match FactName::of(name) {
            Some(FactName::Program(program)) => Some(program),
            _ => None,
        })
    };
    only_in(was, now).zip(only_in(now, was))
}

/// The name of the shell of a command.
fn shell(parts: &KeyParts) -> Option<&str> {
    parts.facts.get(&FactName::Shell.text())?.split(' ').next()
}

/// What differs in inputs. One that went and one that came with the same content are one that was renamed.
fn inputs(was: &KeyParts, now: &KeyParts, cells: &mut FindCells<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut added: Vec<&String> = now.inputs.keys().filter(|port| !was.inputs.contains_key(*port)).collect();
    for (port, before) in &was.inputs {
        match (before, now.inputs.get(port)) {
            (before, Some(after)) if before == after => {}
            (KeyInput::Many(before), Some(KeyInput::Many(after))) => reasons.extend(gather(port, before, after, cells)),
            (_, Some(_)) => reasons.push(Reason::InputChanged { port: port.clone(), from: None }),
            (before, None) => match added.iter().position(|port| now.inputs[*port] == *before) {
                Some(index) => {
                    reasons.push(Reason::InputRenamed { was: port.clone(), now: added.remove(index).clone() });
                }
                None => reasons.push(Reason::InputRemoved { port: port.clone() }),
            },
        }
    }
    reasons.extend(added.into_iter().map(|port| Reason::InputAdded { port: port.clone() }));
    reasons
}

/// Calls `differs` for every name whose value is not the same on both sides, in order of names.
fn compare<V: PartialEq>(
    was: &BTreeMap<String, V>,
    now: &BTreeMap<String, V>,
    mut differs: impl FnMut(&str, Option<&V>, Option<&V>),
) {
    let names: std::collections::BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    for name in names {
        if was.get(name) != now.get(name) {
            differs(name, was.get(name), now.get(name));
        }
    }
}

/// The cells in which two gathers differ; a general sentence if one of the lists is gone.
fn gather(port: &str, was: &Digest<Content>, now: &Digest<Content>, cells: &mut FindCells<'_>) -> Vec<Reason> {
    let (Some(before), Some(after)) = (cells(was), cells(now)) else {
        return vec![Reason::InputChanged { port: port.into(), from: None }];
    };
    let mut reasons = Vec::new();
    for at in before.keys().filter(|at| !after.contains_key(*at)) {
        reasons.push(Reason::CellRemoved { port: port.into(), at: at.clone() });
    }
    for (at, state) in &after {
        match before.get(at) {
            None => reasons.push(Reason::CellAdded { port: port.into(), at: at.clone() }),
            Some(earlier) if earlier != state => {
                reasons.push(Reason::CellChanged { port: port.into(), at: at.clone(), how: change(earlier, state) });
            }
            Some(_) => {}
        }
    }
    reasons
}

fn change(was: &CellState, now: &CellState) -> String {
    match (was, now) {
        (CellState::Present(_), CellState::Present(_)) => "other content".into(),
        (CellState::Absent(_), CellState::Present(_)) => "no longer absent".into(),
        (_, CellState::Absent(cause)) => format!("now absent ({cause})"),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::FirstTime => f.write_str("first time"),
            Reason::Unfinished => f.write_str("begun before, but not finished"),
            Reason::FailedBefore => f.write_str("the last attempt at the same work failed"),
            Reason::ComparedWithProfile => {
                f.write_str("compared with the last run without `--set`: none had the same parameters")
            }
            Reason::RestrictionsChanged { now } if now.is_empty() => {
                f.write_str("its data were restricted when it ran last, and are not now")
            }
            Reason::RestrictionsChanged { now } => {
                let now = now.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "its data are under other restrictions than when it ran last (now {now})")
            }
            Reason::RecordGone => f.write_str("the record of its last work is gone"),
            Reason::OutputsMissing { outputs } => {
                write!(f, "outputs are missing from the cache or damaged: {}", outputs.join(", "))
            }
            Reason::Forced => f.write_str("forced"),
            Reason::AbsenceRetried { cause } => write!(f, "recorded as absent ({cause}), retried"),
            Reason::KindChanged { was, now } if was == COMMAND => write!(f, "`run:` became `uses: {now}`"),
            Reason::KindChanged { was, now } if now == COMMAND => write!(f, "`uses: {was}` became `run:`"),
            Reason::KindChanged { was, now } => write!(f, "kind changed: `{was}` -> `{now}`"),
            Reason::KindVersion { kind, was, now } if kind == COMMAND => {
                write!(f, "this version of pipe carries out `run:` stages differently (version {was} -> {now})")
            }
            Reason::KindVersion { kind, was, now } => write!(f, "`{kind}` has a new version: {was} -> {now}"),
            Reason::Layout { was, now } => {
                write!(f, "this version of pipe makes cache keys differently (layout {was} -> {now})")
            }
            Reason::ParameterChanged { name, was: Some(was), now: Some(now) } if was.to_string() == now.to_string() => {
                let (before, after) = (was.type_name(), now.type_name());
                write!(f, "parameter `{name}` changed: {was} ({before}) -> {now} ({after})")
            }
            Reason::ParameterChanged { name, was, now } => {
                write!(f, "parameter `{name}` changed: {} -> {}", shown(was), shown(now))
            }
            Reason::InputChanged { port, from: Some(from), .. } => {
                write!(f, "input `{port}` changed: `{from}` has other content")
            }
            Reason::InputChanged { port, .. } => write!(f, "input `{port}` changed: its cells have other content"),
            Reason::InputRenamed { was, now } => write!(f, "input `{was}` is called `{now}` now"),
            Reason::InputAdded { port } => write!(f, "input `{port}` was added"),
            Reason::InputRemoved { port } => write!(f, "input `{port}` was removed"),
            Reason::CellAdded { port, at } => write!(f, "input `{port}`: {at} was added"),
            Reason::CellRemoved { port, at } => write!(f, "input `{port}`: {at} was removed"),
            Reason::CellChanged { port, at, how } => write!(f, "input `{port}`: {at} changed ({how})"),
            Reason::CoordinateChanged { axis, was: Some(was), now: Some(now) } => {
                write!(f, "coordinate `{axis}` changed: {was} -> {now}")
            }
            Reason::CoordinateChanged { axis, now: Some(now), .. } => write!(f, "axis `{axis}` was added: {now}"),
            Reason::CoordinateChanged { axis, .. } => write!(f, "axis `{axis}` was removed"),
            Reason::SeedChanged { was, now } => write!(f, "seed changed: {} -> {}", shown(was), shown(now)),
            Reason::SimulatedChanged { now: true } => f.write_str("subjects are simulated now"),
            Reason::SimulatedChanged { now: false } => f.write_str("subjects are no longer simulated"),
            Reason::ProgramChanged { was, now } => {
                write!(f, "the body runs another program: `{was}` -> `{now}`")
            }
            Reason::FactChanged { name, was, now } => f.write_str(&fact_change(name, was.as_deref(), now.as_deref())),
        }
    }
}

fn shown<T: fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "not set".into(), T::to_string)
}
