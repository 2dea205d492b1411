//! Stages on their axes: which cells a stage has, how to find one, and which outputs there are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pipe_contract::{Coordinates, Form, Kind};

use super::axis::{Axis, AxisPoint, AxisValue};
use super::env::Env;
use super::names::{has_wildcard, is_axis};
use super::resolved::Link;
use crate::diag::{Class, Diagnostic, Span};
use crate::ids::InstanceId;
use crate::spec::{self, Name, NamedStage, Node, NodeTree, StageDecl, WorkDecl, Written};

/// More cells than this are taken for a typing mistake; they would only fill memory.
const MOST_CELLS: usize = 1_000_000;

/// A stage of this plan, before its references are followed.
pub(super) struct Draft<'a> {
    pub entry: &'a NamedStage,
    pub decl: &'a StageDecl,
    /// The declaration of its kind; `None` for `run:`, and for an unknown kind (which is reported).
    pub kind: Option<&'a Kind>,
    pub axes: Vec<Axis>,
    /// Value indexes of every cell, the last axis fastest.
    pub cells: Vec<Box<[u32]>>,
    /// Cell number by position in the full grid; `u32::MAX` where there is none.
    grid: Vec<u32>,
    /// The id of the first cell, once the order of stages is known.
    pub base: u32,
    /// Its axes or kind are wrong, which is reported already: references to it are not checked.
    pub broken: bool,
}

impl<'a> Draft<'a> {
    /// Works out axes and cells.
    pub fn new(env: &Env<'a>, entry: &'a NamedStage, decl: &'a StageDecl) -> Self {
        let before = env.errors.count();
        let kind = kind(env, decl);
        let axes: Vec<Axis> =
            decl.each.iter().filter_map(|(name, node)| env.errors.take(axis(env, entry, name, node))).collect();
        let mut draft = Draft {
            entry,
            decl,
            kind,
            axes,
            cells: Vec::new(),
            grid: Vec::new(),
            base: 0,
            broken: env.errors.count() > before,
        };
        if !draft.broken {
            draft.check_kind_axes(env);
            draft.expand(env);
            draft.broken = env.errors.count() > before;
        }
        draft
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.entry.name.text
    }

    /// The names of its output ports.
    pub fn ports(&self) -> Vec<&str> {
        match (&self.decl.work, self.kind) {
            (WorkDecl::Run(run), _) => run.out.iter().map(|(name, _)| name.text.as_str()).collect(),
            (WorkDecl::Uses(_), Some(kind)) => kind.outputs.iter().map(|output| output.name).collect(),
            (WorkDecl::Uses(_), None) => Vec::new(),
        }
    }

    /// The port exists, as far as that is known.
    pub fn check_output(&self, port: &str, span: Span) -> Result<(), Diagnostic> {
        let ports = self.ports();
        if ports.contains(&port) || (self.broken && ports.is_empty()) {
            return Ok(());
        }
        let message = format!("stage `{}` has no output `{port}`", self.name());
        Err(Diagnostic::new(Class::UnknownName, span, message).known("its outputs", port, ports))
    }

    /// Whether an output is a file or a folder; `None` if there is no such output.
    pub fn form_of(&self, port: &str) -> Option<Form> {
        match (&self.decl.work, self.kind) {
            (WorkDecl::Run(run), _) => {
                let (_, path) = run.out.iter().find(|(name, _)| name.text == port)?;
                Some(if path.text.ends_with('/') { Form::Folder } else { Form::File })
            }
            (WorkDecl::Uses(_), kind) => Some(kind?.output_named(port)?.form),
        }
    }

    /// An output of one cell, or an entry of it.
    pub fn link(&self, cell: u32, port: &str, entry: Option<String>) -> Link {
        Link::Output { instance: self.id(cell), port: port.into(), entry: entry.map(Into::into) }
    }

    fn check_kind_axes(&self, env: &Env<'_>) {
        let Some(kind) = self.kind else { return };
        for wanted in kind.axes.iter().filter(|wanted| !self.axes.iter().any(|axis| axis.name == **wanted)) {
            let message =
                format!("`{}` reads its `{wanted}`, but stage `{}` has no axis `{wanted}`", kind.name, self.name());
            env.errors.add(
                Diagnostic::new(Class::Axes, self.entry.name.span, message)
                    .hint(format!("expand the stage: `each: {{ {wanted}: ... }}`")),
            );
        }
    }

    fn expand(&mut self, env: &Env<'_>) {
        let Some(size) = self
            .axes
            .iter()
            .try_fold(1_usize, |size, axis| size.checked_mul(axis.values.len()))
            .filter(|size| *size <= MOST_CELLS)
        else {
            let sizes: Vec<String> =
                self.axes.iter().map(|axis| format!("{} x{}", axis.name, axis.values.len())).collect();
            let message =
                format!("stage `{}` would have more than {MOST_CELLS} cells: {}", self.name(), sizes.join(", "));
            env.errors.add(Diagnostic::new(Class::Axes, self.entry.name.span, message));
            return;
        };
        let before = env.errors.count();
        let drop = self.rules(env, self.decl.drop.as_ref(), "drop");
        let keep = self.rules(env, self.decl.keep.as_ref(), "keep");
        self.grid = vec![u32::MAX; size];
        let mut at = vec![0_u32; self.axes.len()];
        for place in 0..size {
            let dropped = drop.iter().flatten().any(|rule| rule.covers(&at));
            let kept = keep.as_ref().is_none_or(|rules| rules.iter().any(|rule| rule.covers(&at)));
            if kept && !dropped {
                self.grid[place] = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
                self.cells.push(at.clone().into_boxed_slice());
            }
            self.advance(&mut at);
        }
        if self.cells.is_empty() && env.errors.count() == before {
            let message = format!("`drop` and `keep` leave stage `{}` without any cell", self.name());
            env.errors.add(
                Diagnostic::new(Class::Axes, self.entry.name.span, message)
                    .hint(format!("a profile removes a whole stage with `{}: none`", self.name())),
            );
        }
    }

    /// The next position in the grid, the last axis fastest.
    fn advance(&self, at: &mut [u32]) {
        for (axis, index) in self.axes.iter().zip(at.iter_mut()).rev() {
            *index += 1;
            if (*index as usize) < axis.values.len() {
                return;
            }
            *index = 0;
        }
    }

    fn rules(&self, env: &Env<'_>, node: Option<&Node>, key: &str) -> Option<Vec<CellRule>> {
        let node = node?;
        let list = env.errors.take(env.eval(node, &self.entry.scope, None))?;
        let NodeTree::List(items) = &list.tree else {
            let message = format!("`{key}` is a list of coordinate maps, found {}", list.described());
            env.errors.add(
                Diagnostic::new(Class::Shape, node.span, message)
                    .hint(format!("for example `{key}: [{{ axis: value }}]`")),
            );
            return None;
        };
        let rule = |item: &Node| self.rule(item, key).map_err(|error| lost_values_hint(error, node, key));
        Some(items.iter().filter_map(|item| env.errors.take(rule(item))).collect())
    }

    fn rule(&self, item: &Node, key: &str) -> Result<CellRule, Diagnostic> {
        let NodeTree::Map(entries) = &item.tree else {
            let message = format!("an entry of `{key}` is a map from axes to values, found {}", item.described());
            return Err(
                Diagnostic::new(Class::Shape, item.span, message).hint("for example `{ outputs: ring, inputs: t1t2 }`")
            );
        };
        let mut wanted = Vec::new();
        for (name, node) in entries {
            let index = self.axis(&name.text, name.span)?;
            let axis = &self.axes[index];
            let values = match &node.tree {
                NodeTree::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            let mut places = BTreeSet::new();
            for value in values {
                match value.written().and_then(|text| axis.index.get(text)) {
                    Some(place) => {
                        places.insert(*place);
                    }
                    None if value.written().is_some_and(|text| axis.narrowed.contains(text)) => {}
                    None => return Err(axis.no_value(value.span, value.written().unwrap_or("a map"))),
                }
            }
            wanted.push((index, places));
        }
        Ok(CellRule(wanted))
    }

    /// The number of the axis of this name.
    pub fn axis(&self, name: &str, span: Span) -> Result<usize, Diagnostic> {
        self.axes.iter().position(|axis| axis.name == name).ok_or_else(|| {
            let message = format!("stage `{}` has no axis `{name}`", self.name());
            Diagnostic::new(Class::UnknownName, span, message).known("its axes", name, self.axis_names())
        })
    }

    /// An axis that a text has in braces, as other engines write wildcards.
    pub fn wildcard_in(&self, text: &str) -> Option<&str> {
        self.axis_names().find(|axis| has_wildcard(text, axis))
    }

    /// The names of its axes.
    pub fn axis_names(&self) -> impl Iterator<Item = &str> {
        self.axes.iter().map(|axis| axis.name.as_str())
    }

    /// The cell at these value indexes, if it was not dropped.
    pub fn cell_at(&self, at: impl Iterator<Item = u32>) -> Option<u32> {
        let place =
            self.axes.iter().zip(at).fold(0_usize, |place, (axis, index)| place * axis.values.len() + index as usize);
        self.grid.get(place).copied().filter(|cell| *cell != u32::MAX)
    }

    /// The cells that have these value indexes where one is given, ascending. Visits only the part of the grid that is open.
    pub fn cells_within(&self, fixed: &[Option<u32>]) -> Vec<u32> {
        let mut places = vec![0_usize];
        for (axis, fixed) in self.axes.iter().zip(fixed) {
            let size = axis.values.len();
            places = match fixed {
                Some(index) => places.into_iter().map(|place| place * size + *index as usize).collect(),
                None => places.into_iter().flat_map(|place| (0..size).map(move |index| place * size + index)).collect(),
            };
        }
        places.into_iter().filter_map(|place| self.grid.get(place).copied()).filter(|cell| *cell != u32::MAX).collect()
    }

    /// Sorts cells as a gather lists them: by their coordinates as text, axis by axis in the order of the axes' names. It compares
    /// ranks, because thousands of cells over many axes would compare a million texts.
    pub fn sort_as_gathered(&self, cells: &mut [u32]) {
        let mut by_name: Vec<usize> = (0..self.axes.len()).collect();
        by_name.sort_by_key(|axis| &self.axes[*axis].name);
        let ranks = self.axes.iter().map(|axis| {
            let mut by_text: Vec<usize> = (0..axis.values.len()).collect();
            by_text.sort_by_key(|value| &axis.values[*value].text);
            let mut ranks = vec![0; by_text.len()];
            by_text.into_iter().enumerate().for_each(|(rank, value)| ranks[value] = rank);
            ranks
        });
        let ranks: Vec<Vec<usize>> = ranks.collect();
        let rank = |cell: u32, axis: usize| ranks[axis][self.cells[cell as usize][axis] as usize];
        cells.sort_unstable_by(|a, b| {
            let differ = |axis: &usize| Some(rank(*a, *axis).cmp(&rank(*b, *axis))).filter(|order| order.is_ne());
            by_name.iter().find_map(differ).unwrap_or(std::cmp::Ordering::Equal)
        });
    }

    /// The id of a cell.
    pub fn id(&self, cell: u32) -> InstanceId {
        InstanceId(self.base + cell)
    }

    /// The ids of its cells.
    pub fn instances(&self) -> Range<u32> {
        self.base..self.base + u32::try_from(self.cells.len()).unwrap_or(u32::MAX)
    }

    /// A cell with its axes, for evaluating `$each`.
    pub fn cell(&self, cell: usize) -> AxisPoint<'_> {
        AxisPoint { axes: &self.axes, at: &self.cells[cell] }
    }

    /// The coordinates of a cell.
    pub fn coordinates(&self, cell: usize) -> Coordinates {
        self.cell(cell).coordinates()
    }

    /// The coordinates at value indexes, on the axes whose number is wanted.
    pub fn some_coordinates(&self, at: &[u32], wanted: impl Fn(usize) -> bool) -> Coordinates {
        let axes = self.axes.iter().zip(at).enumerate().filter(|(number, _)| wanted(*number));
        axes.map(|(_, (axis, index))| (axis.name.clone(), axis.values[*index as usize].text.clone())).collect()
    }
}

/// Cells by their value indexes on some axes.
struct CellRule(Vec<(usize, BTreeSet<u32>)>);

impl CellRule {
    fn covers(&self, at: &[u32]) -> bool {
        self.0.iter().all(|(axis, places)| places.contains(&at[*axis]))
    }
}

fn kind<'a>(env: &Env<'a>, decl: &StageDecl) -> Option<&'a Kind> {
    let WorkDecl::Uses(name) = &decl.work else { return None };
    let kind = env.registry.kind(&name.text);
    if kind.is_none() {
        let error = Diagnostic::new(Class::UnknownName, name.span, format!("unknown stage kind `{}`", name.text));
        let near = crate::diag::nearest(&name.text, env.registry.kinds().map(|kind| kind.name));
        env.errors.add(error.hint(match (env.registry.renamed(&name.text), near) {
            (Some(renamed), _) => format!("this kind is now called `{}`", renamed.name),
            (None, Some(near)) => format!("did you mean `{near}`? `pipe stages` lists all kinds"),
            (None, None) => "`pipe stages` lists all kinds; a command of your own is `run:`".to_owned(),
        }));
    }
    kind
}

fn axis(env: &Env<'_>, entry: &NamedStage, name: &Name, node: &Node) -> Result<Axis, Diagnostic> {
    check_axis_name(name)?;
    let (values, narrowed) = values(env, entry, name, node)?;
    if values.is_empty() {
        let message = format!("axis `{}` of stage `{}` has no values", name.text, entry.name.text);
        return Err(Diagnostic::new(Class::Axes, node.span, message)
            .hint("give it at least one; a profile removes a stage with `none`"));
    }
    let mut index = BTreeMap::new();
    for (place, value) in values.iter().enumerate() {
        if index.insert(value.text.clone(), u32::try_from(place).unwrap_or(u32::MAX)).is_some() {
            let message =
                format!("axis `{}` of stage `{}` has the value `{}` twice", name.text, entry.name.text, value.text);
            return Err(Diagnostic::new(Class::Axes, node.span, message).hint("values of an axis are distinct"));
        }
    }
    Ok(Axis { name: name.text.clone(), values, index, narrowed })
}

fn check_axis_name(name: &Name) -> Result<(), Diagnostic> {
    if is_axis(&name.text) {
        return Ok(());
    }
    let message = format!("`{}` cannot be the name of an axis", spec::shortened(&name.text));
    Err(Diagnostic::new(Class::Shape, name.span, message)
        .hint("a name begins with a letter and has letters, digits, `_` and `-`"))
}

type Values = (Vec<AxisValue>, BTreeSet<String>);

fn values(env: &Env<'_>, entry: &NamedStage, name: &Name, node: &Node) -> Result<Values, Diagnostic> {
    if let Some((first, last)) = node.written().and_then(|text| text.split_once("..")) {
        return Ok((range(env, entry, node, first, last)?, BTreeSet::new()));
    }
    let value = env.eval(node, &entry.scope, None)?;
    let narrowed = narrowed(env, entry, node);
    let values = match &value.tree {
        NodeTree::Map(entries) => entries
            .iter()
            .map(|(name, fields)| AxisValue { text: name.text.clone(), fields: Some(fields.clone()) })
            .collect(),
        NodeTree::List(items) => items
            .iter()
            .map(|item| match item.written() {
                Some(text) if is_range(text) => {
                    let message = format!("`{text}` is a range, which is not a value in a list");
                    Err(Diagnostic::new(Class::Axes, item.span, message)
                        .hint(format!("a range is the axis itself: `{}: {text}`", name.text)))
                }
                Some(text) if !item.is_null() => Ok(AxisValue { text: text.to_owned(), fields: None }),
                _ => {
                    let message = format!("a value of axis `{}` is a text, found {}", name.text, item.described());
                    Err(Diagnostic::new(Class::Axes, item.span, message)
                        .hint("values with fields are a map: `{ name: { field: 1 } }`"))
                }
            })
            .collect::<Result<_, _>>()?,
        NodeTree::Scalar { .. } => {
            let message = format!("axis `{}` is a list, a range or a map, found {}", name.text, value.described());
            let written = value.written().unwrap_or_default();
            let dashed = written.split_once(['-', ':']).filter(|(first, last)| is_digits(first) && is_digits(last));
            return Err(Diagnostic::new(Class::Axes, node.span, message).hint(match dashed {
                Some((first, last)) => format!("a range is `{first}..{last}`"),
                None if env.is_value_name(written, entry) => format!("write `${written}`"),
                None if written.contains(['/', '.']) => format!(
                    "a list that a file holds is a parameter: `params: {{ {0}: {{ lines: {written} }} }}`, `each: {{ {0}: $params.{0} }}`",
                    name.text
                ),
                None if value.is_null() || written.contains('(') => {
                    "for example `[a, b]`, `1..10` or `$params.subjects`".to_owned()
                }
                None => {
                    format!("a single value is a list too: `[{written}]`; others are `1..10` or `$params.subjects`")
                }
            }));
        }
    };
    Ok((values, narrowed))
}

/// What `{ keep: [...] }` removed, if the axis is a parameter as a whole.
fn narrowed(env: &Env<'_>, entry: &NamedStage, node: &Node) -> BTreeSet<String> {
    let Ok(Written::Reference(reference)) = spec::read_written(env.sources, node) else { return BTreeSet::new() };
    match reference.names.as_slice() {
        [params, path @ ..] if params == "params" && reference.chosen.is_empty() => {
            env.param(&path.join("."), &entry.scope).map(|(param, _)| param.narrowed.clone()).unwrap_or_default()
        }
        _ => BTreeSet::new(),
    }
}

fn is_digits(text: &str) -> bool {
    !text.trim().is_empty() && text.trim().chars().all(|c| c.is_ascii_digit())
}

fn is_range(text: &str) -> bool {
    text.split_once("..").is_some_and(|(first, last)| is_digits(first) && is_digits(last))
}

/// `1..N`, both ends included; either end may be a parameter.
fn range(
    env: &Env<'_>,
    entry: &NamedStage,
    node: &Node,
    first: &str,
    last: &str,
) -> Result<Vec<AxisValue>, Diagnostic> {
    let end = |text: &str| -> Result<i64, Diagnostic> {
        let value = match spec::read_text(env.sources, text.trim(), node.span)? {
            Written::Plain(text) => spec::resolve(&text),
            Written::Reference(reference) => env.value(&reference, &entry.scope, None)?.value(),
            Written::Template(pieces) => spec::resolve(&env.text(&pieces, &entry.scope, None)?),
        };
        match value {
            pipe_contract::Value::Int(number) => Ok(number),
            other => {
                let message = format!("an end of a range is a whole number, found {} `{other}`", other.type_name());
                Err(Diagnostic::new(Class::Axes, node.span, message)
                    .hint("for example `1..10` or `1..$params.restarts`"))
            }
        }
    };
    let (first, last) = (end(first)?, end(last)?);
    if last < first {
        let message = format!("the range {first}..{last} is empty");
        return Err(Diagnostic::new(Class::Axes, node.span, message).hint("a range goes upward and includes both ends"));
    }
    if usize::try_from(last.saturating_sub(first)).is_ok_and(|length| length >= MOST_CELLS) {
        return Err(Diagnostic::new(
            Class::Axes,
            node.span,
            format!("the range {first}..{last} has more than {MOST_CELLS} values"),
        ));
    }
    Ok((first..=last).map(|number| AxisValue { text: number.to_string(), fields: None }).collect())
}

/// Adds to the hint of a rule that comes from a parameter what to do where an axis has lost the rule's value.
fn lost_values_hint(mut error: Diagnostic, node: &Node, key: &str) -> Diagnostic {
    if let Some(name) = node.written().and_then(|text| text.strip_prefix("$params.")) {
        let remedy = format!("`{key}` is the parameter `{name}`: where axes have fewer values, give it fewer too");
        error.hint = error.hint.take().map(|hint| format!("{hint}; {remedy}, as in `--set {name}=[]`").into());
    }
    error
}
