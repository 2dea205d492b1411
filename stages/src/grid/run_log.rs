//! The log that a training of the original prints, and the least validation Dice loss of each of its iterations.
//!
//! A log has iterations, these have rounds, these have epochs; an epoch is one line, printed by the original
//! (`train/_core.py`) as
//!
//! ```text
//!  1/10  0.00375   50.9 |   12.367     0.888     8.579 |    0.426     0.890     0.579 *
//! ```
//! epoch and number of epochs, learning rate, seconds; cross-entropy, Dice loss and loss of training; the same of
//! validation; a star where the validation loss is the least of the round so far.
//!
//! The value of an iteration is the least validation Dice loss of any of its epochs: by it the original chooses the
//! round and the iteration that it keeps. The notebook's reader takes something else here and there ([`OriginalRule`]);
//! each of its rules can be asked for by name. Does not depend on files.

use pipe_contract::choice;

choice! {
    /// A rule of the notebook's `load_cell` that differs from what the log means.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum OriginalRule {
        /// Iterations begin only at lines that start with `Iteration`: a log without one (such as that of 2022) has no
        /// value.
        Iterations = "iterations",
        /// The last line of the log is not read.
        LastLine = "last-line",
        /// Only starred epochs count, those whose *loss* was the least so far.
        Starred = "starred",
        /// The value is the tenth word of the line, which is another number where there are fewer than ten epochs (` 1/
        /// 5`).
        Token9 = "token-9",
    }
}

/// All rules of the original.
pub const ORIGINAL: [OriginalRule; 4] =
    [OriginalRule::Iterations, OriginalRule::LastLine, OriginalRule::Starred, OriginalRule::Token9];

/// One iteration of a training: `until` of them start from fresh weights.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedIteration {
    /// What the network saw, where iterations begin with it (`Training: anat`). Where they are numbered, all are of one cell.
    pub inputs: Option<String>,
    /// Its least validation Dice loss; none if no epoch counts.
    pub dice: Option<f64>,
    /// Whether it has epochs, and no validation Dice loss of theirs is a finite number.
    pub has_diverged: bool,
    /// Rounds that have begun.
    pub rounds: usize,
    /// Whether its last round has all of its epochs.
    pub is_ended: bool,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogError {
    /// The line, from 1.
    pub line: usize,
    /// What was found and expected.
    pub message: String,
}

/// A line about an epoch.
struct EpochLine {
    epoch: u32,
    epochs: u32,
    dice: f64,
    is_starred: bool,
}

/// The iterations of a log, in its order.
///
/// # Errors
/// A line begins like an epoch's and is not one. Where it is the last line and has no end, the program was stopped
/// while it printed it, and it is left out.
pub fn iterations(log: &str, rules: &[OriginalRule]) -> Result<Vec<LoggedIteration>, LogError> {
    let text = log.replace("\r\n", "\n");
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if rules.contains(&OriginalRule::LastLine) {
        lines.pop();
    }
    let starts = starts(&lines, rules.contains(&OriginalRule::Iterations));
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts.iter().zip(ends).map(|(start, end)| iteration(&lines[*start..end], *start, rules)).collect()
}

/// Where iterations begin. A log without the lines that say it has them where it names other inputs, or is one.
fn starts(lines: &[&str], marked_only: bool) -> Vec<usize> {
    let starting = |word: &str| -> Vec<usize> {
        let at = lines.iter().enumerate().filter(|(_, line)| line.starts_with(word));
        at.map(|(number, _)| number).collect()
    };
    let marked = starting("Iteration");
    if marked_only || !marked.is_empty() {
        return marked;
    }
    let named = starting(NAMED);
    if named.is_empty() { vec![0] } else { named }
}

/// How a log of 2022 begins the part of other inputs.
const NAMED: &str = "Training: ";

fn iteration(lines: &[&str], before: usize, rules: &[OriginalRule]) -> Result<LoggedIteration, LogError> {
    let mut found = LoggedIteration { inputs: None, dice: None, has_diverged: false, rounds: 0, is_ended: false };
    let mut has_finite = false;
    for (number, line) in lines.iter().enumerate() {
        let read = match epoch_line(line) {
            None => {
                found.inputs = found.inputs.or_else(|| line.strip_prefix(NAMED).map(|name| name.trim().to_owned()));
                continue;
            }
            Some(Err(_)) if !line.ends_with('\n') => continue,
            Some(Err(message)) => return Err(LogError { line: before + number + 1, message }),
            Some(Ok(epoch)) => epoch,
        };
        found.rounds += usize::from(read.epoch == 1);
        found.is_ended = read.epoch == read.epochs;
        has_finite |= read.dice.is_finite();
        found.has_diverged = !has_finite;
        if read.is_starred || !rules.contains(&OriginalRule::Starred) {
            let value = if rules.contains(&OriginalRule::Token9) { tenth_word(line) } else { Some(read.dice) };
            found.dice = value.into_iter().chain(found.dice).filter(|value| !value.is_nan()).reduce(f64::min);
        }
    }
    Ok(found)
}

fn tenth_word(line: &str) -> Option<f64> {
    line.split_whitespace().nth(9)?.parse().ok()
}

/// A line that begins like an epoch's; `None` for any other.
fn epoch_line(line: &str) -> Option<Result<EpochLine, String>> {
    let (epoch, rest) = line.trim_start().split_once('/').filter(|(_, rest)| rest.contains('|'))?;
    let epoch = epoch.parse().ok()?;
    Some(after_epoch(epoch, rest).ok_or_else(|| {
        format!("found `{}`, expected `{EXAMPLE}`", line.trim_end().chars().take(MOST_SHOWN).collect::<String>())
    }))
}

const EXAMPLE: &str = " 1/10  0.00375   50.9 |   12.367     0.888     8.579 |    0.426     0.890     0.579 *";
/// So much of a wrong line is shown.
const MOST_SHOWN: usize = 100;

fn after_epoch(epoch: u32, rest: &str) -> Option<EpochLine> {
    let mut parts = rest.trim_end().split('|').map(|part| part.split_whitespace().collect::<Vec<_>>());
    let (head, train, mut validation) = (parts.next()?, parts.next()?, parts.next()?);
    let is_starred = validation.last() == Some(&"*");
    if is_starred {
        validation.pop();
    }
    let numbers = |words: &[&str]| words.iter().map(|word| word.parse::<f64>().ok()).collect::<Option<Vec<f64>>>();
    let (head, _, validation) = (numbers(&head)?, of_three(numbers(&train)?)?, of_three(numbers(&validation)?)?);
    let [epochs, _, _] = of_three(head)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with a range first")]
    let epochs = (1.0..=1e6).contains(&epochs).then_some(epochs as u32)?;
    let is_line = parts.next().is_none() && (1..=epochs).contains(&epoch);
    is_line.then_some(EpochLine { epoch, epochs, dice: validation[1], is_starred })
}

fn of_three(numbers: Vec<f64>) -> Option<[f64; 3]> {
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;
    use crate::test_support::tasks::data;

    const LOG: &str = "
Iteration 0                                              Partition ID: 0x3ffbe
=====================================================================================

anat --------------------------------------------------------------------------------

epoch    lr     dt[s]   trn bce   trn dice  trn loss   val bce   val dice  val loss
=====--=======--=====-+-========--========--========-+-========--========--========
 1/10  0.00375   50.9 |   12.367     0.888     8.579 |    0.426     0.890     0.579 *
 2/10  0.00337   13.3 |    0.302     0.658     0.419 |    0.301     0.300     0.633\x20
10/10  0.00304   17.2 |    0.245     0.530     0.339 |    0.201     0.444     0.281 *
Best val loss: 0.281000

Iteration 1                                              Partition ID: 0x3ffbe
=====================================================================================

anat --------------------------------------------------------------------------------

epoch    lr     dt[s]   trn bce   trn dice  trn loss   val bce   val dice  val loss
=====--=======--=====-+-========--========--========-+-========--========--========
 1/10  0.00375   50.9 |   12.367     0.888     8.579 |    0.426       nan       nan\x20
 2/10  0.00337   13.3 |    0.302     0.658     0.419 |    0.301     0.699     0.433 *
10/10  0.00304   17.2 |    0.245     0.530     0.339 |    0.201     0.344     0.281 *
";

    fn dice(log: &str, rules: &[OriginalRule]) -> Vec<Option<f64>> {
        iterations(log, rules).unwrap().iter().map(|iteration| iteration.dice).collect()
    }

    #[test]
    fn each_iteration_has_its_least_dice_loss_of_any_epoch() {
        let found = iterations(LOG, &[]).unwrap();
        let first = LoggedIteration { inputs: None, dice: Some(0.3), has_diverged: false, rounds: 1, is_ended: true };
        assert_eq!(found, [first.clone(), LoggedIteration { dice: Some(0.344), ..first }]);
    }

    /// What `load_cell` gives for this log, computed with Python: [0.444, 0.699].
    #[test]
    fn the_rules_of_the_original_give_its_values() {
        assert_eq!(dice(LOG, &ORIGINAL), [Some(0.444), Some(0.699)]);
        assert_eq!(dice(LOG, &[OriginalRule::Starred]), [Some(0.444), Some(0.344)]);
        assert_eq!(dice(LOG, &[OriginalRule::LastLine]), [Some(0.3), Some(0.699)]);
        assert_eq!(dice(LOG, &[OriginalRule::Token9]), [Some(0.3), Some(0.344)]);
    }

    #[test]
    fn the_tenth_word_is_another_number_where_epochs_are_few() {
        let log =
            "Iteration 0\n 1/ 5  0.00375   50.9 |   12.367     0.888     8.579 |    0.426     0.890     0.579 *\n\n";
        assert_eq!(dice(log, &[]), [Some(0.89)]);
        assert_eq!(dice(log, &ORIGINAL), [Some(0.426)]);
    }

    #[test]
    fn a_log_without_iterations_has_a_value_only_by_the_right_rule() {
        let log = LOG.replace("Iteration", "Run");
        assert_eq!(dice(&log, &[]), [Some(0.3)]);
        assert_eq!(dice(&log, &[OriginalRule::Iterations]), []);
        assert_eq!(dice("", &[]), [None]);
        let named = LOG.replace("Iteration 0  ", "Training: func").replace("Iteration 1  ", "Training: anat");
        let named = named.replace("Partition ID: 0x3ffbe", "");
        let names: Vec<_> = iterations(&named, &[]).unwrap().into_iter().map(|iteration| iteration.inputs).collect();
        assert_eq!(names, [Some("func".into()), Some("anat".into())], "{named}");
    }

    #[test]
    fn a_log_that_breaks_off_is_read_as_far_as_it_goes() {
        let stopped = &LOG[..LOG.rfind("0.344").unwrap()];
        let found = iterations(stopped, &[]).unwrap();
        assert_eq!((found[1].dice, found[1].is_ended), (Some(0.699), false));
        assert!(found[0].is_ended);
        assert_eq!(iterations(&LOG.replace('\n', "\r\n"), &[]), iterations(LOG, &[]));
    }

    #[test]
    fn an_iteration_without_a_finite_loss_has_diverged() {
        let nan = |line: &str| match line.contains(" | ") {
            true => format!("{} |    0.426       nan       nan\n", line.rsplit_once(" |").unwrap().0),
            false => format!("{line}\n"),
        };
        let second = LOG.find("Iteration 1").unwrap();
        let log: String = LOG[..second].to_owned() + &LOG[second..].lines().map(nan).collect::<String>();
        let found: Vec<_> = iterations(&log, &[]).unwrap().iter().map(|one| (one.dice, one.has_diverged)).collect();
        assert_eq!(found, [(Some(0.3), false), (None, true)], "{log}");
        assert!(!iterations("", &[]).unwrap()[0].has_diverged, "a log without epochs says nothing");
    }

    #[test]
    fn a_damaged_line_is_named() {
        let damaged = LOG.replacen("0.658     0.419", "0.658 # 0.419", 1);
        let error = iterations(&damaged, &[]).unwrap_err();
        assert_eq!(error.line, 10);
        assert!(error.message.starts_with("found ` 2/10  0.00337") && error.message.contains("expected ` 1/10"));
        for bad in ["11/10", " 0/10", " 1/x0"] {
            assert!(iterations(&LOG.replacen(" 1/10", bad, 1), &[]).is_err(), "{bad}");
        }
    }

    /// The minima were computed with awk: the least tenth word of the 30 lines of each part.
    #[test]
    #[ignore = "reads real data that is not part of the project"]
    fn the_real_log_of_2022_has_three_trainings_and_the_original_reads_none() {
        let log = fs::read_to_string(data("visual-autolabel").join("train-unet_2022_output.log")).unwrap();
        let found = iterations(&log, &[]).unwrap();
        let rows: Vec<_> =
            found.iter().map(|one| (one.inputs.as_deref().unwrap(), one.dice.unwrap(), one.rounds)).collect();
        assert_eq!(rows, [("anat", 0.174, 3), ("func", 0.134, 3), ("both", 0.07, 3)]);
        assert!(found.iter().all(|one| one.is_ended));
        assert_eq!(iterations(&log, &ORIGINAL).unwrap(), []);
        let starred = dice(&log, &[OriginalRule::Starred]);
        assert_eq!(starred, [Some(0.174), Some(0.134), Some(0.07)]);
    }
}
