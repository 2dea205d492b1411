//! HDF5 in the shapes this field uses: labels (`{lh,rh}/visual_area`, whole numbers), pRF results in MATLAB
//! v7.3 (numbers in several dimensions behind a user block of 512 bytes), matrices of any size that are read in parts.

mod grid;
mod number_type;
mod reader;
mod writer;

pub use grid::NumberGrid;
pub use reader::{File, IndexPick};
pub use writer::Builder;
