//! The lockfile: digests of all published results of one profile, for reviewers and CI.
//!
//! It lies beside the pipeline file, as `<file>.<profile>.lock`, and is made to be committed: JSON with one result a
//! line, sorted, without times, paths or machines.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pipe_cache::{Content, Digest};
use pipe_contract::Failure;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// The version of the form of lockfiles.
pub const LOCKFILE_VERSION: u32 = 1;

/// Such a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lockfile {
    /// [`LOCKFILE_VERSION`].
    pub lock: u32,
    /// The pipeline.
    pub pipeline: String,
    /// The profile, if the file has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// By path below the results folder.
    pub results: BTreeMap<String, Locked>,
}

/// One published file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Locked {
    /// Of its bytes.
    pub digest: Digest<Content>,
    /// Its size.
    pub bytes: u64,
}

/// Where the lockfile of a plan lies.
pub fn lockfile_path(plan: &Plan) -> PathBuf {
    let stem = plan.file.file_stem().unwrap_or(plan.file.as_os_str()).to_string_lossy();
    let profile = plan.profile.as_ref().map(|profile| format!(".{profile}")).unwrap_or_default();
    plan.folder.join(format!("{stem}{profile}.lock"))
}

impl Lockfile {
    /// The lockfile of a plan with these results.
    pub fn new(plan: &Plan, results: BTreeMap<String, Locked>) -> Self {
        Self { lock: LOCKFILE_VERSION, pipeline: plan.pipeline.clone(), profile: plan.profile.clone(), results }
    }

    /// Reads a lockfile; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not a lockfile of this version.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("read", path, &error)),
        };
        let wrong = |what: String| {
            Failure::input(format!("`{}` is not a lockfile of this version of pipe: {what}", path.display()))
                .hint("delete it and run the pipeline: it is written anew")
        };
        let lockfile: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if lockfile.lock != LOCKFILE_VERSION {
            return Err(wrong(format!("expected `lock` {LOCKFILE_VERSION}, found {}", lockfile.lock)));
        }
        Ok(Some(lockfile))
    }

    /// Writes it, if it is not there already with the same content.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        // One fixed name, so that what a killed run left is removed or replaced by the next.
        let aside = path.with_extension("lock.new");
        if Self::read(path).is_ok_and(|there| there.as_ref() == Some(self)) {
            let _ = fs::remove_file(aside);
            return Ok(());
        }
        let io = |error: io::Error| Failure::io("write", path, &error);
        fs::write(&aside, self.text()).map_err(io)?;
        fs::rename(&aside, path).map_err(io)
    }

    /// As text: one result a line, so that a review shows what moved.
    fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = format!("{{\n  \"lock\": {},\n  \"pipeline\": {},\n", self.lock, quoted(&self.pipeline));
        if let Some(profile) = &self.profile {
            text.push_str(&format!("  \"profile\": {},\n", quoted(profile)));
        }
        let line = |(path, locked): (&String, &Locked)| {
            format!("    {}: {{ \"digest\": \"{}\", \"bytes\": {} }}", quoted(path), locked.digest, locked.bytes)
        };
        let lines: Vec<String> = self.results.iter().map(line).collect();
        text.push_str(&format!("  \"results\": {{\n{}\n  }}\n}}\n", lines.join(",\n")));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockfile_reads_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.demo.lock");
        assert_eq!(Lockfile::read(&path).unwrap(), None);
        for results in
            [BTreeMap::new(), BTreeMap::from([("a \"b\".csv".into(), Locked { digest: Digest::of(b"x"), bytes: 1 })])]
        {
            let lockfile = Lockfile { lock: 1, pipeline: "p".into(), profile: Some("demo".into()), results };
            lockfile.write(&path).unwrap();
            assert_eq!(Lockfile::read(&path).unwrap(), Some(lockfile));
        }
        fs::write(&path, "{}").unwrap();
        assert!(Lockfile::read(&path).unwrap_err().message.contains("is not a lockfile"));
    }
}
