//! What `--set NAME=VALUE` gives: a value for a declared param or, with dots, for a field of one that is a map
//! (`plans.full.area.gamma=0.8`). A field must be there already: a misspelt one would change nothing and say nothing.

use super::plan_options::PlanOptions;
use crate::diag::{Diagnostic, SourceTexts, Span};
use crate::spec::{self, Name, Node, NodeTree};

/// One `--set`.
pub(super) struct SetOption {
    /// The param that it is about; as written if none is declared.
    pub name: Name,
    /// The field of its value; empty for the whole.
    pub path: Vec<String>,
    /// The value, read as YAML from a text of its own.
    pub node: Node,
}

/// All of them, in the order in which they were given.
pub(super) fn read(
    options: &PlanOptions,
    is_declared: impl Fn(&str) -> bool,
    sources: &mut SourceTexts,
    errors: &mut Vec<Diagnostic>,
) -> Vec<SetOption> {
    let mut all = Vec::new();
    for (name, value) in &options.set {
        let file = sources.add(format!("--set {name}").into(), format!("--set {name}"), value.clone());
        let span = Span { file, start: 0, end: u32::try_from(value.len()).unwrap_or(u32::MAX) };
        let (param, path) = divided(name, &is_declared);
        let path = path.split('.').filter(|_| !path.is_empty()).map(str::to_owned).collect();
        match spec::parse(sources, file) {
            Ok(node) => all.push(SetOption { name: Name { text: param.to_owned(), span }, path, node }),
            Err(error) => errors.push(error),
        }
    }
    all
}

/// The declared param that a name begins with, and the rest. Names of params of included files have dots themselves, so the
/// longest one counts.
fn divided<'n>(name: &'n str, is_declared: &impl Fn(&str) -> bool) -> (&'n str, &'n str) {
    if is_declared(name) {
        return (name, "");
    }
    let dots = name.rmatch_indices('.').map(|(at, _)| (&name[..at], &name[at + 1..]));
    dots.into_iter().find(|(param, _)| is_declared(param)).unwrap_or((name, ""))
}

impl SetOption {
    /// The field as a map around it that can be merged into the value so far.
    pub fn as_layer(&self, so_far: &Node) -> Result<Node, Diagnostic> {
        let (span, mut shown) = (self.name.span, self.name.text.clone());
        let mut found = so_far;
        for field in &self.path {
            found = found.field(field, &shown, span).map_err(|error| to_add(error, &shown, field))?;
            shown = format!("{shown}.{field}");
        }
        let around = |node: Node, field: &String| {
            let entry = (Name { text: field.clone(), span }, node);
            Node { span, tree: NodeTree::Map(vec![entry]) }
        };
        Ok(self.path.iter().rev().fold(self.node.clone(), around))
    }
}

/// Adds how a field is added that is not there.
fn to_add(mut error: Diagnostic, within: &str, field: &str) -> Diagnostic {
    let how = format!("a new one is added with `--set '{within}={{ {field}: ... }}'`");
    error.hint = error.hint.take().map(|hint| match hint.ends_with('?') {
        true => format!("{hint} {how}").into(),
        false => format!("{hint}; {how}").into(),
    });
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_declared_name_counts() {
        let declared = |name: &str| matches!(name, "plans" | "prep" | "prep.plans");
        assert_eq!(divided("plans", &declared), ("plans", ""));
        assert_eq!(divided("plans.full.area", &declared), ("plans", "full.area"));
        assert_eq!(divided("prep.plans.full", &declared), ("prep.plans", "full"));
        assert_eq!(divided("plan.full", &declared), ("plan.full", ""));
    }
}
