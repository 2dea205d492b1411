//! The pipelines that ship, under every profile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pipe_contract::Value;
use pipe_engine::graph::{self, Format, GraphView};
use pipe_engine::ids::InstanceId;
use pipe_engine::plan::{Amounts, GatherId, Link, Plan, PlanOptions, Source, Work, plan, plan_all_profiles};

use crate::test_registry::registry;

/// The pipeline of the paper.
pub fn benson2025() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/benson2025.yaml")
}

/// A machine like the one the demo is made for.
pub fn options(profile: &str) -> PlanOptions {
    let machine = Amounts { cpu: 2, gpu: 0, mem: 8 << 30, net: 8 };
    PlanOptions { profile: Some(profile.to_owned()), machine, ..PlanOptions::default() }
}

fn planned(profile: &str) -> Plan {
    plan(&benson2025(), &options(profile), &registry()).unwrap_or_else(|error| panic!("{error}"))
}

fn of(plan: &Plan, stage: &str) -> Vec<InstanceId> {
    let stage = plan.stages.iter().find(|known| known.name == stage).unwrap_or_else(|| panic!("no stage `{stage}`"));
    stage.instances.clone().map(InstanceId).collect()
}

fn dot(plan: &Plan) -> String {
    graph::draw(plan, GraphView::default(), Format::Dot).expect("small").text
}

fn gather_of(plan: &Plan, id: InstanceId, port: &str) -> GatherId {
    let Source::Many(gather) = plan.instance(id).inputs[port] else { panic!("a gather") };
    gather
}

/// The stages that a port reads.
fn producers<'p>(plan: &'p Plan, id: InstanceId, port: &str) -> BTreeSet<&'p str> {
    let links: Vec<&Link> = match &plan.instance(id).inputs[port] {
        Source::One(link) => vec![link],
        Source::Many(gather) => plan.gather(*gather).iter().map(|(_, link)| link).collect(),
    };
    let stage = |link: &Link| match link {
        Link::Output { instance, .. } => plan.stage_of(*instance).name.as_str(),
        Link::File(file) => panic!("`{port}` reads {file:?} and not a stage"),
    };
    links.into_iter().map(stage).collect()
}

/// The parameters of a stage, which are the same for all its instances.
fn params<'p>(plan: &'p Plan, stage: &str) -> &'p BTreeMap<String, Value> {
    let all = of(plan, stage);
    let first = &plan.instance(all[0]).params;
    assert!(all.iter().all(|id| plan.instance(*id).params == *first), "instances of `{stage}` differ in parameters");
    first
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(whole) => *whole as f64,
        Value::Float(number) => *number,
        other => panic!("{other:?} is not a number"),
    }
}

/// The rounds of a training's schedule.
fn rounds(plan: &Plan, training: InstanceId) -> Vec<&BTreeMap<String, Value>> {
    let Value::List(rounds) = &plan.instance(training).params["schedule"] else { panic!("a list of rounds") };
    rounds
        .iter()
        .map(|round| match round {
            Value::Map(round) => round,
            other => panic!("{other:?} is not a round"),
        })
        .collect()
}

#[test]
fn every_profile_plans() {
    for (profile, plan) in
        plan_all_profiles(&benson2025(), &options("demo"), &registry()).unwrap_or_else(|error| panic!("{error}"))
    {
        let plan = plan.unwrap_or_else(|error| panic!("{profile:?}: {error}"));
        for id in plan.ids() {
            assert!(plan.reads(id).iter().all(|read| read < &id), "{} reads what comes later", plan.label(id));
            assert!(plan.stage_of(id).instances.contains(&id.0));
        }
    }
}

#[test]
fn the_default_profile_is_the_demo_and_its_edges_are_pinned() {
    let plan = plan(&benson2025(), &PlanOptions { profile: None, ..options("demo") }, &registry()).expect("plans");
    assert_eq!(plan.profile.as_deref(), Some("demo"));
    assert!(plan.simulated);
    insta::assert_snapshot!("demo.dot", dot(&plan));
}

#[test]
fn the_other_profiles_are_pinned_too() {
    for profile in ["hcp", "hcp-tracts", "hcp-published", "nyu", "hcp-nyu", "hcp-published-nyu", "tiny", "swapped"] {
        insta::assert_snapshot!(format!("{profile}.dot"), dot(&planned(profile)));
    }
}

#[test]
fn the_demo_trains_fourteen_networks_within_3400_sample_steps() {
    let plan = planned("demo");
    let train = of(&plan, "train");
    assert_eq!(train.len(), 14, "four inputs with three restarts for areas, two for rings");
    let targets = plan.gather(gather_of(&plan, train[0], "targets"));
    assert_eq!(targets.len(), 128);
    assert!(targets.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted, distinct");
    let split = params(&plan, "split");
    let training = 1.0 - number(&split["held_out"]) - number(&split["choose"]);
    let samples = |id: &InstanceId| {
        assert_eq!(rounds(&plan, *id).len(), 3, "rounds of {}", plan.label(*id));
        rounds(&plan, *id).len() as f64 * number(&plan.instance(*id).params["epochs"]) * training * targets.len() as f64
    };
    let steps: f64 = train.iter().map(samples).sum();
    assert!(steps <= 3400.0, "{steps} sample-steps take longer than the README and costs.md say");
    for id in &train {
        let batch = &plan.instance(*id).params["batch_size"];
        assert_eq!(*batch, Value::Int(1), "the batch of {}: larger ones leave fewer steps", plan.label(*id));
    }
    for stage in ["images", "targets"] {
        let pixels = &params(&plan, stage)["pixels"];
        assert_eq!(
            *pixels,
            Value::Int(32),
            "`{stage}`: a sample-step was measured at this size, larger ones take longer"
        );
    }
    let scores = plan.gather(gather_of(&plan, of(&plan, "partition")[0], "scores"));
    assert_eq!(scores.len(), 3 * 32, "a table of every subject for every restart");
    assert_eq!(plan.stage_of(train[0]).amounts, Amounts { cpu: 1, gpu: 0, mem: 3 << 30, net: 0 });
    let score = plan.instance(of(&plan, "score")[0]);
    assert!(!score.inputs.contains_key("inferred"), "reads a removed stage through an optional port");
}

#[test]
fn the_plan_of_one_network_is_changed_by_one_line_and_changes_nothing_else() {
    let text = fs_err::read_to_string(benson2025()).expect("readable");
    let own =
        "\n  own:\n    extends: hcp-tracts\n    params: { plans: { full: { area: { gamma: 0.95 } } } }\n  tiny:\n";
    let folder = tempfile::tempdir().expect("a folder");
    fs_err::copy(benson2025().with_file_name("hcp_subjects.txt"), folder.path().join("hcp_subjects.txt"))
        .expect("copied");
    let file = folder.path().join("benson2025.yaml");
    fs_err::write(&file, text.replacen("\n  tiny:\n", own, 1)).expect("written");
    let before = planned("hcp-tracts");
    let set = vec![("plans.full.area.gamma".to_owned(), "0.95".to_owned())];
    let by_set = plan(&benson2025(), &PlanOptions { set, ..options("hcp-tracts") }, &registry()).expect("plans");
    let by_profile = plan(&file, &options("own"), &registry()).unwrap_or_else(|error| panic!("{error}"));
    for after in [by_set, by_profile] {
        let changed = before.ids().filter(|id| {
            let (was, now) = (before.instance(*id), after.instance(*id));
            was.params != now.params || was.seed != now.seed || was.at != now.at
        });
        let changed: Vec<String> = changed.map(|id| after.label(id)).collect();
        let expected: Vec<String> =
            (1..=10).map(|restart| format!("train(inputs=full, outputs=area, restart={restart})")).collect();
        assert_eq!(changed, expected);
    }
}

#[test]
fn hcp_with_tracts_has_some_36000_instances_and_shares_its_gathers() {
    let plan = planned("hcp-tracts");
    assert_eq!(plan.instances.len(), 36384);
    let train = of(&plan, "train");
    assert_eq!(train.len(), 160);
    let targets = |id: InstanceId| gather_of(&plan, id, "targets");
    assert_eq!(plan.gather(targets(train[0])).len(), 652);
    assert_eq!(targets(train[0]), targets(train[159]));
    assert_ne!(plan.instance(train[0]).seed, plan.instance(train[1]).seed);
}

#[test]
fn in_hcp_scores_keep_the_excluded_labels_and_training_targets_do_not() {
    let plan = planned("hcp");
    assert_eq!(params(&plan, "manual")["listed"], Value::Text("keep".into()), "scores would lose excluded labels");
    for stage in ["score", "score_running", "score_each"] {
        for id in of(&plan, stage) {
            assert_eq!(producers(&plan, id, "raters"), BTreeSet::from(["manual"]), "raters of {}", plan.label(id));
        }
    }
    for id in of(&plan, "targets") {
        assert_eq!(producers(&plan, id, "labels"), BTreeSet::from(["trained_on"]), "labels of {}", plan.label(id));
    }
}

/// Networks on channels that are 0 would be trained on nothing more than others are.
#[test]
fn without_tract_maps_no_network_reads_diffusion() {
    let inputs = |profile: &str| -> BTreeSet<String> {
        let plan = planned(profile);
        of(&plan, "train").iter().map(|id| plan.instance(*id).at.get("inputs").expect("an axis").clone()).collect()
    };
    assert_eq!(inputs("hcp"), ["anat", "t1t2", "func", "nodw"].map(str::to_owned).into());
    assert_eq!(inputs("hcp-tracts").len(), 8);
}

#[test]
fn in_hcp_networks_are_trained_with_the_rates_of_the_published_plans() {
    let plan = planned("hcp");
    let published = BTreeMap::from([("area", [0.00375, 0.0025, 0.00125]), ("ring", [0.00562, 0.00375, 0.00187])]);
    for id in of(&plan, "train") {
        let outputs = plan.instance(id).at.get("outputs").expect("an axis of trainings");
        let rates: Vec<f64> = rounds(&plan, id).into_iter().map(|round| number(&round["lr"])).collect();
        assert_eq!(rates, published[outputs.as_str()], "learning rates of {}", plan.label(id));
    }
}

/// Test subjects that choose which weights are kept make their own scores too good.
#[test]
fn in_the_demo_other_subjects_choose_the_weights_than_those_that_are_scored() {
    for (profile, choosing) in [("demo", 0.125), ("tiny", 0.25), ("swapped", 0.125)] {
        let plan = planned(profile);
        let split = params(&plan, "split");
        assert_eq!((number(&split["held_out"]), number(&split["choose"])), (0.25, choosing), "split of `{profile}`");
    }
    let hcp = planned("hcp");
    let split = hcp.stage_of(of(&hcp, "split")[0]);
    assert_eq!(split.work, Work::Kind("split/twins".into()), "the study has two parts");
}

#[test]
fn restrictions_reach_every_descendant_and_unreleased_results_are_named() {
    let plan = planned("hcp");
    let sources: Vec<&str> =
        plan.restricted_sources().keys().map(|stage| plan.stages[stage.index()].name.as_str()).collect();
    assert_eq!(sources, ["subject", "family"]);
    let summary = plan.instance(of(&plan, "summary")[0]);
    assert_eq!(summary.restricted.iter().collect::<Vec<_>>(), ["hcp-open-access", "hcp-restricted"]);
    assert!(plan.instance(of(&plan, "template")[0]).restricted.is_empty());
    let refused = plan.refused_results();
    let kept = ["cohort_sheet", "contours", "flatmaps", "models/"];
    assert!(refused.iter().all(|(result, _)| kept.iter().any(|name| result.path.starts_with(name))), "{refused:?}");
    let chain = &refused.iter().find(|(result, _)| result.path == "flatmaps.png").unwrap().1.chain;
    assert_eq!(chain.first().map(String::as_str), Some("subject"));
    let weights = &refused.iter().find(|(result, _)| result.path.starts_with("models/")).unwrap().1;
    assert_eq!(weights.why, "its release was not approved yet (`approved:` is missing)");
    assert!(planned("demo").refused_results().is_empty());
}

/// Trained here or by the authors, `func` is where `fnyu` begins; and what is made of restricted networks is restricted.
#[test]
fn fnyu_is_trained_from_func_ten_times_in_batches_of_two() {
    for (profile, restricted) in [("nyu", false), ("hcp-nyu", true), ("hcp-published-nyu", false)] {
        let plan = planned(profile);
        let trainings = of(&plan, "nyu_train");
        assert_eq!(trainings.len(), 10, "{profile}");
        let seeds: BTreeSet<_> = trainings.iter().map(|id| plan.instance(*id).seed).collect();
        assert_eq!(seeds.len(), 10, "{profile}: another order of samples each time");
        for id in trainings {
            let training = plan.instance(id);
            let Source::One(Link::Output { instance, .. }) = training.inputs["initial"] else { panic!("a stage") };
            assert_eq!(plan.label(instance), "best(inputs=func, outputs=area)", "{profile}");
            let [inputs, batch] = ["inputs", "batch_size"].map(|name| &training.params[name]);
            assert_eq!((inputs, batch), (&Value::Text("func".into()), &Value::Int(2)), "{profile}");
            let rates: Vec<f64> = rounds(&plan, id).into_iter().map(|round| number(&round["lr"])).collect();
            assert_eq!(rates, [0.00167, 0.00111, 0.00056], "{profile}");
            assert_eq!(!training.restricted.is_empty(), restricted, "{profile}");
        }
        assert!(plan.instance(of(&plan, "nyu_images")[0]).restricted.is_empty(), "{profile}: the subjects are public");
        let refused = plan.refused_results();
        let why = |path: &str| refused.iter().find(|(result, _)| result.path.starts_with(path)).map(|(_, no)| &*no.why);
        let weights = restricted.then_some("its release was not approved yet (`approved:` is missing)");
        assert_eq!(why("models/fnyu_area"), weights, "{profile}");
        assert_eq!(why("figure3"), None, "{profile}: whether it is released depends on how many are behind it");
    }
}

#[test]
fn seeds_depend_on_coordinates_not_on_names_or_order() {
    let text = fs_err::read_to_string(benson2025()).expect("readable");
    let folder = std::env::temp_dir().join(format!("pipe-seeds-{}", std::process::id()));
    fs_err::create_dir_all(&folder).expect("a folder");
    let renamed = folder.join("renamed.yaml");
    fs_err::write(
        &renamed,
        text.replace("  train:\n", "  learn:\n").replace("$train(", "$learn(").replace("$train.", "$learn."),
    )
    .expect("written");
    fs_err::write(folder.join("hcp_subjects.txt"), "115017\n").expect("written");
    let other = plan(&renamed, &options("demo"), &registry()).unwrap_or_else(|error| panic!("{error}"));
    let seeds = |plan: &Plan, stage: &str| of(plan, stage).iter().map(|id| plan.instance(*id).seed).collect::<Vec<_>>();
    assert_eq!(seeds(&planned("demo"), "train"), seeds(&other, "learn"));
    fs_err::remove_dir_all(&folder).expect("removed");
}
