//! What a plan publishes and checks: results under their file names, claims about table cells, releases of restricted
//! ports.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::Form;

use super::draft::Draft;
use super::env::Env;
use super::names::{is_safe, no_entry};
use super::planning::{Planning, Target};
use super::resolved::{Claim, Published, Release, ReleaseWhy};
use crate::diag::{Class, Diagnostic, Span};
use crate::ids::StageId;
use crate::spec::{
    self, ClaimDecl, Name, Node, Pick, Reference, ReleaseDecl, ReleaseWhyDecl, ResultDecl, TextPiece, Written,
};

/// A reference that is read from outside of any stage: which cells it names.
struct Outside<'r> {
    stage: usize,
    port: &'r str,
    entry: Option<String>,
    /// Value index by axis, where the selector picks.
    picked: Vec<Option<u32>>,
}

fn reference(env: &Env<'_>, name: &Name, what: &str) -> Result<Reference, Diagnostic> {
    match spec::read_written(env.sources, &Node::text(name.span, name.text.clone()))? {
        Written::Reference(reference) if !reference.is_value() => Ok(reference),
        _ => {
            let message = format!("{what} is a reference to an artifact, found text `{}`", spec::shortened(&name.text));
            let error = Diagnostic::new(Class::Reference, name.span, message);
            let stage = name.text.split_once(['.', '(']).map(|(stage, _)| stage);
            Err(match stage.and_then(|stage| env.find(stage, "")) {
                Some(_) => error.hint(format!("write `${}`", name.text)),
                None => error.hint("for example `$stage.port`"),
            })
        }
    }
}

/// The artifact that a result or claim is about; `without` is what to do where its stage is removed.
fn outside<'r>(context: &Planning<'_>, reference: &'r Reference, without: &str) -> Result<Outside<'r>, Diagnostic> {
    let (stage, port) = match context.target(reference, "")? {
        Target::Port { stage, port } => (stage, port),
        Target::Removed { at } => {
            let message = format!("`{}` reads a stage that this profile removes", reference.text);
            return Err(Diagnostic::new(Class::Profile, reference.span, message)
                .also(at, "removed here")
                .hint(without));
        }
    };
    let target = &context.drafts[stage];
    target.check_output(port, reference.span)?;
    let mut picked = vec![None; target.axes.len()];
    for selector in &reference.selectors {
        let (Some(axis), Pick::One(pieces)) = (&selector.axis, &selector.pick) else {
            return Err(Diagnostic::new(
                Class::Axes,
                selector.span,
                "a result is one artifact, so nothing can be gathered here",
            )
            .hint("put `${axis}` into the name to publish every cell, or pick one: `axis=value`"));
        };
        let number = target.axis(axis, selector.span)?;
        let text = context.env.text(pieces, "", None)?;
        picked[number] = Some(target.axes[number].find(&text, selector.span)?);
    }
    let entry = reference.entry.as_ref().map(|pieces| context.env.text(pieces, "", None)).transpose()?;
    if let Some(entry) = entry.as_deref().filter(|entry| !is_safe(entry)) {
        return Err(no_entry(entry, reference.span));
    }
    Ok(Outside { stage, port, entry, picked })
}

/// Results by path, with the place of each in the file.
#[derive(Default)]
struct Paths(BTreeMap<String, Span>);

impl Paths {
    /// Takes a path, unless it is taken or one lies inside the other.
    fn take(&mut self, path: &str, span: Span) -> Result<(), Diagnostic> {
        let bare = path.trim_end_matches('/');
        let above = bare.match_indices('/').map(|(end, _)| &bare[..end]);
        let inside = format!("{bare}/");
        let below = self.0.range(inside.clone()..).next().filter(|(other, _)| other.starts_with(&inside));
        let taken = above.chain([bare]).find_map(|path| self.0.get_key_value(path)).or(below);
        let Some((other, first)) = taken else {
            self.0.insert(bare.to_owned(), span);
            return Ok(());
        };
        let message = if other == bare {
            format!("two results would be called `{path}`")
        } else {
            format!("results `{other}` and `{path}` overlap: one is inside the other")
        };
        let error = Diagnostic::new(Class::Collision, span, message);
        Err(if *first == span {
            error.hint("put the axes into the name: `name_${axis}.csv`, or pick one cell: `$stage(axis=value).port`")
        } else {
            error.label("again here").also(*first, "first here").hint("give each result a name of its own")
        })
    }
}

/// All results.
pub(super) fn results(context: &Planning<'_>, decls: &[&ResultDecl]) -> Vec<Published> {
    let (mut published, mut paths) = (Vec::new(), Paths::default());
    let mut dictionaries = BTreeMap::new();
    for decl in decls {
        context.env.errors.add_all(result(context, decl, &mut paths, &mut published, &mut dictionaries).err());
    }
    for (path, Dictionary { table, span, .. }) in &dictionaries {
        if let Some(first) = paths.0.get(path) {
            let message = format!("result `{path}` has the name of the data dictionary of `{table}`");
            let error = Diagnostic::new(Class::Collision, *first, message);
            let error = error.also(*span, "the table is here").hint("give one of the two another name");
            context.env.errors.add(error);
        }
    }
    published
}

/// The data dictionary that lies beside a published table.
struct Dictionary {
    /// The path of the table, and its place in the file.
    table: String,
    span: Span,
    /// The stage, cell and port that made the table: its other forms (`split.{csv,parquet}`) have the same dictionary.
    made_by: (usize, u32, String),
}

/// By path.
type Dictionaries = BTreeMap<String, Dictionary>;

/// Notes where the data dictionary of a result will lie, if the result is a table whose columns are declared. (In a published
/// folder there is no place for other results.)
fn note_dictionary(
    target: &Draft<'_>,
    outside: &Outside<'_>,
    (path, cell, span): (&str, u32, Span),
    noted: &mut Dictionaries,
) -> Result<(), Diagnostic> {
    let output = target.kind.and_then(|kind| kind.output_named(outside.port));
    let mut files = output.into_iter().flat_map(|output| &output.tables).flat_map(|described| described.files);
    let extension = |name: &str| Path::new(name).extension().map(|extension| extension.to_owned());
    let is_table = match &outside.entry {
        Some(entry) => files.any(|file| file == entry),
        None => files.any(|file| extension(file) == extension(path)),
    };
    if is_table && !path.ends_with('/') {
        let dictionary = Path::new(path).with_extension("json").to_string_lossy().into_owned();
        let made_by = (outside.stage, cell, outside.port.to_owned());
        if let Some(other) = noted.get(&dictionary).filter(|other| other.made_by != made_by) {
            let message = format!("`{path}` and `{}` would have one data dictionary, `{dictionary}`", other.table);
            let error = Diagnostic::new(Class::Collision, span, message).also(other.span, "the other one is here");
            return Err(error.hint("give one of the two another name"));
        }
        noted.insert(dictionary, Dictionary { table: path.to_owned(), span, made_by });
    }
    Ok(())
}

fn result(
    context: &Planning<'_>,
    decl: &ResultDecl,
    paths: &mut Paths,
    published: &mut Vec<Published>,
    dictionaries: &mut Dictionaries,
) -> Result<(), Diagnostic> {
    let env = &context.env;
    let Some(artifact) = &decl.artifact else { return Ok(()) };
    let reference = reference(env, artifact, "a result")?;
    let without = format!("remove the result in this profile too: `results: {{ \"{}\": none }}`", decl.path.text);
    let outside = outside(context, &reference, &without)?;
    let target = &context.drafts[outside.stage];
    if target.broken {
        return Ok(());
    }
    if let Some(axis) = target.wildcard_in(&decl.path.text) {
        let filled = decl.path.text.replace(&format!("{{{axis}}}"), &format!("${{{axis}}}"));
        let message = format!("nothing fills in `{{{axis}}}` in the name of this result");
        return Err(Diagnostic::new(Class::Reference, decl.path.span, message).hint(format!("write \"{filled}\"")));
    }
    let pieces = match spec::read_written(env.sources, &Node::text(decl.path.span, decl.path.text.clone()))? {
        Written::Plain(text) => vec![TextPiece::Literal(text)],
        Written::Template(pieces) => pieces,
        Written::Reference(reference) => {
            let message = format!("`{}` cannot be the name of a file", reference.text);
            return Err(Diagnostic::new(Class::Reference, decl.path.span, message)
                .hint("write \"${axis}\" inside a quoted name"));
        }
    };
    for cell in target.cells_within(&outside.picked) {
        let name = file_name(env, target, cell as usize, &pieces)?;
        for path in braces(&name) {
            check_reserved(&path, decl.path.span)?;
            check_path(target, &outside, &path, decl.path.span)?;
            paths.take(&path, decl.path.span)?;
            note_dictionary(target, &outside, (&path, cell, decl.path.span), dictionaries)?;
            let link = target.link(cell, outside.port, outside.entry.clone());
            published.push(Published { path, link, place: env.place(decl.path.span) });
        }
    }
    Ok(())
}

/// Names that publishing itself uses: at the top of the results folder, and beside each result.
fn check_reserved(path: &str, span: Span) -> Result<(), Diagnostic> {
    let first = path.split('/').next().unwrap_or_default();
    // A table of such a name would have a sidecar's name for its data dictionary.
    let stem = Path::new(path).file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(".provenance"));
    let sidecar = stem && !path.ends_with('/') || path.trim_end_matches('/').ends_with(".provenance.json");
    if sidecar || matches!(first, ".published" | "parameters.json") || first.starts_with(".publishing") {
        let name = if sidecar { path } else { first };
        let message = format!("`{name}` is a name that pipe itself uses in the results folder");
        return Err(Diagnostic::new(Class::Collision, span, message).hint("give the result another name"));
    }
    Ok(())
}

/// The name with `${axis}` (or `${each.axis}`, `${params.name}`) filled in.
fn file_name(env: &Env<'_>, target: &Draft<'_>, cell: usize, pieces: &[TextPiece]) -> Result<String, Diagnostic> {
    let at = target.cell(cell);
    let mut name = String::new();
    for piece in pieces {
        match piece {
            TextPiece::Literal(literal) => name.push_str(literal),
            TextPiece::Value(reference) if reference.is_value() => name.push_str(
                &env.text(std::slice::from_ref(piece), "", Some(at)).map_err(|error| error_at(error, reference))?,
            ),
            TextPiece::Value(reference) => {
                let axis = target.axis(&reference.path().join("."), reference.span)?;
                name.push_str(&target.axes[axis].values[at.at[axis] as usize].text);
            }
        }
    }
    Ok(name)
}

fn error_at(mut error: Diagnostic, reference: &Reference) -> Diagnostic {
    if let Some(primary) = &mut error.primary {
        primary.span = reference.span;
    }
    error
}

/// `a.{pdf,svg}` is `a.pdf` and `a.svg`; several groups multiply.
fn braces(name: &str) -> Vec<String> {
    let group = name.find('{').and_then(|open| name[open..].find('}').map(|length| (open, open + length)));
    let Some((open, close)) = group else { return vec![name.to_owned()] };
    let rest = braces(&name[close + 1..]);
    let words = name[open + 1..close].split(',');
    words.flat_map(|word| rest.iter().map(move |rest| format!("{}{}{rest}", &name[..open], word.trim()))).collect()
}

fn check_path(target: &Draft<'_>, outside: &Outside<'_>, path: &str, span: Span) -> Result<(), Diagnostic> {
    if !is_safe(path) || path.contains(['{', '}']) {
        let message = format!("`{}` is not the name of a result", spec::shortened(path));
        return Err(Diagnostic::new(Class::Value, span, message)
            .hint("a relative path without `..` and empty parts, such as `tables/dice_${outputs}.csv`; `{a,b}` gives several names"));
    }
    let form = if outside.entry.is_some() { None } else { target.form_of(outside.port) };
    let last = path.rsplit('/').next().unwrap_or_default();
    match form {
        Some(Form::File) if path.ends_with('/') => {
            let message =
                format!("`{path}` names a folder, but `{}` of stage `{}` is a file", outside.port, target.name());
            Err(Diagnostic::new(Class::Value, span, message).hint("remove the last `/`"))
        }
        Some(Form::Folder) if !path.ends_with('/') && !last.contains('.') => {
            let message = format!(
                "`{}` of stage `{}` is a folder: `{path}` names neither the whole folder nor one of its files",
                outside.port,
                target.name()
            );
            Err(Diagnostic::new(Class::Value, span, message)
                .hint(format!("`{path}/` publishes the folder, `{path}.csv` its one file with that extension")))
        }
        _ => Ok(()),
    }
}

/// The claims of this profile, which is one of `profiles`.
pub(super) fn claims(context: &Planning<'_>, decls: &[ClaimDecl], profiles: &[&str]) -> Vec<Claim> {
    let env = &context.env;
    let mut claims = Vec::new();
    for decl in decls {
        if let Some(profile) = &decl.profile {
            if !profiles.contains(&profile.text.as_str()) {
                let error =
                    Diagnostic::new(Class::Profile, profile.span, format!("unknown profile `{}`", profile.text));
                env.errors.add(error.known("profiles", &profile.text, profiles.iter().copied()));
            }
            if env.profile != Some(profile.text.as_str()) {
                continue;
            }
        }
        claims.extend(env.errors.take(claim(context, decl)).flatten());
    }
    claims
}

fn claim(context: &Planning<'_>, decl: &ClaimDecl) -> Result<Option<Claim>, Diagnostic> {
    let reference = reference(&context.env, &decl.table, "the table of a claim")?;
    let without = "name the profile that the claim is about: `profile: NAME`; it is not checked in others";
    let outside = outside(context, &reference, without)?;
    let target = &context.drafts[outside.stage];
    if target.broken {
        return Ok(None);
    }
    let cells = target.cells_within(&outside.picked);
    let [cell] = cells.as_slice() else {
        let message = format!("a claim is about one table, but `{}` names {}", reference.text, cells.len());
        return Err(Diagnostic::new(Class::Axes, reference.span, message).hint(format!(
            "pick one: `${}(axis=value).{}`",
            target.name(),
            outside.port
        )));
    };
    let filter = decl.filter.iter().map(|(column, value)| (column.text.clone(), value.text.clone())).collect();
    let table = target.link(*cell, outside.port, outside.entry);
    Ok(Some(Claim {
        text: decl.text.clone(),
        table,
        filter,
        column: decl.column.clone(),
        equals: decl.equals,
        within: decl.within,
        place: context.env.place(decl.span),
    }))
}

/// The releases of this profile.
pub(super) fn releases(context: &Planning<'_>, decls: &[&ReleaseDecl]) -> Vec<Release> {
    let release = |decl: &&ReleaseDecl| Release {
        ports: {
            let port = |port: &Name| context.env.errors.take(release_port(context, port, &decl.why));
            decl.ports.iter().filter_map(port).flatten().collect()
        },
        why: match &decl.why {
            ReleaseWhyDecl::Aggregate(subjects) => ReleaseWhy::Aggregate(*subjects),
            ReleaseWhyDecl::Approved { because, approved } => {
                ReleaseWhy::Approved { because: because.clone(), approved: approved.clone() }
            }
        },
    };
    decls.iter().map(release).collect()
}

/// The port of a release; `None` if this profile removes its stage, which then has nothing to release.
fn release_port(
    context: &Planning<'_>,
    port: &Name,
    why: &ReleaseWhyDecl,
) -> Result<Option<(StageId, String)>, Diagnostic> {
    let Some((stage, output)) = port.text.trim_start_matches('$').rsplit_once('.') else {
        let message = format!("`{}` is not a port", port.text);
        return Err(Diagnostic::new(Class::Shape, port.span, message).hint("write `stage.port`"));
    };
    let Some(index) = context.env.find(stage, "") else {
        if context.env.removed_at(stage, "").is_some() {
            return Ok(None);
        }
        let message = format!("unknown stage `{stage}`");
        return Err(Diagnostic::new(Class::UnknownName, port.span, message).known(
            "stages",
            stage,
            context.env.index.keys().copied(),
        ));
    };
    let draft = &context.drafts[index];
    draft.check_output(output, port.span)?;
    let aggregates = draft.kind.and_then(|kind| kind.output_named(output)).is_some_and(|output| output.aggregates);
    if matches!(why, ReleaseWhyDecl::Aggregate(_)) && !aggregates && !draft.broken {
        let message =
            format!("nothing counts the subjects behind `{}`, so no rule about their number can hold", port.text);
        return Err(Diagnostic::new(Class::Value, port.span, message).hint(
            "`pipe stages KIND` says which outputs aggregate subjects; for others, `because: REASON` with `approved: WHO, DATE`",
        ));
    }
    Ok(Some((StageId(u32::try_from(index).unwrap_or(u32::MAX)), output.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_multiply() {
        assert_eq!(braces("a.{pdf,svg}"), ["a.pdf", "a.svg"]);
        assert_eq!(braces("{a,b}/{c, d}"), ["a/c", "a/d", "b/c", "b/d"]);
        assert_eq!(braces("plain"), ["plain"]);
    }

    #[test]
    fn paths_collide_when_equal_or_nested() {
        let span = Span { file: 0, start: 0, end: 0 };
        let mut paths = Paths::default();
        assert!(paths.take("models/", span).is_ok());
        assert!(paths.take("models.csv", span).is_ok());
        assert!(paths.take("models/x.csv", span).is_err());
        assert!(paths.take("a/b/c.csv", span).is_ok());
        assert!(paths.take("a/", span).is_err());
        assert!(paths.take("a/b", span).is_err());
        assert!(paths.take("a/b/d.csv", span).is_ok());
        assert!(!is_safe("../x") && !is_safe("/x") && !is_safe("a//b") && is_safe("a/b/"));
    }
}
