//! `package/...`: the kinds that take data files out of Python packages.

mod archive;
mod files;
mod glob;
mod pip;
mod shared_download;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(files::PackageFiles);
}
