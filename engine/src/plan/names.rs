//! What a name and a path may be, and which variable a name becomes: shared by inputs, outputs and results.

use crate::diag::{Class, Diagnostic, Span};
use crate::spec::{self, Name};

/// Whether a text can name a port, a parameter of a command: letters, digits, `_` and `-`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether a text can name an axis: a name that does not begin with a digit or `-`.
pub(super) fn is_axis(text: &str) -> bool {
    is_name(text) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Whether a text can name an environment variable.
pub(super) fn is_variable(text: &str) -> bool {
    is_axis(text) && !text.contains('-')
}

/// `prf-raw` as part of the name of a variable: `PRF_RAW`.
pub fn variable_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Whether `{NAME}` is in a text as other engines write a wildcard, without a `$` before it.
pub(super) fn has_wildcard(text: &str, name: &str) -> bool {
    let wildcard = format!("{{{name}}}");
    text.match_indices(&wildcard).any(|(at, _)| !text[..at].ends_with(['$', '\\']))
}

/// A relative path without `..`, empty parts and characters that no file name has. A trailing `/` is fine.
pub(super) fn is_safe(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    !path.is_empty()
        && !path.contains(['\0', '\\', '\n', '\r'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The error for a path that is not an entry of a folder.
pub(super) fn no_entry(path: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Class::Reference, span, format!("`{path}` is not a path inside the folder"))
        .hint("names separated by `/`, without `.`, `..` and empty parts")
}

/// The error for a name that ports and parameters cannot have.
pub(super) fn no_name(name: &Name, of: &str) -> Diagnostic {
    let message = format!("`{}` cannot be the name of a {of}", spec::shortened(&name.text));
    Diagnostic::new(Class::Shape, name.span, message).hint("a name has letters, digits, `_` and `-`")
}
