//! What every figure is tested for, and a way to look at it.

use std::path::{Path, PathBuf};

use crate::formats::drawing::{CanvasPoint, Drawing, save, text_boxes};

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

/// Asserts that a figure can be printed as it is: at most 183 mm wide, no text below 5 pt, every text on the sheet, and no two on each
/// other. Measures the SVG, so that it does not rely on what [`save`] holds.
pub fn assert_readable(drawing: &Drawing) {
    assert_readable_svg(&drawing.svg());
}

fn assert_readable_svg(svg: &str) {
    let ((width, height), texts) = text_boxes(svg);
    assert!(width / 72.0 * 25.4 <= 183.01, "{:.1} mm wide", width / 72.0 * 25.4);
    let size = |text: &str| text.split('"').next().and_then(|size| size.parse::<f64>().ok());
    let sizes: Vec<f64> = svg.split(" font-size=\"").skip(1).filter_map(size).collect();
    assert!(sizes.len() >= texts.len() && sizes.iter().all(|size| *size >= 5.0), "text sizes: {sizes:?}");
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

/// The numbers of an attribute of all elements that begin so.
pub fn attributes(svg: &str, element: &str, name: &str) -> Vec<f64> {
    let value = |text: &str| text.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse().ok();
    svg.split(element).skip(1).map(|text| value(text).unwrap()).collect()
}

/// Where the first of such texts is set, from the left and from the top.
pub fn place_of_text(svg: &str, is_it: impl Fn(&str) -> bool) -> CanvasPoint {
    let words =
        |element: &str| element.split("</text>").next().and_then(|text| text.rsplit('>').next()).is_some_and(&is_it);
    let element = svg.split("<text").skip(1).find(|element| words(element)).expect("the figure has such a text");
    let place = element.split("translate(").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    let (x, y) = place.split_once(' ').unwrap();
    (x.parse().unwrap(), y.parse().unwrap())
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

/// Every source file that draws a figure has a test by which it is measured and can be looked at.
#[test]
fn every_figure_is_measured() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut drawing, mut unmeasured) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // Stimuli are pictures without words.
            let own = ["formats/drawing", "test_support", "stimuli"].iter().any(|own| path.ends_with(own));
            if path.is_dir() && !own {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs_err::read_to_string(&path).unwrap();
                let code = text.split("\nmod tests {").next().unwrap_or_default();
                if code.contains("Drawing::new(") {
                    drawing += 1;
                    // A figure in several files has its tests in the file of its folder.
                    let folder = fs_err::read_to_string(path.with_file_name("mod.rs")).unwrap_or_default();
                    let measures = |text: &str| ["look_at(", "in_a_folder("].iter().any(|call| text.contains(call));
                    if !measures(&text) && !measures(&folder) {
                        unmeasured.push(path);
                    }
                }
            }
        }
    }
    assert!(drawing >= 6, "{drawing} files draw");
    assert!(unmeasured.is_empty(), "no test measures the figures of {unmeasured:?}");
}
