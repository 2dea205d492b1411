//! Stories through the real binary: temporary project, own cache; run, run again, change one thing, run again.

mod layers;
mod support;
