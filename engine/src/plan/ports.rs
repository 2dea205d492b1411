//! What every port reads: each reference becomes a [`Rule`] once a port, and a rule becomes links for each cell. A gather is
//! made once for all cells of the reader that gather the same cells.

use std::collections::BTreeMap;

use pipe_contract::{Arity, Coordinates, Form, Input};

use super::draft::Draft;
use super::names::{is_name, no_name, variable_part};
use super::planning::{Planning, Target};
use super::project_files::{FileItem, check_file, file, written_input};
use super::resolved::{GatheredCell, Source};
use super::rule::{Rule, settle};
use crate::diag::{Class, Diagnostic, Span};
use crate::ids::GatherId;
use crate::spec::{self, Name, Node, NodeTree, Reference, WorkDecl, Written};

/// One thing that a port reads.
enum Item {
    /// An artifact of a stage, or several.
    Stage(Rule),
    /// A file, folder or glob of the project; the text may depend on the cell.
    File(FileItem),
}

/// What one port of a stage reads.
pub(super) struct Port {
    pub name: String,
    /// Whether it gathers.
    pub many: bool,
    items: Vec<Item>,
    /// Gathers already made, by what was fixed in them.
    made: BTreeMap<Vec<u32>, GatherId>,
}

impl Port {
    /// The stages that this port reads.
    pub fn stages(&self) -> impl Iterator<Item = (usize, Span)> {
        self.items.iter().filter_map(|item| match item {
            Item::Stage(rule) => Some((rule.stage, rule.span)),
            Item::File(_) => None,
        })
    }

    /// Whether its gather is the same wherever the same cells are fixed.
    fn is_shared(&self) -> bool {
        self.many && self.items.iter().all(|item| matches!(item, Item::Stage(rule) if rule.is_decided_by_cells()))
    }
}

/// The gathers of a plan, as they are made.
#[derive(Default)]
pub(super) struct Gathers(Vec<Vec<GatheredCell>>);

impl Gathers {
    fn add(&mut self, cells: Vec<GatheredCell>) -> GatherId {
        let id = GatherId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(cells);
        id
    }

    /// All of them, by their numbers.
    pub fn into_table(self) -> Vec<Vec<GatheredCell>> {
        self.0
    }
}

/// Resolves the ports of a stage.
pub(super) fn of_stage(context: &Planning<'_>, reader: usize) -> Vec<Port> {
    let draft = &context.drafts[reader];
    let errors = &context.env.errors;
    let mut ports = Vec::new();
    let mut cut = false;
    for (name, node) in &draft.decl.inputs {
        // `$a(sid=s1, rater=A1).t` inside `{ }` is parsed as an open bracket and a meaningless key: reported once.
        if cut && node.is_null() {
            continue;
        }
        cut = node.written().is_some_and(|text| text.contains('(') && !text.contains(')'));
        if let Some(input) = errors.take(input_of(draft, name)) {
            ports.extend(port(context, reader, name, node, input));
        }
    }
    errors.add_all(unset_inputs(draft));
    ports
}

/// Inputs that its kind requires and that the stage does not have.
fn unset_inputs(draft: &Draft<'_>) -> impl Iterator<Item = Diagnostic> {
    let is_set = |wanted: &Input| draft.decl.inputs.iter().any(|(name, _)| name.text == wanted.name);
    let kind = draft.kind.into_iter();
    let unset = kind.flat_map(|kind| kind.inputs.iter().map(move |input| (kind, input)));
    unset.filter(move |(_, input)| !input.optional && !is_set(input)).map(|(kind, input)| {
        let message = format!("stage `{}` does not set input `{}` of `{}`", draft.name(), input.name, kind.name);
        let types = if input.types.is_empty() { String::new() } else { format!(" ({})", input.types.join(" or ")) };
        Diagnostic::new(Class::Missing, draft.entry.name.span, message)
            .hint(format!("add `in: {{ {}: $stage.port }}`: {}{types}", input.name, input.about))
    })
}

/// The declared input of this name; `None` for `run:` stages, which take any input.
fn input_of<'a>(draft: &Draft<'a>, name: &Name) -> Result<Option<&'a Input>, Diagnostic> {
    let Some(kind) = draft.kind else {
        let may_be = is_name(&name.text) || !matches!(draft.decl.work, WorkDecl::Run(_));
        return if may_be { Ok(None) } else { Err(no_name(name, "port")) };
    };
    kind.input_named(&name.text).map(Some).ok_or_else(|| {
        let message = format!("unknown input `{}` of stage `{}`", spec::shortened(&name.text), draft.name());
        let error = Diagnostic::new(Class::UnknownName, name.span, message);
        let takes = format!("`{}` takes", kind.name);
        error.known(&takes, &name.text, kind.inputs.iter().map(|input| input.name))
    })
}

/// One port; `None` if it stays unset or is wrong, which is reported.
fn port(context: &Planning<'_>, reader: usize, name: &Name, node: &Node, input: Option<&Input>) -> Option<Port> {
    let errors = &context.env.errors;
    let nodes = match &node.tree {
        NodeTree::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let before = errors.count();
    let found = nodes.iter().filter_map(|node| errors.take(item(context, reader, name, node, input)));
    let items: Vec<Item> = found.flatten().collect();
    if nodes.is_empty() {
        errors.add(
            Diagnostic::new(Class::Shape, node.span, format!("input `{}` is an empty list", name.text))
                .hint("leave the input out, or give it a reference"),
        );
    }
    if items.is_empty() || errors.count() > before {
        return None;
    }
    let listed = matches!(node.tree, NodeTree::List(_));
    let gathers = items.iter().any(|item| matches!(item, Item::Stage(rule) if rule.gathers()));
    let many = match input {
        Some(input) => input.arity == Arity::Many,
        None => listed || gathers,
    };
    if !many && (gathers || items.len() > 1) {
        let what = if gathers { "a gather of several" } else { "a list of several" };
        let stage = context.drafts[reader].name();
        let message = format!("input `{}` of stage `{stage}` takes one artifact, found {what}", name.text);
        let hint = "pick one (`axis=value`), or give the reader the axis so that they match";
        errors.add(Diagnostic::new(Class::Axes, node.span, message).hint(hint));
        return None;
    }
    Some(Port { name: name.text.clone(), many, items, made: BTreeMap::new() })
}

/// One thing that a port reads; `None` if that is a removed stage, or one whose own mistakes are reported.
fn item(
    context: &Planning<'_>,
    reader: usize,
    name: &Name,
    node: &Node,
    input: Option<&Input>,
) -> Result<Option<Item>, Diagnostic> {
    let draft = &context.drafts[reader];
    let written = written_input(name, node)?;
    let node = written.node;
    let NodeTree::Scalar { .. } = node.tree else {
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
    match spec::read_written(context.env.sources, node)? {
        Written::Reference(reference) if !reference.is_value() => {
            rule(context, reader, name, &reference, input).map(|rule| rule.map(Item::Stage))
        }
        Written::Plain(text) => {
            let file = written.into_file(draft)?;
            check_file(context, draft, name, node, &text)?;
            Ok(Some(Item::File(file)))
        }
        Written::Template(_) | Written::Reference(_) => Ok(Some(Item::File(written.into_file(draft)?))),
    }
}

/// A reference in `in:` with its axes settled. `None` if it reads a removed stage and may, or one whose own mistakes
/// are reported already.
fn rule(
    context: &Planning<'_>,
    reader: usize,
    name: &Name,
    reference: &Reference,
    input: Option<&Input>,
) -> Result<Option<Rule>, Diagnostic> {
    let draft = &context.drafts[reader];
    let (stage, port) = match context.target(reference, &draft.entry.scope)? {
        Target::Port { stage, port } => (stage, port),
        Target::Removed { .. } if is_optional(draft, name, input) => return Ok(None),
        Target::Removed { at } => return Err(reads_removed(draft, name, reference, at)),
    };
    let target = &context.drafts[stage];
    check_port(draft, target, name, port, reference, input)?;
    if target.broken {
        return Ok(None);
    }
    settle(context, reader, stage, port, reference).map(Some)
}

/// A required input reads a stage that was removed at a place. A `run:` stage chooses itself what it can do without.
fn reads_removed(draft: &Draft<'_>, name: &Name, reference: &Reference, at: Span) -> Diagnostic {
    let (port, reader) = (&name.text, draft.name());
    let message = format!("input `{port}` of stage `{reader}` reads a stage that this profile removes");
    let otherwise = format!("remove stage `{reader}` in this profile too (`{reader}: none`), or replace it there");
    let hint = match &draft.decl.work {
        WorkDecl::Run(run) => {
            let optional: Vec<&str> =
                run.optional.iter().map(|known| known.text.as_str()).chain([port.as_str()]).collect();
            format!(
                "if `{reader}` can do without it, say `optional: [{}]` there, and `$IN_{}` is empty; else {otherwise}",
                optional.join(", "),
                variable_part(port)
            )
        }
        WorkDecl::Uses(kind) => format!("`{}` requires `{port}`: {otherwise}", kind.text),
    };
    Diagnostic::new(Class::Profile, reference.span, message).also(at, "removed here").hint(hint)
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
    target.check_output(port, reference.span)?;
    if reference.entry.is_some() && target.form_of(port) == Some(Form::File) {
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

/// The source of a port for one cell of the reader.
pub(super) fn source(
    context: &Planning<'_>,
    gathers: &mut Gathers,
    reader: usize,
    port: &mut Port,
    number: usize,
) -> Result<Source, Diagnostic> {
    let Planning { env, drafts } = context;
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
    let shared = port.is_shared();
    let key: Vec<u32> = fixed.iter().flatten().map(|place| place.map_or(0, |place| place + 1)).collect();
    if let Some(made) = port.made.get(&key).filter(|_| shared) {
        return Ok(Source::Many(*made));
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
    let gather = gathers.add(links);
    if shared {
        port.made.insert(key, gather);
    }
    Ok(Source::Many(gather))
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
