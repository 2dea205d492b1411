//! `labels/...`: the kinds that give visual areas and eccentricity rings per vertex.
//!
//! An area is 1 to 3 for V1 to V3, a ring is 1 to 5 for 0-0.5, 0.5-1, 1-2, 2-4, 4-7 degrees; 0 is neither.

mod exclude;
mod from_file;
mod from_osf;
mod from_template;
mod inferred;
#[cfg(test)]
mod neuropythy_golden;

use std::path::Path;

use pipe_contract::{Failure, Registry};

use crate::formats::mgh;
use crate::hemisphere::Hemisphere;

/// Adds the kinds of this folder.
pub fn install(registry: &mut Registry) {
    registry.add(from_file::LabelsImport);
    registry.add(from_osf::LabelsOsf);
    registry.add(exclude::LabelsExclude);
    registry.add(inferred::LabelsInferred);
    registry.add(from_template::TemplateLabels);
}

fn create(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))
}

fn write(folder: &Path, hemisphere: Hemisphere, area: &[i32], ring: Option<&[i32]>) -> Result<(), Failure> {
    mgh::write_i32(&folder.join(format!("{}.area.mgz", hemisphere.name())), area)?;
    match ring {
        Some(ring) => mgh::write_i32(&folder.join(format!("{}.ring.mgz", hemisphere.name())), ring),
        None => Ok(()),
    }
}
