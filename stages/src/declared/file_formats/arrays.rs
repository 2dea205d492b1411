//! Arrays of numbers: tensors and maps of the cortex, compared number by number, summed up in a few lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use pipe_contract::Failure;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::difference::largest;
use crate::formats::mgh::{self, MghValues};

/// So many tensors are listed in a summary.
const LISTED: usize = 20;

/// Names, types, shapes and metadata must be the same; only floating-point numbers may differ.
pub(super) fn compare_safetensors(before: &Path, now: &Path) -> Result<f64, String> {
    let read = |path: &Path| fs_err::read(path).map_err(|error| Failure::io("read", path, &error).to_string());
    let (before, now) = (read(before)?, read(now)?);
    let broken = |error| format!("it is not a safetensors file: {error}");
    let metadata = |bytes| SafeTensors::read_metadata(bytes).map(|(_, header)| header.metadata().clone());
    if metadata(&before).map_err(broken)? != metadata(&now).map_err(broken)? {
        return Err("its metadata differ".to_owned());
    }
    let before = SafeTensors::deserialize(&before).map_err(broken)?;
    let now = SafeTensors::deserialize(&now).map_err(broken)?;
    let by_name = |file: &SafeTensors<'_>| file.names().into_iter().map(String::from).collect::<Vec<_>>();
    let (mut names, mut other) = (by_name(&before), by_name(&now));
    names.sort();
    other.sort();
    if names != other {
        return Err("it has tensors of other names".to_owned());
    }
    let mut all = 0.0_f64;
    for name in names {
        let (a, b) = (before.tensor(&name).map_err(broken)?, now.tensor(&name).map_err(broken)?);
        if (a.dtype(), a.shape()) != (b.dtype(), b.shape()) {
            return Err(format!("tensor `{name}` has another type or shape"));
        }
        match (floats(&a), floats(&b)) {
            (Some(a), Some(b)) => all = all.max(largest(a.into_iter(), b.into_iter())),
            _ if a.data() == b.data() => {}
            _ => return Err(format!("tensor `{name}` differs and is not of floating-point numbers")),
        }
    }
    Ok(all)
}

/// The numbers of a tensor of 32-bit or 64-bit floats.
fn floats(tensor: &TensorView<'_>) -> Option<Vec<f64>> {
    match tensor.dtype() {
        Dtype::F32 => {
            let number = |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes));
            Some(tensor.data().as_chunks::<4>().0.iter().map(number).collect())
        }
        Dtype::F64 => {
            let number = |bytes: &[u8; 8]| f64::from_le_bytes(*bytes);
            Some(tensor.data().as_chunks::<8>().0.iter().map(number).collect())
        }
        _ => None,
    }
}

pub(super) fn summary_of_safetensors(path: &Path) -> Result<String, Failure> {
    let bytes = fs_err::read(path).map_err(|error| Failure::io("read", path, &error))?;
    let broken =
        |error| Failure::input(format!("not a readable safetensors file: {error}")).at(path.display().to_string());
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let mut tensors: Vec<(String, TensorView<'_>)> = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = String::new();
    for (name, value) in header.metadata().iter().flatten().collect::<BTreeMap<_, _>>() {
        let _ = writeln!(text, "{name}: {value}");
    }
    for (name, tensor) in tensors.iter().take(LISTED) {
        let range = floats(tensor).map_or_else(String::new, |numbers| format!(", {}", range(&numbers)));
        let _ = writeln!(text, "{name}  {} {:?}{range}", tensor.dtype(), tensor.shape());
    }
    if tensors.len() > LISTED {
        let _ = writeln!(text, "and {} more tensors", tensors.len() - LISTED);
    }
    Ok(text)
}

/// Numbers by their difference; labels, which are names, by the share of vertices at which they differ.
pub(super) fn compare_mgh(before: &Path, now: &Path) -> Result<f64, String> {
    let read = |path: &Path| mgh::read(path).map_err(|failure| failure.to_string());
    let of_other_length = |a: usize, b: usize| Err(format!("it had {a} values and has {b} now"));
    match (read(before)?, read(now)?) {
        (MghValues::Float32(a), MghValues::Float32(b)) if a.len() != b.len() => of_other_length(a.len(), b.len()),
        (MghValues::Int32(a), MghValues::Int32(b)) if a.len() != b.len() => of_other_length(a.len(), b.len()),
        (MghValues::Float32(a), MghValues::Float32(b)) => {
            Ok(largest(a.into_iter().map(f64::from), b.into_iter().map(f64::from)))
        }
        (MghValues::Int32(a), MghValues::Int32(b)) => {
            let differ = a.iter().zip(&b).filter(|(a, b)| a != b).count();
            Ok(share(differ, a.len()))
        }
        _ => Err("it holds numbers of another type".to_owned()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "vertices of a hemisphere, far below 2^52")]
fn share(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}

pub(super) fn summary_of_mgh(path: &Path) -> Result<String, Failure> {
    Ok(match mgh::read(path)? {
        MghValues::Float32(values) => {
            let numbers: Vec<f64> = values.into_iter().map(f64::from).collect();
            format!("{} numbers, {}\n", numbers.len(), range(&numbers))
        }
        MghValues::Int32(values) => {
            let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
            values.iter().for_each(|value| *counts.entry(*value).or_default() += 1);
            let listed: Vec<String> =
                counts.iter().take(LISTED).map(|(label, count)| format!("{label}: {count}")).collect();
            let more = if counts.len() > LISTED { ", ..." } else { "" };
            format!("{} labels of {} vertices: {}{more}\n", counts.len(), values.len(), listed.join(", "))
        }
    })
}

/// The least and the greatest of numbers, and how many are not finite.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberRange {
    ends: Option<(f64, f64)>,
    missing: usize,
}

impl NumberRange {
    /// With one more number.
    pub(super) fn add(&mut self, number: f64) {
        match self.ends {
            _ if !number.is_finite() => self.missing += 1,
            None => self.ends = Some((number, number)),
            Some((least, most)) => self.ends = Some((least.min(number), most.max(number))),
        }
    }
}

impl std::fmt::Display for NumberRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ends {
            Some((least, most)) => write!(f, "{least:.4} to {most:.4}")?,
            None => f.write_str("no number")?,
        }
        match self.missing {
            0 => Ok(()),
            missing => write!(f, ", {missing} missing"),
        }
    }
}

fn range(numbers: &[f64]) -> NumberRange {
    let mut range = NumberRange::default();
    numbers.iter().for_each(|number| range.add(*number));
    range
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tensors::{self, Tensor, Tensors};

    #[test]
    fn tensors_are_compared_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, values: Vec<f32>, count: i64| {
            let path = folder.path().join(name);
            let file = Tensors::new()
                .with("w", Tensor::f32(&[values.len()], values))
                .with("n", Tensor::i64(&[], vec![count]))
                .about("sid", "s01");
            tensors::write(&path, &file).unwrap();
            path
        };
        let compare = |a: Vec<f32>, b: Vec<f32>| compare_safetensors(&write("a", a, 1), &write("b", b, 1));
        assert_eq!(compare(vec![1.0, f32::NAN], vec![1.0, f32::NAN]), Ok(0.0));
        assert_eq!(compare(vec![1.0, 0.5], vec![1.0, 0.25]), Ok(0.25));
        assert_eq!(compare(vec![1.0, 0.5], vec![1.0, f32::NAN]), Ok(f64::INFINITY));
        assert_eq!(compare(vec![1.0], vec![1.0, 2.0]).unwrap_err(), "tensor `w` has another type or shape");
        let other = compare_safetensors(&write("a", vec![1.0], 1), &write("b", vec![1.0], 2)).unwrap_err();
        assert_eq!(other, "tensor `n` differs and is not of floating-point numbers");
        let summary = summary_of_safetensors(&write("a", vec![1.0, -0.5, f32::NAN], 1)).unwrap();
        assert_eq!(summary, "sid: s01\nn  I64 []\nw  F32 [3], -0.5000 to 1.0000, 1 missing\n");
    }

    #[test]
    fn labels_are_compared_by_the_share_of_vertices_and_maps_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.mgz"), folder.path().join("b.mgz"));
        mgh::write_i32(&a, &[0, 1, 2, 3]).unwrap();
        mgh::write_i32(&b, &[0, 1, 2, 1]).unwrap();
        assert_eq!(compare_mgh(&a, &b), Ok(0.25));
        assert_eq!(summary_of_mgh(&b).unwrap(), "3 labels of 4 vertices: 0: 1, 1: 2, 2: 1\n");
        mgh::write_f32(&b, &[0.5, f32::NAN]).unwrap();
        assert_eq!(compare_mgh(&a, &b).unwrap_err(), "it holds numbers of another type");
        mgh::write_f32(&a, &[0.25, f32::NAN]).unwrap();
        assert_eq!(compare_mgh(&a, &b), Ok(0.25));
        assert_eq!(summary_of_mgh(&b).unwrap(), "2 numbers, 0.5000 to 0.5000, 1 missing\n");
    }
}
