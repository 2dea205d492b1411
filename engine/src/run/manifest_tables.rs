//! The tables of a manifest: instances, artifacts, and what they share, each said once and named by its index.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pipe_contract::{Device, Failure, Form, Kind};

use super::attempt::AttemptPlace;
use super::disclosure::Disclosure;
use super::ended::{EndedTable, FinishedWork, Report};
use super::inputs::LinkedInput;
use super::lookup::{Known, Lookup};
use super::provenance::peak_memory;
use super::state_dirs::Access;
use crate::event::Outcome;
use crate::exec::Isolation;
use crate::ids::{InstanceId, StageId};
use crate::key::{COMMAND, COMMAND_VERSION};
use crate::plan::{self, GatherId, Link, Plan, ProjectFile, Source};
use crate::report::{
    Absence, ArtifactReference, ArtifactRow, Details, ExecutionEnvironment, FileContent, FileEntry, InputEntry,
    InstanceRow, KindEntry, OutcomeWord, OutputEntry, StageEntry, Tables, project_root,
};

/// The tables of a run.
///
/// # Errors
/// Only internal ones: something is named that the plan does not have.
pub(super) fn tables(
    lookup: &mut Lookup<'_>,
    ended: &EndedTable,
    disclosure: &Disclosure<'_>,
) -> Result<Tables, Failure> {
    let plan = lookup.plan;
    let mut writer = Writer {
        plan,
        ended,
        disclosure,
        kinds: Distinct::default(),
        stages: Vec::with_capacity(plan.stages.len()),
        files: Vec::new(),
        file_indexes: BTreeMap::new(),
        gathers: Vec::new(),
        gather_indexes: BTreeMap::new(),
        reasons: Distinct::default(),
        environments: Distinct::default(),
        artifacts: Vec::new(),
        first_artifact: Vec::with_capacity(plan.instances.len()),
    };
    writer.add_stages(lookup)?;
    writer.add_artifacts(lookup)?;
    writer.add_files(lookup)?;
    let instances = plan.ids().map(|id| writer.instance(lookup, id)).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Tables {
        kinds: writer.kinds.values,
        stages: writer.stages,
        files: writer.files,
        gathers: writer.gathers,
        reasons: writer.reasons.values,
        environments: writer.environments.values,
        artifacts: writer.artifacts.into(),
        instances: instances.into(),
    })
}

struct Writer<'w> {
    plan: &'w Plan,
    ended: &'w EndedTable,
    disclosure: &'w Disclosure<'w>,
    kinds: Distinct<KindEntry>,
    stages: Vec<StageEntry>,
    files: Vec<FileEntry>,
    file_indexes: BTreeMap<&'w Arc<ProjectFile>, u32>,
    gathers: Vec<Vec<ArtifactReference>>,
    gather_indexes: BTreeMap<GatherId, u32>,
    reasons: Distinct<String>,
    environments: Distinct<ExecutionEnvironment>,
    artifacts: Vec<ArtifactRow>,
    /// The index of the first artifact of each instance.
    first_artifact: Vec<u32>,
}

/// Values that are each said once, in the order of their first use.
struct Distinct<T> {
    values: Vec<T>,
    indexes: BTreeMap<T, u32>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { values: Vec::new(), indexes: BTreeMap::new() }
    }
}

impl<T: Clone + Ord> Distinct<T> {
    fn index_of(&mut self, value: T) -> Result<u32, Failure> {
        if let Some(index) = self.indexes.get(&value) {
            return Ok(*index);
        }
        let index = index(self.values.len())?;
        self.values.push(value.clone());
        self.indexes.insert(value, index);
        Ok(index)
    }
}

impl<'w> Writer<'w> {
    fn add_stages(&mut self, lookup: &mut Lookup<'_>) -> Result<(), Failure> {
        for stage in &self.plan.stages {
            let kind = self.kinds.index_of(kind_entry(lookup, stage))?;
            let ids = || stage.instances.clone().map(InstanceId);
            let mut parameters = ids().next().map_or_else(BTreeMap::new, |id| self.plan.instance(id).params.clone());
            parameters.retain(|name, value| ids().all(|id| self.plan.instance(id).params.get(name) == Some(value)));
            let (name, axes) = (stage.name.clone(), stage.axes.clone());
            self.stages.push(StageEntry { name, kind, axes, parameters });
        }
        Ok(())
    }

    fn kind_of(&self, id: InstanceId) -> &KindEntry {
        let StageId(stage) = self.plan.instance(id).stage;
        &self.kinds.values[self.stages[stage as usize].kind as usize]
    }

    fn add_artifacts(&mut self, lookup: &Lookup<'_>) -> Result<(), Failure> {
        for id in self.plan.ids() {
            self.first_artifact.push(index(self.artifacts.len())?);
            let outputs = match lookup.known(id) {
                Known::Outputs(outputs) => Some(outputs),
                _ => None,
            };
            let row = |(port, OutputEntry { port: name, .. }): (u32, &OutputEntry)| {
                let stored = outputs.and_then(|outputs| outputs.iter().find(|stored| stored.port == *name));
                let artifact = stored.map(|stored| stored.artifact);
                ArtifactRow {
                    instance: id.0,
                    port,
                    digest: artifact.map(|artifact| self.disclosure.output(id, name, &artifact.digest)),
                    bytes: artifact.and_then(|artifact| self.disclosure.bytes(id, name, artifact.bytes)),
                }
            };
            let rows: Vec<ArtifactRow> = (0..).zip(&self.kind_of(id).outputs).map(row).collect();
            self.artifacts.extend(rows);
        }
        Ok(())
    }

    /// Every file that an instance reads. Only the content of those that were looked up is known.
    fn add_files(&mut self, lookup: &mut Lookup<'_>) -> Result<(), Failure> {
        let project = project_root(self.plan);
        for (file, Readers { any_known, restricted }) in self.files_read(lookup) {
            let reader = restricted.map_or(Access::OPEN, |id| lookup.dirs.access(id));
            let link = Link::File(Arc::clone(file));
            let found = if any_known { lookup.content_for(reader, &link).ok() } else { None };
            let content = match found {
                Some(LinkedInput::Present(located)) => Some(FileContent {
                    form: located.artifact.form,
                    digest: self.disclosure.file(restricted.is_some(), &located.artifact.digest),
                    bytes: restricted.is_none().then_some(located.artifact.bytes),
                }),
                _ => None,
            };
            let path: &Path = &file.path;
            let path = path.strip_prefix(project).unwrap_or(path).to_owned();
            self.file_indexes.insert(file, index(self.files.len())?);
            self.files.push(FileEntry { path, only: file.only.clone(), content });
        }
        Ok(())
    }

    fn files_read(&self, lookup: &Lookup<'_>) -> BTreeMap<&'w Arc<ProjectFile>, Readers> {
        let plan = self.plan;
        let mut read: BTreeMap<&Arc<ProjectFile>, Readers> = BTreeMap::new();
        for id in plan.ids() {
            let restricted = Some(id).filter(|id| self.disclosure.is_restricted(*id));
            let is_known = lookup.key_of(id).is_some();
            let links = plan.instance(id).inputs.values().flat_map(|source| plan.links(source));
            for file in links.filter_map(|link| if let Link::File(file) = link { Some(file) } else { None }) {
                let readers = read.entry(file).or_default();
                readers.any_known |= is_known;
                readers.restricted = readers.restricted.or(restricted);
            }
        }
        read
    }

    fn reference(&mut self, source: &Source) -> Result<ArtifactReference, Failure> {
        let id = match source {
            Source::One(link) => return self.link(link),
            Source::Many(gather) => *gather,
        };
        if let Some(gather) = self.gather_indexes.get(&id) {
            return Ok(ArtifactReference::Gather { gather: *gather });
        }
        let references: Result<Vec<_>, Failure> =
            self.plan.gather(id).iter().map(|(_, link)| self.link(link)).collect();
        let gather = index(self.gathers.len())?;
        self.gathers.push(references?);
        self.gather_indexes.insert(id, gather);
        Ok(ArtifactReference::Gather { gather })
    }

    fn link(&self, link: &Link) -> Result<ArtifactReference, Failure> {
        match link {
            Link::File(file) => match self.file_indexes.get(file) {
                Some(file) => Ok(ArtifactReference::File { file: *file }),
                None => Err(unlisted(&format!("the file `{}`", file.path.display()))),
            },
            Link::Output { instance, port, entry } => {
                let artifact = self.artifact(*instance, port)?;
                Ok(match entry {
                    None => ArtifactReference::Artifact(artifact),
                    Some(entry) => ArtifactReference::Entry(artifact, entry.to_string()),
                })
            }
        }
    }

    /// The index of an output.
    fn artifact(&self, id: InstanceId, port: &str) -> Result<u32, Failure> {
        let place = (0..).zip(&self.kind_of(id).outputs).find(|(_, output)| output.port == port);
        match (self.first_artifact.get(id.index()), place) {
            (Some(first), Some((place, _))) => Ok(first + place),
            _ => Err(unlisted(&format!("the output `{}.{port}`", self.plan.label(id)))),
        }
    }

    fn instance(&mut self, lookup: &mut Lookup<'_>, id: InstanceId) -> Result<InstanceRow, Failure> {
        let instance = self.plan.instance(id);
        let sources: Vec<Option<&Source>> =
            self.kind_of(id).inputs.iter().map(|input| instance.inputs.get(&input.port)).collect();
        let inputs = sources.into_iter().map(|source| source.map(|source| self.reference(source)).transpose());
        let inputs = inputs.collect::<Result<_, Failure>>()?;
        let report = self.ended.report(id);
        let place = report.and_then(|report| report.work.place);
        let used = report.map(|report| report.work.usage).filter(|_| place.is_some());
        let details = self.details(lookup, id, report)?;
        let axes = &self.plan.stage_of(id).axes;
        let reasons = report.iter().flat_map(|report| &report.reasons);
        let reasons =
            reasons.map(|reason| self.reasons.index_of(reason.to_string())).collect::<Result<_, Failure>>()?;
        let environment = report.and_then(|report| Some(environment(&report.work, report.work.place?.0)));
        let environment = environment.map(|found| self.environments.index_of(found)).transpose()?;
        Ok(InstanceRow {
            stage: instance.stage.0,
            at: axes.iter().map(|axis| instance.at.get(axis).cloned().unwrap_or_default()).collect(),
            outcome: self.outcome(id),
            key: lookup.key_of(id).map(|key| self.disclosure.key(id, &key)),
            inputs,
            started: place.map(|(place, _)| place.started),
            ended: place.map(|(_, ended)| ended),
            slot: place.map(|(place, _)| place.slot),
            cpu_seconds: used.map(|used| milliseconds(used.cpu.as_secs_f64())),
            peak_memory_bytes: used.and_then(peak_memory),
            reasons,
            environment,
            details: (details != Details::default()).then(|| Box::new(details)),
        })
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

    fn details(&self, lookup: &mut Lookup<'_>, id: InstanceId, report: Option<&Report>) -> Result<Details, Failure> {
        let instance = self.plan.instance(id);
        let shared = &self.stages[instance.stage.index()].parameters;
        let own = instance.params.iter().filter(|(name, _)| !shared.contains_key(*name));
        let mut details = Details {
            seed: instance.seed,
            parameters: own.map(|(name, value)| (name.clone(), value.clone())).collect(),
            restricted: instance.restricted.iter().cloned().collect(),
            ..Details::default()
        };
        let Some(report) = report else {
            if self.ended.contains(id) {
                details.notes = lookup.notes(id)?;
            }
            return Ok(details);
        };
        details.attempts = Some(report.attempts).filter(|attempts| *attempts > 1);
        details.log =
            report.work.log.as_ref().is_some_and(|log| fs_err::metadata(log).is_ok_and(|found| found.len() > 0));
        match &report.outcome {
            Outcome::Hit => details.notes = lookup.notes(id)?,
            Outcome::Ran => details.notes.clone_from(&report.work.notes),
            Outcome::Skipped { because } => details.because = Some(because.clone()),
            Outcome::Failed { failure, retained } => {
                details.failure = Some(failure.clone());
                details.retained.clone_from(retained);
            }
            Outcome::Absent { cause, recorded, detail, .. } => {
                details.absent = Some(Absence {
                    cause: cause.clone(),
                    recorded: *recorded,
                    origin: report.origin.filter(|origin| *origin != id).map(|InstanceId(origin)| origin),
                    detail: detail.clone(),
                });
            }
        }
        Ok(details)
    }
}

/// Of the instances that read a file of the project.
#[derive(Clone, Copy, Default)]
struct Readers {
    any_known: bool,
    /// One of those with restricted data.
    restricted: Option<InstanceId>,
}

fn environment(work: &FinishedWork, place: AttemptPlace) -> ExecutionEnvironment {
    let granted = match place.device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
    };
    let ran_on = work.ran_on.as_ref();
    let isolation = work.usage.isolation;
    ExecutionEnvironment {
        device: ran_on.map_or(granted, |ran_on| ran_on.device.clone()),
        threads: place.threads,
        instructions: ran_on.map(|ran_on| ran_on.instructions.clone()),
        library: ran_on.map(|ran_on| ran_on.library.clone()),
        isolation: isolation.map(|Isolation { files, .. }| files.word().to_owned()),
        network: isolation.map(|Isolation { network, .. }| network.word().to_owned()),
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

fn index(of: usize) -> Result<u32, Failure> {
    u32::try_from(of).map_err(|_| Failure::internal(format!("a table of the manifest has more than {} rows", u32::MAX)))
}

fn unlisted(what: &str) -> Failure {
    Failure::internal(format!("{what} is read, but is not in the tables of the manifest"))
}
