//! A map of the cortex as an artifact: one value a voxel or vertex, and what the values are.
//!
//! A folder: `volume.nii.gz` (float32, NaN outside), or `{lh,rh}.func.gii` with a value a vertex; `map.json`, which also says of which cortex
//! and volume they are, and whether they are simulated. Decides this form.

use std::path::Path;

use pipe_contract::Failure;
use serde::{Deserialize, Serialize};

use super::gifti;
use super::json_file::{read_json, write_json};
use super::nifti::{self, VolumePlace};
use crate::hemisphere::{HEMISPHERES, Hemisphere};

/// The file about the map.
pub const ABOUT: &str = "map.json";
/// The file of a volume.
pub const VOLUME: &str = "volume.nii.gz";

/// What the values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Numbers, which can be averaged.
    #[default]
    Number,
    /// Numbers of categories, from 0, which cannot.
    Category,
}

/// What a map shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AboutMap {
    /// A title; may be empty.
    pub title: String,
    /// The unit of numbers; may be empty.
    pub unit: String,
    /// What the values are.
    pub measure: Measure,
    /// Names of categories: that with number 0 first.
    pub categories: Vec<String>,
    /// The values at the ends of the colours, if they are given.
    pub limits: Option<[f64; 2]>,
    /// The subject whose cortex it is of; empty if that is not known.
    #[serde(default)]
    pub cortex: String,
    /// The transform in whose volume the voxels are; none for vertices, or if it is not known.
    #[serde(default)]
    pub transform: Option<String>,
    /// The values are simulated; not written where they are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
}

/// Where the values lie.
#[derive(Clone, Debug, PartialEq)]
pub enum MapValues {
    /// In voxels.
    Volume {
        /// How large the volume is and where it lies.
        place: VolumePlace,
        /// One value a voxel, the first axis running fastest.
        values: Vec<f32>,
    },
    /// In vertices of hemispheres, left first.
    Vertices(Vec<(Hemisphere, Vec<f32>)>),
}

/// A map.
#[derive(Clone, Debug, PartialEq)]
pub struct CorticalMap {
    /// What it shows.
    pub about: AboutMap,
    /// Its values.
    pub values: MapValues,
}

impl CorticalMap {
    /// Reads a map.
    ///
    /// # Errors
    /// Input: a file is missing or damaged, or there are values neither of voxels nor of vertices.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let about = read_json(&folder.join(ABOUT))?;
        let volume = folder.join(VOLUME);
        if volume.is_file() {
            let (place, values) = nifti::read_volume(&volume)?;
            return Ok(Self { about, values: MapValues::Volume { place, values } });
        }
        let there = HEMISPHERES.into_iter().map(|h| (h, folder.join(file(h)))).filter(|(_, path)| path.is_file());
        let read = there.map(|(hemisphere, path)| Ok((hemisphere, gifti::read_scalars(&path)?)));
        let vertices: Vec<_> = read.collect::<Result<_, Failure>>()?;
        match vertices.is_empty() {
            true => Err(Failure::input(format!("there is neither `{VOLUME}` nor `lh.func.gii` or `rh.func.gii`"))
                .at(folder.display().to_string())),
            false => Ok(Self { about, values: MapValues::Vertices(vertices) }),
        }
    }

    /// Writes the map.
    ///
    /// # Errors
    /// Environment: a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        fs_err::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
        match &self.values {
            MapValues::Volume { place, values } => {
                // The stamp is first: a description is cut after some characters.
                let stamp = if self.about.simulated { "SIMULATED DATA " } else { "" };
                nifti::write_volume(&folder.join(VOLUME), place, values, &format!("{stamp}{}", self.about.title))?;
            }
            MapValues::Vertices(hemispheres) => {
                for (hemisphere, values) in hemispheres {
                    gifti::write_scalars(&folder.join(file(*hemisphere)), values)?;
                }
            }
        }
        write_json(&folder.join(ABOUT), &self.about)
    }
}

fn file(hemisphere: Hemisphere) -> String {
    format!("{}.func.gii", hemisphere.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let about = AboutMap {
            title: "Best layer".to_owned(),
            measure: Measure::Category,
            categories: vec!["conv1".to_owned(), "conv2".to_owned()],
            limits: Some([-0.5, 1.5]),
            cortex: "S1".to_owned(),
            transform: Some("fullhead".to_owned()),
            ..AboutMap::default()
        };
        let affine = [[2.0, 0.0, 0.0, 1.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let values = MapValues::Volume { place: VolumePlace { shape: [2, 1, 1], affine }, values: vec![0.0, 1.0] };
        let volume = CorticalMap { about: about.clone(), values };
        volume.write(&folder.path().join("v")).unwrap();
        assert_eq!(CorticalMap::read(&folder.path().join("v")).unwrap(), volume);
        let text = || fs_err::read_to_string(folder.path().join("v").join(ABOUT)).unwrap();
        assert!(!text().contains("simulated"));
        let simulated = CorticalMap { about: AboutMap { simulated: true, ..about.clone() }, ..volume };
        simulated.write(&folder.path().join("v")).unwrap();
        assert!(text().contains("\"simulated\": true"));
        assert_eq!(CorticalMap::read(&folder.path().join("v")).unwrap(), simulated);
        let vertices =
            CorticalMap { about, values: MapValues::Vertices(vec![(Hemisphere::Right, vec![1.0, 0.0, 1.0])]) };
        vertices.write(&folder.path().join("s")).unwrap();
        assert_eq!(CorticalMap::read(&folder.path().join("s")).unwrap(), vertices);
        fs_err::remove_file(folder.path().join("s/rh.func.gii")).unwrap();
        assert!(CorticalMap::read(&folder.path().join("s")).unwrap_err().message.contains("neither"));
    }
}
