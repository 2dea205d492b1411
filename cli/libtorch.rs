//! Decides which libtorch the worker is started with: the user's own, found by place and version. Loads nothing.
//!
//! `pipe-torch` in a wheel or an image carries no path of the machine that built it. `pipe` searches libtorch and starts
//! the worker with `LD_LIBRARY_PATH`. A path relative to the binary (`$ORIGIN`) was left aside: the folder of Python's
//! packages has the version of Python in its name, and libtorch may lie in another environment than `pipe`.
//!
//! The order, first match wins:
//!
//! 1. `PIPE_LIBTORCH`: the folder of `libtorch_cpu.so`, or the one above. Where it is set, nothing else is tried.
//! 2. the prefix that `pipe` is installed in (`PREFIX/bin/pipe`): `PREFIX/libtorch/lib`, then the torch of its Python
//! 3. the torch of the active environment: `VIRTUAL_ENV`, then `CONDA_PREFIX`
//! 4. where `scripts/libtorch` of a checkout keeps it, in the user's cache folder
//!
//! A libtorch of another version is skipped, because its C++ interface differs. `libcupti` and `libcudart`, which
//! `libtorch_cpu.so` names, lie in `nvidia/*/lib` beside the package `torch`; these folders follow that of libtorch.
//!
//! A worker that was built in a checkout knows where libtorch lay, which goes before all of this.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The version that the worker is built for, the one of `scripts/libtorch`.
const VERSION: &str = "2.11.0";
const LIBRARY: &str = "libtorch_cpu.so";
/// Libraries of CUDA that `libtorch_cpu.so` itself needs, by the start of their names.
const CUDA: [&str; 2] = ["libcupti.so", "libcudart.so"];

/// What the worker is started with.
#[derive(Debug, PartialEq, Eq)]
pub struct Libtorch {
    /// The value of `LD_LIBRARY_PATH`; `None` where no libtorch was found.
    pub path: Option<OsString>,
    /// What to do if the worker lacks a library all the same.
    pub remedy: String,
}

/// What the search depends on.
struct SearchPlaces {
    variable: Option<PathBuf>,
    /// The file of `pipe` itself, links resolved.
    program: PathBuf,
    environments: Vec<PathBuf>,
    cache: Option<PathBuf>,
}

/// Searches this machine.
pub fn find() -> Libtorch {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    search(&SearchPlaces {
        variable: variable("PIPE_LIBTORCH"),
        program: std::env::current_exe().unwrap_or_default(),
        environments: ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable).collect(),
        cache: variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache"))),
    })
}

fn search(places: &SearchPlaces) -> Libtorch {
    let candidates = match &places.variable {
        Some(named) => vec![if named.join(LIBRARY).is_file() { named.clone() } else { named.join("lib") }],
        None => candidates(places),
    };
    let mut others = Vec::new();
    for folder in candidates {
        match fitness(&folder) {
            Fitness::Fits => return found(&folder),
            Fitness::Missing if places.variable.is_none() => {}
            unfit => others.push(format!("`{}` {}", folder.display(), unfit.words())),
        }
    }
    let start = match &places.variable {
        Some(_) => "correct PIPE_LIBTORCH, or unset it and install libtorch",
        None => "install libtorch",
    };
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
    let remedy = format!("{start} beside `pipe` with `pip install torch=={VERSION}`{others}");
    Libtorch { path: None, remedy }
}

fn found(folder: &Path) -> Libtorch {
    let mut folders = vec![folder.to_path_buf()];
    folders.extend(cuda_folders(folder));
    let remedy = format!(
        "libtorch is in `{}`; install what it needs beside it with \
         `pip install nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85`",
        folder.display()
    );
    Libtorch { path: std::env::join_paths(folders).ok(), remedy }
}

/// Folders that may hold libtorch, in the order of the search.
fn candidates(places: &SearchPlaces) -> Vec<PathBuf> {
    let mut all = Vec::new();
    if let Some(prefix) = places.program.parent().and_then(Path::parent) {
        all.push(prefix.join("libtorch/lib"));
        all.extend(torch_packages(prefix));
    }
    all.extend(places.environments.iter().flat_map(|prefix| torch_packages(prefix)));
    if let Some(cache) = &places.cache {
        all.extend(entries(&cache.join("pipe/libtorch")).into_iter().map(|folder| folder.join("lib")));
    }
    all
}

/// The folders `torch/lib` of a Python prefix. Debian calls the folder of packages `dist-packages`.
fn torch_packages(prefix: &Path) -> Vec<PathBuf> {
    let pythons = ["lib", "lib64"].map(|lib| entries(&prefix.join(lib))).into_iter().flatten();
    pythons
        .filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
        .flat_map(|python| ["site-packages", "dist-packages"].map(|packages| python.join(packages).join("torch/lib")))
        .collect()
}

/// Where the wheels of NVIDIA beside the package torch hold what `libtorch_cpu.so` needs.
fn cuda_folders(libtorch: &Path) -> Vec<PathBuf> {
    let Some(packages) = libtorch.parent().and_then(Path::parent) else { return Vec::new() };
    let folders = entries(&packages.join("nvidia")).into_iter().map(|package| package.join("lib"));
    folders
        .filter(|folder| {
            let names = entries(folder);
            let mut names = names.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy());
            names.any(|name| CUDA.iter().any(|library| name.starts_with(library)))
        })
        .collect()
}

/// The entries of a folder by name; none where it cannot be listed.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    all.sort();
    all
}

/// Whether a folder holds the libtorch that the worker needs.
#[derive(Debug, PartialEq, Eq)]
enum Fitness {
    Fits,
    Missing,
    Version(String),
    NoVersion,
}

impl Fitness {
    fn words(&self) -> String {
        match self {
            Fitness::Fits => format!("has libtorch {VERSION}"),
            Fitness::Missing => format!("has no `{LIBRARY}`"),
            Fitness::Version(version) => format!("has libtorch {version}, expected {VERSION}"),
            Fitness::NoVersion => "has a libtorch without `version.py` or `build-version` above it".to_owned(),
        }
    }
}

fn fitness(folder: &Path) -> Fitness {
    if !folder.join(LIBRARY).is_file() {
        return Fitness::Missing;
    }
    match folder.parent().and_then(version_of) {
        None => Fitness::NoVersion,
        // `2.11.0+cpu` and `2.11.0+cu130` have one interface.
        Some(version) if version.split('+').next() == Some(VERSION) => Fitness::Fits,
        Some(version) => Fitness::Version(version),
    }
}

/// The version of a libtorch: a Python package has `version.py`, an unpacked libtorch has `build-version`.
fn version_of(home: &Path) -> Option<String> {
    let package = fs::read_to_string(home.join("version.py")).ok().and_then(|text| {
        let value = text.lines().find_map(|line| line.strip_prefix("__version__"))?;
        let value = value.trim_start_matches([' ', '=']).trim();
        Some(value.trim_matches(['\'', '"']).to_owned())
    });
    package.or_else(|| Some(fs::read_to_string(home.join("build-version")).ok()?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A libtorch under `folder` (`.../torch/lib`) whose package states a version.
    fn libtorch(folder: &Path, version: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(LIBRARY), "").unwrap();
        fs::write(folder.with_file_name("version.py"), format!("__all__ = []\n__version__ = '{version}'\n")).unwrap();
    }

    fn bare(root: &Path) -> SearchPlaces {
        SearchPlaces { variable: None, program: root.join("usr/bin/pipe"), environments: Vec::new(), cache: None }
    }

    fn first(places: &SearchPlaces) -> Option<PathBuf> {
        let path = search(places).path?;
        std::env::split_paths(&path).next()
    }

    #[test]
    fn each_place_comes_after_those_before_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let [named, image, own, venv, conda, kept] = [
            "named/torch/lib",
            "usr/libtorch/lib",
            "usr/lib/python3.12/site-packages/torch/lib",
            "venv/lib/python3.11/site-packages/torch/lib",
            "conda/lib/python3.13/site-packages/torch/lib",
            "cache/pipe/libtorch/2.11.0-linux-x86_64-1/lib",
        ]
        .map(|place| root.join(place));
        let mut places = SearchPlaces {
            environments: vec![root.join("venv"), root.join("conda")],
            cache: Some(root.join("cache")),
            ..bare(root)
        };
        assert_eq!(first(&places), None);
        for place in [&kept, &conda, &venv, &own, &image] {
            libtorch(place, "2.11.0+cu130");
            assert_eq!(first(&places).as_ref(), Some(place));
        }
        libtorch(&named, "2.11.0+cpu");
        for given in [named.clone(), root.join("named/torch")] {
            places.variable = Some(given);
            assert_eq!(first(&places).as_ref(), Some(&named));
        }
    }

    #[test]
    fn another_version_is_skipped_and_reported() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("usr/lib/python3.12/site-packages/torch/lib");
        libtorch(&place, "2.9.1+cu130");
        let found = search(&bare(root.path()));
        assert_eq!(found.path, None);
        assert!(found.remedy.contains("pip install torch==2.11.0"), "{}", found.remedy);
        assert!(found.remedy.contains("has libtorch 2.9.1+cu130, expected 2.11.0"), "{}", found.remedy);
    }

    #[test]
    fn a_named_folder_must_fit() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("torch/lib");
        let named = SearchPlaces { variable: Some(place.clone()), ..bare(root.path()) };
        let remedy = || search(&named).remedy;
        assert!(remedy().starts_with("correct PIPE_LIBTORCH"), "{}", remedy());
        assert!(remedy().contains("has no `libtorch_cpu.so`"), "{}", remedy());
        libtorch(&place, "2.10.0");
        assert!(remedy().contains("has libtorch 2.10.0, expected 2.11.0"), "{}", remedy());
        fs::remove_file(place.with_file_name("version.py")).unwrap();
        assert!(remedy().contains("`build-version`"), "{}", remedy());
        fs::write(place.with_file_name("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(first(&named), Some(place));
    }

    #[test]
    fn cuda_libraries_that_libtorch_needs_are_added() {
        let root = tempfile::tempdir().unwrap();
        let packages = root.path().join("usr/lib/python3.12/site-packages");
        libtorch(&packages.join("torch/lib"), VERSION);
        for library in ["nvidia/cu13/lib/libcupti.so.13", "nvidia/cudnn/lib/libcudnn.so.9"] {
            let library = packages.join(library);
            fs::create_dir_all(library.parent().unwrap()).unwrap();
            fs::write(library, "").unwrap();
        }
        let path = search(&bare(root.path())).path.unwrap();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        assert_eq!(folders, [packages.join("torch/lib"), packages.join("nvidia/cu13/lib")]);
    }

    #[test]
    fn the_version_is_the_one_that_the_worker_is_built_with() {
        for (file, line) in [
            ("scripts/libtorch", format!("TORCH = \"{VERSION}\"\n")),
            ("packaging/pyproject.toml", format!("torch = [\"torch=={VERSION}\"]\n")),
        ] {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            assert!(text.contains(&line), "`{file}` has no line {line}");
        }
    }
}
