//! Python packages that tests use, got once with pip into `.tools` of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

/// The folder with a package in it, for `PYTHONPATH`; it is filled on first use. Tests of several processes wait for the
/// first. `requirement` is what pip gets, such as `moto[server]==5.2.5`.
pub fn installed(requirement: &str) -> PathBuf {
    let tools = root().join(".tools");
    let (package, version) = requirement.split_once("==").expect("a version");
    let name = package.split('[').next().expect("a name");
    let folder = tools.join(format!("{name}-{version}"));
    fs::create_dir_all(&tools).expect("`.tools` can be made");
    let lock = fs::File::create(tools.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock");
    if !folder.is_dir() {
        let prefix = format!("new-{name}-");
        let new = tempfile::Builder::new().prefix(&prefix).tempdir_in(&tools).expect("a folder in `.tools`");
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(new.path().join("it"))
            .arg(requirement)
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .output()
            .expect("python3 starts");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pip could not install `{requirement}`, which the tests need:\n{message}");
        fs::rename(new.path().join("it"), &folder).expect("the new folder gets its name");
    }
    folder
}

/// The folder of the workspace: tests of several crates use this file.
fn root() -> &'static Path {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.find(|folder| folder.join("Cargo.lock").is_file()).expect("a workspace")
}
