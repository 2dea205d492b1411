//! The regions by which results of responses are summarised.
//!
//! A region may overlap others. One without any response of the results is kept, with a count of 0 and no values, and noted: a
//! missing row would look like a forgotten region. If that is so of all regions, they are of something else, and refused.

use pipe_contract::{Failure, IMPORTANT, Task};

use crate::formats::matrix::MatrixAxis;
use crate::formats::region_sets::RegionSets;

/// The region that has all responses.
const ALL: &str = "all";

/// A named set of responses.
#[derive(Debug, PartialEq)]
pub(super) struct ResponseRegion {
    pub name: String,
    /// Their places, ascending.
    pub members: Vec<usize>,
}

/// The regions at the port `regions` in the order in which they are first named, then all responses as `all`; and what is to
/// be noted about them.
pub(super) fn read(task: &Task, responses: &MatrixAxis) -> Result<(Vec<ResponseRegion>, Vec<String>), Failure> {
    let mut regions = Vec::new();
    let mut notes = Vec::new();
    if let Some(folder) = task.maybe("regions") {
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let sets = RegionSets::read(folder)?;
        sets.without(ALL, "give that region another name").map_err(at)?;
        regions = of(&sets, responses);
        let empty: Vec<String> = regions
            .iter()
            .filter(|region| region.members.is_empty())
            .map(|region| format!("`{}`", region.name))
            .collect();
        if empty.len() == regions.len() {
            let ids: usize = sets.0.iter().map(|(_, ids)| ids.len()).sum();
            let message = format!("none of the {ids} ids of regions is that of a response");
            return Err(at(Failure::input(message))
                .hint("regions and responses are joined by their ids: give those of the same brain"));
        }
        if !empty.is_empty() {
            notes.push(format!("{IMPORTANT}no response lies in {}: n is 0 there, without values", empty.join(", ")));
        }
    }
    regions.push(ResponseRegion { name: ALL.to_owned(), members: (0..responses.len()).collect() });
    Ok((regions, notes))
}

fn of(sets: &RegionSets, responses: &MatrixAxis) -> Vec<ResponseRegion> {
    let region = |(name, ids): &(String, Vec<String>)| {
        let mut members: Vec<usize> = ids.iter().filter_map(|id| responses.position(id)).collect();
        members.sort_unstable();
        ResponseRegion { name: name.clone(), members }
    };
    sets.0.iter().map(region).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_overlap_keep_their_order_and_may_be_empty() {
        let responses = MatrixAxis::of_ids(["v1", "v2", "v3"]).unwrap();
        let rows = [("V2", "v3"), ("V1", "v2"), ("V2", "v1"), ("V2", "v3"), ("far", "v9"), ("V1", "v1")];
        let sets = RegionSets::of(rows.map(|(name, id)| (name.to_owned(), id.to_owned())));
        let found = of(&sets, &responses);
        let found: Vec<(&str, &[usize])> =
            found.iter().map(|region| (region.name.as_str(), region.members.as_slice())).collect();
        assert_eq!(found, [("V2", [0, 2].as_slice()), ("V1", &[0, 1]), ("far", &[])]);
    }
}
