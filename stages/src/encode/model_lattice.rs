//! Which models of predictions are the subsets of which feature spaces.

use pipe_contract::Failure;

use crate::formats::predictions::Model;
use crate::numeric::subset_lattice::{MOST_SOURCES, SubsetLattice};

/// Feature spaces, and the models that have some of them.
#[derive(Debug)]
pub(super) struct ModelLattice {
    pub sets: SubsetLattice,
    /// By set, the place of its model among those of the predictions.
    models: Vec<Option<usize>>,
}

impl ModelLattice {
    /// Of these spaces in their written order; of none, those of the model with the most spaces. Models with other spaces are left out.
    ///
    /// # Errors
    /// Input: a space that no model has, one that is named twice, more spaces than a lattice can have, or two models of the same spaces.
    pub fn new(all: &[Model], spaces: &[String]) -> Result<Self, Failure> {
        let largest = largest(all).map(|model| all[model].spaces.clone()).unwrap_or_default();
        let spaces = if spaces.is_empty() { largest } else { spaces.to_vec() };
        if spaces.len() > MOST_SOURCES {
            let message =
                format!("a lattice of {} spaces was asked for, expected at most {MOST_SOURCES}", spaces.len());
            return Err(Failure::input(message).hint("name fewer `spaces`, or join spaces that belong together"));
        }
        for (at, space) in spaces.iter().enumerate() {
            if spaces[..at].contains(space) {
                return Err(Failure::input(format!("`spaces` name `{space}` twice")));
            }
            if !all.iter().any(|model| model.spaces.contains(space)) {
                let names: Vec<String> = all.iter().map(|model| format!("`{}`", model.name())).collect();
                let message = format!("no model has the space `{space}`; the models are {}", names.join(", "));
                return Err(Failure::input(message));
            }
        }
        let sets = SubsetLattice::new(spaces);
        let mut models: Vec<Option<usize>> = vec![None; sets.len()];
        for (at, model) in all.iter().enumerate() {
            let Ok(set) = sets.set(model.spaces.iter().map(String::as_str)) else { continue };
            if models[set].replace(at).is_some() {
                return Err(Failure::input(format!("two models have the spaces `{}`, expected one", sets.joined(set))));
            }
        }
        Ok(Self { sets, models })
    }

    /// The models of all sets but the empty one, in the order of their bits.
    ///
    /// # Errors
    /// Input: some set has no model.
    pub fn complete(&self) -> Result<Vec<usize>, Failure> {
        let missing: Vec<String> = (1..self.sets.len())
            .filter(|set| self.models[*set].is_none())
            .map(|set| format!("`{}`", self.sets.joined(set)))
            .collect();
        if missing.is_empty() {
            return Ok(self.models[1..].iter().copied().flatten().collect());
        }
        Err(Failure::input(format!(
            "{} of the {} models of `{}` lack predictions: {}",
            missing.len(),
            self.sets.all(),
            self.sets.sources().join(", "),
            missing.join(", ")
        ))
        .hint("shared parts need a model for every combination of spaces: fit them all, or name fewer `spaces`"))
    }
}

/// The first model with the most spaces: the one whose contributions predictions have.
pub(super) fn largest(models: &[Model]) -> Option<usize> {
    (0..models.len()).rev().max_by_key(|model| models[*model].spaces.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(spaces: &[&[&str]]) -> Vec<Model> {
        spaces.iter().map(|spaces| Model { spaces: spaces.iter().map(ToString::to_string).collect() }).collect()
    }

    #[test]
    fn models_are_found_by_their_spaces_in_any_order() {
        let all = models(&[&["a", "b"], &["b"], &["a"], &["c"]]);
        let lattice = ModelLattice::new(&all, &[]).unwrap();
        assert_eq!((lattice.sets.sources().join(" "), lattice.complete().unwrap()), ("a b".to_owned(), vec![2, 1, 0]));
        let turned = ModelLattice::new(&all, &["b".into(), "a".into()]).unwrap();
        assert_eq!(turned.complete().unwrap(), [1, 2, 0]);
        assert_eq!(ModelLattice::new(&all, &["c".into()]).unwrap().complete().unwrap(), [3]);
    }

    #[test]
    fn what_cannot_be_a_lattice_is_refused() {
        let all = models(&[&["a", "b"], &["b"], &["b", "a"]]);
        assert_eq!(ModelLattice::new(&all, &[]).unwrap_err().message, "two models have the spaces `a+b`, expected one");
        let failure = ModelLattice::new(&all[..2], &["d".into()]).unwrap_err();
        assert_eq!(failure.message, "no model has the space `d`; the models are `a+b`, `b`");
        let failure = ModelLattice::new(&all[..2], &["a".into(), "a".into()]).unwrap_err();
        assert_eq!(failure.message, "`spaces` name `a` twice");
        let failure = ModelLattice::new(&all[..2], &[]).unwrap().complete().unwrap_err();
        assert_eq!(failure.message, "1 of the 3 models of `a, b` lack predictions: `a`");
        let many: Vec<String> = (0..11).map(|at| format!("s{at}")).collect();
        let failure = ModelLattice::new(&[Model { spaces: many }], &[]).unwrap_err();
        assert_eq!(failure.message, "a lattice of 11 spaces was asked for, expected at most 10");
    }
}
