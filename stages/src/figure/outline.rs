//! Lines around labels: between vertices of a mesh, and at a level of an image.

use std::collections::{BTreeMap, BTreeSet};

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

/// Where to write the name of a label: the vertex that lies farthest from any boundary and from the edge of the map, one for each
/// connected part of the label that has at least a fifth of its vertices (V2 and V3 have a dorsal and a ventral part), and a second one
/// in the far half of a part that is long and thin. By label and then by part; with the distance to the boundary.
pub(super) fn places_of_names(
    coordinates: &[[f64; 2]],
    faces: &[[u32; 3]],
    labels: &[i32],
    boundary: &Boundary,
) -> Vec<(i32, [f64; 2], f64)> {
    let mut parts: BTreeMap<(i32, usize), Vec<usize>> = BTreeMap::new();
    for (vertex, part) in connected_parts(faces, labels).into_iter().enumerate().filter(|(v, _)| labels[*v] > 0) {
        parts.entry((labels[vertex], part)).or_default().push(vertex);
    }
    let mut sizes: BTreeMap<i32, usize> = BTreeMap::new();
    parts.iter().for_each(|((label, _), part)| *sizes.entry(*label).or_default() += part.len());
    let obstacles: Vec<[f64; 2]> = boundary.midpoints.iter().copied().chain(edge_of(coordinates, faces)).collect();
    let away = |vertex: usize| {
        let [x, y] = coordinates[vertex];
        let distances = obstacles.iter().map(|[bx, by]| libm::hypot(x - bx, y - by));
        distances.fold(f64::INFINITY, f64::min)
    };
    let mut places = Vec::new();
    for ((label, _), part) in parts.into_iter().filter(|((label, _), part)| 5 * part.len() >= sizes[label]) {
        let depths: Vec<(usize, f64)> = part.iter().map(|vertex| (*vertex, away(*vertex))).collect();
        // The first of equal ones, so that the answer does not depend on how ties are broken.
        let deepest = |among: &dyn Fn(usize) -> bool| {
            let possible = depths.iter().copied().filter(|(vertex, _)| among(*vertex));
            possible.reduce(|best, next| if next.1 > best.1 { next } else { best })
        };
        let Some((first, depth)) = deepest(&|_| true) else { continue };
        places.push((label, coordinates[first], depth));
        let [x, y] = coordinates[first];
        let from_first = |vertex: usize| libm::hypot(coordinates[vertex][0] - x, coordinates[vertex][1] - y);
        let end = part.iter().map(|vertex| from_first(*vertex)).fold(0.0, f64::max);
        let second = deepest(&|vertex| from_first(vertex) >= end / 2.0).filter(|_| end >= ARM * depth);
        places.extend(second.map(|(vertex, depth)| (label, coordinates[vertex], depth)));
    }
    places
}

/// How far a part reaches from its name, in depths of the name, to be named twice: a band around V1 is connected at the fovea, and has
/// a dorsal and a ventral arm.
const ARM: f64 = 5.0;

/// The middles of all edges that belong to one triangle only: the edge of the map.
fn edge_of(coordinates: &[[f64; 2]], faces: &[[u32; 3]]) -> Vec<[f64; 2]> {
    let mut triangles: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for &[a, b, c] in faces {
        for (a, b) in [(a, b), (b, c), (c, a)] {
            *triangles.entry((a.min(b), a.max(b))).or_default() += 1;
        }
    }
    let single = triangles.into_iter().filter(|(_, count)| *count == 1);
    single.map(|((a, b), _)| mean(&[coordinates[a as usize], coordinates[b as usize]])).collect()
}

/// For every vertex, the lowest vertex that edges between equal labels connect it with.
fn connected_parts(faces: &[[u32; 3]], labels: &[i32]) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..labels.len()).collect();
    let root = |parent: &mut Vec<usize>, mut vertex: usize| {
        while parent[vertex] != vertex {
            parent[vertex] = parent[parent[vertex]];
            vertex = parent[vertex];
        }
        vertex
    };
    for &[a, b, c] in faces {
        for (from, to) in [(a, b), (b, c), (c, a)].map(|(from, to)| (from as usize, to as usize)) {
            if labels[from] == labels[to] {
                let (from, to) = (root(&mut parent, from), root(&mut parent, to));
                parent[from.max(to)] = from.min(to);
            }
        }
    }
    (0..labels.len()).map(|vertex| root(&mut parent, vertex)).collect()
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
    fn names_lie_deep_inside_every_large_part_of_a_label() {
        // A strip of 9 x 3 vertices: label 1 on the left and on the right, label 2 between them.
        let coordinates: Vec<[f64; 2]> = (0..27).map(|v| [real(v % 9), real(v / 9)]).collect();
        let mut faces = Vec::new();
        for row in 0..2u32 {
            for column in 0..8u32 {
                let v = row * 9 + column;
                faces.extend([[v, v + 1, v + 9], [v + 1, v + 10, v + 9]]);
            }
        }
        let labels: Vec<i32> = (0..27).map(|v| if (3..6).contains(&(v % 9)) { 2 } else { 1 }).collect();
        let found = places_of_names(&coordinates, &faces, &labels, &boundary(&coordinates, &faces, &labels));
        let named: Vec<(i32, f64)> = found.iter().map(|(label, [x, _], _)| (*label, *x)).collect();
        assert_eq!(named, [(1, 1.0), (1, 7.0), (2, 4.0)]);
        // A long strip has its name at both ends.
        let long = |v: usize| [real(v % 40), real(v / 40)];
        let coordinates: Vec<[f64; 2]> = (0..120).map(long).collect();
        let mut faces40 = Vec::new();
        for v in (0..80u32).filter(|v| v % 40 < 39) {
            faces40.extend([[v, v + 1, v + 40], [v + 1, v + 41, v + 40]]);
        }
        let found = places_of_names(&coordinates, &faces40, &[2; 120], &Boundary::default());
        assert_eq!(found.len(), 2);
        assert!((found[0].1[0] - found[1].1[0]).abs() >= ARM, "{found:?}");
        let coordinates: Vec<[f64; 2]> = (0..27).map(|v| [real(v % 9), real(v / 9)]).collect();
        // A part of one vertex has no name.
        let mut labels = vec![3; 27];
        labels[26] = 1;
        labels[..14].fill(1);
        let found = places_of_names(&coordinates, &faces, &labels, &boundary(&coordinates, &faces, &labels));
        let named = |at: [f64; 2]| found.iter().any(|(_, place, _)| *place == at);
        assert!(!named([8.0, 2.0]) && found.iter().any(|(label, ..)| *label == 1), "{found:?}");
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
