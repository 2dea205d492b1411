//! Bodies of commands that speak the language of the file instead of the shell's: `$params.n`, `{sid}`, `$OUT_text`.
//!
//! A body goes to the shell unchanged, so such a word would be empty, or text, or an error of the shell long after the
//! stage was started. Only words that cannot be meant for the shell are refused: the name must be one that the file
//! declares, in a place where the shell expands names, and not one that the body itself assigns. Of bodies of other programs
//! only the first line (`#!`) is read, and nothing after a quoted here-document.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::env::Env;
use super::names::{is_axis, variable_part};
use super::program_line::ProgramLine;
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{Name, RunDecl};

/// Names that a word in a body may be about, and the variables that there are.
struct Body<'a> {
    env: &'a Env<'a>,
    draft: &'a Draft<'a>,
    run: &'a RunDecl,
    variables: BTreeSet<String>,
}

/// A word of a body that the shell would expand, or that looks as if something would.
#[derive(Debug, PartialEq)]
enum Word<'t> {
    /// `$NAME` or `${NAME}`, with what follows the name.
    Variable { name: &'t str, after: &'t str, braced: bool },
    /// `{TEXT}` without a `$` before it.
    Braces(&'t str),
}

/// Reports each word of the body that is of the file's language.
pub(super) fn check(env: &Env<'_>, draft: &Draft<'_>, run: &RunDecl) {
    let text = run.body.text.as_str();
    if let Some(line) = ProgramLine::of(text) {
        env.errors.add_all(program_line(env, run, &line));
        return;
    }
    if !text.contains(['$', '{']) {
        return;
    }
    let body = Body { env, draft, run, variables: variables(draft, run) };
    for word in words(text) {
        let error = match word {
            Word::Variable { name, .. } if is_assigned(text, name) => None,
            Word::Variable { name, after, braced } => {
                body.reference(name, after, braced).or_else(|| body.variable(name, after, braced))
            }
            Word::Braces(inside) => body.wildcard(inside),
        };
        env.errors.add_all(error);
    }
}

/// The first line of a body that no machine can run.
fn program_line(env: &Env<'_>, run: &RunDecl, line: &ProgramLine<'_>) -> Option<Diagnostic> {
    let (why, instead) = line.fault()?;
    let message = format!("the body cannot run under its first line `#!{}`: {why}", line.text);
    Some(Diagnostic::new(Class::Value, place(env, run, line.text), message).hint(format!("write `{instead}`")))
}

/// Where a word of the body is, or else the body.
fn place(env: &Env<'_>, run: &RunDecl, written: &str) -> Span {
    let span = run.body.span;
    let found = env.sources.text(span).find(written);
    found.map_or(span, |at| span.part(at, at + written.len()))
}

/// The variables that a body gets for its own names: those that are written, whether what is written there is right or not.
fn variables(draft: &Draft<'_>, run: &RunDecl) -> BTreeSet<String> {
    let mut variables = BTreeSet::new();
    for (port, _) in &draft.decl.inputs {
        let name = variable_part(&port.text);
        variables.extend([format!("IN_{name}"), format!("IN_{name}_LIST"), format!("IN_{name}_ABSENT")]);
    }
    variables.extend(run.out.iter().map(|(port, _)| format!("OUT_{}", variable_part(&port.text))));
    variables.extend(draft.decl.with.iter().map(|(name, _)| format!("PARAM_{}", variable_part(&name.text))));
    variables.extend(draft.decl.each.iter().map(|(axis, _)| format!("EACH_{}", variable_part(&axis.text))));
    variables.extend(run.env.iter().map(|(name, _)| name.text.clone()));
    variables
}

impl Body<'_> {
    fn error(&self, written: &str, message: String) -> Diagnostic {
        Diagnostic::new(Class::Reference, place(self.env, self.run, written), message)
    }

    /// `$params.n`, `${each.sid}`, `$stage.port`.
    fn reference(&self, name: &str, after: &str, braced: bool) -> Option<Diagnostic> {
        let path = after.strip_prefix('.')?;
        let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(path.len());
        let field = &path[..end];
        let hint = match name {
            _ if field.is_empty() => return None,
            "params" => format!(
                "hand it to the stage: `with: {{ {field}: $params.{field} }}`, and write `$PARAM_{}`",
                variable_part(field)
            ),
            "each" => format!("write `$EACH_{}`", variable_part(field)),
            "in" | "input" => format!("write `$IN_{}`", variable_part(field)),
            "out" | "output" => format!("write `$OUT_{}`", variable_part(field)),
            "with" => format!("write `$PARAM_{}`", variable_part(field)),
            _ if self.env.find(name, &self.draft.entry.scope).is_some() => {
                format!(
                    "make it an input: `in: {{ {field}: ${name}.{field} }}`, and write `$IN_{}`",
                    variable_part(field)
                )
            }
            _ => return None,
        };
        let written = if braced { format!("${{{name}.{field}}}") } else { format!("${name}.{field}") };
        let message = format!("`{written}` means nothing to the shell, which gets the body as it is");
        Some(self.error(&written, message).hint(hint))
    }

    /// `$OUT_text` for `$OUT_TEXT`, and variables of names that the stage does not have.
    fn variable(&self, name: &str, after: &str, braced: bool) -> Option<Diagnostic> {
        if self.variables.contains(name) {
            return None;
        }
        let written = if braced { format!("${{{name}") } else { format!("${name}") };
        let upper = name.to_uppercase();
        if self.variables.contains(&upper) {
            let message = format!("the variable `${name}` is not set: names of variables are in capital letters");
            return Some(self.error(&written, message).hint(format!("write `${upper}`")));
        }
        if let Some((what, known)) = self.name_of(name) {
            let message = format!("the variable `${name}` is not set: {what} `{name}` is `${known}`");
            return Some(self.error(&written, message).hint(format!("write `${known}`")));
        }
        let (prefix, what, key) = [
            ("IN_", "input", "in"),
            ("OUT_", "output", "out"),
            ("PARAM_", "parameter", "with"),
            ("EACH_", "axis", "each"),
        ]
        .into_iter()
        .find(|(prefix, ..)| name.starts_with(prefix))?;
        // A name that cannot be one is reported where it is written; what it was meant to be is not known.
        let misnamed = || self.draft.decl.each.iter().any(|(axis, _)| !is_axis(&axis.text));
        if braced && !after.starts_with('}') || what == "axis" && misnamed() {
            return None;
        }
        let wanted = name[prefix.len()..].to_lowercase();
        let message = format!("the body uses `${name}`, but stage `{}` has no {what} `{wanted}`", self.draft.name());
        let error = self.error(&written, message);
        if what == "parameter" && self.env.param(&wanted, &self.draft.entry.scope).is_some() {
            return Some(error.hint(format!("hand it to the stage: `with: {{ {wanted}: $params.{wanted} }}`")));
        }
        let known: Vec<&str> =
            self.variables.iter().map(String::as_str).filter(|known| known.starts_with(prefix)).collect();
        if known.is_empty() {
            return Some(error.hint(format!("declare it: `{key}: {{ {wanted}: ... }}`")));
        }
        Some(error.known("its variables", name, known))
    }

    /// What of the stage has this name, and its variable: `$table` for `$OUT_TABLE`.
    fn name_of(&self, name: &str) -> Option<(&'static str, String)> {
        // What a file of the user's sets is not known.
        let sourced = self.run.body.text.split_whitespace().any(|word| matches!(word, "source" | "." | "eval"));
        let lower = name.contains(|c: char| c.is_ascii_lowercase());
        if sourced || !lower || self.variables.contains(name) {
            return None;
        }
        let decl = self.draft.decl;
        let has = |names: Vec<&Name>| names.iter().any(|own| own.text == name);
        let (what, prefix, _) = [
            ("output", "OUT", has(self.run.out.iter().map(|(name, _)| name).collect())),
            ("input", "IN", has(decl.inputs.iter().map(|(name, _)| name).collect())),
            ("parameter", "PARAM", has(decl.with.iter().map(|(name, _)| name).collect())),
            ("axis", "EACH", has(decl.each.iter().map(|(name, _)| name).collect())),
        ]
        .into_iter()
        .find(|(.., has)| *has)?;
        Some((what, format!("{prefix}_{}", variable_part(name))))
    }

    /// `{sid}`, `{input}`, `{wildcards.sid}`.
    fn wildcard(&self, inside: &str) -> Option<Diagnostic> {
        let (first, field) = inside.split_once('.').unwrap_or((inside, ""));
        let axis = |name: &str| self.draft.decl.each.iter().any(|(axis, _)| axis.text == name);
        let named = |what: &str, names: &mut dyn Iterator<Item = &Name>| {
            let names: Vec<&str> = names.map(|name| name.text.as_str()).collect();
            let name = names.iter().find(|name| **name == field).or(names.first());
            format!("${what}_{}", name.map_or_else(|| "NAME".to_owned(), |name| variable_part(name)))
        };
        let instead = match (first, field) {
            (name, "") if axis(name) => format!("$EACH_{}", variable_part(name)),
            ("wildcards" | "each", name) if axis(name) => format!("$EACH_{}", variable_part(name)),
            ("input", _) => named("IN", &mut self.draft.decl.inputs.iter().map(|(name, _)| name)),
            ("output", _) => named("OUT", &mut self.run.out.iter().map(|(name, _)| name)),
            ("params", name) if !name.is_empty() => format!("$PARAM_{}", variable_part(name)),
            ("threads", "") => "$THREADS".to_owned(),
            _ => return None,
        };
        let written = format!("{{{inside}}}");
        let message = format!("`{written}` stays as it is: nothing fills it in, and the shell has no such form");
        Some(self.error(&written, message).hint(format!(
            "write `{instead}`; for the characters themselves put them into single quotes: `'{written}'`"
        )))
    }
}

/// Whether the body itself may set a variable: its name is somewhere without a `$` before it.
fn is_assigned(text: &str, name: &str) -> bool {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !before.ends_with(in_word) && !after.starts_with(in_word) && !before.ends_with(['$', '{', '.', '-', '/'])
    })
}

/// The words of a body, as far as the shell would read them.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    // Where the double-quoted text begins that the cursor is in.
    let mut quoted: Option<usize> = None;
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match next {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' if quoted.is_none() => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            '"' => {
                quoted = if quoted.is_none() { Some(at) } else { None };
                1
            }
            '#' if quoted.is_none() && text[..at].chars().next_back().is_none_or(char::is_whitespace) => {
                rest.find('\n').unwrap_or(rest.len())
            }
            '<' if quoted.is_none() && is_quoted_document(rest) => return words,
            '$' => {
                words.extend(variable(rest));
                // What `${...}` holds is read too, for a word in it such as `${a:-$OUT_text}`; its brace does not begin a wildcard.
                if rest.starts_with("${") { 2 } else { 1 }
            }
            '{' => {
                let code = quoted.is_some_and(|from| text[from..at].contains(['\'', '(']));
                words.extend(braces(rest).filter(|_| !code));
                1
            }
            other => other.len_utf8(),
        };
        at += length;
    }
    words
}

/// `<<'END'`, `<<-"END"`, `<<\END`: what follows is not expanded.
fn is_quoted_document(rest: &str) -> bool {
    rest.strip_prefix("<<").is_some_and(|rest| rest.trim_start_matches('-').trim_start().starts_with(['\'', '"', '\\']))
}

fn variable(rest: &str) -> Option<Word<'_>> {
    let (braced, name) = match rest.strip_prefix("${") {
        Some(name) => (true, name),
        None => (false, &rest[1..]),
    };
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins.then(|| Word::Variable { name: &name[..end], after: &name[end..], braced })
}

fn braces(rest: &str) -> Option<Word<'_>> {
    let inside = &rest[1..rest.find('}')?];
    let plain = !inside.is_empty() && inside.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    plain.then_some(Word::Braces(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_where_the_shell_reads_them() {
        let shown = |text| {
            let shown = |word: Word<'_>| match word {
                Word::Variable { name, .. } => format!("${name}"),
                Word::Braces(inside) => format!("{{{inside}}}"),
            };
            words(text).into_iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        for (text, expected) in [
            ("cat $IN_A > \"$OUT_b\"", "$IN_A $OUT_b"),
            ("awk '{sid} $x' $y", "$y"),
            ("echo {sid} '{a}' \\{b} \"{c}\"", "{sid} {c}"),
            ("python3 -c \"print(f'{sid}')\"", ""),
            ("echo # $x {a}\necho $y", "$y"),
            ("cat $a <<'E'\n$b {c}\nE", "$a"),
            ("cat <<E\n$b\nE", "$b"),
            ("echo ${a:-$b} ${c}", "$a $b $c"),
            ("echo $1 $? $$ $(x) {a,b}", ""),
            ("x='it'\"'\"'s' $y", "$y"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_without_a_dollar_is_the_body_s_own() {
        assert!(is_assigned("params=3; echo $params.n", "params"));
        assert!(is_assigned("for out_t in a; do echo $out_t; done", "out_t"));
        assert!(!is_assigned("echo $params.n ${params.n}", "params"));
        assert!(!is_assigned("echo $out_t > x/out_t", "out_t"));
    }
}
