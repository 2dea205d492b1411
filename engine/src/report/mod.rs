//! What a run leaves for its users: published results, the lockfile, checked claims, the manifest.

mod claims;
mod dictionary;
mod git_version;
mod lockfile;
mod manifest;
mod path_state;
mod public_digest;
mod published_list;
mod publisher;
mod result_line;
mod results_folder;
mod row_table;
mod run_tables;
mod sidecar;
mod staging;
mod taken_over;
mod this_machine;

pub use claims::{ClaimReport, check_claims};
pub use dictionary::{TableOrigin, described, dictionary, dictionary_path};
pub use git_version::{Git, commit_of, work_tree_is_dirty};
pub use lockfile::{LOCKFILE_VERSION, Locked, LockedInstance, LockedStage, Lockfile, lockfile_path};
pub use manifest::{MANIFEST_EDITION, Manifest, ManifestHead};
pub use path_state::{PathState, owner};
pub use public_digest::{DigestKey, PublicDigest};
pub use published_list::{LIST, ListFile, PublishedList, PublishingRun, Version};
pub use publisher::{Describe, Publisher, Results};
pub use result_line::{Piece, ResultLine, is_sidecar, pieces_of, sidecar_path};
pub use results_folder::{PARAMETERS, parameters_json, project_root, results_folder, variant};
pub use row_table::ManifestTable;
pub use run_tables::{
    Absence, ArtifactReference, ArtifactRow, Details, ExecutionEnvironment, FileContent, FileEntry, InputEntry,
    InstanceRow, KindEntry, OutcomeWord, OutputEntry, StageEntry, Tables,
};
pub use sidecar::{CellDigest, DescribedFiles, InputDigest, MadeBy, OutputDigest, PublishedBy, Sidecar};
pub use taken_over::taken_over;
pub use this_machine::Machine;

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
        (Error::Exposed { path, .. }, _) => {
            failure.hint(format!("check that no other user has read it, then `chmod 700 '{}'`", path.display()))
        }
        (Error::Odd { .. }, _) => failure.hint("write a copy of the file instead, for example with `cp -L`"),
        (Error::Changed { .. }, _) => failure.hint("run again while no other process writes to it"),
        (Error::Damaged { .. }, _) => failure.hint("run again: damaged content is made again"),
        _ => failure,
    }
}

/// The same where it is known what is being read: content that is damaged is called by that name, not by its digest.
pub fn damaged_failure(error: &Error, name: &str) -> Failure {
    match error {
        Error::Damaged { .. } => {
            Failure { message: format!("what the cache has of `{name}` is damaged"), ..cache_failure(error) }
        }
        _ => cache_failure(error),
    }
}

fn blame(error: &Error) -> Blame {
    match error {
        Error::Odd { .. } => Blame::Stage,
        _ => Blame::Environment,
    }
}
