//! How a camera was held: the orientation that an EXIF block states, and the segments of a JPEG file, one of which is that block.
//!
//! Decides when a JPEG file is whole (its end marker is there, so that a file that was cut off is noticed), and that damaged or
//! missing EXIF says nothing about the orientation. Independent of pixels.

/// How the stored picture must be turned to be seen upright (tag 0x0112 of EXIF 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Rows and columns change places first.
    pub transposed: bool,
    /// Then columns run from right to left.
    pub mirrored: bool,
    /// And rows from bottom to top.
    pub flipped: bool,
}

/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;
/// The type of a 16-bit number.
const SHORT: u16 = 3;
/// What an EXIF block of a JPEG file begins with.
const EXIF: &[u8] = b"Exif\0\0";

impl Orientation {
    /// From the value of the tag, 1 to 8; any other says nothing.
    fn of_value(value: u16) -> Self {
        let of = |transposed, mirrored, flipped| Self { transposed, mirrored, flipped };
        match value {
            2 => of(false, true, false),
            3 => of(false, true, true),
            4 => of(false, false, true),
            5 => of(true, false, false),
            6 => of(true, true, false),
            7 => of(true, true, true),
            8 => of(true, false, true),
            _ => Self::default(),
        }
    }

    /// Of an EXIF block in the form of a TIFF file, as a PNG file has it in its chunk `eXIf`.
    pub fn of_tiff(block: &[u8]) -> Self {
        Self::of_value(orientation_value(block).unwrap_or(1))
    }
}

/// A TIFF block in its byte order.
struct TiffBlock<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl TiffBlock<'_> {
    fn short(&self, at: usize) -> Option<u16> {
        let two = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    }

    fn offset(&self, at: usize) -> Option<usize> {
        let four = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }).ok()
    }
}

fn orientation_value(bytes: &[u8]) -> Option<u16> {
    let little = match bytes.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let block = TiffBlock { bytes, little };
    if block.short(2)? != 42 {
        return None;
    }
    let first = block.offset(4)?.checked_add(2)?;
    let entries = usize::from(block.short(first - 2)?);
    let entry = (0..entries).map(|entry| first.saturating_add(12 * entry));
    let mut tagged = entry.filter(|at| block.short(*at) == Some(ORIENTATION));
    let at = tagged.next()?;
    if block.short(at + 2)? == SHORT { block.short(at + 8) } else { None }
}

/// What the segments of a JPEG file say, without its pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JpegSegments {
    /// How the camera was held.
    pub orientation: Orientation,
    /// Its end marker is there.
    pub is_whole: bool,
}

/// Walks over the segments of a JPEG file up to its end marker, or to where it stops making sense.
pub fn jpeg_segments(bytes: &[u8]) -> JpegSegments {
    let mut found = JpegSegments::default();
    let (mut at, mut has_exif) = (2, false);
    while let Some((marker, body)) = next_marker(bytes, at) {
        at = body;
        match marker {
            // End of image.
            0xd9 => {
                found.is_whole = true;
                break;
            }
            // Restarts and the start of image have no length.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(two) = bytes.get(at..at + 2) else { break };
                let length = usize::from(u16::from_be_bytes([two[0], two[1]]));
                let segment = bytes.get(at + 2..at + length).unwrap_or_default();
                // The first block counts; further ones continue it where it is long.
                if marker == 0xe1
                    && !has_exif
                    && let Some(block) = segment.strip_prefix(EXIF)
                {
                    found.orientation = Orientation::of_tiff(block);
                    has_exif = true;
                }
                at += length;
            }
        }
    }
    found
}

/// The next marker at or after a place and where what follows it begins. In compressed data `ff 00` is a byte and not a marker, and
/// `ff ff` fills up.
fn next_marker(bytes: &[u8], from: usize) -> Option<(u8, usize)> {
    let mut pairs = bytes.get(from..)?.windows(2).zip(from..);
    pairs.find(|(pair, _)| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff)).map(|(pair, at)| (pair[1], at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with one entry.
    fn block(little: bool, tag: u16, kind: u16, value: u16) -> Vec<u8> {
        let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut bytes = if little { b"II".to_vec() } else { b"MM".to_vec() };
        bytes.extend(short(42));
        bytes.extend(long(8));
        [1, tag, kind].iter().for_each(|number| bytes.extend(short(*number)));
        bytes.extend(long(1));
        [value, 0].iter().for_each(|number| bytes.extend(short(*number)));
        bytes.extend(long(0));
        bytes
    }

    fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker][..], &length, body].concat()
    }

    #[test]
    fn the_orientation_is_read_in_both_byte_orders() {
        for little in [true, false] {
            let turned = Orientation::of_tiff(&block(little, ORIENTATION, SHORT, 6));
            assert_eq!(turned, Orientation { transposed: true, mirrored: true, flipped: false });
        }
        let upright = Orientation::default();
        assert_eq!(Orientation::of_tiff(&block(true, 0x010f, SHORT, 6)), upright, "another tag");
        assert_eq!(Orientation::of_tiff(&block(true, ORIENTATION, 4, 6)), upright, "another type");
        assert_eq!(Orientation::of_tiff(&block(true, ORIENTATION, SHORT, 9)), upright, "no such orientation");
        let whole = block(true, ORIENTATION, SHORT, 6);
        for cut in 0..19 {
            assert_eq!(Orientation::of_tiff(&whole[..cut]), upright, "cut off after {cut} bytes");
        }
        let mut far = whole;
        far[4..8].fill(0xff);
        assert_eq!(Orientation::of_tiff(&far), upright, "a directory beyond the end");
    }

    #[test]
    fn segments_of_a_jpeg_end_with_its_end_marker() {
        // The thumbnail in an EXIF block has an end marker of its own.
        let exif = [EXIF, &block(false, ORIENTATION, SHORT, 3), &[0xff, 0xd9]].concat();
        let scan = [&segment(0xda, &[1, 1, 0, 0, 63, 0])[..], &[0x12, 0xff, 0x00, 0xff, 0xd0, 0x34, 0xff]].concat();
        let other = segment(0xe1, &[EXIF, &block(false, 0x010f, SHORT, 1)].concat());
        let bytes =
            [&[0xff, 0xd8][..], &segment(0xe1, b"http"), &segment(0xe1, &exif), &other, &scan, &[0xff, 0xd9]].concat();
        let turned = Orientation { transposed: false, mirrored: true, flipped: true };
        assert_eq!(jpeg_segments(&bytes), JpegSegments { orientation: turned, is_whole: true });
        for cut in 0..bytes.len() {
            assert!(!jpeg_segments(&bytes[..cut]).is_whole, "cut off after {cut} bytes");
        }
    }
}
