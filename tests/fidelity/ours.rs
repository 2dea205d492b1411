//! The program's side of the fidelity check, without networks: makes a subject from fsaverage5 and the Benson 2014
//! template, runs the kinds on it and writes what they give where the scripts beside this file look for it. The cases
//! for scores, statistics, split and schedule are made here too, so that both sides compute from the same numbers.
//!
//! `fidelity FSAVERAGE5 FSAVERAGE OUT [PLANS]`, built by `./just fidelity`; the first two are folders inside the packages
//! nilearn and neuropythy, the last the folder of the original's plan files.

mod program;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pipe_contract::{Cell, Coordinates, Failure, Given, Presence, Registry, Value};
use pipe_stages::formats::freesurfer::{self, Surface};
use pipe_stages::formats::subject_folder::Subject;
use pipe_stages::formats::tensors::{self, Tensor, Tensors};
use pipe_stages::formats::{gifti, hdf5, mgh};
use pipe_stages::hemisphere::{HEMISPHERES, Hemisphere};
use pipe_stages::numeric::bands::area_and_ring;
use pipe_stages::numeric::flatmap::{half, labels_at_vertices, project};
use pipe_stages::numeric::projection::{FREESURFER_RADIUS, HCP_RADIUS};
use pipe_stages::numeric::statistics::{Spread, error_multiplier, quantile};
use pipe_stages::unet::declarations;
use pipe_stages::unet::training_schedule::{Round, listed, rounds};

/// The subject made from fsaverage5.
const SID: &str = "fsaverage5";

/// Sizes of pictures: as painted, the study's, the demo's, and one that is not a divisor of 512.
const SIZES: [i64; 4] = [512, 128, 64, 50];

fn main() -> ExitCode {
    program::run("three or four folders: FSAVERAGE5 FSAVERAGE OUT [PLANS]", |folders| match folders {
        [anatomy, template, out] => Some(write_all(anatomy, template, out, None)),
        [anatomy, template, out, plans] => Some(write_all(anatomy, template, out, Some(plans))),
        _ => None,
    })
}

fn write_all(anatomy: &Path, template: &Path, out: &Path, plans: Option<&Path>) -> Result<(), Failure> {
    let [subject, turned, prf, labels] = ["subject", "turned", "prf", "labels"].map(|name| out.join(name));
    folder(out.to_path_buf())?;
    let mut drawing = hdf5::Builder::new();
    for hemisphere in HEMISPHERES {
        let cortex = Cortex::read(anatomy, template, hemisphere)?;
        cortex.write_subject(&subject, hemisphere, &cortex.sphere)?;
        cortex.write_subject(&turned, hemisphere, &turn(&cortex.sphere))?;
        cortex.write_prf(&prf, hemisphere)?;
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
    let template = template.to_path_buf();
    run("labels/template", &[("template", &template), ("subject", &turned)], &[], &out.join("prior"))?;
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
    write_text(&out.join("kinds.json"), &serde_json::json!(versions()).to_string())?;
    plans.map_or(Ok(()), |plans| write_schedules(plans, &out.join("schedules.json")))
}

/// The kinds that are compared, with their versions.
fn versions() -> BTreeMap<String, u32> {
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let names = ["flatmap/images", "flatmap/labels", "labels/import", "labels/template", "score/dice", "split/twins"];
    let own = names.iter().filter_map(|name| registry.stage(name)).map(|stage| stage.kind());
    own.chain([declarations::train(), declarations::predict()])
        .map(|kind| (kind.name.to_string(), kind.version))
        .collect()
}

/// One hemisphere of the subject, with the template's maps as its function.
struct Cortex {
    white: Surface,
    sphere: Surface,
    midthickness: Surface,
    curvature: Vec<f32>,
    convexity: Vec<f32>,
    thickness: Vec<f32>,
    area: Vec<f32>,
    angle: Vec<f32>,
    eccentricity: Vec<f32>,
    sigma: Vec<f32>,
    varea: Vec<i32>,
}

impl Cortex {
    /// Vertex 0 and the first one of V1 change places: the original addresses pixels outside of the mesh by face 0, and
    /// fails unless vertex 0 is on the map, as it is on most subjects that FreeSurfer made.
    fn read(anatomy: &Path, template: &Path, hemisphere: Hemisphere) -> Result<Self, Failure> {
        let mut cortex = Self::read_in_order(anatomy, template, hemisphere)?;
        let other = cortex.varea.iter().position(|area| *area == 1).unwrap_or(0);
        for surface in [&mut cortex.white, &mut cortex.sphere, &mut cortex.midthickness] {
            surface.coordinates.swap(0, other);
            for corner in surface.triangles.iter_mut().flatten() {
                *corner = match *corner as usize {
                    0 => other as u32,
                    vertex if vertex == other => 0,
                    _ => *corner,
                };
            }
        }
        let Self { curvature, convexity, thickness, area, angle, eccentricity, sigma, varea, .. } = &mut cortex;
        varea.swap(0, other);
        for map in [curvature, convexity, thickness, area, angle, eccentricity, sigma] {
            map.swap(0, other);
        }
        Ok(cortex)
    }

    fn read_in_order(anatomy: &Path, template: &Path, hemisphere: Hemisphere) -> Result<Self, Failure> {
        let side = if hemisphere == Hemisphere::Left { "left" } else { "right" };
        let surface = |name: &str| gifti::read_surface(&anatomy.join(format!("{name}_{side}.gii.gz")));
        let scalars = |name: &str| gifti::read_scalars(&anatomy.join(format!("{name}_{side}.gii.gz")));
        let (white, pial) = (surface("white")?, surface("pial")?);
        let count = white.coordinates.len();
        let map = |name: &str| template.join(format!("{}.benson14_{name}.v4_0.mgz", hemisphere.name()));
        // fsaverage5's vertices are the first of fsaverage's.
        let first = |name: &str| Ok::<_, Failure>(mgh::read_f32(&map(name))?[..count].to_vec());
        let between = |(a, b): (&[f32; 3], &[f32; 3])| std::array::from_fn(|axis| (a[axis] + b[axis]) / 2.0);
        Ok(Self {
            midthickness: Surface {
                coordinates: white.coordinates.iter().zip(&pial.coordinates).map(between).collect(),
                triangles: white.triangles.clone(),
            },
            white,
            sphere: surface("sphere")?,
            curvature: scalars("curv")?,
            convexity: scalars("sulc")?,
            thickness: scalars("thick")?,
            area: scalars("area")?,
            angle: first("angle")?,
            eccentricity: first("eccen")?,
            sigma: first("sigma")?,
            varea: mgh::read_i32(&map("varea"))?[..count].to_vec(),
        })
    }

    /// The files of an `HCP_1200` tree that the kinds read; the myelin map has holes.
    fn write_subject(&self, artifact: &Path, hemisphere: Hemisphere, sphere: &Surface) -> Result<(), Failure> {
        let (h, l) = (hemisphere.name(), hemisphere.letter());
        let surf = folder(artifact.join(format!("{SID}/T1w/{SID}/surf")))?;
        let native = folder(artifact.join(format!("{SID}/T1w/Native")))?;
        let atlas = folder(artifact.join(format!("{SID}/MNINonLinear/Native")))?;
        let file = |name: &str| surf.join(format!("{h}.{name}"));
        freesurfer::write_surface(&file("white"), &self.white)?;
        freesurfer::write_surface(&file("sphere.reg"), sphere)?;
        let maps = [
            ("curv", &self.curvature),
            ("sulc", &self.convexity),
            ("thickness", &self.thickness),
            ("area.mid", &self.area),
        ];
        for (name, values) in maps {
            freesurfer::write_morphometry(&file(name), values, self.white.triangles.len())?;
        }
        let file = |name: &str| native.join(format!("{SID}.{l}.{name}.native.surf.gii"));
        gifti::write_surface(&file("midthickness"), &self.midthickness)?;
        let hole = |(vertex, value): (usize, &f32)| if vertex % 7 == 0 { f32::NAN } else { *value };
        let myelin: Vec<f32> = self.thickness.iter().enumerate().map(hole).collect();
        gifti::write_scalars(&atlas.join(format!("{SID}.{l}.MyelinMap_BC.native.func.gii")), &myelin)
    }

    /// pRF maps: the template where it has an area, missing elsewhere.
    fn write_prf(&self, artifact: &Path, hemisphere: Hemisphere) -> Result<(), Failure> {
        folder(artifact.to_path_buf())?;
        let map = |value: &dyn Fn(usize) -> f32| -> Vec<f32> {
            (0..self.varea.len()).map(|vertex| if self.varea[vertex] > 0 { value(vertex) } else { f32::NAN }).collect()
        };
        let radians = |vertex: usize| (90.0 - self.angle[vertex]).to_radians();
        let maps = [
            ("x", map(&|v| self.eccentricity[v] * radians(v).cos())),
            ("y", map(&|v| self.eccentricity[v] * radians(v).sin())),
            ("sigma", map(&|v| self.sigma[v])),
            ("cod", map(&|v| 1.0 / (1.0 + self.sigma[v]))),
        ];
        maps.iter().try_for_each(|(name, values)| {
            mgh::write_f32(&artifact.join(format!("{}.prf_{name}.mgz", hemisphere.name())), values)
        })
    }

    /// Areas and sectors as a rater's file has them.
    fn labels(&self) -> [Vec<i32>; 2] {
        let labels = self.varea.iter().zip(&self.eccentricity).map(|(&area, &e)| area_and_ring(area, f64::from(e)));
        let (area, ring): (Vec<i32>, Vec<i32>) = labels.unzip();
        let sector = (0..area.len()).map(|vertex| sector(area[vertex], ring[vertex], vertex % 2 == 0)).collect();
        [area, sector]
    }
}

/// The sector of the raters' labels with some area, ring and half; the innermost rings of V2 and V3 have none.
fn sector(area: i32, ring: i32, dorsal: bool) -> i32 {
    let half = |of_dorsal: i32, of_ventral: i32| if dorsal { of_dorsal } else { of_ventral };
    match (area, ring) {
        (1, 1..) => half(0, 5) + ring,
        (2, 2..) => half(9, 13) + ring,
        (3, 2..) => half(17, 21) + ring,
        _ => 0,
    }
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

fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    fs_err::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

fn folder(path: PathBuf) -> Result<PathBuf, Failure> {
    fs_err::create_dir_all(&path).map_err(|error| Failure::io("create", &path, &error))?;
    Ok(path)
}

/// The sphere turned by about three degrees, so that its vertices lie between those of fsaverage.
fn turn(sphere: &Surface) -> Surface {
    let (a, b) = (0.04f64, 0.03f64);
    let point = |&[x, y, z]: &[f32; 3]| {
        let (x, y, z) = (f64::from(x), f64::from(y), f64::from(z));
        let (x, y) = (x * a.cos() - y * a.sin(), x * a.sin() + y * a.cos());
        let (y, z) = (y * b.cos() - z * b.sin(), y * b.sin() + z * b.cos());
        [x as f32, y as f32, z as f32]
    };
    Surface { coordinates: sphere.coordinates.iter().map(point).collect(), triangles: sphere.triangles.clone() }
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
