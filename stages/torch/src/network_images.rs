//! Stimuli as a network takes them: different images once, resized, and normalised in batches.
//!
//! Decides that files with equal digests are one image, and that all images of a run have one size, because patterns of unequal length have
//! no dissimilarity. What is kept of an image are its resized bytes, a quarter of the numbers that a network takes. Independent of
//! networks.

use std::collections::BTreeMap;
use std::ops::Range;

use pipe_contract::Failure;
use pipe_stages::formats::rgb_picture::{RgbPicture, centre_crop, normalised_by, resize_shorter_side};
use pipe_stages::formats::stimulus_set::StimulusSet;
use pipe_stages::net::network_folder::ImagePreparation;
use pipe_stages::net::network_kinds::ImageCrop;
use tch::{Device, Tensor};

/// What is done to images before they are normalised.
fn prepared(picture: &RgbPicture, preparation: &ImagePreparation, crop: ImageCrop) -> Result<RgbPicture, Failure> {
    let resized = resize_shorter_side(picture, preparation.side)?;
    let is_cropped = match crop {
        ImageCrop::Own => preparation.centre_crop,
        ImageCrop::Centre => true,
        ImageCrop::None => false,
    };
    if is_cropped { centre_crop(&resized, preparation.side) } else { Ok(resized) }
}

/// Different images of one size.
#[derive(Debug)]
pub struct NetworkImages {
    pictures: Vec<RgbPicture>,
    of_stimuli: Vec<usize>,
    preparation: ImagePreparation,
}

impl NetworkImages {
    /// Reads the images of stimuli as a network's preparation says.
    ///
    /// # Errors
    /// Input: a file that is not an image, or images that have different sizes when they are prepared; the message names them.
    pub fn read(stimuli: &StimulusSet, preparation: &ImagePreparation, crop: ImageCrop) -> Result<Self, Failure> {
        let mut pictures: Vec<RgbPicture> = Vec::new();
        let mut of_stimuli = Vec::with_capacity(stimuli.len());
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for (stimulus, digest) in stimuli.digests().iter().enumerate() {
            if let Some(image) = known.get(digest.as_str()) {
                of_stimuli.push(*image);
                continue;
            }
            let at = |failure: Failure| failure.at(format!("stimulus `{}`", stimuli.ids()[stimulus]));
            let image = prepared(&stimuli.picture(stimulus)?, preparation, crop).map_err(at)?;
            if let Some(first) = pictures.first().filter(|first| size(first) != size(&image)) {
                let ((height, width), (first_height, first_width)) = (size(&image), size(first));
                return Err(Failure::input(format!(
                    "stimulus `{}` has {height} x {width} pixels as the network takes it, `{}` has {first_height} x {first_width}",
                    stimuli.ids()[stimulus],
                    stimuli.ids()[0]
                ))
                .hint("give images of one shape, or cut squares out of them with `crop: centre`"));
            }
            known.insert(digest, pictures.len());
            of_stimuli.push(pictures.len());
            pictures.push(image);
        }
        if pictures.is_empty() {
            return Err(Failure::input("there are no stimuli, expected at least one"));
        }
        Ok(Self { pictures, of_stimuli, preparation: preparation.clone() })
    }

    /// How many different images.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The image of each stimulus, among the different ones.
    pub fn of_stimuli(&self) -> &[usize] {
        &self.of_stimuli
    }

    /// Height and width in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.pictures.first().map_or((0, 0), size)
    }

    /// Some images, normalised: [images, 3, height, width].
    ///
    /// # Errors
    /// Internal: images that are not there.
    pub fn batch(&self, images: Range<usize>, device: Device) -> Result<Tensor, Failure> {
        let all = self
            .pictures
            .get(images.clone())
            .ok_or_else(|| Failure::internal(format!("images {images:?} of {} were asked for", self.pictures.len())))?;
        Ok(self.tensor(all.iter(), device))
    }

    /// Images in any order, as [`batch`](Self::batch).
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub fn chosen(&self, images: &[usize], device: Device) -> Result<Tensor, Failure> {
        let pictures: Option<Vec<&RgbPicture>> = images.iter().map(|image| self.pictures.get(*image)).collect();
        let pictures = pictures.ok_or_else(|| Failure::internal(format!("images {images:?} were asked for")))?;
        Ok(self.tensor(pictures.into_iter(), device))
    }

    fn tensor<'a>(&self, pictures: impl Iterator<Item = &'a RgbPicture>, device: Device) -> Tensor {
        let (height, width) = self.size();
        let (mean, std) = (self.preparation.mean.map(narrow), self.preparation.std.map(narrow));
        let numbers: Vec<f32> = pictures.flat_map(|picture| normalised_by(picture, mean, std)).collect();
        Tensor::from_slice(&numbers).view([-1, 3, height as i64, width as i64]).to_device(device)
    }

    /// Normalised images as the network's first layer takes them.
    pub fn as_network_takes_them(&self, batches: Vec<Tensor>) -> Vec<Tensor> {
        let Some(channels) = self.preparation.second_normalisation() else { return batches };
        let by_channel = |numbers: [f64; 3], like: &Tensor| {
            Tensor::from_slice(&numbers.map(narrow)).view([1, 3, 1, 1]).to_device(like.device())
        };
        let transform = |x: Tensor| {
            let factors = by_channel(channels.map(|(factor, _)| factor), &x);
            let offsets = by_channel(channels.map(|(_, offset)| offset), &x);
            x * factors + offsets
        };
        batches.into_iter().map(transform).collect()
    }
}

/// Rounded to the nearest.
fn narrow(number: f64) -> f32 {
    number as f32
}

/// Height and width.
fn size(picture: &RgbPicture) -> (usize, usize) {
    (picture.height, picture.width)
}
