//! What a stage kind declares: name, version, ports, parameters and promises.
//!
//! Declarations are data, so that every pipeline can be planned, checked, rendered and documented on a machine
//! that cannot run it. They do not contain how a kind works.

use std::panic::Location;

use crate::{Column, Described, Failure, Form, MeaningOf, Param, Parameters, Task, Type, Value};

/// Code that does one thing, as the engine sees it.
#[derive(Clone, Debug)]
pub struct Kind {
    /// `topic/verb` or `topic/noun`, as written after `uses:`.
    pub name: &'static str,
    /// The name this kind had when its keys and seeds were first made, if it was renamed since. Keys and seeds of the
    /// renamed kind use it ([`Kind::key_name`]), so a rename reruns nothing and changes no bytes.
    pub formerly: Option<&'static str>,
    /// Raised when the same task may give other bytes; enters the action key.
    pub version: u32,
    /// One sentence for `pipe stages` and the reference.
    pub about: &'static str,
    /// The source file that declares it, relative to the workspace.
    pub source: &'static str,
    /// Input ports.
    pub inputs: Vec<Input>,
    /// Output ports.
    pub outputs: Vec<Output>,
    /// Parameters (`with:`).
    pub params: Vec<Param>,
    /// Axes whose coordinate this kind reads ([`crate::Task::at`]); they must be axes of the stage and enter the key.
    pub axes: Vec<&'static str>,
    /// Where it runs.
    pub runs: Runs,
    /// Has a seed, which enters the key.
    pub random: bool,
    /// Draws the `simulated` stamp: whether a run is simulated then enters the key.
    pub stamped: bool,
    /// Uses the network; only such a kind may have `credential:` or `retry:`, and it takes one `net`.
    pub network: bool,
    /// Has a checkpoint folder that survives kills ([`crate::Task::checkpoint`]).
    pub checkpoint: bool,
    /// Causes of a missing cell that it can report ([`crate::Ended::Absent`]), such as `not-found`.
    pub absences: Vec<&'static str>,
    /// How well a second run agrees with the first.
    pub repro: Repro,
    /// About how many bytes its outputs take, where the parameters alone decide that.
    pub size: Option<OutputSize>,
    /// By which metric its tasks are compared.
    pub objective: Option<Objective>,
}

/// A number by which the tasks of a kind are compared: the best value that each has reached is shown while they run and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective {
    /// The name of a metric that the kind reports ([`crate::Context::metric`]).
    pub metric: &'static str,
    /// Less is better; else more is.
    pub less_is_better: bool,
    /// Metrics, reported before it at the same step, that say where in the task a value was reached, such as `epoch`.
    pub places: &'static [&'static str],
}

/// Bytes of all outputs of a task that has no inputs yet.
pub type OutputSize = fn(&Task) -> Result<u64, Failure>;

/// Where a kind runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// On a thread of the engine: pure and light.
    Thread,
    /// In a worker process of its own for every task (training).
    ProcessFresh,
    /// In a reusable worker process, which does several tasks in turn (prediction).
    ProcessReusable,
}

/// How well a second run of the same task agrees with the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Repro {
    /// The same bytes, everywhere.
    Exact,
    /// The same bytes on the same instruction set and device; elsewhere numbers agree to this tolerance.
    Within(f64),
}

/// An input port.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in `in:`.
    pub name: &'static str,
    /// Artifact types it reads, such as `labels`; empty reads anything.
    pub types: Vec<&'static str>,
    /// One artifact, or a gather.
    pub arity: Arity,
    /// May be left unset, or read a stage that the profile removed.
    pub optional: bool,
    /// What it is, with shapes and units.
    pub about: &'static str,
}

/// How many artifacts a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// A list of (coordinates, artifact); a single reference is a list of one.
    Many,
}

/// An output port.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name after the dot in `$stage.port`.
    pub name: &'static str,
    /// The artifact type, such as `labels`.
    pub artifact: &'static str,
    /// File or folder.
    pub form: Form,
    /// What it is, with shapes and units.
    pub about: &'static str,
    /// What the columns of its tables mean.
    pub tables: Vec<Described>,
    /// Whatever it shows is made of several subjects. How many at least is known when the kind has run, which then says it
    /// ([`crate::Ended::aggregating`]); a rule of release is about that number.
    pub aggregates: bool,
}

impl Kind {
    /// A kind that runs on a thread, is exact, and has no ports or parameters yet.
    #[track_caller]
    pub fn new(name: &'static str, version: u32, about: &'static str) -> Self {
        Self {
            name,
            formerly: None,
            version,
            about,
            source: relative(Location::caller().file()),
            inputs: Vec::new(),
            outputs: Vec::new(),
            params: Vec::new(),
            axes: Vec::new(),
            runs: Runs::Thread,
            random: false,
            stamped: false,
            network: false,
            checkpoint: false,
            absences: Vec::new(),
            repro: Repro::Exact,
            size: None,
            objective: None,
        }
    }

    /// Records the name this kind had before it was renamed; see [`Kind::formerly`].
    #[must_use]
    pub fn formerly(mut self, name: &'static str) -> Self {
        self.formerly = Some(name);
        self
    }

    /// The name under which keys and seeds of this kind are made: the former name of a renamed kind.
    pub fn key_name(&self) -> &'static str {
        self.formerly.unwrap_or(self.name)
    }

    /// Adds a required input of one artifact.
    #[must_use]
    pub fn input(self, name: &'static str, types: &[&'static str], about: &'static str) -> Self {
        self.port(name, types, Arity::One, false, about)
    }

    /// Adds a required input that gathers.
    #[must_use]
    pub fn gather(self, name: &'static str, types: &[&'static str], about: &'static str) -> Self {
        self.port(name, types, Arity::Many, false, about)
    }

    /// Adds an input of any arity, required or optional.
    #[must_use]
    pub fn port(
        mut self,
        name: &'static str,
        types: &[&'static str],
        arity: Arity,
        optional: bool,
        about: &'static str,
    ) -> Self {
        self.inputs.push(Input { name, types: types.to_vec(), arity, optional, about });
        self
    }

    /// Adds an output file.
    #[must_use]
    pub fn file(self, name: &'static str, artifact: &'static str, about: &'static str) -> Self {
        self.output(name, artifact, Form::File, about)
    }

    /// Adds an output folder.
    #[must_use]
    pub fn folder(self, name: &'static str, artifact: &'static str, about: &'static str) -> Self {
        self.output(name, artifact, Form::Folder, about)
    }

    fn output(mut self, name: &'static str, artifact: &'static str, form: Form, about: &'static str) -> Self {
        self.outputs.push(Output { name, artifact, form, about, tables: Vec::new(), aggregates: false });
        self
    }

    /// Says what the columns of tables in the output that was added last mean.
    ///
    /// # Panics
    /// If there is no output yet: that is a defect of the declaration.
    #[must_use]
    pub fn described(mut self, files: &'static [&'static str], columns: &'static [Column]) -> Self {
        let output = self.outputs.last_mut().expect("columns are those of an output");
        output.tables.push(Described { files, columns, others: None });
        self
    }

    /// Says how it is known what further columns of the tables that were described last mean.
    ///
    /// # Panics
    /// If no table is described yet: that is a defect of the declaration.
    #[must_use]
    pub fn others(mut self, others: MeaningOf) -> Self {
        let described = self.outputs.last_mut().and_then(|output| output.tables.last_mut());
        described.expect("further columns are those of a table").others = Some(others);
        self
    }

    /// Says that the output that was added last aggregates subjects; see [`Output::aggregates`].
    ///
    /// # Panics
    /// If there is no output yet: that is a defect of the declaration.
    #[must_use]
    pub fn aggregating(mut self) -> Self {
        self.outputs.last_mut().expect("an output aggregates").aggregates = true;
        self
    }

    /// Adds the parameters that its code reads.
    #[must_use]
    pub fn parameters<P: Parameters>(mut self) -> Self {
        self.params.extend(P::declared());
        self
    }

    /// Adds a parameter that must be given, to a declaration without code that reads it.
    #[must_use]
    pub fn required(mut self, name: &'static str, of: Type, about: &'static str) -> Self {
        self.params.push(Param { name, of, default: None, neutral: None, about });
        self
    }

    /// Adds a parameter with a default, to a declaration without code that reads it.
    #[must_use]
    pub fn param(mut self, name: &'static str, of: Type, default: Value, about: &'static str) -> Self {
        self.params.push(Param { name, of, default: Some(default), neutral: None, about });
        self
    }

    /// The output port of this name.
    pub fn output_named(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// The input port of this name.
    pub fn input_named(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }
}

/// A source file as it is called in the workspace, wherever that was built: from the folder of its crate on.
fn relative(file: &'static str) -> &'static str {
    let crate_folder = file.rfind("/src/").and_then(|src| file[..src].rfind('/'));
    match crate_folder {
        Some(slash) if file.starts_with('/') => &file[slash + 1..],
        _ => file,
    }
}
