//! What makes a folder a cache: the file `CACHE` with version and id, and the folders beside it. What is missing of it is
//! made anew, so that a cache from which something was removed goes on with what is left.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::sweep::sweep_lock;
use crate::{Content, Digest};

/// The file that makes a folder a cache: a title with the number of the layout, an id, and a checksum of both.
const TITLE_FILE: &str = "CACHE";
const TITLE: &str = "pipe cache ";
const NUMBER: &str = "2";

/// The default name of a cache folder. It changes with the layout, so that an earlier version's cache stays
/// as it is.
pub const DEFAULT_NAME: &str = "store-2";

/// The folder of retained folders of failed stages.
pub(crate) const RETAINED: &str = "kept";
/// The folder of stores of restricted data; see [`crate::Store::restricted`].
pub(crate) const RESTRICTED: &str = "restricted";
/// The folder of damaged files.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Made with the cache, and anew when it is opened without them.
const FOLDERS: [&str; 6] = ["blobs", "views", "records", "absences", "work", RETAINED];

/// The id of the cache in a folder. What is missing of it is made, all of it if there is none.
pub(crate) fn open(root: &Path) -> Result<String> {
    let id = match read_title(root)? {
        Title::Whole { id } => id,
        Title::Missing => create(root)?,
        Title::Damaged => {
            let path = root.join(TITLE_FILE);
            let quarantine = root.join(QUARANTINE);
            fs::create_dir_all(&quarantine).map_err(Error::io("create the folder", &quarantine))?;
            fs::rename(&path, quarantine.join(TITLE_FILE)).map_err(Error::io("move to the quarantine", &path))?;
            tracing::warn!(path = %path.display(), "damaged file of the cache made anew");
            create(root)?
        }
    };
    // On a read-only cache the others can be read all the same.
    if let Err(error) = make_folders(root) {
        tracing::warn!(%error, "a folder of the cache is missing");
    }
    Ok(id)
}

fn make_folders(root: &Path) -> Result<()> {
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        if !folder.is_dir() {
            fs::create_dir_all(&folder).map_err(Error::io("create the folder", &folder))?;
        }
    }
    Ok(())
}

/// What the file `CACHE` says.
enum Title {
    Whole { id: String },
    Missing,
    Damaged,
}

fn read_title(root: &Path) -> Result<Title> {
    let path = root.join(TITLE_FILE);
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_free(root).map(|_| Title::Missing),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let mut lines = text.lines();
    let (title, id, sum) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next());
    // Without a checksum: made by a version that did not write it.
    if !id.is_empty() && sum.is_none_or(|sum| sum == checksum(title, id)) {
        match title.strip_prefix(TITLE) {
            Some(NUMBER) => return Ok(Title::Whole { id: id.to_owned() }),
            Some(_) => return Err(other_version(root, title)),
            None => {}
        }
    }
    match check_free(root) {
        Ok(has_folders) if has_folders => Ok(Title::Damaged),
        _ => Err(other_version(root, title)),
    }
}

fn other_version(root: &Path, title: &str) -> Error {
    Error::NotACache { path: root.to_owned(), found: format!("its file `{TITLE_FILE}` begins with `{title}`") }
}

fn checksum(title: &str, id: &str) -> String {
    Digest::<Content>::of(format!("{title}\n{id}\n").as_bytes()).short(16)
}

/// A cache is made only where nothing is but what a cache consists of: where the making of one was interrupted, or its
/// file `CACHE` was lost. `true` if there is any of that.
fn check_free(root: &Path) -> Result<bool> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("list", root)(error)),
    };
    let mut has_folders = false;
    for entry in entries {
        let name = entry.map_err(Error::io("list", root))?.file_name().to_string_lossy().into_owned();
        let part = FOLDERS.contains(&name.as_str()) || name == QUARANTINE || name == RESTRICTED;
        has_folders |= part;
        if !part && name != TITLE_FILE && name != "lost+found" {
            return Err(Error::NotACache {
                path: root.to_owned(),
                found: format!("it holds `{name}`, but no file `{TITLE_FILE}`"),
            });
        }
    }
    Ok(has_folders)
}

/// Makes a cache. Of two processes that try, one gives the id and both use it.
fn create(root: &Path) -> Result<String> {
    make_folders(root)?;
    let mut random = [0; 16];
    let source = Path::new("/dev/urandom");
    File::open(source).and_then(|mut file| file.read_exact(&mut random)).map_err(Error::io("read", source))?;
    let id = Digest::<Content>::of(&random).short(16);
    // Written in `work/` under the lock of sweepers, so that what a kill leaves is swept.
    let work = root.join("work");
    let _sweep = sweep_lock(&work)?;
    let mut aside = tempfile::Builder::new().prefix("id-").tempfile_in(&work).map_err(Error::io("write in", &work))?;
    let title = format!("{TITLE}{NUMBER}");
    writeln!(aside, "{title}\n{id}\n{}", checksum(&title, &id)).map_err(Error::io("write", aside.path()))?;
    aside.as_file().set_permissions(Permissions::from_mode(0o444)).map_err(Error::io("write", aside.path()))?;
    match aside.persist_noclobber(root.join(TITLE_FILE)) {
        Ok(_) => Ok(id),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => match read_title(root)? {
            Title::Whole { id } => Ok(id),
            _ => Err(Error::NotACache { path: root.to_owned(), found: format!("its file `{TITLE_FILE}` vanished") }),
        },
        Err(error) => Err(Error::io("create", &root.join(TITLE_FILE))(error.error)),
    }
}
