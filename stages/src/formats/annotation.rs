//! FreeSurfer's annotations (`lh.aparc.annot`): one label a vertex, with names and colours.
//!
//! Big-endian: the number of vertices; for each its number and a colour that stands for the label (red + 256 green + 65536 blue); then 1
//! (a table of colours follows), -2 (its version), its length, the name of the file that it came from, and the entries: number,
//! name, red, green, blue, transparency. Only written here.

use std::collections::BTreeSet;
use std::path::Path;

use pipe_contract::Failure;

use super::binary;

/// A label: its number is its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnotationEntry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Red, green, blue; every entry must have its own.
    pub colour: [u8; 3],
}

/// Writes an annotation; labels are numbers of entries.
///
/// # Errors
/// Internal: a label without an entry, or two entries of one colour. Environment: the file cannot be written.
pub fn write(path: &Path, labels: &[i32], table: &[AnnotationEntry<'_>]) -> Result<(), Failure> {
    binary::write(path, &format(labels, table)?)
}

fn format(labels: &[i32], table: &[AnnotationEntry<'_>]) -> Result<Vec<u8>, Failure> {
    let colours: BTreeSet<[u8; 3]> = table.iter().map(|entry| entry.colour).collect();
    if colours.len() != table.len() {
        return Err(Failure::internal("two entries of an annotation have one colour"));
    }
    let mut bytes = Vec::with_capacity(8 * labels.len() + 1000);
    push(&mut bytes, labels.len());
    for (vertex, label) in labels.iter().enumerate() {
        let entry = usize::try_from(*label).ok().and_then(|label| table.get(label));
        let [red, green, blue] =
            entry.ok_or_else(|| Failure::internal(format!("no entry for the label {label}")))?.colour.map(usize::from);
        push(&mut bytes, vertex);
        push(&mut bytes, red | green << 8 | blue << 16);
    }
    push(&mut bytes, 1);
    bytes.extend((-2_i32).to_be_bytes());
    push(&mut bytes, table.len());
    push_text(&mut bytes, "colours");
    push(&mut bytes, table.len());
    for (number, entry) in table.iter().enumerate() {
        push(&mut bytes, number);
        push_text(&mut bytes, entry.name);
        entry.colour.iter().for_each(|part| push(&mut bytes, usize::from(*part)));
        push(&mut bytes, 0);
    }
    Ok(bytes)
}

fn push(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

/// A text with its length, both with the zero at its end.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push(bytes, text.len() + 1);
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_has_a_colour_a_vertex_and_a_table() {
        let table = [
            AnnotationEntry { name: "none", colour: [25, 5, 25] },
            AnnotationEntry { name: "V1 (0-7 deg)", colour: [200, 60, 40] },
        ];
        let bytes = format(&[1, 0], &table).unwrap();
        let number = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((number(0), number(4), number(12)), (2, 0, 1));
        assert_eq!(number(8), 200 + 256 * 60 + 65536 * 40);
        assert_eq!((number(20), number(24), number(28)), (1, -2, 2));
        assert!(bytes.windows(13).any(|part| part == b"V1 (0-7 deg)\0"));
        assert!(format(&[2], &table).is_err() && format(&[0], &[table[0], table[0]]).is_err());
    }
}
