//! The graph of a pipeline: what is true of all cells is said of the folded stage, and what a format cannot show is refused.

use crate::support::Space;

/// Two stages that read files which depend on the cell, and one that gathers.
const STUDY: &str = r#"pipe: 1
pipeline: study
params:
  subjects: [s01, s02, s10]
stages:
  clean:
    each: { sid: $params.subjects }
    run: cat "$IN_SCAN" "$IN_TABLE" > "$OUT_T"
    in: { scan: "data/${each.sid}/scan.nii.gz", table: data/table.csv, all: { path: "notes/*.txt" } }
    out: { t: t.txt }
  fit:
    each: { sid: $params.subjects, mask: [a, b] }
    drop: [{ sid: s10, mask: b }]
    run: cat "$IN_T" "$IN_MASK" > "$OUT_M"
    in: { t: $clean.t, mask: "masks/${each.mask}.csv", scan: "data/${each.sid}/scan.nii.gz" }
    out: { m: m.txt }
  mean:
    each: { sid: $params.subjects }
    run: cat "$IN_M"/* > "$OUT_R"
    in: { m: $fit(mask=*).m }
    out: { r: r.txt }
results:
  "mean_${sid}.txt": $mean.r
"#;

fn study() -> Space {
    Space::with(STUDY)
}

fn shown(space: &Space, args: &[&str]) -> String {
    let args = ["graph", "pipeline.yaml", "--no-state"].iter().chain(args);
    space.pipe(args).exits(0).stdout
}

#[test]
fn a_folded_stage_names_what_all_its_cells_read() {
    let space = study();
    insta::assert_snapshot!("folded", shown(&space, &[]));
    insta::assert_snapshot!("folded_mermaid", shown(&space, &["--format", "mermaid"]));
    insta::assert_snapshot!("expanded", shown(&space, &["--expand"]));
    for format in ["dot", "svg", "mermaid"] {
        let text = shown(&space, &["--format", format]);
        assert!(text.contains("scan.nii.gz") && text.contains("3 files"), "{text}");
        assert!(!text.contains("data/s01"), "the file of one cell stands for all: {text}");
    }
}

#[test]
fn a_part_of_a_graph_can_be_shown() {
    let space = study();
    insta::assert_snapshot!("selected", shown(&space, &["fit(sid=s10)"]));
    insta::assert_snapshot!("only", shown(&space, &["--only", "mean"]));
    // What is read from stages that are left out does not count.
    let space_of_many = wide(600);
    let only = ["graph", "pipeline.yaml", "--no-state", "--expand", "--only", "b", "--format", "svg"];
    space_of_many.pipe(only).exits(0).shows("b(i=600)").shows("many viewers do not show").hides("a(i=600)");
    space.pipe(["graph", "pipeline.yaml", "fits"]).exits(2).shows("there is no stage `fits`").shows("`fit`");
}

/// A chain of two stages over so many cells, with a gather of all.
fn wide(cells: usize) -> Space {
    Space::with(&format!(
        "pipe: 1\npipeline: wide\nstages:\n  a: {{ each: {{ i: 1..{cells} }}, run: 'echo 1 > $OUT_Y', out: {{ y: y.txt }} }}\n  \
         b: {{ each: {{ i: 1..{cells} }}, run: 'cat $IN_Y > $OUT_Y', in: {{ y: $a.y, all: $a(i=*).y }}, out: {{ y: y.txt }} }}\n"
    ))
}

#[test]
fn a_graph_too_large_for_mermaid_is_refused_with_what_to_use_instead() {
    let space = wide(22);
    let mermaid = ["graph", "pipeline.yaml", "--no-state", "--format", "mermaid"];
    space.pipe(mermaid).exits(0).shows("flowchart LR");
    let large = space.pipe(mermaid.iter().chain(&["--expand"])).exits(2);
    assert_eq!(large.stdout, "", "nothing that Mermaid would refuse");
    large.shows("this graph has 506 edges; Mermaid draws at most 500").hides("flowchart");
}

#[test]
fn a_graph_with_too_much_text_for_mermaid_is_refused() {
    let text = "x".repeat(30_000);
    let space = Space::with(&format!(
        "pipe: 1\npipeline: t\nstages:\n  a: {{ each: {{ i: [{text}1, {text}2] }}, run: 'echo 1 > $OUT_Y', out: {{ y: y.txt }} }}\n"
    ));
    let expanded = ["graph", "pipeline.yaml", "--no-state", "--expand", "--format", "mermaid"];
    space.pipe(expanded).exits(2).shows("characters; Mermaid reads at most 50,000").shows("--format svg");
}

#[test]
fn large_graphs_of_other_formats_say_what_will_not_show_them() {
    let space = wide(50);
    let expanded = |format: &str| space.pipe(["graph", "pipeline.yaml", "--no-state", "--expand", "--format", format]);
    expanded("dot").exits(0).shows("digraph").shows("note: this graph has 2,550 edges").shows("sfdp");
    expanded("text").exits(0).hides("note: ");
    let space = wide(400);
    let expanded = |format: &str| space.pipe(["graph", "pipeline.yaml", "--no-state", "--expand", "--format", format]);
    expanded("svg")
        .exits(2)
        .shows("this graph has 160,400 edges; at most 100,000 are shown")
        .shows("leave out `--expand`");
    let space = wide(1_000);
    let large = space.pipe(["graph", "pipeline.yaml", "--no-state", "--expand"]);
    large.exits(2).shows("1,001,000 edges").shows("hint: leave out `--expand`").shows("name the stages to show");
}

/// Stages that each read the one before and the first.
fn chain(stages: usize) -> Space {
    let stage = |number: usize| {
        let read = if number == 0 { String::new() } else { format!("in: {{ y: $s{}.y, z: $s0.y }}, ", number - 1) };
        format!("  s{number}: {{ {read}run: 'echo 1 > $OUT_Y', out: {{ y: y.txt }} }}\n")
    };
    Space::with(&format!("pipe: 1\npipeline: chain\nstages:\n{}", (0..stages).map(stage).collect::<String>()))
}

#[test]
fn a_folded_graph_may_be_too_large_too() {
    let space = chain(1_500);
    let folded = |format: &str| space.pipe(["graph", "pipeline.yaml", "--no-state", "--format", format]);
    folded("mermaid").exits(2).shows("this graph has 2,998 edges; Mermaid draws at most 500").hides("--expand");
    folded("svg").exits(2).shows("edges that cross 1,122,").shows("use `--format text`");
    folded("dot").exits(0).shows("note: this graph has 2,998 edges");
    folded("text").exits(0).shows("s1499").hides("note: ");
}

#[test]
fn characters_that_mermaid_would_read_are_escaped() {
    let space = Space::with(
        "pipe: 1\npipeline: t\nstages:\n  a: { each: { i: [\"#35;\", \"<b>\"] }, run: \"echo 1 > $OUT_Y\", out: { y: y.txt } }\n",
    );
    let expanded = ["graph", "pipeline.yaml", "--no-state", "--expand", "--format", "mermaid"];
    space.pipe(expanded).exits(0).shows("i=#35;35;").shows("i=&lt;b&gt;").hides("(i=#35;)");
}
