//! Two variables of stimuli whose values are combined with each other, each combination once.
//!
//! Decides the order of their values: the one in which they first come. Independent of networks and of what is computed.

use pipe_contract::Failure;

use super::image_sets::values_by_row;
use crate::formats::matrix::MatrixAxis;

/// A complete crossing of two variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The two variables.
    pub names: [String; 2],
    /// The values of each.
    pub levels: [Vec<String>; 2],
    /// For each entry the places of its two values.
    pub cells: Vec<[usize; 2]>,
}

impl Crossing {
    /// The crossing of two variables of entries, which are named by these alone; `parameter` is where they are given.
    ///
    /// # Errors
    /// Input: not two variables, a variable with one value, or a combination of values that no entry has.
    pub fn new(entries: &MatrixAxis, variables: &[String], parameter: &str) -> Result<Self, Failure> {
        let names: [String; 2] = pair(variables, parameter)?;
        let rows = values_by_row(entries.table(), &names)?;
        let mut levels: [Vec<String>; 2] = [Vec::new(), Vec::new()];
        let mut cells = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut cell = [0; 2];
            for ((place, levels), value) in cell.iter_mut().zip(&mut levels).zip(row) {
                *place = levels.iter().position(|known| known == value).unwrap_or_else(|| {
                    levels.push(value.clone());
                    levels.len() - 1
                });
            }
            cells.push(cell);
        }
        let found = Self { names, levels, cells };
        found.check()?;
        Ok(found)
    }

    fn check(&self) -> Result<(), Failure> {
        for (name, levels) in self.names.iter().zip(&self.levels) {
            if levels.len() < 2 {
                return Err(Failure::input(format!("`{name}` has {} value, expected at least two", levels.len()))
                    .hint("name other variables of the stimuli, or group the stimuli by fewer (`sets`)"));
            }
        }
        let [first, second] = &self.levels;
        for (at, value) in first.iter().enumerate() {
            for (other, beside) in second.iter().enumerate() {
                if !self.cells.contains(&[at, other]) {
                    let [name, across] = &self.names;
                    return Err(Failure::input(format!(
                        "no stimulus has `{name}` {value} with `{across}` {beside}, expected every combination once"
                    ))
                    .hint("complete the stimuli, or filter them"));
                }
            }
        }
        Ok(())
    }

    /// For each value of one of the variables (0 or 1) its entries, in the order of the other variable's values.
    pub fn bins(&self, of: usize) -> Vec<Vec<usize>> {
        let bin = |level: usize| {
            let mut members: Vec<usize> =
                (0..self.cells.len()).filter(|entry| self.cells[*entry][of] == level).collect();
            members.sort_by_key(|entry| self.cells[*entry][1 - of]);
            members
        };
        (0..self.levels[of].len()).map(bin).collect()
    }
}

/// Exactly two different variables.
fn pair(variables: &[String], parameter: &str) -> Result<[String; 2], Failure> {
    match variables {
        [first, second] if first != second => Ok([first.clone(), second.clone()]),
        _ => Err(Failure::input(format!(
            "`{parameter}` names {} variables, expected two different ones",
            variables.len()
        ))
        .hint(format!("for example `{parameter}: [object, colour]`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;

    fn entries(objects: &[&str], sizes: &[i64]) -> MatrixAxis {
        let ids = (0..objects.len()).map(|at| at.to_string());
        let table = DataTable::new().text("id", ids).text("object", objects.to_vec()).integers("size", sizes.to_vec());
        MatrixAxis::new(table.build().unwrap()).unwrap()
    }

    fn crossing(objects: &[&str], sizes: &[i64], variables: &[&str]) -> Result<Crossing, Failure> {
        let variables: Vec<String> = variables.iter().map(|name| (*name).to_owned()).collect();
        Crossing::new(&entries(objects, sizes), &variables, "factors")
    }

    #[test]
    fn values_come_in_the_order_of_the_entries() {
        let found = crossing(&["dog", "cat", "cat", "dog"], &[2, 2, 1, 1], &["object", "size"]).unwrap();
        assert_eq!(
            found.levels,
            [vec!["dog", "cat"], vec!["2", "1"]].map(|list| list.into_iter().map(String::from).collect::<Vec<_>>())
        );
        assert_eq!(found.cells, [[0, 0], [1, 0], [1, 1], [0, 1]]);
        assert_eq!((found.bins(0), found.bins(1)), (vec![vec![0, 3], vec![1, 2]], vec![vec![0, 1], vec![3, 2]]));
    }

    #[test]
    fn incomplete_crossings_are_refused() {
        let message = |objects: &[&str], sizes: &[i64], variables: &[&str]| {
            crossing(objects, sizes, variables).unwrap_err().message
        };
        let both = ["object", "size"];
        assert_eq!(
            message(&["dog", "cat", "cat"], &[2, 2, 1], &both),
            "no stimulus has `object` dog with `size` 1, expected every combination once"
        );
        assert_eq!(message(&["dog", "cat"], &[2, 2], &both), "`size` has 1 value, expected at least two");
        assert!(message(&["dog"], &[2], &["object"]).starts_with("`factors` names 1 variables"));
        assert!(message(&["dog"], &[2], &["size", "size"]).contains("two different"));
        assert!(message(&["dog", "cat"], &[2, 1], &["object", "colour"]).contains("`colour`"));
    }
}
