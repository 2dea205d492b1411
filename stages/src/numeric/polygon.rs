//! Polygons of the plane: what lies inside, how large they are, and the place inside that is farthest from their border.
//!
//! Independent of files and figures. A ring is a list of points; its last point is joined to its first.

use super::counts::real;

/// A point of the plane.
pub type Point2 = [f64; 2];

/// Whether a point lies inside rings, by the even-odd rule: a ring inside another is a hole.
pub fn contains(rings: &[Vec<Point2>], point: Point2) -> bool {
    rings.iter().filter(|ring| is_crossed_oddly(edges(ring), point)).count() % 2 == 1
}

/// Rings that are asked about many points, most of which lie far from most rings.
pub struct BoxedRings<'a>(Vec<(&'a [Point2], Extents)>);

/// The least and the largest coordinate along both axes.
type Extents = [(f64, f64); 2];

impl<'a> BoxedRings<'a> {
    /// Prepares rings.
    pub fn of(rings: &'a [Vec<Point2>]) -> Self {
        Self(rings.iter().map(|ring| (ring.as_slice(), extents(ring))).collect())
    }

    /// As [`contains`].
    pub fn contain(&self, point: Point2) -> bool {
        let is_in = |(ring, extents): &&(&[Point2], Extents)| {
            let is_in_box = (0..2).all(|axis| extents[axis].0 <= point[axis] && point[axis] <= extents[axis].1);
            is_in_box && is_crossed_oddly(edges(ring), point)
        };
        self.0.iter().filter(is_in).count() % 2 == 1
    }
}

/// The extents of a ring.
fn extents(ring: &[Point2]) -> Extents {
    [0, 1].map(|axis: usize| {
        let values = ring.iter().map(|point| point[axis]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    })
}

/// Whether an odd number of edges are to the right of a point.
fn is_crossed_oddly(edges: impl Iterator<Item = (Point2, Point2)>, [x, y]: Point2) -> bool {
    let is_right = |(from, to): &(Point2, Point2)| {
        (from[1] > y) != (to[1] > y) && x < (to[0] - from[0]) * (y - from[1]) / (to[1] - from[1]) + from[0]
    };
    edges.filter(is_right).count() % 2 == 1
}

/// The edges of a ring, the closing one included.
fn edges(ring: &[Point2]) -> impl Iterator<Item = (Point2, Point2)> {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1)).take(ring.len())
}

/// The area of a ring, not negative.
pub fn area(ring: &[Point2]) -> f64 {
    (edges(ring).map(|(from, to)| from[0] * to[1] - to[0] * from[1]).sum::<f64>() / 2.0).abs()
}

/// The point halfway along an open line; `None` without points.
pub fn halfway(line: &[Point2]) -> Option<Point2> {
    let length = |pair: &[Point2]| libm::hypot(pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]);
    let half = line.windows(2).map(length).sum::<f64>() / 2.0;
    let mut gone = 0.0;
    for pair in line.windows(2) {
        let own = length(pair);
        if gone + own >= half && own > 0.0 {
            let share = (half - gone) / own;
            return Some([0, 1].map(|axis| pair[0][axis] + (pair[1][axis] - pair[0][axis]) * share));
        }
        gone += own;
    }
    line.first().copied()
}

/// How many places along each side of the box are tried, and how often around the best of them.
const TRIED: usize = 20;
const ROUNDS: u32 = 4;

/// The place inside a ring, and inside `within` if that has rings, which is farthest from the borders of both: where a label has most room.
/// Found on a grid over the box of the ring, then on finer ones around the best place, so it is near the optimum and always the same.
/// `None` if no place of the first grid lies inside.
pub fn widest_place(ring: &[Point2], within: &[Vec<Point2>]) -> Option<Point2> {
    let [x, y] = extents(ring);
    if ring.len() < 3 || x.0 >= x.1 || y.0 >= y.1 {
        return None;
    }
    let bounds = LabelBounds::of(ring, within, [x, y]);
    let mut best: Option<(Point2, f64)> = None;
    let (mut centre, mut size) = ([f64::midpoint(x.0, x.1), f64::midpoint(y.0, y.1)], [x.1 - x.0, y.1 - y.0]);
    for _ in 0..ROUNDS {
        for place in 0..TRIED * TRIED {
            let at = [place % TRIED, place / TRIED].map(|step| (real(step) + 0.5) / real(TRIED) - 0.5);
            let point = [centre[0] + at[0] * size[0], centre[1] + at[1] * size[1]];
            if let Some(room) = bounds.room(point, best.map_or(0.0, |(_, most)| most)) {
                best = Some((point, room));
            }
        }
        centre = best?.0;
        size = size.map(|side| side * 2.0 / real(TRIED));
    }
    best.map(|(point, _)| point)
}

/// The edges around a label. The outline of a whole cortex has thousands, most of them far from one region.
struct LabelBounds {
    /// Edges of both that can be the nearest one to a place inside.
    near: Vec<(Point2, Point2)>,
    /// The edges of the ring.
    own: Vec<(Point2, Point2)>,
    /// The edges of what is shown that have a part beside the ring; `None` if all is shown.
    shown: Option<Vec<(Point2, Point2)>>,
}

impl LabelBounds {
    /// `extent` is that of the ring along x and y.
    fn of(ring: &[Point2], within: &[Vec<Point2>], extent: [(f64, f64); 2]) -> Self {
        let own: Vec<(Point2, Point2)> = edges(ring).collect();
        let all = || within.iter().flat_map(|ring| edges(ring));
        let apart = |(from, to): &(Point2, Point2), axis: usize| {
            let (low, high) = (from[axis].min(to[axis]), from[axis].max(to[axis]));
            (extent[axis].0 - high).max(low - extent[axis].1)
        };
        // A place inside the ring is nearer to the ring than half of the shorter side of its box.
        let most = extent.iter().map(|(low, high)| (high - low) / 2.0).fold(f64::INFINITY, f64::min);
        let is_near = |edge: &(Point2, Point2)| apart(edge, 0) <= most && apart(edge, 1) <= most;
        let near = own.iter().copied().chain(all().filter(is_near)).collect();
        let shown = (!within.is_empty()).then(|| all().filter(|edge| apart(edge, 1) <= 0.0).collect());
        Self { near, own, shown }
    }

    /// The squared distance to the nearest edge, of a place that is inside and shown and has more than `least` of it. Distances are first:
    /// most places are left out by them.
    fn room(&self, point: Point2, least: f64) -> Option<f64> {
        let mut room = f64::INFINITY;
        for (from, to) in &self.near {
            room = room.min(distance_squared(*from, *to, point));
            if room <= least {
                return None;
            }
        }
        let is_inside = |edges: &Vec<(Point2, Point2)>| is_crossed_oddly(edges.iter().copied(), point);
        (is_inside(&self.own) && self.shown.as_ref().is_none_or(is_inside)).then_some(room)
    }
}

fn distance_squared(from: Point2, to: Point2, point: Point2) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let away = [point[0] - from[0], point[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let share = if length > 0.0 { ((away[0] * along[0] + away[1] * along[1]) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (dx, dy) = (away[0] - share * along[0], away[1] - share * along[1]);
    dx * dx + dy * dy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(low: f64, high: f64) -> Vec<Point2> {
        vec![[low, low], [high, low], [high, high], [low, high]]
    }

    #[test]
    fn a_hole_is_outside() {
        let rings = [square(0.0, 10.0), square(4.0, 6.0)];
        assert!(contains(&rings, [1.0, 1.0]) && !contains(&rings, [5.0, 5.0]) && !contains(&rings, [11.0, 1.0]));
        assert!((area(&rings[0]) - 100.0).abs() < 1e-12);
    }

    #[test]
    fn boxes_change_no_answer() {
        let star = |turn: u32| [f64::from(turn * 7 % 11), f64::from(turn * 5 % 11)];
        let rings = [square(0.0, 10.0), square(4.0, 6.0), (0..11).map(star).collect(), Vec::new()];
        let boxed = BoxedRings::of(&rings);
        for place in 0..26 * 26_u32 {
            // Corners, edges and what is between and around.
            let point = [f64::from(place % 26) / 2.0 - 1.0, f64::from(place / 26) / 2.0 - 1.0];
            assert_eq!(boxed.contain(point), contains(&rings, point), "{point:?}");
        }
    }

    #[test]
    fn the_widest_place_of_an_l_is_in_its_corner() {
        // The arms are 2 wide; at the inner corner a larger disc fits, centred where its distances to both outer sides and to the
        // corner at (2, 2) are equal: 4 - 2 * sqrt(2).
        let corner: Vec<Point2> = vec![[0.0, 0.0], [9.0, 0.0], [9.0, 2.0], [2.0, 2.0], [2.0, 9.0], [0.0, 9.0]];
        let place = widest_place(&corner, &[]).unwrap();
        let expected = 4.0 - 2.0 * std::f64::consts::SQRT_2;
        assert!((place[0] - expected).abs() < 0.03 && (place[1] - expected).abs() < 0.03, "{place:?}");
    }

    #[test]
    fn the_widest_place_stays_within_what_is_shown() {
        let place = widest_place(&square(0.0, 10.0), &[vec![[6.0, -5.0], [20.0, -5.0], [20.0, 20.0], [6.0, 20.0]]]);
        let [x, y] = place.unwrap();
        assert!((x - 8.0).abs() < 0.05 && (2.0..8.0).contains(&y), "{x} {y}");
        assert_eq!(widest_place(&square(0.0, 10.0), &[square(20.0, 30.0)]), None);
        // A ring of what is shown that surrounds all at a distance changes nothing.
        let (alone, surrounded) = (widest_place(&square(0.0, 10.0), &[]), [square(-50.0, 90.0)]);
        assert_eq!(widest_place(&square(0.0, 10.0), &surrounded), alone);
        assert_eq!(widest_place(&[[0.0, 0.0], [1.0, 0.0]], &[]), None);
    }

    #[test]
    fn halfway_goes_by_length() {
        assert_eq!(halfway(&[[0.0, 0.0], [1.0, 0.0], [1.0, 5.0]]), Some([1.0, 2.0]));
        assert_eq!(halfway(&[[3.0, 4.0]]), Some([3.0, 4.0]));
        assert_eq!(halfway(&[]), None);
    }
}
