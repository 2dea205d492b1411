//! Options of the command line, as typed. The only code that parses them; decides nothing else.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Run pipelines of content-hashed stages.
#[derive(Debug, Parser)]
#[command(name = "pipe", version, about, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 all is well, 1 a stage or claim failed or `verify` found a difference, 2 the pipeline or an input is wrong, \
                        3 the environment failed (disk, network, credentials, missing program), 70 a defect of pipe, \
                        130 stopped by Ctrl-C or a signal."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Invocation,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Invocation {
    /// Run a pipeline: whatever is not cached, in parallel, then publish its results
    Run(RunArgs),
    /// Show what a run would do and why, without doing it
    Plan(PlanArgs),
    /// Check what a run needs before it begins: credentials, sources, disk, libtorch, GPU
    Doctor(DoctorArgs),
    /// Draw the pipeline
    Graph(GraphArgs),
    /// Explain why stages would run: which part of the key changed, from what to what
    Why(WhyArgs),
    /// Show how the last run ended, or how far it is
    Status(StatusArgs),
    /// Print the saved log of a stage's last work
    Log(LogArgs),
    /// Print where an artifact is: `pipe path FILE 'score(outputs=area, sid=s03).table'`
    Path(PathArgs),
    /// Show what is in an artifact: the first rows of a table, a thumbnail of a figure, a summary of anything else
    Show(ShowArgs),
    /// Compare published results with the lockfile, then rerun in a scratch cache and compare again
    Verify(VerifyArgs),
    /// Write a pipeline that ships with `pipe` into this folder, or list them
    Init(InitArgs),
    /// List the stage kinds, or describe one
    Stages(StagesArgs),
    /// Print a JSON Schema: of pipeline files, or of what runs leave behind
    Schema {
        /// Of what.
        #[arg(value_enum, default_value_t)]
        of: SchemaOf,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What a schema is of.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum SchemaOf {
    /// Pipeline files
    #[default]
    Pipeline,
    /// The manifest of a run, `manifest.json` in its folder
    Manifest,
    /// A line of the log of events of a run, `events.jsonl` in its folder
    Events,
    /// The sidecar of a published result, `NAME.provenance.json` beside it
    Provenance,
}

/// Which pipeline, under which profile.
#[derive(Debug, Args)]
pub struct Pipeline {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The profile (the file's default if not given)
    #[arg(long, short = 'p', value_name = "NAME")]
    pub profile: Option<String>,
    /// Set a declared param, or a field of one: `--set epochs=3`, `--set plans.full.area.gamma=0.8`; lists and maps as YAML
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_value)]
    pub set: Vec<(String, String)>,
}

/// Where things are stored and how much of the machine may be used.
#[derive(Debug, Args)]
pub struct Place {
    /// The cache folder (one in `~/.cache/pipe` if not given)
    #[arg(long, value_name = "FOLDER", env = "PIPE_CACHE")]
    pub cache: Option<PathBuf>,
    /// How many processor slots stages may take together (all by default)
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
}

/// Which stages.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Only these stages and what they need: `accuracy`, `score(sid=s03)`
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Only these stages and what depends on them (what they need must be cached)
    #[arg(long, value_name = "STAGE")]
    pub from: Vec<String>,
    /// Stop after these stages
    #[arg(long, value_name = "STAGE")]
    pub until: Vec<String>,
    /// Only these stages (what they need must be cached)
    #[arg(long, value_name = "STAGE")]
    pub only: Vec<String>,
}

/// `pipe run`
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub place: Place,
    /// Run these stages although their outputs are cached
    #[arg(long, value_name = "STAGE")]
    pub force: Vec<String>,
    /// Stop at the first failure instead of finishing what does not depend on it
    #[arg(long)]
    pub fail_fast: bool,
    /// Ask again for cells that were recorded as absent
    #[arg(long)]
    pub retry_absent: bool,
    /// Replace results that were edited since they were published, and files of other programs in their places (they are left
    /// alone otherwise)
    #[arg(long)]
    pub overwrite: bool,
    /// Events as JSON lines on stdout
    #[arg(long)]
    pub json: bool,
    /// Lines of a log instead of a display (the default without a terminal, and with CI, PIPE_LOG or TERM=dumb; NO_COLOR turns off colours only)
    #[arg(long)]
    pub plain: bool,
    /// Lines of a log for every instance: why it runs, its progress, how it ended
    #[arg(long, short = 'v')]
    pub verbose: bool,
    /// Shuffle the order of ready stages (a test hook: results must not depend on it)
    #[arg(long, value_name = "SEED", hide = true)]
    pub shuffle_ready: Option<u64>,
}

/// `pipe plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub place: Place,
    /// Check every profile of the file instead of showing one
    #[arg(long, conflicts_with_all = ["profile", "stages", "json"])]
    pub all_profiles: bool,
    /// One line per instance instead of one per stage
    #[arg(long)]
    pub expand: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `pipe doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub place: Place,
}

/// How to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Indented text
    #[default]
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
    /// A picture
    Svg,
}

/// `pipe graph`
#[derive(Debug, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// The format
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    /// Open the axes: one node per instance instead of one per stage
    #[arg(long)]
    pub expand: bool,
    /// Leave out what would run and what is cached
    #[arg(long)]
    pub no_state: bool,
    #[command(flatten)]
    pub place: Place,
}

/// `pipe why`
#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// The stages: `train`, `train(inputs=anat)`; all that would run if none is given
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    #[command(flatten)]
    pub place: Place,
}

/// `pipe status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    pub place: Place,
    /// The manifest, as JSON
    #[arg(long)]
    pub json: bool,
    /// List every instance of stages that report how good they are, such as trainings, not only the best
    #[arg(long, conflicts_with = "json")]
    pub metrics: bool,
}

/// `pipe log`
#[derive(Debug, Args)]
pub struct LogArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// The stage: `train(inputs=anat, outputs=area, restart=1)`
    #[arg(value_name = "STAGE")]
    pub stage: String,
    #[command(flatten)]
    pub place: Place,
}

/// `pipe path`
#[derive(Debug, Args)]
pub struct PathArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// Stage, coordinates and port: `score(outputs=area, sid=s03).table`
    #[arg(value_name = "ARTIFACT")]
    pub artifact: String,
    #[command(flatten)]
    pub place: Place,
}

/// `pipe show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// Stage, coordinates, port and, of a folder, the file: `accuracy(outputs=area).figure/table.csv`
    #[arg(value_name = "ARTIFACT")]
    pub artifact: String,
    /// How many rows of a table
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub rows: usize,
    /// Write a thumbnail of a picture to this file
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Pixels of the longer side of a thumbnail
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=8192))]
    pub pixels: u32,
    #[command(flatten)]
    pub place: Place,
}

/// `pipe verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    pub place: Place,
    /// Keep the scratch cache here (otherwise it is temporary, and retained only if a stage fails)
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
    /// Only compare published results with the lockfile (exit code 1 if none were published)
    #[arg(long, conflicts_with = "scratch")]
    pub no_rerun: bool,
}

/// `pipe stages`
#[derive(Debug, Args)]
pub struct StagesArgs {
    /// Describe this kind: `unet/train`
    #[arg(value_name = "KIND")]
    pub kind: Option<String>,
    /// The whole catalogue (or this kind) as Markdown: every kind with inputs, outputs, parameters, and the artifact types
    #[arg(long)]
    pub markdown: bool,
}

/// `pipe init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The pipeline; none lists them
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(crate::shipped::names()))]
    pub name: Option<String>,
}

fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("expected NAME=VALUE, found `{text}`")),
    }
}
