//! Makes the work of an instance self-contained: every path, parameter and amount it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipe_contract::{Cell, Device, Failure, Given, Kind, Presence, Task};

use super::lookup::{Lookup, Miss};
use super::state_dir::make_folder;
use super::storage::Storage;
use crate::exec::{CommandTask, JobWork, layout_inputs, outputs_folder, scratch_folder};
use crate::ids::InstanceId;
use crate::plan::{Link, Source, Work};
use crate::sched::Grant;

/// The work of an instance in a folder of its own.
pub(super) fn prepare(
    lookup: &mut Lookup<'_>,
    storage: Storage<'_>,
    id: InstanceId,
    miss: &Miss<'_>,
    grant: &Grant,
    folder: &Path,
) -> Result<JobWork, Failure> {
    let plan = lookup.plan;
    let paths = miss.inputs.paths(storage.store(), Some(storage.session)).map_err(|error| storage.failure(&error))?;
    let find = |link: &Link| paths.get(link).cloned().unwrap_or(Presence::Absent("unknown".into()));
    match &plan.stage_of(id).work {
        Work::Command(command) => {
            let instance = plan.instance(id);
            Ok(JobWork::Command(Box::new(CommandTask {
                command: command.clone(),
                work: folder.to_owned(),
                cache: storage.store().root().to_owned(),
                project: plan.folder.clone(),
                inputs: layout_inputs(plan, id, find),
                params: instance.params.clone(),
                at: instance.at.clone(),
                seed: instance.seed,
                threads: grant.cpu,
                path: lookup.command_facts(id)?.path,
            })))
        }
        Work::Kind(_) => {
            let kind = lookup.kind(id).ok_or_else(|| Failure::internal("a kind vanished from the registry"))?;
            let mut task = task(lookup, id, kind, grant, find);
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

/// Where a kind writes its outputs.
fn outputs(kind: &Kind, folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    make_folder(folder)?;
    Ok(kind.outputs.iter().map(|output| (output.name.to_owned(), folder.join(output.name))).collect())
}

/// The task of a kind, except for the folders it writes to.
fn task(lookup: &Lookup<'_>, id: InstanceId, kind: &Kind, grant: &Grant, find: impl Fn(&Link) -> Presence) -> Task {
    let plan = lookup.plan;
    let (stage, instance) = (plan.stage_of(id), plan.instance(id));
    let given = |source: &Source| match source {
        Source::One(link) => match find(link) {
            Presence::Present(path) => Some(Given::One(path)),
            Presence::Absent(_) => None,
        },
        Source::Many(cells) => {
            let cell = |(at, link): &(_, Link)| Cell { at: Clone::clone(at), artifact: find(link) };
            Some(Given::Many(cells.iter().map(cell).collect()))
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
