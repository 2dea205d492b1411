//! `pipe status`, `pipe log` and `pipe path`: how the last run ended, the log of a stage, the place of an artifact.

use fs_err as fs;
use pipe_contract::Failure;
use pipe_engine::ids::InstanceId;
use pipe_engine::plan::{Plan, Stage};
use pipe_engine::run;

use super::{CommandError, planned, registry, run_options};
use crate::absences;
use crate::args;
use crate::final_report;
use crate::printer;
use crate::status_report::{self, StageFacts};
use crate::view::run_state::objective;

/// How the last run went, or goes.
pub fn status(args: &args::StatusArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let options = run_options(&args.pipeline, &args.place, registry)?;
    if args.json {
        let Some(manifest) = run::last_manifest(&plan, &options)? else { return never_ran() };
        let json = serde_json::to_string(&manifest)
            .map_err(|error| Failure::internal(format!("the manifest has no JSON form: {error}")))?;
        printer::data(&format!("{json}\n"));
        return Ok(0);
    }
    let Some(mut logged) = run::last_run(&plan, &options)? else { return never_ran() };
    if args.metrics {
        logged.measured.extend(run::restricted_metrics(&plan, &options)?);
    }
    let objective = |stage: &Stage| Some((stage.name.clone(), objective(stage, &options.exec.registry)?));
    let objectives = plan.stages.iter().filter_map(objective).collect();
    let about = StageFacts { objectives, fetching: absences::fetching(&plan, &options.exec.registry) };
    printer::report(&status_report::text(&logged, &about, args.metrics));
    let earlier = final_report::earlier(&run::earlier_results(&plan, &options)?);
    if !earlier.is_empty() {
        printer::report(&format!("{earlier}\n"));
    }
    Ok(0)
}

fn never_ran() -> Result<u8, CommandError> {
    printer::data("this pipeline and profile never ran here\n");
    Ok(0)
}

/// The saved log of one stage's last work.
pub fn log(args: &args::LogArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let options = run_options(&args.pipeline, &args.place, registry)?;
    match run::log_of(&plan, &options, single(&plan, &args.stage)?)? {
        Some(path) => {
            let bytes = fs::read(&path).map_err(|error| Failure::environment(error.to_string()))?;
            printer::data(&String::from_utf8_lossy(&bytes));
        }
        None => printer::note(&format!("`{}` has no log: it wrote nothing, or ran on another machine", args.stage)),
    }
    Ok(0)
}

/// Where an artifact is.
pub fn path(args: &args::PathArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let options = run_options(&args.pipeline, &args.place, registry)?;
    let (stage, port, entry) = artifact(&args.artifact)?;
    let path = run::path_of(&plan, &options, single(&plan, stage)?, port, entry)?;
    printer::data(&format!("{}\n", path.display()));
    Ok(0)
}

/// `score(sid=s03).table/table.csv` -> stage, port, entry of the folder.
pub(super) fn artifact(text: &str) -> Result<(&str, &str, Option<&str>), Failure> {
    let after_brackets = text.rfind(')').map_or(0, |at| at + 1);
    // Stages of an include have a dot in their name; coordinates may hold anything; ports have neither dot nor slash.
    let slash = text[after_brackets..].find('/').map_or(text.len(), |at| at + after_brackets);
    let dot = text[after_brackets..slash].rfind('.').map(|at| at + after_brackets);
    match dot {
        Some(dot) => Ok((&text[..dot], &text[dot + 1..slash], text.get(slash + 1..).filter(|entry| !entry.is_empty()))),
        None => Err(Failure::input(format!("expected `stage.port` or `stage(axis=value).port`, found `{text}`"))),
    }
}

pub(super) fn single(plan: &Plan, name: &str) -> Result<InstanceId, Failure> {
    let found = run::named(plan, name)?;
    match found.len() {
        1 => Ok(*found.first().expect("it has one")),
        number => {
            let first = found.first().map_or_else(|| name.to_owned(), |id| plan.label(*id));
            Err(Failure::input(format!("`{name}` is {number} instances"))
                .hint(format!("name one of them, such as `{first}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_taken_apart_at_the_port() {
        assert_eq!(artifact("score.table").unwrap(), ("score", "table", None));
        assert_eq!(artifact("a.b(sid=x.y).table/t.csv").unwrap(), ("a.b(sid=x.y)", "table", Some("t.csv")));
        assert_eq!(artifact("inner.make.a").unwrap(), ("inner.make", "a", None));
        assert!(artifact("score").is_err());
    }
}
