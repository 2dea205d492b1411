//! Dissimilarities of many patterns, distances in units of noise, and layouts: timed next to NumPy, rsatoolbox and scikit-learn by
//! `tests/bench/rsa.py`.
//!
//! `rsa FOLDER` reads lines of words from its standard input and answers each by a line of numbers, the first of which is seconds. What is
//! computed with are files of NumPy in the folder; reading them does not count, and neither does writing what was found. Work is spread over
//! rayon's threads. The words:
//!
//! - `product TYPE`: one product of matrices, the patterns of `patterns_TYPE.npy` (a row a pattern; `float32` or `float64`) with all of them;
//! - `rdm DISSIMILARITY TYPE`: their dissimilarities, whose upper triangle is written to `triangle.npy`;
//! - `layout ITEMS RESTARTS`: a layout in two dimensions for `dissimilarities.npy` (the upper triangle of an RDM of so many items) from the
//!   classical start and so many random ones; the second number is its raw stress;
//! - `matrices ENTRIES`: writes what the next two read, artifacts made of the patterns (`float32`), of `measured.npy` (so many rows a run, a
//!   row an entry, run after run) and of `residuals.npy`, of those that are there;
//! - `from`: `rdm/from` with correlations of the patterns, from files to files;
//! - `crossnobis COVARIANCE`: the same with crossnobis distances of what was measured, which need no residuals with `identity`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use pipe_contract::{Coordinates, Device, Given, Registry, Silent, Task, Value};
use pipe_stages::formats::data_table::DataTable;
use pipe_stages::formats::matrix::{self, ID, MatrixAbout, MatrixAxis, SPACE};
use pipe_stages::formats::npy_file::{Float, FloatType, NpyFile, NpyWriter};
use pipe_stages::numeric::dissimilarity::{Dissimilarity, PatternSums};
use pipe_stages::numeric::linear_algebra::{MatrixView, Number, product_into};
use pipe_stages::numeric::scaling::{ScalingOptions, ScalingProblem, scale};
use pipe_stages::numeric::stress_descent::DescentLimits;
use pipe_stages::numeric::thread_pool::in_pool;
use rayon::prelude::*;

#[expect(clippy::print_stdout, reason = "a benchmark prints what it measures")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [folder] = arguments.as_slice() else {
        println!("rsa FOLDER, and lines of words on its standard input");
        return;
    };
    for line in std::io::stdin().lines() {
        let line = line.expect("a line of text");
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<String> = answer(Path::new(folder), &words).iter().map(f64::to_string).collect();
        println!("{}", numbers.join(" "));
    }
}

fn answer(folder: &Path, words: &[&str]) -> Vec<f64> {
    match *words {
        ["product", "float32"] => vec![product(&Patterns::<f32>::read(&folder.join("patterns_float32.npy")))],
        ["product", "float64"] => vec![product(&Patterns::<f64>::read(&folder.join("patterns_float64.npy")))],
        ["rdm", word, "float32"] => vec![rdm::<f32>(folder, word, "patterns_float32.npy")],
        ["rdm", word, "float64"] => vec![rdm::<f64>(folder, word, "patterns_float64.npy")],
        ["layout", items, restarts] => layout(folder, whole(items), whole(restarts)).into(),
        ["matrices", entries] => {
            write_matrices(folder, whole(entries));
            vec![0.0]
        }
        ["from"] => vec![rdm_from(folder, &[("matrix", "patterns")], &[("dissimilarity", list("correlation"))])],
        ["crossnobis", covariance] => vec![crossnobis(folder, covariance)],
        _ => panic!("there is nothing to measure that is called `{}`", words.join(" ")),
    }
}

fn whole(word: &str) -> usize {
    word.parse().expect("a whole number")
}

fn list(word: &str) -> Value {
    Value::List(vec![Value::Text(word.to_owned())])
}

/// Does some work on rayon's threads. Returns seconds, and what was found.
fn timed<R: Send>(work: impl FnOnce() -> R + Send) -> (f64, R) {
    let start = Instant::now();
    let found = in_pool(work);
    (start.elapsed().as_secs_f64(), found)
}

/// The numbers of a file by rows, and its shape.
fn read<T: Float>(path: &Path) -> (Vec<T>, Vec<usize>) {
    let file = NpyFile::open(path).expect("an array of floats");
    assert!(file.float_type() == T::TYPE && !file.by_column(), "{} is not {} by rows", path.display(), T::TYPE.word());
    let shape = file.shape().to_vec();
    (file.read(0, shape.iter().product()).expect("numbers"), shape)
}

/// Patterns, one after the other.
struct Patterns<T> {
    values: Vec<T>,
    features: usize,
}

impl<T: Number + Float> Patterns<T> {
    fn read(path: &Path) -> Self {
        let (values, shape) = read(path);
        let [_, features] = shape[..] else { panic!("{} has the shape {shape:?}, expected two axes", path.display()) };
        Self { values, features }
    }

    fn count(&self) -> usize {
        self.values.len() / self.features
    }

    /// A row a pattern.
    fn view(&self) -> MatrixView<'_, T> {
        MatrixView::new(&self.values, self.features, self.count()).transposed()
    }
}

/// The product of all patterns with all patterns, some of its columns a thread; its symmetry is not used.
fn product<T: Number + Float>(of: &Patterns<T>) -> f64 {
    let (count, patterns) = (of.count(), of.view());
    let mut products = vec![<T as Number>::ONE; count * count];
    let width = count.div_ceil(rayon::current_num_threads());
    let (seconds, ()) = timed(|| {
        products.par_chunks_mut(width * count).enumerate().for_each(|(part, columns)| {
            let others = patterns.part(part * width..count.min((part + 1) * width));
            product_into(columns, patterns, others.transposed());
        });
    });
    seconds
}

fn rdm<T: Number + Float>(folder: &Path, word: &str, file: &str) -> f64 {
    let patterns = Patterns::<T>::read(&folder.join(file));
    let of = Dissimilarity::of_word(word).expect("a dissimilarity");
    let (seconds, found) = timed(|| {
        let mut sums = PatternSums::new(patterns.count());
        sums.add(patterns.view());
        sums.dissimilarities(of)
    });
    let file = NpyWriter::create(&folder.join("triangle.npy"), &[found.triangle.len()], false, FloatType::F64);
    file.expect("made").write_at(0, &found.triangle).expect("written");
    seconds
}

fn layout(folder: &Path, items: usize, restarts: usize) -> [f64; 2] {
    let (triangle, _) = read::<f64>(&folder.join("dissimilarities.npy"));
    let names: Vec<String> = (0..items).map(|item| format!("item{item:03}")).collect();
    let options = ScalingOptions {
        dims: 2,
        ordinal: false,
        classical: true,
        restarts,
        limits: DescentLimits { steps: 3000, tolerance: 1e-9 },
        seed: 1,
    };
    let problem = ScalingProblem { names: &names, triangle: &triangle };
    let (seconds, found) = timed(|| scale(problem, &options, &|| false));
    [seconds, found.expect("a layout").stress]
}

fn write_matrices(folder: &Path, entries: usize) {
    let ids = |what: &str, count: usize| DataTable::new().text(ID, (0..count).map(|at| format!("{what}{at:05}")));
    if folder.join("patterns_float32.npy").exists() {
        let patterns = Patterns::<f32>::read(&folder.join("patterns_float32.npy"));
        write_matrix(&folder.join("patterns"), ids("s", patterns.count()), &patterns);
    }
    if folder.join("measured.npy").exists() {
        let measured = Patterns::<f64>::read(&folder.join("measured.npy"));
        let rows = || 0..measured.count();
        let table = ids("m", measured.count())
            .text("entry", rows().map(|row| format!("e{:05}", row % entries)))
            .text("run", rows().map(|row| format!("r{:02}", row / entries)));
        write_matrix(&folder.join("measured"), table, &measured);
        let residuals = Patterns::<f64>::read(&folder.join("residuals.npy"));
        write_matrix(&folder.join("residuals"), ids("n", residuals.count()), &residuals);
    }
}

/// Writes patterns as an artifact, in which numbers lie column after column.
fn write_matrix<T: Number + Float>(folder: &Path, rows: DataTable, of: &Patterns<T>) {
    let names = DataTable::new().text(ID, (0..of.features).map(|at| format!("f{at:05}")));
    let columns = names.text(SPACE, (0..of.features).map(|_| "all"));
    let axis = |table: DataTable| MatrixAxis::new(table.build().expect("a table")).expect("ids");
    let about = MatrixAbout { rows: "stimuli".to_owned(), columns: "units".to_owned(), ..MatrixAbout::default() };
    let column = |feature: usize| of.values.iter().skip(feature).step_by(of.features).copied();
    let values: Vec<T> = (0..of.features).flat_map(column).collect();
    matrix::write(folder, &axis(rows), &axis(columns), &about, &values).expect("written");
}

fn crossnobis(folder: &Path, covariance: &str) -> f64 {
    let mut inputs = vec![("matrix", "measured")];
    inputs.extend((covariance != "identity").then_some(("residuals", "residuals")));
    let text = |word: &str| Value::Text(word.to_owned());
    let (entry, run, covariance) = (text("entry"), text("run"), text(covariance));
    let with = [("dissimilarity", list("crossnobis")), ("entry", entry), ("run", run), ("covariance", covariance)];
    rdm_from(folder, &inputs, &with)
}

/// Runs `rdm/from` on artifacts of the folder, and writes `out/rdms` there.
fn rdm_from(folder: &Path, inputs: &[(&str, &str)], with: &[(&str, Value)]) -> f64 {
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let kind = registry.kind("rdm/from").expect("a kind");
    let mut params: BTreeMap<String, Value> =
        kind.params.iter().filter_map(|param| Some((param.name.to_owned(), param.default.clone()?))).collect();
    params.extend(with.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let given = |(port, place): &(&str, &str)| ((*port).to_owned(), Given::One(folder.join(place)));
    let task = Task {
        kind: kind.name.to_owned(),
        version: kind.version,
        params,
        at: Coordinates::none(),
        inputs: inputs.iter().map(given).collect(),
        outputs: BTreeMap::from([("rdms".to_owned(), folder.join("out").join("rdms"))]),
        seed: Some(1),
        simulated: true,
        device: Device::Cpu,
        threads: 2,
        credential: None,
        accepts_absent: Vec::new(),
        coverage: BTreeMap::new(),
        checkpoint: None,
        scratch: folder.to_path_buf(),
    };
    let stage = registry.stage("rdm/from").expect("a kind");
    let start = Instant::now();
    stage.run(&task, &Silent).expect("computed");
    start.elapsed().as_secs_f64()
}
