//! The profiles of real data, from end to end against servers that stand in for the real ones: an S3 server that checks signatures
//! and a server that answers as the Open Science Framework does, redirects, refusals and broken connections included.
//!
//! The subjects are simulated; the pipeline, the profile and the listing of the manual labels are those that ship.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use pipe_stages::declared::hcp_study::EXCLUDED;
use pipe_stages::formats::subject_folder::required_files;
use pipe_stages::formats::{hdf5, mgh};
use serde_json::json;

use super::nyu;
use super::support::http_server::{Answer, HttpServer};
use super::support::paper::{FILE, Paper, SIMULATION, contents, files_below, offline};
use super::support::s3_server::Server;
use super::support::traces::assert_no_traces;
use super::support::{Shown, Space, workspace};

/// Simulates subjects as files of the release, raters' labels and pRF results; and unpacks the listing of the labels.
const SUBJECTS: &str = "  masks:
    uses: package/files
    with: { package: neuropythy==0.13.0, files: neuropythy/lib/data/fs_LR/*.atlasroi.* }
  listing:
    uses: package/files
    with: { package: neuropythy==0.13.0, files: neuropythy/lib/data/hcp_lines_osftree.json.gz }
  simulation:
    each: { sid: $params.subjects }
    uses: simulate/subject
    in: { anatomy: $anatomy.files, template: $template.files, masks: $masks.files }
results:
  listing/: $listing.files
  \"trees/${sid}/\": $simulation.tree
  \"labels/${sid}/\": $simulation.labels
  \"prf/${sid}.mat\": $simulation.prf
params: { subjects: [s01] }
";

/// The raters of the study.
const RATERS: [&str; 4] = ["A1", "A2", "A3", "A4"];
/// What every family of the restricted table is called, and nothing else is.
const CANARY: &str = "canary-family-";

/// The subjects of the study, sorted.
fn study() -> Vec<String> {
    let text = fs::read_to_string(workspace().join("pipelines/hcp_subjects.txt")).expect("the list that ships");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// A table of families for all of the study, made up: 40 and 25 pairs of twins, 7 of siblings, and 19 others, in the order of ids.
/// `swap` puts the rows of two families in each other's place.
fn families(swap: bool) -> String {
    let row = |(index, sid): (usize, &String)| {
        let (family, zygosity) = match index / 2 {
            pair @ 0..40 => (pair, "MZ"),
            pair @ 40..65 => (pair, "DZ"),
            pair @ 65..72 => (pair, ""),
            _ => (index, ""),
        };
        format!("{sid},{CANARY}{family},{zygosity}")
    };
    let mut rows: Vec<String> = study().iter().enumerate().map(row).collect();
    if swap {
        rows.swap(0, 6);
        rows.swap(1, 7);
    }
    format!("Subject,Family_ID,ZygosityGT\n{}\n", rows.join("\n"))
}

/// The simulated data of some subjects, and where they lie.
struct Simulated {
    home: Space,
    sids: Vec<String>,
}

impl Simulated {
    fn new(sids: &[String]) -> Self {
        let home = Space::with(&format!("{SIMULATION}{SUBJECTS}"));
        let mut run = home.command(["run", "pipeline.yaml", "--set", &format!("subjects=[{}]", sids.join(", "))]);
        offline(&mut run);
        Shown::of(&mut run).exits(0);
        Self { home, sids: sids.to_vec() }
    }

    fn results(&self) -> PathBuf {
        let folder = fs::read_dir(self.home.path("results")).expect("results").next().expect("one folder");
        folder.expect("it can be listed").path()
    }

    /// The bucket: `HCP_1200/` without tract maps, which it does not have either.
    fn bucket(&self) -> tempfile::TempDir {
        let bucket = tempfile::tempdir().expect("a folder");
        for sid in &self.sids {
            let tree = self.results().join("trees").join(sid);
            for file in files_below(&tree) {
                let below = file.strip_prefix(&tree).expect("it lies below");
                if below.components().any(|part| part.as_os_str() == "tracts") {
                    continue;
                }
                let target = bucket.path().join("HCP_1200").join(below);
                fs::create_dir_all(target.parent().expect("a parent")).expect("its folder");
                fs::copy(&file, &target).expect("a copy");
            }
        }
        bucket
    }

    /// Labels of a rater, as the project has them.
    fn labels(&self, rater: &str, sid: &str) -> Vec<u8> {
        fs::read(self.results().join(format!("labels/{sid}/{rater}/{sid}.labels.hdf5"))).expect("simulated labels")
    }

    /// The results of all subjects in one file, as the study of retinotopy has them.
    fn receptive_fields(&self) -> Vec<u8> {
        let (splits, quantities, length) = (3, 6, 91282);
        let files: Vec<Vec<f64>> = self
            .sids
            .iter()
            .map(|sid| {
                let file = hdf5::File::open(&self.results().join(format!("prf/{sid}.mat"))).expect("simulated results");
                assert_eq!(file.shape("allresults").expect("its shape"), [splits, 1, quantities, length]);
                file.numbers("allresults", None).expect("its numbers")
            })
            .collect();
        let block = (quantities * length) as usize;
        let mut values = Vec::new();
        for split in 0..splits as usize {
            for file in &files {
                values.extend(file[split * block..][..block].iter().map(|value| *value as f32));
            }
        }
        let count = self.sids.len() as u64;
        let ids: Vec<f64> = self.sids.iter().map(|sid| sid.parse().expect("a number")).collect();
        let mut builder = hdf5::Builder::new();
        builder.packed_singles("allresults", &[splits, count, quantities, length], &[1, 1, 1, length], &values);
        builder.doubles("subjectids", &[1, count], &ids);
        let path = self.home.path("all.mat");
        builder.write_matlab(&path).expect("it is written");
        fs::read(path).expect("it is there")
    }

    /// Inferred maps: those of rater A1, all at one eccentricity; by their names.
    fn inferred(&self) -> BTreeMap<String, Vec<u8>> {
        let mut maps = BTreeMap::new();
        let path = self.home.path("map.mgz");
        for sid in &self.sids {
            let labels = self.results().join(format!("labels/{sid}/A1/{sid}.labels.hdf5"));
            let labels = hdf5::File::open(&labels).expect("simulated labels");
            for hemisphere in ["lh", "rh"] {
                let areas = labels.whole_numbers(&format!("{hemisphere}/visual_area")).expect("areas");
                let areas: Vec<i32> = areas.into_iter().map(|area| area as i32).collect();
                let eccentricities: Vec<f32> = areas.iter().map(|_| 1.5).collect();
                let name = |quantity: &str| format!("{sid}.{hemisphere}.inf-MSMAll_{quantity}.native32k.mgz");
                mgh::write_i32(&path, &areas).expect("it is written");
                maps.insert(name("varea"), fs::read(&path).expect("it is there"));
                mgh::write_f32(&path, &eccentricities).expect("it is written");
                maps.insert(name("eccen"), fs::read(&path).expect("it is there"));
            }
        }
        maps
    }

    /// Paths in the project of manual labels by the ids of their addresses, from the real listing.
    fn listed(&self) -> BTreeMap<String, String> {
        let script = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
        let listing = self.results().join("listing/hcp_lines_osftree.json.gz");
        let output = Command::new("python3").args(["-c", script]).arg(listing).output().expect("python3 starts");
        let tree: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the listing is JSON");
        let mut paths = BTreeMap::new();
        ids(&tree, "", &mut paths);
        paths
    }

    /// What tells each restricted file: parts of its bytes, of its numbers in the other order, and its digest.
    fn traces(bucket: &Path) -> Vec<Vec<u8>> {
        let mut traces = vec![CANARY.as_bytes().to_vec()];
        let add = |traces: &mut Vec<Vec<u8>>, part: &[u8]| {
            let mut distinct = part.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            if distinct.len() > 8 {
                traces.push(part.to_vec());
            }
        };
        for file in files_below(bucket) {
            let bytes = fs::read(&file).expect("a file of the bucket");
            let before = traces.len();
            for part in 1..6 {
                // Numbers of a file of morphometry begin at byte 15.
                let at = 15 + (bytes.len() - 15) * part / 8 / 4 * 4;
                let Some(window) = bytes.get(at..at + 24) else { continue };
                add(&mut traces, window);
                let turned: Vec<u8> = window.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
                add(&mut traces, &turned);
            }
            assert!(traces.len() > before, "`{}` has no part that tells it", file.display());
            let digest = blake3::hash(&bytes);
            traces.extend([digest.as_bytes().to_vec(), digest.to_hex().as_bytes().to_vec()]);
        }
        for table in [families(false), families(true)] {
            let digest = blake3::hash(table.as_bytes());
            traces.extend([digest.as_bytes().to_vec(), digest.to_hex().as_bytes().to_vec()]);
        }
        traces
    }
}

fn ids(tree: &serde_json::Value, above: &str, paths: &mut BTreeMap<String, String>) {
    for (name, entry) in tree.as_object().expect("a folder") {
        match entry.as_str() {
            Some(address) => {
                let id = address.trim_end_matches('/').rsplit('/').next().expect("an id");
                paths.insert(id.to_owned(), format!("{above}{name}"));
            }
            None => ids(entry, &format!("{above}{name}/"), paths),
        }
    }
}

/// The Open Science Framework, as far as the profile needs it, with the faults of the real one.
fn osf(simulated: &Simulated) -> HttpServer {
    let paths = simulated.listed();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for sid in &simulated.sids {
        for rater in RATERS {
            files.insert(format!("normalized/{rater}/{sid}.labels.hdf5"), simulated.labels(rater, sid));
        }
    }
    let first: u64 = simulated.sids[0].parse().expect("a number");
    let mut exclusions = vec![json!(["A2", first, "lh"])];
    exclusions.extend(EXCLUDED.iter().flat_map(|sid| ["A1", "A4"].map(|rater| json!([rater, sid, "rh"]))));
    let exclusions = serde_json::Value::from(exclusions);
    files.insert("normalized/logs/exclusions.json".into(), exclusions.to_string().into_bytes());
    files.insert("prfresults59k.mat".into(), simulated.receptive_fields());
    let inferred = simulated.inferred();
    let maps: Vec<String> = inferred.keys().cloned().collect();
    files.extend(inferred.into_iter().map(|(name, bytes)| (format!("inferred_maps/{name}"), bytes)));
    let entry = |kind: &str, name: &str, path: &str, download: &str| {
        json!({
            "attributes": { "name": name, "kind": kind, "path": path }, "links": { "download": download },
        })
    };
    // An address is only known once the server runs; the site is another name of it.
    let download = |path: &str| format!("https://osf.io/storage/{path}");
    let page = |entries: Vec<serde_json::Value>| json!({ "data": entries, "links": { "next": null } }).to_string();
    let results = page(vec![entry("file", "prfresults59k.mat", "/p", &download("prfresults59k.mat"))]);
    let folders = page(vec![entry("folder", "inferred_maps", "/i/", "")]);
    let map = |name: &String| entry("file", name, "/m", &download(&format!("inferred_maps/{name}")));
    let listing = page(maps.iter().map(map).collect());
    HttpServer::start(move |target, times| {
        let path = target.split('?').next().unwrap_or_default();
        if let Some(id) = path.strip_prefix("/download/") {
            let id = id.trim_end_matches('/');
            let Some(path) = paths.get(id) else { return Answer::Status(404, None) };
            // Some addresses refuse or break off at first, as the real ones do.
            return match (id.bytes().map(usize::from).sum::<usize>() % 5, times) {
                (0, 1) => Answer::Status(429, Some(1)),
                (1, 1) => Answer::Nothing,
                (2, 1) => Answer::Status(503, None),
                _ => Answer::Moved(format!("/storage/{path}")),
            };
        }
        if let Some(path) = path.strip_prefix("/storage/") {
            return match files.get(path) {
                Some(bytes) if times == 1 && path.ends_with(".mat") => Answer::Cut(bytes.clone(), bytes.len() / 2),
                Some(bytes) => Answer::Body(bytes.clone()),
                None => Answer::Status(404, None),
            };
        }
        match path.strip_prefix("/v2/nodes/") {
            Some("bw9ec/files/osfstorage/") => Answer::Body(results.clone().into_bytes()),
            Some("5gprz/files/osfstorage/") => Answer::Body(folders.clone().into_bytes()),
            Some("5gprz/files/osfstorage/i/") => Answer::Body(listing.clone().into_bytes()),
            _ => Answer::Status(404, None),
        }
    })
}

/// A project with the shipped pipeline, the table of families, keys, and both servers.
struct Story {
    paper: Paper,
    bucket: tempfile::TempDir,
    s3: Server,
    osf: HttpServer,
}

impl Story {
    fn new(simulated: &Simulated, without: &[String]) -> Self {
        let bucket = simulated.bucket();
        for file in without {
            fs::remove_file(bucket.path().join("HCP_1200").join(file)).expect("it was there");
        }
        let s3 = Server::start("hcp-openaccess", bucket.path());
        let paper = Paper::new();
        paper.space.write("pipelines/RESTRICTED_hcpfamilystructure.csv", families(false));
        let keys = format!("[hcp]\naws_access_key_id = {}\naws_secret_access_key = {}\n", s3.key, s3.secret);
        paper.space.write("keys", keys);
        Self { paper, bucket, s3, osf: osf(simulated) }
    }

    fn pipe(&self, verb: &str, profile: &str, more: &[&str]) -> Shown {
        let mut command = self.paper.command(verb, profile, more);
        command
            .env("AWS_ENDPOINT_URL", &self.s3.endpoint)
            .env("AWS_SHARED_CREDENTIALS_FILE", self.paper.space.path("keys"))
            .env("PIPE_OSF_API", format!("{}/v2", self.osf.address()))
            .env("PIPE_OSF_SITE", self.osf.address());
        let shown = Shown::of(&mut command);
        for secret in [self.s3.secret.as_str(), self.s3.key.as_str()] {
            assert!(!shown.text().contains(secret), "a secret is shown:\n{}", shown.text());
        }
        shown
    }

    /// Neither restricted bytes nor keys are anywhere but in their places.
    fn nothing_left(&self, shown: &Shown) {
        let mut traces = Simulated::traces(self.bucket.path());
        traces.push(self.s3.secret.clone().into_bytes());
        let own = ["pipelines/RESTRICTED_hcpfamilystructure.csv", "keys"].map(|name| self.paper.space.path(name));
        assert_no_traces(&self.paper.space, shown, &traces, &own);
    }

    /// Published files by name, without those that differ from run to run.
    fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let mut profiles = fs::read_dir(self.paper.space.path("results/benson2025")).expect("results");
        let folder = profiles.next().expect("one folder").expect("it can be listed").path();
        contents(&folder)
    }
}

/// Subjects of the study, by their places in the sorted list: two pairs that train and one that is held out.
fn some() -> Vec<String> {
    let all = study();
    [0, 1, 2, 3, 6, 7].map(|index| all[index].clone()).to_vec()
}

/// What a user sets for a first run on few subjects: small images, short trainings, two of the inputs, areas.
fn few(sids: &[String], example: &str) -> Vec<String> {
    let subjects = format!("subjects=[{}]", sids.join(", "));
    let example = format!("example={example}");
    let settings = [
        subjects.as_str(),
        example.as_str(),
        "inputs={ keep: [anat, func] }",
        "outputs={ keep: [area] }",
        "restarts=3",
        "epochs=1",
        "batch=4",
        "pixels=32",
    ];
    settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting.to_owned()]).collect()
}

#[test]
fn slow_the_profile_hcp_runs_from_end_to_end() {
    let sids = some();
    let simulated = Simulated::new(&sids);
    let lacking = required_files(&sids[3]).remove(5);
    let story = Story::new(&simulated, std::slice::from_ref(&lacking));
    let options = few(&sids, &sids[4]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();

    // Two held-out subjects are too few for a release: everything is made, and published is only what is not restricted.
    let refused = story.pipe("run", "hcp", &options).exits(1);
    let refused = refused
        .shows(&format!("absent subject(sid={}): not-found", sids[3]))
        .shows(&format!("absent trained_on(rater=A2, sid={}): excluded", sids[0]))
        .shows("subject -> split -> summary) and its release asks for 20 subjects behind everything that it shows, and there are 2")
        .shows("subject -> contours) and no rule of `release:` permits it")
        .shows("subject -> targets -> train -> best) and its release was not approved yet")
        .hides("failed")
        .hides("are not in the list");
    story.nothing_left(&refused);
    let names = |published: &BTreeMap<String, Vec<u8>>| published.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&story.published()), ["cohort.csv", "cohort.json", "parameters.json"]);
    let cohort = String::from_utf8(story.published().remove("cohort.csv").expect("published")).expect("text");
    assert_eq!(cohort.lines().filter(|line| line.ends_with(",study")).count(), 163);

    // One question finds the results, two find all inferred maps, and none is needed for the labels.
    let asked = story.osf.seen();
    let questions: Vec<&String> = asked.iter().filter(|path| path.starts_with("/v2")).collect();
    assert_eq!(questions.len(), 3, "{questions:?}");
    let labels = asked.iter().filter(|path| path.starts_with("/storage/normalized/A"));
    assert_eq!(labels.count(), 4 * sids.len(), "each file of labels once");

    // The owner finds what was refused; networks and their logs do not say who is on which side.
    let path = |what: &str| {
        let shown = story.pipe("path", "hcp", &[&options[..], &[what]].concat());
        PathBuf::from(shown.stdout.trim())
    };
    assert!(path("accuracy(outputs=area).figure").join("figure.png").is_file());
    let split = fs::read_to_string(path("split.table").join("table.csv")).expect("the split");
    let part = |index: usize, part: &str| assert!(split.contains(&format!("{},{part}\n", sids[index])), "{split}");
    [0, 1, 2].into_iter().for_each(|index| part(index, "trn"));
    [4, 5].into_iter().for_each(|index| part(index, "val"));
    let mut said =
        story.pipe("log", "hcp", &[&options[..], &["train(inputs=anat, outputs=area, restart=1)"]].concat()).text();
    for file in files_below(&path("best(inputs=anat, outputs=area).model")) {
        said.push_str(&String::from_utf8_lossy(&fs::read(file).expect("a file of a model")));
    }
    assert!(said.contains("epoch"), "the log and the options are there");
    for sid in &sids {
        assert!(!said.contains(sid.as_str()), "a network says whom it saw");
    }

    // With a rule that two subjects keep, tables and figures of scores leave, and nothing else does.
    story.paper.space.edit(FILE, "\n        rule: { aggregate: 20 }\n", "\n        rule: { aggregate: 2 }\n");
    let released = story.pipe("run", "hcp", &options).exits(1).shows("ran 0, hits");
    story.nothing_left(&released);
    let first = story.published();
    for name in ["accuracy_area.pdf", "dice_area.csv", "dice_running_area.csv", "partition_area.csv"] {
        assert!(first.contains_key(name), "{name} is not among {:?}", names(&first));
    }
    assert!(
        !first.keys().any(|name| name.starts_with("contours") || name.starts_with("models")),
        "{:?}",
        names(&first)
    );
    for sid in &sids {
        let named = first.iter().filter(|(name, _)| !name.starts_with("cohort") && *name != "parameters.json");
        let text: String = named.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
        assert!(!text.contains(sid.as_str()), "a released table names a subject");
    }

    // Two families' rows in each other's place change no number.
    story.paper.space.write("pipelines/RESTRICTED_hcpfamilystructure.csv", families(true));
    let swapped = story.pipe("run", "hcp", &options).exits(1).shows("ran 2, hits");
    story.nothing_left(&swapped);
    assert!(story.published() == first, "released files depend on the order of families");

    // Beside the public subjects of NYU, `fnyu` begins as the network that was trained here, and is as restricted.
    let public = nyu::dataset();
    public.iter().for_each(|(key, bytes)| story.paper.space.write(&format!("pipelines/nyu/{key}"), bytes));
    let bucket = "with: { url: s3://openneuro.org/ds003787 }     # a public bucket: no credential, no signature";
    story.paper.space.edit(FILE, bucket, "in: { source: nyu }");
    let subjects = format!("nyu_subjects=[{}]", nyu::SUBJECTS[1..].join(", "));
    let more = ["--set", &subjects, "--set", "fnyu={ restarts: 1 }"];
    let options = [&options[..], &more].concat();
    let tuned = story.pipe("run", "hcp-nyu", &[&options[..], &["--until", "nyu_best"]].concat());
    let tuned = tuned
        .shows("train -> best -> nyu_train -> nyu_best) and its release was not approved yet")
        .shows("done nyu_train 1/1")
        .hides("failed");
    assert!(!tuned.text().contains(CANARY), "{}", tuned.text());
    let model = story.pipe("path", "hcp-nyu", &[&options[..], &["nyu_best(inputs=fnyu, outputs=area).model"]].concat());
    let model = Path::new(model.stdout.trim());
    assert!(model.starts_with(story.paper.space.cache().join("restricted")), "{}", model.display());
    let plan = fs::read_to_string(model.join("plan.json")).expect("its plan");
    assert!(plan.contains("\"batch_size\": 2"), "{plan}");
}
