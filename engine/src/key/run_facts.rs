//! The facts of a `run:` stage that enter its key: everything it can see besides its inputs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use pipe_cache::{Content, Digest};

use crate::ids::InstanceId;
use crate::plan::{Command, InputName, Plan};

/// Opens the fact about the name under which an input is found; its port follows.
pub(super) const NAME_OF: &str = "name of ";

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
    facts.push(("body".into(), (&command.body).into()));
    facts.extend(command.env.iter().map(|(name, value)| (named("env ", name), value.into())));
    for (port, source) in inputs {
        let name = match plan.input_name(port, source) {
            InputName::One(name) => lossy(name),
            InputName::Many { folder, entries } => {
                let names: String = entries.iter().map(|entry| format!("{entry}\0")).collect();
                format!("{}/{}", folder.display(), Digest::<Content>::of(names.as_bytes()).short(NAMES_DIGITS))
            }
        };
        facts.push((named(NAME_OF, port), name.into()));
    }
    if command.net {
        facts.push(("net".into(), "true".into()));
    }
    let is_set = |port: &String| if inputs.contains_key(port) { "set" } else { "unset" };
    facts.extend(command.optional.iter().map(|port| (named("optional ", port), is_set(port).into())));
    facts.extend(command.out.iter().map(|(port, path)| (named("out ", port), path.into())));
    facts.extend(tools.iter().map(|(name, fact)| (name.into(), fact.into())));
    // Nearly so already.
    facts.sort_unstable();
    facts
}

fn named(what: &str, name: &str) -> Cow<'static, str> {
    [what, name].concat().into()
}

fn lossy(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap_or_else(|path| path.to_string_lossy().into_owned())
}
