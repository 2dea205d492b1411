//! Reads wheels and source archives: which entries there are, what they are called once installed, and their bytes.
//!
//! Never trusts a name or a size: an entry that leads outside is an error before anything is written, links are not followed, and
//! an archive is unpacked up to a stated size.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::read::GzDecoder;
use fs_err::File;
use pipe_contract::Failure;
use sha2::Digest as _;

use crate::transfer::local_file::create_parent;

/// The most bytes that one distribution may unpack to, its names included; a few packages of the field have some hundred megabytes.
const MOST_UNPACKED: u64 = 2 << 30;

/// A distribution file.
pub struct Archive {
    path: PathBuf,
    form: ArchiveFormat,
    most_unpacked: u64,
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
        Self::open_bounded(path, MOST_UNPACKED)
    }

    fn open_bounded(path: &Path, most_unpacked: u64) -> Result<Self, Failure> {
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
        let mut archive = Self { path: path.to_owned(), form, most_unpacked, entries: BTreeMap::new() };
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

    fn tar(&self) -> Result<tar::Archive<impl Read>, Failure> {
        let file = File::open(&self.path).map_err(|error| Failure::io("read", &self.path, &error))?;
        let unpacked = GzDecoder::new(BufReader::new(file.into_file()));
        Ok(tar::Archive::new(Bounded { reader: unpacked, left: self.most_unpacked }))
    }

    fn zip(&self) -> Result<zip::ZipArchive<BufReader<std::fs::File>>, Failure> {
        let file = File::open(&self.path).map_err(|error| Failure::io("read", &self.path, &error))?;
        zip::ZipArchive::new(BufReader::new(file.into_file())).map_err(|error| self.damaged(&error.to_string()))
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
        let mut left = self.most_unpacked;
        for (name, place) in picks {
            let entry = zip.by_name(name).map_err(|error| self.damaged(&error.to_string()))?;
            let bytes = self.read_entry(name, entry, left)?;
            left -= bytes.len() as u64;
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
        let entry = zip.by_name(name).map_err(|error| self.damaged(&error.to_string()))?;
        let text = self.read_entry(name, entry, self.most_unpacked)?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&text[..]);
        let mut record = BTreeMap::new();
        for row in reader.records() {
            let row = row.map_err(|error| self.damaged(&format!("`{name}`: {error}")))?;
            if let (Some(path), Some(digest)) = (row.get(0), row.get(1)) {
                record.insert(path.to_owned(), digest.to_owned());
            }
        }
        Ok(record)
    }

    /// An entry to its end, which also checks its CRC.
    fn read_entry(&self, name: &str, entry: impl Read, most: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = Bounded { reader: entry, left: most }.read_to_end(&mut bytes);
        read.map_err(|error| self.damaged(&format!("`{name}`: {error}")))?;
        Ok(bytes)
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

/// A reader that fails where more than `left` bytes follow.
struct Bounded<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other(format!("it unpacks to more than {MOST_UNPACKED} bytes, the most that is read"))
        })?;
        Ok(count)
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
    fs_err::write(path, bytes).map_err(|error| Failure::io("write", path, &error))
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
    fn archives_are_unpacked_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let zeros = vec![0; 100_000];
        let tar = folder.path().join("a-1.tar.gz");
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(File::create(&tar).unwrap(), flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(zeros.len() as u64);
        header.set_cksum();
        builder.append_data(&mut header, "a-1/a/x", &zeros[..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        let failure = Archive::open_bounded(&tar, 50_000).err().expect("a bound");
        assert!(failure.message.contains("unpacks to more than"), "{failure}");

        let zip = folder.path().join("a-1.zip");
        let mut writer = zip::ZipWriter::new(File::create(&zip).unwrap());
        writer.start_file("a-1/a/x", zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, &zeros).unwrap();
        writer.finish().unwrap();
        let picks = BTreeMap::from([("a-1/a/x".to_owned(), "x".to_owned())]);
        let extract = |most| Archive::open_bounded(&zip, most).unwrap().extract(&picks, folder.path());
        assert!(extract(100_000).is_ok());
        assert!(extract(99_999).unwrap_err().message.contains("unpacks to more than"));
    }

    #[test]
    fn names_that_lead_outside() {
        for bad in ["", "/a", "a/../b", "..", "a//b", "./a", "a\\b"] {
            assert!(!stays_inside(bad), "{bad}");
        }
        assert!(stays_inside("a/b..c/.d"));
    }
}
