//! Bad input and a failing environment: every error names what, where, found and expected, and what to do; nothing is
//! lost, so that a run with the repaired input continues from what was finished.
//!
//! Subjects are simulated by the real kinds and copied out of the store, so that their files can be damaged. Disks that
//! fill and caches that cannot be written are mounts in a namespace of their own, which needs root or user namespaces.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use fs_err as fs;
use pipe_contract::Registry;
use pipe_contract::worker::{FromWorker, PROTOCOL};
use pipe_stages::formats::freesurfer::{Surface, write_surface};

use crate::support::not_run::not_run;
use crate::support::paper::{FILE, Paper, copy_out, events, worked};
use crate::support::{Shown, Space};

/// Subjects from a folder of the project to a figure, all in kinds that ship.
const SUBJECTS: &str = r#"pipe: 1
pipeline: mine
params:
  subjects: [s01, s02]
stages:
  subject:
    each: { sid: $params.subjects }
    uses: hcp/fetch
    in: { source: hcp/ }
  manual:
    each: { sid: $params.subjects }
    uses: labels/import
    in: { file: "labels/${each.sid}.labels.hdf5" }
  images:
    each: { sid: $params.subjects }
    uses: flatmap/images
    in: { subject: $subject.files }
    with: { pixels: 32 }
  targets:
    each: { sid: $params.subjects }
    uses: flatmap/labels
    in: { subject: $subject.files, labels: $manual.labels }
    with: { pixels: 32 }
  sheet:
    uses: figure/flatmaps
    in: { images: $images(*).images, targets: $targets(*).images }
results:
  "sheet.{svg,png}": $sheet.figure
"#;
/// Instances of [`SUBJECTS`].
const INSTANCES: usize = 9;

/// A project with [`SUBJECTS`] in `pipeline.yaml` and two simulated subjects in `hcp/` and `labels/`.
///
/// They come from a cache in the target folder, which exists as long as that: simulating is not what is tested here.
fn simulated_subjects() -> Space {
    static MADE: Once = Once::new();
    let paper = Paper::new();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("subjects");
    let invoke = |verb: &str, more: &[&str]| {
        let mut command = paper.command(verb, "tiny", more);
        Shown::of(command.env("PIPE_CACHE", &cache))
    };
    MADE.call_once(|| {
        let both = ["simulation(sid=s01)", "simulation(sid=s02)"];
        if invoke("run", &both).code() != 0 {
            // Perhaps the cache is an earlier version's.
            let _ = fs::remove_dir_all(&cache);
            invoke("run", &both).exits(0);
        }
    });
    let invoke = |verb: &str, more: &[&str]| invoke(verb, more).exits(0).stdout;
    let space = Space::with(SUBJECTS);
    for sid in ["s01", "s02"] {
        let tree = invoke("path", &[&format!("simulation(sid={sid}).tree")]);
        copy_out(Path::new(tree.trim()), &space.path("hcp"));
        let labels = invoke("path", &[&format!("simulation(sid={sid}).labels")]);
        copy_out(&Path::new(labels.trim()).join("A1"), &space.path("labels"));
    }
    space
}

fn run(space: &Space) -> (Shown, BTreeMap<String, String>) {
    let shown = space.pipe(["run", "pipeline.yaml", "--json"]);
    let worked = worked(&events(&shown.stdout));
    (shown, worked)
}

/// Damages a file, runs, puts it back. What the run printed, with its exit code.
fn with_damage(space: &Space, file: &str, damage: impl Fn(&mut Vec<u8>)) -> Shown {
    let path = space.path(file);
    let whole = fs::read(&path).unwrap_or_else(|error| panic!("`{file}`: {error}"));
    let mut bytes = whole.clone();
    damage(&mut bytes);
    fs::write(&path, bytes).expect("a damaged file can be written");
    let shown = space.pipe(["run", "pipeline.yaml"]);
    fs::write(&path, whole).expect("a repaired file can be written");
    shown
}

fn surf(sid: &str, file: &str) -> String {
    format!("hcp/{sid}/T1w/{sid}/surf/{file}")
}

#[test]
fn a_damaged_surface_is_named_and_a_repaired_one_continues_from_hits() {
    let space = simulated_subjects();
    let shown = with_damage(&space, &surf("s01", "lh.white"), |bytes| bytes.truncate(bytes.len() / 2));
    let shown = shown.exits(2).shows("failed 2").shows("skipped 1").shows("images(sid=s01)").shows("targets(sid=s01)");
    shown.shows("subject `s01`, lh, s01/T1w/s01/surf/lh.white").shows("cut off").shows("hint:");
    assert!(!space.path("results/mine").join("sheet.svg").exists());

    // `s02` was finished meanwhile; of `s01` all is made that read the damaged file.
    let (shown, ran) = run(&space);
    shown.exits(0);
    let expected = ["images(sid=s01)", "sheet", "subject(sid=s01)", "subject(sid=s02)", "targets(sid=s01)"];
    assert_eq!(ran.into_keys().collect::<Vec<_>>(), expected);
    assert!(space.path("results/mine/sheet.svg").exists());

    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1);
    let half = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    let text = |bytes: &mut Vec<u8>| *bytes = b"vertex, x, y, z\n".to_vec();
    let empty = |bytes: &mut Vec<u8>| bytes.clear();
    let nans = |bytes: &mut Vec<u8>| {
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&f32::NAN.to_be_bytes());
    };
    // The first coordinate follows the comment, which two line ends close, and two counts.
    let first_coordinate = |bytes: &mut Vec<u8>| {
        let counts = bytes.windows(2).position(|two| two == b"\n\n").expect("a comment") + 2;
        bytes[counts + 8..counts + 12].copy_from_slice(&f32::NAN.to_be_bytes());
    };
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let midthickness = "hcp/s02/T1w/Native/s02.R.midthickness.native.surf.gii".to_owned();
    let cases: [(String, Damage<'_>, &str); 9] = [
        (surf("s01", "lh.white"), &cut, "cut off"),
        (surf("s01", "lh.white"), &text, "FreeSurfer"),
        (surf("s01", "lh.white"), &empty, "lh.white"),
        (surf("s02", "rh.sphere.reg"), &text, "FreeSurfer"),
        (
            surf("s02", "rh.sphere.reg"),
            &first_coordinate,
            "not finite numbers (the first, NaN, at position 0), expected none",
        ),
        (surf("s02", "rh.curv"), &cut, "cut off"),
        (
            surf("s02", "lh.thickness"),
            &nans,
            "1 of 10242 values are not finite numbers (the first, NaN, at position 10241)",
        ),
        (midthickness.clone(), &half, "not well-formed XML"),
        (midthickness, &text, "not well-formed XML"),
    ];
    for (file, damage, expected) in cases {
        let (sid, name) = (&file[4..7], file.rsplit('/').next().expect("a name"));
        let hemisphere = if name.starts_with("lh") { "lh" } else { "rh" };
        let shown = with_damage(&space, &file, damage).exits(2);
        shown.shows(expected).shows(&format!("subject `{sid}`, {hemisphere}, {}", &file[4..])).shows("hint:");
    }
    let (shown, ran) = run(&space);
    shown.exits(0);
    assert_eq!(ran.len(), 0, "repaired as it was, everything is a hit: {ran:?}");
}

#[test]
fn files_of_another_mesh_are_recognised_by_their_counts() {
    let space = simulated_subjects();
    let icosahedron = icosahedron();
    let whole: Vec<Vec<u8>> =
        ["lh.white", "lh.sphere.reg"].map(|name| fs::read(space.path(surf("s01", name))).expect("a surface")).to_vec();
    write_surface(&space.path(surf("s01", "lh.sphere.reg")), &icosahedron).expect("a surface can be written");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(2);
    shown
        .shows("the file has values for 12 vertices, expected 10242")
        .shows("subject `s01`, lh, s01/T1w/s01/surf/lh.sphere.reg")
        .shows("hint: the files of this subject come from different meshes");

    // Both surfaces agree now; the labels of the old mesh do not fit them.
    write_surface(&space.path(surf("s01", "lh.white")), &icosahedron).expect("a surface can be written");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(2);
    shown
        .shows("`lh.area.mgz` has 10242 values, but the hemisphere has 12 vertices")
        .shows("subject `s01`, lh")
        .shows("the file has values for 10242 vertices, expected 12")
        .shows("hint:");
    for (name, bytes) in ["lh.white", "lh.sphere.reg"].iter().zip(whole) {
        fs::write(space.path(surf("s01", name)), bytes).expect("a repaired file can be written");
    }
    let (shown, ran) = run(&space);
    shown.exits(0);
    assert!(!ran.contains_key("images(sid=s02)") && !ran.contains_key("manual(sid=s01)"), "{ran:?}");
}

/// The smallest sphere that is a mesh of triangles.
fn icosahedron() -> Surface {
    let golden = f32::midpoint(1.0, 5.0_f32.sqrt());
    let radius = 100.0 / golden.hypot(1.0);
    let mut coordinates = Vec::new();
    for (a, b) in [(-1.0, golden), (1.0, golden), (-1.0, -golden), (1.0, -golden)] {
        coordinates.extend([[a, b, 0.0], [0.0, a, b], [b, 0.0, a]]);
    }
    let coordinates: Vec<[f32; 3]> = coordinates.into_iter().map(|point| point.map(|x: f32| x * radius)).collect();
    let edge = 2.0 * radius * 1.01;
    let near = |a: usize, b: usize| {
        let square: f32 = (0..3).map(|i| (coordinates[a][i] - coordinates[b][i]).powi(2)).sum();
        square.sqrt() < edge
    };
    let mut triangles = Vec::new();
    for a in 0..12 {
        for b in a + 1..12 {
            for c in b + 1..12 {
                if near(a, b) && near(b, c) && near(a, c) {
                    triangles.push([a, b, c].map(|vertex| u32::try_from(vertex).expect("it is below 12")));
                }
            }
        }
    }
    assert_eq!(triangles.len(), 20);
    Surface { coordinates, triangles }
}

#[test]
fn missing_labels_and_subjects_are_named() {
    let space = simulated_subjects();
    let shown = with_damage(&space, "labels/s01.labels.hdf5", |bytes| bytes.truncate(bytes.len() / 2)).exits(2);
    shown.shows("manual(sid=s01)").shows("is damaged").shows("s01.labels.hdf5").shows("hint: check that");
    let shown = with_damage(&space, "labels/s01.labels.hdf5", |bytes| *bytes = b"sid,label\n".to_vec()).exits(2);
    shown.shows("manual(sid=s01)").shows("read as HDF5").shows("s01.labels.hdf5").shows("hint: check that");

    let labels = space.path("labels/s02.labels.hdf5");
    let aside = space.path("aside.hdf5");
    fs::rename(&labels, &aside).expect("a file can be moved");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(2);
    shown.shows("labels/s02.labels.hdf5` does not exist").shows("hint:");
    fs::rename(&aside, &labels).expect("a file can be moved");

    // A subject without a required file is a missing cell, which this pipeline does not accept.
    let file = space.path(surf("s02", "rh.sulc"));
    fs::rename(&file, &aside).expect("a file can be moved");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(1);
    shown.shows("subject(sid=s02)").shows("subject `s02` lacks a required file").shows("rh.sulc").shows("hint:");
    space.edit("pipeline.yaml", "in: { source: hcp/ }", "in: { source: hcp/ }\n    absent: [not-found]");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(0);
    shown.shows("absent 3").shows("subject(sid=s02): not-found").shows("`images` has 1 of 2 cells");
    fs::rename(&aside, &file).expect("a file can be moved");
    let (shown, _) = run(&space);
    shown.exits(0);
}

#[test]
fn an_empty_list_of_subjects_is_refused_before_anything_runs() {
    let space = Space::with(SUBJECTS);
    let shown = space.pipe(["run", "pipeline.yaml", "--set", "subjects=[]"]).exits(2);
    shown.shows("axis `sid` of stage `subject` has no values").shows("hint: give it at least one");
    space.edit("pipeline.yaml", "subjects: [s01, s02]", "subjects: []");
    for verb in ["run", "plan"] {
        let shown = space.pipe([verb, "pipeline.yaml"]).exits(2);
        shown.shows("pipeline.yaml:7:18").shows("axis `sid` of stage `subject` has no values").shows("hint: give it");
    }
    assert!(!space.path("results").exists());
}

/// Steps of a shell in a mount namespace of its own; each is run by `step NAME COMMAND...` and shown afterwards.
/// `None`, with a line on stderr, where neither root nor user namespaces are at hand.
fn in_namespace(space: &Space, what: &str, script: &str) -> Option<BTreeMap<String, Shown>> {
    let options: &[&str] = if rustix::process::getuid().is_root() { &["-m"] } else { &["-r", "-m"] };
    let probe = Command::new("unshare").args(options).arg("true").stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        not_run(what, "neither root nor user namespaces may mount here");
        return None;
    }
    let steps = space.root().join("steps");
    fs::create_dir_all(&steps).expect("a folder can be made");
    fs::create_dir_all(space.cache()).expect("a folder can be made");
    let head = "step() { name=$1; shift; code=0; \"$@\" >\"$STEPS/$name\" 2>&1 || code=$?; echo $code >\"$STEPS/$name.code\"; }\n";
    let bare = space.command(["run"]);
    let mut command = Command::new("unshare");
    command
        .args(options)
        .args(["sh", "-eu", "-c", &format!("{head}{script}")])
        .current_dir(space.project())
        .env_clear();
    command
        .envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("STEPS", &steps)
        .env("PIPE", env!("CARGO_BIN_EXE_pipe"));
    Shown::of(&mut command).exits(0);
    let read =
        |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    let names = fs::read_dir(&steps).expect("it can be listed").flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.ends_with(".code"));
    let shown = |name: &String| {
        let code = read(steps.join(format!("{name}.code"))).trim().parse().expect("a code");
        Shown::new(code, read(steps.join(name)), String::new())
    };
    Some(names.map(|name| (name.clone(), shown(&name))).collect())
}

#[test]
fn a_full_disk_is_reported_and_a_larger_one_continues() {
    let space = simulated_subjects();
    let script = r#"
mount -t tmpfs -o size=6m none "$PIPE_CACHE"
step full "$PIPE" run pipeline.yaml -j1
mount -o remount,size=400m "$PIPE_CACHE"
step larger "$PIPE" run pipeline.yaml -j1
step left find "$PIPE_CACHE/work" "$PIPE_CACHE/kept" -mindepth 1 -not -name sweep
"#;
    let Some(mut steps) = in_namespace(&space, "a disk that fills", script) else { return };
    let mut take = |name: &str| steps.remove(name).expect("every step was run");
    let full = take("full").exits(3).shows("No space left on device").shows("disk is full").shows("free some space");
    let full = full.shows("failed");
    let ran_nothing = full.stdout.lines().any(|line| line.starts_with("ran 0,"));
    assert!(!ran_nothing, "what fitted was finished:\n{}", full.stdout);
    let larger = take("larger").exits(0);
    let hits = larger.stdout.lines().find(|line| line.starts_with("ran ")).expect("the line of counts");
    assert!(!hits.ends_with("hits 0"), "what was finished is not done again:\n{}", larger.stdout);
    assert_eq!(take("left").exits(0).stdout, "", "leftovers of the full disk stay");
    assert!(space.path("results/mine/sheet.svg").exists());
}

#[test]
fn a_read_only_cache_serves_hits_and_explains_why_it_cannot_do_more() {
    let space = simulated_subjects();
    let script = r#"
"$PIPE" run pipeline.yaml 2>/dev/null
mount --bind "$PIPE_CACHE" "$PIPE_CACHE"
mount -o remount,bind,ro "$PIPE_CACHE"
rm results/mine/sheet.svg
step hits "$PIPE" run pipeline.yaml
sed -i 's/pixels: 32/pixels: 24/' pipeline.yaml
step plan "$PIPE" plan pipeline.yaml
step work "$PIPE" run pipeline.yaml
umount "$PIPE_CACHE"
step again "$PIPE" run pipeline.yaml
"#;
    let Some(mut steps) = in_namespace(&space, "a read-only cache", script) else { return };
    let mut take = |name: &str| steps.remove(name).expect("every step was run");
    take("hits").exits(0).shows(&format!("ran 0, hits {INSTANCES}")).shows("sheet.svg");
    take("plan").exits(0).shows("parameter `pixels` changed: 32 -> 24");
    let cache = space.cache().display().to_string();
    take("work").exits(3).shows("Read-only file system").shows(&cache).shows("hint:").shows("--cache");
    take("again").exits(0).shows("ran 5, hits 4");
}

#[test]
fn without_a_network_a_package_is_an_error_of_the_environment() {
    let paper = Paper::new();
    // Bound and closed again: nothing listens there.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let mut command = paper.space.command(["run", FILE, "--profile", "tiny", "masks", "template"]);
    command
        .env("PIP_INDEX_URL", format!("http://127.0.0.1:{port}/simple"))
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("PIP_RETRIES", "1")
        .env("PIP_NO_CACHE_DIR", "1");
    let shown = Shown::of(&mut command).exits(3).shows("failed 2");
    shown.shows("pip could not reach its package index to get `neuropythy==0.13.0`").shows("hint: check the network");
    paper.pipe("run", "tiny", &["masks", "template"]).exits(0).shows("ran 2, hits 0");
}

/// One network, three subjects.
const ONE_NETWORK: &str = "    extends: tiny
    params: { subjects: [s01, s02, s03], example: s03, raters: [A1], inputs: { keep: [anat] }, outputs: { keep: [area] } }
";

#[test]
fn a_worker_that_dies_fails_its_stage_and_nothing_else() {
    let paper = Paper::with_profile("one", ONE_NETWORK);
    let with_worker = |path: &Path| {
        let mut command = paper.command("run", "one", &["--until", "train"]);
        Shown::of(command.env("PIPE_WORKER", path))
    };
    let nowhere = paper.space.root().join("no-worker");
    let shown = with_worker(&nowhere).exits(3).shows("failed 1").shows("train(inputs=anat, outputs=area, restart=1)");
    shown.shows("`unet/train` runs in the worker").shows("no-worker").shows("hint: build it");

    let cases = [
        ("quits", pipe_stages::BUILD_ID, "head -c 1 <&3 >/dev/null; echo tensor; exit 7", "exit code 7"),
        ("is-killed", pipe_stages::BUILD_ID, "head -c 1 <&3 >/dev/null; echo tensor; kill -KILL $$", "SIGKILL"),
        ("never-greets", "", "exit 7", "exit code 7"),
        ("is-stale", "0123456789", "sleep 30", "expected `"),
    ];
    for (name, build, script, expected) in cases {
        let shown = with_worker(&worker_that(&paper.space, name, build, script));
        assert_ne!(shown.code(), 0);
        let shown = shown.shows("ran 0,").shows("failed 1").shows("train(inputs=anat").shows(expected);
        // An empty log is not named.
        assert_eq!(shown.stderr.contains("log: "), script.contains("echo"), "{name}:\n{}", shown.stderr);
        assert!(!shown.stderr.contains("report"), "no defect of pipe's own:\n{}", shown.stderr);
    }
    let (shown, events) = paper.run("one", &["--until", "train"]);
    shown.exits(0);
    assert_eq!(worked(&events).into_keys().collect::<Vec<_>>(), ["train(inputs=anat, outputs=area, restart=1)"]);
}

/// A worker that greets as the real one does, waits for its task, and then does something else. With an empty
/// `build` it does not greet.
fn worker_that(space: &Space, name: &str, build: &str, script: &str) -> PathBuf {
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let kinds = registry.kinds().map(|kind| (kind.name.to_owned(), kind.version)).collect();
    let hello = FromWorker::Hello { protocol: PROTOCOL, build: build.to_owned(), kinds };
    let greeting = space.root().join(format!("{name}.json"));
    fs::write(&greeting, format!("{}\n", serde_json::to_string(&hello).expect("a greeting is JSON"))).expect("written");
    let greet = if build.is_empty() { String::new() } else { format!("cat '{}' >&3\n", greeting.display()) };
    let path = space.root().join(name);
    fs::write(&path, format!("#!/bin/sh\n{greet}{script}\n")).expect("a script can be written");
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    path
}
