//! Lines around labels: between vertices of a mesh, and at a level of an image.

use std::collections::BTreeSet;

use crate::numeric::counts::real;

/// A straight piece of an outline.
pub(super) type Segment = [[f64; 2]; 2];

/// The boundary between labels on a mesh in the plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Boundary {
    /// The middle of every edge whose two vertices have different labels.
    pub midpoints: Vec<[f64; 2]>,
    /// Through every triangle that the boundary crosses: from midpoint to midpoint, or from all three to the centre.
    pub segments: Vec<Segment>,
}

/// The boundary between labels; `coordinates` and `labels` are one per vertex that `faces` name.
pub(super) fn boundary(coordinates: &[[f64; 2]], faces: &[[u32; 3]], labels: &[i32]) -> Boundary {
    let middle = |a: u32, b: u32| mean(&[coordinates[a as usize], coordinates[b as usize]]);
    let differ = |a: u32, b: u32| labels[a as usize] != labels[b as usize];
    let mut edges = BTreeSet::new();
    let mut segments = Vec::new();
    for &[a, b, c] in faces {
        let crossed: Vec<(u32, u32)> = [(a, b), (b, c), (c, a)].into_iter().filter(|(a, b)| differ(*a, *b)).collect();
        edges.extend(crossed.iter().map(|(a, b)| (*a.min(b), *a.max(b))));
        let points: Vec<[f64; 2]> = crossed.iter().map(|(a, b)| middle(*a, *b)).collect();
        match points[..] {
            [from, to] => segments.push([from, to]),
            [..] if points.len() == 3 => {
                let centre = mean(&[a, b, c].map(|vertex| coordinates[vertex as usize]));
                segments.extend(points.iter().map(|point| [*point, centre]));
            }
            _ => {}
        }
    }
    Boundary { midpoints: edges.into_iter().map(|(a, b)| middle(a, b)).collect(), segments }
}

fn mean(points: &[[f64; 2]]) -> [f64; 2] {
    let sum = points.iter().fold([0.0, 0.0], |sum, point| [sum[0] + point[0], sum[1] + point[1]]);
    sum.map(|sum| sum / real(points.len()))
}

/// Where an image crosses a level, by marching squares: (x, y) in pixels, pixel centres at halves, y down.
///
/// Two crossings of a square's corners are joined such that values above the level stay apart.
pub(super) fn level_lines(image: &[f32], width: usize, level: f32) -> Vec<Segment> {
    let mut segments = Vec::new();
    let height = image.len().checked_div(width).unwrap_or(0);
    for row in 1..height {
        for column in 1..width {
            let value = |right: usize, down: usize| image[(row - 1 + down) * width + column - 1 + right];
            let (left, top) = (real(column) - 0.5, real(row) - 0.5);
            let corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
                .map(|(right, down)| (value(right, down), [left + real(right), top + real(down)]));
            // Crossings in the order of the edges top, right, bottom, left.
            let crossings: Vec<(bool, [f64; 2])> = (0..4)
                .filter_map(|edge| {
                    crossing(corners[edge], corners[(edge + 1) % 4], level).map(|at| (corners[edge].0 >= level, at))
                })
                .collect();
            match crossings[..] {
                [(_, from), (_, to)] => segments.push([from, to]),
                // Four crossings: walking around, each corner above the level is cut off by the edges before and after it.
                [first, second, third, fourth] if first.0 => {
                    segments.extend([[fourth.1, first.1], [second.1, third.1]])
                }
                [first, second, third, fourth] => segments.extend([[first.1, second.1], [third.1, fourth.1]]),
                _ => {}
            }
        }
    }
    segments
}

/// Where the edge between two corners crosses the level.
fn crossing(from: (f32, [f64; 2]), to: (f32, [f64; 2]), level: f32) -> Option<[f64; 2]> {
    if (from.0 >= level) == (to.0 >= level) {
        return None;
    }
    let share = f64::from((level - from.0) / (to.0 - from.0));
    Some([from.1[0] + share * (to.1[0] - from.1[0]), from.1[1] + share * (to.1[1] - from.1[1])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_run_through_midpoints() {
        let coordinates = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]];
        let faces = [[0, 1, 2], [1, 3, 2]];
        let found = boundary(&coordinates, &faces, &[1, 0, 0, 0]);
        assert_eq!(found.midpoints, [[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(found.segments, [[[1.0, 0.0], [0.0, 1.0]]]);
        assert_eq!(boundary(&coordinates, &faces, &[2; 4]), Boundary::default());
        // Three labels meet in the first triangle; the shared edge counts once.
        let found = boundary(&coordinates, &faces, &[1, 2, 3, 3]);
        assert_eq!(found.midpoints.len(), 4);
        assert_eq!(found.segments.len(), 3 + 1);
    }

    #[test]
    fn a_single_bright_pixel_is_surrounded() {
        let mut image = vec![0.0; 25];
        image[12] = 1.0;
        let lines = level_lines(&image, 5, 0.5);
        assert_eq!(lines.len(), 4);
        let ends: BTreeSet<String> = lines.iter().flatten().map(|[x, y]| format!("{x} {y}")).collect();
        assert_eq!(ends.into_iter().collect::<Vec<_>>(), ["2 2.5", "2.5 2", "2.5 3", "3 2.5"]);
    }

    #[test]
    fn saddles_keep_bright_corners_apart() {
        let lines = level_lines(&[1.0, 0.0, 0.0, 1.0], 2, 0.5);
        assert_eq!(lines, [[[0.5, 1.0], [1.0, 0.5]], [[1.5, 1.0], [1.0, 1.5]]]);
    }
}
