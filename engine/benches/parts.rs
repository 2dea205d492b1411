//! What a user waits for before any stage starts: the plan, the keys, and the look-up of everything that is cached.
//!
//! `./just bench-parts` runs it; the engine as a whole, beside ninja, is `./just bench`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use fs_err as fs;
use pipe_cache::{Content, ContentForm, Digest};
use pipe_contract::{Context, Coordinates, Ended, Failure, Kind, Registry, StageKind, Task, Type, Value};
use pipe_engine::exec::{Settings, WorkerSettings};
use pipe_engine::key::{Addressed, KeyInput, Parts};
use pipe_engine::plan::{self, Plan};
use pipe_engine::run::{self, Places, RunOptions, Stop};
use pipe_engine::sched::Capacities;

fn main() {
    divan::main();
}

/// A kind that writes a number.
struct Number;

impl StageKind for Number {
    fn kind(&self) -> Kind {
        Kind::new("bench/number", 1, "writes a number")
            .param("n", Type::Text, Value::Text(String::new()), "the number")
            .file("out", "text", "the number")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let path = task.output("out")?;
        fs::write(path, task.params["n"].as_text().unwrap_or_default())
            .map_err(|error| Failure::io("write", path, &error))?;
        Ok(Ended::done())
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add(Number);
    registry
}

fn planned(file: &Path, registry: &Registry) -> Plan {
    plan::plan(file, &plan::PlanOptions::default(), registry).unwrap_or_else(|error| panic!("{error}"))
}

fn file_in(folder: &Path, stages: &str) -> PathBuf {
    let file = folder.join("pipeline.yaml");
    fs::write(&file, format!("pipe: 1\npipeline: bench\nstages:\n{stages}")).expect("written");
    file
}

/// Stages written out one by one, each reading three earlier ones.
#[divan::bench(args = [1_000, 10_000], sample_count = 10)]
fn plan_of_stages(bencher: Bencher, count: usize) {
    let mut stages = String::new();
    for number in 0..count {
        let earlier = [1, 7, 31].into_iter().filter(|back| *back <= number);
        let inputs: Vec<String> = earlier.map(|back| format!("p{back}: $s{}.t", number - back)).collect();
        let inputs = inputs.join(", ");
        writeln!(stages, "  s{number}: {{ run: 'cat $IN_P1 > $OUT_T', in: {{ {inputs} }}, out: {{ t: t.txt }} }}")
            .expect("text");
    }
    plan_of(bencher, count, &stages);
}

/// The same number of instances from three stages over axes, with a gather of half of them.
#[divan::bench(args = [1_000, 10_000], sample_count = 10)]
fn plan_of_cells(bencher: Bencher, count: usize) {
    let half = count / 2;
    let stages = format!(
        "  a: {{ each: {{ n: 1..{half} }}, run: 'echo $EACH_N > $OUT_T', out: {{ t: t.txt }} }}\n  \
         b: {{ each: {{ n: 1..{} }}, run: 'cat $IN_T > $OUT_T', in: {{ t: $a.t }}, out: {{ t: t.txt }} }}\n  \
         c: {{ run: 'cat $IN_T > $OUT_T', in: {{ t: $b(*).t }}, out: {{ t: t.txt }} }}\n",
        half - 1
    );
    plan_of(bencher, count, &stages);
}

/// The published grid search: 1800 cells trained twice as one `each` over eight axes, 163 subjects and 652 targets gathered by every
/// training, and three files of every training gathered by one reader.
#[divan::bench(sample_count = 10)]
fn plan_of_a_grid_search(bencher: Bencher) {
    let stages = "  images: { each: { sid: 1..163 }, run: 'echo > $OUT_T', out: { t: t.txt } }\n  \
         targets: { each: { sid: 1..163, rater: 1..4 }, run: 'echo > $OUT_T', out: { t: t.txt } }\n  \
         train:\n    each: { base_model: 1..2, lr: 1..5, gamma: 1..5, bce_weight: 1..3, batch_size: 1..3, inputs: 1..2, \
         prediction: 1..2, restart: 1..2 }\n    run: 'echo > $OUT_MODEL/t'\n    \
         in: { images: $images(*).t, targets: $targets(*).t }\n    \
         with: { lr: $each.lr, gamma: $each.gamma }\n    out: { model: model/ }\n  \
         cells: { run: 'echo > $OUT_T', out: { t: t.txt }, in: { epochs: $train(*).model/e, options: $train(*).model/o, \
         plans: $train(*).model/p } }\n";
    plan_of(bencher, 163 * 5 + 3600 + 1, stages);
}

fn plan_of(bencher: Bencher, count: usize, stages: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_in(folder.path(), stages);
    let registry = registry();
    assert_eq!(planned(&file, &registry).instances.len(), count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| planned(&file, &registry));
}

/// The key of one instance like a training: parameters, inputs, coordinates, a seed.
#[divan::bench]
fn key_of_an_instance(bencher: Bencher) {
    let params: BTreeMap<String, Value> = (0..20).map(|n| (format!("parameter_{n}"), Value::Int(n))).collect();
    let content = |text: &[u8]| Addressed { form: ContentForm::File, digest: Digest::<Content>::of(text) };
    let inputs = [("images", KeyInput::Many(Digest::of(b"images"))), ("split", KeyInput::One(content(b"split")))];
    let at: Coordinates = [("inputs", "anat"), ("outputs", "area"), ("restart", "1")].into_iter().collect();
    let parts = Parts {
        kind: "unet/train",
        kind_version: 3,
        params: &params,
        neutral: &[],
        inputs: &inputs,
        at: &at,
        axes: None,
        seed: Some(2025),
        simulated: None,
        facts: &[],
    };
    let mut buffer = Vec::new();
    bencher.bench_local(|| parts.key(&mut buffer));
}

/// A run in which everything is cached: keys, look-ups, manifest.
#[divan::bench(args = [1_000, 10_000], sample_count = 10)]
fn run_of_hits(bencher: Bencher, count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let stages = format!("  s: {{ each: {{ n: 1..{count} }}, uses: bench/number, with: {{ n: $each.n }} }}\n");
    let registry = Arc::new(registry());
    let plan = planned(&file_in(folder.path(), &stages), &registry);
    let options = options(folder.path(), registry);
    let run = || run::run(&plan, &options, &mut |_| {}, &Stop::new()).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(run().counts.ran, count);
    assert_eq!(run().counts.hit, count);
    bencher.counter(ItemsCount::new(count)).bench_local(run);
}

fn options(folder: &Path, registry: Arc<Registry>) -> RunOptions {
    let exec = Settings::new(registry, WorkerSettings::new("none".into(), "b"));
    let places = Places { cache: folder.join("cache"), state: folder.join("state") };
    let capacities = Capacities { cpu: 2, gpus: Vec::new(), mem: u64::MAX, net: 2 };
    RunOptions { lock: false, ..RunOptions::new(places, exec, capacities) }
}
