//! What every figure is tested for, and a way to look at it.

use std::path::{Path, PathBuf};

use crate::formats::drawing::{Drawing, save, text_boxes};

const FILES: [&str; 3] = ["figure.svg", "figure.pdf", "figure.png"];

/// Asserts that a figure is the same bytes whenever it is rendered.
pub fn assert_same_bytes_twice(draw: impl Fn() -> Drawing) {
    let bytes = || {
        let folder = tempfile::tempdir().unwrap();
        save(&draw(), folder.path()).unwrap();
        FILES.map(|file| fs_err::read(folder.path().join(file)).unwrap())
    };
    assert!(bytes() == bytes());
    assert_readable(&draw());
}

/// Asserts that every text lies on the sheet and that no two overlap. (Width and size of text are held by [`save`].)
pub fn assert_readable(drawing: &Drawing) {
    assert_readable_svg(&drawing.svg());
}

fn assert_readable_svg(svg: &str) {
    let ((width, height), texts) = text_boxes(svg);
    for (at, (words, [left, top, right, bottom])) in texts.iter().enumerate() {
        let inside = *left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height;
        assert!(
            inside,
            "`{words}` leaves the sheet: {left:.1} {top:.1} {right:.1} {bottom:.1} of {width:.1} {height:.1}"
        );
        for (other, [left2, top2, right2, bottom2]) in &texts[..at] {
            let apart = left >= right2 || left2 >= right || top >= bottom2 || top2 >= bottom;
            assert!(apart, "`{words}` lies on `{other}`, at {left:.1} {top:.1}");
        }
    }
}

/// Saves a figure; below the folder that `PIPE_FIGURES` names, if it is set.
pub fn look_at(name: &str, draw: impl Fn() -> Drawing) {
    in_a_folder(name, |folder| save(&draw(), folder).unwrap());
}

/// Lets a figure be saved into a folder, and asserts that it is there in its three formats and readable.
pub fn in_a_folder(name: &str, save: impl FnOnce(&Path)) {
    let own = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("PIPE_FIGURES").map_or_else(|| own.path().to_owned(), PathBuf::from).join(name);
    save(&folder);
    for file in FILES {
        assert!(folder.join(file).is_file(), "`{name}` has no `{file}`");
    }
    assert_readable_svg(&fs_err::read_to_string(folder.join(FILES[0])).unwrap());
}
