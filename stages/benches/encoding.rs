//! Encoding models of a whole visual cortex: `encode/ridge` on simulated data of that size, timed next to himalaya by `tests/bench/encoding.py`;
//! and the flat map of a real cortex.
//!
//! `encoding FOLDER VOXELS [PARAMETER=VALUE ...]` makes the data in the folder if they are not there (three spaces of 100 features, 10,000
//! stimuli, 32-bit floats, a split with a fixed part to choose by), runs the kind once and prints seconds and the largest resident memory.
//! `only=data` ends before that. `spaces=1` joins the spaces to one. `kind=encode/banded` runs another kind of models,
//! `kind=encode/partition` or `kind=encode/significance` what is concluded from the predictions of the run before. With 0 voxels no data
//! are made, and kinds read what the kinds before them wrote: `package/files`, `cortex/pycortex`, `cortex/units`, `cortex/flat`, `map/scatter`,
//! `figure/flatmap`. Other parameters are those of the kind.

use std::path::Path;
use std::time::Instant;

use pipe_contract::{Arity, Cell, Coordinates, Device, Given, Presence, Registry, Silent, Task, Value};
use pipe_stages::formats::data_table::DataTable;
use pipe_stages::formats::matrix::{self, ID, MatrixAbout, MatrixAxis, MatrixWriter, SPACE};
use pipe_stages::formats::npy_file::FloatType;
use pipe_stages::formats::stimulus_split::{Fold, StimulusSplit};
use pipe_stages::numeric::linear_algebra::{MatrixView, product};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const STIMULI: usize = 10_000;
const FEATURES: usize = 300;
/// The first stimuli are trained on, the next choose; the rest is tested.
const TRAIN: usize = 8_100;
const CHOOSE: usize = 900;

#[expect(clippy::print_stdout, reason = "a benchmark prints what it measures")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [folder, voxels, with @ ..] = arguments.as_slice() else {
        println!("encoding FOLDER VOXELS [PARAMETER=VALUE ...]");
        return;
    };
    let (folder, voxels) = (Path::new(folder), voxels.parse::<usize>().expect("a number of voxels"));
    if voxels > 0 && !folder.join("split").is_dir() {
        make(folder, voxels);
    }
    let mut with: Vec<(&str, &str)> = with.iter().filter_map(|word| word.split_once('=')).collect();
    if with.contains(&("only", "data")) {
        return;
    }
    let joined = with.contains(&("spaces", "1"));
    let kind = with.iter().find(|(name, _)| *name == "kind").map_or("encode/ridge", |(_, kind)| *kind);
    with.retain(|(name, _)| !["spaces", "kind"].contains(name));
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let task = task(&registry, kind, folder, if joined { "joined" } else { "features" }, &with);
    let start = Instant::now();
    registry.stage(kind).expect("a kind").run(&task, &Silent).expect("fitted");
    let seconds = start.elapsed().as_secs_f64();
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
    println!("{seconds:.3} s, {peak}");
}

/// Numbers of about the normal distribution: sums of four even ones.
fn normal(random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let mut even = || (random.next_u32() >> 8) as f32 / 16_777_216.0 - 0.5;
    (0..count).map(|_| (even() + even() + even() + even()) * 1.73).collect()
}

fn make(folder: &Path, voxels: usize) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let stimuli: Vec<String> = (0..STIMULI).map(|at| format!("s{at:05}")).collect();
    let rows = MatrixAxis::of_ids(stimuli.clone()).expect("ids");
    let about = MatrixAbout::default();
    // Features that correlate and differ in size, as principal components of images do.
    let mixing: Vec<f32> = normal(&mut random, FEATURES * FEATURES)
        .iter()
        .enumerate()
        .map(|(at, x)| x / (1.0 + (at % FEATURES) as f32).sqrt())
        .collect();
    let independent = normal(&mut random, STIMULI * FEATURES);
    let features =
        product(MatrixView::new(&independent, STIMULI, FEATURES), MatrixView::new(&mixing, FEATURES, FEATURES));
    for name in ["features", "joined"] {
        let space = |at: usize| if name == "joined" { "all" } else { ["A", "B", "C"][at / 100] };
        let table =
            DataTable::new().text(ID, (0..FEATURES).map(|at| format!("f{at}"))).text(SPACE, (0..FEATURES).map(space));
        let columns = MatrixAxis::new(table.build().expect("a table")).expect("ids");
        matrix::write(&folder.join(name), &rows, &columns, &about, &features).expect("written");
    }
    let columns = MatrixAxis::of_ids((0..voxels).map(|at| format!("v{at:06}"))).expect("ids");
    let responses = folder.join("responses");
    let writer = MatrixWriter::create(&responses, &rows, &columns, &about, FloatType::F32).expect("written");
    for first in (0..voxels).step_by(500) {
        let width = 500.min(voxels - first);
        let weights = normal(&mut random, FEATURES * width);
        let mut block =
            product(MatrixView::new(&features, STIMULI, FEATURES), MatrixView::new(&weights, FEATURES, width));
        for (column, noise) in
            block.chunks_exact_mut(STIMULI).zip(normal(&mut random, STIMULI * width).chunks_exact(STIMULI))
        {
            column.iter_mut().zip(noise).for_each(|(y, noise)| *y += 100.0 * noise);
        }
        writer.columns(first, &block).expect("written");
    }
    let ids = |rows: std::ops::Range<usize>| stimuli[rows].to_vec();
    let fixed = Fold { train: ids(0..TRAIN), choose: ids(TRAIN..TRAIN + CHOOSE), test: ids(TRAIN + CHOOSE..STIMULI) };
    StimulusSplit { folds: vec![fixed] }.write(&folder.join("split")).expect("written");
}

/// Where the artifact for an input lies: made here, or by the kind before.
fn place_of<'a>(port: &'a str, features: &'a str) -> &'a str {
    match port {
        "features" => features,
        "predictions" => "out/predictions",
        "store" => "out/files",
        "cortex" => "out/cortex",
        "mapping" => "out/mapping",
        "values" | "places" => "out/table",
        "maps" => "out/map",
        other => other,
    }
}

fn task(registry: &Registry, kind: &str, folder: &Path, features: &str, with: &[(&str, &str)]) -> Task {
    let kind = registry.kind(kind).expect("a kind");
    let mut params: std::collections::BTreeMap<String, Value> =
        kind.params.iter().filter_map(|param| Some((param.name.to_owned(), param.default.clone()?))).collect();
    for (name, value) in with {
        let number = value.parse().map(Value::Int).or_else(|_| value.parse().map(Value::Float));
        let value = match *value {
            "true" | "false" => Value::Bool(*value == "true"),
            word => number.unwrap_or(Value::Text(word.to_owned())),
        };
        params.insert((*name).to_owned(), value);
    }
    // Inputs that are not there are optional ones.
    let inputs = kind.inputs.iter().filter_map(|port| {
        let path = folder.join(place_of(port.name, features));
        let given = match port.arity {
            _ if !path.exists() => return None,
            Arity::One => Given::One(path),
            Arity::Many => Given::Many(vec![Cell { at: Coordinates::none(), artifact: Presence::Present(path) }]),
        };
        Some((port.name.to_owned(), given))
    });
    Task {
        kind: kind.name.to_owned(),
        version: kind.version,
        params,
        at: Coordinates::none(),
        inputs: inputs.collect(),
        outputs: kind.outputs.iter().map(|port| (port.name.to_owned(), folder.join("out").join(port.name))).collect(),
        seed: Some(1),
        simulated: true,
        device: Device::Cpu,
        threads: 2,
        credential: None,
        accepts_absent: Vec::new(),
        coverage: std::collections::BTreeMap::new(),
        checkpoint: None,
        scratch: folder.to_path_buf(),
    }
}
