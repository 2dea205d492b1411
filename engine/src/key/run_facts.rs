//! The facts of a `run:` stage that enter its key: everything it can see besides its inputs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use pipe_cache::{Content, Digest};

use super::FactName;
use crate::ids::InstanceId;
use crate::plan::{Command, InputName, Plan};

/// The names of many cells enter as so many digits of their digest.
pub(super) const NAMES_DIGITS: usize = 16;

/// Facts by name, in ascending order of the names.
pub type RunFacts<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The facts of an instance of a command, given those of its `tools`.
pub fn run_facts<'a>(
    plan: &Plan,
    id: InstanceId,
    command: &'a Command,
    tools: &'a BTreeMap<String, String>,
) -> RunFacts<'a> {
    let inputs = &plan.instance(id).inputs;
    let mut facts: RunFacts<'a> = Vec::with_capacity(8);
    facts.push((name(FactName::Body), (&command.body).into()));
    facts.extend(command.env.iter().map(|(variable, value)| (name(FactName::Variable(variable)), value.into())));
    for (port, source) in inputs {
        let found = match plan.input_name(port, source) {
            InputName::One(name) => lossy(name),
            InputName::Many { folder, entries } => {
                let names: String = entries.iter().map(|entry| format!("{entry}\0")).collect();
                format!("{}/{}", folder.display(), Digest::<Content>::of(names.as_bytes()).short(NAMES_DIGITS))
            }
        };
        facts.push((name(FactName::InputName(port)), found.into()));
    }
    if command.net {
        facts.push((name(FactName::Network), "true".into()));
    }
    let is_set = |port: &String| if inputs.contains_key(port) { "set" } else { "unset" };
    facts.extend(command.optional.iter().map(|port| (name(FactName::Optional(port)), is_set(port).into())));
    facts.extend(command.out.iter().map(|(port, path)| (name(FactName::Output(port)), path.into())));
    facts.extend(tools.iter().map(|(name, fact)| (name.into(), fact.into())));
    // Nearly so already.
    facts.sort_unstable();
    facts
}

fn name(fact: FactName<'_>) -> Cow<'static, str> {
    fact.text().into()
}

fn lossy(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap_or_else(|path| path.to_string_lossy().into_owned())
}
