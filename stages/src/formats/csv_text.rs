//! CSV files that others wrote, a record at a time: which character divides the fields, what the columns are called, and on which line
//! a fault is. Decides nothing about what the fields mean.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use csv::{Position, Reader, ReaderBuilder, StringRecord};
use fs_err::File;
use pipe_contract::Failure;

/// Characters that may divide fields; the one of which the first line has most does.
const DIVIDERS: [u8; 3] = *b",\t;";
/// As much of a file as is looked at for that.
const HEAD: u64 = 1 << 16;

/// A file with a line of names, whose records are read one after the other.
pub struct CsvText {
    path: PathBuf,
    reader: Reader<std::fs::File>,
    names: Vec<String>,
    record: StringRecord,
}

impl CsvText {
    /// Opens a file and reads the names of its columns. One without a name, as pandas writes an index, is called `column_N`.
    ///
    /// # Errors
    /// Input: the file is missing or no text, has no line, or two columns of one name. Environment: it cannot be read.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let io = |error: std::io::Error| Failure::io("read", path, &error);
        let mut file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::input("the file does not exist").at(path.display().to_string()),
            _ => io(error),
        })?;
        let mut head = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut head).map_err(io)?;
        file.rewind().map_err(io)?;
        let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |divider: &u8| first.iter().filter(|byte| *byte == divider).count();
        // The first of those that are there equally often.
        let divider = DIVIDERS.into_iter().rev().max_by_key(count).unwrap_or(b',');
        let mut reader = ReaderBuilder::new().delimiter(divider).from_reader(file.into_file());
        let headers = reader.headers().map_err(|error| unreadable(path, &error))?;
        let names: Vec<String> = (1..)
            .zip(headers)
            .map(|(number, name)| if name.trim().is_empty() { unnamed(number) } else { name.trim().to_owned() })
            .collect();
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        let at = |message: String| Failure::input(message).at(path.display().to_string());
        if let Some(twice) = sorted.windows(2).find(|two| two[0] == two[1]) {
            return Err(at(format!("two columns are called `{}`, expected each name once", twice[0])));
        }
        if names.is_empty() {
            return Err(at("the file is empty, expected a line with the names of columns".to_owned()));
        }
        Ok(Self { path: path.to_path_buf(), reader, names, record: StringRecord::new() })
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The fields of the next record, as many as there are names; `None` after the last.
    ///
    /// # Errors
    /// Input: another number of fields, or no text.
    pub fn read(&mut self) -> Result<Option<&StringRecord>, Failure> {
        match self.reader.read_record(&mut self.record) {
            Ok(true) => Ok(Some(&self.record)),
            Ok(false) => Ok(None),
            Err(error) => Err(unreadable(&self.path, &error)),
        }
    }

    /// A fault of the record that was read last.
    pub fn fault(&self, message: impl Into<String>) -> Failure {
        Failure::input(message).at(place(&self.path, self.record.position()))
    }
}

/// What the column of this number, from 1, is called if it has no name.
pub fn unnamed(number: usize) -> String {
    format!("column_{number}")
}

/// Whether a field says that there is no value.
pub fn is_missing(field: &str) -> bool {
    matches!(field.trim(), "" | "NA" | "N/A" | "NaN" | "nan" | "null" | "NULL" | "None" | "<NA>")
}

fn unreadable(path: &Path, error: &csv::Error) -> Failure {
    match error.kind() {
        csv::ErrorKind::Io(error) => Failure::io("read", path, error),
        _ => Failure::input(format!("not a CSV file: {error}")).at(place(path, error.position())),
    }
}

fn place(path: &Path, position: Option<&Position>) -> String {
    match position {
        Some(position) => format!("{}:{}", path.display(), position.line()),
        None => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs_err::write(&path, text).unwrap();
        let mut file = CsvText::open(&path)?;
        let mut records = Vec::new();
        while let Some(record) = file.read()? {
            records.push(record.iter().map(String::from).collect());
        }
        Ok((file.names().to_vec(), records))
    }

    #[test]
    fn dividers_and_names_are_found() {
        for divider in [",", "\t", ";"] {
            let text = "\u{feff} id ,x,\n1,\"a b\",\n".replace(',', divider);
            let (names, records) = read(text.as_bytes()).unwrap();
            assert_eq!(names, ["id", "x", "column_3"], "{divider:?}");
            assert_eq!(records, [["1", "a b", ""]]);
        }
        assert_eq!(read(b"id\na\n\nb\n").unwrap().1, [["a"], ["b"]]);
    }

    #[test]
    fn faults_have_a_line() {
        let failure = read(b"a,b\n1,2\n3\n").unwrap_err();
        assert!(failure.message.starts_with("not a CSV file"), "{failure:?}");
        assert!(failure.place.unwrap().ends_with("t.csv:3"));
        assert!(read(b"a,b,a\n").unwrap_err().message.contains("two columns are called `a`"));
        assert!(read(b"").unwrap_err().message.contains("empty"));
        assert!(read(b"a,b\n\xff,1\n").unwrap_err().message.starts_with("not a CSV file"));
        assert!(is_missing(" ") && is_missing("nan") && !is_missing("0"));
    }
}
