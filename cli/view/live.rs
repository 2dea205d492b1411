//! The live view: lines that stay (a stage has ended), and below them a block that is drawn again and again: one line for each
//! stage at work, the first failure, and a line for the whole run. Functions from the state to lines; `progress` draws them.

use std::time::Duration;

use pipe_engine::event::Event;
use pipe_engine::sched::Estimate;

use super::fit::{Size, cut_end, cut_middle, width};
use super::milestones;
use super::run_state::{RunState, Running, StageState, progress_text};
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
        milestones::urgent(event).into_iter().chain(milestones::stage_ended(&self.state, event, now, size.columns)).collect()
    }

    /// The block below them.
    pub fn block(&mut self, now: Duration, size: Size) -> Vec<String> {
        if self.state.total == 0 {
            return Vec::new();
        }
        if now >= FIRST_ESTIMATE && now >= self.time_left.0 + ESTIMATES {
            self.time_left = (now, self.state.time_left(now));
        }
        // The last column stays free: a terminal continues on the next row when it is filled.
        let columns = size.columns.saturating_sub(1);
        let mut lines = stage_lines(&self.state, now, columns, size.rows.saturating_sub(OTHER_ROWS).clamp(1, MOST_STAGES));
        if let Some((label, message)) = &self.state.first_failure {
            lines.push(styled(BAD, &cut_end(&visible(&format!("failed {label}: {message}")), columns)));
        }
        lines.push(whole_run(&self.state, now, self.time_left.1, columns));
        lines
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
    let mut lines: Vec<String> = shown.iter().map(line).collect();
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

/// `sid=s03 for 12 s: 120/288 steps, round 1/3`.
fn about(running: &Running, now: Duration) -> String {
    let time = quantities::whole_seconds(now.saturating_sub(running.since));
    let subject = if running.at.is_empty() { time } else { format!("{} for {time}", running.at) };
    match running.progress.as_ref().map(progress_text) {
        Some(progress) if !progress.is_empty() => format!("{subject}: {progress}"),
        _ => subject,
    }
}

/// `[=====>     ]  40%  412/1026  00:01:12, about 4 min left`.
fn whole_run(state: &RunState, now: Duration, left: Option<Estimate>, columns: usize) -> String {
    let ended = state.counts.ended();
    let share = ended as f64 / state.total.max(1) as f64;
    let mut text = format!("{:3.0}%  {ended}/{}", (share * 100.0).floor(), state.total);
    if state.counts.failed > 0 {
        text.push_str(&format!(", {} failed", state.counts.failed));
    }
    text.push_str(&format!("  {}", quantities::clock(now)));
    if state.is_stopping {
        text.push_str(", stopping");
    } else if let Some(left) = left.and_then(|left| quantities::time_left(&left)) {
        text.push_str(&format!(", {left}"));
    }
    let bar = columns.saturating_sub(width(&text) + 4).min(24);
    if bar < 8 {
        return cut_end(&text, columns).into_owned();
    }
    let done = (share * bar as f64) as usize;
    let tip = if done < bar { ">" } else { "" };
    let rest = " ".repeat(bar - done - tip.len());
    let style = if state.counts.failed > 0 { BAD } else { CARE };
    format!("[{}{rest}] {text}", styled(style, &format!("{}{tip}", "=".repeat(done))))
}

/// Without what would move the cursor.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
