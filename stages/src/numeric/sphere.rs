//! Which triangle of a spherical mesh lies under a point of the sphere.
//!
//! Decides the search: the vertex nearest to the point, the triangles around it, then around those, ring by ring, and
//! all triangles in the end. A point over no triangle at all (a hole) gets the address of the nearest vertex.
//! "Under" is radial; the weights are those of the point's foot on the triangle's plane, as in the original, which for
//! a point on the same sphere differ from radial ones by less than the square of edge length over radius.

use rayon::prelude::*;

use super::address::Address;
use super::mesh;
use super::nearest::NearestPoint;
use super::vector::{Point, cross, distance_squared, dot, norm, scale, subtract};
use pipe_contract::Failure;

/// Rings of triangles tried around the nearest vertex before all triangles are.
const RINGS: usize = 6;

/// How far outside a triangle's cone a point still counts as over it (cubed units of the coordinates), as in the original.
const TOLERANCE: f64 = 1e-13;

/// Finds the triangles of a spherical mesh around the origin.
pub struct SphereLocator {
    coordinates: Vec<Point>,
    faces: Vec<[u32; 3]>,
    radius: f64,
    /// 1 if most faces are counter-clockwise seen from outside, else -1.
    orientation: f64,
    nearest: NearestPoint,
    /// Where the faces of each vertex begin in `around`; one more entry than vertices.
    starts: Vec<u32>,
    around: Vec<u32>,
}

impl SphereLocator {
    /// Prepares a search on the sphere of `faces` over `coordinates`, centred at the origin.
    ///
    /// # Errors
    /// Input: a broken mesh, or one that is not a sphere around the origin.
    pub fn new(coordinates: &[Point], faces: &[[u32; 3]]) -> Result<Self, Failure> {
        mesh::check(coordinates, faces)?;
        let radius = mesh::sphere_radius(coordinates)?;
        let nearest = NearestPoint::new(coordinates);
        let volume: f64 = faces.iter().map(|face| determinant(face.map(|v| coordinates[v as usize]))).sum();
        let (starts, around) = faces_by_vertex(coordinates.len(), faces);
        let orientation = if volume < 0.0 { -1.0 } else { 1.0 };
        Ok(Self {
            coordinates: coordinates.to_vec(),
            faces: faces.to_vec(),
            radius,
            orientation,
            nearest,
            starts,
            around,
        })
    }

    /// The address of the mesh point under `point`, which may be at any distance from the origin.
    ///
    /// Nothing for the origin and for a point that is not finite.
    pub fn locate(&self, point: Point) -> Option<Address> {
        let length = norm(point);
        if !(length.is_finite() && length > 0.0) {
            return None;
        }
        let point = scale(point, self.radius / length);
        let vertex = self.nearest.nearest(point)?;
        let face = self.container_near(point, vertex).or_else(|| self.best_of(point, 0..self.faces.len() as u32));
        Some(match face {
            Some(face) => {
                Address { corners: self.faces[face as usize], weights: foot_weights(self.corners(face), point) }
            }
            None => Address::vertex(vertex),
        })
    }

    /// [`locate`](Self::locate) for many points, in their order.
    pub fn locate_each(&self, points: &[Point]) -> Vec<Option<Address>> {
        points.par_iter().map(|&point| self.locate(point)).collect()
    }

    /// The containing face among those up to [`RINGS`] rings around a vertex.
    fn container_near(&self, point: Point, vertex: u32) -> Option<u32> {
        let mut ring = vec![vertex];
        let mut seen = vec![vertex];
        for _ in 0..RINGS {
            let faces = ring.iter().flat_map(|&vertex| self.faces_of(vertex).iter().copied());
            if let Some(face) = self.best_of(point, faces) {
                return Some(face);
            }
            let mut next: Vec<u32> =
                ring.iter().flat_map(|&v| self.faces_of(v)).flat_map(|&f| self.faces[f as usize]).collect();
            next.sort_unstable();
            next.dedup();
            next.retain(|vertex| seen.binary_search(vertex).is_err());
            seen.extend_from_slice(&next);
            seen.sort_unstable();
            ring = next;
        }
        None
    }

    /// Of the given faces that lie under the point, the one whose centre is nearest, the first of equals.
    fn best_of(&self, point: Point, faces: impl Iterator<Item = u32>) -> Option<u32> {
        let under = faces.filter(|&face| self.is_over(point, face));
        let measured = under.map(|face| (distance_squared(centre(self.corners(face)), point), face));
        measured.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, face)| face)
    }

    fn is_over(&self, point: Point, face: u32) -> bool {
        let [a, b, c] = self.corners(face);
        let inside = |p: Point, q: Point| self.orientation * dot(point, cross(p, q)) >= -TOLERANCE;
        // The three planes through the origin also bound the opposite cone; the centre distinguishes the two.
        inside(a, b) && inside(b, c) && inside(c, a) && dot(point, centre([a, b, c])) > 0.0
    }

    fn faces_of(&self, vertex: u32) -> &[u32] {
        &self.around[self.starts[vertex as usize] as usize..self.starts[vertex as usize + 1] as usize]
    }

    fn corners(&self, face: u32) -> [Point; 3] {
        self.faces[face as usize].map(|vertex| self.coordinates[vertex as usize])
    }
}

fn faces_by_vertex(vertices: usize, faces: &[[u32; 3]]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; vertices + 1];
    for &vertex in faces.iter().flatten() {
        starts[vertex as usize + 1] += 1;
    }
    for vertex in 1..starts.len() {
        starts[vertex] += starts[vertex - 1];
    }
    let mut next = starts.clone();
    let mut around = vec![0; faces.len() * 3];
    for (index, face) in (0u32..).zip(faces) {
        for &vertex in face {
            around[next[vertex as usize] as usize] = index;
            next[vertex as usize] += 1;
        }
    }
    (starts, around)
}

fn determinant([a, b, c]: [Point; 3]) -> f64 {
    dot(a, cross(b, c))
}

fn centre([a, b, c]: [Point; 3]) -> Point {
    [(a[0] + b[0] + c[0]) / 3.0, (a[1] + b[1] + c[1]) / 3.0, (a[2] + b[2] + c[2]) / 3.0]
}

/// Barycentric weights of the foot of `point` on the plane of a triangle (Ericson, Real-Time Collision Detection, 3.4).
/// A triangle without area gives its first corner.
fn foot_weights([a, b, c]: [Point; 3], point: Point) -> [f64; 3] {
    let (to_b, to_c, to_point) = (subtract(b, a), subtract(c, a), subtract(point, a));
    let (bb, bc, cc) = (dot(to_b, to_b), dot(to_b, to_c), dot(to_c, to_c));
    let (pb, pc) = (dot(to_point, to_b), dot(to_point, to_c));
    let area = bb * cc - bc * bc;
    if area <= f64::MIN_POSITIVE {
        return [1.0, 0.0, 0.0];
    }
    let second = (cc * pb - bc * pc) / area;
    let third = (bb * pc - bc * pb) / area;
    [1.0 - second - third, second, third]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::icosahedron;
    use super::*;

    fn sphere(level: u32) -> (Vec<Point>, Vec<[u32; 3]>) {
        let (points, faces) = icosahedron::subdivided(level);
        (points.iter().map(|&p| scale(p, 100.0)).collect(), faces)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn agrees_with_a_search_through_all(points in prop::collection::vec(prop::array::uniform3(-1.0f64..1.0), 30)) {
            let (coordinates, faces) = sphere(3);
            let locator = SphereLocator::new(&coordinates, &faces).unwrap();
            for point in points.into_iter().filter(|&p| norm(p) > 1e-3) {
                let address = locator.locate(point).unwrap();
                let on_sphere = scale(point, locator.radius / norm(point));
                let face = locator.best_of(on_sphere, 0..faces.len() as u32).unwrap();
                prop_assert_eq!(address.corners, faces[face as usize]);
                prop_assert!((address.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                prop_assert!(address.weights.iter().all(|w| *w > -0.05));
            }
        }
    }

    #[test]
    fn vertices_are_found_at_themselves() {
        let (coordinates, faces) = sphere(3);
        for faces in [faces.clone(), faces.iter().map(|&[a, b, c]| [a, c, b]).collect()] {
            let locator = SphereLocator::new(&coordinates, &faces).unwrap();
            for (vertex, address) in (0u32..).zip(locator.locate_each(&coordinates)) {
                let address = address.unwrap();
                assert_eq!(address.heaviest(), vertex);
                let weight = address.weights.iter().fold(0.0f64, |most, &w| most.max(w));
                assert!((weight - 1.0).abs() < 1e-5, "{weight}");
            }
        }
    }

    #[test]
    fn a_point_over_a_hole_gets_the_nearest_vertex() {
        let (coordinates, mut faces) = sphere(2);
        let hole = faces.remove(17);
        let locator = SphereLocator::new(&coordinates, &faces).unwrap();
        let over = centre(hole.map(|v| coordinates[v as usize]));
        let address = locator.locate(over).unwrap();
        assert!(hole.contains(&address.heaviest()) && address.weights == [1.0, 0.0, 0.0]);
        assert_eq!(locator.locate([0.0; 3]), None);
        assert_eq!(locator.locate([f64::NAN, 1.0, 0.0]), None);
    }

    #[test]
    fn broken_meshes_are_refused() {
        let (coordinates, faces) = sphere(0);
        assert!(SphereLocator::new(&coordinates, &[]).is_err());
        assert!(SphereLocator::new(&coordinates[..5], &faces).is_err());
        assert!(SphereLocator::new(&[[f64::NAN; 3]; 12], &faces).is_err());
    }
}
