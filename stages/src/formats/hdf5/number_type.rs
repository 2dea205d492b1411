//! How a number lies in the bytes of an HDF5 element: decided by the datatype message of the file, of which every field is
//! honoured (bit offset, precision, places of exponent and mantissa), as the HDF5 library does.
//!
//! Does not depend on datasets. Read are whole numbers, bit fields, enumerations (by their numbers) and floats of at most
//! 8 bytes whose leading one is implied: half, bfloat16, single, double and what lies between.

use crate::formats::npy_file::FloatType;
use crate::formats::number_bytes::{self, fixed};

/// The most bytes that an element may have.
pub const MOST_BYTES: usize = 8;

/// How a number lies in an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberType {
    size: usize,
    big_endian: bool,
    form: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// `offset`: insignificant bits below the value.
    Whole {
        offset: u32,
        bits: u32,
        signed: bool,
    },
    Float(Fields),
}

/// Where the parts of a float are. The HDF5 library counts them from the lowest bit of the element, whatever the offset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    sign: u32,
    exponent: u32,
    exponent_bits: u32,
    mantissa: u32,
    mantissa_bits: u32,
    bias: u32,
}

const SINGLE: Fields = Fields { sign: 31, exponent: 23, exponent_bits: 8, mantissa: 0, mantissa_bits: 23, bias: 127 };
const DOUBLE: Fields = Fields { sign: 63, exponent: 52, exponent_bits: 11, mantissa: 0, mantissa_bits: 52, bias: 1023 };

const FIXED_POINT: u8 = 0;
const FLOATING_POINT: u8 = 1;
const BIT_FIELD: u8 = 4;
const ENUMERATION: u8 = 8;
/// What other classes are called in the specification of the format, from class 2.
const OTHER_CLASSES: [&str; 9] =
    ["times", "texts", "", "opaque bytes", "compounds", "references", "", "lists of varying length", "arrays"];

impl NumberType {
    /// From the bytes of a datatype message.
    ///
    /// # Errors
    /// The type is not of numbers, or of numbers that are not read: what it is, to go on from "the dataset ...".
    pub fn parse(message: &[u8]) -> Result<Self, String> {
        let header = message.first_chunk::<8>().ok_or("has a datatype that is cut off")?;
        let class = header[0] & 0x0f;
        let size = u32::from_le_bytes(fixed(&header[4..])) as usize;
        match class {
            ENUMERATION => Self::parse_plain(&message[8..]),
            FIXED_POINT | FLOATING_POINT | BIT_FIELD => Self::parse_plain(message),
            other => {
                let name = usize::from(other).checked_sub(2).and_then(|at| OTHER_CLASSES.get(at)).copied();
                let name = name.filter(|name| !name.is_empty()).unwrap_or("an unknown type");
                Err(format!("holds {name} ({size} bytes each), expected numbers"))
            }
        }
    }

    fn parse_plain(message: &[u8]) -> Result<Self, String> {
        let (header, rest) = message.split_at_checked(8).ok_or("has a datatype that is cut off")?;
        let class = header[0] & 0x0f;
        let size = u32::from_le_bytes(fixed(&header[4..])) as usize;
        if !(1..=MOST_BYTES).contains(&size) {
            return Err(format!("holds numbers of {size} bytes, expected 1 to {MOST_BYTES}"));
        }
        let (range, rest) = rest.split_at_checked(4).ok_or("has a datatype that is cut off")?;
        let offset = u32::from(u16::from_le_bytes(fixed(&range[..2])));
        let bits = u32::from(u16::from_le_bytes(fixed(&range[2..])));
        if bits == 0 || offset + bits > 8 * size as u32 {
            return Err(format!("holds numbers of {bits} bits from bit {offset} on in {size} bytes, which do not fit"));
        }
        let form = match class {
            FIXED_POINT => Encoding::Whole { offset, bits, signed: header[1] & 0x08 != 0 },
            BIT_FIELD => Encoding::Whole { offset, bits, signed: false },
            FLOATING_POINT => Encoding::Float(Fields::parse(header, rest, 8 * size as u32)?),
            other => return Err(format!("is an enumeration of things of class {other}, expected numbers")),
        };
        Ok(Self { size, big_endian: header[1] & 0x01 != 0, form })
    }

    /// Bytes of an element.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Which float of IEEE's this is, if it fills its element.
    pub fn ieee(&self) -> Option<FloatType> {
        match self.form {
            Encoding::Float(SINGLE) if self.size == 4 => Some(FloatType::F32),
            Encoding::Float(DOUBLE) if self.size == 8 => Some(FloatType::F64),
            _ => None,
        }
    }

    /// The narrowest float that holds every number of this type; 64 bits for whole numbers, of whatever width.
    pub fn float_type(&self) -> FloatType {
        match self.form {
            Encoding::Float(fields) if fields.are_in_single() => FloatType::F32,
            _ => FloatType::F64,
        }
    }

    /// The number in an element, in the file's order of bytes; bytes beyond its size are ignored.
    #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53, of which none occur here")]
    pub fn decode(&self, element: [u8; MOST_BYTES]) -> f64 {
        let all = number_bytes::bits(&element[..self.size], self.big_endian);
        match self.form {
            Encoding::Whole { bits, signed: false, offset } => field(all, offset, bits) as f64,
            Encoding::Whole { bits, signed: true, offset } => number_bytes::signed(all >> offset, bits) as f64,
            Encoding::Float(fields) => fields.decode(all),
        }
    }
}

impl Fields {
    fn parse(header: &[u8], rest: &[u8], bits: u32) -> Result<Self, String> {
        let fields = rest.first_chunk::<8>().ok_or("has a datatype that is cut off")?;
        let [exponent, exponent_bits, mantissa, mantissa_bits, ..] = fields.map(u32::from);
        let bias = u32::from_le_bytes(fixed(&fields[4..]));
        let sign = u32::from(header[2]);
        if header[1] & 0x40 != 0 {
            return Err("holds floats in the byte order of a VAX, which are not read".to_owned());
        }
        let is_implied = header[1] & 0x30 == 0x20;
        let is_inside = |at: u32, count: u32| at + count <= bits;
        let fits = is_inside(sign, 1) && is_inside(exponent, exponent_bits) && is_inside(mantissa, mantissa_bits);
        if !is_implied || !fits || !(1..=11).contains(&exponent_bits) || mantissa_bits > 52 {
            return Err(format!(
                "holds floats of an unusual form ({mantissa_bits} bits of mantissa, {exponent_bits} of exponent), expected half, single or double precision"
            ));
        }
        Ok(Self { sign, exponent, exponent_bits, mantissa, mantissa_bits, bias })
    }

    /// Whether a float of 32 bits holds every number of this form.
    fn are_in_single(self) -> bool {
        let is_usual = self.bias == (1 << (self.exponent_bits - 1)) - 1;
        is_usual && self.exponent_bits <= SINGLE.exponent_bits && self.mantissa_bits <= SINGLE.mantissa_bits
    }

    fn decode(self, value: u64) -> f64 {
        let sign = if field(value, self.sign, 1) == 1 { -1.0 } else { 1.0 };
        let exponent = field(value, self.exponent, self.exponent_bits);
        let mantissa = field(value, self.mantissa, self.mantissa_bits);
        let highest = (1 << self.exponent_bits) - 1;
        if exponent == highest {
            return if mantissa == 0 { sign * f64::INFINITY } else { f64::NAN };
        }
        let leading = if exponent == 0 { 0 } else { 1 << self.mantissa_bits };
        let power = exponent.max(1) as i64 - i64::from(self.bias) - i64::from(self.mantissa_bits);
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "clamped; 53 bits at most")]
        let magnitude = libm::ldexp((leading | mantissa) as f64, power.clamp(-4096, 4096) as i32);
        sign * magnitude
    }
}

/// `count` bits (at most 64) from bit `at` on.
fn field(value: u64, at: u32, count: u32) -> u64 {
    let shifted = value.checked_shr(at).unwrap_or(0);
    if count >= 64 { shifted } else { shifted & ((1 << count) - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datatype message: class and flags, size, and the properties that follow.
    fn message(class: u8, flags: [u8; 3], size: u32, properties: &[u8]) -> Vec<u8> {
        [&[class | 0x10, flags[0], flags[1], flags[2]], &size.to_le_bytes()[..], properties].concat()
    }

    fn padded(bytes: &[u8]) -> [u8; MOST_BYTES] {
        let mut element = [0xa5; MOST_BYTES];
        element[..bytes.len()].copy_from_slice(bytes);
        element
    }

    /// IEEE floats as `message`: sign, exponent, mantissa from the top down.
    fn float(size: u8, exponent_bits: u8, mantissa_bits: u8, bias: u32, big_endian: u8) -> NumberType {
        let bits = [0, 0, 8 * size, 0, mantissa_bits, exponent_bits, 0, mantissa_bits];
        let properties = [&bits[..], &bias.to_le_bytes()].concat();
        let flags = [0x20 | big_endian, 8 * size - 1, 0];
        NumberType::parse(&message(FLOATING_POINT, flags, u32::from(size), &properties)).unwrap()
    }

    #[test]
    fn ieee_floats_are_decoded_exactly() {
        let (single, double) = (float(4, 8, 23, 127, 0), float(8, 11, 52, 1023, 1));
        for value in [0.0, -0.0, 1.5, -2.25e-40, f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE), f64::INFINITY] {
            #[expect(clippy::cast_possible_truncation, reason = "chosen to fit")]
            let narrow = value as f32;
            assert_eq!(single.decode(padded(&narrow.to_le_bytes())).to_bits(), f64::from(narrow).to_bits());
            assert_eq!(double.decode(padded(&value.to_be_bytes())).to_bits(), value.to_bits());
        }
        assert_eq!(double.decode(padded(&f64::from_bits(1).to_be_bytes())), f64::from_bits(1));
        let half = float(2, 5, 10, 15, 0);
        for bits in 0..=u16::MAX {
            let (found, expected) = (half.decode(padded(&bits.to_le_bytes())), half::f16::from_bits(bits).to_f64());
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{bits:#x}: {found} and {expected}");
        }
    }

    #[test]
    fn bits_outside_the_value_do_not_count() {
        // 5 bits from bit 2 on, signed: x_10110_xx is -10.
        let five = NumberType::parse(&message(FIXED_POINT, [0x08, 0, 0], 1, &[2, 0, 5, 0])).unwrap();
        assert_eq!(five.decode(padded(&[0b1101_1011])), -10.0);
        let twelve = NumberType::parse(&message(BIT_FIELD, [0x01, 0, 0], 2, &[4, 0, 12, 0])).unwrap();
        assert_eq!(twelve.decode(padded(&[0xab, 0xcd])), f64::from(0xabc));
        let wide = NumberType::parse(&message(FIXED_POINT, [0x08, 0, 0], 8, &[0, 0, 64, 0])).unwrap();
        assert_eq!(wide.decode(padded(&(-5_i64).to_le_bytes())), -5.0);
    }

    #[test]
    fn other_types_are_named() {
        let refused = |bytes: &[u8]| NumberType::parse(bytes).unwrap_err();
        assert_eq!(refused(&message(3, [0; 3], 7, &[])), "holds texts (7 bytes each), expected numbers");
        assert_eq!(refused(&message(6, [1, 0, 0], 16, &[])), "holds compounds (16 bytes each), expected numbers");
        assert!(refused(&message(FIXED_POINT, [0; 3], 2, &[9, 0, 8, 0])).contains("do not fit"));
        assert!(refused(&message(FLOATING_POINT, [0x20, 79, 0], 16, &[0; 12])).contains("of 16 bytes"));
        for cut in 0..12 {
            assert!(NumberType::parse(&message(FIXED_POINT, [0; 3], 4, &[0, 0, 32, 0])[..cut]).is_err());
        }
    }
}
