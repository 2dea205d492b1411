//! The engine: from a pipeline file to artifacts on disk.
//!
//! ```text
//! diag → ids → event → spec → plan → graph → schema → key → sched → exec → report → run
//! ```
//! Each module may use only those before it. The engine sees stage kinds only through their declarations
//! ([`pipe_contract::Kind`]). It prints nothing: `cli` makes the output from [`event::Event`]s.

pub mod diag;
pub mod event;
pub mod exec;
pub mod graph;
pub mod ids;
pub mod key;
pub mod plan;
pub mod report;
pub mod run;
pub mod sched;
pub mod schema;
pub mod spec;
