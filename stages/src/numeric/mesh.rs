//! What must hold of a triangle mesh before anything is computed on it.

use pipe_contract::Failure;

use super::vector::{Point, cross, mean_radius, norm, subtract};

/// How much distances from the centre may vary on a sphere, as standard deviation over mean (the original warns above it).
const ROUNDNESS: f64 = 0.05;

/// Checks that there are faces, that they name vertices that are there, and that every coordinate is finite.
///
/// # Errors
/// Input: the first thing that does not hold.
pub fn check(coordinates: &[Point], faces: &[[u32; 3]]) -> Result<(), Failure> {
    if faces.is_empty() {
        return Err(Failure::input(format!("the mesh of {} vertices has no triangles", coordinates.len())));
    }
    if let Some(vertex) = coordinates.iter().position(|point| point.iter().any(|x| !x.is_finite())) {
        return Err(Failure::input(format!(
            "vertex {vertex} has a coordinate that is not a number: {:?}",
            coordinates[vertex]
        )));
    }
    let missing = |&&vertex: &&u32| vertex as usize >= coordinates.len();
    if let Some(vertex) = faces.iter().flatten().find(missing) {
        return Err(Failure::input(format!(
            "a triangle names vertex {vertex}, but there are {} vertices, counted from 0",
            coordinates.len()
        ))
        .hint("the triangles and the coordinates come from different meshes"));
    }
    Ok(())
}

/// Checks that coordinates lie on a sphere around the origin, and gives its radius: their mean distance from it.
///
/// # Errors
/// Input: all at the origin, or distances vary by more than 5 % (standard deviation over mean).
pub fn sphere_radius(coordinates: &[Point]) -> Result<f64, Failure> {
    let radius = mean_radius(coordinates);
    let squares = coordinates.iter().map(|&point| (norm(point) - radius).powi(2)).sum::<f64>();
    let deviation = (squares / coordinates.len() as f64).sqrt();
    if radius > 0.0 && deviation / radius <= ROUNDNESS {
        return Ok(radius);
    }
    Err(Failure::input(format!(
        "the surface is not a sphere around the origin: vertices are {radius:.2} from it on average with a standard deviation of {deviation:.2}"
    ))
    .hint("the registered sphere (`sphere.reg`) is needed here, not the white or inflated surface"))
}

/// The area that belongs to each vertex: a third of that of every triangle around it, as in FreeSurfer.
///
/// # Panics
/// If a triangle names a vertex that is not there; see [`check`].
pub fn vertex_areas(coordinates: &[Point], faces: &[[u32; 3]]) -> Vec<f64> {
    let mut areas = vec![0.0; coordinates.len()];
    for face in faces {
        let [a, b, c] = face.map(|vertex| coordinates[vertex as usize]);
        let third = norm(cross(subtract(b, a), subtract(c, a))) / 6.0;
        face.iter().for_each(|vertex| areas[*vertex as usize] += third);
    }
    areas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let points = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        assert!(check(&points, &[[0, 1, 2]]).is_ok());
        assert!(check(&points, &[]).unwrap_err().message.contains("no triangles"));
        assert!(check(&points, &[[0, 1, 3]]).unwrap_err().message.contains("names vertex 3, but there are 3"));
        let mut broken = points;
        broken[1][2] = f64::NAN;
        assert!(check(&broken, &[[0, 1, 2]]).unwrap_err().message.starts_with("vertex 1 "));
    }

    #[test]
    fn spheres_are_distinguished_from_other_shapes() {
        let mut points = vec![[3.0, 0.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, 3.0]];
        assert_eq!(sphere_radius(&points).unwrap(), 3.0);
        points.push([9.0, 0.0, 0.0]);
        assert!(sphere_radius(&points).unwrap_err().message.contains("not a sphere"));
        assert!(sphere_radius(&[[0.0; 3]; 4]).is_err());
        assert!(sphere_radius(&[]).is_err());
    }

    #[test]
    fn areas_of_vertices_add_up_to_the_surface() {
        let square = [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 2.0, 0.0], [0.0, 2.0, 0.0]];
        let areas = vertex_areas(&square, &[[0, 1, 2], [0, 2, 3]]);
        assert_eq!(areas, [4.0 / 3.0, 2.0 / 3.0, 4.0 / 3.0, 2.0 / 3.0]);
    }
}
