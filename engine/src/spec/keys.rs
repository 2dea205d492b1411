//! Every key of the language, once. The reader refuses what is not here, `schema` prints what is here, and so does
//! the reference in the docs: the three cannot disagree.

/// The keys of one kind of map.
#[derive(Debug)]
pub struct KeyTable {
    /// What such a map is, for messages: "a stage".
    pub what: &'static str,
    /// The name of its definition in the JSON Schema.
    pub name: &'static str,
    /// Its keys, in the usual order of a file.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// One sentence.
    pub about: &'static str,
}

/// The shape of a value.
#[derive(Debug)]
pub enum Shape {
    /// Exactly this number.
    Exactly(i64),
    /// Text (numbers are taken as written).
    Text,
    /// A whole number of at least this.
    Int(i64),
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Anything.
    Any,
    /// A list.
    List(&'static Shape),
    /// A map from names that the author chooses.
    Map(&'static Shape),
    /// A map with known keys.
    KeyTable(&'static KeyTable),
    /// One of several.
    Either(&'static [Shape]),
}

impl KeyTable {
    /// Whether the key exists.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
    }

    /// Whether the key is likely a misspelt one of these.
    pub fn is_near(&self, key: &str) -> bool {
        crate::diag::nearest(key, self.keys.iter().map(|known| known.name)).is_some()
    }
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, required: false, about }
}

const fn must(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, required: true, about }
}

/// The whole file.
pub static PIPELINE: KeyTable = KeyTable {
    what: "a pipeline file",
    name: "pipeline",
    keys: &[
        must("pipe", Shape::Exactly(1), "The version of the language."),
        must("pipeline", Shape::Text, "The name of the pipeline; names the folder of its results."),
        key("about", Shape::Text, "What it does, in a sentence."),
        key("seed", Shape::Int(0), "The seed from which the seed of every random stage is derived; 0 if not given."),
        key(
            "include",
            Shape::Map(&Shape::Either(&[Shape::Text, Shape::KeyTable(&INCLUDE)])),
            "Name space to file: includes the stages of another file.",
        ),
        key(
            "params",
            Shape::Map(&Shape::Any),
            "What a profile or `--set` may change: a value, or `{ type, required, default, about }`.",
        ),
        key("profiles", Shape::Map(&Shape::KeyTable(&PROFILE)), "Named overrides; one is used in a run."),
        key("stages", STAGES_SHAPE, "The stages."),
        key("results", Shape::Map(&Shape::Text), "File name to artifact: what is published under `results/`."),
        key("claims", Shape::List(&Shape::KeyTable(&CLAIM)), "Numbers that the results should show."),
        key(
            "release",
            Shape::List(&Shape::KeyTable(&RELEASE)),
            "Which ports may be published although their data are restricted.",
        ),
    ],
};

const STAGES_SHAPE: Shape = Shape::Map(&Shape::Either(&[Shape::KeyTable(&STAGE), Shape::Word(&["none"])]));

/// A file of `include:`.
pub static INCLUDED: KeyTable = KeyTable {
    what: "an included file",
    name: "included",
    keys: &[
        must("pipe", Shape::Exactly(1), "The version of the language."),
        key("about", Shape::Text, "What it does, in a sentence."),
        key("include", Shape::Map(&Shape::Either(&[Shape::Text, Shape::KeyTable(&INCLUDE)])), "Name space to file."),
        key("params", Shape::Map(&Shape::Any), "Its parameters, with values that the including file may change."),
        key("stages", STAGES_SHAPE, "Its stages."),
    ],
};

/// One include.
pub static INCLUDE: KeyTable = KeyTable {
    what: "an include",
    name: "include",
    keys: &[
        must("file", Shape::Text, "The file, relative to the one that includes it."),
        key("params", Shape::Map(&Shape::Any), "Values for its parameters."),
    ],
};

/// The words allowed after `type:` of a parameter.
pub const PARAM_TYPES: &[&str] = &["list", "map", "text", "int", "float", "bool"];

/// The words allowed after `shell:`.
pub const SHELLS: &[&str] = &["bash", "sh"];

/// The words allowed after `isolation:`.
pub const ISOLATIONS: &[&str] = &["none"];

/// A declared parameter.
pub static PARAM: KeyTable = KeyTable {
    what: "a declared parameter",
    name: "param",
    keys: &[
        must("type", Shape::Word(PARAM_TYPES), "Its type."),
        key("required", Shape::Bool, "Every profile must give a value."),
        key("default", Shape::Any, "The value when no profile gives one."),
        key("about", Shape::Text, "What it is, with units."),
    ],
};

/// A profile.
pub static PROFILE: KeyTable = KeyTable {
    what: "a profile",
    name: "profile",
    keys: &[
        key("about", Shape::Text, "What it is for."),
        key("default", Shape::Bool, "Used when no profile is named."),
        key("extends", Shape::Text, "The profile it starts from."),
        key("simulated", Shape::Bool, "Subjects and data are simulated: stamped on every figure and table."),
        key(
            "params",
            Shape::Map(&Shape::Any),
            "Values; `{ keep: [...] }` narrows an axis, `{ lines: FILE }` reads a list.",
        ),
        key("stages", STAGES_SHAPE, "Stages to add or replace; `none` removes one."),
        key("results", Shape::Map(&Shape::Text), "Results to add or replace; `none` removes one."),
        key(
            "release",
            Shape::List(&Shape::KeyTable(&RELEASE)),
            "Which ports may be published although their data are restricted.",
        ),
    ],
};

/// A stage.
pub static STAGE: KeyTable = KeyTable {
    what: "a stage",
    name: "stage",
    keys: &[
        key("about", Shape::Text, "What it is for."),
        key(
            "each",
            Shape::Map(&Shape::Any),
            "Axes: a list, a range `1..N`, a map, or a reference to a parameter that is one.",
        ),
        key("drop", Shape::Any, "Coordinate maps of the cells to leave out."),
        key("keep", Shape::Any, "Coordinate maps of the only cells to make."),
        key("uses", Shape::Text, "The stage kind."),
        key(
            "run",
            Shape::Text,
            "A body for `bash -euo pipefail -c`, passed to it unchanged; one that begins with `#!` runs under that program.",
        ),
        key("in", Shape::Map(&INPUT), "Inputs by port: references, or files, folders and globs of the project."),
        key("with", Shape::Map(&Shape::Any), "Parameters."),
        key("out", Shape::Map(&Shape::Text), "For `run:`: output ports and their files or folders (`name/`)."),
        key("env", Shape::Map(&Shape::Text), "For `run:`: environment variables."),
        key(
            "tools",
            Shape::Map(&Shape::Either(&[Shape::Text, Shape::KeyTable(&TOOL)])),
            "For `run:`: tools whose version enters the key.",
        ),
        key("shell", Shape::Word(SHELLS), "For `run:`: the shell of the body; `bash` if not given (`sh` is `sh -eu`)."),
        key("optional", TEXTS_SHAPE, "For `run:`: inputs that may stay unset; `IN_NAME` is empty then."),
        key(
            "isolation",
            Shape::Word(ISOLATIONS),
            "For `run:`: `none` lets the body read and write everywhere, as rootless containers need; shown in its record.",
        ),
        key("net", Shape::Bool, "For `run:`: may use the network."),
        key("random", Shape::Bool, "For `run:`: has a seed."),
        key("seed", Shape::Any, "The seed of this stage, instead of the one derived from the pipeline's."),
        key(
            "resources",
            Shape::Either(&[Shape::KeyTable(&RESOURCES), Shape::List(&Shape::KeyTable(&RESOURCES))]),
            "What it needs; the first alternative that this machine can satisfy is taken.",
        ),
        key("credential", Shape::Text, "The name of the credential that is passed to it; never in a key."),
        key("retry", Shape::Any, "How often a transient failure is tried again."),
        key("timeout", Shape::Any, "After this time the stage is stopped: `30 min`."),
        key("coverage", Shape::Map(&Shape::Any), "The least share of present cells by gathering port: `90%`."),
        key("absent", TEXTS_SHAPE, "Causes that make a missing cell instead of a failure."),
        key("restricted", TEXTS_SHAPE, "Names of the restrictions on the data it introduces."),
        key("temp", Shape::Bool, "Outputs may be dropped when all readers are done."),
    ],
};

const TEXTS_SHAPE: Shape = Shape::Either(&[Shape::Text, Shape::List(&Shape::Text)]);

/// A file, folder or glob of the project, with what is ignored in it.
pub static FILES: KeyTable = KeyTable {
    what: "a file or folder of the project",
    name: "files",
    keys: &[
        must(
            "path",
            Shape::Text,
            "The file, folder or glob (`data/*.csv`, `surf/{lh,rh}.[a-c]*`; globs as in `package/files`), relative to the pipeline file. A \
             backslash takes away the meaning of `*`, `?`, `[` and `{`.",
        ),
        key(
            "ignore",
            TEXTS_SHAPE,
            "Patterns, as in `.gitignore`, of what is not there for the stage, besides what is always ignored; `[]` ignores nothing.",
        ),
    ],
};

/// An input: a reference, a file, or several.
const INPUT: Shape = Shape::Either(&[
    Shape::Text,
    Shape::KeyTable(&FILES),
    Shape::List(&Shape::Either(&[Shape::Text, Shape::KeyTable(&FILES)])),
]);

/// A tool with an environment of its own.
pub static TOOL: KeyTable = KeyTable {
    what: "a tool",
    name: "tool",
    keys: &[must("venv", Shape::Text, "A Python environment, relative to the pipeline file.")],
};

/// Amounts of resources.
pub static RESOURCES: KeyTable = KeyTable {
    what: "an amount of resources",
    name: "resources",
    keys: &[
        key("cpu", Shape::Any, "Processor slots; clipped to the machine."),
        key("gpu", Shape::Any, "GPU slots."),
        key("mem", Shape::Any, "Memory: `3 GiB`."),
        key("net", Shape::Any, "Network slots."),
    ],
};

/// A claim.
pub static CLAIM: KeyTable = KeyTable {
    what: "a claim",
    name: "claim",
    keys: &[
        must("text", Shape::Text, "The claim in words."),
        key("profile", Shape::Text, "The profile under which it is checked; all if not given."),
        must("cell", Shape::KeyTable(&CELL), "The table cell."),
        must("equals", Shape::Number, "The claimed value."),
        key("within", Shape::Number, "The largest accepted distance; 0 if not given."),
    ],
};

/// A cell of a table.
pub static CELL: KeyTable = KeyTable {
    what: "a table cell",
    name: "cell",
    keys: &[
        must("table", Shape::Text, "A reference to one table."),
        key("where", Shape::Map(&Shape::Text), "Column to value; must select exactly one row."),
        must("column", Shape::Text, "The column."),
    ],
};

/// A release.
pub static RELEASE: KeyTable = KeyTable {
    what: "a release",
    name: "release",
    keys: &[
        must("ports", Shape::List(&Shape::Text), "`stage.port` names."),
        key("rule", Shape::KeyTable(&RULE), "A rule that is checked."),
        key("because", Shape::Text, "A reason, for what no rule can check."),
        key("approved", Shape::Text, "Who approved it, and when; nothing is released before that."),
    ],
};

/// A rule of a release.
pub static RULE: KeyTable = KeyTable {
    what: "a release rule",
    name: "rule",
    keys: &[must("aggregate", Shape::Int(2), "The artifact aggregates at least this many subjects.")],
};

/// All tables, the whole file first.
pub static TABLES: &[&KeyTable] = &[
    &PIPELINE, &INCLUDED, &INCLUDE, &PARAM, &PROFILE, &STAGE, &FILES, &TOOL, &RESOURCES, &CLAIM, &CELL, &RELEASE, &RULE,
];
