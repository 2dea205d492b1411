//! The first columns of tables with a row for each set and layer: values of the set, network, layer, rank, and the number of its run.
//!
//! Independent of what else is in a row.

use pipe_contract::{Column, Failure};
use pipe_stages::formats::data_table::DataTable;
use pipe_stages::net::image_sets::ImageSets;
use pipe_stages::net::used_layers::UsedLayer;

/// That no grouping variable has the name of a column of the table, which is known before a network runs.
///
/// # Errors
/// Input: one has.
pub fn check_grouping(grouping: &[String], columns: &[Column]) -> Result<(), Failure> {
    match grouping.iter().find(|name| columns.iter().any(|column| column.name == name.as_str())) {
        None => Ok(()),
        Some(taken) => Err(Failure::input(format!("`sets` groups by `{taken}`, which is a column of the table"))
            .hint("rename that variable of the stimuli")),
    }
}

/// What the rows of a table are of.
#[derive(Clone, Debug)]
pub struct LayerRows<'a> {
    /// The network.
    pub network: &'a str,
    /// The layers that were used.
    pub layers: &'a [UsedLayer],
    /// The sets of stimuli.
    pub sets: &'a ImageSets,
    /// Whether there is a column with the number of the run of a layer.
    pub with_steps: bool,
    /// For each row the place of its set and of its layer.
    pub places: Vec<(usize, usize)>,
}

impl LayerRows<'_> {
    /// A table with these columns; others follow.
    pub fn table(&self) -> DataTable {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let layers = || self.places.iter().map(|(_, layer)| &self.layers[*layer]);
        let mut table = DataTable::new();
        for (at, variable) in self.sets.grouping.iter().enumerate() {
            let labels = self.places.iter().map(|(set, _)| self.sets.sets[*set].labels[at].as_str());
            table = table.text(variable, labels);
        }
        table = table
            .text("network", layers().map(|_| self.network))
            .text("layer", layers().map(|layer| layer.name.as_str()))
            .integers("rank", layers().map(|layer| whole(layer.rank)));
        if self.with_steps {
            table = table.integers("step", layers().map(|layer| whole(layer.call)));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use pipe_stages::net::network_kinds::{ANOVA_COLUMNS, DECODING_COLUMNS};

    use super::*;

    #[test]
    fn variables_with_the_name_of_a_column_are_refused() {
        let message = |name: &str, columns| check_grouping(&[name.to_owned()], columns).unwrap_err().message;
        for name in ["rank", "source", "units", "simulated"] {
            assert!(message(name, ANOVA_COLUMNS).contains(&format!("`{name}`")));
        }
        assert!(message("accuracy", DECODING_COLUMNS).contains("`accuracy`"));
        assert!(check_grouping(&["size".to_owned()], DECODING_COLUMNS).is_ok());
    }
}
