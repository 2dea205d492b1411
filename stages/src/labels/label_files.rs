//! The files of a `labels` artifact: which there are and what they are called.

use std::path::Path;

use pipe_contract::Failure;

use crate::formats::mgh;
use crate::hemisphere::Hemisphere;

/// Makes the folder of an artifact.
pub(super) fn create(folder: &Path) -> Result<(), Failure> {
    fs_err::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))
}

/// Writes the areas of a hemisphere, and its rings if there are any.
pub(super) fn write(folder: &Path, hemisphere: Hemisphere, area: &[i32], ring: Option<&[i32]>) -> Result<(), Failure> {
    mgh::write_i32(&folder.join(format!("{}.area.mgz", hemisphere.name())), area)?;
    match ring {
        Some(ring) => mgh::write_i32(&folder.join(format!("{}.ring.mgz", hemisphere.name())), ring),
        None => Ok(()),
    }
}
