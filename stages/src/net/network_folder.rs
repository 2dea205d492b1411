//! The files of a `network` artifact: what it is (`network.json`), and its weights where they are not those of a seed.
//!
//! A network with the weights of a seed has no file of weights: they are made where they are used, which takes less time than to read
//! hundreds of megabytes. Decides also how images are prepared for a network. Independent of libtorch.

use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::{Failure, choice};
use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::shipped_architectures::named;
use super::start::fresh_weights;
use super::state_dict::fitted;
use crate::formats::json_file::{read_json, write_json};
use crate::formats::pytorch;
use crate::formats::tensors::{self, Tensors};

/// What the network is, as JSON.
pub const NETWORK: &str = "network.json";

/// Its weights, under the names of its state dict.
pub const NETWORK_WEIGHTS: &str = "weights.safetensors";

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAbout {
    /// What tables call it, such as `alexnet_random`.
    pub name: String,
    /// The architecture, such as `alexnet`.
    pub architecture: String,
    /// Number of answers.
    pub classes: usize,
    /// The answers in order, where they are known: those of a training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// Where its weights are from.
    pub weights: WeightSource,
    /// How images are prepared for it.
    pub preprocessing: ImagePreparation,
    /// In words where it is from: an address, a file, a training.
    pub origin: String,
    /// The SHA-256 of the file that its weights were in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Where the weights of a network are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightSource {
    /// Sampled with this seed where they are used.
    Seed(u64),
    /// A file of the folder.
    File(String),
}

/// How images become what a network is given: the shorter side is resized, numbers are divided by 255, and each channel is normalised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImagePreparation {
    /// Pixels of the shorter side.
    pub side: usize,
    /// What is subtracted from each channel, red first.
    pub mean: [f64; 3],
    /// What each channel is divided by after.
    pub std: [f64; 3],
    /// Whether the network itself then normalises a second time, from these means and deviations to 0.5 and 0.5, as torchvision's trained
    /// GoogLeNet does.
    pub transform_input: bool,
    /// Whether all but the square in the centre is cut off where nothing else is said, as a training of this network did.
    #[serde(default)]
    pub centre_crop: bool,
}

/// The means and standard deviations of ImageNet's images, as torchvision has them.
pub const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

impl ImagePreparation {
    /// The preparation of torchvision's networks, for another size.
    pub fn imagenet(side: usize) -> Self {
        let (mean, std) = IMAGENET;
        Self { side, mean, std, transform_input: false, centre_crop: false }
    }

    /// By what each channel is multiplied, and what is added to it then, in the network's own second normalisation; `None` if it has none.
    pub fn second_normalisation(&self) -> Option<[(f64, f64); 3]> {
        let of = |channel: usize| (self.std[channel] / 0.5, (self.mean[channel] - 0.5) / 0.5);
        self.transform_input.then(|| [of(0), of(1), of(2)])
    }
}

choice! {
    /// Whether a network normalises its input a second time.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum InputTransform {
        /// As the file of its weights says (`net/weights` writes it there), else as published weights need it: GoogLeNet does, others do not.
        Own = "own",
        /// It does.
        On = "on",
        /// It does not.
        Off = "off",
    }
}

impl InputTransform {
    /// Whether a trained network of this architecture does, whose file of weights may state it.
    pub fn applies(self, architecture: &str, stated: Option<bool>) -> bool {
        match self {
            InputTransform::Own => stated.unwrap_or(architecture == "googlenet"),
            InputTransform::On => true,
            InputTransform::Off => false,
        }
    }
}

/// A network as it lies in a folder.
#[derive(Clone, Debug)]
pub struct NetworkFolder {
    /// What it is.
    pub about: NetworkAbout,
    /// Its modules.
    pub architecture: Architecture,
    folder: PathBuf,
}

impl NetworkFolder {
    /// Reads what a network is.
    ///
    /// # Errors
    /// Input: the folder is not a network's, or its network is not one that there is.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(NETWORK);
        let give = "give the `network` port of `net/random`, `net/open`, `net/fetch` or `net/train`";
        let about: NetworkAbout = read_json(&path).map_err(|failure| failure.hint(give))?;
        let at = |failure: Failure| failure.at(path.display().to_string());
        if about.classes == 0 || about.classes > MOST_CLASSES {
            return Err(at(Failure::input(format!("{} classes, expected 1 to {MOST_CLASSES}", about.classes))));
        }
        check_preparation(&about.preprocessing).map_err(at)?;
        let architecture = named(&about.architecture, about.classes).map_err(at)?;
        Ok(Self { about, architecture, folder: folder.to_path_buf() })
    }

    /// All tensors of the network by the names of its state dict: sampled, or read and compared with the architecture.
    ///
    /// # Errors
    /// Input: the file of weights is missing, damaged or of another network. Environment: it cannot be read.
    pub fn weights(&self) -> Result<Tensors, Failure> {
        match &self.about.weights {
            WeightSource::Seed(seed) => Ok(fresh_weights(&self.architecture, *seed)),
            WeightSource::File(name) => {
                if name.contains('/') {
                    return Err(Failure::input(format!("`{name}` is not a file of the network's own folder")).at(self
                        .folder
                        .join(NETWORK)
                        .display()
                        .to_string()));
                }
                read_weights(&self.folder.join(name), &self.architecture)
            }
        }
    }
}

/// That images can be prepared so.
fn check_preparation(preparation: &ImagePreparation) -> Result<(), Failure> {
    let ImagePreparation { side, mean, std, .. } = preparation;
    if *side == 0 || *side > MOST_PIXELS {
        return Err(Failure::input(format!("images have a `side` of {side} pixels, expected 1 to {MOST_PIXELS}")));
    }
    if std.iter().any(|std| !(std.is_finite() && *std > 0.0)) || mean.iter().any(|mean| !mean.is_finite()) {
        return Err(Failure::input(format!(
            "channels have the `mean` {mean:?} and `std` {std:?}, expected finite numbers, `std` above 0"
        )));
    }
    Ok(())
}

/// Greatest number of pixels of the shorter side of images.
const MOST_PIXELS: usize = 4096;

/// Greatest number of answers of a network.
pub const MOST_CLASSES: usize = 1_000_000;

/// Writes a network's folder, with weights unless they are those of a seed.
///
/// # Errors
/// Internal: weights for a seed, or none for a file. Environment: a file cannot be written.
pub fn write_network(folder: &Path, about: &NetworkAbout, weights: Option<&Tensors>) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    match (&about.weights, weights) {
        (WeightSource::Seed(_), None) => {}
        (WeightSource::File(name), Some(weights)) => tensors::write(&folder.join(name), weights)?,
        _ => return Err(Failure::internal("a network has either a seed or weights")),
    }
    write_json(&folder.join(NETWORK), about)
}

/// Reads weights from a file of `torch.save` (a state dict, or a checkpoint that has one) or a safetensors file, as exactly the tensors of
/// an architecture.
///
/// # Errors
/// Input: the file is neither, is damaged, or has other tensors; the message names them. Environment: it cannot be read.
pub fn read_weights(path: &Path, architecture: &Architecture) -> Result<Tensors, Failure> {
    read_stated_weights(path, architecture).map(|(weights, _)| weights)
}

/// The key under which a file of weights states whether the network normalises its input a second time.
const TRANSFORM_INPUT: &str = "transform_input";
/// The key under which a file of weights states the shorter side of the images of its network, in pixels.
const SIDE: &str = "side";

/// How a network was used, as the file of its weights states it; safetensors files of `net/weights` do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatedUse {
    /// Whether it normalises its input a second time.
    pub transform_input: Option<bool>,
    /// Pixels of the shorter side of its images.
    pub side: Option<usize>,
}

impl StatedUse {
    fn of(weights: &Tensors) -> Self {
        let text = |name: &str| weights.metadata.get(name).map(String::as_str);
        Self {
            transform_input: text(TRANSFORM_INPUT).and_then(|text| text.parse().ok()),
            side: text(SIDE).and_then(|text| text.parse().ok()).filter(|side| (1..=MOST_PIXELS).contains(side)),
        }
    }

    /// States how images are prepared, beside weights.
    pub fn state(preparation: &ImagePreparation, weights: Tensors) -> Tensors {
        let transformed = preparation.transform_input.to_string();
        weights.about(TRANSFORM_INPUT, transformed).about(SIDE, preparation.side.to_string())
    }
}

/// As [`read_weights`], with what the file states of their use.
///
/// # Errors
/// As [`read_weights`].
pub fn read_stated_weights(path: &Path, architecture: &Architecture) -> Result<(Tensors, StatedUse), Failure> {
    let read = if pytorch::is_saved(path)? {
        pytorch::read_checkpoint(path)?
    } else {
        tensors::read(path).map_err(|failure| Failure {
            message: format!("neither a file of `torch.save` nor a safetensors file: {}", failure.message),
            ..failure
        })?
    };
    let stated = StatedUse::of(&read);
    let weights = fitted(read, architecture).map_err(|failure| failure.at(path.display().to_string()))?;
    Ok((weights, stated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(weights: WeightSource) -> NetworkAbout {
        NetworkAbout {
            name: "small_random".to_owned(),
            architecture: "small".to_owned(),
            classes: 3,
            answers: Vec::new(),
            weights,
            preprocessing: ImagePreparation::imagenet(64),
            origin: "a seed".to_owned(),
            sha256: None,
        }
    }

    #[test]
    fn a_network_comes_back_with_the_same_weights() {
        let folder = tempfile::tempdir().unwrap();
        let (seeded, stored) = (folder.path().join("seeded"), folder.path().join("stored"));
        write_network(&seeded, &about(WeightSource::Seed(7)), None).unwrap();
        assert!(!seeded.join(NETWORK_WEIGHTS).exists());
        let opened = NetworkFolder::open(&seeded).unwrap();
        assert_eq!(opened.about, about(WeightSource::Seed(7)));
        let weights = opened.weights().unwrap();
        assert_eq!(weights, fresh_weights(&opened.architecture, 7));
        let of_file = about(WeightSource::File(NETWORK_WEIGHTS.to_owned()));
        write_network(&stored, &of_file, Some(&weights)).unwrap();
        assert_eq!(NetworkFolder::open(&stored).unwrap().weights().unwrap(), weights);
        assert!(write_network(&stored, &of_file, None).is_err());
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = || NetworkFolder::open(folder.path()).unwrap_err();
        assert!(open().message.contains("does not exist") && open().hint.unwrap().contains("net/open"));
        let write = |about: &NetworkAbout| write_json(&folder.path().join(NETWORK), about).unwrap();
        write(&NetworkAbout { architecture: "alexnat".to_owned(), ..about(WeightSource::Seed(1)) });
        assert!(open().message.contains("most like it: `alexnet`"), "{}", open());
        write(&NetworkAbout { classes: 0, ..about(WeightSource::Seed(1)) });
        assert!(open().message.starts_with("0 classes"));
        let prepared = |side, std| NetworkAbout {
            preprocessing: ImagePreparation { side, std, ..ImagePreparation::imagenet(64) },
            ..about(WeightSource::Seed(1))
        };
        write(&prepared(0, IMAGENET.1));
        assert!(open().message.contains("`side` of 0 pixels") && open().place.is_some());
        write(&prepared(64, [0.2, 0.0, 0.2]));
        assert!(open().message.contains("`std` above 0"), "{}", open());
        write(&about(WeightSource::File("../weights".to_owned())));
        let failure = NetworkFolder::open(folder.path()).unwrap().weights().unwrap_err();
        assert!(failure.message.contains("not a file of the network's own folder"), "{failure}");
        write(&about(WeightSource::File("weights".to_owned())));
        let failure = NetworkFolder::open(folder.path()).unwrap().weights().unwrap_err();
        assert_eq!(failure.message, "the file does not exist");
        fs::write(folder.path().join("weights"), "no weights").unwrap();
        let failure = NetworkFolder::open(folder.path()).unwrap().weights().unwrap_err();
        assert!(failure.message.starts_with("neither a file of `torch.save` nor a safetensors file"), "{failure}");
    }

    /// torchvision's `_transform_input`: red is multiplied by 0.229 / 0.5 and -0.03 is added.
    #[test]
    fn the_second_normalisation_is_torchvisions() {
        let prepared = ImagePreparation { transform_input: true, ..ImagePreparation::imagenet(224) };
        let [(scale, offset), ..] = prepared.second_normalisation().unwrap();
        assert!((scale - 0.458).abs() < 1e-12 && (offset + 0.03).abs() < 1e-12);
        assert_eq!(ImagePreparation::imagenet(224).second_normalisation(), None);
        assert!(InputTransform::Own.applies("googlenet", None) && !InputTransform::Own.applies("alexnet", None));
        assert!(
            !InputTransform::Own.applies("googlenet", Some(false))
                && InputTransform::Own.applies("alexnet", Some(true))
        );
        assert!(
            InputTransform::On.applies("googlenet", Some(false)) && !InputTransform::Off.applies("googlenet", None)
        );
    }
}
