//! `stimuli/shrink` and `stimuli/mask`: each picture with a white margin, and where each is not white.
//!
//! Decides that names, order and variables stay. The arithmetic is in [`rgb_picture`](crate::formats::rgb_picture).

use std::collections::BTreeMap;

use pipe_contract::{
    ColumnMeaning, Context, Ended, Failure, InputColumns, Kind, Progress, StageKind, Task, Value, parameters,
};

use crate::formats::data_table;
use crate::formats::picture_file::encode_png;
use crate::formats::rgb_picture::{RgbPicture, nonwhite_mask, shrunk};
use crate::formats::stimulus_set::{STIMULUS_COLUMNS, StimulusSet, StimulusWriter};

/// The kind that adds a margin.
pub(super) struct StimulusShrink;

/// The kind that finds what is not white.
pub(super) struct StimulusMask;

parameters! {
    struct ShrinkParameters {
        /// the share of each side that the picture takes afterwards, above 0
        ratio: f64 = 0.5, in 0.0..=1.0;
        /// pixels of the shorter side afterwards
        side: usize = 224, in 1..=8192;
    }
}

parameters! {
    struct MaskParameters {
        /// a pixel is white if its red, green and blue are all above this
        threshold: usize = 230, in 0..=255;
    }
}

impl StageKind for StimulusShrink {
    fn kind(&self) -> Kind {
        retouching("stimuli/shrink", "adds a white margin to each picture, so that what it shows is smaller")
            .parameters::<ShrinkParameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let ShrinkParameters { ratio, side } = task.parameters()?;
        retouched(task, context, |picture| shrunk(picture, ratio, side))
    }
}

impl StageKind for StimulusMask {
    fn kind(&self) -> Kind {
        retouching("stimuli/mask", "shows where each picture is not white: white there, black elsewhere")
            .parameters::<MaskParameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let MaskParameters { threshold } = task.parameters()?;
        let threshold = u8::try_from(threshold).map_err(|error| Failure::internal(error.to_string()))?;
        retouched(task, context, |picture| Ok(nonwhite_mask(picture, threshold)))
    }
}

/// A kind that makes a picture of each picture.
#[track_caller]
fn retouching(name: &'static str, about: &'static str) -> Kind {
    Kind::new(name, 1, about)
        .input("stimuli", &["stimuli"], "the pictures")
        .folder("stimuli", "stimuli", "a picture for each, as PNG, with the same names and variables")
        .described(data_table::FILES, STIMULUS_COLUMNS)
        .others(meaning)
}

fn meaning(name: &str, _: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    let otherwise = || ColumnMeaning { about: "a variable of the stimuli".to_owned(), ..ColumnMeaning::default() };
    inputs("stimuli", name).unwrap_or_else(otherwise)
}

/// Runs a kind that makes a picture of each picture.
fn retouched(
    task: &Task,
    context: &dyn Context,
    make: impl Fn(&RgbPicture) -> Result<RgbPicture, Failure>,
) -> Result<Ended, Failure> {
    let set = StimulusSet::open(task.one("stimuli")?)?;
    let mut writer = StimulusWriter::create(task.output("stimuli")?)?;
    for (position, id) in set.ids().iter().enumerate() {
        if context.cancelled() {
            return Err(Failure::stage("stopped before all pictures were made"));
        }
        let made = make(&set.picture(position)?).map_err(|failure| failure.at(format!("stimulus `{id}`")))?;
        writer.add(id, &encode_png(&made)?)?;
        let (done, total) = (position as u64 + 1, set.len() as u64);
        context.progress(Progress { done, total, unit: "pictures".into(), note: String::new() });
    }
    writer.finish(set.variable_columns())?;
    Ok(Ended::done())
}

#[cfg(test)]
mod tests {
    use polars::prelude::Column;

    use super::*;
    use crate::test_support::tasks;

    /// The picture that a kind makes of two pixels, white and cyan.
    fn made(stage: &dyn StageKind, setting: (&str, Value)) -> Result<RgbPicture, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let given = folder.path().join("in");
        let mut writer = StimulusWriter::create(&given).unwrap();
        let picture = RgbPicture { width: 2, height: 1, rgb: vec![250, 250, 250, 0, 250, 250] };
        writer.add("a", &encode_png(&picture).unwrap()).unwrap();
        writer.finish([Column::new("object".into(), vec!["cup"])]).unwrap();
        let mut task = tasks::task(stage, folder.path());
        tasks::give(&mut task, "stimuli", &given);
        tasks::set(&mut task, setting.0, setting.1);
        tasks::run(stage, &task)?;
        let set = StimulusSet::open(&folder.path().join("stimuli")).unwrap();
        assert_eq!((set.ids(), set.variable_names()), (&["a".to_owned()][..], vec!["object"]));
        set.picture(0)
    }

    #[test]
    fn each_picture_is_retouched_and_names_stay() {
        let mask = made(&StimulusMask, ("threshold", Value::Int(230))).unwrap();
        assert_eq!(mask.rgb, [0, 0, 0, 255, 255, 255]);
        let small = made(&StimulusShrink, ("ratio", Value::Float(0.5))).unwrap();
        assert_eq!((small.width, small.height), (896, 224), "margins of 1 and, rounded to even, 0 pixels");
        assert_eq!(small.pixel(0, 0), [255; 3]);
        let failure = made(&StimulusShrink, ("ratio", Value::Float(0.0))).unwrap_err();
        assert_eq!(failure.place.as_deref(), Some("stimulus `a`"));
    }
}
