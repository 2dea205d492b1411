//! Named tensors in safetensors files.
//!
//! Read through the `safetensors` crate, which checks the whole header. Written here, because that crate keeps the
//! metadata in a hash map, so that two writes of equal tensors may differ in bytes. The header is written as the
//! format asks: its length (u64, little-endian), JSON padded with spaces to a multiple of 8, then the values. Tensors
//! with wider numbers come first, equal ones by name, as every known writer does.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use fs_err::File;
use pipe_contract::Failure;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, json};

/// A tensor: its shape and its values, the last axis running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes; empty for a single number.
    pub shape: Vec<usize>,
    /// As many values as the product of the shape.
    pub values: TensorValues,
}

/// Values of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorValues {
    /// 32-bit floats: images, weights.
    F32(Vec<f32>),
    /// 64-bit whole numbers: counters of batch normalisation.
    I64(Vec<i64>),
}

/// Named tensors and named texts about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors {
    /// Tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// The file's metadata, such as `channels`.
    pub metadata: BTreeMap<String, String>,
}

impl Tensor {
    /// A tensor of 32-bit floats.
    pub fn f32(shape: &[usize], values: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), values: TensorValues::F32(values) }
    }

    /// A tensor of 64-bit whole numbers.
    pub fn i64(shape: &[usize], values: Vec<i64>) -> Self {
        Self { shape: shape.to_vec(), values: TensorValues::I64(values) }
    }
}

impl TensorValues {
    fn len(&self) -> usize {
        match self {
            TensorValues::F32(values) => values.len(),
            TensorValues::I64(values) => values.len(),
        }
    }

    fn dtype(&self) -> (&'static str, usize) {
        match self {
            TensorValues::F32(_) => ("F32", 4),
            TensorValues::I64(_) => ("I64", 8),
        }
    }

    fn write(&self, into: &mut impl Write) -> std::io::Result<()> {
        match self {
            TensorValues::F32(values) => values.iter().try_for_each(|value| into.write_all(&value.to_le_bytes())),
            TensorValues::I64(values) => values.iter().try_for_each(|value| into.write_all(&value.to_le_bytes())),
        }
    }
}

impl Tensors {
    /// No tensors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.tensors.insert(name.into(), tensor);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn about(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), text.into());
        self
    }

    /// The shape and values of a tensor of 32-bit floats.
    ///
    /// # Errors
    /// Input: no such tensor, or one of whole numbers; the message lists them.
    pub fn floats(&self, name: &str) -> Result<(&[usize], &[f32]), Failure> {
        match self.tensors.get(name) {
            Some(Tensor { shape, values: TensorValues::F32(values) }) => Ok((shape, values)),
            Some(_) => Err(Failure::input(format!("tensor `{name}` holds whole numbers, 32-bit floats were expected"))),
            None => {
                let there: Vec<_> = self.tensors.keys().map(|name| format!("`{name}`")).collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                Err(Failure::input(format!("there is no tensor `{name}`; the file has {there}")))
            }
        }
    }

    /// A text of the metadata.
    ///
    /// # Errors
    /// Input: there is no such text.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        self.metadata.get(name).map(String::as_str).ok_or_else(|| {
            Failure::input(format!("the metadata of the file has no `{name}`"))
                .hint("was the file written by another program?")
        })
    }

    /// A text of the metadata that lists names separated by commas, such as `channels`.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn names(&self, name: &str) -> Result<Vec<&str>, Failure> {
        Ok(self.text(name)?.split(',').collect())
    }
}

/// Writes tensors; equal tensors give equal bytes.
///
/// # Errors
/// Internal: a tensor's shape and values disagree. Environment: the file cannot be written.
pub fn write(path: &Path, tensors: &Tensors) -> Result<(), Failure> {
    let (header, ordered) = header(tensors)?;
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        ordered.iter().try_for_each(|tensor| tensor.values.write(&mut file))?;
        file.flush()
    };
    write().map_err(|error| Failure::io("write", path, &error))
}

fn header(tensors: &Tensors) -> Result<(String, Vec<&Tensor>), Failure> {
    let mut ordered: Vec<_> = tensors.tensors.iter().collect();
    ordered.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.values.dtype().1));
    let mut entries = Vec::with_capacity(ordered.len() + 1);
    if !tensors.metadata.is_empty() {
        let texts: Map<_, _> = tensors.metadata.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
        entries.push(format!("\"__metadata__\":{}", json!(texts)));
    }
    let mut offset = 0;
    for (name, tensor) in &ordered {
        let (dtype, width) = tensor.values.dtype();
        if tensor.shape.iter().product::<usize>() != tensor.values.len() {
            let (shape, count) = (&tensor.shape, tensor.values.len());
            return Err(Failure::internal(format!("tensor `{name}` has the shape {shape:?} but {count} values")));
        }
        let end = offset + width * tensor.values.len();
        // Written by hand for the order of the keys, which readers do not need but other writers have.
        let (name, shape) = (json!(name), json!(tensor.shape));
        entries.push(format!("{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{offset},{end}]}}"));
        offset = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    let padded = header.len().next_multiple_of(8);
    header.extend(std::iter::repeat_n(' ', padded - header.len()));
    Ok((header, ordered.into_iter().map(|(_, tensor)| tensor).collect()))
}

/// Reads all tensors of a file. Half-precision floats (`F16`, `BF16`) and doubles are not taken: nothing here writes them.
///
/// # Errors
/// Input: not a whole safetensors file, or a tensor of another type. Environment: the file cannot be read.
pub fn read(path: &Path) -> Result<Tensors, Failure> {
    let bytes = fs_err::read(path).map_err(|error| Failure::io("read", path, &error))?;
    parse(&bytes).map_err(|failure| failure.at(path.display().to_string()))
}

fn parse(bytes: &[u8]) -> Result<Tensors, Failure> {
    let broken = |error| Failure::input(format!("not a readable safetensors file: {error}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let values = match view.dtype() {
            Dtype::F32 => TensorValues::F32(numbers(view.data(), f32::from_le_bytes)),
            Dtype::I64 => TensorValues::I64(numbers(view.data(), i64::from_le_bytes)),
            other => {
                return Err(Failure::input(format!("tensor `{name}` is of type {other:?}, expected F32 or I64")));
            }
        };
        tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), values });
    }
    let metadata = header.metadata().iter().flatten().map(|(name, text)| (name.clone(), text.clone())).collect();
    Ok(Tensors { tensors, metadata })
}

fn numbers<const WIDTH: usize, N>(bytes: &[u8], convert: impl Fn([u8; WIDTH]) -> N) -> Vec<N> {
    let (chunks, _) = bytes.as_chunks::<WIDTH>();
    chunks.iter().map(|chunk| convert(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Tensors {
        Tensors::new()
            .with("weights", Tensor::f32(&[2, 3], vec![0.5, -1.0, f32::MAX, 0.0, 1e-30, 7.0]))
            .with("batches", Tensor::i64(&[], vec![-12]))
            .with("bias", Tensor::f32(&[1], vec![0.25]))
            .about("sid", "s\"01")
            .about("channels", "x,y,z")
    }

    fn bytes(tensors: &Tensors) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        write(&path, tensors).unwrap();
        fs_err::read(path).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let read = parse(&bytes(&example())).unwrap();
        assert_eq!(read, example());
        assert_eq!(read.floats("weights").unwrap().0, [2, 3]);
        assert_eq!(read.names("channels").unwrap(), ["x", "y", "z"]);
        assert_eq!(parse(&bytes(&Tensors::new())).unwrap(), Tensors::new());
    }

    #[test]
    fn the_header_is_aligned_and_sorted() {
        let bytes = bytes(&example());
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(length % 8, 0);
        let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap().trim_end();
        assert_eq!(
            header,
            concat!(
                r#"{"__metadata__":{"channels":"x,y,z","sid":"s\"01"},"#,
                r#""batches":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#,
                r#""bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"#,
                r#""weights":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]}}"#
            )
        );
    }

    #[test]
    fn bad_files_are_refused() {
        let whole = bytes(&example());
        for cut in [0, 7, 40, whole.len() - 1] {
            let failure = parse(&whole[..cut]).unwrap_err();
            assert!(failure.message.starts_with("not a readable safetensors file"), "{failure}");
        }
        let folder = tempfile::tempdir().unwrap();
        let wrong = Tensors::new().with("a", Tensor::f32(&[3], vec![1.0]));
        assert!(write(&folder.path().join("t"), &wrong).unwrap_err().message.contains("shape [3] but 1 values"));
        assert!(example().floats("batches").unwrap_err().message.contains("whole numbers"));
        assert!(example().floats("images").unwrap_err().message.contains("the file has `batches`, `bias`, `weights`"));
        assert!(example().text("rater").is_err());
    }
}
