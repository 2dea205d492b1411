//! GIFTI (`*.surf.gii`, `*.shape.gii`, `*.func.gii`): XML around arrays of numbers.
//!
//! Read: 32-bit and 64-bit floats, 32-bit and 8-bit whole numbers, as text, base64 or zlib in base64 (which
//! GIFTI calls gzip), both byte orders, both index orders, also inside gzip. Arrays in external files are
//! refused. Written: little-endian, zlib in base64, without dates, user names or paths. Transformation
//! matrices are neither applied nor kept: surfaces of one subject share one space.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pipe_contract::Failure;
use roxmltree::{Document, Node, ParsingOptions};

use super::binary;
pub use super::freesurfer::Surface;
use super::freesurfer::{MOST_VERTICES, check_triangles, triples};

/// What an array means, as far as this crate reads or writes it.
const POINTS: &str = "NIFTI_INTENT_POINTSET";
const TRIANGLES: &str = "NIFTI_INTENT_TRIANGLE";
const SHAPE: &str = "NIFTI_INTENT_SHAPE";

/// Reads the first point set and the first list of triangles.
///
/// # Errors
/// The file is missing, cut off, not GIFTI, lacks one of the two, or a triangle names a vertex that does not
/// exist; input's blame.
pub fn read_surface(path: &Path) -> Result<Surface, Failure> {
    read_text(path).and_then(|text| parse_surface(&text)).map_err(|failure| place(failure, path))
}

/// Reads the one array of values per vertex.
///
/// # Errors
/// The file is missing, cut off, not GIFTI, or has not exactly one array, of one value per vertex; input's blame.
pub fn read_scalars(path: &Path) -> Result<Vec<f32>, Failure> {
    read_text(path).and_then(|text| parse_scalars(&text)).map_err(|failure| place(failure, path))
}

/// Writes a surface.
///
/// # Errors
/// The file cannot be written.
pub fn write_surface(path: &Path, surface: &Surface) -> Result<(), Failure> {
    let points = surface.coordinates.iter().flatten().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let corners = surface.triangles.iter().flatten().flat_map(|corner| corner.to_le_bytes()).collect::<Vec<_>>();
    let arrays = [
        format_array(POINTS, "NIFTI_TYPE_FLOAT32", &[surface.coordinates.len(), 3], &points),
        format_array(TRIANGLES, "NIFTI_TYPE_INT32", &[surface.triangles.len(), 3], &corners),
    ];
    binary::write(path, format_document(&arrays).as_bytes())
}

/// Writes one value per vertex.
///
/// # Errors
/// The file cannot be written.
pub fn write_scalars(path: &Path, values: &[f32]) -> Result<(), Failure> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let array = format_array(SHAPE, "NIFTI_TYPE_FLOAT32", &[values.len()], &bytes);
    binary::write(path, format_document(&[array]).as_bytes())
}

fn place(failure: Failure, path: &Path) -> Failure {
    if failure.place.is_some() { failure } else { failure.at(path.display().to_string()) }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(binary::read_maybe_gzipped(path)?).map_err(|error| {
        Failure::input(format!(
            "byte {} is not text, expected GIFTI, which is XML in UTF-8",
            error.utf8_error().valid_up_to()
        ))
        .hint("a binary FreeSurfer file or a damaged download looks like this")
    })
}

fn parse_surface(text: &str) -> Result<Surface, Failure> {
    let document = parse_document(text)?;
    let points = parse_array(only(&document, POINTS)?)?.floats()?;
    let corners = parse_array(only(&document, TRIANGLES)?)?;
    let corners_flat = corners.three_columns()?.whole_numbers()?;
    let corners = corners_flat
        .iter()
        .map(|corner| u32::try_from(*corner))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Failure::input("a triangle has a negative corner"))?;
    if points.shape.get(1) != Some(&3) || points.shape.len() != 2 {
        return Err(Failure::input(format!("the points have shape {:?}, expected [number, 3]", points.shape)));
    }
    let surface = Surface { coordinates: triples(&points.values), triangles: triples(&corners) };
    check_triangles(&surface)?;
    Ok(surface)
}

fn parse_scalars(text: &str) -> Result<Vec<f32>, Failure> {
    let document = parse_document(text)?;
    let arrays: Vec<Node> = arrays(&document).collect();
    let [array] = arrays[..] else {
        return Err(Failure::input(format!("the file holds {} arrays, expected 1", arrays.len())));
    };
    let floats = parse_array(array)?.floats()?;
    match floats.shape[..] {
        [_] | [_, 1] => Ok(floats.values),
        _ => Err(Failure::input(format!(
            "the array has shape {:?}, expected one value per vertex, [number] or [number, 1]",
            floats.shape
        ))),
    }
}

fn parse_document(text: &str) -> Result<Document<'_>, Failure> {
    // Most writers put a DOCTYPE before the root element.
    let options = ParsingOptions { allow_dtd: true, nodes_limit: 1_000_000, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start_matches('\u{feff}'), options).map_err(|error| {
        Failure::input(format!("the file is not well-formed XML: {error}"))
            .hint("a file that is cut off looks like this")
    })?;
    let root = document.root_element().tag_name().name();
    if root == "GIFTI" {
        return Ok(document);
    }
    Err(Failure::input(format!("the root element is `{root}`, expected `GIFTI`")))
}

fn arrays<'d>(document: &'d Document) -> impl Iterator<Item = Node<'d, 'd>> {
    document.root_element().children().filter(|node| node.has_tag_name("DataArray"))
}

fn only<'d>(document: &'d Document, intent: &str) -> Result<Node<'d, 'd>, Failure> {
    arrays(document).find(|node| node.attribute("Intent") == Some(intent)).ok_or_else(|| {
        let found: Vec<&str> = arrays(document).filter_map(|node| node.attribute("Intent")).collect();
        Failure::input(format!("there is no array with intent `{intent}`, only [{}]", found.join(", ")))
    })
}

/// An array, row by row, in the file's own type.
struct Array {
    shape: Vec<usize>,
    values: Numbers,
}

enum Numbers {
    Int32(Vec<i32>),
    Float32(Vec<f32>),
}

struct Floats {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Array {
    fn floats(self) -> Result<Floats, Failure> {
        #[expect(clippy::cast_precision_loss, reason = "counts and labels, far below 2^24")]
        let values = match self.values {
            Numbers::Float32(values) => values,
            Numbers::Int32(values) => values.into_iter().map(|value| value as f32).collect(),
        };
        Ok(Floats { shape: self.shape, values })
    }

    fn three_columns(&self) -> Result<&Self, Failure> {
        match self.shape[..] {
            [_, 3] => Ok(self),
            _ => Err(Failure::input(format!("the triangles have shape {:?}, expected [number, 3]", self.shape))),
        }
    }

    fn whole_numbers(&self) -> Result<&[i32], Failure> {
        match &self.values {
            Numbers::Int32(values) => Ok(values),
            Numbers::Float32(_) => Err(Failure::input("the triangles are floats, expected whole numbers")),
        }
    }
}

fn parse_array(node: Node) -> Result<Array, Failure> {
    let shape = parse_shape(node)?;
    let count = shape.iter().fold(1_usize, |product, length| product.saturating_mul(*length));
    if count > 3 * MOST_VERTICES {
        return Err(Failure::input(format!("an array of shape {shape:?} is larger than any cortical mesh")));
    }
    let data = node.children().find(|child| child.has_tag_name("Data"));
    let text = data.and_then(|data| data.text()).unwrap_or_default();
    let kind = attribute(node, "DataType")?;
    let values = match attribute(node, "Encoding")? {
        "ASCII" => parse_text(text, kind)?,
        encoding @ ("Base64Binary" | "GZipBase64Binary") => {
            let compact: String = text.split_ascii_whitespace().collect();
            let mut bytes = BASE64
                .decode(compact)
                .map_err(|error| Failure::input(format!("the base64 of an array is damaged: {error}")))?;
            if encoding == "GZipBase64Binary" {
                bytes = binary::inflate(&bytes)?;
            }
            parse_bytes(&bytes, kind, big_endian(node)?)?
        }
        other => {
            return Err(Failure::input(format!(
                "an array is encoded as `{other}`, expected `ASCII`, `Base64Binary` or `GZipBase64Binary`"
            )));
        }
    };
    let found = match &values {
        Numbers::Int32(values) => values.len(),
        Numbers::Float32(values) => values.len(),
    };
    if found != count {
        return Err(Failure::input(format!("an array of shape {shape:?} holds {found} values, expected {count}")));
    }
    let by_column = node.attribute("ArrayIndexingOrder") == Some("ColumnMajorOrder");
    Ok(Array { values: if by_column { by_row(values, &shape) } else { values }, shape })
}

fn parse_shape(node: Node) -> Result<Vec<usize>, Failure> {
    let number = |name: &str| {
        let text = attribute(node, name)?;
        text.trim()
            .parse::<usize>()
            .map_err(|_| Failure::input(format!("`{name}` is `{text}`, expected a whole number")))
    };
    let dimensions = number("Dimensionality")?;
    if !(1..=2).contains(&dimensions) {
        return Err(Failure::input(format!("an array has {dimensions} dimensions, expected 1 or 2")));
    }
    (0..dimensions).map(|index| number(&format!("Dim{index}"))).collect()
}

fn attribute<'d>(node: Node<'d, 'd>, name: &str) -> Result<&'d str, Failure> {
    node.attribute(name).ok_or_else(|| Failure::input(format!("an array has no attribute `{name}`")))
}

fn big_endian(node: Node) -> Result<bool, Failure> {
    match attribute(node, "Endian")? {
        "BigEndian" => Ok(true),
        "LittleEndian" => Ok(false),
        other => Err(Failure::input(format!("`Endian` is `{other}`, expected `BigEndian` or `LittleEndian`"))),
    }
}

fn unknown_type(kind: &str) -> Failure {
    Failure::input(format!(
        "an array is of type `{kind}`, expected `NIFTI_TYPE_FLOAT32`, `_FLOAT64`, `_INT32` or `_UINT8`"
    ))
}

fn parse_text(text: &str, kind: &str) -> Result<Numbers, Failure> {
    fn all<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, Failure> {
        text.split_ascii_whitespace()
            .map(|word| word.parse().map_err(|_| Failure::input(format!("found `{word}`, expected a number"))))
            .collect()
    }
    match kind {
        "NIFTI_TYPE_FLOAT32" | "NIFTI_TYPE_FLOAT64" => Ok(Numbers::Float32(all(text)?)),
        "NIFTI_TYPE_INT32" | "NIFTI_TYPE_UINT8" => Ok(Numbers::Int32(all(text)?)),
        other => Err(unknown_type(other)),
    }
}

fn parse_bytes(bytes: &[u8], kind: &str, big_endian: bool) -> Result<Numbers, Failure> {
    let words = |size: usize| {
        if bytes.len().is_multiple_of(size) {
            Ok(bytes.chunks_exact(size))
        } else {
            Err(Failure::input(format!("an array holds {} bytes, expected a multiple of {size}", bytes.len())))
        }
    };
    let four = |chunk: &[u8]| {
        let word = binary::four(chunk);
        u32::from_le_bytes(if big_endian { [word[3], word[2], word[1], word[0]] } else { word })
    };
    Ok(match kind {
        "NIFTI_TYPE_FLOAT32" => Numbers::Float32(words(4)?.map(|chunk| f32::from_bits(four(chunk))).collect()),
        "NIFTI_TYPE_INT32" => Numbers::Int32(words(4)?.map(|chunk| four(chunk).cast_signed()).collect()),
        "NIFTI_TYPE_UINT8" => Numbers::Int32(bytes.iter().map(|byte| i32::from(*byte)).collect()),
        "NIFTI_TYPE_FLOAT64" => Numbers::Float32(words(8)?.map(|chunk| double(chunk, big_endian)).collect()),
        other => return Err(unknown_type(other)),
    })
}

/// A float of 8 bytes, narrowed: the other files of a subject have 4.
#[expect(clippy::cast_possible_truncation, reason = "narrowing is the purpose")]
fn double(chunk: &[u8], big_endian: bool) -> f32 {
    let mut word = [0_u8; 8];
    word.copy_from_slice(chunk);
    (if big_endian { f64::from_be_bytes(word) } else { f64::from_le_bytes(word) }) as f32
}

/// From column by column to row by row.
fn by_row(values: Numbers, shape: &[usize]) -> Numbers {
    fn turn<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
        (0..rows).flat_map(|row| (0..columns).map(move |column| values[column * rows + row])).collect()
    }
    let [rows, columns] = shape[..] else { return values };
    match values {
        Numbers::Int32(values) => Numbers::Int32(turn(&values, rows, columns)),
        Numbers::Float32(values) => Numbers::Float32(turn(&values, rows, columns)),
    }
}

fn format_document(arrays: &[String]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE GIFTI SYSTEM \"http://gifti.projects.nitrc.org/gifti.dtd\">\n\
         <GIFTI Version=\"1.0\" NumberOfDataArrays=\"{}\">\n<MetaData/>\n<LabelTable/>\n{}</GIFTI>\n",
        arrays.len(),
        arrays.concat()
    )
}

fn format_array(intent: &str, kind: &str, shape: &[usize], bytes: &[u8]) -> String {
    let dimensions: String =
        shape.iter().enumerate().map(|(index, length)| format!(" Dim{index}=\"{length}\"")).collect();
    format!(
        "<DataArray Intent=\"{intent}\" DataType=\"{kind}\" ArrayIndexingOrder=\"RowMajorOrder\" \
         Dimensionality=\"{}\"{dimensions} Encoding=\"GZipBase64Binary\" Endian=\"LittleEndian\" \
         ExternalFileName=\"\" ExternalFileOffset=\"\">\n<MetaData/>\n<Data>{}</Data>\n</DataArray>\n",
        shape.len(),
        BASE64.encode(binary::deflate(bytes))
    )
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

    fn written(surface: &Surface) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("white.surf.gii");
        write_surface(&path, surface).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    fn document(array: &str) -> String {
        format_document(&[array.to_owned()])
    }

    #[test]
    fn surfaces_and_scalars_come_back_as_written() {
        assert_eq!(parse_surface(&written(&tetrahedron())), Ok(tetrahedron()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("myelin.func.gii");
        write_scalars(&path, &[1.0, -2.5, f32::NAN]).unwrap();
        let read = read_scalars(&path).unwrap();
        assert_eq!(read[..2], [1.0, -2.5]);
        assert!(read[2].is_nan());
    }

    #[test]
    fn all_encodings_and_orders_are_read() {
        let text = "<DataArray Intent='NIFTI_INTENT_SHAPE' DataType='NIFTI_TYPE_FLOAT32' Dimensionality='1' Dim0='3' \
                    Encoding='ASCII' Endian='LittleEndian'><Data>1 -2.5\n3e2</Data></DataArray>";
        assert_eq!(parse_scalars(&document(text)).unwrap(), [1.0, -2.5, 300.0]);
        let big = BASE64.encode([0_u8, 0, 0, 7, 255, 255, 255, 255]);
        let whole = format!(
            "<DataArray Intent='NIFTI_INTENT_LABEL' DataType='NIFTI_TYPE_INT32' Dimensionality='2' Dim0='2' Dim1='1' \
             Encoding='Base64Binary' Endian='BigEndian'><Data>\n {}\n{} </Data></DataArray>",
            &big[..5],
            &big[5..]
        );
        assert_eq!(parse_scalars(&document(&whole)).unwrap(), [7.0, -1.0]);
        let columns = "<DataArray Intent='NIFTI_INTENT_POINTSET' DataType='NIFTI_TYPE_FLOAT32' Dimensionality='2' \
                       ArrayIndexingOrder='ColumnMajorOrder' Dim0='3' Dim1='3' Encoding='ASCII' \
                       Endian='LittleEndian'><Data>1 2 3 4 5 6 7 8 9</Data></DataArray><DataArray \
                       Intent='NIFTI_INTENT_TRIANGLE' DataType='NIFTI_TYPE_INT32' Dimensionality='2' Dim0='1' Dim1='3' \
                       Encoding='ASCII' Endian='LittleEndian'><Data>0 1 2</Data></DataArray>";
        let surface = parse_surface(&document(columns)).unwrap();
        assert_eq!(surface.coordinates, [[1.0, 4.0, 7.0], [2.0, 5.0, 8.0], [3.0, 6.0, 9.0]]);
    }

    #[test]
    fn files_of_nibabel_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        assert_eq!(read_surface(&folder.join("zlib.surf.gii")).unwrap(), tetrahedron());
        assert_eq!(read_surface(&folder.join("big.surf.gii")).unwrap(), tetrahedron());
        assert_eq!(read_scalars(&folder.join("ascii.shape.gii")).unwrap(), [0.25, -1.5, 0.0, 3.0e7]);
    }

    #[test]
    fn errors_say_what_was_found_and_expected() {
        let whole = written(&tetrahedron());
        let cut = parse_surface(&whole[..whole.len() / 2]).unwrap_err();
        assert!(cut.message.starts_with("the file is not well-formed XML"), "{}", cut.message);
        let short = whole.replace("Dim0=\"4\" Dim1=\"3\"", "Dim0=\"5\" Dim1=\"3\"");
        let short = parse_surface(&short).unwrap_err();
        assert_eq!(short.message, "an array of shape [5, 3] holds 12 values, expected 15");
        let scalars = parse_surface(&document("")).unwrap_err();
        assert_eq!(scalars.message, "there is no array with intent `NIFTI_INTENT_POINTSET`, only []");
        let two = parse_scalars(&whole).unwrap_err();
        assert_eq!(two.message, "the file holds 2 arrays, expected 1");
        let root = parse_scalars("<html/>").unwrap_err();
        assert_eq!(root.message, "the root element is `html`, expected `GIFTI`");
    }

    proptest! {
        #[test]
        fn damaged_text_never_panics(at in 0_usize..1200, byte in 32_u8..127, cut in 0_usize..1600, noise: String) {
            let mut bytes = written(&tetrahedron()).into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut);
            let text = String::from_utf8(bytes).unwrap();
            let _ = parse_surface(&text);
            let _ = parse_scalars(&text);
            let _ = parse_scalars(&noise);
        }
    }
}
