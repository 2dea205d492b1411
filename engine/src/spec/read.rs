//! From the tree of a file to declarations. Collects mistakes instead of stopping at the first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::foreign;
use super::keys::{self, KeyTable, PARAM_TYPES};
use super::node::{Name, Node, NodeTree};
use super::parse::parse;
use super::*;
use crate::diag::{Class, Diagnostic, Diagnostics, SourceTexts, Span};

/// The version of the language that this reader accepts.
const VERSION: &str = "1";

/// Reads a pipeline file and everything it includes.
///
/// # Errors
/// Everything in these files that is not a pipeline, each with its place.
pub fn load(file: &Path) -> Result<Spec, Diagnostics> {
    let mut reader = Reader { sources: SourceTexts::default(), errors: Vec::new(), open: Vec::new() };
    let spec = reader.pipeline(file);
    match spec {
        Some(spec) if reader.errors.is_empty() => Ok(Spec { sources: reader.sources, ..spec }),
        _ => Err(Diagnostics::new(reader.sources, reader.errors)),
    }
}

/// Reads one file more, for `include:` and `{ lines: FILE }`. The text is in the sources even if it is not used.
pub(crate) fn open(sources: &mut SourceTexts, path: &Path, shown: &str) -> Result<u32, String> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if let Some(file) = sources.find(&absolute) {
        return Ok(file);
    }
    let bytes = fs_err::read(path).map_err(|error| format!("could not read `{shown}`: {}", reason(&error)))?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(format!("`{shown}` is UTF-16 text; save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("`{shown}` is not UTF-8 text (line {line})")
    })?;
    Ok(sources.add(absolute, shown.to_owned(), text))
}

/// The system's message without the number.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => pipe_contract::io_reason(error),
    }
}

struct Reader {
    sources: SourceTexts,
    errors: Vec<Diagnostic>,
    /// Files being read now, outermost first: an include of one of them is a cycle.
    open: Vec<PathBuf>,
}

/// A map with known keys.
struct Fields<'a> {
    span: Span,
    entries: &'a [(Name, Node)],
    table: &'static KeyTable,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.table.has(key), "`{key}` is not a key of {}", self.table.what);
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    fn key(&self, key: &str) -> Option<&'a Name> {
        self.entries.iter().find(|(name, _)| name.text == key).map(|(name, _)| name)
    }
}

/// What a file gives, whether it is the pipeline or an include.
#[derive(Default)]
struct Content {
    params: Vec<ParamDecl>,
    stages: Vec<NamedStage>,
}

impl Reader {
    fn error(&mut self, error: Diagnostic) {
        self.errors.push(error);
    }

    fn pipeline(&mut self, path: &Path) -> Option<Spec> {
        let shown = path.display().to_string();
        let file = match open(&mut self.sources, path, &shown) {
            Ok(file) => file,
            Err(message) => {
                self.error(
                    Diagnostic::nowhere(Class::File, message)
                        .hint("name a pipeline file, such as `pipelines/benson2025.yaml`"),
                );
                return None;
            }
        };
        let absolute = self.sources.get(file).path.clone();
        self.open.push(absolute.clone());
        let root = self.parse(file)?;
        let fields = self.versioned(&root, &keys::PIPELINE)?;
        let folder = absolute.parent().map(Path::to_path_buf).unwrap_or_default();

        let name = self.required_text(&fields, "pipeline");
        if let Some(name) = &name {
            self.check_name(name, "a pipeline");
        }
        let content = self.content(&fields, "", &folder, &[]);
        let profiles = self
            .map(fields.get("profiles"), "profiles")
            .iter()
            .filter_map(|(name, node)| self.profile(name, node, &folder))
            .collect();
        let spec = Spec {
            sources: SourceTexts::default(),
            file: absolute,
            name: name.unwrap_or_else(|| Name { text: String::new(), span: Span::start_of(file) }),
            about: self.text_of(&fields, "about"),
            seed: self.seed(&fields),
            params: content.params,
            profiles,
            stages: content.stages,
            results: self.results(fields.get("results")),
            claims: self.list(fields.get("claims"), "claims").iter().filter_map(|node| self.claim(node)).collect(),
            releases: self.releases(fields.get("release")),
        };
        if spec.stages.is_empty()
            && spec.profiles.iter().all(|profile| profile.stages.is_empty())
            && self.errors.is_empty()
        {
            self.error(
                Diagnostic::new(Class::Missing, fields.span, "this pipeline has no stages")
                    .hint("add `stages:` with at least one stage"),
            );
        }
        Some(spec)
    }

    fn parse(&mut self, file: u32) -> Option<Node> {
        match parse(&self.sources, file) {
            Ok(node) => Some(node),
            Err(error) => {
                self.error(error);
                None
            }
        }
    }

    /// The root map of a file, with its version checked first: another version explains every other mistake.
    fn versioned<'a>(&mut self, root: &'a Node, table: &'static KeyTable) -> Option<Fields<'a>> {
        let span = root.span;
        let NodeTree::Map(entries) = &root.tree else {
            let found = if root.is_null() { "nothing".to_owned() } else { root.described() };
            self.error(
                Diagnostic::new(Class::Shape, span, format!("expected {}, found {found}", table.what))
                    .hint("a pipeline file begins with `pipe: 1`, then `pipeline: NAME`"),
            );
            return None;
        };
        match entries.iter().find(|(name, _)| name.text == "pipe") {
            Some((_, version)) if version.written() == Some(VERSION) => {}
            Some((_, version)) => {
                let found = version.written().map_or_else(|| version.described(), |text| format!("`{text}`"));
                self.error(
                    Diagnostic::new(
                        Class::Version,
                        version.span,
                        format!("version {found} of the pipeline language is not known"),
                    )
                    .hint(format!("this program reads `pipe: {VERSION}`")),
                );
                return None;
            }
            None => {
                let near = crate::diag::nearest(
                    "pipe",
                    entries.iter().take(1).map(|(name, _)| name.text.as_str()).filter(|name| *name != "pipeline"),
                );
                let place = entries.first().map_or(span, |(name, _)| name.span);
                let error =
                    Diagnostic::new(Class::Version, place, format!("{} begins with `pipe: {VERSION}`", table.what));
                self.error(error.hint(match near {
                    Some(near) => format!("is `{near}` meant to be `pipe`?"),
                    None => format!("add the line `pipe: {VERSION}` at the top"),
                }));
                return None;
            }
        }
        let first = &entries[0].0;
        if first.text != "pipe" {
            self.error(
                Diagnostic::new(
                    Class::Version,
                    first.span,
                    format!("the first key must be `pipe: {VERSION}`, found `{}`", first.text),
                )
                .hint("move the line `pipe: 1` to the top"),
            );
        }
        self.fields(root, table)
    }

    /// A map whose keys are in the table.
    fn fields<'a>(&mut self, node: &'a Node, table: &'static KeyTable) -> Option<Fields<'a>> {
        let NodeTree::Map(entries) = &node.tree else {
            let keys: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
            let hint = foreign::example_of(table)
                .map_or_else(|| format!("its keys: {}", crate::diag::list(&keys, 24)), str::to_owned);
            self.error(
                Diagnostic::new(
                    Class::Shape,
                    node.span,
                    format!("expected {}, which is a map, found {}", table.what, node.described()),
                )
                .hint(hint),
            );
            return None;
        };
        for (name, value) in entries.iter().filter(|(name, _)| !table.has(&name.text)) {
            let message = format!("unknown key `{}` in {}", name.text, table.what);
            let error = Diagnostic::new(Class::UnknownKey, name.span, message);
            let is_stage = is_work(value);
            self.error(match foreign::instead_of(table, &name.text) {
                Some(instead) => error.hint(instead),
                None if is_stage && table.has("uses") => error.hint(format!(
                    "a stage holds no stages: write `{}` beside the others; a group of stages is a file of its own (`include:`)",
                    name.text
                )),
                None if is_stage && table.has("stages") => error.hint(format!(
                    "stages are below `stages:`, indented: is `{}` one, in the wrong column?",
                    name.text
                )),
                None if std::ptr::eq(table, &keys::PROFILE) && !table.is_near(&name.text) => {
                    error.hint(format!("a profile sets parameters below `params:`: `params: {{ {}: ... }}`", name.text))
                }
                None => error.known("known keys", &name.text, table.keys.iter().map(|key| key.name)),
            });
        }
        Some(Fields { span: node.span, entries, table })
    }

    fn content(&mut self, fields: &Fields<'_>, scope: &str, folder: &Path, given: &[(Name, Node, String)]) -> Content {
        let mut content = Content::default();
        let declared = self.map(fields.get("params"), "params");
        for (name, node) in declared {
            if let Some(mut param) = self.param(name, node, scope, folder) {
                param.given = given
                    .iter()
                    .find(|(key, ..)| key.text == name.text)
                    .map(|(_, node, scope)| (scope.clone(), node.clone()));
                content.params.push(param);
            }
        }
        for (key, ..) in given.iter().filter(|(key, ..)| !declared.iter().any(|(name, _)| name.text == key.text)) {
            self.error(
                Diagnostic::new(
                    Class::UnknownName,
                    key.span,
                    format!("the included file declares no parameter `{}`", key.text),
                )
                .known(
                    "its parameters",
                    &key.text,
                    declared.iter().map(|(name, _)| name.text.as_str()),
                ),
            );
        }
        for (name, node) in self.map(fields.get("include"), "include") {
            self.include(name, node, scope, folder, &mut content);
        }
        for (name, node) in self.map(fields.get("stages"), "stages") {
            content.stages.extend(self.stage_entry(name, node, scope, folder, false));
        }
        content
    }

    fn include(&mut self, name: &Name, node: &Node, scope: &str, folder: &Path, content: &mut Content) {
        self.check_name(name, "a name space");
        let (file, params) = match &node.tree {
            NodeTree::Scalar { .. } => (self.text(node, "the file of an include"), Vec::new()),
            _ => {
                let Some(fields) = self.fields(node, &keys::INCLUDE) else { return };
                let params = self.map(fields.get("params"), "params").to_vec();
                (self.required_text(&fields, "file"), params)
            }
        };
        let Some(file) = file else { return };
        let path = folder.join(&file.text);
        let shown = self.shown(file.span, &file.text);
        let number = match open(&mut self.sources, &path, &shown) {
            Ok(number) => number,
            Err(message) => {
                self.error(
                    Diagnostic::new(Class::Include, file.span, message)
                        .hint("the file is looked for beside the file that includes it"),
                );
                return;
            }
        };
        let absolute = self.sources.get(number).path.clone();
        if self.open.contains(&absolute) {
            let chain: Vec<String> =
                self.open.iter().chain([&absolute]).map(|path| format!("`{}`", file_name(path))).collect();
            self.error(
                Diagnostic::new(
                    Class::Include,
                    file.span,
                    format!("`{}` includes itself: {}", file_name(&absolute), chain.join(" includes ")),
                )
                .hint("move what both need into a third file"),
            );
            return;
        }
        let Some(root) = self.parse(number) else { return };
        self.open.push(absolute.clone());
        if let Some(fields) = self.versioned(&root, &keys::INCLUDED) {
            let inner = format!("{scope}{}.", name.text);
            let given: Vec<_> = params.into_iter().map(|(key, node)| (key, node, scope.to_owned())).collect();
            let inside = absolute.parent().map(Path::to_path_buf).unwrap_or_default();
            let read = self.content(&fields, &inner, &inside, &given);
            content.params.extend(read.params);
            content.stages.extend(read.stages);
        }
        self.open.pop();
    }

    /// The name in messages of a file in the folder of the one at `span`.
    fn shown(&self, span: Span, file: &str) -> String {
        let beside = &self.sources.get(span.file).shown;
        Path::new(beside).parent().unwrap_or(Path::new("")).join(file).display().to_string()
    }

    fn param(&mut self, name: &Name, node: &Node, scope: &str, folder: &Path) -> Option<ParamDecl> {
        self.check_name(name, "a parameter");
        let full = Name { text: format!("{scope}{}", name.text), span: name.span };
        let decl = |of, default| {
            Some(ParamDecl { name: full.clone(), of, default, given: None, folder: folder.to_path_buf() })
        };
        if !is_declaration(node) {
            let Some(of) = inferred(node) else {
                self.error(
                    Diagnostic::new(Class::Missing, name.span, format!("parameter `{}` has no value", name.text))
                        .hint("give a value, or declare it: `{ type: list, required: true }`"),
                );
                return None;
            };
            return decl(of, Some(node.clone()));
        }
        let fields = self.fields(node, &keys::PARAM)?;
        let word = self.required_text(&fields, "type")?;
        let Some(of) = ParamType::named(&word.text) else {
            self.error(
                Diagnostic::new(Class::Value, word.span, format!("`{}` is not a type of parameters", word.text)).known(
                    "types",
                    &word.text,
                    PARAM_TYPES.iter().copied(),
                ),
            );
            return None;
        };
        let required = self.flag(&fields, "required");
        let default = fields.get("default");
        if required && default.is_some() {
            let key = fields.key("default").map_or(fields.span, |key| key.span);
            self.error(
                Diagnostic::new(Class::Shape, key, format!("parameter `{}` is required and has a default", name.text))
                    .hint("keep one of the two"),
            );
        }
        if !required && default.is_none() {
            self.error(
                Diagnostic::new(
                    Class::Missing,
                    name.span,
                    format!("parameter `{}` has neither a value nor `required: true`", name.text),
                )
                .hint("add `default: VALUE` or `required: true`"),
            );
        }
        decl(of, default.cloned())
    }

    fn profile(&mut self, name: &Name, node: &Node, folder: &Path) -> Option<ProfileDecl> {
        self.check_name(name, "a profile");
        let fields = self.fields(node, &keys::PROFILE)?;
        let stages = self.map(fields.get("stages"), "stages");
        let stages = stages.iter().filter_map(|(name, node)| self.stage_entry(name, node, "", folder, true)).collect();
        let simulated = fields.get("simulated").map(|_| self.flag(&fields, "simulated"));
        Some(ProfileDecl {
            name: name.clone(),
            about: self.text_of(&fields, "about"),
            default: self.flag(&fields, "default"),
            extends: fields.get("extends").and_then(|node| self.text(node, "`extends`")),
            simulated,
            params: self.map(fields.get("params"), "params").to_vec(),
            stages,
            results: self.results(fields.get("results")),
            releases: self.releases(fields.get("release")),
        })
    }

    /// Profiles may name stages of includes (`namespace.name`).
    fn stage_entry(
        &mut self,
        name: &Name,
        node: &Node,
        scope: &str,
        folder: &Path,
        dotted: bool,
    ) -> Option<NamedStage> {
        for part in if dotted { name.text.split('.').collect::<Vec<_>>() } else { vec![name.text.as_str()] } {
            self.check_name(&Name { text: part.to_owned(), span: name.span }, "a stage");
        }
        let full = Name { text: format!("{scope}{}", name.text), span: name.span };
        let entry =
            |body| Some(NamedStage { name: full.clone(), scope: scope.to_owned(), folder: folder.to_path_buf(), body });
        if node.written() == Some("none") {
            return entry(None);
        }
        if node.is_null() {
            self.error(
                Diagnostic::new(Class::Missing, name.span, format!("stage `{}` is empty", name.text))
                    .hint("give it `uses:` or `run:`; write `none` to remove a stage"),
            );
            return None;
        }
        let stage = self.stage(name, node)?;
        entry(Some(Box::new(stage)))
    }

    fn stage(&mut self, name: &Name, node: &Node) -> Option<StageDecl> {
        let fields = self.fields(node, &keys::STAGE)?;
        let work = self.work(name, &fields);
        let resources = match fields.get("resources") {
            None => Vec::new(),
            Some(Node { tree: NodeTree::List(items), span }) => {
                if items.is_empty() {
                    self.error(
                        Diagnostic::new(Class::Shape, *span, "`resources` has no alternative")
                            .hint("write `{ cpu: 1 }`"),
                    );
                }
                items.iter().filter_map(|item| self.resources(item)).collect()
            }
            Some(node) => self.resources(node).into_iter().collect(),
        };
        Some(StageDecl {
            each: self.map(fields.get("each"), "each").to_vec(),
            drop: fields.get("drop").cloned(),
            keep: fields.get("keep").cloned(),
            inputs: self.map(fields.get("in"), "in").to_vec(),
            with: self.map(fields.get("with"), "with").to_vec(),
            seed: fields.get("seed").cloned(),
            resources,
            credential: fields.get("credential").cloned(),
            retry: fields.get("retry").cloned(),
            timeout: fields.get("timeout").cloned(),
            coverage: self.map(fields.get("coverage"), "coverage").to_vec(),
            absent: self.texts(fields.get("absent"), "absent"),
            restricted: self.texts(fields.get("restricted"), "restricted"),
            temporary: self.flag(&fields, "temp"),
            work: work?,
        })
    }

    fn work(&mut self, name: &Name, fields: &Fields<'_>) -> Option<WorkDecl> {
        match (fields.get("uses"), fields.get("run")) {
            (Some(uses), None) if uses.written().is_some_and(is_command) => {
                let command = uses.written().unwrap_or_default();
                let message = format!("`uses` names a stage kind, found a command or script, `{command}`");
                let error = Diagnostic::new(Class::Value, uses.span, message);
                self.error(error.hint("a command is `run:`, and a script that it reads is an input: `run: python3 fit.py`, `in: { script: fit.py }`"));
                None
            }
            (Some(uses), None) => {
                for key in ["out", "env", "tools", "shell", "optional", "isolation", "net", "random"] {
                    if let Some(key) = fields.key(key) {
                        self.error(
                            Diagnostic::new(
                                Class::UnknownKey,
                                key.span,
                                format!("`{}` belongs to stages with `run:`, this one has `uses:`", key.text),
                            )
                            .hint("a stage kind declares its outputs and what it needs itself"),
                        );
                    }
                }
                self.text(uses, "`uses`").map(WorkDecl::Uses)
            }
            (None, Some(run)) => {
                let body = self.text(run, "`run`");
                let out = self.map(fields.get("out"), "out");
                let misspelt = fields.entries.iter().any(|(key, _)| foreign::means_out(&key.text));
                let wrong =
                    fields.get("out").is_some_and(|out| !out.is_null() && !matches!(out.tree, NodeTree::Map(_)));
                if out.is_empty() && !misspelt && !wrong {
                    self.error(
                        Diagnostic::new(
                            Class::Missing,
                            name.span,
                            format!("stage `{}` has `run:` but no `out:`", name.text),
                        )
                        .hint("name what it writes: `out: { table: table.csv }`"),
                    );
                }
                let out = out
                    .iter()
                    .filter_map(|(port, node)| Some((port.clone(), self.text(node, "an output")?)))
                    .collect::<Vec<_>>();
                let tools = self.map(fields.get("tools"), "tools");
                Some(WorkDecl::Run(RunDecl {
                    out,
                    env: self.map(fields.get("env"), "env").to_vec(),
                    tools: tools.iter().filter_map(|(tool, node)| Some((tool.clone(), self.tool(node)?))).collect(),
                    shell: self.word(fields, "shell", keys::SHELLS),
                    optional: self.texts(fields.get("optional"), "optional"),
                    isolation: self.word(fields, "isolation", keys::ISOLATIONS),
                    net: self.flag(fields, "net"),
                    random: self.flag(fields, "random"),
                    body: body?,
                }))
            }
            (Some(_), Some(_)) => {
                let run = fields.key("run").map_or(fields.span, |key| key.span);
                self.error(
                    Diagnostic::new(Class::Shape, run, format!("stage `{}` has both `uses:` and `run:`", name.text))
                        .hint("a stage does one thing: keep one of the two"),
                );
                None
            }
            // What is meant was reported.
            (None, None)
                if fields.entries.iter().any(|(key, node)| foreign::means_work(&key.text) || is_work(node)) =>
            {
                None
            }
            (None, None) => {
                self.error(
                    Diagnostic::new(
                        Class::Missing,
                        name.span,
                        format!("stage `{}` has neither `uses:` nor `run:`", name.text),
                    )
                    .hint("`uses: KIND` takes a stage kind (`pipe stages` lists them), `run:` a command"),
                );
                None
            }
        }
    }

    fn tool(&mut self, node: &Node) -> Option<ToolDecl> {
        if let NodeTree::Scalar { .. } = node.tree {
            return self.text(node, "a tool").map(ToolDecl::Version);
        }
        let fields = self.fields(node, &keys::TOOL)?;
        self.required_text(&fields, "venv").map(ToolDecl::Venv)
    }

    fn resources(&mut self, node: &Node) -> Option<(Span, Vec<(Name, Node)>)> {
        let fields = self.fields(node, &keys::RESOURCES)?;
        Some((fields.span, fields.entries.to_vec()))
    }

    fn results(&mut self, node: Option<&Node>) -> Vec<ResultDecl> {
        let mut results = Vec::new();
        let mut taken = BTreeMap::new();
        for (path, node) in self.map(node, "results") {
            let path = Name { text: without_dots(&path.text), span: path.span };
            if let Some(first) = taken.insert(path.text.clone(), path.span) {
                let error =
                    Diagnostic::new(Class::Collision, path.span, format!("two results are called `{}`", path.text));
                self.error(error.also(first, "first here").hint("give each result a name of its own"));
            } else if path.text.starts_with('$') && node.written().is_some_and(|text| !text.contains('$')) {
                let file = node.written().unwrap_or("FILE");
                self.error(
                    Diagnostic::new(Class::Shape, path.span, "a result is written with its file before its artifact")
                        .hint(format!("write `{file}: {}`", path.text)),
                );
            } else if node.written() == Some("none") {
                results.push(ResultDecl { path, artifact: None });
            } else if let Some(artifact) = self.text(node, "a result") {
                results.push(ResultDecl { path, artifact: Some(artifact) });
            }
        }
        results
    }

    fn claim(&mut self, node: &Node) -> Option<ClaimDecl> {
        let fields = self.fields(node, &keys::CLAIM)?;
        let text = self.required_text(&fields, "text");
        let equals = self.required_number(&fields, "equals");
        let within = match fields.get("within") {
            Some(node) => self.number(node, "within"),
            None => Some(0.0),
        };
        let cell = self.required(&fields, "cell").and_then(|node| self.fields(node, &keys::CELL))?;
        let filter = self.map(cell.get("where"), "where");
        let filter = filter
            .iter()
            .filter_map(|(column, node)| Some((column.clone(), self.text(node, "a cell of `where`")?)))
            .collect();
        let table = self.required_text(&cell, "table");
        let column = self.required_text(&cell, "column");
        Some(ClaimDecl {
            span: node.span,
            text: text?.text,
            profile: fields.get("profile").and_then(|node| self.text(node, "`profile`")),
            table: table?,
            filter,
            column: column?.text,
            equals: equals?,
            within: within?,
        })
    }

    fn releases(&mut self, node: Option<&Node>) -> Vec<ReleaseDecl> {
        self.list(node, "release").iter().filter_map(|node| self.release(node)).collect()
    }

    fn release(&mut self, node: &Node) -> Option<ReleaseDecl> {
        let fields = self.fields(node, &keys::RELEASE)?;
        let ports = self.required(&fields, "ports")?;
        let ports = self.list(Some(ports), "ports").iter().filter_map(|port| self.text(port, "a port")).collect();
        let why = match (fields.get("rule"), fields.get("because"), fields.get("approved")) {
            (Some(rule), None, None) => {
                let rule = self.fields(rule, &keys::RULE)?;
                let node = self.required(&rule, "aggregate")?;
                let Some(subjects) =
                    whole(node).filter(|subjects| *subjects >= 2).and_then(|subjects| u32::try_from(subjects).ok())
                else {
                    self.error(
                        Diagnostic::new(
                            Class::Value,
                            node.span,
                            format!("`aggregate` is a number of subjects, at least 2, found {}", node.described()),
                        )
                        .hint("a figure with one point per subject is not an aggregate"),
                    );
                    return None;
                };
                ReleaseWhyDecl::Aggregate(subjects)
            }
            (None, Some(because), approved) => ReleaseWhyDecl::Approved {
                because: self.text(because, "`because`")?.text,
                approved: match approved {
                    Some(node) => Some(self.approval(node)?),
                    None => None,
                },
            },
            _ => {
                self.error(
                    Diagnostic::new(
                        Class::Shape,
                        fields.span,
                        "a release has either `rule:`, or `because:` and, once it was, `approved:`",
                    )
                    .hint("`rule: { aggregate: 20 }`, or `because: REASON` with `approved: WHO, DATE`"),
                );
                return None;
            }
        };
        Some(ReleaseDecl { ports, why })
    }

    /// Who approved something and when: a text with a year.
    fn approval(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "`approved`")?.text;
        let is_year = |word: &str| word.len() == 4 && word.starts_with("20");
        if text.split(|c: char| !c.is_ascii_digit()).any(is_year) {
            return Some(text);
        }
        let message = format!("`approved` says who approved it and when, found `{text}`");
        self.error(
            Diagnostic::new(Class::Value, node.span, message)
                .hint("a name and a date, such as `A. Investigator, 2026-03-01`; leave it out until it was approved"),
        );
        None
    }

    fn seed(&mut self, fields: &Fields<'_>) -> u64 {
        let Some(node) = fields.get("seed") else { return 0 };
        let seed = whole(node).and_then(|seed| u64::try_from(seed).ok());
        if seed.is_none() {
            self.error(
                Diagnostic::new(
                    Class::Value,
                    node.span,
                    format!("`seed` is a whole number from 0, found {}", node.described()),
                )
                .hint("for example `seed: 2025`"),
            );
        }
        seed.unwrap_or(0)
    }

    fn required<'a>(&mut self, fields: &Fields<'a>, key: &str) -> Option<&'a Node> {
        let node = fields.get(key);
        if node.is_none() {
            let place = fields.entries.first().map_or(fields.span, |(name, _)| name.span);
            self.error(
                Diagnostic::new(Class::Missing, place, format!("{} needs `{key}:`", fields.table.what))
                    .hint(format!("add `{key}:`")),
            );
        }
        node
    }

    fn required_text(&mut self, fields: &Fields<'_>, key: &str) -> Option<Name> {
        let node = self.required(fields, key)?;
        self.text(node, &format!("`{key}`"))
    }

    fn text_of(&mut self, fields: &Fields<'_>, key: &str) -> String {
        fields.get(key).and_then(|node| self.text(node, &format!("`{key}`"))).map(|name| name.text).unwrap_or_default()
    }

    /// A scalar as text as written, not empty.
    fn text(&mut self, node: &Node, what: &str) -> Option<Name> {
        match node.written() {
            Some(text) if !node.is_null() => Some(Name { text: text.to_owned(), span: node.span }),
            _ => {
                let message = format!("{what} is a text, found {}", node.described());
                let error = Diagnostic::new(Class::Shape, node.span, message);
                self.error(match foreign::example_of_text(what) {
                    Some(example) => error.hint(example),
                    None => error,
                });
                None
            }
        }
    }

    fn texts(&mut self, node: Option<&Node>, key: &str) -> Vec<Name> {
        match node {
            Some(Node { tree: NodeTree::List(items), .. }) => {
                items.iter().filter_map(|item| self.text(item, &format!("an entry of `{key}`"))).collect()
            }
            Some(node) => self.text(node, &format!("`{key}`")).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// One of a few words.
    fn word(&mut self, fields: &Fields<'_>, key: &str, words: &'static [&'static str]) -> Option<&'static str> {
        let node = fields.get(key)?;
        let found = words.iter().copied().find(|word| node.written() == Some(word));
        if found.is_none() {
            let allowed = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            let message = format!("`{key}` is {allowed}, found {}", node.described());
            let hint = format!("write `{key}: {}`, or leave it out", words[0]);
            self.error(Diagnostic::new(Class::Value, node.span, message).hint(hint));
        }
        found
    }

    fn flag(&mut self, fields: &Fields<'_>, key: &str) -> bool {
        let Some(node) = fields.get(key) else { return false };
        match node.value() {
            pipe_contract::Value::Bool(flag) => flag,
            _ => {
                self.error(
                    Diagnostic::new(
                        Class::Value,
                        node.span,
                        format!("`{key}` is `true` or `false`, found {}", node.described()),
                    )
                    .hint("YAML 1.2: `yes` and `no` are texts"),
                );
                false
            }
        }
    }

    fn number(&mut self, node: &Node, key: &str) -> Option<f64> {
        let number = match node.value() {
            #[expect(clippy::cast_precision_loss, reason = "claims are small numbers")]
            pipe_contract::Value::Int(number) => Some(number as f64),
            pipe_contract::Value::Float(number) => Some(number),
            _ => None,
        };
        if number.is_none() {
            self.error(Diagnostic::new(
                Class::Value,
                node.span,
                format!("`{key}` is a number, found {}", node.described()),
            ));
        }
        number
    }

    fn required_number(&mut self, fields: &Fields<'_>, key: &str) -> Option<f64> {
        let node = self.required(fields, key)?;
        self.number(node, key)
    }

    /// The entries of a map whose keys the author chooses. A missing or empty map has none.
    fn map<'a>(&mut self, node: Option<&'a Node>, key: &str) -> &'a [(Name, Node)] {
        match node {
            None => &[],
            Some(Node { tree: NodeTree::Map(entries), .. }) => entries,
            Some(node) if node.is_null() => &[],
            Some(node) => {
                let message = format!("`{key}` is a map, found {}", node.described());
                let error = Diagnostic::new(Class::Shape, node.span, message);
                self.error(match foreign::example_of_map(key) {
                    Some(example) => error.hint(example),
                    None => error.hint("a map is `{ key: value }`, or a line `key: value` for each entry"),
                });
                &[]
            }
        }
    }

    fn list<'a>(&mut self, node: Option<&'a Node>, key: &str) -> &'a [Node] {
        match node {
            None => &[],
            Some(Node { tree: NodeTree::List(items), .. }) => items,
            Some(node) => {
                self.error(
                    Diagnostic::new(Class::Shape, node.span, format!("`{key}` is a list, found {}", node.described()))
                        .hint("each entry begins with `- `"),
                );
                &[]
            }
        }
    }

    fn check_name(&mut self, name: &Name, what: &str) {
        let legal = name.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let begins = name.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !legal || !begins {
            self.error(
                Diagnostic::new(
                    Class::Shape,
                    name.span,
                    format!("`{}` cannot be the name of {what}", super::shortened(&name.text)),
                )
                .hint("a name begins with a letter and has letters, digits, `_` and `-`"),
            );
        } else if matches!(name.text.as_str(), "params" | "each") {
            self.error(Diagnostic::new(
                Class::Shape,
                name.span,
                format!("`{}` cannot be the name of {what}: `${}` means something else", name.text, name.text),
            ));
        }
    }
}

/// Whether a map has what a stage does.
fn is_work(node: &Node) -> bool {
    node.get("run").or_else(|| node.get("uses")).is_some()
}

/// Whether a text names a command or script rather than a stage kind.
fn is_command(text: &str) -> bool {
    let script = [".py", ".r", ".sh", ".m", ".jl", ".ipynb", ".pl"];
    text.trim().contains(char::is_whitespace) || script.iter().any(|ending| text.to_lowercase().ends_with(ending))
}

/// `{ type: ..., required/default/about: ... }` rather than a map that is a value.
fn is_declaration(node: &Node) -> bool {
    match &node.tree {
        NodeTree::Map(entries) => {
            let has_type = entries.iter().any(|(name, value)| name.text == "type" && value.written().is_some());
            has_type && entries.iter().all(|(name, _)| keys::PARAM.has(&name.text))
                || entries.iter().any(|(name, value)| {
                    name.text == "required" && matches!(value.value(), pipe_contract::Value::Bool(_))
                })
        }
        _ => false,
    }
}

fn inferred(node: &Node) -> Option<ParamType> {
    match &node.tree {
        NodeTree::List(_) => Some(ParamType::List),
        NodeTree::Map(entries) if matches!(entries.as_slice(), [(name, _)] if name.text == "lines") => {
            Some(ParamType::List)
        }
        NodeTree::Map(_) => Some(ParamType::Map),
        NodeTree::Scalar { .. } => match node.value() {
            pipe_contract::Value::Bool(_) => Some(ParamType::Bool),
            pipe_contract::Value::Int(_) => Some(ParamType::Int),
            pipe_contract::Value::Float(_) => Some(ParamType::Float),
            pipe_contract::Value::Text(_) => Some(ParamType::Text),
            _ => None,
        },
    }
}

fn whole(node: &Node) -> Option<i64> {
    match node.value() {
        pipe_contract::Value::Int(number) => Some(number),
        _ => None,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
