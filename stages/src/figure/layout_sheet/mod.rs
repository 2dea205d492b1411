//! `figure/layout`: layouts of multidimensional scaling, one or many on a sheet.
//!
//! Entries are dots, coloured by a variable, or pictures of stimuli whose white ground is transparent; they may have labels, and trajectories
//! join them with arrows. Above each layout are its title and how well it fits. Layouts of three axes are seen in parallel projection. Panels
//! show the numbers of the table as they are: what is turned onto what is settled when layouts are made. The look `guide` is that of the
//! published toolbox.

mod entry_marks;
mod layout_panel;
mod layout_projection;
mod picture_cutout;

use std::collections::BTreeMap;

use pipe_contract::{
    Arity, Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, Value, choice, parameters,
};
use polars::prelude::DataFrame;

use self::entry_marks::{ColourRequest, EntryMarks, PathRequest, PictureRequest};
use self::layout_panel::{LayoutPanel, PanelStyle, margins};
use self::layout_projection::{LayoutLook, ViewAngles};
use super::panel_grid::PanelGrid;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::{ColourMap, Drawing, WIDEST, save};
use crate::formats::rdm_set::RdmSet;
use crate::formats::row_words::{RowTemplate, rows_with};
use crate::formats::stimulus_set::StimulusSet;

/// The kind.
pub(super) struct LayoutSheet;

choice! {
    /// What is said of the fit of a layout.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum ShownStress {
        /// Stress-1.
        Normalised = "stress-1",
        /// Raw stress.
        Raw = "raw",
        /// Both.
        Both = "both",
        /// Nothing.
        None = "none",
    }
}

parameters! {
    struct Parameters {
        /// which layouts are shown, by columns of the index of the RDMs: one value or a list; none for all
        only: BTreeMap<String, Value> = BTreeMap::new();
        /// how it looks: `guide` as in the guide of the published toolbox
        look: LayoutLook = LayoutLook::Paper;
        /// title of the figure
        title: String = String::new();
        /// title of every layout, with columns of the index such as `{layer}`
        panel_title: String = "{id}".to_owned();
        /// what is said of the fit of every layout
        stress: ShownStress = ShownStress::Normalised;
        /// the column of entries by which dots and borders are coloured; none for black
        colour: String = String::new();
        /// the colours of numbers or words
        colours: ColourMap = ColourMap::Auto;
        /// the column of entries that is written beside them, such as `id`; none for no labels
        labels: String = String::new();
        /// the stimulus of which an entry shows the picture, with columns of entries such as `{object}_000`; only where stimuli are given
        pictures: String = "{id}".to_owned();
        /// the entries that show a picture, by column: one value or a list; none for all
        pictures_where: BTreeMap<String, Value> = BTreeMap::new();
        /// longer side of pictures as a share of the extent of a layout
        picture_side: f64 = 0.1, in 0.01..=1.0;
        /// a pixel is transparent if red, green and blue are nearer than this to white; 0: none is
        transparent: u32 = 35, in 0..=255;
        /// width of borders around pictures in points; 0 for none
        border: f64 = 0.0, in 0.0..=10.0;
        /// radius of dots in points; 0 for none
        dots: f64 = 1.8, in 0.0..=20.0;
        /// columns of entries: those with equal values in all of them are joined, in the order of the RDM
        trajectories: Vec<String> = Vec::new();
        /// the column of entries by which those of a trajectory are ordered instead
        along: String = String::new();
        /// further trajectories: lists of entries, by id
        paths: Vec<Vec<String>> = Vec::new();
        /// width of trajectories in points
        line: f64 = 0.8, in 0.1..=10.0;
        /// trajectories have arrows
        arrows: bool = true;
        /// all layouts have one scale, so that their sizes can be compared
        shared_scale: bool = false;
        /// for layouts of three axes: the direction from which they are seen, about the third axis, in degrees
        azimuth: f64 = -60.0, in -360.0..=360.0;
        /// the same above the plane of the first two axes
        elevation: f64 = 30.0, in -90.0..=90.0;
        /// layouts beside each other; 0 for as many as suit their number
        columns: usize = 0, in 0..=12;
        /// width of the figure in mm
        width: f64 = 183.0, in 60.0..=183.0;
        /// dots per inch of pictures at most
        dpi: f64 = 300.0, in 72.0..=1200.0;
    }
}

/// What is in `table.csv`.
const COLUMNS: &[Column] = &[
    Column::new("rdm", "the RDM of the layout"),
    Column::new("title", "the title of the layout in the figure"),
    Column::new("id", "the entry"),
    Column::measured("x", "unit of the dissimilarities", "place on the first axis"),
    Column::measured("y", "unit of the dissimilarities", "place on the second axis"),
    Column::measured("z", "unit of the dissimilarities", "place on the third axis; only in layouts of three axes"),
    Column::new("group", "the value by which the entry is coloured; empty if there is none"),
    Column::new("picture", "the stimulus whose picture is shown; empty if there is none"),
    STAMP,
];

/// Layouts on one sheet at most.
const MOST_PANELS: usize = 200;

impl StageKind for LayoutSheet {
    fn kind(&self) -> Kind {
        let kind = Kind::new("figure/layout", 1, "Layouts of entries as dots or pictures, one or many on a sheet")
            .input("layout", &["table/layout"], "layouts of `rdm/mds`")
            .input("rdms", &["rdms"], "the RDMs that they are of: variables of entries, and what the RDMs are of")
            .port("stimuli", &["stimuli"], Arity::One, true, "stimuli whose pictures entries show")
            .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with what is shown")
            .described(&[data_table::CSV], COLUMNS)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let rdms = RdmSet::read(task.one("rdms")?)?;
        let stimuli = task.maybe("stimuli").map(StimulusSet::open).transpose()?;
        let place = task.one("layout")?;
        let layouts = Layouts::of(&data_table::read(place)?, &rdms)
            .and_then(|layouts| layouts.chosen(&rdms, &parameters.only))
            .map_err(|failure| at_place(failure, place))?;
        let titles = titles(&rdms, &layouts, &parameters)?;
        let marks = marks(&rdms, stimuli.as_ref(), layouts.shown.len(), &parameters)?;
        let (drawing, without) = draw(&layouts, &titles, &marks, &parameters, task.simulated);
        let folder = task.output("figure")?;
        save(&drawing, folder)?;
        let mut table = table(&rdms, &layouts, &titles, &marks, task.simulated)?;
        data_table::write_csv(&folder.join(data_table::CSV), &mut table)?;
        let mut notes = marks.notes;
        if without > 0 {
            notes.push(format!("{IMPORTANT}{without} labels have no room in the figure"));
        }
        Ok(Ended::noted(notes))
    }
}

fn at_place(failure: Failure, place: &std::path::Path) -> Failure {
    if failure.place.is_some() { failure } else { failure.at(place.display().to_string()) }
}

/// One layout of the table.
#[derive(Clone, Debug, PartialEq)]
struct ShownLayout {
    /// The RDM, by its place in the index.
    rdm: usize,
    /// Entries, by their places in the RDM.
    entries: Vec<usize>,
    /// Their coordinates; the third is 0 in a layout of two axes.
    points: Vec<[f64; 3]>,
    stress: f64,
    stress_1: f64,
}

/// The layouts of a table, in its order.
#[derive(Clone, Debug, PartialEq)]
struct Layouts {
    dims: usize,
    shown: Vec<ShownLayout>,
}

impl Layouts {
    /// Of a table, joined to the RDMs by ids.
    ///
    /// # Errors
    /// Input: not a table of layouts, RDMs or entries that are not in the set, or a coordinate that is not finite.
    fn of(table: &DataFrame, rdms: &RdmSet) -> Result<Self, Failure> {
        let (ids, entries) = (data_table::texts(table, "rdm")?, data_table::texts(table, "id")?);
        let dims = if table.column("z").is_ok() { 3 } else { 2 };
        let (x, y) = (data_table::numbers(table, "x")?, data_table::numbers(table, "y")?);
        let z = if dims == 3 { data_table::numbers(table, "z")? } else { vec![0.0; x.len()] };
        let (raw, normalised) = (data_table::numbers(table, "stress")?, data_table::numbers(table, "stress_1")?);
        let of_rows = rdms.index().positions_of(&ids, "RDMs of `layout`")?;
        let entries = rdms.entries().positions_of(&entries, "entries of `layout`")?;
        let mut shown: Vec<ShownLayout> = Vec::new();
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        for (row, rdm) in of_rows.into_iter().enumerate() {
            let point = [x[row], y[row], z[row]];
            if point.iter().any(|coordinate| !coordinate.is_finite()) {
                let message = format!("row {} has a coordinate that is not finite: {point:?}", row + 1);
                return Err(Failure::input(message));
            }
            let next = shown.len();
            let at = *places.entry(rdm).or_insert(next);
            if at == next {
                let (stress, stress_1) = (raw[row], normalised[row]);
                shown.push(ShownLayout { rdm, entries: Vec::new(), points: Vec::new(), stress, stress_1 });
            }
            shown[at].entries.push(entries[row]);
            shown[at].points.push(point);
        }
        Ok(Self { dims, shown })
    }

    /// Those of RDMs with these values in the index.
    fn chosen(mut self, rdms: &RdmSet, only: &BTreeMap<String, Value>) -> Result<Self, Failure> {
        let rows = rows_with(rdms.index().table(), only, "only")?;
        self.shown.retain(|layout| rows.contains(&layout.rdm));
        match self.shown.len() {
            0 => Err(Failure::input("the table has no layout of an RDM that meets the conditions of `only`")),
            count if count > MOST_PANELS => {
                Err(Failure::input(format!("found {count} layouts, expected at most {MOST_PANELS} on a sheet"))
                    .hint("choose some of them by `only`"))
            }
            _ => Ok(self),
        }
    }
}

/// The title of each layout.
fn titles(rdms: &RdmSet, layouts: &Layouts, parameters: &Parameters) -> Result<Vec<String>, Failure> {
    let template = RowTemplate::new(&parameters.panel_title, rdms.index().table())
        .map_err(|failure| Failure { message: format!("`panel_title`: {}", failure.message), ..failure })?;
    let id = |rdm: usize| rdms.index().ids()[rdm].clone();
    Ok(layouts.shown.iter().map(|layout| template.of_row(layout.rdm).unwrap_or_else(|| id(layout.rdm))).collect())
}

/// What is said of the fit of a layout; empty if nothing is.
fn fit(layout: &ShownLayout, shown: ShownStress) -> String {
    let (raw, normalised) = (significant(layout.stress), significant(layout.stress_1));
    match shown {
        ShownStress::Normalised => format!("stress-1 = {normalised}"),
        ShownStress::Raw => format!("stress = {raw}"),
        ShownStress::Both => format!("stress = {raw}, stress-1 = {normalised}"),
        ShownStress::None => String::new(),
    }
}

/// A number that is not negative, to three digits.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&value) {
        return format!("{value:.2e}").replace('-', "\u{2212}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 5")]
    let places = (2.0 - libm::log10(value).floor()).max(0.0) as usize;
    format!("{value:.places$}")
}

/// Colours, labels, pictures and trajectories of all entries.
fn marks(
    rdms: &RdmSet,
    stimuli: Option<&StimulusSet>,
    panels: usize,
    parameters: &Parameters,
) -> Result<EntryMarks, Failure> {
    let entries = rdms.entries();
    let mut marks = EntryMarks::plain(entries);
    marks.colour(entries, &ColourRequest { column: &parameters.colour, colours: parameters.colours })?;
    marks.label(entries, &parameters.labels)?;
    let side = sheet(vec![Vec::new(); panels], &marks, parameters).side() * parameters.picture_side;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a sheet at 1200 dots per inch"
    )]
    let pixels = ((side / 72.0 * parameters.dpi).ceil() as usize).max(1);
    let request = PictureRequest {
        stimuli,
        template: &parameters.pictures,
        only: &parameters.pictures_where,
        side: pixels,
        range: u8::try_from(parameters.transparent).unwrap_or(u8::MAX),
    };
    marks.picture(entries, &request)?;
    let (columns, along) = (&parameters.trajectories, parameters.along.as_str());
    marks.join(entries, &PathRequest { columns, along, listed: &parameters.paths })?;
    Ok(marks)
}

fn sheet(titles: Vec<Vec<String>>, marks: &EntryMarks, parameters: &Parameters) -> PanelGrid {
    PanelGrid {
        title: parameters.title.clone(),
        name: "Layouts",
        titles,
        columns: parameters.columns,
        width: (parameters.width / 25.4 * 72.0).min(WIDEST),
        margins: margins(parameters.look),
        legends: marks.legend.clone().into_iter().collect(),
        notes: notes(marks, parameters),
    }
}

/// Sentences below the figure.
fn notes(marks: &EntryMarks, parameters: &Parameters) -> Vec<String> {
    let mut notes = Vec::new();
    if parameters.look == LayoutLook::Paper {
        let scale =
            if parameters.shared_scale { "All layouts have one scale." } else { "Every layout has its own scale." };
        notes.push(format!("Multidimensional scaling; bars: distances in a layout. {scale}"));
    }
    if !marks.paths.is_empty() && parameters.arrows {
        notes.push("Arrows go from each entry of a trajectory to the next.".to_owned());
    }
    notes.extend(marks.notes.iter().filter(|note| !note.starts_with(IMPORTANT)).cloned());
    notes
}

/// The figure, and how many labels had no room in it.
fn draw(
    layouts: &Layouts,
    titles: &[String],
    marks: &EntryMarks,
    parameters: &Parameters,
    simulated: bool,
) -> (Drawing, usize) {
    let angles = ViewAngles { azimuth: parameters.azimuth, elevation: parameters.elevation };
    let panel = |layout: &ShownLayout, extent: f64| {
        let seen_as = (parameters.look, extent);
        LayoutPanel::new(layout.entries.clone(), &layout.points, layouts.dims, angles, seen_as)
    };
    let mut panels: Vec<LayoutPanel> = layouts.shown.iter().map(|layout| panel(layout, 0.0)).collect();
    if parameters.shared_scale {
        let extent = panels.iter().map(|panel| panel.window.extent()).fold(0.0, f64::max);
        panels = layouts.shown.iter().map(|layout| panel(layout, extent)).collect();
    }
    let lines = layouts.shown.iter().zip(titles).map(|(layout, title)| {
        [title.clone(), fit(layout, parameters.stress)].into_iter().filter(|line| !line.is_empty()).collect()
    });
    let style = PanelStyle {
        look: parameters.look,
        dots: parameters.dots,
        line: parameters.line,
        arrows: parameters.arrows,
        picture: parameters.picture_side,
        border: parameters.border,
    };
    let mut without = 0;
    let drawing = sheet(lines.collect(), marks, parameters).draw(simulated, |drawing, number, place| {
        without += panels[number].paint(drawing, place, marks, &style);
    });
    (drawing, without)
}

fn table(
    rdms: &RdmSet,
    layouts: &Layouts,
    titles: &[String],
    marks: &EntryMarks,
    simulated: bool,
) -> Result<DataFrame, Failure> {
    let rows: Vec<(&ShownLayout, &String, usize, [f64; 3])> = layouts
        .shown
        .iter()
        .zip(titles)
        .flat_map(|(layout, title)| {
            layout.entries.iter().zip(&layout.points).map(move |(entry, point)| (layout, title, *entry, *point))
        })
        .collect();
    let mut table = DataTable::of(COLUMNS)
        .text("rdm", rows.iter().map(|(layout, ..)| rdms.index().ids()[layout.rdm].as_str()))
        .text("title", rows.iter().map(|(_, title, ..)| title.as_str()))
        .text("id", rows.iter().map(|(_, _, entry, _)| rdms.entries().ids()[*entry].as_str()));
    for (axis, name) in ["x", "y", "z"].into_iter().take(layouts.dims).enumerate() {
        table = table.numbers(name, rows.iter().map(|(.., point)| point[axis]));
    }
    table
        .text("group", rows.iter().map(|(_, _, entry, _)| marks.groups[*entry].as_str()))
        .text("picture", rows.iter().map(|(_, _, entry, _)| marks.stimuli[*entry].as_deref().unwrap_or_default()))
        .stamped(simulated)
        .build()
}

#[cfg(test)]
mod tests;
