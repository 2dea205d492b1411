//! What images of one network must have in common, as its `options.json` says: size, reach of the map, the space of coordinates and
//! the unit of depth. Kinds that paint images for a network read it here, so that these are a property of the network and not of the tool.
//!
//! What batch normalisation uses when the network predicts is declared here too. The rest of the file, and whether the network itself is whole, is not looked at.

use std::path::Path;

use pipe_contract::{Failure, choice};
use serde::{Deserialize, Serialize};

choice! {
    /// How the coordinates of a subject get into the space of those that a network was trained on.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Alignment {
        /// They are in it: subjects of the Human Connectome Project.
        None = "none",
        /// Each hemisphere is turned and shifted onto fsaverage's, without scaling.
        Fsaverage = "fsaverage",
    }
}

choice! {
    /// The unit of depth (`sulc`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum DepthUnit {
        /// That of FreeSurfer 5: about centimetres.
        Cm = "cm",
        /// That of FreeSurfer 6 to 8: about millimetres, ten times as large.
        Mm = "mm",
    }
}

choice! {
    /// What batch normalisation uses.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Normalisation {
        /// The image's own statistics.
        Batch = "batch",
        /// The statistics of the training.
        Running = "running",
    }
}

impl Alignment {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fsaverage => "fsaverage",
        }
    }
}

impl DepthUnit {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cm => "cm",
            Self::Mm => "mm",
        }
    }

    /// The unit that a word in a file names; `cm` where there is none.
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("cm") => Some(Self::Cm),
            Some("mm") => Some(Self::Mm),
            Some(_) => None,
        }
    }

    /// How many of this unit one of FreeSurfer 5's units is.
    pub fn per_cm(self) -> f32 {
        match self {
            Self::Cm => 1.0,
            Self::Mm => 10.0,
        }
    }
}

/// What images of one network have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageConventions {
    /// The channels that the network reads.
    pub channels: Vec<String>,
    /// Rows, and columns per hemisphere.
    pub pixels: usize,
    /// How far the map reaches from the occipital pole, in degrees.
    pub radius: f64,
    /// How coordinates of subjects outside of the training's dataset are made comparable.
    pub alignment: Alignment,
    /// The unit of depth.
    pub convexity: DepthUnit,
}

/// The part of `options.json` that says it.
#[derive(Deserialize)]
struct Stated {
    channels: Option<Vec<String>>,
    pixels: Option<usize>,
    radius: Option<f64>,
    alignment: Option<Alignment>,
    convexity: Option<DepthUnit>,
}

impl ImageConventions {
    /// Reads the options of a network.
    ///
    /// # Errors
    /// Input: not such a file, or one of the four is not stated or out of bounds.
    pub fn read(options: &Path) -> Result<Self, Failure> {
        let text = fs_err::read_to_string(options).map_err(|error| Failure::io("read", options, &error))?;
        parse(&text).map_err(|failure| failure.at(options.display().to_string()))
    }
}

fn parse(text: &str) -> Result<ImageConventions, Failure> {
    let stated: Stated = serde_json::from_str(text)
        .map_err(|error| Failure::input(format!("not the options of a model: {error}")).hint(GIVE))?;
    let lacks = |what: &str| {
        Failure::input(format!("the options of the model do not say its `{what}`"))
            .hint("the model is of an earlier version: train it again, or import it again with `unet/import`")
    };
    let conventions = ImageConventions {
        channels: stated.channels.ok_or_else(|| lacks("channels"))?,
        pixels: stated.pixels.ok_or_else(|| lacks("pixels"))?,
        radius: stated.radius.ok_or_else(|| lacks("radius"))?,
        alignment: stated.alignment.ok_or_else(|| lacks("alignment"))?,
        convexity: stated.convexity.ok_or_else(|| lacks("convexity"))?,
    };
    if !(8..=512).contains(&conventions.pixels) {
        return Err(Failure::input(format!("the model's `pixels` is {}, expected 8 to 512", conventions.pixels)));
    }
    if !(1.0..=90.0).contains(&conventions.radius) {
        return Err(Failure::input(format!(
            "the model's `radius` is {}, expected 1 to 90 degrees",
            conventions.radius
        )));
    }
    Ok(conventions)
}

/// What to give instead.
const GIVE: &str = "give one file of a `model`: `options: $model.model/options.json`";

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        r#"{"channels": ["x", "y"], "pixels": 64, "radius": 80.0, "alignment": "fsaverage", "convexity": "cm"}"#;

    #[test]
    fn the_conventions_of_a_network_are_read_from_its_options() {
        let found = parse(WHOLE).unwrap();
        assert_eq!((found.pixels, found.radius), (64, 80.0));
        assert_eq!((found.alignment, found.convexity), (Alignment::Fsaverage, DepthUnit::Cm));
    }

    #[test]
    fn what_is_not_stated_is_named() {
        let without = parse(&WHOLE.replace("\"radius\": 80.0,", "")).unwrap_err();
        assert_eq!(without.message, "the options of the model do not say its `radius`");
        let wrong = parse(&WHOLE.replace("80.0", "0.5")).unwrap_err();
        assert_eq!(wrong.message, "the model's `radius` is 0.5, expected 1 to 90 degrees");
        assert!(parse(&WHOLE.replace("\"cm\"", "\"inch\"")).unwrap_err().message.contains("unknown variant `inch`"));
        assert!(parse("[]").unwrap_err().hint.unwrap().contains("options.json"));
    }
}
