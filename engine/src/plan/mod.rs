//! What will run, fully resolved: stages expanded over their axes, every reference an edge, every default filled in.

mod model;

pub use model::*;
