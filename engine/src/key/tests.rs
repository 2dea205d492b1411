//! What a key depends on, what it does not, and how differences are explained.

use std::collections::BTreeMap;

use proptest::prelude::*;

use pipe_cache::ContentForm;

use super::*;

fn content(text: &str) -> Addressed {
    Addressed { form: ContentForm::File, digest: Digest::of(text.as_bytes()) }
}

fn at(pairs: &[(&str, &str)]) -> Coordinates {
    pairs.iter().copied().collect()
}

/// Parts with everything in them.
fn parts() -> KeyParts {
    KeyParts {
        layout: LAYOUT,
        kind: "unet/train".into(),
        kind_version: 2,
        params: BTreeMap::from([("epochs".into(), Value::Int(3)), ("rate".into(), Value::Float(0.1))]),
        inputs: BTreeMap::from([
            ("images".into(), KeyInput::Many(Digest::of(b"list"))),
            ("split".into(), KeyInput::One(content("split"))),
        ]),
        at: BTreeMap::from([("sid".into(), "s01".into())]),
        seed: Some(7),
        simulated: Some(true),
        facts: BTreeMap::from([("tool:x".into(), "x 1.0".into())]),
    }
}

/// The key of stored parts, by the same code as every other key.
fn key(parts: &KeyParts) -> Digest<Action> {
    let inputs: Vec<(&str, KeyInput)> = parts.inputs.iter().map(|(port, input)| (port.as_str(), *input)).collect();
    let facts: RunFacts<'_> = parts.facts.iter().map(|(name, fact)| (name.into(), fact.into())).collect();
    let borrowed = Parts {
        kind: &parts.kind,
        kind_version: parts.kind_version,
        params: &parts.params,
        neutral: &[],
        inputs: &inputs,
        at: &Coordinates(parts.at.clone()),
        axes: None,
        seed: parts.seed,
        simulated: parts.simulated,
        facts: &facts,
    };
    assert_eq!(&borrowed.to_owned(), parts, "nothing is lost on the way");
    borrowed.key(&mut Vec::new())
}

fn no_cells(_: &Digest<Content>) -> Option<BTreeMap<Coordinates, CellState>> {
    None
}

/// Takes what a map gives back.
fn put<T>(_: T) {}

/// A named change of parts.
type Change = (&'static str, fn(&mut KeyParts));

/// One change for every part.
const CHANGES: [Change; 20] = [
    ("`unet/train` has a new version: 2 -> 3", |parts| parts.kind_version = 3),
    ("kind changed: `unet/train` -> `unet/best`", |parts| parts.kind = "unet/best".into()),
    ("parameter `epochs` changed: 3 -> 4", |parts| put(parts.params.insert("epochs".into(), Value::Int(4)))),
    ("parameter `epochs` changed: 3 -> 3.0", |parts| put(parts.params.insert("epochs".into(), Value::Float(3.0)))),
    ("parameter `epochs` changed: 3 (int) -> 3 (text)", |parts| {
        put(parts.params.insert("epochs".into(), Value::Text("3".into())))
    }),
    ("parameter `epochs` changed: 3 -> not set", |parts| put(parts.params.remove("epochs"))),
    ("parameter `new` changed: not set -> null", |parts| put(parts.params.insert("new".into(), Value::Null))),
    ("input `split` changed", |parts| put(parts.inputs.insert("split".into(), KeyInput::One(content("other"))))),
    ("input `split` changed", |parts| {
        let folder = Addressed { form: ContentForm::Folder, ..content("split") };
        parts.inputs.insert("split".into(), KeyInput::One(folder));
    }),
    ("input `images` changed", |parts| put(parts.inputs.insert("images".into(), KeyInput::Many(Digest::of(b"more"))))),
    ("input `split` was removed", |parts| put(parts.inputs.remove("split"))),
    ("input `prior` was added", |parts| put(parts.inputs.insert("prior".into(), KeyInput::One(content("prior"))))),
    ("coordinate `sid` changed: s01 -> s02", |parts| put(parts.at.insert("sid".into(), "s02".into()))),
    ("seed changed: 7 -> 8", |parts| parts.seed = Some(8)),
    ("subjects are no longer simulated", |parts| parts.simulated = Some(false)),
    ("axis `sid` was removed", |parts| put(parts.at.remove("sid"))),
    ("axis `rater` was added: A1", |parts| put(parts.at.insert("rater".into(), "A1".into()))),
    ("`uses: unet/train` became `run:`", |parts| {
        parts.kind = COMMAND.into();
        parts.facts.insert("body".into(), "true".into());
    }),
    ("input `split` is called `parts` now", |parts| {
        let split = parts.inputs.remove("split").expect("it is there");
        parts.inputs.insert("parts".into(), split);
    }),
    ("tool `x` changed: `x 1.0` -> `x 1.1`", |parts| put(parts.facts.insert("tool:x".into(), "x 1.1".into()))),
];

#[test]
fn every_part_changes_the_key_and_is_explained() {
    let mut keys = std::collections::BTreeSet::from([key(&parts())]);
    for (sentence, change) in CHANGES {
        let mut changed = parts();
        change(&mut changed);
        assert!(keys.insert(key(&changed)), "{sentence}: the key is that of another change");
        let reasons = explain(&parts(), &changed, &mut no_cells);
        let sentences: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        assert!(sentences.len() == 1 && sentences[0].starts_with(sentence), "{sentences:?} should be `{sentence}`");
    }
    assert_eq!(explain(&parts(), &parts(), &mut no_cells), []);
}

#[test]
fn keys_do_not_change_from_version_to_version() {
    // A change here reruns everything everywhere: raise `LAYOUT` and say so in the changelog.
    assert_eq!(key(&parts()).short(16), GOLDEN);
}

const GOLDEN: &str = "6026e296d4116dad";

#[test]
fn neutral_parameters_and_undeclared_axes_stay_out() {
    let device = |value: &str| BTreeMap::from([("device".to_owned(), Value::Text(value.into()))]);
    let any = Value::Text("any".into());
    let key = |params: &BTreeMap<String, Value>, coordinates: &Coordinates, axes: Option<&[&str]>| {
        let neutral = [("device", &any)];
        let parts = Parts {
            kind: "a/b",
            kind_version: 1,
            params,
            neutral: &neutral,
            inputs: &[],
            at: coordinates,
            axes,
            seed: None,
            simulated: None,
            facts: &[],
        };
        parts.key(&mut Vec::new())
    };
    let none = at(&[]);
    assert_eq!(key(&device("any"), &none, None), key(&BTreeMap::new(), &none, None));
    assert_ne!(key(&device("cpu"), &none, None), key(&BTreeMap::new(), &none, None));
    let (here, there) = (at(&[("sid", "s01"), ("rater", "A1")]), at(&[("sid", "s01"), ("rater", "A2")]));
    assert_eq!(key(&device("any"), &here, Some(&["sid"])), key(&device("any"), &there, Some(&["sid"])));
    assert_ne!(key(&device("any"), &here, None), key(&device("any"), &there, None));
}

/// Names of all facts, with every change that each can have, and what is said of it.
const FACTS: [(FactName<'_>, Option<&str>, Option<&str>, &str); 39] = [
    (FactName::Body, Some("wc"), Some("wc -l"), "body changed: `wc` -> `wc -l`"),
    (FactName::Body, Some("a\nb\nc"), Some("a\nB\nc"), "body changed in line 2: `b` -> `B`"),
    (FactName::Body, Some("a\nb"), Some("a"), "body changed in line 2: `b` was removed"),
    (FactName::Body, Some("a"), Some("a\nb"), "body changed in line 2: `b` was added"),
    (FactName::Body, Some("a\nb"), Some("a\n  b"), "body changed in line 2: only its spaces"),
    (FactName::Body, Some("a\n"), Some("a"), "body changed: only at the ends of its lines"),
    (
        FactName::Body,
        Some("python3 fit.py --subjects \"$IN_SUBJECTS\" --rate 0.10 --seed 1"),
        Some("python3 fit.py --subjects \"$IN_SUBJECTS\" --rate 0.20 --seed 1"),
        "body changed: `... --rate 0.10 --seed 1` -> `... --rate 0.20 --seed 1`",
    ),
    (FactName::Shell, Some("bash -euo pipefail"), Some("sh -eu"), "the body runs under `sh` now, before under `bash`"),
    (
        FactName::Shell,
        Some("bash -euo pipefail"),
        Some("#!"),
        "the body runs under the program of its `#!` line now, before under `bash`",
    ),
    (FactName::Shell, None, Some("bash -euo pipefail"), "the body runs under `bash` now"),
    (FactName::Shell, Some("sh -eu"), None, "the body no longer runs under `sh`"),
    (FactName::Output("t"), Some("a.txt"), Some("b.txt"), "output `t` is written to another path: `a.txt` -> `b.txt`"),
    (FactName::Output("t"), None, Some("a.txt"), "output `t` was added: `a.txt`"),
    (FactName::Output("t"), Some("a.txt"), None, "output `t` was removed"),
    (FactName::Variable("N"), Some("1"), Some("2"), "variable `N` changed: `1` -> `2`"),
    (FactName::Variable("N"), None, Some("1"), "variable `N` of `env:` was added: `1`"),
    (FactName::Variable("N"), Some("1"), None, "variable `N` of `env:` was removed"),
    (FactName::Optional("x"), None, Some("set"), "input `x` is optional now"),
    (FactName::Optional("x"), None, Some("unset"), "optional input `x` was added, and is not set"),
    (FactName::Optional("x"), Some("set"), None, "input `x` is no longer optional"),
    (FactName::Optional("x"), Some("unset"), None, "optional input `x` was removed"),
    (FactName::Optional("x"), Some("unset"), Some("set"), "optional input `x` is set now"),
    (FactName::Optional("x"), Some("set"), Some("unset"), "optional input `x` is not set now"),
    (FactName::Network, None, Some("true"), "the network is allowed now (`net: true`)"),
    (FactName::Network, Some("true"), None, "the network is no longer allowed (no `net: true`)"),
    (
        FactName::InputName("x"),
        Some("../in/x.csv"),
        Some("../in/x.tsv"),
        "input `x` is found under another name: `x.csv` -> `x.tsv`",
    ),
    (
        FactName::InputName("x"),
        Some("data/a.csv"),
        Some("data/b.csv"),
        "input `x` is found under another name: `data/a.csv` -> `data/b.csv`",
    ),
    (
        FactName::InputName("x"),
        Some("../in/x/0123456789abcdef"),
        Some("../in/x/fedcba9876543210"),
        "input `x` is found under other names",
    ),
    (FactName::InputName("x"), None, Some("../in/x.csv"), "input `x` is found under other names"),
    (FactName::Tool("x"), Some("x 1.0"), Some("x 1.1"), "tool `x` changed: `x 1.0` -> `x 1.1`"),
    (
        FactName::Tool("x"),
        Some(SOME_CONTENT),
        Some(OTHER_CONTENT),
        "tool `x` changed: other packages are installed in its environment",
    ),
    (FactName::Tool("x"), Some("x 1.0"), Some(SOME_CONTENT), "tool `x` changed: `x 1.0` -> an environment"),
    (FactName::Tool("x"), None, Some(SOME_CONTENT), "tool `x` was added: an environment"),
    (FactName::Tool("x"), Some("x 1.0"), None, "tool `x` was removed"),
    (
        FactName::Program("wc"),
        Some(SOME_CONTENT),
        Some(OTHER_CONTENT),
        "program `wc` changed: its file has other content",
    ),
    (
        FactName::Program("wc"),
        None,
        Some(SOME_CONTENT),
        "program `wc` counts now, because no `tools:` name what the body runs",
    ),
    (
        FactName::Program("wc"),
        Some(SOME_CONTENT),
        None,
        "program `wc` no longer counts, because `tools:` name what the body runs",
    ),
    (FactName::RPackages, Some(SOME_CONTENT), Some(OTHER_CONTENT), "packages in your R library changed"),
    (FactName::RPackages, None, Some(SOME_CONTENT), "packages in your R library count now"),
];
const SOME_CONTENT: &str = "blake3:0123456789abcdef0123456789abcdef";
const OTHER_CONTENT: &str = "blake3:fedcba9876543210fedcba9876543210";

/// The sentences about two commands with these facts.
fn said_of_facts(was: &[(&str, &str)], now: &[(&str, &str)]) -> Vec<String> {
    let parts = |facts: &[(&str, &str)]| KeyParts {
        kind: COMMAND.into(),
        facts: facts.iter().map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned())).collect(),
        ..parts()
    };
    explain(&parts(was), &parts(now), &mut no_cells).iter().map(ToString::to_string).collect()
}

#[test]
fn every_change_of_a_fact_is_a_sentence_without_internal_names_and_digests() {
    for (fact, was, now, sentence) in FACTS {
        let name = fact.text();
        assert_eq!(FactName::of(&name), Some(fact), "{name}");
        let facts = |value: Option<&'static str>| value.map(|value| (name.as_str(), value));
        let said = said_of_facts(facts(was).as_slice(), facts(now).as_slice());
        assert_eq!(said, [sentence]);
        for internal in ["tool:", "executable:", "name of", "out t", "env N", "blake3", "../in", "0123"] {
            assert!(!sentence.contains(internal), "{sentence}");
        }
    }
    // A name that only another version of pipe writes.
    assert_eq!(said_of_facts(&[], &[("moon", SOME_CONTENT)]), ["`moon` changed: not set -> the content of a file"]);
}

#[test]
fn the_names_of_facts_are_part_of_keys() {
    use FactName::*;
    let all =
        [Body, Shell, Output("x"), Variable("x"), Optional("x"), Network, InputName("x"), Tool("x"), Program("x")];
    let texts = all.iter().chain(&[RPackages]).map(|name| name.text()).collect::<Vec<_>>().join("; ");
    assert_eq!(texts, "body; shell; out x; env x; optional x; net; name of x; tool:x; executable:x; R packages");
}

#[test]
fn one_change_is_said_once() {
    // The name under which an input is found says nothing new where the input itself came, went or was renamed.
    let with = |inputs: &[(&str, &str)], facts: &[(&str, &str)]| KeyParts {
        kind: COMMAND.into(),
        inputs: inputs.iter().map(|(port, text)| ((*port).to_owned(), KeyInput::One(content(text)))).collect(),
        facts: facts.iter().map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned())).collect(),
        ..parts()
    };
    let said = |was: &KeyParts, now: &KeyParts| -> Vec<String> {
        explain(was, now, &mut no_cells).iter().map(ToString::to_string).collect()
    };
    let none = with(&[], &[("optional x", "unset")]);
    let x = with(&[("x", "1")], &[("name of x", "x.csv"), ("optional x", "set")]);
    let y = with(&[("y", "1")], &[("name of y", "x.csv"), ("optional y", "set")]);
    assert_eq!(said(&none, &x), ["input `x` was added"]);
    assert_eq!(said(&x, &none), ["input `x` was removed"]);
    assert_eq!(said(&x, &y), ["input `x` is called `y` now"]);
    assert_eq!(
        said_of_facts(&[("executable:wc", SOME_CONTENT)], &[("executable:cat", OTHER_CONTENT)]),
        ["the body runs another program: `wc` -> `cat`"]
    );
}

#[test]
fn reasons_hold_no_digest_of_content() {
    let now = Addressed { digest: Digest::of(b"y"), ..content("x") };
    let (mut before, mut after) = (parts(), parts());
    before.inputs.insert("p".into(), KeyInput::One(content("x")));
    after.inputs.insert("p".into(), KeyInput::One(now));
    let reasons = explain(&before, &after, &mut no_cells);
    let json = serde_json::to_string(&reasons).unwrap();
    assert!(!json.contains(&now.digest.to_string()[..12]), "{json}");
}

#[test]
fn cells_are_distinguished_by_coordinates() {
    let present = |text: &str| CellState::Present(content(text));
    let was =
        [(at(&[("sid", "1")]), present("a")), (at(&[("sid", "2")]), present("b")), (at(&[("sid", "3")]), present("c"))];
    let now = [
        (at(&[("sid", "1")]), present("a")),
        (at(&[("sid", "2")]), CellState::Absent("excluded".into())),
        (at(&[("sid", "4")]), present("c")),
    ];
    let encode = |cells: &[(Coordinates, CellState)]| CellList::encode(cells.iter().map(|(at, state)| (at, state)));
    let (was, now) = (encode(&was), encode(&now));
    let with = |list: &CellList| {
        let inputs = BTreeMap::from([("images".into(), KeyInput::Many(list.digest()))]);
        KeyParts { inputs, ..parts() }
    };
    let mut stored = |digest: &Digest<Content>| {
        [&was, &now]
            .into_iter()
            .find(|list| list.digest() == *digest)
            .and_then(|list| CellList::decode(list.as_bytes()))
    };
    let sentences: Vec<String> =
        explain(&with(&was), &with(&now), &mut stored).iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        [
            "input `images`: sid=3 was removed",
            "input `images`: sid=2 changed (now absent (excluded))",
            "input `images`: sid=4 was added",
        ]
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e9..1e9_f64).prop_map(Value::Float),
        "[a-z]{0,3}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::btree_map("[a-z]{0,2}", inner, 0..3).prop_map(Value::Map),
        ]
    })
}

fn any_parts() -> impl Strategy<Value = KeyParts> {
    let texts = || prop::collection::btree_map("[a-z]{0,2}", "[a-z]{0,2}", 0..3);
    let params = prop::collection::btree_map("[a-z]{0,2}", value(), 0..3);
    let input = prop_oneof![
        "[a-c]".prop_map(|text| KeyInput::One(content(&text))),
        "[a-c]".prop_map(|text| KeyInput::Many(Digest::of(text.as_bytes())))
    ];
    let inputs = prop::collection::btree_map("[a-z]{0,2}", input, 0..3);
    let numbers = (prop::option::of(0..3_u64), prop::option::of(any::<bool>()));
    ("[a-z]{0,2}", 0..2_u32, params, inputs, texts(), texts(), numbers).prop_map(
        |(kind, kind_version, params, inputs, at, facts, (seed, simulated))| KeyParts {
            layout: LAYOUT,
            kind,
            kind_version,
            params,
            inputs,
            at,
            seed,
            simulated,
            facts,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_parts_have_equal_keys_and_no_others(a in any_parts(), b in any_parts()) {
        prop_assert_eq!(key(&a) == key(&b), a == b);
        prop_assert_eq!(explain(&a, &b, &mut no_cells).is_empty(), a == b);
    }

    #[test]
    fn parts_read_back_from_the_record(parts in any_parts()) {
        let json = serde_json::to_string(&parts).unwrap();
        let back: KeyParts = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(key(&back), key(&parts));
    }

    #[test]
    fn cut_cell_lists_are_none(names in prop::collection::btree_set("[a-z]{1,4}", 0..5)) {
        let cells: Vec<_> = names.iter().map(|name| (at(&[("sid", name)]), CellState::Present(content(name)))).collect();
        let list = CellList::encode(cells.iter().map(|(at, state)| (at, state)));
        prop_assert_eq!(CellList::decode(list.as_bytes()), Some(cells.into_iter().collect()));
        for cut in 0..list.as_bytes().len() {
            prop_assert_eq!(CellList::decode(&list.as_bytes()[..cut]), None);
        }
    }
}
