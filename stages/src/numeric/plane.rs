//! Which triangle of a flat mesh contains a point, by a uniform grid over the mesh.
//!
//! Decides what "inside" means, as the original does: tolerance 1e-13 in barycentric weights; triangles so thin that
//! the square of twice their area is at most 1e-8 contain nothing; where triangles overlap (a folded
//! registration), the one whose centre is nearest wins, the first of equals.

use super::address::Address;

/// How far outside, in barycentric weight, a point still counts as inside.
const TOLERANCE: f64 = 1e-13;

/// The square of twice the area up to which a triangle counts as having no inside (squared units of the coordinates).
const FLAT: f64 = 1e-8;

/// Finds the triangles of a flat mesh that contain points.
pub struct PlaneLocator<'mesh> {
    coordinates: &'mesh [[f64; 2]],
    faces: &'mesh [[u32; 3]],
    grid: Grid,
    /// Where the faces of each cell begin in `members`; one more entry than cells.
    starts: Vec<u32>,
    members: Vec<u32>,
}

/// Square cells over a bounding box.
struct Grid {
    origin: [f64; 2],
    /// The box itself: points outside are in no triangle.
    corner: [f64; 2],
    side: f64,
    columns: usize,
    rows: usize,
}

impl<'mesh> PlaneLocator<'mesh> {
    /// Prepares a search in the mesh of `faces` over finite `coordinates`.
    ///
    /// # Panics
    /// If a face names a vertex that is not there.
    pub fn new(coordinates: &'mesh [[f64; 2]], faces: &'mesh [[u32; 3]]) -> Self {
        let grid = Grid::over(coordinates, faces.len());
        let cells_of = |face: &[u32; 3]| grid.cells_touched(face.map(|vertex| coordinates[vertex as usize]));
        let mut starts = vec![0u32; grid.columns * grid.rows + 1];
        for face in faces {
            cells_of(face).for_each(|cell| starts[cell + 1] += 1);
        }
        for cell in 1..starts.len() {
            starts[cell] += starts[cell - 1];
        }
        let mut next = starts.clone();
        let mut members = vec![0; starts[starts.len() - 1] as usize];
        for (index, face) in (0u32..).zip(faces) {
            for cell in cells_of(face) {
                members[next[cell] as usize] = index;
                next[cell] += 1;
            }
        }
        Self { coordinates, faces, grid, starts, members }
    }

    /// The number of the triangle that contains the point, if one does.
    pub fn container(&self, point: [f64; 2]) -> Option<u32> {
        let cell = self.grid.cell_of(point)?;
        let members = &self.members[self.starts[cell] as usize..self.starts[cell + 1] as usize];
        let mut best: Option<(f64, u32)> = None;
        for &face in members {
            let corners = self.corners(face);
            if contains(corners, point) {
                let found = (distance_to_centre(corners, point), face);
                if best.is_none_or(|held| found.0 < held.0) {
                    best = Some(found);
                }
            }
        }
        best.map(|(_, face)| face)
    }

    /// The address of a point: corners of the triangle that contains it, and their weights.
    pub fn locate(&self, point: [f64; 2]) -> Option<Address> {
        let face = self.container(point)?;
        Some(Address { corners: self.faces[face as usize], weights: barycentric(self.corners(face), point) })
    }

    fn corners(&self, face: u32) -> [[f64; 2]; 3] {
        self.faces[face as usize].map(|vertex| self.coordinates[vertex as usize])
    }
}

impl Grid {
    /// Cells over the box around the points, about one for each face.
    fn over(points: &[[f64; 2]], faces: usize) -> Self {
        let mut low = [f64::INFINITY; 2];
        let mut high = [f64::NEG_INFINITY; 2];
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        if points.is_empty() {
            (low, high) = ([0.0; 2], [0.0; 2]);
        }
        let (width, height) = (high[0] - low[0], high[1] - low[1]);
        let wanted = (width * height / faces.max(1) as f64).sqrt();
        // Points on a line have no area: then the longer extent is cut into as many cells as there are faces.
        let side = if wanted > 0.0 { wanted } else { (width.max(height) / faces.max(1) as f64).max(f64::MIN_POSITIVE) };
        let cells = |extent: f64| ((extent / side).floor() as usize).min(4 * faces) + 1;
        Self { origin: low, corner: high, side, columns: cells(width), rows: cells(height) }
    }

    fn index(&self, value: f64, axis: usize, cells: usize) -> usize {
        // Negative numbers become 0 in the conversion.
        (((value - self.origin[axis]) / self.side) as usize).min(cells - 1)
    }

    fn cell_of(&self, point: [f64; 2]) -> Option<usize> {
        let inside = (0..2).all(|axis| point[axis] >= self.origin[axis] && point[axis] <= self.corner[axis]);
        inside.then(|| self.index(point[1], 1, self.rows) * self.columns + self.index(point[0], 0, self.columns))
    }

    /// All cells under the box around a triangle, widened by what the tolerance of "inside" can reach.
    fn cells_touched(&self, corners: [[f64; 2]; 3]) -> impl Iterator<Item = usize> + use<> {
        let [a, b, c] = corners;
        let range = |axis: usize, cells: usize| {
            let low = a[axis].min(b[axis]).min(c[axis]);
            let high = a[axis].max(b[axis]).max(c[axis]);
            let slack = 1e-9 * (high - low);
            self.index(low - slack, axis, cells)..=self.index(high + slack, axis, cells)
        };
        let (columns, across) = (range(0, self.columns), self.columns);
        range(1, self.rows).flat_map(move |row| columns.clone().map(move |column| row * across + column))
    }
}

/// Whether a triangle contains a point, within the tolerance; the corner opposite to weight 1 is left to its neighbours.
fn contains([a, b, c]: [[f64; 2]; 3], point: [f64; 2]) -> bool {
    let minus = |p: [f64; 2]| [p[0] - a[0], p[1] - a[1]];
    let dot = |p: [f64; 2], q: [f64; 2]| p[0] * q[0] + p[1] * q[1];
    let (to_c, to_b, to_point) = (minus(c), minus(b), minus(point));
    let (cc, cb, bb) = (dot(to_c, to_c), dot(to_c, to_b), dot(to_b, to_b));
    let (cp, bp) = (dot(to_c, to_point), dot(to_b, to_point));
    let area = cc * bb - cb * cb;
    if area <= FLAT {
        return false;
    }
    let s = (bb * cp - cb * bp) / area;
    let t = (cc * bp - cb * cp) / area;
    (-TOLERANCE..1.0 - TOLERANCE).contains(&s) && t >= -TOLERANCE && s + t <= 1.0 + TOLERANCE
}

/// The weights of the three corners at a point of the plane.
fn barycentric([a, b, c]: [[f64; 2]; 3], point: [f64; 2]) -> [f64; 3] {
    let (x, y) = (point[0] - c[0], point[1] - c[1]);
    let (ax, ay) = (a[0] - c[0], a[1] - c[1]);
    let (bx, by) = (b[0] - c[0], b[1] - c[1]);
    let area = by * ax - bx * ay;
    let first = (by * x - bx * y) / area;
    let second = (ax * y - ay * x) / area;
    [first, second, 1.0 - first - second]
}

fn distance_to_centre([a, b, c]: [[f64; 2]; 3], point: [f64; 2]) -> f64 {
    let away = |axis: usize| (a[axis] + b[axis] + c[axis]) / 3.0 - point[axis];
    away(0) * away(0) + away(1) * away(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SQUARE: [[f64; 2]; 4] = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];

    #[test]
    fn weights_are_barycentric() {
        let locator = PlaneLocator::new(&SQUARE, &[[0, 1, 2], [0, 2, 3]]);
        let address = locator.locate([0.75, 0.25]).unwrap();
        assert_eq!(address.corners, [0, 1, 2]);
        assert_eq!(address.weights, [0.25, 0.5, 0.25]);
        assert_eq!(locator.container([0.25, 0.75]), Some(1));
        assert_eq!(locator.container([1.25, 0.5]), None);
        assert_eq!(locator.container([f64::NAN, 0.5]), None);
    }

    #[test]
    fn vertices_and_edges_belong_to_some_triangle() {
        let locator = PlaneLocator::new(&SQUARE, &[[0, 1, 2], [0, 2, 3]]);
        for point in SQUARE.into_iter().take(3).chain([[0.5, 0.5], [0.5, 0.0], [1.0, 0.5]]) {
            assert!(locator.container(point).is_some(), "{point:?}");
        }
    }

    #[test]
    fn odd_meshes_are_searched_without_a_panic() {
        assert_eq!(PlaneLocator::new(&[], &[]).container([0.0, 0.0]), None);
        let line = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]];
        assert_eq!(PlaneLocator::new(&line, &[[0, 1, 2]]).container([0.5, 0.0]), None);
        let one = [[3.0, 3.0]; 3];
        assert_eq!(PlaneLocator::new(&one, &[[0, 1, 2]]).container([3.0, 3.0]), None);
    }

    /// A jittered lattice of `n` by `n` vertices, two triangles to a cell: jitter up to half a cell folds some over.
    fn lattice(n: usize, jitter: &[f64]) -> (Vec<[f64; 2]>, Vec<[u32; 3]>) {
        let vertex = |row: usize, column: usize| (row * n + column) as u32;
        let coordinates =
            (0..n * n).map(|i| [(i % n) as f64 + jitter[2 * i], (i / n) as f64 + jitter[2 * i + 1]]).collect();
        let faces = (0..n - 1)
            .flat_map(|row| (0..n - 1).map(move |column| (row, column)))
            .flat_map(|(r, c)| {
                let (a, b, d, e) = (vertex(r, c), vertex(r, c + 1), vertex(r + 1, c), vertex(r + 1, c + 1));
                [[a, b, e], [a, e, d]]
            })
            .collect();
        (coordinates, faces)
    }

    fn by_search_through_all(locator: &PlaneLocator, point: [f64; 2]) -> Option<u32> {
        let hits = (0..locator.faces.len() as u32).filter(|&face| contains(locator.corners(face), point));
        let distance = |face: &u32| distance_to_centre(locator.corners(*face), point);
        hits.min_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_a_search_through_all(
            jitter in prop::collection::vec(-0.6f64..0.6, 2 * 64),
            queries in prop::collection::vec(prop::array::uniform2(-1.0f64..8.0), 60),
        ) {
            let (coordinates, faces) = lattice(8, &jitter);
            let locator = PlaneLocator::new(&coordinates, &faces);
            for query in queries.into_iter().chain(coordinates.iter().copied()) {
                prop_assert_eq!(locator.container(query), by_search_through_all(&locator, query));
                if let Some(address) = locator.locate(query) {
                    let back = |axis: usize| {
                        address.corners.iter().zip(address.weights).map(|(&v, w)| coordinates[v as usize][axis] * w).sum::<f64>()
                    };
                    prop_assert!((back(0) - query[0]).abs() < 1e-6 && (back(1) - query[1]).abs() < 1e-6);
                    prop_assert!(address.weights.iter().all(|w| (-1e-6..=1.0 + 1e-6).contains(w)));
                }
            }
        }
    }
}
