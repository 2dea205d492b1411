//! Which entries of a folder outside the store there are for its readers: what desktops, editors and version control
//! leave in folders does not count as data, and a glob names some files of a folder.
//!
//! Patterns are those of `.gitignore`, without negation: `*` and `?` stop at `/`, `**` does not; a pattern without `/`
//! is about names at any depth, one with `/` about paths below the folder; a final `/` is about folders only. A folder
//! that holds nothing but hidden entries is hidden too.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// What is ignored in every folder of a project, unless the reader says otherwise.
pub const IGNORED: &[&str] =
    &[".DS_Store", "._*", "Thumbs.db", "__pycache__/", "*.pyc", ".ipynb_checkpoints/", "*~", ".#*", "*.swp", ".git/"];

/// A rule for the entries of a folder.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    ignored: GlobSet,
    ignored_folders: GlobSet,
    only: Option<GlobSet>,
    /// Absolute paths that are hidden.
    hidden: Vec<PathBuf>,
}

impl Filter {
    /// Hides what the patterns are about; shows only what `only` is about, if it is given.
    ///
    /// # Errors
    /// A pattern that cannot be read: the pattern, and why.
    pub fn new<'p>(
        ignored: impl IntoIterator<Item = &'p str>,
        only: Option<&str>,
    ) -> std::result::Result<Self, String> {
        let (mut entries, mut folders) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in ignored {
            match pattern.strip_suffix('/') {
                Some(pattern) => folders.add(glob(pattern, true)?),
                None => entries.add(glob(pattern, true)?),
            };
        }
        let built = |set: GlobSetBuilder| set.build().map_err(|error| error.to_string());
        let only = match only {
            Some(pattern) => Some(built(GlobSetBuilder::new().add(glob(pattern, false)?).clone())?),
            None => None,
        };
        Ok(Self { ignored: built(entries)?, ignored_folders: built(folders)?, only, hidden: Vec::new() })
    }

    /// Hides these absolute paths too.
    #[must_use]
    pub fn hiding(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.hidden.extend(paths);
        self
    }

    /// Whether an entry is hidden, and all below it.
    pub(crate) fn hides(&self, path: &Path, below: &Path, is_folder: bool) -> bool {
        self.ignored.is_match(below)
            || (is_folder && self.ignored_folders.is_match(below))
            || self.hidden.iter().any(|hidden| hidden == path)
    }

    /// Whether a file is one of those that are asked for.
    pub(crate) fn takes(&self, below: &Path) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(below))
    }

    /// Whether empty folders are shown: a glob names files.
    pub(crate) fn takes_folders(&self) -> bool {
        self.only.is_none()
    }
}

fn glob(pattern: &str, anywhere: bool) -> std::result::Result<globset::Glob, String> {
    let bare = pattern.strip_prefix('/').unwrap_or(pattern);
    let pattern = if anywhere && !pattern.contains('/') { format!("**/{bare}") } else { bare.to_owned() };
    let built = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
    built.map_err(|error| format!("`{bare}`: {}", error.kind()))
}
