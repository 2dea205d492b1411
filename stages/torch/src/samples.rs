//! What a network is trained on: images once a person, targets once a person and rater, and pairs of indices.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Coordinates, Failure, Task};
use pipe_stages::formats::table::{self, Partition};
use pipe_stages::formats::tensors;
use pipe_stages::learn::model::Options;
use tch::{Device, Tensor};

use crate::network::GRAIN;

/// A person as one rater drew them: indices into [`Samples::images`] and [`Samples::targets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The person.
    pub person: usize,
    /// The drawing.
    pub target: usize,
}

/// Everything a training reads, on its device.
#[derive(Debug)]
pub struct Samples {
    /// [people, channels, height, width].
    pub images: Tensor,
    /// [drawings, classes, height, width].
    pub targets: Tensor,
    /// Pairs to train on, by person and rater.
    pub train: Vec<Pair>,
    /// Pairs to validate on, by person and rater.
    pub validation: Vec<Pair>,
}

/// What was left out, as sentences that name nobody.
pub type Notes = Vec<String>;

impl Samples {
    /// Height of the images; they are twice as wide.
    pub fn pixels(&self) -> u32 {
        u32::try_from(self.images.size()[2]).unwrap_or(u32::MAX)
    }

    /// Images and targets of some pairs, each [pairs, ...].
    pub fn batch(&self, pairs: &[Pair]) -> (Tensor, Tensor) {
        let index = |numbers: Vec<i64>| Tensor::from_slice(&numbers).to_device(self.images.device());
        let people = index(pairs.iter().map(|pair| pair.person as i64).collect());
        let targets = index(pairs.iter().map(|pair| pair.target as i64).collect());
        (self.images.index_select(0, &people), self.targets.index_select(0, &targets))
    }

    /// Reads the ports `images`, `targets` and `split` of a training.
    ///
    /// A drawing counts if it is present, its person has images, and the split says on which side they are. Absent cells are counted.
    ///
    /// # Errors
    /// Input: a broken or unfitting file, values that are not finite, nobody on one side of the split. Stage: less coverage than asked.
    pub fn read(task: &Task, options: &Options, device: Device) -> Result<(Self, Notes), Failure> {
        let mut notes: Notes = coverage(task, "images")?.into_iter().collect();
        notes.extend(coverage(task, "targets")?);
        let split = table::split(task.one("split")?)?;
        let people = people(task)?;
        let mut drawings = Vec::new();
        let (mut no_images, mut no_side) = (0, 0);
        for (at, path) in task.present("targets") {
            let sid = person(at, "targets")?;
            match (people.contains_key(sid), split.get(sid)) {
                (false, _) => no_images += 1,
                (true, None) => no_side += 1,
                (true, Some(side)) => drawings.push((sid, *side, path)),
            }
        }
        notes.extend(count(no_images, "left out for want of the person's images"));
        notes.extend(count(no_side, "left out because the split does not list the person"));
        Self::stack(&people, &drawings, options, device).map(|samples| (samples, notes))
    }

    fn stack(
        people: &BTreeMap<&str, &Path>,
        drawings: &[(&str, Partition, &Path)],
        options: &Options,
        device: Device,
    ) -> Result<Self, Failure> {
        for side in [Partition::Trn, Partition::Val] {
            if !drawings.iter().any(|(_, found, _)| *found == side) {
                return Err(nobody(side, drawings.len()));
            }
        }
        let mut images = Planes::new("images", &options.channels);
        let mut targets = Planes::new("targets", &options.feature_names);
        let mut index = BTreeMap::new();
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for (target, (sid, side, path)) in drawings.iter().enumerate() {
            targets.add(path)?;
            let person = match index.get(sid) {
                Some(person) => *person,
                None => {
                    images.add(people[sid])?;
                    index.insert(*sid, index.len());
                    index.len() - 1
                }
            };
            let pairs = if *side == Partition::Trn { &mut train } else { &mut validation };
            pairs.push(Pair { person, target });
        }
        if images.size != targets.size {
            return Err(Failure::input(format!("images are {:?} pixels, targets {:?}", images.size, targets.size))
                .hint("give `flatmap/images` and `flatmap/labels` the same `pixels`"));
        }
        Ok(Self { images: images.tensor(device), targets: targets.tensor(device), train, validation })
    }
}

/// The chosen channels of image files of one size, one behind the other.
#[derive(Debug)]
pub struct Planes<'a> {
    tensor: &'static str,
    channels: &'a [String],
    size: Option<(usize, usize)>,
    values: Vec<f32>,
}

impl<'a> Planes<'a> {
    /// None yet; `tensor` is the name within the files.
    pub fn new(tensor: &'static str, channels: &'a [String]) -> Self {
        Self { tensor, channels, size: None, values: Vec::new() }
    }

    /// Adds the chosen channels of a file.
    ///
    /// # Errors
    /// Input: a broken file, a channel that is not there, another size than before, values that are not finite.
    pub fn add(&mut self, path: &Path) -> Result<(), Failure> {
        self.add_file(path).map_err(|failure| match failure.place {
            None => failure.at(path.display().to_string()),
            Some(_) => failure,
        })
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let file = tensors::read(path)?;
        let (shape, values) = file.floats(self.tensor)?;
        let names = file.names("channels")?;
        let [channels, height, width] = shape else {
            return Err(Failure::input(format!(
                "`{}` has the shape {shape:?}, expected [channels, height, width]",
                self.tensor
            )));
        };
        self.check_size(*height, *width)?;
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

    /// [files, channels, height, width].
    pub fn tensor(&self, device: Device) -> Tensor {
        let (height, width) = self.size.unwrap_or((0, 0));
        let size = [-1, self.channels.len() as i64, height as i64, width as i64];
        Tensor::from_slice(&self.values).view(size).to_device(device)
    }
}

fn people(task: &Task) -> Result<BTreeMap<&str, &Path>, Failure> {
    let mut people = BTreeMap::new();
    for (at, path) in task.present("images") {
        let sid = person(at, "images")?;
        if people.insert(sid, path).is_some() {
            return Err(Failure::input(format!("`images` has two cells of `{sid}`")).hint("gather one cell a person"));
        }
    }
    Ok(people)
}

fn person<'a>(at: &'a Coordinates, port: &str) -> Result<&'a str, Failure> {
    at.get("sid").map(String::as_str).ok_or_else(|| {
        Failure::input(format!("`{port}` has a cell without a person ({at})")).hint("gather a stage with an axis `sid`")
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

fn nobody(side: Partition, drawings: usize) -> Failure {
    let verb = if side == Partition::Trn { "train" } else { "validate" };
    Failure::input(format!(
        "nothing to {verb} on: none of {drawings} usable drawings is of a person in `{}`",
        side.word()
    ))
    .hint("check that `images`, `targets` and `split` speak of the same people, and the share that the split holds out")
}
