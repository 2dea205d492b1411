//! The saved state of a training: after a kill, the next run resumes from it and ends with the same bytes.
//!
//! One safetensors file: the weights, the best ones of the round and of all rounds, Adam's two means, and numbers. Written beside, synced
//! and renamed, so it is always whole. Whatever does not fit (another build, instruction set, seed) is not an error: the training starts
//! over. Every number is kept bit for bit, hence 64-bit floats as whole numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err::{self as fs, File};
use pipe_contract::Failure;
use tch::{Kind, Tensor};

use crate::adam::Adam;
use crate::training::{BestWeights, Divergence, EpochRow, Means, Training, TrainingState};
use crate::weights::first_line;

const FILE: &str = "training.safetensors";
const HALF_WRITTEN: &str = "training.safetensors.new";

/// Saves and resumes one training.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    identity: String,
    every: Duration,
    last: Instant,
}

impl Checkpoint {
    /// A checkpoint in a folder. `identity` is everything besides inputs and parameters (which name the folder) that may change bytes;
    /// within a round, it is written once in `every`, because it takes a second and half a gigabyte.
    pub fn new(folder: &Path, identity: String, every: Duration) -> Self {
        Self { folder: folder.into(), identity, every, last: Instant::now() }
    }

    /// Saves if it is time: always between rounds, in a round once in a while.
    ///
    /// # Errors
    /// Environment: it cannot be written.
    pub fn save(&mut self, training: &Training<'_>) -> Result<(), Failure> {
        if training.state.epoch > 0 && self.last.elapsed() < self.every {
            return Ok(());
        }
        let new = self.folder.join(HALF_WRITTEN);
        fs::create_dir_all(&self.folder).map_err(|error| Failure::io("create", &self.folder, &error))?;
        Tensor::write_safetensors(&pack(training, &self.identity), &new).map_err(|error| {
            Failure::environment(format!("could not write `{}`: {}", new.display(), first_line(&error)))
        })?;
        File::open(&new).and_then(|file| file.sync_all()).map_err(|error| Failure::io("sync", &new, &error))?;
        let path = self.folder.join(FILE);
        fs::rename(&new, &path).map_err(|error| Failure::io("rename", &path, &error))?;
        self.last = Instant::now();
        Ok(())
    }

    /// Restores the state of a training from the file; false if there is no file that fits.
    pub fn resume(&self, training: &mut Training<'_>) -> bool {
        let Ok(tensors) = Tensor::read_safetensors(self.folder.join(FILE)) else { return false };
        unpack(&tensors.into_iter().collect(), training, &self.identity).is_some()
    }
}

/// Numbers a row of the history takes.
const WIDTH: usize = 10;

fn pack(training: &Training<'_>, identity: &str) -> Vec<(String, Tensor)> {
    let Training { weights, state, .. } = training;
    let mut tensors = vec![
        ("identity".to_string(), Tensor::from_slice(identity.as_bytes())),
        ("at".to_string(), Tensor::from_slice(&[i64::from(state.round), i64::from(state.epoch)])),
    ];
    let mut add = |group: &str, named: Vec<(String, Tensor)>| {
        tensors.extend(named.into_iter().map(|(name, tensor)| (format!("{group}/{name}"), tensor)));
    };
    add("now", weights.named(&weights.snapshot()));
    for (group, best) in [("round", &state.in_round), ("overall", &state.overall)] {
        add(group, vec![("best".into(), bits(&[best.loss, best.dice]))]);
        if let Some(snapshot) = &best.weights {
            add(group, weights.named(snapshot));
        }
    }
    if let Some(adam) = &state.adam {
        let named = |tensors: &[Tensor]| {
            let names = weights.trained().into_iter().map(|(name, _)| name.to_string());
            names.zip(tensors.iter().map(|tensor| tensor.to_device(tch::Device::Cpu).contiguous())).collect()
        };
        add("mean", named(&adam.means));
        add("square", named(&adam.squares));
        add("adam", vec![("steps".into(), Tensor::from_slice(&[adam.steps as i64]))]);
    }
    let rows: Vec<f64> = state.rows.iter().flat_map(numbers).collect();
    if !rows.is_empty() {
        add("history", vec![("rows".into(), bits(&rows))]);
    }
    if let Some(Divergence { round, epoch, step, rate, loss }) = state.diverged {
        let at = [round, epoch, step].map(f64::from);
        add("history", vec![("diverged".into(), bits(&[at[0], at[1], at[2], rate, loss]))]);
    }
    tensors
}

fn unpack(tensors: &BTreeMap<String, Tensor>, training: &mut Training<'_>, identity: &str) -> Option<()> {
    let get = |name: &str| tensors.get(name).map(Tensor::shallow_clone);
    if Vec::<u8>::try_from(get("identity")?).ok()? != identity.as_bytes() {
        return None;
    }
    let [round, epoch] = <[i64; 2]>::try_from(Vec::<i64>::try_from(get("at")?).ok()?).ok()?;
    let weights = &training.weights;
    let now = weights.snapshot_of(|name| get(&format!("now/{name}")))?;
    let best = |group: &str| {
        let [loss, dice] = <[f64; 2]>::try_from(floats(&get(&format!("{group}/best"))?)?).ok()?;
        Some(BestWeights { loss, dice, weights: weights.snapshot_of(|name| get(&format!("{group}/{name}"))) })
    };
    let (in_round, overall) = (best("round")?, best("overall")?);
    let adam = match get("adam/steps") {
        None => None,
        Some(steps) => Some(optimiser(training, &get, &steps)?),
    };
    let rows = match get("history/rows") {
        None => Vec::new(),
        Some(rows) => floats(&rows)?.chunks_exact(WIDTH).map(row).collect(),
    };
    let diverged = match get("history/diverged") {
        None => None,
        Some(found) => {
            let [round, epoch, step, rate, loss] = <[f64; 5]>::try_from(floats(&found)?).ok()?;
            Some(Divergence { round: round as u32, epoch: epoch as u32, step: step as u32, rate, loss })
        }
    };
    training.weights.restore(&now);
    let (round, epoch) = (u32::try_from(round).ok()?, u32::try_from(epoch).ok()?);
    training.state = TrainingState { round, epoch, adam, in_round, overall, rows, diverged };
    Some(())
}

fn optimiser(training: &Training<'_>, get: &impl Fn(&str) -> Option<Tensor>, steps: &Tensor) -> Option<Adam> {
    let trained = training.weights.trained();
    let list = |group: &str| {
        let tensors = trained.iter().map(|(name, own)| {
            let found = get(&format!("{group}/{name}"))?;
            // As the parameters lie in memory, which the optimiser goes through number by number.
            let mut laid_out = own.detach().zeros_like();
            (found.size() == own.size()).then(|| laid_out.copy_(&found)).map(|()| laid_out)
        });
        tensors.collect::<Option<Vec<_>>>()
    };
    let (means, squares) = (list("mean")?, list("square")?);
    let steps = u64::try_from(steps.f_int64_value(&[0]).ok()?).ok()?;
    let mut adam = Adam::new(trained.into_iter().map(|(_, tensor)| tensor).collect());
    (adam.means, adam.squares, adam.steps) = (means, squares, steps);
    Some(adam)
}

fn bits(numbers: &[f64]) -> Tensor {
    let bits: Vec<i64> = numbers.iter().map(|number| number.to_bits() as i64).collect();
    Tensor::from_slice(&bits)
}

fn floats(bits: &Tensor) -> Option<Vec<f64>> {
    if bits.kind() != Kind::Int64 {
        return None;
    }
    let bits = Vec::<i64>::try_from(bits).ok()?;
    Some(bits.into_iter().map(|bits| f64::from_bits(bits as u64)).collect())
}

fn numbers(row: &EpochRow) -> [f64; WIDTH] {
    let EpochRow { round, epoch, rate, train, validation, improved } = row;
    let flag = f64::from(u8::from(*improved));
    let (t, v) = (train, validation);
    [f64::from(*round), f64::from(*epoch), *rate, t.bce, t.dice, t.loss, v.bce, v.dice, v.loss, flag]
}

fn row(numbers: &[f64]) -> EpochRow {
    let means = |at: usize| Means { bce: numbers[at], dice: numbers[at + 1], loss: numbers[at + 2] };
    EpochRow {
        round: numbers[0] as u32,
        epoch: numbers[1] as u32,
        rate: numbers[2],
        train: means(3),
        validation: means(6),
        improved: numbers[9] != 0.0,
    }
}
