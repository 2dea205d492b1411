//! What each line of `results:` publishes: the artifact behind it, the files it has, or why there is none. Writes nothing.

use std::collections::BTreeSet;

use pipe_contract::Failure;

use super::artifact_types::declared;
use super::disclosure::Disclosure;
use super::inputs::LinkedInput;
use super::lookup::Lookup;
use super::release::refusal;
use super::state_dirs::Access;
use crate::plan::{Link, Plan, Published};
use crate::report::{Piece, ResultLine, Results, described, dictionary_path, pieces_of, results_folder};

/// Everything that the plan publishes and that is there; what is not is noted.
pub(super) fn result_lines(
    lookup: &mut Lookup<'_>,
    disclosure: &Disclosure<'_>,
    wanted: Option<&[bool]>,
) -> (Results, Vec<ResultLine>) {
    let plan = lookup.plan;
    let mut results = Results { folder: results_folder(plan), ..Results::default() };
    let mut lines = Vec::new();
    for published in plan.results.iter().filter(|published| is_wanted(&published.link, wanted)) {
        match line_of(lookup, disclosure, published) {
            Ok(Line::Present(line)) => lines.push(*line),
            Ok(Line::Missing(why)) => results.missing.push((published.path.clone(), why)),
            Err(failure) => results.failures.push(failure),
        }
    }
    (results, lines)
}

/// What a line of `results:` publishes.
pub(super) enum Line {
    Present(Box<ResultLine>),
    /// It is not there, and why.
    Missing(String),
}

/// What one line of `results:` publishes.
pub(super) fn line_of(
    lookup: &mut Lookup<'_>,
    disclosure: &Disclosure<'_>,
    published: &Published,
) -> Result<Line, Failure> {
    if let Some(why) = refusal(lookup, &published.link)? {
        return Ok(Line::Missing(why.to_string()));
    }
    let located = match lookup.content(&published.link)? {
        LinkedInput::Present(located) => located,
        LinkedInput::Absent { cause, .. } => return Ok(Line::Missing(format!("absent ({cause})"))),
        LinkedInput::Open(id) => {
            return Ok(Line::Missing(format!("because `{}` did not end well", lookup.plan.label(id))));
        }
    };
    let access = published.link.producer().map_or(Access::OPEN, |producer| lookup.dirs.access(producer));
    let store = lookup.dirs[access].store.clone();
    let pieces = pieces_of(&store, published, &located.artifact)?;
    let (record, key) = match &published.link {
        Link::Output { instance, .. } => {
            let record = lookup.key_of(*instance);
            (record, record.map(|key| disclosure.key(*instance, &key)))
        }
        Link::File(_) => (None, None),
    };
    let tables =
        declared(lookup.plan, lookup.registry, &published.link).map_or(&[][..], |(_, output)| &output.tables[..]);
    let dictionaries = pieces.iter().filter(|piece| described(tables, file_in(&published.link, piece)).is_some());
    let dictionaries: BTreeSet<String> = dictionaries.map(|piece| dictionary_path(&piece.path)).collect();
    if let Some(piece) = pieces.iter().find(|piece| dictionaries.contains(&piece.path)) {
        let message =
            format!("`{}` has the name of a data dictionary, in a folder with the table it would describe", piece.path);
        return Err(Failure::internal(message));
    }
    let path = published.path.clone();
    let (artifact, whole) = (located.artifact, located.whole());
    Ok(Line::Present(Box::new(ResultLine { path, store, key, record, artifact, whole, pieces, dictionaries })))
}

/// The name of a piece in the output of its stage.
pub(super) fn file_in<'p>(link: &'p Link, piece: &'p Piece) -> &'p str {
    match link {
        Link::Output { entry: Some(entry), .. } => entry,
        _ => &piece.name,
    }
}

/// The line of `results:` in the plan.
pub(super) fn result_of<'p>(plan: &'p Plan, line: &ResultLine) -> Option<&'p Published> {
    plan.results.iter().find(|published| published.path == line.path)
}

/// Whether a link is part of a run of these instances.
pub(super) fn is_wanted(link: &Link, wanted: Option<&[bool]>) -> bool {
    match (link, wanted) {
        (Link::Output { instance, .. }, Some(wanted)) => wanted[instance.index()],
        _ => true,
    }
}
