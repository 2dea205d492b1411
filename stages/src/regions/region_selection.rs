//! `regions/select`: some regions of interest alone, in the order in which they are named.
//!
//! Decides that a region that is named has members: one that is empty or has another name is refused, because results without rows
//! would look like results of nothing. Every response is fitted by itself, so that results of the voxels of a region are the same
//! numbers, whether voxels are selected before models are fitted or after.

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use crate::formats::data_table;

/// The kind.
pub(super) struct RegionSelection;

parameters! {
    struct Parameters {
        /// regions, or groups of regions (such as `face`), in this order; none, or the name `all`: every region
        names: Vec<String> = Vec::new();
    }
}

/// The name of all units together.
const ALL: &str = "all";

const COLUMNS: &[Column] = &[
    Column::new("region", "the region, in the order of the parameter"),
    Column::new("group", "the group of regions that it is from"),
    Column::new("id", "a voxel or vertex of it"),
];

impl StageKind for RegionSelection {
    fn kind(&self) -> Kind {
        Kind::new("regions/select", 1, "some regions of interest alone, in the order in which they are named")
            .input("regions", &["regions"], "regions and their voxels or vertices")
            .folder("regions", "regions", "the rows of these regions")
            .described(data_table::FILES, COLUMNS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { names } = task.parameters()?;
        let path = task.one("regions")?;
        let at = |failure: Failure| failure.at(path.display().to_string());
        let table = data_table::read(path)?;
        let regions = data_table::texts(&table, "region").map_err(at)?;
        let groups = data_table::texts(&table, "group").map_err(at)?;
        let mut kept: Vec<usize> = Vec::new();
        if names.is_empty() || names.iter().any(|name| name == ALL) {
            kept.extend(0..regions.len());
        } else {
            let mut taken = vec![false; regions.len()];
            for name in &names {
                let of_name: Vec<usize> =
                    (0..regions.len()).filter(|row| regions[*row] == *name || groups[*row] == *name).collect();
                if of_name.is_empty() {
                    return Err(at(empty(name, &regions)));
                }
                kept.extend(of_name.into_iter().filter(|row| !std::mem::replace(&mut taken[*row], true)));
            }
        }
        data_table::write(task.output("regions")?, &mut data_table::rows(&table, &kept)?)?;
        Ok(Ended::done())
    }
}

/// That a region has no voxel.
fn empty(name: &str, regions: &[String]) -> Failure {
    let mut known: Vec<&str> = Vec::new();
    for region in regions {
        if !known.contains(&region.as_str()) {
            known.push(region);
        }
    }
    Failure::input(format!("no voxel or vertex lies in a region `{name}`; there are {}", known.join(", ")))
        .hint("a region that has no voxel in the mask is in no table")
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::test_support::tasks;

    #[test]
    fn regions_are_in_the_order_of_their_names_and_have_members() {
        let folder = tempfile::tempdir().unwrap();
        let regions = DataTable::new()
            .text("region", ["V1", "V1", "FFA", "EBA"])
            .text("group", ["retino", "retino", "face", "body"])
            .text("id", ["b", "a", "c", "c"]);
        data_table::write(&folder.path().join("given"), &mut regions.build().unwrap()).unwrap();
        let mut task = tasks::task(&RegionSelection, folder.path());
        tasks::give(&mut task, "regions", &folder.path().join("given"));
        let mut select = |names: &[&str]| {
            let names = names.iter().map(|name| Value::Text((*name).to_owned())).collect();
            tasks::set(&mut task, "names", Value::List(names));
            tasks::run(&RegionSelection, &task)
                .map(|_| fs_err::read_to_string(folder.path().join("regions").join(data_table::CSV)).unwrap())
        };
        let all = "region,group,id\nV1,retino,b\nV1,retino,a\nFFA,face,c\nEBA,body,c\n";
        assert_eq!(select(&[]).unwrap(), all);
        assert_eq!(select(&["all"]).unwrap(), all);
        assert_eq!(select(&["EBA", "V1"]).unwrap(), "region,group,id\nEBA,body,c\nV1,retino,b\nV1,retino,a\n");
        assert_eq!(
            select(&["FFA-2"]).unwrap_err().message,
            "no voxel or vertex lies in a region `FFA-2`; there are V1, FFA, EBA"
        );
        let body_and_face = "region,group,id\nEBA,body,c\nFFA,face,c\n";
        assert_eq!(select(&["body", "EBA", "face"]).unwrap(), body_and_face, "groups, each region once");
    }
}
