//! Text in a limited number of terminal columns: its width, cutting it, folding it.

use std::borrow::Cow;

use anstream::adapter::strip_str;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Replaces what was cut out; one column wide.
const CUT: &str = "…";

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Its width.
    pub columns: usize,
    /// Its height.
    pub rows: usize,
}

/// The columns a text takes; styles take none.
pub fn width(text: &str) -> usize {
    strip_str(text).to_string().width()
}

/// A text without styles, with its middle cut out if it is too wide: the ends of a name distinguish it from others.
pub fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let Some(kept) = columns.checked_sub(1) else { return Cow::Borrowed("") };
    let head = &text[..prefix(text.char_indices(), kept - kept / 2).unwrap_or(0)];
    let from_end = text.char_indices().rev().map(|(at, c)| (text.len() - at - c.len_utf8(), c));
    let tail = &text[text.len() - prefix(from_end, kept / 2).unwrap_or(0)..];
    Cow::Owned(format!("{head}{CUT}{tail}"))
}

/// A text without styles, with its end cut off if it is too wide.
pub fn cut_end(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let Some(kept) = columns.checked_sub(1) else { return Cow::Borrowed("") };
    let head = &text[..prefix(text.char_indices(), kept).unwrap_or(0)];
    Cow::Owned(format!("{}{CUT}", head.trim_end()))
}

/// The offset of the first character that does not fit.
fn prefix(chars: impl Iterator<Item = (usize, char)>, columns: usize) -> Option<usize> {
    let mut taken = 0;
    for (at, c) in chars {
        taken += c.width().unwrap_or(0);
        if taken > columns {
            return Some(at);
        }
    }
    None
}

/// Lines that are too wide are folded at spaces, and continued under their own first word, or two columns right of it where
/// they begin at the margin. A word that is too wide for any line, such as a path, stays where it is: it is to be copied.
pub fn fold(text: &str, columns: usize) -> String {
    text.split('\n').map(|line| fold_line(line, columns)).collect::<Vec<_>>().join("\n")
}

fn fold_line(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let own_indent = line.len() - line.trim_start_matches(' ').len();
    let indent = " ".repeat(if own_indent == 0 { 2 } else { own_indent });
    let mut folded = " ".repeat(own_indent);
    let mut taken = own_indent;
    let mut is_first = true;
    for word in line[own_indent..].split(' ') {
        let wide = width(word);
        let fits_below = indent.len() + wide <= columns;
        if !is_first && fits_below && taken + 1 + wide > columns {
            folded.truncate(folded.trim_end_matches(' ').len());
            folded.push('\n');
            folded.push_str(&indent);
            taken = indent.len();
        } else if !is_first {
            folded.push(' ');
            taken += 1;
        }
        folded.push_str(word);
        taken += wide;
        is_first = false;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::{BAD, styled};

    #[test]
    fn names_lose_their_middle() {
        assert_eq!(cut_middle("short", 5), "short");
        assert_eq!(cut_middle("flatmaps.left.targets", 11), "flatm…rgets");
        assert_eq!(cut_middle("flatmaps", 1), "…");
        assert_eq!(cut_middle("flatmaps", 0), "");
        // Two columns each: only whole characters are kept.
        assert_eq!(cut_middle("脳脳脳脳脳", 6), "脳…脳");
    }

    #[test]
    fn sentences_lose_their_end() {
        assert_eq!(cut_end("12/288 steps, epoch 1/2", 14), "12/288 steps,…");
        assert_eq!(cut_end("12/288 steps", 12), "12/288 steps");
        assert_eq!(cut_end("脳脳脳", 4), "脳…");
    }

    #[test]
    fn lines_are_folded_at_spaces_and_styles_take_no_columns() {
        let text = format!("{} it is too long\n  and so is this\nshort", styled(BAD, "failed"));
        assert_eq!(strip_str(&fold(&text, 13)).to_string(), "failed it is\n  too long\n  and so is\n  this\nshort");
        assert_eq!(fold("log: /a/path/that/is/long", 10), "log: /a/path/that/is/long");
        assert_eq!(width(&styled(BAD, "failed")), 6);
    }
}
