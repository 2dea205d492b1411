//! The profile of the NYU Retinotopy Dataset, from end to end against a server that answers as its public bucket and as the project
//! of the published networks. Subjects are simulated, networks answer with curvature: what is tried is the path, not how well it labels.
//! And figure 3 with both datasets, made of small tables.

use std::collections::BTreeMap;

use fs_err as fs;
use pipe_stages::formats::data_table::{self, Partition};
use pipe_stages::formats::score_table::{self, MEAN, Score};
use pipe_stages::formats::tensors::{self, Tensor, TensorValues, Tensors};
use pipe_stages::formats::{hdf5, mgh};
use pipe_stages::unet::channels::{of_inputs, of_outputs};
use pipe_stages::unet::weight_layout::{Role, state_dict};
use serde_json::json;

use super::support::http_server::{Answer, HttpServer};
use super::support::paper::{FILE, Paper, SIMULATION, contents, offline};
use super::support::{Shown, Space};

/// Three subjects of the dataset; the last one is held out.
pub const SUBJECTS: [&str; 3] = ["sub-wlsubj001", "sub-wlsubj004", "sub-wlsubj007"];

const SUBJECT_FILES: &str = "  made:
    uses: simulate/freesurfer
    in: { anatomy: $anatomy.files, template: $template.files }
    with: { subjects: [sub-wlsubj001, sub-wlsubj004, sub-wlsubj007] }
results:
  subjects/: $made.subjects
  labels/: $made.labels
";

/// The objects of the bucket by their keys.
pub fn dataset() -> BTreeMap<String, Vec<u8>> {
    let home = Space::with(&format!("{SIMULATION}{SUBJECT_FILES}"));
    let mut run = home.command(["run", "pipeline.yaml"]);
    offline(&mut run);
    Shown::of(&mut run).exits(0);
    let results = home.path("results/simulated");
    let (map, mut objects) = (home.path("map.mgz"), BTreeMap::new());
    for sid in SUBJECTS {
        let labels = hdf5::File::open(&results.join(format!("labels/A1/{sid}.labels.hdf5"))).expect("simulated labels");
        for h in ["lh", "rh"] {
            for name in ["white", "pial", "sphere.reg", "curv", "sulc", "thickness", "area"] {
                let file = fs::read(results.join(format!("subjects/{sid}/surf/{h}.{name}"))).expect("a simulated file");
                objects.insert(format!("derivatives/freesurfer/{sid}/surf/{h}.{name}"), file);
            }
            let areas = labels.whole_numbers(&format!("{h}/visual_area")).expect("areas");
            // Where there is no area of the study, every hundredth vertex is hV4.
            let with_hv4 = areas.iter().enumerate().map(|(vertex, area)| match area {
                0 if vertex % 100 == 0 => 4,
                area => *area as i32,
            });
            mgh::write_i32(&map, &with_hv4.collect::<Vec<_>>()).expect("written");
            let key = format!("derivatives/ROIs/{sid}/{h}.ROIs_V1-4.mgz");
            objects.insert(key, fs::read(&map).expect("it is there"));
            for (name, value) in [("x", 1.0), ("y", -2.0), ("sigma", 1.5), ("vexpl", 0.5)] {
                mgh::write_f32(&map, &vec![value; areas.len()]).expect("written");
                let key = format!("derivatives/prfanalyze-vista/{sid}/ses-nyu3t01/{h}.{name}.mgz");
                objects.insert(key, fs::read(&map).expect("it is there"));
            }
        }
    }
    objects
}

/// Weights that are 0 but for a path from one input to the answer: sulci are V1, gyri are V2, what is flat is V3. A pair of methods is
/// only scored where the first has every label, so a network that gives one label would have no scores.
fn weights(inputs: &str) -> Vec<u8> {
    let (inputs, outputs) = (of_inputs(inputs).expect("a code").len(), of_outputs("area").expect("a code").len());
    let mut tensors = Tensors::new();
    for entry in state_dict([2, 2, 2, 2], inputs, outputs) {
        let mut values = vec![if entry.role == Role::Variance { 1.0 } else { 0.0 }; entry.count()];
        // Of a kernel of 3 x 3, the middle: what comes out of feature `to` of what goes into feature `from`.
        let mut pass = |to: usize, from: usize, value: f32| values[(to * entry.shape[1] + from) * 9 + 4] = value;
        match entry.name.as_str() {
            "conv_original_size0.0.weight" => [1.0, -1.0].into_iter().enumerate().for_each(|(to, v)| pass(to, 3, v)),
            "conv_original_size1.0.weight" => (0..2).for_each(|to| pass(to, to, 1.0)),
            "conv_original_size2.0.weight" => (0..2).for_each(|to| pass(to, 128 + to, 1.0)),
            "conv_last.weight" => (0..2).for_each(|label| values[label * 64 + label] = 100.0),
            "conv_last.bias" => values[2] = 5.0,
            _ => {}
        }
        let tensor = match entry.role {
            Role::Batches => Tensor::i64(&[], vec![1]),
            _ => Tensor::f32(&entry.shape, values),
        };
        tensors.tensors.insert(entry.name, tensor);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.pt");
    tensors::write(&file, &tensors).expect("written");
    fs::read(file).expect("it is there")
}

/// The bucket, and the project with the networks `anat` and `func` but without a `fnyu`.
fn server() -> HttpServer {
    let (objects, models) = (dataset(), ["anat", "func"].map(|code| (format!("{code}_area"), weights(code))));
    let folder = |name: &str, path: &str| json!({ "attributes": { "name": name, "kind": "folder", "path": path } });
    let page = |entries: Vec<serde_json::Value>| json!({ "data": entries, "links": {} }).to_string().into_bytes();
    HttpServer::start(move |target, _| {
        let path = target.split('?').next().unwrap_or_default();
        if let Some(key) = path.strip_prefix("/openneuro.org/ds003787/") {
            return objects.get(key).map_or(Answer::Status(404, None), |bytes| Answer::Body(bytes.clone()));
        }
        if let Some(below) = path.strip_prefix("/v2/nodes/c49dv/files/osfstorage/") {
            return match below {
                "" => Answer::Body(page(vec![folder("models", "/m/")])),
                "m/" => Answer::Body(page(models.iter().map(|(name, _)| folder(name, &format!("/{name}/"))).collect())),
                name => {
                    let file = |file: &str| {
                        json!({
                            "attributes": { "name": file, "kind": "file", "path": file },
                            "links": { "download": format!("https://osf.io/download/{name}{file}") },
                        })
                    };
                    let files = ["model.pt", "options.json", "plan.json", "training.tsv"];
                    Answer::Body(page(files.map(file).into()))
                }
            };
        }
        let Some(file) = path.strip_prefix("/download/") else { return Answer::Status(404, None) };
        match (models.iter().find(|(name, _)| file.starts_with(name.as_str())), file.ends_with("model.pt")) {
            (Some((_, weights)), true) => Answer::Body(weights.clone()),
            (Some((name, _)), false) => Answer::Body(format!("{{\"of\": \"{name}\"}}").into_bytes()),
            (None, _) => Answer::Status(404, None),
        }
    })
}

/// Two samples train, so one batch is one step of Adam, which moves no weight further than the learning rate.
const RATE: f32 = 1e-4;

#[test]
fn slow_the_profile_nyu_runs_without_an_account() {
    let server = server();
    let paper = Paper::new();
    let subjects = format!("nyu_subjects=[{}]", SUBJECTS.join(", "));
    let fine_tuning = format!("fnyu={{ restarts: 2, rounds: [{{ lr: {RATE}, bce_weight: 0.75 }}] }}");
    let mut run = paper.command("run", "nyu", &["--set", &subjects, "--set", "epochs=1", "--set", &fine_tuning]);
    run.env("AWS_ENDPOINT_URL", server.address())
        .env("PIPE_OSF_API", format!("{}/v2", server.address()))
        .env("PIPE_OSF_SITE", server.address());
    let shown = Shown::of(&mut run).exits(0).shows("absent published(inputs=fnyu_published, outputs=area): not-found");
    let shown = shown.shows("that need it are absent too").shows("`--retry-absent` does");
    let _ = shown.hides("failed").hides("restricted");
    let mut profiles = fs::read_dir(paper.space.path("results/benson2025")).expect("results");
    let published = contents(&profiles.next().expect("one folder").expect("it can be listed").path());
    let table = |name: &str| String::from_utf8(published[name].clone()).expect("a table is text");
    for tag in ["prior", "anat", "func", "fnyu"] {
        let table = table("dice_area.csv");
        let has = table.lines().any(|line| line.starts_with(&format!("area,{tag},")) && line.contains(",NYU,"));
        assert!(has, "{table}");
    }
    assert_eq!(columns(&table("accuracy_area.csv")), ["NYU anat", "NYU func", "NYU fnyu", "NYU prior"]);
    assert_eq!(published["published/func_area/plan.json"], b"{\"of\": \"func_area\"}");
    for name in ["accuracy_area.png", "contours_area.pdf", "flatmaps.svg", "models/anat_area/model.safetensors"] {
        assert!(published.contains_key(name), "{name} is not among {:?}", published.keys().collect::<Vec<_>>());
    }
    trained_further(&published);
}

/// `fnyu` is the published `func` after one step on a batch of two, the better of two trainings.
fn trained_further(published: &BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |name: &str| {
        let file = folder.path().join("weights");
        fs::write(&file, &published[name]).expect("written");
        tensors::read(&file).expect("weights").tensors
    };
    let (before, after) = (read("models/func_area/model.safetensors"), read("models/fnyu_area/model.safetensors"));
    let mut furthest: f32 = 0.0;
    for entry in state_dict([2, 2, 2, 2], of_inputs("func").expect("a code").len(), 3) {
        if let (true, TensorValues::F32(before), TensorValues::F32(after)) =
            (entry.role.is_trained(), &before[&entry.name].values, &after[&entry.name].values)
        {
            furthest = before.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(furthest, f32::max);
        }
    }
    assert!((0.9 * RATE..1.1 * RATE).contains(&furthest), "the weights moved by {furthest} at most");
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&published[&format!("models/fnyu_area/{name}.json")]).expect("JSON")
    };
    assert_eq!(json("plan")[0]["batch_size"], 2);
    let samples = ["training_samples", "validation_samples"].map(|name| json("options")[name].clone());
    assert_eq!(samples, [2, 1], "two subjects train, one is held out");
    let restarts = String::from_utf8(published["models/fnyu_area/restarts.tsv"].clone()).expect("text");
    assert_eq!(restarts.lines().count(), 3, "{restarts}");
}

/// The columns of an accuracy figure from left to right, from its table.
fn columns(table: &str) -> Vec<String> {
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split(',').collect();
    let cell = |line: &str, name: &str| {
        let at = head.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no `{name}` in {head:?}"));
        line.split(',').nth(at).unwrap_or_default().to_owned()
    };
    let rows = table.lines().skip(1).filter(|line| cell(line, "label") == "mean" && cell(line, "hemisphere") == "lh");
    rows.map(|line| format!("{} {}", cell(line, "dataset"), cell(line, "tag"))).collect()
}

/// Small tables in the place of all that is computed before figure 3.
const STAND_INS: &str = "    extends: hcp-nyu
    params: { outputs: { keep: [area] }, example: 100000 }
    stages:
      score:
        each: { outputs: $params.outputs, sid: $params.subjects }
        run: cp -r \"$IN_TABLE\"/. \"$OUT_TABLE\"
        in: { table: \"tables/${each.sid}\" }
        out: { table: table/ }
        restricted: hcp-open-access
      split:
        run: cp -r \"$IN_TABLE\"/. \"$OUT_TABLE\" && echo none > \"$OUT_FAMILIES\"
        in: { table: tables/hcp }
        out: { table: table/, families: families.txt }
      nyu_score:
        each: { outputs: [area], sid: $params.nyu_subjects }
        run: cp -r \"$IN_TABLE\"/. \"$OUT_TABLE\"
        in: { table: \"tables/${each.sid}\" }
        out: { table: table/ }
        restricted: hcp-open-access
      nyu_split: { run: 'cp -r \"$IN_TABLE\"/. \"$OUT_TABLE\"', in: { table: tables/nyu }, out: { table: table/ } }
";

/// Writes the score tables of some held-out subjects, and their split.
fn stand_in(paper: &Paper, dataset: &str, sids: &[String], raters: &[&str], tags: &[(&str, f64)]) {
    let at = |name: &str| paper.space.path(format!("pipelines/tables/{name}"));
    for (number, sid) in sids.iter().enumerate() {
        let mut rows = Vec::new();
        for (index, rater) in raters.iter().enumerate() {
            for (tag, mean) in tags {
                for hemisphere in ["lh", "rh"] {
                    for (label, less) in [("1", -0.1), ("2", 0.0), ("3", 0.1), (MEAN, 0.0)] {
                        let spread = ((number * 7 + index * 5) % 11) as f64 / 60.0 - 0.08;
                        rows.push(Score {
                            dataset: dataset.into(),
                            sid: sid.clone(),
                            hemisphere: hemisphere.into(),
                            parcellation: "area".into(),
                            method1: (*rater).into(),
                            method2: (*tag).into(),
                            tag: (*tag).into(),
                            label: label.into(),
                            score: mean - less + spread,
                        });
                    }
                }
            }
        }
        data_table::write(&at(sid), &mut score_table::table(&rows, false).expect("a table")).expect("written");
    }
    let split = sids.iter().map(|sid| (sid.clone(), Partition::Val)).collect();
    data_table::write_split(&at(&dataset.to_lowercase()), &split).expect("written");
}

/// Figure 3 has the columns of both datasets in the paper's order. The rule of its release counts the subjects of HCP, whose data are
/// restricted, and not the nine of NYU.
#[test]
fn figure_3_has_both_datasets_and_its_release_counts_those_who_are_restricted() {
    let paper = Paper::with_profile("stand-ins", STAND_INS);
    let sids = |count: usize, prefix: &str| (0..count).map(|n| format!("{prefix}{n:02}")).collect::<Vec<_>>();
    let (hcp, nyu) = (sids(20, "1000"), sids(9, "sub-wlsubj0"));
    // Written in another order than that of the paper.
    let tags =
        [("rely", 0.8), ("nodw", 0.79), ("func", 0.78), ("t1t2", 0.74), ("anat", 0.73), ("inf", 0.7), ("prior", 0.5)];
    stand_in(&paper, "HCP", &hcp, &["A1", "A2", "A3", "A4"], &tags);
    stand_in(&paper, "NYU", &nyu, &["gold"], &[("fnyu", 0.78), ("func", 0.7), ("anat", 0.72)]);
    let run = |hcp: &[String]| {
        let set = [format!("subjects=[{}]", hcp.join(", ")), format!("nyu_subjects=[{}]", nyu.join(", "))];
        paper.pipe("run", "stand-ins", &["--set", &set[0], "--set", &set[1], "--until", "figure3"])
    };
    run(&hcp).exits(0).hides("refused");
    let results = paper.space.path("results/benson2025");
    let folder = fs::read_dir(results).expect("results").next().expect("one folder").expect("it can be listed").path();
    let table = fs::read_to_string(folder.join("figure3.csv")).expect("published");
    assert_eq!(
        columns(&table),
        [
            "HCP prior",
            "HCP inf",
            "HCP anat",
            "HCP t1t2",
            "HCP func",
            "HCP nodw",
            "HCP rely",
            "NYU anat",
            "NYU func",
            "NYU fnyu"
        ]
    );
    let asks = "its release asks for 20 subjects behind everything that it shows, and there are";
    run(&hcp[..19]).exits(0).shows(&format!("{asks} 19"));
    paper.space.edit(FILE, ", others_are_public: true", "");
    run(&hcp).exits(0).shows(&format!("{asks} 9"));
}
