//! Kinds that bring data in: packages, URLs, buckets, imports, simulated people.
//!
//! Everything that touches the network lives here. What arrives is checked (lengths, digests, formats) before it
//! becomes an artifact; what cannot be had is either *absent* (a cell that the source does not have) or a failure that
//! says whose move it is. Secrets are used here and nowhere shown.

mod credentials;
mod digest;
mod file;
mod glob;
mod hcp;
mod http;
pub mod import;
#[cfg(test)]
mod loopback;
mod osf;
mod package;
mod s3;
mod sign;
pub mod simulate;
mod store;

/// Adds the kinds of this topic.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(file::ProjectFile);
    registry.add(file::UrlFile);
    registry.add(package::PackageFiles);
    registry.add(hcp::HcpFetch);
    registry.add(osf::OsfFile);
    registry.add(osf::LabelsOsf);
    registry.add(osf::LabelsInferred);
    import::install(registry);
    simulate::install(registry);
}
