//! Digests as they may leave the store: plain, or keyed where they are of restricted data.
//!
//! The digest of a small artifact can be guessed: if a file holds one of a million ages or codes, all of them can be hashed and
//! compared. So whatever is written outside of the store (manifest, sidecar, list of published files, names of logs) has digests of
//! restricted data only as BLAKE3 keyed with a secret of the user's machine. Equal data still have equal digests there,
//! on this machine, and nowhere else. The secret is 32 random bytes in the state folder, readable by the user only; it is
//! written nowhere else. If it is deleted, another one is made, and digests of earlier runs no longer compare.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;

use fs_err::os::unix::fs::OpenOptionsExt;
use fs_err::{self as fs, File, OpenOptions};
use pipe_cache::Digest;
use pipe_contract::Failure;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What opens the text of a keyed digest.
const KEYED: &str = "keyed-";

/// Where random bytes come from.
const RANDOM: &str = "/dev/urandom";

/// A digest that may be written outside of the store. Its text is that of the digest, or `keyed-` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PublicDigest<Of> {
    /// Of what is not restricted, or was released.
    Plain(Digest<Of>),
    /// Of restricted data: the digest, keyed.
    Keyed(Digest<Of>),
}

impl<Of> PublicDigest<Of> {
    /// The digest itself, if it is not keyed.
    pub fn plain(&self) -> Option<&Digest<Of>> {
        match self {
            Self::Plain(digest) => Some(digest),
            Self::Keyed(_) => None,
        }
    }

    /// What tells it from others, whether or not it is keyed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        match self {
            Self::Plain(digest) | Self::Keyed(digest) => digest.as_bytes(),
        }
    }
}

impl<Of> fmt::Display for PublicDigest<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(digest) => digest.fmt(f),
            Self::Keyed(digest) => write!(f, "{KEYED}{digest}"),
        }
    }
}

impl<Of> fmt::Debug for PublicDigest<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<Of> FromStr for PublicDigest<Of> {
    type Err = pipe_cache::NotADigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(KEYED) {
            Some(digits) => digits.parse().map(Self::Keyed),
            None => text.parse().map(Self::Plain),
        }
    }
}

impl<Of> Serialize for PublicDigest<Of> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, Of> Deserialize<'de> for PublicDigest<Of> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The secret of this machine with which digests of restricted data are keyed. It has no text.
pub struct DigestKey {
    secret: [u8; 32],
}

impl DigestKey {
    /// Reads the secret from its file, which is made if it is not there.
    ///
    /// # Errors
    /// The file cannot be read or made, does not hold such a secret, or others may read it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if let Some(key) = Self::find(path)? {
            return Ok(key);
        }
        make_secret(path).map_err(|error| Failure::io("make the key of restricted data", path, &error))?;
        Self::find(path)?
            .ok_or_else(|| Failure::environment(format!("`{}` was removed while it was made", path.display())))
    }

    /// A secret that is in no file: digests keyed with it are equal to no others.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn of_this_process() -> Result<Self, Failure> {
        let secret = random().map_err(|error| Failure::io("read", Path::new(RANDOM), &error))?;
        Ok(Self { secret })
    }

    /// Reads the secret from its file; `None` if it is not there.
    ///
    /// # Errors
    /// The file cannot be read, does not hold such a secret, or others may read it.
    pub fn find(path: &Path) -> Result<Option<Self>, Failure> {
        let wrong = |what: &str| {
            Failure::environment(format!("`{}`, the key of restricted data, {what}", path.display())).hint(
                "delete it: another one is made, and keyed digests of earlier runs can no longer be compared with new ones",
            )
        };
        let io = |error: io::Error| Failure::io("read the key of restricted data", path, &error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
            let others = format!("`{}`, the key of restricted data, may be read by others", path.display());
            return Err(Failure::environment(others).hint(format!(
                "`chmod 600 {}`; the state directory belongs on a file system with permissions",
                path.display()
            )));
        }
        let mut bytes = Vec::new();
        file.take(33).read_to_end(&mut bytes).map_err(io)?;
        let secret = bytes.try_into().map_err(|_| wrong("has not 32 bytes"))?;
        Ok(Some(Self { secret }))
    }

    /// A digest of restricted data, keyed.
    pub fn keyed<Of>(&self, digest: &Digest<Of>) -> PublicDigest<Of> {
        let keyed = blake3::keyed_hash(&self.secret, digest.as_bytes());
        PublicDigest::Keyed(Digest::from_bytes(*keyed.as_bytes()))
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Makes the file whole or not at all; of two processes, the first one's is the one that counts.
fn make_secret(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let secret = random()?;
    let aside = tempfile::Builder::new().prefix(".restricted-").tempdir_in(folder)?;
    let new = aside.path().join("key");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    match fs::hard_link(&new, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use pipe_cache::Content;

    use super::*;

    #[test]
    fn digests_read_back_as_written() {
        let digest = Digest::<Content>::of(b"x");
        for public in [PublicDigest::Plain(digest), PublicDigest::Keyed(digest)] {
            let json = serde_json::to_string(&public).unwrap();
            assert_eq!(serde_json::from_str::<PublicDigest<Content>>(&json).unwrap(), public);
        }
        assert_ne!(PublicDigest::Plain(digest), PublicDigest::Keyed(digest));
        assert!("keyed-12".parse::<PublicDigest<Content>>().is_err());
    }

    #[test]
    fn a_machine_has_one_secret_that_only_its_user_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/restricted.key");
        let digest = Digest::<Content>::of(b"age: 31");
        let keyed = DigestKey::open(&path).unwrap().keyed(&digest);
        assert_eq!(DigestKey::open(&path).unwrap().keyed(&digest), keyed, "the same secret the second time");
        assert_ne!(keyed.as_bytes(), digest.as_bytes());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(format!("{:?}", DigestKey::open(&path).unwrap()), "DigestKey");
        let other = DigestKey::open(&folder.path().join("other/restricted.key")).unwrap().keyed(&digest);
        assert_ne!(other, keyed, "every machine has its own");
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(DigestKey::open(&path).unwrap_err().message.contains("may be read by others"));
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(DigestKey::open(&path).unwrap_err().message.contains("has not 32 bytes"));
    }
}
