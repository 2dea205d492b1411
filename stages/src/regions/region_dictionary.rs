//! `regions/dictionary`: voxels and regions of a dictionary of NumPy arrays that Python pickled, as fMRI labs keep them.
//!
//! The dictionary has a mask over the volume, the volume's shape, a noise ceiling a voxel of the mask, and for each group of regions a
//! dictionary of names and numbers with an array of these numbers. The volume is counted in C order (last axis fastest); an id is that
//! count. Nothing in the file is run, and nothing but numbers, text, lists, dictionaries and arrays is read.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{
    Column as Described, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, choice, parameters,
};

use crate::formats::brain_places::{VOLUME, dimensions};
use crate::formats::data_table::{self, DataTable};
use crate::formats::numpy::{Array, read_objects};
use crate::formats::pickle::Item;

/// The kind.
pub(super) struct Dictionary;

parameters! {
    struct Parameters {
        /// key of the mask: truth values, one a voxel of the volume
        mask: String = "voxel_mask".to_owned();
        /// key of the volume's shape: three whole numbers
        shape: String = "brain_nii_shape".to_owned();
        /// key of the noise ceilings, one a voxel of the mask; empty if there are none
        ceiling: String = "noise_ceiling_avgreps".to_owned();
        /// what the ceilings are parts of
        ceiling_unit: CeilingUnit = CeilingUnit::Percent;
        /// names of the groups of regions, in order
        groups: Vec<String> = words(["retino", "face", "place", "body"]);
        /// for each group the key of its names: a dictionary of name and number
        names: Vec<String> = words(["ret_prf_roi_names", "floc_face_roi_names", "floc_place_roi_names", "floc_body_roi_names"]);
        /// for each group the key of its numbers, one a voxel of the volume or of the mask
        labels: Vec<String> = words(["roi_labels_retino", "roi_labels_face", "roi_labels_place", "roi_labels_body"]);
    }
}

choice! {
    /// What a ceiling is a part of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum CeilingUnit {
        /// Of 100.
        Percent = "percent",
        /// Of 1.
        Fraction = "fraction",
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(String::from).to_vec()
}

const COLUMNS: &[Described] = &[
    Described::new("id", "the voxel: `v` and its place in the volume, counted in C order from 0"),
    Described::new("i", "its index on the first axis, x of NIfTI"),
    Described::new("j", "its index on the second axis, y"),
    Described::new("k", "its index on the third axis, z"),
    Described::new(
        "volume",
        "the shape of the volume that these are of, such as `81 x 104 x 83`; a cortex with another one is refused",
    ),
    Described::measured(
        "ceiling",
        "share of variance",
        "the most variance that a model can explain; not there without ceilings",
    ),
];

const REGIONS: &[Described] = &[
    Described::new("region", "the region, in the order of its group"),
    Described::new("group", "the group of regions, in the order of the parameter"),
    Described::new("id", "a voxel of it; a voxel may be in several regions"),
];

impl StageKind for Dictionary {
    fn kind(&self) -> Kind {
        Kind::new("regions/dictionary", 1, "voxels and regions of interest of a pickled dictionary of NumPy arrays")
            .input("file", &[], "a pickle, or an `.npy` file that holds one object (`numpy.save` of a dictionary)")
            .folder(
                "columns",
                "table",
                "a row a voxel of the mask, in the order of the volume: where it lies, and its noise ceiling",
            )
            .described(data_table::FILES, COLUMNS)
            .folder("regions", "regions", "a row a region and voxel")
            .described(data_table::FILES, REGIONS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let path = task.one("file")?;
        let read = || {
            let dictionary = Entries::of(read_objects(path)?, "the file")?;
            let voxels = Voxels::read(&dictionary, &parameters)?;
            let regions = regions(&dictionary, &parameters, &voxels)?;
            Ok((voxels, regions))
        };
        let (voxels, regions) = read().map_err(|failure: Failure| match failure.place {
            None => failure.at(path.display().to_string()),
            Some(_) => failure,
        })?;
        let whole = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let axis = |axis: usize| -> Vec<i64> {
            voxels.masked.iter().map(|place| whole(voxels.indices(*place)[axis])).collect()
        };
        let mut columns = DataTable::of(COLUMNS)
            .text("id", voxels.masked.iter().map(|place| id(*place)))
            .integers("i", axis(0))
            .integers("j", axis(1))
            .integers("k", axis(2))
            .text(VOLUME, vec![dimensions(voxels.shape); voxels.masked.len()]);
        if let Some(ceilings) = &voxels.ceilings {
            columns = columns.numbers("ceiling", ceilings.iter().copied());
        }
        data_table::write(task.output("columns")?, &mut columns.build()?)?;
        let rows = || regions.iter().flat_map(|region| region.places.iter().map(move |place| (region, *place)));
        let table = DataTable::of(REGIONS)
            .text("region", rows().map(|(region, _)| region.name.as_str()))
            .text("group", rows().map(|(region, _)| region.group.as_str()))
            .text("id", rows().map(|(_, place)| id(place)));
        data_table::write(task.output("regions")?, &mut table.build()?)?;
        let empty: Vec<String> = regions
            .iter()
            .filter(|region| region.places.is_empty())
            .map(|region| format!("`{}`", region.name))
            .collect();
        let notes = match empty.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "{IMPORTANT}regions without a voxel in the mask, and so in no table: {}",
                empty.join(", ")
            )],
        };
        let [x, y, z] = voxels.shape;
        context.log(&format!("{} voxels of {x} x {y} x {z}, {} regions", voxels.masked.len(), regions.len()));
        notes.iter().for_each(|note| context.log(note));
        Ok(Ended::noted(notes))
    }
}

/// The id of the voxel at a place of the volume.
fn id(place: usize) -> String {
    format!("v{place:07}")
}

/// A dictionary with text as keys.
struct Entries(Vec<(Item<Array>, Item<Array>)>);

impl Entries {
    fn of(item: Item<Array>, what: &str) -> Result<Self, Failure> {
        match item {
            Item::Dict(pairs) => Ok(Self(pairs)),
            _ => Err(Failure::input(format!("{what} holds no dictionary"))
                .hint("in Python: `numpy.save(path, {\"voxel_mask\": mask, ...})`")),
        }
    }

    /// The last value of a key, as in Python.
    fn get(&self, key: &str) -> Result<&Item<Array>, Failure> {
        let is_key = |found: &Item<Array>| matches!(found, Item::Text(text) if &**text == key);
        let found = self.0.iter().rev().find(|(found, _)| is_key(found));
        found.map(|(_, value)| value).ok_or_else(|| {
            let known = self.0.iter().filter_map(|(key, _)| match key {
                Item::Text(text) => Some(format!("`{text}`")),
                _ => None,
            });
            let known = known.collect::<Vec<_>>().join(", ");
            Failure::input(format!("the dictionary has no `{key}`; it has {known}"))
                .hint("the keys are parameters: `mask`, `shape`, `ceiling`, `names`, `labels`")
        })
    }

    /// The numbers of a key: an array, or a list or tuple of numbers.
    fn numbers(&self, key: &str) -> Result<Vec<f64>, Failure> {
        let found = match self.get(key)? {
            Item::Object(array) => array.floats().ok(),
            Item::List(items) | Item::Tuple(items) => items.iter().map(number).collect(),
            item => number(item).map(|number| vec![number]),
        };
        found.ok_or_else(|| Failure::input(format!("`{key}` holds something else than numbers")))
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of regions and lengths of axes, far below 2^53")]
fn number(item: &Item<Array>) -> Option<f64> {
    match item {
        Item::Int(value) => Some(*value as f64),
        Item::Float(value) => Some(*value),
        Item::Bool(value) => Some(f64::from(u8::from(*value))),
        Item::Object(array) => array.floats().ok().filter(|values| values.len() == 1)?.pop(),
        _ => None,
    }
}

/// The voxels of the mask.
struct Voxels {
    shape: [usize; 3],
    /// Where they are in the volume, ascending.
    masked: Vec<usize>,
    /// The noise ceiling of each, as a fraction.
    ceilings: Option<Vec<f64>>,
}

impl Voxels {
    fn read(dictionary: &Entries, parameters: &Parameters) -> Result<Self, Failure> {
        let Parameters { mask, shape, ceiling, ceiling_unit, .. } = parameters;
        let lengths = dictionary.numbers(shape)?;
        let length = |value: &f64| (value.fract() == 0.0 && (1.0..=65536.0).contains(value)).then_some(*value as usize);
        let axes: Option<Vec<usize>> = lengths.iter().map(length).collect();
        let axes = axes.and_then(|axes| <[usize; 3]>::try_from(axes).ok()).ok_or_else(|| {
            Failure::input(format!("`{shape}` is {lengths:?}, expected three whole numbers, the shape of the volume"))
        })?;
        let (flags, volume) = (dictionary.numbers(mask)?, axes.iter().product::<usize>());
        if flags.len() != volume {
            let (found, [x, y, z]) = (flags.len(), axes);
            return Err(Failure::input(format!(
                "`{mask}` has {found} voxels, but the volume of `{shape}` has {x} x {y} x {z} = {volume}"
            ))
            .hint("mask and shape must be of the same volume, the mask not yet restricted to a part of it"));
        }
        if let Some(other) = flags.iter().find(|flag| **flag != 0.0 && **flag != 1.0) {
            return Err(Failure::input(format!("`{mask}` holds {other}, expected truth values")));
        }
        let masked: Vec<usize> = (0..volume).filter(|place| flags[*place] == 1.0).collect();
        if masked.is_empty() {
            return Err(Failure::input(format!("no voxel is in the mask `{mask}`")));
        }
        let ceilings = match ceiling.as_str() {
            "" => None,
            key => {
                let (found, count) = (dictionary.numbers(key)?, masked.len());
                if found.len() != count {
                    return Err(Failure::input(format!(
                        "`{key}` has {} voxels, but {count} are in the mask `{mask}`",
                        found.len()
                    )));
                }
                let whole = if *ceiling_unit == CeilingUnit::Percent { 100.0 } else { 1.0 };
                Some(found.into_iter().map(|value| value / whole).collect::<Vec<f64>>())
            }
        };
        if let Some(most) = ceilings.iter().flatten().find(|value| **value > 1.0) {
            return Err(Failure::input(format!(
                "`{ceiling}` has a ceiling of {most} of the variance, expected at most 1"
            ))
            .hint("`ceiling_unit` says whether ceilings are `percent` or a `fraction`"));
        }
        Ok(Self { shape: axes, masked, ceilings })
    }

    /// The indices of a place in C order.
    fn indices(&self, place: usize) -> [usize; 3] {
        let [_, y, z] = self.shape;
        [place / (y * z), place / z % y, place % z]
    }
}

/// A region, and where its voxels in the mask are.
#[derive(Debug)]
struct Region {
    name: String,
    group: String,
    places: Vec<usize>,
}

fn regions(dictionary: &Entries, parameters: &Parameters, voxels: &Voxels) -> Result<Vec<Region>, Failure> {
    let Parameters { groups, names, labels, .. } = parameters;
    let counts = [groups.len(), names.len(), labels.len()];
    if counts[0] != counts[1] || counts[0] != counts[2] {
        let [groups, names, labels] = counts;
        return Err(Failure::input(format!(
            "there are {groups} `groups`, {names} `names` and {labels} `labels`, expected as many of each"
        )));
    }
    if groups.iter().collect::<BTreeSet<_>>().len() < groups.len() {
        return Err(Failure::input(format!("`groups` has a name twice: {}", groups.join(", "))));
    }
    let mut regions: Vec<Region> = Vec::new();
    for ((group, names), key) in groups.iter().zip(names).zip(labels) {
        let places = voxels.by_label(dictionary, key)?;
        for (name, label) in &Entries::of(dictionary.get(names)?.clone(), &format!("`{names}`"))?.0 {
            let (Item::Text(name), Some(label)) = (name, number(label)) else {
                return Err(Failure::input(format!(
                    "`{names}` has `{name:?}: {label:?}`, expected a name and a number"
                )));
            };
            if let Some(other) = regions.iter().find(|region| *region.name == **name) {
                return Err(Failure::input(format!(
                    "`{name}` is a region of the groups `{}` and `{group}`, expected each name once",
                    other.group
                )));
            }
            let places = places.get(&key_of(label)).cloned().unwrap_or_default();
            regions.push(Region { name: name.to_string(), group: group.clone(), places });
        }
    }
    Ok(regions)
}

/// Numbers of regions are compared exactly; 0 and -0 are one.
fn key_of(label: f64) -> u64 {
    (label + 0.0).to_bits()
}

impl Voxels {
    /// The voxels of the mask that have each label.
    fn by_label(&self, dictionary: &Entries, key: &str) -> Result<BTreeMap<u64, Vec<usize>>, Failure> {
        let labels = dictionary.numbers(key)?;
        let (volume, masked): (usize, usize) = (self.shape.iter().product(), self.masked.len());
        let is_whole = match labels.len() {
            count if count == volume => true,
            count if count == masked => false,
            found => {
                return Err(Failure::input(format!(
                    "`{key}` has {found} voxels, expected the {volume} of the volume or the {masked} of the mask"
                )));
            }
        };
        let mut places: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (number, place) in self.masked.iter().enumerate() {
            let label = labels[if is_whole { *place } else { number }];
            places.entry(key_of(label)).or_default().push(*place);
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use pipe_contract::Value;

    use super::*;
    use crate::test_support::tasks;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
    }

    fn list(words: &[&str]) -> Value {
        Value::List(words.iter().map(|word| Value::Text((*word).to_owned())).collect())
    }

    /// The tables of voxels and regions as CSV, and the notes, of the fixture (a volume of 2 x 3 x 4, two groups).
    fn run(set: &[(&str, Value)]) -> Result<[String; 3], Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&Dictionary, folder.path());
        tasks::give(&mut task, "file", &fixture("regions.npy"));
        tasks::set(&mut task, "groups", list(&["retino", "face"]));
        tasks::set(&mut task, "names", list(&["ret_prf_roi_names", "floc_face_roi_names"]));
        tasks::set(&mut task, "labels", list(&["roi_labels_retino", "roi_labels_face"]));
        for (name, value) in set {
            tasks::set(&mut task, name, value.clone());
        }
        let notes = tasks::run(&Dictionary, &task)?.join("\n");
        let csv = |output: &str| fs_err::read_to_string(folder.path().join(output).join(data_table::CSV)).unwrap();
        Ok([csv("columns"), csv("regions"), notes])
    }

    #[test]
    fn voxels_are_counted_in_c_order() {
        let [columns, regions, notes] = run(&[]).unwrap();
        let lines: Vec<&str> = columns.lines().collect();
        assert_eq!(
            lines[..3],
            ["id,i,j,k,volume,ceiling", "v0000001,0,0,1,2 x 3 x 4,0.0", "v0000002,0,0,2,2 x 3 x 4,0.1"]
        );
        assert_eq!(
            lines[4..],
            [
                "v0000011,0,2,3,2 x 3 x 4,0.3",
                "v0000012,1,0,0,2 x 3 x 4,0.4",
                "v0000017,1,1,1,2 x 3 x 4,0.5",
                "v0000023,1,2,3,2 x 3 x 4,0.6"
            ]
        );
        // Place 20 has the label of `V1v`, but is not in the mask; `FFA-1` is counted in the mask.
        let expected = "region,group,id\nV1v,retino,v0000001\nV1v,retino,v0000002\nV1v,retino,v0000012\n\
            V1d,retino,v0000005\nFFA-1,face,v0000002\nFFA-1,face,v0000023\n";
        assert_eq!(regions, expected);
        assert_eq!(notes, "important: regions without a voxel in the mask, and so in no table: `FFA-2`");
    }

    #[test]
    fn ceilings_are_fractions_or_absent() {
        let text = |value: &str| Value::Text(value.into());
        let [columns, ..] = run(&[("ceiling", text(""))]).unwrap();
        assert!(columns.starts_with("id,i,j,k,volume\nv0000001,0,0,1,2 x 3 x 4\n"));
        let failure = run(&[("ceiling_unit", text("fraction"))]).unwrap_err();
        assert!(failure.message.contains("a ceiling of 10 of the variance"), "{failure}");
        let failure = run(&[("ceiling", text("brain_nii_shape"))]).unwrap_err();
        assert_eq!(failure.message, "`brain_nii_shape` has 3 voxels, but 7 are in the mask `voxel_mask`");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let text = |value: &str| Value::Text(value.into());
        let message = |set: &[(&str, Value)]| run(set).unwrap_err().message;
        assert_eq!(
            message(&[("mask", text("roi_labels_face"))]),
            "`roi_labels_face` has 7 voxels, but the volume of `brain_nii_shape` has 2 x 3 x 4 = 24"
        );
        assert!(message(&[("mask", text("roi_labels_retino"))]).contains("holds 2, expected truth values"));
        assert!(message(&[("shape", text("voxel_mask"))]).contains("expected three whole numbers"));
        assert!(
            message(&[("mask", text("brain"))]).starts_with("the dictionary has no `brain`; it has `voxel_mask`, ")
        );
        assert!(message(&[("labels", list(&["roi_labels_retino"]))]).contains("1 `labels`"));
        assert!(message(&[("labels", list(&["roi_labels_retino", "names"]))]).contains("`names` holds something else"));
        let twice = list(&["ret_prf_roi_names", "ret_prf_roi_names"]);
        assert!(message(&[("names", twice)]).contains("`V1v` is a region of the groups `retino` and `face`"));
        assert!(
            message(&[("names", list(&["ret_prf_roi_names", "voxel_mask"]))])
                .contains("`voxel_mask` holds no dictionary")
        );
        assert!(message(&[("groups", list(&["a", "a"]))]).contains("a name twice"));
        let shape = message(&[("labels", list(&["roi_labels_retino", "brain_nii_shape"]))]);
        assert!(shape.contains("has 3 voxels, expected the 24 of the volume or the 7 of the mask"));
    }
}
