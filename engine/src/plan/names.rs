//! What a name and a path may be, and which variable a name becomes: shared by inputs, outputs and results.

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
