//! What a picture on the flattened cortex has to be, pixel by pixel, made anew from values by voxel or vertex.
//!
//! Values are sampled through the flat mapping of the run, whose rules are compared with pycortex elsewhere. Decides anew which voxel or
//! vertex an id is, where colours begin and end, which colour a pixel has, and what lies below where there is no value. A picture inside an
//! SVG file is compared as the bytes of its PNG.

use std::collections::BTreeMap;

use pipe_stages::formats::cortex::AboutHemisphere;
use pipe_stages::formats::cortical_map::{AboutMap, CorticalMap, MapValues, Measure};
use pipe_stages::formats::drawing::{Colour, ColourMap, Drawing, Raster};
use pipe_stages::formats::flat_mapping::{Depths, FlatMapping};
use pipe_stages::formats::nifti::VolumePlace;
use pipe_stages::hemisphere::Hemisphere;

/// A value for every pixel of cortex, by rows from the top.
pub type Pixels = Vec<f32>;

/// Values by id in the pixels of cortex; NaN where there is none.
pub fn sampled(mapping: &FlatMapping, values: &BTreeMap<String, f64>, measure: Measure) -> Pixels {
    let values = match (mapping.about.volume_shape, mapping.about.volume_affine) {
        (Some(shape), Some(affine)) => {
            MapValues::Volume { place: VolumePlace { shape, affine }, values: voxels(shape, values) }
        }
        _ => MapValues::Vertices(mapping.about.hemispheres.iter().map(|about| vertices(about, values)).collect()),
    };
    let map = CorticalMap { about: AboutMap { measure, ..AboutMap::default() }, values };
    mapping.paint(&map, Depths::IgnoreNan).expect("a map of this cortex")
}

/// `v0000012` is a voxel by its index with the last axis fastest; a map has the first one fastest.
fn voxels([across, down, deep]: [usize; 3], values: &BTreeMap<String, f64>) -> Vec<f32> {
    let mut all = vec![f32::NAN; across * down * deep];
    for (id, value) in values {
        let index: usize = id.strip_prefix('v').and_then(|index| index.parse().ok()).expect("a voxel");
        let (i, j, k) = (index / (down * deep), index / deep % down, index % deep);
        all[i + across * (j + down * k)] = *value as f32;
    }
    all
}

/// `lh/000012` is a vertex.
fn vertices(about: &AboutHemisphere, values: &BTreeMap<String, f64>) -> (Hemisphere, Vec<f32>) {
    let value =
        |vertex: usize| values.get(&format!("{}/{vertex:06}", about.name)).map_or(f32::NAN, |value| *value as f32);
    (Hemisphere::named(&about.name).expect("a hemisphere"), (0..about.vertices).map(value).collect())
}

/// The values of the first and the last colour.
#[derive(Clone, Copy, Debug)]
pub struct ColourLimits {
    /// Of the first.
    pub low: f64,
    /// Of the last.
    pub high: f64,
}

impl ColourLimits {
    /// How far a value lies from the first colour to the last, if there is a value.
    pub fn share(self, value: f32) -> Option<f64> {
        (!value.is_nan()).then(|| (f64::from(value) - self.low) / (self.high - self.low))
    }

    /// The colour of a value, if there is one. A colour map has 1,280 steps.
    pub fn colour(self, map: ColourMap, value: f32) -> Option<Colour> {
        let step = (self.share(value)? * 1280.0).floor().clamp(0.0, 1279.0);
        Some(map.colour((step + 0.5) / 1280.0))
    }

    /// The 2nd and 98th percentile of all pixels of some maps that have a value, as NumPy has them.
    pub fn of_pixels(maps: &[&Pixels]) -> Self {
        let mut all: Vec<f64> =
            maps.iter().copied().flatten().filter(|value| !value.is_nan()).map(|value| f64::from(*value)).collect();
        all.sort_by(f64::total_cmp);
        let percentile = |share: f64| {
            let place = share * (all.len() - 1) as f64;
            let (below, above) = (all[place.floor() as usize], all[place.ceil() as usize]);
            below + (place - place.floor()) * (above - below)
        };
        Self { low: percentile(0.02), high: percentile(0.98) }
    }
}

/// The PNG of a picture as it is inside an SVG file. `colour` is that of a pixel of cortex; where it is none, gyri are light grey and
/// sulci dark grey, between them what is not known to be either.
pub fn picture(mapping: &FlatMapping, colour: impl Fn(usize) -> Option<Colour>) -> String {
    let width = mapping.about.width;
    let mut raster = Raster::new(width, mapping.about.height);
    let cortex = (0..mapping.mask.len()).filter(|at| mapping.mask[*at]);
    for (pixel, at) in cortex.enumerate() {
        let grey = match mapping.curvature[pixel] {
            unknown if unknown.is_nan() => 128,
            curvature if curvature > 0.0 => 160,
            _ => 96,
        };
        raster.set(at % width, at / width, colour(pixel).unwrap_or(Colour::rgb(grey, grey, grey)));
    }
    let mut drawing = Drawing::new(10.0, 10.0, "");
    drawing.image((0.0, 0.0), 10.0, 10.0, &raster, false);
    let svg = drawing.svg();
    let (_, data) = svg.split_once("data:image/png;base64,").expect("a picture");
    data.split_inclusive('"').next().expect("it ends").to_owned()
}

/// Fails unless an SVG file has these pictures, in this order.
#[track_caller]
pub fn assert_shows(svg: &str, pictures: &[String]) {
    let mut rest = svg;
    for (number, picture) in pictures.iter().enumerate() {
        let found = rest.split_once(picture.as_str());
        (_, rest) = found.unwrap_or_else(|| panic!("picture {number} is another one, or not in its place"));
    }
}
