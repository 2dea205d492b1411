//! What every step of planning has: the names of the pipeline, the stages as far as they are worked out, and the mistakes
//! found so far. Decides what a reference to an artifact names.

use super::draft::Draft;
use super::env::Env;
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::Reference;

/// One pipeline under one profile, while it is planned.
pub(super) struct Planning<'a> {
    pub env: Env<'a>,
    /// Stages by the numbers that [`Env::find`] gives.
    pub drafts: Vec<Draft<'a>>,
}

/// What a reference to an artifact names.
pub(super) enum Target<'r> {
    /// A stage of this plan and one of its ports.
    Port { stage: usize, port: &'r str },
    /// A stage that this profile removed.
    Removed { at: Span },
}

impl Planning<'_> {
    /// What a reference in `in:`, `results:` or a claim names.
    pub fn target<'r>(&self, reference: &'r Reference, scope: &str) -> Result<Target<'r>, Diagnostic> {
        let (names, port) = match (reference.selected, reference.after.as_slice(), reference.names.split_last()) {
            (true, [port], _) => (reference.names.as_slice(), Some(port)),
            (false, [], Some((port, names))) if !names.is_empty() => (names, Some(port)),
            _ => (reference.names.as_slice(), None),
        };
        let name = names.join(".");
        let Some(stage) = self.env.find(&name, scope) else {
            let whole = reference.path().join(".");
            if let Some(stage) = self.env.find(&whole, scope).filter(|_| !reference.selected) {
                return Err(no_port(reference, &whole, &self.drafts[stage]));
            }
            return match self.env.removed_at(&name, scope) {
                Some(at) => Ok(Target::Removed { at }),
                None => Err(self.unknown_stage(reference, &name, scope)),
            };
        };
        match port {
            Some(port) => Ok(Target::Port { stage, port }),
            None => Err(no_port(reference, &name, &self.drafts[stage])),
        }
    }

    fn unknown_stage(&self, reference: &Reference, name: &str, scope: &str) -> Diagnostic {
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            let message = format!("`${name}` is a variable of the shell, which a pipeline file does not know");
            return Diagnostic::new(Class::UnknownName, reference.span, message)
                .hint("write a path relative to the pipeline file, or a parameter: `$params.data`");
        }
        if let (true, Some((stage, port)), []) = (reference.selected, name.rsplit_once('.'), reference.after.as_slice())
            && self.env.find(stage, scope).is_some()
        {
            let selector = reference.text.find('(').map_or("(*)", |open| &reference.text[open..]);
            let message = format!("the selector of `{}` follows the port", reference.text);
            return Diagnostic::new(Class::Reference, reference.span, message)
                .hint(format!("it follows the stage: `${stage}{selector}.{port}`"));
        }
        let message = format!("unknown stage `{name}`");
        let error = Diagnostic::new(Class::UnknownName, reference.span, message).known(
            "stages",
            name,
            self.env.index.keys().copied(),
        );
        match (self.env.elsewhere.get(name), self.env.profile) {
            (Some(other), Some(profile)) => error.note(format!("only profile `{other}` has a stage `{name}`")).hint(
                format!("give profile `{profile}` one too, or write `{name}: none` there if an optional port reads it"),
            ),
            _ => error,
        }
    }
}

fn no_port(reference: &Reference, stage: &str, draft: &Draft<'_>) -> Diagnostic {
    let ports = draft.ports();
    let example = ports.first().copied().unwrap_or("port");
    let brackets = if reference.selected { "(...)" } else { "" };
    Diagnostic::new(
        Class::Reference,
        reference.span,
        format!("`{}` names stage `{stage}` but none of its ports", reference.text),
    )
    .hint(format!("write `${stage}{brackets}.{example}`; its ports: {}", crate::diag::list(&ports, 8)))
}
