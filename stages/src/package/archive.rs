//! Reads wheels and source archives: which entries there are, what they are called once installed, and their bytes.
//!
//! Never trusts a name: an entry that leads outside is an error before anything is written, links are not followed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::read::GzDecoder;
use pipe_contract::Failure;
use sha2::Digest as _;

use crate::transfer::local_file::create_parent;

/// A distribution file.
pub struct Archive {
    path: PathBuf,
    form: ArchiveFormat,
    /// Name in the archive to path as installed.
    entries: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ArchiveFormat {
    Wheel,
    Zip,
    TarGz,
}

impl Archive {
    /// Lists a wheel (`.whl`) or a source archive (`.tar.gz`, `.zip`).
    ///
    /// # Errors
    /// Input: another form, a damaged archive, or an entry whose name leads outside.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let form = match name.as_str() {
            name if name.ends_with(".whl") => ArchiveFormat::Wheel,
            name if name.ends_with(".zip") => ArchiveFormat::Zip,
            name if name.ends_with(".tar.gz") || name.ends_with(".tgz") => ArchiveFormat::TarGz,
            _ => {
                return Err(Failure::input(format!("`{name}` is a distribution of an unknown form"))
                    .hint("wheels (.whl) and source archives (.tar.gz, .zip) can be read"));
            }
        };
        let mut archive = Self { path: path.to_owned(), form, entries: BTreeMap::new() };
        let names = if form == ArchiveFormat::TarGz { archive.tar_names()? } else { archive.zip_names()? };
        for name in names {
            if !stays_inside(&name) {
                return Err(archive.damaged(&format!("its entry `{name}` leads outside the archive")));
            }
            let installed = installed_path(&name, form);
            if archive.entries.insert(name.clone(), installed).is_some() {
                return Err(archive.damaged(&format!("it holds `{name}` twice")));
            }
        }
        Ok(archive)
    }

    /// Files by name in the archive, with the path that each has once installed.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.entries
    }

    /// Writes entries (name in the archive to path below `target`), checked against the wheel's RECORD.
    ///
    /// # Errors
    /// Input: a damaged archive, or an entry that differs from its RECORD. Environment: the disk.
    pub fn extract(&self, picks: &BTreeMap<String, String>, target: &Path) -> Result<(), Failure> {
        match self.form {
            ArchiveFormat::TarGz => self.extract_tar(picks, target),
            ArchiveFormat::Zip => self.extract_zip(picks, target, None),
            ArchiveFormat::Wheel => self.extract_zip(picks, target, Some(&self.record()?)),
        }
    }

    fn tar(&self) -> Result<tar::Archive<GzDecoder<BufReader<File>>>, Failure> {
        let file = File::open(&self.path).map_err(|error| Failure::io("read", &self.path, &error))?;
        Ok(tar::Archive::new(GzDecoder::new(BufReader::new(file))))
    }

    fn zip(&self) -> Result<zip::ZipArchive<BufReader<File>>, Failure> {
        let file = File::open(&self.path).map_err(|error| Failure::io("read", &self.path, &error))?;
        zip::ZipArchive::new(BufReader::new(file)).map_err(|error| self.damaged(&error.to_string()))
    }

    fn tar_names(&self) -> Result<Vec<String>, Failure> {
        let damaged = |error: std::io::Error| self.damaged(&error.to_string());
        let mut names = Vec::new();
        for entry in self.tar()?.entries().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            if entry.header().entry_type().is_file() {
                names.push(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
            }
        }
        Ok(names)
    }

    fn zip_names(&self) -> Result<Vec<String>, Failure> {
        let mut zip = self.zip()?;
        let mut names = Vec::new();
        for index in 0..zip.len() {
            let entry = zip.by_index(index).map_err(|error| self.damaged(&error.to_string()))?;
            if entry.is_file() && !entry.is_symlink() {
                names.push(entry.name().map_err(|error| self.damaged(&error.to_string()))?.into_owned());
            }
        }
        Ok(names)
    }

    fn extract_tar(&self, picks: &BTreeMap<String, String>, target: &Path) -> Result<(), Failure> {
        let damaged = |error: std::io::Error| self.damaged(&error.to_string());
        for entry in self.tar()?.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let (true, Some(place)) = (entry.header().entry_type().is_file(), picks.get(&name)) {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(damaged)?;
                write(&target.join(place), &bytes)?;
            }
        }
        Ok(())
    }

    fn extract_zip(
        &self,
        picks: &BTreeMap<String, String>,
        target: &Path,
        record: Option<&BTreeMap<String, String>>,
    ) -> Result<(), Failure> {
        let mut zip = self.zip()?;
        for (name, place) in picks {
            let mut entry = zip.by_name(name).map_err(|error| self.damaged(&error.to_string()))?;
            let mut bytes = Vec::new();
            // Reading to the end also checks the CRC.
            entry.read_to_end(&mut bytes).map_err(|error| self.damaged(&format!("`{name}`: {error}")))?;
            if let Some(record) = record {
                self.check_record(name, &bytes, record)?;
            }
            write(&target.join(place), &bytes)?;
        }
        Ok(())
    }

    /// The wheel's own list: path to `algorithm=digest`.
    fn record(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut zip = self.zip()?;
        let name = self
            .entries
            .keys()
            .find(|name| name.ends_with(".dist-info/RECORD") && name.matches('/').count() == 1)
            .ok_or_else(|| self.damaged("it is a wheel without a RECORD"))?;
        let mut text = String::new();
        zip.by_name(name)
            .map_err(|error| self.damaged(&error.to_string()))?
            .read_to_string(&mut text)
            .map_err(|error| self.damaged(&format!("`{name}`: {error}")))?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut record = BTreeMap::new();
        for row in reader.records() {
            let row = row.map_err(|error| self.damaged(&format!("`{name}`: {error}")))?;
            if let (Some(path), Some(digest)) = (row.get(0), row.get(1)) {
                record.insert(path.to_owned(), digest.to_owned());
            }
        }
        Ok(record)
    }

    fn check_record(&self, name: &str, bytes: &[u8], record: &BTreeMap<String, String>) -> Result<(), Failure> {
        let Some((algorithm, expected)) = record.get(name).and_then(|digest| digest.split_once('=')) else {
            return Err(self.damaged(&format!("its RECORD gives no digest for `{name}`")));
        };
        let found = match algorithm {
            "sha256" => BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(bytes)),
            "sha384" => BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha384::digest(bytes)),
            "sha512" => BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha512::digest(bytes)),
            other => {
                return Err(self.damaged(&format!("its RECORD uses `{other}`, which the wheel format does not allow")));
            }
        };
        if found == expected.trim_end_matches('=') {
            return Ok(());
        }
        Err(self.damaged(&format!("`{name}` has {algorithm} {found}, its RECORD says {expected}")))
    }

    fn damaged(&self, what: &str) -> Failure {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Failure::input(format!("the distribution `{name}` cannot be used: {what}"))
            .hint("run again with an emptied pip cache (`python3 -m pip cache purge`); if it stays, report it to the package's authors")
    }
}

fn stays_inside(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['\\', '\0'])
        && !name.starts_with('/')
        && name.split('/').all(|component| !matches!(component, "" | "." | ".."))
}

/// Where an entry lies once installed. A source archive has one folder at the top and may keep the package below `src/`;
/// a wheel may keep part of it below `<name>.data/purelib`.
fn installed_path(name: &str, form: ArchiveFormat) -> String {
    let below = |top: &str| name.split_once('/').filter(|(first, _)| first.ends_with(top)).map(|(_, rest)| rest);
    let path = match form {
        ArchiveFormat::Wheel => below(".data")
            .and_then(|rest| rest.strip_prefix("purelib/").or_else(|| rest.strip_prefix("platlib/")))
            .unwrap_or(name),
        ArchiveFormat::Zip | ArchiveFormat::TarGz => {
            let inner = below("").unwrap_or(name);
            inner.strip_prefix("src/").unwrap_or(inner)
        }
    };
    path.to_owned()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create_parent(path)?;
    std::fs::write(path, bytes).map_err(|error| Failure::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_paths() {
        assert_eq!(installed_path("a-1.0.data/purelib/a/x", ArchiveFormat::Wheel), "a/x");
        assert_eq!(installed_path("a/x", ArchiveFormat::Wheel), "a/x");
        assert_eq!(installed_path("a-1.0/src/a/x", ArchiveFormat::TarGz), "a/x");
        assert_eq!(installed_path("a-1.0/a/src/x", ArchiveFormat::TarGz), "a/src/x");
        assert_eq!(installed_path("PKG-INFO", ArchiveFormat::TarGz), "PKG-INFO");
    }

    #[test]
    fn names_that_lead_outside() {
        for bad in ["", "/a", "a/../b", "..", "a//b", "./a", "a\\b"] {
            assert!(!stays_inside(bad), "{bad}");
        }
        assert!(stays_inside("a/b..c/.d"));
    }
}
