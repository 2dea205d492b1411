//! Publishes results while a run goes on, as soon as their stage has ended, and completes them at its end; checks claims;
//! collects digests for the lockfile.
//!
//! What is published early is not more than what a run without interruption publishes in the end: results of stages with
//! restricted data wait for the end, where the rules of their release are known to hold.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pipe_cache::{Content, Digest};
use pipe_contract::{Failure, Registry, Repro};

use super::artifact_types::{declared, table_at};
use super::disclosure::Disclosure;
use super::inputs::Linked;
use super::lookup::{Known, Lookup, LookupOptions};
use super::options::RunOptions;
use super::run_summary::Summary;
use super::state_dir::StateDir;
use crate::ids::InstanceId;
use crate::key::{COMMAND, KeyParts};
use crate::plan::{Link, Plan, Published, Refused, Work};
use crate::report::{
    Git, Locked, LockedInstance, LockedStage, Machine, MadeBy, Piece, PublishedBy, PublishedList, Publisher,
    PublishingRun, ResultLine, Results, Sidecar, TableOrigin, cache_failure, check_claims, commit_of, damaged_failure,
    described, dictionary, dictionary_path, is_sidecar, parameters_json, pieces_of, project_root, results_folder,
    work_tree_is_dirty,
};
use crate::sched::needed_by;

/// At least this long between two rounds of publishing while a run goes on: a round writes the list anew.
const ROUND: Duration = Duration::from_millis(500);

/// Publishes the results of one run.
pub(super) struct Publishing<'a> {
    plan: &'a Plan,
    disclosure: Rc<Disclosure<'a>>,
    publisher: Publisher,
    by: PublishedBy,
    git: OnceCell<Option<Git>>,
    registry: &'a Registry,
    /// Lines of `results:` by the instance that makes them.
    lines: BTreeMap<InstanceId, Vec<usize>>,
    /// Lines whose instance has ended since the last round.
    due: BTreeSet<usize>,
    last_round: Instant,
}

impl<'a> Publishing<'a> {
    /// Publishing for a run of this id.
    pub fn new(
        plan: &'a Plan,
        options: &'a RunOptions,
        disclosure: Rc<Disclosure<'a>>,
        run: &str,
        began: &str,
    ) -> Self {
        let mut lines = BTreeMap::<InstanceId, Vec<usize>>::new();
        for (line, published) in plan.results.iter().enumerate() {
            if let Link::Output { instance, .. } = published.link {
                lines.entry(instance).or_default().push(line);
            }
        }
        let by = published_by(plan, options, run, began);
        let about = PublishingRun { began: began.to_owned(), parameters: by.parameters.clone() };
        let parameters = (!plan.set.is_empty()).then(|| parameters_json(plan));
        let folder = results_folder(plan);
        let publisher = Publisher::new(folder, run.to_owned(), about, parameters, options.overwrite);
        let (due, last_round) = (BTreeSet::new(), Instant::now());
        let registry = &*options.exec.registry;
        Self { plan, disclosure, publisher, by, git: OnceCell::new(), registry, lines, due, last_round }
    }

    /// An instance has outputs now: its results are published in the next round.
    pub fn ended(&mut self, id: InstanceId) {
        if self.plan.instance(id).restricted.is_empty() {
            self.due.extend(self.lines.get(&id).into_iter().flatten());
        }
    }

    /// How long until the next round; `None` if nothing waits for it.
    pub fn until_due(&self) -> Option<Duration> {
        (!self.due.is_empty()).then(|| ROUND.saturating_sub(self.last_round.elapsed()))
    }

    /// Publishes what has ended since the last round, if the next one is due.
    pub fn publish_due(&mut self, lookup: &mut Lookup<'_>, state_dir: &StateDir) {
        if self.until_due() != Some(Duration::ZERO) {
            return;
        }
        let plan = self.plan;
        let due = std::mem::take(&mut self.due);
        // What cannot be published is reported at the end.
        let lines: Vec<ResultLine> = due
            .into_iter()
            .filter_map(|line| match line_of(lookup, state_dir, &self.disclosure, &plan.results[line]) {
                Ok(Line::Present(line)) => Some(line),
                _ => None,
            })
            .collect();
        let Self { plan, disclosure, publisher, by, git, registry, .. } = self;
        let mut beside = |line: &ResultLine, path: &str| match is_sidecar(path) {
            true => sidecar(disclosure, state_dir, line, by, git),
            false => table_dictionary(plan, registry, state_dir, line, path),
        };
        publisher.publish(&state_dir.store, &mut lookup.local.sources, &lines, &mut beside);
        self.last_round = Instant::now();
    }

    /// Publishes all results that the run `wanted`.
    pub fn finish(&mut self, lookup: &mut Lookup<'_>, state_dir: &StateDir, wanted: Option<&[bool]>) -> Results {
        let (mut results, lines) = result_lines(lookup, state_dir, &self.disclosure, wanted);
        let Self { plan, disclosure, publisher, by, git, registry, .. } = self;
        let mut beside = |line: &ResultLine, path: &str| match is_sidecar(path) {
            true => sidecar(disclosure, state_dir, line, by, git),
            false => table_dictionary(plan, registry, state_dir, line, path),
        };
        let sources = &mut lookup.local.sources;
        publisher.finish(&state_dir.store, sources, &lines, &mut beside, wanted.is_none(), &mut results);
        results
    }
}

/// Everything that the plan publishes and that is there; what is not is noted.
fn result_lines(
    lookup: &mut Lookup<'_>,
    state_dir: &StateDir,
    disclosure: &Disclosure<'_>,
    wanted: Option<&[bool]>,
) -> (Results, Vec<ResultLine>) {
    let plan = lookup.plan;
    let mut results = Results { folder: results_folder(plan), ..Results::default() };
    let mut lines = Vec::new();
    let refused = plan.refused_results();
    for published in plan.results.iter().filter(|published| is_wanted(&published.link, wanted)) {
        if let Some(refused) = refused.iter().find(|refused| std::ptr::eq(refused.result, published)) {
            results.missing.push((published.path.clone(), why_refused(refused)));
            continue;
        }
        match line_of(lookup, state_dir, disclosure, published) {
            Ok(Line::Present(line)) => lines.push(line),
            Ok(Line::Missing(why)) => results.missing.push((published.path.clone(), why)),
            Err(failure) => results.failures.push(failure),
        }
    }
    (results, lines)
}

fn why_refused(refused: &Refused<'_>) -> String {
    let names = refused.restrictions.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("restricted ({names}; {}) and no rule of `release:` permits it", refused.chain.join(" -> "))
}

/// What a line of `results:` publishes.
enum Line {
    Present(ResultLine),
    /// It is not there, and why.
    Missing(String),
}

fn line_of(
    lookup: &mut Lookup<'_>,
    state_dir: &StateDir,
    disclosure: &Disclosure<'_>,
    published: &Published,
) -> Result<Line, Failure> {
    let located = match lookup.content(&published.link)? {
        Linked::Present(located) => located,
        Linked::Absent { cause, .. } => return Ok(Line::Missing(format!("absent ({cause})"))),
        Linked::Open(id) => return Ok(Line::Missing(format!("because `{}` did not end well", lookup.plan.label(id)))),
    };
    let pieces = pieces_of(&state_dir.store, published, &located.artifact)
        .map_err(|why| Failure::stage(format!("`{}` cannot be published: {why}", published.path)))?;
    let (record, key) = match &published.link {
        Link::Output { instance, .. } => {
            let record = lookup.key_of(*instance);
            (record, record.map(|key| disclosure.key(*instance, &key)))
        }
        Link::File(_) => (None, None),
    };
    let tables =
        declared(lookup.plan, lookup.registry, &published.link).map_or(&[][..], |(_, output)| &output.tables[..]);
    let dictionaries = pieces.iter().filter(|piece| described(tables, file_in(&published.link, piece)).is_some());
    let dictionaries: BTreeSet<String> = dictionaries.map(|piece| dictionary_path(&piece.path)).collect();
    if let Some(piece) = pieces.iter().find(|piece| dictionaries.contains(&piece.path)) {
        let message =
            format!("`{}` has the name of a data dictionary, in a folder with the table it would describe", piece.path);
        return Err(Failure::internal(message));
    }
    let path = published.path.clone();
    Ok(Line::Present(ResultLine { path, key, record, artifact: located.artifact, pieces, dictionaries }))
}

/// The name of a piece in the output of its stage.
fn file_in<'p>(link: &'p Link, piece: &'p Piece) -> &'p str {
    match link {
        Link::Output { entry: Some(entry), .. } => entry,
        _ => &piece.name,
    }
}

/// The text of the data dictionary at a path beside a result.
fn table_dictionary(
    plan: &Plan,
    registry: &Registry,
    state_dir: &StateDir,
    line: &ResultLine,
    path: &str,
) -> Result<String, Failure> {
    let lost = || Failure::internal("a data dictionary without a table");
    let published = plan.results.iter().find(|published| published.path == line.path).ok_or_else(lost)?;
    let Link::Output { instance, .. } = &published.link else { return Err(lost()) };
    let (kind, output) = declared(plan, registry, &published.link).ok_or_else(lost)?;
    let table = line.pieces.iter().find_map(|piece| {
        let described = described(&output.tables, file_in(&published.link, piece))?;
        (dictionary_path(&piece.path) == path).then_some((piece, described))
    });
    let (piece, described) = table.ok_or_else(lost)?;
    let format = registry.format_of(Some(output.artifact), file_in(&published.link, piece));
    let read = format.and_then(|format| format.columns).ok_or_else(lost)?;
    let names = read(&state_dir.store.blob_path(&piece.blob().ok_or_else(lost)?))?;
    let parameters = &plan.instance(*instance).params;
    dictionary(&TableOrigin { kind, parameters, simulated: plan.simulated }, described.columns, &names)
}

/// Who publishes; git is looked up when the first sidecar is written.
fn published_by(plan: &Plan, options: &RunOptions, run: &str, began: &str) -> PublishedBy {
    let file = plan.file.strip_prefix(project_root(plan)).unwrap_or(&plan.file);
    PublishedBy {
        run: run.to_owned(),
        began: began.to_owned(),
        pipeline: plan.pipeline.clone(),
        profile: plan.profile.clone(),
        file: file.to_string_lossy().into_owned(),
        set: plan.set.clone(),
        parameters: plan.params.iter().map(|(name, param)| (name.clone(), param.value.clone())).collect(),
        git: None,
        machine: Machine::this(options.capacities.cpu, options.capacities.gpus.len()),
        pipe_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn git_of(plan: &Plan) -> Option<Git> {
    let project = project_root(plan);
    commit_of(project).map(|commit| Git { commit, dirty: work_tree_is_dirty(project) })
}

/// The text of the sidecar of a result.
fn sidecar(
    disclosure: &Disclosure<'_>,
    state_dir: &StateDir,
    line: &ResultLine,
    by: &PublishedBy,
    git: &OnceCell<Option<Git>>,
) -> Result<String, Failure> {
    let plan = disclosure.plan;
    let published = plan.results.iter().find(|published| published.path == line.path);
    let Some(Link::Output { instance, port, entry }) = published.map(|published| &published.link) else {
        return Err(Failure::internal("a result is not an output of a stage"));
    };
    let record =
        line.record.map(|key| state_dir.store.record(&key)).transpose().map_err(|error| cache_failure(&error))?;
    let (parts, record) = record.flatten().map(|record| (record.parts, record.provenance)).unzip();
    let parts = parts.and_then(|parts| serde_json::from_value::<KeyParts>(parts).ok());
    let port = entry.as_ref().map_or(port.to_string(), |entry| format!("{port}/{entry}"));
    let stage = plan.label(*instance);
    let made_by = MadeBy {
        stage,
        port,
        kind: match &plan.stage_of(*instance).work {
            Work::Kind(name) => name.clone(),
            Work::Command(_) => COMMAND.to_owned(),
        },
        kind_version: parts.as_ref().map_or(0, |parts| parts.kind_version),
        key: line.key,
        parameters: plan.instance(*instance).params.clone(),
        inputs: parts
            .into_iter()
            .flat_map(|parts| parts.inputs)
            .map(|(port, input)| (port.clone(), disclosure.input(*instance, &port, &input)))
            .collect(),
        restricted: plan.instance(*instance).restricted.clone(),
        seed: plan.instance(*instance).seed,
        simulated: plan.simulated,
        record: record.unwrap_or_default(),
    };
    let by = PublishedBy { git: git.get_or_init(|| git_of(plan)).clone(), ..by.clone() };
    Sidecar::new(&line.path, (line.artifact.digest, line.artifact.bytes), made_by, by).text()
}

/// Publishes results, if the run publishes, and checks claims.
pub(super) fn finish_results(
    lookup: &mut Lookup<'_>,
    state_dir: &StateDir,
    disclosure: &Disclosure<'_>,
    summary: &mut Summary,
    publishing: Option<&mut Publishing<'_>>,
    wanted: Option<&[bool]>,
) {
    let plan = lookup.plan;
    summary.results = match publishing {
        Some(publishing) => publishing.finish(lookup, state_dir, wanted),
        None => result_lines(lookup, state_dir, disclosure, wanted).0,
    };
    let whole = |link: &&crate::plan::Claim| is_wanted(&link.table, wanted);
    let claims: Vec<_> = plan.claims.iter().filter(whole).cloned().collect();
    summary.claims = check_claims(&claims, |link| Ok((table_of_link(lookup, state_dir, link)?, named(plan, link))));
}

/// What an artifact is called in messages.
fn named(plan: &Plan, link: &Link) -> String {
    match link {
        Link::Output { instance, port, entry } => {
            let entry = entry.as_ref().map(|entry| format!("/{entry}")).unwrap_or_default();
            format!("{}.{port}{entry}", plan.label(*instance))
        }
        Link::File(path) => path.strip_prefix(&plan.folder).unwrap_or(path).display().to_string(),
    }
}

fn is_wanted(link: &Link, wanted: Option<&[bool]>) -> bool {
    match (link, wanted) {
        (Link::Output { instance, .. }, Some(wanted)) => wanted[instance.index()],
        _ => true,
    }
}

/// Where the table of an artifact can be read, or why not.
fn table_of_link(lookup: &mut Lookup<'_>, state_dir: &StateDir, link: &Link) -> Result<PathBuf, String> {
    match lookup.content(link).map_err(|failure| failure.to_string())? {
        Linked::Present(located) => {
            let path = located
                .path(&state_dir.store, None)
                .map_err(|error| damaged_failure(&error, &named(lookup.plan, link)).to_string())?;
            table_at(lookup.plan, lookup.registry, link, path)
        }
        Linked::Absent { cause, .. } => Err(format!("absent ({cause})")),
        Linked::Open(id) => Err(format!("`{}` did not end well", lookup.plan.label(id))),
    }
}

/// Digests of everything the plan publishes. What cannot be published is left out: it is among the failures of
/// [`finish_results`], and then no lockfile is written.
pub(super) fn locked_results(
    lookup: &mut Lookup<'_>,
    state_dir: &StateDir,
    disclosure: &Disclosure<'_>,
    registry: &Registry,
) -> BTreeMap<String, Locked> {
    let mut locked = BTreeMap::new();
    let plan = lookup.plan;
    let mut tolerances = Tolerances { plan, registry, known: BTreeMap::new() };
    let refused: Vec<&Published> = plan.refused_results().into_iter().map(|refused| refused.result).collect();
    for published in &plan.results {
        if refused.iter().any(|refused| std::ptr::eq(*refused, published)) {
            continue;
        }
        let Ok(Line::Present(line)) = line_of(lookup, state_dir, disclosure, published) else { continue };
        let tolerance = tolerances.of(&published.link);
        let files = line.pieces.iter().filter_map(|Piece { path, entry, .. }| match entry {
            pipe_cache::Entry::File(blob) => Some((path.clone(), blob)),
            pipe_cache::Entry::EmptyFolder => None,
        });
        locked.extend(files.map(|(path, blob)| (path, Locked { digest: blob.digest, bytes: blob.bytes, tolerance })));
    }
    locked
}

/// By how much the numbers of results may differ: as the least exact kind they depend on promises.
struct Tolerances<'t> {
    plan: &'t Plan,
    registry: &'t Registry,
    known: BTreeMap<InstanceId, Option<f64>>,
}

impl Tolerances<'_> {
    fn of(&mut self, link: &Link) -> Option<f64> {
        let Link::Output { instance, .. } = link else { return None };
        if let Some(known) = self.known.get(instance) {
            return *known;
        }
        let needed = needed_by(self.plan, &BTreeSet::from([*instance]));
        let stages: BTreeSet<usize> =
            self.plan.ids().filter(|id| needed[id.index()]).map(|id| self.plan.instance(id).stage.index()).collect();
        let tolerance = stages.into_iter().filter_map(|stage| self.of_work(&self.plan.stages[stage].work));
        let tolerance = tolerance.reduce(f64::max);
        self.known.insert(*instance, tolerance);
        tolerance
    }

    fn of_work(&self, work: &Work) -> Option<f64> {
        let Work::Kind(name) = work else { return None };
        match self.registry.kind(name)?.repro {
            Repro::Within(tolerance) => Some(tolerance),
            Repro::Exact => None,
        }
    }
}

/// Digests of keys and outputs of every stage, in the order in which stages run; none of a stage with restricted data.
pub(super) fn locked_stages(lookup: &Lookup<'_>) -> Vec<LockedStage> {
    let plan = lookup.plan;
    let mut stages: Vec<usize> = (0..plan.stages.len()).collect();
    stages.sort_by_key(|stage| plan.stages[*stage].instances.start);
    let locked = |stage: usize| {
        let name = &plan.stages[stage].name;
        let ids: Vec<InstanceId> = plan.stages[stage].instances.clone().map(InstanceId).collect();
        if ids.iter().any(|id| !plan.instance(*id).restricted.is_empty()) {
            return LockedStage::restricted(name);
        }
        // Without the stage's name, which does not matter to its work.
        let instance = |id: InstanceId| {
            let key = lookup.key_of(id).map_or([0; 32], |key| *key.as_bytes());
            LockedInstance { at: plan.instance(id).at.to_string(), key, outputs: output_digests(lookup, id) }
        };
        LockedStage::new(name, &ids.into_iter().map(instance).collect::<Vec<_>>())
    };
    stages.into_iter().map(locked).collect()
}

/// Digests of the outputs of an instance, by port in ascending order; none if it is absent.
pub(super) fn output_digests(lookup: &Lookup<'_>, id: InstanceId) -> Vec<Digest<Content>> {
    match lookup.known(id) {
        Known::Outputs(outputs) => outputs.iter().map(|stored| stored.artifact.digest).collect(),
        _ => Vec::new(),
    }
}

/// Published files that are not what the plan would publish now, and the run that made each, if it is known: while a run
/// goes on, after a failed or killed one, and after an edit of the pipeline.
///
/// # Errors
/// As for [`super::run`].
pub fn earlier_results(plan: &Plan, options: &RunOptions) -> Result<Vec<(String, Option<String>)>, Failure> {
    let folder = results_folder(plan);
    let list = PublishedList::read(&folder)?;
    if list.files.is_empty() {
        return Ok(Vec::new());
    }
    let state_dir = StateDir::open(plan, &options.places)?;
    let mut lookup = Lookup::new(plan, &options.exec.registry, &state_dir.store, state_dir.local_state(&options.set)?);
    for id in plan.ids() {
        let _ = lookup.look_up(id, &LookupOptions::default());
    }
    let disclosure = Disclosure::for_reading(plan, &state_dir)?;
    let (_, lines) = result_lines(&mut lookup, &state_dir, &disclosure, None);
    let pieces = lines.iter().flat_map(|line| &line.pieces);
    let now: BTreeMap<&str, Digest<Content>> =
        pieces.filter_map(|piece| Some((piece.path.as_str(), piece.blob()?.digest))).collect();
    let beside: BTreeSet<&String> = lines.iter().flat_map(|line| &line.dictionaries).collect();
    let mut earlier = Vec::new();
    for (path, versions) in list.files.iter().filter(|(path, _)| !is_sidecar(path) && !beside.contains(path)) {
        let as_now = versions.last().is_some_and(|version| now.get(path.as_str()) == Some(&version.digest));
        if !as_now && folder.join(path).exists() {
            earlier.push((path.clone(), versions.first().and_then(|version| version.run.clone())));
        }
    }
    Ok(earlier)
}
