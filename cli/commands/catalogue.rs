//! `pipe stages --markdown`: the catalogue of stage kinds and artifact types as one chapter of the book, from their declarations.

use std::fmt::Write as _;

use pipe_contract::{Arity, ArtifactType, Form, Input, Kind, Output, Param, Registry};

use super::stages::{promises, type_words};

/// The whole catalogue: kinds by topic, then the types of artifacts.
pub fn markdown(registry: &Registry) -> String {
    let mut text = String::from("# Stage kinds\n\nWhat `uses:` can name. Each is described as its code declares it.\n");
    let mut topic = "";
    for declared in registry.kinds() {
        let this = declared.name.split('/').next().unwrap_or(declared.name);
        if this != topic {
            let _ = write!(text, "\n## {this}\n");
        }
        topic = this;
        let _ = write!(text, "\n{}", kind(declared));
    }
    text.push_str("\n## Artifact types\n\nWhat travels through ports. `pipe show` previews an artifact; `pipe verify` compares two.\n");
    table(
        &mut text,
        &["type", "form", "what it is", "compared", "preview", "table"],
        registry.artifact_types().map(artifact_type),
    );
    text
}

/// One kind.
pub fn kind(kind: &Kind) -> String {
    let mut text = format!("### `{}`\n\n{}\n", kind.name, sentence(kind.about));
    let inputs = kind.inputs.iter().map(input);
    part(&mut text, "Inputs (`in:`)", &["port", "reads", "what it is"], inputs);
    let parameters = kind.params.iter().map(parameter);
    part(&mut text, "Parameters (`with:`)", &["name", "type", "default", "what it does"], parameters);
    part(&mut text, "Outputs", &["port", "type", "what it is"], kind.outputs.iter().map(output));
    for output in &kind.outputs {
        for described in &output.tables {
            let files: Vec<String> = described.files.iter().map(|file| code(file)).collect();
            let title = format!("Columns of {} in `{}`", files.join(" and "), output.name);
            let columns = described.columns.iter().map(|column| {
                let levels: Vec<String> =
                    column.levels.iter().map(|(value, about)| format!("{} {}", level(value), cell(about))).collect();
                [code(column.name), cell(column.unit), cell(column.about), levels.join("; ")]
            });
            part(&mut text, &title, &["column", "unit", "what it is", "values"], columns);
        }
    }
    let promises: Vec<String> = promises(kind).iter().map(|promise| sentence(promise)).collect();
    let _ = write!(text, "\n{} Version {}. Source: `{}`.\n", promises.join(" "), kind.version, kind.source);
    text
}

fn part<const N: usize>(text: &mut String, title: &str, head: &[&str; N], rows: impl Iterator<Item = [String; N]>) {
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        let _ = write!(text, "\n**{title}**\n");
        table(text, head, rows);
    }
}

fn table<const N: usize>(text: &mut String, head: &[&str; N], rows: impl Iterator<Item = [String; N]>) {
    let _ = write!(text, "\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(N));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
}

fn input(input: &Input) -> [String; 3] {
    let types: Vec<String> = input.types.iter().map(|name| code(name)).collect();
    let mut reads = if types.is_empty() { "anything".to_owned() } else { types.join(" or ") };
    if input.arity == Arity::Many {
        reads.push_str(", gathered");
    }
    if input.optional {
        reads.push_str(", optional");
    }
    [code(input.name), reads, cell(input.about)]
}

fn parameter(param: &Param) -> [String; 4] {
    let default = match &param.default {
        None => "must be given".to_owned(),
        Some(value) if value.as_text() == Some("") => "empty".to_owned(),
        Some(value) => code(&value.to_string()),
    };
    [code(param.name), cell(&type_words(&param.of)), default, cell(param.about)]
}

fn output(output: &Output) -> [String; 3] {
    let aggregates = if output.aggregates { "; counts the subjects behind it, for rules of release" } else { "" };
    let about = format!("{}{aggregates}", output.about);
    [code(output.name), format!("`{}`, {}", output.artifact, form(output.form)), cell(&about)]
}

fn artifact_type(artifact: &ArtifactType) -> [String; 6] {
    let each = |word: fn(&pipe_contract::FileFormat) -> &'static str| {
        let words: Vec<String> =
            artifact.formats.iter().map(|format| format!("{}: {}", format.name, word(format))).collect();
        words.join(", ")
    };
    let or_else = |words: String, otherwise: &str| if words.is_empty() { otherwise.to_owned() } else { words };
    [
        code(artifact.name),
        form(artifact.form).to_owned(),
        cell(artifact.about),
        or_else(each(|format| format.comparison.word()), "exactly"),
        or_else(each(|format| format.preview.word()), "list of files"),
        artifact.table.map_or_else(String::new, code),
    ]
}

fn form(form: Form) -> &'static str {
    match form {
        Form::File => "file",
        Form::Folder => "folder",
    }
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// A value of a column; an empty one has no characters to quote.
fn level(value: &str) -> String {
    if value.is_empty() { "empty:".to_owned() } else { code(value) }
}

/// A text in a cell: a bar would end it, and outside of code spans some characters would be markup.
fn cell(text: &str) -> String {
    let text = text.replace('|', "\\|").replace('\n', " ");
    let spans = text.split('`').enumerate().map(|(number, span)| match number % 2 {
        0 => span.replace('<', "\\<").replace('*', "\\*"),
        _ => span.to_owned(),
    });
    spans.collect::<Vec<_>>().join("`")
}

/// A sentence, however the declaration writes it.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let text = format!("{}{}", first.to_uppercase(), letters.as_str());
    if text.ends_with('.') { text } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use pipe_contract::parameters;

    use super::*;

    parameters! {
        struct Parameters {
            /// by how much
            factor: f64 = 1.5, in 0.0..=10.0;
            /// one of two words
            word: String, one_of &["a", "b"];
        }
    }

    #[test]
    fn a_kind_is_a_section_with_its_tables() {
        const COLUMNS: &[pipe_contract::Column] = &[pipe_contract::Column::measured("dice", "0 to 1", "a score")];
        let kind_of = Kind::new("demo/scale", 2, "multiplies a table")
            .gather("tables", &["table"], "what to scale")
            .parameters::<Parameters>()
            .folder("table", "table", "the product")
            .described(&["table.csv"], COLUMNS);
        insta::assert_snapshot!(kind(&kind_of));
    }

    #[test]
    fn every_kind_and_type_that_ships_is_in_the_catalogue() {
        let registry = crate::commands::registry();
        let text = markdown(&registry);
        for kind in registry.kinds() {
            assert!(text.contains(&format!("\n### `{}`\n", kind.name)), "{}", kind.name);
            assert!(kind.source.starts_with("stages/src/"), "{}", kind.source);
        }
        assert!(registry.artifact_types().all(|artifact| text.contains(&format!("\n| `{}` |", artifact.name))));
    }
}
