//! One execution of a plan: looks up every instance, lets the scheduler and the executor do what is missing,
//! commits their outputs, publishes results, checks claims, and leaves a manifest.
//!
//! The caller makes the output from [`Event`](crate::event::Event)s while the run goes on and from the [`Summary`] at the end.

mod artifact_types;
mod attempt;
mod beside_results;
mod claim_tables;
mod clock;
mod commit;
mod comparison;
mod disclosure;
mod earlier_results;
mod ended;
mod event_log;
mod execute;
mod inputs;
mod locked_results;
mod lookup;
mod lost_outputs;
mod manifest_tables;
mod options;
mod preflight;
mod prepare_task;
mod provenance;
mod publish_results;
mod published_check;
mod release;
mod result_lines;
mod run_loop;
mod run_summary;
mod select;
mod sessions;
mod state_dir;
mod state_dirs;
mod status;
mod stop;
mod storage;
mod unread_input;
mod verification;
mod withheld;
mod write_manifest;

#[cfg(test)]
mod injury_tests;
#[cfg(test)]
mod manifest_tests;
#[cfg(test)]
mod tests;

pub use artifact_types::{declared_name, type_of_output};
pub use comparison::{ResultComparison, Verdict};
pub use earlier_results::earlier_results;
pub use event_log::{LoggedEnd, LoggedRun, LoggedStart, Measured, Phase};
pub use execute::run;
pub use options::{Places, RunOptions, Selection};
pub use preflight::{Preflight, StagePreflight, preflight};
pub use published_check::{Alteration, PublishedCheck};
pub use run_summary::{Counts, FailedInstance, Summary};
pub use select::{named, wanted};
pub use status::{Standing, Status, last_manifest, last_run, log_of, path_of, restricted_metrics, status};
pub use stop::Stop;
pub use verification::{Departure, FirstDifference, Rerun, Verification, VerifyOptions, verify};
