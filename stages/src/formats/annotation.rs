//! FreeSurfer's annotations (`lh.aparc.annot`): one label a vertex, with names and colours.
//!
//! Big-endian: the number of vertices; for each its number and a colour that stands for the label (red + 256 green + 65536 blue); then 1
//! (a table of colours follows), -2 (its version), its length, the name of the file that it came from, and the entries: number,
//! name, red, green, blue, transparency. Read: this and the older table (its length in place of the version, entries without numbers). A
//! vertex belongs to the entry that has its colour; the transparency does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::Failure;

use super::binary::{self, Cursor};
use super::bounds::MOST_VERTICES;

/// More entries than any table of colours has.
const MOST_ENTRIES: usize = 100_000;
/// More bytes than a name has.
const MOST_NAME: usize = 10_000;
/// The version of the tables of colours that are written.
const VERSION: i32 = -2;

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

/// An annotation that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// By vertex the place of its entry in `table`; none if no entry has its colour.
    pub labels: Vec<Option<usize>>,
    /// The entries in their order.
    pub table: Vec<AnnotatedRegion>,
}

/// An entry of the table of colours of an annotation that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotatedRegion {
    /// Its number in the file, or its place in older tables.
    pub number: i32,
    /// Its name.
    pub name: String,
    /// Red, green, blue.
    pub colour: [u8; 3],
}

/// Reads an annotation.
///
/// # Errors
/// Input: the file is missing, cut off or in another format, has no table of colours, or names a vertex that is not there or one twice.
pub fn read(path: &Path) -> Result<Annotation, Failure> {
    parse(&binary::read(path)?).map_err(|failure| failure.at(path.display().to_string()))
}

fn parse(bytes: &[u8]) -> Result<Annotation, Failure> {
    let mut cursor = Cursor::new(bytes);
    let vertices = cursor.count("the number of vertices", 1, MOST_VERTICES)?;
    let pairs = cursor.fours(2 * vertices, "the list of vertices and colours", u32::from_be_bytes)?;
    let mut colours = vec![None; vertices];
    for [vertex, colour] in pairs.as_chunks::<2>().0 {
        let Some(place) = colours.get_mut(*vertex as usize) else {
            return Err(Failure::input(format!(
                "the annotation names vertex {vertex}, but it is of {vertices} vertices"
            )));
        };
        if place.replace(*colour & 0x00ff_ffff).is_some() {
            return Err(Failure::input(format!("the annotation has vertex {vertex} twice")));
        }
    }
    let has_table = cursor.left() > 0 && cursor.i32("the mark of a table of colours")? != 0;
    if !has_table {
        return Err(Failure::input("the annotation has no table of colours, so its regions have no names")
            .hint("write it with a table: `mris_ca_label`, `mri_surf2surf`, or `nibabel.freesurfer.write_annot`"));
    }
    let table = parse_table(&mut cursor)?;
    let mut places = BTreeMap::new();
    for (place, entry) in table.iter().enumerate() {
        // The first of entries with one colour, as nibabel has it.
        places.entry(code(entry.colour)).or_insert(place);
    }
    let labels = colours.into_iter().map(|colour| places.get(&colour?).copied()).collect();
    Ok(Annotation { labels, table })
}

fn parse_table(cursor: &mut Cursor<'_>) -> Result<Vec<AnnotatedRegion>, Failure> {
    let first = cursor.i32("the version of the table of colours")?;
    let is_numbered = first < 0;
    if is_numbered && first != VERSION {
        return Err(Failure::input(format!("the table of colours has version {}, expected 2", first.unsigned_abs())));
    }
    if is_numbered {
        cursor.count("the length of the table of colours", 0, MOST_ENTRIES)?;
    }
    parse_name(cursor, "the name of the table of colours")?;
    let count = match is_numbered {
        true => cursor.count("the number of entries", 0, MOST_ENTRIES)?,
        false => usize::try_from(first).unwrap_or_default(),
    };
    let mut table = Vec::new();
    for place in 0..count {
        let number = match is_numbered {
            true => cursor.i32("the number of an entry")?,
            false => i32::try_from(place).unwrap_or(i32::MAX),
        };
        let name = parse_name(cursor, "the name of an entry")?;
        let mut part =
            || Ok::<u8, Failure>(u8::try_from(cursor.count("a part of a colour", 0, 255)?).unwrap_or(u8::MAX));
        let colour = [part()?, part()?, part()?];
        cursor.i32("the transparency of an entry")?;
        table.push(AnnotatedRegion { number, name, colour });
    }
    Ok(table)
}

/// A text with its length, up to the first zero.
fn parse_name(cursor: &mut Cursor<'_>, what: &str) -> Result<String, Failure> {
    let length = cursor.count(what, 0, MOST_NAME)?;
    let bytes = cursor.take(length, what)?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(length);
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// The number that stands for a colour.
fn code(colour: [u8; 3]) -> u32 {
    let [red, green, blue] = colour.map(u32::from);
    red | green << 8 | blue << 16
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
        let entry = entry.ok_or_else(|| Failure::internal(format!("no entry for the label {label}")))?;
        push(&mut bytes, vertex);
        push(&mut bytes, code(entry.colour) as usize);
    }
    push(&mut bytes, 1);
    bytes.extend(VERSION.to_be_bytes());
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

    const TABLE: [AnnotationEntry<'_>; 3] = [
        AnnotationEntry { name: "unknown", colour: [25, 5, 25] },
        AnnotationEntry { name: "V1", colour: [200, 60, 40] },
        AnnotationEntry { name: "V2", colour: [0, 0, 0] },
    ];

    #[test]
    fn what_is_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lh.areas.annot");
        write(&path, &[1, 0, 2, 1], &TABLE).unwrap();
        let read = read(&path).unwrap();
        assert_eq!(read.labels, [Some(1), Some(0), Some(2), Some(1)]);
        let entry = &read.table[1];
        assert_eq!((entry.number, entry.name.as_str(), entry.colour), (1, "V1", [200, 60, 40]));
        assert_eq!(read.table.len(), 3);
    }

    /// Written by nibabel: `tests/fixtures/formats/make.py`.
    #[test]
    fn annotations_of_other_programs_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        let read = read(&folder.join("lh.areas.annot")).unwrap();
        assert_eq!(read.labels, [Some(1), Some(0), None, Some(2)]);
        let entry = |place: usize| (read.table[place].name.as_str(), read.table[place].colour);
        assert_eq!(
            [entry(0), entry(1), entry(2)],
            [("unknown", [25, 5, 25]), ("V1", [200, 60, 40]), ("V2", [1, 2, 3])]
        );
    }

    /// The bytes of an annotation: vertices with their colours, then a table of the older form.
    fn older(pairs: &[[u32; 2]], entries: &[(&str, [u32; 3])]) -> Vec<u8> {
        let mut numbers = vec![u32::try_from(pairs.len()).unwrap()];
        numbers.extend(pairs.iter().flatten());
        numbers.extend([1, u32::try_from(entries.len()).unwrap(), 2]);
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        bytes.extend(b"t\0");
        for (name, colour) in entries {
            push_text(&mut bytes, name);
            bytes.extend(colour.iter().chain(&[0]).flat_map(|part| part.to_be_bytes()));
        }
        bytes
    }

    #[test]
    fn older_tables_and_vertices_in_any_order_are_read() {
        // Vertex 0 has the colour of the second entry with a transparency, vertex 1 one that no entry has.
        let bytes = older(&[[1, 0x0909_0909], [0, 0xff00_0201], [2, 3]], &[("a", [3, 0, 0]), ("b", [1, 2, 0])]);
        let read = parse(&bytes).unwrap();
        assert_eq!(read.labels, [Some(1), None, Some(0)]);
        let names: Vec<(i32, &str)> = read.table.iter().map(|entry| (entry.number, entry.name.as_str())).collect();
        assert_eq!(names, [(0, "a"), (1, "b")]);
    }

    #[test]
    fn a_broken_annotation_is_refused() {
        let message = |bytes: &[u8]| parse(bytes).unwrap_err().message;
        let whole = older(&[[0, 3], [1, 3]], &[("a", [3, 0, 0])]);
        assert!(message(&whole[..whole.len() - 1]).contains("the file is cut off: the transparency of an entry"));
        assert!(message(&whole[..20]).contains("has no table of colours"));
        assert!(message(&[&whole[..20], &[0; 4]].concat()).contains("has no table of colours"));
        assert_eq!(message(&older(&[[0, 3], [2, 3]], &[])), "the annotation names vertex 2, but it is of 2 vertices");
        assert_eq!(message(&older(&[[1, 3], [1, 3]], &[])), "the annotation has vertex 1 twice");
        assert!(message(&older(&[[0, 3]], &[("a", [256, 0, 0])])).contains("a part of a colour is 256"));
        let mut other = format(&[0], &TABLE).unwrap();
        other[19] = 0xfd;
        assert!(message(&other).contains("version 3, expected 2"));
    }
}
