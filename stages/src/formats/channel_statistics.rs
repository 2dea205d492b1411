//! What the images that a network was trained on were like, channel by channel: `channels.tsv` of a `model`.
//!
//! Five quantiles of each channel over the cortex that an image shows, as mean and standard deviation over the subjects that trained:
//! aggregates of at least [`FEWEST`] subjects, without ids. Enough to say how far a new subject is from them, in standard
//! deviations between subjects; too little to recover one of them.

use std::fmt::Write as _;
use std::path::Path;

use pipe_contract::{Column, Failure};

use crate::numeric::statistics::quantile;

/// The file in a `model`.
pub const CHANNELS: &str = "channels.tsv";

/// Fewer subjects than this would be described one by one: then there is no file.
pub const FEWEST: usize = 5;

/// The shares at which channels are described.
pub const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// What is in [`CHANNELS`].
pub const CHANNEL_COLUMNS: &[Column] = &[
    Column::new("channel", "the channel of the images"),
    Column::new("subjects", "how many subjects trained the network"),
    Column::measured("q05", "unit of the channel", "its 5 % quantile over the map: mean over subjects"),
    Column::measured("q05_sd", "unit of the channel", "standard deviation of it between subjects"),
    Column::measured("q25", "unit of the channel", "the same of its 25 % quantile"),
    Column::measured("q25_sd", "unit of the channel", "standard deviation of it between subjects"),
    Column::measured("q50", "unit of the channel", "the same of its median"),
    Column::measured("q50_sd", "unit of the channel", "standard deviation of it between subjects"),
    Column::measured("q75", "unit of the channel", "the same of its 75 % quantile"),
    Column::measured("q75_sd", "unit of the channel", "standard deviation of it between subjects"),
    Column::measured("q95", "unit of the channel", "the same of its 95 % quantile"),
    Column::measured("q95_sd", "unit of the channel", "standard deviation of it between subjects"),
];

/// The quantiles at [`SHARES`] of one channel of one subject.
pub type Quantiles = [f64; SHARES.len()];

/// One channel of the images that trained a network.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedChannel {
    /// Its name.
    pub name: String,
    /// Subjects that trained.
    pub subjects: usize,
    /// Quantiles: mean over subjects.
    pub mean: Quantiles,
    /// Quantiles: standard deviation between subjects.
    pub deviation: Quantiles,
}

/// Quantiles of each of `channels` images of `size` pixels that lie one behind the other, over the pixels that show cortex: those
/// where any channel is not 0. `sides` selects pixels by their number besides, such as those of one hemisphere.
///
/// Nothing if no pixel shows cortex.
pub fn quantiles(
    images: &[f32],
    channels: usize,
    size: usize,
    sides: impl Fn(usize) -> bool,
) -> Option<Vec<Quantiles>> {
    let cortex: Vec<usize> = (0..size)
        .filter(|pixel| sides(*pixel) && (0..channels).any(|channel| images[channel * size + pixel] != 0.0))
        .collect();
    if cortex.is_empty() {
        return None;
    }
    let of = |channel: usize| {
        let mut values: Vec<f64> = cortex.iter().map(|pixel| f64::from(images[channel * size + pixel])).collect();
        values.sort_by(f64::total_cmp);
        SHARES.map(|share| quantile(&values, share))
    };
    Some((0..channels).map(of).collect())
}

/// The channels, from the quantiles of each subject that trained; none if they are fewer than [`FEWEST`].
pub fn of_training(names: &[String], subjects: &[Vec<Quantiles>]) -> Vec<TrainedChannel> {
    if subjects.len() < FEWEST {
        return Vec::new();
    }
    let count = subjects.len() as f64;
    let channel = |(index, name): (usize, &String)| {
        let each = |share: usize| subjects.iter().map(move |subject| subject[index][share]);
        let mean: Quantiles = std::array::from_fn(|share| each(share).sum::<f64>() / count);
        let squares = |share: usize| each(share).map(|value| (value - mean[share]).powi(2)).sum::<f64>();
        let deviation = std::array::from_fn(|share| (squares(share) / (count - 1.0)).sqrt());
        TrainedChannel { name: name.clone(), subjects: subjects.len(), mean, deviation }
    };
    names.iter().enumerate().map(channel).collect()
}

impl TrainedChannel {
    /// How far quantiles of a new subject are from those of the training: the greatest difference of the five, in standard deviations
    /// of what a new subject of the same kind would give (that between subjects, and the error of the mean).
    pub fn distance(&self, found: &Quantiles) -> f64 {
        let widen = (1.0 + 1.0 / self.subjects as f64).sqrt();
        let far = |share: usize| {
            let difference = (found[share] - self.mean[share]).abs();
            // A channel that is constant in the training, such as one that was never measured.
            let least = 1e-6 * (self.mean[4] - self.mean[0]).abs().max(self.mean[share].abs());
            match difference <= least {
                true => 0.0,
                false => difference / (self.deviation[share] * widen).max(least),
            }
        };
        (0..SHARES.len()).map(far).fold(0.0, f64::max)
    }
}

/// The text of [`CHANNELS`].
pub fn to_tsv(channels: &[TrainedChannel]) -> String {
    let names: Vec<&str> = CHANNEL_COLUMNS.iter().map(|column| column.name).collect();
    let mut text = format!("{}\n", names.join("\t"));
    for channel in channels {
        let _ = write!(text, "{}\t{}", channel.name, channel.subjects);
        for (mean, deviation) in channel.mean.iter().zip(&channel.deviation) {
            let _ = write!(text, "\t{mean:?}\t{deviation:?}");
        }
        text.push('\n');
    }
    text
}

/// Reads [`CHANNELS`] of a model; none if the model has no such file, as one that was imported.
///
/// # Errors
/// Input: the file cannot be read or is another table.
pub fn read(model: &Path) -> Result<Vec<TrainedChannel>, Failure> {
    let path = model.join(CHANNELS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    text.lines()
        .enumerate()
        .skip(1)
        .map(|(line, row)| {
            parse(row).ok_or_else(|| {
                Failure::input(format!("expected a channel and {} numbers, found `{row}`", CHANNEL_COLUMNS.len() - 1))
                    .at(format!("{}:{}", path.display(), line + 1))
            })
        })
        .collect()
}

fn parse(row: &str) -> Option<TrainedChannel> {
    let mut cells = row.split('\t');
    let (name, subjects) = (cells.next()?.to_owned(), cells.next()?.parse().ok().filter(|count| *count > 0)?);
    let numbers: Vec<f64> = cells.map(str::parse).collect::<Result<_, _>>().ok()?;
    let [_, ..] = numbers[..] else { return None };
    (numbers.len() == 2 * SHARES.len()).then(|| TrainedChannel {
        name,
        subjects,
        mean: std::array::from_fn(|share| numbers[2 * share]),
        deviation: std::array::from_fn(|share| numbers[2 * share + 1]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two channels of 101 pixels, of which the first 100 show cortex; the second channel is constant.
    fn subject(shift: f32) -> Vec<f32> {
        let ramp = (0..101).map(|pixel| if pixel < 100 { 1.0 + pixel as f32 + shift } else { 0.0 });
        ramp.chain((0..101).map(|pixel| if pixel < 100 { 5.0 } else { 0.0 })).collect()
    }

    fn training() -> Vec<TrainedChannel> {
        let names = ["curvature".to_owned(), "myelin".to_owned()];
        let subjects: Vec<_> = [-2.0, -1.0, 0.0, 1.0, 2.0]
            .iter()
            .map(|shift| quantiles(&subject(*shift), 2, 101, |_| true).unwrap())
            .collect();
        of_training(&names, &subjects)
    }

    #[test]
    fn quantiles_are_of_cortex_only() {
        let found = quantiles(&subject(0.0), 2, 101, |_| true).unwrap();
        assert!((found[0][2] - 50.5).abs() < 1e-9 && (found[0][0] - 5.95).abs() < 1e-9, "{found:?}");
        assert_eq!(found[1], [5.0; 5]);
        assert_eq!(quantiles(&[0.0; 8], 2, 4, |_| true), None);
        assert_eq!(quantiles(&subject(0.0), 2, 101, |pixel| pixel < 3).unwrap()[0][2], 2.0);
    }

    #[test]
    fn distances_are_standard_deviations_of_a_new_subject() {
        let channels = training();
        // s.d. of the shifts -2 to 2 with n - 1: the root of 2.5; times the root of 1 + 1/5.
        let one = (2.5f64 * 1.2).sqrt();
        let found = quantiles(&subject(3.0), 2, 101, |_| true).unwrap();
        assert!((channels[0].distance(&found[0]) - 3.0 / one).abs() < 1e-6);
        assert_eq!(channels[1].distance(&found[1]), 0.0);
        assert!(channels[1].distance(&[5.5; 5]) > 1000.0, "a channel that never varied");
    }

    #[test]
    fn few_subjects_are_not_described() {
        let one = quantiles(&subject(0.0), 2, 101, |_| true).unwrap();
        assert!(of_training(&["a".into(), "b".into()], &vec![one; FEWEST - 1]).is_empty());
    }

    #[test]
    fn tables_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
        fs_err::write(folder.path().join(CHANNELS), to_tsv(&training())).unwrap();
        assert_eq!(read(folder.path()).unwrap(), training());
        fs_err::write(folder.path().join(CHANNELS), "channel\nx\t5\t1\n").unwrap();
        assert!(read(folder.path()).unwrap_err().place.unwrap().ends_with("channels.tsv:2"));
    }
}
