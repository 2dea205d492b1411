//! `freesurfer/...`: the kinds that read what FreeSurfer makes of a subject.

mod import_subject;
mod surf_files;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(import_subject::FreeSurferSubject);
}
