//! `figure/cohort`: every subject of a study on one sheet: the flat map with the labels of one rater, and who is absent and why.
//!
//! A sheet to find outliers on: a map that is turned, a rater who labelled another area, a subject whose labels are nowhere. Decides
//! that every subject of the plan has a place, in the order of ids: those without images or labels have the cause there, as far as
//! the ports have it. The background is curvature in two greys; labels are filled. As many columns as a page needs.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Arity, Column, Context, Ended, Failure, Kind, Presence, StageKind, Task, choice, parameters};
use polars::prelude::DataFrame;

use super::subject_images::{NamedImages, SubjectImages, sid};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::colour::CATEGORIES;
use crate::formats::drawing::{
    Anchor, Colour, Drawing, FigureNotes, Lettering, Raster, SMALLEST_TEXT, Stroke, WIDEST, colour, save, text_width,
    wrapped,
};
use crate::formats::score_table;
use crate::numeric::counts::{real, subjects};

/// The kind.
pub(super) struct Cohort;

parameters! {
    struct Parameters {
        /// which labels are filled
        labels: Filled = Filled::Area;
        /// whose labels are shown; empty: the first by name
        rater: String = String::new();
    }
}

choice! {
    /// Which labels are filled.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Filled {
        /// V1, V2 and V3.
        Area = "area",
        /// Five rings of eccentricity.
        Ring = "ring",
    }
}

impl Filled {
    /// The letter with which names of these channels begin.
    fn letter(self) -> char {
        match self {
            Self::Area => 'V',
            Self::Ring => 'E',
        }
    }

    /// Name and colour of every label, in the order of the channels.
    fn key(self) -> Vec<(String, Colour)> {
        match self {
            Self::Area => ["V1", "V2", "V3"].map(String::from).into_iter().zip(CATEGORIES).collect(),
            Self::Ring => {
                let middles = [0.25, 0.75, 1.5, 3.0, 5.5];
                let name = |ring: usize| score_table::region("ring", &ring.to_string());
                (1..=5).map(name).zip(middles.map(colour::eccentricity)).collect()
            }
        }
    }
}

/// What is in `table.csv`.
const COLUMNS: &[Column] = &[
    Column::new("sid", "the subject"),
    Column::new("map", "`shown`, or why there is no map"),
    Column::new("labels", "`shown`, or why there are no labels"),
    Column::measured(
        "labelled",
        "share, 0 to 1",
        "share of the map's pixels that have a label; nothing without labels",
    ),
    STAMP,
];

const SHOWN: &str = "shown";

impl StageKind for Cohort {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/cohort",
            2,
            "Every subject's flat map with one rater's labels, and who is absent, on a sheet",
        )
        .gather("images", &["images"], "images of subjects, one per coordinate `sid`")
        .port(
            "targets",
            &["targets"],
            Arity::Many,
            true,
            "label images, one per `sid` and, where there are several, `rater`",
        )
        .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with a row a subject")
        .described(&[data_table::CSV], COLUMNS)
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let (rater, labels) = labels(task, &parameters.rater)?;
        let mut cells = Vec::new();
        for cell in task.many("images") {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all images were read"));
            }
            let sid = sid(&cell.at, "images")?;
            let labels = labels.get(sid).copied();
            cells.push(match &cell.artifact {
                Presence::Absent(cause) => Place::absent(sid, cause, labels),
                Presence::Present(file) => Place::read(sid, file, labels, parameters.labels)?,
            });
        }
        if !cells.iter().any(|cell| cell.map == SHOWN) {
            return Err(Failure::input("no subject has images, expected at least one"));
        }
        let sheet = Sheet { places: &cells, filled: parameters.labels, rater: &rater };
        let folder = task.output("figure")?;
        save(&sheet.draw(task.simulated), folder)?;
        data_table::write_csv(&folder.join(data_table::CSV), &mut sheet.table(task.simulated)?)?;
        Ok(Ended::noted(task.absences("images").into_iter().collect()))
    }
}

/// The rater whose labels are shown, and for each subject the labels or the cause of their absence.
fn labels<'a>(task: &'a Task, rater: &str) -> Result<(String, BTreeMap<&'a str, &'a Presence>), Failure> {
    let cells = task.many("targets");
    let of = |cell: &'a pipe_contract::Cell| cell.at.get("rater").map_or("", String::as_str);
    let raters: BTreeSet<&str> = cells.iter().map(of).collect();
    let chosen = match (rater, raters.first()) {
        ("", first) => first.copied().unwrap_or_default(),
        (named, Some(_)) if !raters.contains(named) => {
            let all: Vec<&str> = raters.into_iter().collect();
            return Err(Failure::input(format!("no labels are of the rater `{named}`"))
                .hint(format!("the raters at port `targets` are {}", all.join(", "))));
        }
        (named, _) => named,
    };
    let mut labels = BTreeMap::new();
    for cell in cells.iter().filter(|cell| of(cell) == chosen) {
        labels.insert(sid(&cell.at, "targets")?, &cell.artifact);
    }
    Ok((chosen.to_owned(), labels))
}

/// A subject's place on the sheet.
struct Place {
    sid: String,
    /// [`SHOWN`], or why not.
    map: String,
    /// [`SHOWN`], or why not.
    labels: String,
    labelled: Option<f64>,
    picture: Option<Raster>,
}

impl Place {
    fn absent(sid: &str, cause: &str, labels: Option<&Presence>) -> Self {
        let labels = match labels {
            Some(Presence::Absent(cause)) => cause.clone(),
            Some(Presence::Present(_)) => "no map".to_owned(),
            None => "not given".to_owned(),
        };
        Self { sid: sid.to_owned(), map: cause.to_owned(), labels, labelled: None, picture: None }
    }

    fn read(sid: &str, file: &std::path::Path, labels: Option<&Presence>, filled: Filled) -> Result<Self, Failure> {
        let images = SubjectImages::read(sid, file, None)?;
        let (labels, targets) = match labels {
            None => ("not given".to_owned(), None),
            Some(Presence::Absent(cause)) => (cause.clone(), None),
            Some(Presence::Present(file)) => {
                let targets = NamedImages::targets(file, &images)?;
                let there = targets.beginning(filled.letter()).next().is_some();
                if there { (SHOWN.to_owned(), Some(targets)) } else { ("not labelled".to_owned(), None) }
            }
        };
        let channels: Vec<&[f32]> =
            targets.iter().flat_map(|targets| targets.beginning(filled.letter())).map(|(_, image)| image).collect();
        let label = |pixel: usize| channels.iter().position(|image| image[pixel] >= 0.5);
        let colours: Vec<Colour> = filled.key().into_iter().map(|(_, colour)| colour).collect();
        let nothing = Vec::new();
        let curvature = images.channels.get("curvature").unwrap_or(&nothing);
        let picture = images.picture(|pixel| {
            let sulcus = curvature.get(pixel).is_some_and(|value| *value > 0.0);
            let grey = colour::grey(if sulcus { 0.45 } else { 0.12 });
            Some(label(pixel).and_then(|label| colours.get(label)).map_or(grey, |fill| grey.towards(*fill, FILL)))
        });
        let shown = (0..images.coverage.len()).filter(|pixel| images.shows(*pixel));
        let (all, with) =
            shown.fold((0, 0), |(all, with), pixel| (all + 1, with + usize::from(label(pixel).is_some())));
        let labelled = targets.is_some().then(|| if all > 0 { real(with) / real(all) } else { 0.0 });
        Ok(Self { sid: sid.to_owned(), map: SHOWN.to_owned(), labels, labelled, picture: Some(picture) })
    }
}

/// Opacity of labels over curvature.
const FILL: f64 = 0.75;

const MARGIN: f64 = 8.0;
const GAP: f64 = 4.0;
const HEAD: f64 = 36.0;
/// Height of the id, and of what is absent, above and below a map.
const NAME: f64 = 8.0;
/// The widest map, and the height of a page's sheet: 247 mm.
const CELL: f64 = 88.0;
const PAGE: f64 = 700.0;
const SMALL: f64 = 6.0;
const LINE: f64 = 8.0;
/// Size of ids and causes.
const ID: f64 = 5.5;

/// The sheet, ready to be rendered.
struct Sheet<'a> {
    places: &'a [Place],
    filled: Filled,
    rater: &'a str,
}

impl Sheet<'_> {
    /// Columns of the sheet and the width of a map: as large as a page allows, and wide enough for ids.
    fn grid(&self) -> (usize, f64) {
        let ids = self.places.iter().map(|place| text_width(&place.sid, ID)).fold(0.0, f64::max);
        let cell = |columns: usize| ((WIDEST - 2.0 * MARGIN + GAP) / real(columns) - GAP).min(CELL);
        let fits = |columns: &usize| {
            let rows = self.places.len().div_ceil(*columns);
            HEAD + 40.0 + real(rows) * (cell(*columns) / 2.0 + NAME + GAP) <= PAGE
        };
        let narrowest = ids.max(24.0);
        let possible: Vec<usize> = (1..=24).take_while(|columns| cell(*columns) >= narrowest).collect();
        let columns = possible.iter().copied().find(|columns| cell(*columns) < CELL && fits(columns));
        let columns = columns.or(possible.last().copied()).unwrap_or(1);
        (columns, cell(columns))
    }

    fn draw(&self, simulated: bool) -> Drawing {
        let (columns, cell) = self.grid();
        let used = columns.min(self.places.len().max(1));
        let width = (2.0 * MARGIN + real(used) * (cell + GAP) - GAP).max(320.0);
        let rows = self.places.len().div_ceil(columns);
        let row = cell / 2.0 + NAME + GAP;
        let notes = FigureNotes::new(&self.notes(), width - 2.0 * MARGIN, (SMALL, LINE));
        let height = HEAD + real(rows) * row + notes.height() + 8.0;
        let mut drawing = Drawing::new(width, height, "Flat maps of a cohort");
        self.head(&mut drawing, simulated);
        for (at, place) in self.places.iter().enumerate() {
            let x = MARGIN + real(at % columns) * (cell + GAP);
            let y = HEAD + real(at / columns) * row;
            draw_place(&mut drawing, (x, y), cell, place);
        }
        notes.draw(&mut drawing, (MARGIN, HEAD + real(rows) * row + 2.0));
        drawing
    }

    /// How many are shown, the key of labels, and the stamp.
    fn head(&self, drawing: &mut Drawing, simulated: bool) {
        let count = |of: fn(&Place) -> &str| self.places.iter().filter(|place| of(place) == SHOWN).count();
        let (maps, labels) = (count(|place| &place.map), count(|place| &place.labels));
        let rater = if self.rater.is_empty() { String::new() } else { format!(" of rater {}", self.rater) };
        let title = format!("{maps} of {}; labels{rater} of {labels}", subjects(self.places.len()));
        drawing.text((MARGIN, 10.0), &title, Lettering::new(8.0));
        if simulated {
            drawing.simulated_stamp((drawing.width() - MARGIN, 4.0));
        }
        let mut x = MARGIN;
        for (name, fill) in self.filled.key() {
            drawing.rectangle((x, 19.0), 8.0, 6.0, 0.0, colour::grey(0.12).towards(fill, FILL));
            drawing.text((x + 11.0, 22.0), &name, Lettering::new(6.5));
            x += 11.0 + text_width(&name, 6.5) + 9.0;
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "Left: left hemisphere; top is superior, and medial is towards the middle. Grey: curvature, sulci darker. The two pixels at the \
             rim of the networks' images are left out."
                .to_owned(),
        ];
        let causes = |of: fn(&Place) -> &str, what: &str| {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            self.places.iter().map(of).filter(|cause| *cause != SHOWN).for_each(|c| *counts.entry(c).or_default() += 1);
            let counts: Vec<String> = counts.into_iter().map(|(cause, count)| format!("{count} {cause}")).collect();
            (!counts.is_empty()).then(|| format!("Without {what}: {}.", counts.join(", ")))
        };
        notes.extend(causes(|place| &place.map, "a map"));
        notes.extend(causes(|place| &place.labels, "labels"));
        notes
    }

    fn table(&self, simulated: bool) -> Result<DataFrame, Failure> {
        DataTable::of(COLUMNS)
            .text("sid", self.places.iter().map(|place| place.sid.as_str()))
            .text("map", self.places.iter().map(|place| place.map.as_str()))
            .text("labels", self.places.iter().map(|place| place.labels.as_str()))
            .scores("labelled", self.places.iter().map(|place| place.labelled))
            .stamped(simulated)
            .build()
    }
}

/// A subject: the id, and below it the map, or why there is none.
fn draw_place(drawing: &mut Drawing, (x, y): (f64, f64), width: f64, place: &Place) {
    let quiet = Lettering::new(ID).colour(Colour::QUIET);
    drawing.text((x, y + NAME / 2.0), &place.sid, Lettering::new(ID));
    // The cause stands beside the id where it has room, else in the place of the map.
    let reason = if place.map == SHOWN { &place.labels } else { &place.map };
    let beside = x + width - text_width(reason, ID) > x + text_width(&place.sid, ID) + 3.0;
    match &place.picture {
        Some(picture) => drawing.image((x, y + NAME), width, width / 2.0, picture, true),
        None => drawing.frame((x, y + NAME), width, width / 2.0, Stroke::new(Colour::RULE, 0.5)),
    }
    if reason == SHOWN {
        return;
    }
    if place.picture.is_some() && beside {
        drawing.text((x + width, y + NAME / 2.0), reason, quiet.anchor(Anchor::End));
    } else if place.picture.is_some() {
        // Abbreviated: the note below the sheet has the causes in full.
        drawing.text((x + width, y + NAME / 2.0), "\u{2013}", quiet.anchor(Anchor::End));
    } else {
        let lines = wrapped(&reason.replace('-', " "), width - 2.0, SMALLEST_TEXT);
        let middle = y + NAME + width / 4.0;
        for (line, words) in lines.iter().enumerate() {
            let at = middle + 6.0 * (real(line) - (real(lines.len()) - 1.0) / 2.0);
            let lettering = Lettering::new(SMALLEST_TEXT).colour(Colour::QUIET).anchor(Anchor::Middle);
            drawing.text((x + width / 2.0, at), words, lettering);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::formats::tensors;
    use crate::test_support::figures::{assert_readable, in_a_folder};
    use crate::test_support::tasks;

    /// Images or targets of 32 rows: two discs with waves of curvature, or areas in them.
    fn image(folder: &Path, name: &str, tensor: &str, channels: &str, phase: f64) -> PathBuf {
        let (rows, columns) = (32, 64);
        let mut values = Vec::new();
        for channel in 0..channels.split(',').count() {
            for pixel in 0..rows * columns {
                let (x, y) = (real(pixel % rows) / 16.0 - 1.0, 1.0 - real(pixel / columns) / 16.0);
                let far = x.hypot(y + 0.1 * phase.sin());
                let value = match tensor {
                    "images" if x.hypot(y) < 0.97 => libm::sin(9.0 * x + phase + 0.3) * libm::cos(7.0 * y),
                    "targets" if (0.2 * real(channel)..0.2 * real(channel + 1)).contains(&far) => 1.0,
                    _ => 0.0,
                };
                #[expect(clippy::cast_possible_truncation, reason = "a test image")]
                values.push(value as f32);
            }
        }
        let shape = [channels.split(',').count(), rows, columns];
        let tensors = tensors::Tensors::new()
            .with(tensor, tensors::Tensor::f32(&shape, values))
            .about("channels", channels)
            .about("radius", "80");
        let file = folder.join(format!("{name}.{tensor}"));
        tensors::write(&file, &tensors).unwrap();
        file
    }

    /// Subjects of whom the third has no images and the fourth no labels of rater A1.
    fn task(folder: &Path, count: usize) -> Task {
        let mut task = tasks::task(&Cohort, folder);
        task.simulated = true;
        for at in 0..count {
            let sid = format!("1{:05}", 307 * at);
            let file = (at != 2).then(|| image(folder, &sid, "images", "curvature", real(at)));
            tasks::gather(&mut task, "images", &[("sid", &sid)], file.as_deref());
            for rater in ["A1", "A2"] {
                let file = (at != 3 || rater == "A2")
                    .then(|| image(folder, &format!("{sid}{rater}"), "targets", "V1,V2,V3", real(at)));
                tasks::gather(&mut task, "targets", &[("sid", &sid), ("rater", rater)], file.as_deref());
            }
        }
        task
    }

    fn file(task: &Task, name: &str) -> String {
        fs_err::read_to_string(task.output("figure").unwrap().join(name)).unwrap()
    }

    #[test]
    fn every_subject_has_a_place_and_who_is_absent_has_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path(), 5);
        let notes = tasks::run(&Cohort, &task).unwrap();
        assert_eq!(notes, ["4 of 5 `images` (1 not-found)"]);
        let svg = file(&task, "figure.svg");
        for words in ["4 of 5 subjects; labels of rater A1 of 3", "V1", "100614", "not found", "not-found"] {
            assert!(svg.contains(&format!(">{words}</text>")), "`{words}` is not on the sheet");
        }
        assert!(svg.contains("Without a map: 1 not-found.") && svg.contains("SIMULATED DATA"));
        let csv = file(&task, "table.csv");
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(rows[0], "sid,map,labels,labelled,simulated");
        assert!(rows[1].starts_with("100000,shown,shown,0.") && rows[1].ends_with(",true"), "{csv}");
        assert_eq!(rows[3], "100614,not-found,no map,,true");
        assert_eq!(rows[4], "100921,shown,not-found,,true");
        let bytes = || fs_err::read(task.output("figure").unwrap().join("figure.pdf")).unwrap();
        let first = bytes();
        tasks::run(&Cohort, &task).unwrap();
        assert!(bytes() == first, "the same bytes twice");
    }

    #[test]
    fn raters_and_labels_can_be_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path(), 5);
        tasks::set(&mut task, "rater", pipe_contract::Value::Text("A2".into()));
        tasks::run(&Cohort, &task).unwrap();
        assert!(file(&task, "figure.svg").contains("labels of rater A2 of 4"));
        tasks::set(&mut task, "labels", pipe_contract::Value::Text("ring".into()));
        tasks::run(&Cohort, &task).unwrap();
        assert!(file(&task, "table.csv").contains("shown,not labelled,"), "the targets have areas only");
        tasks::set(&mut task, "rater", pipe_contract::Value::Text("B1".into()));
        let failure = tasks::run(&Cohort, &task).unwrap_err();
        assert_eq!(failure.message, "no labels are of the rater `B1`");
    }

    #[test]
    fn the_hcp_cohort_fits_a_page() {
        let place = |at: usize| Place {
            sid: format!("1{at:05}"),
            map: if at % 50 == 3 { "not-found".into() } else { SHOWN.into() },
            labels: if at.is_multiple_of(9) { "excluded".into() } else { SHOWN.into() },
            labelled: Some(0.1),
            picture: (at % 50 != 3).then(|| Raster::new(2, 1)),
        };
        for count in [1, 4, 32, 163, 400] {
            let places: Vec<Place> = (0..count).map(place).collect();
            let drawing = Sheet { places: &places, filled: Filled::Ring, rater: "A1" }.draw(true);
            assert_readable(&drawing);
            assert!(drawing.width() <= WIDEST + 1e-9 && drawing.height() <= PAGE, "{count}: {}", drawing.height());
        }
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        for count in [5, 32, 163] {
            let folder = tempfile::tempdir().unwrap();
            let mut task = task(folder.path(), count);
            in_a_folder(&format!("cohort_{count}"), |figure| {
                task.outputs.insert("figure".into(), figure.to_owned());
                tasks::run(&Cohort, &task).unwrap();
            });
        }
    }
}
