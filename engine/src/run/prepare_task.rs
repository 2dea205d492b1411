//! Makes the work of an instance self-contained: every path, parameter and amount it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use pipe_cache::{Entry, Tree};
use pipe_contract::{Cell, Device, Failure, Given, Kind, Presence, Task};

use super::inputs::{Home, Inputs, Located};
use super::lookup::{Lookup, Miss};
use super::lost_outputs::InputPaths;
use super::state_dir::make_folder;
use super::storage::Storage;
use crate::exec::{CommandTask, JobWork, copy_of_project, layout_inputs, outputs_folder, scratch_folder, shown_folder};
use crate::ids::InstanceId;
use crate::plan::{GatheredCell, Link, Plan, Source, Work};
use crate::sched::Grant;

/// The work of an instance in a folder of its own.
pub(super) fn prepare<'i>(
    lookup: &mut Lookup<'_>,
    storage: Storage<'_>,
    id: InstanceId,
    miss: &'i Miss<'_>,
    mut paths: InputPaths<'i>,
    grant: &Grant,
    folder: &Path,
) -> Result<JobWork, Failure> {
    let plan = lookup.plan;
    show_parts(&miss.inputs, &mut paths, folder)?;
    let find = |link: &Link| paths.get(link).cloned().unwrap_or(Presence::Absent("unknown".into()));
    match &plan.stage_of(id).work {
        Work::Command(command) => {
            let instance = plan.instance(id);
            Ok(JobWork::Command(Box::new(CommandTask {
                command: command.clone(),
                work: folder.to_owned(),
                cache: storage.cache().to_owned(),
                project: plan.folder.clone(),
                inputs: layout_inputs(plan, id, find),
                params: instance.params.clone(),
                at: instance.at.clone(),
                seed: instance.seed,
                threads: grant.cpu,
                facts: lookup.command_facts(id)?,
            })))
        }
        Work::Kind(_) => {
            let kind = lookup.kind(id).ok_or_else(|| Failure::internal("a kind vanished from the registry"))?;
            let mut task = task(plan, id, kind, grant, find);
            task.outputs = outputs(kind, &outputs_folder(folder))?;
            task.scratch = scratch_folder(folder);
            make_folder(&task.scratch)?;
            if kind.checkpoint {
                let checkpoint = storage.state_dir.checkpoint(&miss.key);
                make_folder(&checkpoint)?;
                task.checkpoint = Some(checkpoint);
            }
            Ok(JobWork::Kind(Box::new(task)))
        }
    }
}

/// Gives a stage folders with only the part of a folder of the project that there is for it, under the same names.
fn show_parts<'i>(inputs: &'i Inputs<'_>, paths: &mut InputPaths<'i>, work: &Path) -> Result<(), Failure> {
    let mut shown = BTreeSet::new();
    for (link, found) in inputs.links() {
        let Ok(Located { home: Home::Project { file, part: Some(part) }, .. }) = found else { continue };
        if shown.insert(link) {
            let name = file.path.file_name().unwrap_or(OsStr::new("project"));
            let place = shown_folder(work).join(shown.len().to_string()).join(name);
            copy_part(&file.path, part, &place)?;
            paths.insert(link, Presence::Present(place));
        }
    }
    Ok(())
}

/// Copies some entries of a folder. A second name for a file would do, but then a stage that changes it would change the
/// user's file; links would do, but a stage that looks for files would not find them.
fn copy_part(folder: &Path, part: &Tree, place: &Path) -> Result<(), Failure> {
    make_folder(place)?;
    for (below, entry) in part.entries() {
        match entry {
            Entry::EmptyFolder => make_folder(&place.join(below))?,
            Entry::File(_) => copy_of_project(&folder.join(below), &place.join(below))?,
        }
    }
    Ok(())
}

/// Where a kind writes its outputs.
fn outputs(kind: &Kind, folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    make_folder(folder)?;
    Ok(kind.outputs.iter().map(|output| (output.name.to_owned(), folder.join(output.name))).collect())
}

/// The task of a kind before a run: nothing is granted, no input is there.
pub(super) fn task_before_run(plan: &Plan, id: InstanceId, kind: &Kind) -> Task {
    task(plan, id, kind, &Grant::default(), |_| Presence::Absent("not made yet".into()))
}

/// The task of a kind, except for the folders it writes to.
fn task(plan: &Plan, id: InstanceId, kind: &Kind, grant: &Grant, find: impl Fn(&Link) -> Presence) -> Task {
    let (stage, instance) = (plan.stage_of(id), plan.instance(id));
    let given = |source: &Source| match source {
        Source::One(link) => match find(link) {
            Presence::Present(path) => Some(Given::One(path)),
            Presence::Absent(_) => None,
        },
        Source::Many(gather) => {
            let cell = |(at, link): &GatheredCell| Cell { at: at.clone(), artifact: find(link) };
            Some(Given::Many(plan.gather(*gather).iter().map(cell).collect()))
        }
    };
    Task {
        kind: kind.name.to_owned(),
        version: kind.version,
        params: instance.params.clone(),
        at: instance.at.iter().filter(|(axis, _)| kind.axes.contains(&axis.as_str())).collect(),
        inputs: instance.inputs.iter().filter_map(|(port, source)| Some((port.clone(), given(source)?))).collect(),
        outputs: BTreeMap::new(),
        seed: instance.seed,
        simulated: kind.stamped && plan.simulated,
        device: grant.gpus.first().map_or(Device::Cpu, |index| Device::Cuda(*index)),
        threads: grant.cpu,
        credential: stage.credential.clone(),
        accepts_absent: stage.accepts_absent.clone(),
        coverage: stage.coverage.clone(),
        checkpoint: None,
        scratch: PathBuf::new(),
    }
}
