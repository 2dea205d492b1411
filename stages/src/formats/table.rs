//! Tables as Parquet and CSV.
