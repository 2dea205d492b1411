//! A replacement for the fs_LR mesh of 32,492 vertices, on which pRF results come: a geodesic sphere with that number of
//! vertices, numbered so that the vertices outside the real cortex mask lie on the medial wall.
//!
//! The real mesh cannot be shipped; readers need only its number of vertices, the subject's sphere file and the mask.

use std::collections::BTreeMap;

use crate::formats::gifti::Surface;
use crate::numeric::icosahedron::{FACES, FREESURFER_SPHERE, corners};
use crate::numeric::vector::{Point, distance_squared, norm, scale};

/// Parts into which each edge of the icosahedron is divided: 10 * 57^2 + 2 = 32,492 vertices.
const FREQUENCY: u32 = 57;

/// The sphere of radius 100 whose vertices with `mask` false are those nearest to `medial_wall`.
pub fn sphere(mask: &[bool], medial_wall: Point) -> Surface {
    let (points, faces) = geodesic();
    let wall = scale(medial_wall, 1.0 / norm(medial_wall).max(f64::MIN_POSITIVE));
    let mut by_distance: Vec<u32> = (0..points.len() as u32).collect();
    let distance = |vertex: &u32| distance_squared(points[*vertex as usize], wall);
    by_distance.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b)));
    let (outside, inside) = by_distance.split_at(mask.iter().filter(|cortex| !**cortex).count().min(points.len()));
    let (mut outside, mut inside) = (outside.to_vec(), inside.to_vec());
    outside.sort_unstable();
    inside.sort_unstable();
    let (mut outside, mut inside) = (outside.into_iter(), inside.into_iter());
    // The old number of each new vertex, and the other way round.
    let old: Vec<u32> = mask.iter().filter_map(|cortex| if *cortex { inside.next() } else { outside.next() }).collect();
    let mut new = vec![0_u32; points.len()];
    for (number, vertex) in (0..).zip(&old) {
        new[*vertex as usize] = number;
    }
    Surface {
        coordinates: old
            .iter()
            .map(|vertex| points[*vertex as usize].map(|x| (x * FREESURFER_SPHERE) as f32))
            .collect(),
        triangles: faces.into_iter().map(|face| face.map(|vertex| new[vertex as usize])).collect(),
    }
}

/// The unit icosahedron with each triangle divided into 57 x 57, pushed out to the sphere.
fn geodesic() -> (Vec<Point>, Vec<[u32; 3]>) {
    let corners = corners();
    let mut points: Vec<Point> = Vec::new();
    let mut known: BTreeMap<[(u32, u32); 3], u32> = BTreeMap::new();
    let mut faces = Vec::new();
    for face in FACES {
        let mut vertex = |weights: [u32; 3]| {
            // A point is known by its weights at corners that have any; those on shared edges meet again.
            let mut key = [0, 1, 2].map(|i| if weights[i] > 0 { (face[i], weights[i]) } else { (u32::MAX, 0) });
            key.sort_unstable();
            *known.entry(key).or_insert_with(|| {
                let sum =
                    key.iter().filter(|(_, weight)| *weight > 0).fold([0.0; 3], |sum: Point, (corner, weight)| {
                        std::array::from_fn(|axis| sum[axis] + f64::from(*weight) * corners[*corner as usize][axis])
                    });
                points.push(scale(sum, 1.0 / norm(sum)));
                points.len() as u32 - 1
            })
        };
        for a in 0..FREQUENCY {
            for b in 0..FREQUENCY - a {
                let c = FREQUENCY - a - b;
                let upright = [vertex([a, b, c]), vertex([a + 1, b, c - 1]), vertex([a, b + 1, c - 1])];
                faces.push(upright);
                if c >= 2 {
                    faces.push([upright[1], vertex([a + 1, b + 1, c - 2]), upright[2]]);
                }
            }
        }
    }
    (points, faces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::vector::{cross, dot, subtract};

    #[test]
    fn the_mesh_is_closed_and_the_mask_is_one_patch() {
        let mask: Vec<bool> = (0..32_492).map(|vertex| vertex % 12 != 0).collect();
        let surface = sphere(&mask, [90.0, 0.0, 10.0]);
        assert_eq!((surface.coordinates.len(), surface.triangles.len()), (32_492, 64_980));
        let points = surface.points();
        let outward = surface.triangles.iter().all(|face| {
            let [a, b, c] = face.map(|vertex| points[vertex as usize]);
            dot(cross(subtract(b, a), subtract(c, a)), a) > 0.0
        });
        let inward = surface.triangles.iter().all(|face| {
            let [a, b, c] = face.map(|vertex| points[vertex as usize]);
            dot(cross(subtract(b, a), subtract(c, a)), a) < 0.0
        });
        assert!(outward || inward);
        let wall = surface.coordinates.iter().zip(&mask).filter(|(_, cortex)| !**cortex).map(|(point, _)| point[0]);
        let cortex = surface.coordinates.iter().zip(&mask).filter(|(_, cortex)| **cortex).map(|(point, _)| *point);
        let nearest_cortex = cortex.map(|p| (99.4 * p[0] + 11.0 * p[2]) / 100.0).fold(f32::MIN, f32::max);
        assert!(wall.fold(f32::MAX, f32::min) > 70.0 && nearest_cortex < 100.0);
    }
}
