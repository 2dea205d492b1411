//! What a run leaves for its users: published results, the lockfile, checked claims, the manifest.

mod claims;
mod dictionary;
mod lockfile;
mod manifest;
mod published_list;
mod publisher;
mod results_folder;
mod sidecar;

pub use claims::{ClaimReport, check_claims};
pub use dictionary::{TableOrigin, described, dictionary, dictionary_path};
pub use lockfile::{LOCKFILE_VERSION, Locked, LockedStage, Lockfile, lockfile_path};
pub use manifest::{Git, InstanceReport, Machine, Manifest, commit_of, work_tree_is_dirty};
pub use published_list::{LIST, PublishedList, PublishingRun, Version};
pub use publisher::{MakeSidecar, Piece, Publisher, ResultLine, Results, is_sidecar, pieces_of, sidecar_path};
pub use results_folder::{PARAMETERS, parameters_json, project_root, results_folder, variant};
pub use sidecar::{MadeBy, PublishedBy, Sidecar};

use pipe_cache::Error;
use pipe_contract::{Blame, Failure, Unwritable};

/// A failure of the cache, with what to do about it.
pub fn cache_failure(error: &Error) -> Failure {
    let failure = Failure::new(blame(error), error.to_string());
    match (error, error.io_kind().and_then(Unwritable::of)) {
        (_, Some(Unwritable::Full)) => failure.hint(Unwritable::Full.hint()),
        (_, Some(Unwritable::Denied)) => failure
            .hint("the cache or state folder cannot be written: give rights to it, or name another with `--cache`"),
        (Error::NotACache { .. }, _) => failure.hint("name an empty folder, or one that a cache is in"),
        (Error::Odd { .. }, _) => failure.hint("write a copy of the file instead, for example with `cp -L`"),
        (Error::Changed { .. }, _) => failure.hint("run again while no other process writes to it"),
        (Error::Damaged { .. }, _) => failure.hint("run again: damaged content is made again"),
        _ => failure,
    }
}

fn blame(error: &Error) -> Blame {
    match error {
        Error::Odd { .. } => Blame::Stage,
        _ => Blame::Environment,
    }
}
