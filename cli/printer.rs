//! The only code that writes to the terminal: data to stdout, messages to stderr, colour where it is wanted.
//!
//! When the reader of a stream goes away (`pipe run ... | head`), nothing more is written to it, and the program runs on
//! to its own end and exit code.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use rustix::io::Errno;

use crate::view::fit::{Size, fold};

/// Bold green: it went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Bold red: it went wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Yellow: needs attention.
pub const CARE: Style = AnsiColor::Yellow.on_default().bold();
/// Cyan: a remedy.
pub const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// Dim: context.
pub const DIM: Style = Style::new().dimmed();

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);
static STDERR_CLOSED: AtomicBool = AtomicBool::new(false);
static LOST: AtomicBool = AtomicBool::new(false);
/// Before a full non-blocking pipe is tried again.
const FULL_PIPE_PAUSE: Duration = Duration::from_millis(10);

/// Writes data to stdout.
pub fn data(text: &str) {
    static COLOURS: LazyLock<bool> = LazyLock::new(|| shows_colours(&io::stdout()));
    write(&mut io::stdout().lock(), text, *COLOURS, &STDOUT_CLOSED);
}

/// Writes sentences to stdout, with a newline at the end; on a terminal their long lines are folded between words.
pub fn report(text: &str) {
    let stdout = io::stdout();
    if stdout.is_terminal() { data(&fold(text, size_of(&stdout).columns)) } else { data(text) }
}

/// Writes a message for the user to stderr.
pub fn note(line: &str) {
    write(&mut io::stderr().lock(), &format!("{line}\n"), colours_wanted(), &STDERR_CLOSED);
}

/// Text in a style; the stream takes the style out again where colour is not wanted.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes sentences for the user to stderr; on a terminal their long lines are folded between words.
pub fn prose(text: &str) {
    if io::stderr().is_terminal() { note(&fold(text, terminal_size().columns)) } else { note(text) }
}

/// The size of the terminal that stderr is; a usual one if it has none.
pub fn terminal_size() -> Size {
    size_of(&io::stderr())
}

fn size_of(stream: &impl AsFd) -> Size {
    let found = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    found.map_or(Size { columns: 80, rows: 24 }, |size| Size { columns: size.ws_col.into(), rows: size.ws_row.into() })
}

/// Writes to the terminal that stderr is what it understands as moves of the cursor, with text that was [`shown`] in it.
pub fn draw(text: &str) {
    write(&mut io::stderr().lock(), text, true, &STDERR_CLOSED);
}

/// A text for stderr: its styles are kept where colour is wanted.
pub fn shown(text: &str) -> Cow<'_, str> {
    coloured(text, colours_wanted())
}

/// Whether diagnostics on stderr are to be coloured.
pub fn colours_wanted() -> bool {
    static COLOURS: LazyLock<bool> = LazyLock::new(|| shows_colours(&io::stderr()));
    *COLOURS
}

fn shows_colours(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// Writes all of a text at once: lines of other processes on the same terminal do not get between its words.
fn write(stream: &mut impl Write, text: &str, colours: bool, closed: &AtomicBool) {
    if closed.load(Ordering::Relaxed) {
        return;
    }
    let shown = coloured(text, colours);
    if let Err(error) = write_whole(stream, shown.as_bytes()) {
        closed.store(true, Ordering::Relaxed);
        // A full disk behind `>` must not look like success. If the reader went away, or the terminal (EIO), the results of the program
        // are still wanted.
        let is_terminal_gone = matches!(Errno::from_io_error(&error), Some(Errno::IO | Errno::NXIO));
        let reader_is_gone =
            error.kind() == io::ErrorKind::BrokenPipe || is_terminal_gone && std::ptr::eq(closed, &STDERR_CLOSED);
        LOST.fetch_or(!reader_is_gone, Ordering::Relaxed);
    }
}

/// Whether something that was to be written is lost; then the program has not done what it was asked to do.
pub fn has_lost_output() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Writes all, also where another program made the stream non-blocking.
fn write_whole(stream: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PIPE_PAUSE),
            Err(error) => return Err(error),
        }
    }
    loop {
        match stream.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PIPE_PAUSE),
            flushed => return flushed,
        }
    }
}

/// A text with its styles, or without.
fn coloured(text: &str, colours: bool) -> Cow<'_, str> {
    if colours { Cow::Borrowed(text) } else { Cow::Owned(strip_str(text).to_string()) }
}
