//! How many subjects are behind the losses of a training, from the files of its model, which name none of them.
//!
//! A loss is a mean over samples, a subject as one rater labelled it, so samples divided by raters are at least as many subjects. How many
//! trained is also in the table of channels, unless they are few; that must agree. Rules of release count by this, so where nothing
//! is known the number is 0.

use std::path::Path;

use fs_err as fs;
use pipe_contract::Failure;
use serde::Deserialize;

use super::channel_statistics;

/// The options of a model.
const OPTIONS: &str = "options.json";

/// What is read of them.
#[derive(Deserialize)]
struct SampleCounts {
    #[serde(default)]
    training_samples: usize,
    #[serde(default)]
    validation_samples: usize,
}

/// The fewest subjects behind any loss of a model's training, of training or validation; 0 where that is not known. At most `raters`
/// labelled one subject; 0 says that this is not known.
///
/// # Errors
/// Input: a broken file, or more samples than so many raters can give. Environment: a file cannot be read.
pub fn fewest(model: &Path, raters: usize) -> Result<usize, Failure> {
    let path = model.join(OPTIONS);
    if raters == 0 || !path.exists() {
        return Ok(0);
    }
    let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let counts: SampleCounts = serde_json::from_str(&text).map_err(|error| {
        Failure::input(format!("not the options of a model: {error}")).at(path.display().to_string())
    })?;
    let SampleCounts { training_samples, validation_samples } = counts;
    let mut trained = training_samples.div_ceil(raters);
    if let Some(channel) = channel_statistics::read(model)?.first() {
        if training_samples > channel.subjects * raters {
            return Err(Failure::input(format!(
                "found {training_samples} training samples of {} subjects, expected at most {raters} of each",
                channel.subjects
            ))
            .at(path.display().to_string())
            .hint("set `raters` to the number of raters who may have labelled one subject"));
        }
        trained = channel.subjects;
    }
    Ok(trained.min(validation_samples.div_ceil(raters)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::channel_statistics::{CHANNELS, TrainedChannel, to_tsv};

    fn model(folder: &Path, options: &str, trained: Option<usize>) {
        fs::write(folder.join(OPTIONS), options).unwrap();
        if let Some(subjects) = trained {
            let channel = TrainedChannel { name: "z".into(), subjects, mean: [0.5; 5], deviation: [0.5; 5] };
            fs::write(folder.join(CHANNELS), to_tsv(&[channel])).unwrap();
        }
    }

    #[test]
    fn samples_of_so_many_raters_are_at_least_so_many_subjects() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(fewest(folder.path(), 4).unwrap(), 0, "no options");
        model(folder.path(), r#"{ "training_samples": 518, "validation_samples": 129 }"#, None);
        assert_eq!([4, 1, 0].map(|raters| fewest(folder.path(), raters).unwrap()), [33, 129, 0]);
        model(folder.path(), r#"{ "training_samples": 77, "validation_samples": 129 }"#, None);
        assert_eq!(fewest(folder.path(), 4).unwrap(), 20);
        model(folder.path(), r#"{ "inputs": "anat" }"#, None);
        assert_eq!(fewest(folder.path(), 4).unwrap(), 0, "a published model does not say it");
    }

    #[test]
    fn more_samples_than_raters_can_give_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        model(folder.path(), r#"{ "training_samples": 40, "validation_samples": 80 }"#, Some(10));
        assert_eq!([4, 5].map(|raters| fewest(folder.path(), raters).unwrap()), [10, 10]);
        let failure = fewest(folder.path(), 3).unwrap_err();
        assert_eq!(failure.message, "found 40 training samples of 10 subjects, expected at most 3 of each");
        assert!(failure.place.unwrap().ends_with(OPTIONS) && failure.hint.unwrap().contains("`raters`"));
        fs::write(folder.path().join(OPTIONS), "{").unwrap();
        assert!(fewest(folder.path(), 4).unwrap_err().message.starts_with("not the options of a model"));
    }
}
