//! `apply/quality`: how like the subjects that trained a network a new subject is, channel by channel.
//!
//! Compares quantiles of each channel over the map with those of the training ([`crate::formats::channel_statistics`]), in standard
//! deviations between subjects. Shows that files are of another unit, another space or another population before labels are believed; it
//! cannot show that labels are right. Networks that do not say what they were trained on (imported weights) give a figure that says
//! so.

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use crate::formats::channel_statistics::{self, Quantiles, SHARES, TrainedChannel};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::Scale;
use crate::formats::drawing::{Anchor, Colour, Drawing, FigureNotes, Lettering, Stroke, save};
use crate::formats::tensors;
use crate::numeric::counts::{real, subjects};

/// The kind.
pub(super) struct Quality;

parameters! {
    struct Parameters {
        /// from how many standard deviations on a channel is called unlike the training
        limit: f64 = 4.0, in 1.0..=100.0;
    }
}

/// The columns of the table beside the figure.
const COLUMNS: &[Column] = &[
    Column::new("channel", "the channel of the subject's images"),
    Column::measured("q05", "unit of the channel", "5 % quantile over the map"),
    Column::measured("q25", "unit of the channel", "25 % quantile over the map"),
    Column::measured("q50", "unit of the channel", "median over the map"),
    Column::measured("q75", "unit of the channel", "75 % quantile over the map"),
    Column::measured("q95", "unit of the channel", "95 % quantile over the map"),
    Column::measured(
        "distance",
        "standard deviations between subjects",
        "greatest difference of the five from the mean of the training; missing where the model does not say what that was",
    ),
    Column::new("trained", "how many subjects trained the network; 0 where the model does not say it"),
    STAMP,
];

impl StageKind for Quality {
    fn kind(&self) -> Kind {
        let kind = Kind::new("apply/quality", 2, "How like the subjects of its training a network finds a subject")
            .input("images", &["images"], "the subject's images")
            .input("model", &["model"], "the network")
            .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv: a row a channel")
            .described(&[data_table::CSV], COLUMNS)
            .parameters::<Parameters>();
        Kind { axes: vec!["outputs", "sid"], stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { limit } = task.parameters()?;
        let trained = channel_statistics::read(task.one("model")?)?;
        let path = task.one("images")?;
        let channels = read(path, &trained).map_err(|failure| failure.at(path.display().to_string()))?;
        let page = Page {
            sid: task.coordinate("sid")?,
            outputs: task.coordinate("outputs")?,
            trained: trained.first().map_or(0, |channel| channel.subjects),
            limit,
            channels: &channels,
            simulated: task.simulated,
        };
        let output = task.output("figure")?;
        save(&page.draw(), output)?;
        let each = |share: usize| channels.iter().map(move |channel| channel.found[share]);
        let mut table = DataTable::of(COLUMNS)
            .text("channel", channels.iter().map(|channel| channel.name.as_str()))
            .numbers("q05", each(0))
            .numbers("q25", each(1))
            .numbers("q50", each(2))
            .numbers("q75", each(3))
            .numbers("q95", each(4))
            .scores("distance", channels.iter().map(|channel| channel.distance()))
            .integers("trained", channels.iter().map(|_| page.trained as i64))
            .stamped(task.simulated)
            .build()?;
        data_table::write_csv(&output.join(data_table::CSV), &mut table)?;
        Ok(Ended::noted(page.unlike().map(|what| format!("{IMPORTANT}{what}")).into_iter().collect()))
    }
}

/// A channel of the subject, and of the training where it is known.
struct Compared {
    name: String,
    found: Quantiles,
    trained: Option<TrainedChannel>,
}

impl Compared {
    fn distance(&self) -> Option<f64> {
        self.trained.as_ref().map(|trained| trained.distance(&self.found))
    }
}

/// The channels that the network reads; of a network that does not name them, those of the images that have a value.
fn read(images: &std::path::Path, trained: &[TrainedChannel]) -> Result<Vec<Compared>, Failure> {
    let file = tensors::read(images)?;
    let (shape, values) = file.floats("images")?;
    let names = file.names("channels")?;
    let size = match *shape {
        [channels, rows, columns] if channels == names.len() => rows * columns,
        _ => {
            return Err(Failure::input(format!(
                "`images` has the shape {shape:?}, expected [{}, rows, columns]",
                names.len()
            )));
        }
    };
    let plane = |index: usize| &values[index * size..(index + 1) * size];
    let wanted: Vec<usize> = match trained {
        [] => (0..names.len()).filter(|index| plane(*index).iter().any(|value| *value != 0.0)).collect(),
        trained => trained
            .iter()
            .map(|channel| {
                names.iter().position(|name| *name == channel.name).ok_or_else(|| {
                    Failure::input(format!("the images have no channel `{}`, which the network reads", channel.name))
                })
            })
            .collect::<Result<_, _>>()?,
    };
    let chosen: Vec<f32> = wanted.iter().flat_map(|index| plane(*index).iter().copied()).collect();
    let found = channel_statistics::quantiles(&chosen, wanted.len(), size, |_| true)
        .ok_or_else(|| Failure::input("no pixel of the images shows cortex"))?;
    Ok(wanted
        .iter()
        .zip(found)
        .enumerate()
        .map(|(at, (index, found))| Compared {
            name: names[*index].to_owned(),
            found,
            trained: trained.get(at).cloned(),
        })
        .collect())
}

/// What the figure shows.
struct Page<'a> {
    sid: &'a str,
    outputs: &'a str,
    trained: usize,
    limit: f64,
    channels: &'a [Compared],
    simulated: bool,
}

/// Width in points: 150 mm.
const WIDTH: f64 = 425.0;
const MARGIN: f64 = 8.0;
/// Where the panel begins and ends.
const LEFT: f64 = 92.0;
const RIGHT: f64 = 322.0;
const HEAD: f64 = 50.0;
const ROW: f64 = 17.0;
const LINE: f64 = 9.0;

const LIKE: Colour = Colour::rgb(38, 110, 160);
const UNLIKE: Colour = Colour::rgb(200, 60, 40);

impl Page<'_> {
    /// The sentence for a subject that is unlike the training; nothing for one that is like it.
    fn unlike(&self) -> Option<String> {
        if self.trained == 0 {
            return Some(
                "the model does not say what it was trained on: whether this subject is like that is not known".into(),
            );
        }
        let far =
            self.channels.iter().filter(|channel| channel.distance().is_some_and(|distance| distance >= self.limit));
        let far: Vec<String> =
            far.map(|channel| format!("{} ({:.1})", channel.name, channel.distance().unwrap_or_default())).collect();
        (!far.is_empty()).then(|| {
            format!(
                "unlike the {} of the training, by {} or more standard deviations: {}",
                subjects(self.trained),
                self.limit,
                far.join(", ")
            )
        })
    }

    fn draw(&self) -> Drawing {
        let notes = FigureNotes::new(&[self.note()], WIDTH - 2.0 * MARGIN, (6.5, LINE));
        let bottom = HEAD + ROW * real(self.channels.len());
        let height = bottom + 30.0 + notes.height() + 4.0;
        let mut drawing = Drawing::new(WIDTH, height, "How like the subjects of the training a subject is");
        let title = format!("{}: how like the training of the network for {}", self.sid, name_of(self.outputs));
        drawing.text((MARGIN, 11.0), &title, Lettering::new(9.0));
        let (verdict, colour) = match (self.trained, self.unlike()) {
            (0, _) => ("nothing is known of the training".to_owned(), Colour::QUIET),
            (_, None) => (format!("like the {} of the training", subjects(self.trained)), LIKE),
            (_, Some(_)) => (format!("unlike the {} of the training", subjects(self.trained)), UNLIKE),
        };
        drawing.text((MARGIN, 24.0), &verdict, Lettering::new(8.0).colour(colour));
        if self.simulated {
            drawing.simulated_stamp((WIDTH - MARGIN, 4.0));
        }
        self.panel(&mut drawing, bottom);
        notes.draw(&mut drawing, (MARGIN, bottom + 25.5));
        drawing
    }

    fn panel(&self, drawing: &mut Drawing, bottom: f64) {
        let head = Lettering::new(7.0).colour(Colour::QUIET);
        let farthest = self.channels.iter().filter_map(Compared::distance).fold(0.0, f64::max);
        let end = (farthest * 1.1).clamp(self.limit + 2.0, 4.0 * self.limit);
        let scale = Scale::new((-end, end), (LEFT, RIGHT));
        let known = self.trained > 0;
        if known {
            let (from, to) = (scale.at(-2.0), scale.at(2.0));
            drawing.rectangle((from, HEAD), to - from, bottom - HEAD, 0.0, Colour::FAINT);
            for limit in [-self.limit, self.limit] {
                drawing.line((scale.at(limit), HEAD), (scale.at(limit), bottom), Stroke::new(UNLIKE, 0.5));
            }
            drawing.line((scale.at(0.0), HEAD), (scale.at(0.0), bottom), Stroke::new(Colour::RULE, 0.6));
            for tick in [-self.limit, -2.0, 0.0, 2.0, self.limit] {
                let text = format!("{tick}").replace('-', "\u{2212}");
                drawing.text((scale.at(tick), bottom + 7.0), &text, Lettering::new(7.0).anchor(Anchor::Middle));
            }
            let axis = "standard deviations between subjects of the training";
            drawing.text((LEFT.midpoint(RIGHT), bottom + 17.0), axis, Lettering::new(7.0).anchor(Anchor::Middle));
            drawing.text((WIDTH - MARGIN, HEAD - 9.0), "distance", head.anchor(Anchor::End));
        }
        drawing.text((WIDTH - MARGIN - 48.0, HEAD - 9.0), "median", head.anchor(Anchor::End));
        for (index, channel) in self.channels.iter().enumerate() {
            let y = HEAD + ROW * (real(index) + 0.5);
            let distance = channel.distance();
            let far = distance.is_some_and(|distance| distance >= self.limit);
            let colour = if far { UNLIKE } else { LIKE };
            drawing.text((LEFT - 8.0, y), &channel.name.replace('_', " "), Lettering::new(7.5).anchor(Anchor::End));
            let median = short(channel.found[2]);
            drawing.text((WIDTH - MARGIN - 48.0, y), &median, Lettering::new(7.0).anchor(Anchor::End));
            let (Some(trained), Some(distance)) = (&channel.trained, distance) else { continue };
            let shown = if distance < 1000.0 { format!("{distance:.1}") } else { "> 1000".into() };
            drawing.text((WIDTH - MARGIN, y), &shown, Lettering::new(7.5).anchor(Anchor::End).colour(colour));
            let widen = (1.0 + 1.0 / real(trained.subjects)).sqrt();
            let places: Vec<(f64, f64)> = (0..SHARES.len())
                .map(|share| {
                    let away = (channel.found[share] - trained.mean[share]) / (trained.deviation[share] * widen);
                    let away = if away.is_nan() { 0.0 } else { away.clamp(-end, end) };
                    (scale.at(away), y + 2.2 * (real(share) - 2.0))
                })
                .collect();
            drawing.lines(std::slice::from_ref(&places), Stroke::new(colour, 0.6));
            drawing.dots(places, 1.6, colour, 1.0);
        }
        drawing.frame((LEFT, HEAD), RIGHT - LEFT, bottom - HEAD, Stroke::new(Colour::RULE, 0.5));
    }

    /// What the figure shows and what it cannot show.
    fn note(&self) -> String {
        match self.trained {
            0 => "Imported weights do not say what the images of their training were like, so the subject cannot be compared with them. \
                  A network that is trained here stores it."
                .to_owned(),
            _ => format!(
                "Dots: 5, 25, 50, 75 and 95 % quantiles of a channel over the map, from top to bottom, against those of the training (0; \
                 grey: 2 standard deviations). Distance: the farthest of the five; from {} on (red lines) a channel is called unlike. \
                 A subject that is like the training may still be labelled wrongly.",
                self.limit
            ),
        }
    }
}

fn name_of(outputs: &str) -> &str {
    match outputs {
        "area" => "visual areas",
        "ring" => "rings of eccentricity",
        other => other,
    }
}

/// A number with three significant digits or so.
fn short(value: f64) -> String {
    let size = value.abs();
    let text = match () {
        () if size >= 100.0 => format!("{value:.0}"),
        () if size >= 1.0 => format!("{value:.1}"),
        () => format!("{value:.3}"),
    };
    if text == "-0.000" { "0.000".to_owned() } else { text.replace('-', "\u{2212}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::figures::{assert_same_bytes_twice, look_at};

    fn channels(known: bool) -> Vec<Compared> {
        let names = ["x", "y", "z", "curvature", "convexity", "thickness", "surface_area"];
        let channel = |(index, name): (usize, &&str)| {
            let mean: Quantiles = std::array::from_fn(|share| real(index) + real(share));
            let away = if *name == "convexity" { 9.0 } else { 0.3 * real(index) - 0.9 };
            let found = mean.map(|value| value + 0.2 * away);
            let trained = TrainedChannel { name: (*name).into(), subjects: 8, mean, deviation: [0.2; 5] };
            Compared { name: (*name).into(), found, trained: known.then_some(trained) }
        };
        names.iter().enumerate().map(channel).collect()
    }

    fn page(channels: &[Compared], trained: usize) -> Page<'_> {
        Page { sid: "sub-01", outputs: "area", trained, limit: 4.0, channels, simulated: true }
    }

    /// A network that reads `y` and `x`, trained on six subjects whose quantiles of `x` are -1 to 1 and of `y` 9 to 11, and images of a
    /// subject in which `x` is 0 and `y` is 12; a third channel is not read.
    fn task(folder: &std::path::Path) -> Task {
        let trained = |name: &str, middle: f64| TrainedChannel {
            name: name.into(),
            subjects: 6,
            mean: [-1.0, -0.5, 0.0, 0.5, 1.0].map(|away| middle + away),
            deviation: [0.5; 5],
        };
        let (model, images) = (folder.join("model"), folder.join("images"));
        fs_err::create_dir_all(&model).unwrap();
        let channels = [trained("y", 10.0), trained("x", 0.0)];
        fs_err::write(model.join(channel_statistics::CHANNELS), channel_statistics::to_tsv(&channels)).unwrap();
        let values = [[0.0; 8], [12.0; 8], [7.0; 8]].concat();
        let file = tensors::Tensors::new()
            .with("images", tensors::Tensor::f32(&[3, 2, 4], values))
            .about("channels", "x,y,myelin");
        tensors::write(&images, &file).unwrap();
        let mut task = crate::test_support::tasks::task(&Quality, folder);
        task.at = [("outputs", "ring"), ("sid", "s01")].into_iter().collect();
        crate::test_support::tasks::give(&mut task, "images", &images);
        crate::test_support::tasks::give(&mut task, "model", &model);
        task
    }

    /// By hand: 12 is 3 from the 5 % quantile of 9, with a deviation of 0.5 widened by the root of 1 + 1/6; 0 is 1 from -1 and from 1.
    #[test]
    fn each_channel_is_compared_with_its_own_and_what_is_unlike_is_said() {
        use crate::test_support::tasks::{run, set};
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path());
        let said = "important: unlike the 6 subjects of the training, by 4 or more standard deviations: y (5.6)";
        assert_eq!(run(&Quality, &task).unwrap(), [said]);
        let table = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        insta::assert_snapshot!(table, @"
        channel,q05,q25,q50,q75,q95,distance,trained
        y,12.0,12.0,12.0,12.0,12.0,5.5549,6
        x,0.0,0.0,0.0,0.0,0.0,1.8516,6
        ");
        set(&mut task, "limit", pipe_contract::Value::Float(6.0));
        assert_eq!(run(&Quality, &task).unwrap(), Vec::<String>::new());
        let lacking = tensors::Tensors::new()
            .with("images", tensors::Tensor::f32(&[1, 2, 4], vec![1.0; 8]))
            .about("channels", "x");
        tensors::write(&folder.path().join("images"), &lacking).unwrap();
        let failure = run(&Quality, &task).unwrap_err();
        assert_eq!(failure.message, "the images have no channel `y`, which the network reads");
    }

    #[test]
    fn a_channel_far_from_the_training_is_named() {
        let channels = channels(true);
        let said = page(&channels, 8).unlike().unwrap();
        assert_eq!(said, "unlike the 8 subjects of the training, by 4 or more standard deviations: convexity (8.5)");
        assert_eq!(page(&channels[..4], 8).unlike(), None);
    }

    #[test]
    fn a_model_that_does_not_say_it_is_not_believed() {
        let channels = channels(false);
        let page = page(&channels, 0);
        assert!(page.unlike().unwrap().contains("not known"));
        assert!(page.draw().svg().contains("nothing is known of the training"));
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(|| page(&channels(true), 8).draw());
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("quality", || page(&channels(true), 8).draw());
        look_at("quality_unknown", || page(&channels(false), 0).draw());
    }
}
