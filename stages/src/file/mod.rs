//! `file` and `file/...`: one file, from the project, from an address, or fetched by hand.

mod by_hand;
mod from_url;
mod project_file;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(project_file::ProjectFileKind);
    registry.add(from_url::UrlFile);
    registry.add(by_hand::ByHand);
}
