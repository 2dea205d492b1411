//! The tables of a manifest: instances, artifacts, and what they share, each said once and named by its index.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pipe_contract::{Device, Form, Kind};

use super::attempt::Place;
use super::disclosure::Disclosure;
use super::ended::{EndedTable, Report, Work};
use super::inputs::Linked;
use super::lookup::{Known, Lookup};
use crate::event::Outcome;
use crate::exec::Isolation;
use crate::ids::{InstanceId, StageId};
use crate::key::{COMMAND, COMMAND_VERSION, Reason};
use crate::plan::{self, GatherId, Link, Plan, ProjectFile, Source};
use crate::report::{
    Absence, ArtifactRow, Details, ExecutionEnvironment, FileContent, FileEntry, InputEntry, InstanceRow, KindEntry,
    OutcomeWord, OutputEntry, Reference, StageEntry, Tables, project_root,
};

/// The tables of a run.
pub(super) fn tables(lookup: &mut Lookup<'_>, ended: &EndedTable, disclosure: &Disclosure<'_>) -> Tables {
    let plan = lookup.plan;
    let mut writer = Writer {
        plan,
        ended,
        disclosure,
        tables: Tables::default(),
        kinds: BTreeMap::new(),
        files: BTreeMap::new(),
        gathers: BTreeMap::new(),
        reasons: BTreeMap::new(),
        environments: BTreeMap::new(),
        first_artifact: Vec::with_capacity(plan.instances.len()),
    };
    writer.add_stages(lookup);
    writer.add_artifacts(lookup);
    writer.add_files(lookup);
    for id in plan.ids() {
        let row = writer.instance(lookup, id);
        writer.tables.instances.rows.push(row);
    }
    writer.tables
}

struct Writer<'w> {
    plan: &'w Plan,
    ended: &'w EndedTable,
    disclosure: &'w Disclosure<'w>,
    tables: Tables,
    /// Indexes of what is in `tables`. Kinds by their JSON form.
    kinds: BTreeMap<String, u32>,
    files: BTreeMap<&'w Arc<ProjectFile>, u32>,
    gathers: BTreeMap<GatherId, u32>,
    reasons: BTreeMap<String, u32>,
    environments: BTreeMap<ExecutionEnvironment, u32>,
    /// The index of the first artifact of each instance.
    first_artifact: Vec<u32>,
}

impl<'w> Writer<'w> {
    fn add_stages(&mut self, lookup: &mut Lookup<'_>) {
        for stage in &self.plan.stages {
            let entry = kind_entry(lookup, stage);
            let json = serde_json::to_string(&entry).unwrap_or_default();
            let kinds = &mut self.tables.kinds;
            let kind = *self.kinds.entry(json).or_insert_with(|| {
                kinds.push(entry);
                index(kinds.len() - 1)
            });
            let ids = || stage.instances.clone().map(InstanceId);
            let mut parameters = ids().next().map_or_else(BTreeMap::new, |id| self.plan.instance(id).params.clone());
            parameters.retain(|name, value| ids().all(|id| self.plan.instance(id).params.get(name) == Some(value)));
            let (name, axes) = (stage.name.clone(), stage.axes.clone());
            self.tables.stages.push(StageEntry { name, kind, axes, parameters });
        }
    }

    fn kind_of(&self, id: InstanceId) -> &KindEntry {
        let StageId(stage) = self.plan.instance(id).stage;
        &self.tables.kinds[self.tables.stages[stage as usize].kind as usize]
    }

    fn add_artifacts(&mut self, lookup: &Lookup<'_>) {
        for id in self.plan.ids() {
            self.first_artifact.push(index(self.tables.artifacts.rows.len()));
            let outputs = match lookup.known(id) {
                Known::Outputs(outputs) => Some(outputs),
                _ => None,
            };
            let row = |(port, OutputEntry { port: name, .. }): (usize, &OutputEntry)| {
                let stored = outputs.and_then(|outputs| outputs.iter().find(|stored| stored.port == *name));
                let artifact = stored.map(|stored| stored.artifact);
                ArtifactRow {
                    instance: id.0,
                    port: index(port),
                    digest: artifact.map(|artifact| self.disclosure.output(id, name, &artifact.digest)),
                    bytes: artifact.map(|artifact| artifact.bytes),
                }
            };
            let rows: Vec<ArtifactRow> = self.kind_of(id).outputs.iter().enumerate().map(row).collect();
            self.tables.artifacts.rows.extend(rows);
        }
    }

    /// Every file that an instance reads. Only the content of those that were looked up is known.
    fn add_files(&mut self, lookup: &mut Lookup<'_>) {
        let plan = self.plan;
        let mut read: BTreeMap<&Arc<ProjectFile>, (bool, bool)> = BTreeMap::new();
        for id in plan.ids() {
            let (is_known, is_restricted) = (lookup.key_of(id).is_some(), self.disclosure.is_restricted(id));
            let links = plan.instance(id).inputs.values().flat_map(|source| plan.links(source));
            for file in links.filter_map(|link| if let Link::File(file) = link { Some(file) } else { None }) {
                let (known, restricted) = read.entry(file).or_default();
                *known |= is_known;
                *restricted |= is_restricted;
            }
        }
        let project = project_root(plan);
        for (file, (known, restricted)) in read {
            let found = if known { lookup.content(&Link::File(Arc::clone(file))).ok() } else { None };
            let content = match found {
                Some(Linked::Present(located)) => Some(FileContent {
                    form: located.artifact.form,
                    digest: self.disclosure.file(restricted, &located.artifact.digest),
                    bytes: located.artifact.bytes,
                }),
                _ => None,
            };
            let path: &Path = &file.path;
            let path = path.strip_prefix(project).unwrap_or(path).to_owned();
            self.files.insert(file, index(self.tables.files.len()));
            self.tables.files.push(FileEntry { path, only: file.only.clone(), content });
        }
    }

    fn reference(&mut self, source: &Source) -> Reference {
        let id = match source {
            Source::One(link) => return self.link(link),
            Source::Many(gather) => *gather,
        };
        if let Some(gather) = self.gathers.get(&id) {
            return Reference::Gather { gather: *gather };
        }
        let gather = index(self.tables.gathers.len());
        let references = self.plan.gather(id).iter().map(|(_, link)| self.link(link)).collect();
        self.tables.gathers.push(references);
        self.gathers.insert(id, gather);
        Reference::Gather { gather }
    }

    fn link(&self, link: &Link) -> Reference {
        match link {
            Link::File(file) => Reference::File { file: self.files.get(file).copied().unwrap_or(u32::MAX) },
            Link::Output { instance, port, entry } => {
                let outputs = &self.kind_of(*instance).outputs;
                let port = outputs.iter().position(|output| *output.port == **port).unwrap_or(outputs.len());
                let artifact = self.first_artifact[instance.index()] + index(port);
                match entry {
                    None => Reference::Artifact(artifact),
                    Some(entry) => Reference::Entry(artifact, entry.to_string()),
                }
            }
        }
    }

    fn instance(&mut self, lookup: &Lookup<'_>, id: InstanceId) -> InstanceRow {
        let instance = self.plan.instance(id);
        let sources: Vec<Option<&Source>> =
            self.kind_of(id).inputs.iter().map(|input| instance.inputs.get(&input.port)).collect();
        let inputs = sources.into_iter().map(|source| source.map(|source| self.reference(source))).collect();
        let report = self.ended.report(id);
        let place = report.and_then(|report| report.work.place);
        let used = report.map(|report| report.work.usage).filter(|_| place.is_some());
        let details = self.details(lookup, id, report);
        let axes = &self.plan.stage_of(id).axes;
        InstanceRow {
            stage: instance.stage.0,
            at: axes.iter().map(|axis| instance.at.get(axis).cloned().unwrap_or_default()).collect(),
            outcome: self.outcome(id),
            key: lookup.key_of(id).map(|key| self.disclosure.key(id, &key)),
            inputs,
            started: place.map(|(place, _)| place.started),
            ended: place.map(|(_, ended)| ended),
            slot: place.map(|(place, _)| place.slot),
            cpu_seconds: used.map(|used| milliseconds(used.cpu.as_secs_f64())),
            peak_memory_bytes: used.map(|used| used.peak_rss).filter(|bytes| *bytes > 0),
            reasons: report.iter().flat_map(|report| &report.reasons).map(|reason| self.reason(reason)).collect(),
            environment: report.and_then(|report| Some(self.environment_of(&report.work, report.work.place?.0))),
            details: (details != Details::default()).then(|| Box::new(details)),
        }
    }

    fn outcome(&self, id: InstanceId) -> OutcomeWord {
        match self.ended.report(id).map(|report| &report.outcome) {
            Some(Outcome::Hit) => OutcomeWord::Hit,
            Some(Outcome::Ran) => OutcomeWord::Ran,
            Some(Outcome::Absent { .. }) => OutcomeWord::Absent,
            Some(Outcome::Failed { .. }) => OutcomeWord::Failed,
            Some(Outcome::Skipped { .. }) => OutcomeWord::Skipped,
            None if self.ended.contains(id) => OutcomeWord::Hit,
            None => OutcomeWord::LeftOut,
        }
    }

    fn reason(&mut self, reason: &Reason) -> u32 {
        let text = reason.to_string();
        let reasons = &mut self.tables.reasons;
        *self.reasons.entry(text).or_insert_with_key(|text| {
            reasons.push(text.clone());
            index(reasons.len() - 1)
        })
    }

    fn environment_of(&mut self, work: &Work, place: Place) -> u32 {
        let granted = match place.device {
            Device::Cpu => "cpu".to_owned(),
            Device::Cuda(index) => format!("cuda:{index}"),
        };
        let ran_on = work.ran_on.as_ref();
        let isolation = work.usage.isolation;
        let found = ExecutionEnvironment {
            device: ran_on.map_or(granted, |ran_on| ran_on.device.clone()),
            threads: place.threads,
            instructions: ran_on.map(|ran_on| ran_on.instructions.clone()),
            library: ran_on.map(|ran_on| ran_on.library.clone()),
            isolation: isolation.map(|Isolation { files, .. }| files.word().to_owned()),
            network: isolation.map(|Isolation { network, .. }| network.word().to_owned()),
        };
        let all = &mut self.tables.environments;
        *self.environments.entry(found).or_insert_with_key(|found| {
            all.push(found.clone());
            index(all.len() - 1)
        })
    }

    fn details(&self, lookup: &Lookup<'_>, id: InstanceId, report: Option<&Report>) -> Details {
        let instance = self.plan.instance(id);
        let shared = &self.tables.stages[instance.stage.index()].parameters;
        let own = instance.params.iter().filter(|(name, _)| !shared.contains_key(*name));
        let mut details = Details {
            seed: instance.seed,
            parameters: own.map(|(name, value)| (name.clone(), value.clone())).collect(),
            restricted: instance.restricted.iter().cloned().collect(),
            ..Details::default()
        };
        let Some(report) = report else { return details };
        details.attempts = Some(report.attempts).filter(|attempts| *attempts > 1);
        details.log =
            report.work.log.as_ref().is_some_and(|log| fs_err::metadata(log).is_ok_and(|found| found.len() > 0));
        match &report.outcome {
            Outcome::Hit => {}
            Outcome::Ran => details.notes.clone_from(&report.work.notes),
            Outcome::Skipped { because } => details.because = Some(because.clone()),
            Outcome::Failed { failure, retained } => {
                details.failure = Some(failure.clone());
                details.retained.clone_from(retained);
            }
            Outcome::Absent { cause, recorded } => {
                details.absent = Some(absence(lookup, id, report, cause, *recorded));
            }
        }
        details
    }
}

fn absence(lookup: &Lookup<'_>, id: InstanceId, report: &Report, cause: &str, recorded: bool) -> Absence {
    let origin = report.origin.filter(|origin| *origin != id);
    let own = || report.work.notes.first().cloned().or_else(|| lookup.absence_detail(id));
    let detail = if origin.is_none() { own() } else { None };
    Absence {
        cause: cause.to_owned(),
        recorded,
        origin: origin.map(|InstanceId(origin)| origin),
        detail: detail.filter(|detail| !detail.is_empty()),
    }
}

fn kind_entry(lookup: &mut Lookup<'_>, stage: &plan::Stage) -> KindEntry {
    let first = InstanceId(stage.instances.start);
    match (&stage.work, lookup.kind(first)) {
        (plan::Work::Command(command), _) => of_command(lookup, stage, command),
        (plan::Work::Kind(_), Some(kind)) => of_registry(kind),
        (plan::Work::Kind(name), None) => {
            let (inputs, outputs) = (Vec::new(), Vec::new());
            KindEntry { kind: name.clone(), version: 0, inputs, outputs, tools: BTreeMap::new() }
        }
    }
}

fn of_command(lookup: &mut Lookup<'_>, stage: &plan::Stage, command: &plan::Command) -> KindEntry {
    let plan = lookup.plan;
    let ids = || stage.instances.clone().map(InstanceId);
    let mut ports: Vec<&String> = command.optional.iter().collect();
    ports.extend(ids().flat_map(|id| plan.instance(id).inputs.keys()));
    ports.sort();
    ports.dedup();
    // Where it was not looked up, its tools need not be there.
    let known = ids().find(|id| lookup.key_of(*id).is_some());
    let facts = known.and_then(|id| lookup.command_facts(id).ok());
    KindEntry {
        kind: COMMAND.to_owned(),
        version: COMMAND_VERSION,
        inputs: ports.into_iter().map(|port| InputEntry { port: port.clone(), types: Vec::new() }).collect(),
        outputs: command.out.iter().map(|(port, path)| declared_output(port, path)).collect(),
        tools: facts.map_or_else(BTreeMap::new, |facts| facts.key.clone()),
    }
}

/// An output of a command; a path that ends in `/` is that of a folder.
fn declared_output(port: &str, path: &str) -> OutputEntry {
    let form = if path.ends_with('/') { Form::Folder } else { Form::File };
    OutputEntry { port: port.to_owned(), artifact: None, form }
}

fn of_registry(kind: &Kind) -> KindEntry {
    let input = |input: &pipe_contract::Input| InputEntry {
        port: input.name.to_owned(),
        types: input.types.iter().map(|of| (*of).to_owned()).collect(),
    };
    let output = |output: &pipe_contract::Output| OutputEntry {
        port: output.name.to_owned(),
        artifact: Some(output.artifact.to_owned()),
        form: output.form,
    };
    KindEntry {
        kind: kind.name.to_owned(),
        version: kind.version,
        inputs: kind.inputs.iter().map(input).collect(),
        outputs: kind.outputs.iter().map(output).collect(),
        tools: BTreeMap::new(),
    }
}

/// To the millisecond, as all seconds here.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn index(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
