//! What figures that are made from one table have in common: where a failure is said to be, what lies in the folder, and that a name
//! from the table which has no room ends in dots.
//!
//! Independent of what is in the table and of what the figure shows.

use std::path::Path;

use pipe_contract::{Failure, Task};

use crate::formats::data_table::{self, DataTable};
use crate::formats::drawing::{Drawing, save, text_width};

/// Reads the artifact at a port of one.
///
/// # Errors
/// Those of `read`, with the folder as their place.
pub(super) fn read_at<T>(
    task: &Task,
    port: &str,
    read: impl FnOnce(&Path) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let path = task.one(port)?;
    read(path).map_err(|failure| failure.at(path.display().to_string()))
}

/// Writes a figure in its formats to the output `figure`, and `table.csv` beside it, with the stamp of simulated data if it is of such.
///
/// # Errors
/// Internal: the columns do not make a table, or the figure cannot be printed at its size. Environment: a file cannot be written.
pub(super) fn write(task: &Task, drawing: &Drawing, table: DataTable) -> Result<(), Failure> {
    let folder = task.output("figure")?;
    save(drawing, folder)?;
    data_table::write_csv(&folder.join(data_table::CSV), &mut table.stamped(task.simulated).build()?)
}

/// A text that is at most `width` points wide when set at this size: the whole, or its beginning and three dots.
pub(super) fn shortened(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while !kept.is_empty() && text_width(&format!("{kept}\u{2026}"), size) > width {
        kept.pop();
    }
    format!("{kept}\u{2026}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_room_ends_in_dots() {
        assert_eq!(shortened("conv1", 100.0, 7.0), "conv1");
        let cut = shortened("the first convolutional layer of the network", 100.0, 7.0);
        let kept = cut.strip_suffix('\u{2026}').unwrap();
        assert!("the first convolutional layer of the network".starts_with(kept) && kept.len() > 10, "{cut}");
        assert!(text_width(&cut, 7.0) <= 100.0);
    }
}
