//! `figure/...`: the kinds that draw what a reader of the paper looks at.
//!
//! Every figure is a folder with `figure.svg`, `figure.pdf` and `figure.png`, carries the stamp of simulated data where a run is
//! simulated, and is the same bytes whenever it is rendered from the same inputs.

mod accuracy;
mod cohort_sheet;
mod contours;
mod flatmaps;
mod learning;
mod outline;
mod subject_images;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(accuracy::Accuracy);
    registry.add(cohort_sheet::Cohort);
    registry.add(contours::Contours);
    registry.add(flatmaps::Flatmaps);
    registry.add(learning::Learning);
}
