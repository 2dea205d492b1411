//! Every class of mistake in a pipeline file with the message that it gets: `tests/broken/NAME.yaml` and its
//! snapshot `NAME.snap` beside it. A file may begin with `# options: --profile NAME --set name=value`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pipe_contract::Blame;
use pipe_engine::plan::{PlanOptions, plan};

use crate::shipped::options;
use crate::test_registry::registry;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

fn options_of(text: &str) -> PlanOptions {
    let mut found = PlanOptions { profile: None, ..options("") };
    let line = text.lines().next().and_then(|line| line.strip_prefix("# options:")).unwrap_or_default();
    let mut words = line.split_whitespace();
    while let (Some(option), Some(value)) = (words.next(), words.next()) {
        match (option, value.split_once('=')) {
            ("--profile", _) => found.profile = Some(value.to_owned()),
            ("--set", Some((name, value))) => found.set.push((name.to_owned(), value.to_owned())),
            _ => panic!("`{option} {value}` is not an option"),
        }
    }
    found
}

#[test]
fn each_mistake_has_its_message() {
    let mut names: Vec<String> = fs_err::read_dir(folder())
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .filter(|name| !name.starts_with("part-"))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "{names:?}");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../broken");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut classes = BTreeSet::new();
    for name in names {
        let path = folder().join(format!("{name}.yaml"));
        let text = fs_err::read_to_string(&path).expect("readable");
        let Err(errors) = plan(&path, &options_of(&text), &registry()) else { panic!("`{name}` plans") };
        assert_eq!(errors.blame(), Blame::Input);
        for reported in errors.reported() {
            assert!(reported.line.is_some_and(|line| line > 0), "{name}: {reported:?}");
            classes.insert(format!("{:?}", reported.class));
        }
        let shown = errors.render(false).replace(&format!("{}/", folder().display()), "");
        settings.bind(|| insta::assert_snapshot!(name.as_str(), shown));
    }
    let expected = [
        "Axes",
        "Collision",
        "Cycle",
        "DuplicateKey",
        "File",
        "Include",
        "Missing",
        "PortType",
        "Profile",
        "Reference",
        "Resources",
        "Shape",
        "Syntax",
        "UnknownKey",
        "UnknownName",
        "Value",
        "Version",
    ];
    assert_eq!(classes.iter().map(String::as_str).collect::<Vec<_>>(), expected, "every class is shown");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = plan(Path::new("no/such/file.yaml"), &PlanOptions::default(), &registry()).expect_err("missing");
    assert!(error.render(false).contains("no/such/file.yaml"), "{error}");
}

#[test]
fn colour_changes_nothing_but_colour() {
    let error = plan(&folder().join("unknown-input.yaml"), &options_of(""), &registry()).expect_err("broken");
    let coloured = error.render(true);
    assert!(coloured.contains("\u{1b}["));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some(start) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..start]);
        let end = rest[start..].find('m').expect("an end") + start;
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    assert_eq!(plain, error.render(false));
}
