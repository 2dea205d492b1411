//! What the tests share: numbers by formula (as in `golden/make.py`), small subjects, tasks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fs_err as fs;
use pipe_contract::{Cell, Context, Device as Asked, Ended, Failure, Given, Kind, Metric, Presence, Progress, Task};
use pipe_stages::formats::data_table::{Partition, write_split};
use pipe_stages::formats::tensors::{self, Tensor as Plain, Tensors};
use pipe_stages::unet::declarations::{ComputePlace, Pin};
use pipe_stages::unet::weight_layout::Role;
use pipe_stages::unet::{channels, declarations};
use pipe_torch::backend::prepare;
use pipe_torch::weights::{NetworkShape, Weights};
use tch::{Device, Tensor};

/// `count` numbers in [-0.5, 0.5) that `make.py` makes, too.
pub fn formula(name: &str, count: usize) -> Vec<f64> {
    let hash = name.bytes().fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    (0..count as u32)
        .map(|index| {
            let mut x = index.wrapping_mul(2_654_435_761).wrapping_add(hash);
            x ^= x >> 15;
            x = x.wrapping_mul(2_246_822_519);
            x ^= x >> 13;
            f64::from(x) / 4_294_967_296.0 - 0.5
        })
        .collect()
}

/// A tensor by formula.
pub fn tensor(name: &str, shape: &[i64], scale: f64) -> Tensor {
    let numbers = formula(name, shape.iter().product::<i64>() as usize);
    let numbers: Vec<f32> = numbers.into_iter().map(|u| (u * scale) as f32).collect();
    Tensor::from_slice(&numbers).view(shape).to_device(device())
}

/// Targets by formula: half of them 0, the rest up to 1.
pub fn targets(name: &str, shape: &[i64]) -> Tensor {
    tensor(name, shape, 2.0).clamp_min(0.0)
}

/// Weights by formula, of a size that keeps signals alive.
pub fn weights(shape: NetworkShape) -> Weights {
    Weights::make(shape, device(), |entry| {
        let numbers = formula(&entry.name, entry.count()).into_iter();
        let norm = 2.0 * (6.0 / entry.shape.iter().skip(1).product::<usize>() as f64).sqrt();
        let value: Box<dyn Fn(f64) -> f64> = match (entry.role, entry.shape.len()) {
            (Role::Batches, _) => Box::new(|_| 0.0),
            (_, 4) => Box::new(move |u| u * norm),
            (Role::Variance, _) => Box::new(|u| 1.0 + 0.5 * u),
            (Role::Scale, _) => Box::new(|u| 1.0 + 0.2 * u),
            _ => Box::new(|u| 0.2 * u),
        };
        numbers.map(|u| value(u) as f32).collect()
    })
}

/// The device that numeric tests run on, prepared.
pub fn device() -> Device {
    let asked = asked();
    let place = ComputePlace { threads: 1, device: Pin::Any };
    let task = Task { device: asked, ..task(&declarations::predict(), Path::new("."), &[]) };
    prepare(&place, &task).unwrap().device
}

fn asked() -> Asked {
    match std::env::var("PIPE_TEST_DEVICE").ok().as_deref().and_then(|name| name.strip_prefix("cuda:")?.parse().ok()) {
        Some(index) => Asked::Cuda(index),
        None => Asked::Cpu,
    }
}

/// A task of a kind with its defaults and some parameters, writing below a folder.
pub fn task(kind: &Kind, folder: &Path, params: &[(&str, serde_json::Value)]) -> Task {
    let mut all: BTreeMap<String, serde_json::Value> = kind
        .params
        .iter()
        .filter_map(|param| Some((param.name.to_string(), serde_json::to_value(param.default.as_ref()?).unwrap())))
        .collect();
    all.extend(params.iter().map(|(name, value)| (name.to_string(), value.clone())));
    let outputs: BTreeMap<_, _> = kind.outputs.iter().map(|port| (port.name, folder.join(port.name))).collect();
    serde_json::from_value(serde_json::json!({
        "kind": kind.name, "version": kind.version, "params": all, "at": {}, "inputs": {}, "outputs": outputs,
        "seed": 7, "device": asked(), "threads": 1, "scratch": folder,
    }))
    .unwrap()
}

/// Subjects whose labels can be seen in their images: each area is where one channel is large.
pub struct Subjects {
    folder: PathBuf,
    split: BTreeMap<String, Partition>,
}

/// Height of their images.
pub const PIXELS: usize = 32;

impl Subjects {
    /// Subjects of whom the last `held_out` are validated on, labelled by two raters.
    pub fn new(folder: &Path, count: usize, held_out: usize) -> Self {
        let subjects = Self { folder: folder.into(), split: BTreeMap::new() };
        let side = |index| if index + held_out < count { Partition::Trn } else { Partition::Val };
        let split: BTreeMap<_, _> = (0..count).map(|index| (format!("s{index:02}"), side(index))).collect();
        for sid in split.keys() {
            subjects.write(sid);
        }
        write_split(&subjects.folder.join("split"), &split).unwrap();
        Self { split, ..subjects }
    }

    /// The images of a subject.
    pub fn images(&self, sid: &str) -> PathBuf {
        self.folder.join(format!("{sid}.images"))
    }

    /// A rater's labels of a subject.
    pub fn targets(&self, sid: &str, rater: &str) -> PathBuf {
        self.folder.join(format!("{sid}.{rater}.targets"))
    }

    fn write(&self, sid: &str) {
        let names = channels::of_inputs("full").unwrap();
        let plane = PIXELS * 2 * PIXELS;
        let value = |channel: usize, pixel: usize| {
            let (row, column) = ((pixel / (2 * PIXELS)) as f64, (pixel % (2 * PIXELS)) as f64);
            let phase = formula(&format!("{sid} {channel}"), 2);
            ((row / 6.0 + 7.0 * phase[0]).sin() + (column / 7.0 + 7.0 * phase[1]).cos()) as f32
        };
        let images: Vec<f32> = (0..names.len()).flat_map(|c| (0..plane).map(move |p| value(c, p))).collect();
        for (rater, edge) in [("A1", 0.4), ("A2", 0.6)] {
            // Channels 0 to 4 decide on V1, V2, V3, E0, E1; the others are never there.
            let labels = (0..8).flat_map(|k| (0..plane).map(move |p| (k, p)));
            let values: Vec<f32> =
                labels.map(|(k, p)| f32::from(u8::from(k < 5 && images[k * plane + p] > edge))).collect();
            let file = Tensors::new()
                .with("targets", Plain::f32(&[8, PIXELS, 2 * PIXELS], values))
                .about("channels", "V1,V2,V3,E0,E1,E2,E3,E4")
                .about("radius", "80");
            tensors::write(&self.targets(sid, rater), &file).unwrap();
        }
        let file = Tensors::new()
            .with("images", Plain::f32(&[names.len(), PIXELS, 2 * PIXELS], images))
            .about("channels", names.join(","))
            .about("radius", "80")
            .about("sid", sid);
        tensors::write(&self.images(sid), &file).unwrap();
    }

    /// A training of these subjects.
    pub fn training(&self, folder: &Path, params: &[(&str, serde_json::Value)]) -> Task {
        let mut all = vec![("inputs", "anat".into()), ("outputs", "area".into()), ("batch_size", 3.into())];
        all.extend(params.iter().cloned());
        let mut task = task(&declarations::train(), folder, &all);
        let cell = |at: &[(&str, &str)], path: PathBuf| Cell {
            at: at.iter().map(|(axis, value)| (*axis, *value)).collect(),
            artifact: Presence::Present(path),
        };
        let images = self.split.keys().map(|sid| cell(&[("sid", sid)], self.images(sid))).collect();
        let labelled = self.split.keys().flat_map(|sid| ["A1", "A2"].map(|rater| (sid, rater)));
        let targets = labelled.map(|(sid, rater)| cell(&[("sid", sid), ("rater", rater)], self.targets(sid, rater)));
        task.inputs.insert("images".into(), Given::Many(images));
        task.inputs.insert("targets".into(), Given::Many(targets.collect()));
        task.inputs.insert("split".into(), Given::One(self.folder.join("split")));
        task
    }
}

/// Records the log and the progress of a stage, and cancels once the log has some number of epoch lines.
#[derive(Default)]
pub struct Listener {
    lines: Mutex<Vec<String>>,
    progress: Mutex<Vec<Progress>>,
    metrics: Mutex<Vec<Metric>>,
    cancel_after: Option<usize>,
}

impl Listener {
    /// Cancels after some epochs.
    pub fn cancelling(epochs: usize) -> Self {
        Self { cancel_after: Some(epochs), ..Self::default() }
    }

    /// The log.
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All progress reported.
    pub fn progress_reports(&self) -> Vec<Progress> {
        self.progress.lock().unwrap().clone()
    }

    /// All metrics reported.
    pub fn metrics(&self) -> Vec<Metric> {
        self.metrics.lock().unwrap().clone()
    }

    fn epochs(&self) -> usize {
        self.log().iter().filter(|line| line.contains(" | ")).count()
    }
}

impl Context for Listener {
    fn progress(&self, progress: Progress) {
        self.progress.lock().unwrap().push(progress);
    }

    fn metric(&self, metric: Metric) {
        self.metrics.lock().unwrap().push(metric);
    }

    fn log(&self, line: &str) {
        self.lines.lock().unwrap().push(line.into());
    }

    fn cancelled(&self) -> bool {
        self.cancel_after.is_some_and(|epochs| self.epochs() >= epochs)
    }
}

/// Runs a kind in this process.
pub fn run(task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
    let stages = pipe_torch::stages();
    stages.iter().find(|stage| stage.kind().name == task.kind).unwrap().run(task, context)
}

/// All files of a folder with their bytes.
pub fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}
