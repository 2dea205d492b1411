//! What the cells of one stage share (work, resources, retries, accepted absences) and what each has of its own
//! (parameters, seed). Decides what can be computed once for all cells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Arity, Coordinates, Kind, Value};

use super::draft::Draft;
use super::env::{Env, uses_each};
use super::names::{has_wildcard, is_name, is_safe, is_variable};
use super::resolved::{Amounts, Command, Place, Shell, Stage, Tool, Work};
use super::typed::typed;
use super::{Options, body, variables};
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{self, Name, Node, RunDecl, ToolDecl, WorkDecl};

/// Layout of what seeds are made from; another one would change every result of every random stage.
const SEED_LAYOUT: &[u8] = b"pipe seed 1";

/// The parts that all cells share.
pub(super) fn shared(env: &Env<'_>, draft: &Draft<'_>, options: &Options, errors: &mut Vec<Diagnostic>) -> Stage {
    let work = match &draft.decl.work {
        WorkDecl::Uses(kind) => Work::Kind(kind.text.clone()),
        WorkDecl::Run(run) => Work::Command(Arc::new(command(env, draft, run, errors))),
    };
    let mut report = |result: Result<(), Diagnostic>| errors.extend(result.err());
    let mut stage = Stage {
        name: draft.name().to_owned(),
        work,
        axes: draft.axes.iter().map(|axis| axis.name.clone()).collect(),
        instances: 0..0,
        amounts: Amounts::default(),
        retry: 0,
        timeout: None,
        accepts_absent: draft.decl.absent.iter().map(|cause| cause.text.clone()).collect(),
        coverage: BTreeMap::new(),
        credential: None,
        temporary: draft.decl.temporary,
        place: place(env, draft.entry.name.span),
    };
    report(network_only(draft));
    report(absences(draft));
    report(retry(env, draft).map(|retry| stage.retry = retry));
    report(timeout(env, draft).map(|timeout| stage.timeout = timeout));
    report(credential(env, draft).map(|credential| stage.credential = credential));
    report(coverage(env, draft).map(|coverage| stage.coverage = coverage));
    report(amounts(env, draft, options).map(|amounts| stage.amounts = amounts));
    stage
}

/// The place of a span, as the plan gives it.
pub(super) fn place(env: &Env<'_>, span: Span) -> Place {
    let position = env.sources.position(span);
    Place { file: env.sources.get(span.file).path.clone(), line: position.line, column: position.column }
}

fn command(env: &Env<'_>, draft: &Draft<'_>, run: &RunDecl, errors: &mut Vec<Diagnostic>) -> Command {
    errors.extend(variables::check(draft, run));
    errors.extend(unknown_optional(draft, run));
    let scope = &draft.entry.scope;
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    let mut places: Vec<(&Name, String)> = Vec::new();
    for (port, path) in &run.out {
        let text = check_wildcards(draft, port, path)
            .and_then(|()| env.eval(&Node::text(path.span, path.text.clone()), scope, None));
        let result = text.and_then(|node| check_output(port, path, node.written().unwrap_or_default(), &places));
        match result {
            Ok(text) => {
                places.push((port, text.clone()));
                out.insert(port.text.clone(), text);
            }
            Err(error) => errors.push(error),
        }
    }
    body::check(env, draft, run, errors);
    let mut vars = BTreeMap::new();
    for (name, node) in &run.env {
        match env.eval(node, scope, None) {
            Ok(value) => match value.written() {
                Some(text) if is_variable(&name.text) => {
                    vars.insert(name.text.clone(), text.to_owned());
                }
                Some(_) => errors.push(
                    Diagnostic::new(
                        Class::Shape,
                        name.span,
                        format!("`{}` cannot be the name of an environment variable", spec::shortened(&name.text)),
                    )
                    .hint("a name has letters, digits and `_`, and does not begin with a digit"),
                ),
                None => errors.push(Diagnostic::new(
                    Class::Value,
                    node.span,
                    format!("an environment variable is a text, found {}", value.described()),
                )),
            },
            Err(error) => errors.push(error),
        }
    }
    let tool = |(name, tool): &(Name, ToolDecl)| {
        let tool = match tool {
            ToolDecl::Version(command) => Tool::Version(command.text.clone()),
            ToolDecl::Venv(folder) => Tool::Venv(folder.text.clone()),
        };
        (name.text.clone(), tool)
    };
    Command {
        body: run.body.text.clone(),
        shell: if run.shell == Some("sh") { Shell::Sh } else { Shell::Bash },
        out,
        env: vars,
        tools: run.tools.iter().map(tool).collect(),
        optional: run.optional.iter().map(|port| port.text.clone()).collect(),
        isolated: run.isolation.is_none(),
        net: run.net,
        random: run.random,
    }
}

/// `{sid}` in an output: as other engines write it.
fn check_wildcards(draft: &Draft<'_>, port: &Name, path: &Name) -> Result<(), Diagnostic> {
    let Some(axis) = draft.axis_names().find(|axis| has_wildcard(&path.text, axis)) else { return Ok(()) };
    let ending = path.text.rfind('.').map_or("", |dot| &path.text[dot..]);
    let ending = if path.text.ends_with('/') { "/" } else { ending };
    let message = format!("nothing fills in `{{{axis}}}` in output `{}`", port.text);
    Err(Diagnostic::new(Class::Reference, path.span, message).hint(format!(
        "each cell writes to a folder of its own, so one name serves all: `{}: {}{ending}`",
        port.text, port.text
    )))
}

/// A name in `optional:` that is not an input.
fn unknown_optional(draft: &Draft<'_>, run: &RunDecl) -> Option<Diagnostic> {
    let inputs = || draft.decl.inputs.iter().map(|(name, _)| name.text.as_str());
    let unknown = run.optional.iter().find(|port| !inputs().any(|name| name == port.text))?;
    let message = format!("stage `{}` has no input `{}` that could be optional", draft.name(), unknown.text);
    Some(Diagnostic::new(Class::UnknownName, unknown.span, message).known("its inputs", &unknown.text, inputs()))
}

/// Outputs are below the stage's own folder, and none is inside another.
fn check_output(port: &Name, path: &Name, text: &str, others: &[(&Name, String)]) -> Result<String, Diagnostic> {
    if !is_name(&port.text) {
        let message = format!("`{}` cannot be the name of a port", spec::shortened(&port.text));
        return Err(Diagnostic::new(Class::Shape, port.span, message).hint("a name has letters, digits, `_` and `-`"));
    }
    // `./y.txt` is `y.txt`.
    let mut text = text;
    while let Some(rest) = text.strip_prefix("./") {
        text = rest.trim_start_matches('/');
    }
    if !is_safe(text) {
        let message = format!("output `{}` is not a path below the stage's output folder: `{text}`", port.text);
        return Err(Diagnostic::new(Class::Value, path.span, message)
            .hint("a relative path without `..`; a folder ends with `/`"));
    }
    let inside = |a: &str, b: &str| {
        a.trim_end_matches('/') == b.trim_end_matches('/') || a.starts_with(&format!("{}/", b.trim_end_matches('/')))
    };
    if let Some((other, _)) = others.iter().find(|(_, other)| inside(text, other) || inside(other, text)) {
        let message = format!("outputs `{}` and `{}` overlap", other.text, port.text);
        return Err(Diagnostic::new(Class::Collision, path.span, message)
            .also(other.span, "the other one")
            .hint("give each output a path of its own"));
    }
    Ok(text.to_owned())
}

/// Credentials and retries are for kinds that use the network.
fn network_only(draft: &Draft<'_>) -> Result<(), Diagnostic> {
    let network = match (&draft.decl.work, draft.kind) {
        (WorkDecl::Run(run), _) => run.net,
        (WorkDecl::Uses(_), Some(kind)) => kind.network,
        (WorkDecl::Uses(_), None) => true,
    };
    if let (WorkDecl::Run(_), Some(node)) = (&draft.decl.work, &draft.decl.credential) {
        let message = format!("stage `{}` has a `run:` body, and credentials are not passed to bodies", draft.name());
        return Err(Diagnostic::new(Class::Shape, node.span, message).hint(
            "a stage of a kind that uses the network takes `credential`; give its output to this stage as input",
        ));
    }
    let given = [("credential", &draft.decl.credential), ("retry", &draft.decl.retry)];
    match given.into_iter().find_map(|(key, node)| node.as_ref().map(|node| (key, node))) {
        Some((key, node)) if !network => {
            let message = format!("stage `{}` does not use the network, so it takes no `{key}`", draft.name());
            let hint = if draft.kind.is_some() { "remove it" } else { "remove it, or add `net: true`" };
            Err(Diagnostic::new(Class::Shape, node.span, message).hint(hint))
        }
        _ => Ok(()),
    }
}

fn absences(draft: &Draft<'_>) -> Result<(), Diagnostic> {
    let Some(cause) = draft.decl.absent.first() else { return Ok(()) };
    match (&draft.decl.work, draft.kind) {
        (WorkDecl::Uses(_), None) => Ok(()),
        (WorkDecl::Run(_), _) => {
            let message = "a `run:` stage cannot report a missing cell";
            Err(Diagnostic::new(Class::Shape, cause.span, message)
                .hint("remove `absent:`; a command that fails is a failure"))
        }
        (WorkDecl::Uses(_), Some(kind)) => {
            let unknown = draft.decl.absent.iter().find(|cause| !kind.absences.contains(&cause.text.as_str()));
            unknown.map_or(Ok(()), |cause| {
                let message = format!("`{}` never reports the absence `{}`", kind.name, cause.text);
                Err(Diagnostic::new(Class::UnknownName, cause.span, message).known(
                    "its causes",
                    &cause.text,
                    kind.absences.iter().copied(),
                ))
            })
        }
    }
}

fn retry(env: &Env<'_>, draft: &Draft<'_>) -> Result<u32, Diagnostic> {
    let Some(node) = &draft.decl.retry else { return Ok(0) };
    let value = env.eval(node, &draft.entry.scope, None)?;
    match value.value() {
        Value::Int(number @ 0..=100) => Ok(u32::try_from(number).unwrap_or(0)),
        _ => Err(Diagnostic::new(
            Class::Value,
            node.span,
            format!("`retry` is a whole number from 0 to 100, found {}", value.described()),
        )),
    }
}

fn timeout(env: &Env<'_>, draft: &Draft<'_>) -> Result<Option<Duration>, Diagnostic> {
    let Some(node) = &draft.decl.timeout else { return Ok(None) };
    let value = env.eval(node, &draft.entry.scope, None)?;
    value.written().and_then(spec::duration).map(Some).ok_or_else(|| {
        let message = format!("`timeout` is a time longer than 0, found {}", value.described());
        Diagnostic::new(Class::Value, node.span, message).hint("for example `90 s`, `30 min` or `2 h`")
    })
}

fn credential(env: &Env<'_>, draft: &Draft<'_>) -> Result<Option<String>, Diagnostic> {
    let Some(node) = &draft.decl.credential else { return Ok(None) };
    let value = env.eval(node, &draft.entry.scope, None)?;
    match value.written() {
        Some(text) if !value.is_null() => Ok(Some(text.to_owned())),
        _ => Err(Diagnostic::new(
            Class::Value,
            node.span,
            format!("`credential` is the name of a credential, found {}", value.described()),
        )),
    }
}

fn coverage(env: &Env<'_>, draft: &Draft<'_>) -> Result<BTreeMap<String, f64>, Diagnostic> {
    let mut coverage = BTreeMap::new();
    for (port, node) in &draft.decl.coverage {
        let gathers: Vec<&str> = match draft.kind {
            Some(kind) => {
                kind.inputs.iter().filter(|input| input.arity == Arity::Many).map(|input| input.name).collect()
            }
            None => draft.decl.inputs.iter().map(|(name, _)| name.text.as_str()).collect(),
        };
        let unknown_kind = matches!((&draft.decl.work, draft.kind), (WorkDecl::Uses(_), None));
        if !unknown_kind && !gathers.contains(&port.text.as_str()) {
            let message = format!("stage `{}` has no gathering input `{}`", draft.name(), port.text);
            return Err(Diagnostic::new(Class::UnknownName, port.span, message).known(
                "its gathering inputs",
                &port.text,
                gathers,
            ));
        }
        let value = env.eval(node, &draft.entry.scope, None)?;
        let share = value.written().and_then(spec::share).ok_or_else(|| {
            let message = format!("a coverage is a share from 0 to 100 %, found {}", value.described());
            Diagnostic::new(Class::Value, node.span, message).hint("for example `90%`")
        })?;
        coverage.insert(port.text.clone(), share);
    }
    Ok(coverage)
}

/// The first alternative that this machine can ever satisfy; `cpu` is clipped to the machine.
fn amounts(env: &Env<'_>, draft: &Draft<'_>, options: &Options) -> Result<Amounts, Diagnostic> {
    let net = match (&draft.decl.work, draft.kind) {
        (WorkDecl::Run(run), _) => run.net,
        (WorkDecl::Uses(_), kind) => kind.is_some_and(|kind| kind.network),
    };
    let least = Amounts { cpu: 1, gpu: 0, mem: 0, net: u32::from(net) };
    if draft.decl.resources.is_empty() {
        return Ok(least);
    }
    let machine = &options.machine;
    let mut refused = Vec::new();
    for (span, entries) in &draft.decl.resources {
        let mut wanted = least.clone();
        for (key, node) in entries {
            amount(env, draft, key, node, &mut wanted)?;
        }
        wanted.net = wanted.net.max(least.net);
        wanted.cpu = wanted.cpu.max(least.cpu);
        if let Some(why) = wanted.never_fits(machine) {
            refused.push((*span, why));
            continue;
        }
        return Ok(wanted.clipped_to(machine));
    }
    let message = format!("stage `{}` can never run on this machine", draft.name());
    let (first, why) = refused.remove(0);
    let error = Diagnostic::new(Class::Resources, first, message).label(why);
    let error = refused.into_iter().fold(error, |error, (span, why)| error.also(span, why));
    Err(error.hint("add an alternative that fits: `resources: [{ gpu: 1 }, { cpu: 1 }]`"))
}

fn amount(env: &Env<'_>, draft: &Draft<'_>, key: &Name, node: &Node, into: &mut Amounts) -> Result<(), Diagnostic> {
    let value = env.eval(node, &draft.entry.scope, None)?;
    let wrong = |what: &str, example: &str| {
        let message = format!("`{}` is {what}, found {}", key.text, value.described());
        Err(Diagnostic::new(Class::Value, node.span, message).hint(format!("for example `{}: {example}`", key.text)))
    };
    if key.text == "mem" {
        let Some(bytes) = value.written().and_then(spec::bytes) else { return wrong("an amount of memory", "3 GiB") };
        into.mem = bytes;
        return Ok(());
    }
    let least = i64::from(key.text == "cpu");
    let number = match value.value() {
        Value::Int(number) if number >= least => u32::try_from(number).ok(),
        _ => None,
    };
    let Some(number) = number else { return wrong(&format!("a whole number of at least {least}"), "1") };
    match key.text.as_str() {
        "cpu" => into.cpu = number,
        "gpu" => into.gpu = number,
        _ => into.net = number,
    }
    Ok(())
}

/// The parameters of a stage, computed once where they are the same for all cells.
pub(super) struct Params<'a> {
    fixed: BTreeMap<String, Value>,
    varying: Vec<(&'a Name, &'a Node)>,
    kind: Option<&'a Kind>,
}

impl<'a> Params<'a> {
    pub fn new(env: &Env<'_>, draft: &'a Draft<'a>, errors: &mut Vec<Diagnostic>) -> Self {
        let mut params = Params { fixed: BTreeMap::new(), varying: Vec::new(), kind: draft.kind };
        for param in draft.kind.iter().flat_map(|kind| &kind.params) {
            if let Some(default) = &param.default {
                params.fixed.insert(param.name.to_owned(), default.clone());
            }
        }
        for (name, node) in &draft.decl.with {
            if let Err(error) = params.check_name(draft, name) {
                errors.push(error);
            } else if uses_each(node) {
                params.varying.push((name, node));
            } else {
                let value = env.eval(node, &draft.entry.scope, None);
                let shown = |error| with_origin(error, env.origin(node, &draft.entry.scope, None));
                match value.and_then(|value| params.typed(name, &value).map_err(shown)) {
                    Ok(value) => {
                        params.fixed.insert(name.text.clone(), value);
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        params.check_required(draft, errors);
        params
    }

    fn check_name(&self, draft: &Draft<'_>, name: &Name) -> Result<(), Diagnostic> {
        let Some(kind) = self.kind else {
            let message = format!("`{}` cannot be the name of a parameter", spec::shortened(&name.text));
            return if is_name(&name.text) {
                Ok(())
            } else {
                Err(Diagnostic::new(Class::Shape, name.span, message).hint("a name has letters, digits, `_` and `-`"))
            };
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

    fn check_required(&self, draft: &Draft<'_>, errors: &mut Vec<Diagnostic>) {
        let given = |name: &str| draft.decl.with.iter().any(|(given, _)| given.text == name);
        for param in
            self.kind.iter().flat_map(|kind| &kind.params).filter(|param| param.default.is_none() && !given(param.name))
        {
            let kind = self.kind.map(|kind| kind.name).unwrap_or_default();
            let message = format!("stage `{}` does not set parameter `{}` of `{kind}`", draft.name(), param.name);
            errors.push(Diagnostic::new(Class::Missing, draft.entry.name.span, message).hint(format!(
                "add `with: {{ {}: ... }}`: {} ({})",
                param.name,
                param.about,
                super::typed::describe(&param.of)
            )));
        }
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

/// Points also at the place where a referenced value was written.
fn with_origin(error: Diagnostic, origin: Option<Span>) -> Diagnostic {
    match origin {
        Some(span) => error.also(span, "the value is written here"),
        None => error,
    }
}

/// The seed of one cell; only random work has one.
pub(super) fn seed(
    env: &Env<'_>,
    draft: &Draft<'_>,
    pipeline: u64,
    cell: usize,
    at: &Coordinates,
) -> Result<Option<u64>, Diagnostic> {
    let (random, kind) = match (&draft.decl.work, draft.kind) {
        (WorkDecl::Run(run), _) => (run.random, "run"),
        (WorkDecl::Uses(_), Some(kind)) => (kind.random, kind.key_name()),
        (WorkDecl::Uses(_), None) => return Ok(None),
    };
    match &draft.decl.seed {
        Some(node) if !random => {
            let message = format!("stage `{}` is not random, so it takes no `seed`", draft.name());
            let hint = if draft.kind.is_some() { "remove it" } else { "remove it, or add `random: true`" };
            Err(Diagnostic::new(Class::Shape, node.span, message).hint(hint))
        }
        Some(node) => {
            let value = env.eval(node, &draft.entry.scope, Some(draft.cell(cell)))?;
            // Axis values are text as written, and `seed: $each.restart` is an allowed way to choose seeds.
            match value.written().map(spec::resolve) {
                Some(Value::Int(seed)) if seed >= 0 => Ok(u64::try_from(seed).ok()),
                _ => Err(Diagnostic::new(
                    Class::Value,
                    node.span,
                    format!("`seed` is a whole number from 0, found {}", value.described()),
                )),
            }
        }
        None => Ok(random.then(|| derived_seed(pipeline, kind, at))),
    }
}

/// A digest of pipeline seed, kind name ([`pipe_contract::Kind::key_name`]) and coordinates: nothing that can change
/// while the work stays the same.
fn derived_seed(pipeline: u64, kind: &str, at: &Coordinates) -> u64 {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(SEED_LAYOUT);
    part(&pipeline.to_le_bytes());
    part(kind.as_bytes());
    for (axis, value) in at.iter() {
        part(axis.as_bytes());
        part(value.as_bytes());
    }
    let digest = hasher.finalize();
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of this value makes every training of every user run again.
    #[test]
    fn derived_seeds_never_change() {
        let at: Coordinates = [("inputs", "anat"), ("restart", "1")].into_iter().collect();
        assert_ne!(derived_seed(2025, "unet/train", &at), derived_seed(2026, "unet/train", &at));
        assert_ne!(derived_seed(2025, "unet/train", &at), derived_seed(2025, "unet/train", &Coordinates::none()));
        assert_eq!(derived_seed(2025, "unet/train", &at), 5_655_179_189_178_490_822);
    }
}
