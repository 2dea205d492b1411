//! Subjects from a bucket: a server that checks signatures, and each kind of failure with its own outcome.

use std::path::Path;

use pipe_stages::formats::subject_folder::required_files;

use super::support::paper::{SIMULATION, offline};
use super::support::s3_server::{Proxy, Server};
use super::support::traces::assert_no_traces;
use super::support::{Shown, Space};

const PIPELINE: &str = "
pipe: 1
pipeline: subjects
stages:
  subject:
    each: { sid: [s01, s02, s03] }
    uses: hcp/fetch
    with: { url: s3://hcp-openaccess/HCP_1200 }
    credential: hcp
    absent: [not-found]
results:
  \"${sid}/\": $subject.files
";

const SUBJECTS: &str = "  masks:
    uses: package/files
    with: { package: neuropythy==0.13.0, files: neuropythy/lib/data/fs_LR/*.gii }
  simulation:
    each: { sid: [s01, s02, s03] }
    uses: simulate/subject
    in: { anatomy: $anatomy.files, template: $template.files, masks: $masks.files }
results:
  \"${sid}/\": $simulation.tree
";

/// Three subjects below `HCP_1200/` in a folder; every file has its own bytes, one is large enough to be broken off.
fn write_subjects(folder: &Path, without: Option<&str>) {
    for sid in ["s01", "s02", "s03"] {
        for file in required_files(sid) {
            if without == Some(file.as_str()) {
                continue;
            }
            let path = folder.join("HCP_1200").join(&file);
            fs_err::create_dir_all(path.parent().expect("a parent")).expect("its folder");
            let size = if file.ends_with("lh.white") { 20_000 } else { 1 };
            fs_err::write(path, file.repeat(size)).expect("a file");
        }
        // No stage reads this one, so it is not fetched.
        fs_err::write(folder.join(format!("HCP_1200/{sid}/release.txt")), "notes").expect("a file");
    }
}

struct Story {
    space: Space,
    server: Server,
    bucket: tempfile::TempDir,
}

impl Story {
    fn new(without: Option<&str>) -> Self {
        let bucket = tempfile::tempdir().expect("a folder");
        write_subjects(bucket.path(), without);
        Self::serving(bucket)
    }

    fn serving(bucket: tempfile::TempDir) -> Self {
        let server = Server::start("hcp-openaccess", bucket.path());
        let space = Space::with(PIPELINE);
        let story = Self { space, server, bucket };
        story.keys(&story.server.secret);
        story
    }

    fn keys(&self, secret: &str) {
        let keys = format!("[hcp]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n", self.server.key);
        self.space.write("keys", keys);
    }

    fn run(&self, endpoint: &str) -> Shown {
        self.pipe("run", endpoint)
    }

    fn doctor(&self, endpoint: &str) -> Shown {
        self.pipe("doctor", endpoint)
    }

    fn pipe(&self, verb: &str, endpoint: &str) -> Shown {
        let mut command = self.space.command([verb, "pipeline.yaml"]);
        command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_SHARED_CREDENTIALS_FILE", self.space.path("keys"));
        let shown = Shown::of(&mut command);
        for secret in [self.server.secret.as_str(), self.server.key.as_str(), "Signature="] {
            let everything = format!("{}{}", shown.stdout, shown.stderr);
            assert!(!everything.contains(secret), "a secret is shown:\n{everything}");
        }
        shown
    }

    fn result(&self, file: &str) -> String {
        let sid = file.split('/').next().expect("a subject");
        self.space.read(&format!("results/subjects/{sid}/{file}"))
    }
}

#[test]
fn subjects_arrive_complete_and_a_second_run_sends_no_request() {
    let story = Story::new(None);
    story.run(&story.server.endpoint).exits(0).shows("ran 3");
    for sid in ["s01", "s02", "s03"] {
        for file in required_files(sid) {
            assert!(story.result(&file).starts_with(&file));
        }
    }
    assert!(!story.space.path("results/subjects/s01/s01/release.txt").exists());
    // Neither keys nor server are needed for what is in the cache.
    story.space.write("keys", "");
    story.run("http://127.0.0.1:9").exits(0).shows("ran 0, hits 3");
}

/// Simulated subjects have the files of real ones, so they can be fetched from a bucket like real ones.
#[test]
fn simulated_subjects_can_be_fetched_from_a_bucket() {
    let home = Space::with(&format!("{SIMULATION}{SUBJECTS}"));
    let mut run = home.command(["run", "pipeline.yaml"]);
    offline(&mut run);
    Shown::of(&mut run).exits(0);
    let bucket = tempfile::tempdir().expect("a folder");
    let subjects = bucket.path().join("HCP_1200");
    fs_err::create_dir(&subjects).expect("a folder");
    for sid in ["s01", "s02", "s03"] {
        let made = home.path(format!("results/simulated/{sid}/{sid}"));
        fs_err::rename(made, subjects.join(sid)).expect("the subject moves into the bucket");
    }
    let story = Story::serving(bucket);
    story.run(&story.server.endpoint).exits(0).shows("ran 3");
    for sid in ["s01", "s02", "s03"] {
        for file in required_files(sid) {
            let fetched =
                fs_err::read(story.space.path(format!("results/subjects/{sid}/{file}"))).expect("it is there");
            assert!(fetched == fs_err::read(story.bucket.path().join("HCP_1200").join(&file)).expect("it was made"));
        }
    }
}

/// The paper's data: what a subject's files hold is nowhere but in the restricted store, whatever fails or is absent.
#[test]
fn restricted_subjects_stay_in_their_store() {
    let missing = required_files("s02").remove(5);
    let story = Story::new(Some(&missing));
    let reads = "    restricted: hcp-open-access\n  shown:\n    each: { sid: [s01, s03] }\n    run: find \"$IN_FILES\" -type f -exec cat {} + | tee \"$OUT_ALL\" >&2; test \"$EACH_SID\" = s01\n    in: { files: $subject.files }\n    out: { all: all.txt }\n";
    story.space.edit("pipeline.yaml", "    absent: [not-found]\n", &format!("    absent: [not-found]\n{reads}"));
    let shown = story.run(&story.server.endpoint).exits(1);
    let shown = shown
        .shows("ran 3")
        .shows("absent 1")
        .shows("failed 1")
        .shows("it failed; what it says about it is restricted")
        .shows("absent subject(sid=s02): not-found: what it says about it is restricted (hcp-open-access); `pipe log pipeline.yaml");
    // The content of each file is its name, many times; once is the name in a message.
    let content = required_files("s01")
        .iter()
        .chain(&required_files("s03"))
        .map(|file| file.repeat(2).into_bytes())
        .collect::<Vec<_>>();
    assert_no_traces(&story.space, &shown, &content, &[]);
    assert!(!story.space.path("results/subjects/s01").exists(), "nothing released it");
    let place = story.space.pipe(["path", "pipeline.yaml", "subject(sid=s01).files"]).stdout;
    let file = required_files("s01").into_iter().find(|file| file.ends_with("lh.white")).expect("a surface");
    assert_eq!(
        fs_err::read_to_string(Path::new(place.trim()).join(&file)).expect("the owner reads it"),
        file.repeat(20_000)
    );
}

#[test]
fn a_wrong_secret_is_distinguished_from_a_missing_object() {
    let story = Story::new(None);
    story.keys("wrong");
    let hint = "AWS S3 Key Generation";
    story.run(&story.server.endpoint).exits(3).shows("rejected the secret of the key").shows(hint);
}

#[test]
fn a_subject_with_a_missing_object_is_absent_and_the_rest_goes_on() {
    let missing = required_files("s02").remove(5);
    let story = Story::new(Some(&missing));
    let found = format!("subject `s02` lacks a required file: `s3://hcp-openaccess/HCP_1200/{missing}` does not exist");
    let again = "hint: another run does not ask again for `subject`; `--retry-absent` does";
    let first = story.run(&story.server.endpoint).exits(0).shows("ran 2").shows("absent 1");
    first.shows(&format!("absent subject(sid=s02): not-found: {found}")).shows(again);
    let recorded = format!("absent subject(sid=s02): not-found (recorded earlier): {found}");
    story.run("http://127.0.0.1:9").exits(0).shows("ran 0").shows(&recorded).shows(again);
    story.space.pipe(["status", "pipeline.yaml"]).shows(&recorded).shows(again);
    assert!(story.space.path("results/subjects/s03").is_dir());
    assert!(!story.space.path("results/subjects/s02").exists());
}

#[test]
fn a_body_that_breaks_off_once_is_resumed() {
    let story = Story::new(None);
    let proxy = Proxy::start(&story.server, "s02/surf/lh.white", 1, 100_000);
    story.run(&proxy.endpoint()).exits(0).shows("ran 3");
    assert_eq!(proxy.cuts(), 1);
    let file = "s02/T1w/s02/surf/lh.white";
    assert_eq!(story.result(file), file.repeat(20_000));
}

#[test]
fn a_body_that_always_breaks_off_fails_with_its_bytes() {
    let story = Story::new(None);
    let proxy = Proxy::start(&story.server, "s02/surf/lh.white", usize::MAX, 0);
    let shown = story.run(&proxy.endpoint()).exits(3).shows("lh.white` is truncated: it broke off after 0 of");
    shown.shows("ran 2").shows("failed 1");
}

/// The size of all three subjects: those of `write_subjects` differ only in the last digit of their names.
#[test]
fn the_doctor_says_whether_keys_work_and_how_much_will_come() {
    let story = Story::new(None);
    let shown = story.doctor(&story.server.endpoint).exits(0);
    let opens = "s3://hcp-openaccess/HCP_1200 opens with the key ...";
    let shown = shown.shows(opens).shows("subject `s01` has 18 of 18 required files and 0 of 8 others");
    let bytes: usize =
        required_files("s01").iter().map(|file| file.len() * if file.ends_with("lh.white") { 20_000 } else { 1 }).sum();
    let size = format!("subject (3 to do, about {:.1} MiB)", 3.0 * bytes as f64 / f64::from(1 << 20));
    shown.shows(&size).shows("disk: about 1.").shows("nothing keeps a run from its 3 instances");
    story.run(&story.server.endpoint).exits(0).shows("ran 3");
    story.doctor("http://127.0.0.1:9").exits(0).shows("nothing would run: every output is cached");
}

#[test]
fn the_doctor_names_what_is_wrong_with_keys_sources_and_subjects() {
    let missing = required_files("s01").remove(5);
    let story = Story::new(Some(&missing));
    story
        .doctor(&story.server.endpoint)
        .exits(0)
        .shows("note subject (3 to do): ")
        .shows("has 17 of 18 required files");
    story.keys("wrong");
    let refused = story.doctor(&story.server.endpoint).exits(3);
    refused
        .shows("rejected the secret of the key")
        .shows("AWS S3 Key Generation")
        .shows("1 fault to mend before a run");
    story.space.write("keys", "");
    story.doctor(&story.server.endpoint).exits(3).shows("there is no profile `hcp`");
    story.keys(&story.server.secret);
    story.doctor("http://127.0.0.1:9").exits(3).shows("could not reach the server").shows("tried 2 times");
}
