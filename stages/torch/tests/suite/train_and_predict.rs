//! The kinds as the engine uses them: training learns and is repeatable, prediction gives labels, errors name their place.

use std::path::Path;

use fs_err as fs;
use pipe_contract::{Cell, Coordinates, Ended, Given, Presence, Silent, StageKind, Task};
use pipe_stages::formats::channel_statistics::CHANNELS;
use pipe_stages::formats::data_table::{Partition, write_split};
use pipe_stages::formats::freesurfer::{Surface, write_surface};
use pipe_stages::formats::image_conventions::{DepthUnit, ImageConventions, Normalisation};
use pipe_stages::formats::mgh;
use pipe_stages::formats::tensors;
use pipe_stages::numeric::icosahedron::subdivided;
use pipe_stages::unet::model_folder::{self, ModelOptions, OPTIONS, PLAN, RestartOutcome, WEIGHTS};
use pipe_torch::weights::{NetworkShape, Weights};

use crate::support::{Listener, Subjects, bytes, device, run, task};

#[test]
fn declared_and_present_are_the_same_kinds() {
    let mut here: Vec<_> = pipe_torch::stages().iter().map(|stage| stage.kind()).collect();
    let mut declared = pipe_stages::unet::declarations::in_worker();
    declared.extend(pipe_stages::net::network_kinds::in_worker());
    let mut registry = pipe_contract::Registry::new();
    pipe_stages::unet::install(&mut registry);
    pipe_stages::net::install(&mut registry);
    here.sort_by_key(|kind| kind.name);
    declared.sort_by_key(|kind| kind.name);
    assert_eq!(format!("{here:?}"), format!("{declared:?}"));
    for kind in registry.kinds() {
        let is_here = here.iter().any(|own| own.name == kind.name);
        assert_eq!(is_here, registry.stage(kind.name).is_none(), "`{}` runs in one binary only", kind.name);
    }
}

#[test]
fn training_learns_and_gives_the_same_bytes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 4, 1);
    let params = [("epochs", 3.into()), ("rounds", 2.into()), ("learning_rate", 0.002.into())];
    let first = subjects.training(&folder.path().join("first"), &params);
    let listener = Listener::default();
    let ended = run(&first, &listener).unwrap();
    let Ended::Done { ran_on: Some(ran_on), notes, .. } = ended else { panic!("not done: {ended:?}") };
    assert_eq!((ran_on.threads, ran_on.library.as_str()), (1, "libtorch 2.11.0"));
    assert!(notes.is_empty(), "{notes:?}");
    check_model(&folder.path().join("first/model"));
    check_log(&listener);
    check_metrics(&listener, &folder.path().join("first/model"));
    let second = subjects.training(&folder.path().join("second"), &params);
    run(&second, &Silent).unwrap();
    assert!(bytes(&folder.path().join("first/model")) == bytes(&folder.path().join("second/model")));
}

/// Every epoch reports where it is, its losses and its score, which are those of the table.
fn check_metrics(listener: &Listener, model: &Path) {
    let metrics = listener.metrics();
    assert_eq!(metrics.len(), 6 * 9);
    let table = fs::read_to_string(model.join("epochs.tsv")).unwrap();
    let head: Vec<&str> = table.lines().next().unwrap().split('\t').collect();
    for (name, column, value) in [
        ("round", "round", (|cell| cell) as fn(f64) -> f64),
        ("epoch", "epoch", |cell| cell),
        ("validation/loss", "val_loss", |cell| cell),
        ("validation/dice", "val_dice_loss", |cell| 1.0 - cell),
    ] {
        let column = head.iter().position(|known| *known == column).unwrap();
        let found: Vec<_> = metrics.iter().filter(|metric| metric.name() == name).collect();
        assert_eq!(found.len(), 6, "{name}");
        for (step, (metric, row)) in (1..).zip(found.iter().zip(table.lines().skip(1))) {
            let cell: f64 = row.split('\t').nth(column).unwrap().parse().unwrap();
            assert_eq!(metric.step(), step);
            assert!((metric.value() - value(cell)).abs() < 1e-6, "{name}: {} {cell}", metric.value());
        }
    }
}

fn check_model(model: &Path) {
    let files = bytes(model);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["epochs.tsv", "model.safetensors", "options.json", "plan.json", "training.tsv"]);
    let options: ModelOptions = model_folder::read_json(&model.join(OPTIONS)).unwrap();
    assert_eq!((options.training_samples, options.validation_samples, options.pixels), (Some(6), Some(2), Some(32)));
    assert_eq!(options.channels.len(), 7);
    let plan: Vec<serde_json::Value> = model_folder::read_json(&model.join(PLAN)).unwrap();
    assert_eq!(plan.len(), 2);
    assert!(tensors::read(&model.join(WEIGHTS)).unwrap().tensors.contains_key("conv_last.weight"));
    let text = fs::read_to_string(model.join("epochs.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 6);
    let dice = |row: &[&str]| row[4].parse::<f64>().unwrap();
    assert!(dice(&rows[5]) < dice(&rows[0]) - 0.1, "it does not learn:\n{text}");
    assert_eq!(rows.iter().filter(|row| row[10] == "*").count(), 1, "{text}");
    let outcome = RestartOutcome::read(model).unwrap();
    assert_eq!((outcome.input.as_str(), outcome.dice < dice(&rows[0])), ("anat", true));
    // No file that is published with a model says who was trained on and who was held out.
    for (name, content) in &files {
        // Of weights the head, which names all tensors and ends where their numbers begin: among these any three bytes occur by chance.
        let text = content.len() - if name == WEIGHTS { tensors_size(content) } else { 0 };
        says_nothing_of_the_split(name, &String::from_utf8_lossy(&content[..text]));
    }
}

/// Bytes behind the head of a safetensors file, whose first eight say how long the head is.
fn tensors_size(file: &[u8]) -> usize {
    let head = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    file.len() - 8 - head
}

/// A split can say who is related, so nothing that is made from it may hold an id of a subject, or a digest of the split.
fn says_nothing_of_the_split(name: &str, text: &str) {
    assert!(!text.contains("s00"), "{name} contains a subject id");
    // The original's places for it are there, and empty.
    let rest = text.replace("\"partition\": null", "").replace("Partition ID: withheld", "").to_lowercase();
    assert!(!rest.contains("partition"), "{name} contains something of the split");
}

fn check_log(listener: &Listener) {
    let log = listener.log();
    log.iter().for_each(|line| says_nothing_of_the_split("the log", line));
    assert!(log[1].starts_with("Iteration 0"));
    assert_eq!(log.iter().filter(|line| line.starts_with("Best val loss: ")).count(), 2);
    let last = listener.progress_reports().pop().unwrap();
    assert_eq!((last.total, last.unit.as_str()), (36, "steps"));
    assert!(last.note.starts_with("round 2/2, epoch 3/3, val dice 0."), "{}", last.note);
}

#[test]
fn listed_rounds_are_those_trained_and_a_simulated_model_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let listed = serde_json::json!([
        {"lr": 0.00375, "bce_weight": 0.5, "num_epochs": 1}, {"lr": 0.00187, "bce_weight": 0, "num_epochs": 1},
    ]);
    let mut task = subjects.training(folder.path(), &[("schedule", listed.clone()), ("rounds", 7.into())]);
    task.simulated = true;
    run(&task, &Silent).unwrap();
    let model = folder.path().join("model");
    let plan: Vec<serde_json::Value> = model_folder::read_json(&model.join(PLAN)).unwrap();
    let rates: Vec<f64> = plan.iter().map(|round| round["lr"].as_f64().unwrap()).collect();
    assert_eq!(rates, [0.00375, 0.00187]);
    let options: ModelOptions = model_folder::read_json(&model.join(OPTIONS)).unwrap();
    assert!(options.simulated);
    let epochs = fs::read_to_string(model.join("epochs.tsv")).unwrap();
    assert!(epochs.starts_with("round\tepoch\tlr\ttrn_bce\ttrn_dice_loss\t"), "{epochs}");
    assert_eq!(epochs.lines().count(), 3);
    let unfit = subjects.training(folder.path(), &[("schedule", serde_json::json!([{"lr": 0.1}]))]);
    assert!(run(&unfit, &Silent).unwrap_err().message.starts_with("round 1 of `schedule`"));
}

/// A training that diverges in every round is absent, with where it began; one that diverges in a later round has the weights of an
/// earlier one, and says so.
#[test]
fn a_training_that_diverges_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    // After the first step, activations are beyond the greatest number of single precision.
    let round = |lr: f64| serde_json::json!({"lr": lr, "bce_weight": 0.5, "num_epochs": 1});
    let training = |rates: &[f64]| {
        let schedule = rates.iter().map(|lr| round(*lr)).collect::<Vec<_>>();
        subjects.training(&folder.path().join("out"), &[("schedule", schedule.into()), ("batch_size", 2.into())])
    };
    let mut all = training(&[1e6, 1e6]);
    all.checkpoint = Some(folder.path().join("checkpoint"));
    assert_eq!(run(&all, &Listener::cancelling(1)).unwrap_err().message, "cancelled while training");
    let Ended::Absent { cause, detail } = run(&all, &Silent).unwrap() else { panic!("not absent") };
    assert_eq!(cause, "diverged");
    let first = "its loss became NaN in round 1, epoch 1, step 2 (learning rate 1000000.0)";
    assert!(detail.contains(first) && detail.contains("Lower `learning_rate`"), "{detail}");
    assert!(!folder.path().join("out/model").exists(), "an absent model has no files");
    assert!(pipe_stages::unet::declarations::train().absences.contains(&"diverged"));

    let Ended::Done { notes, .. } = run(&training(&[0.002, 1e6]), &Silent).unwrap() else { panic!("not done") };
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.starts_with("important: the training diverged in 1 of 2 epochs (first: NaN in round 2"), "{note}");
}

/// What a search compares are losses; weights are most of a model's bytes.
#[test]
fn a_model_may_go_without_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let model = |name: &str, keep: bool| {
        let params = [("epochs", 1.into()), ("rounds", 1.into()), ("keep_weights", keep.into())];
        run(&subjects.training(&folder.path().join(name), &params), &Silent).unwrap();
        bytes(&folder.path().join(name).join("model"))
    };
    let (mut kept, dropped) = (model("kept", true), model("dropped", false));
    assert!(kept.remove(WEIGHTS).unwrap().len() > 70_000_000);
    assert!(kept == dropped && dropped.values().map(Vec::len).sum::<usize>() < 10_000, "{:?}", dropped.keys());
    let shape = NetworkShape::new("resnet18", 7, 3).unwrap();
    let failure = Weights::read(&folder.path().join("dropped/model").join(WEIGHTS), shape, device()).unwrap_err();
    assert!(failure.hint.unwrap().contains("keep_weights: true"));
}

#[test]
fn subjects_who_are_only_scored_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 4, 1);
    let part = [Partition::Train, Partition::Train, Partition::Choose, Partition::Test];
    let split = part.into_iter().enumerate().map(|(index, part)| (format!("s{index:02}"), part)).collect();
    write_split(&folder.path().join("split"), &split).unwrap();
    fs::write(subjects.images("s03"), "rubbish").unwrap();
    let params = [("epochs", 1.into()), ("rounds", 1.into())];
    let task = subjects.training(&folder.path().join("out"), &params);
    let Ended::Done { notes, .. } = run(&task, &Silent).unwrap() else { panic!() };
    assert!(notes.is_empty(), "{notes:?}");
    let options: ModelOptions = model_folder::read_json(&folder.path().join("out/model").join(OPTIONS)).unwrap();
    assert_eq!((options.training_samples, options.validation_samples, options.simulated), (Some(4), Some(2), false));
}

#[test]
fn absent_cells_and_unknown_subjects_are_counted_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 4, 1);
    let mut task = subjects.training(&folder.path().join("out"), &[("epochs", 1.into()), ("rounds", 1.into())]);
    change(&mut task, "targets", |cells| cells[0].artifact = Presence::Absent("excluded".into()));
    change(&mut task, "images", |cells| drop(cells.remove(1)));
    let Ended::Done { notes, .. } = run(&task, &Silent).unwrap() else { panic!() };
    assert_eq!(notes, ["`targets`: 7 of 8 cells present", "2 drawings left out because the subject has no images"]);
    task.coverage.insert("targets".into(), 0.9);
    let failure = run(&task, &Silent).unwrap_err();
    assert!(failure.message.contains("7 of 8 cells, less than the 90 %"), "{failure}");
}

#[test]
fn bad_input_is_reported_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let task = subjects.training(&folder.path().join("out"), &[]);
    let mut no_validation = task.clone();
    change(&mut no_validation, "targets", |cells| cells.truncate(4));
    assert!(run(&no_validation, &Silent).unwrap_err().message.contains("nothing to validate on"));

    let mut file = tensors::read(&subjects.images("s01")).unwrap();
    if let tensors::TensorValues::F32(values) = &mut file.tensors.get_mut("images").unwrap().values {
        values[2 * 32 * 64 + 64 * 3 + 5] = f32::NAN;
    }
    tensors::write(&subjects.images("s01"), &file).unwrap();
    let failure = run(&task, &Silent).unwrap_err();
    assert_eq!(failure.message, "channel `z` is NaN in row 3, column 5, expected a finite number");
    assert!(failure.place.unwrap().ends_with("s01.images"));

    fs::write(subjects.images("s01"), "rubbish").unwrap();
    assert!(run(&task, &Silent).unwrap_err().place.unwrap().ends_with("s01.images"));
}

#[test]
fn drawings_without_the_labels_asked_for_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 4, 1);
    let path = subjects.targets("s01", "A2");
    let mut file = tensors::read(&path).unwrap();
    let areas = file.tensors.get_mut("targets").unwrap();
    areas.shape[0] = 3;
    if let tensors::TensorValues::F32(values) = &mut areas.values {
        values.truncate(3 * 32 * 64);
    }
    file.metadata.insert("channels".into(), "V1,V2,V3".into());
    tensors::write(&path, &file).unwrap();
    let params = |outputs: &str| [("epochs", 1.into()), ("rounds", 1.into()), ("outputs", outputs.into())];
    let notes = |outputs: &str| match run(&subjects.training(&folder.path().join(outputs), &params(outputs)), &Silent) {
        Ok(Ended::Done { notes, .. }) => notes,
        other => panic!("{other:?}"),
    };
    assert!(notes("area").is_empty());
    assert_eq!(notes("ring"), ["1 drawings left out because E0, E1, E2, E3, E4 are not all labelled"]);
}

#[test]
fn images_and_targets_of_another_radius_or_size_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let task = subjects.training(&folder.path().join("out"), &[]);
    for sid in ["s00", "s01", "s02"] {
        let mut file = tensors::read(&subjects.images(sid)).unwrap();
        file.metadata.insert("radius".into(), "90".into());
        tensors::write(&subjects.images(sid), &file).unwrap();
        if sid == "s00" {
            let failure = run(&task, &Silent).unwrap_err();
            assert_eq!(failure.message, "images reach 80 degrees from the pole, the ones before 90");
        }
    }
    let failure = run(&task, &Silent).unwrap_err();
    assert_eq!(failure.message, "images reach 90 degrees from the pole, targets 80");
}

fn change(task: &mut Task, port: &str, how: impl Fn(&mut Vec<Cell>)) {
    match task.inputs.get_mut(port) {
        Some(Given::Many(cells)) => how(cells),
        other => panic!("{other:?}"),
    }
}

/// A subject whose two hemispheres are spheres.
fn subject(folder: &Path) -> usize {
    let surf = folder.join("s00/T1w/s00/surf");
    fs::create_dir_all(&surf).unwrap();
    let (points, triangles) = subdivided(4);
    let coordinates = points.iter().map(|point| point.map(|x| (x * 100.0) as f32)).collect();
    let surface = Surface { coordinates, triangles };
    for name in ["lh.white", "lh.sphere.reg", "rh.white", "rh.sphere.reg"] {
        write_surface(&surf.join(name), &surface).unwrap();
    }
    points.len()
}

#[test]
fn prediction_gives_labels_on_both_hemispheres() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let train = subjects.training(&folder.path().join("trained"), &[("epochs", 1.into()), ("rounds", 1.into())]);
    run(&train, &Silent).unwrap();
    let vertices = subject(&folder.path().join("subject"));
    let mut predicted = Vec::new();
    for (name, bn) in [("first", "batch"), ("again", "batch"), ("running", "running")] {
        let out = folder.path().join(name);
        fs::create_dir_all(&out).unwrap();
        let kind = pipe_stages::unet::declarations::predict();
        let mut predict = task(&kind, &out, &[("bn", bn.into())]);
        for (port, path) in [("model", "trained/model"), ("images", "s00.images"), ("subject", "subject")] {
            predict.inputs.insert(port.into(), Given::One(folder.path().join(path)));
        }
        run(&predict, &Silent).unwrap();
        predicted.push(bytes(&out.join("labels")));
        let labels = mgh::read_i32(&out.join("labels/rh.area.mgz")).unwrap();
        assert_eq!(labels.len(), vertices);
        assert!(labels.iter().all(|label| (0..=3).contains(label)));
        assert!(labels.contains(&0));
    }
    assert_eq!(predicted[0].keys().collect::<Vec<_>>(), ["lh.area.mgz", "rh.area.mgz"]);
    assert!(predicted[0] == predicted[1]);

    let path = folder.path().join("trained/model").join(OPTIONS);
    let mut options: ModelOptions = model_folder::read_json(&path).unwrap();
    let conventions = ImageConventions::read(&path).unwrap();
    assert_eq!((conventions.pixels, conventions.radius, conventions.convexity), (32, 80.0, DepthUnit::Cm));
    assert!(!folder.path().join("trained/model").join(CHANNELS).exists(), "two subjects are too few to be described");

    // The options of the model decide about batch normalisation, unless the stage does.
    options.bn = Some(Normalisation::Running);
    model_folder::write_json(&path, &options).unwrap();
    let out = folder.path().join("by-options");
    fs::create_dir_all(&out).unwrap();
    let mut predict = task(&pipe_stages::unet::declarations::predict(), &out, &[("probabilities", true.into())]);
    for (port, path) in [("model", "trained/model"), ("images", "s00.images"), ("subject", "subject")] {
        predict.inputs.insert(port.into(), Given::One(folder.path().join(path)));
    }
    run(&predict, &Silent).unwrap();
    let mut by_options = bytes(&out.join("labels"));
    by_options.retain(|name, _| !name.contains("probabilities"));
    assert!(by_options == predicted[2]);
    let frames = mgh::read_frames(&out.join("labels/lh.area_probabilities.mgz")).unwrap();
    assert_eq!((frames.len(), frames[0].len()), (3, vertices));
    assert!(frames.iter().flatten().all(|value| (0.0..=1.0).contains(value)));

    options.radius = Some(70.0);
    model_folder::write_json(&path, &options).unwrap();
    let failure = run(&predict, &Silent).unwrap_err();
    assert_eq!(failure.message, "images reach 80 degrees from the pole, but those that the network was trained on 70");
    options.radius = Some(80.0);
    options.pixels = Some(64);
    model_folder::write_json(&path, &options).unwrap();
    let mut predict = task(&pipe_stages::unet::declarations::predict(), &folder.path().join("other"), &[]);
    for (port, path) in [("model", "trained/model"), ("images", "s00.images"), ("subject", "subject")] {
        predict.inputs.insert(port.into(), Given::One(folder.path().join(path)));
    }
    let failure = run(&predict, &Silent).unwrap_err();
    assert_eq!(failure.message, "images are 32 pixels high, but the network was trained on images of 64");
}

/// A worker reuses the network it used last; another model, or other weights in its place, are another network.
#[test]
fn a_worker_predicts_with_the_model_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    for (name, rate) in [("one", 0.001), ("two", 0.01)] {
        let params = [("epochs", 1.into()), ("rounds", 1.into()), ("learning_rate", rate.into())];
        run(&subjects.training(&folder.path().join(name), &params), &Silent).unwrap();
    }
    subject(&folder.path().join("subject"));
    let stages = pipe_torch::stages();
    let reused = stages.iter().find(|stage| stage.kind().name == "unet/predict").unwrap();
    let predicted = |name: &str, model: &str, reused: Option<&dyn StageKind>| {
        let out = folder.path().join(name);
        fs::create_dir_all(&out).unwrap();
        let mut predict = task(&pipe_stages::unet::declarations::predict(), &out, &[]);
        for (port, path) in [("model", model), ("images", "s00.images"), ("subject", "subject")] {
            predict.inputs.insert(port.into(), Given::One(folder.path().join(path)));
        }
        reused.map_or_else(|| run(&predict, &Silent), |kind| kind.run(&predict, &Silent)).unwrap();
        bytes(&out.join("labels"))
    };
    let [one, two] = ["one", "two"].map(|name| predicted(&format!("{name}-alone"), &format!("{name}/model"), None));
    assert!(one != two, "the two networks give the same labels");
    for (round, (name, alone)) in [("one", &one), ("two", &two), ("two", &two), ("one", &one)].into_iter().enumerate() {
        let labels = predicted(&round.to_string(), &format!("{name}/model"), Some(&**reused));
        assert!(labels == *alone, "round {round} does not use `{name}`");
    }
    fs::rename(folder.path().join("two/model"), folder.path().join("aside")).unwrap();
    fs::rename(folder.path().join("one/model"), folder.path().join("two/model")).unwrap();
    assert!(predicted("swapped", "two/model", Some(&**reused)) == one, "the weights at this place are others now");
}

#[test]
fn a_cell_without_a_subject_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let mut task = subjects.training(&folder.path().join("out"), &[]);
    change(&mut task, "images", |cells| cells[0].at = Coordinates::none());
    assert!(run(&task, &Silent).unwrap_err().hint.unwrap().contains("axis `sid`"));
}

/// As the original's class for NYU does: those who are scored train too.
#[test]
fn a_training_can_ignore_the_split() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 4, 1);
    let samples = |ignores: bool| {
        let params = [("epochs", 1.into()), ("rounds", 1.into()), ("ignores_split", ignores.into())];
        let out = folder.path().join(ignores.to_string());
        let Ended::Done { notes, .. } = run(&subjects.training(&out, &params), &Silent).unwrap() else {
            panic!("done")
        };
        let options: ModelOptions = model_folder::read_json(&out.join("model").join(OPTIONS)).unwrap();
        (options.training_samples, options.validation_samples, notes.iter().any(|note| note.contains("is ignored")))
    };
    // Two raters each.
    assert_eq!(samples(false), (Some(6), Some(2), false));
    assert_eq!(samples(true), (Some(8), Some(8), true));
}

/// With a learning rate of nothing the weights stay what they were; those of another network are refused.
#[test]
fn a_training_can_start_from_the_weights_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let params = |rate: f64| [("epochs", 1.into()), ("rounds", 1.into()), ("learning_rate", rate.into())];
    run(&subjects.training(&folder.path().join("first"), &params(0.002)), &Silent).unwrap();
    let first = folder.path().join("first/model");
    let mut second = subjects.training(&folder.path().join("second"), &params(0.0));
    second.inputs.insert("initial".into(), Given::One(first.clone()));
    run(&second, &Silent).unwrap();
    let read = |model: &Path| tensors::read(&model.join(WEIGHTS)).unwrap().tensors;
    let (before, after) = (read(&first), read(&folder.path().join("second/model")));
    for name in ["layer0.0.weight", "layer4.1.bn2.weight", "conv_up2.0.bias", "conv_last.weight"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert_ne!(before["layer0.1.running_mean"], after["layer0.1.running_mean"], "its statistics are of both trainings");

    let mut other = subjects.training(&folder.path().join("other"), &params(0.002));
    other.inputs.insert("initial".into(), Given::One(first));
    other.params.insert("outputs".into(), pipe_contract::Value::Text("ring".into()));
    let failure = run(&other, &Silent).unwrap_err();
    assert_eq!(failure.message, "the model at `initial` has labels V1, V2, V3, this training has E0, E1, E2, E3, E4");
}
