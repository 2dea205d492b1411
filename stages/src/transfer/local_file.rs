//! Moves and copies files on this machine.

use std::path::Path;

use fs_err as fs;
use pipe_contract::Failure;

/// Moves a finished file to its place, across file systems if need be.
///
/// # Errors
/// Environment: the disk.
pub fn place(from: &Path, to: &Path) -> Result<(), Failure> {
    create_parent(to)?;
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    copy(from, to)?;
    fs::remove_file(from).map_err(|error| Failure::io("remove", from, &error))
}

/// Copies the bytes of a file, not its mode or times.
///
/// # Errors
/// Environment: the disk.
pub fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    create_parent(to)?;
    let mut source = fs::File::open(from).map_err(|error| Failure::io("read", from, &error))?;
    let mut target = fs::File::create(to).map_err(|error| Failure::io("write", to, &error))?;
    std::io::copy(&mut source, &mut target).map_err(|error| Failure::io("write", to, &error))?;
    Ok(())
}

/// Makes the folder of a file.
///
/// # Errors
/// Environment: the disk.
pub fn create_parent(path: &Path) -> Result<(), Failure> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(|error| Failure::io("create the folder", parent, &error)),
        None => Ok(()),
    }
}
