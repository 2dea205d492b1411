//! One profile applied: which stages, results and releases there are, and the value of every parameter.
//!
//! Precedence: file < `extends` chain < profile < `--set`. Scalars and lists replace, maps merge by key,
//! `{ keep: [...] }` narrows, `{ lines: FILE }` reads a list.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::Value;

use super::param_value::{ParamOrigin, ParamValue};
use super::plan_options::PlanOptions;
use super::set_option::{self, SetOption};
use crate::diag::{Class, Diagnostic, SourceTexts, Span};
use crate::spec::{
    self, Name, NamedStage, Node, NodeTree, ParamDecl, ParamType, ProfileDecl, ReleaseDecl, ResultDecl, ScalarStyle,
    Spec, Written,
};

/// A parameter with its value.
pub(super) struct ProfileParam {
    pub node: Node,
    pub origin: ParamOrigin,
    /// Values that `{ keep: [...] }` removed: `drop:` may still name them.
    pub narrowed: BTreeSet<String>,
}

/// A pipeline under one profile, before any stage is resolved.
pub(super) struct Applied<'a> {
    pub profile: Option<&'a ProfileDecl>,
    pub simulated: bool,
    pub stages: Vec<&'a NamedStage>,
    pub removed: BTreeMap<String, Span>,
    pub elsewhere: BTreeMap<String, String>,
    pub results: Vec<&'a ResultDecl>,
    pub releases: Vec<&'a ReleaseDecl>,
    pub params: BTreeMap<String, ProfileParam>,
}

impl Applied<'_> {
    /// The value of every parameter.
    pub fn values(&self) -> BTreeMap<String, ParamValue> {
        let value = |param: &ProfileParam| ParamValue { value: param.node.spelled(), origin: param.origin };
        self.params.iter().map(|(name, param)| (name.clone(), value(param))).collect()
    }
}

/// Applies the profile that the options name, or the default one.
pub(super) fn apply<'a>(
    spec: &'a Spec,
    options: &PlanOptions,
    sources: &mut SourceTexts,
    errors: &mut Vec<Diagnostic>,
) -> Option<Applied<'a>> {
    let profile = choose(spec, options.profile.as_deref(), errors)?;
    let chain = chain(spec, profile, errors)?;
    let mut removed = BTreeMap::new();
    let stages = stages(spec, &chain, &mut removed, errors);
    let names: BTreeSet<&str> = stages.iter().map(|entry| entry.name.text.as_str()).collect();
    let elsewhere = spec
        .profiles
        .iter()
        .flat_map(|profile| profile.stages.iter().map(move |entry| (entry, profile)))
        .filter(|(entry, _)| entry.body.is_some() && !names.contains(entry.name.text.as_str()))
        .map(|(entry, profile)| (entry.name.text.clone(), profile.name.text.clone()))
        .collect();
    Some(Applied {
        profile,
        simulated: chain.iter().rev().find_map(|profile| profile.simulated).unwrap_or(false),
        stages,
        removed,
        elsewhere,
        results: results(spec, &chain),
        releases: spec.releases.iter().chain(chain.iter().flat_map(|profile| &profile.releases)).collect(),
        params: params(spec, &chain, options, sources, errors),
    })
}

/// The named profile; else the default one; else none if the file has none.
fn choose<'a>(spec: &'a Spec, wanted: Option<&str>, errors: &mut Vec<Diagnostic>) -> Option<Option<&'a ProfileDecl>> {
    let names = || spec.profiles.iter().map(|profile| profile.name.text.as_str());
    let top = spec.name.span;
    if let Some(wanted) = wanted {
        let found = spec.profiles.iter().find(|profile| profile.name.text == wanted);
        if found.is_none() {
            let error = Diagnostic::new(
                Class::Profile,
                top,
                format!("pipeline `{}` has no profile `{wanted}`", spec.name.text),
            );
            errors.push(error.known("its profiles", wanted, names()));
        }
        return found.map(Some);
    }
    let defaults: Vec<&ProfileDecl> = spec.profiles.iter().filter(|profile| profile.default).collect();
    match (defaults.as_slice(), spec.profiles.as_slice()) {
        ([one], _) => Some(Some(one)),
        ([first, second, ..], _) => {
            let error = Diagnostic::new(Class::Profile, second.name.span, "two profiles have `default: true`");
            errors.push(
                error
                    .label("also default")
                    .also(first.name.span, "already default")
                    .hint("one profile can be the default"),
            );
            None
        }
        ([], []) => Some(None),
        ([], _) => {
            let names: Vec<&str> = names().collect();
            let error = Diagnostic::new(
                Class::Profile,
                top,
                "this pipeline has profiles, but none is the default and none was named",
            );
            errors.push(error.hint(format!(
                "name one with `--profile`: {}; or write `default: true` in one",
                crate::diag::list(&names, 8)
            )));
            None
        }
    }
}

/// The profile and everything it extends, outermost ancestor first.
fn chain<'a>(
    spec: &'a Spec,
    profile: Option<&'a ProfileDecl>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Vec<&'a ProfileDecl>> {
    let mut chain: Vec<&ProfileDecl> = Vec::new();
    let mut next = profile;
    while let Some(profile) = next {
        chain.push(profile);
        let Some(parent) = &profile.extends else { break };
        let Some(found) = spec.profiles.iter().find(|candidate| candidate.name.text == parent.text) else {
            let error = Diagnostic::new(
                Class::Profile,
                parent.span,
                format!("profile `{}` extends `{}`, which does not exist", profile.name.text, parent.text),
            );
            errors.push(error.known(
                "profiles",
                &parent.text,
                spec.profiles.iter().map(|profile| profile.name.text.as_str()),
            ));
            return None;
        };
        if chain.iter().any(|seen| std::ptr::eq(*seen, found)) {
            let names: Vec<String> =
                chain.iter().chain([&found]).map(|profile| format!("`{}`", profile.name.text)).collect();
            let error = Diagnostic::new(
                Class::Profile,
                parent.span,
                format!("profile `{}` extends itself: {}", found.name.text, names.join(" extends ")),
            );
            errors.push(error.hint("remove one `extends:`"));
            return None;
        }
        next = Some(found);
    }
    chain.reverse();
    Some(chain)
}

/// Stages in the order of the files; a replaced one takes the position of its replacement.
fn stages<'a>(
    spec: &'a Spec,
    chain: &[&'a ProfileDecl],
    removed: &mut BTreeMap<String, Span>,
    errors: &mut Vec<Diagnostic>,
) -> Vec<&'a NamedStage> {
    let mut stages: BTreeMap<&str, &NamedStage> = BTreeMap::new();
    for entry in spec.stages.iter().chain(chain.iter().flat_map(|profile| &profile.stages)) {
        if entry.body.is_some() {
            stages.insert(&entry.name.text, entry);
            removed.remove(&entry.name.text);
            continue;
        }
        stages.remove(entry.name.text.as_str());
        removed.insert(entry.name.text.clone(), entry.name.span);
        let everywhere = || spec.stages.iter().chain(spec.profiles.iter().flat_map(|profile| &profile.stages));
        if !everywhere().any(|other| other.body.is_some() && other.name.text == entry.name.text) {
            let error = Diagnostic::new(
                Class::UnknownName,
                entry.name.span,
                format!("`{}: none` removes a stage that is not declared", entry.name.text),
            );
            errors.push(error.known(
                "stages",
                &entry.name.text,
                everywhere().filter(|other| other.body.is_some()).map(|other| other.name.text.as_str()),
            ));
        }
    }
    let mut stages: Vec<&NamedStage> = stages.into_values().collect();
    stages.sort_by_key(|entry| entry.name.span);
    stages
}

fn results<'a>(spec: &'a Spec, chain: &[&'a ProfileDecl]) -> Vec<&'a ResultDecl> {
    let mut results: BTreeMap<&str, &ResultDecl> = BTreeMap::new();
    for result in spec.results.iter().chain(chain.iter().flat_map(|profile| &profile.results)) {
        results.insert(&result.path.text, result);
    }
    let mut results: Vec<&ResultDecl> = results.into_values().filter(|result| result.artifact.is_some()).collect();
    results.sort_by_key(|result| result.path.span);
    results
}

/// Every parameter with its value.
fn params(
    spec: &Spec,
    chain: &[&ProfileDecl],
    options: &PlanOptions,
    sources: &mut SourceTexts,
    errors: &mut Vec<Diagnostic>,
) -> BTreeMap<String, ProfileParam> {
    let is_declared = |name: &str| spec.params.iter().any(|decl| decl.name.text == name);
    let set = set_option::read(options, is_declared, sources, errors);
    let mut check = |name: &Name| {
        if !is_declared(&name.text) {
            let error = Diagnostic::new(
                Class::UnknownName,
                name.span,
                format!("unknown parameter `{}`: only declared ones can be set", name.text),
            );
            let names = || spec.params.iter().map(|decl| decl.name.text.as_str());
            // Of a field, the param may be the misspelt part.
            let whole = name.text.as_str();
            let misspelt = match crate::diag::nearest(whole, names()) {
                Some(_) => whole,
                None => whole.split('.').next().unwrap_or(whole),
            };
            errors.push(error.known("declared parameters", misspelt, names()));
        }
    };
    chain.iter().flat_map(|profile| &profile.params).for_each(|(name, _)| check(name));
    set.iter().for_each(|option| check(&option.name));

    let mut params = BTreeMap::new();
    for decl in &spec.params {
        let profiles = chain.iter().flat_map(|profile| &profile.params);
        let profiles = profiles.filter(|(name, _)| name.text == decl.name.text);
        let profiles = profiles.map(|(_, node)| Layer::Whole(ParamOrigin::Profile, node));
        let set = set.iter().filter(|option| option.name.text == decl.name.text).map(|option| match option.path[..] {
            [] => Layer::Whole(ParamOrigin::Set, &option.node),
            _ => Layer::Field(option),
        });
        let layers: Vec<Layer<'_>> = profiles.chain(set).collect();
        if let Some(param) = param(decl, &layers, &params, sources, errors) {
            params.insert(decl.name.text.clone(), param);
        } else if decl.default.is_none() && decl.given.is_none() && layers.is_empty() {
            let profile =
                chain.last().map(|profile| format!(" in profile `{}`", profile.name.text)).unwrap_or_default();
            let error = Diagnostic::new(
                Class::Missing,
                decl.name.span,
                format!("parameter `{}` has no value{profile}", decl.name.text),
            );
            errors
                .push(error.hint(format!("set it in the profile's `params:`, or with `--set {}=...`", decl.name.text)));
        }
    }
    params
}

/// What one place says about the value of a param.
#[derive(Clone, Copy)]
enum Layer<'a> {
    /// All that it says.
    Whole(ParamOrigin, &'a Node),
    /// `--set` of a field.
    Field(&'a SetOption),
}

/// One parameter after all layers. `None` without a value or with a wrong one (which is reported).
fn param(
    decl: &ParamDecl,
    layers: &[Layer<'_>],
    before: &BTreeMap<String, ProfileParam>,
    sources: &mut SourceTexts,
    errors: &mut Vec<Diagnostic>,
) -> Option<ProfileParam> {
    let mut param: Option<ProfileParam> = None;
    let given = decl.given.as_ref().and_then(|(scope, node)| match outer_value(node, scope, before, sources) {
        Ok(node) => Some(node),
        Err(error) => {
            errors.push(error);
            None
        }
    });
    let declared = decl.default.iter().map(|node| Layer::Whole(ParamOrigin::File, node));
    let given = given.iter().map(|node| Layer::Whole(ParamOrigin::Include, node));
    for layer in declared.chain(given).chain(layers.iter().copied()) {
        let base = param.take();
        let next = match layer {
            Layer::Whole(origin, node) => lay(decl, base, (origin, node), sources),
            Layer::Field(option) => lay_field(decl, base, option),
        };
        match next {
            Ok(next) => param = Some(next),
            Err(error) => {
                errors.push(error);
                return None;
            }
        }
    }
    param
}

/// A value that an including file gives may be one of its own parameters.
fn outer_value(
    node: &Node,
    scope: &str,
    params: &BTreeMap<String, ProfileParam>,
    sources: &SourceTexts,
) -> Result<Node, Diagnostic> {
    let NodeTree::Scalar { .. } = node.tree else { return Ok(node.clone()) };
    let Written::Reference(reference) = spec::read_written(sources, node)? else { return Ok(node.clone()) };
    let path = reference.path();
    let found = match path.as_slice() {
        ["params", name] if reference.chosen.is_empty() => {
            params.get(&format!("{scope}{name}")).or_else(|| params.get(*name))
        }
        _ => None,
    };
    found.map(|param| Node { span: node.span, tree: param.node.tree.clone() }).ok_or_else(|| {
        let error = Diagnostic::new(
            Class::UnknownName,
            node.span,
            format!("`{}` is not a parameter of the including file", reference.text),
        );
        error.known("parameters", path.last().copied().unwrap_or_default(), params.keys().map(String::as_str))
    })
}

/// Applies one layer to the value of the layers below it.
fn lay(
    decl: &ParamDecl,
    base: Option<ProfileParam>,
    (origin, layer): (ParamOrigin, &Node),
    sources: &mut SourceTexts,
) -> Result<ProfileParam, Diagnostic> {
    let mut narrowed = base.as_ref().map(|base| base.narrowed.clone()).unwrap_or_default();
    if let Some((key, names)) = single(layer, "keep").filter(|_| base.is_some()) {
        let base = base.map(|base| base.node).unwrap_or_else(|| layer.clone());
        let node = narrow(decl, base, key, names, &mut narrowed)?;
        return Ok(ProfileParam { node, origin, narrowed });
    }
    let layer = match single(layer, "lines") {
        Some((_, file)) if decl.of == ParamType::List => lines(decl, file, sources)?,
        _ => layer.clone(),
    };
    let typed = of_type(decl, layer)?;
    let node = match base {
        Some(base) => merge(base.node, typed),
        None => typed,
    };
    Ok(ProfileParam { node, origin, narrowed })
}

/// Applies `--set` of a field to the value of the layers below it.
fn lay_field(decl: &ParamDecl, base: Option<ProfileParam>, option: &SetOption) -> Result<ProfileParam, Diagnostic> {
    let Some(base) = base else {
        let message = format!("parameter `{}` has no value yet, and so no field to set", decl.name.text);
        return Err(Diagnostic::new(Class::Missing, option.name.span, message)
            .hint(format!("set all of it: `--set '{}={{ ... }}'`", decl.name.text)));
    };
    let layer = option.as_layer(&base.node)?;
    Ok(ProfileParam { node: merge(base.node, layer), origin: ParamOrigin::Set, narrowed: base.narrowed })
}

/// The value of a map that has only this key.
fn single<'n>(node: &'n Node, key: &str) -> Option<(&'n Name, &'n Node)> {
    match &node.tree {
        NodeTree::Map(entries) => match entries.as_slice() {
            [(name, value)] if name.text == key => Some((name, value)),
            _ => None,
        },
        _ => None,
    }
}

fn narrow(
    decl: &ParamDecl,
    base: Node,
    key: &Name,
    names: &Node,
    narrowed: &mut BTreeSet<String>,
) -> Result<Node, Diagnostic> {
    let NodeTree::List(wanted) = &names.tree else {
        return Err(Diagnostic::new(
            Class::Shape,
            names.span,
            format!("`keep` is a list of values, found {}", names.described()),
        ));
    };
    let wanted: Vec<(&str, Span)> =
        wanted.iter().filter_map(|node| node.written().map(|text| (text, node.span))).collect();
    let known: Vec<String> = match &base.tree {
        NodeTree::Map(entries) => entries.iter().map(|(name, _)| name.text.clone()).collect(),
        NodeTree::List(items) => items.iter().filter_map(|item| item.written().map(str::to_owned)).collect(),
        NodeTree::Scalar { .. } => {
            return Err(Diagnostic::new(
                Class::Shape,
                key.span,
                format!("`keep` narrows a list or a map; parameter `{}` is {}", decl.name.text, base.described()),
            ));
        }
    };
    if let Some((unknown, span)) = wanted.iter().find(|(text, _)| !known.iter().any(|known| known == text)) {
        let error = Diagnostic::new(
            Class::UnknownName,
            *span,
            format!("parameter `{}` has no value `{unknown}` to keep", decl.name.text),
        );
        return Err(error.known("its values", unknown, known.iter().map(String::as_str)));
    }
    let kept = |text: &str| wanted.iter().any(|(wanted, _)| *wanted == text);
    narrowed.extend(known.iter().filter(|text| !kept(text)).cloned());
    let tree = match base.tree {
        NodeTree::Map(entries) => NodeTree::Map(entries.into_iter().filter(|(name, _)| kept(&name.text)).collect()),
        NodeTree::List(items) => {
            NodeTree::List(items.into_iter().filter(|item| item.written().is_some_and(kept)).collect())
        }
        scalar => scalar,
    };
    Ok(Node { span: names.span, tree })
}

/// The lines of a file without comments (`#` at the start of a line or after a space) and without blank ones; each with
/// its place in that file.
fn lines(decl: &ParamDecl, file: &Node, sources: &mut SourceTexts) -> Result<Node, Diagnostic> {
    let Some(name) = file.written() else {
        return Err(Diagnostic::new(
            Class::Shape,
            file.span,
            format!("`lines` is the name of a file, found {}", file.described()),
        ));
    };
    let beside = std::path::Path::new(&sources.get(file.span.file).shown).parent().map(|parent| parent.join(name));
    let shown = beside.map_or_else(|| name.to_owned(), |path| path.display().to_string());
    let number = spec::open(sources, &decl.folder.join(name), &shown).map_err(|message| {
        Diagnostic::new(Class::File, file.span, message).hint("the file is looked for beside the pipeline file")
    })?;
    let mut items = Vec::new();
    let mut start = 0;
    for line in sources.get(number).text.split_inclusive('\n') {
        let text = without_comment(line).trim();
        if !text.is_empty() {
            let from = start + line.find(text).unwrap_or(0);
            let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
            let span = Span { file: number, start: at(from), end: at(from + text.len()) };
            items.push(Node { span, tree: NodeTree::Scalar { text: text.to_owned(), style: ScalarStyle::Plain } });
        }
        start += line.len();
    }
    if items.is_empty() {
        return Err(Diagnostic::new(Class::Value, file.span, format!("`{shown}` has no lines"))
            .hint("one value a line; blank lines do not count, and a comment begins with `#`"));
    }
    Ok(Node { span: file.span, tree: NodeTree::List(items) })
}

/// `100206  # scanned twice` is `100206`; a `#` inside a word belongs to the word.
fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    line.match_indices('#').map(|(at, _)| at).find(begins).map_or(line, |at| &line[..at])
}

/// Checks a value against the declared type; text becomes text whatever it looks like.
fn of_type(decl: &ParamDecl, node: Node) -> Result<Node, Diagnostic> {
    let value = node.value();
    let fits = match decl.of {
        ParamType::List => matches!(value, Value::List(_)),
        ParamType::Map => matches!(value, Value::Map(_)),
        ParamType::Text => !matches!(value, Value::List(_) | Value::Map(_) | Value::Null),
        ParamType::Int => matches!(value, Value::Int(_)),
        ParamType::Float => matches!(value, Value::Int(_) | Value::Float(_)),
        ParamType::Bool => matches!(value, Value::Bool(_)),
    };
    if !fits {
        let error = Diagnostic::new(
            Class::Value,
            node.span,
            format!("parameter `{}` is of type {}, found {}", decl.name.text, decl.of.word(), node.described()),
        );
        let error = if decl.name.span == node.span { error } else { error.also(decl.name.span, "declared here") };
        return Err(match decl.of {
            ParamType::List => error.hint("a list is `[a, b]`, or `{ lines: FILE }` for one value a line"),
            ParamType::Bool => error.hint("write `true` or `false`"),
            _ => error,
        });
    }
    match (decl.of, node.tree) {
        (ParamType::Text, NodeTree::Scalar { text, .. }) => {
            Ok(Node { span: node.span, tree: NodeTree::Scalar { text, style: ScalarStyle::Quoted } })
        }
        (_, tree) => Ok(Node { span: node.span, tree }),
    }
}

/// Maps merge by key; everything else is replaced.
fn merge(base: Node, over: Node) -> Node {
    match (base.tree, over.tree) {
        (NodeTree::Map(mut entries), NodeTree::Map(additions)) => {
            for (name, node) in additions {
                match entries.iter_mut().find(|(known, _)| known.text == name.text) {
                    Some((_, known)) => *known = merge(known.clone(), node),
                    None => entries.push((name, node)),
                }
            }
            Node { span: over.span, tree: NodeTree::Map(entries) }
        }
        (_, tree) => Node { span: over.span, tree },
    }
}
