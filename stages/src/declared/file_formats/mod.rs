//! The formats of files that artifacts have: how two files are compared by number, and how one is previewed.

mod arrays;
mod difference;
mod pictures;
mod tables;
mod texts;

use pipe_contract::{Comparison, FileFormat, Preview};

/// Tables with commas.
pub const CSV: FileFormat = FileFormat {
    name: "CSV table",
    ends: &[".csv"],
    comparison: Comparison::ByColumn(tables::compare_csv),
    preview: Preview::TableHead(tables::head_of_csv),
    columns: Some(tables::columns_of_csv),
};

/// Tables with tabulators.
pub const TSV: FileFormat = FileFormat {
    name: "TSV table",
    ends: &[".tsv"],
    comparison: Comparison::ByColumn(tables::compare_tsv),
    preview: Preview::TableHead(tables::head_of_tsv),
    columns: Some(tables::columns_of_tsv),
};

/// Tables with types.
pub const PARQUET: FileFormat = FileFormat {
    name: "Parquet table",
    ends: &[".parquet"],
    comparison: Comparison::ByColumn(tables::compare_parquet),
    preview: Preview::TableHead(tables::head_of_parquet),
    columns: Some(tables::columns_of_parquet),
};

/// Named tensors.
pub const SAFETENSORS: FileFormat = FileFormat {
    name: "safetensors",
    ends: &[".safetensors"],
    comparison: Comparison::ByNumber(arrays::compare_safetensors),
    preview: Preview::Summary(arrays::summary_of_safetensors),
    columns: None,
};

/// One value a vertex.
pub const MGZ: FileFormat = FileFormat {
    name: "MGH map",
    ends: &[".mgz", ".mgh"],
    comparison: Comparison::ByNumber(arrays::compare_mgh),
    preview: Preview::Summary(arrays::summary_of_mgh),
    columns: None,
};

/// Pictures of pixels.
pub const PNG: FileFormat = FileFormat {
    name: "PNG picture",
    ends: &[".png"],
    comparison: Comparison::ByPixel(pictures::compare),
    preview: Preview::Thumbnail(pictures::thumbnail),
    columns: None,
};

/// Settings and lists.
pub const JSON: FileFormat = FileFormat {
    name: "JSON",
    ends: &[".json"],
    comparison: Comparison::Exact,
    preview: Preview::Summary(texts::summary),
    columns: None,
};

/// Words.
pub const TEXT: FileFormat = FileFormat {
    name: "text",
    ends: &[".txt", ".md", ".log", ".yaml", ".svg"],
    comparison: Comparison::Exact,
    preview: Preview::Summary(texts::summary),
    columns: None,
};

/// All of them.
pub const FORMATS: [&FileFormat; 8] = [&CSV, &TSV, &PARQUET, &SAFETENSORS, &MGZ, &PNG, &JSON, &TEXT];
