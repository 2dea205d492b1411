//! FreeSurfer's triangle surfaces (`lh.white`, `lh.sphere.reg`; magic `FF FF FE`) and its "new curv"
//! morphometry (`lh.curv`, `lh.thickness`; magic `FF FF FF`), both big-endian.
//!
//! Read here and not through a library because the errors must say which count was found and which was
//! expected. The comment line of a surface is not kept: FreeSurfer puts a user name and the time there, and
//! artifacts carry neither.

use std::path::Path;

use pipe_contract::Failure;

use super::binary::{self, Cursor};
use super::bounds::MOST_VERTICES;

/// A triangle mesh as files hold it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surface {
    /// One point per vertex, in mm (or sphere units).
    pub coordinates: Vec<[f32; 3]>,
    /// Three vertex indices per triangle, each below the number of vertices.
    pub triangles: Vec<[u32; 3]>,
}

impl Surface {
    /// The points in double precision, as the geometry needs them.
    pub fn points(&self) -> Vec<[f64; 3]> {
        self.coordinates.iter().map(|point| point.map(f64::from)).collect()
    }
}

const SURFACE_MAGIC: [u8; 3] = [0xff, 0xff, 0xfe];
const MORPHOMETRY_MAGIC: [u8; 3] = [0xff, 0xff, 0xff];

/// Reads a triangle surface.
///
/// # Errors
/// The file is missing, cut off, in another format, or a triangle names a vertex that does not exist; input's blame.
pub fn read_surface(path: &Path) -> Result<Surface, Failure> {
    parse_surface(&binary::read(path)?).map_err(|failure| failure.at(path.display().to_string()))
}

/// Reads one value per vertex.
///
/// # Errors
/// The file is missing, cut off, in another format, or holds more than one value per vertex; input's blame.
pub fn read_morphometry(path: &Path) -> Result<Vec<f32>, Failure> {
    parse_morphometry(&binary::read(path)?).map_err(|failure| failure.at(path.display().to_string()))
}

/// Reads a patch, as `mris_flatten` writes it: vertices of another surface, counted from 0, with their places.
///
/// # Errors
/// The file is missing, cut off or in another format; input's blame.
pub fn read_patch(path: &Path) -> Result<Vec<(u32, [f32; 3])>, Failure> {
    parse_patch(&binary::read(path)?).map_err(|failure| failure.at(path.display().to_string()))
}

/// Writes a triangle surface.
///
/// # Errors
/// The file cannot be written.
pub fn write_surface(path: &Path, surface: &Surface) -> Result<(), Failure> {
    binary::write(path, &format_surface(surface))
}

/// Writes one value per vertex. `triangles` is only noted in the header, as FreeSurfer does.
///
/// # Errors
/// The file cannot be written.
pub fn write_morphometry(path: &Path, values: &[f32], triangles: usize) -> Result<(), Failure> {
    let mut bytes = MORPHOMETRY_MAGIC.to_vec();
    for count in [values.len(), triangles, 1] {
        bytes.extend(big_endian_count(count));
    }
    bytes.extend(values.iter().flat_map(|value| value.to_be_bytes()));
    binary::write(path, &bytes)
}

fn parse_surface(bytes: &[u8]) -> Result<Surface, Failure> {
    let mut cursor = Cursor::new(bytes);
    expect_magic(&mut cursor, SURFACE_MAGIC, "a FreeSurfer triangle surface")?;
    skip_line(&mut cursor)?;
    skip_line(&mut cursor)?;
    let vertices = cursor.count("the number of vertices", 1, MOST_VERTICES)?;
    let triangles = cursor.count("the number of triangles", 1, 2 * MOST_VERTICES)?;
    let coordinates = cursor.fours(3 * vertices, "the list of coordinates", f32::from_be_bytes)?;
    let corners = cursor.fours(3 * triangles, "the list of triangles", u32::from_be_bytes)?;
    let surface = Surface { coordinates: triples(&coordinates), triangles: triples(&corners) };
    check_triangles(&surface)?;
    Ok(surface)
}

fn parse_patch(bytes: &[u8]) -> Result<Vec<(u32, [f32; 3])>, Failure> {
    let mut cursor = Cursor::new(bytes);
    let mark = cursor.i32("the mark of a patch")?;
    if mark != -1 {
        return Err(Failure::input(format!("the file begins with the number {mark}, expected -1 of a binary patch")));
    }
    let count = cursor.count("the number of vertices", 1, MOST_VERTICES)?;
    let mut vertices = Vec::with_capacity(count.min(cursor.left() / 16));
    for _ in 0..count {
        // Counted from 1; negative at the border.
        let number = cursor.i32("the number of a vertex")?.unsigned_abs();
        let vertex =
            number.checked_sub(1).ok_or_else(|| Failure::input("a vertex has the number 0, expected 1 or more"))?;
        let place = cursor.fours(3, "the place of a vertex", f32::from_be_bytes)?;
        vertices.push((vertex, [place[0], place[1], place[2]]));
    }
    Ok(vertices)
}

fn parse_morphometry(bytes: &[u8]) -> Result<Vec<f32>, Failure> {
    let mut cursor = Cursor::new(bytes);
    expect_magic(&mut cursor, MORPHOMETRY_MAGIC, "FreeSurfer morphometry (new curv)")?;
    let vertices = cursor.count("the number of vertices", 1, MOST_VERTICES)?;
    cursor.count("the number of triangles", 0, 2 * MOST_VERTICES)?;
    let per_vertex = cursor.i32("the number of values per vertex")?;
    if per_vertex != 1 {
        return Err(Failure::input(format!("the file holds {per_vertex} values per vertex, expected 1")));
    }
    cursor.fours(vertices, "the list of values", f32::from_be_bytes)
}

fn format_surface(surface: &Surface) -> Vec<u8> {
    let mut bytes = SURFACE_MAGIC.to_vec();
    bytes.extend(b"a triangle mesh\n\n");
    for count in [surface.coordinates.len(), surface.triangles.len()] {
        bytes.extend(big_endian_count(count));
    }
    bytes.extend(surface.coordinates.iter().flatten().flat_map(|value| value.to_be_bytes()));
    bytes.extend(surface.triangles.iter().flatten().flat_map(|corner| corner.to_be_bytes()));
    bytes
}

/// A count as the format holds it; meshes stay far below two thousand million.
fn big_endian_count(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

fn expect_magic(cursor: &mut Cursor, magic: [u8; 3], expected: &str) -> Result<(), Failure> {
    let found = cursor.take(3, "the magic number")?;
    if found == magic {
        return Ok(());
    }
    Err(Failure::input(format!("the file begins with {}, expected {} of {expected}", hex(found), hex(&magic)))
        .hint(looks_like(found)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

fn looks_like(found: &[u8]) -> &'static str {
    match found {
        [0x1f, 0x8b, _] => "it looks like a gzip file: unpack it first",
        [b'<', b'?', b'x'] | [b'<', b'G', b'I'] => "it looks like GIFTI: give the FreeSurfer file instead",
        [b'v', b'e', b'r'] => "it looks like a Git LFS pointer: fetch the file itself",
        found if *found == SURFACE_MAGIC => "it looks like a triangle surface",
        found if *found == MORPHOMETRY_MAGIC => "it looks like morphometry",
        _ => "check that the file is complete and of the right kind",
    }
}

/// Skips to behind the next line feed: the comment of a surface is two lines, the second usually empty.
fn skip_line(cursor: &mut Cursor) -> Result<(), Failure> {
    while cursor.take(1, "the comment line")? != b"\n" {}
    Ok(())
}

/// Groups of three; a rest of one or two is dropped, callers give multiples.
pub(super) fn triples<T: Copy>(flat: &[T]) -> Vec<[T; 3]> {
    flat.chunks_exact(3).map(|group| [group[0], group[1], group[2]]).collect()
}

/// That every corner is a vertex.
pub(super) fn check_triangles(surface: &Surface) -> Result<(), Failure> {
    let vertices = surface.coordinates.len();
    match surface.triangles.iter().position(|corners| corners.iter().any(|corner| *corner as usize >= vertices)) {
        None => Ok(()),
        Some(bad) => Err(Failure::input(format!(
            "triangle {bad} has corners {:?}, but there are {vertices} vertices (0 to {})",
            surface.triangles[bad],
            vertices.saturating_sub(1)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tetrahedron() -> Surface {
        Surface {
            coordinates: vec![[0.0, 0.0, 0.0], [1.0, 0.5, -2.25], [0.0, 1.0e-30, 0.0], [-7.5, 0.0, 1.0]],
            triangles: vec![[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]],
        }
    }

    #[test]
    fn a_surface_comes_back_as_written() {
        assert_eq!(parse_surface(&format_surface(&tetrahedron())), Ok(tetrahedron()));
    }

    /// A surface's first line is free text (nibabel writes a user and a time into it); everything after it is equal.
    #[test]
    fn files_are_written_as_nibabel_writes_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        let theirs = fs_err::read(folder.join("lh.white")).unwrap();
        let body = |bytes: &[u8]| {
            let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("the end of the first line");
            bytes[end..].to_vec()
        };
        assert_eq!(body(&format_surface(&tetrahedron())), body(&theirs));

        let written = tempfile::tempdir().unwrap();
        let path = written.path().join("lh.curv");
        // The fixture was written without a number of faces.
        write_morphometry(&path, &[0.25, -1.5, 0.0, 3.0e7], 0).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), fs_err::read(folder.join("lh.curv")).unwrap());
    }

    #[test]
    fn files_of_nibabel_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        assert_eq!(read_surface(&folder.join("lh.white")).unwrap(), tetrahedron());
        assert_eq!(read_morphometry(&folder.join("lh.curv")).unwrap(), [0.25, -1.5, 0.0, 3.0e7]);
    }

    #[test]
    fn errors_say_what_was_found_and_expected() {
        let surface = format_surface(&tetrahedron());
        let cut = parse_surface(&surface[..surface.len() - 5]).unwrap_err();
        assert_eq!(
            cut.message,
            "the file is cut off: the list of triangles needs 48 bytes from byte 76 on, and 43 are left"
        );
        let other = parse_morphometry(&surface).unwrap_err();
        assert_eq!(
            other.message,
            "the file begins with FF FF FE, expected FF FF FF of FreeSurfer morphometry (new curv)"
        );
        assert_eq!(other.hint.as_deref(), Some("it looks like a triangle surface"));
        let mut wild = tetrahedron();
        wild.triangles[2][1] = 4;
        let wild = parse_surface(&format_surface(&wild)).unwrap_err();
        assert_eq!(wild.message, "triangle 2 has corners [0, 4, 1], but there are 4 vertices (0 to 3)");
        let missing = read_surface(Path::new("nowhere/lh.white")).unwrap_err();
        assert_eq!(missing.to_string(), "the file does not exist (in nowhere/lh.white)");
    }

    #[test]
    fn zero_vertices_and_zero_triangles_are_errors() {
        let file = |magic: [u8; 3], comment: &str, counts: &[u32]| {
            let counts = counts.iter().flat_map(|count| count.to_be_bytes());
            magic.into_iter().chain(comment.bytes()).chain(counts).collect::<Vec<u8>>()
        };
        let surface = |counts| parse_surface(&file(SURFACE_MAGIC, "a comment\n\n", counts)).unwrap_err().message;
        let curv = parse_morphometry(&file(MORPHOMETRY_MAGIC, "", &[0, 0, 1])).unwrap_err().message;
        let vertices = "the number of vertices is 0, expected a number from 1 to 20000000: the header is damaged";
        assert_eq!((curv.as_str(), surface(&[0, 0]).as_str()), (vertices, vertices));
        // The coordinates of the one vertex follow.
        assert_eq!(
            surface(&[1, 0, 0, 0, 0]),
            "the number of triangles is 0, expected a number from 1 to 40000000: the header is damaged"
        );
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(cut in 0_usize..130, at in 0_usize..130, byte: u8, noise: Vec<u8>) {
            let mut bytes = format_surface(&tetrahedron());
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut);
            let _ = parse_surface(&bytes);
            let _ = parse_morphometry(&bytes);
            let _ = parse_surface(&noise);
            let mut curv = MORPHOMETRY_MAGIC.to_vec();
            curv.extend(&noise);
            let _ = parse_morphometry(&curv);
        }
    }
}
