//! The fs_LR meshes of the Human Connectome Project, as far as files depend on them: numbers of vertices, which vertices
//! are cortex, and the numbers under which results on grayordinates list subjects.

use std::path::Path;

use pipe_contract::Failure;

use super::gifti;
use crate::hemisphere::Hemisphere;

/// Number of vertices of the fs_LR meshes on which pRF results come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsLr {
    /// 59,292 vertices a hemisphere (1.6 mm).
    K59,
    /// 32,492 vertices a hemisphere (2 mm).
    K32,
}

impl FsLr {
    /// Vertices of a hemisphere.
    pub fn vertices(self) -> usize {
        match self {
            FsLr::K59 => 59_292,
            FsLr::K32 => 32_492,
        }
    }

    /// `59k` or `32k`.
    pub fn name(self) -> &'static str {
        match self {
            FsLr::K59 => "59k",
            FsLr::K32 => "32k",
        }
    }
}

/// Which vertices of a mesh are cortex, from `{lh,rh}.atlasroi.{32k,59k}_fs_LR.shape.gii` in a folder.
///
/// # Errors
/// The file is missing, damaged, or of another mesh; input's blame.
pub fn cortex_mask(folder: &Path, hemisphere: Hemisphere, mesh: FsLr) -> Result<Vec<bool>, Failure> {
    let path = folder.join(format!("{}.atlasroi.{}_fs_LR.shape.gii", hemisphere.name(), mesh.name()));
    let values = gifti::read_scalars(&path)?;
    if values.len() == mesh.vertices() {
        return Ok(values.into_iter().map(|value| value > 0.5).collect());
    }
    Err(Failure::input(format!("the mask has {} vertices, expected {}", values.len(), mesh.vertices()))
        .at(path.display().to_string()))
}

/// The number under which results list a subject: the digits of the id. Real ids are digits only; `s07` of a simulated
/// study is subject 7. At most 15 digits, which survive as MATLAB's ordinary numbers.
///
/// # Errors
/// The id has no digits or too many; input's blame.
pub fn number_of(sid: &str) -> Result<u64, Failure> {
    let digits: String = sid.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|_| digits.len() <= 15).ok_or_else(|| {
        Failure::input(format!("subject `{sid}` has no number, but pRF results list subjects by number"))
            .hint("use an id with digits, such as `s01`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_listed_by_the_digits_of_their_id() {
        assert_eq!(number_of("115017"), Ok(115_017));
        assert_eq!(number_of("s07"), Ok(7));
        assert!(number_of("anna").is_err() && number_of("1234567890123456").is_err());
    }

    #[test]
    fn a_mask_of_another_mesh_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        gifti::write_scalars(&folder.path().join("lh.atlasroi.32k_fs_LR.shape.gii"), &[1.0, 0.0]).unwrap();
        let error = cortex_mask(folder.path(), Hemisphere::Left, FsLr::K32).unwrap_err();
        assert_eq!(error.message, "the mask has 2 vertices, expected 32492");
    }
}
