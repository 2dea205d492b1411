//! What the columns of tables mean, as data dictionaries say it.

use std::collections::BTreeMap;

use crate::Value;

/// A column of a table, as a data dictionary describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it means; for counts what is counted.
    pub about: &'static str,
    /// The unit of its numbers; empty for text and counts.
    pub unit: &'static str,
    /// Its values with what each means, where they are few.
    pub levels: &'static [(&'static str, &'static str)],
}

impl Column {
    /// A column of texts or counts.
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, unit: "", levels: &[] }
    }

    /// A column of numbers in a unit.
    pub const fn measured(name: &'static str, unit: &'static str, about: &'static str) -> Self {
        Self { name, about, unit, levels: &[] }
    }

    /// Whose values are these.
    #[must_use]
    pub const fn levels(mut self, levels: &'static [(&'static str, &'static str)]) -> Self {
        self.levels = levels;
        self
    }
}

/// Tables of an output whose columns are declared: what a data dictionary is made from.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Their names in the output folder, or one empty name for an output that is a file. They have the same columns.
    pub files: &'static [&'static str],
    /// Every column that is always the same, in order.
    pub columns: &'static [Column],
    /// What any other column means, for a kind whose columns depend on its inputs and parameters.
    pub others: Option<MeaningOf>,
}

/// What a column means, as known once the inputs and parameters of a stage are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnMeaning {
    /// What it means; for counts what is counted.
    pub about: String,
    /// The unit of its numbers; empty for text and counts.
    pub unit: String,
    /// Its values with what each means, where they are few.
    pub levels: Vec<(String, String)>,
}

impl From<&Column> for ColumnMeaning {
    fn from(column: &Column) -> Self {
        let level = |(value, about): &(&str, &str)| ((*value).to_owned(), (*about).to_owned());
        Self {
            about: column.about.to_owned(),
            unit: column.unit.to_owned(),
            levels: column.levels.iter().map(level).collect(),
        }
    }
}

/// What a column of an output means, from its name, the parameters of the stage and the columns at its inputs.
pub type MeaningOf = fn(&str, &BTreeMap<String, Value>, &InputColumns<'_>) -> ColumnMeaning;

/// What a column of the table at an input means, from the port and the name of the column. For a gather also the axes by which it is
/// gathered are columns. `None` if there is no such column, or nothing is declared of it.
pub type InputColumns<'a> = dyn Fn(&str, &str) -> Option<ColumnMeaning> + 'a;
