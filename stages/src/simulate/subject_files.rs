//! Writes a subject in the files, formats and layout of real subjects: the `HCP_1200` tree, the label files
//! of four raters, the results of the retinotopy study.

use std::path::Path;

use pipe_contract::Failure;

use super::atlas::Atlas;
use super::individual::{Amplitudes, Side};
use super::raters::RATERS;
use super::receptive_fields::{QUANTITIES, SPLITS};
use crate::formats::freesurfer::{self, Surface};
use crate::formats::hdf5::Builder;
use crate::formats::{gifti, mgh};
use crate::numeric::vector::Point;

/// Grayordinates of a results file on the 32k meshes: both cortices, then 31,870 voxels below the cortex.
const GRAYORDINATES: usize = 91_282;

/// Writes the files of one hemisphere below `folder`, which gets `<sid>/`.
pub fn write_hemisphere(folder: &Path, sid: &str, atlas: &Atlas, side: &Side, fs_lr: &Surface) -> Result<(), Failure> {
    let (h, l) = (atlas.hemisphere.name(), atlas.hemisphere.letter());
    let subject = folder.join(sid);
    let surf = subject.join("T1w").join(sid).join("surf");
    let t1w = subject.join("T1w/Native");
    let native = subject.join("MNINonLinear/Native");
    let low = subject.join("MNINonLinear/fsaverage_LR32k");
    let tracts = subject.join("tracts");
    for folder in [&surf, &t1w, &native, &low, &tracts] {
        create(folder)?;
    }
    let mesh = |points: &[Point]| Surface {
        coordinates: points.iter().map(|point| point.map(|x| x as f32)).collect(),
        triangles: atlas.faces.clone(),
    };
    freesurfer::write_surface(&surf.join(format!("{h}.white")), &mesh(&side.white))?;
    freesurfer::write_surface(&surf.join(format!("{h}.sphere.reg")), &mesh(&side.registered))?;
    let scalars = [
        ("curv", &side.curvature),
        ("sulc", &side.convexity),
        ("thickness", &side.thickness),
        ("area.mid", &side.area),
    ];
    for (name, values) in scalars {
        freesurfer::write_morphometry(&surf.join(format!("{h}.{name}")), values, atlas.faces.len())?;
    }
    let gii = |name: &str| format!("{sid}.{l}.{name}.gii");
    gifti::write_surface(&t1w.join(gii("midthickness.native.surf")), &mesh(&side.midthickness))?;
    gifti::write_surface(&native.join(gii("sphere.MSMAll.native.surf")), &mesh(&side.msmall))?;
    gifti::write_scalars(&native.join(gii("MyelinMap_BC.native.func")), &side.myelin)?;
    gifti::write_surface(&low.join(gii("sphere.32k_fs_LR.surf")), fs_lr)?;
    mgh::write_f32(&tracts.join(format!("{h}.OR_normalized.mgz")), &side.optic_radiation)?;
    mgh::write_f32(&tracts.join(format!("{h}.VOF_normalized.mgz")), &side.vertical_occipital)
}

/// Writes `<rater>/<sid>.labels.hdf5` for each rater below `folder`; `sides` are left and right.
pub fn write_labels(folder: &Path, sid: &str, sides: [&Side; 2], amplitudes: &Amplitudes) -> Result<(), Failure> {
    for (index, rater) in RATERS.iter().enumerate() {
        let mut file = Builder::new();
        for (h, side) in ["lh", "rh"].into_iter().zip(sides) {
            let (areas, sectors): (Vec<i32>, Vec<i32>) =
                side.rated[index].iter().map(|spot| rater.label(spot, amplitudes.rater_habit)).unzip();
            file.whole_numbers(&format!("{h}/visual_area"), &areas);
            file.whole_numbers(&format!("{h}/visual_sector"), &sectors);
        }
        let folder = folder.join(rater.name);
        create(&folder)?;
        file.write(&folder.join(format!("{sid}.labels.hdf5")))?;
    }
    Ok(())
}

/// Writes the results of one subject as `number`; `sides` are what was measured left and right.
pub fn write_results(path: &Path, number: u64, sides: [&[Vec<[f32; QUANTITIES]>]; 2]) -> Result<(), Failure> {
    let mut values = Vec::with_capacity(SPLITS * QUANTITIES * GRAYORDINATES);
    for split in 0..SPLITS {
        for quantity in 0..QUANTITIES {
            let end = values.len() + GRAYORDINATES;
            for side in sides {
                values.extend(side[split].iter().map(|result| result[quantity]));
            }
            // Nothing was simulated below the cortex.
            values.resize(end, f32::NAN);
        }
    }
    let (splits, quantities, length) = (SPLITS as u64, QUANTITIES as u64, GRAYORDINATES as u64);
    let mut file = Builder::new();
    file.packed_singles("allresults", &[splits, 1, quantities, length], &[1, 1, 1, length], &values);
    file.doubles("subjectids", &[1, 1], &[number as f64]);
    file.write_matlab(path)
}

fn create(folder: &Path) -> Result<(), Failure> {
    fs_err::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))
}
