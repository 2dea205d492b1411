//! `pipe stages`: the catalogue of stage kinds, from their declarations.

use std::fmt::Write;

use pipe_contract::{Arity, Form, Kind, Registry, Repro, Runs, Type};

/// One line per kind, by topic.
pub fn list(registry: &Registry) -> String {
    let width = registry.kinds().map(|kind| kind.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut topic = "";
    for kind in registry.kinds() {
        let this = kind.name.split('/').next().unwrap_or(kind.name);
        if !topic.is_empty() && topic != this {
            text.push('\n');
        }
        topic = this;
        let _ = writeln!(text, "{:width$}  {}", kind.name, kind.about);
    }
    text
}

/// Everything a kind declares.
pub fn describe(kind: &Kind) -> String {
    let mut text = format!("{} (version {})\n  {}\n", kind.name, kind.version, kind.about);
    section(
        &mut text,
        "in",
        kind.inputs.iter().map(|port| {
            let optional = if port.optional { ", optional" } else { "" };
            let gathers = if port.arity == Arity::Many { ", gathers" } else { "" };
            let types = if port.types.is_empty() { "anything".to_owned() } else { port.types.join(" or ") };
            (port.name, format!("{types}{gathers}{optional}"), port.about)
        }),
    );
    section(
        &mut text,
        "with",
        kind.params.iter().map(|param| {
            let default = param.default.as_ref().map_or("required".to_owned(), |value| format!("default {value}"));
            (param.name, format!("{}, {default}", type_words(&param.of)), param.about)
        }),
    );
    section(
        &mut text,
        "out",
        kind.outputs.iter().map(|port| {
            let form = if port.form == Form::Folder { "folder" } else { "file" };
            let aggregates = if port.aggregates { ", counts subjects" } else { "" };
            (port.name, format!("{} ({form}{aggregates})", port.artifact), port.about)
        }),
    );
    for promise in promises(kind) {
        let _ = writeln!(text, "  {promise}");
    }
    text
}

fn section<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = (&'a str, String, &'a str)>) {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {title}:");
    let width = rows.iter().map(|(name, _, _)| name.len()).max().unwrap_or(0);
    for (name, what, about) in rows {
        let _ = writeln!(text, "    {name:width$}  {what}\n    {:width$}    {about}", "");
    }
}

pub(super) fn type_words(of: &Type) -> String {
    match of {
        Type::Bool => "bool".into(),
        Type::Int(least, most) => {
            format!("int{}", range(*least as f64, *most as f64, i64::MIN as f64, i64::MAX as f64))
        }
        Type::Float(least, most) => format!("float{}", range(*least, *most, f64::MIN, f64::MAX)),
        Type::Text => "text".into(),
        Type::Choice(words) => words.join("|"),
        Type::List(of) => format!("list of {}", type_words(of)),
        Type::Map(of) => format!("map to {}", type_words(of)),
        Type::Any => "anything".into(),
    }
}

fn range(least: f64, most: f64, lowest: f64, highest: f64) -> String {
    match (least > lowest, most < highest) {
        (true, true) => format!(" {least}..{most}"),
        (true, false) => format!(" from {least}"),
        (false, true) => format!(" up to {most}"),
        (false, false) => String::new(),
    }
}

pub(super) fn promises(kind: &Kind) -> Vec<String> {
    let mut all = Vec::new();
    all.push(match kind.runs {
        Runs::Thread => "runs on a thread of pipe".to_owned(),
        Runs::ProcessFresh => "runs in a worker process of its own".to_owned(),
        Runs::ProcessReusable => "runs in a worker process that is reused for the next task".to_owned(),
    });
    all.push(match kind.repro {
        Repro::Exact => "gives the same bytes everywhere".to_owned(),
        Repro::Within(tolerance) => {
            format!("gives the same bytes on one instruction set and device, elsewhere numbers within {tolerance}")
        }
    });
    if !kind.axes.is_empty() {
        all.push(format!("its stage must have the axes {}", kind.axes.join(", ")));
    }
    if kind.random {
        all.push("is random: has a seed".to_owned());
    }
    if let Some(former) = kind.formerly {
        all.push(format!("was called `{former}`, under which its keys and seeds are still made"));
    }
    if kind.network {
        all.push("uses the network: may have `credential:` and `retry:`".to_owned());
    }
    if !kind.absences.is_empty() {
        all.push(format!("may be absent because: {}", kind.absences.join(", ")));
    }
    all
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;

    #[test]
    fn a_kind_is_described_by_its_declaration() {
        let kind = Kind::new("demo/scale", 2, "Multiplies a table.")
            .gather("tables", &["table"], "What to scale.")
            .param("factor", Type::Float(0.0, 10.0), Value::Float(1.5), "By how much.")
            .file("table", "table", "The product.");
        insta::assert_snapshot!(describe(&kind));
    }
}
