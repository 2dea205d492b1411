//! Which stimuli a model is fitted on, by which its penalties are chosen, and on which it is scored: the artifact `split/stimuli`.
//!
//! A table with the columns `id`, `fold` (from 0) and `part`. One fold is a fixed split; of several, each stimulus is tested in one
//! at most, and their predictions are scored together. Decides this form, and that order is kept: sums depend on it.

use std::collections::BTreeSet;
use std::path::Path;

use pipe_contract::{Column as Described, Failure};

use super::data_table::{self, DataTable};

/// The columns of the table.
pub const COLUMNS: &[Described] = &[
    Described::new("id", "the stimulus"),
    Described::new("fold", "the fold, from 0; a fixed split has one"),
    Described::new("part", "what the stimulus is used for in this fold").levels(&[
        ("train", "models are fitted on it"),
        ("choose", "penalties are chosen by it"),
        ("test", "models are scored on it, and it is used for nothing else"),
    ]),
];

const PARTS: [&str; 3] = ["train", "choose", "test"];

/// Folds, in order; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StimulusSplit {
    /// Its folds.
    pub folds: Vec<Fold>,
}

/// The parts of one fold, each in the order of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// Models are fitted on them; at least one.
    pub train: Vec<String>,
    /// Penalties are chosen by them; may be none.
    pub choose: Vec<String>,
    /// Models are scored on them; at least one.
    pub test: Vec<String>,
}

impl Fold {
    /// Those that may be looked at before a model is scored: trained on or chosen by.
    pub fn seen(&self) -> impl Iterator<Item = &String> {
        self.train.iter().chain(&self.choose)
    }
}

impl StimulusSplit {
    /// Reads a split.
    ///
    /// # Errors
    /// Input: not such a table, an unknown part, a stimulus twice in a fold or tested twice, folds that are not counted from 0, or
    /// a fold that nothing is fitted or scored on.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let frame = data_table::read(folder)?;
        let read = || {
            let (ids, parts) = (data_table::texts(&frame, "id")?, data_table::texts(&frame, "part")?);
            Self::of(ids.into_iter().zip(data_table::integers(&frame, "fold")?).zip(parts))
        };
        read().map_err(|failure: Failure| failure.at(folder.display().to_string()))
    }

    fn of(rows: impl Iterator<Item = ((String, i64), String)>) -> Result<Self, Failure> {
        let mut folds: Vec<Fold> = Vec::new();
        let (mut placed, mut tested) = (BTreeSet::new(), BTreeSet::new());
        for ((id, number), part) in rows {
            let fold = usize::try_from(number).ok().filter(|fold| *fold <= folds.len()).ok_or_else(|| {
                Failure::input(format!("`{id}` is in fold {number}, expected folds from 0 on, one after the other"))
            })?;
            if fold == folds.len() {
                folds.push(Fold::default());
            }
            let into = &mut folds[fold];
            let list = match part.as_str() {
                "train" => &mut into.train,
                "choose" => &mut into.choose,
                "test" => &mut into.test,
                _ => {
                    let expected = PARTS.map(|part| format!("`{part}`")).join(", ");
                    return Err(Failure::input(format!("`{id}` is in the part `{part}`, expected one of {expected}")));
                }
            };
            list.push(id.clone());
            if part == "test" && !tested.insert(id.clone()) {
                return Err(Failure::input(format!("`{id}` is tested twice, expected at most once")));
            }
            if !placed.insert((fold, id.clone())) {
                return Err(Failure::input(format!("`{id}` is listed twice in fold {fold}")));
            }
        }
        if folds.is_empty() {
            return Err(Failure::input("the split is empty"));
        }
        let lacking = |list: &[String], what: &str, fold: usize| match list.is_empty() {
            true => Err(Failure::input(format!("fold {fold} has no stimulus of the part `{what}`"))),
            false => Ok(()),
        };
        for (number, fold) in folds.iter().enumerate() {
            lacking(&fold.train, "train", number)?;
            lacking(&fold.test, "test", number)?;
        }
        Ok(Self { folds })
    }

    /// Writes a split. Rows are those of the first fold, train, choose, test, then those of the next.
    ///
    /// # Errors
    /// As [`data_table::write`].
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut rows: Vec<(&String, i64, &str)> = Vec::new();
        for (number, fold) in (0_i64..).zip(&self.folds) {
            for (list, part) in [&fold.train, &fold.choose, &fold.test].into_iter().zip(PARTS) {
                rows.extend(list.iter().map(|id| (id, number, part)));
            }
        }
        let table = DataTable::of(COLUMNS)
            .text("id", rows.iter().map(|(id, ..)| id.as_str()))
            .integers("fold", rows.iter().map(|(_, fold, _)| *fold))
            .text("part", rows.iter().map(|(_, _, part)| *part));
        data_table::write(folder, &mut table.build()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(&str, i64, &str)]) -> Result<StimulusSplit, Failure> {
        StimulusSplit::of(rows.iter().map(|(id, fold, part)| (((*id).to_owned(), *fold), (*part).to_owned())))
    }

    #[test]
    fn what_is_written_is_read() {
        let split = of(&[("b", 0, "train"), ("a", 0, "train"), ("c", 0, "test"), ("c", 1, "train"), ("a", 1, "test")]);
        let split = split.unwrap();
        assert_eq!(split.folds[0].train, ["b", "a"]);
        assert_eq!(split.folds[1].seen().collect::<Vec<_>>(), ["c"]);
        let folder = tempfile::tempdir().unwrap();
        split.write(folder.path()).unwrap();
        assert_eq!(StimulusSplit::read(folder.path()).unwrap(), split);
    }

    #[test]
    fn mistakes_have_a_sentence() {
        let failure = |rows: &[(&str, i64, &str)]| of(rows).unwrap_err().message;
        assert!(failure(&[("a", 0, "val")]).contains("part `val`, expected one of `train`, `choose`, `test`"));
        assert!(failure(&[("a", 1, "train")]).contains("fold 1, expected folds from 0"));
        assert!(failure(&[("a", 0, "train"), ("a", 0, "test")]).contains("twice in fold 0"));
        assert!(failure(&[("a", 0, "test"), ("b", 0, "train"), ("a", 1, "test")]).contains("`a` is tested twice"));
        assert!(failure(&[("a", 0, "train")]).contains("fold 0 has no stimulus of the part `test`"));
        assert!(failure(&[]).contains("empty"));
    }
}
