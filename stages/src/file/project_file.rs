//! `file`: a file of the project as an artifact, so that several stages can read it under one name.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use crate::transfer::local_file::copy;

/// The kind.
pub struct ProjectFileKind;

impl StageKind for ProjectFileKind {
    fn kind(&self) -> Kind {
        Kind::new("file", 1, "A file of the project as an artifact.").input("file", &[], "The file.").file(
            "file",
            "file",
            "The same bytes.",
        )
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let source = task.one("file")?;
        if !source.is_file() {
            return Err(Failure::input(format!("`{}` is not a file", source.display()))
                .hint("a folder can be read directly: write its path in `in:` of the stage that needs it"));
        }
        copy(source, task.output("file")?)?;
        Ok(Ended::done())
    }
}
