//! GIFTI (`*.surf.gii`, `*.shape.gii`, `*.func.gii`): XML around arrays of numbers.
//!
//! Read: floats and whole numbers of any width, as text, base64 or zlib in base64 (which GIFTI calls gzip), both byte
//! orders (little-endian where none is given), both index orders, comments and CDATA among the numbers, also inside gzip: what
//! nibabel reads. Arrays in external files are refused. Written: little-endian, zlib in base64, without dates, user names or paths. Transformation
//! matrices are neither applied nor kept: surfaces of one subject share one space.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pipe_contract::Failure;
use roxmltree::{Document, Node, ParsingOptions};

use super::binary;
use super::bounds::MOST_VERTICES;
pub use super::freesurfer::Surface;
use super::freesurfer::{check_triangles, triples};
use super::number_bytes;

/// What an array means, as far as this crate reads or writes it. (Some writers use the short names of nibabel.)
const POINTS: &str = "NIFTI_INTENT_POINTSET";
const TRIANGLES: &str = "NIFTI_INTENT_TRIANGLE";
const SHAPE: &str = "NIFTI_INTENT_SHAPE";
const LABEL: &str = "NIFTI_INTENT_LABEL";

/// A label of a file of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelEntry<'a> {
    /// The number.
    pub key: i32,
    /// The name.
    pub name: &'a str,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// Whether programs colour it at all.
    pub visible: bool,
}

/// Reads the one point set and the one list of triangles.
///
/// # Errors
/// The file is missing, cut off, not GIFTI, has not exactly one of both, or a triangle names a vertex that does not
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

/// Writes one label per vertex with the names and colours of labels; `about` are names and values of metadata.
///
/// # Errors
/// The file cannot be written.
pub fn write_labels(
    path: &Path,
    labels: &[i32],
    table: &[LabelEntry<'_>],
    about: &[(&str, &str)],
) -> Result<(), Failure> {
    let bytes = labels.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let array = format_array(LABEL, "NIFTI_TYPE_INT32", &[labels.len()], &bytes);
    let share = |part: u8| f64::from(part) / 255.0;
    let entries: String = table
        .iter()
        .map(|entry| {
            let [red, green, blue] = entry.colour.map(share);
            let alpha = u8::from(entry.visible);
            format!(
                "<Label Key=\"{}\" Red=\"{red:.6}\" Green=\"{green:.6}\" Blue=\"{blue:.6}\" Alpha=\"{alpha}\">{}</Label>\n",
                entry.key,
                escaped(entry.name)
            )
        })
        .collect();
    let metadata: String = about
        .iter()
        .map(|(name, value)| format!("<MD><Name>{}</Name><Value>{}</Value></MD>\n", escaped(name), escaped(value)))
        .collect();
    let document = format_document(&[array])
        .replacen("<LabelTable/>", &format!("<LabelTable>\n{entries}</LabelTable>"), 1)
        .replacen("<MetaData/>", &format!("<MetaData>\n{metadata}</MetaData>"), 1);
    binary::write(path, document.as_bytes())
}

/// Text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
        .map_err(|_| Failure::input("a triangle has a corner that is negative or too large"))?;
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
    let short = intent.trim_start_matches("NIFTI_INTENT_").to_ascii_lowercase();
    let is_of_intent = |node: &Node| node.attribute("Intent").is_some_and(|found| found == intent || found == short);
    let mut of_intent = arrays(document).filter(is_of_intent);
    match (of_intent.next(), of_intent.count()) {
        (Some(array), 0) => Ok(array),
        (Some(_), others) => {
            Err(Failure::input(format!("there are {} arrays with intent `{intent}`, expected 1", others + 1)))
        }
        (None, _) => {
            let found: Vec<&str> = arrays(document).filter_map(|node| node.attribute("Intent")).collect();
            Err(Failure::input(format!("there is no array with intent `{intent}`, only [{}]", found.join(", "))))
        }
    }
}

/// An array, row by row, in the file's own type.
struct Array {
    shape: Vec<usize>,
    values: Numbers,
}

enum Numbers {
    Whole(Vec<i64>),
    Float32(Vec<f32>),
}

impl Numbers {
    fn count(&self) -> usize {
        match self {
            Numbers::Whole(values) => values.len(),
            Numbers::Float32(values) => values.len(),
        }
    }
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
            Numbers::Whole(values) => values.into_iter().map(|value| value as f32).collect(),
        };
        Ok(Floats { shape: self.shape, values })
    }

    fn three_columns(&self) -> Result<&Self, Failure> {
        match self.shape[..] {
            [_, 3] => Ok(self),
            _ => Err(Failure::input(format!("the triangles have shape {:?}, expected [number, 3]", self.shape))),
        }
    }

    fn whole_numbers(&self) -> Result<&[i64], Failure> {
        match &self.values {
            Numbers::Whole(values) => Ok(values),
            Numbers::Float32(_) => Err(Failure::input("the triangles are floats, expected whole numbers")),
        }
    }
}

fn parse_array(node: Node) -> Result<Array, Failure> {
    let shape = parse_shape(node)?;
    let count = shape.iter().fold(1_usize, |product, length| product.saturating_mul(*length));
    if count == 0 {
        return Err(Failure::input(format!("an array has shape {shape:?}, expected at least one value")));
    }
    if count > 3 * MOST_VERTICES {
        return Err(Failure::input(format!("an array of shape {shape:?} is larger than any cortical mesh")));
    }
    let text = data_text(node);
    let kind = NumberType::parse(node.attribute("DataType").unwrap_or("float32"))?;
    let values = match node.attribute("Encoding").unwrap_or("B64GZ") {
        "ASCII" | "GIFTI_ENCODING_ASCII" => kind.parse_text(&text)?,
        "Base64Binary" | "GIFTI_ENCODING_B64BIN" | "B64BIN" => {
            kind.parse_bytes(&decode(&text)?, is_big_endian(node)?)?
        }
        "GZipBase64Binary" | "GIFTI_ENCODING_B64GZ" | "B64GZ" => {
            let bytes = binary::inflate(&decode(&text)?, (count * kind.size) as u64)?;
            kind.parse_bytes(&bytes, is_big_endian(node)?)?
        }
        other => {
            return Err(Failure::input(format!(
                "an array is encoded as `{other}`, expected `ASCII`, `Base64Binary` or `GZipBase64Binary`"
            )));
        }
    };
    let found = values.count();
    if found != count {
        return Err(Failure::input(format!("an array of shape {shape:?} holds {found} values, expected {count}")));
    }
    Ok(Array { values: if is_by_column(node)? { by_row(values, &shape) } else { values }, shape })
}

fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    let compact: String = text.split_ascii_whitespace().collect();
    BASE64.decode(compact).map_err(|error| Failure::input(format!("the base64 of an array is damaged: {error}")))
}

/// The text of the numbers, whatever comments and CDATA sections it is broken by.
fn data_text(node: Node) -> String {
    let data = node.children().find(|child| child.has_tag_name("Data"));
    let parts = data.into_iter().flat_map(|data| data.children()).filter(Node::is_text);
    parts.filter_map(|part| part.text()).collect()
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

/// Little-endian where the attribute is missing, as nibabel takes it.
fn is_big_endian(node: Node) -> Result<bool, Failure> {
    match node.attribute("Endian") {
        Some("BigEndian" | "GIFTI_ENDIAN_BIG" | "big") => Ok(true),
        Some("LittleEndian" | "GIFTI_ENDIAN_LITTLE" | "little") | None => Ok(false),
        Some(other) => Err(Failure::input(format!("`Endian` is `{other}`, expected `BigEndian` or `LittleEndian`"))),
    }
}

fn is_by_column(node: Node) -> Result<bool, Failure> {
    match node.attribute("ArrayIndexingOrder") {
        Some("ColumnMajorOrder" | "F") => Ok(true),
        Some("RowMajorOrder" | "C") | None => Ok(false),
        Some(other) => Err(Failure::input(format!(
            "`ArrayIndexingOrder` is `{other}`, expected `RowMajorOrder` or `ColumnMajorOrder`"
        ))),
    }
}

/// A type of numbers as NIfTI names them, or NumPy.
#[derive(Clone, Copy)]
struct NumberType {
    size: usize,
    form: Encoding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Signed,
    Unsigned,
    Float,
}

impl NumberType {
    fn parse(name: &str) -> Result<Self, Failure> {
        let (form, size) = match name.trim_start_matches("NIFTI_TYPE_").to_ascii_lowercase().as_str() {
            "uint8" => (Encoding::Unsigned, 1),
            "uint16" => (Encoding::Unsigned, 2),
            "uint32" => (Encoding::Unsigned, 4),
            "uint64" => (Encoding::Unsigned, 8),
            "int8" => (Encoding::Signed, 1),
            "int16" => (Encoding::Signed, 2),
            "int32" => (Encoding::Signed, 4),
            "int64" => (Encoding::Signed, 8),
            "float32" => (Encoding::Float, 4),
            "float64" => (Encoding::Float, 8),
            _ => {
                return Err(Failure::input(format!(
                    "an array is of type `{name}`, expected `NIFTI_TYPE_FLOAT32`, `_FLOAT64` or whole numbers such as `_INT32`"
                )));
            }
        };
        Ok(Self { size, form })
    }

    fn parse_text(self, text: &str) -> Result<Numbers, Failure> {
        fn all<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, Failure> {
            text.split_ascii_whitespace()
                .map(|word| word.parse().map_err(|_| Failure::input(format!("found `{word}`, expected a number"))))
                .collect()
        }
        Ok(match self.form {
            Encoding::Float => Numbers::Float32(all(text)?),
            Encoding::Signed | Encoding::Unsigned => Numbers::Whole(all(text)?),
        })
    }

    fn parse_bytes(self, bytes: &[u8], big_endian: bool) -> Result<Numbers, Failure> {
        let size = self.size;
        if !bytes.len().is_multiple_of(size) {
            return Err(Failure::input(format!("an array holds {} bytes, expected a multiple of {size}", bytes.len())));
        }
        let words = bytes.chunks_exact(size).map(|chunk| number_bytes::bits(chunk, big_endian));
        #[expect(clippy::cast_possible_truncation, reason = "4 bytes; and the other files of a subject have 4")]
        Ok(match (self.form, size) {
            (Encoding::Float, 4) => Numbers::Float32(words.map(|word| f32::from_bits(word as u32)).collect()),
            (Encoding::Float, _) => Numbers::Float32(words.map(|word| f64::from_bits(word) as f32).collect()),
            (Encoding::Signed, _) => {
                Numbers::Whole(words.map(|word| number_bytes::signed(word, 8 * size as u32)).collect())
            }
            (Encoding::Unsigned, _) => {
                let whole = words.map(|word| {
                    i64::try_from(word).map_err(|_| Failure::input(format!("found {word}, which is too large")))
                });
                Numbers::Whole(whole.collect::<Result<_, _>>()?)
            }
        })
    }
}

/// From column by column to row by row.
fn by_row(values: Numbers, shape: &[usize]) -> Numbers {
    fn turn<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
        (0..rows).flat_map(|row| (0..columns).map(move |column| values[column * rows + row])).collect()
    }
    let [rows, columns] = shape[..] else { return values };
    match values {
        Numbers::Whole(values) => Numbers::Whole(turn(&values, rows, columns)),
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
        fs_err::read_to_string(path).unwrap()
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
        for name in ["ascii.shape.gii", "odd.shape.gii.gz"] {
            assert_eq!(read_scalars(&folder.join(name)).unwrap(), [0.25, -1.5, 0.0, 3.0e7], "{name}");
        }
    }

    /// One array of values per vertex, in text, with these attributes and this content of `Data`.
    fn scalars(attributes: &str, data: &str) -> Result<Vec<f32>, Failure> {
        parse_scalars(&document(&format!(
            "<DataArray Intent='NIFTI_INTENT_SHAPE' Dimensionality='1' {attributes}><Data>{data}</Data></DataArray>"
        )))
    }

    #[test]
    fn comments_and_cdata_do_not_end_the_numbers() {
        let text = "Encoding='ASCII' DataType='NIFTI_TYPE_FLOAT32' Dim0='4'";
        assert_eq!(scalars(text, "1 2<!-- half --> 3 4").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(scalars(text, "<![CDATA[1 2]]>\n<!-- a --><![CDATA[ 3]]> 4").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        // A comment inside a word of base64 or a number is not there.
        assert_eq!(scalars(text, "1 2 3 4<!-- -->5").unwrap(), [1.0, 2.0, 3.0, 45.0]);
    }

    #[test]
    fn every_type_and_a_missing_byte_order_are_read() {
        let read = |kind: &str, attributes: &str, bytes: &[u8]| {
            let attributes = format!("Encoding='Base64Binary' DataType='NIFTI_TYPE_{kind}' Dim0='1' {attributes}");
            scalars(&attributes, &BASE64.encode(bytes)).unwrap()[0]
        };
        assert_eq!(read("INT16", "", &(-2_i16).to_le_bytes()), -2.0);
        assert_eq!(read("UINT16", "Endian='BigEndian'", &65_000_u16.to_be_bytes()), 65_000.0);
        assert_eq!(read("INT8", "", &[0xff]), -1.0);
        assert_eq!(read("INT64", "", &(-7_i64).to_le_bytes()), -7.0);
        assert_eq!(read("UINT32", "", &u32::MAX.to_le_bytes()), 4_294_967_295.0);
        assert_eq!(read("FLOAT32", "", &0.5_f32.to_le_bytes()), 0.5);
        assert_eq!(read("INT16", "Endian='GIFTI_ENDIAN_BIG' ArrayIndexingOrder='F'", &[1, 0]), 256.0);
        let packed = BASE64.encode([&binary::deflate(&0.5_f32.to_le_bytes())[..], &[0; 9]].concat());
        assert_eq!(scalars("Dim0='1'", &packed).unwrap(), [0.5]);
        assert_eq!(scalars("Dim0='1' DataType='float32' Encoding='B64GZ'", &packed).unwrap(), [0.5]);
        assert_eq!(read("FLOAT64", "Endian='BigEndian'", &(-1e30_f64).to_be_bytes()), -1e30);
    }

    #[test]
    fn packed_numbers_are_unpacked_up_to_their_shape() {
        let packed = BASE64.encode(binary::deflate(&vec![0; 1 << 20]));
        let attributes = "Encoding='GZipBase64Binary' DataType='NIFTI_TYPE_FLOAT32' Dim0='2'";
        let failure = scalars(attributes, &packed).unwrap_err();
        assert!(failure.message.contains("unpack to more than 8 bytes"), "{failure}");
        let failure = scalars("Encoding='ASCII' DataType='NIFTI_TYPE_FLOAT32' Dim0='0'", "").unwrap_err();
        assert_eq!(failure.message, "an array has shape [0], expected at least one value");
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
