//! Where the results of a plan go: `results/<pipeline>/<profile>/` in the project, and a folder of its own for every other
//! value that `--set` gives a param, so that the folder of a profile only has results of that profile.

use std::path::{Path, PathBuf};

use pipe_cache::{Content, Digest};
use serde_json::json;

use crate::plan::Plan;

/// Longer names are replaced by a digest.
const LONGEST: usize = 60;

/// The file in the folder of a run with `--set` that has its parameters.
pub const PARAMETERS: &str = "parameters.json";

/// The folder that a project's `results/` is in: the parent of `pipelines/` if the file lies in such a folder, else the
/// pipeline file's own folder.
pub fn project_root(plan: &Plan) -> &Path {
    match (plan.folder.file_name(), plan.folder.parent()) {
        (Some(name), Some(parent)) if name == "pipelines" => parent,
        _ => &plan.folder,
    }
}

/// Where the results of a plan go.
pub fn results_folder(plan: &Plan) -> PathBuf {
    let results = project_root(plan).join("results");
    let set = variant(plan);
    match &plan.profile {
        Some(profile) => results.join(&plan.pipeline).join(format!("{profile}{set}")),
        None => results.join(format!("{}{set}", plan.pipeline)),
    }
}

/// What `--set` adds to the name of a folder: `+epochs=3`, `+epochs=3+rate=0.1`; empty without `--set`.
///
/// Characters that file names cannot have everywhere become `-`, and then a digest keeps different values apart; a text of
/// more than [`LONGEST`] characters is replaced by a digest. The folder's [`PARAMETERS`] has the values in full.
pub fn variant(plan: &Plan) -> String {
    let full: String = plan.set.iter().map(|(name, value)| format!("+{name}={}", value.trim())).collect();
    let digest = |length| Digest::<Content>::of(full.as_bytes()).short(length);
    if full.chars().count() > LONGEST {
        return format!("+{}", digest(16));
    }
    let safe: String = full.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    // Windows and macOS take some names that differ for the same one; a dot at the end is dropped there.
    if safe == full && !safe.ends_with('.') { safe } else { format!("{safe}-{}", digest(8)) }
}

/// Whether every file system can have this character in a name, wherever it is in it.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+=-_.,[]{}@%".contains(c)
}

/// The text of [`PARAMETERS`].
pub fn parameters_json(plan: &Plan) -> String {
    let value = json!({
        "pipeline": plan.pipeline,
        "profile": plan.profile,
        "set": plan.set,
        "parameters": plan.params,
    });
    format!("{value:#}\n")
}
