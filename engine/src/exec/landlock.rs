//! What a `run:` stage may read and write: a Landlock rule set that forbids opening, listing, executing, making and
//! removing anything but what is named. It applies to root too, so it and not file modes protects the store and the
//! project from stages.
//!
//! Free stay: `stat`, names of files whose path is known, permissions and times (for which the guard has read-only mounts),
//! and connecting to a socket that has a path. On a kernel without Landlock there are no rules, on an old one incomplete
//! rules; [`is_enforced`] is false on both.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Rights of `linux/landlock.h`, by the version of the interface that brought them.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
/// Move or link between folders; version 2. Not handled means never allowed.
const REFER: u64 = 1 << 13;
/// Version 3.
const TRUNCATE: u64 = 1 << 14;

/// What reading is: of a folder and everything below, and of a file.
const READ: u64 = EXECUTE | READ_FILE | READ_DIR;
const READ_ONE: u64 = EXECUTE | READ_FILE;

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: c_int,
}

const RULE_PATH_BENEATH: c_int = 1;
const CREATE_RULESET_VERSION: c_int = 1;

/// The version from which the rules are complete.
const COMPLETE: i64 = 3;

/// Whether this kernel prevents everything that the rules forbid. (Version 2 lets root cut a file short by its name.)
pub fn is_enforced() -> bool {
    version() >= COMPLETE
}

/// The version of the kernel's interface, below 1 where there is none.
fn version() -> i64 {
    // SAFETY: with this flag the call reads nothing and returns a number.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, CREATE_RULESET_VERSION) }
}

/// What rule sets of one process have in common.
pub struct Confinement {
    version: i64,
    devices: OwnedFd,
    shared_memory: Option<OwnedFd>,
    /// Files and folders that every rule set allows to read, opened once; `None` is one that does not open.
    common: BTreeMap<CString, Option<Place>>,
}

/// An opened file or folder.
struct Place {
    descriptor: OwnedFd,
    is_folder: bool,
}

impl Confinement {
    /// None where the kernel has no Landlock.
    ///
    /// # Errors
    /// There is no `/dev`.
    pub fn new() -> io::Result<Option<Self>> {
        let version = version();
        if version < 2 {
            return Ok(None); // Version 1 would forbid every move between folders.
        }
        let shared_memory = open(c"/dev/shm").ok();
        Ok(Some(Self { version, devices: open(c"/dev")?, shared_memory, common: BTreeMap::new() }))
    }

    /// Whether this kernel prevents everything that the rules forbid.
    pub fn is_complete(&self) -> bool {
        self.version >= COMPLETE
    }

    /// A rule set that allows changes below `writable`, to the log and to devices, and reading these, `readable` and
    /// `common`. What is to be read and does not open is left out.
    ///
    /// # Errors
    /// A folder to write in does not open, or the kernel refuses.
    pub fn rules(
        &mut self,
        writable: &[&CStr],
        readable: &[&CStr],
        common: &[&CStr],
        log: &OwnedFd,
    ) -> io::Result<OwnedFd> {
        let files = WRITE_FILE | if self.version >= 3 { TRUNCATE } else { 0 };
        let make = MAKE_CHAR | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM;
        let all = READ | files | make | REMOVE_DIR | REMOVE_FILE | REFER;
        // SAFETY: the attribute is one `u64` of handled rights, of the given size; the result is a new descriptor.
        let rules = unsafe {
            let rules = libc::syscall(libc::SYS_landlock_create_ruleset, &raw const all, size_of::<u64>(), 0);
            if rules < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(rules as c_int)
        };
        for folder in writable {
            allow(&rules, all, &open(folder)?)?;
        }
        allow(&rules, files, log)?; // `/dev/stderr` opens it anew.
        allow(&rules, files | READ, &self.devices)?;
        if let Some(shared_memory) = &self.shared_memory {
            allow(&rules, all, shared_memory)?;
        }
        for path in readable {
            if let Some(place) = Place::open(path) {
                place.allow_reading(&rules)?;
            }
        }
        for path in common {
            if !self.common.contains_key(*path) {
                self.common.insert((*path).to_owned(), Place::open(path));
            }
            if let Some(Some(place)) = self.common.get(*path) {
                place.allow_reading(&rules)?;
            }
        }
        Ok(rules)
    }
}

impl Place {
    fn open(path: &CStr) -> Option<Self> {
        let descriptor = open(path).ok()?;
        let found = rustix::fs::fstat(&descriptor).ok()?;
        Some(Self { descriptor, is_folder: rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() })
    }

    fn allow_reading(&self, rules: &OwnedFd) -> io::Result<()> {
        allow(rules, if self.is_folder { READ } else { READ_ONE }, &self.descriptor)
    }
}

fn open(path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: `path` is a text; a descriptor that is returned is new.
    unsafe {
        match libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) {
            descriptor if descriptor < 0 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

fn allow(rules: &OwnedFd, allowed: u64, parent: &OwnedFd) -> io::Result<()> {
    let rule = PathBeneath { allowed, parent: parent.as_raw_fd() };
    // SAFETY: `rule` has the layout of this type of rule.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), RULE_PATH_BENEATH, &raw const rule, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Applies a rule set to this process and its children, for good. Negative on failure.
///
/// # Safety
/// Makes system calls only, so it may run between `vfork` and `execve`; `rules` is an open rule set.
pub unsafe fn restrict_self(rules: c_int) -> i64 {
    // SAFETY: plain system calls on numbers.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 {
            return -1;
        }
        libc::syscall(libc::SYS_landlock_restrict_self, rules, 0)
    }
}
