//! A flattened cortex on a grid of pixels: which pixels show cortex, and where each lies between vertices.
//!
//! Decides, as pycortex does: the hemispheres lie side by side and touch at `x = 0`; the grid has both ends of the extents; its width is
//! that of the extents by the height, cut to a whole number; the mask is the outline of each hemisphere's triangles, cut to whole
//! pixels and filled; a pixel lies in a triangle of the Delaunay triangulation of the vertices that have triangles, not in one of the mesh
//! (so the few pixels of the mask that the mesh does not reach have a place too). Rows count from the top. Independent of surfaces in
//! space, volumes or files.

use pipe_contract::Failure;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::counts::real;
use super::polygon_fill::{PolygonEdge, fill};

/// How far outside of a triangle, in pixels, a pixel still counts as inside: rounding.
const TOLERANCE: f64 = 1e-9;
/// Pixels of the longer side that a picture may have.
const MOST: usize = 1 << 15;

/// One flattened hemisphere.
#[derive(Clone, Copy, Debug)]
pub struct FlatMesh<'a> {
    /// The plane's coordinates of every vertex, also of those that no triangle has.
    pub points: &'a [[f64; 2]],
    /// Triangles of the flat mesh.
    pub triangles: &'a [[u32; 3]],
}

/// The rectangle of the plane that the picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extents {
    /// The least x, at the centre of the first column.
    pub left: f64,
    /// The largest x, at the centre of the last column.
    pub right: f64,
    /// The least y, at the centre of the last row.
    pub bottom: f64,
    /// The largest y, at the centre of the first row.
    pub top: f64,
}

/// Pixels of a flattened cortex.
pub struct FlatGrid {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// What the picture shows.
    pub extents: Extents,
    /// Row by row from the top: whether the pixel shows cortex.
    pub mask: Vec<bool>,
    /// The place of each pixel of the mask, in the order of the mask.
    pub places: Vec<MeshPlace>,
}

/// Where a pixel lies between vertices. Vertices of the second hemisphere are counted after those of the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeshPlace {
    /// Corners of the triangle around it.
    pub corners: [u32; 3],
    /// Their barycentric weights; all 0 for the few pixels at the outline that lie outside of every triangle.
    pub weights: [f64; 3],
    /// The nearest vertex in the plane.
    pub nearest: u32,
}

/// All vertices in one plane, as [`lay_out`] has them, and the rectangle around them.
///
/// # Errors
/// As [`lay_out`].
pub fn plane(hemispheres: &[FlatMesh<'_>]) -> Result<(Vec<[f64; 2]>, Extents), Failure> {
    let points = side_by_side(hemispheres)?;
    let extents = Extents::of(&points);
    Ok((points, extents))
}

/// Lays hemispheres out on a grid of `height` rows.
///
/// # Errors
/// Input: a hemisphere has no triangles or no extent, a coordinate is not finite, a triangle names a vertex that is not there, or the
/// picture would be too large or less than two pixels high or wide.
pub fn lay_out(hemispheres: &[FlatMesh<'_>], height: usize) -> Result<FlatGrid, Failure> {
    let (points, extents) = plane(hemispheres)?;
    let scale = real(height) / (extents.top - extents.bottom);
    let width = real(height) * ((extents.right - extents.left) / (extents.top - extents.bottom));
    if !(2.0..=real(MOST)).contains(&width) || !(2..=MOST).contains(&height) {
        return Err(Failure::input(format!(
            "a picture of {height} rows would have {width:.0} columns, expected 2 to {MOST} of each"
        )));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let width = width as usize;

    let mut mask = vec![false; width * height];
    let mut first = 0;
    let mut used = Vec::new();
    for mesh in hemispheres {
        let of_mesh = &points[first..first + mesh.points.len()];
        let outline = outline(mesh.triangles);
        let edges: Vec<PolygonEdge> =
            outline.iter().map(|edge| edge.map(|vertex| extents.cut(of_mesh[vertex as usize], scale))).collect();
        // Rows of the filled polygon count from below.
        for (row, from_below) in fill(&edges, width, height).chunks_exact(width).rev().enumerate() {
            for (pixel, covered) in mask[row * width..][..width].iter_mut().zip(from_below) {
                *pixel |= covered;
            }
        }
        let mut vertices: Vec<u32> = mesh.triangles.iter().flatten().copied().collect();
        vertices.sort_unstable();
        vertices.dedup();
        used.extend(vertices.into_iter().map(|vertex| vertex as usize + first));
        first += mesh.points.len();
    }
    let places = places(&points, &used, extents, [width, height], &mask);
    Ok(FlatGrid { width, height, extents, mask, places })
}

impl Extents {
    fn of(points: &[[f64; 2]]) -> Self {
        let fold = |axis: usize, pick: fn(f64, f64) -> f64, start: f64| {
            points.iter().fold(start, |held, point| pick(held, point[axis]))
        };
        Self {
            left: fold(0, f64::min, f64::INFINITY),
            right: fold(0, f64::max, f64::NEG_INFINITY),
            bottom: fold(1, f64::min, f64::INFINITY),
            top: fold(1, f64::max, f64::NEG_INFINITY),
        }
    }

    /// A point in pixels from the lower left corner, cut to whole numbers.
    #[expect(clippy::cast_possible_truncation, reason = "a cut is what is wanted; pictures are small")]
    fn cut(&self, point: [f64; 2], scale: f64) -> [i64; 2] {
        [((point[0] - self.left) * scale) as i64, ((point[1] - self.bottom) * scale) as i64]
    }
}

/// All points in one plane: the first hemisphere ends and the second begins at `x = 0`.
fn side_by_side(hemispheres: &[FlatMesh<'_>]) -> Result<Vec<[f64; 2]>, Failure> {
    let mut all = Vec::new();
    for (index, mesh) in hemispheres.iter().enumerate() {
        if mesh.triangles.is_empty() {
            return Err(Failure::input("a flat surface has no triangles"));
        }
        let missing = |&&vertex: &&u32| vertex as usize >= mesh.points.len();
        if let Some(vertex) = mesh.triangles.iter().flatten().find(missing) {
            let count = mesh.points.len();
            return Err(Failure::input(format!("a flat triangle names vertex {vertex}, but there are {count}")));
        }
        if let Some(vertex) = mesh.points.iter().position(|point| point.iter().any(|x| !x.is_finite())) {
            return Err(Failure::input(format!("vertex {vertex} of a flat surface has no place in the plane")));
        }
        let extents = Extents::of(mesh.points);
        if extents.right <= extents.left || extents.top <= extents.bottom {
            return Err(Failure::input("a flat surface has no extent: all its vertices lie on a line"));
        }
        let edge = if index == 0 { extents.right } else { extents.left };
        all.extend(mesh.points.iter().map(|[x, y]| [x - edge, *y]));
    }
    match all.is_empty() {
        true => Err(Failure::input("there is no flat surface")),
        false => Ok(all),
    }
}

/// The edges of the longest outline: edges that one triangle has, of the connected set with the most of them. Shorter ones are holes and
/// leftovers of cuts.
fn outline(triangles: &[[u32; 3]]) -> Vec<[u32; 2]> {
    let mut edges: Vec<[u32; 2]> =
        triangles.iter().flat_map(|[a, b, c]| [[*a, *b], [*b, *c], [*c, *a]]).map(sorted).collect();
    edges.par_sort_unstable();
    let border: Vec<[u32; 2]> =
        edges.chunk_by(|a, b| a == b).filter(|same| same.len() == 1).map(|same| same[0]).collect();

    // Sets of connected vertices, each named by one of its members.
    let mut vertices: Vec<u32> = border.iter().flatten().copied().collect();
    vertices.sort_unstable();
    vertices.dedup();
    let number = |vertex: u32| vertices.binary_search(&vertex).unwrap_or_default();
    let mut parent: Vec<usize> = (0..vertices.len()).collect();
    for edge in &border {
        let [a, b] = edge.map(|vertex| root(&mut parent, number(vertex)));
        parent[a.max(b)] = a.min(b);
    }
    let roots: Vec<usize> = border.iter().map(|edge| root(&mut parent, number(edge[0]))).collect();
    let mut counts = vec![0_usize; vertices.len()];
    roots.iter().for_each(|root| counts[*root] += 1);
    // The first of equally long ones.
    let longest = (0..counts.len()).rev().max_by_key(|root| counts[*root]);
    border.into_iter().zip(roots).filter(|(_, root)| Some(*root) == longest).map(|(edge, _)| edge).collect()
}

fn sorted([a, b]: [u32; 2]) -> [u32; 2] {
    [a.min(b), a.max(b)]
}

fn root(parent: &mut [usize], mut of: usize) -> usize {
    while parent[of] != of {
        parent[of] = parent[parent[of]];
        of = parent[of];
    }
    of
}

/// A pixel that no triangle has reached yet.
const NONE: u32 = u32::MAX;

/// The place of each pixel of the mask.
fn places(
    points: &[[f64; 2]],
    used: &[usize],
    extents: Extents,
    [width, height]: [usize; 2],
    mask: &[bool],
) -> Vec<MeshPlace> {
    // In units of pixels, so that tolerances mean something; rows from the top.
    let across = real(width - 1) / (extents.right - extents.left);
    let down = real(height - 1) / (extents.top - extents.bottom);
    let on_grid: Vec<delaunator::Point> = used
        .iter()
        .map(|vertex| points[*vertex])
        .map(|[x, y]| delaunator::Point { x: (x - extents.left) * across, y: (extents.top - y) * down })
        .collect();
    let mesh = Delaunay::of(&on_grid);
    let mut triangle_at = vec![NONE; mask.len()];
    for triangle in 0..mesh.count() {
        for_each_pixel(
            mesh.corners(triangle).map(|corner| [on_grid[corner].x, on_grid[corner].y]),
            [width, height],
            |pixel| {
                if triangle_at[pixel] == NONE {
                    triangle_at[pixel] = triangle;
                }
            },
        );
    }
    let shown: Vec<usize> = (0..mask.len()).filter(|pixel| mask[*pixel]).collect();
    let vertex = |index: usize| u32::try_from(used[index]).unwrap_or(u32::MAX);
    shown
        .par_iter()
        .map(|&pixel| {
            let at = [real(pixel % width), real(pixel / width)];
            match triangle_at[pixel] {
                NONE => {
                    let nearest = vertex(mesh.nearest(&on_grid, 0, at));
                    MeshPlace { corners: [nearest; 3], weights: [0.0; 3], nearest }
                }
                triangle => {
                    let corners = mesh.corners(triangle);
                    let weights = barycentric(corners.map(|corner| [on_grid[corner].x, on_grid[corner].y]), at);
                    let nearest = vertex(mesh.nearest(&on_grid, corners[0], at));
                    MeshPlace { corners: corners.map(vertex), weights, nearest }
                }
            }
        })
        .collect()
}

/// A Delaunay triangulation, and the neighbours of each point in it.
struct Delaunay {
    triangles: Vec<usize>,
    /// Where the neighbours of each point begin in `neighbours`; one more entry than points.
    starts: Vec<usize>,
    neighbours: Vec<u32>,
}

impl Delaunay {
    fn of(points: &[delaunator::Point]) -> Self {
        let delaunator::Triangulation { triangles, halfedges, .. } = delaunator::triangulate(points);
        // Every edge between two triangles is there once in each direction, one at the border in one direction alone.
        let each_pair = |visit: &mut dyn FnMut(usize, usize)| {
            for (edge, twin) in halfedges.iter().enumerate() {
                let (from, to) = (triangles[edge], triangles[delaunator::next_halfedge(edge)]);
                visit(from, to);
                if *twin == delaunator::EMPTY {
                    visit(to, from);
                }
            }
        };
        let mut starts = vec![0; points.len() + 1];
        each_pair(&mut |point, _| starts[point + 1] += 1);
        for point in 0..points.len() {
            starts[point + 1] += starts[point];
        }
        let mut next = starts.clone();
        let mut neighbours = vec![0; starts[points.len()]];
        each_pair(&mut |point, neighbour| {
            neighbours[next[point]] = u32::try_from(neighbour).unwrap_or(u32::MAX);
            next[point] += 1;
        });
        Self { triangles, starts, neighbours }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.triangles.len() / 3).unwrap_or(NONE)
    }

    fn corners(&self, triangle: u32) -> [usize; 3] {
        let first = 3 * triangle as usize;
        [self.triangles[first], self.triangles[first + 1], self.triangles[first + 2]]
    }

    /// The point that is nearest to a place, by steps to ever nearer neighbours: in a Delaunay triangulation they end nowhere else.
    fn nearest(&self, points: &[delaunator::Point], from: usize, to: [f64; 2]) -> usize {
        let distance = |point: usize| (points[point].x - to[0]).powi(2) + (points[point].y - to[1]).powi(2);
        let mut held = (distance(from), from);
        loop {
            let around = &self.neighbours[self.starts[held.1]..self.starts[held.1 + 1]];
            let step = around.iter().map(|point| (distance(*point as usize), *point as usize));
            match step.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) {
                Some(best) if best.0 < held.0 || (best.0 == held.0 && best.1 < held.1) => held = best,
                _ => return held.1,
            }
        }
    }
}

/// Visits the pixels whose centres lie in a triangle.
fn for_each_pixel(corners: [[f64; 2]; 3], [width, height]: [usize; 2], mut visit: impl FnMut(usize)) {
    let range = |low: f64, high: f64, count: usize| {
        let (low, high) = ((low - TOLERANCE).ceil().max(0.0), (high + TOLERANCE).floor().min(real(count) - 1.0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the picture")]
        (low as usize..if high < low { low as usize } else { high as usize + 1 })
    };
    let bounds = |values: [f64; 3]| (values[0].min(values[1]).min(values[2]), values[0].max(values[1]).max(values[2]));
    let (top, bottom) = bounds(corners.map(|corner| corner[1]));
    for row in range(top, bottom, height) {
        let y = real(row);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for [a, b] in [[0, 1], [1, 2], [2, 0]].map(|pair| pair.map(|corner: usize| corners[corner])) {
            if y < a[1].min(b[1]) - TOLERANCE || y > a[1].max(b[1]) + TOLERANCE {
                continue;
            }
            // A level edge is on the row from end to end.
            let ends = if (a[1] - b[1]).abs() <= TOLERANCE {
                [0.0, 1.0]
            } else {
                [((y - a[1]) / (b[1] - a[1])).clamp(0.0, 1.0); 2]
            };
            for x in ends.map(|share| a[0] + share * (b[0] - a[0])) {
                (low, high) = (low.min(x), high.max(x));
            }
        }
        range(low, high, width).for_each(|column| visit(row * width + column));
    }
}

/// The weights of the three corners at a place of the plane.
fn barycentric([a, b, c]: [[f64; 2]; 3], [x, y]: [f64; 2]) -> [f64; 3] {
    let area = (b[1] - c[1]) * (a[0] - c[0]) + (c[0] - b[0]) * (a[1] - c[1]);
    let first = ((b[1] - c[1]) * (x - c[0]) + (c[0] - b[0]) * (y - c[1])) / area;
    let second = ((c[1] - a[1]) * (x - c[0]) + (a[0] - c[0]) * (y - c[1])) / area;
    // A triangle without area lies on a line: one of its corners is as good as another.
    if first.is_finite() && second.is_finite() { [first, second, 1.0 - first - second] } else { [1.0, 0.0, 0.0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flat sheet of `columns` x `rows` unit squares, from the point `at`.
    fn sheet(columns: u32, rows: u32, at: [f64; 2]) -> (Vec<[f64; 2]>, Vec<[u32; 3]>) {
        let across = columns + 1;
        let points = (0..across * (rows + 1)).map(|i| [at[0] + f64::from(i % across), at[1] + f64::from(i / across)]);
        let squares = (0..columns * rows).map(|i| i / columns * across + i % columns);
        let triangles = squares.flat_map(|at| [[at, at + 1, at + across], [at + 1, at + across + 1, at + across]]);
        (points.collect(), triangles.collect())
    }

    #[test]
    fn hemispheres_touch_in_the_middle_and_both_ends_are_on_the_grid() {
        let (left, right) = (sheet(2, 4, [5.0, -1.0]), sheet(2, 4, [-9.0, -1.0]));
        let meshes = [&left, &right].map(|(points, triangles)| FlatMesh { points, triangles });
        let grid = lay_out(&meshes, 40).unwrap();
        assert_eq!((grid.width, grid.height), (40, 40));
        assert_eq!(grid.extents, Extents { left: -2.0, right: 2.0, bottom: -1.0, top: 3.0 });
        assert_eq!(grid.places.len(), grid.mask.iter().filter(|shown| **shown).count());
        // The upper left pixel is the vertex in the first column of the last row of the left hemisphere.
        assert!(grid.mask[0]);
        let first = grid.places[0];
        assert_eq!((first.nearest, first.corners.contains(&12)), (12, true));
        // The first column of the right hemisphere comes after the 15 vertices of the left one.
        let last = grid.places.last().unwrap();
        assert_eq!(last.nearest, 15 + 2);
        for place in &grid.places {
            let sum: f64 = place.weights.iter().sum();
            assert!((sum - 1.0).abs() < 1e-9 && place.weights.iter().all(|weight| *weight > -1e-6), "{place:?}");
        }
    }

    /// Weights are those of the place itself: linear functions of the plane come out exactly.
    #[test]
    fn weights_reproduce_the_plane_and_nearest_is_nearest() {
        let (mut points, triangles) = sheet(7, 5, [0.0, 0.0]);
        for (index, point) in points.iter_mut().enumerate() {
            let turn = real(index) * 2.4;
            let inner = point[0] > 0.0 && point[0] < 7.0 && point[1] > 0.0 && point[1] < 5.0;
            if inner {
                *point = [point[0] + 0.3 * turn.cos(), point[1] + 0.3 * turn.sin()];
            }
        }
        let grid = lay_out(&[FlatMesh { points: &points, triangles: &triangles }], 61).unwrap();
        let mut places = grid.places.iter();
        for pixel in (0..grid.mask.len()).filter(|pixel| grid.mask[*pixel]) {
            let place = places.next().unwrap();
            let (column, row) = (real(pixel % grid.width), real(pixel / grid.width));
            // The sheet ends at x = 0 in the plane; here it begins there.
            let x = column / real(grid.width - 1) * 7.0;
            let y = grid.extents.top - row / real(grid.height - 1) * 5.0;
            let at = |axis: usize| -> f64 {
                place
                    .corners
                    .iter()
                    .zip(place.weights)
                    .map(|(corner, weight)| points[*corner as usize][axis] * weight)
                    .sum()
            };
            assert!((at(0) - x).abs() < 1e-9 && (at(1) - y).abs() < 1e-9, "{place:?}");
            let distance = |vertex: usize| (points[vertex][0] - x).hypot(points[vertex][1] - y);
            let least = (0..points.len()).map(distance).fold(f64::INFINITY, f64::min);
            assert!(distance(place.nearest as usize) - least < 1e-9);
        }
    }

    #[test]
    fn vertices_without_triangles_and_holes_do_not_count() {
        let (mut points, triangles) = sheet(6, 6, [0.0, 0.0]);
        points.push([3.25, 3.25]);
        // A hole in the middle: its outline is shorter than the outer one.
        let holed: Vec<[u32; 3]> = triangles.iter().copied().filter(|[a, ..]| !(24..26).contains(a)).collect();
        assert!(holed.len() < triangles.len());
        let grid = lay_out(&[FlatMesh { points: &points, triangles: &holed }], 30).unwrap();
        assert!(grid.mask.iter().all(|shown| *shown));
        assert!(grid.places.iter().all(|place| place.nearest != 49 && !place.corners.contains(&49)));
    }

    #[test]
    fn any_height_works() {
        let (points, triangles) = sheet(13, 7, [0.5, 0.25]);
        for height in [2, 3, 97, 983] {
            let grid = lay_out(&[FlatMesh { points: &points, triangles: &triangles }], height).unwrap();
            assert_eq!((grid.height, grid.mask.len()), (height, height * grid.width));
        }
    }

    #[test]
    fn what_cannot_be_laid_out_is_named() {
        let (points, triangles) = sheet(2, 2, [0.0, 0.0]);
        let message = |points: &[[f64; 2]], triangles: &[[u32; 3]], height| {
            lay_out(&[FlatMesh { points, triangles }], height).err().unwrap().message
        };
        assert_eq!(message(&points, &[], 9), "a flat surface has no triangles");
        assert_eq!(message(&points, &[[0, 1, 9]], 9), "a flat triangle names vertex 9, but there are 9");
        let line = [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]];
        assert!(message(&line, &[[0, 1, 2]], 9).contains("lie on a line"));
        assert!(message(&points, &triangles, 1).contains("a picture of 1 rows"));
        let mut nowhere = points.clone();
        nowhere[3][1] = f64::NAN;
        assert_eq!(message(&nowhere, &triangles, 9), "vertex 3 of a flat surface has no place in the plane");
        assert_eq!(lay_out(&[], 9).err().unwrap().message, "there is no flat surface");
    }
}
