//! Planning is part of every command, so its cost must grow with the size of a pipeline and no faster. What it costs is
//! measured by the benchmarks; here only growth is checked, by counting what a plan holds, because a clock on a busy machine
//! says nothing.

use std::fmt::Write as _;

use pipe_engine::plan::{Plan, PlanOptions, plan};

use crate::shipped::{benson2025, options};
use crate::test_registry::registry;

/// What a plan holds: instances, ports, and the cells of every gather.
fn held(plan: &Plan) -> usize {
    let ports: usize = plan.instances.iter().map(|instance| instance.inputs.len()).sum();
    plan.instances.len() + ports + plan.gathers.iter().map(Vec::len).sum::<usize>()
}

fn planned(name: &str, text: &str) -> Plan {
    let file = std::env::temp_dir().join(format!("pipe-{name}-{}.yaml", std::process::id()));
    fs_err::write(&file, format!("pipe: 1\npipeline: p\nstages:\n{text}")).expect("written");
    let plan = plan(&file, &PlanOptions::default(), &registry()).unwrap_or_else(|error| panic!("{error}"));
    fs_err::remove_file(&file).expect("removed");
    plan
}

#[test]
fn readers_of_the_same_cells_share_them_in_the_study() {
    let plan = plan(&benson2025(), &options("hcp"), &registry()).expect("plans");
    assert!(held(&plan) < 20 * plan.instances.len(), "{} in {} instances", held(&plan), plan.instances.len());
}

#[test]
fn a_plan_grows_with_the_number_of_cells() {
    let held = |cells: usize| {
        held(&planned(
            &format!("cells-{cells}"),
            &format!(
                "  a: {{ each: {{ n: 1..{cells} }}, run: 'echo $EACH_N > $OUT_T', out: {{ t: t.txt }} }}\n  \
                 b: {{ each: {{ n: 1..{cells} }}, run: 'cat $IN_T $IN_ALL > $OUT_T', in: {{ t: $a.t, all: $a(n=*).t }}, out: {{ t: t.txt }} }}\n"
            ),
        ))
    };
    assert_eq!(held(500), 5 * 500);
    assert_eq!(held(5_000), 5 * 5_000);
}

#[test]
fn a_plan_grows_with_the_number_of_stages() {
    let held = |count: usize| {
        let mut text = String::new();
        for number in 0..count {
            let parents: Vec<String> = [1, 7, 31]
                .iter()
                .filter(|back| **back <= number)
                .map(|back| format!("p{back}: $s{}.t", number - back))
                .collect();
            writeln!(
                text,
                "  s{number}: {{ run: 'cat ../in/* > $OUT_T', in: {{ {} }}, out: {{ t: t.txt }} }}",
                parents.join(", ")
            )
            .expect("text");
        }
        held(&planned(&format!("stages-{count}"), &text))
    };
    assert_eq!(held(300), 4 * 300 - 39);
    assert_eq!(held(3_000), 4 * 3_000 - 39);
}
