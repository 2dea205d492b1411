//! Copies results to where users look for them, while a run goes on and at its end.
//!
//! Files there are copies, never links into the store. The list [`LIST`](super::LIST) beside them says what was published by which
//! run. A file that is neither what is wanted nor what was published last is left alone and named, unless such files are to be
//! overwritten: it was edited, or pipe never wrote it. Named and left alone is also a file that was published once and that
//! no result claims any more.
//!
//! Beside each result `NAME` lies `NAME.provenance.json` (see [`super::Sidecar`]). It is beside the result and not in a folder
//! of its own, as imaging data have it, because it is to be copied together with the file it is about; it is written
//! when its result gets another content or comes from other work, and otherwise left as it is. Nothing is written beside a file
//! that was left alone: it would describe another one.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Action, Blob, Content, Digest, Sources, Store};
use pipe_contract::Failure;

use super::dictionary::dictionary_path;
use super::path_state::{PathState, state_of_file, state_of_folder};
use super::public_digest::PublicDigest;
use super::published_list::{ListFile, PublishedList, PublishingRun, Version};
use super::result_line::{Piece, ResultLine, belongs_to, is_sidecar, sidecar_path};
use super::results_folder::PARAMETERS;
use super::sidecar::DescribedFiles;
use super::staging::{Staging, lock, remove_leftovers};
use super::taken_over::taken_over;

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
    /// Not written by pipe, in the place of a result; left alone.
    pub foreign: Vec<String>,
    /// Published earlier, claimed by no result any more; left alone.
    pub stale: Vec<String>,
    /// Of an earlier version, because this run could not make them, and the run that made them, if it is known.
    pub earlier: Vec<(String, Option<String>)>,
    /// Not published, and why (`because score(sid=s03) failed`).
    pub missing: Vec<(String, String)>,
    /// What was wrong with the list of published files, if it was damaged; it was made anew from the sidecars.
    pub damaged_list: Option<String>,
    /// Errors of the project folder or its disk.
    pub failures: Vec<Failure>,
}

/// Makes the texts that lie beside results.
pub trait Describe {
    /// The sidecar of a result that describes these files.
    ///
    /// # Errors
    /// The record of the work cannot be read.
    fn sidecar(&mut self, line: &ResultLine, described: DescribedFiles) -> Result<String, Failure>;

    /// The data dictionary at a path beside a result.
    ///
    /// # Errors
    /// The table cannot be read, or has a column that is not declared.
    fn dictionary(&mut self, line: &ResultLine, path: &str) -> Result<String, Failure>;
}

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
    /// How the list was damaged when this run first read it.
    damaged_list: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    digest: Digest<Content>,
    stamp: (u64, u64, i64, i64, i64, i64),
}

/// A path with what it should hold.
struct Wanted {
    path: String,
    content: WantedContent,
    key: Option<PublicDigest<Action>>,
}

enum WantedContent {
    /// A file of a store.
    Blob(Store, Blob),
    Text(String),
    EmptyFolder,
}

/// What is to be done: nothing for what is there, and what is outdated is to be placed.
#[derive(Default)]
struct Sorted {
    there: Vec<Wanted>,
    outdated: Vec<Wanted>,
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
        Self { folder, run, about, parameters, overwrite, placed: BTreeMap::new(), damaged_list: None }
    }

    /// Publishes results while a run goes on: they are there, and announced in the list. What goes wrong is left to
    /// [`Publisher::finish`], which tries again.
    pub fn publish(&mut self, sources: &mut Sources, lines: &[ResultLine], describe: &mut dyn Describe) {
        let mut results = Results { folder: self.folder.clone(), ..Results::default() };
        if let Err(failure) = self.try_publish(sources, lines, describe, None, &mut results) {
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
        sources: &mut Sources,
        lines: &[ResultLine],
        describe: &mut dyn Describe,
        whole: bool,
        results: &mut Results,
    ) {
        if let Err(failure) = self.try_publish(sources, lines, describe, Some(whole), results) {
            results.failures.push(failure);
        }
        results.damaged_list = self.damaged_list.take();
    }

    /// `last`: the run has ended, and whether it was about all results.
    ///
    /// One process at a time: the folder is locked from the reading of the list to its writing.
    fn try_publish(
        &mut self,
        sources: &mut Sources,
        lines: &[ResultLine],
        describe: &mut dyn Describe,
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
        let listed = self.read_list()?;
        let before = {
            let missing = results.missing.iter().map(|(path, _)| path.as_str());
            taken_over(&listed, &folder, lines.iter().map(|line| line.path.as_str()).chain(missing))
        };
        let mut staging = Staging::new(&folder);
        self.write_parameters(&mut staging)?;

        let Sorted { mut there, outdated } = self.sort(sources, lines, describe, &before, results);
        // Announced before any is placed: a run that is killed in between leaves nothing that looks edited.
        let announced = self.announced(&before, &outdated);
        if announced.files != listed.files {
            staging.write_list(&announced)?;
        }
        for one in outdated {
            match self.place(&mut staging, &one) {
                Ok(()) => there.push(one),
                Err(failure) => results.failures.push(failure.at(format!("result `{}`", one.path))),
            }
        }
        if let Some(whole) = last {
            let now = self.settle(&announced, &before, lines, &there, whole, results);
            if now.files != announced.files {
                // The list must not be on disk before the files it lists: they would look edited after a power cut.
                staging.flush()?;
                staging.write_list(&now)?;
            }
            if self.placed.values().any(|placed| placed.stamp.1 >= LARGE) {
                self.remember(sources);
            }
        }
        staging.finish()
    }

    /// The list as it is on disk; empty if there is none, or if it is damaged.
    fn read_list(&mut self) -> Result<PublishedList, Failure> {
        Ok(match ListFile::read(&self.folder)? {
            ListFile::Good(list) => list,
            ListFile::Missing => PublishedList::default(),
            ListFile::Damaged(why) => {
                self.damaged_list = Some(why);
                PublishedList::default()
            }
        })
    }

    /// Compares everything that these lines publish with what is there. What is left alone is noted in `results`.
    fn sort(
        &self,
        sources: &mut Sources,
        lines: &[ResultLine],
        describe: &mut dyn Describe,
        before: &PublishedList,
        results: &mut Results,
    ) -> Sorted {
        let mut sorted = Sorted::default();
        for line in lines {
            let mut published = BTreeSet::new();
            for piece in &line.pieces {
                let blob = |blob| WantedContent::Blob(line.store.clone(), blob);
                let content = piece.blob().map_or(WantedContent::EmptyFolder, blob);
                let wanted = Wanted { path: piece.path.clone(), content, key: line.key };
                if self.sort_one(sources, wanted, before, &mut sorted, results) {
                    published.insert(piece.path.as_str());
                }
            }
            if published.is_empty() {
                continue;
            }
            let mut described = DescribedFiles { files: files_of_folder(line, &published), ..Default::default() };
            for path in dictionaries_of(line, &published) {
                let text = self.text_at(path, |text| is_current(before, path, text, line, &published));
                let text = text.map_or_else(|| describe.dictionary(line, path), Ok);
                if let Some((path, digest)) = self.sort_text(sources, line, (path, text), before, &mut sorted, results)
                {
                    described.dictionaries.insert(path, digest);
                }
            }
            let path = sidecar_path(&line.path);
            let text =
                self.text_at(&path, |text| is_current(before, &path, text, line, &published) && described.are_in(text));
            let text = text.map_or_else(|| describe.sidecar(line, described), Ok);
            self.sort_text(sources, line, (&path, text), before, &mut sorted, results);
        }
        sorted
    }

    /// The text at a path, if it is as it is to be.
    fn text_at(&self, path: &str, is_good: impl FnOnce(&str) -> bool) -> Option<String> {
        fs::read_to_string(self.folder.join(path)).ok().filter(|text| is_good(text))
    }

    /// Compares a text that is to lie beside a result with what is there; its path and digest, unless the place is taken.
    fn sort_text(
        &self,
        sources: &mut Sources,
        line: &ResultLine,
        (path, text): (&str, Result<String, Failure>),
        before: &PublishedList,
        sorted: &mut Sorted,
        results: &mut Results,
    ) -> Option<(String, Digest<Content>)> {
        match text {
            Ok(text) => {
                let digest = Digest::of(text.as_bytes());
                let wanted = Wanted { path: path.to_owned(), content: WantedContent::Text(text), key: line.key };
                self.sort_one(sources, wanted, before, sorted, results).then(|| (path.to_owned(), digest))
            }
            Err(failure) => {
                results.failures.push(failure.at(format!("result `{path}`")));
                None
            }
        }
    }

    /// Compares one path; whether it holds what it should, or will.
    fn sort_one(
        &self,
        sources: &mut Sources,
        one: Wanted,
        before: &PublishedList,
        sorted: &mut Sorted,
        results: &mut Results,
    ) -> bool {
        match self.state_of(sources, &one, before) {
            Ok(PathState::Same) => sorted.there.push(one),
            Ok(PathState::Outdated) => sorted.outdated.push(one),
            Ok(PathState::Edited | PathState::Foreign) if self.overwrite => sorted.outdated.push(one),
            Ok(PathState::Edited) => {
                results.edited.push(one.path);
                return false;
            }
            Ok(PathState::Foreign) => {
                results.foreign.push(one.path);
                return false;
            }
            Err(failure) => {
                results.failures.push(failure.at(format!("result `{}`", one.path)));
                return false;
            }
        }
        true
    }

    fn state_of(&self, sources: &mut Sources, one: &Wanted, list: &PublishedList) -> Result<PathState, Failure> {
        let Some(digest) = one.digest() else { return state_of_folder(&self.folder, &one.path) };
        let placed = self.placed.get(&one.path).filter(|placed| placed.digest == digest);
        if placed.is_some_and(|placed| stamp(&self.folder.join(&one.path)) == Some(placed.stamp)) {
            return Ok(PathState::Same);
        }
        state_of_file(sources, &self.folder, (&one.path, &digest), list)
    }

    /// The list with what is about to be placed, besides what is there.
    fn announced(&self, before: &PublishedList, outdated: &[Wanted]) -> PublishedList {
        let mut announced = before.clone();
        announced.runs.insert(self.run.clone(), self.about.clone());
        for one in outdated {
            let Some(version) = self.version(one) else { continue };
            let versions = announced.files.entry(one.path.clone()).or_default();
            if versions.iter().all(|known| known.digest != version.digest) {
                versions.push(version);
            }
        }
        announced
    }

    /// The list once all is in its place; notes what became of each result.
    fn settle(
        &self,
        announced: &PublishedList,
        before: &PublishedList,
        lines: &[ResultLine],
        there: &[Wanted],
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
            if matches!(one.content, WantedContent::Blob(..)) {
                let written = self.placed.contains_key(&one.path);
                if written { &mut results.written } else { &mut results.unchanged }.push(one.path.clone());
            }
        }
        let claimed: BTreeSet<String> = lines.iter().flat_map(ResultLine::paths).collect();
        let visible = |path: &str| !is_sidecar(path) && self.folder.join(path).exists();
        let settled = whole && results.failures.is_empty();
        for (path, versions) in before.files.iter().filter(|(path, _)| !claimed.contains(*path)) {
            if results.missing.iter().any(|(name, _)| belongs_to(path, name)) {
                let run = versions.first().and_then(|version| version.run.clone());
                results.earlier.extend(visible(path).then(|| (path.clone(), run)));
            } else if settled && !self.folder.join(path).exists() {
                now.files.remove(path);
            } else if settled && visible(path) {
                results.stale.push(path.clone());
            }
        }
        now
    }

    fn version(&self, one: &Wanted) -> Option<Version> {
        let digest = one.digest()?;
        Some(Version { digest, run: Some(self.run.clone()), key: one.key })
    }

    fn place(&mut self, staging: &mut Staging, one: &Wanted) -> Result<(), Failure> {
        let target = self.folder.join(&one.path);
        match &one.content {
            WantedContent::EmptyFolder => {
                return fs::create_dir_all(&target).map_err(|error| Failure::io("create the folder", &target, &error));
            }
            WantedContent::Blob(store, blob) => staging.place_blob(store, blob, &target)?,
            WantedContent::Text(text) => staging.place_text(text, &target)?,
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

    fn write_parameters(&self, staging: &mut Staging) -> Result<(), Failure> {
        let Some(text) = &self.parameters else { return Ok(()) };
        let target = self.folder.join(PARAMETERS);
        match fs::read_to_string(&target) {
            Ok(there) if there == *text => Ok(()),
            _ => staging.place_text(text, &target),
        }
    }
}

impl Wanted {
    /// Of its bytes; an empty folder has none.
    fn digest(&self) -> Option<Digest<Content>> {
        match &self.content {
            WantedContent::Blob(_, blob) => Some(blob.digest),
            WantedContent::Text(text) => Some(Digest::of(text.as_bytes())),
            WantedContent::EmptyFolder => None,
        }
    }
}

/// The files of a published folder, by path in it; none of a result that is one file.
fn files_of_folder(line: &ResultLine, published: &BTreeSet<&str>) -> BTreeMap<String, Digest<Content>> {
    let pieces = line.pieces.iter().filter(|piece| line.is_folder() && published.contains(piece.path.as_str()));
    pieces.filter_map(|piece| Some((piece.name.clone(), piece.blob()?.digest))).collect()
}

/// The data dictionaries of those tables that are published.
fn dictionaries_of<'l>(line: &'l ResultLine, published: &BTreeSet<&str>) -> impl Iterator<Item = &'l str> {
    let of_published: BTreeSet<String> = published.iter().map(|path| dictionary_path(path)).collect();
    line.dictionaries.iter().filter(move |path| of_published.contains(*path)).map(String::as_str)
}

/// Whether a text beside a result is the one that was published with its files as they are now. A sidecar names the run that published its
/// result, so it stays as it is while the result has the content and comes from the work that it had then; so does a
/// dictionary, for which its table would have to be read.
fn is_current(list: &PublishedList, path: &str, text: &str, line: &ResultLine, published: &BTreeSet<&str>) -> bool {
    let of_line = |version: &Version| version.key == line.key;
    let listed =
        |piece: &Piece| piece.blob().is_none_or(|blob| list.version(&piece.path, &blob.digest).is_some_and(of_line));
    let mut pieces = line.pieces.iter().filter(|piece| published.contains(piece.path.as_str()));
    list.version(path, &Digest::of(text.as_bytes())).is_some_and(of_line) && pieces.all(listed)
}

/// What tells a file from one that was written since.
fn stamp(path: &Path) -> Option<(u64, u64, i64, i64, i64, i64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
}
