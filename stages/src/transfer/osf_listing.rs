//! A listing of a project's storage as a file, and where a kind looks a file up: in such a listing, or by asking the service.
//!
//! The service answers slowly, a folder page at a time, and refuses clients that ask often. A listing that is an artifact answers
//! for all files of a project at once, offline, and again the same in each run. Its form is the one in which the package
//! `neuropythy` ships the listing of the manual labels (`hcp_lines_osftree.json.gz`): JSON, gzipped or not, an object for each
//! folder, and for each file the address it is downloaded from; a fragment `#sha256=...` there is the digest that the file must have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use pipe_contract::{Context, Ended, Failure, Task};
use serde_json::{Map, Value};

use super::osf_project::{OsfEntry, Project};

/// What messages and `pipe stages` say of the form of a listing.
pub const FORM: &str = "JSON (gzipped or not): an object for each folder, an address for each file (`#sha256=...` at its end is its digest)";

/// A listing is read whole: no project has a larger one.
const MOST_BYTES: u64 = 256 << 20;
/// How a fragment with a digest begins.
const DIGEST: &str = "#sha256=";

/// The files of a project's storage, or of one folder of it.
pub struct OsfListing {
    root: Map<String, Value>,
}

impl OsfListing {
    /// Reads a listing.
    ///
    /// # Errors
    /// Input: another file than a listing; environment: it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs_err::read(path).map_err(|error| Failure::io("read", path, &error))?;
        let wrong = |why: String| {
            Failure::input(format!("not a listing of a project: {why}"))
                .at(path.display().to_string())
                .hint(format!("expected {FORM}; `osf/listing` makes one"))
        };
        let mut text = Vec::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let unpacked = GzDecoder::new(&bytes[..]).take(MOST_BYTES + 1).read_to_end(&mut text);
            unpacked.map_err(|error| wrong(format!("its gzip is damaged ({error})")))?;
        } else {
            text = bytes;
        }
        if text.len() as u64 > MOST_BYTES {
            return Err(wrong(format!("it has more than {} MB", MOST_BYTES >> 20)));
        }
        let root: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        check(&root, "").map_err(wrong)?;
        Ok(Self { root })
    }

    /// The file of a path such as `normalized/A1/100610.labels.hdf5`; none if it or one of its folders is not there.
    pub fn find(&self, path: &str) -> Option<OsfEntry> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut entries = &self.root;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            entries = entries.get(part)?.as_object()?;
        }
        let address = entries.get(name)?.as_str()?;
        Some(match address.split_once(DIGEST) {
            Some((address, digest)) => OsfEntry::file(name, address, Some(digest)),
            None => OsfEntry::file(name, address, None),
        })
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        collect(&self.root, "", &mut paths);
        paths.sort();
        paths
    }

    /// The text of a listing of these files, by their paths; the same files give the same text.
    ///
    /// # Errors
    /// Input: a file without an address, or a file and a folder of one name.
    pub fn text(files: &BTreeMap<String, OsfEntry>) -> Result<String, Failure> {
        let mut root = Map::new();
        for (path, entry) in files {
            let mut address = entry.address().map(str::to_owned).ok_or_else(|| {
                Failure::environment(format!("the service gives no address for `{path}`")).transient()
            })?;
            if let Some(digest) = &entry.sha256 {
                let _ = write!(address, "{DIGEST}{digest}");
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let mut entries = &mut root;
            for part in folder.split('/').filter(|part| !part.is_empty()) {
                let below = entries.entry(part).or_insert_with(|| Value::Object(Map::new()));
                entries = below.as_object_mut().ok_or_else(|| {
                    Failure::input(format!("the project has a file and a folder `{part}` in one place"))
                })?;
            }
            entries.insert(name.to_owned(), Value::String(address));
        }
        let mut text = serde_json::to_string_pretty(&root)
            .map_err(|error| Failure::internal(format!("the text of a listing: {error}")))?;
        text.push('\n');
        Ok(text)
    }
}

/// Everything in a listing is a folder or an address.
fn check(entries: &Map<String, Value>, above: &str) -> Result<(), String> {
    for (name, entry) in entries {
        match entry {
            Value::Object(below) => check(below, &format!("{above}{name}/"))?,
            Value::String(address) if address.starts_with("https://") || address.starts_with("http://") => {}
            Value::String(_) => return Err(format!("`{above}{name}` has a text that is not an address")),
            _ => return Err(format!("`{above}{name}` is neither a folder nor an address")),
        }
    }
    Ok(())
}

fn collect(entries: &Map<String, Value>, above: &str, paths: &mut Vec<String>) {
    for (name, entry) in entries {
        match entry {
            Value::Object(below) => collect(below, &format!("{above}{name}/"), paths),
            _ => paths.push(format!("{above}{name}")),
        }
    }
}

/// Where the files of a project are looked up.
pub enum OsfFiles {
    /// The service is asked.
    Service(Project),
    /// A listing that the stage was given; nothing is asked.
    Listed {
        /// The project's id, for messages.
        project: String,
        /// Its files.
        listing: OsfListing,
        /// The listing's file, for messages.
        place: String,
    },
}

impl OsfFiles {
    /// The listing at the port `listing`, else the service.
    ///
    /// # Errors
    /// Those of [`OsfListing::read`] and [`Project::open`].
    pub fn of(task: &Task, project: &str) -> Result<Self, Failure> {
        match task.maybe("listing") {
            Some(path) => Ok(Self::Listed {
                project: project.to_owned(),
                listing: OsfListing::read(path)?,
                place: path.display().to_string(),
            }),
            None => Project::open(project).map(Self::Service),
        }
    }

    /// The project's id.
    pub fn id(&self) -> &str {
        match self {
            Self::Service(project) => project.id(),
            Self::Listed { project, .. } => project,
        }
    }

    /// Text that differs between places where files are looked up.
    pub fn key(&self) -> String {
        match self {
            Self::Service(project) => project.key(),
            Self::Listed { place, .. } => place.clone(),
        }
    }

    /// The file of a path; none if it is not there.
    ///
    /// # Errors
    /// Those of [`Project::find`].
    pub fn find(&self, path: &str, context: &dyn Context) -> Result<Option<OsfEntry>, Failure> {
        match self {
            Self::Service(project) => project.find(path, context),
            Self::Listed { listing, .. } => Ok(listing.find(path)),
        }
    }

    /// The outcome of an instance whose file is not there.
    pub fn lacks(&self, path: &str) -> Ended {
        let detail = match self {
            Self::Service(project) => format!("the project `{}` has no file `{path}`", project.id()),
            Self::Listed { project, .. } => format!("the listing of project `{project}` has no file `{path}`"),
        };
        Ended::Absent { cause: "not-found".to_owned(), detail }
    }

    /// Brings a file. What is remarked on each file (that it has no digest) is a note where the service was asked, and only logged
    /// where a listing says so of all of its files.
    ///
    /// # Errors
    /// Those of [`OsfEntry::download`].
    pub fn download(
        &self,
        entry: &OsfEntry,
        task: &Task,
        target: &Path,
        context: &dyn Context,
    ) -> Result<Vec<String>, Failure> {
        let notes = entry.download(task, target, context)?;
        match self {
            Self::Service(_) => Ok(notes),
            Self::Listed { .. } => {
                notes.iter().for_each(|note| context.log(note));
                Ok(Vec::new())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const TREE: &str = r#"{"normalized": {"A1": {"1.labels.hdf5": "https://osf.io/download/a/"}, "logs": {}}, "top.csv": "http://x/y#sha256=ab"}"#;

    fn listing(text: &[u8]) -> Result<OsfListing, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree.json");
        fs_err::write(&path, text).unwrap();
        OsfListing::read(&path)
    }

    #[test]
    fn files_are_found_by_their_paths_packed_or_not() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(TREE.as_bytes()).unwrap();
        for bytes in [TREE.as_bytes().to_vec(), gz.finish().unwrap()] {
            let listing = listing(&bytes).unwrap();
            assert_eq!(listing.paths(), ["normalized/A1/1.labels.hdf5", "top.csv"]);
            let entry = listing.find("normalized/A1/1.labels.hdf5").unwrap();
            assert_eq!((entry.address(), entry.sha256.as_deref()), (Some("https://osf.io/download/a/"), None));
            let entry = listing.find("top.csv").unwrap();
            assert_eq!((entry.address(), entry.sha256.as_deref()), (Some("http://x/y"), Some("ab")));
            for path in ["normalized/A1", "normalized/A2/1.labels.hdf5", "top.csv/x", "", "A1"] {
                assert_eq!(listing.find(path), None, "{path}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let listed = listing(TREE.as_bytes()).unwrap();
        let files = listed.paths().into_iter().map(|path| (path.clone(), listed.find(&path).unwrap())).collect();
        let text = OsfListing::text(&files).unwrap();
        let again = listing(text.as_bytes()).unwrap();
        assert_eq!(again.paths(), listed.paths());
        assert_eq!(again.find("top.csv"), listed.find("top.csv"));
    }

    #[test]
    fn other_files_are_refused_by_what_they_hold() {
        for (text, why) in [
            ("[1]", "invalid type"),
            (r#"{"a": {"b": 1}}"#, "`a/b` is neither a folder nor an address"),
            (r#"{"a": "b"}"#, "`a` has a text that is not an address"),
            ("\u{1f}", "expected value"),
        ] {
            let failure = listing(text.as_bytes()).err().unwrap();
            assert!(failure.message.contains(why), "{failure}");
            assert!(failure.hint.is_some() && failure.place.is_some());
        }
        assert!(listing(&[0x1f, 0x8b, 8, 0]).err().unwrap().message.contains("gzip is damaged"));
    }
}
