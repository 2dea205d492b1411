//! Bounds on what a reader takes from a file, which may promise more than it holds, by damage or on purpose.
//!
//! The rule of every reader of this folder: nothing is allocated for a number that a file states before it has been compared with
//! the size of the file, and what is packed is unpacked up to a stated size.

/// More vertices than any cortical mesh has, few enough that a damaged count is noticed.
pub const MOST_VERTICES: usize = 20_000_000;

/// The most bytes that deflate (gzip, zlib, zip, HDF5's gzip) packs into one.
pub const DEFLATE_RATIO: u64 = 1032;

/// The most bytes that one packed file may unpack to. The largest real one of this field, a 164k mesh in full text, has
/// some 20 MB.
pub const MOST_UNPACKED: u64 = 128 << 20;
