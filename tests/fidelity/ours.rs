//! The program's side of the fidelity check: makes a subject from fsaverage5 and the Benson 2014 template, runs the
//! surface kinds on it and writes what they give where `compare.py` looks for it.
//!
//! `cargo run -p pipe-stages --example fidelity -- FSAVERAGE5 FSAVERAGE OUT`, the first two being folders inside the
//! packages nilearn and neuropythy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pipe_contract::{Coordinates, Device, Failure, Given, Registry, Silent, Task, Value};
use pipe_stages::formats::freesurfer::{self, Surface};
use pipe_stages::formats::subject_folder::Subject;
use pipe_stages::formats::tensors::{self, Tensor, Tensors};
use pipe_stages::formats::{gifti, mgh};
use pipe_stages::hemisphere::{HEMISPHERES, Hemisphere};
use pipe_stages::numeric::bands::area_and_ring;
use pipe_stages::numeric::flatmap::{half, labels_at_vertices, project};
use pipe_stages::numeric::projection::{FREESURFER_RADIUS, HCP_RADIUS};

/// The subject made from fsaverage5.
const SID: &str = "fsaverage5";

/// Sizes of pictures: as painted, the study's, the demo's, and one that is not a divisor of 512.
const SIZES: [i64; 4] = [512, 128, 64, 50];

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [anatomy, template, out] = &arguments[..] else {
        complain("expected three folders: FSAVERAGE5 FSAVERAGE OUT");
        return ExitCode::from(2);
    };
    match write_all(anatomy, template, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a small program of its own")]
fn complain(message: &str) {
    eprintln!("error: {message}");
}

fn write_all(anatomy: &Path, template: &Path, out: &Path) -> Result<(), Failure> {
    let [subject, turned, prf, labels] = ["subject", "turned", "prf", "labels"].map(|name| out.join(name));
    for hemisphere in HEMISPHERES {
        let cortex = Cortex::read(anatomy, template, hemisphere)?;
        cortex.write_subject(&subject, hemisphere, &cortex.sphere)?;
        cortex.write_subject(&turned, hemisphere, &turn(&cortex.sphere))?;
        cortex.write_prf(&prf, hemisphere)?;
        cortex.write_labels(&labels, hemisphere)?;
    }
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
    tensors::write(&out.join("maps.safetensors"), &all)
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
    fn read(anatomy: &Path, template: &Path, hemisphere: Hemisphere) -> Result<Self, Failure> {
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

    fn write_labels(&self, artifact: &Path, hemisphere: Hemisphere) -> Result<(), Failure> {
        folder(artifact.to_path_buf())?;
        let labels = self.varea.iter().zip(&self.eccentricity).map(|(&area, &e)| area_and_ring(area, f64::from(e)));
        let (area, ring): (Vec<i32>, Vec<i32>) = labels.unzip();
        let file = |name: &str| artifact.join(format!("{}.{name}.mgz", hemisphere.name()));
        mgh::write_i32(&file("area"), &area)?;
        mgh::write_i32(&file("ring"), &ring)
    }
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
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let stage = registry.stage(name).ok_or_else(|| Failure::internal(format!("there is no kind `{name}`")))?;
    let kind = stage.kind();
    let task = Task {
        kind: name.to_owned(),
        version: kind.version,
        params: params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        at: Coordinates::none(),
        inputs: inputs.iter().map(|(port, path)| ((*port).to_owned(), Given::One((*path).clone()))).collect(),
        outputs: kind.outputs.iter().map(|port| (port.name.to_owned(), output.to_path_buf())).collect(),
        seed: None,
        simulated: false,
        device: Device::Cpu,
        threads: 1,
        credential: None,
        accepts_absent: Vec::new(),
        coverage: BTreeMap::new(),
        checkpoint: None,
        scratch: output.to_path_buf(),
    };
    stage.run(&task, &Silent).map(drop)
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
