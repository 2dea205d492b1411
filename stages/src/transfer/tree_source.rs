//! The files of one subject out of a tree of subjects, which is a folder of this machine or a place in a bucket.
//!
//! What releases of subjects have in common: which files there are is the kind's, how they arrive is decided here.

use std::path::PathBuf;

use pipe_contract::{Context, Failure, Kind, Probe, Task, parameters};

use super::credentials::CredentialVariables;
use super::object_store::{Folder, ObjectStore, Wanted, fetch_all};
use super::s3_client::{AccessOptions, Location, ObjectSize, S3};
use super::url::work_folder;

parameters! {
    /// A place in a bucket, and how it is reached; empty text is "not set".
    pub struct TreePlace {
        /// The place of the subjects in a bucket, `s3://BUCKET/PREFIX`; instead of `source`.
        url: String = String::new();
        /// The address of the S3 server; empty for AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's `endpoint_url`, or Amazon.
        endpoint: String = String::new();
        /// The region of the bucket; empty for AWS_REGION, the profile's `region`, or us-east-1.
        region: String = String::new();
    }
}

/// Declares a kind that brings one subject, as [`bring`] does: its parameters, its axis, its network and its absence.
pub fn bringing(kind: Kind) -> Kind {
    let mut kind = kind.parameters::<TreePlace>();
    kind.axes = vec!["sid"];
    kind.network = true;
    kind.checkpoint = true;
    kind.absences = vec!["not-found"];
    kind
}

/// What arrived.
pub struct Brought {
    /// The folder where the files lie at their keys; those that are not required may lack.
    pub folder: PathBuf,
    /// The first required file that is not there, as messages call it; then the subject is incomplete.
    pub lacking: Option<String>,
}

/// Brings files from the folder at the port `source`, or from a place in a bucket; one of them has to be given.
///
/// # Errors
/// Input: both are given, or neither; a malformed place. Environment: keys, network, disk.
pub fn bring(task: &Task, files: &[Wanted], context: &dyn Context) -> Result<Brought, Failure> {
    let (name, place) = (&task.kind, task.parameters::<TreePlace>()?);
    let (folder, missing) = match (task.maybe("source"), place.url.as_str()) {
        (Some(source), "") => {
            let (folder, store) = (task.scratch.join("files"), Folder(source));
            let missing = fetch_all(&store, files, &folder, context)?;
            (folder, name_first(&store, missing))
        }
        (None, url) if !url.is_empty() => {
            let store = bucket(task, &place)?;
            let folder = work_folder(task).join("files");
            let missing = fetch_all(&store, files, &folder, context)?;
            (folder, name_first(&store, missing))
        }
        (None, _) => {
            return Err(Failure::input(format!("`{name}` has neither a `source` nor a `url`"))
                .hint("give it `in: { source: ... }` or `with: { url: s3://BUCKET/PREFIX }`"));
        }
        (Some(_), _) => {
            return Err(Failure::input(format!("`{name}` has both a `source` and a `url`")).hint("give it one of them"));
        }
    };
    Ok(Brought { folder, lacking: missing })
}

/// The bucket, opened with the credential of a task; without one, requests are anonymous.
fn bucket(task: &Task, place: &TreePlace) -> Result<S3, Failure> {
    let options =
        AccessOptions { credential: task.credential.as_deref(), endpoint: &place.endpoint, region: &place.region };
    S3::new(Location::parse(&place.url)?, &options, &CredentialVariables::of_process())
}

/// Asks a bucket for the size of every file of a subject, before a run; nothing is asked about a folder.
///
/// # Errors
/// Those of [`bring`], but for those of the disk.
pub fn ask(task: &Task, sid: &str, files: &[Wanted], context: &dyn Context) -> Result<Option<Probe>, Failure> {
    let place: TreePlace = task.parameters()?;
    if place.url.is_empty() {
        return Ok(None);
    }
    let store = bucket(task, &place)?;
    let sizes = files.iter().map(|want| Ok((want.required, asked(&store, &want.key, context)?)));
    let sizes = sizes.collect::<Result<Vec<(bool, ObjectSize)>, Failure>>()?;
    let count = |required: bool| sizes.iter().filter(|(of, _)| *of == required).count();
    let there =
        |required: bool| sizes.iter().filter(|(of, size)| *of == required && *size != ObjectSize::Missing).count();
    let bytes = sizes.iter().try_fold(0_u64, |sum, (_, size)| match size {
        ObjectSize::Bytes(bytes) => Some(sum + (*bytes)?),
        ObjectSize::Missing => Some(sum),
    });
    let incomplete = there(true) < count(true);
    let others = match count(false) {
        0 => String::new(),
        others => format!(" and {} of {others} others", there(false)),
    };
    let found = format!(
        "{} opens with {}; subject `{sid}` has {} of {} required files{others}",
        store.name("").trim_end_matches('/'),
        store.access(),
        there(true),
        count(true),
    );
    // The size of an incomplete subject says nothing about the others.
    Ok(Some(Probe { found, bytes: bytes.filter(|_| !incomplete), incomplete }))
}

fn asked(store: &S3, file: &str, context: &dyn Context) -> Result<ObjectSize, Failure> {
    if context.cancelled() {
        return Err(Failure::environment(format!("the server of `{}` answers too slowly", store.name(file)))
            .hint("a run would take its time; try again when the network is less busy")
            .transient());
    }
    store.size(file, context)
}

fn name_first(store: &dyn ObjectStore, missing: Vec<String>) -> Option<String> {
    missing.first().map(|key| store.name(key))
}

/// A subject's id becomes part of paths and addresses.
///
/// # Errors
/// Input: it could lead elsewhere.
pub fn checked_sid(sid: &str) -> Result<&str, Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !sid.is_empty() && sid.chars().all(legal) {
        return Ok(sid);
    }
    Err(Failure::input(format!("`{sid}` cannot be a subject's id: only letters, digits, `-` and `_`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_lead_elsewhere_are_refused() {
        for bad in ["", "..", "a/b", "a b", "é"] {
            assert!(checked_sid(bad).is_err(), "{bad}");
        }
        assert!(checked_sid("100610").is_ok());
    }
}
