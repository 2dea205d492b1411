//! Objects that `stimuli/generate` paints: outlines inside a disc of radius 1, of two lightnesses.
//!
//! Decides their shapes. Coordinates are across and down from the middle. Independent of colours, sizes and places.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

/// A filled outline of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ObjectPart {
    /// Its corners, across and down.
    pub outline: Vec<[f64; 2]>,
    /// Whether it has the darker of the two colours.
    pub is_dark: bool,
}

/// The objects that there are by name.
pub(super) const OBJECTS: [&str; 8] = ["house", "fish", "flower", "mug", "star", "tree", "arrow", "ring"];

/// Corners of a curve.
const CORNERS: usize = 72;

fn light(outline: Vec<[f64; 2]>) -> ObjectPart {
    ObjectPart { outline, is_dark: false }
}

fn dark(outline: Vec<[f64; 2]>) -> ObjectPart {
    ObjectPart { outline, is_dark: true }
}

fn bar(left: f64, top: f64, right: f64, bottom: f64) -> Vec<[f64; 2]> {
    vec![[left, top], [right, top], [right, bottom], [left, bottom]]
}

/// A closed curve around a centre, whose radius depends on the angle (radians clockwise from above); `stretch` scales it across and down.
fn curve(centre: [f64; 2], stretch: [f64; 2], corners: usize, radius: impl Fn(usize, f64) -> f64) -> Vec<[f64; 2]> {
    let point = |corner: usize| {
        let angle = std::f64::consts::TAU * corner as f64 / corners as f64;
        let ((sin, cos), radius) = (libm::sincos(angle), radius(corner, angle));
        [centre[0] + stretch[0] * radius * sin, centre[1] - stretch[1] * radius * cos]
    };
    (0..corners).map(point).collect()
}

fn disc(centre: [f64; 2], radius: f64) -> Vec<[f64; 2]> {
    curve(centre, [1.0; 2], CORNERS, |_, _| radius)
}

/// The parts of an object, back to front; `None` if there is none of this name.
pub(super) fn object(name: &str) -> Option<Vec<ObjectPart>> {
    let parts = match name {
        "house" => vec![
            light(bar(-0.6, -0.1, 0.6, 0.75)),
            dark(vec![[-0.8, -0.1], [0.0, -0.95], [0.8, -0.1]]),
            dark(bar(-0.15, 0.25, 0.15, 0.75)),
        ],
        "fish" => vec![
            dark(vec![[-0.5, 0.0], [-0.95, -0.3], [-0.95, 0.3]]),
            light(curve([0.12, 0.0], [0.8, 0.45], CORNERS, |_, _| 1.0)),
            dark(disc([0.5, -0.12], 0.09)),
        ],
        "flower" => vec![
            light(curve([0.0; 2], [1.0; 2], 5 * CORNERS, |_, angle| 0.65 + 0.33 * libm::cos(5.0 * angle))),
            dark(disc([0.0; 2], 0.26)),
        ],
        "mug" => vec![
            dark(disc([0.35, 0.05], 0.42)),
            light(bar(-0.65, -0.6, 0.35, 0.7)),
            dark(bar(-0.65, -0.6, 0.35, -0.45)),
        ],
        "star" => {
            let tips = |corner: usize, _: f64| if corner.is_multiple_of(2) { 0.98 } else { 0.42 };
            vec![light(curve([0.0; 2], [1.0; 2], 10, tips)), dark(disc([0.0; 2], 0.22))]
        }
        "tree" => vec![
            dark(bar(-0.14, 0.45, 0.14, 0.95)),
            light(vec![[-0.75, 0.5], [0.0, -0.2], [0.75, 0.5]]),
            light(vec![[-0.6, 0.05], [0.0, -0.95], [0.6, 0.05]]),
        ],
        "arrow" => {
            let head = [[0.1, -0.55], [0.95, 0.0], [0.1, 0.55]];
            vec![light(bar(-0.9, -0.2, 0.2, 0.2)), dark(head.to_vec())]
        }
        "ring" => vec![light(disc([0.0; 2], 0.95)), dark(disc([0.0; 2], 0.5))],
        _ => return None,
    };
    Some(parts)
}

/// An object with a random smooth outline: five harmonics of random size and phase.
pub(super) fn blob(random: &mut ChaCha8Rng) -> Vec<ObjectPart> {
    let harmonics: Vec<(f64, f64, f64)> = (2..=6)
        .map(|order| {
            let order = f64::from(order);
            let size = between(-0.5, 0.5, random) / order;
            (order, size, between(0.0, std::f64::consts::TAU, random))
        })
        .collect();
    let radius = |angle: f64| {
        let wave = |(order, size, phase): &(f64, f64, f64)| size * libm::cos(order * angle + phase);
        1.0 + harmonics.iter().map(wave).sum::<f64>()
    };
    let outline = curve([0.0; 2], [1.0; 2], CORNERS, |_, angle| radius(angle));
    let farthest = outline.iter().map(|[x, y]| libm::hypot(*x, *y)).fold(0.0, f64::max);
    let scaled = |share: f64| outline.iter().map(|point| point.map(|part| part / farthest * share)).collect();
    vec![light(scaled(0.98)), dark(scaled(0.4))]
}

/// A uniform number from `low` to below `high`.
pub(super) fn between(low: f64, high: f64, random: &mut ChaCha8Rng) -> f64 {
    let share = (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0;
    low + (high - low) * share
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn is_inside(parts: &[ObjectPart]) -> bool {
        let mut corners = parts.iter().flat_map(|part| &part.outline);
        corners.all(|[x, y]| libm::hypot(*x, *y) <= 1.0)
    }

    #[test]
    fn objects_are_inside_their_disc_and_differ() {
        for (at, name) in OBJECTS.iter().enumerate() {
            let parts = object(name).unwrap();
            assert!(is_inside(&parts), "{name}");
            assert!(parts.iter().any(|part| part.is_dark) && parts.iter().any(|part| !part.is_dark), "{name}");
            assert!(OBJECTS[..at].iter().all(|other| object(other).unwrap() != parts), "{name}");
        }
        assert!(object("unicorn").is_none());
    }

    #[test]
    fn random_objects_follow_the_seed() {
        let blobs = |seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            [blob(&mut random), blob(&mut random)]
        };
        assert_eq!(blobs(3), blobs(3));
        assert!(blobs(3)[0] != blobs(3)[1] && blobs(3)[0] != blobs(4)[0]);
        assert!((0..50).flat_map(blobs).all(|parts| is_inside(&parts)));
    }
}
