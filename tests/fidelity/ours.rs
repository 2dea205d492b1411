//! The program's side of the fidelity check, without networks: makes a subject from fsaverage5 and the Benson 2014
//! template, runs the kinds on it and writes what they give where the scripts beside this file look for it. The cases
//! for scores, statistics, split, schedule, logs and pRF results are made here too, so that both sides compute from the
//! same numbers.
//!
//! `fidelity FSAVERAGE5 LIBRARY OUT [PLANS CELLS]`, built by `./just fidelity`; the first two are folders inside the
//! packages nilearn and neuropythy, the last two the original's plan files, and what its script writes for the cells of
//! the grid search.

mod cortex;
mod program;
mod simulated_logs;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pipe_contract::{Cell, Coordinates, Failure, Given, Presence, Registry, Value};
use pipe_stages::formats::freesurfer::Surface;
use pipe_stages::formats::fs_lr_meshes::FsLr;
use pipe_stages::formats::subject_folder::Subject;
use pipe_stages::formats::tensors::{self, Tensor, Tensors};
use pipe_stages::formats::{hdf5, mgh};
use pipe_stages::hemisphere::HEMISPHERES;
use pipe_stages::numeric::bands::area_and_ring;
use pipe_stages::numeric::flatmap::{half, labels_at_vertices, project};
use pipe_stages::numeric::projection::{FREESURFER_RADIUS, HCP_RADIUS};
use pipe_stages::numeric::statistics::{Spread, error_multiplier, quantile};
use pipe_stages::unet::declarations;
use pipe_stages::unet::training_schedule::{Round, listed, rounds};

use crate::cortex::{Cortex, in_scanner, turned};
use crate::program::{folder, write_text};

/// The subject made from fsaverage5.
const SID: &str = "fsaverage5";

/// The subject that pRF results are of, one of those by which the original lists them.
const MEASURED: &str = "100610";

/// Sizes of pictures: as painted, the study's, the demo's, and one that is not a divisor of 512.
const SIZES: [i64; 4] = [512, 128, 64, 50];

fn main() -> ExitCode {
    program::run("three or five folders: FSAVERAGE5 LIBRARY OUT [PLANS CELLS]", |folders| match folders {
        [anatomy, library, out] => Some(write_all(anatomy, library, out)),
        [anatomy, library, out, plans, cells] => Some(
            write_all(anatomy, library, out)
                .and_then(|()| write_schedules(plans, &out.join("schedules.json")))
                .and_then(|()| write_grid(cells, &folder(out.join("grid"))?)),
        ),
        _ => None,
    })
}

fn write_all(anatomy: &Path, library: &Path, out: &Path) -> Result<(), Failure> {
    let [subject, moved, prf, labels] = ["subject", "turned", "prf", "labels"].map(|name| out.join(name));
    let template = library.join("fsaverage/surf");
    folder(out.to_path_buf())?;
    let mut drawing = hdf5::Builder::new();
    for hemisphere in HEMISPHERES {
        let cortex = Cortex::read(anatomy, &template, hemisphere)?;
        let elsewhere = turned(&cortex.sphere);
        cortex.write_subject(&subject, SID, &cortex.sphere)?;
        cortex.write_subject(&moved, SID, &elsewhere)?;
        cortex.write_prf(&prf)?;
        cortex.write_subject(&out.join("measured"), MEASURED, &cortex.sphere)?;
        cortex.write_msmall(&out.join("measured"), MEASURED, &elsewhere, &fs_lr_sphere())?;
        cortex.write_freesurfer(&out.join("freesurfer/fsaverage"), &cortex.sphere, |point| point)?;
        cortex.write_freesurfer(&out.join("freesurfer/s01"), &elsewhere, in_scanner)?;
        let [areas, sectors] = cortex.labels();
        drawing.whole_numbers(&format!("{}/visual_area", hemisphere.name()), &areas);
        drawing.whole_numbers(&format!("{}/visual_sector", hemisphere.name()), &sectors);
    }
    let file = out.join("labels.hdf5");
    drawing.write(&file)?;
    run("labels/import", &[("file", &file)], &[], &labels)?;
    for pixels in SIZES {
        let drawing = [("pixels", Value::Int(pixels)), ("radius", Value::Float(80.0))];
        let place = |kind: &str| out.join(format!("{kind}_{pixels}.safetensors"));
        run("flatmap/images", &[("subject", &subject), ("prf", &prf)], &drawing, &place("images"))?;
        run("flatmap/labels", &[("subject", &subject), ("labels", &labels)], &drawing, &place("targets"))?;
    }
    run("labels/template", &[("template", &template), ("subject", &moved)], &[], &out.join("prior"))?;
    let maps = maps(&subject)?;
    let sampled = sampled(&subject, &out.join("targets_64.safetensors"))?;
    let Tensors { tensors, .. } = sampled;
    let all = tensors.into_iter().fold(maps, |all, (name, tensor)| all.with(name, tensor));
    tensors::write(&out.join("maps.safetensors"), &all)?;
    write_every_sector(out)?;
    tensors::write(&out.join("bands.safetensors"), &every_band())?;
    write_scores(out, &subject, &labels)?;
    write_statistics(&out.join("statistics.json"))?;
    write_split(&folder(out.join("split"))?)?;
    write_aligned(&out.join("freesurfer"))?;
    write_fields(&library.join("fs_LR"), out)?;
    write_text(&out.join("kinds.json"), &serde_json::json!(versions()).to_string())
}

/// The kinds that are compared, with their versions.
fn versions() -> BTreeMap<String, u32> {
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let names = [
        "flatmap/images",
        "flatmap/labels",
        "freesurfer/subject",
        "grid/read",
        "labels/import",
        "labels/template",
        "prf/import",
        "score/dice",
        "split/twins",
    ];
    let own = names.iter().filter_map(|name| registry.stage(name)).map(|stage| stage.kind());
    own.chain([declarations::train(), declarations::predict()])
        .map(|kind| (kind.name.to_string(), kind.version))
        .collect()
}

/// Rings of every area with every sector, one pair a vertex.
fn write_every_sector(out: &Path) -> Result<(), Failure> {
    let all: Vec<(i32, i32)> = (0..=3).flat_map(|area| (0..=26).map(move |sector| (area, sector))).collect();
    let (areas, sectors): (Vec<i32>, Vec<i32>) = all.into_iter().unzip();
    let mut file = hdf5::Builder::new();
    for hemisphere in HEMISPHERES {
        file.whole_numbers(&format!("{}/visual_area", hemisphere.name()), &areas);
        file.whole_numbers(&format!("{}/visual_sector", hemisphere.name()), &sectors);
    }
    let path = out.join("sectors.hdf5");
    file.write(&path)?;
    run("labels/import", &[("file", &path)], &[], &out.join("sectors"))
}

/// Areas and rings of every area of the template at eccentricities at, just below and above the edges of the bands.
fn every_band() -> Tensors {
    let edges = [0.0, 0.5, 1.0, 2.0, 4.0, 7.0, 90.0_f64];
    let near: Vec<f64> = edges.iter().flat_map(|edge| [edge.next_down().max(0.0), *edge, edge + 0.25]).collect();
    let cases: Vec<(i32, f64)> = (0..=12).flat_map(|area| near.iter().map(move |e| (area, *e))).collect();
    let (area, ring): (Vec<i32>, Vec<i32>) = cases.iter().map(|(area, e)| area_and_ring(*area, *e)).unzip();
    let whole = |values: Vec<i32>| Tensor::i64(&[values.len()], values.into_iter().map(i64::from).collect());
    // Bits, because these files hold no fractions with 64 bits.
    let bits: Vec<i64> = cases.iter().map(|(_, e)| e.to_bits().cast_signed()).collect();
    Tensors::new()
        .with("template", whole(cases.iter().map(|(area, _)| *area).collect()))
        .with("eccentricity.bits", Tensor::i64(&[bits.len()], bits))
        .with("area", whole(area))
        .with("ring", whole(ring))
}

/// Numbers from 0 to 1 that look random and are the same everywhere.
fn scattered(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        })
        .collect()
}

/// Raters (first) and models of the scores, how many vertices in a hundred have another's label, and the label that is
/// missing.
const METHODS: [(&str, u32, i32); 10] = [
    ("A1", 0, 0),
    ("A2", 10, 0),
    ("A3", 15, 3),
    ("A4", 20, 0),
    ("anat", 30, 0),
    ("func", 25, 2),
    ("t1t2", 40, 0),
    ("full", 5, 0),
    ("prior", 60, 0),
    ("inf", 35, 0),
];

/// Labels of every method, made from one, and the scores of all pairs.
fn write_scores(out: &Path, subject: &Path, labels: &Path) -> Result<(), Failure> {
    let place = |method: &str| out.join("methods").join(method);
    for (index, (method, percent, missing)) in METHODS.iter().enumerate() {
        folder(place(method))?;
        for (hemisphere, name) in HEMISPHERES.iter().flat_map(|h| ["area", "ring"].map(|name| (h.name(), name))) {
            let file = format!("{hemisphere}.{name}.mgz");
            let own = mgh::read_i32(&labels.join(&file))?;
            let chance = scattered(index as u64, own.len());
            let changed = |vertex: usize| {
                let exchanged = chance[vertex] * 100.0 < f64::from(*percent);
                let label = if exchanged { own[(vertex * 31 + index * 7) % own.len()] } else { own[vertex] };
                if label == *missing { 0 } else { label }
            };
            mgh::write_i32(&place(method).join(file), &(0..own.len()).map(changed).collect::<Vec<i32>>())?;
        }
    }
    let gather = |axis: &'static str, methods: &[(&str, u32, i32)]| {
        let mut names: Vec<&str> = methods.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        let cell =
            |name: &&str| Cell { at: [(axis, *name)].into_iter().collect(), artifact: Presence::Present(place(name)) };
        Given::Many(names.iter().map(cell).collect())
    };
    for parcellation in ["area", "ring"] {
        let inputs = [
            ("models", gather("inputs", &METHODS[4..8])),
            ("raters", gather("rater", &METHODS[..4])),
            ("prior", Given::One(place("prior"))),
            ("inferred", Given::One(place("inf"))),
            ("subject", Given::One(subject.to_path_buf())),
        ];
        let at = [("outputs", parcellation), ("sid", SID)].into_iter().collect();
        run_at(
            "score/dice",
            at,
            inputs.into(),
            &[("radius", Value::Float(80.0))],
            &out.join(format!("scores_{parcellation}")),
        )?;
    }
    Ok(())
}

/// Summaries of lists of scores.
fn write_statistics(path: &Path) -> Result<(), Failure> {
    let lists = [(1, 33), (2, 33), (3, 200), (4, 2), (5, 1)].map(|(seed, count)| scattered(seed, count));
    let of = |list: &Vec<f64>| {
        let mut sorted = list.clone();
        sorted.sort_by(f64::total_cmp);
        let spread = Spread::of(list)?;
        let intervals = [1, 22, 28].map(|comparisons| {
            let (low, high) = spread.bounds(comparisons);
            serde_json::json!({ "comparisons": comparisons, "bounds": [low, spread.mean, high] })
        });
        let quantiles = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share));
        Some(serde_json::json!({
            "values": list, "sd": [spread.mean - spread.sd, spread.mean, spread.mean + spread.sd],
            "intervals": intervals, "quantiles": quantiles,
        }))
    };
    let multipliers = [1, 2, 22, 28, 1000].map(|comparisons| (comparisons, error_multiplier(comparisons)));
    let lists: Vec<serde_json::Value> = lists.iter().filter_map(of).collect();
    write_text(path, &serde_json::json!({ "lists": lists, "multipliers": multipliers }).to_string())
}

/// The study's subjects.
const STUDY: &str = include_str!("../../pipelines/hcp_subjects.txt");

/// An invented table of families over the study's subjects that meets every rule, and the split that follows from it.
fn write_split(out: &Path) -> Result<(), Failure> {
    let sids: Vec<&str> =
        STUDY.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut mixed = (0..sids.len()).map(|index| sids[index * 71 % sids.len()]);
    let mut rows: Vec<(String, String, &str)> = Vec::new();
    let mut add = |sid: &str, family: usize, zygosity: &'static str| {
        rows.push((sid.to_owned(), format!("{}_{}", 51_000 + family * 17 % 997, family), zygosity));
    };
    for pair in 0..72 {
        let zygosity = ["MZ", "DZ", " "][usize::from(pair >= 40) + usize::from(pair >= 65)];
        mixed.by_ref().take(2).for_each(|sid| add(sid, pair, zygosity));
    }
    // Siblings of twins are not linked to them.
    mixed.by_ref().take(3).enumerate().for_each(|(family, sid)| add(sid, family, " "));
    // A twin without retinotopic maps, twice; one who is excluded from the study for the labels; a third sibling
    // without maps.
    for (family, other, zygosity) in [(100, "100001", "MZ"), (101, "100002", "DZ"), (102, "125525", "MZ")] {
        mixed.by_ref().take(1).for_each(|sid| add(sid, family, zygosity));
        add(other, family, zygosity);
    }
    mixed.by_ref().take(2).for_each(|sid| add(sid, 103, " "));
    add("100003", 103, " ");
    mixed.enumerate().for_each(|(index, sid)| add(sid, 200 + index, " "));
    let count = rows.len();
    let mut csv = String::from("Subject,Age_in_Yrs,Family_ID,ZygosityGT\n");
    // The order of the table is not that of families. 83 has no factor in common with the number of rows.
    for (sid, family, zygosity) in (0..count).map(|index| &rows[index * 83 % count]) {
        let _ = writeln!(csv, "{sid},30,{family},{zygosity}");
    }
    let table = out.join("families.csv");
    write_text(&table, &csv)?;
    let cell =
        |sid: &&str| Cell { at: [("sid", *sid)].into_iter().collect(), artifact: Presence::Present(table.clone()) };
    let mut sorted = sids.clone();
    sorted.sort_unstable();
    let inputs =
        [("families", Given::One(table.clone())), ("subjects", Given::Many(sorted.iter().map(cell).collect()))];
    run_at("split/twins", Coordinates::none(), inputs.into(), &[], &out.join("{port}"))
}

/// Rates and weights of every epoch of the original's plans, as listed and as they follow from the first round.
fn write_schedules(plans: &Path, path: &Path) -> Result<(), Failure> {
    let mut all = BTreeMap::new();
    for name in ["area/plan1", "area/plan2", "ring/plan1", "ring/plan2"] {
        let file = plans.join(format!("{name}.json"));
        let text = fs_err::read_to_string(&file).map_err(|error| Failure::io("read", &file, &error))?;
        let given: Vec<BTreeMap<String, Value>> = serde_json::from_str(&text)
            .map_err(|error| Failure::input(error.to_string()).at(file.display().to_string()))?;
        let common = Round { lr: 0.0, gamma: 1.0, bce_weight: 0.0, num_epochs: 1, batch_size: 1 };
        let plan = listed(&given, &common)?;
        let count = u32::try_from(plan.len()).unwrap_or(u32::MAX);
        let by_rule = plan.first().map_or_else(Vec::new, |first| rounds(first, count));
        let rates = |plan: &[Round]| -> Vec<Vec<f64>> {
            plan.iter().map(|round| (0..round.num_epochs).map(|epoch| round.rate(epoch)).collect()).collect()
        };
        all.insert(
            name,
            serde_json::json!({ "rounds": plan, "rates": rates(&plan), "rates_by_rule": rates(&by_rule) }),
        );
    }
    write_text(path, &serde_json::json!(all).to_string())
}

/// Images of a FreeSurfer subject whose coordinates are aligned to fsaverage, for which fsaverage5 is taken.
fn write_aligned(place: &Path) -> Result<(), Failure> {
    for sid in ["fsaverage", "s01"] {
        let inputs = [("surf", Given::One(place.join(sid)))].into();
        let at = [("sid", sid)].into_iter().collect();
        run_at("freesurfer/subject", at, inputs, &[], &place.join(format!("{sid}.subject")))?;
    }
    let inputs = [("subject", &place.join("s01.subject")), ("reference", &place.join("fsaverage.subject"))];
    let params = [
        ("pixels", Value::Int(512)),
        ("radius", Value::Float(90.0)),
        ("alignment", Value::Text("fsaverage".to_owned())),
    ];
    run("flatmap/images", &inputs, &params, &place.join("images.safetensors"))
}

/// Cortex and what is below it, of the results with 59,292 vertices a hemisphere.
const GRAYORDINATES: usize = 170_494;

/// Results of two subjects and two splits, of whom the second one in the first split is meant, and what is made of them
/// on its vertices.
fn write_fields(masks: &Path, out: &Path) -> Result<(), Failure> {
    // Angle, eccentricity, gain, mean, variance explained and size, with their largest values.
    let quantities = [360.0, 12.0, 5.0, 1000.0, 100.0, 6.0];
    let series = (0..2 * 2 * quantities.len()).flat_map(|series| {
        let largest = quantities[series % quantities.len()];
        let value = move |(at, chance): (usize, f64)| if at % 17 == 3 { f32::NAN } else { (largest * chance) as f32 };
        scattered(series as u64 + 50, GRAYORDINATES).into_iter().enumerate().map(value)
    });
    let values: Vec<f32> = series.collect();
    let mut file = hdf5::Builder::new();
    file.doubles("subjectids", &[1, 2], &[102_311.0, 100_610.0]);
    let shape = [2, 2, quantities.len() as u64, GRAYORDINATES as u64];
    file.packed_singles("allresults", &shape, &[1, 1, 1, GRAYORDINATES as u64], &values);
    let results = folder(out.join("results"))?.join("prfresults59k.mat");
    file.write_matlab(&results)?;
    let (subject, masks) = (out.join("measured"), masks.to_path_buf());
    run("prf/import", &[("results", &results), ("subject", &subject), ("masks", &masks)], &[], &out.join("fields"))
}

/// A replacement for the mesh of fs_LR, of which only the points matter: as many, evenly on a sphere along a spiral.
fn fs_lr_sphere() -> Surface {
    let count = FsLr::K59.vertices();
    let golden = std::f64::consts::PI * (3.0 - 5f64.sqrt());
    let point = |index: usize| {
        let height = 1.0 - (2 * index + 1) as f64 / count as f64;
        let (sine, cosine) = (golden * index as f64).sin_cos();
        let across = (1.0 - height * height).sqrt();
        [across * cosine, across * sine, height].map(|x| (100.0 * x) as f32)
    };
    Surface { coordinates: (0..count).map(point).collect(), triangles: vec![[0, 1, 2]] }
}

/// Logs of all cells of the grid search, and what is read in them by all rules of the original, and by all but where
/// iterations begin.
fn write_grid(cells: &Path, place: &Path) -> Result<(), Failure> {
    let archive = place.join("grid-search");
    simulated_logs::write_archive(cells, &archive)?;
    let rules = ["last-line", "starred", "token-9", "iterations"];
    for (name, count) in [("original", 4), ("unmarked", 3)] {
        let compat = rules[..count].iter().map(|rule| Value::Text((*rule).to_owned())).collect();
        run("grid/read", &[("archive", &archive)], &[("compat", Value::List(compat))], &place.join(name))?;
    }
    Ok(())
}

/// Runs a kind with one output, written to `output`.
fn run(name: &str, inputs: &[(&str, &PathBuf)], params: &[(&str, Value)], output: &Path) -> Result<(), Failure> {
    let inputs = inputs.iter().map(|(port, path)| (*port, Given::One((*path).clone()))).collect();
    run_at(name, Coordinates::none(), inputs, params, output)
}

/// Runs a kind at some coordinates. `{port}` in the name of the output is the port.
fn run_at(
    name: &str,
    at: Coordinates,
    inputs: BTreeMap<&str, Given>,
    params: &[(&str, Value)],
    output: &Path,
) -> Result<(), Failure> {
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let stage = registry.stage(name).ok_or_else(|| Failure::internal(format!("there is no kind `{name}`")))?;
    program::run_kind(stage, at, inputs, params, output)
}

/// Vertices, triangles and coordinates of the maps at both radii of the study.
fn maps(subject: &Path) -> Result<Tensors, Failure> {
    let subject = Subject::open(subject)?;
    let mut all = Tensors::new();
    for hemisphere in HEMISPHERES {
        let mesh = subject.registered(hemisphere)?;
        for (name, radius) in [("hcp", HCP_RADIUS), ("freesurfer", FREESURFER_RADIUS)] {
            let map = project(&mesh.sphere, &mesh.triangles, hemisphere, radius)?;
            let name = |what: &str| format!("{}.{name}.{what}", hemisphere.name());
            let vertices: Vec<i64> = map.vertices.iter().map(|&vertex| i64::from(vertex)).collect();
            let faces: Vec<i64> =
                map.faces.iter().flatten().map(|&index| i64::from(map.vertices[index as usize])).collect();
            let coordinates: Vec<f32> = map.coordinates.iter().flatten().map(|&x| x as f32).collect();
            all = all
                .with(name("faces"), Tensor::i64(&[map.faces.len(), 3], faces))
                .with(name("coordinates"), Tensor::f32(&[vertices.len(), 2], coordinates))
                .with(name("vertices"), Tensor::i64(&[vertices.len()], vertices));
        }
    }
    Ok(all)
}

/// Labels sampled back from the targets, taken as predicted probabilities.
fn sampled(subject: &Path, targets: &Path) -> Result<Tensors, Failure> {
    let subject = Subject::open(subject)?;
    let file = tensors::read(targets)?;
    let (shape, values) = file.floats("targets")?;
    let pixels = shape[1];
    let mut all = Tensors::new();
    for hemisphere in HEMISPHERES {
        let mesh = subject.registered(hemisphere)?;
        let map = project(&mesh.sphere, &mesh.triangles, hemisphere, HCP_RADIUS)?;
        let image = half(values, shape[0], pixels, hemisphere);
        for (name, from, to) in [("area", 0, 3), ("ring", 3, 8)] {
            let part = &image[from * pixels * pixels..to * pixels * pixels];
            let labels = labels_at_vertices(part, to - from, pixels, &map);
            let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
            all = all.with(format!("{}.sampled.{name}", hemisphere.name()), Tensor::i64(&[labels.len()], labels));
        }
    }
    Ok(all)
}
