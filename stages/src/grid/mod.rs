//! `grid/...`: the search for hyperparameters, from the authors' archive or from trainings of our own to one table and
//! one figure.
//!
//! A *cell* is one combination of the seven factors ([`factors`]); its number is the mixed-radix number of its levels.
//! The archive ([`grid_archive`]) has the text of what was printed ([`run_log`]), a training of ours a table of epochs;
//! both become rows of one table ([`cell_table`]), which the figure and the list of best cells read.

mod best_cells;
mod cell_table;
mod collect_trainings;
mod factors;
mod grid_archive;
mod heat_maps;
mod public_partition;
mod read_archive;
mod run_log;
#[cfg(test)]
mod simulated_archive;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(read_archive::ReadArchive);
    registry.add(collect_trainings::CollectTrainings);
    registry.add(best_cells::BestCells);
    registry.add(heat_maps::HeatMaps);
    registry.add(public_partition::PublicPartition);
}
