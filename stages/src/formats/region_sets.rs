//! Regions of interest as sets of ids, from a table with a row a region and id.
//!
//! Decides that an id which is listed twice for a region is in it once, and that regions are in the order in which they are first named.
//! Regions may overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::Failure;

use super::data_table;

/// Regions in their order, each with its ids in the order of the table.
#[derive(Debug, Default, PartialEq)]
pub struct RegionSets(pub Vec<(String, Vec<String>)>);

impl RegionSets {
    /// All regions of a table with the columns `region` and `id`.
    ///
    /// # Errors
    /// Input: the table lacks a column or cannot be read.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let table = data_table::read(folder)?;
        let names = data_table::texts(&table, "region").map_err(at)?;
        let ids = data_table::texts(&table, "id").map_err(at)?;
        Ok(Self::of(names.into_iter().zip(ids)))
    }

    /// Of pairs of a region and an id.
    pub fn of(rows: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        let mut known: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
        for (name, id) in rows {
            let (place, ids) = known.entry(name.clone()).or_insert_with(|| {
                all.push((name, Vec::new()));
                (all.len() - 1, BTreeSet::new())
            });
            if ids.insert(id.clone()) {
                all[*place].1.push(id);
            }
        }
        Self(all)
    }

    /// These regions in this order.
    ///
    /// # Errors
    /// Input: there is no region of a name.
    pub fn only(&self, names: &[String]) -> Result<Self, Failure> {
        let named = |name: &String| {
            self.0.iter().find(|(known, _)| known == name).cloned().ok_or_else(|| {
                let known: Vec<&str> = self.0.iter().map(|(known, _)| known.as_str()).collect();
                Failure::input(format!("there is no region `{name}`; there are {}", known.join(", ")))
            })
        };
        Ok(Self(names.iter().map(named).collect::<Result<_, Failure>>()?))
    }

    /// Refuses a region that is called as the row of all units, which it would be mistaken for.
    ///
    /// # Errors
    /// Input: there is one; the hint says what to do.
    pub fn without(&self, everywhere: &str, hint: &str) -> Result<(), Failure> {
        match self.0.iter().any(|(region, _)| region == everywhere) {
            true => {
                Err(Failure::input(format!("a region is called `{everywhere}`, as the row of all units is")).hint(hint))
            }
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_sets_in_the_order_of_the_table() {
        let rows = [("V2", "c"), ("V1", "b"), ("V2", "a"), ("V2", "c"), ("V1", "a")];
        let regions = RegionSets::of(rows.map(|(region, id)| (region.to_owned(), id.to_owned())));
        let texts = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let (v2, v1) = (("V2".to_owned(), texts(&["c", "a"])), ("V1".to_owned(), texts(&["b", "a"])));
        assert_eq!(regions, RegionSets(vec![v2.clone(), v1.clone()]));
        assert_eq!(regions.only(&texts(&["V1"])).unwrap(), RegionSets(vec![v1]));
        let failure = regions.only(&texts(&["V9"])).unwrap_err();
        assert_eq!(failure.message, "there is no region `V9`; there are V2, V1");
        assert!(regions.without("all", "").is_ok());
        assert_eq!(
            regions.without("V2", "").unwrap_err().message,
            "a region is called `V2`, as the row of all units is"
        );
    }
}
