//! `table/join`: the columns of two tables side by side, where rows have the same values in key columns.
//!
//! Never by position. Rows come in the order of the left table, and partners of one row in the order of the right one. The right table has
//! a key once, unless `many` is set: one that is there twice by mistake would repeat rows. Rows with an empty key have no partner. Rows
//! without a partner are counted, and the first of them are named.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{
    ColumnMeaning, Context, Ended, Failure, IMPORTANT, InputColumns, Kind, StageKind, Task, Value, choice, parameters,
};

use super::any_table::{ANY, AnyTable, CellKey, ColumnCells, kept, keys, words};
use crate::formats::data_table::{self, STAMP};

/// The kind.
pub(super) struct TableJoin;

choice! {
    /// Which rows of the left table are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum KeptRows {
        /// Those with a partner.
        Inner = "inner",
        /// All, those without a partner with empty columns.
        Left = "left",
    }
}

parameters! {
    struct Parameters {
        /// the key columns
        by: Vec<String>;
        /// what the key columns are called in the right table; empty: as in the left one
        right_by: Vec<String> = Vec::new();
        /// `inner`: rows with a partner; `left`: all rows of the left table
        rows: KeptRows = KeptRows::Inner;
        /// a key may be in several rows of the right table; rows of the left one are then repeated
        many: bool = false;
        /// what is put before names of columns of the right table that the left one has too; empty: such columns are refused
        prefix: String = String::new();
    }
}

/// So many rows are named in a note.
const NAMED: usize = 5;

impl StageKind for TableJoin {
    fn kind(&self) -> Kind {
        let kind =
            Kind::new("table/join", 1, "the columns of two tables, where rows have the same values in key columns")
                .gather("left", &[], ANY)
                .gather("right", &[], ANY)
                .folder("table", "table", "all columns of the left table, then those of the right one but its keys")
                .described(data_table::FILES, &[STAMP])
                .others(meaning)
                .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let (left, mut notes) = AnyTable::read(task, "left")?;
        let (right, absent) = AnyTable::read(task, "right")?;
        notes.extend(absent);
        let keys = JoinKeys::of(&left, &right, &parameters)?;
        let pairs = keys.pairs(parameters.many)?;
        notes.extend(keys.notes(&pairs, parameters.rows)?);
        let is_kept = |(_, partner): &&(usize, Option<usize>)| parameters.rows == KeptRows::Left || partner.is_some();
        let (rows, partners): (Vec<Option<usize>>, Vec<Option<usize>>) =
            pairs.iter().filter(is_kept).map(|(row, partner)| (Some(*row), *partner)).unzip();
        let mut joined = AnyTable::with_height(rows.len(), &[&left, &right]);
        for (name, cells) in left.columns() {
            joined.add(name, cells.take(&rows))?;
        }
        for (name, cells) in right.columns().filter(|(name, _)| !parameters.right_keys().iter().any(|key| key == name))
        {
            joined.add(&parameters.right_name(name, &left)?, cells.take(&partners))?;
        }
        joined.write(task, context)?;
        Ok(Ended::noted(notes))
    }
}

impl Parameters {
    fn right_keys(&self) -> &[String] {
        if self.right_by.is_empty() { &self.by } else { &self.right_by }
    }

    /// What a column of the right table is called in the result.
    fn right_name(&self, name: &str, left: &AnyTable) -> Result<String, Failure> {
        match left.columns().any(|(known, _)| known == name) {
            false => Ok(name.to_owned()),
            true if self.prefix.is_empty() => Err(Failure::input(format!("both tables have a column `{name}`"))
                .hint("`prefix` is put before such names of the right table, or make it a key: `by`")),
            true => Ok(format!("{}{name}", self.prefix)),
        }
    }
}

/// A column is that of the left table, if this has it; else that of the right one, with or without the prefix.
fn meaning(name: &str, values: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    let prefix = values.get("prefix").and_then(Value::as_text).unwrap_or_default();
    let of_right = || inputs("right", name).or_else(|| inputs("right", name.strip_prefix(prefix)?));
    inputs("left", name).or_else(of_right).unwrap_or_else(|| kept("left", name, inputs))
}

/// The key columns of both tables.
struct JoinKeys<'a> {
    left: Vec<&'a ColumnCells>,
    right: Vec<&'a ColumnCells>,
    heights: [usize; 2],
}

impl<'a> JoinKeys<'a> {
    fn of(left: &'a AnyTable, right: &'a AnyTable, parameters: &Parameters) -> Result<Self, Failure> {
        let (by, right_by) = (&parameters.by, parameters.right_keys());
        if by.is_empty() || by.len() != right_by.len() {
            return Err(Failure::input(format!(
                "there are {} key columns of the left table and {} of the right one, expected as many, at least one",
                by.len(),
                right_by.len()
            ))
            .hint("`by` names those of the left table, `right_by` those of the right one where they differ"));
        }
        let at = |port: &'static str| move |failure: Failure| failure.at(format!("the table at `{port}`"));
        let left_keys = left.several(by, "by").map_err(at("left"))?;
        let right_keys = right.several(right_by, "right_by").map_err(at("right"))?;
        for ((name, left), right) in by.iter().zip(&left_keys).zip(&right_keys) {
            if left.holds() != right.holds() {
                let (left, right) = (left.holds(), right.holds());
                return Err(Failure::input(format!(
                    "the key `{name}` holds {left} on the left and {right} on the right"
                )));
            }
        }
        Ok(Self { left: left_keys, right: right_keys, heights: [left.height(), right.height()] })
    }

    /// Every row of the left table with each of its partners, or with none.
    fn pairs(&self, many: bool) -> Result<Vec<(usize, Option<usize>)>, Failure> {
        let mut partners: BTreeMap<Vec<CellKey<'_>>, Vec<usize>> = BTreeMap::new();
        for row in 0..self.heights[1] {
            let key = keys(&self.right, row);
            if !key.contains(&CellKey::Empty) {
                partners.entry(key).or_default().push(row);
            }
        }
        if let Some(rows) = partners.values().find(|rows| rows.len() > 1 && !many) {
            let key = words(&self.right, rows[0]);
            return Err(Failure::input(format!(
                "{} rows of the right table have the key {key}, expected one",
                rows.len()
            ))
            .hint("name more key columns in `by`, or set `many` so that rows of the left table are repeated"));
        }
        let mut pairs = Vec::new();
        for row in 0..self.heights[0] {
            match partners.get(&keys(&self.left, row)) {
                Some(found) => pairs.extend(found.iter().map(|partner| (row, Some(*partner)))),
                None => pairs.push((row, None)),
            }
        }
        Ok(pairs)
    }

    /// What is to be noted of rows without a partner.
    fn notes(&self, pairs: &[(usize, Option<usize>)], kept: KeptRows) -> Result<Vec<String>, Failure> {
        let alone: Vec<usize> = pairs.iter().filter(|(_, partner)| partner.is_none()).map(|(row, _)| *row).collect();
        let found: BTreeSet<usize> = pairs.iter().filter_map(|(_, partner)| *partner).collect();
        let unused: Vec<usize> = (0..self.heights[1]).filter(|row| !found.contains(row)).collect();
        let [left, right] = self.heights;
        if found.is_empty() && left > 0 && right > 0 {
            let (here, there) = (words(&self.left, 0), words(&self.right, 0));
            let message = "no row of the left table has a partner in the right one";
            return Err(Failure::input(format!("{message}: keys begin with {here} on the left, {there} on the right"))
                .hint("tables are joined by the values of their key columns: give those of the same units"));
        }
        let mut notes = Vec::new();
        if !alone.is_empty() {
            let end = if kept == KeptRows::Inner { "are left out" } else { "have empty columns of the right one" };
            let named = named(&self.left, &alone);
            notes.push(format!(
                "{IMPORTANT}{} of {left} rows of the left table have no partner and {end}: {named}",
                alone.len()
            ));
        }
        if !unused.is_empty() {
            let named = named(&self.right, &unused);
            notes.push(format!("{} of {right} rows of the right table have no partner: {named}", unused.len()));
        }
        Ok(notes)
    }
}

/// The first of some rows by their keys.
fn named(columns: &[&ColumnCells], rows: &[usize]) -> String {
    let named: Vec<String> = rows.iter().take(NAMED).map(|row| words(columns, *row)).collect();
    let more = if rows.len() > NAMED { "; ..." } else { "" };
    format!("{}{more}", named.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::table::any_table::tests::{given, list, made, text};
    use crate::test_support::tasks::set;

    fn scores() -> DataTable {
        DataTable::new()
            .text("id", ["v1", "v2", "v3", "v1"])
            .text("model", ["A", "A", "A", "B"])
            .numbers("r2", [0.25, 0.5, 0.75, 0.125])
            .stamped(true)
    }

    fn voxels() -> DataTable {
        DataTable::new()
            .text("unit", ["v3", "v1", "v9"])
            .numbers("ceiling", [0.75, 0.5, 0.25])
            .integers("r2", [1, 2, 3])
            .stamped(true)
    }

    fn joined(left: DataTable, right: DataTable, with: &[(&str, Value)]) -> Result<(String, Vec<String>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(&TableJoin, folder.path(), &[("left", left), ("right", right)]);
        set(&mut task, "by", list(&["id"]));
        set(&mut task, "right_by", list(&["unit"]));
        set(&mut task, "prefix", text("voxel_"));
        for (name, value) in with {
            set(&mut task, name, value.clone());
        }
        made(&TableJoin, &task)
    }

    #[test]
    fn rows_are_joined_by_key_in_the_order_of_the_left_table() {
        let (csv, notes) = joined(scores(), voxels(), &[]).unwrap();
        insta::assert_snapshot!(csv, @r"
        id,model,r2,ceiling,voxel_r2,simulated
        v1,A,0.25,0.5,2,true
        v3,A,0.75,0.75,1,true
        v1,B,0.125,0.5,2,true
        ");
        assert_eq!(
            notes,
            [
                "important: 1 of 4 rows of the left table have no partner and are left out: `v2`",
                "1 of 3 rows of the right table have no partner: `v9`"
            ]
        );
        let (csv, notes) = joined(scores(), voxels(), &[("rows", text("left"))]).unwrap();
        insta::assert_snapshot!(csv, @r"
        id,model,r2,ceiling,voxel_r2,simulated
        v1,A,0.25,0.5,2,true
        v2,A,0.5,,,true
        v3,A,0.75,0.75,1,true
        v1,B,0.125,0.5,2,true
        ");
        assert!(notes[0].contains("have empty columns of the right one: `v2`"));
    }

    #[test]
    fn a_key_may_be_there_twice_if_that_is_meant() {
        let regions = || DataTable::new().text("unit", ["v1", "v2", "v1"]).text("region", ["V1", "V2", "hV4"]);
        let twice = joined(scores(), regions(), &[]).unwrap_err();
        assert_eq!(twice.message, "2 rows of the right table have the key `v1`, expected one");
        let (csv, _) = joined(scores(), regions(), &[("many", Value::Bool(true))]).unwrap();
        insta::assert_snapshot!(csv, @r"
        id,model,r2,region,simulated
        v1,A,0.25,V1,true
        v1,A,0.25,hV4,true
        v2,A,0.5,V2,true
        v1,B,0.125,V1,true
        v1,B,0.125,hV4,true
        ");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let message = |right: DataTable, with: &[(&str, Value)]| joined(scores(), right, with).unwrap_err().message;
        assert_eq!(message(voxels(), &[("prefix", text(""))]), "both tables have a column `r2`");
        assert_eq!(
            message(voxels(), &[("by", list(&["id", "model"]))]),
            "there are 2 key columns of the left table and 1 of the right one, expected as many, at least one"
        );
        assert_eq!(
            message(voxels(), &[("right_by", list(&["r2"]))]),
            "the key `id` holds text on the left and whole numbers on the right"
        );
        let lacking = joined(scores(), voxels(), &[("by", list(&["ids"]))]).unwrap_err();
        assert_eq!(lacking.message, "there is no column `ids`");
        assert_eq!(lacking.place.unwrap(), "the table at `left`");
        assert_eq!(
            message(DataTable::new().text("unit", ["n1"]), &[]),
            "no row of the left table has a partner in the right one: keys begin with `v1` on the left, `n1` on the right"
        );
    }

    #[test]
    fn columns_mean_what_they_mean_in_their_table() {
        let known = |port: &str, name: &str| {
            let about = format!("{name} of {port}");
            let is_there = if port == "left" { name != "ceiling" } else { name != "id" };
            is_there.then(|| ColumnMeaning { about, unit: "share".to_owned(), ..ColumnMeaning::default() })
        };
        let values = BTreeMap::from([("prefix".to_owned(), text("voxel_"))]);
        let about = |name: &str| meaning(name, &values, &known).about;
        assert_eq!([about("r2"), about("ceiling")], ["r2 of left", "ceiling of right"]);
        let only_right = |port: &str, name: &str| if port == "right" { known(port, name) } else { None };
        assert_eq!(
            meaning("voxel_r2", &values, &|port, name| only_right(port, name).filter(|_| name == "r2")).about,
            "r2 of right"
        );
    }
}
