//! Keys of other workflow engines, and what is written here instead. Only for hints: none of these words is a key.

use super::keys::{self, KeyTable};

/// What to write instead of a key that the table does not have, if the key is one of another engine's.
pub(super) fn instead_of(table: &KeyTable, key: &str) -> Option<&'static str> {
    let words = if std::ptr::eq(table, &keys::STAGE) {
        STAGE
    } else if std::ptr::eq(table, &keys::PIPELINE) || std::ptr::eq(table, &keys::INCLUDED) {
        FILE
    } else if std::ptr::eq(table, &keys::RESOURCES) {
        RESOURCES
    } else {
        return None;
    };
    let key = key.to_lowercase();
    words.iter().find(|(names, _)| names.contains(&key.as_str())).map(|(_, instead)| *instead)
}

/// Whether a key is meant to be `out:`.
pub(super) fn means_out(key: &str) -> bool {
    OUT.contains(&key.to_lowercase().as_str())
}

/// Whether a key is meant to be `run:` or `uses:`.
pub(super) fn means_work(key: &str) -> bool {
    let key = key.to_lowercase();
    RUN.iter().chain(USES).any(|word| *word == key)
}

/// Words for `run:`.
const RUN: &[&str] =
    &["script", "cmd", "command", "exec", "code", "do", "entrypoint", "notebook", "shell_command", "bash"];

/// Words for `uses:`.
const USES: &[&str] = &["type", "kind", "stage", "use", "plugin", "process", "rule", "task"];

/// Words for `out:`.
const OUT: &[&str] = &["output", "outputs", "outs", "produces", "writes", "artifacts", "results", "publishdir"];

type Words = &'static [(&'static [&'static str], &'static str)];

const STAGE: Words = &[
    (OUT, "outputs are `out: { NAME: FILE }`; what is published is named in `results:` of the file"),
    (
        &["input", "inputs", "deps", "dependencies", "reads", "files"],
        "inputs are `in: { NAME: $stage.port }`, or a file of the project",
    ),
    (
        &["needs", "depends_on", "depends", "after", "requires"],
        "order comes from what a stage reads: `in: { NAME: $stage.port }`",
    ),
    (RUN, "the command is `run:`; a script is an input too: `run: python3 fit.py`, `in: { script: fit.py }`"),
    (
        &[
            "conda",
            "container",
            "image",
            "docker",
            "singularity",
            "apptainer",
            "environment",
            "venv",
            "virtualenv",
            "module",
        ],
        "there is no environment or container of a stage: the programs on `PATH` are used; name what a result depends on \
         under `tools:`, such as `tools: { python: { venv: .venv } }` or `tools: { fsl: flirt -version }`",
    ),
    (
        &["threads", "cpus", "cpu", "ncpus", "cores", "memory", "mem", "mem_mb", "gpu", "gpus", "disk", "disk_mb"],
        "amounts are `resources: { cpu: 4, mem: 8 GiB, gpu: 1 }`",
    ),
    (&["time", "walltime", "runtime", "time_limit"], "the longest time is `timeout: 30 min`"),
    (
        &["params", "parameters", "config", "args", "arguments", "vars", "settings"],
        "parameters of a stage are `with: { NAME: VALUE }`; `$PARAM_NAME` is the value in a `run:` body",
    ),
    (
        &[
            "matrix",
            "foreach",
            "for",
            "for_each",
            "scatter",
            "loop",
            "wildcards",
            "expand",
            "array",
            "map",
            "subjects",
            "axes",
        ],
        "a stage for many subjects has axes: `each: { sid: $params.subjects }`",
    ),
    (&["gather", "collect", "reduce"], "a gather is a selector of the input: `in: { NAME: $stage(*).port }`"),
    (
        &["retries", "max_retries", "maxretries", "errorstrategy"],
        "tries after a failure of the network are `retry: 3`, with `net: true`",
    ),
    (
        &["when", "if", "condition", "only", "enabled", "skip"],
        "there are no conditions: a profile adds, replaces or removes stages (`STAGE: none`)",
    ),
    (
        &["description", "desc", "message", "doc", "label", "comment", "name", "tag"],
        "a sentence about it is `about:`; its name is the key",
    ),
    (
        &["log", "logs", "stdout", "stderr", "benchmark"],
        "remove it: logs and times are saved by themselves (`pipe log`, `pipe status`)",
    ),
    (
        &["cache", "always_changed", "frozen", "persist"],
        "remove it: what is recorded is used again; `--force STAGE` runs it once more",
    ),
    (&["executor", "queue", "partition", "label", "cluster", "host"], "remove it: stages run on this machine"),
    (&["random_seed", "rng"], "the seed is `seed:`; a `run:` stage with `random: true` gets one in `$SEED`"),
    (&["secret", "secrets", "token", "password"], "a secret is named, never written: `credential: NAME`"),
    (&["version", "versions"], "versions of programs are `tools: { NAME: COMMAND }`"),
    (USES, "a stage kind is `uses: KIND`, a command is `run: COMMAND`"),
    (
        &["cwd", "workdir", "wdir", "dir"],
        "remove it: a command runs in a folder of its own; inputs are at their paths of the project, outputs at `$OUT_NAME`",
    ),
];

const FILE: Words = &[
    (
        &[
            "rules",
            "rule",
            "jobs",
            "steps",
            "tasks",
            "workflow",
            "process",
            "processes",
            "stage",
            "pipeline_stages",
            "nodes",
        ],
        "stages are `stages:`, a map from names to stages",
    ),
    (&["version", "schema", "apiversion"], "the version of the language is the first line, `pipe: 1`"),
    (&["name", "title"], "the name is `pipeline: NAME`"),
    (
        &[
            "config",
            "configfile",
            "vars",
            "variables",
            "env",
            "environment",
            "parameters",
            "param",
            "settings",
            "inputs",
            "args",
        ],
        "values that a user may change are `params:`",
    ),
    (
        &["outputs", "output", "targets", "publish", "all", "outs", "out", "result"],
        "what is published is `results: { FILE: $stage.port }`",
    ),
    (&["description", "desc", "doc"], "a sentence about it is `about:`"),
    (
        &["includes", "import", "imports", "module", "modules", "subworkflow", "subworkflows"],
        "other files are `include: { NAME: FILE }`",
    ),
    (&["profile"], "profiles are `profiles:`"),
    (
        &["matrix", "each", "subjects", "axes", "wildcards"],
        "a list of subjects is a parameter (`params: { subjects: [...] }`); stages use it: `each: { sid: $params.subjects }`",
    ),
    (
        &["container", "conda", "image", "docker", "python", "requirements"],
        "there is no environment of a pipeline: each `run:` stage names its `tools:`",
    ),
    (&["run", "uses", "in", "with"], "this belongs to a stage: `stages: { NAME: { run: ... } }`"),
];

const RESOURCES: Words = &[
    (&["cpus", "threads", "cores", "ncpus"], "processors are `cpu: 4`"),
    (&["memory", "mem_mb", "ram", "mem_gb"], "memory is `mem: 8 GiB`"),
    (&["gpus", "cuda"], "GPUs are `gpu: 1`"),
    (&["network", "net_access"], "the network is `net: 1`"),
    (&["time", "walltime", "runtime", "timeout"], "the longest time is a key of the stage: `timeout: 30 min`"),
    (&["disk", "disk_mb", "queue", "partition"], "remove it: only `cpu`, `gpu`, `mem` and `net` are counted"),
];

/// An example of what belongs under a key that is a map, for messages.
pub(super) fn example_of_map(key: &str) -> Option<&'static str> {
    Some(match key {
        "stages" => "stages have names: `stages:`, then below it `NAME: { run: ..., out: { ... } }`, without `- `",
        "in" => "inputs have names: `in: { table: $stage.port }`; `$IN_TABLE` is its path in a `run:` body",
        "out" => "outputs have names: `out: { table: table.csv }`; a `run:` body writes to `$OUT_TABLE`",
        "with" => "parameters have names: `with: { epochs: 10 }`",
        "each" => "axes have names: `each: { sid: [s01, s02] }`",
        "params" => "parameters have names: `params: { subjects: [s01, s02] }`",
        "results" => "results have file names: `results: { table.csv: $stage.port }`",
        "profiles" => "profiles have names: `profiles: { demo: { params: { ... } } }`",
        "env" => "variables have names: `env: { LANG: C }`",
        "tools" => "tools have names: `tools: { python: python3 --version }`",
        "include" => "included files have names: `include: { prep: prep.yaml }`",
        "coverage" => "for example `coverage: { images: 90% }`",
        "where" => "for example `where: { label: V1 }`",
        _ => return None,
    })
}

/// An example of a map with fixed keys, for messages.
pub(super) fn example_of(table: &KeyTable) -> Option<&'static str> {
    if std::ptr::eq(table, &keys::STAGE) {
        Some("for example `{ run: ..., out: { table: table.csv } }`, or `{ uses: KIND, in: { ... } }`")
    } else if std::ptr::eq(table, &keys::RESOURCES) {
        Some("for example `{ cpu: 4, mem: 8 GiB }`")
    } else {
        None
    }
}

/// An example of a text, for messages about a list or a map in its place.
pub(super) fn example_of_text(what: &str) -> Option<&'static str> {
    Some(match what {
        "`run`" => "several commands are one text: `run: |`, then one command a line below it, indented",
        "`uses`" => "one stage kind: `uses: unet/train`; several steps are several stages",
        "an output" => "one file or folder for each name: `out: { table: table.csv, figures: figures/ }`",
        "a result" => "one reference for each file name: `results: { table.csv: $stage.port }`",
        _ => return None,
    })
}
