//! What models are compared with: RDMs of subjects, in groups, with the models' RDMs of the same stimuli beside them.
//!
//! Decides that stimuli are joined by their ids, never by position, and all of the data must be in the models; that a pair which any RDM of
//! a group or any model lacks is left out of all of them, and a stimulus without a pair too; that all RDMs of a group are of one kind
//! ([`OF_ONE_KIND`]), because a correlation and a distance, or an RDM and its permutation, are not two measurements of one thing; and that
//! every subject counts the same, however many RDMs it has. Independent of measures and of what is inferred.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::{Failure, IMPORTANT, Task, Value, choice, parameters};

use crate::formats::data_table;
use crate::formats::matrix::ID;
use crate::formats::rdm_set::{DISSIMILARITY, PERMUTATION, RdmSet};
use crate::formats::row_words::{rows_with, words_of};
use crate::numeric::counts::real;
use crate::numeric::dissimilarity::{pair_count, pair_index};
use crate::numeric::rdm_similarity::{OrderedRdm, Similarity};

parameters! {
    /// What is compared with what; shared by the kinds that compare models with data.
    pub(super) struct ComparisonParameters {
        /// how alike two RDMs are; several are computed one after the other
        pub measures: Vec<RdmMeasure> = vec![RdmMeasure::RhoA];
        /// the column of the data's index whose equal values are one subject; every RDM is one by default
        pub subject: String = ID.to_owned();
        /// which RDMs are data, by columns of their index: one value or a list, such as `dissimilarity: correlation`; none for all
        pub only: BTreeMap<String, Value> = BTreeMap::new();
        /// which RDMs are models, by columns of their index, such as `{activation: unit_level, permutation: 0}`; none for all
        pub only_models: BTreeMap<String, Value> = BTreeMap::new();
        /// what becomes of several RDMs of one subject: `average` of their numbers, or `separate`, each compared and the results averaged
        pub repeated: RepeatedRdms = RepeatedRdms::Average;
        /// the column of the data's index that divides it into groups, such as regions, each compared for itself; empty for one group
        pub by: String = String::new();
        /// what is resampled: intervals and tests then hold for other stimuli, other subjects, or both at once
        pub bootstrap: BootstrapOver = BootstrapOver::Both;
        /// the share of resamples that intervals hold
        pub level: f64 = 0.95, in 0.5..=0.9999;
    }
}

choice! {
    /// The measures of [`Similarity`], as parameters.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum RdmMeasure {
        /// The correlation of the numbers.
        Pearson = "pearson",
        /// The correlation of their ranks.
        Spearman = "spearman",
        /// Kendall's tau-a.
        TauA = "tau_a",
        /// Spearman's without a correction for ties.
        RhoA = "rho_a",
        /// The cosine of the numbers.
        Cosine = "cosine",
        /// Pearson's weighted by the inverse covariance of the numbers.
        WhitenedPearson = "whitened_pearson",
        /// The cosine weighted by the inverse covariance of the numbers.
        WhitenedCosine = "whitened_cosine",
    }
}

choice! {
    /// What becomes of several RDMs of one subject, such as those of sessions.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum RepeatedRdms {
        /// Their mean is the RDM of the subject.
        Average = "average",
        /// Each is one.
        Separate = "separate",
    }
}

/// What the words mean, for data dictionaries.
pub(super) const MEASURES: &[(&str, &str)] = &[
    ("pearson", "the correlation of the numbers of two RDMs"),
    ("spearman", "the correlation of their ranks"),
    ("tau_a", "Kendall's tau-a: pairs of numbers that are ordered alike, less those that are ordered oppositely"),
    ("rho_a", "Spearman's correlation without a correction for ties"),
    ("cosine", "the cosine of the numbers, for which 0 means no difference"),
    ("whitened_pearson", "pearson weighted by the inverse covariance of the numbers"),
    ("whitened_cosine", "cosine weighted by the inverse covariance of the numbers"),
];

impl RdmMeasure {
    /// The measure itself.
    pub fn similarity(self) -> Similarity {
        match self {
            Self::Pearson => Similarity::Pearson,
            Self::Spearman => Similarity::Spearman,
            Self::TauA => Similarity::TauA,
            Self::RhoA => Similarity::RhoA,
            Self::Cosine => Similarity::Cosine,
            Self::WhitenedPearson => Similarity::WhitenedPearson,
            Self::WhitenedCosine => Similarity::WhitenedCosine,
        }
    }

    /// Its word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::TauA => "tau_a",
            Self::RhoA => "rho_a",
            Self::Cosine => "cosine",
            Self::WhitenedPearson => "whitened_pearson",
            Self::WhitenedCosine => "whitened_cosine",
        }
    }
}

choice! {
    /// What is resampled.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum BootstrapOver {
        /// Stimuli.
        Stimuli = "stimuli",
        /// Subjects.
        Subjects = "subjects",
        /// Both, with the variance of both corrected.
        Both = "both",
        /// Nothing: no intervals and no tests.
        Neither = "none",
    }
}

impl BootstrapOver {
    /// Whether stimuli are resampled.
    pub fn is_of_stimuli(self) -> bool {
        matches!(self, Self::Stimuli | Self::Both)
    }

    /// Whether subjects are resampled.
    pub fn is_of_subjects(self) -> bool {
        matches!(self, Self::Subjects | Self::Both)
    }
}

/// An RDM of a subject.
#[derive(Debug)]
pub(super) struct SubjectRdm {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub subject: usize,
    /// How much it counts: subjects with fewer RDMs have more for each. A whole number.
    pub share: f64,
    pub rdm: OrderedRdm,
}

/// RDMs of subjects and of models, of the same stimuli in the same order.
#[derive(Debug)]
pub(super) struct ComparisonGroup {
    /// The value of the column `by`; empty without one.
    pub name: String,
    pub stimuli: Vec<String>,
    /// Whether all RDMs have a number for a pair, by pair (an upper triangle by rows).
    pub present: Vec<bool>,
    /// Whether all models have a number for all pairs.
    pub models_complete: bool,
    pub subjects: Vec<String>,
    pub data: Vec<SubjectRdm>,
    pub models: Vec<(String, OrderedRdm)>,
}

/// Fewer stimuli than this have no second pair to compare a first one with.
const FEWEST_STIMULI: usize = 3;

impl ComparisonGroup {
    /// The groups of the data, in the order in which they first come; and notes about what is left out.
    ///
    /// # Errors
    /// Input: a stimulus of the data is not in the models, a column is missing, a number is infinite, or fewer than three stimuli are left.
    pub fn read(task: &Task, parameters: &ComparisonParameters) -> Result<(Vec<Self>, Vec<String>), Failure> {
        let (data_path, models_path) = (task.one("data")?, task.one("models")?);
        let data = chosen(data_path, &parameters.only, "only")?;
        let models = chosen(models_path, &parameters.only_models, "only_models")?;
        let at_data = |failure: Failure| failure.at(data_path.display().to_string());
        let places = models
            .entries()
            .positions_of(data.entries().ids(), "entries of `data`")
            .map_err(|failure| failure.at(models_path.display().to_string()))?;
        let mut notes = mixed_models(&models)?;
        let more = models.entries().len() - places.len();
        if more > 0 {
            notes.push(format!("{more} entries of the models are not in the data and are left out"));
        }
        let models = models.part(&(0..models.len()).collect::<Vec<usize>>(), &places)?;
        let groups = match parameters.by.as_str() {
            "" => vec![String::new(); data.len()],
            by => data_table::words(data.index().table(), by).map_err(at_data)?,
        };
        let subjects = data_table::words(data.index().table(), &parameters.subject).map_err(at_data)?;
        let mut names: Vec<&String> = Vec::new();
        for group in &groups {
            if !names.contains(&group) {
                names.push(group);
            }
        }
        let mut found = Vec::new();
        for name in names {
            let rdms: Vec<usize> = (0..data.len()).filter(|rdm| groups[*rdm] == *name).collect();
            check_kind(&data, &rdms, parameters).map_err(at_data)?;
            let group = Self::of(name, (&data, rdms.as_slice()), (subjects.as_slice(), parameters.repeated), &models)
                .map_err(|failure| match name.as_str() {
                "" => at_data(failure),
                name => at_data(Failure { message: format!("group `{name}`: {}", failure.message), ..failure }),
            })?;
            group.check_whitening(&parameters.measures).map_err(at_data)?;
            notes.extend(group.note(data.entries().len()));
            found.push(group);
        }
        Ok((found, notes))
    }

    fn of(
        name: &str,
        (data, rdms): (&RdmSet, &[usize]),
        (subjects, repeated): (&[String], RepeatedRdms),
        models: &RdmSet,
    ) -> Result<Self, Failure> {
        let all = data.entries().len();
        let own = || rdms.iter().map(move |rdm| (data, *rdm)).chain((0..models.len()).map(move |rdm| (models, rdm)));
        if let Some((set, rdm)) = own().find(|(set, rdm)| set.triangle(*rdm).iter().any(|number| number.is_infinite()))
        {
            let message = format!("the RDM `{}` has an infinite number", set.index().ids()[rdm]);
            return Err(Failure::input(message).hint("a pair that is undefined is NaN"));
        }
        let present: Vec<bool> =
            (0..pair_count(all)).map(|pair| own().all(|(set, rdm)| !set.triangle(rdm)[pair].is_nan())).collect();
        let has_pair = |one: &usize| {
            (0..all).any(|other| other != *one && present[pair_index(all, other.min(*one), other.max(*one))])
        };
        let kept: Vec<usize> = (0..all).filter(has_pair).collect();
        if kept.len() < FEWEST_STIMULI {
            let what = &data.about().entries;
            return Err(Failure::input(format!(
                "{} of {all} {what} have a pair with a number in all RDMs, expected at least {FEWEST_STIMULI}",
                kept.len()
            ))
            .hint("a pair that one RDM lacks (NaN) is left out of all: leave out RDMs with many such pairs, or divide them by `by`"));
        }
        let data = data.part(rdms, &kept)?;
        let models = models.part(&(0..models.len()).collect::<Vec<usize>>(), &kept)?;
        let pairs =
            kept.iter().enumerate().flat_map(|(place, one)| kept[place + 1..].iter().map(move |other| (*one, *other)));
        let present = pairs.map(|(one, other)| present[pair_index(all, one, other)]).collect();
        let ordered = |set: &RdmSet, rdm: usize| OrderedRdm::new(set.triangle(rdm).to_vec());
        let mut group = Self {
            name: name.to_owned(),
            stimuli: data.entries().ids().to_vec(),
            present,
            models_complete: (0..models.len()).all(|rdm| models.triangle(rdm).iter().all(|number| !number.is_nan())),
            subjects: Vec::new(),
            data: Vec::new(),
            models: (0..models.len()).map(|rdm| (models.index().ids()[rdm].clone(), ordered(&models, rdm))).collect(),
        };
        for (place, rdm) in rdms.iter().enumerate() {
            let subject = group.subject(&subjects[*rdm]);
            let id = data.index().ids()[place].clone();
            group.data.push(SubjectRdm { id, subject, share: 1.0, rdm: ordered(&data, place) });
        }
        if repeated == RepeatedRdms::Average && group.data.len() > group.subjects.len() {
            group.average(&data);
        }
        group.share();
        Ok(group)
    }

    /// One RDM for every subject: the mean of its RDMs, which are those of `set` in the same order.
    fn average(&mut self, set: &RdmSet) {
        let of_subject = |subject: usize| {
            let own: Vec<&[f64]> = (0..self.data.len())
                .filter(|at| self.data[*at].subject == subject)
                .map(|at| set.triangle(at))
                .collect();
            let mean = |pair: usize| own.iter().map(|numbers| numbers[pair]).sum::<f64>() / real(own.len());
            let rdm = OrderedRdm::new((0..self.present.len()).map(mean).collect());
            SubjectRdm { id: self.subjects[subject].clone(), subject, share: 1.0, rdm }
        };
        self.data = (0..self.subjects.len()).map(of_subject).collect();
    }

    /// The place of a subject, who is added if new.
    fn subject(&mut self, name: &str) -> usize {
        self.subjects.iter().position(|known| known == name).unwrap_or_else(|| {
            self.subjects.push(name.to_owned());
            self.subjects.len() - 1
        })
    }

    /// Lets every subject count the same: its RDMs share the least number that all numbers of RDMs divide, so that shares are whole and
    /// sums of ranks that are weighted by them exact. Where that number is too large for it, they share 1.
    fn share(&mut self) {
        let mut counts = vec![0_usize; self.subjects.len()];
        self.data.iter().for_each(|rdm| counts[rdm.subject] += 1);
        let multiple = |all: usize, count: &usize| (all / common_divisor(all, *count)).checked_mul(*count);
        let whole = counts.iter().try_fold(1, multiple).filter(|whole| *whole <= MOST_SHARES).map_or(1.0, real);
        self.data.iter_mut().for_each(|rdm| rdm.share = whole / real(counts[rdm.subject]));
    }

    /// Every missing pair is an unknown of a whitened measure, and the equations of all are solved anew in every resample.
    fn check_whitening(&self, measures: &[RdmMeasure]) -> Result<(), Failure> {
        let missing = self.present.iter().filter(|present| !**present).count();
        let whitened = measures.iter().find(|of| of.similarity().is_whitened());
        match whitened.filter(|_| missing > MOST_UNKNOWN) {
            None => Ok(()),
            Some(of) => Err(Failure::input(format!(
                "{missing} pairs of {} stimuli have no number in some RDM, expected at most {MOST_UNKNOWN} for `{}`",
                self.stimuli.len(),
                of.word()
            ))
            .hint("leave out the stimuli or the RDMs that lack them, or take a measure that is not whitened")),
        }
    }

    /// Whether RDMs that have nothing to do with each other have the similarity 0 by a measure. The cosine of numbers that are never negative
    /// is far above 0 whatever they are of: it has such a zero only for estimates that vary around 0, as crossnobis.
    pub fn has_zero(&self, measure: RdmMeasure) -> bool {
        let of_numbers = matches!(measure, RdmMeasure::Cosine | RdmMeasure::WhitenedCosine);
        !of_numbers || self.data.iter().any(|own| own.rdm.has_negative())
    }

    /// A note for measures by which 0 means nothing here.
    pub fn zero_note(&self, measures: &[RdmMeasure]) -> Option<String> {
        let without: Vec<String> =
            measures.iter().filter(|of| !self.has_zero(**of)).map(|of| format!("`{}`", of.word())).collect();
        let group = if self.name.is_empty() { String::new() } else { format!("group `{}`: ", self.name) };
        (!without.is_empty()).then(|| {
            format!(
                "{IMPORTANT}{group}no number of the data is negative, so that any model is alike by {}; there is no test against 0, \
                 only against random orders (`p_permuted` of `rdm/compare`)",
                without.join(", ")
            )
        })
    }

    /// What is left out, if anything is.
    fn note(&self, entries: usize) -> Option<String> {
        let (dropped, pairs) = (entries - self.stimuli.len(), self.present.iter().filter(|present| !**present).count());
        if dropped == 0 && pairs == 0 {
            return None;
        }
        let group = if self.name.is_empty() { String::new() } else { format!("group `{}`: ", self.name) };
        Some(format!(
            "{IMPORTANT}{group}{dropped} entries and {pairs} further pairs are left out, because some RDM has no number for them"
        ))
    }
}

/// Columns of an index in which RDMs that are measurements of one thing do not differ.
const OF_ONE_KIND: [&str; 4] = [DISSIMILARITY, "activation", "kernel_set", PERMUTATION];

/// What `rdm/variables` calls the dissimilarities of words and of numbers.
const OF_VARIABLES: [&str; 2] = ["differs", "difference"];

/// The RDMs of a set that a parameter chooses.
fn chosen(folder: &Path, only: &BTreeMap<String, Value>, parameter: &str) -> Result<RdmSet, Failure> {
    let set = RdmSet::read(folder)?;
    if only.is_empty() {
        return Ok(set);
    }
    let rows = rows_with(set.index().table(), only, parameter);
    let rows = rows.map_err(|failure| failure.at(folder.display().to_string()))?;
    set.part(&rows, &(0..set.entries().len()).collect::<Vec<usize>>())
}

/// The columns of [`OF_ONE_KIND`] in which some RDMs of a set differ, with their values there.
fn differing(set: &RdmSet, rdms: &[usize]) -> Result<Vec<(&'static str, BTreeSet<String>)>, Failure> {
    let table = set.index().table();
    let mut found = Vec::new();
    for name in OF_ONE_KIND.into_iter().filter(|name| table.column(name).is_ok()) {
        let words = words_of(table, name)?;
        let values = rdms.iter().map(|rdm| match words[*rdm].as_deref().unwrap_or_default() {
            // Models of words and of numbers are of one kind.
            word if OF_VARIABLES.contains(&word) => "of a variable".to_owned(),
            word => word.to_owned(),
        });
        let values: BTreeSet<String> = values.collect();
        if values.len() > 1 {
            found.push((name, values));
        }
    }
    Ok(found)
}

/// Refuses a group of RDMs of several kinds. The column of subjects may be one of those in which kinds differ: then it was chosen so.
fn check_kind(data: &RdmSet, rdms: &[usize], parameters: &ComparisonParameters) -> Result<(), Failure> {
    let mut differing = differing(data, rdms)?;
    differing.retain(|(name, _)| *name != parameters.subject);
    let Some((name, values)) = differing.first() else { return Ok(()) };
    let values: Vec<String> = values.iter().take(3).map(|value| format!("`{value}`")).collect();
    let columns: Vec<String> = differing.iter().map(|(name, _)| format!("`{name}`")).collect();
    Err(Failure::input(format!(
        "RDMs of the data differ in {} ({name}: {}), so that they are not measurements of one thing by several subjects",
        columns.join(", "),
        values.join(", ")
    ))
    .hint(format!("choose with `only`, as `only: {{{name}: ...}}`, or divide into groups: `by: {name}`")))
}

/// A note if models are of several kinds, since all are one family.
fn mixed_models(models: &RdmSet) -> Result<Vec<String>, Failure> {
    let differing = differing(models, &(0..models.len()).collect::<Vec<usize>>())?;
    let columns: Vec<String> = differing.iter().map(|(name, _)| format!("`{name}`")).collect();
    let note = format!(
        "{IMPORTANT}models differ in {}: all {} are one family for corrections; `only_models` chooses among them",
        columns.join(", "),
        models.len()
    );
    Ok(if columns.is_empty() { Vec::new() } else { vec![note] })
}

/// More unknown numbers than this take a second or more in every resample.
const MOST_UNKNOWN: usize = 1000;

/// The most shares that a subject has.
const MOST_SHARES: usize = 1 << 20;

/// The greatest common divisor.
fn common_divisor(one: usize, other: usize) -> usize {
    if other == 0 { one.max(1) } else { common_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::RdmAbout;
    use crate::rdm::compare::CompareRdms;
    use crate::test_support::tasks;

    fn set(ids: &[&str], who: &[&str], entries: &[&str], values: Vec<f64>) -> RdmSet {
        let index = DataTable::new().text("id", ids.to_vec()).text("who", who.to_vec()).build().unwrap();
        let entries = MatrixAxis::of_ids(entries.to_vec()).unwrap();
        RdmSet::new(MatrixAxis::new(index).unwrap(), entries, values, None, RdmAbout::of("stimuli")).unwrap()
    }

    fn read(data: &RdmSet, models: &RdmSet, by: &str) -> Result<(Vec<ComparisonGroup>, Vec<String>), Failure> {
        read_repeated(data, models, by, RepeatedRdms::Separate)
    }

    fn read_repeated(
        data: &RdmSet,
        models: &RdmSet,
        by: &str,
        repeated: RepeatedRdms,
    ) -> Result<(Vec<ComparisonGroup>, Vec<String>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        data.write(&folder.path().join("d")).unwrap();
        models.write(&folder.path().join("m")).unwrap();
        let mut task = tasks::task(&CompareRdms, folder.path());
        tasks::give(&mut task, "data", &folder.path().join("d"));
        tasks::give(&mut task, "models", &folder.path().join("m"));
        let parameters = ComparisonParameters {
            measures: vec![RdmMeasure::RhoA],
            subject: "who".into(),
            only: BTreeMap::new(),
            only_models: BTreeMap::new(),
            repeated,
            by: by.into(),
            bootstrap: BootstrapOver::Neither,
            level: 0.95,
        };
        ComparisonGroup::read(&task, &parameters)
    }

    const NAN: f64 = f64::NAN;

    #[test]
    fn stimuli_are_joined_by_id_and_subjects_count_the_same() {
        let data =
            set(&["a1", "b", "a2"], &["a", "b", "a"], &["x", "y", "z"], vec![1., 2., 3., 4., 5., 6., 7., 8., 9.]);
        let models = set(&["m"], &[""], &["z", "w", "y", "x"], vec![1., 2., 3., 4., 5., 6.]);
        let (groups, notes) = read(&data, &models, "").unwrap();
        let group = &groups[0];
        assert_eq!(
            (group.subjects.as_slice(), group.stimuli.as_slice()),
            (["a", "b"].map(String::from).as_slice(), ["x", "y", "z"].map(String::from).as_slice())
        );
        assert_eq!(
            group.data.iter().map(|rdm| (rdm.subject, rdm.share)).collect::<Vec<_>>(),
            [(0, 1.0), (1, 2.0), (0, 1.0)]
        );
        // x-y, x-z and y-z of the model: 6, 3, 2.
        let expected = OrderedRdm::new(vec![6.0, 3.0, 2.0]);
        assert_eq!(format!("{:?}", group.models[0].1), format!("{expected:?}"));
        assert_eq!(notes, ["1 entries of the models are not in the data and are left out"]);
        let (groups, _) = read(&data, &models, "who").unwrap();
        assert_eq!(
            groups.iter().map(|group| (group.name.as_str(), group.data.len())).collect::<Vec<_>>(),
            [("a", 2), ("b", 1)]
        );
        let (groups, _) = read_repeated(&data, &models, "", RepeatedRdms::Average).unwrap();
        let found: Vec<(&str, f64)> = groups[0].data.iter().map(|rdm| (rdm.id.as_str(), rdm.share)).collect();
        assert_eq!(found, [("a", 1.0), ("b", 1.0)]);
        let expected = OrderedRdm::new(vec![4.0, 5.0, 6.0]);
        assert_eq!(format!("{:?}", groups[0].data[0].rdm), format!("{expected:?}"));
        let failure = read(&models, &data, "").unwrap_err();
        assert!(failure.message.starts_with("1 of 4 entries of `data` are not there: `w`"), "{failure}");
    }

    /// Each of the first stimuli lacks its pairs with those after it, but for the next one.
    #[test]
    fn whitened_measures_take_few_missing_pairs() {
        let ids: Vec<String> = (0..50).map(|at| format!("x{at}")).collect();
        let names: Vec<&str> = ids.iter().map(String::as_str).collect();
        let lacking = |rows: usize| {
            let pairs = (0..50).flat_map(|one| (one + 1..50).map(move |other| (one, other)));
            pairs
                .map(|(one, other)| if one < rows && other > one + 1 { NAN } else { (one * 7 + other) as f64 })
                .collect()
        };
        let models = set(&["m"], &[""], &names, (0..1225).map(f64::from).collect());
        let of = |rows: usize| {
            let data = set(&["a"], &["a"], &names, lacking(rows));
            let folder = tempfile::tempdir().unwrap();
            data.write(&folder.path().join("d")).unwrap();
            models.write(&folder.path().join("m")).unwrap();
            let mut task = tasks::task(&CompareRdms, folder.path());
            tasks::give(&mut task, "data", &folder.path().join("d"));
            tasks::give(&mut task, "models", &folder.path().join("m"));
            let list = vec![Value::Text("pearson".into()), Value::Text("whitened_cosine".into())];
            tasks::set(&mut task, "measures", Value::List(list));
            let parameters: ComparisonParameters = task.parameters().unwrap();
            ComparisonGroup::read(&task, &parameters)
        };
        assert!(of(26).is_ok(), "48 + ... + 23 = 923");
        let failure = of(30).unwrap_err();
        assert!(failure.message.starts_with("1005 pairs of 50 stimuli have no number"), "{failure}");
    }

    /// Two dissimilarities and a permutation of two subjects.
    fn mixed() -> RdmSet {
        let index = DataTable::new()
            .text("id", (0..6).map(|at| format!("r{at}")))
            .text("who", (0..6).map(|at| ["a", "b"][at % 2]))
            .text(DISSIMILARITY, ["correlation", "correlation", "euclidean", "euclidean", "correlation", "correlation"])
            .integers(PERMUTATION, [0, 0, 0, 0, 1, 1]);
        let entries = MatrixAxis::of_ids(["x", "y", "z"]).unwrap();
        let values = (0..18).map(f64::from).collect();
        RdmSet::new(MatrixAxis::new(index.build().unwrap()).unwrap(), entries, values, None, RdmAbout::of("stimuli"))
            .unwrap()
    }

    #[test]
    fn rdms_of_several_kinds_are_no_repetitions() {
        let models = set(&["m"], &[""], &["x", "y", "z"], vec![1., 2., 3.]);
        for repeated in [RepeatedRdms::Average, RepeatedRdms::Separate] {
            let failure = read_repeated(&mixed(), &models, "", repeated).unwrap_err();
            assert_eq!(
                failure.message,
                "RDMs of the data differ in `dissimilarity`, `permutation` (dissimilarity: `correlation`, `euclidean`), so that \
                 they are not measurements of one thing by several subjects"
            );
            assert!(failure.hint.unwrap().contains("only: {dissimilarity: ...}"));
        }
        let failure = read(&mixed(), &models, DISSIMILARITY).unwrap_err();
        assert!(failure.message.starts_with("RDMs of the data differ in `permutation`"), "{failure}");
    }

    #[test]
    fn data_and_models_are_chosen_by_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set");
        mixed().write(&path).unwrap();
        let only = |name: &str, value: Value| BTreeMap::from([(name.to_owned(), value)]);
        let found = chosen(&path, &only(DISSIMILARITY, Value::Text("euclidean".into())), "only").unwrap();
        assert_eq!(found.index().ids(), ["r2", "r3"]);
        assert_eq!(found.triangle(1), [9.0, 10.0, 11.0]);
        assert_eq!(chosen(&path, &BTreeMap::new(), "only").unwrap().len(), 6);
        let failure = chosen(&path, &only("permutation", Value::Int(2)), "only_models").unwrap_err();
        assert_eq!(failure.message, "no row has `2` in the column `permutation` of `only_models`");
        let data = set(&["m"], &[""], &["x", "y", "z"], vec![1., 2., 3.]);
        let (groups, notes) = read(&data, &mixed(), "").unwrap();
        assert_eq!(groups[0].models.len(), 6);
        assert!(
            notes[0].contains("models differ in `dissimilarity`, `permutation`: all 6 are one family"),
            "{notes:?}"
        );
        let index = DataTable::new().text("id", ["object", "size"]).text(DISSIMILARITY, OF_VARIABLES).build().unwrap();
        let entries = MatrixAxis::of_ids(["x", "y", "z"]).unwrap();
        let about = RdmAbout::of("stimuli");
        let variables = RdmSet::new(MatrixAxis::new(index).unwrap(), entries, vec![1.0; 6], None, about).unwrap();
        assert!(mixed_models(&variables).unwrap().is_empty(), "models of words and numbers");
    }

    #[test]
    fn pairs_that_one_rdm_lacks_are_left_out_of_all() {
        let entries = ["w", "x", "y", "z"];
        // `w` has no pair in one RDM, and `y`-`z` none in the other.
        let data = set(&["a", "b"], &["a", "b"], &entries, vec![NAN, NAN, NAN, 1., 2., 3., 4., 5., 6., 7., 8., NAN]);
        let models = set(&["m"], &[""], &entries, vec![1., 2., 3., 4., 5., 6.]);
        let (groups, notes) = read(&data, &models, "").unwrap();
        assert_eq!(groups[0].stimuli, ["x", "y", "z"]);
        assert_eq!((groups[0].present.as_slice(), groups[0].models_complete), ([true, true, false].as_slice(), true));
        assert!(notes[0].contains("1 entries and 1 further pairs are left out"), "{notes:?}");
        let none = set(&["a"], &["a"], &entries, vec![NAN, NAN, NAN, NAN, NAN, 3.]);
        assert!(read(&none, &models, "").unwrap_err().message.starts_with("2 of 4 stimuli have a pair"));
        let infinite = set(&["a"], &["a"], &entries, vec![f64::INFINITY; 6]);
        assert!(
            read(&infinite, &models, "who").unwrap_err().message.starts_with("group `a`: the RDM `a` has an infinite")
        );
    }
}
