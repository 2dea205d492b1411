//! Lines about a run that both views leave on screen: a stage has ended, work is repeated, a stop was requested.

use std::time::Duration;

use pipe_engine::event::Event;

use super::fit::cut_middle;
use super::run_state::{RunState, StageState};
use crate::best_so_far::Reached;
use crate::printer::{BAD, CARE, DIM, GOOD, styled};
use crate::quantities;

/// So many of the best instances of a stage are named.
const BEST: usize = 3;

/// The line for an event that is worth one whatever the stage.
pub fn urgent(event: &Event) -> Option<String> {
    match event {
        Event::Reopened { label, .. } => {
            Some(format!("{} {label}: what it made is damaged in the cache and is made anew", styled(CARE, " again")))
        }
        Event::Stopping => {
            Some(format!("{} running stages get a moment; Ctrl-C again ends at once", styled(CARE, "  stop")))
        }
        _ => None,
    }
}

/// `  done targets 128/128 in 12 s`, if with this event a stage has ended of which something worked.
pub fn stage_ended(state: &RunState, event: &Event, now: Duration, columns: usize) -> Option<String> {
    let Event::Ended { id, .. } = event else { return None };
    let stage = state.stage_of(*id);
    let worked = stage.began.is_some() || stage.counts.failed > 0;
    let was_stopped = state.is_stopping && stage.counts.skipped > 0;
    if !worked || was_stopped || stage.ended() < stage.total {
        return None;
    }
    let word = match (stage.counts.failed, stage.counts.skipped) {
        (0, 0) => styled(GOOD, "  done"),
        (0, _) => styled(CARE, "  part"),
        _ => styled(BAD, "failed"),
    };
    let time = quantities::duration(now.saturating_sub(stage.began.unwrap_or(now)));
    let name = cut_middle(&stage.name, columns.saturating_sub(40).max(12));
    let end = styled(DIM, &format!("in {time}{}", unusual(stage)));
    Some(format!("{word} {name} {}/{} {end}", stage.ended(), stage.total))
}

/// ` (ran 120, hits 8)`; nothing where all ran.
fn unusual(stage: &StageState) -> String {
    if stage.counts.ran == stage.total { String::new() } else { format!(" ({})", quantities::tally(&stage.counts)) }
}

/// The best instances of a stage so far, if its kind says what is best:
/// `best validation/dice so far 0.8312 (round 2, epoch 7: restart=2), 0.8100 (round 3, epoch 1: restart=1)`.
pub fn best(stage: &StageState) -> Option<String> {
    let best = stage.best.as_ref()?;
    let of = |(label, reached): (&str, &Reached)| {
        let place = label.split_once('(').map_or(label, |(_, place)| place.trim_end_matches(')'));
        format!("{:.4} ({}: {place})", reached.best, reached.at)
    };
    let ranked: Vec<String> = best.ranked().into_iter().take(BEST).map(of).collect();
    (!ranked.is_empty()).then(|| format!("best {} so far {}", best.metric(), ranked.join(", ")))
}
