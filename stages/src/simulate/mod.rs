//! `simulate/...`: the kinds that make simulated data.

mod atlas;
mod encoded_responses;
mod field;
mod freesurfer_folder;
mod fs_lr_sphere;
mod individual;
mod random_stream;
mod raters;
#[cfg(test)]
mod real_anatomy_tests;
mod receptive_fields;
mod responses;
mod subject;
mod subject_files;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(subject::SimulateSubject);
    registry.add(freesurfer_folder::SimulateFreeSurfer);
    registry.add(responses::SimulateResponses);
    registry.add(encoded_responses::SimulateEncoded);
}
