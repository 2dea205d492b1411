//! The authors' archive of the grid search: a folder, or the `.tar.gz` of one, with a folder `grid%05d` for each cell
//! that holds `opts.json`, `plan.json` and `run.log`.
//!
//! Where the cells lie in it does not matter (unpacking it as the notebook does nests `grid-search/grid-search`). Other
//! files are not read, links are not followed, and what is packed is unpacked up to a stated size. Decides which bytes
//! belong to which cell, and does not depend on what they say.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use fs_err as fs;
use pipe_contract::{Failure, io_reason};

/// The files of a cell.
pub const CELL_FILES: [&str; 3] = ["opts.json", "plan.json", "run.log"];

/// The published log has 60 lines an iteration; this is a thousand times as much.
const MOST_OF_A_FILE: u64 = 16 << 20;
/// All of an archive, unpacked. The published one has some megabytes.
const MOST_OF_ALL: u64 = 1 << 30;

/// One cell's folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellFolder {
    /// The number in the folder's name.
    pub number: usize,
    /// The files that are there, by the names of [`CELL_FILES`].
    pub files: BTreeMap<&'static str, Vec<u8>>,
}

/// The folders of all cells, by their path in the archive.
///
/// # Errors
/// Input: neither a folder nor a (packed) tar archive, a damaged one, no cell in it, or files that are larger than such
/// files are. Environment: the disk.
pub fn read(archive: &Path) -> Result<BTreeMap<String, CellFolder>, Failure> {
    let mut cells = BTreeMap::new();
    let seen = if archive.is_dir() { read_folder(archive, &mut cells)? } else { read_tar(archive, &mut cells)? };
    if cells.is_empty() {
        return Err(Failure::input(format!(
            "found no cell of a grid search in {seen} files, expected folders `grid00000`, `grid00001`, ... with {}",
            CELL_FILES.map(|name| format!("`{name}`")).join(", ")
        ))
        .at(archive.display().to_string())
        .hint("give the authors' `grid-search.tar.gz`, or the folder that it unpacks to"));
    }
    Ok(cells)
}

fn read_folder(folder: &Path, cells: &mut BTreeMap<String, CellFolder>) -> Result<usize, Failure> {
    let (mut seen, mut all) = (0, 0);
    for entry in walkdir::WalkDir::new(folder) {
        let entry =
            entry.map_err(|error| Failure::environment(format!("could not list `{}`: {error}", folder.display())))?;
        if !entry.file_type().is_file() {
            continue;
        }
        seen += 1;
        let path = entry.path();
        let below = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
        let Some(place) = CellPlace::of(&below) else { continue };
        let unreadable = |error: std::io::Error| Failure::io("read", path, &error);
        let file = fs::File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        all = bounded(&below, size, all, folder)?;
        let mut bytes = Vec::new();
        file.take(MOST_OF_A_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
        place.add(cells, bytes);
    }
    Ok(seen)
}

fn read_tar(path: &Path, cells: &mut BTreeMap<String, CellFolder>) -> Result<usize, Failure> {
    let damaged = |error: std::io::Error| {
        Failure::input(format!("the archive of a grid search cannot be unpacked: {}", io_reason(&error)))
            .at(path.display().to_string())
            .hint("expected a `.tar.gz`, a `.tar` or a folder; fetch it again if it was cut short")
    };
    let mut archive = tar::Archive::new(unpacked(path)?);
    let (mut seen, mut all) = (0, 0);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        seen += 1;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(place) = CellPlace::of(&name) else { continue };
        all = bounded(&name, entry.size(), all, path)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(damaged)?;
        place.add(cells, bytes);
    }
    Ok(seen)
}

/// The tar archive in a file, which may be packed: that shows in its first bytes, for what an address gives has no
/// name.
fn unpacked(path: &Path) -> Result<Box<dyn Read>, Failure> {
    let unreadable = |error: std::io::Error| Failure::io("read", path, &error);
    let mut magic = Vec::new();
    fs::File::open(path).map_err(unreadable)?.take(2).read_to_end(&mut magic).map_err(unreadable)?;
    let file = BufReader::new(fs::File::open(path).map_err(unreadable)?);
    // Also bounds what is skipped: an entry that is not read is unpacked all the same.
    Ok(match magic.as_slice() {
        [0x1f, 0x8b] => Box::new(GzDecoder::new(file).take(2 * MOST_OF_ALL)),
        _ => Box::new(file),
    })
}

/// The sum of sizes with one more file.
fn bounded(name: &str, size: u64, before: u64, archive: &Path) -> Result<u64, Failure> {
    let all = before.saturating_add(size);
    let too_large = |what: String| {
        Failure::input(what)
            .at(archive.display().to_string())
            .hint("such files have some kilobytes each, and some megabytes together")
    };
    match () {
        () if size > MOST_OF_A_FILE => {
            Err(too_large(format!("`{name}` has {size} bytes, expected at most {MOST_OF_A_FILE}")))
        }
        () if all > MOST_OF_ALL => {
            Err(too_large(format!("the files up to `{name}` have {all} bytes, expected at most {MOST_OF_ALL}")))
        }
        () => Ok(all),
    }
}

/// Which cell's file an entry is.
struct CellPlace {
    folder: String,
    number: usize,
    file: &'static str,
}

impl CellPlace {
    /// From its path in the archive; `None` for any other file.
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let [above @ .., folder, file] = parts.as_slice() else { return None };
        let digits = folder.strip_prefix("grid").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let number = digits.parse().ok()?;
        let file = CELL_FILES.into_iter().find(|name| name == file)?;
        let folder = above.iter().chain([folder]).copied().collect::<Vec<_>>().join("/");
        Some(Self { folder, number, file })
    }

    /// Of two entries with one name the last counts, as where an archive is unpacked.
    fn add(self, cells: &mut BTreeMap<String, CellFolder>, bytes: Vec<u8>) {
        let cell = cells.entry(self.folder).or_default();
        cell.number = self.number;
        cell.files.insert(self.file, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::simulated_archive::packed;

    fn names(archive: &Path) -> Vec<(String, usize, Vec<&'static str>)> {
        let cells = read(archive).unwrap();
        cells.into_iter().map(|(path, cell)| (path, cell.number, cell.files.into_keys().collect())).collect()
    }

    #[test]
    fn cells_are_found_wherever_they_lie_and_nothing_else_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("grid-search/grid00001/opts.json", "a"),
            ("grid-search/grid00001/run.log", "b"),
            ("grid-search/grid-search/grid00002/plan.json", "c"),
            ("grid-search/grid00001/._opts.json", "x"),
            ("grid-search/grid00001/weights.pt", "x"),
            ("grid-search/other/run.log", "x"),
            ("gridless/run.log", "x"),
            ("run.log", "x"),
        ];
        let expected = [
            ("grid-search/grid-search/grid00002".to_owned(), 2, vec!["plan.json"]),
            ("grid-search/grid00001".to_owned(), 1, vec!["opts.json", "run.log"]),
        ];
        let (tar, packed_tar) = (folder.path().join("a.tar"), folder.path().join("file"));
        fs::write(&tar, packed(&files, false)).unwrap();
        fs::write(&packed_tar, packed(&files, true)).unwrap();
        let unpacked = folder.path().join("unpacked");
        for (name, text) in files {
            let path = unpacked.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for archive in [&tar, &packed_tar, &unpacked] {
            assert_eq!(names(archive), expected, "{}", archive.display());
        }
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let message = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err().message
        };
        assert!(message(b"<html>not found</html>").contains("cannot be unpacked"));
        assert!(message(b"").contains("no cell of a grid search in 0 files"));
        let whole = packed(&[("grid00001/run.log", &"line\n".repeat(100))], true);
        assert!(message(&whole[..whole.len() / 2]).contains("cannot be unpacked"));
        assert!(message(&packed(&[("a/run.log", "x")], true)).contains("no cell of a grid search in 1 files"));
        assert!(read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid00001").join("run.log");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().set_len(MOST_OF_A_FILE + 1).unwrap();
        let failure = read(folder.path()).unwrap_err();
        assert!(failure.message.contains("`grid00001/run.log` has 16777217 bytes"), "{failure}");
        assert_eq!(bounded("a", 7, MOST_OF_ALL - 7, &path).unwrap(), MOST_OF_ALL);
        let failure = bounded("a", 8, MOST_OF_ALL - 7, &path).unwrap_err();
        assert!(failure.message.contains("the files up to `a` have 1073741825 bytes"), "{failure}");
    }
}
