//! `pipe plan` and `pipe why`: what a run would do, and the reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;

use pipe_contract::Failure;
use pipe_engine::ids::InstanceId;
use pipe_engine::plan::{Plan, Unreleased};
use pipe_engine::run::{self, Standing, Status};

use super::{CommandError, plan_options, planned, registry, run_options, selection};
use crate::args;
use crate::printer::{self, BAD, CARE, DIM, GOOD, HINT, styled};
use crate::quantities;

/// Shows what a run would do, stage by stage.
pub fn plan(args: &args::PlanArgs) -> Result<u8, CommandError> {
    let registry = registry();
    if args.all_profiles {
        return all_profiles(args, &registry);
    }
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let mut options = run_options(&args.pipeline, &args.place, registry)?;
    options.selection = selection(&args.selection);
    let status = run::status(&plan, &options)?;
    printer::data(&match (args.json, args.expand) {
        (true, _) => json(&plan, &status),
        (false, true) => by_instance(&plan, &status, &plan.ids().collect::<Vec<_>>()),
        (false, false) => by_stage(&plan, &status),
    });
    Ok(0)
}

/// Explains why stages would run.
pub fn why(args: &args::WhyArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let options = run_options(&args.pipeline, &args.place, registry)?;
    let status = run::status(&plan, &options)?;
    let mut selected = Vec::new();
    for name in &args.stages {
        selected.extend(run::named(&plan, name)?);
    }
    if args.stages.is_empty() {
        let explained = |standing: &Standing| matches!(standing, Standing::Runs { .. } | Standing::Fails { .. });
        selected.extend(plan.ids().filter(|id| explained(&status.standings[id.index()])));
        if selected.is_empty() {
            printer::data(nothing_runs(&status));
        }
    }
    printer::report(&by_instance(&plan, &status, &selected));
    Ok(0)
}

/// The sentence for a status in which nothing would run or fail.
fn nothing_runs(status: &Status) -> &'static str {
    let absent = status.standings.iter().any(|standing| matches!(standing, Standing::Absent { .. }));
    if absent {
        "nothing would run: every output is cached or recorded as absent\n"
    } else {
        "nothing would run: every output is cached\n"
    }
}

/// Checks every profile; the exit code is that of the worst.
fn all_profiles(args: &args::PlanArgs, registry: &pipe_contract::Registry) -> Result<u8, CommandError> {
    let options = plan_options(&args.pipeline, &args.place);
    let mut code = 0;
    for (profile, plan) in pipe_engine::plan::plan_all_profiles(&args.pipeline.file, &options, registry)? {
        let name = profile.as_deref().unwrap_or("(no profile)");
        match plan {
            Ok(plan) => {
                let stages = quantities::count(plan.stages.len(), "stage");
                printer::data(&format!(
                    "{name}: {stages}, {}\n{}",
                    quantities::count(plan.instances.len(), "instance"),
                    refused(&plan)
                ));
            }
            Err(diagnostics) => {
                printer::note(&format!("{name}:\n{}", diagnostics.render(printer::colours_wanted()).trim_end()));
                code = code.max(diagnostics.blame().exit_code());
            }
        }
    }
    Ok(code)
}

/// Lists the results that will not leave the restricted store, and the stages through which they became restricted.
fn refused(plan: &Plan) -> String {
    let mut text = String::new();
    for (result, Unreleased { restrictions, chain, why }) in plan.refused_results() {
        let names = restrictions.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "{} {} holds {names} ({}) and {why}",
            styled(CARE, "restricted"),
            result.path,
            chain.join(" -> ")
        );
    }
    text
}

fn by_stage(plan: &Plan, status: &Status) -> String {
    let mut text = String::new();
    let width = plan.stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0);
    for stage in &plan.stages {
        let ids = || stage.instances.clone().map(InstanceId);
        let mut counts = BTreeMap::<&str, usize>::new();
        for id in ids() {
            *counts.entry(word(&status.standings[id.index()])).or_default() += 1;
        }
        let counts = counts.iter().map(|(word, number)| format!("{number} {word}")).collect::<Vec<_>>().join(", ");
        let reason = first_of(ids().filter_map(|id| match &status.standings[id.index()] {
            Standing::Runs { reasons } => reasons.first().map(ToString::to_string),
            _ => None,
        }));
        let reason = reason.map(|(first, others)| first + &and_others(others, "reason"));
        let fails = first_of(ids().filter_map(|id| match &status.standings[id.index()] {
            Standing::Fails { failure } => Some(failure_lines(failure)),
            _ => None,
        }));
        let fails = fails.map(|(first, others)| first + &and_others(others, "failure"));
        let because = reason.map_or(String::new(), |reason| styled(DIM, &format!("  {reason}")));
        let labels = restricted(plan, stage.instances.clone());
        let _ = writeln!(text, "{:width$}  {counts}{because}{labels}", stage.name);
        if let Some(fails) = fails {
            let _ = writeln!(text, "{:width$}  {} {fails}", "", styled(BAD, "would fail:"));
        }
    }
    text.push_str(&totals(status));
    text.push_str(&refused(plan));
    text
}

/// The first text, and how many others there are that differ from it and each other.
fn first_of(mut texts: impl Iterator<Item = String>) -> Option<(String, usize)> {
    let first = texts.next()?;
    let others = texts.filter(|text| *text != first).collect::<BTreeSet<_>>().len();
    Some((first, others))
}

/// What follows the text of one cell where other cells have others.
fn and_others(count: usize, of: &str) -> String {
    if count == 0 {
        return String::new();
    }
    format!(" (and {}, see `pipe why`)", quantities::count(count, &format!("other {of}")))
}

/// The restrictions of any cell of a stage.
fn restricted(plan: &Plan, cells: Range<u32>) -> String {
    let cells = &plan.instances[cells.start as usize..cells.end as usize];
    let labels: BTreeSet<&str> = cells.iter().flat_map(|cell| cell.restricted.iter().map(String::as_str)).collect();
    if labels.is_empty() {
        return String::new();
    }
    styled(CARE, &format!("  restricted: {}", labels.into_iter().collect::<Vec<_>>().join(", ")))
}

fn totals(status: &Status) -> String {
    let number = |wanted: &str| status.standings.iter().filter(|standing| word(standing) == wanted).count();
    let (mut known, mut seconds) = (0, 0.0);
    let mut open = 0;
    for (standing, recorded) in status.standings.iter().zip(&status.seconds) {
        if matches!(standing, Standing::Runs { .. } | Standing::Depends { .. }) {
            open += 1;
            if let Some(recorded) = recorded {
                known += 1;
                seconds += recorded;
            }
        }
    }
    let mut text = format!("would run {}, may run {}, hits {}", number("to run"), number("may run"), number("hit"));
    for (word, shown) in [("to fail", "would fail"), ("to be skipped", "would be skipped")] {
        if number(word) > 0 {
            let _ = write!(text, ", {shown} {}", number(word));
        }
    }
    text.push('\n');
    if known > 0 {
        let time = quantities::duration(quantities::seconds(seconds));
        let _ = writeln!(text, "about {time} of work, as recorded for {known} of those {open}");
    }
    text
}

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Hit => "hit",
        Standing::Absent { .. } => "absent",
        Standing::Runs { .. } => "to run",
        Standing::Depends { .. } => "may run",
        Standing::Fails { .. } => "to fail",
        Standing::Skipped { .. } => "to be skipped",
        Standing::LeftOut => "left out",
    }
}

fn by_instance(plan: &Plan, status: &Status, ids: &[InstanceId]) -> String {
    let mut text = String::new();
    for id in ids {
        let label = plan.label(*id);
        match &status.standings[id.index()] {
            Standing::Hit => writeln!(text, "{} {label}", styled(GOOD, "    hit")),
            Standing::Absent { cause, origin, detail } => {
                let from = origin.map(|origin| format!(", as `{}` is", plan.label(origin))).unwrap_or_default();
                let detail = detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                writeln!(text, "{} {label}: {cause}{from}{detail}", styled(CARE, " absent"))
            }
            Standing::LeftOut => writeln!(text, "{} {label}", styled(DIM, "   left")),
            Standing::Fails { failure } => {
                writeln!(text, "{} {label}: {}", styled(BAD, "to fail"), failure_lines(failure))
            }
            Standing::Skipped { because } => {
                writeln!(text, "{} {label}: `{}` would fail", styled(CARE, "to skip"), plan.label(*because))
            }
            Standing::Runs { reasons } => {
                let reasons = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n          ");
                writeln!(text, "{} {label}\n          {reasons}", styled(CARE, " to run"))
            }
            Standing::Depends { on } => {
                let names = on.iter().take(3).map(|id| plan.label(*id)).collect::<Vec<_>>().join(", ");
                let more = if on.len() > 3 { format!(" and {} more", on.len() - 3) } else { String::new() };
                writeln!(text, "{} {label}\n          it reads {names}{more}", styled(CARE, "may run"))
            }
        }
        .expect("writing to a string succeeds");
    }
    text
}

/// A failure with its hint on a line of its own.
fn failure_lines(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}\n       {} {hint}", styled(HINT, "hint:")),
        None => failure.to_string(),
    }
}

fn json(plan: &Plan, status: &Status) -> String {
    let rows = plan.ids().map(|id| {
        let standing = &status.standings[id.index()];
        let reasons = match standing {
            Standing::Runs { reasons } => reasons.iter().map(ToString::to_string).collect(),
            Standing::Depends { on } => on.iter().map(|id| plan.label(*id)).collect(),
            Standing::Fails { failure } => vec![failure.to_string()],
            Standing::Skipped { because } => vec![plan.label(*because)],
            _ => Vec::new(),
        };
        serde_json::json!({
            "label": plan.label(id),
            "stage": plan.stage_of(id).name,
            "at": plan.instance(id).at,
            "standing": word(standing),
            "reasons": reasons,
            "restricted": plan.instance(id).restricted,
        })
    });
    format!("{}\n", serde_json::Value::Array(rows.collect()))
}
