//! Pictures against Pillow: `pictures.py` in `tests/fidelity/rsa`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::picture_file::decode_picture;
use super::rgb_picture::{RgbPicture, centre_crop, resize_shorter_side};
use crate::test_support::rsa_goldens::rsa_golden;

#[derive(Deserialize)]
struct PixelGolden {
    width: usize,
    height: usize,
    pixels: Vec<Vec<u8>>,
}

impl PixelGolden {
    fn check(&self, found: &RgbPicture, what: &str) {
        assert_eq!((found.width, found.height), (self.width, self.height), "{what}");
        assert_eq!(found.rgb, self.pixels.concat(), "{what}");
    }
}

#[derive(Deserialize)]
struct SideGolden {
    side: usize,
    #[serde(flatten)]
    resized: PixelGolden,
}

#[derive(Deserialize)]
struct FileGolden {
    /// Two hexadecimal digits a byte.
    file: String,
    #[serde(flatten)]
    read: PixelGolden,
}

#[derive(Deserialize)]
struct PictureGoldens {
    width: usize,
    height: usize,
    pixels: Vec<Vec<u8>>,
    resized: Vec<PixelGolden>,
    shorter_side: Vec<SideGolden>,
    /// Width, height, side, left, top.
    crops: Vec<[usize; 5]>,
    files: BTreeMap<String, FileGolden>,
}

#[test]
fn pictures_are_resized_as_pillow_does_it() {
    let golden: PictureGoldens = rsa_golden("pictures.json");
    let picture = RgbPicture { width: golden.width, height: golden.height, rgb: golden.pixels.concat() };
    for resized in &golden.resized {
        let found = picture.resized(resized.width, resized.height).unwrap();
        resized.check(&found, &format!("{} x {}", resized.width, resized.height));
    }
    for SideGolden { side, resized } in &golden.shorter_side {
        resized.check(&resize_shorter_side(&picture, *side).unwrap(), &format!("side {side}"));
    }
}

#[test]
fn squares_are_cut_out_where_torchvision_does_it() {
    let golden: PictureGoldens = rsa_golden("pictures.json");
    for [width, height, side, left, top] in golden.crops {
        // Red is the column and green the row.
        let places = (0..width * height).flat_map(|at| [(at % width) as u8, (at / width) as u8, 0]);
        let cut = centre_crop(&RgbPicture { width, height, rgb: places.collect() }, side).unwrap();
        assert_eq!((cut.width, cut.height), (side, side));
        assert_eq!(cut.pixel(0, 0), [left as u8, top as u8, 0], "{width} x {height} to {side}");
    }
}

#[test]
fn files_are_read_as_pillow_reads_them() {
    let golden: PictureGoldens = rsa_golden("pictures.json");
    assert!(golden.files.len() > 10);
    for (name, FileGolden { file, read }) in &golden.files {
        let digits = file.as_bytes().chunks_exact(2);
        let bytes: Vec<u8> =
            digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect();
        read.check(&decode_picture(&bytes).unwrap(), name);
    }
}
