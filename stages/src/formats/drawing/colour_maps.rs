//! Colour maps by name, and the two that show several numbers at once.
//!
//! The house's own are formulas ([`colour`]). Those that readers know from other programs are short tables of anchors, joined by straight
//! lines in sRGB: `Blues`, `Reds` and `RdBu_r` are ColorBrewer's (C. Brewer, M. Harrower, The Pennsylvania State University; Apache
//! License 2.0) as matplotlib joins them; `viridis` and `magma` (N. Smith, S. van der Walt; CC0) have every fifteenth of their 256
//! colours, which leaves the others by at most 5 of 255. `BPROG` are five flat bands of pycortex's map of that name.

use pipe_contract::choice;

use super::colour::{self, Colour};
use crate::numeric::counts::real;

choice! {
    /// A colour map by name.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ColourMap {
        /// Sequential for numbers, diverging for limits around 0, or the colours of categories.
        Auto = "auto",
        /// Dark violet over green to light yellow.
        Sequential = "sequential",
        /// Blue over nearly white to red.
        Diverging = "diverging",
        /// Light to dark grey.
        Grey = "grey",
        /// Dark blue over green to yellow.
        Viridis = "viridis",
        /// Black over red to light yellow.
        Magma = "magma",
        /// White to dark blue.
        Blues = "Blues",
        /// White to dark red.
        Reds = "Reds",
        /// Blue over white to red.
        RedBlue = "RdBu_r",
        /// Five flat bands: blue, purple, red, orange, green.
        Bprog = "BPROG",
    }
}

impl ColourMap {
    /// The colour of a share of the way from the first colour to the last; less than 0 has the first, more than 1 the last.
    pub fn colour(self, share: f64) -> Colour {
        let share = share.clamp(0.0, 1.0);
        match self {
            Self::Auto | Self::Sequential => colour::sequential(share),
            Self::Diverging => colour::diverging(share),
            Self::Grey => colour::grey(share),
            Self::Viridis => between(&VIRIDIS, share),
            Self::Magma => between(&MAGMA, share),
            Self::Blues => between(&BLUES, share),
            Self::Reds => between(&REDS, share),
            Self::RedBlue => between(&RED_BLUE, share),
            Self::Bprog => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 5")]
                let band = (share * 5.0) as usize;
                hex(BPROG[band.min(BPROG.len() - 1)])
            }
        }
    }
}

fn hex(rgb: u32) -> Colour {
    let [_, red, green, blue] = rgb.to_be_bytes();
    Colour::rgb(red, green, blue)
}

fn between(anchors: &[u32], share: f64) -> Colour {
    let place = share * real(anchors.len() - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short table")]
    let first = (place as usize).min(anchors.len() - 2);
    hex(anchors[first]).towards(hex(anchors[first + 1]), place - real(first))
}

const BLUES: [u32; 9] =
    [0xf7_fbff, 0xde_ebf7, 0xc6_dbef, 0x9e_cae1, 0x6b_aed6, 0x42_92c6, 0x21_71b5, 0x08_519c, 0x08_306b];
const REDS: [u32; 9] =
    [0xff_f5f0, 0xfe_e0d2, 0xfc_bba1, 0xfc_9272, 0xfb_6a4a, 0xef_3b2c, 0xcb_181d, 0xa5_0f15, 0x67_000d];
const RED_BLUE: [u32; 11] = [
    0x05_3061, 0x21_66ac, 0x43_93c3, 0x92_c5de, 0xd1_e5f0, 0xf7_f7f7, 0xfd_dbc7, 0xf4_a582, 0xd6_604d, 0xb2_182b,
    0x67_001f,
];
const VIRIDIS: [u32; 18] = [
    0x44_0154, 0x48_1769, 0x47_2a7a, 0x43_3d84, 0x3d_4e8a, 0x35_5e8d, 0x2e_6d8e, 0x29_7b8e, 0x23_898e, 0x1f_978b,
    0x21_a585, 0x2e_b37c, 0x46_c06f, 0x65_cb5e, 0x89_d548, 0xb0_dd2f, 0xd8_e219, 0xfd_e725,
];
const MAGMA: [u32; 18] = [
    0x00_0004, 0x09_0720, 0x1a_1042, 0x31_1165, 0x4a_1079, 0x62_1980, 0x79_2282, 0x91_2b81, 0xaa_337d, 0xc2_3b75,
    0xd9_466b, 0xec_5860, 0xf7_725c, 0xfc_8e64, 0xfe_aa74, 0xfe_c68a, 0xfd_e2a3, 0xfc_fdbf,
];
const BPROG: [u32; 5] = [0x00_8aff, 0xba_10ff, 0xff_1724, 0xff_6c01, 0x97_d601];

/// The corners of [`pair`]: neither, only the first, only the second, both.
const PAIR: [u32; 4] = [0xee_eeee, 0x00_72b2, 0xe6_9f00, 0x32_1432];

/// Two shares as one colour: light grey where both are 0, blue where only the first is 1, orange where only the second is, dark purple where
/// both are. Blue and orange differ for readers with any colour vision, and where both rise it gets darker.
pub fn pair(first: f64, second: f64) -> Colour {
    let [neither, one, two, both] = PAIR.map(hex);
    let (first, second) = (first.clamp(0.0, 1.0), second.clamp(0.0, 1.0));
    neither.towards(one, first).towards(two.towards(both, first), second)
}

/// Three shares as red, green and blue light that adds up: black where all are 0, white where all are 1.
pub fn light([red, green, blue]: [f64; 3]) -> Colour {
    Colour::fractions(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    #[test]
    fn known_colours_of_other_programs_are_met() {
        // matplotlib 3: cm.viridis(0.5), cm.magma(0.25), cm.Blues(0.7), cm.Reds(0.3), cm.RdBu_r(0.2), in bytes.
        for (map, share, (red, green, blue)) in [
            (ColourMap::Viridis, 0.5, (32, 144, 140)),
            (ColourMap::Magma, 0.25, (80, 18, 123)),
            (ColourMap::Blues, 0.7, (45, 125, 187)),
            (ColourMap::Reds, 0.3, (252, 171, 142)),
            (ColourMap::RedBlue, 0.2, (67, 147, 195)),
        ] {
            let found = map.colour(share);
            let away = [found.red.abs_diff(red), found.green.abs_diff(green), found.blue.abs_diff(blue)];
            assert!(away.iter().all(|away| *away <= 5), "{map:?}: {found:?}");
        }
    }

    #[test]
    fn bprog_has_five_flat_bands() {
        let bands: Vec<Colour> = (0..5).map(|at| ColourMap::Bprog.colour((f64::from(at) + 0.5) / 5.0)).collect();
        let known = [(0, 138, 255), (186, 16, 255), (255, 23, 36), (255, 108, 1), (151, 214, 1)];
        assert_eq!(bands, known.map(|(red, green, blue)| Colour::rgb(red, green, blue)));
        assert_eq!(ColourMap::Bprog.colour(0.199), bands[0]);
        assert_eq!(ColourMap::Bprog.colour(1.0), bands[4]);
    }

    #[test]
    fn every_map_ends_where_shares_do() {
        for map in [ColourMap::Sequential, ColourMap::Viridis, ColourMap::Blues, ColourMap::RedBlue, ColourMap::Bprog] {
            assert_eq!((map.colour(-3.0), map.colour(9.0)), (map.colour(0.0), map.colour(1.0)));
            assert_ne!(map.colour(0.0), map.colour(1.0));
        }
    }

    #[test]
    fn two_numbers_meet_in_four_corners() {
        assert_eq!([pair(0.0, 0.0), pair(1.0, 0.0), pair(0.0, 1.0), pair(1.0, 1.0)], PAIR.map(hex));
        assert_eq!(pair(2.0, -1.0), pair(1.0, 0.0));
        assert_eq!(light([1.0, 0.0, 0.5]), Colour::rgb(255, 0, 128));
    }

    #[test]
    #[ignore = "needs the real data"]
    fn blues_are_those_of_pycortex() {
        let file = std::io::BufReader::new(fs_err::File::open(tasks::data("pycortex_S1").join("Blues.png")).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let size = info.color_type.samples();
        assert_eq!(info.width, 256);
        for (at, known) in (0_u32..).zip(bytes[..256 * size].chunks_exact(size)) {
            let found = ColourMap::Blues.colour(f64::from(at) / 255.0);
            let found = [found.red, found.green, found.blue];
            assert!(found.iter().zip(known).all(|(one, two)| one.abs_diff(*two) <= 1), "{at}: {found:?} {known:?}");
        }
    }
}
