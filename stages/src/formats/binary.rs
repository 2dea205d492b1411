//! Decides how binary files are read and written: whole, with a bound on what compression may blow up to, and
//! through a cursor that cannot run over the end. Independent of formats.

use std::io::{Read, Write};
use std::path::Path;

use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};
use fs_err::File;
use pipe_contract::Failure;

use super::bounds::MOST_UNPACKED;
use super::number_bytes::fixed;

/// The whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs_err::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::input("the file does not exist").at(path.display().to_string()),
        _ => Failure::io("read", path, &error),
    })
}

/// The whole file, unpacked if it begins as gzip does, whatever it is called.
pub(super) fn read_maybe_gzipped(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        gunzip(&bytes, MOST_UNPACKED).map_err(|failure| failure.at(path.display().to_string()))
    } else {
        Ok(bytes)
    }
}

/// Writes a whole file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    File::create(path).and_then(|mut file| file.write_all(bytes)).map_err(|error| Failure::io("write", path, &error))
}

/// Appends all that a reader gives, up to `most` bytes in all.
pub(super) fn read_bounded(reader: impl Read, bytes: &mut Vec<u8>, most: u64, what: &str) -> Result<(), Failure> {
    let left = most.saturating_sub(bytes.len() as u64);
    reader
        .take(left.saturating_add(1))
        .read_to_end(bytes)
        .map_err(|error| Failure::input(format!("the {what} data are damaged or cut off: {error}")))?;
    match bytes.len() as u64 > most {
        true => Err(Failure::input(format!("the {what} data unpack to more than {most} bytes, expected at most that"))
            .hint("the file is damaged, or made to fill the memory; if it is right, unpack it before")),
        false => Ok(()),
    }
}

/// Unpacks gzip, up to `most` bytes: one or more members, then any number of zeros, as tape archives and block copies append.
pub(super) fn gunzip(packed: &[u8], most: u64) -> Result<Vec<u8>, Failure> {
    let (mut rest, mut bytes) = (packed, Vec::new());
    loop {
        read_bounded(GzDecoder::new(&mut rest), &mut bytes, most, "gzip")?;
        let padding = rest.iter().take_while(|byte| **byte == 0).count();
        rest = &rest[padding..];
        if rest.is_empty() {
            return Ok(bytes);
        }
    }
}

/// Unpacks zlib, which GIFTI calls `GZipBase64Binary`, up to `most` bytes.
pub(super) fn inflate(packed: &[u8], most: u64) -> Result<Vec<u8>, Failure> {
    // Some writers really do use gzip there; the first bytes decide.
    if packed.starts_with(&[0x1f, 0x8b]) {
        return gunzip(packed, most);
    }
    let mut bytes = Vec::new();
    read_bounded(ZlibDecoder::new(packed), &mut bytes, most, "zlib")?;
    Ok(bytes)
}

/// Packs as gzip without name and time, so that equal content gives equal bytes.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder: GzEncoder<Vec<u8>> =
        GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
    finish(encoder.write_all(bytes).and_then(|()| encoder.finish()))
}

/// Packs as zlib.
pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    finish(encoder.write_all(bytes).and_then(|()| encoder.finish()))
}

/// Writing into memory has no way to fail.
fn finish(packed: std::io::Result<Vec<u8>>) -> Vec<u8> {
    packed.unwrap_or_default()
}

/// A position in bytes that answers "cut off" instead of running over the end.
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    /// At the first byte.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes not yet read.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `count` bytes; `what` names them in the error.
    pub(super) fn take(&mut self, count: usize, what: &str) -> Result<&'b [u8], Failure> {
        if count > self.left() {
            return Err(Failure::input(format!(
                "the file is cut off: {what} needs {count} bytes from byte {} on, and {} are left",
                self.at,
                self.left()
            ))
            .hint("copy or download the file again"));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// A big-endian whole number of 4 bytes.
    pub(super) fn i32(&mut self, what: &str) -> Result<i32, Failure> {
        Ok(i32::from_be_bytes(fixed(self.take(4, what)?)))
    }

    /// A big-endian whole number of 2 bytes.
    pub(super) fn i16(&mut self, what: &str) -> Result<i16, Failure> {
        Ok(i16::from_be_bytes(fixed(self.take(2, what)?)))
    }

    /// A big-endian count of 4 bytes that must be from `least` to `most`.
    pub(super) fn count(&mut self, what: &str, least: usize, most: usize) -> Result<usize, Failure> {
        let found = self.i32(what)?;
        usize::try_from(found).ok().filter(|count| (least..=most).contains(count)).ok_or_else(|| {
            Failure::input(format!(
                "{what} is {found}, expected a number from {least} to {most}: the header is damaged"
            ))
        })
    }

    /// `count` big-endian numbers of 4 bytes, decoded by `decode`.
    pub(super) fn fours<T>(
        &mut self,
        count: usize,
        what: &str,
        decode: impl Fn([u8; 4]) -> T,
    ) -> Result<Vec<T>, Failure> {
        let bytes =
            count.checked_mul(4).ok_or_else(|| Failure::input(format!("{what}: {count} values are too many")))?;
        Ok(self.take(bytes, what)?.chunks_exact(4).map(|chunk| decode(fixed(chunk))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_after_gzip_are_ignored_and_members_follow_each_other() {
        let (one, two) = (gzip(b"one"), gzip(b"two"));
        let read = |parts: &[&[u8]]| gunzip(&parts.concat(), 100);
        assert_eq!(read(&[&one, &[0; 512]]).unwrap(), b"one");
        assert_eq!(read(&[&one, &two]).unwrap(), b"onetwo");
        assert_eq!(read(&[&one, &[0; 3], &two, &[0]]).unwrap(), b"onetwo");
        assert!(read(&[&one, b"x"]).is_err());
        assert!(read(&[&one, &[0; 3], b"\x1f\x8b"]).is_err());
    }

    #[test]
    fn what_unpacks_to_more_than_its_bound_is_refused() {
        let zeros = vec![0; 5000];
        assert_eq!(gunzip(&gzip(&zeros), 5000).unwrap().len(), 5000);
        let failure = gunzip(&gzip(&zeros), 4999).unwrap_err();
        assert!(failure.message.contains("unpack to more than 4999 bytes"), "{failure}");
        assert!(inflate(&deflate(&zeros), 4999).is_err());
        let failure = gunzip(&[gzip(&zeros), gzip(&zeros)].concat(), 9999).unwrap_err();
        assert!(failure.message.contains("unpack to more than 9999 bytes"), "{failure}");
    }
}
