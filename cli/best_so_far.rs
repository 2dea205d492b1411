//! Which instance of a stage has reached the best value so far, by the metric that its kind declares as its objective.
//! Folds metrics; does not depend on where they come from.

use std::collections::BTreeMap;

use pipe_contract::{Metric, Objective};

/// The best value that one instance has reached, and its last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached {
    /// The best value.
    pub best: f64,
    /// Where that was: `round 2, epoch 7`, or the step of the metric.
    pub at: String,
    /// The last value.
    pub last: f64,
}

/// The instances of one stage.
#[derive(Clone, Debug)]
pub struct BestSoFar {
    objective: Objective,
    /// By label.
    reached: BTreeMap<String, Reached>,
    /// By label, the last values of the metrics that say where a value was reached.
    places: BTreeMap<String, BTreeMap<&'static str, f64>>,
}

impl BestSoFar {
    /// Of a stage that has not begun.
    pub fn new(objective: Objective) -> Self {
        Self { objective, reached: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// The metric.
    pub fn metric(&self) -> &'static str {
        self.objective.metric
    }

    /// Takes in a metric of an instance; whether it is the best value of all so far.
    pub fn take(&mut self, label: &str, metric: &Metric) -> bool {
        if let Some(name) = self.objective.places.iter().find(|name| **name == metric.name()) {
            self.places.entry(label.to_owned()).or_default().insert(name, metric.value());
        }
        if metric.name() != self.objective.metric {
            return false;
        }
        let value = metric.value();
        let is_best = self.best().is_none_or(|(_, best)| self.is_better(value, best.best));
        let at = self.place(label, metric);
        match self.reached.get_mut(label) {
            Some(reached) if !is_better(&self.objective, value, reached.best) => reached.last = value,
            _ => {
                self.reached.insert(label.to_owned(), Reached { best: value, at, last: value });
            }
        }
        is_best
    }

    fn place(&self, label: &str, metric: &Metric) -> String {
        let known = self.places.get(label);
        let words: Vec<String> =
            self.objective.places.iter().filter_map(|name| Some(format!("{name} {}", known?.get(name)?))).collect();
        if words.is_empty() { format!("step {}", metric.step()) } else { words.join(", ") }
    }

    fn is_better(&self, value: f64, than: f64) -> bool {
        is_better(&self.objective, value, than)
    }

    /// The best instance; of equal ones the first by label.
    pub fn best(&self) -> Option<(&str, &Reached)> {
        self.ranked().into_iter().next()
    }

    /// All instances, the best first.
    pub fn ranked(&self) -> Vec<(&str, &Reached)> {
        let mut all: Vec<(&str, &Reached)> =
            self.reached.iter().map(|(label, reached)| (label.as_str(), reached)).collect();
        all.sort_by(|(_, a), (_, b)| match self.objective.less_is_better {
            true => a.best.total_cmp(&b.best),
            false => b.best.total_cmp(&a.best),
        });
        all
    }
}

fn is_better(objective: &Objective, value: f64, than: f64) -> bool {
    if objective.less_is_better { value < than } else { value > than }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DICE: Objective = Objective { metric: "dice", less_is_better: false, places: &["round", "epoch"] };

    fn take(best: &mut BestSoFar, label: &str, epoch: u64, dice: f64) -> bool {
        let metric = |name, value| Metric::new(name, epoch, value).unwrap();
        best.take(label, &metric("round", 1.0));
        best.take(label, &metric("epoch", epoch as f64));
        best.take(label, &metric("loss", 1.0 - dice));
        best.take(label, &metric("dice", dice))
    }

    #[test]
    fn the_best_value_is_kept_with_its_place_and_the_last_beside_it() {
        let mut best = BestSoFar::new(DICE);
        assert!(take(&mut best, "train(restart=1)", 1, 0.5));
        assert!(take(&mut best, "train(restart=2)", 1, 0.7));
        assert!(!take(&mut best, "train(restart=1)", 2, 0.6));
        assert!(!take(&mut best, "train(restart=2)", 2, 0.4));
        let reached = |best: f64, at: &str, last: f64| Reached { best, at: at.to_owned(), last };
        assert_eq!(
            best.ranked(),
            [
                ("train(restart=2)", &reached(0.7, "round 1, epoch 1", 0.4)),
                ("train(restart=1)", &reached(0.6, "round 1, epoch 2", 0.6)),
            ]
        );
    }

    #[test]
    fn less_may_be_better_and_a_place_may_be_unknown() {
        let mut best = BestSoFar::new(Objective { metric: "loss", less_is_better: true, places: &["epoch"] });
        let loss = |step, value| Metric::new("loss", step, value).unwrap();
        assert!(best.take("a", &loss(4, 0.2)));
        assert!(!best.take("b", &loss(1, 0.3)));
        assert_eq!(best.best().map(|(label, reached)| (label, reached.at.as_str())), Some(("a", "step 4")));
    }
}
