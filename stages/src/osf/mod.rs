//! `osf/...`: the kinds that read any project of the Open Science Framework.

mod osf_file;
mod osf_files;
mod osf_tree;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(osf_file::OsfFile);
    registry.add(osf_files::OsfFolder);
    registry.add(osf_tree::OsfTree);
}
