//! The formats of files that artifacts have: how two files are compared by number, and how one is previewed.

mod arrays;
mod brain_maps;
mod difference;
mod npy_format;
mod pictures;
mod tables;
mod texts;

use pipe_contract::{Comparison, FileFormat, Preview};

/// Tables with commas.
pub const CSV: FileFormat = FileFormat {
    name: "CSV table",
    ends: &[".csv"],
    comparison: Comparison::ByColumn(tables::compare_csv),
    explain: None,
    preview: Preview::TableHead(tables::head_of_csv),
    columns: Some(tables::columns_of_csv),
};

/// Tables with tabulators.
pub const TSV: FileFormat = FileFormat {
    name: "TSV table",
    ends: &[".tsv"],
    comparison: Comparison::ByColumn(tables::compare_tsv),
    explain: None,
    preview: Preview::TableHead(tables::head_of_tsv),
    columns: Some(tables::columns_of_tsv),
};

/// Tables with types.
pub const PARQUET: FileFormat = FileFormat {
    name: "Parquet table",
    ends: &[".parquet"],
    comparison: Comparison::ByColumn(tables::compare_parquet),
    explain: None,
    preview: Preview::TableHead(tables::head_of_parquet),
    columns: Some(tables::columns_of_parquet),
};

/// Named tensors.
pub const SAFETENSORS: FileFormat = FileFormat {
    name: "safetensors",
    ends: &[".safetensors"],
    comparison: Comparison::ByNumber(arrays::compare_safetensors),
    explain: None,
    preview: Preview::Summary(arrays::summary_of_safetensors),
    columns: None,
};

/// One value a vertex.
pub const MGZ: FileFormat = FileFormat {
    name: "MGH map",
    ends: &[".mgz", ".mgh"],
    comparison: Comparison::ByNumber(arrays::compare_mgh),
    explain: None,
    preview: Preview::Summary(arrays::summary_of_mgh),
    columns: None,
};

/// Arrays of NumPy.
pub const NPY: FileFormat = FileFormat {
    name: "NPY array",
    ends: &[".npy"],
    comparison: Comparison::ByNumber(npy_format::compare),
    explain: Some(npy_format::explain),
    preview: Preview::Summary(npy_format::summary),
    columns: None,
};

/// One value a voxel.
pub const NIFTI: FileFormat = FileFormat {
    name: "NIfTI volume",
    ends: &[".nii.gz", ".nii"],
    comparison: Comparison::ByNumber(brain_maps::compare_nifti),
    explain: Some(brain_maps::explain_nifti),
    preview: Preview::Summary(brain_maps::summary_of_nifti),
    columns: None,
};

/// One value a vertex, in GIFTI.
pub const GIFTI: FileFormat = FileFormat {
    name: "GIFTI map",
    ends: &[".func.gii", ".shape.gii"],
    comparison: Comparison::ByNumber(brain_maps::compare_gifti),
    explain: Some(brain_maps::explain_gifti),
    preview: Preview::Summary(brain_maps::summary_of_gifti),
    columns: None,
};

/// Pictures of pixels.
pub const PNG: FileFormat = FileFormat {
    name: "PNG picture",
    ends: &[".png"],
    comparison: Comparison::ByPixel(pictures::compare),
    explain: None,
    preview: Preview::Thumbnail(pictures::thumbnail),
    columns: None,
};

/// Settings and lists.
pub const JSON: FileFormat = FileFormat {
    name: "JSON",
    ends: &[".json"],
    comparison: Comparison::Exact,
    explain: None,
    preview: Preview::Summary(texts::summary),
    columns: None,
};

/// Words.
pub const TEXT: FileFormat = FileFormat {
    name: "text",
    ends: &[".txt", ".md", ".log", ".yaml", ".svg"],
    comparison: Comparison::Exact,
    explain: None,
    preview: Preview::Summary(texts::summary),
    columns: None,
};

/// All of them.
pub const FORMATS: [&FileFormat; 11] =
    [&CSV, &TSV, &PARQUET, &SAFETENSORS, &MGZ, &NPY, &NIFTI, &GIFTI, &PNG, &JSON, &TEXT];
