//! `file/by-hand`: a file that a user has to fetch, because its provider requires consent, a form or a browser.
//!
//! It is looked for in a folder of the project; where it is not there, it is asked for with its address. The file that it becomes has
//! the same bytes whatever else is put into the folder, so that stages after it do not run again for that.

use pipe_contract::{Arity, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use crate::transfer::checksum::Sha256;
use crate::transfer::local_file::copy;

/// The kind.
pub struct ByHand;

parameters! {
    struct Parameters {
        /// the name of the file in the folder
        name: String;
        /// where it is fetched from, for who is asked for it
        address: String;
        /// the SHA-256 that the file must have (64 hexadecimal digits); empty for none
        sha256: String = String::new();
    }
}

impl StageKind for ByHand {
    fn kind(&self) -> Kind {
        Kind::new("file/by-hand", 1, "a file that a user fetches and puts into a folder")
            .port("folder", &[], Arity::One, true, "the folder of such files; without it the file is asked for")
            .file("file", "file", "the same bytes")
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { name, address, sha256 } = task.parameters()?;
        let pin = Sha256::parse_optional(&sha256)?;
        let folder = task.maybe("folder");
        let Some(source) = folder.map(|folder| folder.join(&name)).filter(|path| path.is_file()) else {
            let (what, where_to) = match folder {
                Some(folder) => ("and is not there", format!("`{}`", folder.display())),
                None => ("but no folder is given", "a folder, and give it as `folder`".to_owned()),
            };
            return Err(Failure::input(format!("the file `{name}` has to be fetched by hand, {what}"))
                .hint(format!("download it from {address} and put it into {where_to}")));
        };
        if let Some(pin) = pin {
            pin.check(&source, &name)?;
        }
        copy(&source, task.output("file")?)?;
        Ok(Ended::done())
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::test_support::tasks;

    #[test]
    fn a_file_that_is_not_there_is_asked_for_with_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&ByHand, folder.path());
        let address = "https://example.org/betas?dl=1";
        tasks::set(&mut task, "name", Value::Text("betas.hdf5".into()));
        tasks::set(&mut task, "address", Value::Text(address.into()));
        let failure = tasks::run(&ByHand, &task).unwrap_err();
        assert_eq!(failure.message, "the file `betas.hdf5` has to be fetched by hand, but no folder is given");
        assert!(failure.hint.unwrap().contains(address));
        let given = folder.path().join("given");
        fs_err::create_dir(&given).unwrap();
        tasks::give(&mut task, "folder", &given);
        let failure = tasks::run(&ByHand, &task).unwrap_err();
        assert_eq!(failure.message, "the file `betas.hdf5` has to be fetched by hand, and is not there");
        assert_eq!(failure.hint.unwrap(), format!("download it from {address} and put it into `{}`", given.display()));
        fs_err::write(given.join("betas.hdf5"), "abc").unwrap();
        tasks::run(&ByHand, &task).unwrap();
        assert_eq!(fs_err::read(folder.path().join("file")).unwrap(), b"abc");
        tasks::set(&mut task, "sha256", Value::Text("0".repeat(64)));
        assert!(tasks::run(&ByHand, &task).unwrap_err().message.contains("`betas.hdf5` has SHA-256"));
        tasks::set(&mut task, "sha256", Value::Text(Sha256::of_bytes(b"abc").as_str().into()));
        assert!(tasks::run(&ByHand, &task).is_ok());
    }
}
