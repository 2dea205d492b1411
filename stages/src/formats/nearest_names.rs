//! The names that a name which was not found may have been meant to be, for messages.

/// The three names most like `wanted`, in backticks.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut ranked: Vec<(f64, &str)> = names.map(|name| (strsim::normalized_levenshtein(wanted, name), name)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let best: Vec<String> = ranked.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    best.join(", ")
}
