//! The facts of a `run:` stage that enter its key: everything it can see besides its inputs.

use std::collections::BTreeMap;

use pipe_cache::{Content, Digest};

use crate::ids::InstanceId;
use crate::plan::{Command, InputName, Plan};

/// Opens the fact about the name under which an input is found; its port follows.
pub(super) const NAME_OF: &str = "name of ";

/// The names of many cells enter as so many digits of their digest.
pub(super) const NAMES_DIGITS: usize = 16;

/// The facts of an instance of a command, given those of its `tools`.
pub fn run_facts(
    plan: &Plan,
    id: InstanceId,
    command: &Command,
    tools: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut facts = tools;
    facts.insert("body".into(), command.body.clone());
    facts.extend(command.out.iter().map(|(port, path)| (format!("out {port}"), path.clone())));
    facts.extend(command.env.iter().map(|(name, value)| (format!("env {name}"), value.clone())));
    let inputs = &plan.instance(id).inputs;
    let optional = |port: &String| {
        (format!("optional {port}"), if inputs.contains_key(port) { "set" } else { "unset" }.to_owned())
    };
    facts.extend(command.optional.iter().map(optional));
    if command.net {
        facts.insert("net".into(), "true".into());
    }
    for (port, source) in inputs {
        let name = match plan.input_name(port, source) {
            InputName::One(name) => name.to_string_lossy().into_owned(),
            InputName::Many { folder, entries } => {
                let names: String = entries.iter().map(|entry| format!("{entry}\0")).collect();
                format!("{}/{}", folder.display(), Digest::<Content>::of(names.as_bytes()).short(NAMES_DIGITS))
            }
        };
        facts.insert(format!("{NAME_OF}{port}"), name);
    }
    facts
}
