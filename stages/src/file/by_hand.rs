//! `file/by-hand`: a file that a user has to fetch, because its provider requires consent, a form or a browser.
//!
//! The user puts it at a path of the project. Where it is not there, it is asked for with its address before anything runs. What it
//! becomes has the same bytes, whatever else is in its folder.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, Parameters as _, StageKind, Task, Value, parameters};

use crate::transfer::checksum::Sha256;
use crate::transfer::local_file::copy;

/// The kind.
pub struct ByHand;

parameters! {
    struct Parameters {
        /// where it is fetched from, for who is asked for it
        address: String;
        /// the SHA-256 that the file must have (64 hexadecimal digits); empty for none
        sha256: String = String::new();
    }
}

impl StageKind for ByHand {
    fn kind(&self) -> Kind {
        Kind::new("file/by-hand", 1, "a file that a user fetches and puts at a path of the project")
            .input("file", &[], "where it is put; if it is not there, it is asked for with its address")
            .file("file", "file", "the same bytes")
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { address, sha256 } = task.parameters()?;
        let pin = Sha256::parse_optional(&sha256)?;
        let source = task.one("file")?;
        if !source.is_file() {
            return Err(Failure::input(format!(
                "`{}` is a folder, expected the file from {address}",
                source.display()
            )));
        }
        if let Some(pin) = pin {
            pin.check(source, &name_of(source))?;
        }
        copy(source, task.output("file")?)?;
        Ok(Ended::done())
    }

    fn asks_for(&self, params: &BTreeMap<String, Value>, place: &Path) -> Option<Failure> {
        let Parameters { address, .. } = Parameters::read(params).ok()?;
        let folder = place.parent().unwrap_or(place).display().to_string();
        let name = name_of(place);
        Some(Failure::input(format!(
            "`{name}` has to be fetched by hand: download it from {address} and put it into `{folder}`"
        )))
    }
}

/// The name of a file, for messages.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    #[test]
    fn a_file_that_is_not_there_is_asked_for_with_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&ByHand, folder.path());
        tasks::set(&mut task, "address", Value::Text("https://example.org/betas?dl=1".into()));
        let failure = ByHand.asks_for(&task.params, Path::new("/lab/nsd/betas.hdf5")).unwrap();
        assert_eq!(
            failure.message,
            "`betas.hdf5` has to be fetched by hand: download it from https://example.org/betas?dl=1 and put it into `/lab/nsd`"
        );
    }

    #[test]
    fn a_file_that_is_there_is_compared_with_its_pin() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&ByHand, folder.path());
        tasks::set(&mut task, "address", Value::Text("https://example.org/betas?dl=1".into()));
        let given = folder.path().join("betas.hdf5");
        tasks::give(&mut task, "file", folder.path());
        assert!(
            tasks::run(&ByHand, &task).unwrap_err().message.contains("is a folder, expected the file from https://")
        );
        fs_err::write(&given, "abc").unwrap();
        tasks::give(&mut task, "file", &given);
        tasks::run(&ByHand, &task).unwrap();
        assert_eq!(fs_err::read(folder.path().join("file")).unwrap(), b"abc");
        tasks::set(&mut task, "sha256", Value::Text("0".repeat(64)));
        assert!(tasks::run(&ByHand, &task).unwrap_err().message.contains("`betas.hdf5` has SHA-256"));
        tasks::set(&mut task, "sha256", Value::Text(Sha256::of_bytes(b"abc").as_str().into()));
        assert!(tasks::run(&ByHand, &task).is_ok());
    }
}
