//! Geometry and arithmetic on arrays and meshes; independent of files and stages.
//!
//! Conventions of the whole module: a mesh is `&[[f64; 3]]` coordinates and `&[[u32; 3]]` triangles that index them,
//! counter-clockwise seen from outside, as in FreeSurfer and GIFTI files. Sums run in f64 and images are f32.
//! Work is spread over threads only where every result is computed on its own, so that the thread count never
//! shows in the bytes. Bad geometry is a [`pipe_contract::Failure`] without a place: callers know the file.

pub mod address;
pub mod bands;
pub mod counts;
pub mod curvature;
pub mod depth_samples;
pub mod flat_grid;
pub mod flatmap;
pub mod icosahedron;
pub mod legacy_random;
pub mod linear_algebra;
pub mod mesh;
pub mod nearest;
pub mod overlap;
pub mod plane;
pub mod polygon;
pub mod polygon_fill;
pub mod projection;
pub mod random_rows;
pub mod resize;
pub mod rigid_alignment;
pub mod sphere;
pub mod statistics;
pub mod subset_lattice;
pub mod vector;
