//! A file of YAML: its tree, or what is wrong in words for authors.

use serde_saphyr::options::DuplicateKeyPolicy;

use super::node::Node;
use super::syntax::syntax_error;
use super::tree::read_tree;
use crate::diag::{Class, Diagnostic, Sources, Span};

/// Reads one file of `sources` into a tree.
///
/// # Errors
/// What is not legal YAML, with the place, reworded for authors of pipelines.
pub fn parse(sources: &Sources, file: u32) -> Result<Node, Diagnostic> {
    let text = &sources.get(file).text;
    if text.len() > u32::MAX as usize / 2 {
        return Err(Diagnostic::new(Class::Syntax, Span::start_of(file), "the file is larger than 2 GiB"));
    }
    read_tree(text, file, DuplicateKeyPolicy::Error).map_err(|error| syntax_error(sources, file, &error))
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::spec::node::Tree;

    fn tree(text: &str) -> Result<(Sources, Node), Diagnostic> {
        let mut sources = Sources::default();
        let file = sources.add("/p.yaml".into(), "p.yaml".into(), text.to_owned());
        parse(&sources, file).map(|node| (sources, node))
    }

    #[test]
    fn scalars_follow_yaml_1_2_and_keep_their_spelling() {
        for (written, expected) in [
            ("010512", Value::Text("010512".into())),
            ("115017", Value::Int(115_017)),
            ("yes", Value::Text("yes".into())),
            ("n", Value::Text("n".into())),
            ("true", Value::Bool(true)),
            ("1_000", Value::Text("1_000".into())),
            ("0x1F", Value::Int(31)),
            ("1e3", Value::Float(1000.0)),
            ("0.50", Value::Float(0.5)),
            ("12:30", Value::Text("12:30".into())),
            (".inf", Value::Text(".inf".into())),
            ("1e999", Value::Text("1e999".into())),
            ("~", Value::Null),
            ("\"12\"", Value::Text("12".into())),
            ("-7", Value::Int(-7)),
            ("99999999999999999999", Value::Text("99999999999999999999".into())),
        ] {
            let (_, node) = tree(&format!("a: {written}\n")).expect(written);
            let value = node.get("a").expect("a");
            assert_eq!(value.value(), expected, "{written}");
            if written != "~" {
                assert_eq!(value.written(), Some(written.trim_matches('"')), "{written}");
            }
        }
    }

    #[test]
    fn commands_get_the_text_as_written() {
        for (written, expected) in [
            ("1.10", Value::Text("1.10".into())),
            ("0x1F", Value::Text("0x1F".into())),
            ("True", Value::Text("True".into())),
            ("~", Value::Null),
            ("\"1.10\"", Value::Text("1.10".into())),
            ("&x 1.10", Value::Text("1.10".into())),
            ("!!float 1.10", Value::Text("1.10".into())),
            ("[1.10, 1e3]", Value::List(vec![Value::Text("1.10".into()), Value::Text("1e3".into())])),
            (
                "{ b: [1.10, 0x1F, +1], a: True, \"c\": \"2\", d: ~, 1.50: x }",
                Value::Text(r#"{"1.50":"x","a":true,"b":[1.10,"0x1F","+1"],"c":"2","d":null}"#.into()),
            ),
            ("[[1.10], { x: 1e3 }]", Value::Text(r#"[[1.10],{"x":1e3}]"#.into())),
        ] {
            let (_, node) = tree(&format!("a: {written}\n")).expect(written);
            assert_eq!(node.get("a").expect("a").as_written(), expected, "{written}");
        }
    }

    #[test]
    fn readers_see_numbers_as_they_are_written() {
        let text = |text: &str| Value::Text(text.into());
        for (written, expected) in [
            ("3", Value::Int(3)),
            ("0.5", Value::Float(0.5)),
            ("1e-9", Value::Float(1e-9)),
            ("true", Value::Bool(true)),
            ("~", Value::Null),
            ("1.10", text("1.10")),
            ("0x1F", text("0x1F")),
            ("+3", text("+3")),
            ("True", text("True")),
            ("\"3\"", text("3")),
            ("[1.10, 2]", Value::List(vec![text("1.10"), Value::Int(2)])),
            ("{ a: 1e3 }", Value::Map([("a".to_owned(), text("1e3"))].into())),
        ] {
            let (_, node) = tree(&format!("a: {written}\n")).expect(written);
            assert_eq!(node.get("a").expect("a").spelled(), expected, "{written}");
        }
    }

    #[test]
    fn spans_hold_the_value_and_anchors_and_merges_work() {
        let (sources, node) = tree("a: &x { n: 010, y: [1, two] }\nb:\n  <<: *x\n  n: 3\nc: *x\n").expect("legal");
        let b = node.get("b").expect("b");
        assert_eq!(b.get("n").expect("n").value(), Value::Int(3));
        let Tree::List(items) = &b.get("y").expect("merged").tree else { panic!("a list") };
        assert_eq!(sources.text(items[1].span), "two");
        assert_eq!(node.get("c").and_then(|c| c.get("n")).and_then(Node::written), Some("010"));
        assert_eq!(sources.text(node.get("b").and_then(|b| b.get("n")).expect("n").span), "3");
    }

    #[test]
    fn duplicate_keys_point_at_both() {
        let error = tree("stages:\n  a: 1\n  b: 2\n  a: 3\n").expect_err("twice");
        assert_eq!(error.class, Class::DuplicateKey);
        let mut sources = Sources::default();
        sources.add("/p".into(), "p".into(), "stages:\n  a: 1\n  b: 2\n  a: 3\n".into());
        assert_eq!(sources.position(error.primary.expect("placed").span).line, 4);
        assert_eq!(sources.position(error.others[0].span).line, 2);
    }

    #[test]
    fn unquoted_braces_in_flow_style_show_the_legal_spelling() {
        for text in
            ["in: { file: $a.b/${each.sid}.h5 }\n", "in: { file: x.csv, other: ${params.x} }\n", "a: [ ${x} ]\n"]
        {
            let error = tree(text).expect_err(text);
            assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("quotes: \"")), "{text}: {error:?}");
        }
        let error = tree("in: { images: $images[*].pixels }\n").expect_err("brackets");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("$images(*).pixels")), "{error:?}");
    }
}
