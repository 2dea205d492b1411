//! What kinds of several folders declare alike: the types of artifacts with their formats, the inputs of everything that is about
//! held-out scores, the radius of the flat map, where kinds of the worker compute.

pub mod compute_place;
pub mod file_formats;
pub mod hcp_study;
pub mod held_out_inputs;
pub mod lab_compat;
pub mod map_radius;
pub mod shipped_types;
