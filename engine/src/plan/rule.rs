//! Which cells of another stage a reference reads: every axis of that stage is settled once, and gives links for each cell of
//! the reader.
//!
//! For each axis of the stage that is read: named in the selector (`a=v` picks, `a=*` gathers), else an axis of the
//! same name in the reader (matches), else covered by a bare `*` (gathers), else an error that lists the three ways.

use std::sync::Arc;

use super::axis::{Axis, AxisPoint};
use super::draft::Draft;
use super::env::Env;
use super::names::{is_safe, no_entry};
use super::planning::Planning;
use super::resolved::{GatheredCell, Link};
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{Pick, Reference, Selector, TextPiece};

/// How one axis of the stage that is read is settled.
#[derive(Debug)]
enum Use {
    /// The reader has the axis: from its value index to that of the stage that is read.
    Match { axis: usize, table: Vec<Option<u32>> },
    /// A selector picks one value that is the same for all cells.
    Picked(u32),
    /// A selector picks a value that depends on the reader's cell.
    PickedBy(Vec<TextPiece>, Span),
    /// All values.
    Gathered,
}

/// A reference with every axis settled.
pub(super) struct Rule {
    /// The stage that is read, as index into the drafts.
    pub stage: usize,
    port: Arc<str>,
    entry: Option<Vec<TextPiece>>,
    uses: Vec<Use>,
    pub span: Span,
    text: String,
}

impl Rule {
    /// Whether it reads several cells.
    pub fn gathers(&self) -> bool {
        self.uses.iter().any(|each| matches!(each, Use::Gathered))
    }

    /// Whether it reads the same cells wherever [`Rule::fixed`] is the same.
    pub fn is_decided_by_cells(&self) -> bool {
        self.entry.is_none()
    }
}

/// Settles every axis of the stage that is read.
pub(super) fn settle(
    context: &Planning<'_>,
    reader: usize,
    stage: usize,
    port: &str,
    reference: &Reference,
) -> Result<Rule, Diagnostic> {
    let (draft, target) = (&context.drafts[reader], &context.drafts[stage]);
    check_selectors(&reference.selectors, target)?;
    let mut uses = Vec::new();
    for axis in &target.axes {
        let named = reference.selectors.iter().find(|selector| selector.axis.as_deref() == Some(axis.name.as_str()));
        let matched = draft.axes.iter().position(|own| own.name == axis.name);
        let bare = reference.selectors.iter().any(|selector| selector.axis.is_none());
        uses.push(match (named, matched) {
            (Some(Selector { pick: Pick::All, .. }), _) => Use::Gathered,
            (Some(Selector { pick: Pick::One(pieces), span, .. }), _) => {
                pick(&context.env, draft, axis, pieces, *span)?
            }
            (None, Some(own)) => {
                let table = draft.axes[own].values.iter().map(|value| axis.index.get(&value.text).copied()).collect();
                Use::Match { axis: own, table }
            }
            (None, None) if bare => Use::Gathered,
            (None, None) => return Err(three_ways(draft, target, &axis.name, port, reference)),
        });
    }
    let (span, text) = (reference.span, reference.text.clone());
    let rule = Rule { stage, port: port.into(), entry: reference.entry.clone(), uses, span, text };
    rule.check_match(draft, target)?;
    Ok(rule)
}

fn check_selectors(selectors: &[Selector], target: &Draft<'_>) -> Result<(), Diagnostic> {
    for (number, selector) in selectors.iter().enumerate() {
        if selectors[..number].iter().any(|other| other.axis == selector.axis) {
            let name = selector.axis.as_deref().unwrap_or("*");
            return Err(Diagnostic::new(Class::Axes, selector.span, format!("`{name}` occurs twice in this selector")));
        }
        if let Some(axis) = &selector.axis {
            target.axis(axis, selector.span)?;
        }
    }
    Ok(())
}

fn pick(env: &Env<'_>, draft: &Draft<'_>, axis: &Axis, pieces: &[TextPiece], span: Span) -> Result<Use, Diagnostic> {
    if pieces.iter().any(is_of_cell) {
        return Ok(Use::PickedBy(pieces.to_vec(), span));
    }
    let text = env.text(pieces, &draft.entry.scope, None)?;
    axis.find(&text, span).map(Use::Picked)
}

/// Whether a piece differs from cell to cell of the reader.
fn is_of_cell(piece: &TextPiece) -> bool {
    match piece {
        TextPiece::Literal(_) => false,
        TextPiece::Value(reference) => {
            reference.names.first().is_some_and(|name| name == "each") || reference.chosen.iter().any(is_of_cell)
        }
    }
}

fn three_ways(draft: &Draft<'_>, target: &Draft<'_>, axis: &str, port: &str, reference: &Reference) -> Diagnostic {
    let example = target.axes.iter().find(|known| known.name == axis).and_then(|known| known.values.first());
    let example = example.map_or("value", |value| value.text.as_str());
    let name = target.name();
    let message = format!("`{}` leaves axis `{axis}` of stage `{name}` open", reference.text);
    let has_all = |own: &&Axis, wanted: &Axis| own.values.iter().all(|value| wanted.index.contains_key(&value.text));
    let same = target.axes.iter().find(|known| known.name == axis);
    let same = same.and_then(|wanted| draft.axes.iter().find(|own| has_all(own, wanted)));
    if let Some(own) = same {
        return Diagnostic::new(Class::Axes, reference.span, message).hint(format!(
            "axes match by name, and stage `{1}` calls its axis `{0}`: call both `{axis}`, or write \
             `${name}({axis}=$each.{0}).{port}`; gather all: `${name}(*).{port}`",
            own.name,
            draft.name()
        ));
    }
    Diagnostic::new(Class::Axes, reference.span, message).hint(format!(
        "pick one: `${name}({axis}={example}).{port}`; gather all: `${name}(*).{port}`; or give stage `{}` the axis: `each: {{ {axis}: ... }}`",
        draft.name()
    ))
}

impl Rule {
    /// Every value of a matched axis that the reader has must exist in the stage that is read.
    fn check_match(&self, draft: &Draft<'_>, target: &Draft<'_>) -> Result<(), Diagnostic> {
        for settled in &self.uses {
            let Use::Match { axis, table } = settled else { continue };
            let own = &draft.axes[*axis];
            let used = |value: usize| draft.cells.iter().any(|cell| cell[*axis] as usize == value);
            let Some(missing) = (0..table.len()).find(|value| table[*value].is_none() && used(*value)) else {
                continue;
            };
            let value = &own.values[missing].text;
            let message =
                format!("stage `{}` has no cell {}={value}, which `{}` needs", target.name(), own.name, draft.name());
            return Err(Diagnostic::new(Class::Axes, self.span, message).hint(format!(
                "give both stages the same `{}`, or leave the cell out of `{}`: `drop: [{{ {}: {value} }}]`",
                own.name,
                draft.name(),
                own.name
            )));
        }
        Ok(())
    }

    /// Value indexes on the axes of the stage that is read; `None` where it gathers.
    pub fn fixed(
        &self,
        env: &Env<'_>,
        reader: &Draft<'_>,
        target: &Draft<'_>,
        cell: AxisPoint<'_>,
    ) -> Result<Vec<Option<u32>>, Diagnostic> {
        let settle = |(settled, axis): (&Use, &Axis)| match settled {
            Use::Gathered => Ok(None),
            Use::Picked(place) => Ok(Some(*place)),
            Use::Match { axis, table } => Ok(table[cell.at[*axis] as usize]),
            Use::PickedBy(pieces, span) => {
                let text = env.text(pieces, &reader.entry.scope, Some(cell))?;
                axis.find(&text, *span).map(Some)
            }
        };
        self.uses.iter().zip(&target.axes).map(settle).collect()
    }

    /// The links for one cell of the reader, with the coordinates on gathered and picked axes.
    pub fn links(
        &self,
        env: &Env<'_>,
        reader: &Draft<'_>,
        target: &Draft<'_>,
        fixed: &[Option<u32>],
        cell: AxisPoint<'_>,
    ) -> Result<Vec<GatheredCell>, Diagnostic> {
        let entry: Option<Arc<str>> = match &self.entry {
            Some(pieces) => Some(self.entry_path(&env.text(pieces, &reader.entry.scope, Some(cell))?)?),
            None => None,
        };
        let listed = |number: usize| !matches!(self.uses[number], Use::Match { .. });
        let link =
            |cell: u32| Link::Output { instance: target.id(cell), port: self.port.clone(), entry: entry.clone() };
        if let Some(at) = fixed.iter().copied().collect::<Option<Vec<u32>>>() {
            let cell = target.cell_at(at.iter().copied()).ok_or_else(|| self.no_cell(reader, target, &at))?;
            return Ok(vec![(target.some_coordinates(&at, listed), link(cell))]);
        }
        let mut cells = target.cells_within(fixed);
        target.sort_as_gathered(&mut cells);
        let found: Vec<_> = cells
            .into_iter()
            .map(|cell| (target.some_coordinates(&target.cells[cell as usize], listed), link(cell)))
            .collect();
        if found.is_empty() {
            let message = format!("`{}` gathers nothing for one cell of stage `{}`", self.text, reader.name());
            return Err(Diagnostic::new(Class::Axes, self.span, message)
                .hint(format!("`drop` that cell in stage `{}` too", reader.name())));
        }
        Ok(found)
    }

    fn entry_path(&self, path: &str) -> Result<Arc<str>, Diagnostic> {
        if is_safe(path) && !path.ends_with('/') {
            return Ok(path.into());
        }
        Err(no_entry(path, self.span))
    }

    fn no_cell(&self, reader: &Draft<'_>, target: &Draft<'_>, at: &[u32]) -> Diagnostic {
        let cell = target.some_coordinates(at, |_| true);
        let message = format!("stage `{}` has no cell {cell}: it was dropped", target.name());
        Diagnostic::new(Class::Axes, self.span, message).hint(format!("`drop` it in stage `{}` too", reader.name()))
    }
}
