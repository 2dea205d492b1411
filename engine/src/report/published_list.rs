//! The list `.published` in a results folder: for each file its digest, and which run made it with which parameters.
//!
//! JSON with one file a line. It travels with the folder. Its first edition, lines of `b3sum`, is still read; it did not
//! say which run made what.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use fs_err as fs;
use pipe_cache::{Action, Content, Digest};
use pipe_contract::{Failure, Value};
use serde::{Deserialize, Serialize};

use super::public_digest::PublicDigest;

/// The name of the list.
pub const LIST: &str = ".published";

/// The edition that is written.
const EDITION: u32 = 2;

/// Such a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedList {
    /// [`EDITION`].
    published: u32,
    /// The runs that made the files, by id.
    pub runs: BTreeMap<String, PublishingRun>,
    /// What a path may hold without having been edited, by path below the folder. More than one version only while a run
    /// is between announcing a file and placing it, or was killed there.
    pub files: BTreeMap<String, Vec<Version>>,
}

/// A run that made files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PublishingRun {
    /// When it began, UTC.
    pub began: String,
    /// The final value of every param.
    pub parameters: BTreeMap<String, Value>,
}

/// One version of a published file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Of its bytes.
    pub digest: Digest<Content>,
    /// The run that made it; not known of files that an earlier pipe published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The key of the stage that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicDigest<Action>>,
}

impl Default for PublishedList {
    fn default() -> Self {
        Self { published: EDITION, runs: BTreeMap::new(), files: BTreeMap::new() }
    }
}

impl PublishedList {
    /// The list of a results folder; empty if it has none.
    ///
    /// # Errors
    /// It cannot be read, or is of a later edition: then it is not known which files were edited.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(LIST);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::io("read", &path, &error)),
        };
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::of_lines(&String::from_utf8_lossy(&bytes)));
        }
        let list: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::input(format!("`{}` cannot be read: {error}", path.display()))
                .hint("delete it: files that are as they should be are listed again, others are left alone as edited")
        })?;
        if list.published == EDITION {
            return Ok(list);
        }
        Err(Failure::input(format!("`{}` was written by another version of pipe", path.display()))
            .hint(format!("this one reads edition {EDITION} and the one before; it found {}", list.published)))
    }

    /// The first edition: `digest  path`; a path may have several.
    fn of_lines(text: &str) -> Self {
        let mut list = Self::default();
        for (digest, path) in text.lines().filter_map(|line| line.split_once("  ")) {
            if let Ok(digest) = digest.parse() {
                list.files.entry(path.to_owned()).or_default().push(Version { digest, run: None, key: None });
            }
        }
        list
    }

    /// As text. Runs that made none of the files are left out.
    pub fn text(&self) -> String {
        let line = |name: &String, value: String| format!("    {}: {value}", json(name));
        let named: BTreeSet<&String> =
            self.files.values().flatten().filter_map(|version| version.run.as_ref()).collect();
        let runs = self.runs.iter().filter(|(run, _)| named.contains(run)).map(|(run, about)| line(run, json(about)));
        let runs: Vec<String> = runs.collect();
        let files: Vec<String> = self.files.iter().map(|(path, versions)| line(path, json(versions))).collect();
        format!(
            "{{\n  \"published\": {EDITION},\n  \"runs\": {{\n{}\n  }},\n  \"files\": {{\n{}\n  }}\n}}\n",
            runs.join(",\n"),
            files.join(",\n")
        )
    }

    /// The version of a file with this digest.
    pub fn version(&self, path: &str, digest: &Digest<Content>) -> Option<&Version> {
        self.files.get(path)?.iter().find(|version| version.digest == *digest)
    }
}

/// A value as JSON on one line.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back_as_written_without_runs_that_made_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(PublishedList::read(folder.path()).unwrap(), PublishedList::default());
        let run = |n| PublishingRun { began: "2026".into(), parameters: [("n".into(), Value::Int(n))].into() };
        let runs = [("r1".into(), run(1)), ("r2".into(), run(2))].into();
        let mut list = PublishedList { runs, ..PublishedList::default() };
        let version = Version { digest: Digest::of(b"x"), run: Some("r2".into()), key: None };
        list.files.insert("a \"b\".csv".into(), vec![version]);
        fs::write(folder.path().join(LIST), list.text()).unwrap();
        list.runs.remove("r1");
        assert_eq!(PublishedList::read(folder.path()).unwrap(), list);
        assert_eq!(list.text().lines().filter(|line| line.contains(".csv")).count(), 1, "one line a file");
    }

    #[test]
    fn the_first_edition_is_read_and_later_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::<Content>::of(b"x");
        fs::write(folder.path().join(LIST), format!("{digest}  a.csv\n{digest}  b c.csv\nnonsense\n")).unwrap();
        let list = PublishedList::read(folder.path()).unwrap();
        assert_eq!(list.files.keys().collect::<Vec<_>>(), ["a.csv", "b c.csv"]);
        assert!(list.version("a.csv", &digest).unwrap().run.is_none());
        fs::write(folder.path().join(LIST), "{\"published\": 3, \"runs\": {}, \"files\": {}}").unwrap();
        assert!(PublishedList::read(folder.path()).unwrap_err().message.contains("another version"));
    }
}
