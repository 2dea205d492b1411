//! The schema and the reader are made from the same tables; this compares them.

use std::path::Path;

use pipe_engine::plan::{PlanOptions, plan};
use pipe_engine::schema;
use pipe_engine::spec::TABLES;
use serde_json::Value;

use crate::json_schema_validator::{assert_valid, errors};
use crate::test_registry::registry;

fn json_of(file: &std::path::Path) -> Value {
    let text = fs_err::read_to_string(file).expect("readable");
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(&text, options).expect("YAML")
}

#[test]
fn the_shipped_pipeline_is_valid_by_the_schema() {
    let file = crate::shipped::benson2025();
    assert_valid(&schema::json(&registry()), &[json_of(&file)]);
}

#[test]
fn unknown_keys_and_missing_ports_are_invalid_by_the_schema_too() {
    let names =
        ["unknown-key", "unknown-input", "missing-input", "wrong-type", "out-of-range", "not-a-choice", "yes-is-text"];
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/broken/{name}.yaml"));
    let values = names.map(|name| json_of(&file(name)));
    for (name, error) in names.iter().zip(errors(&schema::schema(&registry()), &values)) {
        assert!(!error.is_empty(), "{name}");
        assert!(plan(&file(name), &PlanOptions::default(), &registry()).is_err());
    }
}

/// What the schema says about texts, each with the path to what is wrong.
fn said(texts: &[String]) -> Vec<String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let value = |text: &String| serde_saphyr::from_str_with_options(text, options.clone()).expect("YAML");
    errors(&schema::schema(&registry()), &texts.iter().map(value).collect::<Vec<_>>())
}

#[test]
fn the_wrong_key_is_named_and_included_files_are_accepted() {
    let stage = |stage: &str| format!("pipe: 1\npipeline: p\nstages:\n  a: {stage}\n");
    let wrong = [
        (stage("{ run: x, output: { t: t } }"), "stages: a: 'output' "),
        (stage("{ run: [x], out: { t: t } }"), "stages: a: run: "),
        (stage("{ uses: unet/trian }"), "stages: a: uses: 'unet/trian' "),
        (stage("{ run: x, out: { t: t }, in: { d: { path: d, ignor: x } } }"), "stages: a: in: d: 'ignor' "),
        (stage("{ run: x, out: { t: t }, resources: [{ cpus: 1 }] }"), "stages: a: resources: 0: 'cpus' "),
        ("pipe: 1\nstages: {}\nresults: { x: $a.t }\n".to_owned(), "'results' "),
    ];
    let texts = wrong.each_ref().map(|(text, _)| text.clone());
    for ((text, wanted), said) in wrong.iter().zip(said(&texts)) {
        assert!(said.starts_with(wanted) && said.lines().count() == 1, "{said}\nof {text}");
        assert!(!said.contains("is not valid under any of"), "{said}\nof {text}");
    }
    let good = [
        stage("{ run: x, out: { t: t }, in: { d: { path: d, ignore: [] }, e: [a, $b.t] } }"),
        "pipe: 1\nparams: { n: 1 }\nstages:\n  a: none\n".to_owned(),
        "pipe: 1\npipeline: p\nprofiles: { x-shared: { b: none }, q: { stages: { x-a: 3, a: none } } }\nstages:\n  a: none\n".to_owned(),
    ];
    assert_eq!(said(&good), ["", "", ""]);
}

#[test]
fn every_key_of_the_tables_is_read_and_in_the_schema() {
    let schema = schema::schema(&registry());
    for table in TABLES {
        let properties =
            schema["$defs"][table.name]["properties"].as_object().unwrap_or_else(|| panic!("{}", table.name));
        assert_eq!(properties.len(), table.keys.len());
        assert!(table.keys.iter().all(|key| properties.contains_key(key.name) && !key.about.is_empty()));
    }
}
