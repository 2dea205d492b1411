//! Names at plan time: parameters, axes, stages; and the values of texts with references. Of stages only the names are used.

use std::collections::BTreeMap;

use pipe_contract::Registry;

use super::axis::AxisPoint;
use super::errors::Errors;
use super::profile::ProfileParam;
use super::resolved::SourcePlace;
use crate::diag::{Class, Diagnostic, SourceTexts, Span};
use crate::spec::{self, NamedStage, Node, NodeTree, Reference, TextPiece, Written};

/// Everything that is known before stages are resolved one by one.
pub(super) struct Env<'a> {
    pub sources: &'a SourceTexts,
    pub registry: &'a Registry,
    /// Parameters by full name.
    pub params: &'a BTreeMap<String, ProfileParam>,
    /// Stages of this plan by full name, as indexes into the drafts.
    pub index: BTreeMap<&'a str, usize>,
    /// Stages that the profile removed, with the place of `none`.
    pub removed: &'a BTreeMap<String, Span>,
    /// Stages that only other profiles have.
    pub elsewhere: &'a BTreeMap<String, String>,
    /// The profile, for messages.
    pub profile: Option<&'a str>,
    /// The mistakes found so far.
    pub errors: Errors,
}

impl Env<'_> {
    /// The place of a span, as the plan gives it.
    pub fn place(&self, span: Span) -> SourcePlace {
        let position = self.sources.position(span);
        SourcePlace { file: self.sources.get(span.file).path.clone(), line: position.line, column: position.column }
    }

    /// A node with every reference in it replaced by its value.
    pub fn eval(&self, node: &Node, scope: &str, cell: Option<AxisPoint<'_>>) -> Result<Node, Diagnostic> {
        let tree = match &node.tree {
            NodeTree::Scalar { text, .. } if !text.contains('$') => return Ok(node.clone()),
            NodeTree::Scalar { .. } => return self.eval_scalar(node, scope, cell),
            NodeTree::List(items) => {
                NodeTree::List(items.iter().map(|item| self.eval(item, scope, cell)).collect::<Result<_, _>>()?)
            }
            NodeTree::Map(entries) => NodeTree::Map(
                entries
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.eval(value, scope, cell)?)))
                    .collect::<Result<_, Diagnostic>>()?,
            ),
        };
        Ok(Node { span: node.span, tree })
    }

    fn eval_scalar(&self, node: &Node, scope: &str, cell: Option<AxisPoint<'_>>) -> Result<Node, Diagnostic> {
        match spec::read_written(self.sources, node)? {
            Written::Plain(text) => Ok(Node::text(node.span, text)),
            Written::Reference(reference) => {
                // The place of a value is where it is used: that is where a wrong one must be shown.
                Ok(Node { span: node.span, tree: self.value(&reference, scope, cell)?.tree })
            }
            Written::Template(pieces) => Ok(Node::text(node.span, self.text(&pieces, scope, cell)?)),
        }
    }

    /// Where the value is written that a node refers to, if the node is a reference and nothing else.
    pub fn origin(&self, node: &Node, scope: &str, cell: Option<AxisPoint<'_>>) -> Option<Span> {
        match spec::read_written(self.sources, node) {
            Ok(Written::Reference(reference)) => {
                self.value(&reference, scope, cell).ok().map(|value| value.span).filter(|span| *span != reference.span)
            }
            _ => None,
        }
    }

    /// A text put together from its pieces.
    pub fn text(&self, pieces: &[TextPiece], scope: &str, cell: Option<AxisPoint<'_>>) -> Result<String, Diagnostic> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                TextPiece::Literal(literal) => text.push_str(literal),
                TextPiece::Value(reference) => text.push_str(&self.scalar(reference, scope, cell, "inside a text")?),
            }
        }
        Ok(text)
    }

    /// The text of a value that must be a scalar where it is used.
    fn scalar(
        &self,
        reference: &Reference,
        scope: &str,
        cell: Option<AxisPoint<'_>>,
        place: &str,
    ) -> Result<String, Diagnostic> {
        let value = self.value(reference, scope, cell)?;
        value.written().map(str::to_owned).ok_or_else(|| {
            let message = format!("`{}` is {}, which cannot be used {place}", reference.text, value.described());
            Diagnostic::new(Class::Value, reference.span, message)
        })
    }

    /// The value behind `$params...` or `$each...`.
    pub fn value(&self, reference: &Reference, scope: &str, cell: Option<AxisPoint<'_>>) -> Result<Node, Diagnostic> {
        if reference.entry.is_some() {
            let path = reference.text.split('/').next().unwrap_or_default().trim_start_matches('$');
            let message = format!("`{path}` is a value, so nothing can follow it after `/`");
            let fix = format!("\"${{{path}}}/...\"");
            return Err(
                Diagnostic::new(Class::Reference, reference.span, message).hint(format!("for a text write {fix}"))
            );
        }
        if reference.is_value() && reference.selected {
            let message = format!("`{}` has no axes, so it takes no selector", reference.names.join("."));
            return Err(Diagnostic::new(Class::Reference, reference.span, message)
                .hint("selectors belong to stages: `$stage(*).port`"));
        }
        let value = match reference.names.split_first() {
            Some((first, rest)) if first == "params" => self.param_value(reference, rest, scope),
            Some((first, rest)) if first == "each" => each_value(reference, rest, cell),
            _ => Err(self.not_a_value(reference, scope, cell)),
        }?;
        if reference.chosen.is_empty() { Ok(value) } else { self.chosen(value, reference, scope, cell) }
    }

    /// The part of a value that a path leads to from the first name on that another value gives.
    fn chosen(
        &self,
        mut value: Node,
        reference: &Reference,
        scope: &str,
        cell: Option<AxisPoint<'_>>,
    ) -> Result<Node, Diagnostic> {
        let mut so_far = reference.path().join(".");
        for piece in &reference.chosen {
            let (name, span) = match piece {
                TextPiece::Literal(name) => (name.clone(), reference.span),
                TextPiece::Value(part) => (self.scalar(part, scope, cell, "as a name of a path")?, part.span),
            };
            // What is missing is missing in one cell.
            let in_cell = |error: Diagnostic| match cell {
                Some(cell) => error.note(format!("in the cell {}", cell.coordinates())),
                None => error,
            };
            value = value.field(&name, &so_far, span).map_err(in_cell)?.clone();
            so_far = format!("{so_far}.{name}");
        }
        Ok(value)
    }

    fn not_a_value(&self, reference: &Reference, scope: &str, cell: Option<AxisPoint<'_>>) -> Diagnostic {
        let path = reference.path();
        let is_stage = (1..=path.len()).any(|end| self.find(&path[..end].join("."), scope).is_some());
        if is_stage {
            let message = format!("`{}` is an artifact; only values can be used here", reference.text);
            return Diagnostic::new(Class::Reference, reference.span, message).hint("artifacts are read through `in:`");
        }
        let first = reference.names.first().map(String::as_str).unwrap_or_default();
        let is_axis = cell.is_some_and(|cell| cell.axes.iter().any(|axis| axis.name == first));
        let error = Diagnostic::new(Class::UnknownName, reference.span, format!("`{}` names nothing", reference.text));
        if is_axis {
            return error.hint(format!("an axis is `$each.{first}`"));
        }
        if self.params.contains_key(first) {
            return error.hint(format!("a parameter is `$params.{first}`"));
        }
        error.known("a value begins with", first, ["params", "each"])
    }

    /// The parameter of this name as seen from a name space: the innermost one that has it.
    pub fn param(&self, name: &str, scope: &str) -> Option<(&ProfileParam, String)> {
        scopes(scope).find_map(|scope| {
            let full = format!("{scope}{name}");
            self.params.get(&full).map(|param| (param, full))
        })
    }

    fn param_value(&self, reference: &Reference, path: &[String], scope: &str) -> Result<Node, Diagnostic> {
        if path.is_empty() {
            return Err(Diagnostic::new(Class::Reference, reference.span, "`$params` needs a name")
                .hint("write `$params.name`"));
        }
        let found = (1..=path.len())
            .find_map(|used| self.param(&path[..used].join("."), scope).map(|(param, _)| (param, used)));
        let Some((param, used)) = found else {
            let error = Diagnostic::new(Class::UnknownName, reference.span, format!("unknown parameter `{}`", path[0]));
            return Err(if self.params.is_empty() {
                error.hint(format!("declare it at the top of the file: `params: {{ {}: VALUE }}`", path[0]))
            } else {
                error.known("parameters", &path[0], self.params.keys().map(String::as_str))
            });
        };
        descend(&param.node, &path[used..], &format!("params.{}", path[..used].join(".")), reference)
    }

    /// Whether a text is the name of a value of this stage without its dollar: `params.n`, `each.sid`.
    pub fn is_value_name(&self, text: &str, entry: &NamedStage) -> bool {
        let axes = entry.body.iter().flat_map(|decl| &decl.each);
        match text.split_once('.') {
            Some(("params", name)) => self.param(name, &entry.scope).is_some(),
            Some(("each", name)) => axes.into_iter().any(|(axis, _)| axis.text == name),
            _ => false,
        }
    }

    /// The stage of this name as seen from a name space.
    pub fn find(&self, name: &str, scope: &str) -> Option<usize> {
        scopes(scope).find_map(|scope| self.index.get(format!("{scope}{name}").as_str()).copied())
    }

    /// Where the profile removed the stage of this name, as seen from a name space.
    pub fn removed_at(&self, name: &str, scope: &str) -> Option<Span> {
        scopes(scope).find_map(|scope| self.removed.get(&format!("{scope}{name}")).copied())
    }
}

/// The name space itself, then the ones around it, out to the pipeline file.
fn scopes(scope: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(scope);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.strip_suffix('.').map(|inner| &current[..inner.rfind('.').map_or(0, |dot| dot + 1)]);
        Some(current)
    })
}

fn each_value(reference: &Reference, path: &[String], cell: Option<AxisPoint<'_>>) -> Result<Node, Diagnostic> {
    let Some(cell) = cell else {
        let message =
            format!("`{}` cannot be used here: this place is the same for all cells of the stage", reference.text);
        return Err(Diagnostic::new(Class::Reference, reference.span, message).hint("use a parameter (`$params.name`); an output needs no name of its own for each cell, as each has a folder of its own"));
    };
    let Some((name, path)) = path.split_first() else {
        return Err(Diagnostic::new(Class::Reference, reference.span, "`$each` needs the name of an axis")
            .hint("write `$each.axis`"));
    };
    let Some(index) = cell.axes.iter().position(|axis| &axis.name == name) else {
        let message = format!("this stage has no axis `{name}`");
        return Err(Diagnostic::new(Class::UnknownName, reference.span, message).known(
            "its axes",
            name,
            cell.axes.iter().map(|axis| axis.name.as_str()),
        ));
    };
    let value = &cell.axes[index].values[cell.at[index] as usize];
    match (path, &value.fields) {
        ([], _) => Ok(Node::coordinate(reference.span, value.text.clone())),
        (_, Some(fields)) => descend(fields, path, &format!("each.{name}"), reference),
        (_, None) => {
            let message = format!("axis `{name}` is a list, so its values have no fields");
            Err(Diagnostic::new(Class::Reference, reference.span, message)
                .hint("only an axis that is a map has fields"))
        }
    }
}

/// The part of a value that further names lead to.
fn descend(node: &Node, path: &[String], so_far: &str, reference: &Reference) -> Result<Node, Diagnostic> {
    let Some((name, rest)) = path.split_first() else { return Ok(node.clone()) };
    descend(node.field(name, so_far, reference.span)?, rest, &format!("{so_far}.{name}"), reference)
}

/// Whether a value differs from cell to cell.
pub(super) fn uses_each(node: &Node) -> bool {
    match &node.tree {
        NodeTree::Scalar { text, .. } => text.contains("$each") || text.contains("${each"),
        NodeTree::List(items) => items.iter().any(uses_each),
        NodeTree::Map(entries) => entries.iter().any(|(_, value)| uses_each(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::scopes;

    #[test]
    fn scopes_go_outward() {
        assert_eq!(scopes("a.b.").collect::<Vec<_>>(), ["a.b.", "a.", ""]);
        assert_eq!(scopes("").collect::<Vec<_>>(), [""]);
    }
}
