//! The geometry that every subject costs: the flat map of a hemisphere, and which points of it the pixels show.
//!
//! `./just bench-parts` runs it. The mesh is a subdivided icosahedron of 163,842 vertices, as fsaverage has. The two kinds run
//! whole, from a subject's files to images at full resolution, on one thread: at most 1.5 s each and 1 GB are promised.

use std::path::Path;

use divan::Bencher;
use pipe_contract::{Given, Registry, Silent, Task};
use pipe_stages::formats::freesurfer::{Surface, write_morphometry, write_surface};
use pipe_stages::formats::{gifti, mgh};
use pipe_stages::hemisphere::HEMISPHERES;
use pipe_stages::hemisphere::Hemisphere;
use pipe_stages::numeric::flatmap::{FlatMap, project};
use pipe_stages::numeric::icosahedron::subdivided;

fn main() {
    divan::main();
}

/// The radius of the map in radians: the 80 degrees of the shipped pipeline.
const RADIUS: f64 = 80.0 * std::f64::consts::PI / 180.0;
const LEVEL: u32 = 7;

fn map() -> FlatMap {
    let (sphere, faces) = subdivided(LEVEL);
    project(&sphere, &faces, Hemisphere::Left, RADIUS).expect("a map")
}

#[divan::bench(sample_count = 20)]
fn flatmap_projection(bencher: Bencher) {
    let (sphere, faces) = subdivided(LEVEL);
    bencher.bench_local(|| project(&sphere, &faces, Hemisphere::Left, RADIUS).expect("a map"));
}

#[divan::bench(args = [64, 128, 512], sample_count = 10)]
fn flatmap_raster(bencher: Bencher, pixels: usize) {
    let map = map();
    bencher.bench_local(|| map.raster(pixels));
}

/// A subject with every map that a subject can have, on folds made of waves, its pRF maps and its labels.
fn write_subject(folder: &Path) {
    let (sphere, triangles) = subdivided(LEVEL);
    let wave = |point: &[f64; 3]| (9.0 * point[0]).sin() * (8.0 * point[1]).cos() * (7.0 * point[2]).sin();
    let surface = |scale: &dyn Fn(&[f64; 3]) -> f64| Surface {
        coordinates: sphere.iter().map(|point| point.map(|x| (x * scale(point)) as f32)).collect(),
        triangles: triangles.clone(),
    };
    let (folded, round) = (surface(&|point| 60.0 + 8.0 * wave(point)), surface(&|_| 100.0));
    let values: Vec<f32> = sphere.iter().map(|point| wave(point) as f32).collect();
    let at = |path: String| {
        let path = folder.join(path);
        fs_err::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        path
    };
    for hemisphere in HEMISPHERES {
        let (h, l) = (hemisphere.name(), hemisphere.letter());
        for (name, mesh) in [("white", &folded), ("sphere.reg", &round)] {
            write_surface(&at(format!("subject/s/T1w/s/surf/{h}.{name}")), mesh).expect("written");
        }
        for name in ["curv", "sulc", "thickness", "area.mid"] {
            let path = at(format!("subject/s/T1w/s/surf/{h}.{name}"));
            write_morphometry(&path, &values, triangles.len()).expect("written");
        }
        let native = |name: &str| at(format!("subject/s/{name}"));
        gifti::write_surface(&native(&format!("T1w/Native/s.{l}.midthickness.native.surf.gii")), &folded)
            .expect("written");
        let registered = native(&format!("MNINonLinear/Native/s.{l}.sphere.MSMAll.native.surf.gii"));
        gifti::write_surface(&registered, &round).expect("written");
        let myelin = native(&format!("MNINonLinear/Native/s.{l}.MyelinMap_BC.native.func.gii"));
        gifti::write_scalars(&myelin, &values).expect("written");
        for tract in ["OR", "VOF"] {
            mgh::write_f32(&native(&format!("tracts/{h}.{tract}_normalized.mgz")), &values).expect("written");
        }
        for quantity in ["x", "y", "sigma", "cod"] {
            mgh::write_f32(&at(format!("prf/{h}.prf_{quantity}.mgz")), &values).expect("written");
        }
        for (name, count) in [("area", 3.0), ("ring", 5.0)] {
            let labels: Vec<i32> = values.iter().map(|value| ((value + 1.0) / 2.0 * (count + 0.99)) as i32).collect();
            mgh::write_i32(&at(format!("labels/{h}.{name}.mgz")), &labels).expect("written");
        }
    }
}

/// Runs a kind whole on one thread, 512 pixels high.
fn whole(bencher: Bencher, kind: &str, ports: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    write_subject(folder.path());
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let stage = registry.stage(kind).expect("a kind");
    let declared = stage.kind();
    let outputs: std::collections::BTreeMap<_, _> =
        declared.outputs.iter().map(|port| (port.name, folder.path().join(port.name))).collect();
    let mut task: Task = serde_json::from_value(serde_json::json!({
        "kind": kind, "version": declared.version, "params": { "pixels": 512, "radius": 80.0 }, "at": {}, "inputs": {},
        "outputs": outputs, "seed": null, "device": "cpu", "threads": 1, "scratch": folder.path(),
    }))
    .expect("a task");
    for param in &declared.params {
        if let Some(default) = &param.default {
            task.params.entry(param.name.to_string()).or_insert_with(|| default.clone());
        }
    }
    for port in ports {
        task.inputs.insert((*port).into(), Given::One(folder.path().join(port)));
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    bencher.bench_local(|| one.install(|| stage.run(&task, &Silent).expect("images")));
}

#[divan::bench(sample_count = 5)]
fn fourteen_images_at_full_resolution(bencher: Bencher) {
    whole(bencher, "flatmap/images", &["subject", "prf"]);
}

#[divan::bench(sample_count = 5)]
fn eight_targets_at_full_resolution(bencher: Bencher) {
    whole(bencher, "flatmap/labels", &["subject", "labels"]);
}
