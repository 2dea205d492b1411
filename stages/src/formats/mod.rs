//! Readers and writers of file formats; know bytes, nothing about stages.

pub mod table;
pub mod tensors;
