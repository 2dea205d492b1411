//! `figure/contours`: where two labellings of one subject's cortex have their boundaries, on the flat map of each hemisphere.
//!
//! The map is coloured by measured polar angle (areas) or eccentricity (rings) where the pRF model explains 0.1 to 1 of the variance,
//! and by curvature elsewhere. As in the paper, every mesh edge whose two vertices have different labels gets a dot at its
//! middle: white for the first labelling, black for the second. A thin line joins the dots, because coarse meshes have few. Both have
//! an edge of the opposite lightness, because the maps' colours run from dark to light.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, choice, parameters};

use super::outline::{Boundary, boundary};
use crate::declared::map_radius::MapRadius;
use crate::formats::drawing::axes::colour_bar;
use crate::formats::drawing::{Anchor, Colour, Drawing, Lettering, Raster, Stroke, colour, save};
use crate::formats::mgh;
use crate::formats::score_table::label_names;
use crate::formats::subject_folder::Subject;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::counts::real;
use crate::numeric::flatmap::{self, FlatMap};

/// The kind.
pub(super) struct Contours;

parameters! {
    struct Parameters {
        /// what the key calls the first labelling
        manual_name: String = "manual labels".to_owned();
        /// what the key calls the second labelling
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

impl StageKind for Contours {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/contours",
            1,
            "Boundaries of two labellings of one subject on the flat maps of both hemispheres",
        )
        .input("manual", &["labels"], "the first labelling, rendered white")
        .input("model", &["labels"], "the second labelling, rendered black")
        .input("subject", &["subject"], "the subject's files")
        .input("prf", &["prf"], "the subject's pRF maps, for colours")
        .folder("figure", "picture", "figure.svg, figure.pdf, figure.png")
        .parameters::<Parameters>();
        Kind { axes: vec!["outputs"], stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let parcellation = task.coordinate("outputs")?;
        label_names(parcellation)?;
        let subject = Subject::open(task.one("subject")?)?;
        let mut panels = Vec::new();
        for hemisphere in HEMISPHERES {
            let panel = Panel::read(task, &subject, hemisphere, parcellation, parameters.map.radius)?;
            let [first, second] = [&panel.manual, &panel.model].map(|boundary| boundary.midpoints.len());
            context.log(&format!("{}: boundaries cross {first} edges (white) and {second} (black)", hemisphere.name()));
            panels.push(panel);
        }
        let figure = Figure { sid: subject.sid(), parcellation, parameters: &parameters, simulated: task.simulated };
        save(&figure.draw(&panels), task.output("figure")?)?;
        Ok(Ended::done())
    }
}

/// One hemisphere, ready to be rendered.
struct Panel {
    hemisphere: Hemisphere,
    map: FlatMap,
    /// One per vertex of the hemisphere.
    colours: Vec<Colour>,
    manual: Boundary,
    model: Boundary,
    /// Box around all map vertices that have a label: least and greatest x, least and greatest y.
    labelled: Option<[[f64; 2]; 2]>,
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
        let map = flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, radius.to_radians())
            .map_err(|failure| failure.at(format!("{}, {name}", subject.sid())))?;
        let labels = |port: &str| -> Result<Vec<i32>, Failure> {
            let file = task.one(port)?.join(format!("{name}.{parcellation}.mgz"));
            let labels = mgh::read_i32(&file)?;
            check(labels.len(), vertices, &file)?;
            Ok(map.pick(&labels))
        };
        let (first, second) = (labels("manual")?, labels("model")?);
        let prf = |quantity: &str| -> Result<Vec<f32>, Failure> {
            let file = task.one("prf")?.join(format!("{name}.prf_{quantity}.mgz"));
            let values = mgh::read_f32(&file)?;
            check(values.len(), vertices, &file)?;
            Ok(values)
        };
        let (x, y, explained) = (prf("x")?, prf("y")?, prf("cod")?);
        let colours = (0..vertices)
            .map(|v| vertex_colour(parcellation, [x[v], y[v], explained[v]].map(f64::from), cortex.curvature[v]))
            .collect();
        let labelled = around(&map, |vertex| first[vertex] > 0 || second[vertex] > 0);
        let line = |labels: &[i32]| boundary(&map.coordinates, &map.faces, labels);
        Ok(Self { hemisphere, colours, manual: line(&first), model: line(&second), labelled, map })
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

/// Pixels of a panel's side: 300 dots per inch or nearly so.
const PIXELS: usize = 640;

/// Paints the pixels whose centres lie in a triangle, colours blended between its corners.
fn paint_triangle(pixels: &mut Raster, [a, b, c]: [[f64; 2]; 3], colours: [Colour; 3]) {
    let cross = |p: [f64; 2], q: [f64; 2], r: [f64; 2]| (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
    let area = cross(a, b, c);
    if area == 0.0 {
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
            let weights = [cross(b, c, centre), cross(c, a, centre), cross(a, b, centre)].map(|part| part / area);
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

/// Polar angle or eccentricity where the pRF model explains the data; two greys for sulci and gyri elsewhere.
fn vertex_colour(parcellation: &str, [x, y, explained]: [f64; 3], curvature: f32) -> Colour {
    if (0.1..=1.0).contains(&explained) && x.is_finite() && y.is_finite() {
        return match parcellation {
            "area" => colour::polar_angle(libm::atan2(x, y).to_degrees()),
            _ => colour::eccentricity(libm::hypot(x, y)),
        };
    }
    colour::grey(if curvature > 0.0 { 0.45 } else { 0.2 })
}

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
const HEAD: f64 = 36.0;
const LEGEND: f64 = 56.0;
const MARGIN: f64 = 8.0;

struct Figure<'a> {
    sid: &'a str,
    parcellation: &'a str,
    parameters: &'a Parameters,
    simulated: bool,
}

impl Figure<'_> {
    fn draw(&self, panels: &[Panel]) -> Drawing {
        let width = 2.0 * MARGIN + PANEL * 2.0 + 12.0;
        let title = format!("Boundaries of {} of {}", self.parcellation, self.sid);
        let mut drawing = Drawing::new(width, HEAD + PANEL + LEGEND, &title);
        let what = if self.parcellation == "area" { "Visual areas" } else { "Eccentricity rings" };
        drawing.text((MARGIN, 11.0), &format!("{what} of {}", self.sid), Lettering::new(9.0));
        if self.simulated {
            drawing.simulated_stamp((width - MARGIN, 5.0));
        }
        for (at, (panel, window)) in panels.iter().zip(Window::of(panels, self.parameters.view)).enumerate() {
            let left = MARGIN + real(at) * (PANEL + 12.0);
            self.panel(&mut drawing, (left, HEAD), panel, &window);
        }
        self.legend(&mut drawing, HEAD + PANEL + 8.0);
        drawing
    }

    fn panel(&self, drawing: &mut Drawing, (left, top): (f64, f64), panel: &Panel, window: &Window) {
        let name = if panel.hemisphere == Hemisphere::Left { "left hemisphere" } else { "right hemisphere" };
        drawing.text((left + PANEL / 2.0, top - 7.0), name, Lettering::new(7.5).anchor(Anchor::Middle));
        let place = |point: [f64; 2]| {
            let [x, y] = window.place(point);
            (left + x * PANEL, top + y * PANEL)
        };
        drawing.begin_clip((left, top), PANEL, PANEL);
        drawing.image((left, top), PANEL, PANEL, &panel.pixels(window), true);
        for (boundary, colour) in [(&panel.manual, Colour::WHITE), (&panel.model, Colour::BLACK)] {
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
    }

    /// Which line is which labelling, and what the colours mean.
    fn legend(&self, drawing: &mut Drawing, top: f64) {
        let mut y = top + 8.0;
        for (colour, name) in
            [(Colour::WHITE, &self.parameters.manual_name), (Colour::BLACK, &self.parameters.model_name)]
        {
            drawing.rectangle((MARGIN, y - 5.0), 26.0, 10.0, 1.5, Colour::rgb(150, 160, 150));
            let (from, to) = ((MARGIN + 4.0, y), (MARGIN + 22.0, y));
            drawing.line(from, to, Stroke { opacity: EDGE_OPACITY, ..Stroke::new(edge(colour), 1.4 + 4.0 * EDGE) });
            drawing.line(from, to, Stroke::new(colour, 1.4));
            drawing.text((MARGIN + 31.0, y), name, Lettering::new(7.5));
            y += 14.0;
        }
        let grey = colour::grey(0.3);
        drawing.rectangle((MARGIN, y - 5.0), 26.0, 10.0, 1.5, grey);
        drawing.text((MARGIN + 31.0, y), "pRF explains less than 0.1 of the variance", Lettering::new(7.5));
        match self.parcellation {
            "area" => angle_key(drawing, (drawing.width() - MARGIN - 70.0, top + 21.0)),
            _ => eccentricity_key(drawing, (drawing.width() - MARGIN - 134.0, top + 12.0)),
        }
    }
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
    use crate::test_support::figures::in_a_folder;
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

    #[test]
    fn keys_of_colours_have_units() {
        for (parcellation, words) in [
            ("area", ["0° upper", "90° horizontal", "180° lower"].as_slice()),
            ("ring", &["eccentricity (degrees of visual angle)"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let task = task(folder.path(), parcellation);
            tasks::run(&Contours, &task).unwrap();
            let svg = fs_err::read_to_string(task.output("figure").unwrap().join("figure.svg")).unwrap();
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
    }
}
