//! What a layout figure shows of every entry, in all panels alike: its colour, label and picture, and the trajectories that it is part of.
//!
//! Decides from the entries of RDMs and the stimuli; independent of places and drawings.

use std::collections::BTreeMap;

use pipe_contract::{Failure, IMPORTANT, Value};

use super::picture_cutout::cut_out;
use crate::figure::legend::Legend;
use crate::figure::scale::ColourScale;
use crate::formats::drawing::{Colour, ColourMap, Raster};
use crate::formats::matrix::MatrixAxis;
use crate::formats::row_words::{RowTemplate, holds_numbers, numbers_of, rows_with, words_of};
use crate::formats::stimulus_set::StimulusSet;
use crate::numeric::counts::real;

/// Marks of all entries, in their order.
#[derive(Debug)]
pub(super) struct EntryMarks {
    /// Colours of dots, borders and of trajectories whose entries agree in it.
    pub colours: Vec<Colour>,
    /// What the colour stands for; empty if it stands for nothing.
    pub groups: Vec<String>,
    /// What colours mean.
    pub legend: Option<Legend>,
    /// Labels; empty where there is none.
    pub labels: Vec<String>,
    /// The stimulus whose picture is shown; none where a dot alone is.
    pub stimuli: Vec<Option<String>>,
    /// The picture, by entry.
    pub pictures: Vec<Option<usize>>,
    /// All pictures that some entry has.
    pub cutouts: Vec<Raster>,
    /// Entries that are joined, in order.
    pub paths: Vec<Vec<usize>>,
    /// What could not be shown.
    pub notes: Vec<String>,
}

/// Which colours entries have.
pub(super) struct ColourRequest<'a> {
    /// The column; none if empty.
    pub column: &'a str,
    /// The map.
    pub colours: ColourMap,
}

/// Which pictures entries have.
pub(super) struct PictureRequest<'a> {
    /// The stimuli; none if there are no pictures.
    pub stimuli: Option<&'a StimulusSet>,
    /// The id of an entry's stimulus, with columns of the entry.
    pub template: &'a str,
    /// The entries that have a picture.
    pub only: &'a BTreeMap<String, Value>,
    /// Pixels of the longer side.
    pub side: usize,
    /// How near white is transparent.
    pub range: u8,
}

/// Which entries are joined.
pub(super) struct PathRequest<'a> {
    /// Columns: entries with equal values are joined.
    pub columns: &'a [String],
    /// The column by which they are ordered; that in the RDM if empty.
    pub along: &'a str,
    /// Lists of ids.
    pub listed: &'a [Vec<String>],
}

impl EntryMarks {
    /// Entries as black dots.
    pub(super) fn plain(entries: &MatrixAxis) -> Self {
        let count = entries.len();
        Self {
            colours: vec![Colour::INK; count],
            groups: vec![String::new(); count],
            legend: None,
            labels: vec![String::new(); count],
            stimuli: vec![None; count],
            pictures: vec![None; count],
            cutouts: Vec::new(),
            paths: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Gives entries a colour by the values of a column: numbers along a map, words as categories in the order in which they first come.
    ///
    /// # Errors
    /// Input: no such column.
    pub(super) fn colour(&mut self, entries: &MatrixAxis, request: &ColourRequest<'_>) -> Result<(), Failure> {
        if request.column.is_empty() {
            return Ok(());
        }
        let table = entries.table();
        self.groups = words_of(table, request.column)?.into_iter().map(Option::unwrap_or_default).collect();
        if holds_numbers(table, request.column)? {
            self.colour_by_numbers(&numbers_of(table, request.column)?, request);
        } else {
            self.colour_by_words(request);
        }
        Ok(())
    }

    fn colour_by_numbers(&mut self, numbers: &[Option<f64>], request: &ColourRequest<'_>) {
        let known = || numbers.iter().flatten().copied().filter(|number| number.is_finite());
        let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
        let limits = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        if !limits.0.is_finite() {
            self.colours.fill(Colour::RULE);
            return;
        }
        let scale = ColourScale::numbers(request.colours, limits);
        let colour = |number: &Option<f64>| number.map_or(Colour::RULE, |number| scale.colour(number));
        self.colours = numbers.iter().map(colour).collect();
        let unit = request.column.to_owned();
        self.legend = Some(Legend::Bar { scale, unit, below: false, above: false });
    }

    fn colour_by_words(&mut self, request: &ColourRequest<'_>) {
        let mut categories: Vec<&str> = Vec::new();
        for group in self.groups.iter().filter(|group| !group.is_empty()) {
            if !categories.contains(&group.as_str()) {
                categories.push(group);
            }
        }
        let scale = ColourScale::categories(request.colours, categories.len(), None);
        let place = |group: &String| categories.iter().position(|category| *category == group);
        let colour = |group: &String| place(group).map_or(Colour::RULE, |at| scale.colour(real(at)));
        self.colours = self.groups.iter().map(colour).collect();
        if categories.len() <= MOST_NAMES {
            let entry = |(at, name): (usize, &&str)| (scale.colour(real(at)), (*name).to_owned());
            self.legend = Some(Legend::Names(categories.iter().enumerate().map(entry).collect()));
        } else {
            let count = categories.len();
            self.notes.push(format!("What the {count} colours mean is in the table, column `group`."));
        }
    }

    /// Gives entries the words of a column as labels.
    ///
    /// # Errors
    /// Input: no such column.
    pub(super) fn label(&mut self, entries: &MatrixAxis, column: &str) -> Result<(), Failure> {
        if !column.is_empty() {
            self.labels = words_of(entries.table(), column)?.into_iter().map(Option::unwrap_or_default).collect();
        }
        Ok(())
    }

    /// Gives entries their pictures. An entry whose stimulus is not there, such as one combined of several, has none, which is noted.
    ///
    /// # Errors
    /// Input: no such column or value, no entry has a stimulus, or a picture cannot be read.
    pub(super) fn picture(&mut self, entries: &MatrixAxis, request: &PictureRequest<'_>) -> Result<(), Failure> {
        let Some(stimuli) = request.stimuli else { return Ok(()) };
        let template = RowTemplate::new(request.template, entries.table())?;
        let rows = rows_with(entries.table(), request.only, "pictures_where")?;
        let mut known: BTreeMap<usize, usize> = BTreeMap::new();
        let mut lacking = Vec::new();
        for row in &rows {
            let id = template.of_row(*row).unwrap_or_default();
            let Some(position) = stimuli.axis.position(&id) else {
                lacking.push(format!("`{}` (`{id}`)", entries.ids()[*row]));
                continue;
            };
            let next = self.cutouts.len();
            let at = *known.entry(position).or_insert(next);
            if at == next {
                self.cutouts.push(cut_out(&stimuli.picture(position)?, request.side, request.range));
            }
            self.pictures[*row] = Some(at);
            self.stimuli[*row] = Some(id);
        }
        if lacking.len() == rows.len() {
            let failure = Failure::input(format!("no entry has a stimulus, the first of them {}", lacking[0]));
            return Err(failure.hint(format!(
                "`pictures` is `{}`, expected how the id of a stimulus follows from columns, such as `{{object}}_000`",
                request.template
            )));
        }
        if !lacking.is_empty() {
            let (count, first) = (lacking.len(), &lacking[0]);
            self.notes.push(format!(
                "{IMPORTANT}{count} entries have no picture among the stimuli, the first of them {first}"
            ));
        }
        Ok(())
    }

    /// Joins entries: those with equal values in all columns, and those that are listed. What is listed and not there is left out.
    ///
    /// # Errors
    /// Input: no such column.
    pub(super) fn join(&mut self, entries: &MatrixAxis, request: &PathRequest<'_>) -> Result<(), Failure> {
        if !request.columns.is_empty() {
            self.paths.extend(equal_entries(entries, request)?);
        }
        let mut lacking = Vec::new();
        for list in request.listed {
            let mut path = Vec::new();
            for id in list {
                match entries.position(id) {
                    Some(position) => path.push(position),
                    None => lacking.push(format!("`{id}`")),
                }
            }
            self.paths.push(path);
        }
        if !lacking.is_empty() {
            let (count, first) = (lacking.len(), &lacking[0]);
            self.notes.push(format!(
                "{IMPORTANT}{count} entries of `paths` are not there and left out, the first of them {first}"
            ));
        }
        Ok(())
    }
}

/// So many categories have their names in a key.
const MOST_NAMES: usize = 40;

/// Entries with equal values, groups in the order in which they first come, each in its order.
fn equal_entries(entries: &MatrixAxis, request: &PathRequest<'_>) -> Result<Vec<Vec<usize>>, Failure> {
    let table = entries.table();
    let by: Vec<Vec<Option<String>>> =
        request.columns.iter().map(|name| words_of(table, name)).collect::<Result<_, _>>()?;
    let mut groups: Vec<(Vec<Option<&String>>, Vec<usize>)> = Vec::new();
    for row in 0..entries.len() {
        let key: Vec<Option<&String>> = by.iter().map(|words| words[row].as_ref()).collect();
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    let mut paths: Vec<Vec<usize>> = groups.into_iter().map(|(_, rows)| rows).collect();
    if !request.along.is_empty() {
        if holds_numbers(table, request.along)? {
            let numbers = numbers_of(table, request.along)?;
            let number = |row: usize| numbers[row].unwrap_or(f64::INFINITY);
            paths.iter_mut().for_each(|rows| rows.sort_by(|a, b| number(*a).total_cmp(&number(*b))));
        } else {
            let words = words_of(table, request.along)?;
            paths.iter_mut().for_each(|rows| rows.sort_by_key(|row| &words[*row]));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;

    fn entries() -> MatrixAxis {
        let table = DataTable::new()
            .text("id", ["o1 a", "o1 b", "o2 a", "o2 b"])
            .text("object", ["o1", "o1", "o2", "o2"])
            .optional_numbers("rank", [Some(2.0), Some(1.0), Some(10.0), None]);
        MatrixAxis::new(table.build().unwrap()).unwrap()
    }

    fn marks(of: impl Fn(&mut EntryMarks, &MatrixAxis) -> Result<(), Failure>) -> EntryMarks {
        let entries = entries();
        let mut marks = EntryMarks::plain(&entries);
        of(&mut marks, &entries).unwrap();
        marks
    }

    #[test]
    fn colours_are_categories_or_a_scale() {
        let by = |column: &'static str| {
            marks(|marks, entries| marks.colour(entries, &ColourRequest { column, colours: ColourMap::Auto }))
        };
        let words = by("object");
        assert_eq!(words.colours[0], words.colours[1]);
        assert_ne!(words.colours[1], words.colours[2]);
        assert!(matches!(&words.legend, Some(Legend::Names(names)) if names.len() == 2 && names[1].1 == "o2"));
        let numbers = by("rank");
        let scale = ColourScale::numbers(ColourMap::Auto, (1.0, 10.0));
        assert_eq!(numbers.colours[..3], [2.0, 1.0, 10.0].map(|number| scale.colour(number)));
        assert_eq!((numbers.colours[3], numbers.groups[3].as_str()), (Colour::RULE, ""));
        assert!(matches!(numbers.legend, Some(Legend::Bar { .. })));
        assert_eq!(by("").colours, [Colour::INK; 4]);
    }

    #[test]
    fn entries_are_joined_in_the_order_asked_for() {
        let paths = |columns: &[&str], along: &str, listed: &[&[&str]]| {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let listed: Vec<Vec<String>> =
                listed.iter().map(|list| list.iter().map(ToString::to_string).collect()).collect();
            marks(|marks, entries| marks.join(entries, &PathRequest { columns: &columns, along, listed: &listed }))
        };
        assert_eq!(paths(&["object"], "", &[]).paths, [[0, 1], [2, 3]]);
        assert_eq!(paths(&["object"], "rank", &[]).paths, [[1, 0], [2, 3]]);
        assert_eq!(paths(&["object", "id"], "", &[]).paths, [[0], [1], [2], [3]]);
        let listed = paths(&[], "", &[&["o2 b", "o3", "o1 a"]]);
        assert_eq!(listed.paths, [[3, 0]]);
        assert_eq!(
            listed.notes,
            ["important: 1 entries of `paths` are not there and left out, the first of them `o3`"]
        );
    }
}
