//! `figure/flatmap`: maps on the flattened cortex, one or many on a sheet.
//!
//! A map is sampled through a flat mapping (pixel to voxels at several depths, or to vertices), coloured, laid over the cortex's curvature,
//! and under outlines and names of regions. Two maps can share one picture by a two-dimensional colour map, three as red, green and blue light,
//! and any can fade where another map is low. Pixels are a picture of the mapping's size; outlines and letters stay vectors.
//! The table says of every map what is in the picture.

mod lines;
mod sheet;
mod shown;

use std::path::Path;

use pipe_contract::{
    Arity, Column, Context, Coordinates, Ended, Failure, IMPORTANT, Kind, StageKind, Task, choice, parameters,
};

use self::lines::Lines;
use self::sheet::{FigureStyle, Names, Sheet, SheetCell};
use self::shown::{Fade, Shown, ShownUnits, distinguish, forget_infinite, lab_title, limits, title, two};
use super::legend::{KeyPart, Legend};
use super::scale::ColourScale;
use crate::formats::cortex::FlattenedCortex;
use crate::formats::cortical_map::{CorticalMap, MapValues, Measure};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::{label, ticks};
use crate::formats::drawing::colour_maps::{light, pair};
use crate::formats::drawing::{Colour, ColourMap, Raster, WIDEST, save};
use crate::formats::flat_mapping::FlatMapping;
use crate::formats::overlay::{CortexOverlay, SULCI};
use crate::numeric::counts::real;
use crate::numeric::depth_samples::Depths;

/// The kind.
pub(super) struct Flatmap;

parameters! {
    struct Parameters {
        /// how it looks: `lab08` sets limits and colours of its own where none are given
        look: FigureStyle = FigureStyle::Paper;
        /// the colours of numbers or categories
        colours: ColourMap = ColourMap::Auto;
        /// the values of the first and the last colour; none: those that the maps ask for, or percentiles
        limits: Vec<f64> = Vec::new();
        /// the percentiles of pixels that limit colours where nothing else does
        percentiles: Vec<f64> = vec![2.0, 98.0];
        /// limits lie symmetrically around 0
        symmetric: bool = false;
        /// all maps of numbers have the same limits and one key; else each has its own
        shared: bool = true;
        /// what a picture shows: one map, two at once, or three at once
        combine: Combine = Combine::Each;
        /// the values of the map at `opacity` at which a pixel is transparent and opaque; none: by the percentiles
        opacity_limits: Vec<f64> = Vec::new();
        /// how the depths of a pixel become one value
        sampling: Sampling = Sampling::Auto;
        /// curvature below the maps, light gyri and dark sulci, where a pixel has no value; else plain grey
        with_curvature: bool = true;
        /// the layers of the overlay whose lines are shown, such as `rois` and `sulci`
        outlines: Vec<String> = vec!["rois".to_owned()];
        /// the only regions that are shown, by name; none for all that the overlay does not hide
        regions: Vec<String> = Vec::new();
        /// where names of regions are written
        names: Names = Names::Auto;
        /// size of these names in points; 0 for that of the look
        names_size: f64 = 0.0, in 0.0..=24.0;
        /// coordinates of maps, such as names of feature spaces, in the order in which these maps are shown; other maps come after them
        order: Vec<String> = Vec::new();
        /// title of the figure
        title: String = String::new();
        /// title of every map, with `{axis}` for its coordinates and `{title}` for its own; none for its own title or its coordinates
        map_title: String = String::new();
        /// pictures beside each other; 0 for as many as suit their number
        columns: usize = 0, in 0..=12;
        /// width of the figure in mm
        width: f64 = 183.0, in 60.0..=183.0;
        /// dots per inch of the pictures in SVG and PDF at most; a flat map that is finer is shown with fewer pixels
        dpi: f64 = 600.0, in 72.0..=2400.0;
    }
}

choice! {
    /// What a picture shows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Combine {
        /// A picture for every map.
        Each = "each",
        /// Two maps of numbers in one picture, with a two-dimensional colour map.
        Pair = "pair",
        /// Three maps of numbers in one picture, as red, green and blue light.
        Light = "rgb",
    }
}

choice! {
    /// How the depths of a pixel become one value.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Sampling {
        /// The mean of numbers, the most frequent of categories.
        Auto = "auto",
        /// The mean of the depths that have a value, also of categories, as pycortex has it.
        Mean = "mean",
        /// The mean of all depths; none where one of them has no value, as pycortex has it with `nanmean=False`.
        Whole = "whole",
        /// The most frequent value, also of numbers.
        Mode = "mode",
    }
}

/// What is in `table.csv`.
const COLUMNS: &[Column] = &[
    Column::new("map", "the title of the map in the figure"),
    Column::new("at", "its coordinates, as axis=coordinate"),
    Column::new("category", "the category that the row is about; empty for numbers"),
    Column::new("unit", "the unit of min, median, max, from and to; may be empty"),
    Column::new("n_pixels", "pixels of cortex in the picture"),
    Column::new("n_values", "pixels that have a value, or this category"),
    Column::new("n_units", "voxels or vertices of the map that have a value, or this category, before sampling"),
    Column::new("min", "least value of the pixels"),
    Column::new("median", "median of the pixels"),
    Column::new("max", "largest value of the pixels"),
    Column::new("from", "value of the first colour"),
    Column::new("to", "value of the last colour"),
    Column::new("n_below", "pixels with a value below the first colour, which they have"),
    Column::new("n_above", "pixels with a value above the last colour, which they have"),
    Column::measured(
        "dpi",
        "dots per inch",
        "resolution of the picture in SVG and PDF; outlines and letters are vectors",
    ),
    STAMP,
];

impl StageKind for Flatmap {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/flatmap",
            2,
            "Maps on the flattened cortex with outlines of regions, one or many on a sheet",
        )
        .input("cortex", &["cortex"], "the cortex, for the outlines and names of its overlay")
        .input("mapping", &["flat-mapping"], "what every pixel of its flat map shows")
        .gather("maps", &["map"], "the maps, in voxels or vertices; titles are their own or their coordinates")
        .port("opacity", &["map"], Arity::One, true, "a map of numbers: where it is low, the others are transparent")
        .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with what is shown of every map")
        .described(&[data_table::CSV], COLUMNS)
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let mapping = FlatMapping::open(task.one("mapping")?)?;
        let cortex = FlattenedCortex::open(task.one("cortex")?)?;
        let (of_mapping, subject) = (&mapping.about.cortex, &cortex.about().subject);
        if !of_mapping.is_empty() && of_mapping != subject {
            let found = format!("the cortex is of the subject `{subject}`, but the flat mapping of `{of_mapping}`");
            return Err(Failure::input(found).hint("give the cortex that the mapping was made of"));
        }
        let mut maps = Vec::new();
        let given = in_order(task.present("maps").collect(), &parameters.order);
        for (at, folder) in given.iter().copied() {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all maps were read"));
            }
            let map = CorticalMap::read(folder)?;
            let title = title(&parameters.map_title, &map.about.title, at)?;
            maps.push(
                sampled(&mapping, map, title, at.to_string(), parameters.sampling)
                    .map_err(|failure| at_map(failure, folder))?,
            );
        }
        distinguish(&mut maps);
        if parameters.look == FigureStyle::Lab08 && parameters.map_title.is_empty() {
            maps.iter_mut().for_each(|shown| shown.title = lab_title(&shown.title, &shown.at));
        }
        let opacity = match task.maybe("opacity") {
            None => None,
            Some(folder) => {
                let map = CorticalMap::read(folder)?;
                let given = two("opacity_limits", &parameters.opacity_limits)?;
                let (title, percentiles) = (map.about.title.clone(), percentiles(&parameters)?);
                let shown = sampled(&mapping, map, title, String::new(), Sampling::Auto);
                let fade = shown.and_then(|shown| Fade::of(&shown, given, percentiles));
                Some(fade.map_err(|failure| at_map(failure, folder))?)
            }
        };
        let overlay = match cortex.overlays() {
            Some(file) if !parameters.outlines.is_empty() => Some(CortexOverlay::read(&file)?),
            _ => None,
        };
        let mut notes: Vec<String> = task.absences("maps").into_iter().collect();
        notes.extend(unknown_order(&given, &parameters.order));
        notes.extend(overlay.as_ref().and_then(|overlay| unknown_layers(overlay, &parameters.outlines)));
        let overlay = overlay.unwrap_or_else(|| CortexOverlay { layers: Vec::new() });
        let lines = Lines::choose(&overlay, &parameters.outlines, &parameters.regions)?;
        let painter = Painter { mapping: &mapping, opacity: opacity.as_ref(), curvature: parameters.with_curvature };
        let scales = scales(&maps, &parameters)?;
        let rendered = SheetContent { parameters: &parameters, maps: &maps, scales: &scales, painter };
        let (cells, legend) = rendered.cells()?;
        let sheet = Sheet {
            title: parameters.title.clone(),
            cells,
            legend,
            notes: rendered.notes(&lines),
            lines,
            names: parameters.names,
            names_size: parameters.names_size,
            columns: parameters.columns,
            width: (parameters.width / 25.4 * 72.0).min(WIDEST),
            dpi: parameters.dpi,
            look: parameters.look,
        };
        let folder = task.output("figure")?;
        save(&sheet.draw(task.simulated), folder)?;
        data_table::write_csv(&folder.join(data_table::CSV), &mut rendered.table(sheet.density(), task.simulated)?)?;
        Ok(Ended::noted(notes))
    }
}

/// Maps in the asked order of their coordinates, then those without a coordinate in it; of several with one coordinate, as they are.
fn in_order<'a>(mut maps: Vec<GivenMap<'a>>, asked: &[String]) -> Vec<GivenMap<'a>> {
    maps.sort_by_key(|map| place_of(map, asked).unwrap_or(asked.len()));
    maps
}

fn place_of((at, _): &GivenMap<'_>, asked: &[String]) -> Option<usize> {
    asked.iter().position(|name| at.values().any(|coordinate| coordinate == name))
}

/// A note about an order that is none of these maps, as a misspelt one is.
fn unknown_order(maps: &[GivenMap<'_>], asked: &[String]) -> Option<String> {
    let is_unknown = !asked.is_empty() && maps.iter().all(|map| place_of(map, asked).is_none());
    let there = || maps.iter().map(|(at, _)| format!("`{at}`")).collect::<Vec<_>>().join(", ");
    is_unknown.then(|| format!("{IMPORTANT}`order` is {}, but the maps have {}", asked.join(", "), there()))
}

/// The coordinates of a map, and its folder.
type GivenMap<'a> = (&'a Coordinates, &'a Path);

/// A note about layers that were asked for and are not in the overlay, if there are such.
fn unknown_layers(overlay: &CortexOverlay, asked: &[String]) -> Option<String> {
    let unknown: Vec<&str> = asked.iter().map(String::as_str).filter(|name| overlay.layer(name).is_none()).collect();
    let known: Vec<&str> = overlay.layers.iter().map(|layer| layer.name.as_str()).collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "{IMPORTANT}no lines of {}, which the overlay does not have; it has {}",
            quoted(&unknown),
            if known.is_empty() { "no layer".to_owned() } else { quoted(&known) }
        )
    })
}

fn at_map(failure: Failure, folder: &Path) -> Failure {
    if failure.place.is_some() { failure } else { failure.at(folder.display().to_string()) }
}

/// A map as pixels of cortex.
fn sampled(
    mapping: &FlatMapping,
    mut map: CorticalMap,
    title: String,
    at: String,
    sampling: Sampling,
) -> Result<Shown, Failure> {
    forget_infinite(&mut map.values);
    let is_category = map.about.measure == Measure::Category;
    let categories = if is_category { std::mem::take(&mut map.about.categories) } else { Vec::new() };
    match sampling {
        Sampling::Auto => {}
        Sampling::Mean | Sampling::Whole => map.about.measure = Measure::Number,
        Sampling::Mode => map.about.measure = Measure::Category,
    }
    let depths = if sampling == Sampling::Whole { Depths::AllOrNan } else { Depths::IgnoreNan };
    let pixels = mapping.paint(&map, depths)?;
    let units = match &map.values {
        MapValues::Volume { values, .. } => ShownUnits::count("voxels", categories.len(), values.iter().copied()),
        MapValues::Vertices(hemispheres) => {
            let values = hemispheres.iter().flat_map(|(_, values)| values).copied();
            ShownUnits::count("vertices", categories.len(), values)
        }
    };
    let limits = map.about.limits.map(|[low, high]| (low, high));
    Ok(Shown { title, at, unit: map.about.unit, categories, limits, pixels, units })
}

fn percentiles(parameters: &Parameters) -> Result<(f64, f64), Failure> {
    match two("percentiles", &parameters.percentiles)? {
        Some((low, high)) if low >= 0.0 && high <= 100.0 => Ok((low, high)),
        _ => Err(Failure::input(format!(
            "found {:?} as `percentiles`, expected two from 0 to 100",
            parameters.percentiles
        ))),
    }
}

/// The limits of the exercise's maps of numbers, and the end of its five bands.
const LAB_LIMITS: (f64, f64) = (0.0, 0.4);
const LAB_BANDS: f64 = 4.5;

/// The colours of every map.
fn scales(maps: &[Shown], parameters: &Parameters) -> Result<Vec<ColourScale>, Failure> {
    if maps.is_empty() {
        return Err(Failure::input("there is no map, expected at least one"));
    }
    let given = two("limits", &parameters.limits)?;
    let percentiles = percentiles(parameters)?;
    let lab = parameters.look == FigureStyle::Lab08;
    let or_lab = |map: ColourMap, of_lab: ColourMap| if lab && map == ColourMap::Auto { of_lab } else { map };
    let numbers: Vec<&Shown> = maps.iter().filter(|shown| shown.categories.is_empty()).collect();
    let units: Vec<&str> = numbers.iter().map(|shown| shown.unit.as_str()).collect();
    if parameters.shared && given.is_none() && !lab && units.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(Failure::input(format!(
            "found maps of the units {}, expected one unit for one key",
            quoted(&units)
        ))
        .hint("write `shared: false`, so that every map has its own limits"));
    }
    let asked = |shown: &[&Shown]| -> Option<(f64, f64)> {
        let all: Option<Vec<(f64, f64)>> = shown.iter().map(|shown| shown.limits).collect();
        all?.into_iter().reduce(|one, two| (one.0.min(two.0), one.1.max(two.1)))
    };
    let of_numbers = |shown: &[&Shown]| {
        let given = given.or(lab.then_some(LAB_LIMITS)).or_else(|| asked(shown));
        let limits = limits(given, shown, percentiles, parameters.symmetric);
        ColourScale::numbers(or_lab(parameters.colours, ColourMap::Blues), limits)
    };
    let all = (parameters.shared && !numbers.is_empty()).then(|| of_numbers(&numbers));
    let scale = |shown: &Shown| match (&all, shown.categories.len()) {
        (Some(all), 0) => all.clone(),
        (None, 0) => of_numbers(&[shown]),
        (_, count) => {
            ColourScale::categories(or_lab(parameters.colours, ColourMap::Bprog), count, lab.then_some(LAB_BANDS))
        }
    };
    Ok(maps.iter().map(scale).collect())
}

fn quoted(words: &[&str]) -> String {
    let mut words: Vec<&str> = words.to_vec();
    words.sort_unstable();
    words.dedup();
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" and ")
}

/// Makes pictures of pixels of cortex.
struct Painter<'a> {
    mapping: &'a FlatMapping,
    opacity: Option<&'a Fade>,
    curvature: bool,
}

/// pycortex's greys: binary curvature at brightness 0.5 and contrast 0.25, as bytes of its grey map.
const GYRUS: Colour = Colour::rgb(160, 160, 160);
const SULCUS: Colour = Colour::rgb(96, 96, 96);
/// The grey between them: cortex whose curvature is not known, which is neither.
const UNKNOWN_CURVATURE: Colour = Colour::rgb(128, 128, 128);

impl Painter<'_> {
    /// A picture; `colour` gives the colour of a pixel of cortex, if it has a value.
    fn picture(&self, colour: impl Fn(usize) -> Option<Colour>) -> Raster {
        let width = self.mapping.about.width;
        let mut picture = Raster::new(width, self.mapping.about.height);
        let cortex = self.mapping.mask.iter().enumerate().filter(|(_, is_cortex)| **is_cortex);
        for (pixel, (at, _)) in cortex.enumerate() {
            let below = match self.mapping.curvature[pixel] {
                _ if !self.curvature => Colour::RULE,
                curvature if curvature.is_nan() => UNKNOWN_CURVATURE,
                curvature if curvature > 0.0 => GYRUS,
                _ => SULCUS,
            };
            let shown = colour(pixel).map_or(below, |colour| match self.opacity {
                None => colour,
                Some(opacity) => below.towards(colour, opacity.shares[pixel]),
            });
            picture.set(at % width, at / width, shown);
        }
        picture
    }
}

/// Everything about the maps that the sheet and the table need.
struct SheetContent<'a> {
    parameters: &'a Parameters,
    maps: &'a [Shown],
    scales: &'a [ColourScale],
    painter: Painter<'a>,
}

impl SheetContent<'_> {
    /// The pictures, and the key that they share.
    fn cells(&self) -> Result<(Vec<SheetCell>, Option<Legend>), Failure> {
        match self.parameters.combine {
            Combine::Each => Ok(self.each()),
            Combine::Pair => {
                let [a, b] = self.numbers::<2>("pair")?;
                let picture = self.painter.picture(|pixel| Some(pair(self.share(a, pixel)?, self.share(b, pixel)?)));
                Ok(self.one(picture, Legend::Pair(Box::new([a, b].map(|map| self.part(map))))))
            }
            Combine::Light => {
                let three = self.numbers::<3>("rgb")?;
                let picture = self.painter.picture(|pixel| {
                    let [red, green, blue] = three.map(|map| self.share(map, pixel));
                    Some(light([red?, green?, blue?]))
                });
                Ok(self.one(picture, Legend::Light(Box::new(three.map(|map| self.part(map))))))
            }
        }
    }

    fn one(&self, picture: Raster, legend: Legend) -> (Vec<SheetCell>, Option<Legend>) {
        (vec![SheetCell { title: String::new(), picture, legend: None }], Some(legend))
    }

    /// A picture a map. Its key is below all where all are maps of numbers with the same limits, else below each.
    fn each(&self) -> (Vec<SheetCell>, Option<Legend>) {
        let is_of_numbers = self.maps.iter().all(|shown| shown.categories.is_empty());
        let below_all = is_of_numbers && self.parameters.shared && self.parameters.look != FigureStyle::Lab08;
        let cell = |(shown, scale): (&Shown, &ColourScale)| {
            let value = |pixel: usize| Some(f64::from(shown.pixels[pixel])).filter(|value| !value.is_nan());
            let picture = self.painter.picture(|pixel| value(pixel).map(|value| scale.colour(value)));
            let legend = (!below_all).then(|| self.legend(&[shown], scale));
            SheetCell { title: shown.title.clone(), picture, legend }
        };
        let cells = self.maps.iter().zip(self.scales).map(cell).collect();
        let all: Vec<&Shown> = self.maps.iter().collect();
        (cells, below_all.then(|| self.legend(&all, &self.scales[0])))
    }

    fn legend(&self, shown: &[&Shown], scale: &ColourScale) -> Legend {
        let categories = &shown[0].categories;
        if categories.is_empty() {
            let (below, above) = scale.outside(shown.iter().flat_map(|shown| shown.values()));
            return Legend::Bar {
                scale: scale.clone(),
                unit: shown[0].unit.clone(),
                below: below > 0,
                above: above > 0,
            };
        }
        let entry = |(at, (name, count)): (usize, (&String, &usize))| {
            (scale.colour(real(at)), format!("{name} ({count} {})", shown[0].units.word))
        };
        Legend::Names(categories.iter().zip(&shown[0].units.of_categories).enumerate().map(entry).collect())
    }

    /// Exactly so many maps, all of numbers.
    fn numbers<const N: usize>(&self, word: &str) -> Result<[usize; N], Failure> {
        let all_numbers = self.maps.iter().all(|shown| shown.categories.is_empty());
        if self.maps.len() != N || !all_numbers {
            let found =
                if all_numbers { format!("{} maps", self.maps.len()) } else { "a map of categories".to_owned() };
            return Err(Failure::input(format!("found {found}, expected {N} maps of numbers for `combine: {word}`")));
        }
        Ok(std::array::from_fn(|at| at))
    }

    fn share(&self, map: usize, pixel: usize) -> Option<f64> {
        let value = f64::from(self.maps[map].pixels[pixel]);
        (!value.is_nan()).then(|| self.scales[map].share(value))
    }

    fn part(&self, map: usize) -> KeyPart {
        KeyPart { title: self.maps[map].title.clone(), scale: self.scales[map].clone() }
    }

    /// What readers must know that the picture does not say.
    fn notes(&self, lines: &Lines) -> Vec<String> {
        let about = &self.painter.mapping.about;
        let mut notes = Vec::new();
        if about.hemispheres.len() == 2 {
            notes.push("Left: left hemisphere.".to_owned());
        }
        let lacking = self.maps.iter().any(|shown| shown.pixels.iter().any(|value| value.is_nan()));
        if lacking || self.painter.opacity.is_some() {
            let is_unknown = self.painter.mapping.curvature.iter().any(|curvature| curvature.is_nan());
            let grey = match self.painter.curvature {
                true if is_unknown => {
                    "Grey: cortex without a value, gyri light and sulci dark, between them where the curvature is not known."
                }
                true => "Grey: cortex without a value, gyri light and sulci dark.",
                false => "Grey: cortex without a value.",
            };
            notes.push(grey.to_owned());
        }
        if let Some(Fade { title, limits: (low, high), .. }) = self.painter.opacity {
            let of = if title.is_empty() { "the map of opacity" } else { title.as_str() };
            let step = ticks(*low, *high, 10).1;
            notes.push(format!(
                "Colours fade into the grey: transparent at {} of {of}, opaque at {}.",
                label(*low, step),
                label(*high, step)
            ));
        }
        let outside = self.maps.iter().zip(self.scales).map(|(shown, scale)| scale.outside(shown.values()));
        let (below, above) = outside.fold((0, 0), |sum, of_map| (sum.0 + of_map.0, sum.1 + of_map.1));
        if below + above > 0 {
            let all: usize = self.maps.iter().map(|shown| shown.values().count()).sum();
            notes.push(format!(
                "Outside the limits, with the colour of the nearer one: {below} pixels below and {above} above, of {all} with a value."
            ));
        }
        if self.painter.mapping.about.volume_shape.is_some() {
            let has_categories = self.maps.iter().any(|shown| !shown.categories.is_empty());
            let how = match self.parameters.sampling {
                Sampling::Auto if has_categories => "the most frequent value (of numbers the mean)",
                Sampling::Auto | Sampling::Mean => "the mean",
                Sampling::Whole => "the mean, if all have a value,",
                Sampling::Mode => "the most frequent value",
            };
            notes.push(format!("A pixel shows {how} of {} depths between white and pial surface.", about.depths));
        }
        if lines.layers().any(|layer| layer == SULCI) {
            notes.push("Dashed: sulci.".to_owned());
        }
        vec![notes.join(" ")]
    }

    /// A row a map, or a category of one; `dpi` is that of the pictures.
    fn table(&self, dpi: f64, simulated: bool) -> Result<polars::prelude::DataFrame, Failure> {
        let mut rows = Vec::new();
        for (shown, scale) in self.maps.iter().zip(self.scales) {
            let summary = shown.summary();
            let outside = scale.outside(shown.values());
            match shown.categories.is_empty() {
                true => rows.push((shown, scale, "", summary.count, shown.units.count, summary.range, outside)),
                false => {
                    let counts = shown.pixels_of_categories().into_iter().zip(&shown.units.of_categories);
                    rows.extend(
                        shown.categories.iter().zip(counts).map(|(name, (pixels, units))| {
                            (shown, scale, name.as_str(), pixels, *units, None, outside)
                        }),
                    );
                }
            }
        }
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let part = |at: usize| rows.iter().map(move |row| row.5.map(|range| range[at])).collect::<Vec<_>>();
        DataTable::of(COLUMNS)
            .text("map", rows.iter().map(|row| row.0.title.as_str()))
            .text("at", rows.iter().map(|row| row.0.at.as_str()))
            .text("category", rows.iter().map(|row| row.2))
            .text("unit", rows.iter().map(|row| row.0.unit.as_str()))
            .integers("n_pixels", rows.iter().map(|row| whole(row.0.pixels.len())))
            .integers("n_values", rows.iter().map(|row| whole(row.3)))
            .integers("n_units", rows.iter().map(|row| whole(row.4)))
            .optional_numbers("min", part(0))
            .optional_numbers("median", part(1))
            .optional_numbers("max", part(2))
            .numbers("from", rows.iter().map(|row| row.1.low))
            .numbers("to", rows.iter().map(|row| row.1.high))
            .integers("n_below", rows.iter().map(|row| whole(row.6.0)))
            .integers("n_above", rows.iter().map(|row| whole(row.6.1)))
            .numbers("dpi", rows.iter().map(|_| (dpi * 10.0).round() / 10.0))
            .stamped(simulated)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fs_err as fs;
    use pipe_contract::Value;

    use super::*;
    use crate::formats::cortex::AboutHemisphere;
    use crate::formats::cortical_map::AboutMap;
    use crate::formats::drawing::text_boxes;
    use crate::formats::flat_mapping::AboutFlatMapping;
    use crate::formats::gifti;
    use crate::formats::nifti::VolumePlace;
    use crate::hemisphere::Hemisphere;
    use crate::numeric::depth_samples::VoxelSamples;
    use crate::numeric::flat_grid::Extents;
    use crate::numeric::flat_grid::{self, FlatMesh};
    use crate::numeric::polygon::contains;
    use crate::test_support::figures::{assert_same_bytes_twice, in_a_folder};
    use crate::test_support::tasks::{self, gather, give, run, set, task};

    const WIDTH: usize = 84;
    const HEIGHT: usize = 42;
    /// The volume under the picture: a voxel for every 21 x 21 pixels, two layers of them, each half of the depths.
    const SHAPE: [usize; 3] = [4, 2, 2];
    /// Vertices of a disc: its centre and its rim.
    const RIM: usize = 24;

    /// Two discs beside each other, each a fan of triangles around its centre.
    fn mapping() -> FlatMapping {
        let hemisphere =
            |name: &str| AboutHemisphere { name: name.into(), vertices: RIM + 1, curvature: String::new() };
        let about = AboutFlatMapping {
            height: HEIGHT,
            width: WIDTH,
            depths: 4,
            cortex: String::new(),
            transform: Some("t".into()),
            volume_shape: Some(SHAPE),
            volume_affine: None,
            extents: Extents { left: -2.0, right: 2.0, bottom: -1.0, top: 1.0 },
            hemispheres: vec![hemisphere("lh"), hemisphere("rh")],
        };
        let mut made = FlatMapping {
            about,
            mask: Vec::new(),
            triangles: Vec::new(),
            weights: Vec::new(),
            nearest: Vec::new(),
            curvature: Vec::new(),
            samples: None,
        };
        let mut samples = VoxelSamples { starts: vec![0], voxels: Vec::new(), depths: Vec::new() };
        for pixel in 0..WIDTH * HEIGHT {
            let (column, row) = (pixel % WIDTH, pixel / WIDTH);
            let half = column / HEIGHT;
            let x = (real(column % HEIGHT) + 0.5) / real(HEIGHT) * 2.0 - 1.0;
            let y = 1.0 - (real(row) + 0.5) / real(HEIGHT) * 2.0;
            let wedge = std::f64::consts::TAU / real(RIM);
            let turn = libm::atan2(y, x).rem_euclid(std::f64::consts::TAU) / wedge;
            let first = (0..RIM).find(|step| turn < real(step + 1)).unwrap();
            let corner = |step: usize| {
                let (sin, cos) = libm::sincos(real(step) * wedge);
                [cos, sin]
            };
            let ([ax, ay], [bx, by]) = (corner(first), corner(first + 1));
            let area = ax * by - bx * ay;
            let (a, b) = ((x * by - bx * y) / area, (ax * y - x * ay) / area);
            let is_cortex = a + b <= 1.0;
            made.mask.push(is_cortex);
            if is_cortex {
                let vertex = |step: usize| u32::try_from(half * (RIM + 1) + step).unwrap();
                made.triangles.push([vertex(0), vertex(1 + first), vertex(1 + (first + 1) % RIM)]);
                #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
                made.weights.push([1.0 - a - b, a, b].map(|weight| weight as f32));
                made.nearest.push(if a + b < 0.5 { vertex(0) } else { vertex(1 + first) });
                made.curvature.push(if (column / 6) % 2 == 0 { 0.3 } else { -0.3 });
                let voxel = u32::try_from(column / 21 + SHAPE[0] * (row / 21)).unwrap();
                samples.voxels.extend([voxel, voxel + 8]);
                samples.depths.extend([2, 2]);
                samples.starts.push(u32::try_from(samples.voxels.len()).unwrap());
            }
        }
        made.samples = Some(samples);
        made
    }

    const OVERLAY: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"
 width="200" height="100"><defs><clipPath id="edge"><circle cx="50" cy="50" r="50"/><circle cx="150" cy="50" r="50"/></clipPath></defs>
<g inkscape:label="rois"><g inkscape:label="shapes" clip-path="url(#edge)">
<g inkscape:label="V1"><path d="M30 30H70V70H30Z"/><path d="M130 30H170V70H130Z"/></g>
<g inkscape:label="MT"><path d="M5 40H25V60H5Z"/></g></g></g>
<g inkscape:label="sulci"><g inkscape:label="shapes"><g inkscape:label="CaS"><path d="M60 80C70 80 70 90 80 85"/></g></g></g></svg>"##;

    fn cortex(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        crate::formats::cortex::write(folder, "test", "s", &[], &[]).unwrap();
        let about = r#"{"source": "t", "subject": "s", "hemispheres": [{"name": "lh", "vertices": 25, "curvature": ""}], "transforms": []}"#;
        fs::write(folder.join("about.json"), about).unwrap();
        fs::write(folder.join("overlays.svg"), OVERLAY).unwrap();
    }

    fn about(title: &str) -> AboutMap {
        AboutMap { title: title.into(), unit: "R²".into(), ..AboutMap::default() }
    }

    fn volume(values: [f32; 16]) -> MapValues {
        MapValues::Volume { place: VolumePlace { shape: SHAPE, affine: [[0.0; 4]; 4] }, values: values.to_vec() }
    }

    /// Numbers from 0 to 0.7 in the upper layer, the same in the lower but in one voxel; one voxel has none.
    fn numbers() -> MapValues {
        let mut values = [0.0_f32; 16];
        for (at, value) in (0_u8..).zip(&mut values) {
            *value = f32::from(at % 8) / 10.0;
        }
        (values[8], values[3], values[11]) = (f32::NAN, f32::NAN, f32::NAN);
        volume(values)
    }

    fn write(folder: &Path, name: &str, about: AboutMap, values: MapValues) -> std::path::PathBuf {
        let path = folder.join(name);
        CorticalMap { about, values }.write(&path).unwrap();
        path
    }

    /// A task about maps of these coordinates.
    fn given(folder: &Path, maps: &[(&str, &Path)]) -> Task {
        cortex(&folder.join("cortex"));
        mapping().write(&folder.join("mapping")).unwrap();
        let mut task = task(&Flatmap, folder);
        give(&mut task, "cortex", &folder.join("cortex"));
        give(&mut task, "mapping", &folder.join("mapping"));
        maps.iter().for_each(|(at, path)| gather(&mut task, "maps", &[("space", at)], Some(path)));
        task
    }

    fn list(values: &[f64]) -> Value {
        Value::List(values.iter().map(|value| Value::Float(*value)).collect())
    }

    fn word(word: &str) -> Value {
        Value::Text(word.into())
    }

    /// Runs a task; its figure as SVG and its table as rows of fields by column.
    fn rendered(task: &Task) -> (String, Vec<BTreeMap<String, String>>) {
        run(&Flatmap, task).unwrap();
        let folder = task.output("figure").unwrap();
        let mut csv = csv::Reader::from_path(folder.join(data_table::CSV)).unwrap();
        (fs::read_to_string(folder.join("figure.svg")).unwrap(), csv.deserialize().map(Result::unwrap).collect())
    }

    /// The colours of the pixels of the pictures in an SVG that are as large as the mapping, transparent ones as `None`.
    fn pictures(svg: &str) -> Vec<Vec<Option<Colour>>> {
        use base64::Engine as _;
        let data = svg.split("data:image/png;base64,").skip(1).map(|rest| rest.split('"').next().unwrap());
        let decoded = data.map(|data| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            (info.width as usize == WIDTH && info.height as usize == HEIGHT).then_some(pixels)
        });
        let colour = |p: &[u8]| (p[3] > 0).then(|| Colour::rgb(p[0], p[1], p[2]));
        decoded.flatten().map(|pixels| pixels.chunks_exact(4).map(colour).collect()).collect()
    }

    fn at(column: usize, row: usize) -> usize {
        row * WIDTH + column
    }

    #[test]
    fn every_pixel_has_the_colour_of_its_voxels_or_of_the_curvature() {
        let folder = tempfile::tempdir().unwrap();
        let map = write(folder.path(), "map", about("Map"), numbers());
        let mut task = given(folder.path(), &[("a", &map)]);
        set(&mut task, "colours", word("Blues"));
        set(&mut task, "limits", list(&[0.0, 0.5]));
        let (svg, rows) = rendered(&task);
        let picture = &pictures(&svg)[0];
        let scale = ColourScale::numbers(ColourMap::Blues, (0.0, 0.5));
        let colour = |value: f32| Some(scale.colour(f64::from(value)));
        assert_eq!(picture[at(0, 0)], None, "outside of the discs nothing is painted");
        assert_eq!(picture[at(15, 15)], colour(0.0), "upper left; a depth without a value is left out");
        assert_eq!(picture[at(30, 15)], colour(0.1));
        assert_eq!(picture[at(50, 15)], colour(0.2), "the right hemisphere is to the right");
        assert_eq!(picture[at(15, 30)], colour(0.4), "lower rows are lower");
        assert_eq!((picture[at(66, 15)], picture[at(61 + 12, 15)]), (Some(SULCUS), Some(GYRUS)));
        let [row] = &rows[..] else { panic!("{rows:?}") };
        let number = |name: &str| row[name].parse::<f64>().unwrap();
        assert_eq!((row["map"].as_str(), row["unit"].as_str(), row["at"].as_str()), ("Map", "R²", "space=a"));
        assert_eq!((number("n_units"), number("from"), number("to"), number("n_below")), (13.0, 0.0, 0.5, 0.0));
        assert!((number("max") - 0.7).abs() < 1e-6 && number("min") == 0.0);
        // 84 pixels on 502.7 points.
        assert_eq!((number("dpi"), picture.len()), (12.0, WIDTH * HEIGHT), "pixels are those of the mapping");
        let quarter = number("n_pixels") / 8.0;
        assert!((number("n_values") - 7.0 * quarter).abs() < 20.0 && (number("n_above") - 2.0 * quarter).abs() < 20.0);
        assert!(
            svg.contains("pixels below and") && svg.contains("gyri light and sulci dark"),
            "what is not shown is said"
        );
    }

    #[test]
    fn cortex_of_unknown_curvature_is_neither_gyrus_nor_sulcus() {
        let folder = tempfile::tempdir().unwrap();
        let map = write(folder.path(), "map", about("Map"), numbers());
        let task = given(folder.path(), &[("a", &map)]);
        assert!(!rendered(&task).0.contains("curvature is not known"));
        let mut mapping = mapping();
        let picture = (0..WIDTH * HEIGHT).filter(|pixel| mapping.mask[*pixel]).collect::<Vec<usize>>();
        // A pixel of a gyrus and one of a sulcus in the upper right, where voxels have no value.
        let place = |pixel: usize| picture.iter().position(|shown| *shown == pixel).unwrap();
        let (unknown, sulcus) = (place(at(61 + 12, 15)), place(at(66, 15)));
        assert!(mapping.curvature[unknown] > 0.0 && mapping.curvature[sulcus] < 0.0);
        mapping.curvature[unknown] = f32::NAN;
        mapping.write(&folder.path().join("mapping")).unwrap();
        let (svg, _) = rendered(&task);
        let found = [at(61 + 12, 15), at(66, 15)].map(|pixel| pictures(&svg)[0][pixel]);
        assert_eq!(found, [Some(UNKNOWN_CURVATURE), Some(SULCUS)]);
        let mean = |channel: fn(Colour) -> u8| (u16::from(channel(GYRUS)) + u16::from(channel(SULCUS))) / 2;
        assert_eq!(mean(|colour| colour.red), u16::from(UNKNOWN_CURVATURE.red));
        let words = text_boxes(&svg).1.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(" ");
        assert!(words.contains("between them where the curvature is not known."), "{words}");
    }

    #[test]
    fn maps_come_in_the_asked_order_of_their_coordinates() {
        let folder = tempfile::tempdir().unwrap();
        let map = write(folder.path(), "map", about(""), volume([1.0; 16]));
        let names = ["early", "late", "middle", "total"];
        let mut task = given(folder.path(), &names.map(|name| (name, map.as_path())));
        let mut shown = |order: &[&str]| {
            set(&mut task, "order", Value::List(order.iter().map(|name| word(name)).collect()));
            let notes = run(&Flatmap, &task).unwrap();
            let titles = rendered(&task).1.iter().map(|row| row["map"].clone()).collect::<Vec<String>>();
            (titles, notes)
        };
        assert_eq!(shown(&[]).0, ["space early", "space late", "space middle", "space total"]);
        // Names of other spaces are passed over, maps without a name in the list come last.
        let order = ["early", "fc", "middle", "late"];
        let (titles, notes) = shown(&order);
        assert_eq!(titles, ["space early", "space middle", "space late", "space total"]);
        assert!(notes.is_empty(), "{notes:?}");
        let (_, notes) = shown(&["fc"]);
        assert!(notes[0].starts_with("important: `order` is fc, but the maps have `space=early`, "), "{notes:?}");
    }

    #[test]
    fn depths_become_one_value_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut values = [0.0_f32; 16];
        (values[0], values[8], values[1], values[9]) = (4.0, f32::NAN, 1.0, 2.0);
        let categories = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let about = AboutMap { measure: Measure::Category, categories, ..about("Best") };
        let map = write(folder.path(), "map", about, volume(values));
        let mut task = given(folder.path(), &[("a", &map)]);
        set(&mut task, "look", word("lab08"));
        let mut seen = |sampling: &str| {
            set(&mut task, "sampling", word(sampling));
            let (svg, _) = rendered(&task);
            [at(15, 15), at(30, 15)].map(|pixel| pictures(&svg)[0][pixel].unwrap())
        };
        let band = |value: f64| ColourMap::Bprog.colour((value + 0.5) / 5.0);
        assert_eq!(seen("auto"), [band(4.0), band(1.0)], "the most frequent, ties to the least");
        assert_eq!(seen("mode"), [band(4.0), band(1.0)]);
        // The mean of 1 and 2 is on the border between their bands.
        assert_eq!(seen("mean"), [band(4.0), band(1.5)]);
        assert!([GYRUS, SULCUS].contains(&seen("whole")[0]));
    }

    #[test]
    fn categories_have_names_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut values = [1.0_f32; 16];
        (values[0], values[8], values[5]) = (0.0, 0.0, f32::NAN);
        let categories = ["conv1", "conv2"].map(str::to_owned).to_vec();
        let about = AboutMap { measure: Measure::Category, categories, ..about("Best") };
        let map = write(folder.path(), "map", about, volume(values));
        let (svg, rows) = rendered(&given(folder.path(), &[("a", &map)]));
        assert!(svg.contains(">conv1 (2 voxels)<") && svg.contains(">conv2 (13 voxels)<"));
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[1]["category"].as_str(), rows[1]["n_units"].as_str(), rows[1]["min"].as_str()),
            ("conv2", "13", "")
        );
        let pixels = |row: &BTreeMap<String, String>| row["n_values"].parse::<usize>().unwrap();
        assert!(pixels(&rows[0]) * 6 < pixels(&rows[1]) && pixels(&rows[0]) > 100, "{rows:?}");
    }

    #[test]
    fn vertices_are_painted_by_their_weights() {
        let folder = tempfile::tempdir().unwrap();
        let values = |centre: f32, rim: f32| std::iter::once(centre).chain([rim; RIM]).collect::<Vec<f32>>();
        let vertices = vec![(Hemisphere::Left, values(1.0, 0.0)), (Hemisphere::Right, values(0.0, 0.5))];
        let map = write(folder.path(), "map", about("Map"), MapValues::Vertices(vertices));
        let mut task = given(folder.path(), &[("a", &map)]);
        set(&mut task, "limits", list(&[0.0, 1.0]));
        let (svg, rows) = rendered(&task);
        assert_eq!(rows[0]["n_units"], "50");
        let picture = &pictures(&svg)[0];
        let scale = ColourScale::numbers(ColourMap::Auto, (0.0, 1.0));
        let near = |pixel: usize, value: f64| {
            let (found, wanted) = (picture[pixel].unwrap(), scale.colour(value));
            found.red.abs_diff(wanted.red).max(found.green.abs_diff(wanted.green)) <= 6
        };
        assert!(
            near(at(20, 20), 0.97) && near(at(10, 20), 0.5) && near(at(62, 20), 0.02),
            "from the centre to the rim"
        );
        let brain = vec![(Hemisphere::Left, vec![0.0; 7])];
        write(folder.path(), "map", about("Map"), MapValues::Vertices(brain));
        fs::remove_file(map.join("rh.func.gii")).unwrap();
        let failure = run(&Flatmap, &task).unwrap_err();
        assert!(failure.message.contains("`lh` 7") && failure.place.unwrap().ends_with("map"));
    }

    #[test]
    fn two_and_three_maps_share_a_picture() {
        let folder = tempfile::tempdir().unwrap();
        let level = |name: &str, value: f32| write(folder.path(), name, about(name), volume([value; 16]));
        let (a, b, c) = (level("A", 1.0), level("B", 0.0), level("C", 0.5));
        let mut task = given(folder.path(), &[("a", &a), ("b", &b)]);
        set(&mut task, "combine", word("pair"));
        set(&mut task, "limits", list(&[0.0, 1.0]));
        let (svg, rows) = rendered(&task);
        assert_eq!((pictures(&svg).len(), rows.len()), (1, 2));
        assert_eq!(pictures(&svg)[0][at(20, 20)], Some(pair(1.0, 0.0)));
        gather(&mut task, "maps", &[("space", "c")], Some(&c));
        let failure = run(&Flatmap, &task).unwrap_err();
        assert_eq!(failure.message, "found 3 maps, expected 2 maps of numbers for `combine: pair`");
        set(&mut task, "combine", word("rgb"));
        let (svg, _) = rendered(&task);
        assert_eq!(pictures(&svg)[0][at(20, 20)], Some(light([1.0, 0.0, 0.5])));
        assert!(svg.contains(">A (0.0 to 1.0)<"), "every light is named with its limits");
    }

    #[test]
    fn the_cortex_of_another_mapping_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let map = write(folder.path(), "map", about("Map"), volume([1.0; 16]));
        let task = given(folder.path(), &[("a", &map)]);
        let mut mapping = mapping();
        mapping.about.cortex = "s".to_owned();
        mapping.write(&folder.path().join("mapping")).unwrap();
        rendered(&task);
        mapping.about.cortex = "S2".to_owned();
        mapping.write(&folder.path().join("mapping")).unwrap();
        assert_eq!(
            run(&Flatmap, &task).unwrap_err().message,
            "the cortex is of the subject `s`, but the flat mapping of `S2`"
        );
    }

    #[test]
    fn a_map_fades_where_another_is_low() {
        let folder = tempfile::tempdir().unwrap();
        let mut high = [1.0_f32; 16];
        (high[0], high[8], high[1], high[9]) = (0.0, 0.0, 0.5, 0.5);
        let map = write(folder.path(), "map", about("Map"), volume([1.0; 16]));
        let opaque = write(folder.path(), "opaque", about("Ceiling"), volume(high));
        let mut task = given(folder.path(), &[("a", &map)]);
        give(&mut task, "opacity", &opaque);
        set(&mut task, "opacity_limits", list(&[0.0, 1.0]));
        set(&mut task, "limits", list(&[0.0, 1.0]));
        set(&mut task, "with_curvature", Value::Bool(false));
        let (svg, _) = rendered(&task);
        let full = ColourScale::numbers(ColourMap::Auto, (0.0, 1.0)).colour(1.0);
        let seen = [at(15, 15), at(30, 15), at(15, 30)].map(|pixel| pictures(&svg)[0][pixel].unwrap());
        assert_eq!(seen, [Colour::RULE, Colour::RULE.towards(full, 0.5), full]);
        let words = text_boxes(&svg).1.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(" ");
        assert!(words.contains("transparent at 0.0 of Ceiling, opaque at 1.0."), "{words}");
    }

    #[test]
    fn limits_are_shared_or_each_maps_own_and_may_come_with_the_maps() {
        let folder = tempfile::tempdir().unwrap();
        let wide = |limits| AboutMap { limits: Some(limits), ..about("") };
        let a = write(folder.path(), "A", wide([0.0, 1.0]), numbers());
        let b = write(folder.path(), "B", wide([-1.0, 0.5]), numbers());
        let mut task = given(folder.path(), &[("a", &a), ("b", &b)]);
        let ends = |rows: &[BTreeMap<String, String>]| {
            rows.iter().map(|row| format!("{} {}", row["from"], row["to"])).collect::<Vec<_>>().join(", ")
        };
        let (svg, rows) = rendered(&task);
        assert_eq!(ends(&rows), "-1.0 1.0, -1.0 1.0");
        assert!(svg.contains(">space a<") && svg.contains(">space b<"), "titles are coordinates");
        set(&mut task, "shared", Value::Bool(false));
        assert_eq!(ends(&rendered(&task).1), "0.0 1.0, -1.0 0.5");
        set(&mut task, "symmetric", Value::Bool(true));
        assert_eq!(ends(&rendered(&task).1), "-1.0 1.0, -1.0 1.0");
        set(&mut task, "look", word("lab08"));
        set(&mut task, "symmetric", Value::Bool(false));
        assert_eq!(ends(&rendered(&task).1), "0.0 0.4, 0.0 0.4");
        write(folder.path(), "B", AboutMap { unit: "p".into(), ..about("") }, numbers());
        set(&mut task, "look", word("paper"));
        assert!(rendered(&task).0.contains("R²"));
        set(&mut task, "shared", Value::Bool(true));
        let failure = run(&Flatmap, &task).unwrap_err();
        assert_eq!(failure.message, "found maps of the units `R²` and `p`, expected one unit for one key");
        set(&mut task, "limits", list(&[1.0, 0.0]));
        assert!(run(&Flatmap, &task).unwrap_err().message.contains("expected the first to be less"));
        set(&mut task, "limits", list(&[]));
        set(&mut task, "percentiles", list(&[-1.0, 50.0]));
        assert!(run(&Flatmap, &task).unwrap_err().message.contains("`percentiles`"));
    }

    #[test]
    fn outlines_and_names_are_those_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let map = write(folder.path(), "map", about("Map"), numbers());
        let mut task = given(folder.path(), &[("a", &map)]);
        let text = |svg: &str, words: &str| svg.matches(&format!(">{words}<")).count();
        let (svg, _) = rendered(&task);
        assert_eq!((text(&svg, "V1"), text(&svg, "MT"), text(&svg, "CaS")), (2, 1, 0));
        set(&mut task, "outlines", Value::List(vec![word("rois"), word("sulci")]));
        set(&mut task, "regions", Value::List(vec![word("MT"), word("CaS")]));
        let (svg, _) = rendered(&task);
        assert_eq!((text(&svg, "V1"), text(&svg, "MT"), text(&svg, "CaS")), (0, 1, 1));
        assert!(svg.contains("Dashed: sulci."));
        set(&mut task, "names", word("none"));
        assert_eq!(text(&rendered(&task).0, "MT"), 0);
        set(&mut task, "names", word("all"));
        set(&mut task, "width", Value::Float(60.0));
        set(&mut task, "names_size", Value::Float(9.0));
        let (svg, _) = rendered(&task);
        assert!(text(&svg, "CaS") == 1 && svg.contains("font-size=\"9\""), "narrow, but asked for");
        set(&mut task, "outlines", Value::List(["rois", "sulci", "roi"].map(word).to_vec()));
        let notes = run(&Flatmap, &task).unwrap();
        assert_eq!(notes, ["important: no lines of `roi`, which the overlay does not have; it has `rois` and `sulci`"]);
        set(&mut task, "outlines", Value::List(vec![]));
        assert!(run(&Flatmap, &task).unwrap_err().message.contains("found no region `MT`"));
        set(&mut task, "regions", Value::List(vec![]));
        assert!(!rendered(&task).0.contains("<clipPath"));
    }

    #[test]
    fn draws_the_same_bytes_twice_and_what_can_be_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let map = write(folder.path(), "map", about("Map"), numbers());
        let mut task = given(folder.path(), &[("a", &map), ("b", &map), ("c", &map)]);
        task.simulated = true;
        set(&mut task, "columns", Value::Int(2));
        let mut saved = |name: &str| {
            in_a_folder(name, |figure| {
                task.outputs.insert("figure".into(), figure.to_owned());
                run(&Flatmap, &task).unwrap();
            });
        };
        saved("flatmap_small");
        let picture = |_: usize| None;
        let painter = mapping();
        let painter = Painter { mapping: &painter, opacity: None, curvature: true };
        let overlay_file = folder.path().join("cortex/overlays.svg");
        assert_same_bytes_twice(|| {
            let overlay = CortexOverlay::read(&overlay_file).unwrap();
            let scale = ColourScale::numbers(ColourMap::Auto, (0.0, 1.0));
            let legend = Legend::Bar { scale, unit: "R²".into(), below: true, above: true };
            Sheet {
                title: "Twice".into(),
                cells: vec![SheetCell { title: "One".into(), picture: painter.picture(picture), legend: None }],
                legend: Some(legend),
                lines: Lines::choose(&overlay, &["rois".into(), "sulci".into()], &[]).unwrap(),
                names: Names::All,
                names_size: 0.0,
                notes: vec!["A note.".into()],
                columns: 0,
                width: 300.0,
                dpi: 600.0,
                look: FigureStyle::Paper,
            }
            .draw(true)
        });
    }

    /// The edge that pycortex drew into the overlay of S1 is the edge of the flat surfaces: outlines lie on the cortex, not mirrored or moved.
    #[test]
    #[ignore = "needs the real data"]
    fn the_overlay_of_s1_lies_on_its_cortex() {
        let folder = tasks::data("pycortex_S1");
        let surfaces = ["flat_lh.gii", "flat_rh.gii"].map(|file| gifti::read_surface(&folder.join(file)).unwrap());
        let points = surfaces.each_ref().map(|surface| {
            surface.coordinates.iter().map(|[x, y, _]| [f64::from(*x), f64::from(*y)]).collect::<Vec<[f64; 2]>>()
        });
        let meshes = [0, 1].map(|at| FlatMesh { points: &points[at], triangles: &surfaces[at].triangles });
        let grid = flat_grid::lay_out(&meshes, 512).unwrap();
        let overlay_file = folder.join("overlays_rois_noimages.svg");
        let overlay = CortexOverlay::read(&overlay_file).unwrap();
        let edge = &overlay.layer("rois").unwrap().edge;
        let (mut same, mut all) = (0, 0);
        for pixel in (0..grid.mask.len()).filter(|pixel| pixel % 7 == 0 && (pixel / grid.width).is_multiple_of(7)) {
            let share = |at: usize, count: usize| real(at) / real(count - 1);
            let point = [share(pixel % grid.width, grid.width), share(pixel / grid.width, grid.height)];
            same += usize::from(contains(edge, point) == grid.mask[pixel]);
            all += 1;
        }
        // The mask is cut to whole pixels, so about half of those on the border, 2 % of all, can differ from the line.
        assert!(all > 10_000 && same * 100 >= all * 99, "{same} of {all} pixels");

        let vertices = points.each_ref().map(Vec::len);
        let pixels = grid.places.len();
        let made = FlatMapping {
            about: AboutFlatMapping {
                height: grid.height,
                width: grid.width,
                hemispheres: [("lh", vertices[0]), ("rh", vertices[1])]
                    .map(|(name, vertices)| AboutHemisphere { name: name.into(), vertices, curvature: String::new() })
                    .to_vec(),
                transform: None,
                volume_shape: None,
                ..mapping().about
            },
            triangles: grid.places.iter().map(|place| place.corners).collect(),
            #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
            weights: grid.places.iter().map(|place| place.weights.map(|weight| weight as f32)).collect(),
            nearest: grid.places.iter().map(|place| place.nearest).collect(),
            curvature: vec![0.0; pixels],
            mask: grid.mask,
            samples: None,
        };
        let own = tempfile::tempdir().unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "maps are single precision")]
        let values = points.each_ref().map(|points| points.iter().map(|point| point[1] as f32).collect::<Vec<f32>>());
        let [left, right] = values;
        let vertices = MapValues::Vertices(vec![(Hemisphere::Left, left), (Hemisphere::Right, right)]);
        let map = write(own.path(), "map", AboutMap { unit: "mm".into(), ..about("y") }, vertices);
        let mut task = given(own.path(), &[("a", &map)]);
        made.write(&own.path().join("mapping")).unwrap();
        fs::copy(&overlay_file, own.path().join("cortex/overlays.svg")).unwrap();
        set(&mut task, "outlines", Value::List(vec![word("rois"), word("sulci")]));
        in_a_folder("flatmap_s1", |figure| {
            task.outputs.insert("figure".into(), figure.to_owned());
            run(&Flatmap, &task).unwrap();
        });
    }
}
