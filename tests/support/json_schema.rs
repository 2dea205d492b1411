//! Checks JSON by a JSON Schema, with the validator that most others use: the Python package `jsonschema`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::python_package::installed;

/// Reads `{"schema": ..., "values": [...]}`; prints for each value its errors with their places, a line each, as editors
/// show them: no error is looked for inside another. Draft 2020-12, which is what the schemas say they are; the schema
/// itself is checked too.
const PROGRAM: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
given = json.load(sys.stdin)
Draft202012Validator.check_schema(given["schema"])
validator = Draft202012Validator(given["schema"])
line = lambda error: "".join(f"{part}: " for part in error.absolute_path) + error.message
json.dump(["\n".join(map(line, validator.iter_errors(value))) for value in given["values"]], sys.stdout)
"#;

/// What is wrong with each value by a schema: its errors, each with its place, or an empty text.
pub fn errors(schema: &Value, values: &[Value]) -> Vec<String> {
    let mut process = Command::new("python3")
        .args(["-c", PROGRAM])
        .env("PYTHONPATH", installed("jsonschema"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let given = serde_json::json!({ "schema": schema, "values": values }).to_string();
    process.stdin.take().expect("stdin is piped").write_all(given.as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the validator refuses the schema");
    serde_json::from_slice(&output.stdout).expect("a list of texts")
}

/// Panics unless every value is valid by a schema, given as text.
pub fn assert_valid(schema: &str, values: &[Value]) {
    let schema = serde_json::from_str(schema).expect("a schema is JSON");
    for (value, error) in values.iter().zip(errors(&schema, values)) {
        assert!(error.is_empty(), "{error}\nin {value}");
    }
}
