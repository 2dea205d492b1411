//! What artifacts are: previews, data dictionaries beside published tables, tables of claims; and the keys that declarations of
//! kinds give.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{Coordinates, Kind, Param, Registry, Type, Value};
use pipe_engine::key::Parts;

use crate::support::paper::files_below;
use crate::support::{Shown, Space};

/// Asserts that each table below a results folder has a dictionary beside it that names exactly its columns. Datasets of BIDS have
/// their own form of it.
pub fn every_published_table_has_a_data_dictionary(results: &Path) {
    let delimiter = |path: &Path| match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Some(','),
        Some("tsv") => Some('\t'),
        Some("parquet") => panic!("`{}`: this test reads no Parquet", path.display()),
        _ => None,
    };
    let mut tables = 0;
    let in_bids = |path: &Path| path.ancestors().any(|folder| folder.join("dataset_description.json").is_file());
    for path in files_below(results).into_iter().filter(|path| !in_bids(path)) {
        let Some(delimiter) = delimiter(&path) else { continue };
        tables += 1;
        let text = fs::read_to_string(&path).expect("a table is text");
        let columns: BTreeSet<&str> = text.lines().next().expect("a line of names").split(delimiter).collect();
        let mut dictionary = dictionary(&path.with_extension("json"));
        let made_by = dictionary.remove("GeneratedBy").expect("what made it");
        assert!(made_by[0]["Name"].is_string() && made_by[0]["Version"].is_string(), "{made_by}");
        assert_eq!(made_by[0]["Simulated"], true);
        assert!(made_by[0]["Parameters"].is_object());
        let named: BTreeSet<&str> = dictionary.keys().map(String::as_str).collect();
        assert_eq!(named, columns, "{}", path.display());
        assert!(dictionary.values().all(|column| column["Description"].as_str().is_some_and(|words| words.len() > 5)));
    }
    assert!(tables >= 10, "{tables} tables");
}

fn dictionary(path: &Path) -> serde_json::Map<String, serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// A split of subjects, a command's table and picture, and what is said of them.
const PIPELINE: &str = r#"pipe: 1
pipeline: p
params: { held_out: 0.5 }
stages:
  subject:
    each: { sid: [a, b, c, d] }
    uses: file
    in: { file: subject.txt }
  split:
    uses: split/random
    in: { subjects: $subject(*).file }
    with: { held_out: $params.held_out }
  table:
    run: printf 'tag,dice\nanat,0.5\nprior,0.25\n' > "$OUT_T"; cp "$IN_P" "$OUT_P"; mkdir -p "$OUT_F"; cp "$OUT_T" "$OUT_F/means.csv"; echo one > "$OUT_F/notes.txt"
    in: { p: picture.png }
    out: { t: t.csv, p: p.png, f: f/ }
results:
  split.csv: $split.table
  whole/: $split.table
  t.csv: $table.t
claims:
  - text: a command's folder has one table
    cell: { table: $table.f, where: { tag: anat }, column: dice }
    equals: 0.5
    within: 0.01
  - text: the table of a split is known by its type
    cell: { table: $split.table, where: { sid: a }, column: partition }
    equals: 1
    within: 0.01
"#;

/// A PNG of one grey pixel.
const PIXEL: [u8; 67] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58, 126, 155,
    85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 104, 0, 0, 0, 130, 0, 129, 119, 205, 114, 182, 0, 0, 0, 0, 73, 69,
    78, 68, 174, 66, 96, 130,
];

fn project() -> Space {
    let space = Space::with(PIPELINE);
    space.write("subject.txt", "a subject\n");
    space.write("picture.png", PIXEL);
    space
}

fn show(space: &Space, more: &[&str]) -> Shown {
    space.pipe([&["show", "pipeline.yaml"], more].concat())
}

#[test]
fn an_artifact_is_shown_as_its_type_says() {
    let space = project();
    space
        .pipe(["run", "pipeline.yaml"])
        .exits(1)
        .shows("a command's folder has one table")
        .shows("`split.table` is `trn`, not a number");
    let shown = show(&space, &["split.table", "--rows", "2"]).exits(0);
    shown.shows("split (folder): which subjects train").shows("table.parquet").shows("2 of 4 rows, 2 columns");
    show(&space, &["split.table/table.parquet"]).exits(0).shows("4 of 4 rows").hides("split (folder)");
    show(&space, &["subject(sid=a).file"]).exits(0).shows("file (file): a file of any form").shows("without a preview");
    show(&space, &["table.t"]).exits(0).shows("anat    0.5").hides("(folder)");
    show(&space, &["table.f"]).exits(0).shows("means.csv").shows("notes.txt").shows("name one of the files");
    show(&space, &["table.f/notes.txt"]).exits(0).shows("one\n");
    show(&space, &["table.p"]).exits(0).shows("--png FILE");
    show(&space, &["table.p", "--png", "thumb.png"]).exits(0).shows("thumb.png");
    assert!(fs::read(space.path("thumb.png")).expect("it is there").starts_with(b"\x89PNG"));
    show(&space, &["table.t", "--png", "x.png"]).exits(2).shows("`table.t` is not a picture");
    show(&space, &["split.tables"]).exits(2).shows("table");
    show(&space, &["subject.file"]).exits(2).shows("is 4 instances");
}

#[test]
fn a_published_table_of_a_kind_has_a_data_dictionary() {
    let space = project();
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    let read = |name: &str| dictionary(&space.path(format!("results/p/{name}")));
    let split = read("split.json");
    assert_eq!(split["partition"]["Levels"]["test"], "scored and used for nothing else, of three parts");
    assert_eq!(split["GeneratedBy"][0]["Parameters"]["held_out"], 0.5);
    assert_eq!(split["GeneratedBy"][0]["Simulated"], false);
    assert_eq!(read("whole/table.json"), split, "beside both files of the folder");
    assert!(!space.path("results/p/t.json").exists(), "what the columns of a command's table mean is not declared");

    // Nothing is written without need, and what was deleted comes back.
    let list = space.read("results/p/.published");
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    assert_eq!(space.read("results/p/.published"), list);
    space.pipe(["status", "pipeline.yaml"]).hides("earlier version");
    fs::remove_file(space.path("results/p/split.json")).expect("removed");
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    assert_eq!(read("split.json"), split);

    space.edit("pipeline.yaml", "held_out: 0.5", "held_out: 0.25");
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    assert_eq!(read("split.json")["GeneratedBy"][0]["Parameters"]["held_out"], 0.25);
}

#[test]
fn what_columns_mean_is_known_from_the_tables_that_they_come_from() {
    let space = project();
    let stages = r#"  ordered: { uses: table/sort, in: { table: $split.table }, with: { by: [sid], descending: [sid] } }
  counts:
    each: { part: [trn, val] }
    uses: table/filter
    in: { table: $ordered.table }
    with: { only: { partition: $each.part } }
  counted:
    uses: table/aggregate
    in: { table: $counts(*).table }
    with: { by: [part], columns: [{ take: count, of: sid, name: subjects }, { take: first, of: partition }] }
  table:
"#;
    space.edit("pipeline.yaml", "  table:\n", stages);
    space.edit(
        "pipeline.yaml",
        "results:\n",
        "results:\n  ordered.csv: $ordered.table\n  counted.csv: $counted.table\n",
    );
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    let ordered = space.read("results/p/ordered.csv");
    let sids: Vec<&str> = ordered.lines().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(sids, ["sid", "d", "c", "b", "a"]);
    assert_eq!(space.read("results/p/counted.csv"), "part,subjects,partition_first\ntrn,2,trn\nval,2,val\n");
    let read = |name: &str| dictionary(&space.path(format!("results/p/{name}")));
    let split = read("split.json");
    let ordered = read("ordered.json");
    assert_eq!(ordered["partition"], split["partition"]);
    assert_eq!(ordered["GeneratedBy"][0]["Name"], "table/sort");
    let counted = read("counted.json");
    assert_eq!(counted["part"]["Description"], "the value of the axis `part`");
    assert_eq!(counted["subjects"]["Description"], "how many values of `sid` in the group: the subject");
    assert_eq!(counted["partition_first"]["Levels"], split["partition"]["Levels"]);
}

#[test]
fn a_result_may_not_take_the_name_of_a_data_dictionary() {
    let space = project();
    space.edit("pipeline.yaml", "  t.csv: $table.t\n", "  split.json: $table.t\n");
    let shown = space.pipe(["plan", "pipeline.yaml"]).exits(2);
    shown.shows("result `split.json` has the name of the data dictionary of `split.csv`").shows("another name");
}

#[test]
fn two_tables_may_not_share_a_data_dictionary_nor_have_that_of_a_sidecar() {
    let space = project();
    let text = space.read("pipeline.yaml");
    space.write("pipeline.yaml", text.replace("  split.csv: $split.table\n", "  t.provenance.csv: $split.table\n"));
    space.pipe(["plan", "pipeline.yaml"]).exits(2).shows("`t.provenance.csv` is a name that pipe itself uses");

    let both = |table: &str| {
        text.replace("  split.csv: $split.table\n", &format!("  split.csv: $split.table\n  split.parquet: {table}\n"))
    };
    space.write("pipeline.yaml", both("$split.table"));
    space.pipe(["plan", "pipeline.yaml"]).exits(0);
    let other =
        "  other: { uses: split/random, in: { subjects: $subject(*).file }, with: { held_out: 0.25 } }\n  table:\n";
    space.write("pipeline.yaml", both("$other.table").replace("  table:\n", other));
    let shown = space.pipe(["plan", "pipeline.yaml"]).exits(2);
    shown.shows("`split.parquet` and `split.csv` would have one data dictionary, `split.json`");
}

#[test]
fn a_claim_about_a_folder_names_its_table_where_it_has_several() {
    let space = project();
    space.edit("pipeline.yaml", "echo one > \"$OUT_F/notes.txt\"", "cp \"$OUT_T\" \"$OUT_F/more.csv\"");
    space
        .pipe(["run", "pipeline.yaml"])
        .exits(1)
        .shows("the folder has 2 CSV files, not one; name one: `$stage.port/NAME.csv`");
}

/// Keys decide what is run again everywhere: a change here costs every user a rerun, and is to be listed in the changelog.
#[test]
fn keys_of_all_kinds_with_default_parameters_are_pinned() {
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let mut text = String::new();
    for kind in registry.kinds() {
        let _ = writeln!(text, "{} {}", kind.name, key(kind));
    }
    insta::assert_snapshot!(text);
}

fn key(kind: &Kind) -> String {
    let params: BTreeMap<String, Value> =
        kind.params.iter().map(|param| (param.name.to_owned(), default(param))).collect();
    let neutral: Vec<(&str, &Value)> =
        kind.params.iter().filter_map(|param| Some((param.name, param.neutral.as_ref()?))).collect();
    let at: Coordinates = kind.axes.iter().map(|axis| (*axis, "a")).collect();
    let parts = Parts {
        kind: kind.key_name(),
        kind_version: kind.version,
        params: &params,
        neutral: &neutral,
        inputs: &[],
        at: &at,
        axes: Some(&kind.axes),
        seed: kind.random.then_some(1),
        simulated: kind.stamped.then_some(true),
        facts: &[],
    };
    parts.key(&mut Vec::new()).to_string()
}

/// The default, or something of its type for a parameter that must be given.
fn default(param: &Param) -> Value {
    param.default.clone().unwrap_or_else(|| match &param.of {
        Type::Choice(words) => Value::Text(words[0].to_owned()),
        Type::Text => Value::Text("x".to_owned()),
        Type::List(_) => Value::List(Vec::new()),
        Type::Map(_) => Value::Map(BTreeMap::new()),
        Type::Int(least, _) => Value::Int(*least),
        Type::Float(least, _) => Value::Float(*least),
        other => panic!("`{}` must be given and is {other:?}", param.name),
    })
}
