//! The one owner of the terminal: data to stdout, people to stderr, colour only where it is wanted.
//!
//! When the reader of a stream goes away (`pipe run ... | head`), that stream falls silent and the program goes on to
//! its own end and exit code.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};

/// Bold green: it went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Bold red: it went wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Yellow: somebody should look.
pub const CARE: Style = AnsiColor::Yellow.on_default().bold();
/// Cyan: a remedy.
pub const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// Dim: context.
pub const DIM: Style = Style::new().dimmed();

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);
static STDERR_CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes data to stdout.
pub fn data(text: &str) {
    write(&mut anstream::stdout().lock(), text, &STDOUT_CLOSED);
}

/// Writes a line for people to stderr.
pub fn note(line: &str) {
    write(&mut anstream::stderr().lock(), &format!("{line}\n"), &STDERR_CLOSED);
}

/// Text in a style; the stream takes the style out again where colour is not wanted.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether stderr is a terminal on which lines may be drawn over.
pub fn can_redraw() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether diagnostics on stderr are to be coloured.
pub fn colours_wanted() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

fn write(stream: &mut impl Write, text: &str, closed: &AtomicBool) {
    if closed.load(Ordering::Relaxed) {
        return;
    }
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Ok(()) => {}
        // The reader went away: nobody is left to tell, but what the program does is not only for the reader.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => closed.store(true, Ordering::Relaxed),
        // A full disk behind `>` must not look like success.
        Err(_) => std::process::exit(3),
    }
}
