//! Chooses which instance may be checked and which may start next. Knows states, edges and amounts of
//! resources; knows no files, threads or time, so a whole run can be simulated in memory.
//!
//! `run` uses a [`Core`] like this:
//!
//! ```text
//! loop {
//!     while let Some(id) = core.next_check() {           // all inputs ended, digests known: look up the key
//!         hit      -> core.end(id, Ending::Hit)
//!         no hit   -> core.must_run(id)
//!     }
//!     while let Some((id, grant)) = core.next_start() {  // amounts are taken
//!         executor.start(...)
//!     }
//!     for (id, ending) in core.settled() { ... }         // skipped or absent, decided here
//!     if core.is_done() { break }
//!     executor.next(...)  -> core.end(id, Ending::Ran | Failed | Absent)
//! }
//! ```
//!
//! "Ready to be checked" is separate from "must run": a key needs the digests of finished inputs, so an upstream
//! rerun that gives the same bytes leaves everything below a hit (early cut-off).

mod core;
mod dag;
mod resources;

#[cfg(test)]
mod tests;

pub use core::{Because, Core, Counts, Ending, Need, Options, State, needed_by};
pub use resources::{Capacities, Grant};
