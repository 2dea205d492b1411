//! The seven factors of the grid search, in the published order, and the number of each of their combinations.
//!
//! A cell's number is a mixed-radix number whose first factor is fastest: with the published levels the strides are 1,
//! 2, 10, 50, 150, 450 and 900, and there are 1800 cells (`grid-params.json` and `gen-gridparams.py` of the original).
//! Does not depend on where the values come from.

use pipe_contract::{Coordinates, Failure, parameters};

parameters! {
    /// The levels of every factor. The defaults are the published ones; the order of a list decides the numbers of
    /// cells.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Factors {
        /// encoders: levels of the first factor, the fastest in a cell's number
        pub base_model: Vec<String> = words(&["resnet18", "resnet34"]);
        /// learning rates of the first round
        pub lr: Vec<f64> = vec![0.00167, 0.0025, 0.00375, 0.00562, 0.00844];
        /// factors on the learning rate after each epoch
        pub gamma: Vec<f64> = vec![0.8, 0.85, 0.9, 0.95, 1.0];
        /// shares of cross-entropy in the loss of the first round
        pub bce_weight: Vec<f64> = vec![0.5, 0.67, 0.75];
        /// samples in a batch
        pub batch_size: Vec<u32> = vec![4, 2, 6];
        /// codes of what the networks see
        pub inputs: Vec<String> = words(&["full", "anat"]);
        /// codes of what they label: levels of the last factor, the slowest
        pub prediction: Vec<String> = words(&["area", "ring"]);
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The values of the factors in one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellFactors {
    /// The encoder.
    pub base_model: String,
    /// Learning rate of the first round.
    pub lr: f64,
    /// Factor on the learning rate after each epoch.
    pub gamma: f64,
    /// Share of cross-entropy in the loss of the first round.
    pub bce_weight: f64,
    /// Samples in a batch.
    pub batch_size: u32,
    /// What the network sees.
    pub inputs: String,
    /// What it labels.
    pub prediction: String,
}

impl Factors {
    /// Checks that every factor has levels and none twice: else numbers of cells would mean nothing.
    ///
    /// # Errors
    /// Input: which factor, and what is wrong with it.
    pub fn check(&self) -> Result<(), Failure> {
        for (name, levels) in self.written() {
            if levels.is_empty() {
                return Err(Failure::input(format!("the factor `{name}` has no levels, expected at least one")));
            }
            let twice = levels.iter().enumerate().find(|(index, level)| levels[..*index].contains(level));
            if let Some((_, level)) = twice {
                return Err(Failure::input(format!("the factor `{name}` has the level {level} twice"))
                    .hint("two equal levels would give one combination two numbers"));
            }
        }
        Ok(())
    }

    /// How many cells there are.
    pub fn count(&self) -> usize {
        self.sizes().iter().product()
    }

    /// The combination that a number stands for; `None` beyond the last cell.
    pub fn cell(&self, number: usize) -> Option<CellFactors> {
        if number >= self.count() {
            return None;
        }
        let mut rest = number;
        let digits = self.sizes().map(|size| {
            let digit = rest % size;
            rest /= size;
            digit
        });
        Some(CellFactors {
            base_model: self.base_model[digits[0]].clone(),
            lr: self.lr[digits[1]],
            gamma: self.gamma[digits[2]],
            bce_weight: self.bce_weight[digits[3]],
            batch_size: self.batch_size[digits[4]],
            inputs: self.inputs[digits[5]].clone(),
            prediction: self.prediction[digits[6]].clone(),
        })
    }

    /// The number of a combination.
    ///
    /// # Errors
    /// A value is not a level of its factor: in words, with the levels.
    pub fn number(&self, cell: &CellFactors) -> Result<usize, String> {
        let digits = [
            word("base_model", &self.base_model, &cell.base_model)?,
            decimal("lr", &self.lr, cell.lr)?,
            decimal("gamma", &self.gamma, cell.gamma)?,
            decimal("bce_weight", &self.bce_weight, cell.bce_weight)?,
            word("batch_size", &self.batch_size, &cell.batch_size)?,
            word("inputs", &self.inputs, &cell.inputs)?,
            word("prediction", &self.prediction, &cell.prediction)?,
        ];
        Ok(digits.into_iter().zip(self.sizes()).rev().fold(0, |number, (digit, size)| number * size + digit))
    }

    /// The number of the cell at coordinates whose axes are called like the factors; a factor of one level needs no axis. `None` where
    /// an axis is missing, or where it has something else than levels.
    pub fn number_at(&self, at: &Coordinates) -> Option<usize> {
        fn level<T: std::str::FromStr + Clone>(at: &Coordinates, name: &str, levels: &[T]) -> Option<T> {
            match (at.get(name), levels) {
                (Some(text), _) => text.parse().ok(),
                (None, [only]) => Some(only.clone()),
                (None, _) => None,
            }
        }
        let cell = CellFactors {
            base_model: level(at, "base_model", &self.base_model)?,
            lr: level(at, "lr", &self.lr)?,
            gamma: level(at, "gamma", &self.gamma)?,
            bce_weight: level(at, "bce_weight", &self.bce_weight)?,
            batch_size: level(at, "batch_size", &self.batch_size)?,
            inputs: level(at, "inputs", &self.inputs)?,
            prediction: level(at, "prediction", &self.prediction)?,
        };
        self.number(&cell).ok()
    }

    fn sizes(&self) -> [usize; 7] {
        [
            self.base_model.len(),
            self.lr.len(),
            self.gamma.len(),
            self.bce_weight.len(),
            self.batch_size.len(),
            self.inputs.len(),
            self.prediction.len(),
        ]
    }

    fn written(&self) -> [(&'static str, Vec<String>); 7] {
        fn all<T: ToString>(levels: &[T]) -> Vec<String> {
            levels.iter().map(ToString::to_string).collect()
        }
        [
            ("base_model", all(&self.base_model)),
            ("lr", all(&self.lr)),
            ("gamma", all(&self.gamma)),
            ("bce_weight", all(&self.bce_weight)),
            ("batch_size", all(&self.batch_size)),
            ("inputs", all(&self.inputs)),
            ("prediction", all(&self.prediction)),
        ]
    }
}

fn word<T: PartialEq + ToString>(name: &str, levels: &[T], value: &T) -> Result<usize, String> {
    levels.iter().position(|level| level == value).ok_or_else(|| no_level(name, levels, &value.to_string()))
}

/// Numbers are compared with room for the last digits, because a file may hold a product where the grid has a literal.
fn decimal(name: &str, levels: &[f64], value: f64) -> Result<usize, String> {
    let near = |level: &f64| (level - value).abs() <= 1e-9 * level.abs().max(1e-9);
    levels.iter().position(near).ok_or_else(|| no_level(name, levels, &value.to_string()))
}

fn no_level<T: ToString>(name: &str, levels: &[T], value: &str) -> String {
    let levels: Vec<String> = levels.iter().map(ToString::to_string).collect();
    format!("`{name}` is {value}, which is not a level of the grid: {}", levels.join(", "))
}

#[cfg(test)]
pub(super) mod tests {
    use pipe_contract::Parameters;

    use super::*;

    /// The published grid.
    pub fn published() -> Factors {
        let defaults = Factors::declared().into_iter().map(|param| (param.name.to_owned(), param.default.unwrap()));
        Factors::read(&defaults.collect()).unwrap()
    }

    #[test]
    fn the_published_grid_has_1800_cells_with_the_published_strides() {
        let grid = published();
        assert_eq!(grid.count(), 1800);
        let first = grid.cell(0).unwrap();
        let changed = |stride: usize| {
            let cell = grid.cell(stride).unwrap();
            [
                cell.base_model != first.base_model,
                cell.lr != first.lr,
                cell.gamma != first.gamma,
                cell.bce_weight != first.bce_weight,
                cell.batch_size != first.batch_size,
                cell.inputs != first.inputs,
                cell.prediction != first.prediction,
            ]
        };
        for (place, stride) in [1, 2, 10, 50, 150, 450, 900].into_iter().enumerate() {
            let only = std::array::from_fn(|index| index == place);
            assert_eq!(changed(stride), only, "stride {stride}");
        }
        assert!((0..1800).all(|number| grid.number(&grid.cell(number).unwrap()) == Ok(number)));
        assert_eq!(grid.cell(1800), None);
    }

    /// Section 3.5 of the specification: the plans of the final trainings and the cells that they come from.
    #[test]
    fn final_plans_are_the_published_cells() {
        let cell = |lr, gamma, bce_weight, batch_size, inputs: &str, prediction: &str| CellFactors {
            base_model: "resnet18".into(),
            lr,
            gamma,
            bce_weight,
            batch_size,
            inputs: inputs.into(),
            prediction: prediction.into(),
        };
        let plans = [
            (0.00375, 0.9, 0.75, 4, "area", [124, 574]),
            (0.00167, 1.0, 0.75, 2, "area", [290, 740]),
            (0.00562, 0.9, 0.5, 4, "ring", [926, 1376]),
            (0.00167, 0.95, 0.5, 2, "ring", [1080, 1530]),
        ];
        for (lr, gamma, bce, batch, prediction, numbers) in plans {
            for (inputs, number) in ["full", "anat"].into_iter().zip(numbers) {
                assert_eq!(published().number(&cell(lr, gamma, bce, batch, inputs, prediction)), Ok(number));
            }
        }
    }

    #[test]
    fn a_value_that_is_not_a_level_is_named_with_the_levels() {
        let grid = published();
        let cell = CellFactors { gamma: 0.7, ..grid.cell(3).unwrap() };
        assert_eq!(
            grid.number(&cell).unwrap_err(),
            "`gamma` is 0.7, which is not a level of the grid: 0.8, 0.85, 0.9, 0.95, 1"
        );
        let nearly = CellFactors { lr: 0.00375 * (1.0 + 1e-12), ..grid.cell(4).unwrap() };
        assert_eq!(grid.number(&nearly), Ok(4));
    }

    #[test]
    fn coordinates_named_like_the_factors_are_a_cell() {
        let grid = Factors { base_model: vec!["resnet18".into()], ..published() };
        let axes = [("lr", "0.00375"), ("gamma", "1"), ("bce_weight", "0.75"), ("batch_size", "2"), ("inputs", "anat")];
        let at: Coordinates = axes.into_iter().chain([("prediction", "area"), ("restart", "2")]).collect();
        let number = grid.number_at(&at).unwrap();
        let cell = grid.cell(number).unwrap();
        assert_eq!((cell.lr, cell.gamma, cell.bce_weight, cell.batch_size), (0.00375, 1.0, 0.75, 2));
        assert_eq!(published().number_at(&at), None, "the encoder is not known");
        let with = |axis: &str, value: &str| {
            let mut at = at.clone();
            at.0.insert(axis.to_owned(), value.to_owned());
            grid.number_at(&at)
        };
        assert_eq!([with("lr", "high"), with("lr", "0.1"), with("lr", "0.00375")], [None, None, Some(number)]);
    }

    #[test]
    fn levels_are_there_and_distinct() {
        let twice = Factors { gamma: vec![0.9, 1.0, 0.9], ..published() };
        assert_eq!(twice.check().unwrap_err().message, "the factor `gamma` has the level 0.9 twice");
        let none = Factors { inputs: Vec::new(), ..published() };
        assert!(none.check().unwrap_err().message.contains("`inputs` has no levels"));
        assert!(published().check().is_ok());
    }
}
