//! The one owner of the terminal: data to stdout, people to stderr, colour only where it is wanted.
//!
//! A closed pipe (`pipe plan ... | head`) ends the program quietly instead of in a panic.

use std::io::{self, IsTerminal, Write};

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

/// Writes data to stdout.
pub fn data(text: &str) {
    write_or_exit(&mut anstream::stdout().lock(), text);
}

/// Writes a line for people to stderr.
pub fn note(line: &str) {
    write_or_exit(&mut anstream::stderr().lock(), &format!("{line}\n"));
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

fn write_or_exit(stream: &mut impl Write, text: &str) {
    if let Err(error) = stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        // The reader went away: nobody is left to tell. Anything else (a full disk behind `>`) must not look like success.
        std::process::exit(if error.kind() == io::ErrorKind::BrokenPipe { 0 } else { 3 });
    }
}
