//! Stories through the real binary: temporary project, own cache; run, run again, change one thing, run again.

#![allow(clippy::print_stderr, reason = "a test says what it skipped and which seed it drew")]

mod bad_input;
mod failures;
mod freshness;
mod init;
mod kills;
mod layers;
mod readme;
mod reproduction;
mod s3;
mod side_by_side;
mod stopping;
mod support;
