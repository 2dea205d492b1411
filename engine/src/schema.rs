//! The JSON Schema of pipeline files, made from the tables of keys that the reader itself uses and from the
//! declarations of stage kinds: what the schema accepts, the reader accepts.
//!
//! The schemas of what runs leave behind, manifests, logs of events and sidecars of results, are files, which tests compare with what runs write.
//!
//! A schema cannot resolve a reference, so every parameter may also be a text that holds a `$`.

use pipe_contract::{Arity, Kind, Registry, Type, Value as Parameter};
use serde_json::{Map, Value, json};

use crate::spec::{KeyTable, Shape, TABLES};

/// The schema of manifests, as text.
pub const MANIFEST: &str = include_str!("../schemas/manifest.schema.json");

/// The schema of a line of the log of events of a run, as text.
pub const EVENTS: &str = include_str!("../schemas/events.schema.json");

/// The schema of the sidecar of a published result, as text.
pub const PROVENANCE: &str = include_str!("../schemas/provenance.schema.json");

/// The schema, as JSON text with a final newline.
pub fn json(registry: &Registry) -> String {
    let mut text = serde_json::to_string_pretty(&schema(registry)).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema.
pub fn schema(registry: &Registry) -> Value {
    let mut definitions: Map<String, Value> =
        TABLES.iter().map(|known| (known.name.to_owned(), table(known))).collect();
    definitions.insert(
        "reference".to_owned(),
        json!({ "type": "string", "pattern": "\\$", "description": "A reference, or a text with one inside." }),
    );
    for kind in registry.kinds() {
        definitions.insert(definition(kind), parameters(kind));
    }
    if let Some(Value::Object(stage)) = definitions.get_mut("stage") {
        let names: Vec<&str> = registry.kinds().map(|kind| kind.name).collect();
        stage["properties"]["uses"] =
            json!({ "enum": names, "description": stage["properties"]["uses"]["description"] });
        stage.insert("allOf".to_owned(), kinds(registry));
    }
    // A file is a pipeline if it has a name, else it is one that others include: a wrong key is then reported as such, not
    // as "none of two forms fits".
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipe pipeline",
        "type": "object",
        "if": { "required": ["pipeline"] },
        "then": { "$ref": "#/$defs/pipeline" },
        "else": { "$ref": "#/$defs/included" },
        "$defs": definitions,
    })
}

/// A map with known keys.
fn table(table: &KeyTable) -> Value {
    let properties: Map<String, Value> = table
        .keys
        .iter()
        .map(|key| {
            let mut shape = shape(&key.shape);
            if let Value::Object(shape) = &mut shape {
                shape.insert("description".to_owned(), json!(key.about));
            }
            (key.name.to_owned(), shape)
        })
        .collect();
    let required: Vec<&str> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "description": table.what,
        "properties": properties,
        "required": required,
        "patternProperties": { "^x-": true },
        "additionalProperties": false,
    })
}

fn shape(of: &Shape) -> Value {
    match of {
        Shape::Exactly(number) => json!({ "const": number }),
        Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Int(least) => json!({ "type": "integer", "minimum": least }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Any => json!({}),
        Shape::List(of) => json!({ "type": "array", "items": shape(of) }),
        Shape::Map(of) => json!({
            "type": ["object", "null"], "patternProperties": { "^x-": true }, "additionalProperties": shape(of),
        }),
        Shape::KeyTable(table) => json!({ "$ref": format!("#/$defs/{}", table.name) }),
        Shape::Either(shapes) => either(shapes),
    }
}

/// One of several shapes, distinguished by the type of the value, so that what is wrong inside one of them is reported at its
/// place. (`anyOf` would only say that none of them fits.)
fn either(shapes: &[Shape]) -> Value {
    let types: Vec<&str> = shapes.iter().flat_map(types).collect();
    let rules: Vec<Value> =
        shapes.iter().map(|of| json!({ "if": { "type": types_of(of) }, "then": shape(of) })).collect();
    json!({ "type": types, "allOf": rules })
}

fn types_of(of: &Shape) -> Vec<&'static str> {
    types(of).collect()
}

/// The types of JSON that a shape has.
fn types(of: &Shape) -> std::vec::IntoIter<&'static str> {
    let types: Vec<&'static str> = match of {
        Shape::Exactly(_) | Shape::Int(_) => vec!["integer"],
        Shape::Number => vec!["number"],
        Shape::Bool => vec!["boolean"],
        Shape::Text => vec!["string", "number", "boolean"],
        Shape::Word(_) => vec!["string"],
        Shape::List(_) => vec!["array"],
        Shape::Map(_) => vec!["object", "null"],
        Shape::KeyTable(_) => vec!["object"],
        Shape::Any => vec!["string", "number", "boolean", "array", "object", "null"],
        Shape::Either(shapes) => shapes.iter().flat_map(types).collect(),
    };
    types.into_iter()
}

/// For each kind: if a stage `uses` it, `with` and `in` are its own.
fn kinds(registry: &Registry) -> Value {
    let rule = |kind: &Kind| {
        let inputs: Map<String, Value> =
            kind.inputs.iter().map(|input| (input.name.to_owned(), input_schema(input.arity, input.about))).collect();
        let required: Vec<&str> = kind.inputs.iter().filter(|input| !input.optional).map(|input| input.name).collect();
        let needs: Vec<&str> =
            kind.params.iter().filter(|param| param.default.is_none()).map(|param| param.name).collect();
        let mut then = json!({
            "properties": {
                "with": { "$ref": format!("#/$defs/{}", definition(kind)) },
                "in": { "properties": inputs, "required": required, "additionalProperties": false },
            },
        });
        let must: Vec<&str> = [("with", needs.is_empty()), ("in", required.is_empty())]
            .into_iter()
            .filter(|(_, empty)| !empty)
            .map(|(key, _)| key)
            .collect();
        then["required"] = json!(must);
        json!({ "if": { "properties": { "uses": { "const": kind.name } }, "required": ["uses"] }, "then": then })
    };
    Value::Array(registry.kinds().map(rule).collect())
}

fn input_schema(arity: Arity, about: &str) -> Value {
    let types: &[&str] = match arity {
        Arity::One => &["string", "object"],
        Arity::Many => &["string", "object", "array"],
    };
    json!({ "type": types, "description": about })
}

/// The name of a kind's parameters among the definitions.
fn definition(kind: &Kind) -> String {
    format!("with {}", kind.name.replace('/', " "))
}

fn parameters(kind: &Kind) -> Value {
    let properties: Map<String, Value> = kind
        .params
        .iter()
        .map(|param| {
            let mut schema = or_reference(parameter(&param.of));
            schema["description"] = json!(param.about);
            if let Some(default) = &param.default {
                schema["default"] = value(default);
            }
            (param.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> =
        kind.params.iter().filter(|param| param.default.is_none()).map(|param| param.name).collect();
    json!({ "type": "object", "description": kind.about, "properties": properties, "required": required, "additionalProperties": false })
}

/// A value, unless it is a text with a reference in it.
fn or_reference(of: Value) -> Value {
    json!({ "if": { "$ref": "#/$defs/reference" }, "then": true, "else": of })
}

fn parameter(of: &Type) -> Value {
    match of {
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int(low, high) => {
            bounded("integer", (*low > i64::MIN).then(|| json!(low)), (*high < i64::MAX).then(|| json!(high)))
        }
        Type::Float(low, high) => {
            bounded("number", (*low > f64::MIN).then(|| json!(low)), (*high < f64::MAX).then(|| json!(high)))
        }
        Type::Text => json!({ "type": ["string", "number", "boolean"] }),
        Type::Choice(words) => json!({ "enum": words }),
        Type::List(of) => {
            json!({ "type": "array", "items": or_reference(parameter(of)) })
        }
        Type::Map(of) => {
            json!({ "type": "object", "additionalProperties": or_reference(parameter(of)) })
        }
        Type::Any => json!({}),
    }
}

fn bounded(of: &str, low: Option<Value>, high: Option<Value>) -> Value {
    let mut schema = json!({ "type": of });
    if let Some(low) = low {
        schema["minimum"] = low;
    }
    if let Some(high) = high {
        schema["maximum"] = high;
    }
    schema
}

fn value(of: &Parameter) -> Value {
    serde_json::to_value(of).unwrap_or(Value::Null)
}
