//! What every port reads: references with their selectors become rules, rules become links for each cell.
//!
//! For each axis of the stage that is read: named in the selector (`a=v` picks, `a=*` gathers), else an axis of the
//! same name in the reader (matches), else covered by a bare `*` (gathers), else an error that lists the three ways.
//! Rules are computed once a port; a gather is made once for all cells of the reader that gather the same cells.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pipe_contract::{Arity, Coordinates, Form, Input};

use super::draft::Draft;
use super::env::{Cell, Env, Target};
use super::names::{has_wildcard, is_name, is_safe};
use super::resolved::{Link, ProjectFile, Source};
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{self, Name, Node, Pick, Piece, Reference, Selector, Tree, WorkDecl, Written};

/// How one axis of the stage that is read is settled.
#[derive(Debug)]
enum Use {
    /// The reader has the axis: from its value index to that of the stage that is read.
    Match { axis: usize, table: Vec<Option<u32>> },
    /// A selector picks one value that is the same for all cells.
    Picked(u32),
    /// A selector picks a value that depends on the reader's cell.
    PickedBy(Vec<Piece>, Span),
    /// All values.
    Gathered,
}

/// A reference with every axis settled.
pub(super) struct Rule {
    /// The stage that is read, as index into the drafts.
    pub stage: usize,
    port: Arc<str>,
    entry: Option<Vec<Piece>>,
    uses: Vec<Use>,
    pub span: Span,
    text: String,
}

/// One thing that a port reads.
enum Item {
    /// An artifact of a stage, or several.
    Stage(Rule),
    /// A file, folder or glob of the project; the text may depend on the cell.
    File(FileItem),
}

/// A file of the project as it is written.
struct FileItem {
    path: Node,
    /// The folder that it is relative to.
    folder: PathBuf,
    /// [`ProjectFile::ignore`].
    ignore: Option<Vec<String>>,
}

/// What one port of a stage reads.
pub(super) struct Port {
    pub name: String,
    many: bool,
    items: Vec<Item>,
    /// Gathers already made, by what was fixed in them.
    made: BTreeMap<Vec<u32>, Arc<[(Coordinates, Link)]>>,
}

impl Port {
    /// The stages that this port reads.
    pub fn stages(&self) -> impl Iterator<Item = (usize, Span)> {
        self.items.iter().filter_map(|item| match item {
            Item::Stage(rule) => Some((rule.stage, rule.span)),
            Item::File(_) => None,
        })
    }
}

/// Resolves the ports of a stage.
pub(super) fn ports(env: &Env<'_>, drafts: &[Draft<'_>], reader: usize, errors: &mut Vec<Diagnostic>) -> Vec<Port> {
    let draft = &drafts[reader];
    let mut ports = Vec::new();
    let mut cut = false;
    for (name, node) in &draft.decl.inputs {
        // `$a(sid=s1, rater=A1).t` inside `{ }` is parsed as an open bracket and a meaningless key: reported once.
        if cut && node.is_null() {
            continue;
        }
        cut = node.written().is_some_and(|text| text.contains('(') && !text.contains(')'));
        let input = match input_of(draft, name) {
            Ok(input) => input,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        match port(env, drafts, reader, name, node, input) {
            Ok(Some(port)) => ports.push(port),
            Ok(None) => {}
            Err(found) => errors.extend(found),
        }
    }
    if let Some(kind) = draft.kind {
        for input in kind.inputs.iter().filter(|input| !input.optional) {
            if !draft.decl.inputs.iter().any(|(name, _)| name.text == input.name) {
                let message =
                    format!("stage `{}` does not set input `{}` of `{}`", draft.name(), input.name, kind.name);
                let types =
                    if input.types.is_empty() { String::new() } else { format!(" ({})", input.types.join(" or ")) };
                errors.push(
                    Diagnostic::new(Class::Missing, draft.entry.name.span, message)
                        .hint(format!("add `in: {{ {}: $stage.port }}`: {}{types}", input.name, input.about)),
                );
            }
        }
    }
    ports
}

/// The declared input of this name; `None` for `run:` stages, which take any input.
fn input_of<'a>(draft: &Draft<'a>, name: &Name) -> Result<Option<&'a Input>, Diagnostic> {
    let Some(kind) = draft.kind else {
        if is_name(&name.text) || !matches!(draft.decl.work, WorkDecl::Run(_)) {
            return Ok(None);
        }
        let message = format!("`{}` cannot be the name of a port", spec::shortened(&name.text));
        return Err(Diagnostic::new(Class::Shape, name.span, message).hint("a name has letters, digits, `_` and `-`"));
    };
    kind.input_named(&name.text).map(Some).ok_or_else(|| {
        let message = format!("unknown input `{}` of stage `{}`", spec::shortened(&name.text), draft.name());
        let error = Diagnostic::new(Class::UnknownName, name.span, message);
        let takes = format!("`{}` takes", kind.name);
        error.known(&takes, &name.text, kind.inputs.iter().map(|input| input.name))
    })
}

/// One port. `Ok(None)` if it stays unset.
fn port(
    env: &Env<'_>,
    drafts: &[Draft<'_>],
    reader: usize,
    name: &Name,
    node: &Node,
    input: Option<&Input>,
) -> Result<Option<Port>, Vec<Diagnostic>> {
    let nodes = match &node.tree {
        Tree::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let (mut items, mut errors, mut unset) = (Vec::new(), Vec::new(), 0);
    for node in nodes {
        match item(env, drafts, reader, name, node, input) {
            Ok(Some(item)) => items.push(item),
            Ok(None) => unset += 1,
            Err(error) => errors.push(error),
        }
    }
    if nodes.is_empty() {
        errors.push(
            Diagnostic::new(Class::Shape, node.span, format!("input `{}` is an empty list", name.text))
                .hint("leave the input out, or give it a reference"),
        );
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if items.is_empty() && unset > 0 {
        return Ok(None);
    }
    let listed = matches!(node.tree, Tree::List(_));
    let gathers = items
        .iter()
        .any(|item| matches!(item, Item::Stage(rule) if rule.uses.iter().any(|each| matches!(each, Use::Gathered))));
    let many = match input {
        Some(input) => input.arity == Arity::Many,
        None => listed || gathers,
    };
    if !many && (gathers || items.len() > 1) {
        let what = if gathers { "a gather of several" } else { "a list of several" };
        let message =
            format!("input `{}` of stage `{}` takes one artifact, found {what}", name.text, drafts[reader].name());
        let hint = "pick one (`axis=value`), or give the reader the axis so that they match";
        return Err(vec![Diagnostic::new(Class::Axes, node.span, message).hint(hint)]);
    }
    Ok(Some(Port { name: name.text.clone(), many, items, made: BTreeMap::new() }))
}

fn item(
    env: &Env<'_>,
    drafts: &[Draft<'_>],
    reader: usize,
    name: &Name,
    node: &Node,
    input: Option<&Input>,
) -> Result<Option<Item>, Diagnostic> {
    let draft = &drafts[reader];
    let (node, ignore) = match node.get("path").or_else(|| node.get("ignore")) {
        Some(_) => with_ignored(name, node)?,
        None => (node, Some(Vec::new())),
    };
    let file = || {
        let item = FileItem { path: node.clone(), folder: draft.entry.folder.clone(), ignore: ignore.clone() };
        Ok(Some(Item::File(item)))
    };
    let Tree::Scalar { .. } = node.tree else {
        let message =
            format!("input `{}` is a reference or a file of the project, found {}", name.text, node.described());
        return Err(Diagnostic::new(Class::Shape, node.span, message)
            .hint("for example `$stage.port`, `data/table.csv` or `{ path: data/, ignore: [\"*.bak\"] }`"));
    };
    if node.is_null() {
        let message = format!("input `{}` has no value", name.text);
        let hint = "give it a reference (`$stage.port`) or a file, or leave it out";
        return Err(Diagnostic::new(Class::Missing, name.span, message).hint(hint));
    }
    match spec::read_written(env.sources, node)? {
        Written::Reference(reference) if !reference.is_value() => {
            rule(env, drafts, reader, name, &reference, input).map(|rule| rule.map(Item::Stage))
        }
        Written::Plain(text) => {
            check_file(env, draft, drafts, name, node, &text)?;
            file()
        }
        Written::Template(_) | Written::Reference(_) => {
            check_wildcards(draft, node)?;
            file()
        }
    }
}

/// `{ path: data/, ignore: ["*.bak"] }`: the path, and what is ignored there besides the usual; `None` for `ignore: []`.
fn with_ignored<'n>(name: &Name, node: &'n Node) -> Result<(&'n Node, Option<Vec<String>>), Diagnostic> {
    let Tree::Map(entries) = &node.tree else { return Ok((node, Some(Vec::new()))) };
    if let Some((key, _)) = entries.iter().find(|(key, _)| !spec::FILES.has(&key.text)) {
        let message = format!("unknown key `{}` in input `{}`", key.text, name.text);
        let known = spec::FILES.keys.iter().map(|key| key.name);
        return Err(Diagnostic::new(Class::UnknownKey, key.span, message).known("known keys", &key.text, known));
    }
    let Some(path) = node.get("path") else {
        let message = format!("input `{}` has `ignore` but no `path`", name.text);
        return Err(Diagnostic::new(Class::Missing, node.span, message).hint("add `path: FOLDER`"));
    };
    let patterns = match node.get("ignore") {
        None => return Ok((path, Some(Vec::new()))),
        Some(Node { tree: Tree::List(items), .. }) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let mut ignore = Vec::new();
    for pattern in patterns {
        let Some(text) = pattern.written().filter(|_| !pattern.is_null()) else {
            let message = format!("a pattern of `ignore` is a text, found {}", pattern.described());
            return Err(
                Diagnostic::new(Class::Shape, pattern.span, message).hint("for example `[\"*.bak\", \"old/\"]`")
            );
        };
        check_pattern(text, pattern.span)?;
        ignore.push(text.to_owned());
    }
    Ok((path, (!patterns.is_empty()).then_some(ignore)))
}

fn check_pattern(pattern: &str, span: Span) -> Result<(), Diagnostic> {
    pipe_cache::Filter::new([pattern], Some(pattern)).map(drop).map_err(|why| {
        Diagnostic::new(Class::Value, span, format!("a pattern that cannot be read: {why}"))
            .hint("`*` stands for any characters but `/`, `?` for one, `**` for folders too")
    })
}

/// What is written as a file of the project, but is a reference, a wildcard, an address, or a path of one machine.
fn check_file(
    env: &Env<'_>,
    draft: &Draft<'_>,
    drafts: &[Draft<'_>],
    name: &Name,
    node: &Node,
    text: &str,
) -> Result<(), Diagnostic> {
    check_wildcards(draft, node)?;
    let error = |message: String| Diagnostic::new(Class::Reference, node.span, message);
    let stage_of = |text: &str| env.find(text, &draft.entry.scope);
    if let Some((stage, port)) = text.rsplit_once('.')
        && let Some(found) = stage_of(stage).filter(|found| drafts[*found].ports().contains(&port))
    {
        let message = format!(
            "`{text}` is a file of the project here; without `$` it does not name the output of stage `{}`",
            drafts[found].name()
        );
        return Err(error(message).hint(format!("write `${text}`; a file of this name is `./{text}`")));
    }
    if text.starts_with('/') {
        let message = format!("input `{}` is an absolute path: the file would work on this machine only", name.text);
        return Err(error(message).hint(format!(
            "write it relative to the pipeline file, or make it a parameter that others can set: \
             `params: {{ {0}: {text} }}`, `in: {{ {0}: $params.{0} }}`",
            name.text
        )));
    }
    if text.starts_with("~/") {
        let message = format!("`~` in input `{}` means nothing here: a pipeline file has no home folder", name.text);
        return Err(error(message).hint("write the path relative to the pipeline file, or a parameter: `$params.data`"));
    }
    if text.contains("://") {
        let message = format!("input `{}` is an address; only files of the project can be read", name.text);
        return Err(error(message).hint(format!(
            "fetch it in a stage with `net: true`: `run: curl -fsSL {text} > \"$OUT_FILE\"`, and read that stage's output"
        )));
    }
    Ok(())
}

/// `{sid}` in a path: as other engines write it.
fn check_wildcards(draft: &Draft<'_>, node: &Node) -> Result<(), Diagnostic> {
    let text = node.written().unwrap_or_default();
    let Some(axis) = draft.axis_names().find(|axis| has_wildcard(text, axis)) else { return Ok(()) };
    let message = format!("nothing fills in `{{{axis}}}` in this path");
    let filled = text.replace(&format!("{{{axis}}}"), &format!("${{each.{axis}}}"));
    Err(Diagnostic::new(Class::Reference, node.span, message).hint(format!("write \"{filled}\"")))
}

/// A reference in `in:` with its axes settled. `None` if it reads a removed stage and may, or one whose own mistakes
/// are reported already.
fn rule(
    env: &Env<'_>,
    drafts: &[Draft<'_>],
    reader: usize,
    name: &Name,
    reference: &Reference,
    input: Option<&Input>,
) -> Result<Option<Rule>, Diagnostic> {
    let draft = &drafts[reader];
    let (stage, port) = match env.target(reference, &draft.entry.scope, drafts)? {
        Target::Port { stage, port } => (stage, port),
        Target::Removed { .. } if is_optional(draft, name, input) => return Ok(None),
        Target::Removed { at } => {
            let message =
                format!("input `{}` of stage `{}` reads a stage that this profile removes", name.text, draft.name());
            return Err(Diagnostic::new(Class::Profile, reference.span, message)
                .also(at, "removed here")
                .hint("only an optional input may read a removed stage: replace the reader in this profile too"));
        }
    };
    let target = &drafts[stage];
    check_port(draft, target, name, port, reference, input)?;
    if target.broken {
        return Ok(None);
    }
    let rule = settle(env, reader, stage, port, reference, drafts)?;
    rule.check_match(draft, target)?;
    Ok(Some(rule))
}

/// Whether a port may stay unset: as its kind declares, or `optional:` of a `run:` stage.
fn is_optional(draft: &Draft<'_>, name: &Name, input: Option<&Input>) -> bool {
    match (&draft.decl.work, input) {
        (WorkDecl::Run(run), _) => run.optional.iter().any(|port| port.text == name.text),
        (WorkDecl::Uses(_), input) => input.is_some_and(|input| input.optional),
    }
}

/// The port exists, and its artifact type fits.
fn check_port(
    draft: &Draft<'_>,
    target: &Draft<'_>,
    name: &Name,
    port: &str,
    reference: &Reference,
    input: Option<&Input>,
) -> Result<(), Diagnostic> {
    let ports = target.ports();
    if target.broken && ports.is_empty() {
        return Ok(());
    }
    if !ports.contains(&port) {
        let message = format!("stage `{}` has no output `{port}`", target.name());
        return Err(Diagnostic::new(Class::UnknownName, reference.span, message).known("its outputs", port, ports));
    }
    let is_file = match (target.kind.and_then(|kind| kind.output_named(port)), &target.decl.work) {
        (Some(output), _) => output.form == Form::File,
        (None, WorkDecl::Run(run)) => run.out.iter().any(|(name, path)| name.text == port && !path.text.ends_with('/')),
        (None, WorkDecl::Uses(_)) => false,
    };
    if reference.entry.is_some() && is_file {
        let message = format!("output `{port}` of stage `{}` is a file, so it has no entries", target.name());
        return Err(
            Diagnostic::new(Class::Reference, reference.span, message).hint("only a folder has entries after `/`")
        );
    }
    let (Some(input), Some(output)) = (input, target.kind.and_then(|kind| kind.output_named(port))) else {
        return Ok(());
    };
    if reference.entry.is_some() || input.types.is_empty() || input.types.contains(&output.artifact) {
        return Ok(());
    }
    let message = format!(
        "input `{}` of stage `{}` reads `{}`, found `{}`",
        name.text,
        draft.name(),
        input.types.join("` or `"),
        output.artifact
    );
    let error =
        Diagnostic::new(Class::PortType, reference.span, message).label(format!("this is `{}`", output.artifact));
    let fitting: Vec<&str> = target
        .kind
        .map(|kind| {
            kind.outputs
                .iter()
                .filter(|output| input.types.contains(&output.artifact))
                .map(|output| output.name)
                .collect()
        })
        .unwrap_or_default();
    Err(match fitting.first() {
        Some(other) => error.hint(format!("stage `{}` also has the output `{other}`, which fits", target.name())),
        None => error.hint(format!("`{}` is {}", input.name, input.about)),
    })
}

/// Settles every axis of the stage that is read.
pub(super) fn settle(
    env: &Env<'_>,
    reader: usize,
    stage: usize,
    port: &str,
    reference: &Reference,
    drafts: &[Draft<'_>],
) -> Result<Rule, Diagnostic> {
    let (draft, target) = (&drafts[reader], &drafts[stage]);
    check_selectors(&reference.selectors, target)?;
    let mut uses = Vec::new();
    for axis in &target.axes {
        let named = reference.selectors.iter().find(|selector| selector.axis.as_deref() == Some(axis.name.as_str()));
        let matched = draft.axes.iter().position(|own| own.name == axis.name);
        let bare = reference.selectors.iter().any(|selector| selector.axis.is_none());
        uses.push(match (named, matched) {
            (Some(Selector { pick: Pick::All, .. }), _) => Use::Gathered,
            (Some(Selector { pick: Pick::One(pieces), span, .. }), _) => pick(env, draft, axis, pieces, *span)?,
            (None, Some(own)) => {
                let table = draft.axes[own].values.iter().map(|value| axis.index.get(&value.text).copied()).collect();
                Use::Match { axis: own, table }
            }
            (None, None) if bare => Use::Gathered,
            (None, None) => return Err(three_ways(draft, target, &axis.name, port, reference)),
        });
    }
    Ok(Rule {
        stage,
        port: port.into(),
        entry: reference.entry.clone(),
        uses,
        span: reference.span,
        text: reference.text.clone(),
    })
}

fn check_selectors(selectors: &[Selector], target: &Draft<'_>) -> Result<(), Diagnostic> {
    for (number, selector) in selectors.iter().enumerate() {
        if selectors[..number].iter().any(|other| other.axis == selector.axis) {
            let name = selector.axis.as_deref().unwrap_or("*");
            return Err(Diagnostic::new(Class::Axes, selector.span, format!("`{name}` occurs twice in this selector")));
        }
        let Some(axis) = &selector.axis else { continue };
        if !target.axes.iter().any(|known| &known.name == axis) {
            let message = format!("stage `{}` has no axis `{axis}`", target.name());
            return Err(Diagnostic::new(Class::UnknownName, selector.span, message).known(
                "its axes",
                axis,
                target.axis_names(),
            ));
        }
    }
    Ok(())
}

fn pick(
    env: &Env<'_>,
    draft: &Draft<'_>,
    axis: &super::draft::Axis,
    pieces: &[Piece],
    span: Span,
) -> Result<Use, Diagnostic> {
    let is_each = |piece: &Piece| matches!(piece, Piece::Value(reference) if reference.names.first().is_some_and(|name| name == "each"));
    if pieces.iter().any(is_each) {
        return Ok(Use::PickedBy(pieces.to_vec(), span));
    }
    let text = env.text(pieces, &draft.entry.scope, None)?;
    axis.index.get(text.trim()).map(|place| Use::Picked(*place)).ok_or_else(|| axis.no_value(span, text.trim()))
}

fn three_ways(draft: &Draft<'_>, target: &Draft<'_>, axis: &str, port: &str, reference: &Reference) -> Diagnostic {
    let example = target.axes.iter().find(|known| known.name == axis).and_then(|known| known.values.first());
    let example = example.map_or("value", |value| value.text.as_str());
    let name = target.name();
    let message = format!("`{}` leaves axis `{axis}` of stage `{name}` open", reference.text);
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
    fn fixed(
        &self,
        env: &Env<'_>,
        reader: &Draft<'_>,
        target: &Draft<'_>,
        cell: Cell<'_>,
    ) -> Result<Vec<Option<u32>>, Diagnostic> {
        let settle = |(settled, axis): (&Use, &super::draft::Axis)| match settled {
            Use::Gathered => Ok(None),
            Use::Picked(place) => Ok(Some(*place)),
            Use::Match { axis, table } => Ok(table[cell.at[*axis] as usize]),
            Use::PickedBy(pieces, span) => {
                let text = env.text(pieces, &reader.entry.scope, Some(cell))?;
                axis.index.get(text.trim()).map(|place| Some(*place)).ok_or_else(|| axis.no_value(*span, text.trim()))
            }
        };
        self.uses.iter().zip(&target.axes).map(settle).collect()
    }

    /// The links for one cell of the reader, with the coordinates on gathered and picked axes.
    fn links(
        &self,
        env: &Env<'_>,
        reader: &Draft<'_>,
        target: &Draft<'_>,
        fixed: &[Option<u32>],
        cell: Cell<'_>,
    ) -> Result<Vec<(Coordinates, Link)>, Diagnostic> {
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
        let found: Vec<_> = target
            .cells_within(fixed)
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
        let message = format!("`{path}` is not a path inside the folder");
        Err(Diagnostic::new(Class::Reference, self.span, message)
            .hint("names separated by `/`, without `..` and empty parts"))
    }

    fn no_cell(&self, reader: &Draft<'_>, target: &Draft<'_>, at: &[u32]) -> Diagnostic {
        let cell = target.some_coordinates(at, |_| true);
        let message = format!("stage `{}` has no cell {cell}: it was dropped", target.name());
        Diagnostic::new(Class::Axes, self.span, message).hint(format!("`drop` it in stage `{}` too", reader.name()))
    }
}

/// The source of a port for one cell of the reader.
pub(super) fn source(
    env: &Env<'_>,
    drafts: &[Draft<'_>],
    reader: usize,
    port: &mut Port,
    number: usize,
) -> Result<Source, Diagnostic> {
    let draft = &drafts[reader];
    let cell = draft.cell(number);
    let mut fixed = Vec::new();
    for item in &port.items {
        fixed.push(match item {
            Item::Stage(rule) => rule.fixed(env, draft, &drafts[rule.stage], cell)?,
            Item::File(_) => Vec::new(),
        });
    }
    // Entries and files may depend on the cell in a way that is not in the fixed values.
    let shared = port.items.iter().all(|item| matches!(item, Item::Stage(rule) if rule.entry.is_none()));
    let key: Vec<u32> = fixed.iter().flatten().map(|place| place.map_or(0, |place| place + 1)).collect();
    if let Some(made) = port.made.get(&key).filter(|_| shared && port.many) {
        return Ok(Source::Many(made.clone()));
    }
    let mut links = Vec::new();
    for (item, fixed) in port.items.iter().zip(&fixed) {
        match item {
            Item::Stage(rule) => links.extend(rule.links(env, draft, &drafts[rule.stage], fixed, cell)?),
            Item::File(item) => links.push((Coordinates::none(), file(env, draft, item, cell)?)),
        }
    }
    if !port.many {
        return match links.pop() {
            Some((_, link)) => Ok(Source::One(link)),
            None => Err(Diagnostic::new(
                Class::Reference,
                draft.entry.name.span,
                format!("input `{}` reads nothing", port.name),
            )),
        };
    }
    links.sort();
    if let Some(pair) = links.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(same_coordinates(port, draft, &pair[0].0));
    }
    let links: Arc<[(Coordinates, Link)]> = links.into();
    if shared {
        port.made.insert(key, links.clone());
    }
    Ok(Source::Many(links))
}

fn same_coordinates(port: &Port, draft: &Draft<'_>, at: &Coordinates) -> Diagnostic {
    let span = draft
        .decl
        .inputs
        .iter()
        .find(|(name, _)| name.text == port.name)
        .map_or(draft.entry.name.span, |(name, _)| name.span);
    let what = if at.is_empty() { "no coordinates".to_owned() } else { format!("the coordinates {at}") };
    let message = format!("input `{}` of stage `{}` gathers two artifacts with {what}", port.name, draft.name());
    Diagnostic::new(Class::Axes, span, message)
        .hint("coordinates in one gather are distinct: use two inputs, or pick by different values")
}

/// A file or folder of the project, or a glob.
fn file(env: &Env<'_>, draft: &Draft<'_>, item: &FileItem, cell: Cell<'_>) -> Result<Link, Diagnostic> {
    let value = env.eval(&item.path, &draft.entry.scope, Some(cell))?;
    let Some(text) = value.written().filter(|text| !text.is_empty() && !text.contains('\0')) else {
        let message = format!("a file of the project is a text, found {}", value.described());
        return Err(Diagnostic::new(Class::Value, item.path.span, message));
    };
    let (path, only) = match text.find(['*', '?']) {
        Some(wildcard) => {
            let fixed = text[..wildcard].rfind('/').map_or(0, |slash| slash + 1);
            check_pattern(&text[fixed..], item.path.span)?;
            (item.folder.join(text[..fixed].trim_end_matches('/')), Some(text[fixed..].to_owned()))
        }
        None => (item.folder.join(text.trim_end_matches('/')), None),
    };
    Ok(Link::File(Arc::new(ProjectFile { path, only, ignore: item.ignore.clone() })))
}

/// The one link of a reference in `results:` or a claim, for a cell of the stage that is read; `None` if it gathers.
pub(super) fn link_of(target: &Draft<'_>, cell: usize, port: &str, entry: Option<String>) -> Link {
    Link::Output {
        instance: target.id(u32::try_from(cell).unwrap_or(u32::MAX)),
        port: port.into(),
        entry: entry.map(Into::into),
    }
}
