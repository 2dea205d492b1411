//! `figure/contours`: where a labelling of one subject's cortex has its boundaries, and how well it agrees with a rater's, on the flat
//! map of each hemisphere.
//!
//! The map is coloured by measured polar angle (areas) or eccentricity (rings) where the pRF model explains 0.1 to 1 of the variance,
//! and by curvature elsewhere; without pRF maps, by curvature alone. As in the paper, every mesh edge whose two vertices have
//! different labels gets a dot at its middle: white for the manual labels, black for the model's. A thin line joins the dots, because
//! coarse meshes have few. Both have an edge of the opposite lightness, because the maps' colours run from dark to light. Without
//! manual labels there is one labelling and no score; a hemisphere that the model did not label is an empty panel.
//!
//! What the original's picture leaves to its caption is in the figure: names of areas, directions, a scale, whose labels they are, and
//! the Dice score of each area.

use std::path::Path;

use pipe_contract::{Arity, Column, Context, Ended, Failure, Kind, StageKind, Task, choice, parameters};
use polars::prelude::DataFrame;

use super::outline::{Boundary, boundary, places_of_names};
use crate::declared::map_radius::MapRadius;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::colour_bar;
use crate::formats::drawing::{
    Anchor, Colour, Drawing, FigureNotes, Lettering, Raster, SMALLEST_TEXT, Stroke, colour, save, text_width,
};
use crate::formats::mgh;
use crate::formats::score_table::{
    self, DICE_UNIT, HEMISPHERE_COLUMN, LABEL_COLUMN, MEAN, REGION_COLUMN, label_name, label_names,
};
use crate::formats::subject_folder::{Cortex, Subject};
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::counts::real;
use crate::numeric::flatmap::{self, FlatMap};
use crate::numeric::mesh::sphere_radius;
use crate::numeric::overlap::dice;
use crate::numeric::projection::{Rotation, occipital_pole};
use crate::numeric::vector::{cross, norm, subtract};

/// The kind.
pub(super) struct Contours;

parameters! {
    struct Parameters {
        /// what the key calls the manual labels, such as the rater's name
        manual_name: String = "manual labels".to_owned();
        /// what the key calls the model's labels, such as its inputs
        model_name: String = "predicted".to_owned();
        /// show the part with labels, or the whole map
        view: View = View::Labels;
        /// diameter of the dots in points; the paper's suits meshes of 100,000 vertices and more, 1.0 coarser ones
        dot: f64 = 0.5, in 0.1..=5.0;
        ..map: MapRadius;
    }
}

choice! {
    /// How much of the map is shown.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum View {
        /// A square around the labels.
        Labels = "labels",
        /// The whole disc.
        Map = "map",
    }
}

/// Every dot of the figure, beside `table.csv`.
const BOUNDARIES: &str = "boundaries.csv";

/// What is in `table.csv`.
const COLUMNS: &[Column] = &[
    HEMISPHERE_COLUMN,
    LABEL_COLUMN,
    REGION_COLUMN,
    Column::new("n_manual", "vertices of the flat map with this manual label; nothing without manual labels"),
    Column::new("n_model", "vertices of the flat map to which the model gives this label"),
    Column::measured("dice", DICE_UNIT, "how well the two agree; nothing where they cannot be compared"),
    STAMP,
];

/// What is in [`BOUNDARIES`].
const BOUNDARY_COLUMNS: &[Column] = &[
    HEMISPHERE_COLUMN,
    Column::new("labelling", "whose boundary").levels(&[("manual", "white"), ("model", "black")]),
    Column::measured(
        "x",
        "units of the registered sphere, radius about 100",
        "place of a dot on the flat map, to the right",
    ),
    Column::measured(
        "y",
        "units of the registered sphere, radius about 100",
        "place of a dot on the flat map, upwards",
    ),
    STAMP,
];

impl StageKind for Contours {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/contours",
            3,
            "Boundaries of a labelling of one subject, and of a rater's, on the flat maps of both hemispheres",
        )
        .input("model", &["labels"], "the labels, rendered black; of one hemisphere or both")
        .port("manual", &["labels"], Arity::One, true, "manual labels to compare with, rendered white")
        .input("subject", &["subject"], "the subject's files")
        .port("prf", &["prf"], Arity::One, true, "the subject's pRF maps, for colours; without them, curvature")
        .folder(
            "figure",
            "figure",
            "figure.svg, figure.pdf, figure.png; table.csv with the size of each label and its score; boundaries.csv with every dot",
        )
        .described(&[data_table::CSV], COLUMNS)
        .described(&[BOUNDARIES], BOUNDARY_COLUMNS)
        .parameters::<Parameters>();
        Kind { axes: vec!["outputs"], stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let parcellation = task.coordinate("outputs")?;
        label_names(parcellation)?;
        let subject = Subject::open(task.one("subject")?)?;
        let model = task.one("model")?;
        let labelled = |hemisphere: &Hemisphere| model.join(file_of(*hemisphere, parcellation)).exists();
        let mut panels = Vec::new();
        for hemisphere in HEMISPHERES.into_iter().filter(labelled) {
            let panel = Panel::read(task, &subject, hemisphere, parcellation, parameters.map.radius)?;
            let manual = panel.manual.as_ref().map_or(0, |manual| manual.boundary.midpoints.len());
            let (name, model) = (hemisphere.name(), panel.model.boundary.midpoints.len());
            context.log(&format!("{name}: boundaries cross {manual} edges (white) and {model} (black)"));
            panels.push(panel);
        }
        if panels.is_empty() {
            let files = HEMISPHERES.map(|hemisphere| format!("`{}`", file_of(hemisphere, parcellation)));
            return Err(Failure::input(format!("labels of neither hemisphere, expected {}", files.join(" or ")))
                .at(model.display().to_string()));
        }
        let figure = Figure {
            sid: subject.sid(),
            parcellation,
            parameters: &parameters,
            prf: task.maybe("prf").is_some(),
            manual: panels.iter().any(|panel| panel.manual.is_some()),
            simulated: task.simulated,
        };
        let folder = task.output("figure")?;
        save(&figure.draw(&panels), folder)?;
        data_table::write_csv(&folder.join(data_table::CSV), &mut table(parcellation, &panels, task.simulated)?)?;
        data_table::write_csv(&folder.join(BOUNDARIES), &mut dots(&panels, task.simulated)?)?;
        Ok(Ended::done())
    }
}

/// The file of a hemisphere's labels.
fn file_of(hemisphere: Hemisphere, parcellation: &str) -> String {
    format!("{}.{parcellation}.mgz", hemisphere.name())
}

/// A labelling of one hemisphere.
struct Labelling {
    /// One per map vertex.
    labels: Vec<i32>,
    boundary: Boundary,
}

/// One hemisphere, ready to be rendered.
struct Panel {
    hemisphere: Hemisphere,
    map: FlatMap,
    /// One per vertex of the hemisphere.
    colours: Vec<Colour>,
    manual: Option<Labelling>,
    model: Labelling,
    /// By label: its Dice score, where the two labellings can be compared.
    scores: Vec<Option<f64>>,
    /// Box around all map vertices that have a label: least and greatest x, least and greatest y.
    labelled: Option<[[f64; 2]; 2]>,
    /// Radius of the registered sphere.
    sphere: f64,
    /// Millimetres of the middle surface per unit of the map, as a mean within the labels.
    millimetres: f64,
}

impl Panel {
    fn read(
        task: &Task,
        subject: &Subject,
        hemisphere: Hemisphere,
        parcellation: &str,
        radius: f64,
    ) -> Result<Self, Failure> {
        let name = hemisphere.name();
        let cortex = subject.cortex(hemisphere)?;
        let mesh = &cortex.registered;
        let vertices = mesh.sphere.len();
        let place = |failure: Failure| failure.at(format!("{}, {name}", subject.sid()));
        let map = flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, radius.to_radians()).map_err(place)?;
        let labelling = |folder: &Path| -> Result<Labelling, Failure> {
            let file = folder.join(file_of(hemisphere, parcellation));
            let labels = mgh::read_i32(&file)?;
            check(labels.len(), vertices, &file)?;
            let labels = map.pick(&labels);
            Ok(Labelling { boundary: boundary(&map.coordinates, &map.faces, &labels), labels })
        };
        let model = labelling(task.one("model")?)?;
        // A rater may have labelled one hemisphere, or areas and no rings.
        let manual = task.maybe("manual").filter(|folder| folder.join(file_of(hemisphere, parcellation)).exists());
        let manual = manual.map(labelling).transpose()?;
        let colours = match task.maybe("prf") {
            None => cortex.curvature.iter().map(|curvature| curvature_colour(*curvature)).collect(),
            Some(folder) => {
                let prf = |quantity: &str| -> Result<Vec<f32>, Failure> {
                    let file = folder.join(format!("{name}.prf_{quantity}.mgz"));
                    let values = mgh::read_f32(&file)?;
                    check(values.len(), vertices, &file)?;
                    Ok(values)
                };
                let (x, y, explained) = (prf("x")?, prf("y")?, prf("cod")?);
                let measured = |v: usize| [x[v], y[v], explained[v]].map(f64::from);
                (0..vertices).map(|v| vertex_colour(parcellation, measured(v), cortex.curvature[v])).collect()
            }
        };
        let has_label =
            |vertex: usize| model.labels[vertex] > 0 || manual.as_ref().is_some_and(|manual| manual.labels[vertex] > 0);
        let labelled = around(&map, has_label);
        let scores = scores(label_names(parcellation)?.len(), manual.as_ref(), &model);
        let millimetres = millimetres(&map, &cortex, has_label);
        let sphere = sphere_radius(&mesh.sphere).map_err(place)?;
        Ok(Self { hemisphere, colours, manual, model, scores, labelled, sphere, millimetres, map })
    }

    /// The mean of the scores, if every label that a labelling has can be compared.
    fn mean(&self) -> Option<f64> {
        let there: Vec<f64> = self.scores.iter().copied().flatten().collect();
        (!there.is_empty()).then(|| there.iter().sum::<f64>() / real(there.len()))
    }

    /// The labelling whose areas are named: the rater's, else the model's.
    fn named(&self) -> &Labelling {
        self.manual.as_ref().unwrap_or(&self.model)
    }

    /// The map's colours in a window of the plane, transparent outside the map.
    fn pixels(&self, window: &Window) -> Raster {
        let mut pixels = Raster::new(PIXELS, PIXELS);
        let place = |[x, y]: [f64; 2]| window.place([x, y]).map(|share| share * real(PIXELS));
        for face in &self.map.faces {
            let corners = face.map(|vertex| place(self.map.coordinates[vertex as usize]));
            let colours = face.map(|vertex| self.colours[self.map.vertices[vertex as usize] as usize]);
            paint_triangle(&mut pixels, corners, colours);
        }
        pixels
    }
}

/// The Dice score of every label as `score/dice` has it, the rater first: none at all where the model has a label that the rater
/// lacks, and none for labels that the rater lacks.
fn scores(labels: usize, manual: Option<&Labelling>, model: &Labelling) -> Vec<Option<f64>> {
    let numbers = (1i32..).take(labels);
    let Some(manual) = manual else { return numbers.map(|_| None).collect() };
    let has = |labelling: &Labelling, label: i32| labelling.labels.contains(&label);
    let skipped = numbers.clone().any(|label| has(model, label) && !has(manual, label));
    let score = |label: i32| dice(label, &manual.labels, &model.labels).filter(|_| !skipped);
    numbers.map(score).collect()
}

/// The square root of how much larger triangles are on the middle surface than on the map, over triangles whose corners are all
/// chosen; over all if none is.
fn millimetres(map: &FlatMap, cortex: &Cortex, chosen: impl Fn(usize) -> bool) -> f64 {
    let ratio = |all: bool| {
        let (mut surface, mut plane) = (0.0, 0.0);
        for face in map.faces.iter().filter(|face| all || face.iter().all(|vertex| chosen(*vertex as usize))) {
            let [a, b, c] = face.map(|vertex| cortex.midthickness[map.vertices[vertex as usize] as usize]);
            surface += norm(cross(subtract(b, a), subtract(c, a))) / 2.0;
            plane += area(face.map(|vertex| map.coordinates[vertex as usize])).abs() / 2.0;
        }
        (plane > 0.0).then(|| (surface / plane).sqrt())
    };
    ratio(false).or_else(|| ratio(true)).unwrap_or(1.0)
}

/// Twice the signed area of a triangle of the plane.
fn area([a, b, c]: [[f64; 2]; 3]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

fn table(parcellation: &str, panels: &[Panel], simulated: bool) -> Result<DataFrame, Failure> {
    struct Row {
        hemisphere: &'static str,
        label: String,
        manual: Option<usize>,
        model: usize,
        dice: Option<f64>,
    }
    let mut rows = Vec::new();
    for panel in panels {
        let hemisphere = panel.hemisphere.name();
        for (label, dice) in (1i32..).zip(&panel.scores) {
            let count = |labelling: &Labelling| labelling.labels.iter().filter(|found| **found == label).count();
            let (manual, model) = (panel.manual.as_ref().map(count), count(&panel.model));
            rows.push(Row { hemisphere, label: label.to_string(), manual, model, dice: *dice });
        }
        let count = |labelling: &Labelling| labelling.labels.iter().filter(|found| **found > 0).count();
        let (manual, model) = (panel.manual.as_ref().map(count), count(&panel.model));
        rows.push(Row { hemisphere, label: MEAN.into(), manual, model, dice: panel.mean() });
    }
    DataTable::of(COLUMNS)
        .text("hemisphere", rows.iter().map(|row| row.hemisphere))
        .text("label", rows.iter().map(|row| row.label.as_str()))
        .text("region", rows.iter().map(|row| score_table::region(parcellation, &row.label)))
        .optional_numbers("n_manual", rows.iter().map(|row| row.manual.map(real)))
        .optional_numbers("n_model", rows.iter().map(|row| Some(real(row.model))))
        .scores("dice", rows.iter().map(|row| row.dice))
        .stamped(simulated)
        .build()
}

fn dots(panels: &[Panel], simulated: bool) -> Result<DataFrame, Failure> {
    let mut rows: Vec<(&str, &str, [f64; 2])> = Vec::new();
    for panel in panels {
        let both = [("manual", panel.manual.as_ref()), ("model", Some(&panel.model))];
        for (name, labelling) in both.into_iter().filter_map(|(name, labelling)| Some((name, labelling?))) {
            rows.extend(labelling.boundary.midpoints.iter().map(|at| (panel.hemisphere.name(), name, *at)));
        }
    }
    // Thousandths of a unit are micrometres.
    let rounded = |value: f64| (value * 1e3).round() / 1e3 + 0.0;
    DataTable::of(BOUNDARY_COLUMNS)
        .text("hemisphere", rows.iter().map(|row| row.0))
        .text("labelling", rows.iter().map(|row| row.1))
        .numbers("x", rows.iter().map(|row| rounded(row.2[0])))
        .numbers("y", rows.iter().map(|row| rounded(row.2[1])))
        .stamped(simulated)
        .build()
}

/// Pixels of a panel's side: 300 dots per inch or nearly so.
const PIXELS: usize = 640;

/// Paints the pixels whose centres lie in a triangle, colours blended between its corners.
fn paint_triangle(pixels: &mut Raster, [a, b, c]: [[f64; 2]; 3], colours: [Colour; 3]) {
    let whole = area([a, b, c]);
    if whole == 0.0 {
        return;
    }
    // Casts saturate, so what lies outside the image becomes its edge.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as it should")]
    let span = |axis: usize| {
        let low = a[axis].min(b[axis]).min(c[axis]);
        let high = a[axis].max(b[axis]).max(c[axis]);
        ((low - 0.5).ceil() as usize)..((high + 0.5).floor() as usize).min(PIXELS)
    };
    for row in span(1) {
        for column in span(0) {
            let centre = [real(column) + 0.5, real(row) + 0.5];
            let weights = [[b, c, centre], [c, a, centre], [a, b, centre]].map(|part| area(part) / whole);
            // A hair of tolerance closes the seams between neighbours.
            if weights.iter().all(|weight| *weight >= -1e-9) {
                let blend = |part: fn(Colour) -> u8| {
                    weights.iter().zip(colours).map(|(weight, colour)| weight * f64::from(part(colour))).sum::<f64>()
                        / 255.0
                };
                pixels.set(column, row, Colour::fractions(blend(|c| c.red), blend(|c| c.green), blend(|c| c.blue)));
            }
        }
    }
}

fn check(found: usize, vertices: usize, file: &Path) -> Result<(), Failure> {
    if found == vertices {
        return Ok(());
    }
    Err(Failure::input(format!("values of {found} vertices, but the mesh has {vertices}"))
        .at(file.display().to_string())
        .hint("all inputs of this figure must belong to one subject"))
}

/// Polar angle or eccentricity where the pRF model explains the data; curvature elsewhere.
fn vertex_colour(parcellation: &str, [x, y, explained]: [f64; 3], curvature: f32) -> Colour {
    if (0.1..=1.0).contains(&explained) && x.is_finite() && y.is_finite() {
        return match parcellation {
            "area" => colour::polar_angle(libm::atan2(x, y).to_degrees()),
            _ => colour::eccentricity(libm::hypot(x, y)),
        };
    }
    curvature_colour(curvature)
}

/// Two greys: darker for sulci, lighter for gyri.
fn curvature_colour(curvature: f32) -> Colour {
    if curvature > 0.0 { SULCI } else { GYRI }
}

const SULCI: Colour = Colour::rgb(156, 156, 156);
const GYRI: Colour = Colour::rgb(200, 200, 200);

fn around(map: &FlatMap, chosen: impl Fn(usize) -> bool) -> Option<[[f64; 2]; 2]> {
    let points = map.coordinates.iter().enumerate().filter(|(vertex, _)| chosen(*vertex)).map(|(_, point)| point);
    points.fold(None, |bounds: Option<[[f64; 2]; 2]>, point| {
        let bounds = bounds.unwrap_or([[point[0]; 2], [point[1]; 2]]);
        let grow = |axis: usize| [bounds[axis][0].min(point[axis]), bounds[axis][1].max(point[axis])];
        Some([grow(0), grow(1)])
    })
}

/// The square of the plane that is shown.
struct Window {
    centre: [f64; 2],
    side: f64,
}

impl Window {
    /// Where a point of the plane lies in the window: 0 to 1 from the left and from the top.
    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [0.5 + (x - self.centre[0]) / self.side, 0.5 - (y - self.centre[1]) / self.side]
    }

    /// One window per panel, all of one size, so that hemispheres compare.
    fn of(panels: &[Panel], view: View) -> Vec<Self> {
        let bounds: Vec<[[f64; 2]; 2]> = panels
            .iter()
            .map(|panel| {
                let whole = [panel.map.bounds.x, panel.map.bounds.y];
                if view == View::Labels { panel.labelled.unwrap_or(whole) } else { whole }
            })
            .collect();
        let extent = |axis: &[f64; 2]| axis[1] - axis[0];
        let longest = bounds.iter().flatten().map(extent).fold(0.0, f64::max);
        let side = longest * if view == View::Labels { 1.2 } else { 1.02 };
        let middle = |axis: [f64; 2]| f64::midpoint(axis[0], axis[1]);
        bounds.into_iter().map(|bounds| Self { centre: bounds.map(middle), side }).collect()
    }
}

/// Side of a panel in points.
const PANEL: f64 = 166.0;
const GAP: f64 = 12.0;
const HEAD: f64 = 36.0;
/// Height of the line of scores below a panel.
const SCORES: f64 = 14.0;
const LEGEND: f64 = 52.0;
const MARGIN: f64 = 8.0;
/// Distance of two lines of notes, and their size.
const LINE: f64 = 8.0;
const SMALL: f64 = 6.0;

struct Figure<'a> {
    sid: &'a str,
    parcellation: &'a str,
    parameters: &'a Parameters,
    /// Whether the map shows pRF parameters.
    prf: bool,
    /// Whether any panel has manual labels.
    manual: bool,
    simulated: bool,
}

impl Figure<'_> {
    fn draw(&self, panels: &[Panel]) -> Drawing {
        let width = 2.0 * (MARGIN + PANEL) + GAP;
        let notes = FigureNotes::new(&self.notes(panels), width - 2.0 * MARGIN, (SMALL, LINE));
        let height = HEAD + PANEL + SCORES + LEGEND + notes.height() + 6.0;
        let title = format!("Boundaries of {} of {}", self.parcellation, self.sid);
        let mut drawing = Drawing::new(width, height, &title);
        let what = if self.parcellation == "area" { "Visual areas" } else { "Eccentricity rings" };
        drawing.text((MARGIN, 11.0), &format!("{what} of {}", self.sid), Lettering::new(9.0));
        if self.simulated {
            drawing.simulated_stamp((width - MARGIN, 5.0));
        }
        let windows = Window::of(panels, self.parameters.view);
        for (at, hemisphere) in HEMISPHERES.into_iter().enumerate() {
            let (left, top) = (MARGIN + real(at) * (PANEL + GAP), HEAD);
            let name = if hemisphere == Hemisphere::Left { "left hemisphere" } else { "right hemisphere" };
            drawing.text((left + PANEL / 2.0, top - 7.0), name, Lettering::new(7.5).anchor(Anchor::Middle));
            match panels.iter().zip(&windows).find(|(panel, _)| panel.hemisphere == hemisphere) {
                Some((panel, window)) => {
                    self.panel(&mut drawing, (left, top), panel, window);
                    self.scores(&mut drawing, (left, top + PANEL + 8.0), panel);
                }
                None => {
                    drawing.frame((left, top), PANEL, PANEL, Stroke::new(Colour::RULE, 0.5));
                    let middle = (left + PANEL / 2.0, top + PANEL / 2.0);
                    let lettering = Lettering::new(7.5).anchor(Anchor::Middle).colour(Colour::QUIET);
                    drawing.text(middle, "no labels of this hemisphere", lettering);
                }
            }
        }
        let top = HEAD + PANEL + SCORES;
        self.legend(&mut drawing, top);
        notes.draw(&mut drawing, (MARGIN, top + LEGEND));
        drawing
    }

    /// What marks mean that no key explains.
    fn notes(&self, panels: &[Panel]) -> Vec<String> {
        let mut notes = vec![
            "Flat maps of the registered sphere around the occipital pole. S superior, M medial: axes of the sphere. Bar: \
             degrees of the sphere at the centre of the map, and millimetres of the middle surface as a mean within the labels."
                .to_owned(),
        ];
        if self.parcellation == "ring" {
            let names = (1..=panels[0].scores.len()).map(|label| label.to_string());
            let ring =
                |label: String| format!("{} {}", label_name("ring", &label), score_table::region("ring", &label));
            notes.push(format!("Rings: {}.", names.map(ring).collect::<Vec<_>>().join(", ")));
        }
        if self.manual {
            notes.push(format!(
                "Dice: agreement of {} and {} on the vertices of the map.",
                self.parameters.manual_name, self.parameters.model_name
            ));
        }
        notes
    }

    fn panel(&self, drawing: &mut Drawing, (left, top): (f64, f64), panel: &Panel, window: &Window) {
        let place = |point: [f64; 2]| {
            let [x, y] = window.place(point);
            (left + x * PANEL, top + y * PANEL)
        };
        drawing.begin_clip((left, top), PANEL, PANEL);
        drawing.image((left, top), PANEL, PANEL, &panel.pixels(window), true);
        let both = [(panel.manual.as_ref(), Colour::WHITE), (Some(&panel.model), Colour::BLACK)];
        for (boundary, colour) in both.into_iter().filter_map(|(of, colour)| Some((&of?.boundary, colour))) {
            let segments: Vec<Vec<(f64, f64)>> =
                boundary.segments.iter().map(|segment| segment.map(place).to_vec()).collect();
            let (dot, edge) = (self.parameters.dot, edge(colour));
            let (line, width) = (dot * 0.7, dot * EDGE);
            let casing = Stroke { opacity: EDGE_OPACITY, ..Stroke::new(edge, line + 2.0 * width) };
            drawing.lines(&segments, casing);
            drawing.lines(&segments, Stroke::new(colour, line));
            drawing.dots(boundary.midpoints.iter().map(|point| place(*point)), self.parameters.dot / 2.0, colour, 1.0);
        }
        drawing.end_clip();
        compass(drawing, (left + 20.0, top + PANEL - 20.0), panel.hemisphere);
        scale_bar(drawing, (left + PANEL - 8.0, top + PANEL - 8.0), panel, PANEL / window.side);
        self.names(drawing, (left, top), panel, place);
    }

    /// The names of areas, where they find room: large parts first, and none on another or on the marks in the corners.
    fn names(
        &self,
        drawing: &mut Drawing,
        (left, top): (f64, f64),
        panel: &Panel,
        place: impl Fn([f64; 2]) -> (f64, f64),
    ) {
        let named = panel.named();
        let mut names = places_of_names(&panel.map.coordinates, &panel.map.faces, &named.labels, &named.boundary);
        names.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut taken = vec![
            [left, top + PANEL - 42.0, left + 44.0, top + PANEL],
            [left + PANEL - 76.0, top + PANEL - 24.0, left + PANEL, top + PANEL],
        ];
        for (label, point, _) in names {
            let (x, y) = place(point);
            let name = label_name(self.parcellation, &label.to_string());
            let half = (text_width(&name, NAME) / 2.0 + 1.0, NAME / 2.0 + 0.5);
            let own = [x - half.0, y - half.1, x + half.0, y + half.1];
            let inside = own[0] >= left && own[1] >= top && own[2] <= left + PANEL && own[3] <= top + PANEL;
            let free = taken
                .iter()
                .all(|other| own[0] >= other[2] || other[0] >= own[2] || own[1] >= other[3] || other[1] >= own[3]);
            if inside && free {
                let lettering = Lettering::new(NAME).anchor(Anchor::Middle).colour(Colour::WHITE).halo(Colour::BLACK);
                drawing.text((x, y), &name, lettering);
                taken.push(own);
            }
        }
    }

    /// The scores of a hemisphere, in one line below its panel.
    fn scores(&self, drawing: &mut Drawing, (left, y): (f64, f64), panel: &Panel) {
        if !self.manual {
            return;
        }
        let score = |score: Option<f64>| score.map_or_else(|| "\u{2013}".to_owned(), |score| format!("{score:.2}"));
        let labels = (1..=panel.scores.len()).map(|label| label_name(self.parcellation, &label.to_string()));
        let mut parts: Vec<String> =
            labels.zip(&panel.scores).map(|(name, dice)| format!("{name} {}", score(*dice))).collect();
        parts.push(format!("mean {}", score(panel.mean())));
        let text = format!("Dice: {}", parts.join(", "));
        let size = (7.0 * PANEL / text_width(&text, 7.0)).clamp(SMALLEST_TEXT, 7.0);
        drawing.text((left + PANEL / 2.0, y), &text, Lettering::new(size).anchor(Anchor::Middle));
    }

    /// Which line is which labelling, and what the colours mean.
    fn legend(&self, drawing: &mut Drawing, top: f64) {
        let mut y = top + 9.0;
        let lines = [
            self.manual.then_some((Colour::WHITE, &self.parameters.manual_name)),
            Some((Colour::BLACK, &self.parameters.model_name)),
        ];
        let lettering = Lettering::new(7.5);
        let key = |drawing: &mut Drawing, y: f64, fill: Colour| {
            drawing.rectangle((MARGIN, y - 5.0), 26.0, 10.0, 1.5, fill);
        };
        for (colour, name) in lines.into_iter().flatten() {
            key(drawing, y, Colour::rgb(150, 160, 150));
            let (from, to) = ((MARGIN + 4.0, y), (MARGIN + 22.0, y));
            drawing.line(from, to, Stroke { opacity: EDGE_OPACITY, ..Stroke::new(edge(colour), 1.4 + 4.0 * EDGE) });
            drawing.line(from, to, Stroke::new(colour, 1.4));
            drawing.text((MARGIN + 31.0, y), name, lettering);
            y += 14.0;
        }
        key(drawing, y, GYRI);
        drawing.rectangle((MARGIN + 13.0, y - 5.0), 13.0, 10.0, 1.5, SULCI);
        let greys = if self.prf { "gyri, sulci; pRF explains less than 0.1" } else { "gyri, sulci" };
        drawing.text((MARGIN + 31.0, y), greys, lettering);
        if !self.prf {
            return;
        }
        match self.parcellation {
            "area" => angle_key(drawing, (drawing.width() - MARGIN - 70.0, top + 24.0)),
            _ => eccentricity_key(drawing, (drawing.width() - MARGIN - 134.0, top + 15.0)),
        }
    }
}

/// Size of the names of areas.
const NAME: f64 = 7.0;

/// Arrows in the directions of the registered sphere's superior and medial axes, as they lie on the map at its centre.
fn compass(drawing: &mut Drawing, origin: (f64, f64), hemisphere: Hemisphere) {
    let turned = Rotation::facing(&occipital_pole(hemisphere));
    let medial = if hemisphere == Hemisphere::Left { 1.0 } else { -1.0 };
    for (name, axis) in [("S", [0.0, 0.0, 1.0]), ("M", [medial, 0.0, 0.0])] {
        let [x, y, _] = turned.apply(axis);
        let length = libm::hypot(x, y);
        let (x, y) = (x / length, -y / length);
        let at = |along: f64, aside: f64| (origin.0 + along * x - aside * y, origin.1 + along * y + aside * x);
        let lines = [vec![at(0.0, 0.0), at(11.0, 0.0)], vec![at(8.0, 2.0), at(11.0, 0.0), at(8.0, -2.0)]];
        drawing.lines(&lines, Stroke { opacity: 0.8, ..Stroke::new(Colour::WHITE, 2.2) });
        drawing.lines(&lines, Stroke::new(Colour::BLACK, 0.8));
        let lettering = Lettering::new(6.5).anchor(Anchor::Middle).colour(Colour::BLACK).halo(Colour::WHITE);
        drawing.text(at(15.5, 0.0), name, lettering);
    }
}

/// A bar of whole degrees of the sphere, its lower right corner at `corner`; `points` are those of a unit of the map.
fn scale_bar(drawing: &mut Drawing, corner: (f64, f64), panel: &Panel, points: f64) {
    let units = |degrees: f64| panel.sphere * libm::sin(degrees.to_radians());
    let fits = |degrees: &f64| units(*degrees) * points <= 0.4 * PANEL;
    let degrees = [20.0, 10.0, 5.0, 2.0].into_iter().find(fits).unwrap_or(1.0);
    let (length, y) = (units(degrees) * points, corner.1 - 2.0);
    let line = [vec![(corner.0 - length, y), (corner.0, y)]];
    drawing.lines(&line, Stroke { opacity: 0.8, ..Stroke::new(Colour::WHITE, 3.4) });
    drawing.lines(&line, Stroke::new(Colour::BLACK, 1.8));
    let text = format!("{degrees:.0}\u{b0}, about {:.0} mm", units(degrees) * panel.millimetres);
    let lettering = Lettering::new(6.0).anchor(Anchor::End).colour(Colour::BLACK).halo(Colour::WHITE);
    drawing.text((corner.0, y - 6.5), &text, lettering);
}

/// Width of the edge of boundaries, in diameters of their dots.
const EDGE: f64 = 0.2;
const EDGE_OPACITY: f64 = 0.6;

/// The colour of the edge of a boundary.
fn edge(colour: Colour) -> Colour {
    if colour == Colour::WHITE { Colour::BLACK } else { Colour::WHITE }
}

/// A disc of the visual field, coloured by polar angle.
fn angle_key(drawing: &mut Drawing, centre: (f64, f64)) {
    const PIXELS: usize = 160;
    let radius = 19.0;
    let mut pixels = Raster::new(PIXELS, PIXELS);
    for row in 0..PIXELS {
        for column in 0..PIXELS {
            let from_middle = |pixel: usize| (real(pixel) + 0.5) / (real(PIXELS) / 2.0) - 1.0;
            let (x, y) = (from_middle(column), -from_middle(row));
            if libm::hypot(x, y) <= 1.0 {
                pixels.set(column, row, colour::polar_angle(libm::atan2(x, y).to_degrees()));
            }
        }
    }
    drawing.image((centre.0 - radius, centre.1 - radius), 2.0 * radius, 2.0 * radius, &pixels, true);
    drawing.ring(centre, radius, Stroke::new(Colour::INK, 0.5));
    let small = Lettering::new(6.5);
    drawing.text((centre.0 + radius + 4.0, centre.1 - 13.0), "0° upper", small);
    drawing.text((centre.0 + radius + 4.0, centre.1), "90° horizontal", small);
    drawing.text((centre.0 + radius + 4.0, centre.1 + 13.0), "180° lower", small);
    let title = Lettering::new(7.5).anchor(Anchor::End);
    drawing.text((centre.0 - radius - 5.0, centre.1 - 5.0), "polar angle", title);
    drawing.text((centre.0 - radius - 5.0, centre.1 + 5.0), "in the visual field", title.colour(Colour::QUIET));
}

/// A bar of eccentricities with the edges of the rings.
fn eccentricity_key(drawing: &mut Drawing, at: (f64, f64)) {
    let width = 130.0;
    drawing.text((at.0, at.1 - 7.0), "eccentricity (degrees of visual angle)", Lettering::new(7.5));
    // The scale of the map is logarithmic: the bar shows shares of it, ticks say which eccentricity lies where.
    let of_share = |share: f64| 0.5 * (share * (colour::ECCENTRICITY_END / 0.5).ln_1p()).exp_m1();
    colour_bar(drawing, at, width, 9.0, |share| colour::eccentricity(of_share(share)));
    for degrees in [0.0, 0.5, 1.0, 2.0, 4.0, 7.0, colour::ECCENTRICITY_END] {
        let x = at.0 + width * colour::eccentricity_share(degrees);
        drawing.line((x, at.1 + 9.0), (x, at.1 + 11.5), Stroke::new(Colour::INK, 0.5));
        drawing.text((x, at.1 + 16.5), &degrees.to_string(), Lettering::new(6.5).anchor(Anchor::Middle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::figures::{attributes, in_a_folder, place_of_text};
    use crate::test_support::tasks;

    /// A subject of 2,562 vertices whose maps and labels are smooth functions of the place on the flat map.
    fn task(folder: &Path, parcellation: &str) -> Task {
        let points = tasks::points(4);
        let turned = points.iter().map(|[x, y, z]| (x * 40.0 + z * 10.0, -y * 60.0 + z * 20.0)).collect::<Vec<_>>();
        let label = |shift: f64| turned.iter().map(|(x, y)| ring(x + shift, *y - 60.0)).collect::<Vec<i32>>();
        let mut task = tasks::task(&Contours, folder);
        task.at = [("outputs", parcellation)].into_iter().collect();
        tasks::give(&mut task, "subject", &tasks::write_subject(folder, "s01", 4));
        tasks::give(&mut task, "manual", &tasks::labels(&folder.join("manual"), &label(0.0)));
        tasks::give(&mut task, "model", &tasks::labels(&folder.join("model"), &label(3.0)));
        let prf = folder.join("prf");
        fs_err::create_dir_all(&prf).unwrap();
        for hemisphere in HEMISPHERES {
            for (quantity, of) in [("x", 0), ("y", 1), ("cod", 2)] {
                #[expect(clippy::cast_possible_truncation, reason = "maps are 32-bit floats")]
                let value = |(x, y): &(f64, f64)| [x / 8.0, y / 8.0 - 7.0, 0.5 + x / 80.0][of] as f32;
                let values: Vec<f32> = turned.iter().map(value).collect();
                mgh::write_f32(&prf.join(format!("{}.prf_{quantity}.mgz", hemisphere.name())), &values).unwrap();
            }
        }
        tasks::give(&mut task, "prf", &prf);
        task
    }

    fn ring(x: f64, y: f64) -> i32 {
        match x.hypot(y) {
            r if r < 10.0 => 1,
            r if r < 20.0 => 2,
            r if r < 30.0 => 3,
            _ => 0,
        }
    }

    #[test]
    fn draws_both_lines_and_the_same_bytes_twice() {
        let bytes = || {
            let folder = tempfile::tempdir().unwrap();
            let mut task = task(folder.path(), "area");
            task.simulated = true;
            tasks::run(&Contours, &task).unwrap();
            let figure = task.output("figure").unwrap();
            ["svg", "pdf", "png"].map(|end| fs_err::read(figure.join(format!("figure.{end}"))).unwrap())
        };
        let first = bytes();
        let svg = String::from_utf8_lossy(&first[0]);
        assert!(svg.contains("SIMULATED DATA") && svg.contains("polar angle"));
        for colour in ["#ffffff", "#000000"] {
            assert!(svg.contains(&format!("<g fill=\"{colour}\"><circle")), "no {colour} dots");
        }
        assert!(bytes() == first);
    }

    fn rendered(task: &Task) -> String {
        tasks::run(&Contours, task).unwrap();
        fs_err::read_to_string(task.output("figure").unwrap().join("figure.svg")).unwrap()
    }

    fn table(task: &Task, file: &str) -> Vec<String> {
        let text = fs_err::read_to_string(task.output("figure").unwrap().join(file)).unwrap();
        text.lines().map(String::from).collect()
    }

    #[test]
    fn areas_directions_scale_names_and_scores_are_in_the_figure() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path(), "area");
        tasks::set(&mut task, "manual_name", pipe_contract::Value::Text("rater A1".into()));
        tasks::set(&mut task, "model_name", pipe_contract::Value::Text("anat".into()));
        let svg = rendered(&task);
        for words in ["V1", "V2", "V3", "S", "M", "rater A1", "anat"] {
            assert!(svg.contains(&format!(">{words}</text>")), "`{words}` is not in the figure");
        }
        // The fixture's middle surface is its sphere, so a degree is 1.75 mm at the centre and little more elsewhere.
        let millimetres = |text: &str| text.split_once(" mm<").unwrap().0.parse::<f64>().unwrap();
        let bar = millimetres(svg.split(">20\u{b0}, about ").nth(1).unwrap());
        assert!((34.0..45.0).contains(&bar), "20 degrees are {bar} mm");
        let rows = table(&task, "table.csv");
        assert_eq!(rows[0], "hemisphere,label,region,n_manual,n_model,dice");
        assert_eq!(rows.len(), 1 + 2 * 4);
        let score = |row: &str| row.rsplit(',').next().unwrap().parse::<f64>().unwrap();
        assert!(rows[1..].iter().all(|row| (0.3..1.0).contains(&score(row))), "{rows:?}");
        let [v1, v2, v3, mean] = [1, 2, 3, 4].map(|row: usize| score(&rows[row]));
        let shown = format!("Dice: V1 {v1:.2}, V2 {v2:.2}, V3 {v3:.2}, mean {mean:.2}");
        assert!(svg.contains(&shown), "{shown}");
        let dots = table(&task, BOUNDARIES);
        assert!(dots[1].starts_with("lh,manual,") && dots.last().unwrap().starts_with("rh,model,"));
        assert_eq!(dots.len() - 1, svg.matches(r#"r="0.25""#).count(), "a row for every dot");
    }

    #[test]
    fn colours_are_of_what_is_measured_and_curvature_elsewhere() {
        assert_eq!(vertex_colour("area", [1.0, 0.0, 0.1], 0.2), colour::polar_angle(90.0), "to the right");
        assert_eq!(vertex_colour("ring", [3.0, 4.0, 1.0], 0.2), colour::eccentricity(5.0));
        for unmeasured in [[1.0, 0.0, 0.09], [f64::NAN, 0.0, 0.5], [1.0, 0.0, f64::NAN]] {
            assert_eq!([0.2, -0.2].map(|curvature| vertex_colour("area", unmeasured, curvature)), [SULCI, GYRI]);
        }
        let window = Window { centre: [10.0, 0.0], side: 4.0 };
        assert_eq!(window.place([11.0, 2.0]), [0.75, 0.0], "up is up");
    }

    #[test]
    fn panels_lines_and_options_are_where_they_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path(), "area");
        // The rater has labelled the left hemisphere only.
        fs_err::remove_file(folder.path().join("manual/rh.area.mgz")).unwrap();
        let svg = rendered(&task);
        let place = |words: &str| place_of_text(&svg, |text| text.starts_with(words));
        assert!(place("Dice: V1 0.").0 < MARGIN + PANEL && place("Dice: V1 \u{2013}").0 > MARGIN + PANEL);
        assert!(place_of_text(&svg, |text| text == "S").1 < HEAD + PANEL - 30.0, "superior is up");
        let white = |svg: &str| -> Vec<f64> {
            let groups = svg.split("<g fill=\"#ffffff\">").skip(1).map(|group| group.split("</g>").next().unwrap());
            groups.flat_map(|group| attributes(group, "<circle", "cy")).collect()
        };
        let (near, labels) = (white(&svg), &table(&task, "table.csv")[4]);
        let manual = table(&task, BOUNDARIES).iter().filter(|row| row.contains(",manual,")).count();
        assert_eq!(near.len(), manual, "the rater's dots are white");
        tasks::set(&mut task, "view", pipe_contract::Value::Text("map".into()));
        let far = white(&rendered(&task));
        let spread =
            |y: &[f64]| y.iter().copied().fold(f64::MIN, f64::max) - y.iter().copied().fold(f64::MAX, f64::min);
        assert!(spread(&far) < 0.9 * spread(&near), "{} points of the whole map", spread(&far));
        tasks::set(&mut task, "radius", pipe_contract::Value::Float(20.0));
        rendered(&task);
        assert!(&table(&task, "table.csv")[4] != labels, "a smaller map has fewer vertices: {labels}");
    }

    #[test]
    fn neither_prf_nor_manual_labels_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path(), "area");
        task.inputs.remove("prf");
        task.inputs.remove("manual");
        let svg = rendered(&task);
        assert!(svg.contains(">V1</text>") && svg.contains(">predicted</text>") && svg.contains(">gyri, sulci</text>"));
        assert!(!svg.contains("Dice") && !svg.contains("manual") && !svg.contains("polar angle"));
        assert!(table(&task, "table.csv")[1].starts_with("lh,1,V1,,"), "{:?}", table(&task, "table.csv"));
        assert!(table(&task, BOUNDARIES)[1..].iter().all(|row| row.contains(",model,")));
    }

    #[test]
    fn a_hemisphere_without_labels_is_an_empty_panel_and_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path(), "area");
        fs_err::remove_file(folder.path().join("model/lh.area.mgz")).unwrap();
        let svg = rendered(&task);
        assert!(svg.contains(">no labels of this hemisphere</text>") && svg.contains(">V1</text>"));
        assert!(table(&task, "table.csv")[1..].iter().all(|row| row.starts_with("rh,")));
        fs_err::remove_file(folder.path().join("model/rh.area.mgz")).unwrap();
        let failure = tasks::run(&Contours, &task).unwrap_err();
        assert_eq!(failure.message, "labels of neither hemisphere, expected `lh.area.mgz` or `rh.area.mgz`");
    }

    #[test]
    fn a_rater_without_rings_cannot_be_compared() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path(), "ring");
        for hemisphere in ["lh", "rh"] {
            fs_err::remove_file(folder.path().join(format!("manual/{hemisphere}.ring.mgz"))).unwrap();
        }
        assert!(!rendered(&task).contains("Dice"));
    }

    #[test]
    fn labels_that_a_rater_lacks_are_not_scored() {
        let labelling = |labels: &[i32]| Labelling { labels: labels.to_vec(), boundary: Boundary::default() };
        let (first, second) = (labelling(&[1, 1, 2, 0]), labelling(&[1, 2, 2, 0]));
        assert_eq!(scores(3, Some(&first), &second), [Some(2.0 / 3.0), Some(2.0 / 3.0), None]);
        assert_eq!(
            scores(3, Some(&first), &labelling(&[1, 3, 2, 0])),
            [None; 3],
            "the pair is skipped, as in `score/dice`"
        );
        assert_eq!(scores(2, None, &second), [None; 2]);
    }

    /// Left and right are mirror images on the map: medial is to the right on the left map, to the left on the right map.
    #[test]
    fn medial_and_superior_point_where_they_should() {
        for (hemisphere, medial) in [(Hemisphere::Left, [1.0, 0.0, 0.0]), (Hemisphere::Right, [-1.0, 0.0, 0.0])] {
            let turned = Rotation::facing(&occipital_pole(hemisphere));
            let ([mx, my, _], [sx, sy, _]) = (turned.apply(medial), turned.apply([0.0, 0.0, 1.0]));
            assert!(mx * medial[0] > 0.9 && my.abs() < 0.3, "{mx} {my}");
            assert!(sy > 0.5 && sx.abs() < 0.5, "{sx} {sy}");
        }
    }

    #[test]
    fn keys_of_colours_have_units() {
        for (parcellation, words) in [
            ("area", ["0° upper", "90° horizontal", "180° lower"].as_slice()),
            ("ring", &["eccentricity (degrees of visual angle)"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let svg = rendered(&task(folder.path(), parcellation));
            for words in words {
                assert!(svg.contains(&format!(">{words}</text>")), "the key of {parcellation} does not say `{words}`");
            }
        }
    }

    #[test]
    fn maps_of_another_mesh_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path(), "ring");
        tasks::give(&mut task, "model", &tasks::labels(&folder.path().join("short"), &[1, 2, 3]));
        let failure = tasks::run(&Contours, &task).unwrap_err();
        assert_eq!(failure.message, "values of 3 vertices, but the mesh has 2562");
        assert!(failure.place.unwrap().contains("lh.ring.mgz"));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        for parcellation in ["area", "ring"] {
            let folder = tempfile::tempdir().unwrap();
            let mut task = task(folder.path(), parcellation);
            in_a_folder(&format!("contours_{parcellation}"), |figure| {
                task.outputs.insert("figure".into(), figure.to_owned());
                tasks::run(&Contours, &task).unwrap();
            });
        }
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path(), "area");
        task.inputs.remove("prf");
        task.inputs.remove("manual");
        fs_err::remove_file(folder.path().join("model/rh.area.mgz")).unwrap();
        in_a_folder("contours_alone", |figure| {
            task.outputs.insert("figure".into(), figure.to_owned());
            tasks::run(&Contours, &task).unwrap();
        });
    }
}
