//! Stories through the real binary: temporary project, own cache; run, run again, change one thing, run again.

#![allow(clippy::print_stderr, reason = "a test prints what it skipped and which seed it used")]

mod apply;
mod artifacts;
mod bad_input;
mod book;
mod claims;
mod damage;
mod doctor;
mod examples;
mod explanations;
mod failures;
mod fetch_from_s3;
mod fidelity;
mod freshness;
mod graph;
mod gridsearch;
mod hcp;
mod init;
mod isolation;
mod kills;
mod language;
mod layers;
mod libtorch;
mod lints;
mod manifest;
mod names;
mod nyu;
mod plan_cache;
mod progress;
mod project_inputs;
mod published;
mod published_ownership;
mod readme;
mod refused_files;
mod reproduction;
mod restricted;
mod rsa;
mod same_name;
mod side_by_side;
mod status;
mod stopping;
mod support;
mod variance;
mod vocabulary;
