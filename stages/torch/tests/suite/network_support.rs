//! What the tests of networks share: stimuli by formula, networks of a seed, tasks of the kinds on them.

use std::path::{Path, PathBuf};

use pipe_contract::{Given, Kind, Task};
use pipe_stages::formats::data_table::DataTable;
use pipe_stages::formats::picture_file::encode_png;
use pipe_stages::formats::rgb_picture::RgbPicture;
use pipe_stages::formats::stimulus_set::StimulusWriter;
use pipe_stages::net::network_folder::{ImagePreparation, NetworkAbout, WeightSource, write_network};

use crate::support::{formula, task};

/// Pixels of a side of the stimuli.
pub const SIDE: usize = 64;

/// A picture by formula: noise around a colour.
pub fn picture(name: &str, colour: [u8; 3]) -> RgbPicture {
    let noise = formula(name, SIDE * SIDE * 3);
    let rgb = noise.iter().enumerate().map(|(at, noise)| (f64::from(colour[at % 3]) + 80.0 * noise) as u8).collect();
    RgbPicture { width: SIDE, height: SIDE, rgb }
}

/// A stimulus: its object, its colour, and its picture.
pub type Shown = (&'static str, &'static str, RgbPicture);

/// Writes stimuli, whose ids are `s0`, `s1` and so on.
pub fn write_stimuli(folder: &Path, shown: &[Shown]) -> PathBuf {
    let folder = folder.join("stimuli");
    let mut writer = StimulusWriter::create(&folder).unwrap();
    for (at, (_, _, picture)) in shown.iter().enumerate() {
        writer.add(&format!("s{at}"), &encode_png(picture).unwrap()).unwrap();
    }
    let variables = DataTable::new()
        .text("object", shown.iter().map(|(object, _, _)| *object))
        .text("colour", shown.iter().map(|(_, colour, _)| *colour))
        .build()
        .unwrap();
    writer.finish(variables.columns().iter().cloned()).unwrap();
    folder
}

/// Three objects in two colours, all different: an object decides how light it is.
pub fn crossed() -> Vec<Shown> {
    let mut shown = Vec::new();
    for (object, light) in [("cup", 60), ("hat", 130), ("key", 200)] {
        for (colour, red) in [("red", 40), ("grey", 0)] {
            shown.push((object, colour, picture(&format!("{object} {colour}"), [light + red, light, light])));
        }
    }
    shown
}

/// Writes a network with the weights of a seed, for images of [`SIDE`] pixels.
pub fn write_seeded(folder: &Path, architecture: &str) -> PathBuf {
    let folder = folder.join(architecture);
    let about = NetworkAbout {
        name: format!("{architecture}_random"),
        architecture: architecture.to_owned(),
        classes: 4,
        answers: Vec::new(),
        weights: WeightSource::Seed(5),
        preprocessing: ImagePreparation::imagenet(SIDE),
        origin: "a seed".to_owned(),
        sha256: None,
    };
    write_network(&folder, &about, None).unwrap();
    folder
}

/// A task of a kind on stimuli and a network.
pub fn network_task(
    kind: &Kind,
    (stimuli, network): (&Path, Option<&Path>),
    to: &Path,
    params: &[(&str, serde_json::Value)],
) -> Task {
    let mut task = task(kind, to, params);
    task.inputs.insert("stimuli".into(), Given::One(stimuli.to_path_buf()));
    if let Some(network) = network {
        task.inputs.insert("network".into(), Given::One(network.to_path_buf()));
    }
    task
}
