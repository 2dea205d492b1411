//! Geometry and arithmetic on arrays and meshes; knows no files and no stages.
