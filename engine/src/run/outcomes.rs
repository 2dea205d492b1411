//! Records how instances ended: as events at once, and for the summary and the manifest at the end.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use pipe_contract::RanOn;

use super::lookup::Known;
use super::run_loop::{Report, RunLoop};
use crate::event::{Event, Outcome};
use crate::exec::Usage;
use crate::ids::InstanceId;
use crate::sched::{Because, Core, Ending};

impl RunLoop<'_> {
    /// Records the ends that the scheduler decided.
    pub(super) fn report_settled(&mut self, core: &mut Core) {
        for (id, ending) in core.settled() {
            match ending {
                Ending::Skipped(because) => self.report_skipped(id, because, None),
                Ending::Absent { origin } => {
                    let (cause, recorded) = match (self.lookup.known(origin).clone(), self.ended.get(&origin)) {
                        (Known::Absent { cause, .. }, Some(report)) => {
                            (cause, matches!(report.outcome, Outcome::Absent { recorded: true, .. }))
                        }
                        (Known::Absent { cause, .. }, None) => (cause, true),
                        _ => ("absent".into(), false),
                    };
                    self.lookup.set_known(id, Known::Absent { cause: Rc::clone(&cause), origin });
                    self.report_absent(id, &cause, recorded, None);
                }
                Ending::Hit | Ending::Ran | Ending::Failed | Ending::LeftOut => {}
            }
        }
    }

    pub(super) fn report_hit(&mut self, id: InstanceId) {
        if self.ended.contains_key(&id) || !self.hits.insert(id) {
            return; // It was reported before it was looked up again for the sake of a reader.
        }
        let label = self.plan().label(id);
        (self.events)(Event::Ended { id, label, outcome: Outcome::Hit, wall: Duration::ZERO, notes: Vec::new() });
    }

    pub(super) fn report_ran(
        &mut self,
        id: InstanceId,
        usage: Usage,
        ran_on: Option<RanOn>,
        notes: Vec<String>,
        log: Option<PathBuf>,
    ) {
        self.report(id, Outcome::Ran, usage, ran_on, notes, log);
    }

    pub(super) fn report_absent(
        &mut self,
        id: InstanceId,
        cause: &str,
        recorded: bool,
        work: Option<(PathBuf, Usage)>,
    ) {
        let (log, usage) = work.map_or((None, Usage::default()), |(log, usage)| (Some(log), usage));
        self.report(id, Outcome::Absent { cause: cause.to_owned(), recorded }, usage, None, Vec::new(), log);
    }

    pub(super) fn report_skipped(&mut self, id: InstanceId, because: Because, work: Option<(&Path, Usage)>) {
        let because = match because {
            Because::Failed(root) | Because::FailFast(root) => self.plan().label(root),
            Because::Stopped => "stopped".to_owned(),
        };
        let (log, usage) = work.map_or((None, Usage::default()), |(log, usage)| (Some(log.to_owned()), usage));
        self.report(id, Outcome::Skipped { because }, usage, None, Vec::new(), log);
    }

    pub(super) fn report(
        &mut self,
        id: InstanceId,
        outcome: Outcome,
        usage: Usage,
        ran_on: Option<RanOn>,
        notes: Vec<String>,
        log: Option<PathBuf>,
    ) {
        let due = self.due.remove(&id);
        if self.ended.contains_key(&id) {
            return; // As for hits.
        }
        let label = self.plan().label(id);
        (self.events)(Event::Ended { id, label, outcome: outcome.clone(), wall: usage.wall, notes: notes.clone() });
        let (reasons, attempts) = due.map_or((Vec::new(), 0), |due| (due.reasons, due.attempts));
        let key = self.lookup.key_of(id);
        self.ended.insert(id, Report { outcome, reasons, key, attempts, usage, ran_on, notes, log });
    }
}
