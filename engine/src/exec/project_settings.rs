//! `pipe.toml`: what is true of a project on this machine and belongs neither to a pipeline nor to a key.
//!
//! It lies beside the pipeline file, or in a folder above it up to the project's root; the nearest one counts, alone.
//!
//! ```toml
//! readable = ["/sw", "~/freesurfer"]   # what every `run:` stage may read, besides the system and its tools
//! ```

use std::ops::Range;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;
use toml::de::{DeTable, DeValue};

/// The file's name.
const NAME: &str = "pipe.toml";
/// Its keys.
const KEYS: [&str; 1] = ["readable"];

/// The settings of a project; nothing where there is no file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectSettings {
    /// Files and folders that every `run:` stage may read, absolute.
    pub readable: Vec<PathBuf>,
}

impl ProjectSettings {
    /// Reads the file that counts for a pipeline file in `folder` of the project with this root.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has a key or a value that it cannot have.
    pub fn find(folder: &Path, root: &Path) -> Result<Self, Failure> {
        let file = folder.ancestors().map(|folder| (folder, folder.join(NAME))).find(|(_, path)| path.is_file());
        match file {
            Some((at, path)) if at.starts_with(root) => {
                let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
                let text = str::from_utf8(&bytes).map_err(|error| {
                    let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
                    Failure::input(format!("`{NAME}` is not UTF-8 text")).at(format!("{}:{line}", path.display()))
                })?;
                Self::read(&path, text)
            }
            _ => Ok(Self::default()),
        }
    }

    fn read(path: &Path, text: &str) -> Result<Self, Failure> {
        let at = |span: Range<usize>| {
            let before = &text[..span.start.min(text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("{}:{line}:{column}", path.display())
        };
        let table = DeTable::parse(text).map_err(|error| {
            let place = at(error.span().unwrap_or_default());
            Failure::input(format!("`{NAME}` is not valid TOML: {}", error.message())).at(place)
        })?;
        let mut settings = Self::default();
        for (key, value) in table.get_ref() {
            let place = || at(value.span());
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("readable", DeValue::Array(items)) => {
                    for item in items {
                        let DeValue::String(text) = item.get_ref() else {
                            return Err(wrong("`readable` has something that is not a text").at(at(item.span())));
                        };
                        let path = absolute(text).ok_or_else(|| {
                            wrong(&format!("`readable` has `{text}`, which is not an absolute path"))
                                .at(at(item.span()))
                        })?;
                        settings.readable.push(path);
                    }
                }
                ("readable", _) => return Err(wrong("`readable` is not a list").at(place())),
                (unknown, _) => {
                    let known = KEYS.map(|key| format!("`{key}`")).join(", ");
                    return Err(Failure::input(format!("`{NAME}` has an unknown key `{unknown}`"))
                        .at(at(key.span()))
                        .hint(format!("its keys are {known}")));
                }
            }
        }
        Ok(settings)
    }
}

fn wrong(what: &str) -> Failure {
    Failure::input(what)
        .hint("a list of absolute paths or paths in the home folder: `readable = [\"/sw\", \"~/tools\"]`")
}

/// A path as it is written: absolute, or `~/` and what follows.
fn absolute(text: &str) -> Option<PathBuf> {
    let path = match text.strip_prefix("~/") {
        Some(rest) => PathBuf::from(std::env::var_os("HOME")?).join(rest),
        None => PathBuf::from(text),
    };
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProjectSettings, Failure> {
        ProjectSettings::read(Path::new("pipe.toml"), text)
    }

    #[test]
    fn mistakes_have_a_place() {
        assert_eq!(read("readable = ['/sw']").expect("is right").readable, [PathBuf::from("/sw")]);
        for (text, message, place) in [
            ("\nreadible = []", "`pipe.toml` has an unknown key `readible`", "pipe.toml:2:1"),
            ("readable = '/sw'", "`readable` is not a list", "pipe.toml:1:12"),
            ("readable = [\n  '/sw',\n  'sw']", "`readable` has `sw`, which is not an absolute path", "pipe.toml:3:3"),
            ("readable = [1]", "`readable` has something that is not a text", "pipe.toml:1:13"),
        ] {
            let failure = read(text).expect_err("is wrong");
            assert_eq!((failure.message.as_str(), failure.place.as_deref()), (message, Some(place)));
        }
        assert!(read("readable = [").expect_err("is wrong").message.contains("not valid TOML"));
    }

    #[test]
    fn the_nearest_file_up_to_the_root_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("project/pipelines");
        fs::create_dir_all(&inner).expect("a folder");
        let find = || ProjectSettings::find(&inner, &folder.path().join("project")).expect("is right").readable;
        fs::write(folder.path().join(NAME), "readable = ['/outside']").expect("writes");
        assert!(find().is_empty());
        fs::write(folder.path().join("project").join(NAME), "readable = ['/root']").expect("writes");
        assert_eq!(find(), [PathBuf::from("/root")]);
        fs::write(inner.join(NAME), "readable = ['/inner']").expect("writes");
        assert_eq!(find(), [PathBuf::from("/inner")]);
    }
}
