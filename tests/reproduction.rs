//! The real pipeline, as small as it goes: the same bytes for every user, and no more work than an edit requires.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use fs_err as fs;

use crate::artifacts::every_published_table_has_a_data_dictionary;
use crate::support::another_user::{OTHER_USER, as_other_user, behind, give_away};
use crate::support::not_run::not_run;
use crate::support::paper::{FILE, Paper, Records, contents, copy_out, events, files_below, offline, worked};
use crate::support::{Shown, Space};

#[test]
fn slow_reproduction_gives_the_same_bytes_and_runs_no_more_than_an_edit_requires() {
    let paper = Paper::new();
    let (shown, events) = paper.run("tiny", &["-j2"]);
    shown.exits(0);
    let made = Records::of(&paper.space.cache()).artifacts;
    assert!(made.keys().any(|place| place.starts_with("train(")), "{made:?}");
    assert_eq!(worked(&events).len(), labels(&made).len(), "every instance ran once");

    every_published_table_has_a_data_dictionary(&paper.space.path("results/benson2025/tiny"));
    a_run_without_changes_starts_no_worker(&paper);
    what_was_deleted_comes_back(&paper);
    one_changed_byte_of_a_source_is_noticed(&paper);
    a_figures_parameter_reruns_one_stage(&paper);
    another_subject_runs_that_subject_and_what_gathers_it(&paper);

    let other = run_as_another_user();
    let theirs = Records::of(&other.cache()).artifacts;
    assert_eq!(theirs.len(), made.len());
    let different: Vec<_> = made.iter().filter(|(place, digest)| theirs.get(*place) != Some(digest)).collect();
    assert!(different.is_empty(), "{} of {} artifacts differ: {different:?}", different.len(), made.len());
}

/// `stage(axis=value)` of every `stage(axis=value).port`.
fn labels(made: &std::collections::BTreeMap<String, String>) -> BTreeSet<&str> {
    made.keys().filter_map(|place| place.rsplit_once('.')).map(|(label, _)| label).collect()
}

/// A worker that leaves a mark replaces the real one: it must not be started. The last lines check that the mark works.
fn a_run_without_changes_starts_no_worker(paper: &Paper) {
    let mark = paper.space.root().join("worker-was-started");
    let worker = paper.space.root().join("marking-worker");
    fs::write(&worker, format!("#!/bin/sh\ntouch '{}'\nexit 1\n", mark.display())).expect("a script can be written");
    fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    let run = |more: &[&str]| {
        let mut command = paper.command("run", "tiny", more);
        command.env("PIPE_WORKER", &worker);
        Shown::of(&mut command)
    };
    run(&[]).exits(0).shows("ran 0, hits ");
    assert!(!mark.exists(), "a run of hits has started the worker");

    let predict = "predict(inputs=anat, outputs=area, sid=s01)";
    run(&["--only", predict, "--force", predict]).exits(1);
    assert!(mark.exists(), "the worker of this test is never started");
}

fn what_was_deleted_comes_back(paper: &Paper) {
    let results = paper.space.path("results/benson2025/tiny");
    let before = contents(&results);
    fs::remove_file(results.join("dice_area.csv")).expect("a result can be deleted");
    paper.pipe("run", "tiny", &[]).exits(0).shows("ran 0, hits ");
    assert_eq!(contents(&results), before);

    let table = paper.pipe("path", "tiny", &["summary(outputs=area).table/table.csv"]).exits(0).stdout;
    let blob = blob_behind(&paper.space.cache(), Path::new(table.trim()));
    fs::remove_file(blob).expect("a blob can be deleted");
    let (shown, events) = paper.run("tiny", &[]);
    shown.exits(0);
    assert_eq!(worked(&events).into_keys().collect::<Vec<_>>(), ["summary(outputs=area)"]);
    assert_eq!(contents(&results), before);
}

/// The file below `blobs/` that shares its inode with a file of a view.
fn blob_behind(cache: &Path, view: &Path) -> std::path::PathBuf {
    let inode = fs::metadata(view).expect("a view can be looked at").ino();
    let mut blobs = files_below(&cache.join("blobs")).into_iter();
    blobs.find(|blob| fs::metadata(blob).is_ok_and(|found| found.ino() == inode)).expect("the blob of a view")
}

/// The same anatomy as a folder of the project is the same input; with one byte changed in place it is another.
fn one_changed_byte_of_a_source_is_noticed(paper: &Paper) {
    let anatomy = paper.pipe("path", "tiny", &["anatomy.files"]).exits(0).stdout;
    copy_out(Path::new(anatomy.trim()), &paper.space.path("pipelines/anatomy"));
    let shipped = paper.space.read(FILE);
    paper.space.edit(
        FILE,
        "\n  swapped:\n",
        "\n  mine:\n    extends: tiny\n    stages:\n      simulation:\n        each: { sid: $params.subjects }\n        \
         uses: simulate/subject\n        in: { anatomy: anatomy/, template: $template.files, masks: $masks.files }\n\n  \
         swapped:\n",
    );
    let open = |standing: &str| matches!(standing, "to run" | "may run");
    let runs = || -> Vec<String> {
        paper.plan("mine", &[]).into_iter().filter(|(_, standing)| open(standing)).map(|(label, _)| label).collect()
    };
    assert_eq!(runs(), Vec::<String>::new(), "the same bytes are the same input, wherever they lie");

    let file = files_below(&paper.space.path("pipelines/anatomy")).swap_remove(0);
    let modified = fs::metadata(&file).and_then(|found| found.modified()).expect("a time");
    let mut bytes = fs::read(&file).expect("the anatomy can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).expect("it can be written");
    fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(modified)).expect("the old time");
    let plan = paper.plan("mine", &["--only", "simulation"]);
    let to_run: Vec<&String> =
        plan.iter().filter(|(_, standing)| *standing == "to run").map(|(label, _)| label).collect();
    assert_eq!(to_run, ["simulation(sid=s01)", "simulation(sid=s02)", "simulation(sid=s03)", "simulation(sid=s04)"]);
    paper.space.write(FILE, shipped);
}

fn a_figures_parameter_reruns_one_stage(paper: &Paper) {
    let shipped = paper.space.read(FILE);
    paper.space.edit(FILE, "\n    uses: figure/flatmaps\n", "\n    uses: figure/flatmaps\n    with: { subjects: 2 }\n");
    let (shown, events) = paper.run("tiny", &[]);
    shown.exits(0);
    assert_eq!(worked(&events).into_keys().collect::<Vec<_>>(), ["flatmaps"]);
    paper.space.write(FILE, shipped);
    let (shown, events) = paper.run("tiny", &[]);
    shown.exits(0);
    assert_eq!(worked(&events).len(), 0, "going back is a hit");
}

/// Everything up to the split really runs; what trains and scores is read from the plan.
fn another_subject_runs_that_subject_and_what_gathers_it(paper: &Paper) {
    let shipped = paper.space.read(FILE);
    paper.space.edit(FILE, "subjects: [s01, s02, s03, s04], example", "subjects: [s01, s02, s03, s04, s05], example");
    let upstream = ["--until", "targets", "--until", "images", "--until", "prior", "--until", "split"];
    let (shown, events) = paper.run("tiny", &upstream);
    shown.exits(0);
    let ran = worked(&events);
    assert!(ran.values().all(|outcome| outcome == "ran"), "{ran:?}");
    let of_others = |label: &&String| !label.contains("sid=s05") && *label != "split";
    assert_eq!(ran.keys().filter(of_others).collect::<Vec<_>>(), Vec::<&String>::new());
    let stages: BTreeSet<&str> = ran.keys().map(|label| label.split('(').next().unwrap_or(label)).collect();
    let expected = ["images", "manual", "prf", "prior", "simulation", "split", "subject", "targets"];
    assert_eq!(stages.into_iter().collect::<Vec<_>>(), expected);

    let open = paper.plan("tiny", &[]).into_iter().filter(|(_, standing)| standing != "hit");
    let stages: BTreeSet<String> =
        open.map(|(label, _)| label.split('(').next().unwrap_or(&label).to_owned()).collect();
    let expected = [
        "accuracy",
        "best",
        "cohort_sheet",
        "contours",
        "flatmaps",
        "learning",
        "predict",
        "predict_running",
        "score",
        "score_running",
        "summary",
        "summary_running",
        "train",
    ];
    assert_eq!(stages.into_iter().collect::<Vec<_>>(), expected);
    paper.space.write(FILE, shipped);
}

/// The same pipeline under everything that must not matter at once: another user, project folder, home, time zone,
/// language, umask and number of jobs, and ready stages in another order.
fn run_as_another_user() -> Space {
    let paper = Paper::new();
    let elsewhere = paper.space.root().join("Ünlü proje klasörü");
    fs::rename(paper.space.project(), &elsewhere).expect("a project can be moved");
    fs::create_dir(paper.space.project()).expect("its old place stays empty");
    let mut command =
        paper.space.command(["run", FILE, "--profile", "tiny", "-j1", "--shuffle-ready", "4711", "--json"]);
    offline(&mut command);
    command
        .current_dir(&elsewhere)
        .env("HOME", paper.space.root().join("home"))
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8");
    fs::create_dir(paper.space.root().join("home")).expect("a home can be made");
    let mut command = behind(&["sh", "-c", "umask 077; exec \"$@\"", "sh"], &command);
    let user = if rustix::process::getuid().is_root() {
        give_away(paper.space.root(), OTHER_USER);
        // It may read what root may, such as libtorch in root's cache folder, but writes as itself.
        let can = "+dac_read_search";
        command = as_other_user(&["--inh-caps", can, "--ambient-caps", can], &command);
        OTHER_USER
    } else {
        not_run("another user (all else that must not matter is varied)", "only root can become one");
        rustix::process::getuid().as_raw()
    };
    let shown = Shown::of(&mut command).exits(0);
    assert!(worked(&events(&shown.stdout)).values().all(|outcome| outcome == "ran"));
    let results = elsewhere.join("results/benson2025/tiny");
    let found = fs::metadata(results.join("dice_area.csv")).expect("the results are in the other project");
    assert_eq!(found.uid(), user, "the results are written by the other user");
    paper.space
}
