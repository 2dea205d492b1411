//! `pipe status` leaves nothing out: all kinds of failure, claims that fail, notes, and what went wrong besides stages.

use std::time::{Duration, Instant};

use crate::support::terminal::Terminal;
use crate::support::{Shown, Space};

/// Failures with more messages than the report of a run shows, equal ones, absent cells that a note is about, claims.
const REPORT: &str = r#"
pipe: 1
pipeline: report
params: { n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }
stages:
  labels:
    each: { rater: [A1, A2], sid: [s1, s2] }
    run: mkdir -p "$OUT_L"; echo 1 > "$OUT_L/lh.area.mgz"
    out: { l: l/ }
  kept:
    each: { rater: [A1, A2], sid: [s1, s2] }
    uses: labels/exclude
    in: { labels: $labels.l, exclusions: exclusions.json }
    absent: [excluded]
  count:
    each: { rater: [A1, A2] }
    run: printf 'n,value\n1,2\n' > "$OUT_T"
    in: { all: $kept(*).labels }
    out: { t: t.csv }
  fit:
    each: { n: $params.n }
    run: echo "subject $EACH_N has no surface"; exit $EACH_N
    out: { y: y.txt }
  equal: { each: { n: $params.n }, run: 'echo "no such luck"; exit 7', out: { y: y.txt } }
  after: { each: { n: $params.n }, run: 'cp "$IN_X" "$OUT_Y"', in: { x: $fit.y }, out: { y: y.txt } }
claims:
  - { text: two is two, cell: { table: $count(rater=A1).t, where: { n: 1 }, column: value }, equals: 2, within: 0.5 }
  - { text: two is three, cell: { table: $count(rater=A2).t, where: { n: 1 }, column: value }, equals: 3, within: 0.5 }
"#;

fn report() -> Space {
    let space = Space::with(REPORT);
    space.write("exclusions.json", r#"[["A1", "s1", "lh"], ["A2", "s2", "rh"]]"#);
    space
}

fn status(space: &Space) -> Shown {
    space.pipe(["status", "pipeline.yaml"]).exits(0)
}

#[test]
fn status_says_all_that_a_run_has_to_say() {
    let space = report();
    space
        .pipe(["run", "pipeline.yaml"])
        .exits(1)
        .shows("failed 10 more, with another message; `pipe status` has all of them");
    let mut text = status(&space).text();
    // What differs from run to run, and from machine to machine.
    for (from, to, instead) in
        [("began ", " ended", "TIME"), ("log: ", "\n", "LOG"), ("log of the first: ", "\n", "LOG")]
    {
        text = replaced(&text, from, to, instead);
    }
    for (from, to, instead) in [("is kept: ", "\n", "FOLDER"), ("details: ", "\n", "FOLDER"), (") ", " s\n", "0.0")] {
        text = replaced(&text, from, to, instead);
    }
    text = replaced(&text, "skipped 10 in ", " s\n", "0.0");
    insta::assert_snapshot!(text);
}

#[test]
fn sentences_are_folded_between_words_in_a_terminal() {
    let space = report();
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    let mut command = space.command(["status", "pipeline.yaml"]);
    command.env("TERM", "xterm-256color");
    let mut terminal = Terminal::start(&mut command, 80, 80);
    assert_eq!(terminal.end(), 0);
    let screen = terminal.screen();
    let at = screen.find("failed equal").expect("it is there");
    assert!(
        screen[at..].starts_with(
            "failed equal(n=1) and 9 more (n=2, n=3, n=4, ...): the command ended with exit\n  \
             code 7; its log ends with\n    no such luck\n  log of the first:"
        ),
        "{screen}"
    );
    // Paths are left whole, to be copied.
    assert!(terminal.wrapped.iter().all(|row| row.contains('/')), "{:?}", terminal.wrapped);
}

/// A text in which what is between two others in a line is replaced.
fn replaced(text: &str, from: &str, to: &str, instead: &str) -> String {
    let mut rest = text;
    let mut done = String::new();
    while let Some((before, after)) = rest.split_once(from) {
        done.push_str(before);
        done.push_str(from);
        let end = after.find(to).filter(|end| !after[..*end].contains('\n'));
        done.push_str(if end.is_some() { instead } else { "" });
        rest = &after[end.unwrap_or(0)..];
    }
    done + rest
}

#[test]
fn notes_and_claims_are_there_after_a_run_that_made_nothing_too() {
    let space = report();
    for _ in 0..2 {
        space.pipe(["run", "pipeline.yaml", "count"]).exits(1);
        status(&space)
            .shows("note count(rater=A1) and 1 more: `all` has 1 of 2 cells")
            .shows("claim fails: two is three (found 2, claimed 3 within 0.5)")
            .shows("1 claim holds");
    }
    status(&space).shows("ran 0, hits 8");
}

#[test]
fn notes_are_there_while_a_run_goes_on() {
    let space = report();
    space.edit("pipeline.yaml", "exit $EACH_N", "sleep 60");
    let mut run = space.command(["run", "pipeline.yaml", "count", "fit(n=1)"]);
    let mut run = run.stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let text = status(&space).text();
        if text.contains("running fit") && text.contains("note count(rater=A1) and 1 more: `all` has 1 of 2 cells") {
            break;
        }
        assert!(Instant::now() < until, "no note: {text}");
        std::thread::sleep(Duration::from_millis(100));
    }
    run.kill().expect("it is there");
    run.wait().expect("it ends");
    status(&space).shows("was killed").shows("note count(rater=A1) and 1 more");
}

#[test]
fn a_result_that_cannot_be_published_is_in_the_status() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a: { run: 'echo 1 > $OUT_Y', out: { y: y } }\nresults: { y.txt: $a.y }\n",
    );
    space.write("pipeline.lock", "{ \"owner\": \"another program\" }\n");
    let run = space.pipe(["run", "pipeline.yaml"]);
    assert_ne!(run.code(), 0);
    run.shows("the lockfile was not written");
    status(&space).shows("ended with exit code").shows("the lockfile was not written").shows("hint:");
}
