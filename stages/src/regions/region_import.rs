//! `regions/import`: regions of interest of a table of others, with a row for each voxel or vertex of a region.
//!
//! Decides that a region is a set: a row that is there twice counts once and is noted. A row of a CSV file without a region is in none, as
//! in a table of all voxels with a column of regions; a row without an id is refused, and so is any gap in a Parquet file. Regions come
//! in the order in which they are first named, and ids of a region in that of the file. Ids are text as it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use crate::formats::csv_text::{CsvText, is_missing};
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::ID;
use crate::formats::nearest_names::nearest;

/// The kind.
pub(super) struct RegionImport;

parameters! {
    struct Parameters {
        /// the column of regions
        region: String = "region".to_owned();
        /// the column of ids: those of voxels or vertices
        id: String = ID.to_owned();
        /// the column of groups of regions, such as `retino`; empty for none
        group: String = String::new();
    }
}

const COLUMNS: &[Column] = &[
    Column::new("region", "the region, in the order in which regions are first named"),
    Column::new("group", "the group of regions; empty without groups"),
    Column::new("id", "a voxel or vertex of it; regions may overlap"),
];

impl StageKind for RegionImport {
    fn kind(&self) -> Kind {
        Kind::new("regions/import", 1, "regions of interest of a CSV or Parquet file")
            .input("file", &[], "CSV with a line of names, or Parquet: a row for each voxel or vertex of a region")
            .folder("regions", "regions", "a row a region and id")
            .described(data_table::FILES, COLUMNS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let path = task.one("file")?;
        let read = || {
            let is_parquet = data_table::is_parquet(path)?;
            let rows = if is_parquet { parquet_rows(path, &parameters)? } else { csv_rows(path, &parameters)? };
            RegionList::of(rows)
        };
        let found = read().map_err(|failure: Failure| match failure.place {
            None => failure.at(path.display().to_string()),
            Some(_) => failure,
        })?;
        let rows = || found.regions.iter().flat_map(|region| region.ids.iter().map(move |id| (region, id)));
        let table = DataTable::of(COLUMNS)
            .text("region", rows().map(|(region, _)| region.name.as_str()))
            .text("group", rows().map(|(region, _)| region.group.as_str()))
            .text("id", rows().map(|(_, id)| id.as_str()));
        data_table::write(task.output("regions")?, &mut table.build()?)?;
        context.log(&format!("{} regions, {} rows", found.regions.len(), rows().count()));
        Ok(Ended::noted(found.notes()))
    }
}

/// A row of the file.
struct RegionRow {
    region: String,
    group: String,
    id: String,
}

fn csv_rows(path: &Path, parameters: &Parameters) -> Result<Vec<RegionRow>, Failure> {
    let mut file = CsvText::open(path)?;
    let names = file.names().to_vec();
    let place = |name: &String| names.iter().position(|known| known == name).ok_or_else(|| lacks(name, &names));
    let (region, id) = (place(&parameters.region)?, place(&parameters.id)?);
    let group = if parameters.group.is_empty() { None } else { Some(place(&parameters.group)?) };
    let mut rows = Vec::new();
    while let Some(record) = file.read()? {
        let field = |at: usize| {
            let field = record.get(at).unwrap_or_default();
            if is_missing(field) { String::new() } else { field.trim().to_owned() }
        };
        let row = RegionRow { region: field(region), group: group.map_or_else(String::new, field), id: field(id) };
        if row.id.is_empty() && !row.region.is_empty() {
            return Err(file.fault(format!("a row of `{}` has no id in `{}`", row.region, parameters.id)));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn parquet_rows(path: &Path, parameters: &Parameters) -> Result<Vec<RegionRow>, Failure> {
    let table = data_table::read_parquet(path)?;
    let (regions, ids) = (column(&table, &parameters.region)?, column(&table, &parameters.id)?);
    let groups = match parameters.group.as_str() {
        "" => vec![String::new(); regions.len()],
        group => column(&table, group)?,
    };
    let rows = regions.into_iter().zip(groups).zip(ids);
    Ok(rows.map(|((region, group), id)| RegionRow { region, group, id }).collect())
}

fn column(table: &DataFrame, name: &str) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = table.get_column_names().iter().map(ToString::to_string).collect();
    if names.iter().any(|known| known == name) { data_table::words(table, name) } else { Err(lacks(name, &names)) }
}

fn lacks(name: &str, names: &[String]) -> Failure {
    let near = nearest(name, names.iter().map(String::as_str));
    Failure::input(format!("there is no column `{name}`"))
        .hint(format!("the nearest names are {near}; `region`, `id` and `group` say which columns are read"))
}

/// A region of the file, with each of its ids once.
struct ListedRegion {
    name: String,
    group: String,
    ids: Vec<String>,
}

/// The regions of a file.
struct RegionList {
    regions: Vec<ListedRegion>,
    /// Rows that are in no region.
    without: usize,
    /// Rows that were there before.
    repeated: usize,
}

impl RegionList {
    fn of(rows: Vec<RegionRow>) -> Result<Self, Failure> {
        let mut list = Self { regions: Vec::new(), without: 0, repeated: 0 };
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut seen: BTreeSet<(usize, String)> = BTreeSet::new();
        for (number, RegionRow { region, group, id }) in (1..).zip(rows) {
            if region.is_empty() {
                list.without += 1;
                continue;
            }
            if id.is_empty() {
                return Err(Failure::input(format!("row {number}, of `{region}`, has no id")));
            }
            let place = *places.entry(region.clone()).or_insert(list.regions.len());
            if place == list.regions.len() {
                list.regions.push(ListedRegion { name: region, group: group.clone(), ids: Vec::new() });
            }
            let ListedRegion { name, group: first, ids } = &mut list.regions[place];
            if *first != group {
                return Err(Failure::input(format!(
                    "`{name}` is a region of the groups `{first}` and `{group}`, expected each name once"
                )));
            }
            if seen.insert((place, id.clone())) {
                ids.push(id);
            } else {
                list.repeated += 1;
            }
        }
        match list.regions.is_empty() {
            true => Err(Failure::input("no row has a region")),
            false => Ok(list),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.without > 0 {
            notes.push(format!("rows without a region, which are in none: {}", self.without));
        }
        if self.repeated > 0 {
            notes.push(format!("rows that repeat a region and an id, and count once: {}", self.repeated));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::test_support::tasks;

    fn import(bytes: &[u8], set: &[(&str, &str)]) -> Result<(String, Vec<String>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&RegionImport, folder.path());
        let path = folder.path().join("file");
        fs_err::write(&path, bytes).unwrap();
        tasks::give(&mut task, "file", &path);
        for (name, value) in set {
            tasks::set(&mut task, name, Value::Text((*value).to_owned()));
        }
        let notes = tasks::run(&RegionImport, &task)?;
        let csv = fs_err::read_to_string(folder.path().join("regions").join(data_table::CSV)).unwrap();
        Ok((csv, notes))
    }

    const VOXELS: &[u8] = b"voxel,roi,set\n012,V2,retino\n7,V1,retino\n012,V1,retino\n9,FFA,face\n7,V1,retino\n8,,\n";

    #[test]
    fn regions_overlap_and_are_sets() {
        let (csv, notes) = import(VOXELS, &[("region", "roi"), ("id", "voxel"), ("group", "set")]).unwrap();
        insta::assert_snapshot!(csv, @r"
        region,group,id
        V2,retino,012
        V1,retino,7
        V1,retino,012
        FFA,face,9
        ");
        assert_eq!(
            notes,
            ["rows without a region, which are in none: 1", "rows that repeat a region and an id, and count once: 1"]
        );
        let (csv, _) = import(b"region\tid\nV1\tv1\n", &[]).unwrap();
        assert_eq!(csv, "region,group,id\nV1,\"\",v1\n");
    }

    #[test]
    fn parquet_files_may_have_numbers_as_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let table = DataTable::new().text("region", ["V1", "V2"]).integers("id", [12, 7]);
        data_table::write_parquet(&path, &mut table.build().unwrap()).unwrap();
        let (csv, _) = import(&fs_err::read(&path).unwrap(), &[]).unwrap();
        assert_eq!(csv, "region,group,id\nV1,\"\",12\nV2,\"\",7\n");
    }

    #[test]
    fn mistakes_have_a_sentence() {
        let failure = |bytes: &[u8], set: &[(&str, &str)]| import(bytes, set).unwrap_err();
        let column = failure(VOXELS, &[("region", "roi"), ("id", "voxels")]);
        assert_eq!(column.message, "there is no column `voxels`");
        assert!(column.hint.unwrap().starts_with("the nearest names are `voxel`"));
        let no_id = failure(b"region,id\nV1,a\nV1,\n", &[]);
        assert_eq!(no_id.message, "a row of `V1` has no id in `id`");
        assert!(no_id.place.unwrap().ends_with("file:3"));
        let groups = failure(b"region,id,group\nV1,a,x\nV1,b,y\n", &[("group", "group")]);
        assert_eq!(groups.message, "`V1` is a region of the groups `x` and `y`, expected each name once");
        assert_eq!(failure(b"region,id\n,a\n", &[]).message, "no row has a region");
    }
}
