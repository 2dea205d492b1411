//! Symbolic links to contents, each made once for all the commands that read it.
//!
//! Making and deleting a symbolic link for every input would be most of what a small stage costs (ext4 steps over
//! recently deleted inodes when it makes new ones). So a content gets one symbolic link, and every input is one more
//! name of that.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, linkat};

/// The links of one executor, in `links/` beside the working folders of its commands.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By the folder they are in and the content they point to.
    made: BTreeMap<(PathBuf, PathBuf), PathBuf>,
    /// How many names were given.
    count: u64,
}

impl Links {
    /// Makes `place`, somewhere in the working folder `work`, a symbolic link to `content`.
    ///
    /// # Errors
    /// The disk is in the way.
    pub fn make(&mut self, content: &Path, work: &Path, place: &Path) -> io::Result<()> {
        let folder = work.parent().unwrap_or(work).join("links");
        let another_name = |link: &PathBuf| linkat(CWD, link, CWD, place, AtFlags::empty()).is_ok();
        let asked = (folder, content.to_path_buf());
        if self.made.get(&asked).is_some_and(another_name) {
            return Ok(());
        }
        // The first one, or there are as many names as a file can have, or the file system has no second names.
        symlink(content, place)?;
        let (folder, _) = &asked;
        self.count += 1;
        let link = folder.join(self.count.to_string());
        let kept = linkat(CWD, place, CWD, &link, AtFlags::empty()).is_ok()
            || (fs::create_dir(folder).is_ok() && linkat(CWD, place, CWD, &link, AtFlags::empty()).is_ok());
        if kept {
            self.made.insert(asked, link);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn inputs_with_one_content_are_names_of_one_link() {
        let space = tempfile::tempdir().unwrap();
        let path = |name: &str| space.path().join(name);
        fs::write(path("content"), "4").unwrap();
        let mut links = Links::default();
        for work in ["1", "2", "3"] {
            fs::create_dir(path(work)).unwrap();
            links.make(&path("content"), &path(work), &path(work).join("x.txt")).unwrap();
            assert_eq!(fs::read_to_string(path(work).join("x.txt")).unwrap(), "4");
        }
        let link = fs::symlink_metadata(path("3/x.txt")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(link.nlink(), 4, "three inputs and the one that stays");
        // Two inputs of one stage, a link that somebody removed.
        fs::remove_dir_all(path("links")).unwrap();
        links.make(&path("content"), &path("1"), &path("1/y.txt")).unwrap();
        assert_eq!(fs::read_link(path("1/y.txt")).unwrap(), path("content"));
        assert!(links.make(&path("content"), &path("1"), &path("1/y.txt")).is_err(), "it is there already");
    }
}
