//! Makes the work of an instance self-contained: every path, parameter and amount it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipe_cache::{Action, Digest, Entry};
use pipe_contract::{Cell, Device, Failure, Given, Kind, Presence, Task};

use super::lookup::{Linked, links};
use super::run_loop::RunLoop;
use super::state_dir::make_folder;
use crate::exec::{CommandTask, JobWork, layout_inputs};
use crate::ids::InstanceId;
use crate::plan::{Link, ProjectFile, Source, Work};
use crate::sched::Grant;

impl RunLoop<'_> {
    /// The work of an instance, self-contained.
    pub(super) fn work_of(
        &mut self,
        id: InstanceId,
        grant: &Grant,
        key: &Digest<Action>,
        folder: &Path,
    ) -> Result<JobWork, Failure> {
        let plan = self.plan();
        let stage = plan.stage_of(id);
        let mut paths = BTreeMap::new();
        for link in links(plan, id) {
            let presence = match link {
                Link::File(file) => Presence::Present(self.project_file(file, folder, paths.len())?),
                Link::Output { .. } => self.presence(link)?,
            };
            paths.insert(link, presence);
        }
        let find = |link: &Link| paths.get(link).cloned().unwrap_or(Presence::Absent("unknown".into()));
        match &stage.work {
            Work::Command(command) => {
                let instance = plan.instance(id);
                Ok(JobWork::Command(Box::new(CommandTask {
                    command: command.clone(),
                    work: folder.to_owned(),
                    cache: self.state_dir.store.root().to_owned(),
                    project: plan.folder.clone(),
                    inputs: layout_inputs(plan, id, find),
                    params: instance.params.clone(),
                    at: instance.at.clone(),
                    seed: instance.seed,
                    threads: grant.cpu,
                    path: self.lookup.command_facts(id)?.path,
                })))
            }
            Work::Kind(_) => {
                let kind =
                    self.lookup.kind(id).ok_or_else(|| Failure::internal("a kind vanished from the registry"))?;
                self.task(id, kind, grant, key, folder, find).map(|task| JobWork::Kind(Box::new(task)))
            }
        }
    }

    /// Where a file or folder of the project can be read: in its place, unless something in it is ignored. Then in a
    /// folder of the same name with the files that there are for the stage, clones or second names of those in the project.
    fn project_file(&self, file: &ProjectFile, work: &Path, number: usize) -> Result<PathBuf, Failure> {
        let Some(part) = self.lookup.visible_part(file) else { return Ok(file.path.clone()) };
        let name = file.path.file_name().unwrap_or(std::ffi::OsStr::new("project"));
        let shown = work.join("seen").join(number.to_string()).join(name);
        make_folder(&shown)?;
        for (below, entry) in part.entries() {
            let place = shown.join(below);
            match entry {
                Entry::EmptyFolder => make_folder(&place)?,
                Entry::File(_) => {
                    make_folder(place.parent().unwrap_or(&shown))?;
                    place_file(&file.path.join(below), &place)?;
                }
            }
        }
        Ok(shown)
    }

    /// Where an artifact can be read.
    fn presence(&mut self, link: &Link) -> Result<Presence, Failure> {
        let entry = match link {
            Link::Output { instance, port, entry: Some(entry) } => {
                let whole = Link::Output { instance: *instance, port: port.clone(), entry: None };
                Some((self.lookup.content(&whole)?, entry))
            }
            _ => None,
        };
        let store = &self.state_dir.store;
        match (self.lookup.content(link)?, entry) {
            (Linked::Absent { cause, .. }, _) => Ok(Presence::Absent(cause.to_string())),
            (Linked::Open(id), _) => Err(Failure::internal(format!(
                "an input of a started stage, `{}`, is not known",
                self.plan().label(id)
            ))),
            (Linked::Present(_), Some((Linked::Present(folder), entry))) => {
                let path = store.path(&folder, self.session.as_ref());
                let path = path.map_err(|error| self.cache_failure(&error))?;
                Ok(Presence::Present(path.join(entry.trim_end_matches('/'))))
            }
            (Linked::Present(artifact), _) => {
                let path = store.path(&artifact, self.session.as_ref());
                path.map(Presence::Present).map_err(|error| self.cache_failure(&error))
            }
        }
    }

    fn task(
        &self,
        id: InstanceId,
        kind: &Kind,
        grant: &Grant,
        key: &Digest<Action>,
        folder: &Path,
        find: impl Fn(&Link) -> Presence,
    ) -> Result<Task, Failure> {
        let plan = self.plan();
        let (stage, instance) = (plan.stage_of(id), plan.instance(id));
        let (out, scratch) = (folder.join("out"), folder.join("scratch"));
        make_folder(&out)?;
        make_folder(&scratch)?;
        let checkpoint = kind.checkpoint.then(|| self.state_dir.checkpoint(key));
        if let Some(folder) = &checkpoint {
            make_folder(folder)?;
        }
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
        Ok(Task {
            kind: kind.name.to_owned(),
            version: kind.version,
            params: instance.params.clone(),
            at: instance.at.iter().filter(|(axis, _)| kind.axes.contains(&axis.as_str())).collect(),
            inputs: instance.inputs.iter().filter_map(|(port, source)| Some((port.clone(), given(source)?))).collect(),
            outputs: kind.outputs.iter().map(|output| (output.name.to_owned(), out.join(output.name))).collect(),
            seed: instance.seed,
            simulated: kind.stamped && plan.simulated,
            device: grant.gpus.first().map_or(Device::Cpu, |index| Device::Cuda(*index)),
            threads: grant.cpu,
            credential: stage.credential.clone(),
            accepts_absent: stage.accepts_absent.clone(),
            coverage: stage.coverage.clone(),
            checkpoint,
            scratch,
        })
    }
}

/// Gives the content of a file of the project a second place: a clone where the file system has them, else a second
/// name, else a copy.
fn place_file(source: &Path, place: &Path) -> Result<(), Failure> {
    let source = std::fs::canonicalize(source).map_err(|error| Failure::io("read", source, &error))?;
    if reflink_copy::reflink(&source, place).is_ok() || std::fs::hard_link(&source, place).is_ok() {
        return Ok(());
    }
    std::fs::copy(&source, place).map(drop).map_err(|error| Failure::io("copy an input to", place, &error))
}
