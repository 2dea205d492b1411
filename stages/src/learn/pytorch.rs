//! Reads the state dict in a file that `torch.save` wrote, without Python and without running anything from the file.
//!
//! Such a file is a zip archive: `data.pkl` describes the tensors, `data/<key>` holds their numbers. A pickle is a program that
//! could call anything; this reader knows the few operations that a state dict needs and four names (an ordered dictionary, a
//! parameter, a tensor, a storage), and refuses the rest. A file from elsewhere may also try to exhaust memory: what an entry
//! unpacks to, how deep the items of the description are nested and how many of them it copies are bounded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use pipe_contract::Failure;
use zip::ZipArchive;

use crate::formats::tensors::{self as formats, Tensors, Values};

/// Reads a state dict from a `.pt` file. Half, bfloat16 and double precision become single precision.
///
/// # Errors
/// Input: not such a file, or one that holds more than a state dict.
pub fn read(path: &Path) -> Result<Tensors, Failure> {
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    read_archive(file).map_err(|problem| {
        Failure::input(problem)
            .at(path.display().to_string())
            .hint("save the weights alone: `torch.save(model.state_dict(), FILE)`")
    })
}

type Problem = String;

/// Greatest length of `data.pkl`; that of a network with thousands of tensors has some hundred kilobytes.
const MOST_CODE: u64 = 16 << 20;
/// Greatest length of a storage: more than any network here has in all.
const MOST_STORAGE: u64 = 4 << 30;
/// Greatest number of operations in `data.pkl`, each of which makes one item at most; some forty a tensor are usual.
const MOST_STEPS: usize = 1 << 20;
/// Greatest depth of items within items; a state dict has four levels.
const MOST_DEPTH: usize = 32;
/// Greatest number of items that are copied because the description refers to them again.
const MOST_COPIES: usize = 1 << 20;

fn read_archive(file: File) -> Result<Tensors, Problem> {
    let mut archive = ZipArchive::new(file)
        .map_err(|error| format!("not a file of `torch.save` since PyTorch 1.6 (a zip archive): {error}"))?;
    let root = root(&archive)?;
    if let Ok(order) = entry(&mut archive, &format!("{root}/byteorder"), 64)
        && order != b"little"
    {
        return Err("the numbers in the file are big-endian, which is not read".into());
    }
    let pickle = entry(&mut archive, &format!("{root}/data.pkl"), MOST_CODE)?;
    let tensors = state_dict(Machine::run(&pickle)?)?;
    let mut storages = BTreeMap::new();
    let mut read = Tensors::new();
    for (name, tensor) in tensors {
        let key = &tensor.storage.key;
        if !storages.contains_key(key) {
            storages.insert(key.clone(), entry(&mut archive, &format!("{root}/data/{key}"), MOST_STORAGE)?);
        }
        let values = tensor.gather(&storages[key]).map_err(|problem| format!("tensor `{name}`: {problem}"))?;
        read.tensors.insert(name, formats::Tensor { shape: tensor.shape, values });
    }
    Ok(read)
}

/// The folder that everything in the archive is in; its name is that of the file as it was saved.
fn root(archive: &ZipArchive<File>) -> Result<String, Problem> {
    let mut names = archive.file_names().filter_map(|name| name.ok().map(|name| name.to_string()));
    names
        .find_map(|name| name.strip_suffix("/data.pkl").map(String::from))
        .ok_or_else(|| "the archive has no `data.pkl`".into())
}

/// The bytes of an entry, of which there are at most `most`, whatever its header says.
fn entry(archive: &mut ZipArchive<File>, name: &str, most: u64) -> Result<Vec<u8>, Problem> {
    let file = archive.by_name(name).map_err(|error| format!("the archive has no `{name}`: {error}"))?;
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("`{name}` in the archive cannot be read: {error}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("`{name}` in the archive unpacks to more than {most} bytes, the most that is read"));
    }
    Ok(bytes)
}

#[derive(Clone, Debug)]
enum Item {
    None,
    Bool,
    Int(i64),
    Text(String),
    Global(String),
    Tuple(Vec<Item>),
    List(Vec<Item>),
    Dict(Vec<(Item, Item)>),
    Storage(Storage),
    Tensor(Tensor),
}

impl Item {
    fn parts(&self) -> Box<dyn Iterator<Item = &Item> + '_> {
        match self {
            Item::Tuple(items) | Item::List(items) => Box::new(items.iter()),
            Item::Dict(pairs) => Box::new(pairs.iter().flat_map(|(key, value)| [key, value])),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Items of which this one consists, itself included; a text counts by its length.
    fn weight(&self) -> usize {
        let own = match self {
            Item::Text(text) | Item::Global(text) => text.len() / 64,
            Item::Storage(storage) => storage.key.len() / 64,
            Item::Tensor(tensor) => tensor.storage.key.len() / 64 + tensor.shape.len() + tensor.strides.len(),
            _ => 0,
        };
        1 + own + self.parts().map(Item::weight).sum::<usize>()
    }

    /// Whether items are nested at most this deep.
    fn is_within(&self, depth: usize) -> bool {
        depth > 0 && self.parts().all(|part| part.is_within(depth - 1))
    }
}

#[derive(Clone, Debug)]
struct Storage {
    kind: Element,
    key: String,
}

#[derive(Clone, Debug)]
struct Tensor {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Element {
    Half,
    BFloat16,
    Float,
    Double,
    Int,
    Long,
}

impl Element {
    fn of(storage: &str) -> Option<Self> {
        Some(match storage {
            "torch.HalfStorage" => Element::Half,
            "torch.BFloat16Storage" => Element::BFloat16,
            "torch.FloatStorage" => Element::Float,
            "torch.DoubleStorage" => Element::Double,
            "torch.IntStorage" => Element::Int,
            "torch.LongStorage" => Element::Long,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Element::Half | Element::BFloat16 => 2,
            Element::Float | Element::Int => 4,
            Element::Double | Element::Long => 8,
        }
    }
}

fn state_dict(item: Item) -> Result<Vec<(String, Tensor)>, Problem> {
    let Item::Dict(pairs) = item else {
        return Err("the file holds no dictionary of tensors".into());
    };
    let named = pairs.into_iter().map(|(key, value)| match (key, value) {
        (Item::Text(name), Item::Tensor(tensor)) => Ok((name, tensor)),
        (Item::Text(name), _) => Err(format!("`{name}` in the dictionary is not a tensor")),
        _ => Err("a key of the dictionary is not text".into()),
    });
    named.collect()
}

impl Tensor {
    /// The elements in order of the last axis first, out of the bytes of the storage.
    fn gather(&self, bytes: &[u8]) -> Result<Values, Problem> {
        let size = self.storage.kind.size();
        let count =
            self.shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis)).ok_or("impossible shape")?;
        let reach = self.shape.iter().zip(&self.strides).try_fold(self.offset, |reach, (axis, stride)| {
            axis.saturating_sub(1).checked_mul(*stride).and_then(|step| reach.checked_add(step))
        });
        let inside = reach.is_some_and(|last| last < bytes.len() / size);
        if count > 0 && !inside || count > bytes.len() / size {
            return Err(format!("shape {:?} reaches beyond its {} bytes", self.shape, bytes.len()));
        }
        let places = (0..count).map(|index| self.place(index) * size);
        let cell = |at: usize| &bytes[at..at + size];
        Ok(match self.storage.kind {
            Element::Half => Values::F32(places.map(|at| half(u16::from_le_bytes(fixed(cell(at))))).collect()),
            Element::BFloat16 => Values::F32(
                places.map(|at| f32::from_bits(u32::from(u16::from_le_bytes(fixed(cell(at)))) << 16)).collect(),
            ),
            Element::Float => Values::F32(places.map(|at| f32::from_le_bytes(fixed(cell(at)))).collect()),
            Element::Double => Values::F32(places.map(|at| f64::from_le_bytes(fixed(cell(at))) as f32).collect()),
            Element::Int => Values::I64(places.map(|at| i64::from(i32::from_le_bytes(fixed(cell(at))))).collect()),
            Element::Long => Values::I64(places.map(|at| i64::from_le_bytes(fixed(cell(at)))).collect()),
        })
    }

    fn place(&self, mut index: usize) -> usize {
        let mut place = self.offset;
        for (axis, stride) in self.shape.iter().zip(&self.strides).rev() {
            place += index % axis * stride;
            index /= axis;
        }
        place
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// IEEE half precision to single, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f32.powi(exponent - 15),
    }
}

/// The stack machine of the pickle format, as far as a state dict needs it.
struct Machine<'a> {
    code: &'a [u8],
    stack: Vec<Item>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Item>,
    /// Items copied so far.
    copies: usize,
}

impl<'a> Machine<'a> {
    fn run(code: &'a [u8]) -> Result<Item, Problem> {
        let mut machine = Self { code, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new(), copies: 0 };
        for _ in 0..MOST_STEPS {
            let operation = machine.byte()?;
            if operation == b'.' {
                return machine.pop();
            }
            machine.step(operation)?;
        }
        Err(format!("`data.pkl` has more than {MOST_STEPS} operations, the most that are read"))
    }

    fn step(&mut self, operation: u8) -> Result<(), Problem> {
        match operation {
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Item::None),
            0x88 | 0x89 => self.stack.push(Item::Bool),
            b'K' => {
                let value = i64::from(self.byte()?);
                self.stack.push(Item::Int(value));
            }
            b'M' => {
                let value = i64::from(u16::from_le_bytes(fixed(self.take(2)?)));
                self.stack.push(Item::Int(value));
            }
            b'J' => {
                let value = i64::from(i32::from_le_bytes(fixed(self.take(4)?)));
                self.stack.push(Item::Int(value));
            }
            0x8a => self.long()?,
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.stack.push(Item::Global(name));
            }
            0x93 => self.stack_global()?,
            b'}' => self.stack.push(Item::Dict(Vec::new())),
            b']' => self.stack.push(Item::List(Vec::new())),
            b')' => self.stack.push(Item::Tuple(Vec::new())),
            b't' => {
                let items = self.since_mark()?;
                self.tuple(items)?;
            }
            0x85..=0x87 => {
                let items = self.last(usize::from(operation - 0x84))?;
                self.tuple(items)?;
            }
            b's' => {
                let items = self.last(2)?;
                self.set(items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(items)?;
            }
            b'a' => {
                let items = self.last(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b'q' => {
                let at = u32::from(self.byte()?);
                self.remember(at)?;
            }
            b'r' => {
                let at = u32::from_le_bytes(fixed(self.take(4)?));
                self.remember(at)?;
            }
            0x94 => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
            b'h' => {
                let at = u32::from(self.byte()?);
                self.recall(at)?;
            }
            b'j' => {
                let at = u32::from_le_bytes(fixed(self.take(4)?));
                self.recall(at)?;
            }
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            // Attributes of the ordered dictionary (`_metadata`): nothing that a tensor needs.
            b'b' => drop(self.pop()?),
            other => {
                return Err(format!("`data.pkl` has an operation (0x{other:02x}) that a state dict does not need"));
            }
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.code.split_at_checked(count).ok_or("`data.pkl` ends too early")?;
        self.code = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        Ok(self.take(1)?[0])
    }

    fn line(&mut self) -> Result<&'a str, Problem> {
        let end = self.code.iter().position(|byte| *byte == b'\n').ok_or("`data.pkl` ends too early")?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| "a name in `data.pkl` is not UTF-8".into())
    }

    fn text(&mut self, width: usize) -> Result<(), Problem> {
        let mut length = [0; 8];
        length[..width].copy_from_slice(self.take(width)?);
        let bytes = self.take(usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX))?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| "a text in `data.pkl` is not UTF-8")?;
        self.stack.push(Item::Text(text));
        Ok(())
    }

    fn long(&mut self) -> Result<(), Problem> {
        let count = usize::from(self.byte()?);
        let bytes = self.take(count)?;
        if count > 8 {
            return Err("a number in `data.pkl` has more than 64 bits".into());
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        all[..count].copy_from_slice(bytes);
        self.stack.push(Item::Int(i64::from_le_bytes(all)));
        Ok(())
    }

    fn pop(&mut self) -> Result<Item, Problem> {
        self.stack.pop().ok_or_else(|| "`data.pkl` takes more than it gives".into())
    }

    fn last(&mut self, count: usize) -> Result<Vec<Item>, Problem> {
        let start = self.stack.len().checked_sub(count).ok_or("`data.pkl` takes more than it gives")?;
        Ok(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Result<Vec<Item>, Problem> {
        let mark = self
            .marks
            .pop()
            .filter(|mark| *mark <= self.stack.len())
            .ok_or("`data.pkl` closes what it did not open")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, items: Vec<Item>) -> Result<(), Problem> {
        check_depth(&items)?;
        self.stack.push(Item::Tuple(items));
        Ok(())
    }

    fn set(&mut self, items: Vec<Item>) -> Result<(), Problem> {
        check_depth(&items)?;
        let Some(Item::Dict(pairs)) = self.stack.last_mut() else {
            return Err("`data.pkl` sets an entry of something that is no dictionary".into());
        };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            pairs.push((key, value));
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Item>) -> Result<(), Problem> {
        check_depth(&items)?;
        let Some(Item::List(list)) = self.stack.last_mut() else {
            return Err("`data.pkl` appends to something that is no list".into());
        };
        list.extend(items);
        Ok(())
    }

    fn remember(&mut self, at: u32) -> Result<(), Problem> {
        // Lists and dictionaries are filled after they are remembered, so a copy made here would stay empty: they are left out,
        // and one that is recalled (a state dict never does that) is an error below.
        let remembered = match self.stack.last() {
            None => return Err("`data.pkl` takes more than it gives".into()),
            Some(Item::List(_) | Item::Dict(_)) => Item::None,
            Some(item) => copied(item, &mut self.copies)?,
        };
        self.memo.insert(at, remembered);
        Ok(())
    }

    fn recall(&mut self, at: u32) -> Result<(), Problem> {
        match self.memo.get(&at) {
            None | Some(Item::None) => Err("`data.pkl` refers to a list or dictionary twice".into()),
            Some(item) => {
                self.stack.push(copied(item, &mut self.copies)?);
                Ok(())
            }
        }
    }

    fn stack_global(&mut self) -> Result<(), Problem> {
        match self.last(2)?.as_slice() {
            [Item::Text(module), Item::Text(name)] => {
                let name = format!("{module}.{name}");
                self.stack.push(Item::Global(name));
                Ok(())
            }
            _ => Err("a name in `data.pkl` is not text".into()),
        }
    }

    /// `("storage", class, key, device, count)`: where the numbers of tensors are.
    fn storage(&mut self) -> Result<(), Problem> {
        let item = self.pop()?;
        let Item::Tuple(parts) = item else { return Err("a storage in `data.pkl` is no tuple".into()) };
        let [Item::Text(word), Item::Global(class), Item::Text(key), ..] = parts.as_slice() else {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        };
        let kind = Element::of(class).ok_or_else(|| format!("numbers of the type `{class}` are not read"))?;
        if word != "storage" || key.contains('/') {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        }
        self.stack.push(Item::Storage(Storage { kind, key: key.clone() }));
        Ok(())
    }

    fn call(&mut self) -> Result<(), Problem> {
        let [function, arguments]: [Item; 2] =
            self.last(2)?.try_into().map_err(|_| "`data.pkl` takes more than it gives")?;
        let (Item::Global(name), Item::Tuple(arguments)) = (function, arguments) else {
            return Err("`data.pkl` calls something that has no name".into());
        };
        let made = match (name.as_str(), arguments.as_slice()) {
            ("collections.OrderedDict", []) => Item::Dict(Vec::new()),
            (
                "torch._utils._rebuild_tensor_v2",
                [Item::Storage(storage), Item::Int(offset), Item::Tuple(shape), Item::Tuple(strides), ..],
            ) => Item::Tensor(Tensor {
                storage: storage.clone(),
                offset: size(&Item::Int(*offset))?,
                shape: shape.iter().map(size).collect::<Result<_, _>>()?,
                strides: strides.iter().map(size).collect::<Result<_, _>>()?,
            }),
            ("torch._utils._rebuild_parameter", [Item::Tensor(tensor), ..]) => Item::Tensor(tensor.clone()),
            _ => return Err(format!("`data.pkl` calls `{name}`, which a state dict does not need")),
        };
        self.stack.push(made);
        Ok(())
    }
}

/// Refuses items that would be nested too deep within another.
fn check_depth(items: &[Item]) -> Result<(), Problem> {
    match items.iter().all(|item| item.is_within(MOST_DEPTH)) {
        true => Ok(()),
        false => Err(format!("`data.pkl` nests more than {MOST_DEPTH} items, the most that is read")),
    }
}

/// A copy, unless all copies together would be too many: references to references grow without end.
fn copied(item: &Item, copies: &mut usize) -> Result<Item, Problem> {
    *copies = copies.saturating_add(item.weight());
    match *copies > MOST_COPIES {
        true => Err(format!("`data.pkl` refers to more than {MOST_COPIES} items again, the most that is read")),
        false => Ok(item.clone()),
    }
}

fn size(item: &Item) -> Result<usize, Problem> {
    match item {
        Item::Int(value) => usize::try_from(*value).map_err(|_| format!("a tensor has a size of {value}")),
        other => Err(format!("a tensor has a size that is no number: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("torch/tests/golden").join(name)
    }

    fn find<'a>(saved: &'a Tensors, name: &str) -> &'a formats::Tensor {
        &saved.tensors[name]
    }

    #[test]
    fn views_scalars_and_other_precisions_come_out_contiguous() {
        let saved = read(&golden("small.pt")).unwrap();
        let plain: Vec<f32> = (0..12_u8).map(f32::from).collect();
        assert_eq!(find(&saved, "plain").values, Values::F32(plain));
        assert_eq!(find(&saved, "turned").shape, [4, 3]);
        assert_eq!(find(&saved, "turned").values, Values::F32(vec![0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]));
        assert_eq!(find(&saved, "part").values, Values::F32(vec![5., 6., 9., 10.]));
        assert_eq!((find(&saved, "count").shape.len(), &find(&saved, "count").values), (0, &Values::I64(vec![7])));
        assert_eq!(find(&saved, "half").values, Values::F32(vec![0.5, -2.0]));
        assert_eq!(find(&saved, "double").values, Values::F32(vec![0.25]));
    }

    #[test]
    fn ordered_dictionaries_of_parameters_are_read() {
        let saved = read(&golden("ordered.pt")).unwrap();
        let names: Vec<_> = saved.tensors.keys().map(String::as_str).collect();
        assert_eq!(names, ["bias", "weight"]);
        assert_eq!(find(&saved, "bias").values, Values::F32(Vec::new()));
    }

    #[test]
    fn a_pickle_that_calls_something_else_is_refused() {
        let problem = Machine::run(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap_err();
        assert!(problem.contains("`posix.system`"), "{problem}");
    }

    #[test]
    fn what_would_exhaust_memory_is_refused() {
        let deep = [b")".to_vec(), b"\x85".repeat(100_000), b".".to_vec()].concat();
        assert!(Machine::run(&deep).unwrap_err().contains("nests more than 32"));
        // Each line pairs what the line before made with itself.
        let doubling: Vec<u8> = (0..30).flat_map(|_| *b"q\x00h\x00\x86").collect();
        let problem = Machine::run(&[b")".to_vec(), doubling, b".".to_vec()].concat()).unwrap_err();
        assert!(problem.contains("refers to more than"), "{problem}");
        assert!(Machine::run(&b"N".repeat(MOST_STEPS)).unwrap_err().contains("operations"));
        let mut archive = ZipArchive::new(File::open(golden("small.pt")).unwrap()).unwrap();
        let problem = entry(&mut archive, "small/data.pkl", 10).unwrap_err();
        assert!(problem.contains("unpacks to more than 10 bytes"), "{problem}");
    }

    #[test]
    fn no_truncation_or_flipped_byte_panics() {
        let file = std::fs::read(golden("small.pt")).unwrap();
        let mut archive = ZipArchive::new(File::open(golden("small.pt")).unwrap()).unwrap();
        let code = entry(&mut archive, "small/data.pkl", MOST_CODE).unwrap();
        for at in 0..code.len() {
            assert!(Machine::run(&code[..at]).is_err());
            for value in [0_u8, 0xff, b'R', b'u', b'('] {
                let mut broken = code.clone();
                broken[at] = value;
                let _ = Machine::run(&broken).and_then(state_dict);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.pt");
        std::fs::write(&path, &file[..file.len() / 2]).unwrap();
        assert!(read(&path).unwrap_err().hint.unwrap().contains("state_dict"));
    }

    #[test]
    fn half_precision_is_exact() {
        assert_eq!([half(0x3c00), half(0xc000), half(1), half(0x7bff)], [1.0, -2.0, 2_f32.powi(-24), 65504.0]);
        assert!(half(0x7e00).is_nan());
    }
}
