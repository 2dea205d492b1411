//! Simulated subjects through the ordinary imports, on the real anatomy and template kept beside the project
//! (`just data`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipe_contract::{Registry, Silent, StageKind, Task};

use super::atlas::Atlas;
use super::subject::SimulateSubject;
use crate::formats::mgh;
use crate::formats::subject_folder::{Subject, optional_files, required_files};
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::flatmap::project;
use crate::numeric::projection::HCP_RADIUS;
use crate::numeric::vector::{cross, dot, subtract};
use crate::test_support::tasks::{self, data};

/// A task of a kind with its defaults.
fn task(
    stage: &dyn StageKind,
    at: &[(&str, &str)],
    inputs: &[(&str, &Path)],
    output: &Path,
    seed: Option<u64>,
) -> Task {
    fs_err::create_dir_all(output).unwrap();
    let mut task = tasks::task(stage, output);
    inputs.iter().for_each(|(port, path)| tasks::give(&mut task, port, path));
    Task { at: at.iter().copied().collect(), seed, ..task }
}

/// Makes subject `sid`; gives the folder of the outputs.
fn make(data: &Path, folder: &Path, sid: &str, seed: u64) -> PathBuf {
    let output = folder.join(sid);
    let (anatomy, template, masks) =
        (data.join("fsaverage5"), data.join("neuropythy/fsaverage"), data.join("neuropythy/fs_LR"));
    let inputs = [("anatomy", anatomy.as_path()), ("template", &template), ("masks", &masks)];
    let task = task(&SimulateSubject, &[("sid", sid)], &inputs, &output, Some(seed));
    SimulateSubject.run(&task, &Silent).unwrap();
    output
}

/// Runs an import kind by name.
fn import_with(kind: &str, inputs: &[(&str, &Path)], output: &Path) {
    let mut registry = Registry::new();
    crate::install(&mut registry);
    let stage = registry.stage(kind).unwrap();
    stage.run(&task(stage, &[], inputs, output, None), &Silent).unwrap();
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs_err::read(&path).unwrap());
        }
    }
    all
}

fn dice(a: &[i32], b: &[i32], label: i32) -> f64 {
    let count = |labels: &[i32]| labels.iter().filter(|value| **value == label).count() as f64;
    let both = a.iter().zip(b).filter(|(a, b)| **a == label && **b == label).count() as f64;
    2.0 * both / (count(a) + count(b))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
#[ignore = "needs the real data: `just data`"]
fn the_ordinary_imports_read_a_simulated_subject() {
    let data = data("");
    let folder = tempfile::tempdir().unwrap();
    let output = make(&data, folder.path(), "s07", 7);
    let tree = output.join("tree");
    for file in required_files("s07") {
        assert!(tree.join(&file).is_file(), "{file}");
    }
    let missing: Vec<String> = optional_files("s07").into_iter().filter(|file| !tree.join(file).is_file()).collect();
    assert_eq!(missing.len(), 2, "only the 59k spheres are not made: {missing:?}");

    let subject = Subject::open(&tree).unwrap();
    let cortex = subject.cortex(Hemisphere::Right).unwrap();
    assert_eq!(cortex.registered.triangles.len(), 20_480);
    assert!(cortex.myelin.unwrap().iter().all(|value| (0.5..2.5).contains(value)));

    let (labels, maps) = (output.join("imported"), output.join("prf-imported"));
    import_with("labels/import", &[("file", &output.join("labels/A3/s07.labels.hdf5"))], &labels);
    let masks = data.join("neuropythy/fs_LR");
    import_with("prf/import", &[("results", &output.join("prf")), ("subject", &tree), ("masks", &masks)], &maps);
    for (hemisphere, side) in HEMISPHERES.into_iter().zip([1.0, -1.0]) {
        let h = hemisphere.name();
        let area = mgh::read_i32(&labels.join(format!("labels/{h}.area.mgz"))).unwrap();
        let ring = mgh::read_i32(&labels.join(format!("labels/{h}.ring.mgz"))).unwrap();
        assert_eq!((area.len(), ring.len()), (10_242, 10_242));
        assert!(area.iter().zip(&ring).all(|(area, ring)| (*area > 0) == (*ring > 0)));
        for label in 1..=5 {
            assert!(ring.iter().filter(|ring| **ring == label).count() > 10, "{h} ring {label}");
        }
        let map = |name: &str| mgh::read_f32(&maps.join(format!("maps/{h}.prf_{name}.mgz"))).unwrap();
        let (x, cod) = (map("x"), map("cod"));
        let inside = |vertex: &usize| area[*vertex] > 0;
        let v: Vec<usize> = (0..area.len()).filter(inside).collect();
        let contralateral = v.iter().filter(|vertex| side * x[**vertex] > -0.5).count();
        assert!(contralateral as f64 > 0.95 * v.len() as f64, "{h}: {contralateral} of {}", v.len());
        assert!(mean(&v.iter().map(|vertex| f64::from(cod[*vertex])).collect::<Vec<_>>()) > 0.4);
        assert!(cod.iter().any(|value| value.is_nan()), "the slab does not cover the whole cortex");
    }
}

#[test]
#[ignore = "needs the real data: `just data`"]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let data = data("");
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, two] = [0, 1].map(|index: usize| {
        let output = make(&data, folders[index].path(), "s01", 5);
        let strip = |path: PathBuf| path.strip_prefix(folders[index].path()).unwrap().to_owned();
        files(&output).into_iter().map(|(path, bytes)| (strip(path), bytes)).collect::<BTreeMap<_, _>>()
    });
    assert!(one == two, "two runs differ");
    let other = tempfile::tempdir().unwrap();
    let output = make(&data, other.path(), "s01", 6);
    assert_ne!(fs_err::read(output.join("prf")).unwrap(), one[Path::new("s01/prf")]);
}

#[test]
#[ignore = "needs the real data: `just data`"]
fn warped_spheres_do_not_fold() {
    let data = data("");
    let folder = tempfile::tempdir().unwrap();
    let tree = make(&data, folder.path(), "s02", 11).join("tree");
    let subject = Subject::open(&tree).unwrap();
    for hemisphere in HEMISPHERES {
        let mesh = subject.registered(hemisphere).unwrap();
        let outward = |face: &&[u32; 3]| {
            let [a, b, c] = face.map(|vertex| mesh.sphere[vertex as usize]);
            dot(cross(subtract(b, a), subtract(c, a)), a) > 0.0
        };
        let outward = mesh.triangles.iter().filter(outward).count();
        assert!(outward == 0 || outward == mesh.triangles.len(), "{outward} of {} triangles", mesh.triangles.len());
    }
}

/// Scores of simulated subjects before any training: the template lies well off, raters agree.
/// Run with `--nocapture` to see the figures that the default amplitudes were chosen by.
#[test]
#[ignore = "needs the real data: `just data`"]
fn raters_agree_and_the_template_is_off() {
    let data = data("");
    let (mut rely, mut prior) = (Vec::new(), Vec::new());
    let atlases = HEMISPHERES.map(|hemisphere| {
        Atlas::read(&data.join("fsaverage5"), &data.join("neuropythy/fsaverage"), hemisphere).unwrap()
    });
    for seed in 1..=subjects() {
        let folder = tempfile::tempdir().unwrap();
        let output = make(&data, folder.path(), "s01", seed);
        let subject = Subject::open(&output.join("tree")).unwrap();
        let rated = ["A1", "A2", "A3", "A4"].map(|rater| {
            let imported = output.join("imported").join(rater);
            let file = output.join(format!("labels/{rater}/s01.labels.hdf5"));
            import_with("labels/import", &[("file", &file)], &imported);
            imported.join("labels")
        });
        for (hemisphere, atlas) in HEMISPHERES.into_iter().zip(&atlases) {
            let mesh = subject.registered(hemisphere).unwrap();
            let map = project(&mesh.sphere, &mesh.triangles, hemisphere, HCP_RADIUS).unwrap();
            let area_of = |folder: &PathBuf| {
                map.pick(&mgh::read_i32(&folder.join(format!("{}.area.mgz", hemisphere.name()))).unwrap())
            };
            let raters = rated.each_ref().map(area_of);
            let template: Vec<i32> = map
                .pick(&mesh.sphere)
                .into_iter()
                .map(|point| {
                    let spot = atlas.spot(point);
                    if (1..=3).contains(&spot.varea) && spot.eccentricity() < 7.0 { spot.varea } else { 0 }
                })
                .collect();
            let score = |a: &[i32], b: &[i32]| mean(&[1, 2, 3].map(|label| dice(a, b, label)));
            for first in 0..4 {
                prior.push(score(&raters[first], &template));
                for second in first + 1..4 {
                    rely.push(score(&raters[first], &raters[second]));
                }
            }
        }
    }
    let (rely, prior) = (mean(&rely), mean(&prior));
    #[expect(clippy::print_stdout, reason = "the figures by which the amplitudes were chosen")]
    {
        println!("inter-rater Dice {rely:.3}, template Dice {prior:.3}, means over V1-V3 of {} subjects", subjects());
    }
    assert!((0.74..0.88).contains(&rely), "inter-rater Dice is {rely}");
    assert!((0.38..0.56).contains(&prior), "template Dice is {prior}");
}

/// How many subjects the figures are made of.
fn subjects() -> u64 {
    std::env::var("PIPE_SIMULATED_SUBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}
