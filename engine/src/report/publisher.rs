//! Copies results to where users look for them: `results/<pipeline>/<profile>/` in the project.
//!
//! Files there are copies, never links into the store. A file `.published` beside them lists what was published with
//! digests, in the form that `b3sum --check` reads; it travels with the folder. A file that is neither what is wanted
//! nor what was published last was edited since: it is named and left alone. So is a file that was published
//! once and that no result claims any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pipe_cache::{Artifact, Blob, Content, ContentForm, Digest, Sources, Store, is_missing, remove_all};
use pipe_contract::Failure;

use super::cache_failure;
use crate::plan::{Plan, Published};

/// Results of this size are remembered when they are written, though that takes a tenth of a second; smaller ones are
/// read by the next run, which is quicker.
const LARGE: u64 = 16 << 20;

/// What was published under `results/`. Paths are relative to [`Results::folder`].
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// `results/<pipeline>/<profile>` of the project, absolute.
    pub folder: PathBuf,
    /// Written or replaced, because they were missing or out of date.
    pub written: Vec<String>,
    /// There already, as they should be.
    pub unchanged: Vec<String>,
    /// Edited since they were published; left alone.
    pub edited: Vec<String>,
    /// Published earlier, claimed by no result any more; left alone.
    pub stale: Vec<String>,
    /// Not published, and why (`because score(sid=s03) failed`).
    pub missing: Vec<(String, String)>,
    /// Errors of the project folder or its disk.
    pub failures: Vec<Failure>,
}

/// One file to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Path below the results folder.
    pub path: String,
    /// Its content, in the store.
    pub blob: Blob,
}

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
    let folder = project_root(plan).join("results").join(&plan.pipeline);
    plan.profile.as_ref().map_or(folder.clone(), |profile| folder.join(profile))
}

/// The files that one line of `results:` publishes from an artifact.
///
/// # Errors
/// The listing is damaged, or a folder has not exactly one entry of the wanted extension: a sentence.
pub fn pieces_of(store: &Store, published: &Published, artifact: &Artifact) -> Result<Vec<Piece>, String> {
    let folder = published.path.strip_suffix('/');
    if let Some(blob) = artifact.blob() {
        return match folder {
            None => Ok(vec![Piece { path: published.path.clone(), blob }]),
            Some(name) => Err(format!("`{name}/` names a folder, but the artifact is a file")),
        };
    }
    let tree = store.tree(&artifact.digest).map_err(|error| error.to_string())?;
    if let Some(folder) = folder {
        let piece = |(name, blob): (&str, &Blob)| Piece { path: format!("{folder}/{name}"), blob: *blob };
        return Ok(tree.files().map(piece).collect());
    }
    let extension = |path: &str| Path::new(path).extension().map(|extension| extension.to_string_lossy().into_owned());
    let wanted = extension(&published.path);
    let found: Vec<_> = tree.files().filter(|(name, _)| extension(name) == wanted).collect();
    match found[..] {
        [(_, blob)] => Ok(vec![Piece { path: published.path.clone(), blob: *blob }]),
        _ => {
            let there = tree.files().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let wanted = wanted.map_or("without an extension".into(), |wanted| format!("with `.{wanted}`"));
            Err(format!("the folder has {} entries {wanted}, not one (there are {there})", found.len()))
        }
    }
}

/// Publishes pieces into `results.folder` and notes in `results` what became of each. `whole`: the pieces and
/// `results.missing` are all results of the plan; others that were published earlier are then stale.
///
/// One process at a time: the folder is locked from the reading of the list to its writing. What goes wrong with one
/// piece is among `results.failures`, and the others are published all the same.
pub fn publish(store: &Store, sources: &mut Sources, pieces: &[Piece], whole: bool, results: &mut Results) {
    if let Err(failure) = try_publish(store, sources, pieces, whole, results) {
        results.failures.push(failure);
    }
}

/// What a path may hold without having been edited, by path. More than one digest only while a run is between
/// announcing a file and placing it, or was killed there.
type Listed = BTreeMap<String, BTreeSet<Digest<Content>>>;

fn try_publish(
    store: &Store,
    sources: &mut Sources,
    pieces: &[Piece],
    whole: bool,
    results: &mut Results,
) -> Result<(), Failure> {
    let folder = results.folder.clone();
    if pieces.is_empty() && !folder.exists() {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(|error| Failure::io("create the folder", &folder, &error))?;
    let _lock = lock(&folder)?;
    remove_leftovers(&folder)?;
    let list = folder.join(LIST);
    let before = read_list(&list)?;
    let mut aside = Aside { folder: folder.clone(), made: None, count: 0 };
    let outdated = compare(sources, pieces, &before, results);

    // Announced before any is placed: a run that is killed in between leaves nothing that looks edited.
    let mut announced = before.clone();
    for piece in &outdated {
        announced.entry(piece.path.clone()).or_default().insert(piece.blob.digest);
    }
    if announced != before {
        aside.write_list(&list, &announced)?;
    }
    let large = outdated.iter().any(|piece| piece.blob.bytes >= LARGE);
    for piece in outdated {
        match aside.place(store, &piece.blob, &folder.join(&piece.path)) {
            Ok(()) => results.written.push(piece.path.clone()),
            Err(failure) => results.failures.push(failure.at(format!("result `{}`", piece.path))),
        }
    }

    let mut now = announced.clone();
    let there: BTreeSet<&String> = results.written.iter().chain(&results.unchanged).collect();
    for piece in pieces.iter().filter(|piece| there.contains(&piece.path)) {
        now.insert(piece.path.clone(), BTreeSet::from([piece.blob.digest]));
    }
    if whole {
        let claimed = |path: &str| {
            let named = |name: &str| name == path || name.strip_suffix('/').is_some_and(|it| below(path, it));
            pieces.iter().any(|piece| piece.path == path) || results.missing.iter().any(|(name, _)| named(name))
        };
        let unclaimed: Vec<String> = before.keys().filter(|path| !claimed(path)).cloned().collect();
        for path in unclaimed {
            if folder.join(&path).exists() {
                results.stale.push(path);
            } else {
                now.remove(&path);
            }
        }
    }
    if now != announced {
        // The list must not be on disk before the files it lists: they would look edited after a power cut.
        aside.flush()?;
        aside.write_list(&list, &now)?;
    }
    aside.finish()?;
    if large {
        let written: Vec<PathBuf> = results.written.iter().map(|path| folder.join(path)).collect();
        // Found again only if it is what was written; if not, the next run notices.
        if let Err(error) = sources.remember(&written) {
            tracing::warn!(%error, "results are read again by the next run");
        }
    }
    Ok(())
}

/// The pieces that are missing or out of date; notes the others in `results`.
fn compare<'p>(sources: &mut Sources, pieces: &'p [Piece], before: &Listed, results: &mut Results) -> Vec<&'p Piece> {
    let mut outdated = Vec::new();
    for piece in pieces {
        match state_of(sources, &results.folder.join(&piece.path), piece, before.get(&piece.path)) {
            Ok(State::Same) => results.unchanged.push(piece.path.clone()),
            Ok(State::Edited) => results.edited.push(piece.path.clone()),
            Ok(State::Outdated) => outdated.push(piece),
            Err(failure) => results.failures.push(failure.at(format!("result `{}`", piece.path))),
        }
    }
    outdated
}

/// Waits until no other process publishes into a folder. The lock is the folder's own, so it leaves no file there.
fn lock(folder: &Path) -> Result<File, Failure> {
    let file = File::open(folder).map_err(|error| Failure::io("open", folder, &error))?;
    file.lock().map_err(|error| {
        Failure::io("lock", folder, &error).hint("the project must lie on a file system that can lock folders (flock)")
    })?;
    Ok(file)
}

/// The list of what was published, beside the results.
const LIST: &str = ".published";
/// Where copies are written before they are renamed; removed at the end, or by the next run.
const ASIDE: &str = ".publishing-";

enum State {
    Same,
    Edited,
    Outdated,
}

fn state_of(
    sources: &mut Sources,
    target: &Path,
    piece: &Piece,
    published: Option<&BTreeSet<Digest<Content>>>,
) -> Result<State, Failure> {
    match sources.content(target) {
        Ok(there) if there.form == ContentForm::Folder => Ok(State::Edited),
        Ok(there) if there.digest == piece.blob.digest => Ok(State::Same),
        Ok(there) if published.is_some_and(|listed| listed.contains(&there.digest)) => Ok(State::Outdated),
        Ok(_) => Ok(State::Edited),
        Err(error) if is_missing(&error) => Ok(State::Outdated),
        Err(error) => Err(cache_failure(&error)),
    }
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Reads lines of `digest  path`; a path may have several.
fn read_list(path: &Path) -> Result<Listed, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listed::new()),
        Err(error) => return Err(Failure::io("read", path, &error)),
    };
    let entry = |line: &str| {
        let (digest, path) = line.split_once("  ")?;
        Some((path.to_owned(), digest.parse().ok()?))
    };
    let mut listed = Listed::new();
    for (path, digest) in text.lines().filter_map(entry) {
        listed.entry(path).or_default().insert(digest);
    }
    Ok(listed)
}

/// Removes what killed runs left. Called under the lock, so no other process is writing there.
fn remove_leftovers(folder: &Path) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(ASIDE)) {
        remove_all(&entry.path()).map_err(|error| cache_failure(&error))?;
    }
    Ok(())
}

/// A folder beside the results in which copies are made.
struct Aside {
    folder: PathBuf,
    made: Option<PathBuf>,
    count: usize,
}

impl Aside {
    fn path(&mut self) -> Result<PathBuf, Failure> {
        if self.made.is_none() {
            let made = self.folder.join(format!("{ASIDE}{}", std::process::id()));
            fs::create_dir(&made).map_err(|error| Failure::io("create the folder", &made, &error))?;
            self.made = Some(made);
        }
        self.count += 1;
        Ok(self.made.as_ref().unwrap_or(&self.folder).join(self.count.to_string()))
    }

    /// Copies a blob to its place.
    fn place(&mut self, store: &Store, blob: &Blob, target: &Path) -> Result<(), Failure> {
        let copy = self.path()?;
        store.copy_out(blob, &copy).map_err(|error| cache_failure(&error))?;
        let parent = target.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|error| Failure::io("create the folder", parent, &error))?;
        fs::rename(&copy, target).map_err(|error| Failure::io("publish", target, &error))
    }

    /// Replaces the list; it is on disk afterwards.
    fn write_list(&mut self, list: &Path, listed: &Listed) -> Result<(), Failure> {
        let path = self.path()?;
        let lines = listed.iter().flat_map(|(path, digests)| digests.iter().map(move |digest| (digest, path)));
        let text: String = lines.map(|(digest, path)| format!("{digest}  {path}\n")).collect();
        let io = |error: io::Error| Failure::io("write", list, &error);
        let mut file = File::create_new(&path).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&path, list).map_err(io)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io)
    }

    /// Waits until all that was placed is on disk.
    fn flush(&self) -> Result<(), Failure> {
        let io = |error: io::Error| Failure::io("flush", &self.folder, &error);
        let folder = File::open(&self.folder).map_err(io)?;
        rustix::fs::syncfs(&folder).map_err(|errno| io(errno.into()))
    }

    fn finish(&self) -> Result<(), Failure> {
        self.made.as_ref().map_or(Ok(()), |made| remove_all(made).map_err(|error| cache_failure(&error)))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(made) = &self.made {
            let _ = remove_all(made);
        }
    }
}
