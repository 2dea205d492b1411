//! The parameters of instances: names and types that a kind declares, texts as written for `run:` stages. What is the same for
//! all cells of a stage is computed once.

use std::collections::BTreeMap;

use pipe_contract::{Kind, Value};

use super::draft::Draft;
use super::env::{Env, uses_each};
use super::names::{is_name, no_name};
use super::typed::{describe, typed};
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{self, Name, Node};

/// The parameters of a stage, computed once where they are the same for all cells.
pub(super) struct StageParams<'a> {
    fixed: BTreeMap<String, Value>,
    varying: Vec<(&'a Name, &'a Node)>,
    kind: Option<&'a Kind>,
}

impl<'a> StageParams<'a> {
    pub fn new(env: &Env<'_>, draft: &'a Draft<'a>) -> Self {
        let mut params = StageParams { fixed: BTreeMap::new(), varying: Vec::new(), kind: draft.kind };
        for param in draft.kind.iter().flat_map(|kind| &kind.params) {
            if let Some(default) = &param.default {
                params.fixed.insert(param.name.to_owned(), default.clone());
            }
        }
        for (name, node) in &draft.decl.with {
            if env.errors.take(params.check_name(draft, name).and_then(|()| check_meant(env, draft, node))).is_none() {
                continue;
            }
            if uses_each(node) {
                params.varying.push((name, node));
                continue;
            }
            let value = env.eval(node, &draft.entry.scope, None);
            let shown = |error| with_origin(error, env.origin(node, &draft.entry.scope, None));
            let typed = value.and_then(|value| params.typed(name, &value).map_err(shown));
            params.fixed.extend(env.errors.take(typed).map(|value| (name.text.clone(), value)));
        }
        env.errors.add_all(params.unset(draft));
        params
    }

    fn check_name(&self, draft: &Draft<'_>, name: &Name) -> Result<(), Diagnostic> {
        let Some(kind) = self.kind else {
            return if is_name(&name.text) { Ok(()) } else { Err(no_name(name, "parameter")) };
        };
        if kind.params.iter().any(|param| param.name == name.text) {
            return Ok(());
        }
        let message = format!("unknown parameter `{}` of stage `{}`", spec::shortened(&name.text), draft.name());
        let error = Diagnostic::new(Class::UnknownName, name.span, message);
        if kind.input_named(&name.text).is_some() {
            return Err(error.hint(format!("`{}` is an input of `{}`: move it to `in:`", name.text, kind.name)));
        }
        let takes = format!("`{}` takes", kind.name);
        Err(error.known(&takes, &name.text, kind.params.iter().map(|param| param.name)))
    }

    /// Parameters that its kind requires and that the stage does not have.
    fn unset(&self, draft: &Draft<'_>) -> impl Iterator<Item = Diagnostic> {
        let is_set = |name: &str| draft.decl.with.iter().any(|(given, _)| given.text == name);
        let params = self.kind.into_iter().flat_map(|kind| kind.params.iter().map(move |param| (kind, param)));
        params.filter(move |(_, param)| param.default.is_none() && !is_set(param.name)).map(|(kind, param)| {
            let (stage, name) = (draft.name(), param.name);
            let message = format!("stage `{stage}` does not set parameter `{name}` of `{}`", kind.name);
            Diagnostic::new(Class::Missing, draft.entry.name.span, message).hint(format!(
                "add `with: {{ {name}: ... }}`: {} ({})",
                param.about,
                describe(&param.of)
            ))
        })
    }

    fn typed(&self, name: &Name, value: &Node) -> Result<Value, Diagnostic> {
        match self.kind.and_then(|kind| kind.params.iter().find(|param| param.name == name.text)) {
            Some(param) => typed(param.name, value, &param.of),
            None => Ok(value.as_written()),
        }
    }

    /// The parameters of one cell.
    pub fn of_cell(
        &self,
        env: &Env<'_>,
        draft: &Draft<'_>,
        cell: usize,
    ) -> Result<BTreeMap<String, Value>, Diagnostic> {
        let mut params = self.fixed.clone();
        for (name, node) in &self.varying {
            let value = env.eval(node, &draft.entry.scope, Some(draft.cell(cell)))?;
            let typed = self.typed(name, &value);
            // A wrong value of an axis is a mistake in one cell: name the cell.
            let typed = typed.map_err(|error| {
                let error = error.note(format!("in the cell {}", draft.coordinates(cell)));
                with_origin(error, env.origin(node, &draft.entry.scope, Some(draft.cell(cell))))
            })?;
            params.insert(name.text.clone(), typed);
        }
        Ok(params)
    }
}

/// `params.n`, `{params.n}` or `{{ each.sid }}` without a dollar: a text to YAML, a value to other engines.
fn check_meant(env: &Env<'_>, draft: &Draft<'_>, node: &Node) -> Result<(), Diagnostic> {
    let text = node.written().unwrap_or_default();
    if env.is_value_name(text, draft.entry) {
        let message = format!("`{text}` is a text here: without `$` it is not the value of that name");
        return Err(Diagnostic::new(Class::Reference, node.span, message).hint(format!("write `${text}`")));
    }
    let Some((before, rest)) = text.split_once('{').filter(|(before, _)| !before.ends_with(['$', '\\'])) else {
        return Ok(());
    };
    let Some((inside, after)) = rest.trim_start_matches('{').split_once('}') else { return Ok(()) };
    let inside = inside.trim().trim_start_matches('$');
    if !env.is_value_name(inside, draft.entry) {
        return Ok(());
    }
    let after = after.trim_start_matches('}');
    let (written, meant) = match (before, after) {
        ("", "") => (text, format!("${inside}")),
        _ => (text, format!("\"{before}${{{inside}}}{after}\"")),
    };
    let message = format!("`{written}` is a text: nothing fills in what is in its braces");
    Err(Diagnostic::new(Class::Reference, node.span, message).hint(format!("write `{meant}`")))
}

/// Points also at the place where a referenced value was written.
fn with_origin(error: Diagnostic, origin: Option<Span>) -> Diagnostic {
    match origin {
        Some(span) => error.also(span, "the value is written here"),
        None => error,
    }
}
