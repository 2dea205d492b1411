//! Reads entries of zip archives whose sizes are not to be believed: an entry unpacks up to what its reader expects, and all
//! that is read together up to a bound that depends on the archive's own size.

use std::io::{Read, Write};

use fs_err::File;
use pipe_contract::io_reason;
use zip::ZipArchive;

/// An archive, and how many bytes may still be unpacked from it.
pub(super) struct ZipEntries {
    archive: ZipArchive<std::fs::File>,
    bytes: u64,
    left: u64,
}

impl ZipEntries {
    /// Lists an archive, from which at most as many bytes are unpacked as `most` makes of its size.
    ///
    /// # Errors
    /// The file is not a zip archive or cannot be read: why.
    pub(super) fn open(file: File, most: impl FnOnce(u64) -> u64) -> Result<Self, String> {
        let bytes = file.metadata().map_err(|error| io_reason(&error))?.len();
        let archive = ZipArchive::new(file.into_file()).map_err(|error| error.to_string())?;
        Ok(Self { archive, bytes, left: most(bytes) })
    }

    /// The size of the archive.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The names of the entries, in the order of the archive.
    pub(super) fn names(&self) -> Vec<String> {
        self.archive.file_names().filter_map(|name| name.ok().map(|name| name.to_string())).collect()
    }

    /// The bytes of an entry, of which there are at most `most`, whatever its header states.
    ///
    /// # Errors
    /// There is no such entry, it is damaged, or it unpacks to more.
    pub(super) fn read(&mut self, name: &str, most: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.unpack(name, most, |entry| entry.read_to_end(&mut bytes).map(|count| count as u64))?;
        Ok(bytes)
    }

    /// Copies the bytes of an entry to a place that need not be memory.
    ///
    /// # Errors
    /// As [`read`](Self::read), or the place takes no more.
    pub(super) fn copy(&mut self, name: &str, to: &mut impl Write) -> Result<(), String> {
        self.unpack(name, u64::MAX, |entry| std::io::copy(entry, to))
    }

    fn unpack(
        &mut self,
        name: &str,
        most: u64,
        take: impl FnOnce(&mut dyn Read) -> std::io::Result<u64>,
    ) -> Result<(), String> {
        let entry = self.archive.by_name(name).map_err(|error| format!("the archive has no `{name}`: {error}"))?;
        let most = most.min(self.left);
        let found = take(&mut entry.take(most.saturating_add(1)))
            .map_err(|error| format!("`{name}` in the archive cannot be read: {error}"))?;
        if found > most {
            return Err(format!("`{name}` in the archive unpacks to more than {most} bytes, expected at most that"));
        }
        self.left -= found;
        Ok(())
    }
}
