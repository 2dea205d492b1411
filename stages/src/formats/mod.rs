//! Readers and writers of file formats, independent of stages.

pub mod annotation;
mod binary;
mod bounds;
pub mod channel_statistics;
pub mod data_table;
pub mod drawing;
pub mod epoch_table;
pub mod freesurfer;
pub mod fs_lr_meshes;
pub mod gifti;
pub mod hdf5;
pub mod image_conventions;
pub mod mgh;
pub mod nifti;
mod number_bytes;
pub mod numpy;
pub mod pickle;
pub mod pytorch;
pub mod score_table;
pub mod subject_folder;
pub mod tensors;
pub mod training_subjects;
mod zip_entries;
