//! Kinds that bring data in: packages, URLs, buckets, imports, simulated people.

pub mod import;
pub mod simulate;

/// Adds the kinds of this topic.
pub fn install(registry: &mut pipe_contract::Registry) {
    import::install(registry);
    simulate::install(registry);
}
