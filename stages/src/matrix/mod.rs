//! `matrix/...`: the kinds that make matrices with named rows and columns of files, and matrices of matrices.

mod matrix_import;
mod matrix_join;
mod missing;
mod pca;
mod seen_rows;
mod source;
mod zscore;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(matrix_import::MatrixImport);
    registry.add(zscore::ZScore);
    registry.add(pca::Pca);
    registry.add(matrix_join::Join);
}
