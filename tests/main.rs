//! Stories through the real binary: temporary project, own cache; run, run again, change one thing, run again.

mod failures;
mod freshness;
mod layers;
mod stopping;
mod support;
