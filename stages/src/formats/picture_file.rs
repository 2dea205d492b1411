//! PNG and JPEG files as [`RgbPicture`]s, and pictures as PNG.
//!
//! Decides that any picture becomes red, green and blue of 8 bits, as Pillow's `convert("RGB")` has it: palettes are looked up, grey is
//! repeated, transparency is dropped, of 16 bits the upper 8 count (Pillow cuts grey of 16 bits off at 255 instead); and that it is turned
//! upright by its EXIF orientation. Which kind a file is, its first bytes say, not its name. Files that are cut off or damaged are
//! refused, never filled up. JPEG is decoded by libjpeg without instructions of particular processors, in whole numbers, so that the same
//! file is the same picture everywhere, equal to Pillow's in every bit: the price is code in C, and two thirds of the speed of Pillow.

use std::io::Cursor;
use std::path::Path;

use fs_err as fs;
use pipe_contract::Failure;

use super::bounds::DEFLATE_RATIO;
use super::exif::{Orientation, jpeg_segments};
use super::libjpeg::OpenJpeg;
use super::rgb_picture::{RgbPicture, check_size};

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// The most pixels that a byte of a JPEG file can hold: a block of 64 takes at least one bit.
const JPEG_PIXELS: usize = 512;

/// Which kind of picture a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG (JFIF or EXIF).
    Jpeg,
}

impl PictureFormat {
    /// By the first bytes of a file.
    ///
    /// # Errors
    /// Input: it is neither.
    pub fn of(bytes: &[u8]) -> Result<Self, Failure> {
        if bytes.starts_with(PNG_SIGNATURE) {
            return Ok(Self::Png);
        }
        if bytes.starts_with(JPEG_SIGNATURE) {
            return Ok(Self::Jpeg);
        }
        let first: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let found = if first.is_empty() { "is empty".to_owned() } else { format!("begins with {}", first.join(" ")) };
        Err(Failure::input(format!("expected a picture, PNG or JPEG, but the file {found}"))
            .hint("save it as PNG or JPEG; the ending of its name does not decide what it is"))
    }

    /// How names of such files end.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }
}

/// Reads a picture file.
///
/// # Errors
/// Input: no such file, or as [`decode_picture`], with the path as place. Environment: it cannot be read.
pub fn read_picture(path: &Path) -> Result<RgbPicture, Failure> {
    let bytes = read_bytes(path)?;
    decode_picture(&bytes).map_err(|failure| failure.at(path.display().to_string()))
}

/// The bytes of a file.
///
/// # Errors
/// Input: no such file. Environment: it cannot be read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Failure::input("the file does not exist").at(path.display().to_string())
        }
        std::io::ErrorKind::IsADirectory => {
            Failure::input("expected a picture, but it is a folder").at(path.display().to_string())
        }
        _ => Failure::io("read", path, &error),
    })
}

/// The picture in the bytes of a PNG or JPEG file.
///
/// # Errors
/// Input: it is neither, it is cut off or damaged, or it has too many pixels.
pub fn decode_picture(bytes: &[u8]) -> Result<RgbPicture, Failure> {
    match PictureFormat::of(bytes)? {
        PictureFormat::Png => decode_png(bytes),
        PictureFormat::Jpeg => decode_jpeg(bytes),
    }
}

fn damaged(what: &str, problem: impl std::fmt::Display) -> Failure {
    Failure::input(format!("not a whole {what} picture: {problem}"))
        .hint("the file is damaged or was cut off: fetch or save it again")
}

fn promised(what: &str, (width, height): (usize, usize), bytes: usize) -> Failure {
    damaged(what, format!("it promises {width} x {height} pixels in {bytes} bytes, which cannot hold them"))
}

fn decode_png(bytes: &[u8]) -> Result<RgbPicture, Failure> {
    let broken = |error: png::DecodingError| damaged("PNG", error);
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (header.width as usize, header.height as usize);
    check_size(width, height)?;
    if header.raw_bytes() as u64 > DEFLATE_RATIO.saturating_mul(bytes.len() as u64) {
        return Err(promised("PNG", (width, height), bytes.len()));
    }
    let mut reader = decoder.read_info().map_err(broken)?;
    let size = reader.output_buffer_size().ok_or_else(|| promised("PNG", (width, height), bytes.len()))?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    reader.finish().map_err(broken)?;
    if (frame.width as usize, frame.height as usize) != (width, height) {
        return Err(damaged("PNG", "its first frame covers only a part of it"));
    }
    let orientation = reader.info().exif_metadata.as_deref().map_or_else(Orientation::default, Orientation::of_tiff);
    let rgb = match frame.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        png::ColorType::Grayscale => pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
        png::ColorType::Indexed => return Err(Failure::internal("a palette was not looked up")),
    };
    whole(RgbPicture { width, height, rgb }, orientation)
}

fn decode_jpeg(bytes: &[u8]) -> Result<RgbPicture, Failure> {
    let segments = jpeg_segments(bytes);
    if !segments.is_whole {
        return Err(damaged("JPEG", "the file ends before the end of the picture"));
    }
    whole(jpeg_pixels(bytes)?, segments.orientation)
}

fn jpeg_pixels(bytes: &[u8]) -> Result<RgbPicture, Failure> {
    let broken = |message: String| damaged("JPEG", message);
    let mut opened = OpenJpeg::new(bytes).map_err(broken)?;
    let (width, height) = opened.size();
    check_size(width, height)?;
    if width * height > JPEG_PIXELS.saturating_mul(bytes.len()) {
        return Err(promised("JPEG", (width, height), bytes.len()));
    }
    let has_inks = opened.has_inks();
    let pixels = opened.pixels().map_err(broken)?;
    let rgb = if has_inks { pixels.chunks_exact(4).flat_map(of_stored_inks).collect() } else { pixels };
    Ok(RgbPicture { width, height, rgb })
}

/// Red, green and blue of cyan, magenta, yellow and black as JPEG files have them, where 255 means that there is none: what black leaves, less its share
/// of a colour (Pillow's `convert("RGB")`).
fn of_stored_inks(stored: &[u8]) -> [u8; 3] {
    let left = u32::from(stored[3]);
    [0, 1, 2].map(|ink| {
        let product = (255 - u32::from(stored[ink])) * left + 128;
        // Divided by 255 and rounded, so at most what black leaves.
        (left - ((product + (product >> 8)) >> 8)) as u8
    })
}

fn whole(picture: RgbPicture, orientation: Orientation) -> Result<RgbPicture, Failure> {
    let expected = picture.width * picture.height * 3;
    if picture.rgb.len() != expected {
        return Err(Failure::internal(format!("{} bytes of a picture, expected {expected}", picture.rgb.len())));
    }
    Ok(picture.upright(orientation))
}

/// A PNG file of a picture, 8 bits of red, green and blue.
///
/// # Errors
/// Internal: the picture does not fit its size.
pub fn encode_png(picture: &RgbPicture) -> Result<Vec<u8>, Failure> {
    let broken = |error: png::EncodingError| Failure::internal(format!("a picture cannot be written: {error}"));
    let side = |side: usize| u32::try_from(side).map_err(|_| Failure::internal("a picture is too large for PNG"));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(picture.width)?, side(picture.height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header().map_err(broken)?;
    writer.write_image_data(&picture.rgb).map_err(broken)?;
    writer.finish().map_err(broken)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    /// Pillow 13.0.0: 16 x 8 pixels, the left half (200, 40, 60), the right half (40, 180, 60),
    /// `save(..., "JPEG", quality=90, optimize=True, subsampling=0, exif=...)` with orientation 6.
    const COLOURED: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAIABADAREAAhEBAxEB/8QAFAABAAAAAAAAAAAAAAAAAAAAB//EABQQAQAAAAAAAAAAAAAAAAAAAAD/xAAWAQEBAQAAAAAAAAAAAAAAAAAGCAn/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwAaEloFoMZHv//Z";

    /// What it reads there.
    const RED: [u8; 3] = [199, 40, 60];
    const GREEN: [u8; 3] = [40, 179, 60];

    /// The same program: 8 x 8 pixels of grey 77, `progressive=True`.
    const GREY: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcpLDAxNDQ0Hyc5PTgyPC4zNDL/wgALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABf/aAAgBAQAAAAEX/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABBQJ//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQAGPwJ//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPyF//9oACAEBAAAAEP8A/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxB//9k=";

    /// Pillow 13.0.0: 12 x 10 pixels of strong, changing colours, `save(..., "JPEG", quality=80, subsampling=2, optimize=True)`: colours are
    /// stored at half size.
    const HALVED: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/wAARCAAKAAwDASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABQME/8QAIxAAAgICAgEEAwAAAAAAAAAAAQIDEQQhABIxBRUiQVFhcf/EABUBAQEAAAAAAAAAAAAAAAAAAAME/8QAIBEAAgEEAQUAAAAAAAAAAAAAAQIDAAQRIRITUWFx8P/aAAwDAQACEQMRAD8AnjQQiDBhMQEA6iNVUFTV6BHjwTvW9jmXOfFXJYZT4yS0LWZCCNfQoivxRrjMaL7sE6r1Hp7ygVoPb/L+/vgJZm6sxJYqpJJ2TQ5JdwdK1jeNip1sHB35pEQSNwYAj12H2K//2Q==";

    /// What it reads there: red, green and blue of all pixels.
    const HALVED_READ: &str = "BjoATm4vq591hXdUdIJhVnZRUXFMYHZPdXZOlJhzZ4ZmPGpNS3EkgJVUlYZboI1voKSNYHJcT15JlZqDsKeGgHxWVm1DZYldanYglpZOj3lKkXVfc2RhjIGJo4+bkXh8mn1tmoZhiIpLe4k+fH8ol5BIkHlPp4t9kn6Jclt1gmGAxqC1fltXln5agHkzeXwjanEjiopKn5JyhHJukIeYmIqrlHygoISdnoSFq5p8hH89a24XfY5KXmg0ioNxb2VteHqRgIOik4ythXmRb2Bjh3xmmJlfoKZcZodShJh1oqGfdXKFcYObP1lyXXKHlKCul5abbmxfUVkwY3I7Um9DaHpgmJCblpCse46sSmqDeJSpgZSjiYuXoKGccHtdRFUpiJNoZWdPl4KTinmdfYKoVWeLd4alhY+oioecj4qOanBWbXhOiItglY95up+ycFd/ZmeTgIy0pa/SfICdb2mDgnuDam5VcXlQ";

    #[test]
    fn colours_of_half_size_are_those_of_pillow() {
        let found = decode_picture(&jpeg(HALVED)).unwrap();
        assert_eq!(found, RgbPicture { width: 12, height: 10, rgb: jpeg(HALVED_READ) });
    }

    fn jpeg(text: &str) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    }

    /// A PNG file of two columns and one row with an EXIF orientation, and with a palette of red and blue if it is indexed.
    fn png_file(colour: png::ColorType, depth: png::BitDepth, data: &[u8], orientation: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == png::ColorType::Indexed {
            encoder.set_palette(vec![255_u8, 0, 0, 0, 0, 255]);
            encoder.set_trns(vec![255_u8, 0]);
        }
        let mut writer = encoder.write_header().unwrap();
        let exif = [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation][..], &[0; 6]].concat();
        writer.write_chunk(png::chunk::ChunkType(*b"eXIf"), &exif).unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn every_kind_of_png_becomes_red_green_and_blue() {
        use png::BitDepth::{Eight, One, Sixteen};
        use png::ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        let rgb = |colour, depth, data: &[u8]| decode_picture(&png_file(colour, depth, data, 1)).unwrap().rgb;
        assert_eq!(rgb(Rgb, Eight, &[1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(rgb(Rgba, Eight, &[1, 2, 3, 0, 4, 5, 6, 9]), [1, 2, 3, 4, 5, 6], "transparency is dropped");
        assert_eq!(rgb(Grayscale, Eight, &[7, 8]), [7, 7, 7, 8, 8, 8]);
        assert_eq!(rgb(Grayscale, One, &[0b0100_0000]), [0, 0, 0, 255, 255, 255]);
        assert_eq!(rgb(GrayscaleAlpha, Eight, &[7, 0, 8, 1]), [7, 7, 7, 8, 8, 8]);
        assert_eq!(rgb(Grayscale, Sixteen, &[7, 255, 8, 0]), [7, 7, 7, 8, 8, 8], "the upper 8 bits");
        assert_eq!(rgb(Indexed, Eight, &[1, 0]), [0, 0, 255, 255, 0, 0]);
        let mirrored = png_file(Grayscale, Eight, &[7, 8], 2);
        assert_eq!(decode_picture(&mirrored).unwrap().rgb, [8, 8, 8, 7, 7, 7]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let picture = RgbPicture { width: 3, height: 2, rgb: (0..18).map(|at| at * 14).collect() };
        assert_eq!(decode_picture(&encode_png(&picture).unwrap()).unwrap(), picture);
        assert!(encode_png(&RgbPicture { width: 3, height: 3, ..picture }).is_err());
    }

    #[test]
    fn jpeg_is_read_and_turned_upright() {
        let picture = decode_picture(&jpeg(COLOURED)).unwrap();
        assert_eq!((picture.width, picture.height), (8, 16));
        for (at, expected) in [((0, 0), RED), ((7, 7), RED), ((0, 8), GREEN), ((7, 15), GREEN)] {
            assert_eq!(picture.pixel(at.0, at.1), expected, "{at:?}");
        }
        let grey = decode_picture(&jpeg(GREY)).unwrap();
        assert_eq!((grey.width, grey.height, grey.pixel(3, 3)), (8, 8, [77; 3]));
    }

    #[test]
    fn files_that_are_cut_off_are_refused() {
        let coloured = jpeg(COLOURED);
        for cut in 3..coloured.len() {
            let message = decode_picture(&coloured[..cut]).unwrap_err().message;
            assert_eq!(message, "not a whole JPEG picture: the file ends before the end of the picture", "{cut}");
        }
        let whole = encode_png(&RgbPicture::filled(9, 9, [1, 2, 3])).unwrap();
        for cut in PNG_SIGNATURE.len()..whole.len() {
            let failure = decode_picture(&whole[..cut]).unwrap_err();
            assert!(failure.message.starts_with("not a whole PNG picture: "), "{cut}: {failure}");
        }
        let mut damaged = whole;
        damaged[45] ^= 0x40;
        assert!(decode_picture(&damaged).unwrap_err().message.starts_with("not a whole PNG picture: "));
    }

    /// In each of these libjpeg goes on after a warning.
    #[test]
    fn damaged_pixels_are_refused_although_the_end_is_there() {
        let whole = jpeg(HALVED);
        let (pixels, end) = whole.split_at(whole.len() - 40);
        let refused = |bytes: &[u8]| decode_picture(bytes).unwrap_err().message;
        let missing = "not a whole JPEG picture: Corrupt JPEG data: premature end of data segment";
        assert_eq!(refused(&[pixels, &end[38..]].concat()), missing);
        let between = [&whole[..whole.len() - 2], &[0, 0, 7], &end[38..]].concat();
        let message = refused(&between);
        assert!(message.starts_with("not a whole JPEG picture: Corrupt JPEG data: "), "{message}");
        assert_eq!(decode_picture(&[&whole[..], b"after the end"].concat()).unwrap(), decode_picture(&whole).unwrap());
    }

    /// A process of coding that only old files have, 12 bits, and a table that is not there: errors of libjpeg.
    #[test]
    fn forms_of_jpeg_that_cannot_be_read_are_refused_with_the_reason() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = jpeg(COLOURED);
            let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
            bytes[frame + at] = byte;
            decode_picture(&bytes).unwrap_err().message
        };
        assert_eq!(changed(1, 0xc3), "not a whole JPEG picture: Unsupported JPEG process: SOF type 0xc3");
        assert_eq!(changed(4, 12), "not a whole JPEG picture: Unsupported JPEG data precision 12");
        assert_eq!(changed(12, 3), "not a whole JPEG picture: Quantization table 0x03 was not defined");
    }

    const INKS: [([u8; 4], [u8; 3]); 6] = [
        ([0, 0, 0, 0], [0, 0, 0]),
        ([255, 255, 255, 255], [255, 255, 255]),
        ([200, 40, 60, 255], [200, 40, 60]),
        ([200, 40, 60, 128], [100, 20, 30]),
        ([1, 127, 254, 77], [0, 38, 77]),
        ([13, 99, 180, 201], [10, 78, 142]),
    ];

    #[test]
    fn inks_are_mixed_as_pillow_mixes_them() {
        // Pillow 13.0.0: `Image.new("CMYK", (1, 1), tuple(255 - part for part in stored)).convert("RGB")`.
        for (stored, expected) in INKS {
            assert_eq!(of_stored_inks(&stored), expected, "{stored:?}");
        }
    }

    #[test]
    fn files_of_another_kind_say_what_they_are() {
        let message = decode_picture(b"GIF89a").unwrap_err().message;
        assert_eq!(message, "expected a picture, PNG or JPEG, but the file begins with 47 49 46 38 39 61");
        assert_eq!(decode_picture(b"").unwrap_err().message, "expected a picture, PNG or JPEG, but the file is empty");
        let folder = tempfile::tempdir().unwrap();
        assert!(read_picture(folder.path()).unwrap_err().message.contains("it is a folder"));
        let missing = read_picture(&folder.path().join("none.png")).unwrap_err();
        assert_eq!(missing.message, "the file does not exist");
    }

    /// A header that promises 60,000 x 2,000 pixels.
    #[test]
    fn sizes_are_compared_with_the_file_before_anything_is_allocated() {
        let mut bytes = encode_png(&RgbPicture::filled(1, 1, [0; 3])).unwrap();
        bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0x07, 0xd0]);
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
        let message = decode_picture(&bytes).unwrap_err().message;
        assert!(message.contains("promises 60000 x 2000 pixels in"), "{message}");
        let mut coloured = jpeg(COLOURED);
        let frame = coloured.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        coloured[frame + 5..frame + 9].copy_from_slice(&[0x20, 0x00, 0x20, 0x00]);
        let message = decode_picture(&coloured).unwrap_err().message;
        assert!(message.contains("promises 8192 x 8192 pixels in"), "{message}");
    }
}
