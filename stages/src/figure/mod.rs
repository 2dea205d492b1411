//! `figure/...`: the kinds that draw what a reader of the paper looks at.
//!
//! Every figure is a folder with `figure.svg`, `figure.pdf` and `figure.png`, carries the stamp of simulated data where a run is
//! simulated, and is the same bytes whenever it is rendered from the same inputs.

use pipe_contract::Registry;

mod accuracy;
mod contours;
mod flatmaps;
mod outline;

/// Adds the kinds of this folder.
pub fn install(registry: &mut Registry) {
    registry.add(accuracy::Accuracy);
    registry.add(contours::Contours);
    registry.add(flatmaps::Flatmaps);
}

/// Counts of panels, columns and pixels as lengths.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn real(count: usize) -> f64 {
    count as f64
}
