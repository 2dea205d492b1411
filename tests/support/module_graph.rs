//! Which file of a crate uses which, read from its tokens: `use`, paths in code, and what is re-exported from where.
//!
//! A file that re-exports a name does not use it, unless its own code does; who imports the name from there uses the file
//! that defines it. So a `mod.rs` may list what is in its folder, and its folder may use what it re-exports. Code under
//! `#[cfg(test)]` is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module of a crate, by the names from its root.
type Module = Vec<String>;

/// The modules of one crate that are files.
pub struct ModuleGraph {
    root: PathBuf,
    files: BTreeMap<Module, Source>,
}

/// What the tokens of one file say.
#[derive(Default)]
struct Source {
    imports: Vec<Import>,
    /// Paths in code, single names included.
    paths: BTreeSet<Vec<String>>,
    /// Items at its top level.
    defines: BTreeSet<String>,
    /// Names of its modules that are only there in tests.
    test_modules: BTreeSet<String>,
}

/// One name that a `use` brings in; `*` for all.
struct Import {
    path: Vec<String>,
    name: String,
    is_public: bool,
}

impl ModuleGraph {
    /// Reads the crate whose root file (`lib.rs` or else `main.rs`) is in this folder.
    pub fn read(root: &Path) -> Self {
        let lib = root.join("lib.rs");
        let root_file = if lib.is_file() { lib } else { root.join("main.rs") };
        let mut graph = Self { root: root.to_owned(), files: BTreeMap::new() };
        graph.add(Vec::new(), &root_file);
        graph.add_folder(&Vec::new(), root, &root_file);
        graph.drop_tests();
        graph
    }

    fn add(&mut self, module: Module, file: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
        let mut source = Source::default();
        source.take(&tokens.into_iter().collect::<Vec<_>>(), true);
        self.files.insert(module, source);
    }

    fn add_folder(&mut self, module: &Module, folder: &Path, root_file: &Path) {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()))
            .map(|entry| entry.expect("a folder entry").path())
            .collect();
        entries.sort();
        for path in entries {
            let stem = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            let mut below = module.clone();
            below.push(stem.clone());
            if path.is_dir() {
                if path.join("mod.rs").is_file() || folder.join(format!("{stem}.rs")).is_file() {
                    self.add_folder(&below, &path, root_file);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") && path != root_file {
                match stem.as_str() {
                    "mod" => self.add(module.clone(), &path),
                    // The second root of a crate that has both.
                    "main" => {}
                    _ => self.add(below, &path),
                }
            }
        }
    }

    fn drop_tests(&mut self) {
        let tests: Vec<Module> = self
            .files
            .iter()
            .flat_map(|(module, source)| source.test_modules.iter().map(|name| child(module, name)))
            .collect();
        self.files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    }

    /// The modules that each module uses, itself not among them.
    pub fn uses(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let uses = |(module, source): (&Module, &Source)| {
            let mut used = BTreeSet::new();
            for import in &source.imports {
                let targets = self.targets(module, &import.path, &import.name);
                let names = |target: &Module| match import.name.as_str() {
                    "*" => self.files[target].defines.clone(),
                    name => BTreeSet::from([name.to_owned()]),
                };
                let in_code = |name: &String| source.paths.iter().any(|path| path.first() == Some(name));
                used.extend(targets.into_iter().filter(|to| !import.is_public || names(to).iter().any(in_code)));
            }
            for path in &source.paths {
                // Alone, these are of `pub(super)` and the like.
                let is_relative = path.len() > 1 && ["crate", "self", "super"].contains(&path[0].as_str());
                let is_child = path.len() > 1 && self.files.contains_key(&child(module, &path[0]));
                if is_relative || is_child {
                    let (name, before) = path.split_last().expect("a path has a name");
                    used.extend(self.targets(module, before, name));
                }
            }
            used.remove(module);
            (module.clone(), used)
        };
        self.files.iter().map(uses).collect()
    }

    /// The modules in which `name` of `path`, as it is written in `module`, is defined.
    fn targets(&self, module: &Module, path: &[String], name: &str) -> BTreeSet<Module> {
        let mut names: Vec<&str> = path.iter().map(String::as_str).collect();
        if name != "*" {
            names.push(name);
        }
        let Some(target) = self.resolve(module, &names, 0) else { return BTreeSet::new() };
        if name != "*" {
            return BTreeSet::from([target]);
        }
        // All names of a module: it and what it re-exports.
        let source = &self.files[&target];
        let exported = source.imports.iter().filter(|import| import.is_public);
        let mut all: BTreeSet<Module> =
            exported.flat_map(|import| self.targets(&target, &import.path, &import.name)).collect();
        if !source.defines.is_empty() {
            all.insert(target);
        }
        all
    }

    /// The module that defines what a path leads to; `None` if it leads out of the crate.
    fn resolve(&self, module: &Module, names: &[&str], depth: usize) -> Option<Module> {
        let (mut at, mut rest) = match names.first() {
            Some(&"crate") => (Vec::new(), &names[1..]),
            Some(&"self") => (module.clone(), &names[1..]),
            Some(&"super") => (parent(module), &names[1..]),
            Some(first) if self.files.contains_key(&child(module, first)) => (module.clone(), names),
            _ => return None,
        };
        while rest.first() == Some(&"super") {
            (at, rest) = (parent(&at), &rest[1..]);
        }
        while let Some(name) = rest.first() {
            let below = child(&at, name);
            if !self.files.contains_key(&below) {
                return self.item(&at, name, depth);
            }
            (at, rest) = (below, &rest[1..]);
        }
        self.files.contains_key(&at).then_some(at)
    }

    /// The module that defines an item that is found in a module.
    fn item(&self, module: &Module, name: &str, depth: usize) -> Option<Module> {
        let source = self.files.get(module)?;
        if source.defines.contains(name) || depth > 8 {
            return Some(module.clone());
        }
        let through = |import: &Import| {
            let mut names: Vec<&str> = import.path.iter().map(String::as_str).collect();
            if import.name != "*" {
                names.push(&import.name);
                return (import.name == name).then(|| self.resolve(module, &names, depth + 1)).flatten();
            }
            let target = self.resolve(module, &names, depth + 1)?;
            self.files[&target].defines.contains(name).then_some(target)
        };
        source.imports.iter().find_map(through).or_else(|| Some(module.clone()))
    }

    /// Groups of files that use each other, directly or through others.
    pub fn cycles(&self) -> Vec<BTreeSet<String>> {
        let uses = self.uses();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            uses.keys().map(|module| (module, reachable(&uses, module))).collect();
        let mut cycles = BTreeSet::new();
        for (module, reached_from) in &reached {
            let back = reached_from.iter().filter(|other| reached[**other].contains(*module));
            let cycle: BTreeSet<String> = back.map(|other| self.name(other)).collect();
            if cycle.len() > 1 {
                cycles.insert(cycle);
            }
        }
        cycles.into_iter().collect()
    }

    /// The file of a module, below the crate's folder.
    pub fn name(&self, module: &Module) -> String {
        let joined = module.join("/");
        let candidates =
            [format!("{joined}.rs"), format!("{joined}/mod.rs"), "lib.rs".to_owned(), "main.rs".to_owned()];
        let found = candidates.into_iter().find(|name| !name.starts_with(['.', '/']) && self.root.join(name).is_file());
        found.expect("every module is a file")
    }
}

fn reachable<'g>(uses: &'g BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<&'g Module> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Module> = uses[from].iter().collect();
    while let Some(module) = open.pop() {
        if found.insert(module) {
            open.extend(&uses[module]);
        }
    }
    found
}

fn child(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn parent(module: &Module) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

impl Source {
    /// Takes in tokens: of the file itself (`at_top`), or of something inside braces.
    fn take(&mut self, tokens: &[TokenTree], at_top: bool) {
        let mut at = 0;
        while at < tokens.len() {
            if is_test_attribute(tokens, at) {
                at = self.skip_item(tokens, at + 2);
            } else if is_word(tokens.get(at), "use") && is_statement(tokens, at) {
                let end = (at..tokens.len()).find(|end| is_punct(tokens.get(*end), ';')).unwrap_or(tokens.len());
                let is_public = is_visible(tokens, at);
                self.import(&tokens[at + 1..end], &mut Vec::new(), is_public);
                at = end + 1;
            } else {
                at = self.take_one(tokens, at, at_top);
            }
        }
    }

    fn take_one(&mut self, tokens: &[TokenTree], at: usize, at_top: bool) -> usize {
        match &tokens[at] {
            TokenTree::Group(group) => {
                self.take(&group.stream().into_iter().collect::<Vec<_>>(), false);
                at + 1
            }
            TokenTree::Ident(ident) => {
                let word = ident.to_string();
                const ITEMS: [&str; 9] = ["struct", "enum", "fn", "trait", "type", "const", "static", "union", "mod"];
                if at_top
                    && ITEMS.contains(&word.as_str())
                    && let Some(TokenTree::Ident(name)) = tokens.get(at + 1)
                {
                    self.defines.insert(name.to_string());
                    return at + 2;
                }
                let (path, end) = path_at(tokens, at);
                self.paths.insert(path);
                end
            }
            _ => at + 1,
        }
    }

    /// Skips an item that is only there in tests; returns where the next one begins.
    fn skip_item(&mut self, tokens: &[TokenTree], from: usize) -> usize {
        for at in from..tokens.len() {
            if is_word(tokens.get(at), "mod")
                && let Some(TokenTree::Ident(name)) = tokens.get(at + 1)
            {
                self.test_modules.insert(name.to_string());
            }
            let is_body = matches!(&tokens[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            // In a list, such as of fields or arms, an item ends at a comma.
            if is_body || is_punct(tokens.get(at), ';') || is_punct(tokens.get(at), ',') {
                return at + 1;
            }
        }
        tokens.len()
    }

    /// Takes in the tree of a `use`.
    fn import(&mut self, tokens: &[TokenTree], path: &mut Vec<String>, is_public: bool) {
        let depth = path.len();
        for part in tokens.split(|token| is_punct(Some(token), ',')) {
            path.truncate(depth);
            let mut last = None;
            for (at, token) in part.iter().enumerate() {
                match token {
                    TokenTree::Ident(ident) if *ident == "as" => break,
                    TokenTree::Ident(ident) => path.extend(last.replace(ident.to_string())),
                    TokenTree::Punct(punct) if punct.as_char() == '*' => path.extend(last.replace("*".into())),
                    TokenTree::Group(group) => {
                        path.extend(last.take());
                        self.import(&group.stream().into_iter().collect::<Vec<_>>(), path, is_public);
                    }
                    _ => debug_assert!(is_punct(part.get(at), ':')),
                }
            }
            match last.as_deref() {
                Some("self") => {
                    if let Some((name, before)) = path.clone().split_last() {
                        self.imports.push(Import { path: before.to_vec(), name: name.clone(), is_public });
                    }
                }
                Some(name) => self.imports.push(Import { path: path.clone(), name: name.to_owned(), is_public }),
                None => {}
            }
        }
        path.truncate(depth);
    }
}

/// The path that begins with an identifier, and where it ends.
fn path_at(tokens: &[TokenTree], from: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = from;
    while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
        path.push(ident.to_string());
        at += 1;
        if !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
            break;
        }
        at += 2;
    }
    (path, at)
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_word(token: Option<&TokenTree>, wanted: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if *ident == wanted)
}

/// Whether a `use` here begins a statement; in a type, `use<...>` lists what is captured.
fn is_statement(tokens: &[TokenTree], at: usize) -> bool {
    !is_punct(tokens.get(at + 1), '<')
}

/// Whether an item that begins here has a `pub` before it.
fn is_visible(tokens: &[TokenTree], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    is_word(before(1), "pub") || (matches!(before(1), Some(TokenTree::Group(_))) && is_word(before(2), "pub"))
}

/// Whether `#[cfg(test)]`, or one with more conditions, is here.
fn is_test_attribute(tokens: &[TokenTree], at: usize) -> bool {
    let Some(TokenTree::Group(group)) = tokens.get(at + 1).filter(|_| is_punct(tokens.get(at), '#')) else {
        return false;
    };
    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
    let conditions = match inside.get(1) {
        Some(TokenTree::Group(conditions)) if is_word(inside.first(), "cfg") => conditions.to_string(),
        _ => return false,
    };
    conditions.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test") && !conditions.contains("not")
}

/// All Rust files below a folder, with their text; nested crates are left out.
pub fn rust_sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() {
            found.extend(rust_sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
            found.push((path, text));
        }
    }
    found.sort();
    found
}
