//! The shipped file with each of its tokens dropped or renamed: never a panic, and every error has a place in a file.

use std::ops::Range;

use pipe_engine::plan::{PlanOptions, plan};

use crate::shipped::{benson2025, options};
use crate::test_registry::registry;

/// Words, numbers and single marks, outside comments.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let code = line.find(" #").map_or(line, |comment| &line[..comment]);
        let mut word: Option<usize> = None;
        for (offset, character) in code.char_indices() {
            let at = start + offset;
            let in_word = character.is_alphanumeric() || character == '_';
            match (in_word, word) {
                (true, None) => word = Some(at),
                (false, Some(from)) => {
                    tokens.push(from..at);
                    word = None;
                }
                _ => {}
            }
            if !in_word && !character.is_whitespace() {
                tokens.push(at..at + character.len_utf8());
            }
        }
        start += line.len();
    }
    tokens
}

#[test]
fn no_mutation_panics_and_every_error_has_a_place() {
    let text = fs_err::read_to_string(benson2025()).expect("readable");
    let folder = std::env::temp_dir().join(format!("pipe-mutations-{}", std::process::id()));
    fs_err::create_dir_all(&folder).expect("a folder");
    fs_err::write(folder.join("hcp_subjects.txt"), "100610\n102311\n115017\n").expect("written");
    let file = folder.join("mutated.yaml");
    let registry = registry();
    let (mut legal, mut refused) = (0, 0);
    for (number, token) in tokens(&text).into_iter().enumerate() {
        for replacement in ["", "zzz"] {
            let mutated = format!("{}{replacement}{}", &text[..token.start], &text[token.end..]);
            fs_err::write(&file, &mutated).expect("written");
            // Each mutation under one profile, in turn: together they cover every profile many times.
            let profile = ["demo", "hcp", "tiny", "swapped"][number % 4];
            let asked = PlanOptions { profile: Some(profile.to_owned()), ..options(profile) };
            match plan(&file, &asked, &registry) {
                Ok(_) => legal += 1,
                Err(errors) => {
                    refused += 1;
                    assert!(!errors.items().is_empty(), "refused without a reason: {mutated}");
                    for reported in errors.reported() {
                        let named = reported
                            .file
                            .as_deref()
                            .is_some_and(|file| file.contains("mutated.yaml") || file.contains("hcp_subjects"));
                        let placed = reported.line.is_some_and(|line| line > 0)
                            && reported.column.is_some_and(|column| column > 0);
                        assert!(named && placed, "{:?} {replacement:?}: {reported:?}", &text[token.clone()]);
                    }
                    assert!(!errors.render(false).is_empty());
                }
            }
        }
    }
    fs_err::remove_dir_all(&folder).expect("removed");
    assert!(legal > 100 && refused > 1000, "{legal} legal, {refused} refused");
}
