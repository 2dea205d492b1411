//! Four raters who label V1-V3 and the eccentricity bands: each with biases that are the same for every subject. Their random
//! errors, which differ from subject to subject, are in `individual`.

use super::atlas::Spot;

/// The raters, in the order of their names.
pub const RATERS: [Rater; 4] = [
    Rater { name: "A1", border: [0.0, 0.0, 0.0, 0.0], eccentricity: 1.0 },
    Rater { name: "A2", border: [0.0, 0.5, -0.1, 0.4], eccentricity: 1.05 },
    Rater { name: "A3", border: [0.3, -0.4, 0.3, 0.0], eccentricity: 0.95 },
    Rater { name: "A4", border: [-0.3, 0.0, 0.5, 0.2], eccentricity: 1.02 },
];

/// A rater's biases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rater {
    /// The name, as in the published label set.
    pub name: &'static str,
    /// How far, in sphere units, they place the borders of outside, V1, V2, V3 too far out.
    pub border: [f64; 4],
    /// The factor on eccentricities.
    pub eccentricity: f64,
}

/// Outer edges of the eccentricity bands 0 to 4, in degrees.
const EDGES: [f64; 5] = [0.5, 1.0, 2.0, 4.0, 7.0];

impl Rater {
    /// The area (0 to 3) and sector (0 to 26) that this rater gives to a place; `habit` scales the biases, 0 is none.
    pub fn label(&self, spot: &Spot, habit: f64) -> (i32, i32) {
        let eccentricity = spot.eccentricity() * (1.0 + habit * (self.eccentricity - 1.0));
        let reach = |class: usize| spot.distance[class] - habit * self.border[class];
        // Ties go to the first, so that the choice does not hang on rounding elsewhere.
        let area = (1..4).fold(0, |best, class| if reach(class) < reach(best) { class } else { best });
        match EDGES.iter().position(|edge| eccentricity < *edge) {
            Some(band) if area > 0 => (area as i32, sector(area, spot.field[1] >= 0.0, band)),
            _ => (0, 0),
        }
    }
}

/// The number of a sector. Lines begin at 0.5 degrees in V2 and V3, so their innermost part has none.
fn sector(area: usize, upper_field: bool, band: usize) -> i32 {
    // The upper visual field lies on the ventral side.
    let first = match (area, upper_field) {
        (1, false) => 1,
        (1, true) => 6,
        (2, false) => 11,
        (2, true) => 15,
        (3, false) => 19,
        (_, _) => 23,
    };
    match (area, band) {
        (1, band) => first + band as i32,
        (_, 0) => 0,
        (_, band) => first + band as i32 - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(area: usize, eccentricity: f64, up: f64) -> Spot {
        let mut distance = [4.0; 4];
        distance[area] = 0.0;
        Spot { distance, field: [(eccentricity * eccentricity - up * up).sqrt(), up], varea: area as i32 }
    }

    #[test]
    fn sectors_have_the_numbers_of_the_published_label_set() {
        let exact = Rater { name: "", border: [0.0; 4], eccentricity: 1.0 };
        for (area, eccentricity, up, expected) in [
            (1, 0.3, -0.2, (1, 1)),
            (1, 6.9, -1.0, (1, 5)),
            (1, 0.3, 0.2, (1, 6)),
            (1, 5.0, 1.0, (1, 10)),
            (2, 0.3, 0.1, (2, 0)),
            (2, 0.7, -0.1, (2, 11)),
            (2, 6.0, 0.1, (2, 18)),
            (3, 0.7, -0.1, (3, 19)),
            (3, 6.0, -0.1, (3, 22)),
            (3, 0.7, 0.1, (3, 23)),
            (3, 6.0, 0.1, (3, 26)),
            (1, 7.0, 0.1, (0, 0)),
            (0, 3.0, 0.1, (0, 0)),
        ] {
            assert_eq!(exact.label(&spot(area, eccentricity, up), 1.0), expected, "{area} {eccentricity} {up}");
        }
    }

    #[test]
    fn biases_move_borders() {
        let wide = Rater { name: "", border: [0.0, 1.0, 0.0, 0.0], eccentricity: 1.0 };
        let between = Spot { distance: [9.0, 2.0, 1.5, 9.0], field: [3.0, 0.5], varea: 2 };
        assert_eq!(wide.label(&between, 1.0).0, 1);
        assert_eq!(wide.label(&between, 0.0).0, 2);
    }
}
