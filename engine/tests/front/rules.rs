//! The rules of the language, each on the smallest file that shows it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use pipe_contract::{Coordinates, Value};
use pipe_engine::plan::{Amounts, Instance, Link, Plan, PlanOptions, Source, Tool, Work, plan};

use crate::test_registry::registry;

/// A folder of files, removed on drop.
struct Files(PathBuf);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = std::env::temp_dir().join(format!(
            "pipe-rules-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs_err::create_dir_all(&folder).expect("a folder");
        for (name, text) in files {
            let path = folder.join(name);
            fs_err::create_dir_all(path.parent().expect("inside")).expect("a folder");
            fs_err::write(path, text).expect("written");
        }
        Self(folder)
    }

    fn plan(&self, options: &PlanOptions) -> Result<Plan, String> {
        plan(&self.0.join("p.yaml"), options, &registry()).map_err(|errors| errors.render(false))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

fn planned(text: &str) -> Plan {
    with(text, &PlanOptions::default())
}

fn with(text: &str, options: &PlanOptions) -> Plan {
    Files::new(&[("p.yaml", &format!("pipe: 1\npipeline: p\n{text}"))])
        .plan(options)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    Files::new(&[("p.yaml", &format!("pipe: 1\npipeline: p\n{text}"))])
        .plan(&PlanOptions::default())
        .expect_err("a mistake")
}

fn instances<'a>(plan: &'a Plan, stage: &str) -> Vec<&'a Instance> {
    let stage = plan.stages.iter().find(|known| known.name == stage).unwrap_or_else(|| panic!("no stage `{stage}`"));
    stage.instances.clone().map(|id| &plan.instances[id as usize]).collect()
}

fn at(pairs: &[(&str, &str)]) -> Coordinates {
    pairs.iter().copied().collect()
}

/// Labels of what a port reads, with the coordinates of gathered cells.
fn reads(plan: &Plan, instance: &Instance, port: &str) -> Vec<String> {
    let shown = |link: &Link| match link {
        Link::Output { instance, port, entry } => {
            format!(
                "{}.{port}{}",
                plan.label(*instance),
                entry.as_ref().map(|entry| format!("/{entry}")).unwrap_or_default()
            )
        }
        Link::File(path) => path.strip_prefix(&plan.folder).expect("in the project").display().to_string(),
    };
    match &instance.inputs[port] {
        Source::One(link) => vec![shown(link)],
        Source::Many(gather) => {
            plan.gather(*gather).iter().map(|(at, link)| format!("[{at}] {}", shown(link))).collect()
        }
    }
}

const SOURCE: &str = "  a:\n    each: { sid: [s1, s2], rater: [A1, A2] }\n    run: x\n    out: { t: t.txt, d: d/ }\n";

#[test]
fn axes_match_gather_and_pick() {
    let plan = planned(&format!(
        "stages:\n{SOURCE}  b:\n    each: {{ sid: [s1, s2] }}\n    run: x\n    in:\n      all: $a(*).t\n      one: $a(rater=A2).t\n      \
         all_sids: $a(sid=*, rater=A1).t\n      both: [$a(rater=A1).t, $a(rater=A2).t]\n    out: {{ t: t.txt }}\n"
    ));
    let b = instances(&plan, "b")[1];
    assert_eq!(reads(&plan, b, "all"), ["[rater=A1] a(rater=A1, sid=s2).t", "[rater=A2] a(rater=A2, sid=s2).t"]);
    assert_eq!(reads(&plan, b, "one"), ["a(rater=A2, sid=s2).t"]);
    assert_eq!(
        reads(&plan, b, "all_sids"),
        ["[rater=A1, sid=s1] a(rater=A1, sid=s1).t", "[rater=A1, sid=s2] a(rater=A1, sid=s2).t"]
    );
    assert_eq!(reads(&plan, b, "both"), ["[rater=A1] a(rater=A1, sid=s2).t", "[rater=A2] a(rater=A2, sid=s2).t"]);
}

#[test]
fn an_open_axis_lists_the_three_ways() {
    let error = refused(&format!(
        "stages:\n{SOURCE}  b: {{ each: {{ sid: [s1, s2] }}, run: x, in: {{ t: $a.t }}, out: {{ t: t.txt }} }}\n"
    ));
    for way in ["$a(rater=A1).t", "$a(*).t", "each: { rater: ... }"] {
        assert!(error.contains(way), "{error}");
    }
}

#[test]
fn one_reference_at_a_gathering_port_is_a_list_of_one_with_the_picked_coordinates() {
    let plan = planned(
        "params: { subjects: [s1, s2] }\nstages:\n  p: { each: { sid: $params.subjects }, uses: hcp/fetch }\n  \
         split: { uses: split/random, in: { subjects: $p(sid=s2).files } }\n",
    );
    let Source::Many(gather) = instances(&plan, "split")[0].inputs["subjects"] else { panic!("a gather") };
    let cells = plan.gather(gather);
    assert_eq!(cells.len(), 1);
    assert_eq!(cells[0].0, at(&[("sid", "s2")]));
}

#[test]
fn entries_of_folders_may_depend_on_the_cell() {
    let plan = planned(&format!(
        "stages:\n{SOURCE}  b:\n    each: {{ sid: [s1, s2], rater: [A1, A2] }}\n    run: x\n    in: {{ f: \"$a.d/${{each.rater}}/${{each.sid}}.h5\" }}\n    out: {{ t: t.txt }}\n"
    ));
    assert_eq!(reads(&plan, instances(&plan, "b")[3], "f"), ["a(rater=A2, sid=s2).d/A2/s2.h5"]);
}

#[test]
fn plain_text_is_a_file_of_the_project() {
    let plan = planned(
        "stages:\n  b: { each: { sid: [s1] }, run: x, in: { f: data/x.csv, g: \"data/${each.sid}/\" }, out: { t: t.txt } }\n",
    );
    assert_eq!(reads(&plan, instances(&plan, "b")[0], "f"), ["data/x.csv"]);
    assert_eq!(reads(&plan, instances(&plan, "b")[0], "g"), ["data/s1"]);
}

#[test]
fn drop_and_keep_leave_cells_out_everywhere() {
    let plan = planned(
        "params: { without: [{ i: [x, y], o: ring }] }\nstages:\n  \
         a: { each: { i: [x, y, z], o: [area, ring] }, drop: $params.without, run: x, out: { t: t.txt } }\n  \
         b: { each: { o: [area, ring] }, run: x, in: { t: $a(*).t }, out: { t: t.txt } }\n  \
         c: { each: { i: [x, y, z], o: [area, ring] }, keep: [{ i: z }], run: x, in: { t: $a.t }, out: { t: t.txt } }\n",
    );
    assert_eq!(instances(&plan, "a").len(), 4);
    assert_eq!(reads(&plan, instances(&plan, "b")[1], "t"), ["[i=z] a(i=z, o=ring).t"]);
    assert_eq!(instances(&plan, "c").len(), 2);
    let error = refused(
        "stages:\n  a: { each: { o: [area, ring] }, drop: [{ o: ring }], run: x, out: { t: t.txt } }\n  \
         b: { each: { o: [area, ring] }, run: x, in: { t: $a.t }, out: { t: t.txt } }\n",
    );
    assert!(error.contains("it was dropped") && error.contains("`drop` it in stage `b` too"), "{error}");
}

#[test]
fn ids_stay_text_as_written() {
    let plan = planned(
        "params: { ids: [010512, 115017, 1e3, yes] }\nstages:\n  a: { each: { sid: $params.ids }, run: x, with: { id: $each.sid, n: 010, i: 7, yes: no }, out: { t: t.txt } }\n",
    );
    let sids: Vec<&str> = instances(&plan, "a").iter().map(|instance| instance.at["sid"].as_str()).collect();
    assert_eq!(sids, ["010512", "115017", "1e3", "yes"]);
    let params = &instances(&plan, "a")[1].params;
    assert_eq!(params["id"], Value::Text("115017".into()));
    assert_eq!(params["n"], Value::Text("010".into()));
    assert_eq!(params["i"], Value::Text("7".into()));
    assert_eq!(params["yes"], Value::Text("no".into()));
}

#[test]
fn fields_of_axes_are_read_as_they_are_written() {
    let plan = planned(
        "params: { o: { area: { lr: 0.5, has: [a, b] } } }\nstages:\n  a: { each: { o: $params.o }, run: x, with: { lr: $each.o.lr, has: $each.o.has, text: \"lr ${each.o.lr}\" }, out: { t: t.txt } }\n",
    );
    let params = &instances(&plan, "a")[0].params;
    assert_eq!(params["lr"], Value::Text("0.5".into()));
    assert_eq!(params["has"], Value::List(vec![Value::Text("a".into()), Value::Text("b".into())]));
    assert_eq!(params["text"], Value::Text("lr 0.5".into()));
}

/// A map of plans by two axes, and a stage that takes its own.
const PLANS: &str = "params: { plans: { a: { x: { rounds: [1, 2], lr: 0.50 }, y: { rounds: [3], lr: 1e3 } }, b: &b { x: { rounds: [], lr: 7 }, y: \
    { rounds: [{ n: 1 }], lr: 8 } } }, best: { i: a } }\nstages:\n  train:\n    each: { i: [a, b], o: [x, y] }\n    run: x\n    \
    out: { t: t.txt }\n    with:\n      rounds: $params.plans.${each.i}.${each.o}.rounds\n      plan: $params.plans.${each.i}.${each.o}\n      \
    text: \"lr ${params.plans.${each.i}.${each.o}.lr} of ${each.o}\"\n      best: $params.plans.${params.best.i}.x.lr\n";

#[test]
fn coordinates_are_names_in_the_path_of_a_parameter() {
    let plan = planned(PLANS);
    let train = instances(&plan, "train");
    let shown = |number: usize, name: &str| train[number].params[name].to_string();
    assert_eq!(train[0].params["rounds"], Value::List(vec![Value::Text("1".into()), Value::Text("2".into())]));
    assert_eq!(train[2].params["rounds"], Value::List(Vec::new()));
    assert_eq!(train[3].params["rounds"], Value::Text(r#"[{"n":1}]"#.into()), "a map in a list, as bodies get it");
    assert_eq!(shown(1, "plan"), r#"{"lr":1e3,"rounds":[3]}"#);
    assert_eq!((shown(0, "text").as_str(), shown(1, "text").as_str()), ("lr 0.50 of x", "lr 1e3 of y"));
    assert!((0..4).all(|number| shown(number, "best") == "0.50"), "the same for all cells");
}

#[test]
fn a_plan_that_a_cell_does_not_take_is_not_part_of_it() {
    let (before, after) = (planned(PLANS), planned(&PLANS.replace("lr: 7", "lr: 9")));
    let changed = instances(&before, "train").into_iter().zip(instances(&after, "train"));
    let changed: Vec<String> = changed.filter(|(was, now)| was != now).map(|(_, now)| now.at.to_string()).collect();
    assert_eq!(changed, ["i=b, o=x"]);
}

#[test]
fn set_changes_one_field_of_a_parameter() {
    let set =
        |name: &str, value: &str| PlanOptions { set: vec![(name.into(), value.into())], ..PlanOptions::default() };
    let plan = with(PLANS, &set("plans.b.y.lr", "0.8"));
    let train = instances(&plan, "train");
    assert_eq!(train[3].params["text"], Value::Text("lr 0.8 of y".into()));
    assert_eq!(train[3].params["rounds"].to_string(), r#"[{"n":1}]"#, "its other fields are as they were");
    let before = planned(PLANS);
    let same = instances(&before, "train").into_iter().zip(&train).filter(|(was, now)| was == *now).count();
    assert_eq!(same, 3, "only one cell takes it");
    let plan = with(PLANS, &set("plans.b", "{ y: { lr: 1 }, z: { lr: 2 } }"));
    assert_eq!(plan.params["plans"].value.to_string().matches("rounds").count(), 4, "maps are merged");
}

#[test]
fn precedence_is_file_extends_profile_set() {
    let text = "params: { n: 1, m: { a: 1, b: { x: 1 } }, l: [a, b, c] }\nprofiles:\n  base: { params: { n: 2, m: { b: { y: 2 } } } }\n  \
                top: { extends: base, default: true, params: { m: { c: 3 }, l: { keep: [a, c] } } }\nstages:\n  \
                s: { each: { l: $params.l }, run: x, with: { n: $params.n, m: $params.m }, out: { t: t.txt } }\n";
    let plan = planned(text);
    let params = &instances(&plan, "s")[0].params;
    assert_eq!(instances(&plan, "s").len(), 2);
    assert_eq!(params["n"], Value::Text("2".into()));
    assert_eq!(params["m"].to_string(), r#"{"a":1,"b":{"x":1,"y":2},"c":3}"#);
    let set = PlanOptions { set: vec![("n".into(), "3".into()), ("l".into(), "[b]".into())], ..PlanOptions::default() };
    let plan = with(text, &set);
    assert_eq!(instances(&plan, "s")[0].params["n"], Value::Text("3".into()));
    assert_eq!(instances(&plan, "s")[0].at, at(&[("l", "b")]));
}

#[test]
fn lines_of_a_file_are_a_list() {
    let files = Files::new(&[
        (
            "p.yaml",
            "pipe: 1\npipeline: p\nparams: { subjects: { type: list, required: true } }\nprofiles: { x: { default: true, params: { subjects: { lines: ids.txt } } } }\nstages: { s: { each: { sid: $params.subjects }, run: x, out: { t: t.txt } } }\n",
        ),
        ("ids.txt", "# subjects\n010512\n\n  115017  \n"),
    ]);
    let plan = files.plan(&PlanOptions::default()).expect("plans");
    let sids: Vec<&str> = instances(&plan, "s").iter().map(|instance| instance.at["sid"].as_str()).collect();
    assert_eq!(sids, ["010512", "115017"]);
}

#[test]
fn includes_have_a_name_space_of_their_own_and_see_outward() {
    let files = Files::new(&[
        (
            "p.yaml",
            "pipe: 1\npipeline: p\nparams: { subjects: [s1] }\ninclude: { prep: { file: sub/prep.yaml, params: { n: 5 } } }\nstages:\n  use: { run: x, in: { t: $prep.clean(*).t }, out: { t: t.txt } }\n",
        ),
        (
            "sub/prep.yaml",
            "pipe: 1\nparams: { n: 1 }\nstages:\n  raw: { run: x, in: { f: data.csv }, out: { t: t.txt } }\n  clean: { each: { sid: $params.subjects }, run: x, in: { t: $raw.t }, with: { n: $params.n }, out: { t: t.txt } }\n",
        ),
    ]);
    let plan = files.plan(&PlanOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(reads(&plan, instances(&plan, "use")[0], "t"), ["[sid=s1] prep.clean(sid=s1).t"]);
    assert_eq!(instances(&plan, "prep.clean")[0].params["n"], Value::Text("5".into()));
    assert_eq!(reads(&plan, instances(&plan, "prep.raw")[0], "f"), ["sub/data.csv"]);
    assert_eq!(plan.stages[0].place.file.file_name().and_then(|name| name.to_str()), Some("p.yaml"));
}

#[test]
fn optional_ports_of_removed_stages_stay_unset() {
    let text = "profiles: { x: { default: true, stages: { prf: none } } }\nstages:\n  who: { each: { sid: [s1] }, uses: hcp/fetch }\n  prf: { run: x, out: { maps: m/ } }\n  \
                images: { each: { sid: [s1] }, uses: flatmap/images, in: { subject: $who.files, prf: $prf.maps } }\n";
    assert!(!instances(&planned(text), "images")[0].inputs.contains_key("prf"));
}

#[test]
fn results_expand_axes_and_formats() {
    let plan = planned(&format!(
        "stages:\n{SOURCE}results:\n  \"t_${{sid}}_${{rater}}.{{csv,tsv}}\": $a.t\n  \"one.txt\": $a(sid=s1, rater=A1).t\n  \"folders/${{rater}}/\": $a(sid=s2).d\n"
    ));
    let paths: Vec<&str> = plan.results.iter().map(|result| result.path.as_str()).collect();
    assert_eq!(paths.len(), 4 * 2 + 1 + 2);
    assert!(paths.contains(&"t_s1_A2.tsv") && paths.contains(&"folders/A2/"), "{paths:?}");
}

#[test]
fn the_first_resources_that_fit_are_taken_and_cpu_is_clipped() {
    let text = "stages:\n  a: { run: x, out: { t: t.txt }, resources: [{ gpu: 1, cpu: 2 }, { cpu: 8, mem: 3 GiB }] }\n  b: { run: x, net: true, out: { t: t.txt } }\n";
    let machine = Amounts { cpu: 4, gpu: 0, mem: 8 << 30, net: 8 };
    let plan = with(text, &PlanOptions { machine: machine.clone(), ..PlanOptions::default() });
    assert_eq!(plan.stages[0].amounts, Amounts { cpu: 4, gpu: 0, mem: 3 << 30, net: 0 });
    assert_eq!(plan.stages[1].amounts, Amounts { cpu: 1, gpu: 0, mem: 0, net: 1 });
    let plan = with(text, &PlanOptions { machine: Amounts { gpu: 1, ..machine }, ..PlanOptions::default() });
    assert_eq!(plan.stages[0].amounts, Amounts { cpu: 2, gpu: 1, mem: 0, net: 0 });
}

#[test]
fn run_stages_keep_their_body_untouched() {
    let plan = planned(
        "stages:\n  a:\n    run: |\n      echo \"${X} ${y:-$z} {sid}\" > $OUT_T\n    env: { X: \"a$$b\" }\n    tools: { sh: sh --version, python: { venv: .venv } }\n    random: true\n    out: { t: t.txt }\n",
    );
    let Work::Command(command) = &plan.stages[0].work else { panic!("a command") };
    assert_eq!(command.body, "echo \"${X} ${y:-$z} {sid}\" > $OUT_T\n");
    assert_eq!(command.env["X"], "a$b");
    assert_eq!(command.tools["python"], Tool::Venv(".venv".into()));
    assert!(plan.instances[0].seed.is_some());
}

#[test]
fn a_stage_may_choose_its_own_seeds() {
    let plan = planned(
        "stages:\n  a: { each: { r: 1..3 }, run: x, random: true, seed: $each.r, out: { t: t.txt } }\n  b: { run: x, out: { t: t.txt } }\n",
    );
    let seeds: Vec<Option<u64>> = instances(&plan, "a").iter().map(|instance| instance.seed).collect();
    assert_eq!(seeds, [Some(1), Some(2), Some(3)]);
    assert_eq!(instances(&plan, "b")[0].seed, None);
}

#[test]
fn keys_of_the_author_are_ignored_and_anchors_work() {
    let plan = planned(
        "x-common: &c { run: x, out: { t: t.txt } }\nstages:\n  x-note: whatever\n  a: { <<: *c, with: { n: 1 } }\n  b: *c\n",
    );
    assert_eq!(plan.stages.len(), 2);
}

#[test]
fn several_mistakes_are_reported_together() {
    let error = refused(
        "stages:\n  a: { run: x, out: { t: t.txt }, resorces: {} }\n  b: { uses: no/kind }\n  c: { run: x, in: { t: $d.t }, out: { t: t.txt } }\n",
    );
    assert!(error.contains("resorces"), "{error}");
    let error = refused(
        "stages:\n  b: { uses: no/kind }\n  c: { run: x, in: { t: $d.t }, out: { t: t.txt } }\n  e: { run: x, in: { t: $b.out }, out: { t: t.txt } }\n",
    );
    assert!(error.contains("no/kind") && error.contains("unknown stage `d`") && error.contains("2 errors"), "{error}");
}

mod expansion {
    //! For any axes, gathers hold exactly the cells that exist.

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn gathers_are_complete_sorted_and_distinct(i in 1_usize..6, j in 1_usize..6, k in 1_usize..4, dropped in 0_usize..6) {
            let dropped = dropped.min(i - 1);
            let drop: Vec<String> = (0..dropped).map(|n| format!("{{ i: v{n}, j: v0 }}")).collect();
            let list = |n: usize| (0..n).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
            let plan = planned(&format!(
                "stages:\n  a: {{ each: {{ i: [{}], j: [{}], k: [{}] }}, drop: [{}], run: x, out: {{ t: t.txt }} }}\n  \
                 b: {{ each: {{ j: [{}] }}, run: x, in: {{ t: $a(*).t }}, out: {{ t: t.txt }} }}\n",
                list(i), list(j), list(k), drop.join(", "), list(j)
            ));
            prop_assert_eq!(instances(&plan, "a").len(), i * j * k - dropped * k);
            let mut seen = 0;
            for reader in instances(&plan, "b") {
                let Source::Many(gather) = reader.inputs["t"] else { panic!("a gather") };
                let cells = plan.gather(gather);
                prop_assert!(cells.windows(2).all(|pair| pair[0].0 < pair[1].0));
                for (at, link) in cells {
                    let Link::Output { instance, .. } = link else { panic!("an output") };
                    let full = &plan.instance(*instance).at;
                    prop_assert_eq!(&full["j"], &reader.at["j"]);
                    prop_assert_eq!(at.len(), 2);
                    prop_assert!(at.iter().all(|(axis, value)| &full[axis] == value));
                }
                seen += cells.len();
            }
            prop_assert_eq!(seen, instances(&plan, "a").len());
        }
    }
}

#[test]
fn parameters_of_commands_are_texts_as_written_wherever_they_come_from() {
    let text = "params: { v: 1.0, list: [1.10, 0x1F], of: { type: float, required: true } }\n\
        profiles: { d: { default: true, params: { of: 2.50 } } }\n\
        stages:\n  a: { run: x, out: { t: t.txt }, with: { v: $params.v, list: $params.list, of: $params.of, own: [010, 1.10] } }\n";
    let set = |values: &[(&str, &str)]| PlanOptions {
        set: values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..PlanOptions::default()
    };
    let params = |options: &PlanOptions| with(text, options).instances[0].params.clone();
    let texts = |texts: &[&str]| Value::List(texts.iter().map(|text| Value::Text((*text).into())).collect());
    let plain = params(&PlanOptions::default());
    assert_eq!(plain["v"], Value::Text("1.0".into()));
    assert_eq!(plain["list"], texts(&["1.10", "0x1F"]));
    assert_eq!(plain["of"], Value::Text("2.50".into()));
    assert_eq!(plain["own"], texts(&["010", "1.10"]));
    let changed = params(&set(&[("v", "1.10"), ("list", "[1e3]"), ("of", "3")]));
    assert_eq!(changed["v"], Value::Text("1.10".into()));
    assert_eq!(changed["list"], texts(&["1e3"]));
    assert_eq!(changed["of"], Value::Text("3".into()));
}

#[test]
fn axis_values_become_numbers_where_a_kind_asks_for_numbers() {
    let plan = planned(
        "stages:\n  s: { each: { sid: [s1] }, run: x, out: { d: d/ } }\n  \
         i: { each: { sid: [s1], pixels: [128, 512] }, uses: flatmap/images, in: { subject: $s.d }, with: { pixels: $each.pixels } }\n  \
         c: { each: { pixels: [128] }, run: x, with: { pixels: $each.pixels }, out: { t: t.txt } }\n",
    );
    let pixels = |stage| instances(&plan, stage).iter().map(|one| one.params["pixels"].clone()).collect::<Vec<_>>();
    assert_eq!(pixels("i"), [Value::Int(128), Value::Int(512)]);
    assert_eq!(pixels("c"), [Value::Text("128".into())]);
    let error = refused(
        "stages:\n  s: { run: x, out: { d: d/ } }\n  \
         i: { each: { pixels: [128, big] }, uses: flatmap/images, in: { subject: $s.d }, with: { pixels: $each.pixels } }\n",
    );
    assert!(error.contains("found text `big`") && error.contains("in the cell pixels=big"), "{error}");
}

#[test]
fn files_of_lines_may_have_marks_other_line_ends_and_comments() {
    let text = "pipe: 1\npipeline: p\nparams: { ids: { lines: ids.txt } }\nstages:\n  \
        a: { each: { sid: $params.ids }, run: x, out: { t: t.txt } }\n";
    for lines in [
        "\u{feff}010512\n115017\n",
        "010512\r115017\r",
        "\u{feff}010512\r\n115017\r\n",
        "# who\n010512 # twice\n\n  115017\t#x\n #115018\n",
    ] {
        let plan = Files::new(&[("p.yaml", text), ("ids.txt", lines)]).plan(&PlanOptions::default()).expect("plans");
        let found: Vec<&str> = instances(&plan, "a").iter().map(|instance| instance.at["sid"].as_str()).collect();
        assert_eq!(found, ["010512", "115017"], "{lines:?}");
    }
    let plan = Files::new(&[("p.yaml", text), ("ids.txt", "a#1\n")]).plan(&PlanOptions::default()).expect("plans");
    assert_eq!(plan.instances[0].at["sid"], "a#1", "inside a word it is part of the word");
    let mac = format!("\u{feff}{}", text.replace('\n', "\r"));
    Files::new(&[("p.yaml", &mac), ("ids.txt", "s1\n")]).plan(&PlanOptions::default()).expect("plans");
}
