//! Digests of fetched files, as sources publish them: SHA-256 pins, MD5 entity tags.
//!
//! Not the digests of artifacts (the cache computes those); these compare what arrived with what was expected.

use std::io::Read;
use std::path::Path;

use fs_err::File;
use pipe_contract::Failure;

/// A SHA-256 as written in a file: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sha256(String);

impl Sha256 {
    /// Reads a pin as written in a pipeline file; `sha256:` in front and capitals are allowed.
    ///
    /// # Errors
    /// Input: anything but 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let digits = text.trim().strip_prefix("sha256:").unwrap_or(text.trim()).to_ascii_lowercase();
        if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(digits));
        }
        Err(Failure::input(format!("`{text}` is not a SHA-256, expected 64 hexadecimal digits"))
            .hint("`sha256sum FILE` prints it"))
    }

    /// Reads an optional pin: empty text is none.
    ///
    /// # Errors
    /// As [`Sha256::parse`].
    pub fn parse_optional(text: &str) -> Result<Option<Self>, Failure> {
        if text.trim().is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }

    /// The digest of a file.
    ///
    /// # Errors
    /// Environment: the file cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, Failure> {
        hash_file::<sha2::Sha256>(path).map(Self)
    }

    /// The digest of bytes.
    #[cfg(test)]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes)))
    }

    /// Compares a file with this pin.
    ///
    /// # Errors
    /// Input: another digest; `name` is what the message calls the file.
    pub fn check(&self, path: &Path, name: &str) -> Result<(), Failure> {
        let found = Self::of_file(path)?;
        if found == *self {
            return Ok(());
        }
        Err(Failure::input(format!("`{name}` has SHA-256 {}, expected {}, its pin", found.0, self.0)).hint(
            "the source serves another file than the one that was pinned: find out why before you change the pin",
        ))
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The MD5 of a file as 32 hexadecimal digits: what S3 gives as entity tag of an object stored in one part.
///
/// # Errors
/// Environment: the file cannot be read.
pub fn md5_of_file(path: &Path) -> Result<String, Failure> {
    hash_file::<md5::Md5>(path)
}

fn hash_file<D: sha2::Digest>(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::io("read", path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let mut digest = D::new();
    let mut block = vec![0; 1 << 17];
    loop {
        let count = file.read(&mut block).map_err(failed)?;
        if count == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&block[..count]);
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn pins_are_read_in_the_usual_spellings() {
        let pin = Sha256::parse(EMPTY).unwrap();
        assert_eq!(Sha256::parse(&format!("sha256:{}", EMPTY.to_uppercase())).unwrap(), pin);
        assert_eq!(Sha256::of_bytes(b""), pin);
        assert_eq!(Sha256::parse_optional(" ").unwrap(), None);
        assert!(Sha256::parse(&EMPTY[1..]).is_err());
        assert!(Sha256::parse(&EMPTY.replace('e', "g")).is_err());
    }

    #[test]
    fn a_file_is_compared_with_its_pin_and_md5() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs_err::write(&path, "abc").unwrap();
        assert_eq!(md5_of_file(&path).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        let failure = Sha256::parse(EMPTY).unwrap().check(&path, "a").unwrap_err();
        assert!(failure.message.contains("ba7816bf8f01cfea"), "{failure}");
        assert!(failure.message.contains(EMPTY), "{failure}");
    }
}
