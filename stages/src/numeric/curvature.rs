//! Mean curvature of a surface in space, and smoothing on it: the cotangent Laplacian (Pinkall and Polthier 1993).
//!
//! Decides the sign: gyri are positive, sulci negative, as in pycortex; FreeSurfer's `curv` is the other way round. Smoothing is one
//! implicit step of diffusion, `(M + t S) x = M c` with the mass `M` (a third of the area around each vertex) and the stiffness `S`, solved
//! by conjugate gradients: stable for any `t`, and a function of the surface alone.

use pipe_contract::Failure;

use super::mesh;
use super::vector::{Point, add, cross, dot, norm, scale, subtract, unit};

/// The time of the smoothing step that pycortex takes, in mm^2.
pub const STEP: f64 = 20.0;
/// Conjugate gradients end where the residual has this share of the right side.
const RESIDUAL: f64 = 1e-9;
/// Steps after which they have failed; a cortex takes about a hundred.
const MOST_STEPS: usize = 10_000;

/// Mean curvature of every vertex, smoothed by a step of `time` (mm^2): twice the mean of the principal curvatures, in 1/mm.
/// Vertices without a triangle have 0.
///
/// # Errors
/// Input: the mesh is broken (see [`mesh::check`]), or the smoothing does not converge.
pub fn smoothed_mean(points: &[Point], triangles: &[[u32; 3]], time: f64) -> Result<Vec<f64>, Failure> {
    mesh::check(points, triangles)?;
    let laplacian = Laplacian::of(points, triangles);
    let normals = normals(points, triangles);
    let raw: Vec<f64> = (0..points.len())
        .map(|vertex| {
            let pull = laplacian.row(vertex).fold([0.0; 3], |sum, (neighbour, weight)| {
                add(sum, scale(subtract(points[vertex], points[neighbour]), weight))
            });
            let mass = laplacian.mass[vertex];
            if mass > 0.0 { dot(pull, normals[vertex]) / mass } else { 0.0 }
        })
        .collect();
    laplacian.smooth(&raw, time)
}

/// The unit mean of the unit normals of the triangles around each vertex; zero where there are none.
fn normals(points: &[Point], triangles: &[[u32; 3]]) -> Vec<Point> {
    let mut sums = vec![[0.0; 3]; points.len()];
    for corners in triangles {
        let [a, b, c] = corners.map(|corner| points[corner as usize]);
        if let Some(normal) = unit(cross(subtract(b, a), subtract(c, a))) {
            corners.iter().for_each(|corner| sums[*corner as usize] = add(sums[*corner as usize], normal));
        }
    }
    sums.into_iter().map(|sum| unit(sum).unwrap_or_default()).collect()
}

/// Mass and stiffness of a surface.
struct Laplacian {
    /// A third of the area of the triangles around each vertex.
    mass: Vec<f64>,
    /// Where the neighbours of each vertex begin; one more entry than vertices.
    starts: Vec<usize>,
    neighbours: Vec<u32>,
    /// Half the cotangents of the angles that face the edge to each neighbour.
    weights: Vec<f64>,
}

impl Laplacian {
    fn of(points: &[Point], triangles: &[[u32; 3]]) -> Self {
        let mut entries: Vec<(u32, u32, f64)> = Vec::with_capacity(6 * triangles.len());
        for corners in triangles {
            for turn in 0..3 {
                let [at, next, last] = [0, 1, 2].map(|step: usize| corners[(turn + step) % 3]);
                let [p, q, r] = [at, next, last].map(|corner| points[corner as usize]);
                let (one, other) = (subtract(q, p), subtract(r, p));
                let half = 0.5 * dot(one, other) / norm(cross(one, other));
                // A triangle without area has no cotangents.
                if half.is_finite() {
                    entries.extend([(next, last, half), (last, next, half)]);
                }
            }
        }
        // A stable sort: weights of an edge are added in the order of the triangles.
        entries.sort_by_key(|(vertex, neighbour, _)| (*vertex, *neighbour));
        let (mut starts, mut neighbours, mut weights) = (vec![0; points.len() + 1], Vec::new(), Vec::new());
        for same in entries.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            starts[same[0].0 as usize + 1] += 1;
            neighbours.push(same[0].1);
            weights.push(same.iter().map(|(.., weight)| weight).sum());
        }
        for vertex in 0..points.len() {
            starts[vertex + 1] += starts[vertex];
        }
        Self { mass: mesh::vertex_areas(points, triangles), starts, neighbours, weights }
    }

    /// Neighbours of a vertex and the weights of the edges to them.
    fn row(&self, vertex: usize) -> impl Iterator<Item = (usize, f64)> {
        let range = self.starts[vertex]..self.starts[vertex + 1];
        self.neighbours[range.clone()]
            .iter()
            .map(|neighbour| *neighbour as usize)
            .zip(self.weights[range].iter().copied())
    }

    /// One implicit step of diffusion.
    fn smooth(&self, values: &[f64], time: f64) -> Result<Vec<f64>, Failure> {
        let apply = |x: &[f64], vertex: usize| {
            let pull: f64 = self.row(vertex).map(|(neighbour, weight)| weight * (x[vertex] - x[neighbour])).sum();
            self.mass[vertex] * x[vertex] + time * pull
        };
        let diagonal: Vec<f64> = (0..values.len())
            .map(|vertex| self.mass[vertex] + time * self.row(vertex).map(|(_, w)| w).sum::<f64>())
            .collect();
        let prepared = |residual: &[f64]| -> Vec<f64> {
            residual.iter().zip(&diagonal).map(|(r, d)| if *d > 0.0 { r / d } else { 0.0 }).collect()
        };
        let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();

        // Vertices without area are left out by starting at 0 with nothing on the right side.
        let right: Vec<f64> = values.iter().zip(&self.mass).map(|(value, mass)| value * mass).collect();
        let mut solution: Vec<f64> =
            values.iter().zip(&self.mass).map(|(value, mass)| if *mass > 0.0 { *value } else { 0.0 }).collect();
        let mut residual: Vec<f64> = (0..values.len()).map(|vertex| right[vertex] - apply(&solution, vertex)).collect();
        let enough = RESIDUAL * inner(&right, &right).sqrt();
        let mut steepest = prepared(&residual);
        let mut direction = steepest.clone();
        let mut length = inner(&residual, &steepest);
        for _ in 0..MOST_STEPS {
            if inner(&residual, &residual).sqrt() <= enough {
                return Ok(solution);
            }
            let image: Vec<f64> = (0..values.len()).map(|vertex| apply(&direction, vertex)).collect();
            let step = length / inner(&direction, &image);
            solution.iter_mut().zip(&direction).for_each(|(solution, direction)| *solution += step * direction);
            residual.iter_mut().zip(&image).for_each(|(residual, image)| *residual -= step * image);
            steepest = prepared(&residual);
            let next = inner(&residual, &steepest);
            let share = next / length;
            length = next;
            direction
                .iter_mut()
                .zip(&steepest)
                .for_each(|(direction, steepest)| *direction = steepest + share * *direction);
        }
        Err(Failure::input(format!("curvature cannot be smoothed: no solution in {MOST_STEPS} steps"))
            .hint("triangles that are very thin or lie on each other do this"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::icosahedron::subdivided;

    #[test]
    fn a_sphere_has_the_inverse_of_its_radius_twice() {
        let (points, triangles) = subdivided(4);
        let sphere: Vec<Point> = points.iter().map(|point| scale(*point, 25.0)).collect();
        for time in [0.0, STEP, 1e4] {
            let curvature = smoothed_mean(&sphere, &triangles, time).unwrap();
            // At the twelve vertices with five neighbours a third of the areas around is a little too small a mass.
            assert!(curvature.iter().all(|value| (value - 2.0 / 25.0).abs() < 0.013), "{:?}", &curvature[..5]);
            let mean = curvature.iter().sum::<f64>() / crate::numeric::counts::real(curvature.len());
            assert!((mean - 2.0 / 25.0).abs() < 1e-3, "{mean}");
        }
        // Seen from inside it is a sulcus.
        let inside: Vec<[u32; 3]> = triangles.iter().map(|[a, b, c]| [*a, *c, *b]).collect();
        assert!(smoothed_mean(&sphere, &inside, STEP).unwrap().iter().all(|value| *value < -0.07));
    }

    #[test]
    fn smoothing_keeps_the_mean_by_area_and_evens_out() {
        let (points, triangles) = subdivided(3);
        let laplacian = Laplacian::of(&points, &triangles);
        let values: Vec<f64> = points.iter().map(|[x, y, z]| (9.0 * x).sin() + y + f64::from(*z > 0.5)).collect();
        let mean = |values: &[f64]| values.iter().zip(&laplacian.mass).map(|(v, m)| v * m).sum::<f64>();
        let spread = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        let smooth = laplacian.smooth(&values, 0.1).unwrap();
        assert!((mean(&smooth) - mean(&values)).abs() < 1e-8);
        assert!(spread(&smooth) < 0.7 * spread(&values));
        // What is solved holds: the mass times the smoothed values plus the time times their stiffness is the right side.
        for vertex in 0..points.len() {
            let pull: f64 = laplacian.row(vertex).map(|(n, w)| w * (smooth[vertex] - smooth[n])).sum();
            let left = laplacian.mass[vertex] * smooth[vertex] + 0.1 * pull;
            assert!((left - laplacian.mass[vertex] * values[vertex]).abs() < 1e-8);
        }
        assert_eq!(laplacian.smooth(&vec![0.0; points.len()], 1.0).unwrap(), vec![0.0; points.len()]);
    }

    #[test]
    fn vertices_without_a_triangle_and_thin_triangles_have_no_curvature() {
        let points = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [9.0, 9.0, 9.0], [2.0, 0.0, 0.0]];
        let curvature = smoothed_mean(&points, &[[0, 1, 2], [0, 1, 4]], 1.0).unwrap();
        assert!(curvature.iter().all(|value| *value == 0.0), "{curvature:?}");
        assert!(smoothed_mean(&points, &[], 1.0).is_err());
    }
}
