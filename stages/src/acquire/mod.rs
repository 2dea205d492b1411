//! Kinds that bring data in: packages, URLs, buckets, imports, simulated people.
//!
//! Everything that touches the network lives here. What arrives is checked (lengths, digests, formats) before it
//! becomes an artifact; what cannot be had is either *absent* (a cell that the source does not have) or a failure that
//! says whose move it is. Secrets are used here and nowhere shown.

mod digest;
mod file;
mod glob;
mod http;
pub mod import;
mod package;
pub mod simulate;

/// Adds the kinds of this topic.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(file::ProjectFile);
    registry.add(file::UrlFile);
    registry.add(package::PackageFiles);
    import::install(registry);
    simulate::install(registry);
}
