//! The command of a `run:` stage: its outputs, environment and tools, and what is wrong with them.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::names::{is_name, is_safe, is_variable, no_name};
use super::planning::Planning;
use super::ports::Port;
use super::resolved::{Command, Shell, Tool};
use super::{body, variables};
use crate::diag::{Class, Diagnostic};
use crate::spec::{self, Name, Node, RunDecl, ToolDecl};

/// The command of a stage that reads these ports.
pub(super) fn command(context: &Planning<'_>, draft: &Draft<'_>, ports: &[Port], run: &RunDecl) -> Command {
    let errors = &context.env.errors;
    errors.add_all(variables::collisions(draft, ports, run));
    errors.add_all(unknown_optional(draft, run));
    let out = outputs(context, draft, run);
    body::check(&context.env, draft, run);
    let variables = run.env.iter().filter_map(|(name, node)| {
        let text = errors.take(variable(context, draft, name, node))?;
        Some((name.text.clone(), text))
    });
    let tool = |(name, tool): &(Name, ToolDecl)| {
        let tool = match tool {
            ToolDecl::Version(command) => Tool::Version(command.text.clone()),
            ToolDecl::Venv(folder) => Tool::Venv(folder.text.clone()),
        };
        (name.text.clone(), tool)
    };
    Command {
        body: run.body.text.clone(),
        shell: if run.shell == Some("sh") { Shell::Sh } else { Shell::Bash },
        out,
        env: variables.collect(),
        tools: run.tools.iter().map(tool).collect(),
        optional: run.optional.iter().map(|port| port.text.clone()).collect(),
        isolated: run.isolation.is_none(),
        net: run.net,
        random: run.random,
    }
}

/// Output ports and their paths.
fn outputs(context: &Planning<'_>, draft: &Draft<'_>, run: &RunDecl) -> BTreeMap<String, String> {
    let mut outputs: Vec<(&Name, String)> = Vec::new();
    for (port, path) in &run.out {
        let text = check_wildcards(draft, port, path)
            .and_then(|()| context.env.eval(&Node::text(path.span, path.text.clone()), &draft.entry.scope, None));
        let text = text.and_then(|node| check_output(port, path, node.written().unwrap_or_default(), &outputs));
        outputs.extend(context.env.errors.take(text).map(|text| (port, text)));
    }
    outputs.into_iter().map(|(port, text)| (port.text.clone(), text)).collect()
}

/// The text of a variable of `env:`.
fn variable(context: &Planning<'_>, draft: &Draft<'_>, name: &Name, node: &Node) -> Result<String, Diagnostic> {
    let value = context.env.eval(node, &draft.entry.scope, None)?;
    let Some(text) = value.written() else {
        let message = format!("an environment variable is a text, found {}", value.described());
        return Err(Diagnostic::new(Class::Value, node.span, message));
    };
    if is_variable(&name.text) {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` cannot be the name of an environment variable", spec::shortened(&name.text));
    Err(Diagnostic::new(Class::Shape, name.span, message)
        .hint("a name has letters, digits and `_`, and does not begin with a digit"))
}

/// `{sid}` in an output: as other engines write it.
fn check_wildcards(draft: &Draft<'_>, port: &Name, path: &Name) -> Result<(), Diagnostic> {
    let Some(axis) = draft.wildcard_in(&path.text) else { return Ok(()) };
    let ending = path.text.rfind('.').map_or("", |dot| &path.text[dot..]);
    let ending = if path.text.ends_with('/') { "/" } else { ending };
    let message = format!("nothing fills in `{{{axis}}}` in output `{}`", port.text);
    Err(Diagnostic::new(Class::Reference, path.span, message).hint(format!(
        "each cell writes to a folder of its own, so one name serves all: `{}: {}{ending}`",
        port.text, port.text
    )))
}

/// A name in `optional:` that is not an input.
fn unknown_optional(draft: &Draft<'_>, run: &RunDecl) -> Option<Diagnostic> {
    let inputs = || draft.decl.inputs.iter().map(|(name, _)| name.text.as_str());
    let unknown = run.optional.iter().find(|port| !inputs().any(|name| name == port.text))?;
    let message = format!("stage `{}` has no input `{}` that could be optional", draft.name(), unknown.text);
    Some(Diagnostic::new(Class::UnknownName, unknown.span, message).known("its inputs", &unknown.text, inputs()))
}

/// Outputs are below the stage's own folder, and none is inside another.
fn check_output(port: &Name, path: &Name, text: &str, others: &[(&Name, String)]) -> Result<String, Diagnostic> {
    if !is_name(&port.text) {
        return Err(no_name(port, "port"));
    }
    let text = &spec::without_dots(text);
    if !is_safe(text) {
        let message = format!("output `{}` is not a path below the stage's output folder: `{text}`", port.text);
        return Err(Diagnostic::new(Class::Value, path.span, message)
            .hint("a relative path without `..` and empty parts; a folder ends with `/`"));
    }
    let inside = |a: &str, b: &str| {
        a.trim_end_matches('/') == b.trim_end_matches('/') || a.starts_with(&format!("{}/", b.trim_end_matches('/')))
    };
    if let Some((other, _)) = others.iter().find(|(_, other)| inside(text, other) || inside(other, text)) {
        let message = format!("outputs `{}` and `{}` overlap", other.text, port.text);
        return Err(Diagnostic::new(Class::Collision, path.span, message)
            .also(other.span, "the other one")
            .hint("give each output a path of its own"));
    }
    Ok(text.to_owned())
}
