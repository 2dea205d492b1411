//! The environment variables of a `run:` body: how a port, parameter or axis becomes the name of one. Finds, while
//! planning, what would become the same variable.
//!
//! A gather has two more (`IN_NAME_LIST`, `IN_NAME_ABSENT`); whether an input is one may depend on the cell, so these are
//! compared when the stage is laid out.

use super::draft::Draft;
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::RunDecl;

/// `prf-raw` as part of the name of a variable: `PRF_RAW`.
pub fn variable_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// The variables of a stage, and what each is for; two of one name are an error.
pub(super) fn check(draft: &Draft<'_>, run: &RunDecl) -> Vec<Diagnostic> {
    let mut variables: Vec<(String, String, Span)> = Vec::new();
    let mut add = |variable: String, owner: String, span: Span| variables.push((variable, owner, span));
    for (name, _) in &run.env {
        add(name.text.clone(), format!("variable `{}` of `env:`", name.text), name.span);
    }
    for (name, _) in &draft.decl.inputs {
        add(format!("IN_{}", variable_part(&name.text)), format!("input `{}`", name.text), name.span);
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
    let collision = |(at, (variable, owner, span)): (usize, &(String, String, Span))| {
        let (_, before, other) = variables[..at].iter().find(|(known, ..)| known == variable)?;
        let message = format!("{before} and {owner} both become the variable `{variable}`");
        let error = Diagnostic::new(Class::Collision, *span, message);
        Some(error.also(*other, "the other one").hint("rename one of them"))
    };
    variables.iter().enumerate().filter_map(collision).collect()
}
