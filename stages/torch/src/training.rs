//! The training loop of the paper: rounds of epochs, the best epoch of a round by validation loss, the best round by validation Dice.
//!
//! Each round has a new Adam and starts from the best weights of the one before. An epoch trains on all samples in random order, the
//! last batch as small as it comes, then validates. Losses are means over samples of their batches' losses; both orders matter (the
//! cross-entropy is weighted over a batch), so both come from the seed.
//!
//! Validation runs the network once per subject, not once per rater: with running statistics a sample's logits depend on nothing else
//! in its batch.

use std::fmt::Write as _;
use std::time::Instant;

use pipe_contract::{Context, Failure, Metric, Progress};
use pipe_stages::unet::declarations::Precision;
use pipe_stages::unet::training_schedule::Round;
use tch::Tensor;

use crate::adam::Adam;
use crate::draws;
use crate::loss::losses;
use crate::samples::{Pair, Samples};
use crate::unet::{Mode, UNet};
use crate::weights::{Snapshot, Weights};

/// The two halves of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochSide {
    /// Changes the weights.
    Train,
    /// Measures them.
    Validation,
}

/// In which order the samples of a side come: side, epoch counted over all rounds, number of samples.
pub type Order = Box<dyn Fn(EpochSide, u32, usize) -> Vec<usize>>;

/// The order that follows from a seed; needs no state, so a resumed training goes on with the same one.
pub fn shuffled(seed: u64) -> Order {
    Box::new(move |side, epoch, count| {
        let word = if side == EpochSide::Train { "train" } else { "validation" };
        draws::order(&mut draws::stream(seed, &format!("order {word} {epoch}")), count)
    })
}

/// Means over the samples of one side in one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Means {
    /// Cross-entropy.
    pub bce: f64,
    /// Dice loss.
    pub dice: f64,
    /// The weighted sum that is trained on.
    pub loss: f64,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochRow {
    /// Round, from 0.
    pub round: u32,
    /// Epoch in the round, from 0.
    pub epoch: u32,
    /// Learning rate.
    pub rate: f64,
    /// Losses while training.
    pub train: Means,
    /// Losses on validation.
    pub validation: Means,
    /// Whether this epoch has the round's lowest validation loss so far.
    pub improved: bool,
}

/// Where the loss of a training was first not a finite number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// Round, from 0.
    pub round: u32,
    /// Epoch in the round, from 0.
    pub epoch: u32,
    /// Step of the epoch (a batch), from 1; 0 if all of them had finite losses and the validation after them had not.
    pub step: u32,
    /// Learning rate.
    pub rate: f64,
    /// The loss.
    pub loss: f64,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { round, epoch, step, rate, loss } = self;
        write!(text, "{loss} in round {}, epoch {}, ", round + 1, epoch + 1)?;
        match step {
            0 => write!(text, "validation")?,
            step => write!(text, "step {step}")?,
        }
        write!(text, " (learning rate {rate:?})")
    }
}

/// The best of something so far.
#[derive(Debug)]
pub struct BestWeights {
    /// Lowest validation loss of the round.
    pub loss: f64,
    /// Lowest validation Dice loss of the round, of any epoch.
    pub dice: f64,
    /// The weights of the epoch with the lowest loss. While no loss was finite, a round's are those it began with, and of
    /// all rounds there are none.
    pub weights: Option<Snapshot>,
}

impl BestWeights {
    fn none() -> Self {
        Self { loss: f64::INFINITY, dice: f64::INFINITY, weights: None }
    }
}

/// The state of a training between two epochs. Together with the weights themselves it is all that a resumed training needs.
#[derive(Debug)]
pub struct TrainingState {
    /// The round to do next, from 0.
    pub round: u32,
    /// The epoch in it to do next, from 0.
    pub epoch: u32,
    /// The optimiser, if the round has begun.
    pub adam: Option<Adam>,
    /// The best of the round that has begun.
    pub in_round: BestWeights,
    /// The best round, as the weights it ended with.
    pub overall: BestWeights,
    /// What happened so far.
    pub rows: Vec<EpochRow>,
    /// Where a loss was first not a finite number.
    pub diverged: Option<Divergence>,
}

/// A training under way.
pub struct Training<'a> {
    /// The weights, changed in place.
    pub weights: Weights,
    /// Its state between two epochs.
    pub state: TrainingState,
    network: UNet,
    samples: &'a Samples,
    plan: &'a [Round],
    order: Order,
    context: &'a dyn Context,
}

impl<'a> Training<'a> {
    /// A training that has not begun.
    pub fn new(
        weights: Weights,
        samples: &'a Samples,
        plan: &'a [Round],
        order: Order,
        context: &'a dyn Context,
    ) -> Self {
        let network = UNet::new(&weights);
        let state = TrainingState {
            round: 0,
            epoch: 0,
            adam: None,
            in_round: BestWeights::none(),
            overall: BestWeights::none(),
            rows: Vec::new(),
            diverged: None,
        };
        Self { weights, state, network, samples, plan, order, context }
    }

    /// The same training with another precision of its convolutions.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { network: UNet::with_precision(&self.weights, precision), ..self }
    }

    /// Whether all rounds are done.
    pub fn is_done(&self) -> bool {
        self.state.round as usize >= self.plan.len()
    }

    /// Does the next epoch, and ends its round if it was the last one of it.
    ///
    /// # Errors
    /// Stage: cancelled. Internal: libtorch refuses.
    pub fn advance(&mut self) -> Result<(), Failure> {
        let Some(round) = self.plan.get(self.state.round as usize) else { return Ok(()) };
        if self.state.epoch == 0 {
            self.begin_round();
        }
        let begun = Instant::now();
        let row = self.epoch(round)?;
        // Seconds go to the log only: an artifact must not hold what the next run cannot repeat.
        self.context.log(&log_row(&row, round.num_epochs, begun.elapsed().as_secs_f64()));
        self.report_metrics(&row);
        self.keep_best(&row);
        self.state.rows.push(row);
        self.state.epoch += 1;
        if self.state.epoch == round.num_epochs {
            self.end_round();
        }
        Ok(())
    }

    fn begin_round(&mut self) {
        let parameters = self.weights.trained().into_iter().map(|(_, tensor)| tensor).collect();
        self.state.adam = Some(Adam::new(parameters));
        self.state.in_round = BestWeights { weights: Some(self.weights.snapshot()), ..BestWeights::none() };
        if self.state.round > 0 {
            self.context.log("");
        }
        for line in HEADER {
            self.context.log(line);
        }
    }

    fn epoch(&mut self, round: &Round) -> Result<EpochRow, Failure> {
        let rate = round.rate(self.state.epoch);
        let train = self.train(round, rate)?;
        let validation = self.validate(round)?;
        // The score decides between rounds, so it counts too.
        let loss = if validation.dice.is_finite() { validation.loss } else { validation.dice };
        self.note_loss(0, rate, loss);
        let improved = validation.loss < self.state.in_round.loss;
        Ok(EpochRow { round: self.state.round, epoch: self.state.epoch, rate, train, validation, improved })
    }

    fn train(&mut self, round: &Round, rate: f64) -> Result<Means, Failure> {
        let mut sums = Sums::default();
        for (step, batch) in (1..).zip(self.batches(EpochSide::Train, round)) {
            self.report_progress(sums.samples)?;
            let (images, gold) = self.samples.batch(&batch);
            let found = losses(&self.network.forward(&images, Mode::Train), &gold, round.bce_weight);
            let adam = self.state.adam.as_mut().ok_or_else(|| Failure::internal("a round has no optimiser"))?;
            adam.forget_gradients();
            found.total.backward();
            adam.step(rate)?;
            let loss = sums.add(&found, batch.len());
            self.note_loss(step, rate, loss);
        }
        Ok(sums.means())
    }

    /// Remembers where a loss was first not a finite number.
    fn note_loss(&mut self, step: u32, rate: f64, loss: f64) {
        let TrainingState { round, epoch, diverged, .. } = &mut self.state;
        if diverged.is_none() && !loss.is_finite() {
            *diverged = Some(Divergence { round: *round, epoch: *epoch, step, rate, loss });
        }
    }

    fn validate(&self, round: &Round) -> Result<Means, Failure> {
        let _guard = tch::no_grad_guard();
        let logits = self.logits(round)?;
        let mut sums = Sums::default();
        for batch in self.batches(EpochSide::Validation, round) {
            let (_, gold) = self.samples.batch(&batch);
            let shown: Vec<Tensor> = batch
                .iter()
                .map(|pair| logits[pair.subject].as_ref().map_or_else(Tensor::new, Tensor::shallow_clone))
                .collect();
            sums.add(&losses(&Tensor::stack(&shown, 0), &gold, round.bce_weight), batch.len());
        }
        Ok(sums.means())
    }

    /// Logits of every subject in the validation set, by index of the subject.
    fn logits(&self, round: &Round) -> Result<Vec<Option<Tensor>>, Failure> {
        let mut subjects: Vec<usize> = self.samples.validation.iter().map(|pair| pair.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let mut logits: Vec<Option<Tensor>> = (0..self.samples.images.size()[0]).map(|_| None).collect();
        for some in subjects.chunks(round.batch_size as usize) {
            self.report_progress(self.samples.train.len())?;
            let index: Vec<i64> = some.iter().map(|subject| *subject as i64).collect();
            let index = Tensor::from_slice(&index).to_device(self.samples.images.device());
            let found = self.network.forward(&self.samples.images.index_select(0, &index), Mode::Running);
            for (at, subject) in some.iter().enumerate() {
                logits[*subject] = Some(found.get(at as i64));
            }
        }
        Ok(logits)
    }

    fn batches(&self, side: EpochSide, round: &Round) -> Vec<Vec<Pair>> {
        let pairs = if side == EpochSide::Train { &self.samples.train } else { &self.samples.validation };
        let epoch = self.state.rows.len() as u32;
        let ordered: Vec<Pair> = (self.order)(side, epoch, pairs.len()).into_iter().map(|index| pairs[index]).collect();
        ordered.chunks(round.batch_size as usize).map(<[Pair]>::to_vec).collect()
    }

    fn keep_best(&mut self, row: &EpochRow) {
        let best = &mut self.state.in_round;
        if row.improved {
            best.loss = row.validation.loss;
            best.weights = Some(self.weights.snapshot());
        }
        best.dice = best.dice.min(row.validation.dice);
    }

    fn end_round(&mut self) {
        let found = std::mem::replace(&mut self.state.in_round, BestWeights::none());
        self.context.log(&format!("Best val loss: {:.6}", found.loss));
        if let Some(weights) = &found.weights {
            self.weights.restore(weights);
        }
        if found.loss.is_finite() && found.dice < self.state.overall.dice {
            self.state.overall = found;
        }
        self.state.adam = None;
        self.state.round += 1;
        self.state.epoch = 0;
    }

    /// Reports the losses of an epoch, and the score by which trainings are compared; steps are epochs from 1, counted over all rounds.
    fn report_metrics(&self, row: &EpochRow) {
        let step = self.state.rows.len() as u64 + 1;
        let place = [("round", self.state.round), ("epoch", self.state.epoch)];
        let dice = Metric::new("validation/dice", step, 1.0 - row.validation.dice);
        place
            .iter()
            .filter_map(|(name, number)| Metric::new(name, step, f64::from(number + 1)))
            .chain(dice)
            .for_each(|metric| self.context.metric(metric));
        for (part, means) in [("train", &row.train), ("validation", &row.validation)] {
            for (name, value) in [("loss", means.loss), ("dice_loss", means.dice), ("cross_entropy", means.bce)] {
                // A loss that is not finite is in the log and in the table, as text.
                if let Some(metric) = Metric::new(&format!("{part}/{name}"), step, value) {
                    self.context.metric(metric);
                }
            }
        }
    }

    /// Reports how far the training is; an error if the run has cancelled it.
    fn report_progress(&self, samples_done: usize) -> Result<(), Failure> {
        if self.context.cancelled() {
            return Err(Failure::stage("cancelled while training"));
        }
        let epochs: u32 = self.plan.iter().map(|round| round.num_epochs).sum();
        let each = self.samples.train.len();
        let in_round = self.plan.get(self.state.round as usize).map_or(0, |round| round.num_epochs);
        let (round, epoch) = (self.state.round + 1, self.state.epoch + 1);
        let mut note = format!("round {round}/{}, epoch {epoch}/{in_round}", self.plan.len());
        if let Some(last) = self.state.rows.last() {
            // The Dice loss is one minus the score; users know the score.
            let _ = write!(note, ", val dice {:.2}", 1.0 - last.validation.dice);
        }
        self.context.progress(Progress {
            done: (self.state.rows.len() * each + samples_done) as u64,
            total: u64::from(epochs) * each as u64,
            unit: "steps".into(),
            note,
        });
        Ok(())
    }
}

#[derive(Default)]
struct Sums {
    samples: usize,
    total: Means,
}

impl Sums {
    /// Adds the losses of a batch, and returns what is trained on.
    fn add(&mut self, found: &crate::loss::Losses, samples: usize) -> f64 {
        let [bce, dice, loss] = [&found.bce, &found.dice, &found.total].map(|loss| loss.double_value(&[]));
        self.total.bce += samples as f64 * bce;
        self.total.dice += samples as f64 * dice;
        self.total.loss += samples as f64 * loss;
        self.samples += samples;
        loss
    }

    fn means(&self) -> Means {
        let each = |sum: f64| sum / self.samples as f64;
        Means { bce: each(self.total.bce), dice: each(self.total.dice), loss: each(self.total.loss) }
    }
}

/// The table of the original's log, which its grid-search reader parses.
const HEADER: [&str; 2] = [
    "epoch    lr     dt[s]   trn bce   trn dice  trn loss   val bce   val dice  val loss",
    "=====--=======--=====-+-========--========--========-+-========--========--========",
];

/// The lines before the first round. The original prints its partition id here; together with the list of subjects it gives away
/// who was trained on, and so who has a twin: it is withheld.
pub fn preamble(inputs: &str) -> [String; 6] {
    [
        String::new(),
        format!("{:<15}{:>70}", "Iteration 0", "Partition ID: withheld"),
        "=".repeat(85),
        String::new(),
        format!("{:-<85}", format!("{inputs} ")),
        String::new(),
    ]
}

fn log_row(row: &EpochRow, epochs: u32, seconds: f64) -> String {
    let EpochRow { epoch, rate, train, validation, improved, .. } = row;
    format!(
        "{:2}/{:2}  {rate:7.5}  {seconds:5.1} | {:8.3}  {:8.3}  {:8.3} | {:8.3}  {:8.3}  {:8.3} {}",
        epoch + 1,
        epochs,
        train.bce,
        train.dice,
        train.loss,
        validation.bce,
        validation.dice,
        validation.loss,
        if *improved { "*" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_have_the_original_form() {
        let means = |bce, dice, loss| Means { bce, dice, loss };
        let mut row = EpochRow {
            round: 0,
            epoch: 9,
            rate: 0.00375,
            train: means(1.5, 0.25, 0.75),
            validation: means(12.0, 0.125, 3.0),
            improved: true,
        };
        let line = "10/10  0.00375   12.3 |    1.500     0.250     0.750 |   12.000     0.125     3.000 *";
        assert_eq!(log_row(&row, 10, 12.34), line);
        // The reader of the original takes the tenth word of starred lines as the Dice loss.
        assert_eq!(line.split_whitespace().nth(9), Some("0.125"));
        row.improved = false;
        assert!(log_row(&row, 10, 12.34).ends_with("3.000 "));
        let lines = preamble("anat");
        assert!(lines.iter().all(|line| line.is_empty() || line.len() == 85), "{lines:?}");
    }

    #[test]
    fn orders_repeat_and_differ_between_sides_and_epochs() {
        let order = shuffled(11);
        assert_eq!(order(EpochSide::Train, 3, 30), shuffled(11)(EpochSide::Train, 3, 30));
        assert_ne!(order(EpochSide::Train, 3, 30), order(EpochSide::Validation, 3, 30));
        assert_ne!(order(EpochSide::Train, 3, 30), order(EpochSide::Train, 4, 30));
    }
}
