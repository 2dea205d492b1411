//! Arrays that NumPy saved: alone (`.npy`), several by name (`.npz`), and inside pickles of plain data.
//!
//! Decides which types of elements there are and where the elements lie. An array keeps its bytes as they were saved, of which there
//! are exactly as many as its shape needs, and converts them when they are asked for. Structures, complex numbers and dates are
//! refused. Pickles are read by [`pickle`], in which only what NumPy calls to make an array again is allowed; so are arrays of Python
//! objects, which NumPy saves as pickles: they become their one object, or a list of them.

use std::path::Path;
use std::sync::Arc;

use fs_err::File;
use half::f16;
use pipe_contract::Failure;

use super::binary;
use super::bounds::MOST_UNPACKED;
use super::number_bytes;
use super::pickle::{self, Item, Object, Problem};
use super::zip_entries::ZipEntries;

/// How many times its own size an `.npz` file may unpack to, if that is more than small files may.
const MOST_TIMES: u64 = 16;

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    kind: ElementType,
    shape: Vec<usize>,
    /// The first axis runs fastest.
    by_column: bool,
    data: Arc<[u8]>,
}

/// Reads a `.npy` file.
///
/// # Errors
/// The file is missing, cut off, not of that form, or holds an array that is not read; input's blame.
pub fn read_npy(path: &Path) -> Result<Array, Failure> {
    parse_npy(&binary::read(path)?).map_err(|problem| Failure::input(problem).at(path.display().to_string()))
}

/// Reads plain data and arrays: a pickle, or a `.npy` file, also one whose array holds Python objects.
///
/// # Errors
/// The file is missing, damaged, or does what neither plain data nor arrays need; input's blame.
pub fn read_objects(path: &Path) -> Result<Item<Array>, Failure> {
    parse_objects(&binary::read(path)?).map_err(|problem| Failure::input(problem).at(path.display().to_string()))
}

fn parse_objects(bytes: &[u8]) -> Result<Item<Array>, Problem> {
    if !bytes.starts_with(MAGIC) {
        return pickle::read(bytes).and_then(finished);
    }
    let header = parse_header(bytes)?;
    match is_object(&header.descr) {
        true => pickle::read(&bytes[header.length..]).and_then(finished),
        false => parse_npy(bytes).map(Item::Object),
    }
}

/// Whether this is NumPy's name of the type of Python objects, such as `|O` or `O8`.
fn is_object(name: &str) -> bool {
    matches!(name.trim_start_matches('|'), "O" | "O4" | "O8")
}

/// The arrays of a `.npz` file.
pub struct Npz {
    name: String,
    entries: ZipEntries,
}

impl Npz {
    /// Lists a file.
    ///
    /// # Errors
    /// The file is missing or not a zip archive; input's blame.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::input("the file does not exist").at(path.display().to_string()),
            _ => Failure::io("read", path, &error),
        })?;
        let name = path.display().to_string();
        match ZipEntries::open(file, |bytes| bytes.saturating_mul(MOST_TIMES).max(MOST_UNPACKED)) {
            Ok(entries) => Ok(Self { name, entries }),
            Err(error) => Err(Failure::input(format!("not an `.npz` file (a zip archive): {error}")).at(name)),
        }
    }

    /// The names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.entries.names().iter().filter_map(|name| name.strip_suffix(".npy").map(String::from)).collect();
        names.sort();
        names
    }

    /// Reads an array.
    ///
    /// # Errors
    /// There is none of this name, or it is damaged or not read; input's blame.
    pub fn array(&mut self, name: &str) -> Result<Array, Failure> {
        self.check(name)?;
        let read = self.entries.read(&format!("{name}.npy"), u64::MAX).and_then(|bytes| parse_npy(&bytes));
        read.map_err(|problem| Failure::input(format!("array `{name}`: {problem}")).at(self.name.clone()))
    }

    /// Copies the `.npy` file of an array out of the archive, without holding it in memory.
    ///
    /// # Errors
    /// There is none of this name, or it is damaged; input's blame. Environment: the copy cannot be written.
    pub fn extract(&mut self, name: &str, to: &Path) -> Result<(), Failure> {
        self.check(name)?;
        let mut file = File::create(to).map_err(|error| Failure::io("write", to, &error))?;
        self.entries
            .copy(&format!("{name}.npy"), &mut file)
            .map_err(|problem| Failure::input(format!("array `{name}`: {problem}")).at(self.name.clone()))
    }

    fn check(&self, name: &str) -> Result<(), Failure> {
        let names = self.names();
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        Err(Failure::input(format!("there is no array `{name}`; the file has {}", known.join(", ")))
            .at(self.name.clone()))
    }
}

impl Array {
    fn new(kind: ElementType, shape: Vec<usize>, by_column: bool, data: &[u8]) -> Result<Self, Problem> {
        let needed = shape.iter().try_fold(kind.size, |all, axis| all.checked_mul(*axis));
        if shape.len() > MOST_AXES || needed != Some(data.len()) {
            return Err(format!(
                "an array of shape {shape:?} of {} bytes each has {} bytes, expected as many as its shape needs",
                kind.size,
                data.len()
            ));
        }
        Ok(Self { kind, shape, by_column, data: data.into() })
    }

    /// The lengths of its axes, slowest first; none for a single element.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its numbers, last axis fastest; whole numbers and truth values are taken too.
    ///
    /// # Errors
    /// It holds text; input's blame.
    #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53 are rounded, as NumPy does")]
    pub fn floats(&self) -> Result<Vec<f64>, Failure> {
        match self.kind.form {
            Encoding::Float => Ok(self.elements().map(|bytes| self.kind.float(bytes)).collect()),
            Encoding::Unsigned => Ok(self.elements().map(|bytes| self.kind.bits(bytes) as f64).collect()),
            _ => Ok(self.whole_numbers()?.into_iter().map(|value| value as f64).collect()),
        }
    }

    /// Its whole numbers or truth values, last axis fastest.
    ///
    /// # Errors
    /// It holds floats, text, or numbers beyond 64 bits with a sign; input's blame.
    pub fn whole_numbers(&self) -> Result<Vec<i64>, Failure> {
        match self.kind.form {
            Encoding::Signed => Ok(self.elements().map(|bytes| self.kind.signed(bytes)).collect()),
            Encoding::Bool | Encoding::Unsigned => {
                let whole = |bytes| {
                    let value = self.kind.bits(bytes);
                    i64::try_from(value)
                        .map_err(|_| Failure::input(format!("the array holds {value}, which is too large")))
                };
                self.elements().map(whole).collect()
            }
            _ => Err(self.holds_other("whole numbers")),
        }
    }

    /// Its truth values, last axis fastest.
    ///
    /// # Errors
    /// It holds something else; input's blame.
    pub fn flags(&self) -> Result<Vec<bool>, Failure> {
        match self.kind.form {
            Encoding::Bool => Ok(self.elements().map(|bytes| bytes[0] != 0).collect()),
            _ => Err(self.holds_other("truth values")),
        }
    }

    /// Its texts, last axis fastest.
    ///
    /// # Errors
    /// It holds something else, or text that is damaged; input's blame.
    pub fn texts(&self) -> Result<Vec<String>, Failure> {
        match self.kind.form {
            Encoding::Text | Encoding::Bytes => {
                let text =
                    |bytes| self.kind.text(bytes).ok_or_else(|| Failure::input("the array holds text that is damaged"));
                self.elements().map(text).collect()
            }
            _ => Err(self.holds_other("text")),
        }
    }

    fn holds_other(&self, expected: &str) -> Failure {
        Failure::input(format!("the array holds {}, expected {expected}", self.kind.form.words()))
    }

    /// The bytes of the elements, last axis fastest.
    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        let size = self.kind.size;
        (0..self.data.len() / size).map(move |index| {
            let at = if self.by_column { self.place_by_column(index) } else { index };
            &self.data[at * size..(at + 1) * size]
        })
    }

    fn place_by_column(&self, mut index: usize) -> usize {
        let mut stride: usize = self.shape.iter().product();
        let mut place = 0;
        for axis in self.shape.iter().rev() {
            stride /= axis;
            place += index % axis * stride;
            index /= axis;
        }
        place
    }
}

/// Greatest number of axes; NumPy has the same bound.
const MOST_AXES: usize = 64;

/// What an element is, and in how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ElementType {
    form: Encoding,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Bool,
    Signed,
    Unsigned,
    Float,
    /// Characters of 4 bytes, filled up with zeros.
    Text,
    /// Characters of 1 byte, filled up with zeros.
    Bytes,
}

impl Encoding {
    fn words(self) -> &'static str {
        match self {
            Encoding::Bool => "truth values",
            Encoding::Signed | Encoding::Unsigned => "whole numbers",
            Encoding::Float => "floats",
            Encoding::Text | Encoding::Bytes => "text",
        }
    }
}

impl ElementType {
    /// From NumPy's name of the type, such as `<f8`; the order of bytes may be missing.
    fn parse(name: &str) -> Result<Self, Problem> {
        let unknown = || format!("elements of the type `{name}` are not read, expected numbers, truth values or text");
        let plain = name.trim_start_matches(['<', '>', '|', '=']);
        let letter = plain.chars().next().ok_or_else(unknown)?;
        let count: usize = plain[letter.len_utf8()..].parse().map_err(|_| unknown())?;
        let (form, size) = match (letter, count) {
            ('b', 1) => (Encoding::Bool, 1),
            ('i', 1 | 2 | 4 | 8) => (Encoding::Signed, count),
            ('u', 1 | 2 | 4 | 8) => (Encoding::Unsigned, count),
            ('f', 2 | 4 | 8) => (Encoding::Float, count),
            ('U', 1..) => (Encoding::Text, count.checked_mul(4).ok_or_else(unknown)?),
            ('S', 1..) => (Encoding::Bytes, count),
            _ => return Err(unknown()),
        };
        Ok(Self { form, size, big_endian: name.starts_with('>') })
    }

    fn bits(self, bytes: &[u8]) -> u64 {
        number_bytes::bits(bytes, self.big_endian)
    }

    fn signed(self, bytes: &[u8]) -> i64 {
        number_bytes::signed(self.bits(bytes), 8 * self.size as u32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "of 2 and 4 bytes")]
    fn float(self, bytes: &[u8]) -> f64 {
        let bits = self.bits(bytes);
        match self.size {
            2 => f16::from_bits(bits as u16).to_f64(),
            4 => f64::from(f32::from_bits(bits as u32)),
            _ => f64::from_bits(bits),
        }
    }

    fn text(self, bytes: &[u8]) -> Option<String> {
        if self.form == Encoding::Bytes {
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            return std::str::from_utf8(&bytes[..end]).ok().map(String::from);
        }
        let characters = bytes.chunks_exact(4).map(|four| u32::try_from(self.bits(four)).ok().and_then(char::from_u32));
        let text: String = characters.collect::<Option<_>>()?;
        Some(text.trim_end_matches('\0').to_owned())
    }
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// The header of a `.npy` file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NpyHeader {
    /// NumPy's name of the type of its elements, such as `<f8`.
    pub descr: String,
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The first axis runs fastest.
    pub by_column: bool,
    /// Bytes before the first element.
    pub length: usize,
}

/// Reads the header that a `.npy` file begins with.
pub(super) fn parse_header(bytes: &[u8]) -> Result<NpyHeader, Problem> {
    let short = "the array is cut off in its header";
    let rest = bytes.strip_prefix(MAGIC).ok_or("not an `.npy` file: it does not begin with `\\x93NUMPY`")?;
    let (version, rest) = rest.split_at_checked(2).ok_or(short)?;
    let width = match version[0] {
        1 => 2,
        2 | 3 => 4,
        other => return Err(format!("the `.npy` file is of version {other}, expected 1 to 3")),
    };
    let (length, rest) = rest.split_at_checked(width).ok_or(short)?;
    let length = usize::try_from(number_bytes::bits(length, false)).unwrap_or(usize::MAX);
    let (header, data) = rest.split_at_checked(length).ok_or(short)?;
    let header = std::str::from_utf8(header).map_err(|_| "the header of the `.npy` file is not text")?;
    let entry =
        |key: &str| entry_of(header, key).ok_or_else(|| format!("the header of the `.npy` file has no `{key}`"));
    let descr = entry("descr")?;
    let quoted = descr.strip_prefix(['\'', '"']).and_then(|rest| rest.split_once(['\'', '"']));
    let (name, _) = quoted.ok_or("arrays of structures are not read; save each of their fields alone")?;
    let by_column = entry("fortran_order")?.starts_with("True");
    let shape = entry("shape")?;
    let inner = shape.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let shape = inner.and_then(|(axes, _)| parse_shape(axes)).ok_or("the shape of the `.npy` file is damaged")?;
    Ok(NpyHeader { descr: name.to_owned(), shape, by_column, length: bytes.len() - data.len() })
}

fn parse_npy(bytes: &[u8]) -> Result<Array, Problem> {
    let NpyHeader { descr, shape, by_column, length } = parse_header(bytes)?;
    let kind = ElementType::parse(&descr)?;
    let data = &bytes[length..];
    let needed = shape.iter().try_fold(kind.size, |all, axis| all.checked_mul(*axis));
    // NumPy ignores what follows.
    let data = needed.and_then(|needed| data.get(..needed)).ok_or_else(|| {
        format!("an array of shape {shape:?} needs more than the {} bytes that there are: it is cut off", data.len())
    })?;
    Array::new(kind, shape, by_column, data)
}

/// What follows a key in the header, which is a dictionary as Python writes it.
fn entry_of<'h>(header: &'h str, key: &str) -> Option<&'h str> {
    let quoted = ['\'', '"'].iter().find_map(|quote| header.split_once(&format!("{quote}{key}{quote}")));
    quoted?.1.trim_start().strip_prefix(':').map(str::trim_start)
}

/// `3, 4` or `3,` (with the `L` of Python 2), or nothing.
fn parse_shape(axes: &str) -> Option<Vec<usize>> {
    let axes = axes.trim().trim_end_matches(',');
    if axes.is_empty() {
        return Some(Vec::new());
    }
    axes.split(',').map(|axis| axis.trim().trim_end_matches('L').parse().ok()).collect()
}

/// What NumPy makes in a pickle.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// An array before its state is set.
    Blank,
    Type(ElementType),
    Array(Array),
    /// The type of Python objects.
    ObjectType,
    /// Python objects by the shape of their array, last axis fastest.
    Objects(Vec<usize>, Vec<Item<Part>>),
}

impl Object for Part {
    fn persistent(_: Item<Self>) -> Result<Self, Problem> {
        Err("the pickle refers to something outside it, which arrays do not need".into())
    }

    fn call(name: &str, arguments: &[Item<Self>]) -> Result<Item<Self>, Problem> {
        // NumPy 2 moved its parts from `core` to `_core`.
        let name = name.replacen("numpy._core.", "numpy.core.", 1);
        match (name.as_str(), arguments) {
            ("numpy.dtype", [Item::Text(kind), ..]) if is_object(kind) => Ok(Item::Object(Part::ObjectType)),
            ("numpy.dtype", [Item::Text(kind), ..]) => Ok(Item::Object(Part::Type(ElementType::parse(kind)?))),
            ("numpy.core.multiarray._reconstruct", [Item::Global(class), ..]) if &**class == "numpy.ndarray" => {
                Ok(Item::Object(Part::Blank))
            }
            (
                "numpy.core.numeric._frombuffer",
                [Item::Bytes(data), Item::Object(Part::Type(kind)), Item::Tuple(shape), Item::Text(order)],
            ) => Ok(Item::Object(Part::Array(Array::new(*kind, lengths(shape)?, &**order == "F", data)?))),
            ("numpy.core.multiarray.scalar", [Item::Object(Part::Type(kind)), Item::Bytes(data)]) => {
                scalar(*kind, data)
            }
            // How Python 3 writes bytes for protocol 2.
            ("_codecs.encode", [Item::Text(text), Item::Text(codec)]) if &**codec == "latin1" => {
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                Ok(Item::Bytes(bytes.ok_or("bytes in the pickle are damaged")?.into()))
            }
            ("__builtin__.bytes" | "builtins.bytes", []) => Ok(Item::Bytes([].into())),
            ("collections.OrderedDict", []) => Ok(Item::Dict(Vec::new())),
            _ => Err(format!("the pickle calls `{name}`, which plain data and arrays do not need")),
        }
    }

    fn build(&mut self, state: Item<Self>) -> Result<(), Problem> {
        let Item::Tuple(state) = state else { return Err("the state of an array in the pickle is damaged".into()) };
        *self = match (&*self, state.as_slice()) {
            (Part::Type(kind), [Item::Int(_), Item::Text(order), ..]) => {
                Part::Type(ElementType { big_endian: &**order == ">", ..*kind })
            }
            (
                Part::Blank,
                [
                    Item::Int(_),
                    Item::Tuple(shape),
                    Item::Object(Part::Type(kind)),
                    Item::Bool(by_column),
                    Item::Bytes(data),
                ],
            ) => Part::Array(Array::new(*kind, lengths(shape)?, *by_column, data)?),
            (Part::ObjectType, _) => Part::ObjectType,
            (
                Part::Blank,
                [Item::Int(_), Item::Tuple(shape), Item::Object(Part::ObjectType), Item::Bool(_), Item::List(objects)],
            ) => Part::Objects(lengths(shape)?, objects.clone()),
            _ => return Err("the state of an array in the pickle is damaged".into()),
        };
        Ok(())
    }
}

fn lengths(shape: &[Item<Part>]) -> Result<Vec<usize>, Problem> {
    let length = |item: &Item<Part>| match item {
        Item::Int(length) => usize::try_from(*length).map_err(|_| format!("an array has a length of {length}")),
        _ => Err("an array has a length that is not a number".into()),
    };
    shape.iter().map(length).collect()
}

/// A single number of NumPy's is one of Python's.
fn scalar(kind: ElementType, data: &[u8]) -> Result<Item<Part>, Problem> {
    let array = Array::new(kind, Vec::new(), false, data)?;
    let damaged = |failure: Failure| failure.message;
    let item = match kind.form {
        Encoding::Bool => array.flags().map_err(damaged)?.pop().map(Item::Bool),
        Encoding::Float => array.floats().map_err(damaged)?.pop().map(Item::Float),
        Encoding::Signed | Encoding::Unsigned => array.whole_numbers().map_err(damaged)?.pop().map(Item::Int),
        Encoding::Text | Encoding::Bytes => array.texts().map_err(damaged)?.pop().map(|text| Item::Text(text.into())),
    };
    item.ok_or_else(|| "a number in the pickle is damaged".into())
}

/// Arrays only: what NumPy makes on the way is not data.
fn finished(item: Item<Part>) -> Result<Item<Array>, Problem> {
    let all = |items: Vec<Item<Part>>| items.into_iter().map(finished).collect::<Result<Vec<_>, _>>();
    Ok(match item {
        Item::Object(Part::Array(array)) => Item::Object(array),
        Item::Object(Part::Objects(shape, mut objects)) => match (shape.as_slice(), objects.pop()) {
            ([], Some(only)) if objects.is_empty() => finished(only)?,
            ([length], last) => {
                objects.extend(last);
                if objects.len() != *length {
                    return Err(format!("an array of {length} objects has {} of them", objects.len()));
                }
                Item::List(all(objects)?)
            }
            _ => return Err(format!("an array of objects of shape {shape:?} is not read, expected one axis at most")),
        },
        Item::Object(_) => return Err("the pickle holds an array that is not finished, or a type".into()),
        Item::Tuple(items) => Item::Tuple(all(items)?),
        Item::List(items) => Item::List(all(items)?),
        Item::Dict(pairs) => {
            let pairs = pairs.into_iter().map(|(key, value)| Ok((finished(key)?, finished(value)?)));
            Item::Dict(pairs.collect::<Result<_, Problem>>()?)
        }
        Item::None => Item::None,
        Item::Bool(value) => Item::Bool(value),
        Item::Int(value) => Item::Int(value),
        Item::Float(value) => Item::Float(value),
        Item::Text(text) => Item::Text(text),
        Item::Bytes(bytes) => Item::Bytes(bytes),
        Item::Global(name) => Item::Global(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
    }

    /// What every file of arrays holds by name.
    fn check(array: impl Fn(&str) -> Array) {
        let whole = [0, 1, 2, 3, 4, 5];
        assert_eq!(array("whole").shape(), [2, 3]);
        for name in ["whole", "column"] {
            assert_eq!(array(name).whole_numbers().unwrap(), whole, "{name}");
        }
        assert_eq!(array("big").floats().unwrap(), whole.map(|value| f64::from(value as i32) / 4.0));
        let half = array("half").floats().unwrap();
        assert_eq!(half[..3], [0.25, -1.5, 0.0]);
        assert_eq!(array("flags").flags().unwrap(), [true, false]);
        assert_eq!(array("text").texts().unwrap(), ["lh", "é"]);
        assert_eq!(array("bytes").texts().unwrap(), ["a", "bc"]);
    }

    #[test]
    fn arrays_of_numpy_are_read() {
        assert_eq!(read_npy(&fixture("column.npy")).unwrap().whole_numbers().unwrap(), [0, 1, 2, 3, 4, 5]);
        let names = Npz::open(&fixture("arrays.npz")).unwrap().names();
        assert_eq!(names, ["big", "bytes", "column", "flags", "half", "one", "text", "whole"]);
        check(|name| Npz::open(&fixture("arrays.npz")).unwrap().array(name).unwrap());
        let mut packed = Npz::open(&fixture("packed.npz")).unwrap();
        assert_eq!(packed.array("zeros").unwrap().floats().unwrap(), vec![0.0; 50_000]);
        let failure = packed.array("ones").unwrap_err();
        assert_eq!(failure.message, "there is no array `ones`; the file has `zeros`");
    }

    #[test]
    fn pickles_of_every_protocol_are_read() {
        for protocol in 2..=5 {
            let Item::Dict(pairs) = read_objects(&fixture(&format!("arrays_{protocol}.pickle"))).unwrap() else {
                panic!("a dictionary");
            };
            let item = |name: &str| &pairs.iter().find(|(key, _)| *key == Item::Text(name.into())).expect(name).1;
            let array = |name: &str| match item(name) {
                Item::Object(array) => array.clone(),
                other => panic!("{name} is {other:?}"),
            };
            check(array);
            assert_eq!(array("again"), array("whole"));
            assert_eq!(*item("number"), Item::Float(0.25));
            assert_eq!(*item("one"), Item::Float(0.5));
            let list = Item::List(vec![Item::Int(1), Item::Float(2.5), Item::None, Item::Bool(true)]);
            assert_eq!(*item("pair"), Item::Tuple(vec![Item::Object(array("whole")), list]));
        }
    }

    #[test]
    fn arrays_of_objects_are_their_objects() {
        let Item::Dict(pairs) = read_objects(&fixture("regions.npy")).unwrap() else { panic!("a dictionary") };
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys[..2], ["voxel_mask", "brain_nii_shape"].map(|key| Item::Text(key.into())));
        let Item::Object(mask) = &pairs[0].1 else { panic!("an array") };
        assert_eq!((mask.shape(), mask.flags().unwrap()[..3].to_vec()), ([24].as_slice(), vec![false, true, true]));
        let list = read_objects(&fixture("objects.npy")).unwrap();
        assert_eq!(list, Item::List(vec![Item::Text("a".into()), Item::None, Item::List(vec![Item::Int(1)])]));
        assert!(matches!(read_objects(&fixture("column.npy")).unwrap(), Item::Object(_)));
        let failure = read_objects(&fixture("objects_2d.npy")).unwrap_err();
        assert!(failure.message.contains("of shape [1, 2] is not read"), "{failure}");
        let failure = read_objects(&fixture("calls.npy")).unwrap_err();
        assert!(failure.message.contains("the pickle calls `"), "{failure}");
        assert!(read_npy(&fixture("regions.npy")).unwrap_err().message.contains("`|O` are not read"));
    }

    #[test]
    fn an_array_is_copied_out_of_its_archive() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.npy");
        let mut npz = Npz::open(&fixture("packed.npz")).unwrap();
        npz.extract("zeros", &copy).unwrap();
        assert_eq!(read_npy(&copy).unwrap(), Npz::open(&fixture("packed.npz")).unwrap().array("zeros").unwrap());
        assert!(npz.extract("ones", &copy).unwrap_err().message.contains("the file has `zeros`"));
    }

    #[test]
    fn other_calls_and_types_are_refused() {
        let problem = pickle::read::<Part>(b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.").unwrap_err();
        assert!(problem.contains("calls `builtins.eval`"), "{problem}");
        let npy = |header: &str, data: &[u8]| {
            parse_npy(&[MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat())
        };
        let header =
            |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
        assert_eq!(npy(&header("'<f4'", "()"), &1_f32.to_le_bytes()).unwrap().floats().unwrap(), [1.0]);
        let problem = |descr: &str, shape: &str| npy(&header(descr, shape), &[0; 8]).unwrap_err();
        assert!(problem("'|O'", "(1,)").contains("`|O` are not read"));
        assert!(problem("'<c8'", "(1,)").contains("`<c8` are not read"));
        assert!(problem("'|S0'", "(1000000000000,)").contains("`|S0` are not read"));
        assert!(problem("[('a', '<f4')]", "(1,)").contains("structures"));
        assert!(problem("'<f8'", "(18446744073709551615, 2)").contains("needs more than the 8 bytes"));
        assert!(problem("'<f8'", "(2,)").contains("it is cut off"));
        assert!(problem("'<f8'", "(-1,)").contains("damaged"));
    }
}
