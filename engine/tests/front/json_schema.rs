//! The schema and the reader are made from the same tables; this compares them.

use std::path::PathBuf;

use pipe_engine::plan::{Options, plan};
use pipe_engine::schema;
use pipe_engine::spec::TABLES;
use serde_json::Value;

use crate::test_registry::registry;

/// Checks by the few keywords that the schema uses. Panics on others, so that a new keyword needs a check here.
fn valid(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(rules) = schema else {
        return if schema == &Value::Bool(true) { Ok(()) } else { Err("never".into()) };
    };
    for (keyword, rule) in rules {
        let holds = match keyword.as_str() {
            "description" | "default" | "title" | "$schema" | "$defs" | "then" | "else" | "patternProperties" => true,
            "$ref" => {
                let name = rule.as_str().and_then(|name| name.strip_prefix("#/$defs/")).expect("a local reference");
                valid(root, &root["$defs"][name], value)?;
                true
            }
            "type" => match rule {
                Value::Array(words) => words.iter().any(|word| is(word, value)),
                word => is(word, value),
            },
            "const" => rule == value,
            "enum" => rule.as_array().is_some_and(|words| words.contains(value)),
            "pattern" => value.as_str().is_none_or(|text| text.contains('$')),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().expect("a number")),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().expect("a number")),
            "required" => {
                rule.as_array().expect("a list").iter().all(|key| value.get(key.as_str().expect("text")).is_some())
            }
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| valid(root, rule, item)).map(|()| true)?
            }
            "anyOf" => rule.as_array().expect("a list").iter().any(|rule| valid(root, rule, value).is_ok()),
            "allOf" => {
                rule.as_array().expect("a list").iter().try_for_each(|rule| valid(root, rule, value)).map(|()| true)?
            }
            "if" => {
                let branch = if valid(root, rule, value).is_ok() { "then" } else { "else" };
                rules.get(branch).map_or(Ok(()), |branch| valid(root, branch, value)).map(|()| true)?
            }
            "properties" => {
                for (key, rule) in rule.as_object().expect("a map") {
                    if let Some(inner) = value.get(key) {
                        valid(root, rule, inner).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Value::as_object);
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if !key.starts_with("x-") && known.is_none_or(|known| !known.contains_key(key)) {
                        valid(root, rule, inner).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
                true
            }
            other => panic!("the schema uses `{other}`, which this test does not check"),
        };
        if !holds {
            return Err(format!("{keyword} {rule} does not hold for {value}"));
        }
    }
    Ok(())
}

fn is(word: &Value, value: &Value) -> bool {
    match word.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        other => panic!("type {other:?}"),
    }
}

fn json_of(file: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(file).expect("readable");
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(&text, options).expect("YAML")
}

#[test]
fn the_shipped_pipeline_is_valid_by_the_schema() {
    let schema = schema::schema(&registry());
    let file = crate::shipped::benson2025();
    valid(&schema, &schema, &json_of(&file)).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn unknown_keys_and_missing_ports_are_invalid_by_the_schema_too() {
    let schema = schema::schema(&registry());
    for name in
        ["unknown-key", "unknown-input", "missing-input", "wrong-type", "out-of-range", "not-a-choice", "yes-is-text"]
    {
        let file: PathBuf = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/broken/{name}.yaml"));
        assert!(valid(&schema, &schema, &json_of(&file)).is_err(), "{name}");
        assert!(plan(&file, &Options::default(), &registry()).is_err());
    }
}

/// What the schema says about a text, with the path to what is wrong.
fn said(text: &str) -> String {
    let schema = schema::schema(&registry());
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: Value = serde_saphyr::from_str_with_options(text, options).expect("YAML");
    valid(&schema, &schema, &value).map_or_else(|error| error, |()| "valid".to_owned())
}

#[test]
fn the_wrong_key_is_named_and_included_files_are_accepted() {
    let stage = |stage: &str| said(&format!("pipe: 1\npipeline: p\nstages:\n  a: {stage}\n"));
    assert!(
        stage("{ run: x, output: { t: t } }").starts_with("stages: a: output: "),
        "{}",
        stage("{ run: x, output: { t: t } }")
    );
    assert!(stage("{ run: [x], out: { t: t } }").starts_with("stages: a: run: "));
    assert!(stage("{ uses: unet/trian }").contains("unet/train"), "kinds are listed");
    assert!(
        stage("{ run: x, out: { t: t }, in: { d: { path: d, ignor: x } } }").starts_with("stages: a: in: d: ignor: ")
    );
    assert!(stage("{ run: x, out: { t: t }, resources: [{ cpus: 1 }] }").contains("cpus: "));
    assert_eq!(stage("{ run: x, out: { t: t }, in: { d: { path: d, ignore: [] }, e: [a, $b.t] } }"), "valid");
    assert_eq!(said("pipe: 1\nparams: { n: 1 }\nstages:\n  a: none\n"), "valid");
    assert!(said("pipe: 1\nstages: {}\nresults: { x: $a.t }\n").starts_with("results: "));
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
