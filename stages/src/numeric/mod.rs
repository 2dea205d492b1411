//! Geometry and arithmetic on arrays and meshes; independent of files and stages.
//!
//! Conventions of the whole module: a mesh is `&[[f64; 3]]` coordinates and `&[[u32; 3]]` triangles that index them,
//! counter-clockwise seen from outside, as in FreeSurfer and GIFTI files. Sums run in f64 and images are f32.
//! Work is spread over threads only where every result is computed on its own, so that the thread count never
//! shows in the bytes. Bad geometry is a [`pipe_contract::Failure`] without a place: callers know the file.

pub mod address;
pub mod bands;
pub mod cholesky;
pub mod classical_scaling;
pub mod colour_space;
pub mod counts;
pub mod curvature;
pub mod depth_samples;
pub mod dissimilarity;
#[cfg(test)]
mod dissimilarity_tests;
pub mod extreme_subset;
pub mod flat_grid;
pub mod flatmap;
pub mod icosahedron;
pub mod isotonic;
pub mod kernel_alignment;
pub mod legacy_random;
pub mod linear_algebra;
pub mod linear_svm;
pub mod mesh;
pub mod multiple_tests;
pub mod nearest;
pub mod noise_covariance;
pub mod overlap;
#[cfg(test)]
mod pattern_goldens;
mod pattern_moments;
pub mod pillow_resize;
pub mod plane;
pub mod polygon;
pub mod polygon_fill;
pub mod principal_orientation;
pub mod procrustes;
pub mod projection;
pub mod random_rows;
pub mod rank_correlation;
pub mod rdm_similarity;
pub mod rdm_whitening;
pub mod resize;
pub mod rigid_alignment;
pub mod scaling;
pub mod small_least_squares;
pub mod sphere;
pub mod statistics;
pub mod stress_descent;
pub mod stress_gradient;
pub mod student_t;
pub mod subset_lattice;
pub mod thread_pool;
pub mod unit_anova;
pub mod vector;
