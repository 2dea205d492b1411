//! Bars on a terminal: one line per running stage, one for the whole run, endings above them.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipe_engine::event::Event;
use pipe_engine::ids::InstanceId;

use super::plain;
use super::run_state::{RunState, progress_text, share};

/// At most this many running stages get a line; a terminal has few rows.
const LINES: usize = 12;
/// Steps of a stage's own bar.
const STEPS: u64 = 1000;

/// Draws events on stderr.
pub struct Live {
    state: RunState,
    all: MultiProgress,
    overall: ProgressBar,
    bars: BTreeMap<InstanceId, ProgressBar>,
}

impl Live {
    /// A view on stderr.
    pub fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let overall = all.add(ProgressBar::new(0));
        overall.set_style(style("{elapsed:>6} [{bar:30}] {pos}/{len} {msg}"));
        overall.enable_steady_tick(Duration::from_millis(500));
        Self { state: RunState::default(), all, overall, bars: BTreeMap::new() }
    }

    /// Takes in one event and redraws what it changed.
    pub fn take(&mut self, event: &Event) {
        self.state.take(event);
        if let Some(line) = plain::ending(event) {
            // A failed write to the terminal is not worth ending a run for.
            let _ = self.all.println(line);
        }
        match event {
            Event::Began { instances, .. } => self.overall.set_length(*instances as u64),
            Event::Started { id, label, .. } if self.bars.len() < LINES => self.open(*id, label),
            Event::Progressed { id, progress } => {
                if let Some(bar) = self.bars.get(id) {
                    bar.set_message(progress_text(progress));
                    if let Some(share) = share(progress) {
                        bar.set_style(style("{elapsed:>6} [{bar:30}] {prefix} {msg}"));
                        bar.set_position((share * STEPS as f64) as u64);
                    }
                }
            }
            Event::Ended { id, .. } => {
                if let Some(bar) = self.bars.remove(id) {
                    bar.finish_and_clear();
                }
                self.overall.set_position(self.state.counts.ended() as u64);
                self.overall.set_message(self.message());
            }
            _ => {}
        }
    }

    /// Clears all bars, so that only the report remains.
    pub fn close(self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
        self.overall.finish_and_clear();
    }

    fn open(&mut self, id: InstanceId, label: &str) {
        let bar = self.all.insert_before(&self.overall, ProgressBar::new(STEPS));
        bar.set_style(style("{elapsed:>6} {spinner} {prefix} {msg}"));
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.bars.insert(id, bar);
    }

    fn message(&self) -> String {
        let hidden = self.state.running.len().saturating_sub(self.bars.len());
        let more = if hidden > 0 { format!(", {hidden} more running") } else { String::new() };
        format!("{}{more}", self.state.tally())
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant that parses").progress_chars("=> ")
}
