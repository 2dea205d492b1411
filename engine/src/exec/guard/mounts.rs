//! What a mount namespace shows of the file systems: all of it, read-only, but for a few folders. Landlock has no rule for
//! permissions, owners, times and extended attributes; on a read-only mount the kernel refuses to change them too.

use std::ffi::{CStr, c_int, c_uint};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// Makes every mount of this process's own mount namespace read-only, except those of `changeable`. Later mounts and
/// unmounts of the machine are still seen.
///
/// # Errors
/// The kernel is older than 5.12, or forbids it; then some of it may be done.
pub(super) fn make_read_only(changeable: &[&CStr]) -> io::Result<()> {
    // SAFETY: the text outlives the call, and null is allowed where it is given.
    check(unsafe { libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), libc::MS_REC | libc::MS_SLAVE, ptr::null()) })?;
    // These copies are in no tree, so the next step leaves their flags alone: what was read-only in them stays so.
    let copies: Vec<OwnedFd> = changeable.iter().map(|folder| copy_of(folder)).collect::<io::Result<_>>()?;
    let read_only = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: text and attributes outlive the call, which is given the size of the latter.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            libc::AT_RECURSIVE,
            &raw const read_only,
            size_of::<libc::mount_attr>(),
        )
    })?;
    changeable.iter().zip(&copies).try_for_each(|(folder, copy)| attach(copy, folder))
}

/// A copy of the mounts at a folder and below.
fn copy_of(folder: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as c_uint;
    // SAFETY: the text outlives the call; a descriptor that is returned is new.
    unsafe {
        let copy = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, folder.as_ptr(), flags);
        check_long(copy).map(|()| OwnedFd::from_raw_fd(copy as c_int))
    }
}

/// Puts a copy over its folder.
fn attach(copy: &OwnedFd, folder: &CStr) -> io::Result<()> {
    // SAFETY: texts outlive the call.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            copy.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            folder.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
}

fn check(result: c_int) -> io::Result<()> {
    check_long(result.into())
}

fn check_long(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
