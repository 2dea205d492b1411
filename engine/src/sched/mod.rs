//! Chooses which instance may be checked and which may start next. Independent of files, threads and time:
//! only states, edges and amounts of resources, so a whole run can be simulated in memory.
//!
//! `run` uses a [`Core`] like this:
//!
//! ```text
//! loop {
//!     while let Some(id) = core.next_check() {           // all inputs ended, digests known: look up the key
//!         hit, absent -> core.end(id, Ending::Hit | Ending::Absent)
//!         else        -> core.must_run(id)
//!     }
//!     while let Some((id, grant)) = core.next_start() {  // amounts are taken
//!         executor.start(...)
//!     }
//!     for (id, because) in core.settled() { ... }        // skipped, decided here
//!     if core.is_done() { break }
//!     executor.next(...)  -> core.commit(id); core.next_start_during(id); core.end(id, Ending::Ran | Failed | Absent)
//! }
//! ```
//!
//! "Ready to be checked" is separate from "must run": a key needs the digests of finished inputs, so an upstream
//! rerun that gives the same bytes leaves everything below a hit (early cut-off).

mod core;
mod dag;
mod forecast;
mod priority;
mod resources;

#[cfg(test)]
mod tests;

pub use core::{Aside, Because, Core, Ending, Options, State, StateCounts};
pub use dag::needed_by;
pub use forecast::{AtWork, Estimate, Forecast};
pub use resources::{Capacities, Grant};
