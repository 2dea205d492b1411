//! The environment variables of a `run:` body: finds, while planning, what would become the same variable.

use super::draft::Draft;
use super::names::variable_part;
use super::ports::Port;
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::RunDecl;

/// A variable, what it is of, and where that is written.
struct Variable {
    name: String,
    owner: String,
    span: Span,
}

/// Things that would become the same variable of a stage that reads these ports.
pub(super) fn collisions(draft: &Draft<'_>, ports: &[Port], run: &RunDecl) -> Vec<Diagnostic> {
    let variables = variables(draft, ports, run);
    let collision = |(at, later): (usize, &Variable)| {
        let earlier = variables[..at].iter().find(|earlier| earlier.name == later.name)?;
        let message = format!("{} and {} both become the variable `{}`", earlier.owner, later.owner, later.name);
        let error = Diagnostic::new(Class::Collision, later.span, message);
        Some(error.also(earlier.span, "the other one").hint("rename one of them"))
    };
    variables.iter().enumerate().filter_map(collision).collect()
}

/// The variables of a stage's own names. A gather has two more: the lists of its cells and of those that are absent.
fn variables(draft: &Draft<'_>, ports: &[Port], run: &RunDecl) -> Vec<Variable> {
    let mut variables = Vec::new();
    let mut add = |name: String, owner: String, span: Span| variables.push(Variable { name, owner, span });
    for (name, _) in &run.env {
        add(name.text.clone(), format!("variable `{}` of `env:`", name.text), name.span);
    }
    for (name, _) in &draft.decl.inputs {
        let (variable, port) = (format!("IN_{}", variable_part(&name.text)), &name.text);
        add(variable.clone(), format!("input `{port}`"), name.span);
        if ports.iter().any(|known| known.many && known.name == *port) {
            add(format!("{variable}_LIST"), format!("the list of input `{port}`"), name.span);
            add(format!("{variable}_ABSENT"), format!("the absent cells of input `{port}`"), name.span);
        }
    }
    for (name, _) in &run.out {
        add(format!("OUT_{}", variable_part(&name.text)), format!("output `{}`", name.text), name.span);
    }
    for (name, _) in &draft.decl.with {
        add(format!("PARAM_{}", variable_part(&name.text)), format!("parameter `{}`", name.text), name.span);
    }
    for (name, _) in &draft.decl.each {
        add(format!("EACH_{}", variable_part(&name.text)), format!("axis `{}`", name.text), name.span);
    }
    if run.random {
        add("SEED".to_owned(), "the seed".to_owned(), draft.entry.name.span);
    }
    variables
}
