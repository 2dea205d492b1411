//! `figure/rdms`: dissimilarity matrices as heat maps, one or many on a sheet.
//!
//! A square is a pair of entries; rows and columns have the order of the set, the first at the top and left. Where consecutive entries have
//! the same label they share it, and a white line separates them from the next. Colours show dissimilarities or their percentiles, on one scale or one
//! for every matrix. What has no dissimilarity is grey. Pixels are a picture of a pixel a pair; letters and lines stay vectors.

use std::collections::BTreeMap;

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, Value, choice, parameters};
use polars::prelude::DataFrame;

use super::legend::Legend;
use super::panel_grid::{PanelGrid, PanelPlace};
use super::scale::ColourScale;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::{
    Anchor, Colour, ColourMap, Drawing, Lettering, Raster, Stroke, WIDEST, save, text_width,
};
use crate::formats::rdm_set::RdmSet;
use crate::formats::row_words::{RowTemplate, rows_with, words_of};
use crate::numeric::counts::real;
use crate::numeric::dissimilarity::pairs;
use crate::numeric::rank_correlation::Ranking;

/// The kind.
pub(super) struct RdmHeatMaps;

choice! {
    /// What colours show.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum ShownDissimilarity {
        /// Dissimilarities.
        Values = "values",
        /// Their percentiles among the pairs of the matrix: the least is 0, the largest 100.
        Percentiles = "percentiles",
    }
}

parameters! {
    struct Parameters {
        /// which RDMs are shown, by columns of their index: one value or a list; none for all
        only: BTreeMap<String, Value> = BTreeMap::new();
        /// title of the figure
        title: String = String::new();
        /// title of every RDM, with columns of the index such as `{layer}`
        panel_title: String = "{id}".to_owned();
        /// what colours show
        values: ShownDissimilarity = ShownDissimilarity::Values;
        /// the colours
        colours: ColourMap = ColourMap::Auto;
        /// the values of the first and the last colour; none: from 0, or the least if that is negative, to the largest
        limits: Vec<f64> = Vec::new();
        /// all RDMs have the same limits and one key; else each has its own
        shared: bool = false;
        /// the column of entries that is written beside rows and columns; none for no labels
        labels: String = "id".to_owned();
        /// RDMs beside each other; 0 for as many as suit their number
        columns: usize = 0, in 0..=12;
        /// width of the figure in mm
        width: f64 = 183.0, in 60.0..=183.0;
    }
}

/// What is in `table.csv`.
const COLUMNS: &[Column] = &[
    Column::new("rdm", "the RDM"),
    Column::new("title", "its title in the figure"),
    Column::new("entries", "entries: rows, and columns"),
    Column::new("n_pairs", "pairs of entries"),
    Column::new("n_undefined", "pairs that have no finite dissimilarity"),
    Column::measured("min", "unit of the dissimilarities", "least dissimilarity of a pair"),
    Column::measured("median", "unit of the dissimilarities", "median dissimilarity of pairs"),
    Column::measured("max", "unit of the dissimilarities", "largest dissimilarity of a pair"),
    Column::new("from", "value of the first colour: a dissimilarity, or a percentile"),
    Column::new("to", "value of the last colour"),
    STAMP,
];

/// RDMs on one sheet at most.
const MOST_PANELS: usize = 200;
/// Entries of an RDM at most: more would be finer than any printer.
const MOST_ENTRIES: usize = 4096;

impl StageKind for RdmHeatMaps {
    fn kind(&self) -> Kind {
        let kind = Kind::new("figure/rdms", 1, "Dissimilarity matrices as heat maps, one or many on a sheet")
            .input("rdms", &["rdms"], "RDMs; rows and columns have their order")
            .folder(
                "figure",
                "figure",
                "figure.svg, figure.pdf, figure.png, and table.csv with what is shown of every RDM",
            )
            .described(&[data_table::CSV], COLUMNS)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let rdms = RdmSet::read(task.one("rdms")?)?;
        let sheet = HeatMapSheet::new(&rdms, &parameters)?;
        let folder = task.output("figure")?;
        save(&sheet.draw(task.simulated), folder)?;
        data_table::write_csv(&folder.join(data_table::CSV), &mut sheet.table(task.simulated)?)?;
        let undefined: usize = sheet.maps.iter().map(|map| map.undefined).sum();
        let note = format!("{IMPORTANT}{undefined} pairs have no finite dissimilarity and are grey");
        Ok(Ended::noted(if undefined > 0 { vec![note] } else { Vec::new() }))
    }
}

/// One matrix as it is shown.
#[derive(Clone, Debug)]
struct HeatMap {
    id: String,
    title: String,
    /// What colours show, row after row; NaN where there is nothing to show.
    cells: Vec<f64>,
    /// Pairs without a finite dissimilarity.
    undefined: usize,
    /// Least, median and largest dissimilarity; none if there is no finite one.
    range: Option<[f64; 3]>,
}

/// Entries in a row that share a label.
#[derive(Clone, Debug, PartialEq)]
struct LabelRun {
    words: String,
    first: usize,
    count: usize,
}

/// A sheet of heat maps.
struct HeatMapSheet<'a> {
    parameters: &'a Parameters,
    /// Entries of every matrix.
    size: usize,
    unit: String,
    maps: Vec<HeatMap>,
    /// The colours of each.
    scales: Vec<ColourScale>,
    labels: Vec<LabelRun>,
}

impl HeatMap {
    fn new(rdms: &RdmSet, rdm: usize, title: String, shown: ShownDissimilarity) -> Self {
        let triangle = rdms.triangle(rdm);
        let mut known: Vec<f64> = triangle.iter().copied().filter(|value| value.is_finite()).collect();
        let undefined = triangle.len() - known.len();
        let cells = match shown {
            ShownDissimilarity::Values => finite_or_nan(rdms.square(rdm)),
            ShownDissimilarity::Percentiles => percentiles(triangle, &known, rdms.entries().len()),
        };
        known.sort_by(f64::total_cmp);
        let median = || f64::midpoint(known[(known.len() - 1) / 2], known[known.len() / 2]);
        let range = (!known.is_empty()).then(|| [known[0], median(), known[known.len() - 1]]);
        Self { id: rdms.index().ids()[rdm].clone(), title, cells, undefined, range }
    }

    /// From 0, or the least if that is negative, to the largest; 0 to 1 where all are 0 or none is known.
    fn limits(&self, shown: ShownDissimilarity) -> (f64, f64) {
        match (shown, self.range) {
            (ShownDissimilarity::Percentiles, _) => (0.0, 100.0),
            (ShownDissimilarity::Values, Some([least, _, largest])) if least < 0.0 || largest > 0.0 => {
                (least.min(0.0), largest.max(0.0))
            }
            (ShownDissimilarity::Values, _) => (0.0, 1.0),
        }
    }
}

fn finite_or_nan(mut cells: Vec<f64>) -> Vec<f64> {
    cells.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = f64::NAN);
    cells
}

/// Percentiles of pairs among those that are known; equal ones share theirs, and the diagonal, which has no pairs, has none.
fn percentiles(triangle: &[f64], known: &[f64], size: usize) -> Vec<f64> {
    let ranks = Ranking::of(known).midranks(&vec![1.0; known.len()]);
    let last = real(known.len().max(2) - 1);
    let mut ranks = ranks.into_iter();
    let mut cells = vec![f64::NAN; size * size];
    for ((row, column), _) in pairs(size).zip(triangle).filter(|(_, value)| value.is_finite()) {
        let percentile = ranks.next().map_or(f64::NAN, |rank| 100.0 * (rank - 1.0) / last);
        cells[row * size + column] = percentile;
        cells[column * size + row] = percentile;
    }
    cells
}

/// Consecutive entries with equal words; none where there are no words.
fn label_runs(rdms: &RdmSet, column: &str) -> Result<Vec<LabelRun>, Failure> {
    let mut runs: Vec<LabelRun> = Vec::new();
    if column.is_empty() {
        return Ok(runs);
    }
    for (at, words) in words_of(rdms.entries().table(), column)?.into_iter().enumerate() {
        let words = words.unwrap_or_default();
        match runs.last_mut() {
            Some(run) if run.words == words => run.count += 1,
            _ => runs.push(LabelRun { words, first: at, count: 1 }),
        }
    }
    Ok(runs)
}

/// The limits that are given; none if none are.
fn given_limits(limits: &[f64]) -> Result<Option<(f64, f64)>, Failure> {
    match *limits {
        [] => Ok(None),
        [low, high] if low < high => Ok(Some((low, high))),
        _ => Err(Failure::input(format!("found {limits:?} as `limits`, expected two numbers, the first the less"))),
    }
}

/// Size of labels at most, and the least that is printed; room between a label and the matrix.
const LABEL: (f64, f64) = (6.5, 5.0);
const APART: f64 = 3.0;
/// The room above the key below a matrix, and the width of a key that has no room for the unit.
const ABOVE_KEY: f64 = 4.0;
const NARROW: f64 = 130.0;

impl<'a> HeatMapSheet<'a> {
    fn new(rdms: &RdmSet, parameters: &'a Parameters) -> Result<Self, Failure> {
        let size = rdms.entries().len();
        if size > MOST_ENTRIES {
            return Err(Failure::input(format!("found {size} entries, expected at most {MOST_ENTRIES} in a figure"))
                .hint("choose some of them with `rdm/subset`"));
        }
        let chosen = rows_with(rdms.index().table(), &parameters.only, "only")?;
        if chosen.len() > MOST_PANELS {
            let count = chosen.len();
            return Err(Failure::input(format!("found {count} RDMs, expected at most {MOST_PANELS} on a sheet"))
                .hint("choose some of them by `only`"));
        }
        let template = RowTemplate::new(&parameters.panel_title, rdms.index().table())
            .map_err(|failure| Failure { message: format!("`panel_title`: {}", failure.message), ..failure })?;
        let map = |rdm: &usize| {
            let title = template.of_row(*rdm).unwrap_or_else(|| rdms.index().ids()[*rdm].clone());
            HeatMap::new(rdms, *rdm, title, parameters.values)
        };
        let maps: Vec<HeatMap> = chosen.iter().map(map).collect();
        let given = given_limits(&parameters.limits)?;
        let own = |map: &HeatMap| given.unwrap_or_else(|| map.limits(parameters.values));
        let both = |one: (f64, f64), two: (f64, f64)| (one.0.min(two.0), one.1.max(two.1));
        let all = maps.iter().map(own).reduce(both).unwrap_or((0.0, 1.0));
        let limits = |map: &HeatMap| if parameters.shared { all } else { own(map) };
        let scales = maps.iter().map(|map| ColourScale::numbers(parameters.colours, limits(map))).collect();
        let unit = match parameters.values {
            ShownDissimilarity::Values => rdms.about().unit.clone(),
            ShownDissimilarity::Percentiles => "percentile".to_owned(),
        };
        Ok(Self { parameters, size, unit, maps, scales, labels: label_runs(rdms, &parameters.labels)? })
    }

    /// One key for all matrices.
    fn has_one_key(&self) -> bool {
        self.parameters.shared || self.parameters.values == ShownDissimilarity::Percentiles || self.maps.len() == 1
    }

    /// The key of a matrix, or of all, that may be so wide. A narrow one has no room for the unit.
    fn key(&self, scale: &ColourScale, maps: &[HeatMap], width: f64) -> Legend {
        let cells = maps.iter().flat_map(|map| &map.cells).copied();
        let (below, above) = scale.outside(cells);
        let unit = if width < NARROW { String::new() } else { self.unit.clone() };
        Legend::Bar { scale: scale.clone(), unit, below: below > 0, above: above > 0 }
    }

    /// The sheet with so much room for labels.
    fn grid(&self, label_room: f64) -> PanelGrid {
        let own_key = if self.has_one_key() {
            0.0
        } else {
            ABOVE_KEY + self.key(&self.scales[0], &self.maps[..1], NARROW).height(NARROW)
        };
        PanelGrid {
            title: self.parameters.title.clone(),
            name: "Dissimilarity matrices",
            titles: self.maps.iter().map(|map| vec![map.title.clone()]).collect(),
            columns: self.parameters.columns,
            width: (self.parameters.width / 25.4 * 72.0).min(WIDEST),
            margins: (label_room, label_room + own_key),
            legends: if self.has_one_key() { vec![self.key(&self.scales[0], &self.maps, WIDEST)] } else { Vec::new() },
            notes: self.notes(label_room > 0.0),
        }
    }

    /// Size of the letters of a run of entries on a panel of this side; none where they would be too small.
    fn letters(&self, run: &LabelRun, side: f64) -> Option<f64> {
        let size = (side / real(self.size) * real(run.count) * 0.9).min(LABEL.0);
        (size >= LABEL.1 && !run.words.trim().is_empty()).then_some(size)
    }

    /// Room for labels to the left and below: 0 where no label could be read, or they would take more than half as much as a matrix.
    fn label_room(&self) -> f64 {
        let widest = |side: f64| {
            let sizes = self.labels.iter().filter_map(|run| Some((run, self.letters(run, side)?)));
            sizes.map(|(run, size)| text_width(&run.words, size) + APART + 1.0).fold(0.0, f64::max)
        };
        let room = widest(self.grid(0.0).side());
        let side = self.grid(room).side();
        // With less room the matrix is smaller, and so may letters be.
        if room > 0.5 * side || widest(side) == 0.0 { 0.0 } else { room }
    }

    fn notes(&self, labelled: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !labelled && !self.labels.is_empty() {
            notes.push("Rows and columns have no room for their names; they have the order of the set.".to_owned());
        }
        if !self.has_one_key() && !self.unit.is_empty() {
            notes.push(format!("Colours of every matrix have their own key, in the unit {}.", self.unit));
        }
        if self.maps.iter().any(|map| map.undefined > 0) {
            notes.push("Grey: no dissimilarity.".to_owned());
        }
        notes
    }

    /// The figure; `simulated` stamps it.
    fn draw(&self, simulated: bool) -> Drawing {
        let room = self.label_room();
        self.grid(room).draw(simulated, |drawing, number, place| {
            self.paint(drawing, number, place);
            if room > 0.0 {
                self.paint_labels(drawing, place);
            }
            if !self.has_one_key() {
                let key = self.key(&self.scales[number], &self.maps[number..=number], place.side);
                key.draw(drawing, (place.at.0, place.at.1 + place.side + room + ABOVE_KEY), place.side);
            }
        })
    }

    fn paint(&self, drawing: &mut Drawing, number: usize, place: PanelPlace) {
        let mut pixels = Raster::new(self.size, self.size);
        for (at, value) in self.maps[number].cells.iter().enumerate() {
            let colour = if value.is_nan() { Colour::RULE } else { self.scales[number].colour(*value) };
            pixels.set(at % self.size, at / self.size, colour);
        }
        drawing.image(place.at, place.side, place.side, &pixels, false);
        let cell = place.side / real(self.size);
        if self.labels.iter().any(|run| run.count > 1) {
            let (left, top) = place.at;
            for run in self.labels.iter().skip(1) {
                let along = cell * real(run.first);
                let lines = [
                    vec![(left + along, top), (left + along, top + place.side)],
                    vec![(left, top + along), (left + place.side, top + along)],
                ];
                drawing.lines(&lines, Stroke::new(Colour::WHITE, 0.5));
            }
        }
        drawing.frame(place.at, place.side, place.side, Stroke::new(Colour::INK, 0.4));
    }

    fn paint_labels(&self, drawing: &mut Drawing, place: PanelPlace) {
        let cell = place.side / real(self.size);
        for run in &self.labels {
            let Some(size) = self.letters(run, place.side) else { continue };
            let middle = cell * (real(run.first) + real(run.count) / 2.0);
            let lettering = Lettering::new(size).anchor(Anchor::End);
            drawing.text((place.at.0 - APART, place.at.1 + middle), &run.words, lettering);
            let below = (place.at.0 + middle, place.at.1 + place.side + APART);
            drawing.text(below, &run.words, lettering.turn(-90.0));
        }
    }

    fn table(&self, simulated: bool) -> Result<DataFrame, Failure> {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let maps = || self.maps.iter();
        let of_range = |at: usize| maps().map(move |map| map.range.map(|range| range[at]));
        let pairs = self.size * (self.size - 1) / 2;
        DataTable::of(COLUMNS)
            .text("rdm", maps().map(|map| map.id.as_str()))
            .text("title", maps().map(|map| map.title.as_str()))
            .integers("entries", maps().map(|_| whole(self.size)))
            .integers("n_pairs", maps().map(|_| whole(pairs)))
            .integers("n_undefined", maps().map(|map| whole(map.undefined)))
            .optional_numbers("min", of_range(0))
            .optional_numbers("median", of_range(1))
            .optional_numbers("max", of_range(2))
            .numbers("from", self.scales.iter().map(|scale| scale.low))
            .numbers("to", self.scales.iter().map(|scale| scale.high))
            .stamped(simulated)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::RdmAbout;
    use crate::test_support::figures::{assert_same_bytes_twice, look_at};
    use crate::test_support::tasks::{give, run, set, task};

    /// Layers of a network; entries are objects in several colours, more alike within an object.
    fn rdms(layers: usize, objects: usize, colours: usize) -> RdmSet {
        let size = objects * colours;
        let entries = DataTable::new()
            .text("id", (0..size).map(|at| format!("obj{} {:03}", at / colours, 90 * (at % colours))))
            .text("object", (0..size).map(|at| format!("obj{}", at / colours)));
        let index = DataTable::new()
            .text("id", (0..layers).map(|layer| format!("alexnet layer{layer}")))
            .text("layer", (0..layers).map(|layer| format!("layer{layer}")));
        let value = move |layer: usize, (one, two): (usize, usize)| {
            let differ = if one / colours == two / colours { 0.25 } else { 0.75 };
            real(layer + 1) * (differ + 0.03125 * real((one * 7 + two * 3) % 11))
        };
        let values = (0..layers).flat_map(|layer| pairs(size).map(move |pair| value(layer, pair))).collect();
        let [index, entries] = [index, entries].map(|table| MatrixAxis::new(table.build().unwrap()).unwrap());
        let about = RdmAbout { unit: "1 - r".to_owned(), ..RdmAbout::of("stimuli") };
        RdmSet::new(index, entries, values, None, about).unwrap()
    }

    fn parameters(change: impl Fn(&mut Task)) -> Parameters {
        let mut task = task(&RdmHeatMaps, Path::new(""));
        change(&mut task);
        task.parameters().unwrap()
    }

    fn text(word: &str) -> Value {
        Value::Text(word.to_owned())
    }

    #[test]
    fn a_table_says_what_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let mut set_of = rdms(2, 2, 1);
        set_of.write(&folder.path().join("rdms")).unwrap();
        let mut task = task(&RdmHeatMaps, folder.path());
        give(&mut task, "rdms", &folder.path().join("rdms"));
        set(&mut task, "panel_title", text("{layer}"));
        assert!(run(&RdmHeatMaps, &task).unwrap().is_empty());
        let csv = || fs_err::read_to_string(folder.path().join("figure/table.csv")).unwrap();
        let head = "rdm,title,entries,n_pairs,n_undefined,min,median,max,from,to\n";
        let row =
            |layer: &str, value: &str| format!("alexnet {layer},{layer},2,1,0,{value},{value},{value},0.0,{value}\n");
        let rows = row("layer0", "0.84375") + &row("layer1", "1.6875");
        assert_eq!(csv(), format!("{head}{rows}"));
        set(&mut task, "shared", Value::Bool(true));
        run(&RdmHeatMaps, &task).unwrap();
        assert!(csv().contains("0.84375,0.0,1.6875\n"));
        set(&mut task, "limits", Value::List(vec![Value::Float(1.0), Value::Float(0.0)]));
        assert!(run(&RdmHeatMaps, &task).unwrap_err().message.contains("found [1.0, 0.0] as `limits`"));
        let (index, entries, about) = (set_of.index().clone(), set_of.entries().clone(), set_of.about().clone());
        set_of = RdmSet::new(index, entries, vec![f64::NAN, 1.0], None, about).unwrap();
        set_of.write(&folder.path().join("rdms")).unwrap();
        set(&mut task, "limits", Value::List(Vec::new()));
        let notes = run(&RdmHeatMaps, &task).unwrap();
        assert_eq!(notes, ["important: 1 pairs have no finite dissimilarity and are grey"]);
        assert!(csv().contains("alexnet layer0,layer0,2,1,1,,,,0.0,1.0\n"), "{}", csv());
    }

    #[test]
    fn percentiles_are_ranks_of_pairs() {
        let triangle = [0.3, 0.1, f64::NAN, 0.1, 0.9, 0.5];
        let known = [0.3, 0.1, 0.1, 0.9, 0.5];
        let found = percentiles(&triangle, &known, 4);
        // Ranks 3, 1.5, 1.5, 5, 4 of five.
        assert_eq!([found[1], found[2], found[6], found[7], found[11]], [50.0, 12.5, 12.5, 100.0, 75.0]);
        assert!(found[3].is_nan() && found[12].is_nan() && found[0].is_nan());
        assert_eq!((found[4], found[14]), (50.0, 75.0), "symmetric");
    }

    #[test]
    fn neighbours_share_a_label() {
        let runs = label_runs(&rdms(1, 3, 2), "object").unwrap();
        assert_eq!(
            runs.iter().map(|run| (run.words.as_str(), run.first, run.count)).collect::<Vec<_>>(),
            [("obj0", 0, 2), ("obj1", 2, 2), ("obj2", 4, 2)]
        );
        assert!(label_runs(&rdms(1, 3, 2), "").unwrap().is_empty());
        assert!(label_runs(&rdms(1, 3, 2), "objects").unwrap_err().message.contains("no column `objects`"));
    }

    fn figure(set_of: &RdmSet, change: impl Fn(&mut Task)) -> Drawing {
        let parameters = parameters(change);
        HeatMapSheet::new(set_of, &parameters).unwrap().draw(true)
    }

    #[test]
    fn labels_are_written_where_they_can_be_read() {
        let few = figure(&rdms(1, 4, 3), |_| {}).svg();
        assert_eq!(few.matches(">obj0 000<").count(), 2, "a row and a column");
        let many = figure(&rdms(1, 20, 16), |_| {}).svg();
        assert!(!many.contains(">obj0 000<") && many.contains("have no room for their names"));
        let objects = figure(&rdms(1, 20, 16), |task| set(task, "labels", text("object"))).svg();
        assert!(objects.contains(">obj19<") && !objects.contains("have no room"));
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(|| figure(&rdms(3, 3, 3), |_| {}));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("rdms_one", || figure(&rdms(1, 4, 4), |_| {}));
        look_at("rdms_layers", || {
            figure(&rdms(22, 4, 4), |task| {
                set(task, "labels", text("object"));
                set(task, "panel_title", text("{layer}"));
            })
        });
        look_at("rdms_percentiles", || {
            figure(&rdms(5, 4, 12), |task| {
                set(task, "labels", text("object"));
                set(task, "values", text("percentiles"));
                set(task, "colours", text("viridis"));
            })
        });
        look_at("rdms_shared", || figure(&rdms(4, 20, 16), |task| set(task, "shared", Value::Bool(true))));
    }
}
