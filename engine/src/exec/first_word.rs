//! The program that a body, or another command for the shell, begins with.
//!
//! Words are those of `shlex`: blanks, quotes, backslashes and comments as the shell has them. A body is a script and not a list
//! of words, so that is all it is used for; operators, expansions and the shell's own commands, which `shlex` does not know,
//! are recognised here. Where the first word is not certain there is none, and the shell itself counts as the program.

use shlex::Shlex;

/// The program of a command such as `x --version`.
pub(super) fn program(command: &str) -> Option<String> {
    Shlex::new(command).next()
}

/// The first word a body runs, unless that is for the shell itself: a builtin, a variable, a path in its working folder. A name, or an
/// absolute path.
pub(super) fn first_word(body: &str) -> Option<String> {
    let is_computed = |word: &String| word.contains("$(") || word.contains('`');
    let word = Shlex::new(body).find(|word| !is_assignment(word) || is_computed(word))?;
    let word = word.split(['|', '&', ';', '<', '>', '(', ')']).next()?;
    let special = ['$', '"', '\'', '`', '\\', '{', '}', '*', '?', '[', '!', '=', ' ', '\t', '\n'];
    let is_plain = !word.is_empty() && !word.contains(special) && (word.starts_with('/') || !word.contains('/'));
    (is_plain && !BUILT_IN.contains(&word)).then(|| word.to_owned())
}

/// `NAME=value` before a command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Words that the shell handles itself, although some of them are files too.
const BUILT_IN: [&str; 42] = [
    ".", ":", "[", "alias", "bg", "break", "case", "cd", "command", "continue", "echo", "eval", "exec", "exit",
    "export", "false", "fg", "for", "getopts", "hash", "if", "jobs", "kill", "local", "printf", "pwd", "read",
    "readonly", "return", "set", "shift", "test", "times", "trap", "true", "type", "ulimit", "umask", "unset", "until",
    "wait", "while",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_begins_with_a_program_or_with_the_shell() {
        for (body, expected) in [
            ("python3 a.py", Some("python3")),
            ("# a comment\n\n  Rscript x.R > $OUT_T", Some("Rscript")),
            ("A=1 B='two words' awk '{ print }' x", Some("awk")),
            ("A=\"two words\" sort x", Some("sort")),
            ("'sort' x", Some("sort")),
            ("cat<x", Some("cat")),
            ("sort;x", Some("sort")),
            ("my\\ program x", None),
            ("echo x", None),
            ("\"$PARAM_PROGRAM\" x", None),
            ("./x.sh", None),
            ("bin/x", None),
            ("/opt/fsl/bin/bet in out", Some("/opt/fsl/bin/bet")),
            ("A=$(date +%s) sort x", None),
            ("A=`date` sort x", None),
            ("(cd x; sort y)", None),
            ("{ sort x; }", None),
            ("if sort x; then y; fi", None),
            ("# only a comment", None),
            ("", None),
        ] {
            assert_eq!(first_word(body).as_deref(), expected, "{body}");
        }
        assert_eq!(program("'/opt/my tool/x' --version").as_deref(), Some("/opt/my tool/x"));
        assert_eq!(program(" "), None);
    }
}
