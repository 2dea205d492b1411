//! A temporary project with its own cache and home, and the real binary run in it.

pub mod another_user;
pub mod http_server;
pub mod json_schema;
pub mod lab_files;
pub mod markdown;
pub mod module_graph;
pub mod not_run;
pub mod paper;
pub mod processes;
pub mod python_package;
pub mod s3_server;
pub mod terminal;
pub mod traces;

use std::cell::Cell;
use std::ffi::OsStr;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A project in a folder of its own, with its own cache, home and state; all go when it is dropped.
pub struct Space {
    folder: tempfile::TempDir,
}

impl Space {
    /// An empty project.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pipe-story-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("project")).expect("a project folder");
        Self { folder }
    }

    /// A project with one pipeline file, `pipeline.yaml`.
    pub fn with(pipeline: &str) -> Self {
        let space = Self::new();
        space.write("pipeline.yaml", pipeline);
        space
    }

    /// The folder that holds all of it; nothing is written elsewhere.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The project folder.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The cache folder.
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// A path in the project.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.project().join(name)
    }

    /// Writes a file of the project, with its folders.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a parent")).expect("its folder can be made");
        fs::write(&path, content).unwrap_or_else(|error| panic!("could not write `{}`: {error}", path.display()));
    }

    /// The text of a file of the project.
    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("could not read `{}`: {error}", path.display()))
    }

    /// Replaces one piece of text in a file; the piece must be there exactly once.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "`{from}` is not exactly once in `{name}`:\n{text}");
        self.write(name, text.replace(from, to));
    }

    /// The binary, ready to run in the project with a bare environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command
            .args(args)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("PIPE_CACHE", self.cache())
            .env("XDG_STATE_HOME", self.folder.path().join("state"))
            .env("XDG_CACHE_HOME", self.folder.path().join("user-cache"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    #[track_caller]
    pub fn pipe<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Shown {
        Shown::of(&mut self.command(args))
    }
}

/// What a finished command showed. A story has to ask how it ended, unless it ended well.
pub struct Shown {
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
    ended: Ended,
}

/// The exit code of a command. Dropping one that is a failure and was not asked for fails the story.
struct Ended {
    code: i32,
    was_asked: Cell<bool>,
    started_at: &'static Location<'static>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.code != 0 && !self.was_asked.get() && !std::thread::panicking() {
            panic!("a command ended with exit code {}, which nothing expects: {}", self.code, self.started_at);
        }
    }
}

impl Shown {
    /// Runs a command to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the command starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self::new(output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// What a command showed that another program ran.
    #[track_caller]
    pub fn new(code: i32, stdout: String, stderr: String) -> Self {
        let ended = Ended { code, was_asked: Cell::new(false), started_at: Location::caller() };
        Self { stdout, stderr, ended }
    }

    /// The exit code, or -1 if a signal ended it.
    pub fn code(&self) -> i32 {
        self.ended.was_asked.set(true);
        self.ended.code
    }

    /// Accepts any exit code: the story asks again until it sees what it waits for.
    pub fn ends_in_any_way(self) -> Self {
        self.ended.was_asked.set(true);
        self
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that a text is shown, on either stream.
    #[track_caller]
    pub fn shows(self, text: &str) -> Self {
        let there = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(there, "does not show `{text}`\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Everything it printed, stdout first.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Asserts that a text is not shown on either stream.
    #[track_caller]
    pub fn hides(self, text: &str) -> Self {
        let there = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!there, "shows `{text}`\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}
