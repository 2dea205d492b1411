//! A block of lines at the bottom of the terminal that is replaced again and again, and the lines above it that stay. indicatif
//! decides what is shown and how often; this is the terminal that it draws to, which decides where. Does not depend on runs.
//!
//! indicatif leaves the cursor behind its last line, and moves it back over as many rows as it wrote. Here the cursor is always
//! at the beginning of the row below: what a user types is overwritten, and a process that is killed leaves a terminal as it
//! should be. How many rows the lines take is computed when they are replaced: a terminal made narrower has broken them.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use crate::printer;
use crate::view::fit::{Size, fold, width};

/// No more often than this a second, lines that stay apart.
const DRAWS: u8 = 10;

/// What a block shows.
#[derive(Debug, Default)]
pub struct Frame {
    /// The template of indicatif for all of it; nothing is shown if it is empty.
    pub template: String,
    /// `{prefix}` of the template: lines, each with its end.
    pub lines: String,
    /// `{pos}`: how much has ended.
    pub ended: usize,
    /// `{len}`: of how much.
    pub total: usize,
    /// `{msg}`.
    pub text: String,
}

/// The block of one terminal, which it is erased from when this is dropped.
pub struct Block {
    bar: ProgressBar,
    terminal: Terminal,
}

impl Block {
    /// An empty one, on the terminal that `write` writes to.
    pub fn new(write: fn(&str)) -> Self {
        let terminal = Terminal { written: Arc::default(), write };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), DRAWS);
        Self { bar: ProgressBar::with_draw_target(Some(0), target), terminal }
    }

    /// Replaces the block, below new lines that stay.
    pub fn draw(&self, above: &[String], frame: Frame, size: Size) {
        self.terminal.written().size = size;
        let style = ProgressStyle::with_template(&frame.template).expect("a template is part of the program");
        let style = style.progress_chars("=> ").with_key("percent", whole_percent);
        let bar = self.bar.clone().with_style(style).with_position(frame.ended as u64);
        let bar = bar.with_prefix(frame.lines).with_message(frame.text);
        if !above.is_empty() {
            bar.println(fold(&above.join("\n"), size.columns));
        }
        bar.set_length(frame.total as u64);
    }

    /// The cursor has been moved by others: the next block begins where it is.
    pub fn forget(&self) {
        self.terminal.written().lines.clear();
    }

    /// Takes it off the terminal.
    pub fn erase(&self) {
        self.bar.finish_and_clear();
    }
}

/// Rounded down, unlike indicatif's own: 100 means that all has ended.
fn whole_percent(state: &ProgressState, out: &mut dyn fmt::Write) {
    let _ = write!(out, "{}", state.pos() * 100 / state.len().unwrap_or(0).max(1));
}

#[derive(Clone, Debug)]
struct Terminal {
    written: Arc<Mutex<Written>>,
    write: fn(&str),
}

/// What was written to a terminal.
#[derive(Debug, Default)]
struct Written {
    size: Size,
    /// By indicatif since the last flush: each line, and after it the spaces that fill its row.
    texts: Vec<String>,
    /// The lines above the cursor.
    lines: Vec<String>,
    /// How many of them, the last ones, will be replaced.
    cleared: usize,
}

impl Written {
    /// What replaces the lines that indicatif cleared by those that it wrote; nothing if they are there already.
    fn replacement(&mut self) -> Option<String> {
        let new = mem::take(&mut self.texts).into_iter().step_by(2).collect();
        let kept = self.lines.len().saturating_sub(mem::take(&mut self.cleared));
        let old = mem::replace(&mut self.lines, new).split_off(kept);
        let rows: usize = old.iter().map(|line| width(line).div_ceil(self.size.columns).max(1)).sum();
        if self.lines == old && rows == old.len() {
            return None;
        }
        let up = if rows > 0 { format!("\x1b[{rows}A") } else { String::new() };
        let lines = self.lines.iter().map(|line| {
            let shown = printer::shown(line);
            // Row by row, which does not flicker; all below is erased before a line that the terminal continues.
            if width(line) < self.size.columns { format!("{shown}\x1b[K\n") } else { format!("\x1b[J{shown}\n") }
        });
        Some(format!("\r{up}{}\x1b[J", lines.collect::<String>()))
    }
}

impl Terminal {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the cursor goes is known from the lines: of indicatif's moves only those count that clear one.
impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.written().size.columns.try_into().unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        self.written().size.rows.try_into().unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.written().cleared += 1;
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write_str(line)?;
        self.write_str("")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.written().texts.push(text.to_owned());
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let replacement = self.written().replacement();
        replacement.iter().for_each(|text| (self.write)(text));
        Ok(())
    }
}

/// The lines that indicatif makes of a frame.
#[cfg(test)]
pub fn rendered(frame: Frame, size: Size) -> Vec<String> {
    let block = Block::new(|_| ());
    block.draw(&[], frame, size);
    block.terminal.written().lines.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 40, rows: 24 };

    fn frame(lines: &str, ended: usize) -> Frame {
        let template = "{prefix}[{bar:10}] {percent}% {pos}/{len}{msg}".into();
        Frame { template, lines: lines.into(), ended, total: 200, text: ", go".into() }
    }

    /// Draws, and returns what was written for it.
    fn draw(terminal: &Terminal, new: &[&str], cleared: usize, columns: usize) -> Option<String> {
        terminal.written().size = Size { columns, rows: 24 };
        (0..cleared).for_each(|_| terminal.clear_line().unwrap());
        new.iter().for_each(|line| terminal.write_line(line).unwrap());
        terminal.written().replacement()
    }

    #[test]
    fn indicatif_fills_in_the_template() {
        assert_eq!(rendered(frame("fit\nscore\n", 50), SIZE), ["fit", "score", "[==>       ] 25% 50/200, go"]);
        assert_eq!(rendered(frame("", 199), SIZE), ["[=========>] 99% 199/200, go"]);
        assert_eq!(rendered(Frame::default(), SIZE), Vec::<String>::new());
    }

    #[test]
    fn only_the_block_is_replaced_and_it_is_erased() {
        let block = Block::new(|_| ());
        let lines = |block: &Block| block.terminal.written().lines.clone();
        block.draw(&["done fit".into()], frame("score\n", 1), SIZE);
        assert_eq!(lines(&block), ["score", "[>         ] 0% 1/200, go"]);
        block.draw(&["a".into(), "b".into()], Frame::default(), SIZE);
        block.erase();
        assert_eq!(lines(&block), Vec::<String>::new());
    }

    #[test]
    fn lines_that_a_narrower_terminal_has_broken_are_replaced_in_all_their_rows() {
        let terminal = Terminal { written: Arc::default(), write: |_| () };
        let line = "x".repeat(30);
        assert_eq!(
            draw(&terminal, &["stays", &line, "bar"], 0, 40),
            Some(format!("\rstays\x1b[K\n{line}\x1b[K\nbar\x1b[K\n\x1b[J"))
        );
        assert_eq!(draw(&terminal, &[&line, "bar"], 2, 40), None, "they are there already");
        assert_eq!(draw(&terminal, &["x", "bar"], 2, 20), Some("\r\x1b[3Ax\x1b[K\nbar\x1b[K\n\x1b[J".into()));
        assert_eq!(draw(&terminal, &[], 2, 20), Some("\r\x1b[2A\x1b[J".into()));
        assert_eq!(draw(&terminal, &[], 0, 20), None);
    }

    #[test]
    fn rows_below_a_line_that_is_continued_are_erased_first() {
        let terminal = Terminal { written: Arc::default(), write: |_| () };
        draw(&terminal, &["bar"], 0, 10);
        let path = "/a/path/that/is/long";
        assert_eq!(draw(&terminal, &[path, "bar"], 1, 10), Some(format!("\r\x1b[1A\x1b[J{path}\nbar\x1b[K\n\x1b[J")));
    }
}
