//! `nyu/...`: the kinds that read the NYU Retinotopy Dataset (OpenNeuro `ds003787`), the study's second set of subjects.
//!
//! It has one segmentation by FreeSurfer, one set of pRF maps and one rater's areas for each subject, all on the subject's own mesh, and
//! is open to all: no account, no keys.

mod fetch_subject;
mod manual_areas;
mod native_prf;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(fetch_subject::NyuFetch);
    registry.add(native_prf::NyuPrf);
    registry.add(manual_areas::NyuLabels);
}
