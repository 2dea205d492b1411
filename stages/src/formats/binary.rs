//! Decides how binary files are read and written: whole, with a bound on what compression may blow up to, and
//! through a cursor that cannot run over the end. Knows no format.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};
use pipe_contract::Failure;

/// The most that one file may unpack to. The largest real file of this field (a 164k mesh in full text) is
/// far below; a damaged or hostile header is not.
pub(super) const MAX_UNPACKED: u64 = 1 << 30;

/// The whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::input("the file does not exist").at(path.display().to_string()),
        _ => Failure::io("read", path, &error),
    })
}

/// The whole file, unpacked if it begins as gzip does, whatever it is called.
pub(super) fn read_maybe_gzipped(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        gunzip(&bytes).map_err(|failure| failure.at(path.display().to_string()))
    } else {
        Ok(bytes)
    }
}

/// Writes a whole file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    File::create(path).and_then(|mut file| file.write_all(bytes)).map_err(|error| Failure::io("write", path, &error))
}

fn bounded(mut reader: impl Read, what: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    reader
        .by_ref()
        .take(MAX_UNPACKED + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::input(format!("the {what} data are damaged or cut off: {error}")))?;
    if bytes.len() as u64 > MAX_UNPACKED {
        return Err(Failure::input(format!("the {what} data unpack to more than {MAX_UNPACKED} bytes")));
    }
    Ok(bytes)
}

/// Unpacks gzip.
pub(super) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    bounded(MultiGzDecoder::new(bytes), "gzip")
}

/// Unpacks zlib, which GIFTI calls `GZipBase64Binary`.
pub(super) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    // Some writers really do use gzip there; the first bytes decide.
    if bytes.starts_with(&[0x1f, 0x8b]) { gunzip(bytes) } else { bounded(ZlibDecoder::new(bytes), "zlib") }
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
        Ok(i32::from_be_bytes(four(self.take(4, what)?)))
    }

    /// A big-endian whole number of 2 bytes.
    pub(super) fn i16(&mut self, what: &str) -> Result<i16, Failure> {
        let bytes = self.take(2, what)?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A big-endian count of 4 bytes that must be from 0 to `most`.
    pub(super) fn count(&mut self, what: &str, most: usize) -> Result<usize, Failure> {
        let found = self.i32(what)?;
        usize::try_from(found).ok().filter(|count| *count <= most).ok_or_else(|| {
            Failure::input(format!("{what} is {found}, expected a number from 0 to {most}: the header is damaged"))
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
        Ok(self.take(bytes, what)?.chunks_exact(4).map(|chunk| decode(four(chunk))).collect())
    }
}

/// The first four bytes; callers give at least four.
pub(super) fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
