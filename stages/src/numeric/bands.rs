//! Visual areas and bands of eccentricity as labels, out of a retinotopic map (section 4.3 of the analysis).

/// Bounds of the bands of eccentricity, in degrees of visual angle; band `k` is from `BANDS[k - 1]` up to, but without, `BANDS[k]`.
pub const BANDS: [f64; 6] = [0.0, 0.5, 1.0, 2.0, 4.0, 7.0];

/// The area and the ring of a vertex, from the area that a retinotopic map gives it (any numbering in which 1, 2 and 3
/// are V1, V2 and V3) and its eccentricity in degrees.
///
/// Both are 0 outside V1 to V3 and from 7 degrees on; else the area is 1 to 3 and the ring is 1 to 5.
pub fn area_and_ring(area: i32, eccentricity: f64) -> (i32, i32) {
    let band = (1..BANDS.len()).find(|&k| BANDS[k - 1] <= eccentricity && eccentricity < BANDS[k]);
    match band {
        Some(band) if (1..=3).contains(&area) => (area, band as i32),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_half_open() {
        let rings: Vec<i32> =
            [0.0, 0.49, 0.5, 1.0, 1.99, 2.0, 4.0, 6.99].into_iter().map(|e| area_and_ring(2, e).1).collect();
        assert_eq!(rings, [1, 1, 2, 3, 3, 4, 5, 5]);
    }

    #[test]
    fn everything_else_has_no_label() {
        for (area, eccentricity) in [(0, 1.0), (4, 1.0), (-1, 1.0), (1, 7.0), (1, 90.0), (1, -0.1), (3, f64::NAN)] {
            assert_eq!(area_and_ring(area, eccentricity), (0, 0));
        }
    }
}
