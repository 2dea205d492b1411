//! A program in a terminal: a pseudo-terminal of a given size, and the screen as a user would see it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::termios::{Winsize, tcsetwinsize};

/// A program that runs in a terminal, or has ended.
pub struct Terminal {
    child: Child,
    master: File,
    screen: vt100::Parser,
    /// All bytes that it wrote.
    pub bytes: Vec<u8>,
    /// Rows of any moment that were continued on the next one, because they did not fit.
    pub wrapped: Vec<String>,
}

impl Terminal {
    /// Starts a command in a terminal of this size.
    pub fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let (master, slave) = open(size(columns, rows));
        let copy = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(copy()).stdout(copy()).stderr(copy());
        // SAFETY: the calls are allowed between fork and exec, and touch no memory of this process.
        unsafe {
            command.pre_exec(|| {
                // As a login does, whatever started the tests.
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                rustix::process::setsid()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().expect("the command starts");
        // The command holds copies of the other side: while one is open here, the end of its output would not be seen.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let screen = vt100::Parser::new(rows, columns, 0);
        Self { child, master, screen, bytes: Vec::new(), wrapped: Vec::new() }
    }

    /// Types characters; `\x03` is Ctrl-C.
    pub fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes it");
    }

    /// Stops it as Ctrl-Z does, types what another program would write now, and lets it go on.
    pub fn suspend(&mut self, meanwhile: &str) {
        use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
        let pid = rustix::process::Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).expect("it is stopped");
        waitpid(Some(pid), WaitOptions::UNTRACED).expect("it is a child");
        self.types(meanwhile);
        kill_process(pid, Signal::CONT).expect("it goes on");
    }

    /// Makes the window larger or smaller.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        tcsetwinsize(&self.master, size(columns, rows)).expect("the size is set");
        self.screen.screen_mut().set_size(rows, columns);
    }

    /// Waits until the screen is as described; returns it.
    ///
    /// # Panics
    /// It ends before, or a minute passes without output.
    pub fn until(&mut self, described: impl Fn(&str) -> bool) -> String {
        while !described(&self.screen()) {
            assert!(self.read(), "it ended, and its screen never was as expected:\n{}", self.screen());
        }
        self.screen()
    }

    /// Waits for the end; returns the exit code.
    pub fn end(&mut self) -> i32 {
        while self.read() {}
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Closes the terminal, as a connection that breaks does; waits for the end and returns the exit code.
    pub fn hang_up(mut self) -> Option<i32> {
        self.master = fs_err::File::open("/dev/null").expect("a file").into_file();
        self.child.wait().expect("it ends").code()
    }

    /// The screen now.
    pub fn screen(&self) -> String {
        self.screen.screen().contents()
    }

    /// Whether the cursor is shown, at the beginning of a row.
    pub fn cursor_is_at_rest(&self) -> bool {
        !self.screen.screen().hide_cursor() && self.screen.screen().cursor_position().1 == 0
    }

    /// Takes in what it wrote next; `false` when it has ended.
    fn read(&mut self) -> bool {
        let mut ready = libc::pollfd { fd: self.master.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: it reads and writes one record, which exists longer than the call.
        let ready = unsafe { libc::poll(&mut ready, 1, 60_000) };
        assert!(ready > 0, "a minute without output:\n{}", self.screen());
        let mut bytes = [0; 4096];
        // The terminal is closed (EIO) when the last process in it has ended.
        let Ok(length @ 1..) = self.master.read(&mut bytes) else { return false };
        self.bytes.extend(&bytes[..length]);
        self.screen.process(&bytes[..length]);
        let screen = self.screen.screen();
        let (rows, columns) = screen.size();
        let lines: Vec<String> = screen.rows(0, columns).collect();
        self.wrapped
            .extend((0..rows).filter(|row| screen.row_wrapped(*row)).map(|row| lines[usize::from(row)].clone()));
        true
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where a test failed, the program still runs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// A new pseudo-terminal: the side of the terminal, and that of the program.
fn open(size: Winsize) -> (File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: it writes two descriptors into variables that exist longer than the call; the other arguments may be null.
    let opened = unsafe {
        libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut())
    };
    assert_eq!(opened, 0, "a pseudo-terminal: {}", std::io::Error::last_os_error());
    // SAFETY: they were opened just now, and nothing else owns them.
    let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    for fd in [master.as_raw_fd(), slave.as_raw_fd()] {
        // SAFETY: it only sets a flag of an open descriptor. Without it the program inherits both.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    tcsetwinsize(&master, size).expect("the size is set");
    (master, slave)
}
