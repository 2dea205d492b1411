//! What the cells of one stage share: work, resources, retries, time-outs, accepted absences.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Arity, Value};

use super::draft::Draft;
use super::env::Env;
use super::fits::Lacking;
use super::planning::Planning;
use super::ports::Port;
use super::resolved::{Amounts, Stage, Work};
use super::run_stage::command;
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{self, Name, Node, WorkDecl};

/// Less is a number without its unit.
const LEAST_MEMORY: u64 = 1 << 20;

/// The parts that all cells of a stage share. `machine` is what there is at most.
pub(super) fn shared(context: &Planning<'_>, number: usize, ports: &[Port], machine: &Amounts) -> Stage {
    let (env, draft) = (&context.env, &context.drafts[number]);
    let work = match &draft.decl.work {
        WorkDecl::Uses(kind) => Work::Kind(kind.text.clone()),
        WorkDecl::Run(run) => Work::Command(Arc::new(command(context, draft, ports, run))),
    };
    let errors = &env.errors;
    errors.add_all(absences(draft).err());
    Stage {
        name: draft.name().to_owned(),
        work,
        axes: draft.axes.iter().map(|axis| axis.name.clone()).collect(),
        instances: draft.instances(),
        retry: errors.take(network_only(draft).and_then(|()| retry(env, draft))).unwrap_or_default(),
        timeout: errors.take(timeout(env, draft)).flatten(),
        credential: errors.take(credential(env, draft)).flatten(),
        coverage: errors.take(coverage(env, draft)).unwrap_or_default(),
        amounts: errors.take(amounts(env, draft, machine)).unwrap_or_default(),
        accepts_absent: draft.decl.absent.iter().map(|cause| cause.text.clone()).collect(),
        temporary: draft.decl.temporary,
        place: env.place(draft.entry.name.span),
    }
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
fn amounts(env: &Env<'_>, draft: &Draft<'_>, machine: &Amounts) -> Result<Amounts, Diagnostic> {
    let net = match (&draft.decl.work, draft.kind) {
        (WorkDecl::Run(run), _) => run.net,
        (WorkDecl::Uses(_), kind) => kind.is_some_and(|kind| kind.network),
    };
    let least = Amounts { cpu: 1, gpu: 0, mem: 0, net: u32::from(net) };
    if draft.decl.resources.is_empty() {
        return Ok(least);
    }
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
    Err(never_fits(draft, &refused))
}

/// The error for alternatives of which none fits, each with what is lacking.
fn never_fits(draft: &Draft<'_>, refused: &[(Span, Lacking)]) -> Diagnostic {
    let message = format!("stage `{}` can never run on this machine", draft.name());
    let (first, others) = refused.split_first().expect("a stage without alternatives is never refused");
    let error = Diagnostic::new(Class::Resources, first.0, message).label(first.1.to_string());
    let error = others.iter().fold(error, |error, (span, lacking)| error.also(*span, lacking.to_string()));
    let (_, Lacking { key, there, .. }) = others.last().unwrap_or(first);
    error.hint(match *key {
        "gpu" => "add an alternative that fits: `resources: [{ gpu: 1 }, { cpu: 1 }]`".to_owned(),
        "mem" => {
            format!("lower `mem` to what this machine has ({there} at most), or run it where there is more memory")
        }
        _ => format!("ask for at most `{key}: {there}`"),
    })
}

fn amount(env: &Env<'_>, draft: &Draft<'_>, key: &Name, node: &Node, into: &mut Amounts) -> Result<(), Diagnostic> {
    let value = env.eval(node, &draft.entry.scope, None)?;
    let wrong = |what: &str, example: &str| {
        let message = format!("`{}` is {what}, found {}", key.text, value.described());
        Err(Diagnostic::new(Class::Value, node.span, message).hint(format!("for example `{}: {example}`", key.text)))
    };
    if key.text == "mem" {
        let Some(bytes) = value.written().and_then(spec::bytes) else { return wrong("an amount of memory", "3 GiB") };
        if bytes < LEAST_MEMORY {
            let message = format!("`mem` is {}, which no program can run in", spec::show_bytes(bytes));
            let hint =
                format!("give it a unit: `mem: {} GiB`", value.written().unwrap_or("3").trim_end_matches('B').trim());
            return Err(Diagnostic::new(Class::Value, node.span, message).hint(hint));
        }
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
