//! What the tests of several folders share.

pub mod small_subject;
pub mod tasks;
