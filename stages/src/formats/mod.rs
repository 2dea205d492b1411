//! Readers and writers of file formats; know bytes, nothing about stages.

mod binary;
pub mod drawing;
pub mod freesurfer;
pub mod fs_lr;
pub mod gifti;
pub mod hdf5;
pub mod mgh;
pub mod scores;
pub mod subject;
pub mod table;
pub mod tensors;
#[cfg(test)]
pub(crate) mod testing;
