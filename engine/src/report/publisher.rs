//! Copies results to where users look for them, while a run goes on and at its end.
//!
//! Files there are copies, never links into the store. The list [`LIST`] beside them says what was published by which run.
//! A file that is neither what is wanted nor what was published last was edited since: it is named and left alone, unless
//! edited files are to be overwritten. So is a file that was published once and that no result claims any more.
//!
//! Beside each result `NAME` lies `NAME.provenance.json` (see [`super::Sidecar`]). It is beside the result and not in a folder
//! of its own, as imaging data have it, because it is to be copied together with the file it is about; it is written
//! when its result gets another content or comes from other work, and otherwise left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use pipe_cache::{Action, Artifact, Blob, Content, ContentForm, Digest, Entry, Sources, Store, is_missing, remove_all};
use pipe_contract::Failure;

use super::dictionary::dictionary_path;
use super::public_digest::PublicDigest;
use super::published_list::{LIST, PublishedList, PublishingRun, Version};
use super::results_folder::PARAMETERS;
use super::{cache_failure, damaged_failure};
use crate::plan::Published;

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
    /// Of an earlier version, because this run could not make them, and the run that made them, if it is known.
    pub earlier: Vec<(String, Option<String>)>,
    /// Not published, and why (`because score(sid=s03) failed`).
    pub missing: Vec<(String, String)>,
    /// Errors of the project folder or its disk.
    pub failures: Vec<Failure>,
}

/// One line of `results:` with what it publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultLine {
    /// The path in `results:`; a trailing `/` is a folder.
    pub path: String,
    /// The key of the stage that made it, as it may be written outside of the store.
    pub key: Option<PublicDigest<Action>>,
    /// The key of its record.
    pub record: Option<Digest<Action>>,
    /// What it publishes, as a whole.
    pub artifact: Artifact,
    /// Its files and empty folders.
    pub pieces: Vec<Piece>,
    /// Paths of the data dictionaries of its tables.
    pub dictionaries: BTreeSet<String>,
}

/// One file or empty folder to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Path below the results folder.
    pub path: String,
    /// Its name in the artifact, if that is a folder, else that in `results:`.
    pub name: String,
    /// Its content, in the store.
    pub entry: Entry,
}

impl ResultLine {
    /// Paths of what lies beside it.
    fn beside(&self) -> impl Iterator<Item = String> {
        std::iter::once(sidecar_path(&self.path)).chain(self.dictionaries.iter().cloned())
    }
}

impl Piece {
    /// The file, if it is one.
    pub fn blob(&self) -> Option<Blob> {
        match self.entry {
            Entry::File(blob) => Some(blob),
            Entry::EmptyFolder => None,
        }
    }
}

/// The pieces that one line of `results:` publishes from an artifact.
///
/// # Errors
/// The listing is damaged, or a folder has not exactly one entry of the wanted extension: a sentence.
pub fn pieces_of(store: &Store, published: &Published, artifact: &Artifact) -> Result<Vec<Piece>, String> {
    let folder = published.path.strip_suffix('/');
    if let Some(blob) = artifact.blob() {
        return match folder {
            None => {
                Ok(vec![Piece { path: published.path.clone(), name: published.path.clone(), entry: Entry::File(blob) }])
            }
            Some(name) => Err(format!("`{name}/` names a folder, but the artifact is a file")),
        };
    }
    let tree = store.tree(&artifact.digest).map_err(|error| damaged_failure(&error, &published.path).message)?;
    if let Some(folder) = folder {
        let piece = |(name, entry): (&str, &Entry)| Piece {
            path: format!("{folder}/{name}"),
            name: name.to_owned(),
            entry: *entry,
        };
        return Ok(tree.entries().map(piece).collect());
    }
    let extension = |path: &str| Path::new(path).extension().map(|extension| extension.to_string_lossy().into_owned());
    let wanted = extension(&published.path);
    let found: Vec<_> = tree.files().filter(|(name, _)| extension(name) == wanted).collect();
    match found[..] {
        [(name, blob)] => {
            Ok(vec![Piece { path: published.path.clone(), name: name.to_owned(), entry: Entry::File(*blob) }])
        }
        _ => {
            let there = tree.files().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let wanted = wanted.map_or("without an extension".into(), |wanted| format!("with `.{wanted}`"));
            Err(format!("the folder has {} entries {wanted}, not one (there are {there})", found.len()))
        }
    }
}

/// The path of the sidecar of a result.
pub fn sidecar_path(result: &str) -> String {
    format!("{}.provenance.json", result.trim_end_matches('/'))
}

/// Whether a path of a results folder is that of a sidecar; no result can have such a name.
pub fn is_sidecar(path: &str) -> bool {
    path.ends_with(".provenance.json")
}

/// Makes the text of what lies at a path beside a result: its sidecar, or the data dictionary of one of its tables.
pub type MakeSidecar<'m> = dyn FnMut(&ResultLine, &str) -> Result<String, Failure> + 'm;

/// Publishes the results of one run.
pub struct Publisher {
    folder: PathBuf,
    run: String,
    about: PublishingRun,
    /// The text of [`PARAMETERS`], for a run with `--set`.
    parameters: Option<String>,
    overwrite: bool,
    /// What this run has placed, as it was right after: it need not be read again at the end.
    placed: BTreeMap<String, Placed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    digest: Digest<Content>,
    stamp: (u64, u64, i64, i64, i64, i64),
}

/// A path with what it should hold.
struct Wanted<'w> {
    path: String,
    content: WantedContent<'w>,
    key: Option<PublicDigest<Action>>,
}

enum WantedContent<'w> {
    Blob(Blob),
    Text(&'w str),
    EmptyFolder,
}

enum State {
    Same,
    Edited,
    Outdated,
}

impl Publisher {
    /// A publisher into a results folder. `parameters` is the text of [`PARAMETERS`], if the folder is to have it.
    pub fn new(
        folder: PathBuf,
        run: String,
        about: PublishingRun,
        parameters: Option<String>,
        overwrite: bool,
    ) -> Self {
        Self { folder, run, about, parameters, overwrite, placed: BTreeMap::new() }
    }

    /// Publishes results while a run goes on: they are there, and announced in the list. What goes wrong is left to
    /// [`Publisher::finish`], which tries again.
    pub fn publish(
        &mut self,
        store: &Store,
        sources: &mut Sources,
        lines: &[ResultLine],
        sidecar: &mut MakeSidecar<'_>,
    ) {
        let mut results = Results { folder: self.folder.clone(), ..Results::default() };
        if let Err(failure) = self.try_publish(store, sources, lines, sidecar, None, &mut results) {
            results.failures.push(failure);
        }
        for failure in results.failures {
            tracing::debug!(%failure, "a result is published at the end of the run");
        }
    }

    /// Publishes all results and notes in `results` what became of each. `whole`: the lines and `results.missing` are
    /// all results of the plan; others that were published earlier are then stale.
    ///
    /// What goes wrong with one piece is among `results.failures`, and the others are published all the same.
    pub fn finish(
        &mut self,
        store: &Store,
        sources: &mut Sources,
        lines: &[ResultLine],
        sidecar: &mut MakeSidecar<'_>,
        whole: bool,
        results: &mut Results,
    ) {
        if let Err(failure) = self.try_publish(store, sources, lines, sidecar, Some(whole), results) {
            results.failures.push(failure);
        }
    }

    /// `last`: the run has ended, and whether it was about all results.
    ///
    /// One process at a time: the folder is locked from the reading of the list to its writing.
    fn try_publish(
        &mut self,
        store: &Store,
        sources: &mut Sources,
        lines: &[ResultLine],
        sidecar: &mut MakeSidecar<'_>,
        last: Option<bool>,
        results: &mut Results,
    ) -> Result<(), Failure> {
        let folder = self.folder.clone();
        if lines.is_empty() && !folder.exists() {
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(|error| Failure::io("create the folder", &folder, &error))?;
        let _lock = lock(&folder)?;
        remove_leftovers(&folder)?;
        let before = PublishedList::read(&folder)?;
        let mut aside = Aside { folder: folder.clone(), made: None, count: 0, mode: 0o777 };
        self.write_parameters(&mut aside)?;
        let texts = sidecars(&before, &folder, lines, sidecar, &mut results.failures);
        let wanted = wanted(lines, &texts);

        let mut outdated = Vec::new();
        let mut there = Vec::new();
        for one in &wanted {
            match self.state_of(sources, one, &before) {
                Ok(State::Same) => there.push(one),
                Ok(State::Edited) => results.edited.push(one.path.clone()),
                Ok(State::Outdated) => outdated.push(one),
                Err(failure) => results.failures.push(failure.at(format!("result `{}`", one.path))),
            }
        }
        let mut announced = before.clone();
        announced.runs.insert(self.run.clone(), self.about.clone());
        for one in &outdated {
            let Some(version) = self.version(one) else { continue };
            let versions = announced.files.entry(one.path.clone()).or_default();
            if versions.iter().all(|known| known.digest != version.digest) {
                versions.push(version);
            }
        }
        // Announced before any is placed: a run that is killed in between leaves nothing that looks edited.
        if announced.files != before.files {
            aside.write_list(&announced)?;
        }
        let large = outdated.iter().any(|one| matches!(one.content, WantedContent::Blob(blob) if blob.bytes >= LARGE));
        for one in outdated {
            match self.place(&mut aside, store, one) {
                Ok(()) => there.push(one),
                Err(failure) => results.failures.push(failure.at(format!("result `{}`", one.path))),
            }
        }
        if let Some(whole) = last {
            let now = self.settle(&announced, &before, &there, whole, results);
            if now.files != announced.files {
                // The list must not be on disk before the files it lists: they would look edited after a power cut.
                aside.flush()?;
                aside.write_list(&now)?;
            }
            if large || self.placed.values().any(|placed| placed.stamp.1 >= LARGE) {
                self.remember(sources);
            }
        }
        aside.finish()
    }

    /// The list once all is in its place; notes what became of each result.
    fn settle(
        &self,
        announced: &PublishedList,
        before: &PublishedList,
        there: &[&Wanted<'_>],
        whole: bool,
        results: &mut Results,
    ) -> PublishedList {
        let mut now = announced.clone();
        for one in there {
            let Some(version) = self.version(one) else { continue };
            // What was restored is still the version of the run that made it.
            let known = before.version(&one.path, &version.digest).filter(|known| known.key == version.key);
            let known = known.filter(|known| known.run.is_some()).cloned();
            now.files.insert(one.path.clone(), vec![known.unwrap_or(version)]);
            if matches!(one.content, WantedContent::Blob(_)) {
                let written = self.placed.contains_key(&one.path);
                if written { &mut results.written } else { &mut results.unchanged }.push(one.path.clone());
            }
        }
        let missing = |path: &str| results.missing.iter().any(|(name, _)| belongs_to(path, name));
        let claimed: BTreeSet<&str> = there.iter().map(|one| one.path.as_str()).collect();
        let edited: BTreeSet<&str> = results.edited.iter().map(String::as_str).collect();
        let mut unclaimed = Vec::new();
        let mut earlier = Vec::new();
        for (path, versions) in before.files.iter().filter(|(path, _)| !claimed.contains(path.as_str())) {
            if missing(path) {
                earlier.push((path.clone(), versions.first().and_then(|version| version.run.clone())));
            } else if !edited.contains(path.as_str()) {
                unclaimed.push(path.clone());
            }
        }
        let visible = |path: &str| !is_sidecar(path) && self.folder.join(path).exists();
        results.earlier.extend(earlier.into_iter().filter(|(path, _)| visible(path)));
        let failed = !results.failures.is_empty();
        for path in unclaimed.into_iter().filter(|_| whole && !failed) {
            match self.folder.join(&path).exists() {
                true if visible(&path) => results.stale.push(path),
                true => {}
                false => drop(now.files.remove(&path)),
            }
        }
        now
    }

    fn version(&self, one: &Wanted<'_>) -> Option<Version> {
        let digest = one.digest()?;
        Some(Version { digest, run: Some(self.run.clone()), key: one.key })
    }

    fn state_of(&self, sources: &mut Sources, one: &Wanted<'_>, list: &PublishedList) -> Result<State, Failure> {
        let target = self.folder.join(&one.path);
        let Some(digest) = one.digest() else {
            return Ok(match fs::metadata(&target) {
                Ok(found) if found.is_dir() => State::Same,
                Ok(_) => State::Edited,
                Err(_) => State::Outdated,
            });
        };
        if self
            .placed
            .get(&one.path)
            .is_some_and(|placed| placed.digest == digest && stamp(&target) == Some(placed.stamp))
        {
            return Ok(State::Same);
        }
        match sources.content(&target) {
            Ok(there) if there.form == ContentForm::Folder => Ok(State::Edited),
            Ok(there) if there.digest == digest => Ok(State::Same),
            Ok(there) if self.overwrite || list.version(&one.path, &there.digest).is_some() => Ok(State::Outdated),
            Ok(_) => Ok(State::Edited),
            Err(error) if is_missing(&error) => Ok(State::Outdated),
            Err(error) => Err(cache_failure(&error)),
        }
    }

    fn place(&mut self, aside: &mut Aside, store: &Store, one: &Wanted<'_>) -> Result<(), Failure> {
        let target = self.folder.join(&one.path);
        match &one.content {
            WantedContent::EmptyFolder => {
                return fs::create_dir_all(&target).map_err(|error| Failure::io("create the folder", &target, &error));
            }
            WantedContent::Blob(blob) => aside.place_blob(store, blob, &target)?,
            WantedContent::Text(text) => aside.place_text(text, &target)?,
        }
        if let (Some(digest), Some(stamp)) = (one.digest(), stamp(&target)) {
            self.placed.insert(one.path.clone(), Placed { digest, stamp });
        }
        Ok(())
    }

    /// Large results are found again by the next run without being read; if they are still what was written.
    fn remember(&self, sources: &mut Sources) {
        let written: Vec<PathBuf> = self.placed.keys().map(|path| self.folder.join(path)).collect();
        if let Err(error) = sources.remember(&written) {
            tracing::warn!(%error, "results are read again by the next run");
        }
    }

    fn write_parameters(&self, aside: &mut Aside) -> Result<(), Failure> {
        let Some(text) = &self.parameters else { return Ok(()) };
        let target = self.folder.join(PARAMETERS);
        match fs::read_to_string(&target) {
            Ok(there) if there == *text => Ok(()),
            _ => aside.place_text(text, &target),
        }
    }
}

impl Wanted<'_> {
    /// Of its bytes; an empty folder has none.
    fn digest(&self) -> Option<Digest<Content>> {
        match &self.content {
            WantedContent::Blob(blob) => Some(blob.digest),
            WantedContent::Text(text) => Some(Digest::of(text.as_bytes())),
            WantedContent::EmptyFolder => None,
        }
    }
}

/// All paths of these lines, with what lies beside them.
fn wanted<'w>(lines: &'w [ResultLine], texts: &'w BTreeMap<String, String>) -> Vec<Wanted<'w>> {
    let mut wanted = Vec::new();
    for line in lines {
        wanted.extend(line.pieces.iter().map(|piece| Wanted {
            path: piece.path.clone(),
            content: piece.blob().map_or(WantedContent::EmptyFolder, WantedContent::Blob),
            key: line.key,
        }));
        let beside = line.beside().filter_map(|path| Some((texts.get(&path)?, path)));
        wanted.extend(beside.map(|(text, path)| Wanted { path, content: WantedContent::Text(text), key: line.key }));
    }
    wanted
}

/// The text that each sidecar and data dictionary should have. A sidecar names the run that published its result, so it stays
/// as it is while the result has the content and comes from the work that it had then; so does a dictionary, for which its
/// table would have to be read.
fn sidecars(
    list: &PublishedList,
    folder: &Path,
    lines: &[ResultLine],
    make: &mut MakeSidecar<'_>,
    failures: &mut Vec<Failure>,
) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (line, path) in lines.iter().flat_map(|line| line.beside().map(move |path| (line, path))) {
        let text = match fs::read_to_string(folder.join(&path)) {
            Ok(there) if is_about(list, &path, &there, line) => Ok(there),
            _ => make(line, &path),
        };
        match text {
            Ok(text) => drop(texts.insert(path, text)),
            Err(failure) => failures.push(failure.at(format!("result `{path}`"))),
        }
    }
    texts
}

/// Whether a sidecar is the one that was published with the files of a line as they are now.
fn is_about(list: &PublishedList, path: &str, text: &str, line: &ResultLine) -> bool {
    let of_line = |version: &Version| version.key == line.key;
    let listed =
        |piece: &Piece| piece.blob().is_none_or(|blob| list.version(&piece.path, &blob.digest).is_some_and(of_line));
    list.version(path, &Digest::of(text.as_bytes())).is_some_and(of_line) && line.pieces.iter().all(listed)
}

/// Whether a path is what a line of `results:` publishes, or lies beside it.
fn belongs_to(path: &str, name: &str) -> bool {
    path == name
        || path == sidecar_path(name)
        || path == dictionary_path(name)
        || name.strip_suffix('/').is_some_and(|folder| below(path, folder))
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// What tells a file from one that was written since.
fn stamp(path: &Path) -> Option<(u64, u64, i64, i64, i64, i64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
}

/// Waits until no other process publishes into a folder. The lock is the folder's own, so it leaves no file there.
fn lock(folder: &Path) -> Result<File, Failure> {
    let file = File::open(folder).map_err(|error| Failure::io("open", folder, &error))?;
    file.lock().map_err(|error| {
        Failure::io("lock", folder, &error).hint("the project must lie on a file system that can lock folders (flock)")
    })?;
    Ok(file)
}

/// Where copies are written before they are renamed; removed at the end, or by the next run.
const ASIDE: &str = ".publishing-";

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
    /// The permissions that the user's umask leaves to a new folder.
    mode: u32,
}

impl Aside {
    fn path(&mut self) -> Result<PathBuf, Failure> {
        if self.made.is_none() {
            let made = self.folder.join(format!("{ASIDE}{}", std::process::id()));
            fs::create_dir(&made).map_err(|error| Failure::io("create the folder", &made, &error))?;
            let found = fs::metadata(&made).map_err(|error| Failure::io("read", &made, &error))?;
            self.mode = found.permissions().mode() & 0o777;
            self.made = Some(made);
        }
        self.count += 1;
        Ok(self.made.as_ref().unwrap_or(&self.folder).join(self.count.to_string()))
    }

    /// Copies a blob to its place, with the permissions that the user's own files get.
    fn place_blob(&mut self, store: &Store, blob: &Blob, target: &Path) -> Result<(), Failure> {
        let copy = self.path()?;
        store.copy_out(blob, &copy).map_err(|error| damaged_failure(&error, &target.to_string_lossy()))?;
        let mode = self.mode & if blob.executable { 0o777 } else { 0o666 };
        fs::set_permissions(&copy, std::fs::Permissions::from_mode(mode))
            .map_err(|error| Failure::io("set the permissions of", &copy, &error))?;
        self.rename(&copy, target)
    }

    fn place_text(&mut self, text: &str, target: &Path) -> Result<(), Failure> {
        let copy = self.path()?;
        fs::write(&copy, text).map_err(|error| Failure::io("write", &copy, &error))?;
        self.rename(&copy, target)
    }

    fn rename(&self, copy: &Path, target: &Path) -> Result<(), Failure> {
        let parent = target.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|error| Failure::io("create the folder", parent, &error))?;
        fs::rename(copy, target).map_err(|error| Failure::io("publish", target, &error))
    }

    /// Replaces the list; it is on disk afterwards.
    fn write_list(&mut self, list: &PublishedList) -> Result<(), Failure> {
        let path = self.path()?;
        let target = self.folder.join(LIST);
        let io = |error: io::Error| Failure::io("write", &target, &error);
        let mut file = File::create_new(&path).map_err(io)?;
        file.write_all(list.text().as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&path, &target).map_err(io)?;
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
