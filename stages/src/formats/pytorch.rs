//! Reads the state dict in a file that `torch.save` wrote, without Python and without running anything from the file.
//!
//! Such a file is a zip archive: `data.pkl` describes the tensors (`pickled_tensors.rs`), `data/<key>` holds their numbers. What
//! entries unpack to, and how many numbers tensors have that share them, is bounded by the size of the file.
//!
//! Weights may also be in a checkpoint, a dictionary that has them under `state_dict` beside counters and the state of an optimiser, of
//! which nothing else is read; and in the form before PyTorch 1.6, a row of pickles with the numbers behind them, which most published
//! weights have.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err::File;
use pipe_contract::{Failure, io_reason};

use super::number_bytes::fixed;
use super::pickle::{self, Item, Problem};
use super::pickled_tensors::{PickledPart, PickledStorage, PickledTensor, collect_storages, state_dict, weights};
use super::tensors::{self, Tensors};
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

/// Reads the weights in a file of `torch.save` of any version: a state dict, or the one under `state_dict` of a checkpoint. Half, bfloat16
/// and double precision become single precision.
///
/// # Errors
/// Input: not such a file, one that holds no state dict, or one that would call code; the message names what it calls.
pub fn read_checkpoint(path: &Path) -> Result<Tensors, Failure> {
    let mut file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    let read = starts_before_1_6(&mut file).and_then(|before| match before {
        Some(magic) => read_before_1_6(file, magic),
        None => read_zip(file, weights),
    });
    read.map_err(|problem| {
        Failure::input(problem).at(path.display().to_string()).hint(
            "save the weights alone: `torch.save(torch.load(FILE, weights_only=False)[\"state_dict\"], NEW)`; this runs what the file \
             calls, so do it only with a file that you trust",
        )
    })
}

/// Whether a file begins as one of `torch.save`, of any version.
///
/// # Errors
/// Input: the file does not exist. Environment: it cannot be read.
pub fn is_saved(path: &Path) -> Result<bool, Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::input("the file does not exist").at(path.display().to_string()),
        _ => Failure::io("read", path, &error),
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut start).map_err(failed)?;
    Ok(start.starts_with(b"PK") || behind_magic(&start).is_some())
}

/// Greatest length of `data.pkl`; that of a network with thousands of tensors has some hundred kilobytes.
const MOST_CODE: u64 = 16 << 20;
/// How many times its own size an archive may unpack to. PyTorch does not pack, and weights packed by others get hardly smaller.
const MOST_TIMES: u64 = 8;
/// What is picked from what a pickle describes: named tensors.
type Pick = fn(Item<PickledPart>) -> Result<Vec<(String, PickledTensor)>, Problem>;

fn read_archive(file: File) -> Result<Tensors, Problem> {
    read_zip(file, state_dict)
}

fn read_zip(file: File, pick: Pick) -> Result<Tensors, Problem> {
    let mut archive = ZipEntries::open(file, |bytes| bytes.saturating_mul(MOST_TIMES))
        .map_err(|error| format!("not a file of `torch.save` since PyTorch 1.6 (a zip archive): {error}"))?;
    let root = root(&archive)?;
    if let Ok(order) = archive.read(&format!("{root}/byteorder"), 64)
        && order != b"little"
    {
        return Err("the numbers in the file are big-endian, which is not read".into());
    }
    let pickle = archive.read(&format!("{root}/data.pkl"), MOST_CODE)?;
    let described = pick(pickle::read(&pickle)?)?;
    check_total(&described, archive.bytes())?;
    gathered(described, |storage| archive.read(&format!("{root}/data/{}", storage.key), storage.bytes))
}

/// Tensors with their numbers. A storage is in memory from the first tensor that uses it to the last.
fn gathered(
    described: Vec<(String, PickledTensor)>,
    mut bytes_of: impl FnMut(&PickledStorage) -> Result<Vec<u8>, Problem>,
) -> Result<Tensors, Problem> {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for (_, tensor) in &described {
        *uses.entry(tensor.storage.key.clone()).or_default() += 1;
    }
    let mut storages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut read = Tensors::new();
    for (name, tensor) in described {
        let key = &tensor.storage.key;
        if !storages.contains_key(key) {
            storages.insert(key.clone(), bytes_of(&tensor.storage)?);
        }
        let values = tensor.gather(&storages[key]).map_err(|problem| format!("tensor `{name}`: {problem}"))?;
        if let Some(left) = uses.get_mut(key) {
            *left -= 1;
            if *left == 0 {
                storages.remove(key);
            }
        }
        read.tensors.insert(name, tensors::Tensor { shape: tensor.shape, values });
    }
    Ok(read)
}

/// Bytes at the start of a file that show its form.
const HEAD: u64 = 32;

/// The number that marks a file of the form before PyTorch 1.6, as the first pickle has it, and that pickle's end.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The place behind the first pickle, if a file of the form before PyTorch 1.6 starts so.
fn behind_magic(start: &[u8]) -> Option<usize> {
    let found = start.windows(MAGIC.len()).position(|part| part == MAGIC);
    found.filter(|_| start.first() == Some(&0x80)).map(|at| at + MAGIC.len())
}

fn starts_before_1_6(file: &mut File) -> Result<Option<usize>, Problem> {
    let mut start = Vec::new();
    let failed = |error: std::io::Error| format!("it cannot be read: {}", io_reason(&error));
    (&mut *file).take(HEAD).read_to_end(&mut start).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(behind_magic(&start))
}

/// Reads a file of the form before PyTorch 1.6: pickles of a version, of the machine's number formats, of the data and of the keys of
/// storages; then each storage, its count (64 bits) before its numbers.
fn read_before_1_6(mut file: File, magic: usize) -> Result<Tensors, Problem> {
    let failed = |error: std::io::Error| format!("it cannot be read: {}", io_reason(&error));
    let bytes = file.metadata().map_err(failed)?.len();
    let mut code = Vec::new();
    (&mut file).take(MOST_CODE).read_to_end(&mut code).map_err(failed)?;
    let (_, rest) = pickle::read_first::<PickledPart>(&code[magic..])?;
    let (machine, rest) = pickle::read_first::<PickledPart>(rest)?;
    if !is_little_endian(&machine) {
        return Err("the file does not say that its numbers are little-endian; others are not read".into());
    }
    let (data, rest) = pickle::read_first::<PickledPart>(rest)?;
    // First, so that code among weights is named whatever else the file lacks.
    let described = weights(data.clone())?;
    let (keys, rest) = pickle::read_first::<PickledPart>(rest)?;
    let mut storages = BTreeMap::new();
    collect_storages(&data, &mut storages);
    let places = storage_places(&keys, &storages, &mut file, (code.len() - rest.len()) as u64, bytes)?;
    check_total(&described, bytes)?;
    gathered(described, |storage| {
        let place = places.get(&storage.key).ok_or_else(|| format!("the file has no storage `{}`", storage.key))?;
        read_at(&mut file, *place, storage.bytes).map_err(failed)
    })
}

fn is_little_endian(machine: &Item<PickledPart>) -> bool {
    let Item::Dict(pairs) = machine else { return false };
    let named = |key: &Item<PickledPart>| matches!(key, Item::Text(name) if &**name == "little_endian");
    pairs.iter().any(|(key, value)| named(key) && matches!(value, Item::Bool(true)))
}

/// Where the numbers of each storage begin in the file, of which each lies within it.
fn storage_places(
    keys: &Item<PickledPart>,
    storages: &BTreeMap<&str, &PickledStorage>,
    file: &mut File,
    first: u64,
    bytes: u64,
) -> Result<BTreeMap<String, u64>, Problem> {
    let Item::List(keys) = keys else { return Err("the file has no list of its storages".into()) };
    let mut places = BTreeMap::new();
    let mut at = first;
    for key in keys {
        let Item::Text(key) = key else { return Err("the key of a storage is not text".into()) };
        let storage =
            storages.get(&**key).ok_or_else(|| format!("the file has a storage `{key}` that no tensor uses"))?;
        let found = read_at(file, at, COUNT).map_err(|_| format!("the file ends before storage `{key}`"))?;
        let (found, expected) = (u64::from_le_bytes(fixed(&found)), storage.bytes / storage.kind.size() as u64);
        if found != expected {
            return Err(format!("storage `{key}` has {found} numbers, its tensors say {expected}"));
        }
        places.insert(key.to_string(), at + COUNT);
        at = at.saturating_add(COUNT).saturating_add(storage.bytes);
        if at > bytes {
            return Err(format!("the file has {bytes} bytes, storage `{key}` would end at {at}"));
        }
    }
    Ok(places)
}

/// Bytes of the count before a storage.
const COUNT: u64 = 8;

/// Bytes at a place of a file; the caller has compared their number with the size of the file, or it is small.
fn read_at(file: &mut File, at: u64, count: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    let read = file.take(count).read_to_end(&mut bytes)?;
    if read as u64 == count { Ok(bytes) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// That tensors which share storages do not have more numbers in all than the file has bytes.
fn check_total(described: &[(String, PickledTensor)], bytes: u64) -> Result<(), Problem> {
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::formats::tensors::TensorValues;

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
        let code = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
        let problem = pickle::read::<PickledPart>(code).and_then(state_dict).unwrap_err();
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

    fn short(text: &str) -> Vec<u8> {
        [b"\x8c", &[text.len() as u8][..], text.as_bytes()].concat()
    }

    /// A pickle of a checkpoint with two tensors under `state_dict`, each the whole of one storage of four floats.
    fn checkpoint() -> Vec<u8> {
        let weights = tensors_of_one_storage(2, 4);
        let weights = &weights[2..weights.len() - 1];
        let parts: [&[u8]; 8] =
            [b"\x80\x02}(", &short("epoch"), b"K\x05", &short("state_dict"), weights, &short("optimizer"), b"}", b"u."];
        parts.concat()
    }

    /// A pickle of two tensors as PyTorch 0.1 wrote them, objects with a state, that are each the whole of one storage of four floats.
    fn objects_of_one_storage() -> Vec<u8> {
        let storage = [b"(", &short("storage")[..], b"ctorch\nFloatStorage\n", &short("0"), &short("cpu"), b"K\x04NtQ"];
        let state = [b"(", &storage.concat()[..], b"K\x00K\x04\x85K\x01\x85tb"].concat();
        let tensor = |name| [&short(name)[..], b"ctorch\nFloatTensor\n)\x81", &state, b"s"].concat();
        [b"\x80\x02ccollections\nOrderedDict\n)R", &tensor("0")[..], &tensor("1"), b"."].concat()
    }

    /// A file of the form before PyTorch 1.6 with one storage `0`.
    fn before_1_6(pickle: &[u8], numbers: &[f32]) -> Vec<u8> {
        let parts: [&[u8]; 7] = [
            b"\x80\x02",
            MAGIC,
            b"\x80\x02M\xe9\x03.",
            b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.",
            pickle,
            b"\x80\x02]\x8c\x010a.",
            &(numbers.len() as u64).to_le_bytes(),
        ];
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        parts.concat().into_iter().chain(numbers).collect()
    }

    fn saved(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn weights_of_a_checkpoint_are_read_from_both_forms() {
        let numbers = [0.5_f32, -1.0, 2.0, 4.0];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let expected = TensorValues::F32(numbers.to_vec());
        for pickle in [checkpoint(), tensors_of_one_storage(2, 4), objects_of_one_storage()] {
            for file in [archive(&pickle, &bytes, false), saved(&before_1_6(&pickle, &numbers))] {
                assert!(is_saved(file.path()).unwrap());
                let read = read_checkpoint(file.path()).unwrap();
                assert_eq!(read.tensors.keys().collect::<Vec<_>>(), ["0", "1"]);
                assert!(read.tensors.values().all(|tensor| tensor.shape == [4] && tensor.values == expected));
            }
        }
        let problem = read(archive(&checkpoint(), &bytes, false).path()).unwrap_err();
        assert!(problem.message.contains("`epoch` in the dictionary is not a tensor"), "{problem}");
        assert!(!is_saved(saved(b"weights").path()).unwrap());
    }

    #[test]
    fn code_in_a_checkpoint_is_refused_and_named() {
        let object = [&b"\x80\x02}("[..], &short("model"), b"ctorchvision.models.resnet\nResNet\n)\x81u."].concat();
        let module = [&b"\x80\x02}("[..], &short("model"), b"(", &short("module"), b"cmodels\nNet\ntQu."].concat();
        for (pickle, class) in [(object, "`torchvision.models.resnet.ResNet`"), (module, "`models.Net`")] {
            for file in [archive(&pickle, &[], false), saved(&before_1_6(&pickle, &[]))] {
                let failure = read_checkpoint(file.path()).unwrap_err();
                assert!(failure.message.contains(class) && failure.hint.is_some(), "{failure}");
            }
        }
        let other = [&b"\x80\x02}("[..], &short("epoch"), b"K\x05u."].concat();
        let failure = read_checkpoint(archive(&other, &[], false).path()).unwrap_err();
        assert!(failure.message.ends_with("and there is no `state_dict` as in a checkpoint"), "{failure}");
    }

    #[test]
    fn damaged_files_of_the_old_form_are_refused() {
        let whole = before_1_6(&checkpoint(), &[1.0; 4]);
        for cut in MAGIC.len() + 2..whole.len() {
            assert!(read_checkpoint(saved(&whole[..cut]).path()).is_err(), "{cut}");
        }
        let message = |bytes: &[u8]| read_checkpoint(saved(bytes).path()).unwrap_err().message;
        assert_eq!(message(&before_1_6(&checkpoint(), &[1.0; 5])), "storage `0` has 5 numbers, its tensors say 4");
        let end = whole.len() - 1;
        assert!(message(&whole[..end]).contains("storage `0` would end at"), "{}", message(&whole[..end]));
        let unused = before_1_6(b"\x80\x02}.", &[1.0]);
        assert_eq!(message(&unused), "the file has a storage `0` that no tensor uses");
    }

    #[test]
    fn no_truncation_or_flipped_byte_panics() {
        let file = fs_err::read(golden("small.pt")).unwrap();
        let mut archive = ZipEntries::open(File::open(golden("small.pt")).unwrap(), |bytes| bytes).unwrap();
        let code = archive.read("small/data.pkl", MOST_CODE).unwrap();
        for at in 0..code.len() {
            assert!(pickle::read::<PickledPart>(&code[..at]).is_err());
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
