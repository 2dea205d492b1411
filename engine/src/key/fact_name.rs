//! The names of facts about `run:` stages, as they are in keys: what each is about. A name is part of the key, so none may change.

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactName<'a> {
    /// The body.
    Body,
    /// The shell with its options, or that the body names its own program.
    Shell,
    /// The path at which an output is written.
    Output(&'a str),
    /// The value of a variable of `env:`.
    Variable(&'a str),
    /// Whether an optional input is set.
    Optional(&'a str),
    /// That the network is allowed.
    Network,
    /// The name under which an input is found, or a digest of the names of its cells.
    InputName(&'a str),
    /// The version of a tool, or a digest of what is installed in a virtual environment.
    Tool(&'a str),
    /// The digest of the program with which a body begins whose stage declares no tools.
    Program(&'a str),
    /// A digest of the packages in the user's R libraries.
    RPackages,
}

const BODY: &str = "body";
const SHELL: &str = "shell";
const OUTPUT: &str = "out ";
const VARIABLE: &str = "env ";
const OPTIONAL: &str = "optional ";
const NETWORK: &str = "net";
const INPUT_NAME: &str = "name of ";
const TOOL: &str = "tool:";
const PROGRAM: &str = "executable:";
const R_PACKAGES: &str = "R packages";

impl<'a> FactName<'a> {
    /// As it is in a key.
    pub fn text(self) -> String {
        let (what, name) = match self {
            Self::Body => (BODY, ""),
            Self::Shell => (SHELL, ""),
            Self::Output(port) => (OUTPUT, port),
            Self::Variable(name) => (VARIABLE, name),
            Self::Optional(port) => (OPTIONAL, port),
            Self::Network => (NETWORK, ""),
            Self::InputName(port) => (INPUT_NAME, port),
            Self::Tool(name) => (TOOL, name),
            Self::Program(name) => (PROGRAM, name),
            Self::RPackages => (R_PACKAGES, ""),
        };
        [what, name].concat()
    }

    /// What a name in a key is about; `None` for one that only another version of pipe writes.
    pub fn of(text: &'a str) -> Option<Self> {
        match text {
            BODY => return Some(Self::Body),
            SHELL => return Some(Self::Shell),
            NETWORK => return Some(Self::Network),
            R_PACKAGES => return Some(Self::RPackages),
            _ => {}
        }
        let after = |what| text.strip_prefix(what);
        let port = after(OUTPUT).map(Self::Output).or_else(|| after(OPTIONAL).map(Self::Optional));
        let named =
            port.or_else(|| after(INPUT_NAME).map(Self::InputName)).or_else(|| after(VARIABLE).map(Self::Variable));
        named.or_else(|| after(TOOL).map(Self::Tool)).or_else(|| after(PROGRAM).map(Self::Program))
    }
}
