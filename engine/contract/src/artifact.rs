//! Types of artifacts: what travels through ports, how two of a type are compared, how one is previewed, and which file of a folder
//! is its table. The kinds' crate registers them, so the engine names no format.
//!
//! Bytes are compared first, and nothing more where everything behind a result promises the same bytes. Only where they differ
//! within a promise of numbers ([`crate::Repro::Within`]) is a [`Comparison`] asked how far apart two files are.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// File or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A file that is never empty.
    File,
    /// A folder with at least one file.
    Folder,
}

/// A type of artifact.
#[derive(Clone, Copy, Debug)]
pub struct ArtifactType {
    /// Its name in ports, such as `table/scores`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// File or folder.
    pub form: Form,
    /// Formats of its files: of a file the one it has, of a folder those that its files have by their names. Files of a folder
    /// that have none of them are compared by their bytes only.
    pub formats: &'static [&'static FileFormat],
    /// The file of a folder that is its table.
    pub table: Option<&'static str>,
    /// The file of a folder that a preview shows.
    pub shown: Option<&'static str>,
}

impl ArtifactType {
    /// A type of files, all of one format, or of none that is known.
    pub fn file(name: &'static str, about: &'static str, formats: &'static [&'static FileFormat]) -> Self {
        Self { name, about, form: Form::File, formats, table: None, shown: None }
    }

    /// A type of folders, whose files have these formats.
    pub fn folder(name: &'static str, about: &'static str, formats: &'static [&'static FileFormat]) -> Self {
        Self { name, about, form: Form::Folder, formats, table: None, shown: None }
    }

    /// Whose table is this file, which a preview shows too, unless it [`shows`](Self::shows) another.
    #[must_use]
    pub fn table(mut self, file: &'static str) -> Self {
        self.table = Some(file);
        self.shown = self.shown.or(Some(file));
        self
    }

    /// A preview of which shows this file.
    #[must_use]
    pub fn shows(mut self, file: &'static str) -> Self {
        self.shown = Some(file);
        self
    }

    /// The format of one of its files.
    pub fn format_of(&self, name: &str) -> Option<&'static FileFormat> {
        match (self.form, self.formats) {
            (Form::File, [format]) => Some(format),
            _ => self.formats.iter().copied().find(|format| format.has(name)),
        }
    }
}

/// A format of files.
#[derive(Clone, Copy, Debug)]
pub struct FileFormat {
    /// What it is called.
    pub name: &'static str,
    /// How names of such files end, such as `.csv`.
    pub ends: &'static [&'static str],
    /// How two files are compared.
    pub comparison: Comparison,
    /// Says more about two files that are too far apart.
    pub explain: Option<Explain>,
    /// How one is previewed.
    pub preview: Preview,
    /// The names of its columns, for a format of tables.
    pub columns: Option<ReadColumns>,
}

impl FileFormat {
    /// Whether a file of this name has the format.
    pub fn has(&self, name: &str) -> bool {
        self.ends.iter().any(|end| name.ends_with(end))
    }
}

/// Reads the names of a table's columns, in their order.
pub type ReadColumns = fn(&Path) -> Result<Vec<String>, Failure>;

/// Measures how far apart two files are: the largest difference between their numbers, or in words why they cannot be compared.
/// The first file is the one that was there before.
///
/// A difference is relative for numbers above 1 and absolute below, so that one tolerance suits both.
pub type Compare = fn(&Path, &Path) -> Result<f64, String>;

/// Says in words where two files differ by more than a tolerance, and by how much; nothing if they do not. The first file is the one
/// that was there before.
pub type Explain = fn(&Path, &Path, f64) -> Option<String>;

/// How two files are compared whose bytes differ.
#[derive(Clone, Copy, Debug)]
pub enum Comparison {
    /// Not at all: they are different.
    Exact,
    /// Tables: the same columns, texts and number of rows; numbers column by column.
    ByColumn(Compare),
    /// Arrays: the same names and shapes; numbers one by one.
    ByNumber(Compare),
    /// Pictures: the same size; colours pixel by pixel.
    ByPixel(Compare),
}

impl Comparison {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Comparison::Exact => "exactly",
            Comparison::ByColumn(_) => "by column",
            Comparison::ByNumber(_) => "by number",
            Comparison::ByPixel(_) => "by pixel",
        }
    }

    /// What measures the difference, if anything does.
    pub fn compare(self) -> Option<Compare> {
        match self {
            Comparison::Exact => None,
            Comparison::ByColumn(compare) | Comparison::ByNumber(compare) | Comparison::ByPixel(compare) => {
                Some(compare)
            }
        }
    }
}

/// How a file is previewed.
#[derive(Clone, Copy, Debug)]
pub enum Preview {
    /// So many first rows of a table, as text.
    TableHead(fn(&Path, usize) -> Result<String, Failure>),
    /// A picture as PNG, its longer side so many pixels at most.
    Thumbnail(fn(&Path, u32) -> Result<Vec<u8>, Failure>),
    /// What is in it, as text.
    Summary(fn(&Path) -> Result<String, Failure>),
}

impl Preview {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Preview::TableHead(_) => "first rows",
            Preview::Thumbnail(_) => "thumbnail",
            Preview::Summary(_) => "summary",
        }
    }
}
