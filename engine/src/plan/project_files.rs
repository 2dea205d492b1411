//! Files of the project as inputs: how they are written, what is not a file of the project although it looks like one, and
//! the path for each cell. Whether a file exists is not looked at: a profile must plan where its data are not.
//!
//! Globs are those of `globset`, with the settings that `package/files` has too: `*` and `?` stay within one folder, `**` as a
//! whole component is any number of folders, `[ab]`, `[a-c]` and `[!a]` are one character, `{a,b}` is one of several, and a backslash
//! takes the meaning of the character after it away.

use std::path::PathBuf;
use std::sync::Arc;

use super::axis::AxisPoint;
use super::draft::Draft;
use super::env::Env;
use super::planning::Planning;
use super::resolved::{Link, ProjectFile};
use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{self, Name, Node, NodeTree};

/// A file of the project as it is written.
pub(super) struct FileItem {
    path: Node,
    /// The folder that it is relative to.
    folder: PathBuf,
    /// [`ProjectFile::ignore`].
    ignore: Option<Vec<String>>,
}

/// What is written at an input: the path or reference, and what is ignored there.
pub(super) struct WrittenInput<'n> {
    pub node: &'n Node,
    ignore: Option<Vec<String>>,
}

impl WrittenInput<'_> {
    /// A file of the project, or a path that is put together for each cell.
    pub fn into_file(self, draft: &Draft<'_>) -> Result<FileItem, Diagnostic> {
        check_wildcards(draft, self.node)?;
        Ok(FileItem { path: self.node.clone(), folder: draft.entry.folder.clone(), ignore: self.ignore })
    }
}

/// `data/`, or `{ path: data/, ignore: ["*.bak"] }`.
pub(super) fn written_input<'n>(name: &Name, node: &'n Node) -> Result<WrittenInput<'n>, Diagnostic> {
    let (node, ignore) = match node.get("path").or_else(|| node.get("ignore")) {
        Some(_) => with_ignored(name, node)?,
        None => (node, Some(Vec::new())),
    };
    Ok(WrittenInput { node, ignore })
}

/// `{ path: data/, ignore: ["*.bak"] }`: the path, and what is ignored there besides the usual; `None` for `ignore: []`.
fn with_ignored<'n>(name: &Name, node: &'n Node) -> Result<(&'n Node, Option<Vec<String>>), Diagnostic> {
    let NodeTree::Map(entries) = &node.tree else { return Ok((node, Some(Vec::new()))) };
    if let Some((key, _)) = entries.iter().find(|(key, _)| !spec::FILES.has(&key.text)) {
        let message = format!("unknown key `{}` in input `{}`", key.text, name.text);
        let known = spec::FILES.keys.iter().map(|key| key.name);
        return Err(Diagnostic::new(Class::UnknownKey, key.span, message).known("known keys", &key.text, known));
    }
    let Some(path) = node.get("path") else {
        let message = format!("input `{}` has `ignore` but no `path`", name.text);
        return Err(Diagnostic::new(Class::Missing, node.span, message).hint("add `path: FOLDER`"));
    };
    let patterns = match node.get("ignore") {
        None => return Ok((path, Some(Vec::new()))),
        Some(Node { tree: NodeTree::List(items), .. }) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let mut ignore = Vec::new();
    for pattern in patterns {
        let Some(text) = pattern.written().filter(|_| !pattern.is_null()) else {
            let message = format!("a pattern of `ignore` is a text, found {}", pattern.described());
            return Err(
                Diagnostic::new(Class::Shape, pattern.span, message).hint("for example `[\"*.bak\", \"old/\"]`")
            );
        };
        check_pattern(text, pattern.span)?;
        ignore.push(text.to_owned());
    }
    Ok((path, (!patterns.is_empty()).then_some(ignore)))
}

fn check_pattern(pattern: &str, span: Span) -> Result<(), Diagnostic> {
    pipe_cache::Filter::new([pattern], Some(pattern)).map(drop).map_err(|why| {
        Diagnostic::new(Class::Value, span, format!("a pattern that cannot be read: {why}"))
            .hint("`*` stands for any characters but `/`, `?` for one, `**` for folders too")
    })
}

/// What is written as a file of the project, but is a reference, a wildcard, an address, or a path of one machine.
pub(super) fn check_file(
    context: &Planning<'_>,
    draft: &Draft<'_>,
    name: &Name,
    node: &Node,
    text: &str,
) -> Result<(), Diagnostic> {
    let error = |message: String| Diagnostic::new(Class::Reference, node.span, message);
    let stage_of = |text: &str| context.env.find(text, &draft.entry.scope);
    if let Some((stage, port)) = text.rsplit_once('.')
        && let Some(found) = stage_of(stage).filter(|found| context.drafts[*found].ports().contains(&port))
    {
        let message = format!(
            "`{text}` is a file of the project here; without `$` it does not name the output of stage `{}`",
            context.drafts[found].name()
        );
        return Err(error(message).hint(format!("write `${text}`; a file of this name is `./{text}`")));
    }
    if context.env.is_value_name(text, draft.entry) {
        let message = format!("`{text}` is a file of the project here; without `$` it is not the value of that name");
        return Err(error(message).hint(format!("write `${text}`; a file of this name is `./{text}`")));
    }
    if let Some(at) = text.find('\\')
        && text[at + 1..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.')
    {
        let message = format!("the path of input `{}` has backslashes", name.text);
        return Err(error(message).hint("paths are written with `/`, relative to the pipeline file: `data/table.csv`"));
    }
    if text.starts_with('/') {
        let message = format!("input `{}` is an absolute path: the file would work on this machine only", name.text);
        return Err(error(message).hint(format!(
            "write it relative to the pipeline file, or make it a parameter that others can set: \
             `params: {{ {0}: {text} }}`, `in: {{ {0}: $params.{0} }}`",
            name.text
        )));
    }
    if text.starts_with("~/") {
        let message = format!("`~` in input `{}` means nothing here: a pipeline file has no home folder", name.text);
        return Err(error(message).hint("write the path relative to the pipeline file, or a parameter: `$params.data`"));
    }
    if text.contains("://") {
        let message = format!("input `{}` is an address; only files of the project can be read", name.text);
        return Err(error(message).hint(format!(
            "fetch it in a stage with `net: true`: `run: curl -fsSL {text} > \"$OUT_FILE\"`, and read that stage's output"
        )));
    }
    Ok(())
}

/// `{sid}` in a path: as other engines write it.
fn check_wildcards(draft: &Draft<'_>, node: &Node) -> Result<(), Diagnostic> {
    let text = node.written().unwrap_or_default();
    let Some(axis) = draft.wildcard_in(text) else { return Ok(()) };
    let message = format!("nothing fills in `{{{axis}}}` in this path");
    let filled = text.replace(&format!("{{{axis}}}"), &format!("${{each.{axis}}}"));
    Err(Diagnostic::new(Class::Reference, node.span, message).hint(format!("write \"{filled}\"")))
}

/// A file or folder of the project, or a glob.
pub(super) fn file(env: &Env<'_>, draft: &Draft<'_>, item: &FileItem, cell: AxisPoint<'_>) -> Result<Link, Diagnostic> {
    let value = env.eval(&item.path, &draft.entry.scope, Some(cell))?;
    let Some(text) = value.written().filter(|text| !text.is_empty() && !text.contains('\0')) else {
        let message = format!("a file of the project is a text, found {}", value.described());
        return Err(Diagnostic::new(Class::Value, item.path.span, message));
    };
    let (path, only) = match wildcard(text) {
        Some(wildcard) => {
            let (fixed, pattern) = text.split_at(text[..wildcard].rfind('/').map_or(0, |slash| slash + 1));
            check_pattern(pattern, item.path.span)?;
            check_alternatives(draft, pattern, item.path.span)?;
            (literal(fixed), Some(pattern.to_owned()))
        }
        None => (literal(text), None),
    };
    let path = item.folder.join(path.trim_end_matches('/'));
    Ok(Link::File(Arc::new(ProjectFile { path, only, ignore: item.ignore.clone() })))
}

/// Characters that a glob gives a meaning.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// Where the first wildcard of a path is; `None` if it names one file or folder.
fn wildcard(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let is_wildcard = !escaped && WILDCARDS.contains(&character);
        escaped = !escaped && character == '\\';
        is_wildcard.then_some(at)
    })
}

/// A path without wildcards as the file system has it: `scan\[1\].csv` is `scan[1].csv`.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escapes = character == '\\' && characters.peek().is_some_and(|next| !next.is_alphanumeric());
        literal.extend(if escapes { characters.next() } else { Some(character) });
    }
    literal
}

/// `{sid}` in a glob is one alternative: a value was meant that nothing fills in.
fn check_alternatives(draft: &Draft<'_>, pattern: &str, span: Span) -> Result<(), Diagnostic> {
    // Between a brace and the next one: alternatives inside alternatives have more braces, and a comma somewhere.
    let inside =
        |rest: &str| Some(rest.split_once('}')?.0).filter(|text| !text.contains([',', '\\'])).map(str::to_owned);
    let Some(single) = pattern.split('{').skip(1).find_map(inside) else { return Ok(()) };
    let message = format!("nothing fills in `{{{single}}}`: stage `{}` has no axis of this name", draft.name());
    Err(Diagnostic::new(Class::Reference, span, message).hint(format!(
        "alternatives of a glob are `{{a,b}}`; a parameter is \"${{params.{single}}}\"; the characters themselves are `\\{{{single}\\}}`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_those_of_globs_unless_escaped() {
        for (text, at) in
            [("a/*.csv", Some(2)), ("[ab].x", Some(0)), ("a{b,c}", Some(1)), (r"a\[1\]/b?", Some(8)), (r"a\{b\}", None)]
        {
            assert_eq!(wildcard(text), at, "{text}");
        }
        assert_eq!(literal(r"a\[1\].csv"), "a[1].csv");
        assert_eq!(literal(r"a\b"), r"a\b");
    }
}
