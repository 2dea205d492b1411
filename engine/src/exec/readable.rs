//! What a `run:` stage may read besides its inputs: the system, the installations of its tools, and what the project's
//! `pipe.toml` names.
//!
//! | readable | because |
//! |---|---|
//! | [`SYSTEM`] | programs, libraries, fonts, time zones, certificates, R and Python of the distribution |
//! | the installation of each tool: the folder around its `bin`, also through symbolic links | conda prefixes, pyenv, nvm and FreeSurfer have their libraries, licences and data there |
//! | the interpreter that a tool's first line names, and its installation | tools that pip, pipx or npm installed |
//! | the base of a virtual environment | `pyvenv.cfg` names it; the standard library is there |
//! | what links lead to in the folders of packages of an environment, and in what its `.pth` files name | installers and users link packages there; [`super::venv`] finds them |
//! | the user's R libraries, for a stage that uses R, and packages that are links there | R finds packages there |
//!
//! Never readable by these rules are the home folder as a whole, the project as a whole, and what contains them: of a tool
//! that lies there directly only its own folder (`~/bin`), or only the tool, is readable. Of a tool inside the project only the tool
//! is: what lies beside it is the project's, and declared. Environments and `node_modules` in the project are installations all the
//! same. None of it is in the key: the facts of tools are.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Files and folders of the system that every stage may read. Of `/var`, `/run` and `/home` only what programs need.
const SYSTEM: [&str; 26] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/snap",
    "/proc",
    "/sys",
    "/run/current-system",
    "/run/opengl-driver",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    "/run/nscd",
    "/var/cache/fontconfig",
    "/var/cache/ldconfig",
    "/var/lib/dbus/machine-id",
    "/var/lib/ghc",
    "/var/lib/texmf",
    "/var/lib/R",
];

/// The system, without `hidden`: a project in `/opt/work` is not readable because it lies in `/opt`.
pub(super) fn system(hidden: &[&Path]) -> Vec<PathBuf> {
    let hidden: Vec<PathBuf> = hidden.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let mut readable = Vec::new();
    for folder in SYSTEM {
        add_without(Path::new(folder), &hidden, &mut readable);
    }
    readable
}

/// Whether a path is in the system's folders.
pub(super) fn is_system(path: &Path) -> bool {
    path.starts_with("/dev") || SYSTEM.iter().any(|folder| path.starts_with(folder))
}

fn add_without(place: &Path, hidden: &[PathBuf], readable: &mut Vec<PathBuf>) {
    if hidden.iter().any(|path| path == place) {
        return;
    }
    if !hidden.iter().any(|path| path.starts_with(place)) {
        readable.push(place.to_owned());
        return;
    }
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.for_each(|entry| add_without(&entry.path(), hidden, readable));
}

/// Finds installations; what is too wide is not one.
pub(super) struct Installations<'a> {
    /// The user's home folder.
    home: Option<PathBuf>,
    project: &'a Path,
    found: Vec<PathBuf>,
}

/// Folders of programs: the installation is the folder around them.
const PROGRAM_FOLDERS: [&str; 6] = ["bin", "sbin", "shims", "condabin", "libexec", "scripts"];
/// How many links or interpreters are followed.
const LONGEST_CHAIN: usize = 16;

impl<'a> Installations<'a> {
    pub fn new(project: &'a Path) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Self { home, project, found: Vec::new() }
    }

    /// What was found, each once.
    pub fn into_found(self) -> Vec<PathBuf> {
        self.found
    }

    /// The installation of an executable, through symbolic links and the interpreters of scripts.
    pub fn add_tool(&mut self, executable: &Path) {
        let mut next = Some(executable.to_owned());
        for _ in 0..LONGEST_CHAIN {
            let Some(path) = next.take() else { return };
            self.add_around(&path);
            next = match fs::read_link(&path) {
                Ok(target) => path.parent().map(|folder| folder.join(target)),
                Err(_) => interpreter(&path),
            };
        }
    }

    /// A virtual environment, and the installation it was made from.
    pub fn add_environment(&mut self, venv: &Path) {
        self.add(venv.to_owned());
        self.add_base(venv);
        self.add_tool(&venv.join("bin/python"));
    }

    /// A folder that a stage reads as a whole.
    pub fn add_folder(&mut self, folder: &Path) {
        self.add(folder.to_owned());
    }

    fn add_around(&mut self, executable: &Path) {
        let Some(folder) = executable.parent() else { return };
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let holds_programs =
            folder.file_name().and_then(OsStr::to_str).is_some_and(|name| PROGRAM_FOLDERS.contains(&name));
        let around = if holds_programs { folder.parent().unwrap_or(&folder) } else { &folder };
        if self.is_own(&folder) && !is_environment(around) {
            self.add(executable.to_owned());
        } else if !self.is_too_wide(around) {
            self.add(around.to_owned());
            self.add_base(around);
            self.add_packages(around);
        } else if !self.is_too_wide(&folder) {
            self.add(folder);
        } else {
            self.add(executable.to_owned());
        }
    }

    /// What `pyvenv.cfg` names, if there is one.
    fn add_base(&mut self, venv: &Path) {
        let text = fs::read_to_string(venv.join("pyvenv.cfg")).unwrap_or_default();
        let home = text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == "home");
        if let Some((_, home)) = home {
            self.add_around(&Path::new(home.trim()).join("python"));
        }
    }

    /// A conda prefix whose files are links into the packages of its base.
    fn add_packages(&mut self, prefix: &Path) {
        let base = prefix.parent().filter(|envs| envs.ends_with("envs")).and_then(Path::parent);
        if let Some(packages) = base.map(|base| base.join("pkgs"))
            && prefix.join("conda-meta").is_dir()
            && packages.is_dir()
        {
            self.add(packages);
        }
    }

    /// Whether a folder is the project's own.
    fn is_own(&self, folder: &Path) -> bool {
        let project = fs::canonicalize(self.project).unwrap_or_else(|_| self.project.to_owned());
        folder.starts_with(project)
    }

    fn is_too_wide(&self, folder: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let holds = |inner: &Path| inner.starts_with(folder) || real(inner).starts_with(folder);
        folder.parent().is_none() || holds(self.project) || self.home.as_deref().is_some_and(holds)
    }

    fn add(&mut self, place: PathBuf) {
        if !self.found.iter().any(|known| place.starts_with(known)) {
            self.found.push(place);
        }
    }
}

/// Whether a folder was filled by an installer: an environment of Python or conda, packages of npm.
fn is_environment(folder: &Path) -> bool {
    folder.join("pyvenv.cfg").is_file()
        || folder.join("conda-meta").is_dir()
        || folder.components().any(|part| part.as_os_str() == "node_modules")
}

/// The program that the first line of a script names: of `#!/usr/bin/env node` only `/usr/bin/env`, because which `node`
/// that is, `PATH` decides.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    fs::File::open(script).ok()?.take(512).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let program = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    Some(PathBuf::from(program)).filter(|path| path.is_absolute())
}

/// Where R looks for the user's own packages: `R_LIBS_USER` and `R_LIBS`, else `~/R/<platform>-library/<version>`. Of
/// several versions the one in `version` (what R prints about itself), else the last.
pub(super) fn r_libraries(version: Option<&str>) -> Vec<PathBuf> {
    let named = ["R_LIBS_USER", "R_LIBS"].into_iter().filter_map(std::env::var_os);
    let named: Vec<PathBuf> = named
        .flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>())
        .filter(|path| path.is_absolute() && path.is_dir())
        .collect();
    if !named.is_empty() {
        return named;
    }
    let Some(home) = std::env::var_os("HOME").map(PathBuf::from) else { return Vec::new() };
    let list = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let platforms = list(&home.join("R")).into_iter().filter(|path| path.to_string_lossy().ends_with("-library"));
    let mut versions: Vec<PathBuf> =
        platforms.flat_map(|platform| list(&platform)).filter(|path| path.is_dir()).collect();
    versions.sort();
    let is_this = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        version.is_some_and(|version| version.contains(&format!("{name}.")))
    };
    versions.iter().find(is_this).or(versions.last()).cloned().into_iter().collect()
}

/// What is outside of a folder although a symbolic link inside leads there: a rule for the folder does not open it.
/// `visit` gets each file and folder on the way that is not a link.
pub(super) fn linked_outside(folder: &Path, mut visit: impl FnMut(&walkdir::DirEntry)) -> Vec<PathBuf> {
    let mut roots = vec![fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())];
    let mut next = 0;
    while let Some(root) = roots.get(next).cloned() {
        next += 1;
        for entry in walkdir::WalkDir::new(&root).into_iter().flatten() {
            if !entry.path_is_symlink() {
                visit(&entry);
            } else if let Ok(target) = fs::canonicalize(entry.path())
                && !roots.iter().any(|known| target.starts_with(known))
            {
                roots.push(target);
            }
        }
    }
    roots.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err::os::unix::fs::symlink;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("writes");
    }

    fn found(home: &Path, project: &Path, add: impl FnOnce(&mut Installations<'_>)) -> Vec<String> {
        let mut installations = Installations { home: Some(home.to_owned()), project, found: Vec::new() };
        add(&mut installations);
        let relative = |path: PathBuf| path.strip_prefix(home).map(|path| path.display().to_string());
        installations.into_found().into_iter().map(|path| relative(path).expect("in the home folder")).collect()
    }

    #[test]
    fn an_installation_is_the_folder_around_bin_but_never_the_home_folder_or_the_project() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = fs::canonicalize(folder.path()).expect("a folder");
        let project = home.join("work/project");
        for name in [
            "conda/envs/e/bin/x",
            "freesurfer/bin/x",
            "tool/x",
            "bin/x",
            "work/project/bin/x",
            "work/project/scripts/x",
            "work/project/env/bin/x",
            "work/project/env/pyvenv.cfg",
            "work/project/node_modules/.bin/x",
            "x",
        ] {
            write(&home.join(name), "");
        }
        fs::create_dir_all(home.join("conda/envs/e/conda-meta")).expect("a folder");
        fs::create_dir_all(home.join("conda/pkgs")).expect("a folder");
        let of = |name: &str| found(&home, &project, |all| all.add_tool(&home.join(name)));
        assert_eq!(of("conda/envs/e/bin/x"), ["conda/envs/e", "conda/pkgs"]);
        assert_eq!(of("freesurfer/bin/x"), ["freesurfer"]);
        assert_eq!(of("tool/x"), ["tool"]);
        assert_eq!(of("bin/x"), ["bin"]);
        assert_eq!(of("work/project/bin/x"), ["work/project/bin/x"]);
        assert_eq!(of("work/project/scripts/x"), ["work/project/scripts/x"]);
        assert_eq!(of("work/project/env/bin/x"), ["work/project/env"]);
        assert_eq!(of("work/project/node_modules/.bin/x"), ["work/project/node_modules/.bin"]);
        assert_eq!(of("x"), ["x"]);
    }

    #[test]
    fn links_interpreters_and_bases_are_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = fs::canonicalize(folder.path()).expect("a folder");
        let project = home.join("project");
        write(&home.join(".pyenv/versions/3.12/bin/python3.12"), "");
        write(&home.join("venvs/t/pyvenv.cfg"), &format!("home = {}/.pyenv/versions/3.12/bin\n", home.display()));
        fs::create_dir_all(home.join("venvs/t/bin")).expect("a folder");
        symlink(home.join(".pyenv/versions/3.12/bin/python3.12"), home.join("venvs/t/bin/python")).expect("links");
        write(&home.join("venvs/t/bin/tool"), &format!("#!{}/venvs/t/bin/python\n", home.display()));
        fs::create_dir_all(home.join(".local/bin")).expect("a folder");
        symlink("../../venvs/t/bin/tool", home.join(".local/bin/tool")).expect("links");
        let of = found(&home, &project, |all| all.add_tool(&home.join(".local/bin/tool")));
        assert_eq!(of, [".local", "venvs/t", ".pyenv/versions/3.12"]);
        let of = found(&home, &project, |all| all.add_environment(&home.join("venvs/t")));
        assert_eq!(of, ["venvs/t", ".pyenv/versions/3.12"]);
    }

    #[test]
    fn the_system_is_readable_without_a_project_that_lies_in_it() {
        let all = system(&[Path::new("/nonexistent")]);
        assert!(all.contains(&PathBuf::from("/usr")) && !all.contains(&PathBuf::from("/home")));
        let cut = system(&[Path::new("/usr/bin")]);
        assert!(!cut.iter().any(|path| Path::new("/usr/bin").starts_with(path)));
        assert!(cut.contains(&PathBuf::from("/usr/lib")) && cut.contains(&PathBuf::from("/etc")));
    }

    #[test]
    fn links_out_of_a_folder_are_found_also_behind_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = fs::canonicalize(folder.path()).expect("a folder");
        write(&root.join("data/a"), "");
        write(&root.join("far/b"), "");
        write(&root.join("farther/c"), "");
        symlink("../far", root.join("data/far")).expect("links");
        symlink("../farther/c", root.join("far/c")).expect("links");
        symlink("a", root.join("data/again")).expect("links");
        assert_eq!(linked_outside(&root.join("data"), |_| {}), [root.join("far"), root.join("farther/c")]);
    }
}
