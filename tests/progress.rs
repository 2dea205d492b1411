//! What a user sees while a run goes on, on a real terminal and in a log, and what is left on the screen afterwards.

use std::process::Command;

use crate::support::terminal::Terminal;
use crate::support::{Shown, Space};

/// Two stages at work at the same time, of which one has a long name, and one result each.
const TWO_STAGES: &str = r#"
pipe: 1
pipeline: two
stages:
  short: { each: { sid: 1..6 }, run: 'sleep 1.$EACH_SID; echo "$EACH_SID" > "$OUT_Y"', out: { y: y.txt } }
  a_stage_whose_name_is_longer_than_any_column_of_a_narrow_terminal:
    each: { participant_with_a_long_name: [sub-脳脳脳脳脳脳脳脳脳脳脳脳-01, sub-脳脳脳脳脳脳脳脳脳脳脳脳-02] }
    run: 'sleep 3; echo 1 > "$OUT_Y"'
    out: { y: y.txt }
results:
  "short/${sid}.txt": $short.y
  "long/${participant_with_a_long_name}.txt": $a_stage_whose_name_is_longer_than_any_column_of_a_narrow_terminal.y
"#;

/// 400 instances that fail in the same way, and as many that need them.
const FAILING: &str = r#"
pipe: 1
pipeline: failing
stages:
  fit: { each: { sid: 1..400 }, run: 'echo "no data of $EACH_SID" >&2; exit 3', out: { y: y.txt } }
  score: { each: { sid: 1..400 }, run: 'cp "$IN_X" "$OUT_Y"', in: { x: $fit.y }, out: { y: y.txt } }
results: { "scores/${sid}.txt": $score.y }
"#;

fn run(space: &Space, more: &[&str]) -> Command {
    let slots: &[&str] = if more.contains(&"-j2") { &[] } else { &["-j8"] };
    let mut command = space.command([&["run", "pipeline.yaml"], slots, more].concat());
    command.env("TERM", "xterm-256color");
    command
}

fn in_terminal(space: &Space, more: &[&str], columns: u16) -> Terminal {
    Terminal::start(&mut run(space, more), columns, 24)
}

/// Whether a screen has a line for both stages at work.
fn shows_both(screen: &str) -> bool {
    let has = |start: &str, part: &str| screen.lines().any(|line| line.starts_with(start) && line.contains(part));
    has("short ", "/6  ") && has("a_stage_w", "0/2  2 running")
}

/// Does the same at every width, at the same time.
fn at_all_widths(story: fn(u16)) {
    std::thread::scope(|scope| {
        let threads = [60, 80, 100, 120].map(|columns| scope.spawn(move || story(columns)));
        threads.into_iter().for_each(|thread| thread.join().expect("the story of one width"));
    });
}

#[test]
fn a_terminal_has_a_line_for_each_stage_at_work_and_none_is_too_wide() {
    at_all_widths(|columns| {
        let space = Space::with(TWO_STAGES);
        let mut terminal = in_terminal(&space, &[], columns);
        // A screen is written in parts: the lines of stages come before that of the run.
        let whole_run = |screen: &str| screen.lines().any(|line| line.contains("%  ") && line.contains("/8  00:00:0"));
        terminal.until(|screen| shows_both(screen) && whole_run(screen));
        assert_eq!(terminal.end(), 0, "{}", terminal.screen());
        assert_eq!(terminal.wrapped, Vec::<String>::new(), "at {columns} columns");
        let screen = terminal.screen();
        assert!(screen.contains("done short 6/6 in ") && screen.contains("ran 8, hits 0"), "{screen}");
        assert!(!screen.contains("running") && !screen.contains('%'), "the block is left on the screen:\n{screen}");
        assert!(terminal.cursor_is_at_rest());
    });
}

#[test]
fn ctrl_c_leaves_no_block_on_the_screen() {
    at_all_widths(|columns| {
        // The report folds sentences, not names.
        let long =
            ["a_stage_whose_name_is_longer_than_any_column_of_a_narrow_terminal", "participant_with_a_long_name"];
        let space = Space::with(&TWO_STAGES.replace(long[0], "a_stage_w").replace(long[1], "sid").replace('脳', ""));
        let mut terminal = in_terminal(&space, &[], columns);
        terminal.until(shows_both);
        terminal.types("\x03");
        assert_eq!(terminal.end(), 130, "{}", terminal.screen());
        let screen = terminal.screen();
        assert!(screen.contains("stopped: ran ") && screen.contains("Ctrl-C again"), "{screen}");
        assert!(!screen.contains('%') && !screen.contains("/6  "), "the block is left on the screen:\n{screen}");
        assert_eq!(terminal.wrapped, Vec::<String>::new(), "at {columns} columns");
        assert!(terminal.cursor_is_at_rest());
    });
}

#[test]
fn a_window_may_be_resized() {
    let space = Space::with(TWO_STAGES);
    let mut terminal = in_terminal(&space, &[], 120);
    terminal.until(shows_both);
    terminal.resize(60, 20);
    terminal.until(|screen| screen.contains("done short"));
    terminal.resize(100, 30);
    assert_eq!(terminal.end(), 0);
    let screen = terminal.screen();
    assert!(!screen.contains("running") && !screen.contains('%'), "{screen}");
    assert!(screen.contains("ran 8, hits 0"), "{screen}");
}

#[test]
fn what_was_written_while_it_was_suspended_stays() {
    let space = Space::with(TWO_STAGES);
    let mut terminal = in_terminal(&space, &[], 80);
    terminal.until(shows_both);
    terminal.suspend("of another program\n");
    assert_eq!(terminal.end(), 0);
    let screen = terminal.screen();
    assert!(screen.lines().any(|line| line == "of another program"), "{screen}");
    assert!(screen.contains("ran 8, hits 0"), "{screen}");
    assert_eq!(screen.matches('%').count(), 1, "only the block from before is left:\n{screen}");
}

#[test]
fn a_failure_is_shown_at_once_and_reported_once() {
    let space = Space::with(FAILING);
    space.edit("pipeline.yaml", "fit: { each: { sid: 1..400 }", "fit: { each: { sid: 1..12 }");
    space.edit("pipeline.yaml", "score: { each: { sid: 1..400 }", "score: { each: { sid: 1..12 }");
    space.edit("pipeline.yaml", "exit 3", "test \"$EACH_SID\" = 1 || sleep 0.5; exit 3");
    let mut terminal = in_terminal(&space, &[], 80);
    let screen = terminal.until(|screen| screen.contains("failed fit(sid="));
    assert!(screen.contains("the command ended with exit code 3"), "{screen}");
    assert_eq!(terminal.end(), 1);
    let screen = terminal.screen();
    assert_eq!(screen.matches("exit code 3").count(), 1, "{screen}");
    assert!(!screen.contains('%'), "{screen}");
}

#[test]
fn the_time_left_is_known_from_an_earlier_run() {
    let space = Space::with(TWO_STAGES);
    Shown::of(&mut run(&space, &[])).exits(0);
    let mut terminal = in_terminal(&space, &["--force", "short", "-j2"], 80);
    terminal.until(|screen| screen.contains(" left"));
    assert_eq!(terminal.end(), 0);
    assert!(!terminal.screen().contains(" left"), "{}", terminal.screen());
}

/// Whether a line of a log begins with a time, such as `00:00:07`.
fn has_time(line: &str) -> bool {
    let form = "00:00:00 ";
    line.len() > form.len()
        && line.bytes().zip(form.bytes()).all(|(byte, of)| byte == of || byte.is_ascii_digit() && of == b'0')
}

#[test]
fn a_log_has_lines_with_times_of_stages_and_of_every_instance_if_verbose() {
    let space = Space::with(TWO_STAGES);
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(0);
    assert!(!shown.stderr.contains(['\r', '\x1b']), "{:?}", shown.stderr);
    let timed: Vec<&str> = shown.stderr.lines().filter(|line| has_time(line)).collect();
    assert!(timed[0].contains("8 instances of 2 stages"), "{}", shown.stderr);
    for line in [" start short: 6 instances", " done short 6/6 in ", " start a_stage_w", " done a_stage_w"] {
        // A slow run has more lines, which say how far it is.
        assert_eq!(timed.iter().filter(|timed| timed.contains(line)).count(), 1, "`{line}`:\n{}", shown.stderr);
    }
    shown.hides("sid=");
    let shown = space.pipe(["run", "pipeline.yaml", "-v", "--force", "short"]).exits(0);
    shown.shows("start short(sid=3) (forced)").shows("ran short(sid=3) ").shows("done short 6/6");
}

#[test]
fn simple_terminals_and_continuous_integration_get_plain_lines() {
    for (name, value) in [("TERM", "dumb"), ("CI", "true")] {
        let space = Space::with(TWO_STAGES);
        let mut terminal = Terminal::start(run(&space, &[]).env(name, value), 80, 24);
        assert_eq!(terminal.end(), 0);
        let text = String::from_utf8_lossy(&terminal.bytes).replace("\r\n", "\n");
        assert!(!text.contains('\r') && text.contains(" short 6/6"), "{name}: {text:?}");
        // Continuous integration shows colours, if it has a terminal.
        assert!(name == "CI" || !text.contains('\x1b'), "{name}: {text:?}");
    }
}

#[test]
fn no_color_turns_off_colours_only() {
    let coloured = |no_color: &str| {
        let space = Space::with(TWO_STAGES);
        let mut terminal = Terminal::start(run(&space, &[]).env("NO_COLOR", no_color), 80, 24);
        terminal.until(shows_both);
        assert_eq!(terminal.end(), 0, "{}", terminal.screen());
        let text = String::from_utf8_lossy(&terminal.bytes).into_owned();
        // A sequence has numbers and `;` before the letter that says what it does; `m` is that of colours.
        text.split("\x1b[").skip(1).any(|rest| rest.trim_start_matches(|c: char| !c.is_alphabetic()).starts_with('m'))
    };
    assert!(!coloured("1"));
    // What is empty is not set.
    assert!(coloured(""));
}

#[test]
fn four_hundred_equal_failures_are_few_lines() {
    let space = Space::with(FAILING);
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(1);
    assert!(shown.stderr.lines().count() < 40, "{}", shown.stderr);
    assert_eq!(shown.stderr.matches("exit code 3").count(), 1, "{}", shown.stderr);
    let shown = shown
        .shows("failed fit(sid=1) and 399 more (sid=2, sid=3, sid=4, ...): the command ended with exit code 3")
        .shows("no data of 1")
        .shows("log of the first: /")
        .shows("each of them: /")
        .shows("skipped score(sid=1) and 399 more (sid=2, sid=3, sid=4, ...): because of `fit(sid=1)` and others");
    let all = shown.stderr.lines().find_map(|line| line.trim().strip_prefix("each of them: ")).expect("a path");
    let manifest = fs_err::read_to_string(all).expect("the manifest");
    assert!(manifest.contains("fit(sid=400)"), "the others are in it");
    let status = space.pipe(["status", "pipeline.yaml"]).exits(0);
    assert!(status.stdout.lines().count() < 40, "{}", status.stdout);
    status.shows("failed fit(sid=1) and 399 more");

    // On a terminal as well.
    let mut terminal = Terminal::start(&mut run(&space, &[]), 80, 60);
    assert_eq!(terminal.end(), 1);
    let screen = terminal.screen();
    assert!(screen.trim_end().lines().count() < 40, "{screen}");
    assert_eq!(screen.matches("exit code 3").count(), 1, "{screen}");
}

#[test]
fn results_that_did_not_change_are_counted() {
    let space = Space::with(TWO_STAGES);
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("8 results in ").shows("  short/ (6 files)").hides("unchanged");
    let again = space.pipe(["run", "pipeline.yaml"]).exits(0);
    again.shows("8 results, unchanged in ").hides("short/").hides("00:00");
    space.edit("pipeline.yaml", "echo 1 >", "echo 2 >");
    space
        .pipe(["run", "pipeline.yaml"])
        .exits(0)
        .shows("8 results, 6 unchanged in ")
        .shows("  long/ (2 files)")
        .hides("short/");
}

/// The command's own words about how it shows a run.
#[test]
fn the_help_says_when_lines_are_plain() {
    let space = Space::new();
    Shown::of(&mut space.command(["run", "--help"])).exits(0).shows("NO_COLOR").shows("--verbose");
}
