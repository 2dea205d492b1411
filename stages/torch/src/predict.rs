//! `unet/predict`: from a subject's images, through a network, to labels on the cortex.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task};
use pipe_stages::formats::image_conventions::Normalisation;
use pipe_stages::formats::mgh::{self, Overlay};
use pipe_stages::formats::subject_folder::Subject;
use pipe_stages::hemisphere::{HEMISPHERES, Hemisphere};
use pipe_stages::numeric::flatmap::{half, label_of, probabilities_at_vertices, project};
use pipe_stages::unet::declarations::{self, NormalisationSource, Prediction};
use pipe_stages::unet::model_folder::{self, ModelOptions, OPTIONS, WEIGHTS};
use tch::{Device, Tensor};

use crate::backend;
use crate::samples::Planes;
use crate::unet::{Mode, UNet};
use crate::weights::{NetworkShape, Weights};

/// The kind. It holds the network it used last: a worker predicts one subject after another with the same one, and reading
/// 70 MB takes as long as using them.
#[derive(Default)]
pub struct Predict {
    last: Mutex<Option<(Identity, UNet)>>,
}

/// Identifies a network: where the weights lie, on which file system and inode, how large they are, and the device they were put on.
#[derive(PartialEq)]
struct Identity(PathBuf, [u64; 3], Device);

impl StageKind for Predict {
    fn kind(&self) -> Kind {
        declarations::predict()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let params: Prediction = task.parameters()?;
        let backend = backend::prepare(&params.place, task)?;
        let folder = task.one("model")?;
        let options: ModelOptions = model_folder::read_json(&folder.join(OPTIONS))?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network(&mut last, folder, &options, backend.device)?;
        let mut images = Planes::new("images", &options.channels);
        images.add(task.one("images")?)?;
        check_pixels(images.pixels(), &options)?;
        let radius = images.radius()?;
        if !images.imitate() {
            check_radius(radius, &options)?;
        }
        let mode = mode(params.bn, &options);
        let probabilities = probabilities(network, &images.tensor(backend.device), mode);
        let output = task.output("labels")?;
        fs::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        let subject = Subject::open(task.one("subject")?)?;
        let present = subject.hemispheres()?;
        for hemisphere in &present {
            let (h, prediction) = (hemisphere.name(), &options.prediction);
            let found = probabilities.at_vertices(&subject, *hemisphere, radius.to_radians())?;
            mgh::write_i32(&output.join(format!("{h}.{prediction}.mgz")), &found.labels)?;
            if params.probabilities {
                let about = format!("probabilities of {}", options.feature_names.join(", "));
                let overlay = Overlay { frames: &found.frames, whole: false, about: &about };
                overlay.write(&output.join(format!("{h}.{prediction}_probabilities.mgz")))?;
            }
        }
        let one = (present.len() < HEMISPHERES.len())
            .then(|| format!("{IMPORTANT}predicted from one hemisphere; the network was trained on both"));
        Ok(Ended::Done {
            ran_on: Some(backend.ran_on),
            notes: one.into_iter().collect(),
            aggregated: std::collections::BTreeMap::new(),
        })
    }
}

/// What batch normalisation uses.
fn mode(asked: NormalisationSource, options: &ModelOptions) -> Mode {
    let running = match asked {
        NormalisationSource::Batch => false,
        NormalisationSource::Running => true,
        NormalisationSource::Model => options.bn == Some(Normalisation::Running),
    };
    if running { Mode::Running } else { Mode::Batch }
}

/// A network is trained for maps of one reach.
fn check_radius(radius: f64, options: &ModelOptions) -> Result<(), Failure> {
    match options.radius {
        Some(trained) if trained != radius => Err(Failure::input(format!(
            "images reach {radius} degrees from the pole, but those that the network was trained on {trained}"
        ))
        .hint("give `flatmap/images` the model's options: `options: $model.model/options.json`")),
        _ => Ok(()),
    }
}

/// A network is trained for pictures of one scale; models imported before `unet/import` recorded it have none.
fn check_pixels(pixels: usize, options: &ModelOptions) -> Result<(), Failure> {
    match options.pixels {
        Some(trained) if trained as usize != pixels => Err(Failure::input(format!(
            "images are {pixels} pixels high, but the network was trained on images of {trained}"
        ))
        .hint("give the `flatmap/images` of training and prediction the same `pixels`; for imported weights, `pixels` of `unet/import`")),
        _ => Ok(()),
    }
}

fn network<'a>(
    last: &'a mut Option<(Identity, UNet)>,
    folder: &Path,
    options: &ModelOptions,
    device: Device,
) -> Result<&'a UNet, Failure> {
    let path = folder.join(WEIGHTS);
    let found = fs::metadata(&path).map_err(|error| Failure::io("look at", &path, &error))?;
    let identity = Identity(path, [found.dev(), found.ino(), found.len()], device);
    if last.as_ref().is_none_or(|(known, _)| *known != identity) {
        let shape = NetworkShape::new(&options.base_model, options.channels.len(), options.feature_names.len())?;
        let network = UNet::new(&Weights::read(&identity.0, shape, device)?);
        *last = Some((identity, network));
    }
    let network = last.as_ref().map(|(_, network)| network);
    network.ok_or_else(|| Failure::internal("a network was read and is not there"))
}

/// Probabilities of both hemispheres side by side.
struct Probabilities {
    classes: usize,
    pixels: usize,
    values: Vec<f32>,
}

fn probabilities(network: &UNet, image: &Tensor, mode: Mode) -> Probabilities {
    let _guard = tch::no_grad_guard();
    let found = network.forward(image, mode).sigmoid().to_device(Device::Cpu).contiguous();
    let size = found.size();
    let mut values = vec![0.0; found.numel()];
    found.copy_data(&mut values, found.numel());
    Probabilities { classes: size[1] as usize, pixels: size[2] as usize, values }
}

impl Probabilities {
    /// Of the whole hemisphere; 0 outside the map.
    fn at_vertices(&self, subject: &Subject, hemisphere: Hemisphere, radius: f64) -> Result<AtVertices, Failure> {
        let registered = subject.registered(hemisphere)?;
        let place = || format!("subject {}, {}", subject.sid(), hemisphere.name());
        let map = project(&registered.sphere, &registered.triangles, hemisphere, radius)
            .map_err(|failure| if failure.place.is_none() { failure.at(place()) } else { failure })?;
        let own = half(&self.values, self.classes, self.pixels, hemisphere);
        let found = probabilities_at_vertices(&own, self.classes, self.pixels, &map);
        let labels: Vec<i32> = found.chunks_exact(self.classes).map(label_of).collect();
        let count = registered.sphere.len();
        let frame = |class: usize| {
            let values: Vec<f32> = found.chunks_exact(self.classes).map(|vertex| vertex[class]).collect();
            map.spread(&values, count, 0.0)
        };
        Ok(AtVertices { labels: map.spread(&labels, count, 0), frames: (0..self.classes).map(frame).collect() })
    }
}

/// What a network predicts of one hemisphere.
struct AtVertices {
    /// One a vertex.
    labels: Vec<i32>,
    /// For each label its probability at each vertex.
    frames: Vec<Vec<f32>>,
}
