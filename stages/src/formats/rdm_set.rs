//! Sets of representational dissimilarity matrices (RDMs) as artifacts: one or many RDMs of the same entries.
//!
//! A folder: `values.npy` (64-bit floats, a row an RDM, its upper triangle by rows: pairs 0-1, 0-2, ..., 1-2, ...), `diagonals.npy` (a
//! row an RDM) only where some diagonal number is not 0, `index.parquet` (a row an RDM: `id`, unique, and what the RDM is of), `entries.parquet`
//! (a row an entry: `id` and its variables), `sub_entries.parquet` (of RDMs of RDMs: the entries of those), `about.json`. Decides this form, that all RDMs of a set have the same entries in the same order,
//! and that a number that is undefined is NaN. Independent of how dissimilarities are computed and of what the entries are.
//!
//! Columns of the index that others rely on, where they apply: `network`, `layer` (texts), `rank` (whole number), `dissimilarity`,
//! `activation`, `kernel_set` (texts), `permutation` (whole number; 0: entries as they are), `scramble` (text: the permutation, in JSON).

use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;
use polars::prelude::Column;
use serde::{Deserialize, Serialize};

use super::matrix::MatrixAxis;
use super::npy_file::{FloatType, NpyFile, NpyWriter};
use super::{data_table, json_file};
use crate::numeric::dissimilarity::{pair_count, pair_index};

/// The file of the upper triangles.
pub const TRIANGLES: &str = "values.npy";
/// The file of the diagonals, where some number in them is not 0.
pub const DIAGONALS: &str = "diagonals.npy";
/// The file of the RDMs' ids and properties.
pub const INDEX: &str = "index.parquet";
/// The file of the entries' ids and variables.
pub const ENTRIES: &str = "entries.parquet";
/// The file of the entries one order below.
pub const SUB_ENTRIES: &str = "sub_entries.parquet";
/// The file about the set.
pub const ABOUT: &str = "about.json";

/// The column of permutations in an index.
pub const PERMUTATION: &str = "permutation";
/// The column of the order of permuted entries in an index: a JSON list of positions, or of RDMs of RDMs one list for every entry.
pub const SCRAMBLE: &str = "scramble";
/// The column of dissimilarities in an index.
pub const DISSIMILARITY: &str = "dissimilarity";

/// What the RDMs of a set have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdmAbout {
    /// What the entries are, in the plural, such as `stimuli` or `layers`.
    pub entries: String,
    /// 1: dissimilarities of patterns; 2: of RDMs of patterns; and so on.
    pub order: u32,
    /// The unit of the dissimilarities; empty if they have none, or several.
    pub unit: String,
    /// What was done to the numbers, in order.
    pub history: Vec<String>,
}

impl RdmAbout {
    /// RDMs of patterns that have no unit and no history yet.
    pub fn of(entries: impl Into<String>) -> Self {
        Self { entries: entries.into(), order: 1, unit: String::new(), history: Vec::new() }
    }

    /// The same with one step more.
    #[must_use]
    pub fn then(mut self, step: impl Into<String>) -> Self {
        self.history.push(step.into());
        self
    }
}

/// RDMs of the same entries, in memory.
#[derive(Clone, Debug)]
pub struct RdmSet {
    entries: MatrixAxis,
    index: MatrixAxis,
    /// Upper triangles, one RDM after the other.
    values: Vec<f64>,
    /// None where all are 0.
    diagonals: Option<Vec<f64>>,
    sub_entries: Option<MatrixAxis>,
    about: RdmAbout,
}

impl RdmSet {
    /// A set of RDMs: `values` are their upper triangles by rows, one RDM after the other; `diagonals` (one RDM after the other) may be
    /// left out where all are 0.
    ///
    /// # Errors
    /// Input: fewer than two entries, so that there is no pair. Internal: not as many numbers as the axes need.
    pub fn new(
        index: MatrixAxis,
        entries: MatrixAxis,
        values: Vec<f64>,
        diagonals: Option<Vec<f64>>,
        about: RdmAbout,
    ) -> Result<Self, Failure> {
        check_entries(&entries, &about)?;
        let (rdms, size) = (index.len(), entries.len());
        let diagonal = diagonals.as_ref().map_or(rdms * size, Vec::len);
        if values.len() != rdms * pair_count(size) || diagonal != rdms * size {
            return Err(Failure::internal(format!(
                "{} and {diagonal} numbers were given for {rdms} RDMs of {size} entries",
                values.len()
            )));
        }
        let diagonals = diagonals.filter(|diagonals| diagonals.iter().any(|value| *value != 0.0));
        Ok(Self { entries, index, values, diagonals, sub_entries: None, about })
    }

    /// Adds what the entries of the RDMs are that these RDMs compare.
    #[must_use]
    pub fn with_sub_entries(mut self, entries: MatrixAxis) -> Self {
        self.sub_entries = Some(entries);
        self
    }

    /// Reads a set and checks that its files fit together.
    ///
    /// # Errors
    /// Input: a file is missing or damaged, or the numbers of RDMs or entries differ between files.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let about: RdmAbout = json_file::read_json(&folder.join(ABOUT))?;
        let (index, entries) = (axis(&folder.join(INDEX))?, axis(&folder.join(ENTRIES))?);
        check_entries(&entries, &about).map_err(at)?;
        let values = numbers(&folder.join(TRIANGLES), [index.len(), pair_count(entries.len())])?;
        let path = folder.join(DIAGONALS);
        let diagonals = match path.exists() {
            true => Some(numbers(&path, [index.len(), entries.len()])?),
            false => None,
        };
        let path = folder.join(SUB_ENTRIES);
        let sub_entries = if path.exists() { Some(axis(&path)?) } else { None };
        let set = Self::new(index, entries, values, diagonals, about).map_err(at)?;
        Ok(Self { sub_entries, ..set })
    }

    /// Writes the set into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// Environment: a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let writer = RdmWriter::create(folder, &self.index, &self.entries, &self.about)?;
        (0..self.len()).try_for_each(|rdm| writer.triangle(rdm, self.triangle(rdm)))?;
        if let Some(diagonals) = &self.diagonals {
            writer.diagonals(diagonals.chunks_exact(self.entries.len()))?;
        }
        if let Some(sub_entries) = &self.sub_entries {
            data_table::write_parquet(&folder.join(SUB_ENTRIES), &mut sub_entries.table().clone())?;
        }
        Ok(())
    }

    /// The RDMs: their ids and what they are of.
    pub fn index(&self) -> &MatrixAxis {
        &self.index
    }

    /// What the rows and columns of every RDM stand for.
    pub fn entries(&self) -> &MatrixAxis {
        &self.entries
    }

    /// Of RDMs of RDMs, what the rows and columns of the RDMs that they compare stand for.
    pub fn sub_entries(&self) -> Option<&MatrixAxis> {
        self.sub_entries.as_ref()
    }

    /// What the RDMs have in common.
    pub fn about(&self) -> &RdmAbout {
        &self.about
    }

    /// How many RDMs.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Never: a set has at least one RDM.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The upper triangle of an RDM by rows.
    ///
    /// # Panics
    /// There is no such RDM.
    pub fn triangle(&self, rdm: usize) -> &[f64] {
        let width = pair_count(self.entries.len());
        &self.values[rdm * width..(rdm + 1) * width]
    }

    /// The diagonal of an RDM; none where the diagonals of all RDMs are 0.
    ///
    /// # Panics
    /// There is no such RDM.
    pub fn diagonal(&self, rdm: usize) -> Option<&[f64]> {
        let size = self.entries.len();
        self.diagonals.as_ref().map(|diagonals| &diagonals[rdm * size..(rdm + 1) * size])
    }

    /// An RDM with both triangles and the diagonal, row after row.
    ///
    /// # Panics
    /// There is no such RDM.
    pub fn square(&self, rdm: usize) -> Vec<f64> {
        square_of(self.triangle(rdm), self.diagonal(rdm), self.entries.len())
    }

    /// The RDMs that can be cut to these entries: all but those of permuted entries in whose places here others come to lie.
    ///
    /// # Errors
    /// Input: the columns of permutations are none.
    pub fn with_room_for(&self, entries: &[usize]) -> Result<Vec<usize>, Failure> {
        let orders = self.moved_orders(&self.index, entries)?;
        Ok((0..self.len()).filter(|rdm| orders.as_ref().is_none_or(|orders| orders[*rdm].is_some())).collect())
    }

    /// By RDM of an index, the order of its permutation among these entries; none where others lie in their places. Nothing where nothing
    /// is permuted or moved.
    fn moved_orders(&self, index: &MatrixAxis, entries: &[usize]) -> Result<Option<Vec<Option<String>>>, Failure> {
        let (table, size) = (index.table(), self.entries.len());
        if entries.iter().copied().eq(0..size) || table.column(PERMUTATION).is_err() {
            return Ok(None);
        }
        let numbers = data_table::words(table, PERMUTATION)?;
        let texts = match table.column(SCRAMBLE) {
            Ok(_) => data_table::words(table, SCRAMBLE)?,
            Err(_) => vec![String::new(); numbers.len()],
        };
        let is_of_patterns = self.about.order == 1;
        let moved = |(number, text): (&String, String)| match number.as_str() {
            "0" => Some(text),
            _ => moved_order(&text, entries, size, is_of_patterns),
        };
        Ok(Some(numbers.iter().zip(texts).map(moved).collect()))
    }

    /// Some of its RDMs, in this order, each of some of its entries, in this order. The column [`SCRAMBLE`] then has places among these.
    ///
    /// # Errors
    /// As [`RdmSet::new`] and [`MatrixAxis::part`]. Input: an RDM of permuted entries would have others than these
    /// ([`RdmSet::with_room_for`]).
    pub fn part(&self, rdms: &[usize], entries: &[usize]) -> Result<Self, Failure> {
        let (mut index, axis) = (self.index.part(rdms)?, self.entries.part(entries)?);
        let size = self.entries.len();
        if let Some(orders) = self.moved_orders(&index, entries)? {
            if let Some(rdm) = orders.iter().position(Option::is_none) {
                return Err(Failure::input(format!(
                    "the RDM `{}` is of permuted entries: in the places of these {} of {size} entries it has others",
                    index.ids()[rdm],
                    entries.len()
                ))
                .hint("leave out RDMs whose `permutation` is not 0, or take the entries before permuting"));
            }
            if index.table().column(SCRAMBLE).is_ok() {
                let mut table = index.table().clone();
                let texts: Vec<String> = orders.into_iter().flatten().collect();
                let changed = table.with_column(Column::new(SCRAMBLE.into(), texts));
                changed.map_err(|error| Failure::internal(error.to_string()))?;
                index = MatrixAxis::new(table)?;
            }
        }
        let mut values = Vec::with_capacity(rdms.len() * pair_count(entries.len()));
        for rdm in rdms {
            let triangle = self.triangle(*rdm);
            for (place, first) in entries.iter().enumerate() {
                let pairs = entries[place + 1..].iter().map(|second| (*first.min(second), *first.max(second)));
                values.extend(pairs.map(|(low, high)| triangle[pair_index(size, low, high)]));
            }
        }
        let diagonals = self.diagonals.as_ref().map(|diagonals| {
            rdms.iter().flat_map(|rdm| entries.iter().map(move |entry| diagonals[rdm * size + entry])).collect()
        });
        let part = Self::new(index, axis, values, diagonals, self.about.clone())?;
        Ok(Self { sub_entries: self.sub_entries.clone(), ..part })
    }
}

/// Writes a set RDM by RDM, in any order, so that it need not be in memory.
#[derive(Debug)]
pub struct RdmWriter {
    folder: PathBuf,
    triangles: NpyWriter,
    rdms: usize,
    entries: usize,
}

impl RdmWriter {
    /// Makes the folder, if it is not there, with all but the numbers; these are 0 until they are written.
    ///
    /// # Errors
    /// Input: fewer than two entries, so that there is no pair. Environment: a file cannot be written.
    pub fn create(folder: &Path, index: &MatrixAxis, entries: &MatrixAxis, about: &RdmAbout) -> Result<Self, Failure> {
        check_entries(entries, about)?;
        fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
        let shape = [index.len(), pair_count(entries.len())];
        let triangles = NpyWriter::create(&folder.join(TRIANGLES), &shape, false, FloatType::F64)?;
        data_table::write_parquet(&folder.join(INDEX), &mut index.table().clone())?;
        data_table::write_parquet(&folder.join(ENTRIES), &mut entries.table().clone())?;
        json_file::write_json(&folder.join(ABOUT), about)?;
        Ok(Self { folder: folder.to_path_buf(), triangles, rdms: index.len(), entries: entries.len() })
    }

    /// Writes the upper triangle of an RDM.
    ///
    /// # Errors
    /// Environment: it cannot be written. Internal: there is no such RDM, or the triangle has another length.
    pub fn triangle(&self, rdm: usize, triangle: &[f64]) -> Result<(), Failure> {
        let pairs = pair_count(self.entries);
        if triangle.len() != pairs {
            return Err(Failure::internal(format!("a triangle has {} numbers, expected {pairs}", triangle.len())));
        }
        self.triangles.write_at(rdm * pairs, triangle)
    }

    /// Writes the diagonals of all RDMs, in order; they are only needed where some number of them is not 0.
    ///
    /// # Errors
    /// Environment: they cannot be written. Internal: there are more than the set has RDMs.
    pub fn diagonals(&self, diagonals: impl Iterator<Item = impl AsRef<[f64]>>) -> Result<(), Failure> {
        let shape = [self.rdms, self.entries];
        let file = NpyWriter::create(&self.folder.join(DIAGONALS), &shape, false, FloatType::F64)?;
        let mut written = diagonals.enumerate();
        written.try_for_each(|(rdm, diagonal)| file.write_at(rdm * self.entries, diagonal.as_ref()))
    }
}

/// A square matrix, row after row, from its upper triangle by rows and its diagonal (0 where there is none).
///
/// # Panics
/// The triangle or the diagonal is shorter than `size` entries need.
pub fn square_of(triangle: &[f64], diagonal: Option<&[f64]>, size: usize) -> Vec<f64> {
    let mut square = vec![0.0; size * size];
    for row in 0..size {
        square[row * size + row] = diagonal.map_or(0.0, |diagonal| diagonal[row]);
        for column in row + 1..size {
            let value = triangle[pair_index(size, row, column)];
            square[row * size + column] = value;
            square[column * size + row] = value;
        }
    }
    square
}

/// An order of entries as the column [`SCRAMBLE`] has it.
pub fn scramble_text(order: &[usize]) -> String {
    let places: Vec<String> = order.iter().map(usize::to_string).collect();
    format!("[{}]", places.join(","))
}

/// The order of permuted entries among those that are kept: place by place, where the entry that lies there is kept. None where one of them
/// is not. Of RDMs of RDMs, whose entries stay in place, the orders of the kept ones.
fn moved_order(text: &str, entries: &[usize], size: usize, is_of_patterns: bool) -> Option<String> {
    if !is_of_patterns {
        let Ok(of_each) = serde_json::from_str::<Vec<Vec<usize>>>(text) else { return Some(text.to_owned()) };
        let kept: Option<Vec<&Vec<usize>>> = entries.iter().map(|entry| of_each.get(*entry)).collect();
        return serde_json::to_string(&kept?).ok();
    }
    let mut places = vec![None; size];
    entries.iter().enumerate().for_each(|(place, entry)| places[*entry] = Some(place));
    if text.is_empty() {
        // An order that is not written down has the same entries only where all are kept.
        return places.iter().all(Option::is_some).then(String::new);
    }
    let order: Vec<usize> = serde_json::from_str(text).ok()?;
    let place = |entry: &usize| order.get(*entry).and_then(|from| places.get(*from).copied().flatten());
    entries.iter().map(place).collect::<Option<Vec<usize>>>().map(|order| scramble_text(&order))
}

fn check_entries(entries: &MatrixAxis, about: &RdmAbout) -> Result<(), Failure> {
    match entries.len() {
        0 | 1 => Err(Failure::input(format!(
            "an RDM of {} {} has no pair, expected at least two",
            entries.len(),
            about.entries
        ))),
        _ => Ok(()),
    }
}

fn axis(path: &Path) -> Result<MatrixAxis, Failure> {
    let table = data_table::read_parquet(path)?;
    MatrixAxis::new(table).map_err(|failure| failure.at(path.display().to_string()))
}

/// All numbers of a file of this shape, row after row.
fn numbers(path: &Path, shape: [usize; 2]) -> Result<Vec<f64>, Failure> {
    let at = |failure: Failure| failure.at(path.display().to_string());
    let file = NpyFile::open(path)?;
    if file.shape() != shape {
        return Err(at(Failure::input(format!(
            "the array has the shape {:?}, but `{INDEX}` and `{ENTRIES}` need {shape:?}",
            file.shape()
        ))
        .hint("a row an RDM, in it the upper triangle by rows: n (n - 1) / 2 numbers of n entries")));
    }
    if file.by_column() && shape.iter().all(|axis| *axis > 1) {
        return Err(at(Failure::input("the array is stored by column, expected by row (C order)")
            .hint("save it with `numpy.save(path, numpy.ascontiguousarray(values))`")));
    }
    file.read(0, shape[0] * shape[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;

    fn example(diagonals: Option<Vec<f64>>) -> RdmSet {
        let index = DataTable::new().text("id", ["a", "b"]).integers("rank", [0, 1]).build().unwrap();
        let entries = DataTable::new().text("id", ["x", "y", "z"]).text("colour", ["red", "red", "blue"]);
        let entries = MatrixAxis::new(entries.build().unwrap()).unwrap();
        let values = vec![1.0, 2.0, f64::NAN, 4.0, 5.0, 6.0];
        let about = RdmAbout::of("stimuli").then("made");
        RdmSet::new(MatrixAxis::new(index).unwrap(), entries, values, diagonals, about).unwrap()
    }

    fn same(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len()
            && found
                .iter()
                .zip(expected)
                .all(|(found, expected)| found == expected || found.is_nan() && expected.is_nan())
    }

    #[test]
    fn sets_come_back_and_zero_diagonals_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        example(Some(vec![0.0; 6])).write(folder.path()).unwrap();
        assert!(!folder.path().join(DIAGONALS).exists());
        let read = RdmSet::read(folder.path()).unwrap();
        assert_eq!((read.len(), read.is_empty(), read.entries().ids()[2].as_str()), (2, false, "z"));
        assert_eq!(read.about(), &RdmAbout::of("stimuli").then("made"));
        assert!(same(read.triangle(0), &[1.0, 2.0, f64::NAN]) && read.diagonal(1).is_none());
        assert_eq!(read.square(1), [0.0, 4.0, 5.0, 4.0, 0.0, 6.0, 5.0, 6.0, 0.0]);
        example(Some(vec![0.0, 0.0, 0.0, 7.0, 8.0, 9.0])).write(folder.path()).unwrap();
        let read = RdmSet::read(folder.path()).unwrap();
        assert_eq!(read.square(1), [7.0, 4.0, 5.0, 4.0, 8.0, 6.0, 5.0, 6.0, 9.0]);
        assert!(read.sub_entries().is_none());
        let above = example(None).with_sub_entries(MatrixAxis::of_ids(["p", "q"]).unwrap());
        above.part(&[0], &[0, 1]).unwrap().write(folder.path()).unwrap();
        let below = RdmSet::read(folder.path());
        assert!(below.is_err(), "the diagonals of another set are there");
        fs::remove_file(folder.path().join(DIAGONALS)).unwrap();
        assert_eq!(RdmSet::read(folder.path()).unwrap().sub_entries().unwrap().ids(), ["p", "q"]);
    }

    #[test]
    fn parts_keep_pairs_together() {
        let part = example(Some(vec![0.0, 0.0, 0.0, 7.0, 8.0, 9.0])).part(&[1], &[2, 0]).unwrap();
        assert_eq!(part.square(0), [9.0, 5.0, 5.0, 7.0]);
        assert_eq!(
            (part.index().ids(), part.entries().ids()),
            (["b".to_owned()].as_slice(), ["z", "x"].map(String::from).as_slice())
        );
        let all = example(None).part(&[0, 1], &[0, 1, 2]).unwrap();
        assert!(same(all.triangle(0), example(None).triangle(0)));
    }

    /// Entries w, x, y, z; the second RDM has y, z, x, w in their places, so that its pairs 0-1, 0-2, ... are y-z, y-x, y-w, ...
    #[test]
    fn orders_of_permuted_entries_move_with_them() {
        let order = [2, 3, 1, 0];
        let plain = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let permuted = crate::numeric::dissimilarity::reordered(&plain, 4, &order);
        let of_order = |of: u32, scramble: &str| {
            let index = crate::formats::data_table::DataTable::new()
                .text("id", ["as they are", "permuted"])
                .integers(PERMUTATION, [0, 1])
                .text(SCRAMBLE, ["", scramble]);
            let about = RdmAbout { order: of, ..RdmAbout::of("stimuli") };
            let entries = MatrixAxis::of_ids(["w", "x", "y", "z"]).unwrap();
            let values = [plain.clone(), permuted.clone()].concat();
            RdmSet::new(MatrixAxis::new(index.build().unwrap()).unwrap(), entries, values, None, about).unwrap()
        };
        let scramble = |set: &RdmSet| data_table::texts(set.index().table(), SCRAMBLE).unwrap()[1].clone();
        let set = of_order(1, &scramble_text(&order));
        let turned = set.part(&[0, 1], &[3, 0, 1, 2]).unwrap();
        assert_eq!(scramble(&turned), "[1,3,0,2]", "w, y, z, x lie where z, w, x, y were");
        let expected = crate::numeric::dissimilarity::reordered(turned.triangle(0), 4, &[1, 3, 0, 2]);
        assert_eq!(turned.triangle(1), expected);
        let failure = set.part(&[0, 1], &[0, 1, 2]).unwrap_err();
        assert!(
            failure.message.starts_with("the RDM `permuted` is of permuted entries: in the places of these 3 of 4")
        );
        assert_eq!(set.with_room_for(&[0, 1, 2]).unwrap(), [0]);
        assert_eq!(set.with_room_for(&[0, 1, 2, 3]).unwrap(), [0, 1]);
        assert_eq!(set.part(&[0], &[0, 1, 2]).unwrap().triangle(0), [1.0, 2.0, 4.0]);
        assert_eq!(of_order(1, "").with_room_for(&[0, 1]).unwrap(), [0]);
        let second = of_order(2, "[[1,0],[0,1],[1,0],[0,1]]").part(&[0, 1], &[3, 0]).unwrap();
        assert_eq!((scramble(&second).as_str(), second.triangle(0)), ("[[0,1],[1,0]]", [3.0].as_slice()));
    }

    #[test]
    fn a_pair_needs_two_entries() {
        assert!(example(None).part(&[0], &[0]).unwrap_err().message.contains("has no pair"));
    }

    #[test]
    fn files_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let set = example(None);
        set.write(folder.path()).unwrap();
        let path = folder.path().join(TRIANGLES);
        drop(NpyWriter::create(&path, &[2, 4], false, FloatType::F64).unwrap());
        assert!(RdmSet::read(folder.path()).unwrap_err().message.contains("[2, 4], but"));
        drop(NpyWriter::create(&path, &[2, 3], true, FloatType::F64).unwrap());
        assert!(RdmSet::read(folder.path()).unwrap_err().message.contains("stored by column"));
        drop(NpyWriter::create(&path, &[2, 3], false, FloatType::F32).unwrap());
        assert!(same(RdmSet::read(folder.path()).unwrap().triangle(1), &[0.0; 3]), "32 bits are read too");
        let diagonals = folder.path().join(DIAGONALS);
        drop(NpyWriter::create(&diagonals, &[2, 2], false, FloatType::F64).unwrap());
        assert!(RdmSet::read(folder.path()).unwrap_err().message.contains("[2, 2], but"));
        fs::remove_file(folder.path().join(ABOUT)).unwrap();
        assert_eq!(RdmSet::read(folder.path()).unwrap_err().message, "the file does not exist");
        let one = MatrixAxis::of_ids(["x"]).unwrap();
        let index = MatrixAxis::of_ids(["a"]).unwrap();
        let failure = RdmSet::new(index, one, Vec::new(), None, RdmAbout::of("stimuli")).unwrap_err();
        assert_eq!(failure.message, "an RDM of 1 stimuli has no pair, expected at least two");
        let failure = RdmSet::new(set.index.clone(), set.entries.clone(), vec![0.0; 5], None, set.about.clone());
        assert!(failure.unwrap_err().message.contains("5 and 6 numbers"));
    }
}
