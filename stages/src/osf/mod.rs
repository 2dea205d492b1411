//! `osf/...`: the kinds that read any project of the Open Science Framework.

mod osf_file;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(osf_file::OsfFile);
}
