//! The live view: lines that stay (a stage has ended), and below them a block that is replaced again and again: one line for each
//! stage at work, the first failure, and a line for the whole run. Functions from the state to a frame; `block` draws it.

use std::time::Duration;

use pipe_engine::event::Event;
use pipe_engine::sched::Estimate;

use super::fit::{Size, cut_end, cut_middle, width};
use super::milestones;
use super::run_state::{RunState, Running, StageState, progress_text};
use crate::block::Frame;
use crate::printer::{BAD, CARE, DIM, styled};
use crate::quantities;

/// At most this many stages get a line, on a screen with many rows too.
const MOST_STAGES: usize = 16;
/// Lines of the block that are not about one stage, and one row for the cursor.
const OTHER_ROWS: usize = 4;
/// How often the time left is estimated.
const ESTIMATES: Duration = Duration::from_secs(1);
/// No earlier than this, because hits are found at first, and what ends next is not what takes time.
const FIRST_ESTIMATE: Duration = Duration::from_secs(2);

/// The live view of one run.
pub struct Live {
    state: RunState,
    /// When it was made, and the estimate.
    time_left: (Duration, Option<Estimate>),
}

impl Live {
    /// Of a run that has not begun.
    pub fn new(state: RunState) -> Self {
        Self { state, time_left: (Duration::ZERO, None) }
    }

    /// Takes in an event that came at `now`; returns the lines that stay on screen.
    pub fn take(&mut self, event: &Event, now: Duration, size: Size) -> Vec<String> {
        self.state.take(event, now);
        milestones::urgent(event)
            .into_iter()
            .chain(milestones::stage_ended(&self.state, event, now, size.columns))
            .collect()
    }

    /// The block below them.
    pub fn frame(&mut self, now: Duration, size: Size) -> Frame {
        if self.state.total == 0 {
            return Frame::default();
        }
        if now >= FIRST_ESTIMATE && now >= self.time_left.0 + ESTIMATES {
            self.time_left = (now, self.state.time_left(now));
        }
        // The last column stays free: a terminal continues on the next row when it is filled.
        let columns = size.columns.saturating_sub(1);
        let mut lines =
            stage_lines(&self.state, now, columns, size.rows.saturating_sub(OTHER_ROWS).clamp(1, MOST_STAGES));
        if let Some((label, message)) = &self.state.first_failure {
            lines.push(styled(BAD, &cut_end(&visible(&format!("failed {label}: {message}")), columns)));
        }
        let lines = lines.into_iter().map(|line| line + "\n").collect();
        Frame { lines, ..whole_run(&self.state, now, self.time_left.1, columns) }
    }
}

/// One line for each stage at work; if they are too many, those that run something first, and a line that counts the rest.
fn stage_lines(state: &RunState, now: Duration, columns: usize, most: usize) -> Vec<String> {
    let at_work: Vec<(usize, &StageState)> =
        state.stages.iter().enumerate().filter(|(_, stage)| stage.is_at_work()).collect();
    let mut shown = at_work.clone();
    shown.sort_by_key(|(index, stage)| (stage.running == 0, *index));
    shown.truncate(most);
    shown.sort_by_key(|(index, _)| *index);
    let names = shown.iter().map(|(_, stage)| width(&stage.name)).max().unwrap_or(0).min(columns / 3);
    let ratios = shown.iter().map(|(_, stage)| ratio(stage).len()).max().unwrap_or(0);
    let line = |(index, stage): &(usize, &StageState)| {
        let name = cut_middle(&stage.name, names);
        let pad = " ".repeat(names - width(&name));
        let head = format!("{name}{pad}  {:>ratios$}  ", ratio(stage));
        finished(head, stage, state.oldest_of(*index), now, columns)
    };
    let mut lines = Vec::new();
    // The best of a stage is shown where no other stage loses its line.
    let mut spare = most - shown.len();
    for at_work in &shown {
        lines.push(line(at_work));
        if let Some(best) = milestones::best(at_work.1).filter(|_| spare > 0) {
            lines.push(styled(DIM, &cut_end(&visible(&format!("  {best}")), columns)));
            spare -= 1;
        }
    }
    if at_work.len() > shown.len() {
        let more = quantities::count(at_work.len() - shown.len(), "more stage");
        lines.push(styled(DIM, &cut_end(&format!("{more} at work"), columns)));
    }
    lines
}

fn ratio(stage: &StageState) -> String {
    format!("{}/{}", stage.ended(), stage.total)
}

/// The rest of the line of a stage: how many run and failed, and as much as fits about the one that has run longest.
fn finished(head: String, stage: &StageState, oldest: Option<&Running>, now: Duration, columns: usize) -> String {
    let running = match (stage.running, stage.total) {
        (0, _) => "waits".to_owned(),
        (1, 1) => "running".to_owned(),
        (number, _) => format!("{number} running"),
    };
    let failed = if stage.counts.failed > 0 { format!(", {} failed", stage.counts.failed) } else { String::new() };
    let free = columns.saturating_sub(width(&head) + width(&running) + width(&failed) + 2);
    let detail = oldest.map_or(String::new(), |oldest| about(oldest, now));
    let detail = cut_end(&visible(&detail), free).into_owned();
    if columns < width(&head) + width(&running) + width(&failed) {
        return cut_end(&format!("{head}{running}{failed}"), columns).into_owned();
    }
    let failed = if failed.is_empty() { failed } else { styled(BAD, &failed) };
    let detail = if detail.is_empty() { detail } else { format!("  {}", styled(DIM, &detail)) };
    format!("{head}{running}{failed}{detail}")
}

/// `12 s, 120/288 steps, round 1/3 (sid=s03)`.
fn about(running: &Running, now: Duration) -> String {
    let mut text = quantities::whole_seconds(now.saturating_sub(running.since));
    if let Some(progress) = running.progress.as_ref().map(progress_text).filter(|progress| !progress.is_empty()) {
        text.push_str(&format!(", {progress}"));
    }
    if !running.at.is_empty() {
        text.push_str(&format!(" ({})", running.at));
    }
    text
}

/// `[=====>     ]  40%  412/1026  00:01:12, about 4 min left`; without the bar where it does not fit.
fn whole_run(state: &RunState, now: Duration, left: Option<Estimate>, columns: usize) -> Frame {
    let (ended, total) = (state.counts.ended(), state.total);
    let mut text = String::new();
    if state.counts.failed > 0 {
        text.push_str(&format!(", {} failed", state.counts.failed));
    }
    text.push_str(&format!("  {}", quantities::clock(now)));
    if state.is_stopping {
        text.push_str(", stopping");
    } else if let Some(left) = left.and_then(|left| quantities::time_left(&left)) {
        text.push_str(&format!(", {left}"));
    }
    let counts = format!("{ended}/{total}");
    let bar = columns.saturating_sub("[] 100%  ".len() + width(&counts) + width(&text)).min(24);
    let (template, text) = if bar < 8 {
        ("{prefix}{msg}".to_owned(), cut_end(&format!("{counts}{text}"), columns).into_owned())
    } else {
        let bar = styled(if state.counts.failed > 0 { BAD } else { CARE }, &format!("{{bar:{bar}}}"));
        (format!("{{prefix}}[{bar}] {{percent:>3}}%  {{pos}}/{{len}}{{msg}}"), text)
    };
    Frame { template, ended, total, text, ..Frame::default() }
}

/// Without what would move the cursor.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use anstream::adapter::strip_str;
    use pipe_contract::{Failure, Metric, Objective, Progress};
    use pipe_engine::event::Outcome;
    use pipe_engine::ids::InstanceId;
    use pipe_engine::plan::{Amounts, Plan, PlanOptions};

    use super::*;
    use crate::best_so_far::BestSoFar;
    use crate::block::rendered;

    const PIPELINE: &str = "pipe: 1\npipeline: p\nstages:\n  a_name_that_is_long: { each: { sid: 1..100 }, run: 'true', \
                            out: { y: y } }\n  fit: { run: 'true', out: { y: y } }\n";
    const SECOND: Duration = Duration::from_secs(1);

    fn plan() -> Arc<Plan> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        fs_err::write(&file, PIPELINE).unwrap();
        let registry = pipe_contract::Registry::new();
        Arc::new(
            pipe_engine::plan::plan(&file, &PlanOptions { machine: cpus(2), ..PlanOptions::default() }, &registry)
                .ok()
                .unwrap(),
        )
    }

    fn cpus(cpu: u32) -> Amounts {
        Amounts { cpu, ..Amounts::default() }
    }

    fn started(id: u32) -> Event {
        Event::Started { id: InstanceId(id), label: "x".into(), why: "forced".into(), attempt: 1, log: "log".into() }
    }

    fn ended(id: u32, outcome: Outcome) -> Event {
        Event::Ended { id: InstanceId(id), label: format!("x({id})"), outcome, wall: 4 * SECOND, notes: Vec::new() }
    }

    /// The block after some events, without styles.
    fn block(live: &mut Live, now: Duration, columns: usize, rows: usize) -> Vec<String> {
        let size = Size { columns, rows };
        rendered(live.frame(now, size), size).iter().map(|line| strip_str(line).to_string()).collect()
    }

    fn at_work() -> Live {
        let size = Size { columns: 80, rows: 24 };
        let mut live = Live::new(RunState::new(plan(), &pipe_contract::Registry::new(), cpus(2)));
        let progress = Progress { done: 12, total: 48, unit: "steps".into(), note: "round\n1/3".into() };
        let failure = Failure::stage("exit code 3; its log ends with\n    no data");
        let events = [
            Event::Began { run: "r".into(), instances: 101, wanted: None },
            Event::WorkBegins { recorded: Vec::new() },
            started(0),
            started(100),
            Event::Progressed { id: InstanceId(100), progress },
            ended(0, Outcome::Ran),
            started(1),
            ended(1, Outcome::Failed { failure, retained: None }),
            started(2),
        ];
        let lines: Vec<String> = events.iter().flat_map(|event| live.take(event, SECOND, size)).collect();
        assert_eq!(lines, Vec::<String>::new(), "no stage has ended");
        live
    }

    #[test]
    fn a_line_for_each_stage_at_work_the_first_failure_and_the_whole_run() {
        let mut live = at_work();
        assert_eq!(
            block(&mut live, 13 * SECOND, 100, 24),
            [
                "a_name_that_is_long  2/100  1 running, 1 failed  12 s (sid=3)",
                "fit                    0/1  running  12 s, 12/48 steps, round 1/3",
                "failed x(1): exit code 3; its log ends with no data",
                "[>                       ]   1%  2/101, 1 failed  00:00:13, about 4 min left",
            ]
        );
        let end = live.take(&ended(100, Outcome::Ran), 61 * SECOND, Size { columns: 80, rows: 24 });
        assert_eq!(end.iter().map(|line| strip_str(line).to_string()).collect::<Vec<_>>(), ["  done fit 1/1 in 60 s"]);
        assert!(!block(&mut live, 62 * SECOND, 80, 24).iter().any(|line| line.starts_with("fit")));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_the_block_is_lower_than_it() {
        let mut live = at_work();
        for columns in [1, 10, 20, 40, 60, 80, 120] {
            for line in block(&mut live, 13 * SECOND, columns, 24) {
                assert!(width(&line) < columns.max(2), "at {columns}: `{line}`");
            }
        }
        let low = block(&mut live, 13 * SECOND, 80, 5);
        assert_eq!(low.len(), 4, "{low:?}");
        assert_eq!(low[1], "1 more stage at work");
    }

    /// Where another stage would lose its line for it, the best is left out.
    #[test]
    fn the_best_of_a_stage_so_far_is_shown_if_there_is_room() {
        let mut live = at_work();
        live.state.stages[0].best =
            Some(BestSoFar::new(Objective { metric: "dice", less_is_better: false, places: &["epoch"] }));
        let size = Size { columns: 80, rows: 24 };
        for (id, epoch, dice) in [(2, 1_u32, 0.5), (3, 1, 0.25), (2, 2, 0.75), (2, 3, 0.625)] {
            for (name, value) in [("epoch", f64::from(epoch)), ("dice", dice)] {
                let metric = Metric::new(name, u64::from(epoch), value).unwrap();
                live.take(&Event::Metric { id: InstanceId(id), metric }, SECOND, size);
            }
        }
        let lines = block(&mut live, 13 * SECOND, 100, 24);
        assert_eq!(lines[1], "  best dice so far 0.7500 (epoch 2: sid=3), 0.2500 (epoch 1: sid=4)", "{lines:?}");
        assert!(!block(&mut live, 13 * SECOND, 100, 6).iter().any(|line| line.contains("best dice")));
    }

    #[test]
    fn nothing_is_said_about_the_time_left_after_a_stop() {
        let mut live = at_work();
        live.take(&Event::Stopping, 2 * SECOND, Size { columns: 80, rows: 24 });
        assert!(block(&mut live, 13 * SECOND, 80, 24)[3].ends_with("00:00:13, stopping"));
    }

    #[test]
    fn each_ending_is_counted_once() {
        let mut live = at_work();
        live.take(
            &Event::Reopened { id: InstanceId(0), label: "x".into(), was_hit: false },
            SECOND,
            Size { columns: 80, rows: 24 },
        );
        let at_work: BTreeMap<&str, (usize, usize)> =
            live.state.stages.iter().map(|stage| (stage.name.as_str(), (stage.ended(), stage.running))).collect();
        assert_eq!(at_work["a_name_that_is_long"], (1, 1));
        assert_eq!((live.state.counts.ended(), live.state.running.len()), (1, 2));
    }
}
