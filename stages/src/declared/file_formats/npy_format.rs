//! Arrays that NumPy saved: floats compared number by number, in blocks, so that arrays larger than memory can be compared;
//! arrays of anything else must hold the same.

use std::path::Path;

use pipe_contract::Failure;

use super::arrays::NumberRange;
use super::difference::{Differences, largest_of_finite, place_in};
use crate::formats::npy_file::NpyFile;
use crate::formats::numpy::{self, Array};

/// So many numbers are held at once.
const BLOCK: usize = 1 << 20;

/// Types, shapes and the order of axes must be the same; only floats of 32 or 64 bits may differ, and be missing at the same places.
pub(super) fn compare(before: &Path, now: &Path) -> Result<f64, String> {
    match (NpyFile::open(before), NpyFile::open(now)) {
        (Ok(before), Ok(now)) => compare_floats(&before, &now),
        // Something else than floats, or damaged: the reader of whole arrays says how.
        _ => {
            let read = |path: &Path| numpy::read_npy(path).map_err(|failure| failure.to_string());
            compare_whole(&read(before)?, &read(now)?)
        }
    }
}

fn compare_floats(before: &NpyFile, now: &NpyFile) -> Result<f64, String> {
    let form = |file: &NpyFile| {
        let order = if file.by_column() { "column" } else { "row" };
        format!("{} of shape {:?} by {order}", file.float_type().word(), file.shape())
    };
    if form(before) != form(now) {
        return Err(format!("it was {} and is {} now", form(before), form(now)));
    }
    let mut largest = 0.0_f64;
    for (first, count) in blocks(before) {
        let read = |file: &NpyFile| file.read::<f64>(first, count).map_err(|failure| failure.to_string());
        let place = |index| place_in(before.shape(), before.by_column(), first + index);
        largest = largest.max(largest_of_finite(read(before)?.into_iter(), read(now)?.into_iter(), place)?);
    }
    Ok(largest)
}

/// Of floats; of other elements, [`compare`] has said it.
pub(super) fn explain(before: &Path, now: &Path, tolerance: f64) -> Option<String> {
    let (before, now) = (NpyFile::open(before).ok()?, NpyFile::open(now).ok()?);
    let mut differences = Differences::beyond(tolerance);
    for (first, count) in blocks(&before) {
        let numbers = before.read::<f64>(first, count).ok()?.into_iter().zip(now.read::<f64>(first, count).ok()?);
        for (index, (a, b)) in numbers.enumerate() {
            differences.add(a, b, || place_in(before.shape(), before.by_column(), first + index));
        }
    }
    differences.words()
}

/// The first number of every block, and how many it has.
fn blocks(file: &NpyFile) -> impl Iterator<Item = (usize, usize)> {
    let count: usize = file.shape().iter().product();
    (0..count).step_by(BLOCK).map(move |first| (first, BLOCK.min(count - first)))
}

fn compare_whole(before: &Array, now: &Array) -> Result<f64, String> {
    if before.shape() != now.shape() {
        return Err(format!("it was of shape {:?} and is of shape {:?} now", before.shape(), now.shape()));
    }
    if before == now {
        return Ok(0.0);
    }
    if let (Ok(a), Ok(b)) = (before.whole_numbers(), now.whole_numbers())
        && let Some(first) = a.iter().zip(&b).position(|(a, b)| a != b)
    {
        let place = place_in(before.shape(), false, first);
        return Err(format!("at {place:?} it was {} and is {} now", a[first], b[first]));
    }
    Err("its elements are of another type, or differ and are not numbers that can be compared".to_owned())
}

pub(super) fn summary(path: &Path) -> Result<String, Failure> {
    let Ok(file) = NpyFile::open(path) else { return summary_of_whole(path) };
    let mut range = NumberRange::default();
    for (first, count) in blocks(&file) {
        file.read::<f64>(first, count)?.into_iter().for_each(|number| range.add(number));
    }
    Ok(format!("{} {:?}, {range}\n", file.float_type().word(), file.shape()))
}

fn summary_of_whole(path: &Path) -> Result<String, Failure> {
    let array = numpy::read_npy(path)?;
    let numbers = array.whole_numbers().unwrap_or_default();
    let range = match numbers.iter().min().zip(numbers.iter().max()) {
        Some((least, most)) => format!(", whole numbers from {least} to {most}"),
        None => String::new(),
    };
    Ok(format!("an array {:?}{range}\n", array.shape()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::formats::npy_file::{FloatType, NpyWriter};

    struct Two(tempfile::TempDir);

    impl Two {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, shape: &[usize], by_column: bool, numbers: &[f64]) -> PathBuf {
            let path = self.0.path().join(name);
            let writer = NpyWriter::create(&path, shape, by_column, FloatType::F64).unwrap();
            writer.write_at(0, numbers).unwrap();
            path
        }

        /// The same bits as whole numbers of 64 bits.
        fn whole(&self, name: &str, bits: &[u64]) -> PathBuf {
            let floats: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
            let path = self.file(name, &[bits.len()], false, &floats);
            let mut bytes = fs_err::read(&path).unwrap();
            let at = bytes.windows(3).position(|three| three == b"<f8").unwrap();
            bytes[at + 1] = b'i';
            fs_err::write(&path, bytes).unwrap();
            path
        }
    }

    #[test]
    fn floats_are_compared_by_number_and_missing_ones_by_place() {
        let two = Two::new();
        let before = two.file("a.npy", &[2, 2], true, &[1.0, 0.5, f64::NAN, 400.0]);
        let compare_with = |numbers: [f64; 4]| compare(&before, &two.file("b.npy", &[2, 2], true, &numbers));
        assert_eq!(compare_with([1.0, 0.5, f64::NAN, 400.0]), Ok(0.0));
        assert_eq!(compare_with([1.0, 0.25, f64::NAN, 300.0]), Ok(0.25));
        assert_eq!(compare_with([1.0, 0.5, 2.0, 400.0]).unwrap_err(), "at [0, 1] it was NaN and is 2 now");
        assert_eq!(compare_with([1.0, f64::NAN, 2.0, 0.0]).unwrap_err(), "at [1, 0] it was 0.5 and is NaN now");
        let now = two.file("b.npy", &[2, 2], true, &[1.0, 0.25, f64::NAN, 300.0]);
        let words = "2 by more, at most by 1.00e2 and by 5.00e-1 of the larger number; first at [1, 0] it was 0.5 and is 0.25 now";
        assert_eq!(explain(&before, &now, 1e-6).unwrap(), words);
        assert_eq!(explain(&before, &now, 0.3), None);
        assert_eq!(summary(&before).unwrap(), "float64 [2, 2], 0.5000 to 400.0000, 1 missing\n");
    }

    #[test]
    fn blocks_reach_the_last_number() {
        let two = Two::new();
        let mut numbers = vec![0.0; BLOCK + 3];
        let before = two.file("a.npy", &[BLOCK + 3], false, &numbers);
        numbers[BLOCK + 2] = 0.125;
        assert_eq!(compare(&before, &two.file("b.npy", &[BLOCK + 3], false, &numbers)), Ok(0.125));
        numbers[BLOCK + 2] = f64::NAN;
        let failure = compare(&before, &two.file("b.npy", &[BLOCK + 3], false, &numbers)).unwrap_err();
        assert_eq!(failure, "at [1048578] it was 0 and is NaN now");
    }

    #[test]
    fn other_forms_and_types_are_different() {
        let two = Two::new();
        let before = two.file("a.npy", &[2, 1], true, &[1.0, 2.0]);
        let other = compare(&before, &two.file("b.npy", &[1, 2], true, &[1.0, 2.0])).unwrap_err();
        assert_eq!(other, "it was float64 of shape [2, 1] by column and is float64 of shape [1, 2] by column now");
        let narrow = two.0.path().join("n.npy");
        NpyWriter::create(&narrow, &[2, 1], true, FloatType::F32).unwrap().write_at(0, &[1.0_f32, 2.0]).unwrap();
        assert!(compare(&before, &narrow).unwrap_err().contains("is float32 of shape [2, 1]"));
        let whole = two.whole("w.npy", &[1, 7]);
        assert!(compare(&before, &whole).unwrap_err().contains("of shape [2, 1] and is of shape [2] now"));
        let cut = two.0.path().join("c.npy");
        let bytes = fs_err::read(&before).unwrap();
        fs_err::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
        assert!(compare(&before, &cut).unwrap_err().contains("cut off"));
    }

    #[test]
    fn whole_numbers_must_be_the_same() {
        let two = Two::new();
        let before = two.whole("a.npy", &[3, 7, 5]);
        assert_eq!(compare(&before, &two.whole("b.npy", &[3, 7, 5])), Ok(0.0));
        assert_eq!(compare(&before, &two.whole("b.npy", &[3, 8, 5])).unwrap_err(), "at [1] it was 7 and is 8 now");
        assert_eq!(summary(&before).unwrap(), "an array [3], whole numbers from 3 to 7\n");
    }
}
