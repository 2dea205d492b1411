//! `figure/...`: the kinds that draw what a reader of the paper looks at.
//!
//! Every figure is a folder with `figure.svg`, `figure.pdf` and `figure.png`, carries the stamp of simulated data where a run is
//! simulated, and is the same bytes whenever it is rendered from the same inputs.

mod accuracy;
mod cohort_sheet;
mod comparison_bars;
mod contours;
mod figure_of_table;
mod flatmap_sheet;
mod flatmaps;
mod joint;
mod layout_sheet;
mod learning;
mod legend;
mod outline;
mod pairs;
mod panel_grid;
mod parts;
mod penalties;
mod rdm_heat_map;
mod scale;
mod space_order;
mod subject_images;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(accuracy::Accuracy);
    registry.add(cohort_sheet::Cohort);
    registry.add(comparison_bars::ComparisonBars);
    registry.add(contours::Contours);
    registry.add(flatmap_sheet::Flatmap);
    registry.add(flatmaps::Flatmaps);
    registry.add(learning::Learning);
    registry.add(layout_sheet::LayoutSheet);
    registry.add(joint::Joint);
    registry.add(pairs::Pairs);
    registry.add(parts::PartBars);
    registry.add(penalties::PenaltyHistograms);
    registry.add(rdm_heat_map::RdmHeatMaps);
}
