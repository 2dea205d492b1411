//! The document on fidelity: it is what the last run and the table of steps give, no step is without a comparison that
//! could have failed, and the tests that it names exist. The comparisons need the original programs (`./just fidelity`).

use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use crate::support::{Shown, workspace};

fn document(arguments: &[&str]) -> Shown {
    let mut command = Command::new("python3");
    Shown::of(command.arg(workspace().join("tests/fidelity/document.py")).args(arguments))
}

/// Steps of the table: id, names of comparisons, names of tests.
fn steps() -> Vec<(String, Vec<String>, Vec<String>)> {
    let table: Vec<Value> = serde_json::from_str(&document(&["table"]).exits(0).stdout).expect("the table is JSON");
    let list = |step: &Value, key: &str| -> Vec<String> {
        let names = step[key].as_array().expect("a list").iter();
        names.map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    table
        .iter()
        .map(|step| (step["id"].as_str().expect("an id").to_owned(), list(step, "comparisons"), list(step, "tests")))
        .collect()
}

fn kept() -> Value {
    let text = fs::read_to_string(workspace().join("tests/fidelity/records.json")).expect("the records can be read");
    serde_json::from_str(&text).expect("the records are JSON")
}

fn records() -> Vec<Value> {
    kept()["records"].as_array().expect("a list").clone()
}

/// A kind whose bytes changed since is to be compared again.
#[test]
fn the_kinds_are_those_that_were_compared() {
    let mut registry = pipe_contract::Registry::new();
    pipe_stages::install(&mut registry);
    let kept = kept();
    let compared = kept["about"]["kinds"].as_object().expect("kinds with their versions");
    assert!(compared.len() > 5, "{compared:?}");
    for (name, version) in compared {
        let now = registry.kind(name).map(|kind| u64::from(kind.version));
        let how = "compare again: `./just fidelity --original FOLDER --write`";
        assert_eq!(version.as_u64(), now, "version of `{name}`; {how}");
    }
}

#[test]
fn the_document_on_fidelity_is_current() {
    document(&["check"]).exits(0);
}

#[test]
fn every_step_of_the_analysis_was_compared_and_could_have_failed() {
    let (page, records) =
        (fs::read_to_string(workspace().join("docs/fidelity.md")).expect("the document can be read"), records());
    let steps = steps();
    for expected in [
        "projection",
        "images",
        "alignment",
        "resize",
        "fields",
        "labels",
        "prior",
        "logits",
        "losses",
        "schedule",
        "training",
        "predictions",
        "scores",
        "statistics",
        "split",
        "logs",
        "grid",
    ] {
        assert!(steps.iter().any(|(id, ..)| id == expected), "there is no step `{expected}`");
    }
    for (id, comparisons, _) in &steps {
        assert!(page.contains(&format!("<a id=\"{id}\"></a>\n\n## ")), "the document has no section on `{id}`");
        assert!(!comparisons.is_empty(), "`{id}` is compared with nothing");
        for name in comparisons {
            let record = records.iter().find(|record| record["comparison"] == name.as_str());
            let record = record.unwrap_or_else(|| panic!("`{name}` was not measured"));
            assert!(record["passed"] == true && record["could_fail"] == true, "`{name}`: {record}");
            assert!(record["values"].as_u64().is_some_and(|count| count > 0), "`{name}` compares nothing");
        }
    }
}

#[test]
fn every_test_that_the_document_names_exists() {
    for (id, _, tests) in steps() {
        for test in tests {
            let (file, function) =
                test.split_once(": ").map_or((test.as_str(), None), |(file, name)| (file, Some(name)));
            let text = fs::read_to_string(workspace().join(file)).unwrap_or_else(|_| panic!("`{id}` names `{file}`"));
            let wanted = function.map_or("#[test]".to_owned(), |name| format!("fn {name}("));
            assert!(text.contains(&wanted), "`{id}`: there is no `{wanted}` in {file}");
        }
    }
}

/// The document is not written from half a run, nor from one that failed.
#[test]
fn a_run_with_a_failure_or_a_gap_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.jsonl");
    let write = |records: &[Value]| {
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        fs::write(&path, lines.join("\n")).expect("the records are written");
        document(&["write", path.to_str().expect("a path")])
    };
    let all = records();
    let shown = write(&all[1..]).exits(1).stderr;
    let name = all[0]["comparison"].as_str().expect("a name");
    assert_eq!(shown, format!("error: these comparisons were not measured: {name}\n"));
    let with = |key: &str, value: Value| {
        let mut changed = all.clone();
        changed[0][key] = value;
        changed
    };
    for (key, value, words) in [
        ("passed", Value::from(false), "failed"),
        ("could_fail", Value::from(false), "could not fail"),
        ("values", Value::from(0), "could not fail"),
    ] {
        let shown = write(&with(key, value)).exits(1).stderr;
        assert_eq!(shown, format!("error: these comparisons {words}: {name}\n"));
    }
}
