//! What the columns of tables mean, as data dictionaries say it.

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
    /// Every column that they can have, in order.
    pub columns: &'static [Column],
}
