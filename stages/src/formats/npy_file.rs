//! `.npy` files of floats that are read and written in parts: arrays that do not fit into memory.
//!
//! Decides how floats lie in such a file (NumPy's format 1.0, little-endian, 32 or 64 bits, either order of axes) and that a part is
//! read by one request. Whole arrays of any type of element are read by [`super::numpy`]. Independent of what the numbers are.

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;
use pipe_contract::Failure;

use super::numpy::{self, NpyHeader};

/// How wide the floats of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatType {
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
}

impl FloatType {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            FloatType::F32 => 4,
            FloatType::F64 => 8,
        }
    }

    /// NumPy's name of it.
    pub fn word(self) -> &'static str {
        match self {
            FloatType::F32 => "float32",
            FloatType::F64 => "float64",
        }
    }

    fn descr(self) -> &'static str {
        match self {
            FloatType::F32 => "<f4",
            FloatType::F64 => "<f8",
        }
    }
}

/// A float of 32 or 64 bits.
pub trait Float: Copy + PartialEq + Send + Sync + 'static {
    /// Which of them.
    const TYPE: FloatType;

    /// From a number of any width; rounded to the nearest.
    fn of(number: f64) -> Self;

    /// As a number of 64 bits.
    fn wide(self) -> f64;
}

impl Float for f32 {
    const TYPE: FloatType = FloatType::F32;

    #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest, as documented")]
    fn of(number: f64) -> Self {
        number as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Float for f64 {
    const TYPE: FloatType = FloatType::F64;

    fn of(number: f64) -> Self {
        number
    }

    fn wide(self) -> f64 {
        self
    }
}

/// A file that is read in parts.
#[derive(Debug)]
pub struct NpyFile {
    path: PathBuf,
    file: File,
    /// Where the first number lies.
    begin: u64,
    float_type: FloatType,
    shape: Vec<usize>,
    by_column: bool,
}

/// More bytes than any header of such a file has.
const MOST_HEADER: usize = 1 << 16;

impl NpyFile {
    /// Opens a file and checks that it is as long as its shape needs.
    ///
    /// # Errors
    /// Input: it is missing, cut off, not of that form, or does not hold floats of 32 or 64 bits, little-endian.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(path.display().to_string());
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => at(Failure::input("the file does not exist")),
            _ => Failure::io("read", path, &error),
        })?;
        let io = |error: std::io::Error| Failure::io("read", path, &error);
        let bytes = file.metadata().map_err(io)?.len();
        let mut head = vec![0; usize::try_from(bytes).unwrap_or(MOST_HEADER).min(MOST_HEADER)];
        file.file().read_exact_at(&mut head, 0).map_err(io)?;
        let NpyHeader { descr, shape, by_column, length } =
            numpy::parse_header(&head).map_err(|problem| at(Failure::input(problem)))?;
        let float_type = [FloatType::F32, FloatType::F64].into_iter().find(|known| known.descr() == descr);
        let float_type = float_type.ok_or_else(|| {
            at(Failure::input(format!("the array holds `{descr}`, expected floats (`<f4` or `<f8`)")))
        })?;
        let needed = shape.iter().try_fold(float_type.bytes() as u64, |all, axis| all.checked_mul(*axis as u64));
        let begin = length as u64;
        if needed.and_then(|needed| needed.checked_add(begin)).is_none_or(|needed| needed > bytes) {
            return Err(at(Failure::input(format!(
                "an array of shape {shape:?} needs more than the {} bytes that there are: it is cut off",
                bytes - begin
            ))));
        }
        Ok(Self { path: path.to_path_buf(), file, begin, float_type, shape, by_column })
    }

    /// The lengths of its axes, as NumPy shows them.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The first axis runs fastest (Fortran order).
    pub fn by_column(&self) -> bool {
        self.by_column
    }

    /// How wide its floats are.
    pub fn float_type(&self) -> FloatType {
        self.float_type
    }

    /// So many numbers from the `first` on, in the order of the file.
    ///
    /// # Errors
    /// Input: the file ends before. Environment: it cannot be read.
    pub fn read<T: Float>(&self, first: usize, count: usize) -> Result<Vec<T>, Failure> {
        let mut numbers = Vec::new();
        self.read_into(first..first.saturating_add(count), None, &mut Vec::new(), &mut numbers)?;
        Ok(numbers)
    }

    /// [`read`](Self::read) of numbers into a list, in place of what is in it. With `picked`, the length of a run and places in it, only
    /// the numbers at these places of every run are kept. The bytes are read into `bytes`: who reads many parts keeps both lists,
    /// because new memory of several megabytes takes longer to get than to fill.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// # Panics
    /// A place lies outside of a run, or a run has no numbers.
    pub fn read_into<T: Float>(
        &self,
        part: Range<usize>,
        picked: Option<(usize, &[usize])>,
        bytes: &mut Vec<u8>,
        numbers: &mut Vec<T>,
    ) -> Result<(), Failure> {
        let width = self.float_type.bytes();
        let all: usize = self.shape.iter().product();
        let (first, count) = (part.start, part.len());
        if part.end > all {
            return Err(Failure::internal(format!("numbers {first} to {first}+{count} of {all} were asked for")));
        }
        bytes.resize(count * width, 0);
        let from = self.begin + (first * width) as u64;
        self.file.file().read_exact_at(bytes, from).map_err(|error| Failure::io("read", &self.path, &error))?;
        numbers.clear();
        match self.float_type {
            FloatType::F32 => {
                let number = |bytes: &[u8; 4]| T::of(f64::from(f32::from_le_bytes(*bytes)));
                decode(bytes.as_chunks::<4>().0, picked, number, numbers);
            }
            FloatType::F64 => {
                let number = |bytes: &[u8; 8]| T::of(f64::from_le_bytes(*bytes));
                decode(bytes.as_chunks::<8>().0, picked, number, numbers);
            }
        }
        Ok(())
    }
}

/// Adds numbers to a list, of every run those at the places that are picked.
fn decode<B, T>(stored: &[B], picked: Option<(usize, &[usize])>, number: impl Fn(&B) -> T, numbers: &mut Vec<T>) {
    let Some((run, places)) = picked else {
        numbers.extend(stored.iter().map(number));
        return;
    };
    numbers.reserve_exact(stored.len() / run * places.len());
    for run in stored.chunks_exact(run) {
        numbers.extend(places.iter().map(|place| number(&run[*place])));
    }
}

/// A file that is written in parts.
#[derive(Debug)]
pub struct NpyWriter {
    path: PathBuf,
    file: File,
    begin: u64,
    float_type: FloatType,
    count: usize,
}

impl NpyWriter {
    /// Makes a file of this shape, all zeros so far.
    ///
    /// # Errors
    /// Environment: it cannot be made.
    pub fn create(path: &Path, shape: &[usize], by_column: bool, float_type: FloatType) -> Result<Self, Failure> {
        let header = header(shape, by_column, float_type.descr());
        let io = |error: std::io::Error| Failure::io("write", path, &error);
        let file = File::create(path).map_err(io)?;
        let count: usize = shape.iter().product();
        file.set_len((header.len() + count * float_type.bytes()) as u64).map_err(io)?;
        file.file().write_all_at(&header, 0).map_err(io)?;
        Ok(Self { path: path.to_path_buf(), file, begin: header.len() as u64, float_type, count })
    }

    /// Writes numbers from the `first` on, in the order of the file.
    ///
    /// # Errors
    /// Environment: they cannot be written. Internal: they reach over the end.
    pub fn write_at<T: Float>(&self, first: usize, numbers: &[T]) -> Result<(), Failure> {
        if first.checked_add(numbers.len()).is_none_or(|end| end > self.count) {
            let count = numbers.len();
            return Err(Failure::internal(format!("numbers {first} to {first}+{count} of {} were given", self.count)));
        }
        let mut bytes = vec![0_u8; numbers.len() * self.float_type.bytes()];
        match self.float_type {
            FloatType::F32 => {
                let (places, _) = bytes.as_chunks_mut::<4>();
                places
                    .iter_mut()
                    .zip(numbers)
                    .for_each(|(place, number)| *place = f32::of(number.wide()).to_le_bytes());
            }
            FloatType::F64 => {
                let (places, _) = bytes.as_chunks_mut::<8>();
                places.iter_mut().zip(numbers).for_each(|(place, number)| *place = number.wide().to_le_bytes());
            }
        }
        let from = self.begin + (first * self.float_type.bytes()) as u64;
        self.file.file().write_all_at(&bytes, from).map_err(|error| Failure::io("write", &self.path, &error))
    }
}

/// The header of NumPy's format 1.0, filled up so that numbers begin at a multiple of 64 bytes.
pub(super) fn header(shape: &[usize], by_column: bool, descr: &str) -> Vec<u8> {
    let axes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let axes = match axes.as_slice() {
        [only] => format!("({only},)"),
        axes => format!("({})", axes.join(", ")),
    };
    let order = if by_column { "True" } else { "False" };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {axes}, }}");
    let before = 10;
    while (before + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let length = u16::try_from(text.len()).expect("a header of some axes has less than 64 KiB");
    [b"\x93NUMPY\x01\x00".as_slice(), &length.to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_were_written_are_read_and_numpy_reads_them_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values.npy");
        let writer = NpyWriter::create(&path, &[3, 2], true, FloatType::F32).unwrap();
        writer.write_at(3, &[4.0_f64, 5.0, 6.0]).unwrap();
        writer.write_at(0, &[1.0_f32, 2.0, 0.1]).unwrap();
        assert!(writer.write_at(5, &[0.0_f32; 2]).is_err());
        let file = NpyFile::open(&path).unwrap();
        assert_eq!((file.shape(), file.by_column(), file.float_type()), ([3, 2].as_slice(), true, FloatType::F32));
        assert_eq!(file.read::<f64>(2, 2).unwrap(), [f64::from(0.1_f32), 4.0]);
        assert!(file.read::<f32>(5, 2).is_err());
        let (mut bytes, mut numbers) = (vec![9; 40], vec![7.0_f32; 3]);
        file.read_into(0..6, Some((3, &[2, 0][..])), &mut bytes, &mut numbers).unwrap();
        assert_eq!((numbers.as_slice(), bytes.len()), ([0.1, 1.0, 6.0, 4.0].as_slice(), 24));
        let whole = numpy::read_npy(&path).unwrap();
        assert_eq!(whole.floats().unwrap(), [1.0, 4.0, 2.0, 5.0, f64::from(0.1_f32), 6.0]);
        assert_eq!(fs_err::metadata(&path).unwrap().len(), 128 + 24);
    }

    #[test]
    fn headers_are_of_numpys_form() {
        let text = |shape: &[usize]| String::from_utf8(header(shape, false, "<f8")[10..].to_vec()).unwrap();
        assert!(text(&[]).starts_with("{'descr': '<f8', 'fortran_order': False, 'shape': (), }"));
        assert!(text(&[7]).starts_with("{'descr': '<f8', 'fortran_order': False, 'shape': (7,), }"));
        assert!(text(&[7, 8, 9]).ends_with(" \n"));
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values.npy");
        let failure = |bytes: &[u8]| {
            fs_err::write(&path, bytes).unwrap();
            NpyFile::open(&path).unwrap_err().message
        };
        let whole = [header(&[2], false, "<f8"), vec![0; 16]].concat();
        assert!(failure(&whole[..whole.len() - 1]).contains("cut off"));
        assert!(failure(&whole[..20]).contains("cut off"));
        assert!(failure(b"").contains("not an `.npy` file"));
        let integers = String::from_utf8_lossy(&whole).replace("<f8", "<i8").into_bytes();
        assert!(!integers.is_empty());
        let mut integers = whole.clone();
        let at = integers.windows(3).position(|three| three == b"<f8").unwrap();
        integers[at + 1] = b'i';
        assert_eq!(failure(&integers), "the array holds `<i8`, expected floats (`<f4` or `<f8`)");
    }
}
