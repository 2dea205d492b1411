//! MATLAB's MAT-files of level 5 (`save -v6`, `-v7`): numbers, texts, structures and cells, packed or not, of either order of bytes.
//!
//! Read from the format's description ("MAT-File Format", The MathWorks): a header of 128 bytes, then data elements, each with its type and
//! its number of bytes; an array is an element of elements: flags, lengths of axes, name, content. Decides that every number of bytes is
//! compared with what is left before anything is allocated, that packed elements unpack to what their content says and at most to
//! [`MOST_UNPACKED`], and that all else (sparse and complex matrices, objects, functions, tables) is refused by its name when
//! it is asked for. Whole numbers become 64-bit floats. Arrays lie as MATLAB stores them, the first axis fastest. MATLAB 7.3 is HDF5.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::bufread::ZlibDecoder;
use pipe_contract::Failure;

use super::binary;
use super::bounds::MOST_UNPACKED;
use super::nearest_names::nearest;
use super::number_bytes::{bits, signed};

/// Structures and cells lie in each other at most so deep.
const DEEPEST: usize = 32;

/// More arrays than this in structures and cells of one variable are refused: each takes some hundred bytes, however short it is in the file.
const MOST_ARRAYS: usize = 1 << 20;

/// Axes of an array.
const MOST_AXES: usize = 32;

/// Bytes of a packed element from which its name is read.
const HEAD_OF_PACKED: u64 = 4096;

/// Bytes of the file's header.
const HEADER: usize = 128;

/// An array of a MAT-file.
#[derive(Clone, Debug, PartialEq)]
pub enum MatArray {
    /// Numbers or truth values.
    Numbers(MatNumbers),
    /// Rows of characters.
    Text(Vec<String>),
    /// An array of structures.
    Structures(MatStructures),
    /// An array of arrays: the lengths of its axes, and its content, first axis fastest.
    Cells(Vec<usize>, Vec<MatArray>),
}

/// Numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct MatNumbers {
    /// The lengths of the axes, two or more.
    pub shape: Vec<usize>,
    /// First axis fastest.
    pub values: Vec<f64>,
}

/// Structures with the same fields.
#[derive(Clone, Debug, PartialEq)]
pub struct MatStructures {
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The names of the fields.
    pub fields: Vec<String>,
    /// The fields of the first structure, then those of the second, first axis fastest.
    content: Vec<MatArray>,
}

impl MatStructures {
    /// How many structures.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field of all structures, first axis fastest; `None` if they have no such field.
    pub fn field(&self, name: &str) -> Option<Vec<&MatArray>> {
        let at = self.fields.iter().position(|field| field == name)?;
        Some((0..self.len()).map(|structure| &self.content[structure * self.fields.len() + at]).collect())
    }
}

impl MatArray {
    /// What it is, for messages.
    pub fn words(&self) -> String {
        let by = |shape: &[usize]| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
        match self {
            Self::Numbers(numbers) => format!("numbers, {}", by(&numbers.shape)),
            Self::Text(rows) => format!("text of {} rows", rows.len()),
            Self::Structures(structures) => {
                let fields: Vec<String> = structures.fields.iter().map(|field| format!("`{field}`")).collect();
                format!("structures, {}, with the fields {}", by(&structures.shape), fields.join(", "))
            }
            Self::Cells(shape, _) => format!("cells, {}", by(shape)),
        }
    }
}

/// A MAT-file, whose variables are read when they are asked for.
#[derive(Debug)]
pub struct MatFile {
    path: PathBuf,
    bytes: Vec<u8>,
    order: ByteOrder,
    /// The names of variables, and where their elements lie.
    variables: Vec<(String, std::ops::Range<usize>)>,
}

impl MatFile {
    /// Whether a file begins as such files do: by the mark of its order of bytes.
    pub fn is_one(head: &[u8]) -> bool {
        head.len() >= HEADER && head.starts_with(b"MATLAB 5.0") && ByteOrder::of(head).is_some()
    }

    /// Opens a file and lists its variables.
    ///
    /// # Errors
    /// Input: the file is missing, cut off, of another form, or of another level of MATLAB's format. Environment: it cannot be read.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        Self::parse(path, binary::read(path)?).map_err(|failure| failure.at(path.display().to_string()))
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, Failure> {
        if bytes.starts_with(b"MATLAB 7.3") {
            return Err(Failure::input("the file is of MATLAB 7.3 (HDF5), expected level 5")
                .hint("save it with `save(file, variable, '-v7')`"));
        }
        let Some(order) = ByteOrder::of(&bytes) else {
            return Err(Failure::input("the file is not a MAT-file of level 5")
                .hint("save it with `save(file, variable, '-v7')`"));
        };
        let mut elements = Elements { bytes: &bytes, at: HEADER, order };
        let mut variables = Vec::new();
        while elements.left() > 0 {
            let begin = elements.at;
            let element = elements.next("a variable")?;
            let name = element.name_of_variable(order)?;
            // Without a name lies what functions and objects refer to.
            if !name.is_empty() {
                variables.push((name, begin..elements.at));
            }
        }
        if variables.is_empty() {
            return Err(Failure::input("the file has no variable, expected at least one"));
        }
        Ok(Self { path: path.to_path_buf(), bytes, order, variables })
    }

    /// The names of the variables, in the order of the file.
    pub fn names(&self) -> Vec<&str> {
        self.variables.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Reads a variable; the only one if the name is empty.
    ///
    /// # Errors
    /// Input: there is no such variable, several and no name, or it is damaged or of a class that is not read.
    pub fn variable(&self, name: &str) -> Result<MatArray, Failure> {
        let at = |failure: Failure| failure.at(self.path.display().to_string());
        let found = match (name, self.variables.as_slice()) {
            ("", [only]) => Some(only),
            ("", several) => {
                let names: Vec<String> = several.iter().map(|(name, _)| format!("`{name}`")).collect();
                let message = format!("the file has {} variables, expected one: {}", names.len(), names.join(", "));
                return Err(at(Failure::input(message).hint("say which is meant, with `variable`")));
            }
            (name, all) => all.iter().find(|(own, _)| own == name),
        };
        let (name, range) = found.ok_or_else(|| {
            let near = nearest(name, self.variables.iter().map(|(name, _)| name.as_str()));
            at(Failure::input(format!("the file has no variable `{name}`")).hint(format!("there are {near}")))
        })?;
        let named =
            |failure: Failure| at(Failure { message: format!("variable `{name}`: {}", failure.message), ..failure });
        let element = Elements { bytes: &self.bytes[..range.end], at: range.start, order: self.order };
        variable(element).map_err(named)
    }
}

/// The array of a top-level element.
fn variable(mut elements: Elements<'_>) -> Result<MatArray, Failure> {
    let element = elements.next("a variable")?;
    if element.of != COMPRESSED {
        return array(&element, elements.order, &mut Nested::default()).map(|(_, array)| array);
    }
    let unpacked = unpack(element.data, elements.order)?;
    let mut inside = Elements { bytes: &unpacked, at: 0, order: elements.order };
    let element = inside.next("a packed variable")?;
    array(&element, elements.order, &mut Nested::default()).map(|(_, array)| array)
}

/// The first bytes of what is packed, as many as are asked for or there are.
fn head_of(packed: &[u8], count: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let damaged = |error: std::io::Error| Failure::input(format!("the packed data are damaged or cut off: {error}"));
    ZlibDecoder::new(packed).take(count).read_to_end(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

/// Unpacks an element, which says how long it is.
fn unpack(packed: &[u8], order: ByteOrder) -> Result<Vec<u8>, Failure> {
    let tag = head_of(packed, 8)?;
    let length = tag.get(4..8).ok_or_else(|| Failure::input("a packed element has no tag: the file is damaged"))?;
    // With its tag, and filled up to 8 bytes.
    let most = (u64::from(order.u32(length)) + 16).min(MOST_UNPACKED);
    let mut bytes = Vec::new();
    binary::read_bounded(ZlibDecoder::new(packed), &mut bytes, most, "packed")?;
    Ok(bytes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// By the mark at the end of the header, the number 0x4D49 as the writer's machine stores it, and the version before it.
    fn of(head: &[u8]) -> Option<Self> {
        match head.get(124..HEADER)? {
            [0, 1, b'I', b'M'] => Some(Self::Little),
            [1, 0, b'M', b'I'] => Some(Self::Big),
            _ => None,
        }
    }

    fn u32(self, bytes: &[u8]) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "4 bytes")]
        let number = bits(bytes, self == Self::Big) as u32;
        number
    }
}

const INT8: u32 = 1;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;
const UTF16: u32 = 17;
const UTF32: u32 = 18;

/// A data element.
#[derive(Clone, Copy, Debug)]
struct Element<'b> {
    /// Its type.
    of: u32,
    data: &'b [u8],
}

impl Element<'_> {
    /// The name of a top-level element.
    fn name_of_variable(&self, order: ByteOrder) -> Result<String, Failure> {
        let unpacked;
        let data = match self.of {
            MATRIX => self.data,
            COMPRESSED => {
                unpacked = head_of(self.data, HEAD_OF_PACKED)?;
                // The head of the array inside, without its tag.
                unpacked.get(8..).unwrap_or_default()
            }
            other => {
                return Err(Failure::input(format!("a variable is an element of type {other}, expected an array")));
            }
        };
        Head::read(&mut Elements { bytes: data, at: 0, order }).map(|head| head.name)
    }
}

/// Elements one after the other.
struct Elements<'b> {
    bytes: &'b [u8],
    at: usize,
    order: ByteOrder,
}

impl<'b> Elements<'b> {
    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'b [u8], Failure> {
        if count > self.left() {
            let message =
                format!("{what} needs {count} bytes, and {} are left: the file is damaged or cut off", self.left());
            return Err(Failure::input(message));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// The next element; all but packed ones are filled up to 8 bytes.
    fn next(&mut self, what: &str) -> Result<Element<'b>, Failure> {
        let tag = self.take(8, what)?;
        let first = self.order.u32(&tag[..4]);
        // Up to 4 bytes lie in the tag itself, whose first half then has their number above the type.
        let (of, small) = (first & 0xffff, (first >> 16) as usize);
        if small > 0 {
            if small > 4 {
                return Err(Failure::input(format!("{what} has {small} bytes in its tag, expected at most 4")));
            }
            return Ok(Element { of, data: &tag[4..4 + small] });
        }
        let count = self.order.u32(&tag[4..]) as usize;
        let data = self.take(count, what)?;
        if of != COMPRESSED {
            // The last element may lack what fills it up.
            self.at += (count.next_multiple_of(8) - count).min(self.left());
        }
        Ok(Element { of, data })
    }

    /// The next element, of this type.
    fn expect(&mut self, of: u32, what: &str) -> Result<&'b [u8], Failure> {
        let element = self.next(what)?;
        if element.of != of {
            let message = format!("{what} is an element of type {}, expected {of}: the file is damaged", element.of);
            return Err(Failure::input(message));
        }
        Ok(element.data)
    }
}

/// What precedes the content of an array.
struct Head {
    class: u8,
    complex: bool,
    shape: Vec<usize>,
    /// The product of the shape.
    count: usize,
    name: String,
}

impl Head {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Failure> {
        let order = elements.order;
        let flags = elements.expect(UINT32, "the flags of an array")?;
        let flags = order.u32(flags.get(..4).ok_or_else(|| Failure::input("the flags of an array are cut off"))?);
        #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is the class")]
        let class = flags as u8;
        let axes = elements.next("the axes of an array")?;
        if class == OPAQUE && axes.of == INT8 {
            // These have a name and no axes.
            return Ok(Self { class, complex: false, shape: Vec::new(), count: 0, name: name_of(axes.data) });
        }
        if axes.of != INT32 {
            return Err(Failure::input(format!("the axes of an array are of type {}, expected {INT32}", axes.of)));
        }
        let axes = axes.data;
        if axes.len() / 4 > MOST_AXES {
            return Err(Failure::input(format!("an array has {} axes, expected at most {MOST_AXES}", axes.len() / 4)));
        }
        let length = |bytes: &[u8]| {
            let length = signed(u64::from(order.u32(bytes)), 32);
            usize::try_from(length).map_err(|_| Failure::input(format!("an axis has the length {length}")))
        };
        let shape: Vec<usize> = axes.chunks_exact(4).map(length).collect::<Result<_, Failure>>()?;
        let count = shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis));
        let count =
            count.ok_or_else(|| Failure::input(format!("an array has the axes {shape:?}, which is too large")))?;
        let name = name_of(elements.expect(INT8, "the name of an array")?);
        Ok(Self { class, complex: flags & 0x800 != 0, shape, count, name })
    }
}

/// The class of objects whose content is elsewhere.
const OPAQUE: u8 = 17;

/// A name up to its first zero.
fn name_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Why arrays of a class are not read.
fn refused(class: u8) -> Option<Failure> {
    let what = match class {
        3 => "an object of an old class",
        5 => "a sparse matrix",
        16 => "a function",
        OPAQUE => "an object, such as a table, a string array or a time",
        1 | 2 | 4 | 6..=15 => return None,
        _ => return Some(Failure::input(format!("it is of class {class}, which is not one of level 5"))),
    };
    Some(Failure::input(format!("it is {what}, expected numbers, text, structures or cells")).hint(
        "convert it in MATLAB before it is saved: `full` for sparse matrices, `table2struct` for tables, `char` or `cellstr` for strings",
    ))
}

/// Where in structures and cells an array is read.
#[derive(Clone, Copy, Debug, Default)]
struct Nested {
    /// How many of them lie around it.
    depth: usize,
    /// Arrays of the variable so far.
    arrays: usize,
}

/// An array with its name, which only those of the file have.
fn array(element: &Element<'_>, order: ByteOrder, nested: &mut Nested) -> Result<(String, MatArray), Failure> {
    if element.of != MATRIX {
        return Err(Failure::input(format!("an array is an element of type {}, expected {MATRIX}", element.of)));
    }
    if element.data.is_empty() {
        // What was never assigned.
        return Ok((String::new(), MatArray::Numbers(MatNumbers { shape: vec![0, 0], values: Vec::new() })));
    }
    if nested.depth > DEEPEST {
        return Err(Failure::input(format!("structures and cells lie in each other more than {DEEPEST} deep")));
    }
    let mut elements = Elements { bytes: element.data, at: 0, order };
    let head = Head::read(&mut elements)?;
    if let Some(failure) = refused(head.class) {
        return Err(failure);
    }
    let content = match head.class {
        1 => MatArray::Cells(head.shape, arrays(&mut elements, head.count, nested)?),
        2 => structures(&mut elements, head.shape, head.count, nested)?,
        4 => MatArray::Text(text(&elements.next("a text")?, order, &head.shape, head.count)?),
        _ if head.complex => return Err(Failure::input("it holds complex numbers, expected real ones")),
        _ => {
            let values = numbers(&elements.next("numbers")?, order, head.count)?;
            MatArray::Numbers(MatNumbers { shape: head.shape, values })
        }
    };
    Ok((head.name, content))
}

/// So many arrays, one after the other.
fn arrays(elements: &mut Elements<'_>, count: usize, nested: &mut Nested) -> Result<Vec<MatArray>, Failure> {
    // Each has a tag of 8 bytes.
    if count > elements.left() / 8 {
        return Err(Failure::input(format!(
            "{count} arrays need more than the {} bytes that are left",
            elements.left()
        )));
    }
    nested.arrays = nested.arrays.saturating_add(count);
    if nested.arrays > MOST_ARRAYS {
        return Err(Failure::input(format!("structures and cells hold more than {MOST_ARRAYS} arrays")));
    }
    let order = elements.order;
    nested.depth += 1;
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        found.push(array(&elements.next("an array")?, order, nested)?.1);
    }
    nested.depth -= 1;
    Ok(found)
}

fn structures(
    elements: &mut Elements<'_>,
    shape: Vec<usize>,
    count: usize,
    nested: &mut Nested,
) -> Result<MatArray, Failure> {
    let length = elements.expect(INT32, "the length of names of fields")?;
    let length = length.get(..4).map_or(0, |bytes| elements.order.u32(bytes) as usize);
    let names = elements.expect(INT8, "the names of fields")?;
    if length == 0 || !names.len().is_multiple_of(length) {
        let message = format!("names of fields of {length} bytes each do not fill {} bytes", names.len());
        return Err(Failure::input(message));
    }
    let fields: Vec<String> = names.chunks_exact(length).map(name_of).collect();
    let all =
        count.checked_mul(fields.len()).ok_or_else(|| Failure::input(format!("{count} structures are too many")))?;
    let content = arrays(elements, all, nested)?;
    Ok(MatArray::Structures(MatStructures { shape, fields, content }))
}

/// The bytes of a number, and how they are decoded.
type NumberDecoder = (usize, fn(u64) -> f64);

/// How numbers of a type are decoded.
fn decoder(of: u32) -> Option<NumberDecoder> {
    #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53 are rounded")]
    let decoder: NumberDecoder = match of {
        1 => (1, |bits| signed(bits, 8) as f64),
        2 => (1, |bits| bits as f64),
        3 => (2, |bits| signed(bits, 16) as f64),
        4 => (2, |bits| bits as f64),
        5 => (4, |bits| signed(bits, 32) as f64),
        6 => (4, |bits| bits as f64),
        7 => (4, single),
        9 => (8, f64::from_bits),
        12 => (8, |bits| bits.cast_signed() as f64),
        13 => (8, |bits| bits as f64),
        _ => return None,
    };
    Some(decoder)
}

#[expect(clippy::cast_possible_truncation, reason = "4 bytes")]
fn single(bits: u64) -> f64 {
    f64::from(f32::from_bits(bits as u32))
}

fn numbers(element: &Element<'_>, order: ByteOrder, count: usize) -> Result<Vec<f64>, Failure> {
    let (width, decode) = decoder(element.of)
        .ok_or_else(|| Failure::input(format!("numbers are of type {}, which holds none", element.of)))?;
    if element.data.len() / width != count || !element.data.len().is_multiple_of(width) {
        let message =
            format!("{count} numbers of {width} bytes have {} bytes: the file is damaged", element.data.len());
        return Err(Failure::input(message));
    }
    Ok(element.data.chunks_exact(width).map(|number| decode(bits(number, order == ByteOrder::Big))).collect())
}

/// Rows of a text, which lies by columns.
fn text(element: &Element<'_>, order: ByteOrder, shape: &[usize], count: usize) -> Result<Vec<String>, Failure> {
    let damaged = || Failure::input("a text holds what are no characters: the file is damaged");
    let units = |width: usize| element.data.chunks_exact(width).map(|unit| bits(unit, order == ByteOrder::Big));
    let characters: Vec<char> = match element.of {
        UTF8 => std::str::from_utf8(element.data).map_err(|_| damaged())?.chars().collect(),
        // Characters of 8 bits are those of Latin-1, which are the first of Unicode.
        1 | 2 => element.data.iter().map(|byte| char::from(*byte)).collect(),
        #[expect(clippy::cast_possible_truncation, reason = "2 bytes")]
        3 | 4 | UTF16 => {
            char::decode_utf16(units(2).map(|unit| unit as u16)).collect::<Result<_, _>>().map_err(|_| damaged())?
        }
        #[expect(clippy::cast_possible_truncation, reason = "4 bytes")]
        UTF32 => {
            units(4).map(|unit| char::from_u32(unit as u32).ok_or_else(damaged)).collect::<Result<_, Failure>>()?
        }
        other => return Err(Failure::input(format!("a text is of type {other}, which holds none"))),
    };
    let rows = shape.first().copied().unwrap_or(0);
    match rows {
        // Characters outside of the first plane take two of the places that are counted.
        1 => Ok(vec![characters.into_iter().collect()]),
        _ if characters.len() == count && (rows > 0 || count == 0) => {
            // No characters, no rows: their number is not stored.
            let rows = rows.min(count);
            Ok((0..rows).map(|row| characters.iter().skip(row).step_by(rows).collect()).collect())
        }
        _ => Err(Failure::input(format!("a text of {count} characters has {}", characters.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks::data;

    fn fixture(name: &str) -> MatFile {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rsa");
        MatFile::open(&folder.join(name)).unwrap()
    }

    fn numbers_of(array: &MatArray) -> (&[usize], &[f64]) {
        match array {
            MatArray::Numbers(numbers) => (&numbers.shape, &numbers.values),
            other => panic!("{}", other.words()),
        }
    }

    /// Files of `scipy.io.savemat` (`stages/tests/fixtures/rsa/make.py`).
    #[test]
    fn files_of_another_program_are_read_packed_or_not() {
        for name in ["plain.mat", "packed.mat"] {
            let file = fixture(name);
            assert_eq!(
                file.names(),
                ["RDMs", "stack", "cells", "text", "rows", "whole", "flags", "nothing", "z", "sparse"]
            );
            let MatArray::Structures(rdms) = file.variable("RDMs").unwrap() else { panic!("structures") };
            assert_eq!((rdms.shape.as_slice(), rdms.len(), rdms.is_empty()), ([1, 2].as_slice(), 2, false));
            assert_eq!(rdms.fields, ["RDM", "name"]);
            let names = rdms.field("name").unwrap();
            assert_eq!(names, [&MatArray::Text(vec!["one".into()]), &MatArray::Text(vec!["zwei ü".into()])]);
            let (shape, values) = numbers_of(rdms.field("RDM").unwrap()[1]);
            assert_eq!((shape, values), ([3, 3].as_slice(), [0.0, 0.5, 2.0, 0.5, 0.0, 1.0, 2.0, 1.0, 0.0].as_slice()));
            assert_eq!(rdms.field("colour"), None);
            let stack = file.variable("stack").unwrap();
            let (shape, values) = numbers_of(&stack);
            assert_eq!(
                (shape, &values[..4]),
                ([2, 3, 2].as_slice(), [0.0, 6.0, 2.0, 8.0].as_slice()),
                "first axis fastest"
            );
            let MatArray::Cells(shape, cells) = file.variable("cells").unwrap() else { panic!("cells") };
            assert_eq!((shape.as_slice(), cells[0].words()), ([1, 2].as_slice(), "text of 1 rows".to_owned()));
            assert_eq!(numbers_of(&cells[1]), ([1, 1].as_slice(), [7.0].as_slice()));
            assert_eq!(file.variable("text").unwrap(), MatArray::Text(vec!["animacy".into()]));
            assert_eq!(file.variable("rows").unwrap(), MatArray::Text(vec!["ab".into(), "cd".into()]));
            assert_eq!(numbers_of(&file.variable("whole").unwrap()).1, [-3.0, 40_000.0]);
            assert_eq!(numbers_of(&file.variable("flags").unwrap()).1, [1.0, 0.0, 1.0]);
            assert_eq!(numbers_of(&file.variable("nothing").unwrap()).0, [0, 0]);
            let refused = |name: &str| file.variable(name).unwrap_err().message;
            assert_eq!(refused("z"), "variable `z`: it holds complex numbers, expected real ones");
            assert!(refused("sparse").starts_with("variable `sparse`: it is a sparse matrix"));
            assert_eq!(refused("RDM"), "the file has no variable `RDM`");
            assert!(refused("").starts_with("the file has 10 variables, expected one: `RDMs`"));
        }
    }

    #[test]
    fn files_that_are_cut_off_or_damaged_are_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rsa");
        for name in ["plain.mat", "packed.mat"] {
            let bytes = fs_err::read(folder.join(name)).unwrap();
            let all = |bytes: Vec<u8>| -> Result<(), Failure> {
                let file = MatFile::parse(Path::new(name), bytes)?;
                let names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
                let mut read = names.iter().filter(|name| !["z", "sparse"].contains(&name.as_str()));
                read.try_for_each(|name| file.variable(name).map(drop))
            };
            all(bytes.clone()).unwrap();
            let variables = MatFile::parse(Path::new(name), bytes.clone()).unwrap().names().len();
            let mut accepted = 0;
            for at in (HEADER..bytes.len()).step_by(3) {
                // A byte becomes another, or the file ends: neither panics.
                let mut changed = bytes.clone();
                changed[at] ^= 0x5a;
                let _ = all(changed);
                accepted += usize::from(all(bytes[..at].to_vec()).is_ok());
            }
            assert!(
                accepted <= variables + 1,
                "{name}: a file is only whole where a variable ends, not at {accepted} places"
            );
        }
        let message = |bytes: &[u8]| MatFile::parse(Path::new("x"), bytes.to_vec()).unwrap_err().message;
        assert_eq!(message(b"MATLAB 7.3 MAT-file"), "the file is of MATLAB 7.3 (HDF5), expected level 5");
        assert_eq!(message(b"MATLAB"), "the file is not a MAT-file of level 5");
    }

    /// A variable of two lists of cells that were never assigned, 8 bytes each.
    #[test]
    fn more_arrays_than_memory_has_room_for_are_refused() {
        let element = |of: u32, data: &[u8]| {
            let mut bytes = [of.to_le_bytes(), u32::try_from(data.len()).unwrap().to_le_bytes()].concat();
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let cells = |count: usize, content: &[u8]| {
            let shape = [1, u32::try_from(count).unwrap()].map(u32::to_le_bytes).concat();
            let flags = [1_u32, 0].map(u32::to_le_bytes).concat();
            let head = [element(UINT32, &flags), element(INT32, &shape), element(INT8, b"")].concat();
            element(MATRIX, &[&head[..], content].concat())
        };
        let empty = element(MATRIX, &[]);
        let count = MOST_ARRAYS / 2 + 1;
        let list = cells(count, &empty.repeat(count));
        let read = |bytes: &[u8]| variable(Elements { bytes, at: 0, order: ByteOrder::Little });
        let MatArray::Cells(shape, content) = read(&list).unwrap() else { panic!("not cells") };
        assert_eq!((shape, content.len()), (vec![1, count], count));
        let failure = read(&cells(2, &list.repeat(2))).unwrap_err();
        assert_eq!(failure.message, "structures and cells hold more than 1048576 arrays");
    }

    /// A header and elements of a big-endian machine, which no program of today writes.
    #[test]
    fn the_other_order_of_bytes_is_read() {
        let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
        bytes.resize(124, b' ');
        bytes.extend([1, 0, b'M', b'I']);
        let numbers: Vec<u8> = [1.5_f64, -2.0].iter().flat_map(|number| number.to_be_bytes()).collect();
        let inside = [
            &[0, 0, 0, 6, 0, 0, 0, 8, 0, 0, 0, 6, 0, 0, 0, 0][..],
            &[0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2],
            // One byte of name, in the tag.
            &[0, 1, 0, 1, b'x', 0, 0, 0],
            &[0, 0, 0, 9, 0, 0, 0, 16],
            &numbers,
        ]
        .concat();
        bytes.extend([0, 0, 0, 14, 0, 0, 0, u8::try_from(inside.len()).unwrap()]);
        bytes.extend(&inside);
        assert!(MatFile::is_one(&bytes) && !MatFile::is_one(b"MATLAB 5.0"));
        let file = MatFile::parse(Path::new("x"), bytes).unwrap();
        let array = file.variable("").unwrap();
        assert_eq!((file.names(), numbers_of(&array)), (vec!["x"], ([1, 2].as_slice(), [1.5, -2.0].as_slice())));
    }

    /// Real files of MATLAB 2013 (`../shared/data`).
    #[test]
    #[ignore = "reads the real data, which is not part of the project"]
    fn rdms_of_the_92_images_are_read() {
        for (name, variable, shape) in [
            ("92_brainRDMs.mat", "RDMs", &[1, 4, 2][..]),
            ("92_modelRDMs.mat", "Models", &[1, 8][..]),
            ("92_behavRDMs.mat", "rdms_behav_92", &[1, 16][..]),
        ] {
            let file = MatFile::open(&data("").join(name)).unwrap();
            assert_eq!(file.names(), [variable]);
            let MatArray::Structures(rdms) = file.variable("").unwrap() else { panic!("structures") };
            assert_eq!(rdms.shape, shape);
            for rdm in rdms.field("RDM").unwrap() {
                let (shape, values) = numbers_of(rdm);
                assert!(shape == [92, 92] && values[0] == 0.0 && values[1] == values[92], "symmetric");
            }
        }
        let MatArray::Structures(rdms) =
            MatFile::open(&data("").join("92_brainRDMs.mat")).unwrap().variable("").unwrap()
        else {
            panic!("structures")
        };
        assert_eq!(rdms.field("name").unwrap()[1], &MatArray::Text(vec!["hIT | KO | Session: 1".into()]));
        // `scipy.io.loadmat`: RDMs[0, 0]['RDM'][0, 1].
        let first = rdms.field("RDM").unwrap()[0];
        assert!((numbers_of(first).1[92] - 0.828_783_04).abs() < 1e-7);
    }
}
