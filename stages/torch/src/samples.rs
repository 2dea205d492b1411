//! What a network is trained on: images once per subject, targets once per subject and rater, and pairs of indices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::{Coordinates, Failure, Task};
use pipe_stages::formats::channel_statistics::{self, TrainedChannel};
use pipe_stages::formats::data_table;
use pipe_stages::formats::image_conventions::DepthUnit;
use pipe_stages::formats::tensors::{self, Tensors};
use pipe_stages::unet::model_folder::ModelOptions;
use tch::{Device, Tensor};

use crate::unet::GRAIN;

/// A subject as one rater drew it: indices into [`Samples::images`] and [`Samples::targets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The subject.
    pub subject: usize,
    /// The drawing.
    pub target: usize,
}

/// What a drawing is for.
#[derive(Clone, Copy, Debug)]
struct Parts {
    trains: bool,
    chooses: bool,
}

/// Everything a training reads, on its device.
#[derive(Debug)]
pub struct Samples {
    /// [subjects, channels, height, width].
    pub images: Tensor,
    /// [drawings, classes, height, width].
    pub targets: Tensor,
    /// Pairs to train on, by subject and rater.
    pub train: Vec<Pair>,
    /// Pairs by which weights are chosen, by subject and rater.
    pub validation: Vec<Pair>,
    /// What other images for the network must be like.
    pub seen: SeenImages,
}

/// What the images of a training are like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenImages {
    /// How far the maps reach from the occipital pole, in degrees.
    pub radius: f64,
    /// The unit of depth.
    pub convexity: Option<DepthUnit>,
    /// Channels over the subjects that train; none if they are few.
    pub channels: Vec<TrainedChannel>,
}

/// What was left out, as sentences without subject ids.
pub type Notes = Vec<String>;

impl Samples {
    /// Height of the images; they are twice as wide.
    pub fn pixels(&self) -> u32 {
        u32::try_from(self.images.size()[2]).unwrap_or(u32::MAX)
    }

    /// Images and targets of some pairs, each [pairs, ...].
    pub fn batch(&self, pairs: &[Pair]) -> (Tensor, Tensor) {
        let index = |numbers: Vec<i64>| Tensor::from_slice(&numbers).to_device(self.images.device());
        let subjects = index(pairs.iter().map(|pair| pair.subject as i64).collect());
        let targets = index(pairs.iter().map(|pair| pair.target as i64).collect());
        (self.images.index_select(0, &subjects), self.targets.index_select(0, &targets))
    }

    /// Reads the ports `images`, `targets` and `split` of a training.
    ///
    /// A drawing counts if it is present, its subject has images, and the split lists the subject. Absent cells are counted.
    /// With `ignores_split`, all subjects that the split lists train and choose.
    ///
    /// # Errors
    /// Input: a broken or unfitting file, values that are not finite, no subject on one side of the split. Stage: less coverage than asked.
    pub fn read(
        task: &Task,
        options: &ModelOptions,
        ignores_split: bool,
        device: Device,
    ) -> Result<(Self, Notes), Failure> {
        let mut notes: Notes = coverage(task, "images")?.into_iter().collect();
        notes.extend(coverage(task, "targets")?);
        let split = data_table::split(task.one("split")?)?;
        let images = images_by_sid(task)?;
        let mut drawings = Vec::new();
        let (mut no_images, mut no_side) = (0, 0);
        for (at, path) in task.present("targets") {
            let sid = sid_of(at, "targets")?;
            let parts = split.get(sid).map(|part| match ignores_split {
                true => Parts { trains: true, chooses: true },
                false => Parts { trains: part.trains(), chooses: part.chooses() },
            });
            match (images.contains_key(sid), parts) {
                (false, _) => no_images += 1,
                (true, None) => no_side += 1,
                // Those who are only scored have no part in a training.
                (true, Some(parts)) if parts.trains || parts.chooses => drawings.push((sid, parts, path)),
                (true, Some(_)) => {}
            }
        }
        notes.extend(count(no_images, "left out because the subject has no images"));
        notes.extend(count(no_side, "left out because the split does not list the subject"));
        let (samples, incomplete) = Self::stack(&images, &drawings, options, device)?;
        let wanted = format!("left out because {} are not all labelled", options.feature_names.join(", "));
        notes.extend(count(incomplete, &wanted));
        if ignores_split {
            notes.push(
                "the split is ignored: all its subjects train and choose the weights, those who are scored too".into(),
            );
        }
        Ok((samples, notes))
    }

    /// Samples of the drawings that have all labels, and how many have not.
    fn stack(
        files: &BTreeMap<&str, &Path>,
        drawings: &[(&str, Parts, &Path)],
        options: &ModelOptions,
        device: Device,
    ) -> Result<(Self, usize), Failure> {
        let mut targets = Planes::new("targets", &options.feature_names);
        let mut usable = Vec::new();
        for (sid, parts, path) in drawings {
            if targets.add_if_complete(path)? {
                usable.push((*sid, *parts));
            }
        }
        if !usable.iter().any(|(_, parts)| parts.trains) {
            return Err(empty_side("train", "`train` (or `trn`)", usable.len()));
        }
        if !usable.iter().any(|(_, parts)| parts.chooses) {
            return Err(empty_side("validate", "`choose` (or `val`)", usable.len()));
        }
        let mut images = Planes::new("images", &options.channels);
        let mut index = BTreeMap::new();
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for (target, (sid, parts)) in usable.iter().enumerate() {
            let subject = match index.get(sid) {
                Some(subject) => *subject,
                None => {
                    images.add(files[sid])?;
                    index.insert(*sid, index.len());
                    index.len() - 1
                }
            };
            let pair = Pair { subject, target };
            train.extend(parts.trains.then_some(pair));
            validation.extend(parts.chooses.then_some(pair));
        }
        if images.size != targets.size {
            return Err(Failure::input(format!("images are {:?} pixels, targets {:?}", images.size, targets.size))
                .hint("give `flatmap/images` and `flatmap/labels` the same `pixels`"));
        }
        let (seen, labelled) = (images.radius()?, targets.radius()?);
        if seen != labelled {
            return Err(Failure::input(format!("images reach {seen} degrees from the pole, targets {labelled}"))
                .hint("give `flatmap/images` and `flatmap/labels` the same `radius`"));
        }
        let channels = images.describe(&options.channels, &train);
        let samples = Self {
            seen: SeenImages { radius: seen, convexity: images.convexity, channels },
            images: images.tensor(device),
            targets: targets.tensor(device),
            train,
            validation,
        };
        Ok((samples, drawings.len() - usable.len()))
    }
}

/// The chosen channels of image files of one size, one behind the other.
#[derive(Debug)]
pub struct Planes<'a> {
    tensor: &'static str,
    channels: &'a [String],
    size: Option<(usize, usize)>,
    /// Degrees from the pole.
    radius: Option<f64>,
    convexity: Option<DepthUnit>,
    /// Painted as a program does that does not follow the network's options.
    compat: bool,
    values: Vec<f32>,
}

impl<'a> Planes<'a> {
    /// None yet; `tensor` is the name within the files.
    pub fn new(tensor: &'static str, channels: &'a [String]) -> Self {
        Self { tensor, channels, size: None, radius: None, convexity: None, compat: false, values: Vec::new() }
    }

    /// Adds the chosen channels of a file.
    ///
    /// # Errors
    /// Input: a broken file, a channel that is not there, another size or radius than before, values that are not finite.
    pub fn add(&mut self, path: &Path) -> Result<(), Failure> {
        tensors::read(path).and_then(|file| self.add_file(&file)).map_err(|failure| placed(failure, path))
    }

    /// Adds the chosen channels of a file if it has all of them, and returns whether it had.
    ///
    /// # Errors
    /// As [`add`](Self::add), but a channel that is not there is none.
    pub fn add_if_complete(&mut self, path: &Path) -> Result<bool, Failure> {
        let add = |file: Tensors| {
            let names = file.names("channels")?;
            let complete = self.channels.iter().all(|wanted| names.contains(&wanted.as_str()));
            if complete {
                self.add_file(&file)?;
            }
            Ok(complete)
        };
        tensors::read(path).and_then(add).map_err(|failure| placed(failure, path))
    }

    fn add_file(&mut self, file: &Tensors) -> Result<(), Failure> {
        let (shape, values) = file.floats(self.tensor)?;
        let names = file.names("channels")?;
        let [channels, height, width] = shape else {
            return Err(Failure::input(format!(
                "`{}` has the shape {shape:?}, expected [channels, height, width]",
                self.tensor
            )));
        };
        self.check_size(*height, *width)?;
        self.check_radius(file.text("radius")?)?;
        self.check_convexity(file.metadata.get("convexity").map(String::as_str))?;
        self.compat = file.metadata.contains_key("compat");
        if names.len() != *channels {
            return Err(Failure::input(format!("{} channels are named, {channels} are there", names.len())));
        }
        for wanted in self.channels {
            let at = names
                .iter()
                .position(|name| name == wanted)
                .ok_or_else(|| Failure::input(format!("no channel `{wanted}`; the file has {}", names.join(", "))))?;
            let plane = &values[at * height * width..(at + 1) * height * width];
            if let Some(odd) = plane.iter().position(|value| !value.is_finite()) {
                let (row, column) = (odd / width, odd % width);
                return Err(Failure::input(format!(
                    "channel `{wanted}` is {} in row {row}, column {column}, expected a finite number",
                    plane[odd]
                )));
            }
            self.values.extend_from_slice(plane);
        }
        Ok(())
    }

    fn check_size(&mut self, height: usize, width: usize) -> Result<(), Failure> {
        let grain = GRAIN as usize;
        if height == 0 || !height.is_multiple_of(grain) || width != 2 * height {
            return Err(Failure::input(format!(
                "images are {height} x {width} pixels, expected a multiple of {grain} and twice as wide as high"
            ))
            .hint(format!("set `pixels` of the flatmaps to a multiple of {grain}, such as 64 or 128")));
        }
        let first = *self.size.get_or_insert((height, width));
        if first == (height, width) {
            return Ok(());
        }
        Err(Failure::input(format!(
            "images are {height} x {width} pixels, the ones before are {} x {}",
            first.0, first.1
        )))
    }

    fn check_radius(&mut self, text: &str) -> Result<(), Failure> {
        let radius =
            text.parse::<f64>().ok().filter(|degrees| *degrees > 0.0 && *degrees <= 90.0).ok_or_else(|| {
                Failure::input(format!("the metadata gives the radius `{text}`, expected degrees above 0, at most 90"))
            })?;
        let first = *self.radius.get_or_insert(radius);
        if first == radius {
            return Ok(());
        }
        Err(Failure::input(format!("images reach {radius} degrees from the pole, the ones before {first}")))
    }

    fn check_convexity(&mut self, word: Option<&str>) -> Result<(), Failure> {
        let unit = DepthUnit::parse(word).ok_or_else(|| {
            Failure::input("the metadata give the unit of depth, `convexity`, as neither `cm` nor `mm`")
        })?;
        let first = *self.convexity.get_or_insert(unit);
        if first == unit {
            return Ok(());
        }
        Err(Failure::input(format!("depth is in {} here and in {} before", unit.word(), first.word()))
            .hint("give all `flatmap/images` the same `convexity`"))
    }

    /// What the images of the subjects that train are like.
    fn describe(&self, names: &[String], train: &[Pair]) -> Vec<TrainedChannel> {
        let size = self.size.map_or(0, |(height, width)| height * width);
        let subjects: BTreeSet<usize> = train.iter().map(|pair| pair.subject).collect();
        let of = |subject: &usize| {
            let images = &self.values[subject * names.len() * size..][..names.len() * size];
            channel_statistics::quantiles(images, names.len(), size, |_| true)
        };
        let described: Vec<_> = subjects.iter().filter_map(of).collect();
        channel_statistics::of_training(names, &described)
    }

    /// Whether the images were painted to imitate another program, against the options of the network.
    pub fn imitate(&self) -> bool {
        self.compat
    }

    /// How far the maps reach from the occipital pole, in degrees, as their metadata says.
    ///
    /// # Errors
    /// Internal: nothing was added.
    pub fn radius(&self) -> Result<f64, Failure> {
        self.radius.ok_or_else(|| Failure::internal(format!("no `{}` were read", self.tensor)))
    }

    /// Height in pixels; 0 while nothing was added.
    pub fn pixels(&self) -> usize {
        self.size.map_or(0, |(height, _)| height)
    }

    /// [files, channels, height, width].
    pub fn tensor(&self, device: Device) -> Tensor {
        let (height, width) = self.size.unwrap_or((0, 0));
        let size = [-1, self.channels.len() as i64, height as i64, width as i64];
        Tensor::from_slice(&self.values).view(size).to_device(device)
    }
}

fn placed(failure: Failure, path: &Path) -> Failure {
    if failure.place.is_some() { failure } else { failure.at(path.display().to_string()) }
}

/// Files of the port `images`, by subject.
fn images_by_sid(task: &Task) -> Result<BTreeMap<&str, &Path>, Failure> {
    let mut files = BTreeMap::new();
    for (at, path) in task.present("images") {
        let sid = sid_of(at, "images")?;
        if files.insert(sid, path).is_some() {
            return Err(
                Failure::input(format!("`images` has two cells of `{sid}`")).hint("gather one cell per subject")
            );
        }
    }
    Ok(files)
}

fn sid_of<'a>(at: &'a Coordinates, port: &str) -> Result<&'a str, Failure> {
    at.get("sid").map(String::as_str).ok_or_else(|| {
        Failure::input(format!("`{port}` has a cell without a subject ({at})"))
            .hint("gather a stage with an axis `sid`")
    })
}

/// Counts the cells of a gather; fewer than `coverage:` asks for is a failure.
fn coverage(task: &Task, port: &str) -> Result<Option<String>, Failure> {
    let (present, all) = (task.present(port).count(), task.many(port).len());
    let least = task.coverage.get(port).copied().unwrap_or(0.0);
    if (present as f64) < least * all as f64 {
        return Err(Failure::stage(format!(
            "`{port}` has {present} of {all} cells, less than the {} % that `coverage` asks for",
            least * 100.0
        )));
    }
    Ok((present < all).then(|| format!("`{port}`: {present} of {all} cells present")))
}

fn count(number: usize, what: &str) -> Option<String> {
    (number > 0).then(|| format!("{number} drawings {what}"))
}

fn empty_side(verb: &str, part: &str, drawings: usize) -> Failure {
    Failure::input(format!("nothing to {verb} on: none of {drawings} usable drawings is of a subject in {part}"))
        .hint("check that `images`, `targets` and `split` have the same subjects, and the shares of the split")
}
