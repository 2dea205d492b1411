//! Sets of RDMs from a gathering port, as one set.
//!
//! Decides that sets are joined only if they have the same entries, by their ids and in the order of the first set; that the index of
//! the joined set has the columns that all sets have, and a column for each axis by which they are gathered; and that ids of RDMs begin
//! with the coordinates of their set where there are several.

use pipe_contract::{Coordinates, Failure, Task};
use polars::prelude::{Column, DataFrame};

use crate::formats::data_table;
use crate::formats::matrix::{ID, MatrixAxis};
use crate::formats::rdm_set::RdmSet;

/// All present sets at a port, with their coordinates.
///
/// # Errors
/// Input: there is none, or as [`RdmSet::read`].
pub(super) fn all(task: &Task, port: &str) -> Result<Vec<(Coordinates, RdmSet)>, Failure> {
    let mut sets = Vec::new();
    for (at, path) in task.present(port) {
        sets.push((at.clone(), RdmSet::read(path)?));
    }
    match sets.is_empty() {
        true => Err(Failure::input(format!("port `{port}` has no set of RDMs, expected at least one"))),
        false => Ok(sets),
    }
}

/// All present sets at a port as one.
///
/// # Errors
/// Input: there is none, they differ in their entries or their order, or an id is there twice.
pub(super) fn joined(task: &Task, port: &str) -> Result<RdmSet, Failure> {
    let mut sets = all(task, port)?;
    if sets.len() == 1 {
        let (at, set) = sets.remove(0);
        return with_index(&set, with_coordinates(set.index().table(), &at)?);
    }
    let (first_at, first) = &sets[0];
    let (mut values, mut diagonals, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for (at, set) in &sets {
        if set.about().order != first.about().order || set.entries().len() != first.entries().len() {
            return Err(Failure::input(format!(
                "the set at `{at}` has {} entries and order {}, but that at `{first_at}` has {} and {}",
                set.entries().len(),
                set.about().order,
                first.entries().len(),
                first.about().order
            ))
            .hint("only RDMs of the same entries can be compared"));
        }
        let order = set.entries().positions_of(first.entries().ids(), "entries of the first set");
        let order = order.map_err(|failure| failure.at(format!("the set at `{at}`")))?;
        let all: Vec<usize> = (0..set.len()).collect();
        let same = set.part(&all, &order)?;
        for rdm in all {
            values.extend_from_slice(same.triangle(rdm));
            let zeros = || vec![0.0; order.len()];
            diagonals.extend(same.diagonal(rdm).map_or_else(zeros, <[f64]>::to_vec));
        }
        tables.push(prefixed(&with_coordinates(same.index().table(), at)?, at)?);
    }
    let index = MatrixAxis::new(below(&tables)?)?;
    let mut about = first.about().clone().then(format!("{} sets joined", sets.len()));
    if sets.iter().any(|(_, set)| set.about().unit != about.unit) {
        about.unit.clear();
    }
    let set = RdmSet::new(index, first.entries().clone(), values, Some(diagonals), about)?;
    Ok(match first.sub_entries() {
        Some(sub_entries) => set.with_sub_entries(sub_entries.clone()),
        None => set,
    })
}

fn with_index(set: &RdmSet, table: DataFrame) -> Result<RdmSet, Failure> {
    let index = MatrixAxis::new(table)?;
    let values = (0..set.len()).flat_map(|rdm| set.triangle(rdm).iter().copied()).collect();
    let diagonal = |rdm: usize| set.diagonal(rdm).map_or_else(|| vec![0.0; set.entries().len()], <[f64]>::to_vec);
    let diagonals = (0..set.len()).flat_map(diagonal).collect();
    let same = RdmSet::new(index, set.entries().clone(), values, Some(diagonals), set.about().clone())?;
    Ok(match set.sub_entries() {
        Some(sub_entries) => same.with_sub_entries(sub_entries.clone()),
        None => same,
    })
}

/// The table with a column for each coordinate that it has no column of.
pub(super) fn with_coordinates(table: &DataFrame, at: &Coordinates) -> Result<DataFrame, Failure> {
    let mut columns: Vec<Column> = table.columns().to_vec();
    for (axis, value) in at.iter() {
        if table.column(axis).is_err() {
            columns.push(Column::new(axis.as_str().into(), vec![value.clone(); table.height()]));
        }
    }
    DataFrame::new_infer_height(columns).map_err(unexpected)
}

fn prefixed(table: &DataFrame, at: &Coordinates) -> Result<DataFrame, Failure> {
    let values: Vec<&str> = at.values().map(String::as_str).collect();
    if values.is_empty() {
        return Ok(table.clone());
    }
    let place = values.join("/");
    let ids: Vec<String> = data_table::texts(table, ID)?.iter().map(|id| format!("{place}/{id}")).collect();
    let columns = table.columns().iter().map(|column| match column.name().as_str() {
        ID => Column::new(ID.into(), ids.clone()),
        _ => column.clone(),
    });
    DataFrame::new_infer_height(columns.collect()).map_err(unexpected)
}

/// One table below the other, with the columns that all have, in the order of the first.
fn below(tables: &[DataFrame]) -> Result<DataFrame, Failure> {
    let [first, others @ ..] = tables else { return Err(Failure::internal("there is no table")) };
    let names: Vec<String> = first
        .columns()
        .iter()
        .filter(|column| others.iter().all(|other| has_alike(other, column)))
        .map(|column| column.name().to_string())
        .collect();
    let mut all = first.select(&names).map_err(unexpected)?;
    for other in others {
        all = all.vstack(&other.select(&names).map_err(unexpected)?).map_err(unexpected)?;
    }
    Ok(all)
}

/// Whether a table has a column of this name and type.
fn has_alike(table: &DataFrame, column: &Column) -> bool {
    table.column(column.name().as_str()).is_ok_and(|found| found.dtype() == column.dtype())
}

fn unexpected(error: polars::prelude::PolarsError) -> Failure {
    Failure::internal(format!("an index cannot be put together: {error}"))
}
