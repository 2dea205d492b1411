//! JSON files of a known form: small files of an artifact that say what it is.
//!
//! Decides how a wrong one is reported, and that a written one is indented and ends with a line. Independent of what is in them.

use std::path::Path;

use fs_err as fs;
use pipe_contract::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a JSON file.
///
/// # Errors
/// Input: it is missing, not text, or of another form. Environment: it cannot be read.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let at = |failure: Failure| failure.at(path.display().to_string());
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => at(Failure::input("the file does not exist")),
        std::io::ErrorKind::InvalidData => at(Failure::input("the file is not text, expected JSON")),
        _ => Failure::io("read", path, &error),
    })?;
    serde_json::from_str(&text).map_err(|error| at(Failure::input(format!("not what is expected here: {error}"))))
}

/// Writes a JSON file.
///
/// # Errors
/// Environment: it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::internal(format!("could not write `{}` as JSON: {error}", path.display())))?
        + "\n";
    fs::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("about.json");
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  1,\n  2\n]\n");
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), [1, 2]);
        let failure = read_json::<Vec<String>>(&path).unwrap_err();
        assert!(failure.message.starts_with("not what is expected here"), "{failure}");
        assert!(failure.place.unwrap().ends_with("about.json"));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(read_json::<u8>(&path).unwrap_err().message, "the file is not text, expected JSON");
        fs::remove_file(&path).unwrap();
        assert_eq!(read_json::<u8>(&path).unwrap_err().message, "the file does not exist");
    }
}
