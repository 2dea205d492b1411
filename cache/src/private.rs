//! Folders that only their owner can open, for restricted data.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Makes a folder that only its owner can open, if it is not there; the folder above it must be.
///
/// # Errors
/// It cannot be made, or is there and others may open it: then nothing says who has read what lies in it.
pub fn private_folder(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create the folder", path)(error));
        }
        _ => {}
    }
    // Not the target of a link: that may be anywhere.
    let found = fs::symlink_metadata(path).map_err(Error::io("look at", path))?;
    let exposed = |found: String| Err(Error::Exposed { path: path.to_owned(), found });
    if !found.is_dir() {
        return exposed("it is not a folder".to_owned());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return exposed("it belongs to another user".to_owned());
    }
    match found.mode() & 0o777 {
        mode if mode & 0o077 != 0 => exposed(format!("its mode is {mode:o}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_folder_is_made_for_its_owner_only_and_refused_if_others_can_open_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("restricted");
        private_folder(&folder).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        let refused = private_folder(&folder).unwrap_err().to_string();
        assert!(refused.ends_with("so it must be for its owner only, but its mode is 750"), "{refused}");
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        assert!(private_folder(&link).unwrap_err().to_string().ends_with("it is not a folder"));
    }
}
