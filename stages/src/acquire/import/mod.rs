//! Kinds of `acquire/import`.

/// Adds the kinds of this topic.
pub fn install(_registry: &mut pipe_contract::Registry) {}
