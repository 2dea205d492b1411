//! Parts of a plan that serde has no compact binary form for, each as a module for `#[serde(with = ...)]`.
//!
//! Derived forms do for everything else. These are for [`super::plan_cache`] alone: they borrow from the bytes that are
//! read.

pub(super) mod params;
pub(super) mod path;
pub(super) mod shared;
pub(super) mod shared_option;
mod tokens;
pub(super) mod values;
