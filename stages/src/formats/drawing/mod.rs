//! Figures as vector drawings: a small SVG writer, and its output as SVG, PDF and PNG.
//!
//! Decides how a figure becomes bytes: lengths are points (1/72 inch) with at most two decimals, y points down, text is
//! set in the one font that is compiled in, and nothing but the drawing itself reaches the files (no clock, no system font,
//! no locale). Several folders of kinds use it. Independent of cortex and scores.
//!
//! Its files use each other in one direction: `colour`, `colour_maps`, `raster`, `font`, then `canvas`, then `axes`, `measure`, `pixels` and `render`.

pub mod axes;
mod canvas;
pub mod colour;
pub mod colour_maps;
mod font;
mod measure;
mod pixels;
mod raster;
mod render;

pub use canvas::{Anchor, CanvasPoint, Drawing, Lettering, Stroke};
pub use colour::Colour;
pub use colour_maps::ColourMap;
pub use font::FAMILY;
#[cfg(test)]
pub use measure::text_boxes;
pub use measure::{FigureNotes, text_width, wrapped};
pub use pixels::rendered_pixels;
pub use raster::Raster;
pub use render::{SMALLEST_TEXT, WIDEST, save};
