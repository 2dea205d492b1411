//! Agreement with the original program on real anatomy: what neuropythy 0.13.0 gives on fsaverage5 with the Benson 2014
//! template, kept beside the project in `shared/data/golden` (`just data` runs these tests); `just fidelity` recomputes the same
//! from the original packages.

use std::path::Path;

use serde_json::Value as Json;

use super::from_template::Template;
use crate::formats::{gifti, mgh};
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::bands::area_and_ring;
use crate::numeric::flatmap::{FlatMap, FlatMapRaster, project};
use crate::numeric::mesh::sphere_radius;
use crate::numeric::projection::{FREESURFER_RADIUS, HCP_RADIUS, Rotation, occipital_pole};
use crate::test_support::tasks::data;

/// Vertices of fsaverage5, which are the first of fsaverage.
const VERTICES: usize = 10_242;

const CHANNELS: [&str; 12] =
    ["curvature", "convexity", "thickness", "surface_area", "V1", "V2", "V3", "E0", "E1", "E2", "E3", "E4"];

/// fsaverage5 and the template on it.
struct Anatomy {
    sphere: Vec<[f64; 3]>,
    triangles: Vec<[u32; 3]>,
    /// The first four channels.
    maps: Vec<Vec<f32>>,
    varea: Vec<i32>,
    eccentricity: Vec<f32>,
}

impl Anatomy {
    fn read(data: &Path, hemisphere: Hemisphere) -> Self {
        let side = if hemisphere == Hemisphere::Left { "left" } else { "right" };
        let file = |name: &str| data.join(format!("fsaverage5/{name}_{side}.gii.gz"));
        let template =
            |name: &str| data.join(format!("neuropythy/fsaverage/{}.benson14_{name}.v4_0.mgz", hemisphere.name()));
        let sphere = gifti::read_surface(&file("sphere")).unwrap();
        let map = |name| gifti::read_scalars(&file(name)).unwrap();
        Self {
            sphere: sphere.coordinates.iter().map(|point| point.map(f64::from)).collect(),
            triangles: sphere.triangles,
            maps: ["curv", "sulc", "thick", "area"].map(map).to_vec(),
            varea: mgh::read_i32(&template("varea")).unwrap()[..VERTICES].to_vec(),
            eccentricity: mgh::read_f32(&template("eccen")).unwrap()[..VERTICES].to_vec(),
        }
    }

    fn labels(&self) -> (Vec<i32>, Vec<i32>) {
        self.varea.iter().zip(&self.eccentricity).map(|(&area, &e)| area_and_ring(area, f64::from(e))).unzip()
    }

    fn image(&self, raster: &FlatMapRaster, channel: usize) -> Vec<f32> {
        let (area, ring) = self.labels();
        let shows = |label: usize| move |value: i32| f32::from(u8::from(value == label as i32));
        match channel {
            0..4 => raster.linear(&self.maps[channel]),
            4..7 => raster.nearest(&area, shows(channel - 3)),
            _ => raster.nearest(&ring, shows(channel - 6)),
        }
    }
}

fn close(what: &str, got: f64, expected: &Json, relative: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((got - expected).abs() <= relative * expected.abs().max(1.0), "{what}: {got} is not {expected}");
}

fn counts(what: &str, got: impl IntoIterator<Item = usize>, expected: &Json) {
    let expected: Vec<usize> = match expected {
        Json::Array(list) => list.iter().map(|n| n.as_u64().unwrap() as usize).collect(),
        Json::Object(map) => (0..map.len()).map(|k| map[&k.to_string()].as_u64().unwrap() as usize).collect(),
        one => vec![one.as_u64().unwrap() as usize],
    };
    assert_eq!(got.into_iter().collect::<Vec<_>>(), expected, "{what}");
}

fn tally(labels: &[i32], most: i32) -> Vec<usize> {
    (0..=most).map(|label| labels.iter().filter(|&&found| found == label).count()).collect()
}

fn goldens() -> (std::path::PathBuf, Json) {
    let data = data("");
    let text = fs_err::read(data.join("golden/fsaverage5_occipital_pole.json")).unwrap();
    (data, serde_json::from_slice(&text).unwrap())
}

#[test]
#[ignore = "needs the real data: `just data`"]
fn the_map_is_that_of_the_original() {
    let (data, goldens) = goldens();
    for hemisphere in HEMISPHERES {
        let anatomy = Anatomy::read(&data, hemisphere);
        for (name, radius) in [("pi/2.25", HCP_RADIUS), ("pi/2", FREESURFER_RADIUS)] {
            let golden = &goldens[format!("{}:{name}", hemisphere.name())];
            let map = project(&anatomy.sphere, &anatomy.triangles, hemisphere, radius).unwrap();
            counts("vertices", [map.vertices.len()], &golden["vertex_count"]);
            counts("triangles", [map.faces.len()], &golden["face_count"]);
            counts("first vertices", map.vertices[..8].iter().map(|&v| v as usize), &golden["first_labels"]);
            counts("V1 to V3", tally(&anatomy.varea, 3)[1..].to_vec(), &golden["v123_counts"]);
            close("radius", sphere_radius(&anatomy.sphere).unwrap(), &golden["sphere_radius_used"], 1e-12);
            let bounds = [
                ("xmin", map.bounds.x[0]),
                ("xmax", map.bounds.x[1]),
                ("ymin", map.bounds.y[0]),
                ("ymax", map.bounds.y[1]),
            ];
            bounds.into_iter().for_each(|(side, got)| close(side, got, &golden["bbox"][side], 1e-12));
            let first = map.coordinates[..8].iter().zip(golden["first_coords"].as_array().unwrap());
            first
                .for_each(|(got, golden)| (0..2).for_each(|axis| close("coordinate", got[axis], &golden[axis], 1e-12)));
            let Rotation(rows) = Rotation::facing(&occipital_pole(hemisphere));
            for (row, golden) in rows.iter().zip(golden["alignment_matrix"].as_array().unwrap()) {
                row.iter()
                    .zip(golden.as_array().unwrap())
                    .for_each(|(&got, golden)| close("rotation", got, golden, 1e-14));
            }
        }
    }
}

#[test]
#[ignore = "needs the real data: `just data`"]
fn the_prior_is_that_of_the_original() {
    let (data, goldens) = goldens();
    for hemisphere in HEMISPHERES {
        let golden = &goldens[format!("{}:pi/2.25", hemisphere.name())];
        let anatomy = Anatomy::read(&data, hemisphere);
        let map = project(&anatomy.sphere, &anatomy.triangles, hemisphere, HCP_RADIUS).unwrap();
        let (area, ring) = anatomy.labels();
        counts("areas", tally(&map.pick(&area), 3), &golden["prior_area_counts"]);
        counts("rings", tally(&map.pick(&ring), 5), &golden["prior_ring_counts"]);
        // The same labels come through the recovered sphere of fsaverage, because its first vertices are these.
        let template = Template::read(&data.join("neuropythy/fsaverage"), hemisphere).unwrap();
        let through: Vec<_> =
            anatomy.sphere.iter().map(|&point| template.label(&template.sphere.locate(point).unwrap())).collect();
        let differing = through.iter().zip(area.iter().zip(&ring)).filter(|&(a, (&b, &c))| *a != (b, c)).count();
        assert_eq!(differing, 0, "{hemisphere:?}");
    }
}

#[test]
#[ignore = "needs the real data: `just data`"]
fn the_pictures_are_those_of_the_original() {
    let (data, goldens) = goldens();
    for hemisphere in HEMISPHERES {
        let anatomy = Anatomy::read(&data, hemisphere);
        let map = project(&anatomy.sphere, &anatomy.triangles, hemisphere, HCP_RADIUS).unwrap();
        for pixels in [64, 512] {
            let golden = &goldens[format!("{}:pi/2.25", hemisphere.name())][format!("image{pixels}")];
            compare(&anatomy, &map, pixels, golden);
        }
    }
}

/// The places of the goldens' pixels were multiplied and added with two roundings; libtorch and the program do it with
/// one.
const NEAR: f64 = 1e-5;

fn compare(anatomy: &Anatomy, map: &FlatMap, pixels: usize, golden: &Json) {
    let raster = map.raster(pixels);
    counts("painted", [raster.painted.len()], &golden["pixels_in_map"]);
    counts("candidates", [raster.candidates], &golden["pixels_in_disc"]);
    close("disc", map.bounds.disc_radius(), &golden["disc_radius"], 1e-12);
    for (channel, name) in CHANNELS.iter().enumerate() {
        let image = anatomy.image(&raster, channel);
        let stats = &golden["stats"][name];
        counts(name, [image.iter().filter(|&&value| value != 0.0).count()], &stats["nonzero"]);
        close(name, image.iter().copied().map(f64::from).sum(), &stats["sum"], NEAR);
        close(name, f64::from(image.iter().copied().fold(f32::INFINITY, f32::min)), &stats["min"], NEAR);
        close(name, f64::from(image.iter().copied().fold(f32::NEG_INFINITY, f32::max)), &stats["max"], NEAR);
    }
}

#[test]
#[ignore = "needs the real data: `just data`"]
fn every_pixel_is_that_of_the_original() {
    let (data, _) = goldens();
    let anatomy = Anatomy::read(&data, Hemisphere::Left);
    let raster = project(&anatomy.sphere, &anatomy.triangles, Hemisphere::Left, HCP_RADIUS).unwrap().raster(64);
    let bytes = fs_err::read(data.join("golden/lh.fsaverage5.flatmap64.npy")).unwrap();
    // The last 12 * 64 * 64 numbers of the file, little-endian: what comes before is numpy's header.
    let (numbers, _) = bytes[bytes.len() - 4 * 12 * 64 * 64..].as_chunks::<4>();
    let expected = numbers.iter().map(|number| f32::from_le_bytes(*number));
    let got = (0..CHANNELS.len()).flat_map(|channel| anatomy.image(&raster, channel));
    let (mut all, mut same, mut worst) = (0, 0, 0.0f32);
    for (got, expected) in got.zip(expected) {
        let difference = (got - expected).abs();
        all += 1;
        same += usize::from(difference <= 1e-4);
        worst = worst.max(difference);
    }
    assert_eq!((same, all), (12 * 64 * 64, 12 * 64 * 64), "the largest difference is {worst}");
}
