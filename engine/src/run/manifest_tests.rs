//! What runs write about themselves: manifests, and what of restricted data may be in them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fs_err as fs;
use pipe_cache::{Artifact, Content, ContentForm, Digest, Stored};
use pipe_contract::{Device, Failure, Metric, Unwritable};

use super::attempt::AttemptPlace;
use super::disclosure::Disclosure;
use super::ended::{EndedTable, FinishedWork, Report};
use super::event_log;
use super::execute::{Outlet, run_in};
use super::lookup::{Known, Lookup, LookupOptions};
use super::manifest_tables::tables;
use super::state_dirs::StateDirs;
use super::tests::Space;
use super::*;
use crate::event::{Event, Outcome};
use crate::exec::{FileIsolation, Isolation, NetworkIsolation, Usage};
use crate::ids::InstanceId;
use crate::key::Reason;
use crate::report::{ArtifactReference, ArtifactRow, InstanceRow, Manifest, OutcomeWord};

/// Cells that work, fail and are absent; a gather; stages that need what is not there.
const MIXED: &str = r#"
stages:
  make:
    each: { n: [1, 2] }
    run: echo "size $EACH_N 0.5" >> "$METRICS"; cat "$IN_TEXT" > "$OUT_Y"; echo "made $EACH_N"
    with: { same: 7, own: $each.n }
    in: { text: text.txt }
    out: { y: y.txt }
  all: { uses: test/list, in: { cells: $make(*).y } }
  gone: { uses: test/write, with: { does: absent }, absent: [not-found] }
  after: { uses: test/copy, in: { one: $gone.out } }
  bad: { run: 'echo "no such luck"; exit 7', out: { y: y.txt } }
  never: { run: 'cp "$IN_X" "$OUT_Y"', in: { x: $bad.y }, out: { y: y.txt } }
"#;

fn mixed() -> Space {
    let space = Space::with(MIXED);
    space.write("text.txt", "pear\n");
    space
}

fn manifest(space: &Space) -> Manifest {
    last_manifest(&space.plan(), &space.options()).unwrap().unwrap()
}

/// Names of runs differ in milliseconds.
fn later() {
    std::thread::sleep(Duration::from_millis(2));
}

/// The row of an instance, and its number.
fn row(manifest: &Manifest, label: &str) -> (u32, InstanceRow) {
    let mut rows = (0..).zip(&manifest.tables.instances.rows);
    let found = rows.find(|(number, _)| manifest.label(*number).as_deref() == Some(label));
    let (number, row) = found.unwrap_or_else(|| panic!("no row of `{label}`"));
    (number, row.clone())
}

#[test]
fn a_manifest_says_where_when_and_from_what_an_instance_worked() {
    let space = mixed();
    space.run().counts([3, 0, 2, 1, 1]);
    let manifest = manifest(&space);
    assert_eq!((manifest.exit_code, manifest.counts["ran"], manifest.counts["absent"]), (1, 3, 2));
    assert!(!manifest.machine.instructions.is_empty());
    let tables = &manifest.tables;
    let (first, make) = row(&manifest, "make(n=1)");
    assert_eq!((make.outcome, make.at), (OutcomeWord::Ran, vec!["1".to_owned()]));
    assert!(make.started <= make.ended && make.slot.unwrap() < 2 && make.cpu_seconds.is_some());
    assert_eq!(tables.reasons[make.reasons[0] as usize], "first time");
    let environment = &tables.environments[make.environment.unwrap() as usize];
    assert_eq!(environment.device, "cpu");
    assert!(environment.isolation.is_some() && environment.network.is_some());
    let stage = &tables.stages[make.stage as usize];
    let details = make.details.unwrap();
    assert!(details.log && details.parameters.contains_key("own") && !details.parameters.contains_key("same"));
    assert!(stage.parameters.contains_key("same"));
    let kind = &tables.kinds[stage.kind as usize];
    assert_eq!((kind.kind.as_str(), kind.outputs[0].port.as_str()), ("run", "y"));
    assert!(!kind.tools.is_empty(), "the shell at least");
    // Its input is a file; its output is the artifact that the gather reads.
    let Some(ArtifactReference::File { file }) = &make.inputs[0] else { panic!("{:?}", make.inputs) };
    let file = &tables.files[*file as usize];
    let content = file.content.as_ref().unwrap();
    assert_eq!((file.path.to_str(), content.digest.plain()), (Some("text.txt"), Some(&Digest::of(b"pear\n"))));
    let (_, all) = row(&manifest, "all");
    let Some(ArtifactReference::Gather { gather }) = &all.inputs[0] else { panic!("{:?}", all.inputs) };
    let ArtifactReference::Artifact(artifact) = &tables.gathers[*gather as usize][0] else { panic!() };
    let artifact = &tables.artifacts.rows[*artifact as usize];
    assert_eq!((artifact.instance, artifact.bytes), (first, Some(5)));
    let kind = &tables.kinds[tables.stages[all.stage as usize].kind as usize];
    assert_eq!((kind.version, kind.outputs[0].artifact.as_deref()), (1, Some("text")));
}

#[test]
fn a_manifest_says_why_an_output_is_not_there() {
    let space = mixed();
    space.run();
    let first = manifest(&space);
    let (number, gone) = row(&first, "gone");
    let absent = gone.details.unwrap().absent.unwrap();
    assert_eq!((absent.cause.as_str(), absent.origin, absent.recorded), ("not-found", None, false));
    assert_eq!(absent.detail.as_deref(), Some("no source has it"));
    let absent = row(&first, "after").1.details.unwrap().absent.unwrap();
    assert_eq!((absent.cause.as_str(), absent.origin), ("not-found", Some(number)));
    let bad = row(&first, "bad").1.details.unwrap();
    assert!(bad.failure.unwrap().message.contains("exit code 7") && bad.retained.is_some() && bad.log);
    let never = row(&first, "never").1;
    assert_eq!((never.outcome, never.started), (OutcomeWord::Skipped, None));
    assert_eq!(never.details.unwrap().because.as_deref(), Some("bad"));
    // `why` says the same, of the instance that found the absence and of one that inherits it.
    let standings = status(&space.plan(), &space.options()).unwrap().standings;
    let (cause, detail) = ("not-found".to_owned(), Some("no source has it".to_owned()));
    let inherited =
        standings.iter().position(|found| matches!(found, Standing::Absent { origin: Some(_), .. })).unwrap();
    let origin = Some(InstanceId(number));
    assert_eq!(standings[inherited], Standing::Absent { cause: cause.clone(), origin, detail: detail.clone() });
    assert_eq!(standings[number as usize], Standing::Absent { cause, origin: None, detail });
    // A recorded absence keeps its particulars.
    later();
    space.run().counts([0, 3, 2, 1, 1]);
    let absent = row(&manifest(&space), "gone").1.details.unwrap().absent.unwrap();
    assert_eq!((absent.recorded, absent.detail.as_deref()), (true, Some("no source has it")));
}

const PAIR: &str = "stages:\n  a: { run: 'echo 1 > $OUT_Y', out: { y: y } }\n  \
    b: { run: 'cat $IN_X > $OUT_Y', in: { x: $a.y }, out: { y: y } }\n";

#[test]
fn a_null_run_refers_to_the_manifest_that_has_the_tables() {
    let space = Space::with(PAIR);
    let first = space.run().summary;
    later();
    let second = space.run().summary;
    let raw: serde_json::Value = serde_json::from_slice(&fs::read(&second.manifest).unwrap()).unwrap();
    assert_eq!((&raw["same_as"], &raw["instances"]["data"]), (&first.run.clone().into(), &serde_json::json!([])));
    let read = manifest(&space);
    assert_eq!((read.run.as_str(), read.counts["hit"]), (second.run.as_str(), 2));
    assert_eq!(read.tables.instances.rows.len(), 2, "the reader follows the reference");
    later();
    let third = space.run().summary;
    assert_eq!(manifest(&space).same_as, Some(first.run), "never a chain");
    later();
    space.edit("p.yaml", "echo 1", "echo 2");
    space.run().counts([2, 0, 0, 0, 0]);
    assert_eq!(manifest(&space).same_as, None);
    // One of another edition is named, not misread.
    let folder = third.manifest.parent().unwrap();
    fs::write(&third.manifest, "{ \"manifest\": 1 }").unwrap();
    assert!(Manifest::read(folder).unwrap_err().message.contains("expected edition 2, found 1"));
    fs::remove_file(&third.manifest).unwrap();
    assert_eq!(Manifest::read(folder).unwrap(), None);
}

#[test]
fn notes_belong_to_every_run_that_uses_the_result() {
    let space = Space::with(&format!("{PAIR}  c: {{ uses: test/write, with: {{ does: note }} }}\n"));
    let notes = || row(&manifest(&space), "c").1.details.unwrap().notes;
    space.run();
    assert_eq!(notes(), ["some data are missing"]);
    later();
    space.edit("p.yaml", "echo 1", "echo 2");
    space.run().counts([2, 1, 0, 0, 0]);
    assert_eq!(notes(), ["some data are missing"], "of a hit");
}

#[test]
fn what_was_not_selected_is_left_out() {
    let space = Space::with(PAIR);
    let selection = Selection { stages: vec!["a".into()], ..Selection::default() };
    space.run_with(&RunOptions { selection, ..space.options() }).counts([1, 0, 0, 0, 0]);
    let rows = manifest(&space).tables.instances.rows;
    assert_eq!((rows[0].outcome, rows[1].outcome), (OutcomeWord::Ran, OutcomeWord::LeftOut));
    assert!(rows[1].key.is_none() && rows[1].inputs == [Some(ArtifactReference::Artifact(0))]);
}

#[test]
fn metrics_are_events_of_the_run() {
    let space = mixed();
    let summary = space.run().summary;
    let lines = fs::read_to_string(summary.manifest.with_file_name(event_log::FILE)).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let metrics: Vec<_> = lines.filter(|line| line["event"] == "metric").collect();
    assert_eq!(metrics.len(), 2);
    assert!(metrics.iter().all(|metric| metric["name"] == "size" && metric["value"] == 0.5 && metric["at"].is_f64()));
}

/// A restricted file, what is made of it, and what is released.
const RESTRICTED: &str = r#"
stages:
  family: { uses: test/copy, in: { one: family.csv }, restricted: hcp }
  count:
    run: cat "$IN_OPEN" > /dev/null; wc -l < "$IN_F/copy.txt" > "$OUT_N"; echo counted
    in: { f: $family.out, open: $open.y }
    out: { n: n.txt }
  open: { run: 'cat "$IN_X" > "$OUT_Y"', in: { x: open.txt }, out: { y: y.txt } }
release: [{ ports: [count.n], because: a number names no subject, approved: the board in 2026 }]
results: { n.txt: $count.n, family.csv: $family.out/copy.txt, open.txt: $open.y }
"#;

fn restricted() -> Space {
    let space = Space::with(RESTRICTED);
    space.write("family.csv", "s01,mother 4\n");
    space.write("open.txt", "open\n");
    space
}

fn run_restricted(space: &Space) -> Summary {
    run_in(&space.plan(), &space.options(), &mut |_| {}, &Stop::new(), Outlet::Project).unwrap().0
}

/// The events of a run do not have them; `pipe status --metrics` asks for them. A second attempt begins anew.
#[test]
fn what_restricted_stages_measure_is_for_their_owner_only() {
    let space = restricted();
    let body = space.path("p.yaml");
    let text = fs::read_to_string(&body).unwrap();
    let measuring = r#"; echo counted; echo "dice 1 0.5" >> "$METRICS""#;
    fs::write(&body, text.replacen("; echo counted", measuring, 1)).unwrap();
    let dice = |value| Measured { label: "count".into(), metrics: vec![Metric::new("dice", 1, value).unwrap()] };
    run_restricted(&space);
    let (plan, options) = (space.plan(), space.options());
    assert_eq!(last_run(&plan, &options).unwrap().unwrap().measured, []);
    assert_eq!(restricted_metrics(&plan, &options).unwrap(), [dice(0.5)]);
    let forced = RunOptions { force: vec!["count".into()], ..space.options() };
    run_in(&plan, &forced, &mut |_| {}, &Stop::new(), Outlet::Project).unwrap();
    assert_eq!(restricted_metrics(&plan, &options).unwrap(), [dice(0.5)]);
}

/// Digests and keys of what is restricted, and of what is not or was released.
fn digests(space: &Space) -> (BTreeSet<String>, BTreeSet<String>) {
    let (plan, options) = (space.plan(), space.options());
    let dirs = StateDirs::open(&plan, &options.places).unwrap();
    let mut lookup = Lookup::new(&plan, &options, &dirs).unwrap();
    let mut secret = BTreeSet::from([Digest::<Content>::of(b"s01,mother 4\n").to_string()]);
    let mut open = BTreeSet::new();
    for id in plan.ids() {
        lookup.look_up(id, &LookupOptions::default());
        let Known::Outputs(outputs) = lookup.known(id) else { panic!("`{}` has no outputs", plan.label(id)) };
        let (name, key) = (plan.label(id), lookup.key_of(id).unwrap().to_string());
        let outputs = outputs.iter().map(|stored| stored.artifact.digest.to_string());
        if name == "family" { &mut secret } else { &mut open }.extend(outputs);
        if name == "open" { &mut open } else { &mut secret }.insert(key);
    }
    (secret, open)
}

/// All names and contents of files below some places.
fn texts(places: &[&std::path::Path]) -> String {
    let entries = places.iter().flat_map(walkdir::WalkDir::new).map(Result::unwrap);
    entries
        .map(|entry| {
            let text =
                if entry.file_type().is_file() { fs::read_to_string(entry.path()).unwrap() } else { String::new() };
            format!("{}\n{text}\n", entry.path().display())
        })
        .collect()
}

#[test]
fn digests_of_restricted_data_leave_the_store_only_keyed() {
    let space = restricted();
    let summary = run_restricted(&space);
    assert_eq!((summary.counts.ran, summary.exit_code()), (3, 0), "{summary:?}");
    let (secret, open) = digests(&space);
    assert_eq!((secret.len(), open.len()), (4, 3));
    let logs = manifest(&space).logs;
    let run = summary.manifest.parent().unwrap();
    let texts = texts(&[run, &logs, &space.path("results"), &space.path("p.lock")]);
    let found: Vec<&String> = secret.iter().filter(|digest| texts.contains(*digest)).collect();
    assert!(found.is_empty(), "plain digests of restricted data: {found:?}");
    let lost: Vec<&String> = open.iter().filter(|digest| !texts.contains(*digest)).collect();
    assert!(lost.is_empty(), "what is open or released can be compared by others: {lost:?}");
    assert!(texts.contains("keyed-"));
    // A size shows how many subjects there are.
    let Manifest { tables, .. } = manifest(&space);
    let sizes = tables.files.iter().map(|file| (file.path.to_str().unwrap(), file.content.as_ref().unwrap().bytes));
    assert_eq!(BTreeSet::from_iter(sizes), BTreeSet::from([("family.csv", None), ("open.txt", Some(5))]));
    let stage =
        |row: &ArtifactRow| tables.stages[tables.instances.rows[row.instance as usize].stage as usize].name.clone();
    let sizes: BTreeMap<String, bool> =
        tables.artifacts.rows.iter().map(|row| (stage(row), row.bytes.is_some())).collect();
    assert_eq!(sizes, BTreeMap::from([("count".into(), true), ("family".into(), false), ("open".into(), true)]));
}

#[test]
fn what_is_restricted_and_not_released_is_not_published() {
    let space = restricted();
    let summary = run_restricted(&space);
    assert!(space.path("results/p/n.txt").exists() && !space.path("results/p/family.csv").exists());
    let lock = space.read("p.lock");
    assert!(lock.contains("\"n.txt\"") && !lock.contains("family.csv"));
    let why = &summary.results.missing;
    assert!(why[0].1.contains("restricted (hcp; family)"), "{why:?}");
    // Equal data have equal digests on this machine: a run that changes nothing writes nothing anew.
    let published = space.read("results/p/.published");
    later();
    assert_eq!(run_restricted(&space).counts.hit, 3);
    assert_eq!(space.read("results/p/.published"), published);
}

/// A released result, and one of open data that ends after it. The last stage waits for the second one and lists what
/// is published by then.
const RELEASED: &str = r#"
stages:
  count: { run: 'wc -l < "$IN_F" > "$OUT_N"', in: { f: family.csv }, out: { n: n.txt }, restricted: hcp }
  open:
    run: until [ -e PROJECT/counted ]; do sleep 0.05; done; echo open > "$OUT_Y"
    isolation: none
    timeout: 60s
    out: { y: y.txt }
  last:
    run: until [ -e PROJECT/results/p/open.txt ]; do sleep 0.05; done; ls PROJECT/results/p > "$OUT_Y"
    in: { open: $open.y }
    isolation: none
    timeout: 60s
    out: { y: y.txt }
release: [{ ports: [count.n], because: a number names no subject, approved: the board in 2026 }]
results: { number.txt: $count.n, open.txt: $open.y, listed.txt: $last.y }
"#;

#[test]
fn a_released_result_is_published_at_the_end_of_the_run() {
    let space = Space::with(RELEASED);
    space.edit("p.yaml", "PROJECT", space.path("").to_str().unwrap());
    space.write("family.csv", "s01,mother 4\n");
    let mut mark = |event: Event| {
        if matches!(&event, Event::Ended { label, .. } if label == "count") {
            space.write("counted", "");
        }
    };
    let (summary, _) = run_in(&space.plan(), &space.options(), &mut mark, &Stop::new(), Outlet::Project).unwrap();
    assert_eq!((summary.counts.ran, summary.exit_code()), (3, 0), "{summary:?}");
    let listed = space.read("results/p/listed.txt");
    assert!(!listed.contains("number.txt"), "the released result is there while the run goes on:\n{listed}");
    assert_eq!(space.read("results/p/number.txt"), "1\n", "it is there at the end");
}

/// A number of subjects that is released if there are enough of them.
const COUNTED: &str = r#"
params:
  subjects: { s01: { does: '' }, s02: { does: '' }, s03: { does: '' }, s04: { does: absent } }
stages:
  scan:
    each: { sid: $params.subjects }
    uses: test/write
    with: { does: $each.sid.does }
    absent: [not-found]
    restricted: hcp
  count: { uses: test/count, in: { cells: $scan(*).out } }
release: [{ ports: [count.out], rule: { aggregate: 3 } }]
results: { n.txt: $count.out }
claims: [{ text: four, cell: { table: $count.out, where: {}, column: n }, equals: 4, within: 0.5 }]
"#;

#[test]
fn a_rule_about_subjects_counts_them_after_absences() {
    let space = Space::with(COUNTED);
    let summary = run_restricted(&space);
    assert_eq!((summary.results.missing.as_slice(), space.read("results/p/n.txt").as_str()), (&[][..], "3"));
    assert!(!summary.claims[0].found.as_ref().unwrap_err().contains("restricted"), "a released number is compared");

    let space = Space::with(&COUNTED.replacen("does: ''", "does: absent", 1));
    let summary = run_restricted(&space);
    let why = "restricted (hcp; scan -> count) and its release asks for 3 subjects behind everything that it shows, and there are 2";
    assert_eq!(summary.results.missing, [("n.txt".to_owned(), why.to_owned())]);
    assert!(!space.path("results/p").join("n.txt").exists());
    assert!(!fs::read_to_string(space.path("p.lock")).is_ok_and(|lock| lock.contains("n.txt")));
    assert_eq!(summary.claims[0].found, Err(format!("not checked: its table is {why}")));
}

#[test]
fn of_a_restricted_failure_only_what_is_about_the_machine_is_said() {
    let space = restricted();
    let plan = space.plan();
    let id = |label: &str| plan.ids().find(|id| plan.label(*id) == label).unwrap();
    let log = space.path("log");
    let full = || Failure::environment("no room for `mother 4`").hint(Unwritable::Full.hint());
    let said = withheld::failure(&plan, id("count"), full(), &log);
    assert_eq!(said.message, "it failed; what it says about it is restricted (hcp)");
    assert!(said.hint.unwrap().starts_with("the disk is full"), "a full disk is not a fault of the stage");
    assert!(fs::read_to_string(&log).unwrap().starts_with("no room for `mother 4`"));
    assert_eq!(withheld::failure(&plan, id("family"), full(), &log), full(), "a kind names machine and network");
    let wrong = withheld::failure(&plan, id("family"), Failure::input("row 1 is `mother 4`").at("line 1"), &log);
    assert_eq!((wrong.message.contains("mother"), wrong.place), (false, None));
    assert_eq!(withheld::failure(&plan, id("open"), full(), &log), full());
}

#[test]
fn manifests_name_restrictions_and_logs_are_found() {
    let space = restricted();
    run_restricted(&space);
    let manifest = manifest(&space);
    let labels = |name: &str| row(&manifest, name).1.details.map_or_else(Vec::new, |details| details.restricted);
    assert_eq!((labels("family"), labels("count"), labels("open")), (vec!["hcp".into()], vec!["hcp".into()], vec![]));
    let plan = space.plan();
    let count = plan.ids().find(|id| plan.label(*id) == "count").unwrap();
    let log = log_of(&plan, &space.options(), count).unwrap().unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "counted\n");
}

#[test]
fn the_secret_of_a_machine_is_made_only_for_restricted_data() {
    let space = Space::with(PAIR);
    space.run();
    assert!(!space.state().join("restricted.key").exists());
    let space = restricted();
    run_restricted(&space);
    let secret = space.state().join("restricted.key");
    assert!(secret.exists());
    // Commands that only read make none.
    fs::remove_file(&secret).unwrap();
    let (plan, options) = (space.plan(), space.options());
    let count = plan.ids().find(|id| plan.label(*id) == "count").unwrap();
    assert!(log_of(&plan, &options, count).unwrap().is_some());
    assert_eq!(earlier_results(&plan, &options).unwrap(), []);
    status(&plan, &options).unwrap();
    last_manifest(&plan, &options).unwrap().unwrap();
    assert!(!secret.exists());
}

/// The size of the manifest of a plan all of whose instances ran, without running them.
fn size(space: &Space) -> usize {
    let (plan, options) = (space.plan(), space.options());
    let dirs = StateDirs::open(&plan, &options.places).unwrap();
    let mut lookup = Lookup::new(&plan, &options, &dirs).unwrap();
    let mut ended = EndedTable::default();
    for id in plan.ids() {
        lookup.look_up(id, &LookupOptions::default());
        let digest = Digest::of(&id.0.to_le_bytes());
        let artifact = Artifact { form: ContentForm::File, digest, bytes: 123_456 };
        lookup.set_known(id, Known::Outputs([Stored { port: "y".into(), artifact, blobs: Vec::new() }].into()));
        ended.add(id, report(id));
    }
    assert_eq!(plan.instances.len(), 10_000);
    let tables = tables(&mut lookup, &ended, &Disclosure::for_reading(&plan, &dirs).unwrap()).unwrap();
    assert!(tables.instances.rows.iter().all(|row| row.key.is_some()));
    serde_json::to_vec(&tables).unwrap().len()
}

fn report(id: InstanceId) -> Report {
    let started = f64::from(id.0) * 1.25;
    let isolation = Isolation { files: FileIsolation::Full, network: NetworkIsolation::None };
    let usage = Usage {
        wall: Duration::from_millis(1234),
        cpu: Duration::from_micros(1_234_567),
        peak_rss: 123_456_789,
        isolation: Some(isolation),
    };
    let place = AttemptPlace { slot: id.0 % 64, started, device: Device::Cpu, threads: 1 };
    let work = FinishedWork { usage, place: Some((place, started + 1.234)), ..FinishedWork::default() };
    Report { outcome: Outcome::Ran, reasons: vec![Reason::FirstTime], attempts: 1, origin: None, work }
}

/// The limit for ten thousand instances, bytes.
const LIMIT: usize = 3_000_000;

#[test]
fn ten_thousand_cells_are_under_three_megabytes() {
    let space = Space::with(
        "params: { n: { lines: n.txt } }\nstages:\n  \
         make: { each: { n: $params.n }, run: x, in: { a: a.txt }, with: { own: $each.n }, out: { y: y.txt } }\n  \
         use: { each: { n: $params.n }, run: x, in: { a: a.txt, b: $make.y }, out: { y: y.txt } }\n",
    );
    space.write("n.txt", &(0..5000).map(|n| format!("s{n:06}\n")).collect::<String>());
    space.write("a.txt", "a\n");
    let size = size(&space);
    assert!(size < LIMIT, "{size}");
}

#[test]
fn ten_thousand_stages_are_under_three_megabytes() {
    let pair = |n: u32| {
        format!(
            "  make{n}: {{ run: x, in: {{ a: a.txt }}, out: {{ y: y.txt }} }}\n  \
             use{n}: {{ run: x, in: {{ a: a.txt, b: $make{n}.y }}, out: {{ y: y.txt }} }}\n"
        )
    };
    let space = Space::with(&format!("stages:\n{}", (0..5000).map(pair).collect::<String>()));
    space.write("a.txt", "a\n");
    let size = size(&space);
    assert!(size < LIMIT, "{size}");
}
