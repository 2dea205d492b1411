//! What the labels of a network are called in files for other programs, and their colours.
//!
//! Raters' labels end at 7 degrees of eccentricity, and so does what networks learn from them. Every name says so: an area that is called
//! `V1` alone would be taken for all of V1, of which this is a third or so.

use pipe_contract::{Coordinates, Failure};

/// A label in files for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// The number, from 1; 0 is what is not labelled.
    pub(super) number: i32,
    /// Such as `V1 (0-7 deg)`.
    pub(super) name: &'static str,
    /// Red, green, blue.
    pub(super) colour: [u8; 3],
}

const AREAS: [Region; 3] = [
    Region { number: 1, name: "V1 (0-7 deg)", colour: [200, 60, 40] },
    Region { number: 2, name: "V2 (0-7 deg)", colour: [60, 150, 70] },
    Region { number: 3, name: "V3 (0-7 deg)", colour: [60, 90, 200] },
];

const RINGS: [Region; 5] = [
    Region { number: 1, name: "V1-V3 (0-0.5 deg)", colour: [90, 20, 90] },
    Region { number: 2, name: "V1-V3 (0.5-1 deg)", colour: [200, 60, 80] },
    Region { number: 3, name: "V1-V3 (1-2 deg)", colour: [230, 150, 40] },
    Region { number: 4, name: "V1-V3 (2-4 deg)", colour: [120, 190, 80] },
    Region { number: 5, name: "V1-V3 (4-7 deg)", colour: [50, 140, 200] },
];

/// What has no label.
pub(super) const UNLABELLED: Region =
    Region { number: 0, name: "not labelled (outside V1-V3, or beyond 7 deg)", colour: [25, 5, 25] };

/// A division of the cortex by a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// The coordinate of the axis `outputs`: `area` or `ring`.
    pub(super) outputs: &'static str,
    /// The end of the original's file names: `varea` or `vring`.
    pub(super) file: &'static str,
    /// What BIDS names it by, letters and digits alone.
    pub(super) bids: &'static str,
    /// A sentence for headers.
    pub(super) about: &'static str,
    /// Its labels.
    pub(super) regions: &'static [Region],
}

const DIVISIONS: [Division; 2] = [
    Division {
        outputs: "area",
        file: "varea",
        bids: "varea",
        about: "visual areas within 7 degrees of fixation: 1 V1 (0-7 deg), 2 V2 (0-7 deg), 3 V3 (0-7 deg); not all of V1, V2, V3",
        regions: &AREAS,
    },
    Division {
        outputs: "ring",
        file: "vring",
        bids: "vring",
        about: "eccentricity in V1-V3, in degrees: 1 0-0.5, 2 0.5-1, 3 1-2, 4 2-4, 5 4-7",
        regions: &RINGS,
    },
];

impl Division {
    /// The division of the labels at these coordinates.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(super) fn at(coordinates: &Coordinates) -> Result<Self, Failure> {
        Self::of(coordinates.get("outputs").map_or("", String::as_str))
    }

    /// The division that a network with these outputs makes.
    ///
    /// # Errors
    /// Input: neither `area` nor `ring`.
    fn of(outputs: &str) -> Result<Self, Failure> {
        DIVISIONS.into_iter().find(|division| division.outputs == outputs).ok_or_else(|| {
            Failure::input(format!("expected labels of `area` or `ring` on the axis `outputs`, found `{outputs}`"))
        })
    }

    /// Checks that labels are those of this division.
    ///
    /// # Errors
    /// Input: another number.
    pub(super) fn check(&self, labels: &[i32]) -> Result<(), Failure> {
        let most = self.regions.len() as i32;
        match labels.iter().position(|label| !(0..=most).contains(label)) {
            None => Ok(()),
            Some(at) => Err(Failure::input(format!("vertex {at} has the label {}, expected 0 to {most}", labels[at]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_says_how_far_it_reaches() {
        for region in DIVISIONS.iter().flat_map(|division| division.regions) {
            assert!(region.name.ends_with(" deg)"), "{}", region.name);
        }
        let numbers: Vec<i32> = RINGS.iter().map(|region| region.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn other_labels_are_refused() {
        let area = Division::of("area").unwrap();
        assert!(area.check(&[0, 3]).is_ok());
        assert_eq!(area.check(&[0, 4]).unwrap_err().message, "vertex 1 has the label 4, expected 0 to 3");
        assert!(Division::of("sector").is_err());
    }
}
