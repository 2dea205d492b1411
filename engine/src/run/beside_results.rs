//! The texts that lie beside results: the sidecar of each, and the data dictionary of a table. Does not depend on what lies in
//! the results folder.

use std::cell::OnceCell;
use std::rc::Rc;

use pipe_contract::{ColumnMeaning, Failure, Registry};

use super::artifact_types::declared;
use super::disclosure::Disclosure;
use super::options::RunOptions;
use super::result_lines::{file_in, result_of};
use super::state_dirs::StateDirs;
use super::withheld;
use crate::ids::InstanceId;
use crate::key::{COMMAND, KeyInput, KeyParts};
use crate::plan::{Link, Plan, Source, Work};
use crate::report::{
    Describe, DescribedFiles, Git, InputDigest, Machine, MadeBy, OutputDigest, Piece, PublishedBy, ResultLine, Sidecar,
    TableOrigin, cache_failure, commit_of, described, dictionary, dictionary_path, project_root, work_tree_is_dirty,
};

/// What a run knows about its results beyond their bytes.
pub(super) struct BesideResults<'a> {
    pub disclosure: Rc<Disclosure<'a>>,
    dirs: &'a StateDirs,
    registry: &'a Registry,
    by: PublishedBy,
    /// Looked up when the first sidecar is written.
    git: OnceCell<Option<Git>>,
}

impl<'a> BesideResults<'a> {
    /// For a run of this id.
    pub fn new(
        options: &'a RunOptions,
        dirs: &'a StateDirs,
        disclosure: Rc<Disclosure<'a>>,
        run: &str,
        began: &str,
    ) -> Self {
        let by = published_by(disclosure.plan, options, run, began);
        Self { disclosure, dirs, registry: &options.exec.registry, by, git: OnceCell::new() }
    }

    /// The run, as its results name it.
    pub fn published_by(&self) -> &PublishedBy {
        &self.by
    }

    fn plan(&self) -> &'a Plan {
        self.disclosure.plan
    }

    /// The work that made a result.
    fn made_by(&self, line: &ResultLine) -> Result<MadeBy, Failure> {
        let plan = self.plan();
        let Some(Link::Output { instance, port, .. }) = result_of(plan, line).map(|published| &published.link) else {
            return Err(Failure::internal("a result is not an output of a stage"));
        };
        let store = &self.dirs.of(*instance).store;
        let record = line.record.map(|key| store.record(&key)).transpose().map_err(|error| cache_failure(&error))?;
        let record = record.flatten().map(|record| withheld::without_notes(plan, *instance, record));
        let (parts, record) = record.map(|record| (record.parts, record.provenance)).unzip();
        let parts = parts.and_then(|parts| serde_json::from_value::<KeyParts>(parts).ok());
        let made = plan.instance(*instance);
        Ok(MadeBy {
            stage: plan.label(*instance),
            port: port_of(plan, line, port),
            artifact: OutputDigest {
                form: line.whole.form,
                digest: self.disclosure.output(*instance, port, &line.whole.digest),
                bytes: line.whole.bytes,
            },
            kind: match &plan.stage_of(*instance).work {
                Work::Kind(name) => name.clone(),
                Work::Command(_) => COMMAND.to_owned(),
            },
            kind_version: parts.as_ref().map_or(0, |parts| parts.kind_version),
            key: line.key,
            parameters: made.params.clone(),
            inputs: parts.map_or_else(Vec::new, |parts| self.inputs(*instance, &parts)),
            restricted: made.restricted.clone(),
            seed: made.seed,
            simulated: plan.simulated,
            record: record.unwrap_or_default(),
        })
    }

    /// What a column of a file of an artifact means: as the kind that made it declares it, or as that kind has it from the tables
    /// at its inputs, and they from theirs.
    fn meaning(&self, link: &Link, file: &str, name: &str) -> Option<ColumnMeaning> {
        let plan = self.plan();
        let (_, output) = declared(plan, self.registry, link)?;
        let described = described(&output.tables, file)?;
        if let Some(column) = described.columns.iter().find(|column| column.name == name) {
            return Some(column.into());
        }
        let made = plan.instance(link.producer()?);
        let input = |port: &str, name: &str| {
            let source = made.inputs.get(port)?;
            // A kind says something of every column that it passes on, so what is an axis is asked before.
            let is_declared = plan.links(source).any(|link| self.declares(link, name));
            let of_axis = axis(plan, source, name).filter(|_| !is_declared);
            let of_table = |link| self.meaning(link, self.table_of(link)?, name);
            of_axis.or_else(|| plan.links(source).find_map(of_table))
        };
        described.others.map(|others| others(name, &made.params, &input))
    }

    /// Whether the kind that made a table declares a column of it.
    fn declares(&self, link: &Link, name: &str) -> bool {
        let of_file = |file| {
            let (_, output) = declared(self.plan(), self.registry, link)?;
            Some(described(&output.tables, file)?.columns.iter().any(|column| column.name == name))
        };
        self.table_of(link).and_then(of_file).unwrap_or(false)
    }

    /// The file that is the table of an artifact: the one that the link names, or that of the artifact's type.
    fn table_of<'l>(&self, link: &'l Link) -> Option<&'l str> {
        match link {
            Link::Output { entry: Some(entry), .. } => Some(entry),
            _ => self.registry.artifact_type(declared(self.plan(), self.registry, link)?.1.artifact)?.table,
        }
    }

    fn inputs(&self, id: InstanceId, parts: &KeyParts) -> Vec<InputDigest> {
        let store = &self.dirs.of(id).store;
        let input = |(port, input): (&String, &KeyInput)| self.disclosure.input(id, port, input, store);
        parts.inputs.iter().map(input).collect()
    }
}

impl Describe for BesideResults<'_> {
    fn sidecar(&mut self, line: &ResultLine, described: DescribedFiles) -> Result<String, Failure> {
        let git = self.git.get_or_init(|| git_of(self.plan())).clone();
        let by = PublishedBy { git, ..self.by.clone() };
        Sidecar::new(line, described, self.made_by(line)?, by).text()
    }

    fn dictionary(&mut self, line: &ResultLine, path: &str) -> Result<String, Failure> {
        let plan = self.plan();
        let lost = || Failure::internal("a data dictionary without a table");
        let published = result_of(plan, line).ok_or_else(lost)?;
        let instance = published.link.producer().ok_or_else(lost)?;
        let (kind, output) = declared(plan, self.registry, &published.link).ok_or_else(lost)?;
        let is_table = |piece: &&Piece| described(&output.tables, file_in(&published.link, piece)).is_some();
        let mut pieces = line.pieces.iter().filter(is_table);
        let piece = pieces.find(|piece| dictionary_path(&piece.path) == path).ok_or_else(lost)?;
        let file = file_in(&published.link, piece);
        let format = self.registry.format_of(Some(output.artifact), file);
        let read = format.and_then(|format| format.columns).ok_or_else(lost)?;
        let names = read(&line.store.blob_path(&piece.blob().ok_or_else(lost)?))?;
        let parameters = &plan.instance(instance).params;
        let meaning = |name: &str| self.meaning(&published.link, file, name);
        dictionary(&TableOrigin { kind, parameters, simulated: plan.simulated }, &names, meaning)
    }
}

/// The meaning of a column that holds the values of an axis by which a gather is gathered.
fn axis(plan: &Plan, source: &Source, name: &str) -> Option<ColumnMeaning> {
    let Source::Many(gather) = source else { return None };
    let is_axis = plan.gather(*gather).iter().any(|(at, _)| at.contains_key(name));
    is_axis.then(|| ColumnMeaning { about: format!("the value of the axis `{name}`"), ..ColumnMeaning::default() })
}

/// The port of a result, with the part of the artifact that it is: `figure`, `figure/table.csv`, `figure/maps`.
fn port_of(plan: &Plan, line: &ResultLine, port: &str) -> String {
    let entry = match result_of(plan, line).map(|published| &published.link) {
        Some(Link::Output { entry: Some(entry), .. }) => Some(&**entry),
        // One file of a folder, found by its extension.
        _ if line.whole.blob().is_none() && !line.is_folder() => line.pieces.first().map(|piece| piece.name.as_str()),
        _ => None,
    };
    entry.map_or_else(|| port.to_owned(), |entry| format!("{port}/{}", entry.trim_end_matches('/')))
}

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
