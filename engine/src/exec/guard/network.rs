//! The network of a stage that may not use the machine's: nothing but `lo`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Switches `lo` on in the network namespace of this process.
///
/// # Errors
/// This process may not.
pub(super) fn switch_on_loopback() -> io::Result<()> {
    let check = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: a new descriptor, and a request of the size the kernel expects, zeroed except for what is set.
    unsafe {
        let socket =
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
            *place = *byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)).map(drop)
    }
}
