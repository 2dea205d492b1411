//! `stimuli/generate`: parametric stimuli, every combination of object, colour, size, position and rotation.
//!
//! Decides the design: a colour is a hue, and all hues have one luminance and one saturation (CIELUV), as in the published study, so that
//! nothing but hue differs between them; all objects have the same two lightnesses. A colour that a screen cannot show is an error, never
//! clipped. The seed decides random outlines and, where they are asked for, random shifts and turns of each stimulus, nothing else.

use std::collections::BTreeSet;

use pipe_contract::{
    Column as Described, Context, Ended, Failure, Kind, Progress, StageKind, Task, choice, parameters,
};
use polars::prelude::Column;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::stimulus_objects::{OBJECTS, ObjectPart, between, blob, object};
use crate::formats::data_table;
use crate::formats::drawing::{CanvasPoint, Colour, Drawing, rendered_pixels};
use crate::formats::nearest_names::nearest;
use crate::formats::picture_file::encode_png;
use crate::formats::rgb_picture::RgbPicture;
use crate::formats::stimulus_set::{STIMULUS_COLUMNS, StimulusWriter};
use crate::numeric::colour_space::{largest_saturation, luv_of_hue, srgb_of_luv};

/// The kind.
pub(super) struct StimulusGenerate;

parameters! {
    struct Parameters {
        /// objects: `house`, `fish`, `flower`, `mug`, `star`, `tree`, `arrow`, `ring`
        objects: Vec<String> = OBJECTS[..4].iter().map(|name| (*name).to_owned()).collect();
        /// so many further objects with random outlines, `blob1`, `blob2`, ...
        blobs: usize = 0, in 0..=1000;
        /// colours: so many hues, at equal steps of the hue angle
        colours: usize = 4, in 1..=360;
        /// the first hue, degrees of CIELUV: 12 is red, 86 yellow, 128 green, 266 blue
        hue: f64 = 0.0, in -360.0..=360.0;
        /// sizes: diameters as shares of the side
        sizes: Vec<f64> = vec![0.5, 0.65, 0.8];
        /// positions: 1 is the middle; more are spread evenly around it, as far out as the largest size allows
        positions: usize = 1, in 1..=64;
        /// rotations: so many, at equal steps of a full turn, clockwise
        rotations: usize = 1, in 1..=360;
        /// pixels of each side
        side: usize = 224, in 8..=4096;
        /// lightness of the lighter parts of objects, L* of CIELUV
        lightness: f64 = 65.0, in 1.0..=100.0;
        /// by how much the darker parts are darker
        contrast: f64 = 20.0, in 0.0..=99.0;
        /// saturation: distance from grey over lightness in CIELUV
        saturation: f64 = 0.75, in 0.0..=5.0;
        /// what is around the objects
        background: Background = Background::White;
        /// each stimulus is shifted across and down by random shares of the side up to this
        shift: f64 = 0.0, in 0.0..=0.5;
        /// each stimulus is turned by a random angle up to this, degrees
        turn: f64 = 0.0, in 0.0..=180.0;
    }
}

choice! {
    /// What is around the objects.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Background {
        /// White, which figures make transparent.
        White = "white",
        /// Grey of the luminance of the lighter parts.
        Grey = "grey",
    }
}

const COLUMNS: &[Described] = &[
    STIMULUS_COLUMNS[0],
    STIMULUS_COLUMNS[1],
    STIMULUS_COLUMNS[2],
    STIMULUS_COLUMNS[3],
    STIMULUS_COLUMNS[4],
    Described::new("object", "what is shown"),
    Described::new("colour", "its hue as a name: degrees after the first hue, three digits"),
    Described::new("size", "its diameter as a name: a share of the side"),
    Described::new("position", "where it is: `middle`, or `p1`, `p2`, ... around the middle"),
    Described::new("rotation", "how it is turned as a name: degrees clockwise, three digits"),
    Described::measured("hue", "degrees", "its hue angle in CIELUV"),
    Described::measured("x", "pixels", "its middle, from the left"),
    Described::measured("y", "pixels", "its middle, from the top"),
    Described::measured("turned", "degrees", "how far it is turned clockwise, with the random turn"),
];

/// The most stimuli of a design.
const MOST: usize = 100_000;

impl StageKind for StimulusGenerate {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "stimuli/generate",
            1,
            "paints objects in every combination of colour, size, position and rotation",
        )
        .folder("stimuli", "stimuli", "the pictures as PNG, and the table of their variables")
        .described(data_table::FILES, COLUMNS)
        .parameters::<Parameters>();
        Kind { random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let mut random = ChaCha8Rng::seed_from_u64(task.seed()?);
        let design = StimulusDesign::new(&parameters, &mut random)?;
        let instances = design.instances(&parameters, &mut random);
        let mut writer = StimulusWriter::create(task.output("stimuli")?)?;
        let total = instances.len() as u64;
        for (done, instance) in (1..).zip(&instances) {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all stimuli were made"));
            }
            let picture = design.picture(instance)?;
            writer.add(&design.id(instance), &encode_png(&picture)?)?;
            context.progress(Progress { done, total, unit: "stimuli".into(), note: String::new() });
        }
        writer.finish(design.columns(&instances))?;
        Ok(Ended::done())
    }
}

/// A value of a variable and its name.
struct Level<T> {
    name: String,
    value: T,
}

/// The values of all variables.
struct StimulusDesign {
    objects: Vec<Level<Vec<ObjectPart>>>,
    /// Hue angle and the colours of light and dark parts.
    colours: Vec<Level<(f64, [Colour; 2])>>,
    sizes: Vec<Level<f64>>,
    /// Middles, as shares of the side from the left and from the top.
    positions: Vec<Level<[f64; 2]>>,
    rotations: Vec<Level<f64>>,
    side: usize,
    background: Colour,
}

/// One stimulus: which value of each variable it has, and where it is with its random shift and turn.
struct StimulusInstance {
    object: usize,
    colour: usize,
    size: usize,
    position: usize,
    rotation: usize,
    /// Shares of the side.
    middle: [f64; 2],
    /// Degrees.
    turned: f64,
}

impl StimulusDesign {
    fn new(parameters: &Parameters, random: &mut ChaCha8Rng) -> Result<Self, Failure> {
        let sizes = sizes(&parameters.sizes)?;
        let design = Self {
            objects: objects(parameters, random)?,
            colours: colours(parameters)?,
            positions: positions(parameters, sizes.iter().map(|size| size.value).fold(0.0, f64::max))?,
            sizes,
            rotations: turns(parameters.rotations),
            side: parameters.side,
            background: background(parameters)?,
        };
        let lengths = [
            design.objects.len(),
            design.colours.len(),
            design.sizes.len(),
            design.positions.len(),
            design.rotations.len(),
        ];
        let count = lengths.iter().fold(1, |product: usize, length| product.saturating_mul(*length));
        if count > MOST {
            let lengths = lengths.map(|length| length.to_string()).join(" x ");
            return Err(Failure::input(format!("the design has {lengths} = {count} stimuli, expected at most {MOST}")));
        }
        Ok(design)
    }

    /// Every combination, the last variable changing fastest.
    fn instances(&self, parameters: &Parameters, random: &mut ChaCha8Rng) -> Vec<StimulusInstance> {
        let mut instances = Vec::new();
        for object in 0..self.objects.len() {
            for colour in 0..self.colours.len() {
                for size in 0..self.sizes.len() {
                    for position in 0..self.positions.len() {
                        for rotation in 0..self.rotations.len() {
                            let (shift, turn) = (parameters.shift, parameters.turn);
                            let middle =
                                self.positions[position].value.map(|place| place + between(-shift, shift, random));
                            let turned = self.rotations[rotation].value + between(-turn, turn, random);
                            instances.push(StimulusInstance {
                                object,
                                colour,
                                size,
                                position,
                                rotation,
                                middle,
                                turned,
                            });
                        }
                    }
                }
            }
        }
        instances
    }

    fn id(&self, instance: &StimulusInstance) -> String {
        let object = &self.objects[instance.object].name;
        let mut id = format!("{object}_{}", self.colours[instance.colour].name);
        id += &format!("_s{}", self.sizes[instance.size].name);
        if self.positions.len() > 1 {
            id += &format!("_{}", self.positions[instance.position].name);
        }
        if self.rotations.len() > 1 {
            id += &format!("_r{}", self.rotations[instance.rotation].name);
        }
        id
    }

    fn picture(&self, instance: &StimulusInstance) -> Result<RgbPicture, Failure> {
        let side = self.side as f64;
        let mut drawing = Drawing::new(side, side, "");
        drawing.rectangle((-1.0, -1.0), side + 2.0, side + 2.0, 0.0, self.background);
        let radius = self.sizes[instance.size].value / 2.0;
        let (sin, cos) = libm::sincos(instance.turned.to_radians());
        let place = |[x, y]: &[f64; 2]| -> CanvasPoint {
            let [across, down] = instance.middle;
            (side * (across + radius * (x * cos - y * sin)), side * (down + radius * (x * sin + y * cos)))
        };
        for part in &self.objects[instance.object].value {
            let corners: Vec<CanvasPoint> = part.outline.iter().map(place).collect();
            let [light, dark] = self.colours[instance.colour].value.1;
            drawing.polygon(&corners, if part.is_dark { dark } else { light });
        }
        let rgb = rendered_pixels(&drawing, self.side, self.side)?;
        Ok(RgbPicture { width: self.side, height: self.side, rgb })
    }

    /// The variables, in the order in which they are described.
    fn columns(&self, instances: &[StimulusInstance]) -> Vec<Column> {
        let side = self.side as f64;
        let names = |name: &str, of: &dyn Fn(&StimulusInstance) -> String| {
            Column::new(name.into(), instances.iter().map(of).collect::<Vec<_>>())
        };
        let numbers = |name: &str, of: &dyn Fn(&StimulusInstance) -> f64| {
            Column::new(name.into(), instances.iter().map(of).collect::<Vec<_>>())
        };
        vec![
            names("object", &|instance| self.objects[instance.object].name.clone()),
            names("colour", &|instance| self.colours[instance.colour].name.clone()),
            names("size", &|instance| self.sizes[instance.size].name.clone()),
            names("position", &|instance| self.positions[instance.position].name.clone()),
            names("rotation", &|instance| self.rotations[instance.rotation].name.clone()),
            numbers("hue", &|instance| self.colours[instance.colour].value.0),
            numbers("x", &|instance| side * instance.middle[0]),
            numbers("y", &|instance| side * instance.middle[1]),
            numbers("turned", &|instance| instance.turned),
        ]
    }
}

fn objects(parameters: &Parameters, random: &mut ChaCha8Rng) -> Result<Vec<Level<Vec<ObjectPart>>>, Failure> {
    let mut objects = Vec::new();
    let mut seen = BTreeSet::new();
    for name in &parameters.objects {
        let value = object(name).ok_or_else(|| {
            let names = nearest(name, OBJECTS.into_iter());
            Failure::input(format!("there is no object `{name}`; most like it: {names}"))
        })?;
        if !seen.insert(name) {
            return Err(Failure::input(format!("the object `{name}` is listed twice")));
        }
        objects.push(Level { name: name.clone(), value });
    }
    for number in 1..=parameters.blobs {
        objects.push(Level { name: format!("blob{number}"), value: blob(random) });
    }
    match objects.is_empty() {
        true => Err(Failure::input("there are no objects, expected at least one of `objects` or of `blobs`")),
        false => Ok(objects),
    }
}

/// Degrees with three digits before the point, and one after it unless it is 0.
fn degrees(angle: f64) -> String {
    if angle.fract() == 0.0 { format!("{angle:03}") } else { format!("{angle:05.1}") }
}

/// Equal steps of a full turn.
fn turns(count: usize) -> Vec<Level<f64>> {
    let step = |at: usize| 360.0 * at as f64 / count as f64;
    (0..count).map(|at| Level { name: degrees(step(at)), value: step(at) }).collect()
}

/// An angle of hue and the two colours of it.
type HueColours = (f64, [Colour; 2]);

fn colours(parameters: &Parameters) -> Result<Vec<Level<HueColours>>, Failure> {
    let lightnesses = [parameters.lightness, parameters.lightness - parameters.contrast];
    let turns = turns(parameters.colours);
    let hues: Vec<f64> = turns.iter().map(|turn| parameters.hue + turn.value).collect();
    let shown = |hue: f64, lightness: f64| {
        let [red, green, blue] = srgb_of_luv(luv_of_hue(lightness, parameters.saturation, hue))?;
        Some(Colour::rgb(red, green, blue))
    };
    let level = |(turn, hue): (Level<f64>, &f64)| {
        let colours = [shown(*hue, lightnesses[0])?, shown(*hue, lightnesses[1])?];
        Some(Level { name: turn.name, value: (*hue, colours) })
    };
    let colours: Option<Vec<_>> = turns.into_iter().zip(&hues).map(level).collect();
    colours.ok_or_else(|| {
        let [light, dark] = lightnesses;
        let most = (largest_saturation(&lightnesses, &hues) * 100.0).floor() / 100.0;
        Failure::input(format!(
            "a screen cannot show all {} hues at the lightnesses {light} and {dark} with a saturation of {}",
            hues.len(),
            parameters.saturation
        ))
        .hint(match dark > 0.0 {
            true => format!("at these lightnesses `saturation` can be up to {most}"),
            false => "make `contrast` less than `lightness`".to_owned(),
        })
    })
}

fn background(parameters: &Parameters) -> Result<Colour, Failure> {
    match parameters.background {
        Background::White => Ok(Colour::WHITE),
        Background::Grey => srgb_of_luv([parameters.lightness, 0.0, 0.0])
            .map(|[red, green, blue]| Colour::rgb(red, green, blue))
            .ok_or_else(|| Failure::internal("every grey can be shown")),
    }
}

fn sizes(sizes: &[f64]) -> Result<Vec<Level<f64>>, Failure> {
    if sizes.is_empty() {
        return Err(Failure::input("there are no sizes, expected at least one"));
    }
    let mut seen = BTreeSet::new();
    let level = |size: &f64| {
        let name = size.to_string();
        if !(*size > 0.0 && *size <= 1.0) {
            return Err(Failure::input(format!("a size is {name}, expected a share of the side above 0 up to 1")));
        }
        if !seen.insert(name.clone()) {
            return Err(Failure::input(format!("the size {name} is listed twice")));
        }
        Ok(Level { name, value: *size })
    };
    sizes.iter().map(level).collect()
}

/// The middles of objects; all of the largest object stays in the picture.
fn positions(parameters: &Parameters, largest: f64) -> Result<Vec<Level<[f64; 2]>>, Failure> {
    let room = 0.5 - largest / 2.0 - parameters.shift;
    let is_one = parameters.positions == 1;
    if room < 0.0 || (room == 0.0 && !is_one) {
        return Err(Failure::input(format!(
            "objects of the size {largest} with shifts of {} have no room for {} positions",
            parameters.shift, parameters.positions
        ))
        .hint("make `sizes` or `shift` smaller"));
    }
    if is_one {
        return Ok(vec![Level { name: "middle".to_owned(), value: [0.5, 0.5] }]);
    }
    let place = |at: usize| {
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * at as f64 / parameters.positions as f64);
        Level { name: format!("p{}", at + 1), value: [0.5 + room * cos, 0.5 + room * sin] }
    };
    Ok((0..parameters.positions).map(place).collect())
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::stimulus_set::StimulusSet;
    use crate::numeric::colour_space::luminance;
    use crate::test_support::tasks;

    struct Case {
        folder: tempfile::TempDir,
        task: Task,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let task = tasks::task(&StimulusGenerate, folder.path());
            Self { folder, task }.set("side", Value::Int(32))
        }

        fn set(mut self, name: &str, value: Value) -> Self {
            tasks::set(&mut self.task, name, value);
            self
        }

        fn seed(mut self, seed: u64) -> Self {
            self.task.seed = Some(seed);
            self
        }

        fn run(&self) -> Result<StimulusSet, Failure> {
            tasks::run(&StimulusGenerate, &self.task)?;
            StimulusSet::open(&self.folder.path().join("stimuli"))
        }

        fn message(&self) -> String {
            self.run().unwrap_err().message
        }
    }

    fn floats(numbers: &[f64]) -> Value {
        Value::List(numbers.iter().copied().map(Value::Float).collect())
    }

    #[test]
    fn every_combination_is_a_stimulus() {
        let case = Case::new();
        let set = case.run().unwrap();
        assert_eq!(set.len(), 48);
        assert_eq!((set.ids()[0].as_str(), set.ids()[47].as_str()), ("house_000_s0.5", "mug_270_s0.8"));
        let described: Vec<&str> = COLUMNS[5..].iter().map(|column| column.name).collect();
        assert_eq!(set.variable_names(), described);
        let more = Case::new()
            .set("sizes", floats(&[0.4]))
            .set("colours", Value::Int(7))
            .set("positions", Value::Int(2))
            .set("rotations", Value::Int(2))
            .set("blobs", Value::Int(1));
        let set = more.run().unwrap();
        assert_eq!((set.len(), set.ids()[139].as_str()), (140, "blob1_308.6_s0.4_p2_r180"));
    }

    /// The lighter and the darker part of the colours of the default design.
    #[test]
    fn colours_differ_in_hue_and_not_in_luminance() {
        let case =
            Case::new().set("objects", Value::List(vec![Value::Text("ring".into())])).set("sizes", floats(&[0.8]));
        let set = case.run().unwrap();
        let luminances = |column: usize, row: usize| -> Vec<f64> {
            (0..4).map(|at| luminance(set.picture(at).unwrap().pixel(column, row))).collect()
        };
        for ((column, row), lightness) in [((16, 6), 65.0_f64), ((16, 16), 45.0)] {
            let expected = ((lightness + 16.0) / 116.0).powi(3);
            let found = luminances(column, row);
            assert!(found.iter().all(|found| (found / expected - 1.0).abs() < 0.012), "{found:?}, not {expected}");
        }
        let first = set.picture(0).unwrap();
        assert_eq!(first.pixel(0, 0), [255; 3]);
        assert!((1..4).all(|at| set.picture(at).unwrap() != first));
    }

    #[test]
    fn the_seed_decides_outlines_and_shifts_alone() {
        let digests = |case: Case| case.run().unwrap().digests().to_vec();
        assert_eq!(digests(Case::new().seed(1)), digests(Case::new().seed(2)));
        for (name, value) in [("blobs", Value::Int(1)), ("shift", Value::Float(0.05)), ("turn", Value::Float(20.0))] {
            let with = |seed| digests(Case::new().set(name, value.clone()).seed(seed));
            assert_eq!(with(1), with(1), "{name}");
            assert_ne!(with(1), with(2), "{name}");
        }
    }

    #[test]
    fn designs_that_cannot_be_shown_are_refused() {
        let texts = |names: &[&str]| Value::List(names.iter().map(|name| Value::Text((*name).into())).collect());
        let message = Case::new().set("objects", texts(&["hose"])).message();
        assert!(message.starts_with("there is no object `hose`; most like it: `house`"), "{message}");
        assert_eq!(Case::new().set("objects", texts(&["mug", "mug"])).message(), "the object `mug` is listed twice");
        assert!(Case::new().set("objects", texts(&[])).message().starts_with("there are no objects"));
        let failure = Case::new().set("saturation", Value::Float(2.0)).run().unwrap_err();
        assert!(failure.message.starts_with("a screen cannot show all 4 hues"), "{failure}");
        assert!(failure.hint.unwrap().contains("`saturation` can be up to 0.79"));
        assert!(Case::new().set("sizes", floats(&[1.5])).message().contains("a size is 1.5"));
        assert!(Case::new().set("sizes", floats(&[0.5, 0.5])).message().contains("0.5 is listed twice"));
        let narrow = Case::new().set("sizes", floats(&[1.0])).set("positions", Value::Int(3));
        assert!(narrow.message().contains("have no room for 3 positions"));
        let many = Case::new().set("colours", Value::Int(360)).set("rotations", Value::Int(360));
        assert!(many.message().ends_with("= 1555200 stimuli, expected at most 100000"));
    }
}
