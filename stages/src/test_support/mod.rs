//! What the tests of several folders share.

pub mod figures;
pub mod rsa_goldens;
pub mod scores;
pub mod small_subject;
pub mod study;
pub mod tasks;
pub mod two_triangles;
