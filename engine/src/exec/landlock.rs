//! What a `run:` stage may read and write: a Landlock rule set that forbids opening, listing, executing, making and
//! removing anything but what is named. It applies to root too, so it and not file modes protects the store and the
//! project from stages.
//!
//! Free stay: `stat`, names of files whose path is known, permissions and times (for which the guard has read-only mounts),
//! and connecting to a socket that has a path. On a kernel without Landlock there are no rules, on an old one incomplete
//! rules; [`is_enforced`] is false on both.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr, c_int};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{FileType, Stat};

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
    /// Files and folders that every rule set allows to read, and those of them that are needed, opened once.
    common: (Vec<CString>, Vec<Place>),
    /// The last rule sets with what each is about, because folders and logs are used again.
    made: VecDeque<(About, Rc<OwnedFd>)>,
}

/// How many rule sets are kept. Each is a descriptor.
const MOST_MADE: usize = 128;

/// How many folders a rule set allows to write in; these, what it allows to read, and the log.
type About = (usize, Vec<Identity>);

/// A file or folder: device and inode. A rule set is about inodes, and holds them, so that no other gets their number.
type Identity = (u64, u64);

/// An opened file or folder.
struct Place {
    descriptor: OwnedFd,
    identity: Identity,
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
        Ok(Some(Self {
            version,
            devices: open(c"/dev")?,
            shared_memory,
            common: Default::default(),
            made: VecDeque::new(),
        }))
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
    ) -> io::Result<Rc<OwnedFd>> {
        if !self.common.0.iter().map(CString::as_c_str).eq(common.iter().copied()) {
            self.common = (common.iter().map(|path| (*path).to_owned()).collect(), outermost(common));
            self.made.clear();
        }
        let log_identity = identity(&rustix::fs::fstat(log)?);
        let found = |path: &&CStr| rustix::fs::stat(*path).map_or((0, 0), |found| identity(&found));
        let about: About = (writable.len(), writable.iter().chain(readable).map(found).chain([log_identity]).collect());
        if let Some((_, rules)) = self.made.iter().find(|(known, _)| *known == about) {
            return Ok(Rc::clone(rules));
        }
        let writable = writable.iter().map(|path| Place::open(path)).collect::<io::Result<Vec<_>>>()?;
        let readable: Vec<Place> = readable.iter().filter_map(|path| Place::open(path).ok()).collect();
        let rules = Rc::new(self.make(&writable, &readable, log)?);
        let opened = writable.iter().chain(&readable).map(|place| place.identity).chain([log_identity]);
        // Not if one was replaced meanwhile, or does not open.
        if about.1.iter().copied().eq(opened) {
            self.made.push_front((about, Rc::clone(&rules)));
            self.made.truncate(MOST_MADE);
        }
        Ok(rules)
    }

    fn make(&self, writable: &[Place], readable: &[Place], log: &OwnedFd) -> io::Result<OwnedFd> {
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
            allow(&rules, all, &folder.descriptor)?;
        }
        allow(&rules, files, log)?; // `/dev/stderr` opens it anew.
        allow(&rules, files | READ, &self.devices)?;
        if let Some(shared_memory) = &self.shared_memory {
            allow(&rules, all, shared_memory)?;
        }
        for place in readable.iter().chain(&self.common.1) {
            allow(&rules, if place.is_folder { READ } else { READ_ONE }, &place.descriptor)?;
        }
        Ok(rules)
    }
}

impl Place {
    fn open(path: &CStr) -> io::Result<Self> {
        let descriptor = open(path)?;
        let found = rustix::fs::fstat(&descriptor)?;
        let is_folder = FileType::from_raw_mode(found.st_mode).is_dir();
        Ok(Self { descriptor, identity: identity(&found), is_folder })
    }
}

fn identity(found: &Stat) -> Identity {
    (found.st_dev, found.st_ino)
}

/// Those that open, without what is in another: `/bin` is often a link into `/usr`. Every start pays for each rule.
fn outermost(paths: &[&CStr]) -> Vec<Place> {
    let real = |path: &CStr| fs_err::canonicalize(OsStr::from_bytes(path.to_bytes())).ok();
    let all: Vec<(PathBuf, Place)> =
        paths.iter().filter_map(|path| Some((real(path)?, Place::open(path).ok()?))).collect();
    let real: Vec<PathBuf> = all.iter().map(|(path, _)| path.clone()).collect();
    // Of two that are the same the first is needed.
    let contains =
        |other: usize, at: usize| real[at].starts_with(&real[other]) && (real[at] != real[other] || other < at);
    let is_inside = |at: usize| (0..real.len()).any(|other| other != at && contains(other, at));
    all.into_iter().enumerate().filter(|(at, _)| !is_inside(*at)).map(|(_, (_, place))| place).collect()
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

#[cfg(test)]
mod tests {
    use fs_err::os::unix::fs::symlink;
    use fs_err::{self as fs, File};

    use super::*;

    fn text(path: &std::path::Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    /// The same folders and the same log have one rule set; others, also at the same paths, have another.
    #[test]
    fn rule_sets_are_used_again_for_the_same_inodes_only() {
        let Some(mut confinement) = Confinement::new().unwrap() else { return };
        let root = tempfile::tempdir().unwrap();
        let [out, readable, common] = ["out", "readable", "common"].map(|name| {
            fs::create_dir(root.path().join(name)).unwrap();
            text(&root.path().join(name))
        });
        let log = |name: &str| OwnedFd::from(File::create(root.path().join(name)).unwrap().into_file());
        let (first, second) = (log("1.log"), log("2.log"));
        // All stay open, so that no two have one number.
        let mut open = Vec::new();
        let mut rules = |writable: &[&CStr], readable: &[&CStr], log: &OwnedFd| {
            open.push(confinement.rules(writable, readable, &[&common], log).unwrap());
            open.last().unwrap().as_raw_fd()
        };
        let made = rules(&[&out], &[&readable], &first);
        assert_eq!(made, rules(&[&out], &[&readable], &first));
        assert_ne!(made, rules(&[&out], &[&readable], &second), "another log");
        assert_ne!(made, rules(&[&out, &readable], &[], &first), "the same folders, but both to write in");
        fs::rename(root.path().join("out"), root.path().join("before")).unwrap();
        fs::create_dir(root.path().join("out")).unwrap();
        assert_ne!(made, rules(&[&out], &[&readable], &first), "another folder at the same path");
        let missing = text(&root.path().join("missing"));
        let without = rules(&[&out], &[&missing], &first);
        fs::create_dir(root.path().join("missing")).unwrap();
        assert_ne!(without, rules(&[&out], &[&missing], &first), "it is there now");
    }

    #[test]
    fn what_is_in_another_needs_no_rule() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name);
        fs::create_dir_all(place("usr/bin")).unwrap();
        fs::create_dir(place("usr-local")).unwrap();
        symlink("usr/bin", place("bin")).unwrap();
        symlink("usr", place("again")).unwrap();
        let paths = ["bin", "usr", "again", "missing", "usr-local"].map(|name| text(&place(name)));
        let all: Vec<&CStr> = paths.iter().map(CString::as_c_str).collect();
        let kept: Vec<Identity> = outermost(&all).iter().map(|place| place.identity).collect();
        let expected = ["usr", "usr-local"].map(|name| identity(&rustix::fs::stat(place(name)).unwrap()));
        assert_eq!(kept, expected);
    }
}
