//! Subdivided icosahedra, and the sphere of FreeSurfer's fsaverage from nothing but its triangles.
//!
//! fsaverage's sphere is the icosahedron whose every edge was halved seven times, midpoints pushed out to the sphere,
//! coordinates rounded to four decimals of the radius. Vertices of a coarser level come first, so that those of
//! fsaverage5 are the first 10,242. No freely licensed package carries that sphere, but the retinotopic template that
//! comes with neuropythy has its triangles (with coordinates that are warped around the occipital pole). The parents
//! of each midpoint can be read off the triangles: among its six neighbours exactly two are older than itself. So the
//! numbering need not be guessed; only the twelve first vertices have to be known, and those are FreeSurfer's.
//! Away from the warp the recovered sphere equals the template's (tests).

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;

use pipe_contract::Failure;

use super::vector::{Point, add, scale, unit};

/// The radius of FreeSurfer's spheres, in mm.
pub const FREESURFER_SPHERE: f64 = 100.0;

/// The icosahedron's corners in FreeSurfer's order: the pole, five above the equator, five below, the other pole.
pub fn corners() -> [Point; 12] {
    let height = 1.0 / 5f64.sqrt();
    let ring = 2.0 * height;
    let at = |degrees: f64, z: f64| {
        let (sin, cos) = libm::sincos(degrees * PI / 180.0);
        [ring * cos, ring * sin, z]
    };
    let upper = |k: usize| at(-72.0 + 72.0 * k as f64, height);
    let lower = |k: usize| at(-108.0 + 72.0 * k as f64, -height);
    std::array::from_fn(|index| match index {
        0 => [0.0, 0.0, 1.0],
        11 => [0.0, 0.0, -1.0],
        1..=5 => upper(index - 1),
        _ => lower(index - 6),
    })
}

/// The icosahedron's triangles, counter-clockwise seen from outside.
pub const FACES: [[u32; 3]; 20] = [
    [0, 1, 2],
    [0, 2, 3],
    [0, 3, 4],
    [0, 4, 5],
    [0, 5, 1],
    [1, 7, 2],
    [2, 8, 3],
    [3, 9, 4],
    [4, 10, 5],
    [5, 6, 1],
    [7, 8, 2],
    [8, 9, 3],
    [9, 10, 4],
    [10, 6, 5],
    [6, 7, 1],
    [11, 7, 6],
    [11, 8, 7],
    [11, 9, 8],
    [11, 10, 9],
    [11, 6, 10],
];

/// How many vertices the icosahedron has after `level` subdivisions.
pub fn vertex_count(level: u32) -> usize {
    10 * 4usize.pow(level) + 2
}

/// The unit icosahedron after `level` subdivisions. Midpoints are numbered in the order in which triangles meet them,
/// which is not FreeSurfer's order: for that, see [`freesurfer_sphere`].
pub fn subdivided(level: u32) -> (Vec<Point>, Vec<[u32; 3]>) {
    let mut points = corners().to_vec();
    let mut faces = FACES.to_vec();
    for _ in 0..level {
        let mut middles = BTreeMap::new();
        faces = faces
            .iter()
            .flat_map(|&[a, b, c]| {
                let mut middle = |p: u32, q: u32| {
                    *middles.entry((p.min(q), p.max(q))).or_insert_with(|| {
                        points.push(midpoint(points[p as usize], points[q as usize]));
                        points.len() as u32 - 1
                    })
                };
                let (ab, bc, ca) = (middle(a, b), middle(b, c), middle(c, a));
                [[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]
            })
            .collect();
    }
    (points, faces)
}

/// The middle of an edge of the unit sphere, on the sphere.
fn midpoint(a: Point, b: Point) -> Point {
    // Only opposite points have no middle, and no edge joins those.
    unit(add(a, b)).unwrap_or(a)
}

/// The sphere of a FreeSurfer icosahedral subject (fsaverage, fsaverage6, ...) from its triangles: coordinates in mm
/// at radius 100, rounded as in FreeSurfer's files. Triangles are 20 times a power of four, vertices in FreeSurfer's order.
///
/// # Errors
/// Input: the triangles are not those of a subdivided icosahedron in this order.
pub fn freesurfer_sphere(faces: &[[u32; 3]]) -> Result<Vec<Point>, Failure> {
    let level = (0..10)
        .find(|&level| 20 * 4usize.pow(level) == faces.len())
        .ok_or_else(|| not_icosahedral(format!("{} triangles are not 20 times a power of four", faces.len())))?;
    let mut finer = faces.to_vec();
    let mut families = Vec::new();
    for level in (0..level).rev() {
        let Family { parents, faces } = coarsen(&finer, level)?;
        families.push(parents);
        finer = faces;
    }
    let known: BTreeSet<[u32; 3]> = FACES.into_iter().map(turned).collect();
    if finer.into_iter().map(turned).collect::<BTreeSet<_>>() != known {
        return Err(not_icosahedral("the coarsest triangles are not FreeSurfer's icosahedron".to_owned()));
    }
    let mut points = corners().to_vec();
    for parents in families.iter().rev() {
        let middles: Vec<Point> =
            parents.iter().map(|&[a, b]| midpoint(points[a as usize], points[b as usize])).collect();
        points.extend(middles);
    }
    Ok(points.into_iter().map(as_stored).collect())
}

/// A unit vector as FreeSurfer's icosahedron files hold it: four decimals, times the radius.
fn as_stored(point: Point) -> Point {
    scale(point, 1e4).map(|x| x.round() / 1e4 * FREESURFER_SPHERE)
}

/// A triangle beginning with its smallest vertex, still in the same direction.
fn turned([a, b, c]: [u32; 3]) -> [u32; 3] {
    match a.min(b).min(c) {
        least if least == a => [a, b, c],
        least if least == b => [b, c, a],
        _ => [c, a, b],
    }
}

/// What one subdivision did.
struct Family {
    /// The ends of the edge that each new vertex halves, by new vertex in order.
    parents: Vec<[u32; 2]>,
    /// The triangles before.
    faces: Vec<[u32; 3]>,
}

/// Undoes the subdivision that followed `level`.
fn coarsen(faces: &[[u32; 3]], level: u32) -> Result<Family, Failure> {
    let (old, all) = (vertex_count(level), vertex_count(level + 1));
    let mut parents = vec![[u32::MAX; 2]; all - old];
    let is_old = |vertex: u32| (vertex as usize) < old;
    for face in faces {
        if let Some(vertex) = face.iter().find(|&&vertex| vertex as usize >= all) {
            return Err(not_icosahedral(format!("a triangle names vertex {vertex} of {all}")));
        }
        let mut corners = face.iter().copied().filter(|&vertex| is_old(vertex));
        let Some(corner) = corners.next() else { continue };
        if corners.next().is_some() {
            return Err(not_icosahedral(format!("triangle {face:?} joins two vertices of the coarser level {level}")));
        }
        for vertex in face.iter().copied().filter(|&vertex| !is_old(vertex)) {
            adopt(&mut parents[vertex as usize - old], corner).ok_or_else(|| {
                not_icosahedral(format!("vertex {vertex} is not a midpoint of an edge of level {level}"))
            })?;
        }
    }
    if let Some(orphan) = parents.iter().position(|[_, second]| *second == u32::MAX) {
        return Err(not_icosahedral(format!("vertex {} is not a midpoint of an edge of level {level}", old + orphan)));
    }
    let shared = |p: u32, q: u32| {
        let theirs = parents[q as usize - old];
        parents[p as usize - old].into_iter().find(|parent| theirs.contains(parent))
    };
    let inner = faces.iter().filter(|face| !face.iter().any(|&vertex| is_old(vertex)));
    let faces: Option<Vec<[u32; 3]>> =
        inner.map(|&[a, b, c]| Some([shared(c, a)?, shared(a, b)?, shared(b, c)?])).collect();
    let faces = faces.filter(|faces| faces.len() == 20 * 4usize.pow(level));
    let faces = faces.ok_or_else(|| not_icosahedral(format!("inner triangles do not make up level {level}")))?;
    Ok(Family { parents, faces })
}

/// Notes a parent; nothing if the vertex has two others already.
fn adopt(parents: &mut [u32; 2], parent: u32) -> Option<()> {
    let slot = parents.iter_mut().find(|held| **held == parent || **held == u32::MAX)?;
    *slot = parent;
    Some(())
}

fn not_icosahedral(what: String) -> Failure {
    Failure::input(format!("the triangles are not those of FreeSurfer's icosahedral sphere: {what}"))
        .hint("the retinotopic template must be on fsaverage (163842 vertices, 327680 triangles)")
}

#[cfg(test)]
mod tests {
    use super::super::vector::{cross, dot, norm, subtract};
    use super::*;

    #[test]
    fn the_icosahedron_is_regular_and_faces_outwards() {
        let corners = corners();
        for [a, b, c] in FACES.map(|face| face.map(|vertex| corners[vertex as usize])) {
            assert!(dot(a, cross(b, c)) > 0.5);
            let edge = 4.0 / (10.0 + 2.0 * 5f64.sqrt()).sqrt();
            for side in [subtract(a, b), subtract(b, c), subtract(c, a)] {
                assert!((norm(side) - edge).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn subdivisions_count_as_they_should() {
        for level in 0..4 {
            let (points, faces) = subdivided(level);
            assert_eq!(points.len(), vertex_count(level));
            assert_eq!(faces.len(), 20 * 4usize.pow(level));
            assert!(points.iter().all(|&p| (norm(p) - 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn a_sphere_is_recovered_from_its_triangles() {
        for level in 0..5 {
            let (points, faces) = subdivided(level);
            let recovered = freesurfer_sphere(&faces).unwrap();
            assert_eq!(recovered.len(), points.len());
            for (&got, &point) in recovered.iter().zip(&points) {
                let away = subtract(got, scale(point, 100.0));
                assert!(away.iter().all(|x| x.abs() <= 0.00501), "rounded to a hundredth of a millimetre");
            }
        }
    }

    #[test]
    fn the_order_of_triangles_does_not_matter() {
        let (_, mut faces) = subdivided(3);
        let expected = freesurfer_sphere(&faces).unwrap();
        faces.reverse();
        faces.iter_mut().for_each(|face| face.rotate_left(1));
        assert_eq!(freesurfer_sphere(&faces).unwrap(), expected);
    }

    #[test]
    fn other_triangles_are_refused() {
        let (_, faces) = subdivided(2);
        let refused =
            |faces: &[[u32; 3]]| assert!(freesurfer_sphere(faces).unwrap_err().message.contains("icosahedral"));
        refused(&faces[1..]);
        let mut swapped = faces.clone();
        swapped.iter_mut().flatten().for_each(|vertex| {
            *vertex = [*vertex, 100, 3][usize::from(*vertex == 3) + 2 * usize::from(*vertex == 100)]
        });
        refused(&swapped);
        let mut beyond = faces.clone();
        beyond[5][0] = 100_000;
        refused(&beyond);
        let inside_out: Vec<_> = faces.iter().map(|&[a, b, c]| [a, c, b]).collect();
        refused(&inside_out);
    }
}
