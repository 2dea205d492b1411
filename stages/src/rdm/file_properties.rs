//! What a file of rsatoolbox says of its RDMs or its entries: their ids, and other properties.
//!
//! Decides which property is the id, and that a property must have a value for each: a file never names some of its RDMs. Properties that
//! are no lists are left out and named. Independent of tables that are given beside the file.

use pipe_contract::Failure;
use polars::prelude::Column;

use crate::formats::hdf5;
use crate::formats::matrix::ID;
use crate::formats::nearest_names::nearest;
use crate::formats::rsatoolbox_file::descriptors;

/// The ids of RDMs or of entries, as a file has them, and its other properties of them.
#[derive(Default)]
pub(super) struct FileProperties {
    /// The ids; none if the file has no such property.
    pub ids: Option<Vec<String>>,
    /// The other properties, a value for each.
    pub columns: Vec<Column>,
    /// Properties that cannot be columns.
    pub left_out: Vec<String>,
}

impl FileProperties {
    /// Reads a group of properties; `id` is the one that is the id.
    ///
    /// # Errors
    /// Input: the file is damaged, or has no property of this name, where it is not the usual one.
    pub fn read(file: &hdf5::File, group: &str, id: &str) -> Result<Self, Failure> {
        let (found, mut left_out) = descriptors(file, group)?;
        let ids = found.iter().find(|(name, _)| name == id).map(|(_, values)| values.words());
        if ids.is_none() && id != ID {
            let known = nearest(id, found.iter().map(|(name, _)| name.as_str()));
            return Err(Failure::input(format!("the file has no list `{id}` in `{group}`"))
                .hint(format!("the nearest names are {known}")));
        }
        let mut columns = Vec::new();
        for (name, values) in found.into_iter().filter(|(name, _)| name != id) {
            match name.as_str() {
                ID => left_out.push(name),
                _ => columns.push(values.column(&name)),
            }
        }
        Ok(Self { ids, columns, left_out })
    }

    /// The names of the properties beside the ids.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("`{}`", column.name())).collect();
        names.join(", ")
    }

    /// That there is a value for each of so many.
    ///
    /// # Errors
    /// Input: there are more or fewer of some property.
    pub fn check(&self, count: usize, of: &str) -> Result<(), Failure> {
        let ids = self.ids.iter().map(|ids| (ID, ids.len()));
        let columns = self.columns.iter().map(|column| (column.name().as_str(), column.len()));
        match ids.chain(columns).find(|(_, values)| *values != count) {
            None => Ok(()),
            Some((name, values)) => Err(Failure::input(format!(
                "the property `{name}` of {of} has {values} values in the file, expected one for each of {count}"
            ))),
        }
    }
}
