//! A user's own FreeSurfer subjects: what is read of them, what is said of broken ones, and whether other programs read what comes
//! out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use pipe_stages::formats::freesurfer::{Surface, write_morphometry, write_surface};
use pipe_stages::formats::gifti;
use pipe_stages::numeric::icosahedron::subdivided;

use crate::artifacts::every_published_table_has_a_data_dictionary;
use crate::support::paper::{Paper, copy_out, files_below, offline};
use crate::support::python_package::installed;
use crate::support::{Shown, Space, workspace};

/// The part of `apply.yaml` that reads subjects.
const PIPELINE: &str = r#"pipe: 1
pipeline: p
params:
  subjects: { type: list, required: true }
  dir: /nowhere
  sulc: auto
  one: false
stages:
  subject:
    each: { sid: $params.subjects }
    uses: freesurfer/subject
    in: { surf: "${params.dir}/${each.sid}/surf/{lh,rh}.{white,pial,sphere.reg,curv,sulc,thickness,area,area.mid}" }
    with: { sulc: $params.sulc, one_hemisphere: $params.one }
results:
  "${sid}/": $subject.files
"#;

/// Vertices of each hemisphere.
const VERTICES: usize = 162;

fn ball(centre: f32, radius: f32) -> Surface {
    let (points, triangles) = subdivided(2);
    let coordinates = points.iter().map(|p| p.map(|x| x as f32 * radius)).map(|[x, y, z]| [x + centre, y, z]).collect();
    Surface { coordinates, triangles }
}

/// A subject in `<folder>/<sid>/surf`, as FreeSurfer 6 to 8 leave it: hemispheres are balls of 80 mm.
fn write_subject(folder: &Path, sid: &str) {
    let surf = folder.join(sid).join("surf");
    fs::create_dir_all(&surf).expect("a folder");
    for (h, centre) in [("lh", -42.0), ("rh", 42.0)] {
        write_surface(&surf.join(format!("{h}.white")), &ball(centre, 40.0)).expect("a surface");
        write_surface(&surf.join(format!("{h}.pial")), &ball(centre, 42.0)).expect("a surface");
        write_surface(&surf.join(format!("{h}.sphere.reg")), &ball(0.0, 100.0)).expect("a surface");
        let wave: Vec<f32> = (0..VERTICES).map(|at| if at % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let scaled = |by: f32| wave.iter().map(|value| value * by).collect::<Vec<f32>>();
        for (name, values) in [
            ("curv", scaled(0.1)),
            ("sulc", scaled(5.8)),
            ("thickness", vec![2.0; VERTICES]),
            ("area", vec![1.0; VERTICES]),
        ] {
            write_morphometry(&surf.join(format!("{h}.{name}")), &values, 320).expect("a map");
        }
        // Of no use here, and large in real subjects.
        fs::write(surf.join(format!("{h}.inflated")), "not read").expect("a file");
    }
}

fn run(space: &Space, folder: &Path, subjects: &[&str], more: &[&str]) -> Shown {
    let list = format!("subjects=[{}]", subjects.join(","));
    let dir = format!("dir={}", folder.display());
    let arguments = ["run", "pipeline.yaml", "--set", &list, "--set", &dir];
    space.pipe(arguments.iter().chain(more))
}

#[test]
fn only_the_files_that_are_needed_are_read_and_an_edit_is_noticed() {
    let space = Space::with(PIPELINE);
    let folder = space.root().join("subjects");
    write_subject(&folder, "sub-01");
    // A subject elsewhere, behind a link, as in many SUBJECTS_DIRs; the pial surface is a link in FreeSurfer 7.
    write_subject(&space.root().join("elsewhere"), "sub-02");
    symlink(space.root().join("elsewhere/sub-02"), folder.join("sub-02")).expect("a link");
    let pial = folder.join("sub-01/surf/lh.pial");
    fs::rename(&pial, folder.join("sub-01/surf/lh.pial.T1")).expect("renamed");
    symlink("lh.pial.T1", &pial).expect("a link");
    let both = ["sub-01", "sub-02"];
    run(&space, &folder, &both, &[])
        .exits(0)
        .shows("ran 2, hits 0")
        .shows("is 5.80: the unit of FreeSurfer 6 to 8, about mm");
    run(&space, &folder, &both, &[]).exits(0).shows("ran 0, hits 2");
    fs::write(folder.join("sub-01/surf/lh.inflated"), "another").expect("a file");
    run(&space, &folder, &both, &[]).exits(0).shows("ran 0, hits 2");
    write_morphometry(&folder.join("sub-01/surf/lh.thickness"), &[2.5; VERTICES], 320).expect("a map");
    run(&space, &folder, &both, &[]).exits(0).shows("ran 1, hits 1");
}

#[test]
fn one_hemisphere_is_taken_on_request_only_and_a_unit_can_be_said() {
    let space = Space::with(PIPELINE);
    let folder = space.root().join("subjects");
    write_subject(&folder, "left");
    for name in ["white", "pial", "sphere.reg", "curv", "sulc", "thickness", "area"] {
        fs::remove_file(folder.join(format!("left/surf/rh.{name}"))).expect("removed");
    }
    run(&space, &folder, &["left"], &[])
        .exits(2)
        .shows("no file of the right hemisphere is there")
        .shows("`one_hemisphere: true` predicts from one alone");
    run(&space, &folder, &["left"], &["--set", "one=true"]).exits(0).shows("only lh is there");
    write_subject(&folder, "between");
    for h in ["lh", "rh"] {
        let values: Vec<f32> = (0..VERTICES).map(|at| if at % 2 == 0 { 1.9 } else { -1.9 }).collect();
        write_morphometry(&folder.join(format!("between/surf/{h}.sulc")), &values, 320).expect("a map");
    }
    run(&space, &folder, &["between"], &[]).exits(2).shows("of `sulc` is 1.90, expected 0.2 to 1.4");
    run(&space, &folder, &["between"], &["--set", "sulc=cm"]).exits(0).shows("taken as cm");
}

/// A way to break a subject's `surf` folder, and a piece of the sentence that must name it.
type Break = (&'static str, fn(&Path), &'static str);

fn rewrite(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a file");
    change(&mut bytes);
    fs::write(path, bytes).expect("a file");
}

fn map(path: &Path, values: &[f32]) {
    write_morphometry(path, values, 320).expect("a map");
}

fn remove(surf: &Path, names: &[&str]) {
    names.iter().for_each(|name| fs::remove_file(surf.join(name)).expect("removed"));
}

const BREAKS: [Break; 24] = [
    ("empty", |surf| fs::remove_dir_all(surf).and_then(|()| fs::create_dir(surf)).expect("made"), "names no file in"),
    ("nosurf", |surf| fs::remove_dir_all(surf).expect("removed"), "nosurf/surf` does not exist"),
    ("nocurv", |surf| remove(surf, &["lh.curv"]), "1 of 14 needed files are missing: lh.curv"),
    (
        "unfinished",
        |surf| remove(surf, &["lh.pial", "lh.thickness", "rh.pial", "rh.thickness", "rh.sphere.reg"]),
        "5 of 14 needed files are missing: lh.pial, lh.thickness, rh.pial, rh.sphere.reg, rh.thickness",
    ),
    ("noarea", |surf| remove(surf, &["rh.area"]), "1 of 14 needed files are missing: rh.area"),
    (
        "oneside",
        |surf| remove(surf, &["lh.white", "lh.pial", "lh.sphere.reg", "lh.curv", "lh.sulc", "lh.thickness", "lh.area"]),
        "no file of the left hemisphere is there",
    ),
    (
        "deadlink",
        |surf| {
            remove(surf, &["lh.pial"]);
            symlink("lh.pial.T1", surf.join("lh.pial")).expect("a link");
        },
        "lh.pial.T1",
    ),
    ("zerobytes", |surf| rewrite(&surf.join("lh.white"), Vec::clear), "the file is cut off: the magic number"),
    (
        "cutsurface",
        |surf| rewrite(&surf.join("rh.pial"), |b| b.truncate(1000)),
        "the file is cut off: the list of coordinates",
    ),
    ("cutmap", |surf| rewrite(&surf.join("lh.curv"), |b| b.truncate(100)), "the file is cut off: the list of values"),
    (
        "gzipped",
        |surf| rewrite(&surf.join("lh.sulc"), |b| b[..3].copy_from_slice(&[0x1f, 0x8b, 8])),
        "it looks like a gzip file",
    ),
    (
        "pointer",
        |surf| fs::write(surf.join("lh.white"), "version https://git-lfs.github.com/spec/v1\n").expect("written"),
        "it looks like a Git LFS pointer",
    ),
    (
        "gifti",
        |surf| gifti::write_surface(&surf.join("lh.pial"), &ball(0.0, 40.0)).expect("written"),
        "it looks like GIFTI",
    ),
    (
        "swappedkinds",
        |surf| fs::copy(surf.join("lh.curv"), surf.join("lh.white")).map(drop).expect("copied"),
        "it looks like morphometry",
    ),
    (
        "othermesh",
        |surf| map(&surf.join("rh.thickness"), &[2.0; 150]),
        "it is of a mesh of 150 vertices, but `rh.white` has 162",
    ),
    (
        "otherpial",
        |surf| {
            let mut mesh = ball(42.0, 42.0);
            mesh.triangles.reverse();
            write_surface(&surf.join("rh.pial"), &mesh).expect("a surface");
        },
        "its triangles are not those of `rh.white`",
    ),
    ("nan", |surf| map(&surf.join("lh.thickness"), &[f32::NAN; VERTICES]), "162 of 162 values are not numbers"),
    (
        "nanpoint",
        |surf| {
            let mut mesh = ball(-42.0, 40.0);
            mesh.coordinates[7][1] = f32::NAN;
            write_surface(&surf.join("lh.white"), &mesh).expect("a surface");
        },
        "vertex 7 has a coordinate that is not a number",
    ),
    (
        "wildcorner",
        |surf| {
            let mut mesh = ball(-42.0, 40.0);
            mesh.triangles[3][0] = 5000;
            write_surface(&surf.join("lh.white"), &mesh).expect("a surface");
        },
        "but there are 162 vertices",
    ),
    (
        "nosphere",
        |surf| fs::copy(surf.join("rh.white"), surf.join("rh.sphere.reg")).map(drop).expect("copied"),
        "not a sphere around the origin",
    ),
    (
        "metres",
        |surf| {
            for (h, centre) in [("lh", -0.042), ("rh", 0.042)] {
                write_surface(&surf.join(format!("{h}.white")), &ball(centre, 0.04)).expect("a surface");
            }
        },
        "the hemisphere is 0.080 mm long, expected 60 to 250",
    ),
    (
        "flipped",
        |surf| {
            for name in ["white", "pial"] {
                let [left, right, third] = ["lh", "rh", "x"].map(|h| surf.join(format!("{h}.{name}")));
                fs::rename(&left, &third).and_then(|()| fs::rename(&right, &left)).expect("renamed");
                fs::rename(&third, &right).expect("renamed");
            }
        },
        "the left hemisphere lies to the right of the right one",
    ),
    ("flatcurv", |surf| map(&surf.join("rh.curv"), &[0.0; VERTICES]), "all 162 values are 0"),
    (
        "nosulc",
        |surf| ["lh", "rh"].iter().for_each(|h| map(&surf.join(format!("{h}.sulc")), &[0.0; VERTICES])),
        "the spread (s.d.) of `sulc` is 0.00, expected 0.2 to 1.4",
    ),
];

#[test]
fn each_broken_subject_has_its_sentence_and_the_others_finish() {
    let space = Space::with(PIPELINE);
    let folder = space.root().join("subjects");
    for (sid, break_it, _) in &BREAKS {
        write_subject(&folder, sid);
        break_it(&folder.join(sid).join("surf"));
    }
    write_subject(&folder, "whole1");
    write_subject(&folder, "whole2");
    let sids: Vec<&str> = BREAKS.iter().map(|(sid, ..)| *sid).chain(["whole1", "whole2"]).collect();
    let shown = run(&space, &folder, &sids, &["--json"]);
    let failures = failures(&shown.stdout);
    shown.exits(2);
    for (sid, _, sentence) in &BREAKS {
        let said = failures.get(&format!("subject(sid={sid})")).unwrap_or_else(|| panic!("`{sid}` did not fail"));
        assert!(said.contains(sentence), "`{sid}`: {said}");
        assert!(said.contains(sid) || said.contains("surf"), "where? `{sid}`: {said}");
    }
    assert_eq!(failures.len(), BREAKS.len(), "{failures:?}");
    let results = fs::read_dir(space.path("results")).expect("results").flatten().next().expect("a folder").path();
    for whole in ["whole1", "whole2"] {
        assert!(results.join(whole).join(whole).join("about.json").is_file(), "`{whole}` is not finished");
    }
}

/// What each failed instance said: message, place and hint.
fn failures(events: &str) -> BTreeMap<String, String> {
    let events = events.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ended = events.filter(|event| event["event"] == "ended" && event["outcome"]["outcome"] == "failed");
    ended
        .map(|event| {
            (event["label"].as_str().unwrap_or_default().to_owned(), event["outcome"].to_string().replace("\\\"", "\""))
        })
        .collect()
}

/// Small networks on few subjects: what is tested is the path.
const SMALL: [&str; 8] =
    ["--set", "trained_on=[t01,t02,t03,t04,t05,t06]", "--set", "raters=[A1]", "--set", "pixels=32", "-j", "2"];

#[test]
fn slow_apply_gives_files_that_other_programs_read() {
    let paper = Paper::new();
    let run = |more: &[&str]| {
        let mut command = paper.space.command(["run", "pipelines/apply.yaml"]);
        command.args(SMALL).args(more);
        offline(&mut command);
        Shown::of(&mut command)
    };
    run(&[]).exits(0).shows("absent volume(sid=fsaverage5): no-ribbon");
    let results =
        fs::read_dir(paper.space.path("results/apply")).expect("results").flatten().next().expect("a folder").path();
    every_published_table_has_a_data_dictionary(&results);
    let checked = Command::new("python3")
        .arg(workspace().join("tests/support/read_labels.py"))
        .arg(&results)
        .env("PYTHONPATH", installed("nibabel"))
        .output()
        .expect("python3 starts");
    let (out, error) = (String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success(), "{out}{error}");
    assert!(out.contains("read 56 files"), "{out}");
    the_dataset_is_valid(&results.join("bids"));
    let quality = fs::read_to_string(results.join("s41/quality_area.csv")).expect("a table");
    assert!(quality.lines().count() == 8 && quality.lines().skip(1).all(|row| row.ends_with(",5,true")), "{quality}");
    run(&[]).exits(0).shows("ran 0, hits ");
    the_same_comes_of_folders_elsewhere(&paper, &results);
}

/// What a user does: networks in one folder, subjects in another, neither in the project.
fn the_same_comes_of_folders_elsewhere(paper: &Paper, demo: &Path) {
    let space = &paper.space;
    let folder_of = |place: &str| {
        let mut command = space.command(["path", "pipelines/apply.yaml", place]);
        command.args(&SMALL[..6]);
        Shown::of(&mut command).exits(0).stdout.trim().to_owned()
    };
    let models = space.root().join("models");
    for outputs in ["area", "ring"] {
        let from = folder_of(&format!("model(outputs={outputs}).model"));
        copy_out(Path::new(&from), &models.join(format!("anat_{outputs}")));
    }
    let subjects = space.root().join("subjects");
    copy_out(Path::new(&folder_of("made.subjects")), &subjects);
    copy_out(&subjects.join("s42"), &subjects.join("left"));
    for path in files_below(&subjects.join("left/surf")) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rh.")) {
            fs::remove_file(path).expect("removed");
        }
    }
    let mut command = space.command(["run", "pipelines/apply.yaml", "--profile", "trained", "-j", "2"]);
    command.args(["--set", "one_hemisphere=true"]);
    command.args([
        "--set",
        &format!("subjects_dir={}", subjects.display()),
        "--set",
        "subjects=[fsaverage5, s41, left]",
    ]);
    command.args(["--set", &format!("models={}", models.display())]);
    offline(&mut command);
    Shown::of(&mut command).exits(0).shows("predicted from one hemisphere; the network was trained on both");
    let own = fs::read_dir(space.path("results/apply")).expect("results").flatten();
    let own = own.map(|entry| entry.path()).find(|path| path != demo).expect("another folder");
    for file in [
        "s41/surf/lh.benson2025_varea.mgz",
        "s41/mri/benson2025_vring.mgz",
        "fsaverage5/surf/rh.benson2025_vring.annot",
    ] {
        assert_eq!(fs::read(own.join(file)).expect("a file"), fs::read(demo.join(file)).expect("a file"), "{file}");
    }
    assert!(own.join("left/surf/lh.benson2025_varea.mgz").is_file());
    assert!(!own.join("left/surf/rh.benson2025_varea.mgz").exists());
    let table = fs::read_to_string(own.join("left/regions.csv")).expect("a table");
    assert!(table.lines().skip(1).all(|row| row.starts_with("left,lh,1,")), "every row is marked:\n{table}");
}

/// No error of the BIDS validator, and every file of the dataset is known to it.
fn the_dataset_is_valid(dataset: &Path) {
    let checked = Command::new("python3")
        .args(["-c", "import bids_validator_deno; bids_validator_deno.cli()", "--json"])
        .arg(dataset)
        .env("PYTHONPATH", installed("bids_validator_deno"))
        .output()
        .expect("python3 starts");
    let text = String::from_utf8_lossy(&checked.stdout);
    let found: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&checked.stderr)));
    let issues = found["issues"]["issues"].as_array().expect("a list of issues");
    let errors: Vec<_> = issues.iter().filter(|issue| issue["severity"] == "error").collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(!dataset.join(".bidsignore").exists());
    let files = files_below(dataset).len();
    assert_eq!(found["summary"]["totalFiles"].as_u64(), Some(files as u64), "{}", found["summary"]);
}
