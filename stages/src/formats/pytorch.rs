//! Reads the state dict in a file that `torch.save` wrote, without Python and without running anything from the file.
//!
//! Such a file is a zip archive: `data.pkl` describes the tensors, `data/<key>` holds their numbers. The pickle may call three names
//! (an ordered dictionary, a parameter, a tensor) and refer to storages. What an entry unpacks to is bounded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use pipe_contract::Failure;
use zip::ZipArchive;

use super::pickle::{self, Item, Object, Problem, fixed};
use super::tensors::{self, Tensors, Values};

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
/// Greatest length of a storage: more than any network here has in all.
const MOST_STORAGE: u64 = 4 << 30;
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
    let described = state_dict(pickle::read(&pickle)?)?;
    let mut storages = BTreeMap::new();
    let mut read = Tensors::new();
    for (name, tensor) in described {
        let key = &tensor.storage.key;
        if !storages.contains_key(key) {
            storages.insert(key.clone(), entry(&mut archive, &format!("{root}/data/{key}"), MOST_STORAGE)?);
        }
        let values = tensor.gather(&storages[key]).map_err(|problem| format!("tensor `{name}`: {problem}"))?;
        read.tensors.insert(name, tensors::Tensor { shape: tensor.shape, values });
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

/// The bytes of an entry, of which there are at most `most`, whatever its header states.
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
        let [Item::Text(word), Item::Global(class), Item::Text(key), ..] = parts.as_slice() else {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        };
        let kind = Element::of(class).ok_or_else(|| format!("numbers of the type `{class}` are not read"))?;
        if word != "storage" || key.contains('/') {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        }
        Ok(Part::Storage(Storage { kind, key: key.clone() }))
    }

    fn call(name: &str, arguments: &[Item<Self>]) -> Result<Item<Self>, Problem> {
        Ok(match (name, arguments) {
            ("collections.OrderedDict", []) => Item::Dict(Vec::new()),
            (
                "torch._utils._rebuild_tensor_v2",
                [Item::Object(Part::Storage(storage)), Item::Int(offset), Item::Tuple(shape), Item::Tuple(strides), ..],
            ) => Item::Object(Part::Tensor(Tensor {
                storage: storage.clone(),
                offset: size(&Item::Int(*offset))?,
                shape: shape.iter().map(size).collect::<Result<_, _>>()?,
                strides: strides.iter().map(size).collect::<Result<_, _>>()?,
            })),
            ("torch._utils._rebuild_parameter", [Item::Object(Part::Tensor(tensor)), ..]) => {
                Item::Object(Part::Tensor(tensor.clone()))
            }
            _ => return Err(format!("`data.pkl` calls `{name}`, which a state dict does not need")),
        })
    }

    fn weight(&self) -> usize {
        match self {
            Part::Storage(storage) => storage.key.len() / 64,
            Part::Tensor(tensor) => tensor.storage.key.len() / 64 + tensor.shape.len() + tensor.strides.len(),
        }
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

fn state_dict(item: Item<Part>) -> Result<Vec<(String, Tensor)>, Problem> {
    let Item::Dict(pairs) = item else {
        return Err("the file holds no dictionary of tensors".into());
    };
    let named = pairs.into_iter().map(|(key, value)| match (key, value) {
        (Item::Text(name), Item::Object(Part::Tensor(tensor))) => Ok((name, tensor)),
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

fn size(item: &Item<Part>) -> Result<usize, Problem> {
    match item {
        Item::Int(value) => usize::try_from(*value).map_err(|_| format!("a tensor has a size of {value}")),
        other => Err(format!("a tensor has a size that is not a number: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
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
        let problem = pickle::read::<Part>(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap_err();
        assert!(problem.contains("`posix.system`"), "{problem}");
    }

    #[test]
    fn an_entry_that_unpacks_to_too_much_is_refused() {
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
            assert!(pickle::read::<Part>(&code[..at]).is_err());
            for value in [0_u8, 0xff, b'R', b'u', b'('] {
                let mut broken = code.clone();
                broken[at] = value;
                let _ = pickle::read(&broken).and_then(state_dict);
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
