//! Planning is part of every command, so it must be fast. Bounds are several times what an idle machine needs.
#![expect(clippy::print_stderr, reason = "the figures themselves, for `--nocapture`")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use pipe_engine::plan::{Options, plan};

use crate::shipped::{benson2025, options};
use crate::test_registry::registry;

fn fastest(times: usize, mut work: impl FnMut()) -> Duration {
    (0..times)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .min()
        .unwrap_or_default()
}

#[test]
fn the_study_plans_in_under_300_ms() {
    let registry = registry();
    let took = fastest(3, || {
        plan(&benson2025(), &options("hcp"), &registry).expect("plans");
    });
    eprintln!("hcp: {took:?}");
    assert!(took < Duration::from_millis(300), "{took:?}");
}

#[test]
fn ten_thousand_cells_plan_in_under_100_ms() {
    let file = std::env::temp_dir().join(format!("pipe-cells-{}.yaml", std::process::id()));
    std::fs::write(
        &file,
        "pipe: 1\npipeline: cells\nstages:\n  \
         a: { each: { n: 1..5000 }, run: 'echo $EACH_N > $OUT_T', out: { t: t.txt } }\n  \
         b: { each: { n: 1..4999 }, run: 'cat $IN_T > $OUT_T', in: { t: $a.t }, with: { n: $each.n }, out: { t: t.txt } }\n  \
         c: { run: 'cat $IN_T > $OUT_T', in: { t: $b(*).t }, out: { t: t.txt } }\n",
    )
    .expect("written");
    let took = fastest(3, || {
        let plan = plan(&file, &Options::default(), &registry()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.instances.len(), 10_000);
    });
    eprintln!("10,000 cells: {took:?}");
    std::fs::remove_file(&file).expect("removed");
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[test]
fn ten_thousand_stages_written_out_plan_in_linear_time() {
    let file = |count: usize| {
        let mut text = String::from("pipe: 1\npipeline: stages\nstages:\n");
        for number in 0..count {
            let parents: Vec<String> = [1, 7, 31]
                .iter()
                .filter(|back| **back <= number)
                .map(|back| format!("p{back}: $s{}.t", number - back))
                .collect();
            writeln!(
                text,
                "  s{number}: {{ run: 'cat $IN_P1 > $OUT_T', in: {{ {} }}, out: {{ t: t.txt }} }}",
                parents.join(", ")
            )
            .expect("text");
        }
        let path = std::env::temp_dir().join(format!("pipe-stages-{}-{count}.yaml", std::process::id()));
        std::fs::write(&path, text).expect("written");
        path
    };
    let (small, large) = (file(1_000), file(10_000));
    let registry = registry();
    let time = |file: &std::path::Path| {
        fastest(2, || {
            plan(file, &Options::default(), &registry).unwrap_or_else(|error| panic!("{error}"));
        })
    };
    let (small_took, large_took) = (time(&small), time(&large));
    eprintln!("1,000 stages: {small_took:?}; 10,000 stages: {large_took:?}");
    for path in [small, large] {
        std::fs::remove_file(path).expect("removed");
    }
    assert!(large_took < small_took * 25, "{small_took:?} for 1,000, {large_took:?} for 10,000");
}
