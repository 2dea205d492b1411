//! Python packages that tests use: `scripts/tools` pins them and gets each once.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of a package of `scripts/tools`, for `PYTHONPATH`. The first use fetches it; others wait for that.
pub fn installed(package: &str) -> PathBuf {
    let tools = root().join("scripts/tools");
    let output = Command::new("python3").arg(tools).args(["--path", package]).output().expect("python3 starts");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "there is no `{package}`, which the tests need:\n{message}");
    String::from_utf8(output.stdout).expect("a path in UTF-8").trim_end().into()
}

/// The folder of the workspace: tests of several crates use this file.
fn root() -> &'static Path {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.find(|folder| folder.join("Cargo.lock").is_file()).expect("a workspace")
}
