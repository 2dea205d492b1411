//! One vocabulary in all sources: this fails with file and line at each word, type name and file name that a standard
//! term has replaced. The tables are the rule; what they allow is listed with its reason. No grammar is parsed: a line is
//! taken apart into words, identifiers included, and compared.

use std::path::Path;

use fs_err as fs;

use crate::support::workspace;

/// A word, or words in a row, and what to write in its place.
const WORDS: [(&str, &str); 63] = [
    ("anybody", "a user, a process: the thing that is meant"),
    ("circle", "cycle (of a graph), dot (of a figure)"),
    ("circles", "cycles (of a graph), dots (of a figure)"),
    ("dear", "slow, expensive"),
    ("desk", "lookup"),
    ("door", "place, function: the thing that is meant"),
    ("drawn", "manual labels (by a rater), rendered, sampled"),
    ("drive", "run loop, run"),
    ("drives", "runs"),
    ("driven", "run"),
    ("everybody", "every user, every process: the thing that is meant"),
    ("farewell", "shutdown"),
    ("gives itself", "has, takes"),
    ("hear", "receive"),
    ("heard", "received"),
    ("hears", "receives"),
    ("in another way", "otherwise, differently"),
    ("is no", "is not a"),
    ("know nothing", "do not depend on, are independent of"),
    ("knot", "cycle (of imports)"),
    ("knots", "cycles (of imports)"),
    ("knows no", "does not depend on, is independent of"),
    ("knows nothing", "does not depend on, is independent of"),
    ("ladder", "layers"),
    ("ladders", "layers"),
    ("lane", "job (of CI), row (of a timeline)"),
    ("lanes", "jobs (of CI), rows (of a timeline)"),
    ("let go", "release"),
    ("lets go", "releases"),
    ("lives", "is, lies, exists, runs"),
    ("look around", "look up"),
    ("look round", "look up"),
    ("mishap", "failed instance"),
    ("mishaps", "failed instances"),
    ("news", "progress, events"),
    ("nobody", "no process, no user: the thing that is meant"),
    ("outside world", "file system, network: the thing that is meant"),
    ("own feet", "alone, independently"),
    ("passing", "options of a lookup; giving, handing over"),
    ("people", "subjects (participants), users, readers"),
    ("peoples", "subjects, users"),
    ("person", "subject (a participant), user, reader"),
    ("persons", "subjects, users, readers"),
    ("setback", "failed attempt"),
    ("setbacks", "failed attempts"),
    ("somebody", "a user, another process: the thing that is meant"),
    ("somebodys", "of another user"),
    ("stands here", "is here"),
    ("stands in", "replaces, represents, is in"),
    ("stray", "orphaned process"),
    ("strays", "orphaned processes"),
    ("tell apart", "distinguish"),
    ("told", "reported, given, distinguished"),
    ("trouble", "error"),
    ("troubles", "errors"),
    ("wants", "needs, expects, requires"),
    ("whoever", "the user, the process: the thing that is meant"),
    ("whose move", "who has to act"),
    ("wish", "request"),
    ("wished", "requested"),
    ("wishes", "requests"),
    ("workplace", "state directory"),
    ("workplaces", "state directories"),
];

/// A type name that was used for more than one idea, or for a private one: what to write, and the only folder or file
/// that may still define it.
const TYPES: [(&str, &str, &str); 21] = [
    ("Action", "`plan::Work`; `Action` marks the digests of the cache", "cache/src/"),
    ("Blame", "`RootCauses`; `Blame` is who has to act on a failure", "engine/contract/src/"),
    ("Board", "`RunState`", ""),
    ("Desk", "`Lookup`", ""),
    ("Drive", "`RunLoop`", ""),
    ("Form", "`ContentForm`, `ArchiveFormat`; `Form` is that of a port", "engine/contract/src/"),
    ("Heard", "`Received`", ""),
    ("Kept", "`Codec`", ""),
    ("Look", "`LookupOutcome`", ""),
    ("Memory", "`LocalState`", ""),
    ("Mishap", "`FailedInstance`", ""),
    ("Network", "`Dag`", ""),
    ("Passing", "`LookupOptions`", ""),
    ("People", "`Subjects`", ""),
    ("Person", "`Subject`", ""),
    ("Setback", "`AttemptError`", ""),
    ("Speaker", "`MessageWriter`", ""),
    ("Stage", "`StageKind`, `WorkerPhase`; `Stage` is that of a plan", "engine/src/plan/"),
    ("Trouble", "`CommandError`, `RequestError`", ""),
    ("Why", "`WhyArgs`, `StopCause`, `MissCause`", ""),
    ("Workplace", "`StateDir`", ""),
];

/// A source file that was renamed, and its name now.
const FILES: [(&str, &str); 14] = [
    ("cli/human.rs", "cli/quantities.rs"),
    ("cli/summary.rs", "cli/final_report.rs"),
    ("cli/view/board.rs", "cli/view/run_state.rs"),
    ("engine/src/exec/here.rs", "engine/src/exec/threads.rs"),
    ("engine/src/plan/kept.rs", "engine/src/plan/plan_cache.rs"),
    ("engine/src/run/desk.rs", "engine/src/run/lookup.rs"),
    ("engine/src/run/drive.rs", "engine/src/run/run_loop.rs"),
    ("engine/src/run/keep.rs", "engine/src/run/commit.rs"),
    ("engine/src/run/tell.rs", "engine/src/run/outcomes.rs"),
    ("engine/src/run/workplace.rs", "engine/src/run/state_dir.rs"),
    ("engine/src/sched/network.rs", "engine/src/sched/dag.rs"),
    ("stages/torch/src/network.rs", "stages/torch/src/unet.rs"),
    ("stages/torch/src/worker.rs", "stages/torch/src/task_loop.rs"),
    ("tests/s3.rs", "tests/fetch_from_s3.rs"),
];

/// A use of a word that stays: the word, the start of the file's path, a piece of the line, and the reason.
const ALLOWED: [(&str, &str, &str, &str); 13] = [
    ("circle", "", "<circle", "the element of SVG"),
    ("circle", "stages/src/formats/overlay.rs", "\"circle\"", "the name of that element"),
    ("drawn", "CHANGELOG.md", "drawn", "names the old port and the old stage"),
    ("is no", "", "here is no ", "plain English"),
    ("is no", "", "is no longer", "plain English"),
    ("is no", "", "is no more", "plain English"),
    ("people", "CHANGELOG.md", "`people`", "names the old parameter and the old column"),
    ("people", "stages/torch/tests/suite/resuming.rs", "tensor(\"people\"", "seeds a tensor"),
    ("person", "", "simulate/person", "the former name of `simulate/subject`, under which its keys are made"),
    ("person", "CHANGELOG.md", "the stages `person`", "names the old stage"),
    ("person", "stages/torch/tests/golden/make.py", "f\"person{i}\"", "seeds a tensor of the golden numbers"),
    ("person", "stages/torch/tests/suite/against_pytorch.rs", "\"person{subject}\"", "seeds the same tensor"),
    ("wants", "", "the user wants", "plain English"),
];

/// Where sources are.
const SOURCES: [&str; 16] = [
    "cli",
    "engine",
    "cache",
    "stages",
    "tests",
    "scripts",
    "pipelines",
    "docs",
    "examples",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "justfile",
    "Dockerfile",
];

/// What is not checked there: a path, and the reason.
const SKIPPED: [(&str, &str); 2] =
    [("stages/src/formats/drawing/font", "texts of the font's authors"), ("tests/vocabulary.rs", "holds the tables")];

#[test]
fn sources_use_the_standard_terms() {
    let mut found = Vec::new();
    let mut used = [false; ALLOWED.len()];
    for (file, text) in sources() {
        check_name(&file, &mut found);
        for (number, line) in text.lines().enumerate() {
            let mut report =
                |what: &str, instead: &str| found.push(format!("{file}:{}: {what} -> {instead}", number + 1));
            let words = words(line);
            for (banned, instead) in WORDS {
                if !contains(&words, banned) {
                    continue;
                }
                let allowed = |(word, start, piece, _): &(&str, &str, &str, &str)| {
                    *word == banned && file.starts_with(start) && line.contains(piece)
                };
                match ALLOWED.iter().position(allowed) {
                    Some(index) => used[index] = true,
                    None => report(&format!("`{banned}`"), instead),
                }
            }
            if file.ends_with(".rs") {
                for (name, instead, home) in TYPES {
                    if defines(line, name) && (home.is_empty() || !file.starts_with(home)) {
                        report(&format!("a type `{name}`"), instead);
                    }
                }
            }
        }
    }
    let unused = ALLOWED.iter().zip(used).filter(|(_, used)| !used);
    found.extend(
        unused.map(|((word, start, piece, _), _)| format!("no line needs `{word}` in `{start}` ({piece}) any more")),
    );
    assert!(found.is_empty(), "{} uses of replaced words:\n{}", found.len(), found.join("\n"));
}

fn check_name(file: &str, found: &mut Vec<String>) {
    let words = words(file);
    let banned = WORDS.iter().filter(|(banned, _)| contains(&words, banned));
    found.extend(banned.map(|(banned, instead)| format!("{file}:0: `{banned}` in the file's name -> {instead}")));
    let old = FILES.iter().filter(|(old, _)| *old == file);
    found.extend(old.map(|(_, new)| format!("{file}:0: the file is called `{new}`")));
}

#[test]
fn identifiers_and_prose_are_taken_apart_alike() {
    assert_eq!(words("tell_news(HTTPError, 3x)"), ["tell", "news", ".", "http", "error", ".", ".", "x", "."]);
    assert!(contains(&words("a disk is_no file"), "is no") && !contains(&words("it is: no"), "is no"));
    assert!(defines("pub(crate) enum Why {", "Why") && defines("use a::{Blame as Why};", "Why"));
    assert!(!defines("pub enum Whyever {", "Why") && !defines("// the enum WhyNot", "Why"));
}

/// The words of a line in lower case; identifiers are split at `_` and at capitals, and a `.` is between words that other
/// signs separate.
fn words(line: &str) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    let mut words = vec![String::new()];
    for (index, c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| chars[before]);
        let ends_capitals = || chars.get(index + 1).is_some_and(|after| after.is_lowercase());
        let starts = c.is_uppercase()
            && before.is_some_and(|before| before.is_lowercase() || (before.is_uppercase() && ends_capitals()));
        if !c.is_alphabetic() && !matches!(c, ' ' | '_' | '-') {
            words.push(".".to_owned());
        }
        if starts || !c.is_alphabetic() {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().expect("it is never empty").extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether words contain those of a phrase in a row.
fn contains(words: &[String], phrase: &str) -> bool {
    (0..words.len()).any(|start| {
        let mut rest = words[start..].iter();
        phrase.split(' ').all(|wanted| rest.next().is_some_and(|word| word == wanted))
    })
}

/// Whether a line of Rust defines a type of this name, or renames one to it.
fn defines(line: &str, name: &str) -> bool {
    ["struct", "enum", "trait", "type", "as"].iter().any(|keyword| {
        let start = format!("{keyword} {name}");
        line.match_indices(&start).any(|(at, _)| {
            let inside = |c: char| c.is_alphanumeric() || c == '_';
            !line[..at].ends_with(inside) && !line[at + start.len()..].starts_with(inside)
        })
    })
}

/// All text files of the workspace with their paths in it; binary files are left out.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for name in SOURCES {
        collect(&workspace().join(name), &mut found);
    }
    found.sort();
    found
}

fn collect(path: &Path, found: &mut Vec<(String, String)>) {
    let name = path.strip_prefix(workspace()).expect("it lies in the workspace").to_string_lossy().into_owned();
    if SKIPPED.iter().any(|(skipped, _)| name == *skipped) || name.ends_with(".lock") {
        return;
    }
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("`{name}`: {error}"));
        entries.flatten().for_each(|entry| collect(&entry.path(), found));
    } else if let Ok(text) = fs::read_to_string(path)
        && !text.contains('\0')
    {
        found.push((name, text));
    }
}
