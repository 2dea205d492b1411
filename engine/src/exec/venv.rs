//! The fact of a Python environment: a digest of everything that an `import` can find in it.
//!
//! | in `site-packages` | enters as |
//! |---|---|
//! | a distribution | its name, and the digests that its installer recorded (`RECORD`); its files are not read |
//! | a line of a `.pth` file that imports | text |
//! | a line of a `.pth` file that names a folder, as editable installs do | the files of that folder |
//! | a module that finds an editable install (`__editable___NAME_finder.py`) | text, and the files of the folders it names |
//! | a module or package that no distribution has recorded | its files |
//!
//! A null run reads no `RECORD` and no source: which folders these are is remembered under the identities of `RECORD`s,
//! `.pth` files and the folder, and the digest under the identities of all files that it was made from.
//!
//! Left out of folders of sources is what no import depends on and what changes by itself: hidden folders, compiled
//! files, other environments, published results and lockfiles. What depends on the environment's own path stays out too.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;

use super::memo::{Memo, identity, remembered};
use super::readable::linked_outside;

/// What is known of an environment.
pub(super) struct Environment {
    /// The digest, for the key.
    pub fact: String,
    /// Folders and files outside of it that imports read: those it names, and those that links lead to.
    pub outside: Vec<PathBuf>,
}

/// Looks at the environment in `venv`, the tool `name` of a stage.
///
/// # Errors
/// There is none, or a folder of it or one that it names cannot be listed.
pub(super) fn look_at(name: &str, venv: &Path, memo: &mut dyn Memo) -> Result<Environment, Failure> {
    let config = venv.join("pyvenv.cfg");
    if !config.is_file() {
        let missing = format!("tool `{name}`: found no virtual environment at `{}`", venv.display());
        let hint = format!("make it with `python3 -m venv {}` and install what the stage needs", venv.display());
        return Err(Failure::environment(missing).hint(hint));
    }
    let contents = Contents::of(venv)?;
    let identity = contents.identity(&config)?;
    let sources = remembered(memo, &format!("sources of {identity}"), || Ok(as_lines(&contents.sources()?)))?;
    let sources: Vec<PathBuf> = paths_in(&sources).collect();
    let SourceFiles { files, linked } = files_of(&sources)?;
    let mut identities = blake3::Hasher::new();
    identities.update(identity.as_bytes());
    for (_, file) in &files {
        identities.update(super::memo::identity(file)?.as_bytes());
        identities.update(b"\n");
    }
    let key = format!("venv 2 {}", identities.finalize().to_hex());
    let fact = remembered(memo, &key, || contents.digest(venv, &files))?;
    let installed = remembered(memo, &format!("links of {identity}"), || Ok(as_lines(&contents.linked_outside())))?;
    let mut outside = sources;
    outside.extend(linked);
    outside.extend(paths_in(&installed));
    Ok(Environment { fact, outside })
}

/// What lies in the folders of packages of an environment, sorted.
#[derive(Default)]
struct Contents {
    /// `site-packages`, of each version of Python.
    packages: Vec<PathBuf>,
    /// The `RECORD`, or else the `METADATA`, of each distribution.
    distributions: Vec<PathBuf>,
    /// `.pth` files.
    paths: Vec<PathBuf>,
    /// Modules and packages.
    modules: Vec<PathBuf>,
}

impl Contents {
    fn of(venv: &Path) -> Result<Self, Failure> {
        let mut contents = Self::default();
        for python in list(&venv.join("lib"))? {
            let packages = python.join("site-packages");
            for entry in list(&packages)? {
                let name = entry.file_name().unwrap_or_default().to_string_lossy();
                if name.ends_with(".dist-info") {
                    let names = ["RECORD", "METADATA"].map(|name| entry.join(name));
                    contents.distributions.extend(names.into_iter().find(|path| path.is_file()));
                } else if name.ends_with(".pth") {
                    contents.paths.push(entry);
                } else if !is_left_out(&entry) {
                    contents.modules.push(entry);
                }
            }
            if packages.is_dir() {
                contents.packages.push(packages);
            }
        }
        Ok(contents)
    }

    /// Identifies all of it without reading; sources that it names are not in it.
    fn identity(&self, config: &Path) -> Result<String, Failure> {
        let mut identities = blake3::Hasher::new();
        let finders = self.modules.iter().filter(|module| is_finder(module));
        let files = std::iter::once(config)
            .chain([&self.packages, &self.distributions, &self.paths].into_iter().flatten().map(PathBuf::as_path));
        for file in files.chain(finders.map(PathBuf::as_path)) {
            identities.update(identity(file)?.as_bytes());
            identities.update(b"\n");
        }
        Ok(identities.finalize().to_hex().to_string())
    }

    /// Everything that is hashed as sources: modules of no distribution, and what `.pth` files and finders name.
    fn sources(&self) -> Result<BTreeSet<PathBuf>, Failure> {
        let mut recorded = BTreeSet::new();
        for record in self.distributions.iter().filter(|path| path.ends_with("RECORD")) {
            let packages = record.parent().and_then(Path::parent).unwrap_or(Path::new(""));
            let text = read(record)?;
            recorded.extend(text.lines().filter_map(|line| Some(packages.join(line.split(['/', ',']).next()?))));
        }
        let mut sources: BTreeSet<PathBuf> =
            self.modules.iter().filter(|module| !recorded.contains(*module)).cloned().collect();
        for path in &self.paths {
            let packages = path.parent().unwrap_or(Path::new("/"));
            let text = read(path)?;
            let folders = text.lines().map(str::trim_end).filter(|line| names_folder(line));
            sources.extend(folders.map(|line| packages.join(line)).filter(|path| path.exists() && path != packages));
        }
        for finder in self.modules.iter().filter(|module| is_finder(module)) {
            sources.extend(quoted_paths(&read(finder)?));
        }
        Ok(sources)
    }

    /// What links in the folders of packages lead to: installers may link the files of a distribution to their cache.
    fn linked_outside(&self) -> BTreeSet<PathBuf> {
        self.packages.iter().flat_map(|packages| linked_outside(packages, |_| {})).collect()
    }

    /// The digest of names, versions, digests that installers recorded, `.pth` files, and the files of sources.
    fn digest(&self, venv: &Path, files: &[(String, PathBuf)]) -> Result<String, Failure> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(python_version(venv).as_bytes());
        for record in &self.distributions {
            hasher.update(record.parent().and_then(Path::file_name).unwrap_or_default().as_bytes());
            hasher.update(b"\n");
            for line in installed(&read(record)?) {
                hasher.update(line.as_bytes());
                hasher.update(b"\n");
            }
        }
        for path in &self.paths {
            hasher.update(path.file_name().unwrap_or_default().as_bytes());
            hasher.update(b"\n");
            // A folder enters by its files, so that another checkout of the same sources is the same environment.
            let text = read(path)?;
            for line in text.lines().filter(|line| !names_folder(line)) {
                hasher.update(line.as_bytes());
                hasher.update(b"\n");
            }
        }
        for (name, file) in files {
            hasher.update(name.as_bytes());
            hasher.update(b"\0");
            let mut content = blake3::Hasher::new();
            content.update_mmap(file).map_err(|error| Failure::io("read", file, &error))?;
            hasher.update(content.finalize().as_bytes());
        }
        Ok(format!("blake3:{}", hasher.finalize().to_hex()))
    }
}

fn as_lines(paths: &BTreeSet<PathBuf>) -> String {
    paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join("\0")
}

fn paths_in(lines: &str) -> impl Iterator<Item = PathBuf> {
    lines.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut entries: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Vec::new()
        }
        Err(error) => return Err(Failure::io("list", folder, &error)),
    };
    entries.sort();
    Ok(entries)
}

fn read(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line of a `.pth` file that Python puts on its path, as `site.py` reads it.
fn names_folder(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#') && !line.starts_with("import ") && !line.starts_with("import\t")
}

/// A module that an editable install left to find its sources.
fn is_finder(module: &Path) -> bool {
    let name = module.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".py") && name.contains("editable")
}

/// Texts in quotes that are absolute paths of something that exists.
fn quoted_paths(text: &str) -> Vec<PathBuf> {
    let quoted = text.split(['\'', '"']).filter(|part| part.starts_with('/') && !part.contains('\n'));
    quoted.map(PathBuf::from).filter(|path| path.parent().is_some() && path.exists()).collect()
}

/// What no import depends on, or what changes by itself.
fn is_left_out(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hidden = name.starts_with('.');
    hidden || ["__pycache__", "node_modules"].contains(&&*name) || name.ends_with(".pyc") || name.ends_with(".lock")
}

/// What there is in sources.
#[derive(Default)]
struct SourceFiles {
    /// All files, with names that do not depend on where the sources are.
    files: Vec<(String, PathBuf)>,
    /// What links among them lead to.
    linked: BTreeSet<PathBuf>,
}

fn files_of(sources: &[PathBuf]) -> Result<SourceFiles, Failure> {
    let mut found = SourceFiles::default();
    for (number, source) in sources.iter().enumerate() {
        let base = source.file_name().unwrap_or_default().to_string_lossy();
        let walk = walkdir::WalkDir::new(source).follow_links(true).sort_by_file_name();
        let enters = |entry: &walkdir::DirEntry| entry.depth() == 0 || !is_left_out(entry.path());
        let own = |entry: &walkdir::DirEntry| {
            let holds = |name: &str| entry.path().join(name).exists();
            entry.depth() == 0 || !entry.file_type().is_dir() || !(holds("pyvenv.cfg") || holds(".published"))
        };
        for entry in walk.into_iter().filter_entry(|entry| enters(entry) && own(entry)) {
            let entry = entry.map_err(|error| {
                let place = error.path().unwrap_or(source).to_owned();
                Failure::io("list", &place, &error.into()).hint(
                    "the virtual environment names this folder (a `.pth` file), and what lies there enters the key",
                )
            })?;
            if entry.path_is_symlink() {
                found.linked.extend(fs::canonicalize(entry.path()));
            }
            if entry.file_type().is_file() {
                let below = entry.path().strip_prefix(source).unwrap_or(Path::new(""));
                found.files.push((format!("{number} {base}/{}", below.display()), entry.into_path()));
            }
        }
    }
    Ok(found)
}

/// The lines of a `RECORD` that are the same wherever the environment lies: without scripts that hold its path, compiled
/// files, and notes of the installer.
fn installed(record: &str) -> Vec<&str> {
    let notes = ["/INSTALLER,", "/REQUESTED,", "/direct_url.json,", "/RECORD,"];
    let is_editable = |line: &str| line.contains("__editable__") || line.contains(".pth,");
    let mut lines: Vec<&str> = record
        .lines()
        .filter(|line| !line.starts_with("../") && !line.contains(".pyc,") && !is_editable(line))
        .filter(|line| !notes.iter().any(|note| line.contains(note)))
        .collect();
    lines.sort_unstable();
    lines
}

fn python_version(venv: &Path) -> String {
    let text = fs::read_to_string(venv.join("pyvenv.cfg")).unwrap_or_default();
    let version =
        text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim().starts_with("version"));
    version.map(|(_, version)| version.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::NoMemo;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("writes");
    }

    fn fact(venv: &Path) -> String {
        look_at("python", venv, &mut NoMemo).expect("an environment").fact
    }

    #[test]
    fn editable_installs_and_loose_modules_are_part_of_an_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let (venv, source) = (folder.path().join("venv"), folder.path().join("src"));
        let packages = venv.join("lib/python3.12/site-packages");
        write(&venv.join("pyvenv.cfg"), "home = /usr/bin\nversion = 3.12.1\n");
        write(&packages.join("a-1.dist-info/RECORD"), "a/__init__.py,sha256=x,3\n");
        write(&packages.join("a/__init__.py"), "1");
        write(&source.join("lib/__init__.py"), "1");
        let mut known = vec![fact(&venv)];
        let changes = |known: &mut Vec<String>, path: &Path, text: &str| {
            write(path, text);
            let now = fact(&venv);
            assert!(!known.contains(&now), "{} = {text:?}", path.display());
            known.push(now);
        };
        changes(&mut known, &packages.join("lib.pth"), &format!("{}\n", source.display()));
        changes(&mut known, &source.join("lib/__init__.py"), "2");
        changes(&mut known, &packages.join("hook.pth"), "import hook\n");
        changes(&mut known, &packages.join("hook.pth"), "import other_hook\n");
        changes(&mut known, &packages.join("loose.py"), "1");
        changes(&mut known, &packages.join("loose.py"), "2");
        changes(&mut known, &packages.join("package/__init__.py"), "1");
        let other = folder.path().join("other");
        write(&other.join("__init__.py"), "1");
        let finder = packages.join("__editable___other_finder.py");
        changes(&mut known, &finder, &format!("MAPPING = {{'other': '{}'}}", other.display()));
        changes(&mut known, &other.join("__init__.py"), "2");
        for path in
            [source.join("lib/__pycache__/x.pyc"), source.join(".git/HEAD"), source.join("results/t/.published")]
        {
            write(&path, "1");
            assert_eq!(Some(&fact(&venv)), known.last(), "{}", path.display());
        }
        write(&packages.join("a/__init__.py"), "what RECORD covers is not read");
        assert_eq!(Some(&fact(&venv)), known.last());
    }

    #[test]
    fn a_folder_of_an_environment_that_cannot_be_listed_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (venv, source) = (folder.path().join("venv"), folder.path().join("src"));
        write(&venv.join("pyvenv.cfg"), "home = /usr/bin\nversion = 3.12.1\n");
        write(&venv.join("lib/python3.12/site-packages/lib.pth"), &format!("{}\n", source.display()));
        write(&source.join("lib/__init__.py"), "1");
        look_at("python", &venv, &mut NoMemo).expect("it can be listed");
        // Root lists folders whatever their permissions are; without end it lists none.
        let again = source.join("lib/again");
        fs_err::os::unix::fs::symlink(&source, &again).expect("links");
        let refused = look_at("python", &venv, &mut NoMemo).err().expect("a folder without end is listed");
        assert!(refused.message.contains(&format!("could not list `{}`", again.display())), "{refused:?}");
        assert!(refused.hint.as_deref().is_some_and(|hint| hint.contains("a `.pth` file")), "{refused:?}");
    }
}
