//! Reads the state dict in a file that `torch.save` wrote, without Python and without running anything from the file.
//!
//! Such a file is a zip archive: `data.pkl` describes the tensors, `data/<key>` holds their numbers. The pickle may call three names
//! (an ordered dictionary, a parameter, a tensor) and refer to storages. What entries unpack to, and how many numbers tensors have that
//! share them, is bounded by the size of the file.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err::File;
use half::{bf16, f16};
use pipe_contract::Failure;

use super::number_bytes::fixed;
use super::pickle::{self, Item, Object, Problem};
use super::tensors::{self, TensorValues, Tensors};
use super::zip_entries::ZipEntries;

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

/// Greatest length of `data.pkl`; that of a network with thousands of tensors has some hundred kilobytes.
const MOST_CODE: u64 = 16 << 20;
/// How many times its own size an archive may unpack to. PyTorch does not pack, and weights packed by others get hardly smaller.
const MOST_TIMES: u64 = 8;
/// Greatest number of axes; PyTorch has the same bound.
const MOST_AXES: usize = 64;

fn read_archive(file: File) -> Result<Tensors, Problem> {
    let mut archive = ZipEntries::open(file, |bytes| bytes.saturating_mul(MOST_TIMES))
        .map_err(|error| format!("not a file of `torch.save` since PyTorch 1.6 (a zip archive): {error}"))?;
    let root = root(&archive)?;
    if let Ok(order) = archive.read(&format!("{root}/byteorder"), 64)
        && order != b"little"
    {
        return Err("the numbers in the file are big-endian, which is not read".into());
    }
    let pickle = archive.read(&format!("{root}/data.pkl"), MOST_CODE)?;
    let described = state_dict(pickle::read(&pickle)?)?;
    check_total(&described, archive.bytes())?;
    let mut storages = BTreeMap::new();
    let mut read = Tensors::new();
    for (name, tensor) in described {
        let Storage { key, bytes, .. } = &tensor.storage;
        if !storages.contains_key(key) {
            storages.insert(key.clone(), archive.read(&format!("{root}/data/{key}"), *bytes)?);
        }
        let values = tensor.gather(&storages[key]).map_err(|problem| format!("tensor `{name}`: {problem}"))?;
        read.tensors.insert(name, tensors::Tensor { shape: tensor.shape, values });
    }
    Ok(read)
}

/// That tensors which share storages do not have more numbers in all than the file has bytes.
fn check_total(described: &[(String, Tensor)], bytes: u64) -> Result<(), Problem> {
    let mut left = bytes;
    for (name, tensor) in described {
        let count = tensor.count().ok_or_else(|| format!("tensor `{name}`: impossible shape"))? as u64;
        left = left.checked_sub(count).ok_or_else(|| {
            format!("the tensors up to `{name}` have more than {bytes} numbers, expected at most as many as the file has bytes")
        })?;
    }
    Ok(())
}

/// The folder that everything in the archive is in; its name is that of the file as it was saved.
fn root(archive: &ZipEntries) -> Result<String, Problem> {
    let names = archive.names();
    let found = names.iter().find_map(|name| name.strip_suffix("/data.pkl"));
    found.map(String::from).ok_or_else(|| "the archive has no `data.pkl`".into())
}

/// What the pickle describes beside plain data.
#[derive(Clone, Debug)]
enum Part {
    Storage(Storage),
    Tensor(Tensor),
}

impl Object for Part {
    /// `("storage", class, key, device, count)`: where the numbers of tensors are.
    fn persistent(id: Item<Self>) -> Result<Self, Problem> {
        let Item::Tuple(parts) = id else { return Err("a storage in `data.pkl` is not a tuple".into()) };
        let [Item::Text(word), Item::Global(class), Item::Text(key), Item::Text(_), Item::Int(count), ..] =
            parts.as_slice()
        else {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        };
        let kind = Element::of(class).ok_or_else(|| format!("numbers of the type `{class}` are not read"))?;
        if &**word != "storage" || key.contains('/') {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        }
        let bytes = u64::try_from(*count).ok().and_then(|count| count.checked_mul(kind.size() as u64));
        let bytes = bytes.ok_or_else(|| format!("a storage in `data.pkl` has {count} numbers"))?;
        Ok(Part::Storage(Storage { kind, key: key.to_string(), bytes }))
    }

    fn call(name: &str, arguments: &[Item<Self>]) -> Result<Item<Self>, Problem> {
        Ok(match (name, arguments) {
            ("collections.OrderedDict", []) => Item::Dict(Vec::new()),
            (
                "torch._utils._rebuild_tensor_v2",
                [Item::Object(Part::Storage(storage)), Item::Int(offset), Item::Tuple(shape), Item::Tuple(strides), ..],
            ) if shape.len() == strides.len() && shape.len() <= MOST_AXES => Item::Object(Part::Tensor(Tensor {
                storage: storage.clone(),
                offset: size(&Item::Int(*offset))?,
                shape: shape.iter().map(size).collect::<Result<_, _>>()?,
                strides: strides.iter().map(size).collect::<Result<_, _>>()?,
            })),
            ("torch._utils._rebuild_parameter", [Item::Object(Part::Tensor(tensor)), ..]) => {
                Item::Object(Part::Tensor(tensor.clone()))
            }
            _ => return Err(format!("`data.pkl` calls `{name}` in a form that a state dict does not need")),
        })
    }
}

#[derive(Clone, Debug)]
struct Storage {
    kind: Element,
    key: String,
    bytes: u64,
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

fn state_dict(item: Item<Part>) -> Result<Vec<(String, Tensor)>, Problem> {
    let Item::Dict(pairs) = item else {
        return Err("the file holds no dictionary of tensors".into());
    };
    let named = pairs.into_iter().map(|(key, value)| match (key, value) {
        (Item::Text(name), Item::Object(Part::Tensor(tensor))) => Ok((name.to_string(), tensor)),
        (Item::Text(name), _) => Err(format!("`{name}` in the dictionary is not a tensor")),
        _ => Err("a key of the dictionary is not text".into()),
    });
    named.collect()
}

impl Tensor {
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis))
    }

    /// The elements in order of the last axis first, out of the bytes of the storage.
    fn gather(&self, bytes: &[u8]) -> Result<TensorValues, Problem> {
        let size = self.storage.kind.size();
        let count = self.count().ok_or("impossible shape")?;
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
            Element::Half => TensorValues::F32(places.map(|at| f16::from_le_bytes(fixed(cell(at))).to_f32()).collect()),
            Element::BFloat16 => {
                TensorValues::F32(places.map(|at| bf16::from_le_bytes(fixed(cell(at))).to_f32()).collect())
            }
            Element::Float => TensorValues::F32(places.map(|at| f32::from_le_bytes(fixed(cell(at)))).collect()),
            Element::Double => TensorValues::F32(places.map(|at| f64::from_le_bytes(fixed(cell(at))) as f32).collect()),
            Element::Int => {
                TensorValues::I64(places.map(|at| i64::from(i32::from_le_bytes(fixed(cell(at))))).collect())
            }
            Element::Long => TensorValues::I64(places.map(|at| i64::from_le_bytes(fixed(cell(at)))).collect()),
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

fn size(item: &Item<Part>) -> Result<usize, Problem> {
    match item {
        Item::Int(value) => usize::try_from(*value).map_err(|_| format!("a tensor has a size of {value}")),
        other => Err(format!("a tensor has a size that is not a number: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn golden(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("torch/tests/golden").join(name)
    }

    fn find<'a>(saved: &'a Tensors, name: &str) -> &'a tensors::Tensor {
        &saved.tensors[name]
    }

    #[test]
    fn views_scalars_and_other_precisions_come_out_contiguous() {
        let saved = read(&golden("small.pt")).unwrap();
        let plain: Vec<f32> = (0..12_u8).map(f32::from).collect();
        assert_eq!(find(&saved, "plain").values, TensorValues::F32(plain));
        assert_eq!(find(&saved, "turned").shape, [4, 3]);
        assert_eq!(
            find(&saved, "turned").values,
            TensorValues::F32(vec![0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.])
        );
        assert_eq!(find(&saved, "part").values, TensorValues::F32(vec![5., 6., 9., 10.]));
        assert_eq!(
            (find(&saved, "count").shape.len(), &find(&saved, "count").values),
            (0, &TensorValues::I64(vec![7]))
        );
        assert_eq!(find(&saved, "half").values, TensorValues::F32(vec![0.5, -2.0]));
        assert_eq!(find(&saved, "double").values, TensorValues::F32(vec![0.25]));
    }

    #[test]
    fn ordered_dictionaries_of_parameters_are_read() {
        let saved = read(&golden("ordered.pt")).unwrap();
        let names: Vec<_> = saved.tensors.keys().map(String::as_str).collect();
        assert_eq!(names, ["bias", "weight"]);
        assert_eq!(find(&saved, "bias").values, TensorValues::F32(Vec::new()));
    }

    #[test]
    fn a_pickle_that_calls_something_else_is_refused() {
        let problem = pickle::read::<Part>(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap_err();
        assert!(problem.contains("`posix.system`"), "{problem}");
    }

    /// An archive whose `data.pkl` and storage `0` are given.
    fn archive(pickle: &[u8], storage: &[u8], packed: bool) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
        let method = if packed { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (name, bytes) in [("m/data.pkl", pickle), ("m/data/0", storage)] {
            zip.start_file(name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    /// A pickle of tensors that are each the whole of one storage of so many floats.
    fn tensors_of_one_storage(tensors: usize, count: u32) -> Vec<u8> {
        let number = |value: u32| [b"J", &value.to_le_bytes()[..]].concat();
        let text = |text: &str| [b"\x8c", &[text.len() as u8][..], text.as_bytes()].concat();
        let mut code = b"\x80\x02}(".to_vec();
        for tensor in 0..tensors {
            code.extend(
                [&text(&tensor.to_string())[..], b"ctorch._utils\n_rebuild_tensor_v2\n((", &text("storage")].concat(),
            );
            code.extend([b"ctorch\nFloatStorage\n", &text("0")[..], &text("cpu"), &number(count), b"tQ"].concat());
            code.extend([&number(0)[..], &number(count), b"\x85K\x01\x85\x89)tR"].concat());
        }
        code.extend(b"u.");
        code
    }

    #[test]
    fn an_entry_that_unpacks_to_too_much_is_refused() {
        let problem =
            |pickle: &[u8], storage: &[u8], packed| read(archive(pickle, storage, packed).path()).unwrap_err().message;
        assert!(read(archive(&tensors_of_one_storage(2, 4), &[0; 16], false).path()).is_ok());
        let zeros = vec![0; 1 << 20];
        let message = problem(&tensors_of_one_storage(1, 100), &zeros, true);
        assert!(message.contains("`m/data/0` in the archive unpacks to more than 400 bytes"), "{message}");
        let message = problem(&tensors_of_one_storage(1, 1 << 18), &zeros, true);
        assert!(message.contains("expected at most as many as the file has bytes"), "{message}");
        let message = problem(&tensors_of_one_storage(5, 1 << 18), &zeros, false);
        assert!(message.contains("the tensors up to `4` have more than"), "{message}");
    }

    #[test]
    fn no_truncation_or_flipped_byte_panics() {
        let file = fs_err::read(golden("small.pt")).unwrap();
        let mut archive = ZipEntries::open(File::open(golden("small.pt")).unwrap(), |bytes| bytes).unwrap();
        let code = archive.read("small/data.pkl", MOST_CODE).unwrap();
        for at in 0..code.len() {
            assert!(pickle::read::<Part>(&code[..at]).is_err());
            for value in [0_u8, 0xff, b'R', b'u', b'('] {
                let mut broken = code.clone();
                broken[at] = value;
                let _ = pickle::read(&broken).and_then(state_dict);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.pt");
        fs_err::write(&path, &file[..file.len() / 2]).unwrap();
        assert!(read(&path).unwrap_err().hint.unwrap().contains("state_dict"));
    }
}
