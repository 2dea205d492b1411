//! The text of `pipe status`: how every instance of the last run ended, in the words of a run's own report, and whether the run
//! goes on or was killed. Equal ends are one line; nothing else is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use pipe_contract::{Metric, Objective};
use pipe_engine::event::Outcome;
use pipe_engine::run::{Counts, LoggedRun, Measured, Phase};

use crate::absences::{self, Absent, Most};
use crate::best_so_far::{BestSoFar, Reached};
use crate::final_report;
use crate::grouped::{self, Failed};
use crate::printer::{BAD, CARE, DIM, GOOD, styled};
use crate::quantities::{self, tally};

/// So many metrics of a running stage are shown.
const METRICS: usize = 4;

/// So many instances of a stage are ranked where not all are wanted.
const RANKED: usize = 5;

/// All that is absent.
const ALL: Most = Most { groups: usize::MAX, cells: usize::MAX };

/// What the plan says about stages.
#[derive(Debug)]
pub struct StageFacts {
    /// By what the instances of a stage are compared.
    pub objectives: BTreeMap<String, Objective>,
    /// The stages that another run may ask again for what is absent.
    pub fetching: BTreeSet<String>,
}

/// A run as text. Of each stage that has an objective the best instances are listed, or all of them.
pub fn text(logged: &LoggedRun, about: &StageFacts, all: bool) -> String {
    let mut text = head(logged);
    ran(&mut text, logged);
    failed(&mut text, logged);
    let skipped = logged.ended.iter().filter_map(|end| match &end.outcome {
        Outcome::Skipped { because } => Some((end.label.as_str(), because.as_str())),
        _ => None,
    });
    listed(&mut text, "skipped", &grouped::skipped(skipped));
    let absent = logged.ended.iter().filter_map(|end| Absent::of(&end.label, &end.outcome));
    text.push_str(&absences::text(absent, ALL, &about.fetching));
    running(&mut text, logged);
    ranked(&mut text, &logged.measured, &about.objectives, if all { usize::MAX } else { RANKED });
    listed(&mut text, "note", &grouped::notes(&logged.notes));
    claims(&mut text, logged);
    logged.failures.iter().for_each(|failure| text.push_str(&grouped::failure("", failure)));
    foot(&mut text, logged);
    text
}

fn head(logged: &LoggedRun) -> String {
    let state = match logged.phase {
        Phase::Running if logged.stopped => styled(CARE, "is being stopped"),
        Phase::Running => styled(CARE, "goes on"),
        Phase::Finished(0) => styled(GOOD, "ended well"),
        Phase::Finished(code) if logged.stopped => styled(BAD, &format!("was stopped (exit code {code})")),
        Phase::Finished(code) => styled(BAD, &format!("ended with exit code {code}")),
        Phase::Killed => styled(BAD, "was killed before its end"),
    };
    format!("the run that began {} {state}\n", logged.began)
}

/// One line a stage: they are many, and well.
fn ran(text: &mut String, logged: &LoggedRun) {
    let mut stages = BTreeMap::<&str, (usize, f64)>::new();
    let mut order = Vec::new();
    for end in logged.ended.iter().filter(|end| end.outcome == Outcome::Ran) {
        let stage = grouped::stage(&end.label);
        let (number, seconds) = stages.entry(stage).or_insert_with(|| {
            order.push(stage);
            (0, 0.0)
        });
        *number += 1;
        *seconds += end.seconds;
    }
    for stage in order {
        let (number, seconds) = stages[stage];
        let often = if number > 1 { format!(" ({number} times)") } else { String::new() };
        let time = styled(DIM, &quantities::duration(quantities::seconds(seconds)));
        let _ = writeln!(text, "{} {stage}{often} {time}", styled(GOOD, "    ran"));
    }
}

fn failed(text: &mut String, logged: &LoggedRun) {
    let failed = logged.ended.iter().filter_map(|end| match &end.outcome {
        Outcome::Failed { failure, retained } => {
            Some(Failed { label: &end.label, failure, log: end.log.as_deref(), retained: retained.as_deref() })
        }
        _ => None,
    });
    text.push_str(&grouped::failures(failed, usize::MAX, None));
}

fn running(text: &mut String, logged: &LoggedRun) {
    let lines: Vec<String> = logged
        .running
        .iter()
        .map(|start| {
            let began = quantities::duration(quantities::seconds(start.started));
            let metric = |metric: &Metric| format!(", {} {:.4} at {}", metric.name(), metric.value(), metric.step());
            let metrics: String = start.metrics.values().take(METRICS).map(metric).collect();
            format!("{}, started {began} after the run{metrics}", start.label)
        })
        .collect();
    match logged.phase {
        Phase::Running => listed(text, "running", &lines),
        Phase::Killed => listed(text, " killed", &lines),
        Phase::Finished(_) => {}
    }
}

/// The instances of each stage by the best value that they have reached in this run.
fn ranked(text: &mut String, all: &[Measured], objectives: &BTreeMap<String, Objective>, most: usize) {
    for (stage, objective) in objectives {
        let mut best = BestSoFar::new(*objective);
        for measured in all.iter().filter(|measured| grouped::stage(&measured.label) == stage) {
            measured.metrics.iter().for_each(|metric| {
                best.take(&measured.label, metric);
            });
        }
        let ranked = best.ranked();
        if ranked.is_empty() {
            continue;
        }
        let of = quantities::count(ranked.len(), "instance");
        let _ = writeln!(text, "{} {stage}: {} of {of}, best first", styled(GOOD, "   best"), objective.metric);
        let width = ranked.iter().take(most).map(|(_, reached)| reached.at.len()).max().unwrap_or(0);
        for (label, reached) in ranked.iter().take(most) {
            let Reached { best, at, last } = reached;
            let _ = writeln!(text, "          {best:.4} in {at:width$}  now {last:.4}  {}", place(label));
        }
        if ranked.len() > most {
            let _ = writeln!(text, "          and {} more; `--metrics` lists all", ranked.len() - most);
        }
    }
}

/// Where an instance is on the axes of its stage.
fn place(label: &str) -> &str {
    label.split_once('(').map_or(label, |(_, at)| at.trim_end_matches(')'))
}

/// Those that fail; the others are counted.
fn claims(text: &mut String, logged: &LoggedRun) {
    text.push_str(&final_report::claims(logged.claims.iter().filter(|claim| !claim.holds)));
    let held = logged.claims.iter().filter(|claim| claim.holds).count();
    if held > 0 {
        let verb = if held == 1 { "holds" } else { "hold" };
        let _ = writeln!(text, "{} {verb}", quantities::count(held, "claim"));
    }
}

/// Every line: equal ones are one already.
fn listed(text: &mut String, word: &str, lines: &[String]) {
    grouped::list(text, word, lines, usize::MAX, "");
}

fn foot(text: &mut String, logged: &LoggedRun) {
    let counts = counts(logged);
    let open = logged.instances.saturating_sub(counts.ended());
    let after = quantities::duration(quantities::seconds(logged.seconds));
    let rest = match logged.phase {
        Phase::Finished(_) => format!(" in {after}"),
        Phase::Running => format!(" so far; {open} of {} have not ended", logged.instances),
        Phase::Killed => {
            format!(" in {after}; {open} of {} had not ended: run again, what ended is in the cache", logged.instances)
        }
    };
    let _ = writeln!(text, "{}{rest}", tally(&counts));
    let _ = writeln!(text, "details: {}", logged.folder.display());
}

fn counts(logged: &LoggedRun) -> Counts {
    let mut counts = Counts { hit: logged.hits, ..Counts::default() };
    for end in &logged.ended {
        match &end.outcome {
            Outcome::Hit => counts.hit += 1,
            Outcome::Ran => counts.ran += 1,
            Outcome::Absent { .. } => counts.absent += 1,
            Outcome::Failed { .. } => counts.failed += 1,
            Outcome::Skipped { .. } => counts.skipped += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    /// Six trainings, which end with the scores 0.1 to 0.6, and had 0.05 more before.
    fn trainings() -> Vec<Measured> {
        let metric = |name: &str, step, value| Metric::new(name, step, value).unwrap();
        let training = |restart: u32| {
            let score = f64::from(restart) / 10.0;
            let metrics = vec![
                metric("epoch", 1, 1.0),
                metric("dice", 1, score + 0.05),
                metric("epoch", 2, 2.0),
                metric("dice", 2, score),
            ];
            Measured { label: format!("train(restart={restart})"), metrics }
        };
        (1..=6)
            .map(training)
            .chain([Measured { label: "other".into(), metrics: vec![metric("dice", 1, 1.0)] }])
            .collect()
    }

    fn shown(most: usize) -> String {
        let dice = Objective { metric: "dice", less_is_better: false, places: &["epoch"] };
        let mut text = String::new();
        ranked(&mut text, &trainings(), &BTreeMap::from([("train".to_owned(), dice)]), most);
        strip_str(&text).to_string()
    }

    #[test]
    fn the_instances_of_a_stage_are_ranked_by_its_objective() {
        let expected = "   best train: dice of 6 instances, best first
          0.6500 in epoch 1  now 0.6000  restart=6
          0.5500 in epoch 1  now 0.5000  restart=5
          and 4 more; `--metrics` lists all
";
        assert_eq!(shown(2), expected);
        assert_eq!(shown(usize::MAX).lines().count(), 7);
    }
}
