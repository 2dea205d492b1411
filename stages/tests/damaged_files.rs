//! Every reader of the formats, on files that are damaged systematically: each field replaced by 0, -1, the largest and a huge
//! number, each length cut off. None may panic, and none may take more memory than its file can need.

#![allow(clippy::print_stdout, reason = "how many files were damaged, and what reading them took")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use pipe_stages::formats::{annotation, data_table, freesurfer, gifti, hdf5, mgh, numpy, pytorch, tensors};

/// Counts what is allocated at a time, and the most of it.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(added: usize) {
    let now = NOW.fetch_add(added, Ordering::Relaxed) + added;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of the damaged versions of a file, about so many are read; all with the variable `DAMAGED_FILES=all`.
const VERSIONS: usize = 1500;

/// More than any reader needs for the small files here, far below what their fields could promise.
const MOST_MEMORY: usize = 96 << 20;

/// Reads what a file may hold; returns how many of the reads found something.
type Read = fn(&Path) -> usize;

/// A file, how its content is packed around what is damaged, and its reader.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    pack: fn(&[u8]) -> Vec<u8>,
    read: Read,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
}

fn case(name: &'static str, read: Read) -> Case {
    let path = match name.ends_with(".pt") {
        true => Path::new(env!("CARGO_MANIFEST_DIR")).join("torch/tests/golden").join(name),
        false => fixture(name),
    };
    Case { name, bytes: fs::read(path).expect(name), pack: <[u8]>::to_vec, read }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::bufread::GzDecoder::new(bytes), &mut unpacked).expect("a fixture");
    unpacked
}

fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("memory");
    writer.write_all(bytes).expect("memory");
    writer.finish().expect("memory").into_inner()
}

/// The checksums of a newer HDF5 file set anew (superblock, object headers, heads of chunk indexes), so that what is damaged
/// in between is believed.
fn checksummed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut set = |at: usize, length: usize| {
        if let Some(end) = at.checked_add(length).filter(|end| end + 4 <= bytes.len()) {
            let checksum = hdf5_writer::jenkins_lookup3(&bytes[at..end]);
            bytes[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
        }
    };
    set(0, 44);
    let original = fs::read(fixture("indexes.hdf5")).expect("a fixture");
    for at in 0..original.len().saturating_sub(8) {
        match &original[at..at + 4] {
            b"OHDR" => {
                // Behind version and flags: four times, two numbers of attributes, and the length of what follows.
                let flags = original[at + 5];
                let head = 6 + if flags & 0x20 > 0 { 16 } else { 0 } + if flags & 0x10 > 0 { 4 } else { 0 };
                let width = 1 << (flags & 3);
                let length = original[at + head..at + head + width]
                    .iter()
                    .rev()
                    .fold(0, |all, byte| all << 8 | usize::from(*byte));
                set(at, head + width + length);
            }
            b"FAHD" => set(at, 24),
            b"EAHD" => set(at, 68),
            b"BTHD" => set(at, 34),
            _ => {}
        }
    }
    bytes
}

fn ok<T, E>(read: Result<T, E>) -> usize {
    usize::from(read.is_ok())
}

fn read_indexes(path: &Path) -> usize {
    let Ok(file) = hdf5::File::open(path) else { return 0 };
    let part = [hdf5::IndexPick::At(1), hdf5::IndexPick::All];
    let grid = |dataset| {
        hdf5::NumberGrid::open(&file, dataset).and_then(|grid| grid.read::<f64>(&[1..2, 0..grid.shape()[1].min(4)]))
    };
    let read = |dataset| ok(file.numbers(dataset, None)) + ok(file.numbers(dataset, Some(&part))) + ok(grid(dataset));
    ["fixed", "extensible", "tree"].into_iter().map(read).sum()
}

fn read_hdf5(path: &Path) -> usize {
    use hdf5::IndexPick::{All, At};
    let Ok(file) = hdf5::File::open(path) else { return 0 };
    let whole = |dataset| {
        let _ = file.has(dataset);
        ok(file.whole_numbers(dataset))
    };
    let whole: usize = ["lh/visual_area", "rh/visual_sector", "subjectids", "flags"].into_iter().map(whole).sum();
    let numbers = |dataset| ok(file.numbers(dataset, None));
    let numbers: usize = ["allresults", "half", "offset_float", "filled"].into_iter().map(numbers).sum();
    whole + numbers + ok(file.numbers("allresults", Some(&[At(2), At(0), At(1), All])))
}

fn read_gifti(path: &Path) -> usize {
    ok(gifti::read_surface(path)) + ok(gifti::read_scalars(path))
}

fn read_npz(path: &Path) -> usize {
    let Ok(mut npz) = numpy::Npz::open(path) else { return 0 };
    let mut read = 0;
    for name in npz.names() {
        if let Ok(array) = npz.array(&name) {
            let _ = (array.floats(), array.texts());
            read += 1;
        }
    }
    read
}

fn read_npy(path: &Path) -> usize {
    let Ok(array) = numpy::read_npy(path) else { return 0 };
    ok(array.floats()) + ok(array.whole_numbers())
}

fn cases() -> Vec<Case> {
    let gunzipped = |case: Case| Case { bytes: gunzip(&case.bytes), pack: gzip, ..case };
    let npy = fs::read(fixture("column.npy")).expect("a fixture");
    vec![
        case("lh.white", |path| ok(freesurfer::read_surface(path))),
        case("lh.curv", |path| ok(freesurfer::read_morphometry(path))),
        case("lh.areas.annot", |path| ok(annotation::read(path))),
        gunzipped(case("values.mgz", |path| ok(mgh::read(path)))),
        case("values.mgz", |path| ok(mgh::read(path))),
        case("zlib.surf.gii", read_gifti),
        case("ascii.shape.gii", read_gifti),
        gunzipped(case("odd.shape.gii.gz", read_gifti)),
        case("labels_earliest.hdf5", read_hdf5),
        case("labels_latest.hdf5", read_hdf5),
        case("prf_v73.mat", read_hdf5),
        case("types.hdf5", read_hdf5),
        Case { pack: checksummed, ..case("indexes.hdf5", read_indexes) },
        case("column.npy", read_npy),
        Case { name: "column.npz", bytes: npy, pack: |bytes| zip("column.npy", bytes), read: read_npz },
        case("arrays.npz", read_npz),
        case("arrays_2.pickle", |path| ok(numpy::read_objects(path))),
        case("arrays_5.pickle", |path| ok(numpy::read_objects(path))),
        case("regions.npy", |path| ok(numpy::read_objects(path))),
        case("small.pt", |path| ok(pytorch::read(path))),
        case("small.pt", |path| ok(pytorch::read_checkpoint(path))),
        Case {
            name: "weights.safetensors",
            bytes: safetensors(),
            pack: <[u8]>::to_vec,
            read: |path| ok(tensors::read(path)),
        },
        Case { name: "table.parquet", bytes: parquet(), pack: <[u8]>::to_vec, read: read_table },
    ]
}

fn safetensors() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t");
    let two = tensors::Tensor::f32(&[2, 3], vec![0.5; 6]);
    let file = tensors::Tensors::new().with("a", two).with("n", tensors::Tensor::i64(&[], vec![7])).about("k", "v");
    tensors::write(&path, &file).expect("a file");
    fs::read(path).expect("a file")
}

fn parquet() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let table = data_table::DataTable::new()
        .text("sid", ["010512", "s02", ""])
        .integers("n", [3, -1, 0])
        .optional_numbers("dice", [Some(0.5), None, Some(1.0)])
        .flags("simulated", [true, true, false]);
    data_table::write(folder.path(), &mut table.build().expect("a table")).expect("a file");
    fs::read(folder.path().join(data_table::PARQUET)).expect("a file")
}

fn read_table(path: &Path) -> usize {
    let Ok(frame) = data_table::read(path.parent().expect("a folder")) else { return 0 };
    ok(data_table::texts(&frame, "sid")) + ok(data_table::numbers(&frame, "dice"))
}

/// What fields of these widths are replaced by, in both orders of bytes.
const NUMBERS: [u64; 5] = [0, u64::MAX, 0x7fff_ffff_ffff_ffff, 1_500_000_000, 1_500_000_000 << 32];

/// The damaged versions of some bytes, each with what was done.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let step = (bytes.len() / 400).max(1);
    let cut = (0..bytes.len()).step_by(step).map(move |length| (format!("cut to {length}"), bytes[..length].to_vec()));
    let fields = [1_usize, 2, 4, 8].into_iter().flat_map(move |width| {
        let places = (0..(bytes.len() + 1).saturating_sub(width)).filter(move |at| at % width.min(2) == 0);
        places.flat_map(move |at| {
            NUMBERS.iter().flat_map(move |number| {
                let little = number.to_le_bytes();
                let big = number.to_be_bytes();
                let top = if width == 8 { big } else { number.swap_bytes().to_le_bytes() };
                [little[..width].to_vec(), top[8 - width..].to_vec(), top[..width].to_vec()]
                    .into_iter()
                    .map(move |field| (at, field))
            })
        })
    });
    let replaced = fields.filter_map(move |(at, field)| {
        let end = at + field.len();
        (bytes[at..end] != field[..]).then(|| {
            let with = [&bytes[..at], &field, &bytes[end..]].concat();
            (format!("bytes {at} to {end} are {field:02x?}"), with)
        })
    });
    cut.chain(replaced).chain(numbers_in_text(bytes))
}

/// Every number that is written in digits, replaced by others.
fn numbers_in_text(bytes: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let is_start = |at: &usize| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit());
    let starts: Vec<usize> = (0..bytes.len()).filter(is_start).take(60).collect();
    starts.into_iter().flat_map(move |at| {
        let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        ["0", "-1", "1e400", "2147483647", "1500000000", "18446744073709551615", "99999999999999999999999"].map(
            |number| {
                (format!("the number at {at} is {number}"), [&bytes[..at], number.as_bytes(), &bytes[end..]].concat())
            },
        )
    })
}

/// The most memory that a reader takes at a time, and how much it read; nothing if it panics.
fn peak(read: Read, path: &Path) -> (usize, Option<usize>) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let found = catch_unwind(AssertUnwindSafe(|| read(path))).ok();
    (PEAK.load(Ordering::Relaxed) - before, found)
}

/// Files that are whole, but made to fill the memory or the stack.
fn bombs() -> Vec<Case> {
    let gifti = |inside: String| format!("<GIFTI><DataArray>{inside}</DataArray></GIFTI>").into_bytes();
    let nested = gifti("<a>".repeat(200_000) + &"</a>".repeat(200_000));
    let entities: String = (1..30).map(|n| format!("<!ENTITY e{n} \"&e{};&e{0};\">", n - 1)).collect();
    let entities =
        format!("<!DOCTYPE GIFTI [<!ENTITY e0 \"0 0 0 0\">{entities}]><GIFTI><DataArray>&e29;</DataArray></GIFTI>");
    let case = |name, bytes, pack, read| Case { name, bytes, pack, read };
    vec![
        case("nested.gii", nested, <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, read_gifti as Read),
        case("entities.gii", entities.into_bytes(), <[u8]>::to_vec, read_gifti),
        case("zeros.mgz", vec![0; 150 << 20], gzip, |path| ok(mgh::read(path))),
        case("zeros.surf.gii.gz", vec![b' '; 150 << 20], gzip, |path| ok(gifti::read_surface(path))),
        case("zeros.npz", vec![0; 150 << 20], |bytes| zip("a.npy", bytes), read_npz),
    ]
}

/// What unpacking takes up to its bound, while the memory of the result grows.
const MOST_OF_BOMBS: usize = 400 << 20;

/// Called by the one test of this file: memory is counted for the whole process.
fn check_checksums() {
    let whole = fs::read(fixture("indexes.hdf5")).expect("a fixture");
    assert_eq!(checksummed(&whole), whole);
    let file = hdf5::File::open(&fixture("indexes.hdf5")).expect("a fixture");
    for dataset in ["fixed", "extensible", "tree"] {
        assert_eq!(
            file.numbers(dataset, None).expect(dataset),
            (0..12).map(f64::from).collect::<Vec<_>>(),
            "{dataset}"
        );
    }
}

#[test]
fn no_reader_panics_or_takes_more_memory_than_its_file_can_need() {
    check_checksums();
    // In memory, where there is such a folder: some ten thousand files are written.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let path = folder.path().join(data_table::PARQUET);
    std::panic::set_hook(Box::new(|_| {}));
    let mut faults = Vec::new();
    let all = std::env::var("DAMAGED_FILES").is_ok_and(|value| value == "all");
    let only = std::env::var("DAMAGED_FILES_ONLY").ok();
    for Case { name, bytes, pack, read } in bombs() {
        fs::write(&path, pack(&bytes)).expect("a file");
        drop(bytes);
        let (memory, found) = peak(read, &path);
        println!("{name}: at most {memory} bytes");
        if found != Some(0) || memory > MOST_OF_BOMBS {
            faults.push(format!("{name}: takes {memory} bytes, panics, or is read: {found:?}"));
        }
    }
    for Case { name, bytes, pack, read } in cases() {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        fs::write(&path, pack(&bytes)).expect("a file");
        assert!(peak(read, &path).1 > Some(0), "{name} is read while it is whole");
        let (mut tried, mut most, mut of_case) = (0, 0, Vec::new());
        let step = if all { 1 } else { (damaged(&bytes).count() / VERSIONS).max(1) };
        for (what, content) in damaged(&bytes).step_by(step) {
            fs::write(&path, pack(&content)).expect("a file");
            drop(content);
            let (memory, found) = peak(read, &path);
            (tried, most) = (tried + 1, memory.max(most));
            if found.is_none() {
                of_case.push(format!("{name}: panics where {what}"));
            } else if memory > MOST_MEMORY {
                of_case.push(format!("{name}: takes {memory} bytes where {what}"));
            }
        }
        println!("{name}: {tried} damaged files, at most {most} bytes, {} faults", of_case.len());
        faults.extend(of_case.into_iter().take(5));
    }
    drop(std::panic::take_hook());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
