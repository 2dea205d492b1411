//! `rdm/meta`: RDMs of RDMs, of any order: how alike the geometries of objects, layers, networks or brain regions are.
//!
//! RDMs whose grouping columns are equal make one RDM; its entries are the values of the entry columns. Decides names: a column of the index
//! that says something of one order (`dissimilarity`, `permutation`, `scramble`, `unit`, `entry_subset`) gets `_sub` behind it for each order
//! that is put above, so that a third order has `dissimilarity`, `dissimilarity_sub` and `dissimilarity_sub_sub`. All groups must have the same
//! entries, because a set of RDMs has; groups of others are made by a stage each. Permutations shuffle the sub-entries of every
//! entry on its own, from `permutation_seed` alone, and are the same for all groups and dissimilarities. `cka` is linear centred kernel
//! alignment of the patterns that the RDMs are squared distances of: exact for (squared) Euclidean and Mahalanobis distances, of normalised
//! patterns for correlation and cosine, and refused where it is not known what the numbers are.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Arity, Context, Ended, Failure, IMPORTANT, Kind, Repro, StageKind, Task, choice, parameters};
use polars::prelude::{DataFrame, DataType};

use super::meta_metric::{ComparedRdms, MetaMetric};
use super::rdm_sets;
use super::row_groups::{RowGroup, beside, common, grouped};
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{ID, MatrixAxis};
use crate::formats::nearest_names::nearest;
use crate::formats::rdm_set::{DISSIMILARITY, PERMUTATION, RdmAbout, RdmSet, SCRAMBLE};
use crate::numeric::dissimilarity::{Dissimilarities, Dissimilarity, entry_permutation, pair_count, reordered};
use crate::numeric::thread_pool::in_pool;

/// The kind.
pub(super) struct MetaRdms;

parameters! {
    struct Parameters {
        /// columns of the index whose values are the entries, such as `[object]` or `[object, layer]`
        entry: Vec<String>;
        /// columns of the index whose values are fixed in an RDM; `[rest]`: all that are not entry columns and do not follow from them
        grouping: Vec<String> = vec![REST.to_owned()];
        /// only RDMs with these values, by column of the index
        only: BTreeMap<String, Vec<String>> = BTreeMap::new();
        /// only these entries (values of the entry columns joined by `/`); empty: all
        entries: Vec<String> = Vec::new();
        /// what this subset of entries is called in the column `entry_subset`
        entry_subset: String = "all".to_owned();
        /// what the entries are, in the plural; empty: the entry columns
        called: String = String::new();
        /// how RDMs are compared; several make several RDMs of each group
        dissimilarity: Vec<RdmDissimilarity> = vec![RdmDissimilarity::Correlation];
        /// RDMs of permuted sub-entries, beside those of the RDMs as they are
        permutations: usize = 0, in 0..=1_000_000;
        /// the seed of these orders: with the same one, RDMs of other stages have the same orders of as many entries and sub-entries
        permutation_seed: u64 = 0, in 0..=9_007_199_254_740_991;
        /// undefined numbers of RDMs: `entries`: an entry that has none defined in one of two RDMs is left out of both; `pairs`: then
        /// undefined pairs too; `refuse`
        undefined: UndefinedPairs = UndefinedPairs::Entries;
    }
}

choice! {
    /// How two RDMs are compared.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum RdmDissimilarity {
        /// 1 minus Pearson's correlation of upper triangles.
        Correlation = "correlation",
        /// The distance of upper triangles.
        Euclidean = "euclidean",
        /// The squared distance of upper triangles.
        SquaredEuclidean = "squared_euclidean",
        /// 1 minus the cosine of upper triangles.
        Cosine = "cosine",
        /// 1 minus linear centred kernel alignment.
        Alignment = "cka",
        /// 1 minus debiased linear centred kernel alignment.
        DebiasedAlignment = "cka_debiased",
    }
}

choice! {
    /// What happens to undefined numbers of the RDMs that are compared.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum UndefinedPairs {
        /// Entries without a defined number are left out.
        Entries = "entries",
        /// Pairs without a defined number are left out.
        Pairs = "pairs",
        /// They are a failure.
        Refuse = "refuse",
    }
}

/// Groups by all other columns.
const REST: &str = "rest";
/// Columns of an index that say something of one order.
const OF_ONE_ORDER: [&str; 5] = [DISSIMILARITY, PERMUTATION, SCRAMBLE, "unit", "entry_subset"];
/// Columns that follow from others, so that groups are not made by them.
const FOLLOWS: [&str; 4] = ["features", "unit", SCRAMBLE, "kernels"];
/// The place of a layer in its network, which goes with its name.
const RANK: &str = "rank";
/// Dissimilarities that are distances, whose squares alignment takes.
const DISTANCES: [&str; 3] = ["euclidean", "mahalanobis", "difference"];
/// Dissimilarities that are squared distances (`differs` of patterns that are 1 at their word), or half of those of patterns of length 1, which alignment takes as they are: that of
/// `correlation` and `cosine` is of patterns so normalised, and factors do not matter.
const SQUARES: [&str; 7] =
    ["squared_euclidean", "crossnobis", "correlation", "cosine", "differs", "cka", "cka_debiased"];
/// More numbers than this in all RDMs together are refused: 8 GB.
const MOST_NUMBERS: usize = 1 << 30;
/// More positions than this in all orders together are not listed, since the seed has them too.
const MOST_LISTED: usize = 1 << 26;

impl RdmDissimilarity {
    fn metric(self) -> MetaMetric {
        match self {
            Self::Correlation => MetaMetric::Triangles(Dissimilarity::Correlation),
            Self::Euclidean => MetaMetric::Triangles(Dissimilarity::Euclidean),
            Self::SquaredEuclidean => MetaMetric::Triangles(Dissimilarity::SquaredEuclidean),
            Self::Cosine => MetaMetric::Triangles(Dissimilarity::Cosine),
            Self::Alignment => MetaMetric::Alignment { debiased: false },
            Self::DebiasedAlignment => MetaMetric::Alignment { debiased: true },
        }
    }

    fn word(self) -> &'static str {
        match self.metric() {
            MetaMetric::Triangles(of) => of.word(),
            MetaMetric::Alignment { debiased: false } => "cka",
            MetaMetric::Alignment { debiased: true } => "cka_debiased",
        }
    }
}

/// Whether a name is one of these, of any order.
fn is_one_of(name: &str, known: &[&str]) -> bool {
    let of_any_order = |rest: &str| rest.split("_sub").all(str::is_empty);
    known.iter().any(|known| name.strip_prefix(known).is_some_and(of_any_order))
}

/// What a column is called one order higher.
fn renamed(name: &str) -> String {
    if is_one_of(name, &OF_ONE_ORDER) { format!("{name}_sub") } else { name.to_owned() }
}

impl StageKind for MetaRdms {
    fn kind(&self) -> Kind {
        let kind = Kind::new("rdm/meta", 1, "RDMs of RDMs, of any order")
            .port(
                "rdms",
                &["rdms"],
                Arity::Many,
                false,
                "RDMs of the same entries; axes of a gather are columns of the index",
            )
            .folder("rdms", "rdms", "an RDM a group, dissimilarity and permutation; its entries are RDMs")
            .parameters::<Parameters>();
        Kind { repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let set = chosen(&rdm_sets::joined(task, "rdms")?, &parameters)?;
        check_defined(&set, parameters.undefined)?;
        let columns = GroupColumns::of(&set, &parameters)?;
        let groups = grouped(set.index().table(), &columns.by)?;
        let members = EntriesOfGroups::of(&set, &groups, &parameters)?;
        let seed = parameters.permutation_seed;
        let shuffles = Shuffles { seed, entries: members.keys.len(), sub_entries: set.entries().len() };
        check_alignment(&set, &parameters)?;
        let listed = shuffles.check_size(groups.len() * parameters.dissimilarity.len(), parameters.permutations)?;
        let mut made = MadeRdms::default();
        for (place, rdms) in members.rdms.iter().enumerate() {
            for number in 0..=parameters.permutations {
                if context.cancelled() {
                    return Err(Failure::stage("stopped before all RDMs were computed"));
                }
                let compared = shuffles.compared(&set, rdms, number)?;
                let words = if listed { shuffles.words(number)? } else { String::new() };
                for of in &parameters.dissimilarity {
                    let by_pairs = parameters.undefined == UndefinedPairs::Pairs;
                    let found = in_pool(|| compared.dissimilarities(of.metric(), by_pairs));
                    made.add(place, &groups[place], *of, number, &found, words.clone());
                }
            }
        }
        let notes: Vec<String> = task
            .absences("rdms")
            .into_iter()
            .chain(made.undefined_note())
            .chain(shuffles.unlisted_note(listed))
            .collect();
        notes.iter().for_each(|note| context.log(note));
        let index = made.index(&set, &groups, &columns, &parameters)?;
        let words: Vec<&str> = parameters.dissimilarity.iter().map(|of| of.word()).collect();
        let about = RdmAbout {
            entries: called(&parameters),
            order: set.about().order + 1,
            unit: String::new(),
            history: set.about().history.clone(),
        };
        let about = about.then(format!("RDMs compared by {}", words.join(", ")));
        let entries = members.axis(&set, &groups, &parameters)?;
        RdmSet::new(index, entries, made.values, Some(made.diagonals), about)?
            .with_sub_entries(set.entries().clone())
            .write(task.output("rdms")?)?;
        Ok(Ended::noted(notes))
    }
}

fn called(parameters: &Parameters) -> String {
    match (parameters.called.as_str(), parameters.entry.as_slice()) {
        ("", [only]) => format!("{only}s"),
        ("", several) => format!("combinations of {}", several.join(" and ")),
        (called, _) => called.to_owned(),
    }
}

/// The RDMs that `only` and `entries` leave.
fn chosen(set: &RdmSet, parameters: &Parameters) -> Result<RdmSet, Failure> {
    if parameters.entry.is_empty() {
        return Err(Failure::input("`entry` is empty, expected the columns whose values are the entries")
            .hint(format!("columns of the index: {}", columns(set).join(", "))));
    }
    let table = set.index().table();
    let mut kept: Vec<usize> = (0..set.len()).collect();
    for (column, values) in &parameters.only {
        let words =
            data_table::words(table, column).map_err(|failure| failure.hint("`only` names columns of the index"))?;
        if let Some(value) = values.iter().find(|value| !words.contains(value)) {
            return Err(
                Failure::input(format!("no RDM has `{value}` in its column `{column}`")).hint(most_like(value, &words))
            );
        }
        kept.retain(|rdm| values.contains(&words[*rdm]));
    }
    if !parameters.entries.is_empty() {
        let keys = keys(set, &parameters.entry)?;
        if let Some(entry) = parameters.entries.iter().find(|entry| !keys.contains(entry)) {
            return Err(Failure::input(format!("no RDM is of the entry `{entry}`")).hint(most_like(entry, &keys)));
        }
        kept.retain(|rdm| parameters.entries.contains(&keys[*rdm]));
    }
    if kept.is_empty() {
        return Err(Failure::input("no RDM has all the values of `only` and `entries`"));
    }
    set.part(&kept, &(0..set.entries().len()).collect::<Vec<_>>())
}

fn most_like(name: &str, known: &[String]) -> String {
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    format!("most like it: {}", nearest(name, known.into_iter()))
}

fn columns(set: &RdmSet) -> Vec<String> {
    set.index().table().columns().iter().map(|column| format!("`{}`", column.name())).collect()
}

/// Of every RDM, the values of its entry columns joined by `/`.
fn keys(set: &RdmSet, entry: &[String]) -> Result<Vec<String>, Failure> {
    let words: Vec<Vec<String>> = entry
        .iter()
        .map(|name| data_table::words(set.index().table(), name))
        .collect::<Result<_, _>>()
        .map_err(|failure: Failure| failure.hint("`entry` names columns of the index of the RDMs"))?;
    let key = |rdm: usize| words.iter().map(|column| column[rdm].as_str()).collect::<Vec<_>>().join("/");
    Ok((0..set.len()).map(key).collect())
}

fn check_defined(set: &RdmSet, policy: UndefinedPairs) -> Result<(), Failure> {
    let undefined = |rdm: &usize| set.triangle(*rdm).iter().any(|value| value.is_nan());
    match (0..set.len()).find(undefined).filter(|_| policy == UndefinedPairs::Refuse) {
        None => Ok(()),
        Some(rdm) => Err(Failure::input(format!("the RDM `{}` has undefined numbers", set.index().ids()[rdm]))
            .hint("`undefined: entries` leaves out what has no defined number")),
    }
}

/// Alignment takes numbers for distances or their squares, which must be known of every RDM.
fn check_alignment(set: &RdmSet, parameters: &Parameters) -> Result<(), Failure> {
    let aligned = |of: &&RdmDissimilarity| matches!(of.metric(), MetaMetric::Alignment { .. });
    let Some(of) = parameters.dissimilarity.iter().find(aligned) else { return Ok(()) };
    let table = set.index().table();
    let words = match table.column(DISSIMILARITY) {
        Ok(_) => data_table::words(table, DISSIMILARITY)?,
        Err(_) => vec![String::new(); set.len()],
    };
    let is_known = |word: &String| DISTANCES.contains(&word.as_str()) || SQUARES.contains(&word.as_str());
    match words.iter().position(|word| !is_known(word)) {
        None => Ok(()),
        Some(rdm) => Err(Failure::input(format!(
            "`{}` needs to know whether numbers are distances or squared distances, but the dissimilarity of `{}` is `{}`, \
             expected one of {}",
            of.word(),
            set.index().ids()[rdm],
            words[rdm],
            [&DISTANCES[..], &SQUARES[..]].concat().join(", ")
        ))
        .hint("`dissimilarity` of `rdm/import` says what the numbers of other programs are")),
    }
}

/// What groups are made by, and what is kept of them besides.
struct GroupColumns {
    by: Vec<String>,
    /// Columns with one value in all RDMs.
    constant: Vec<String>,
}

impl GroupColumns {
    fn of(set: &RdmSet, parameters: &Parameters) -> Result<Self, Failure> {
        let Parameters { entry, grouping, .. } = parameters;
        if grouping.iter().any(|name| name == REST) && grouping.len() > 1 {
            return Err(Failure::input("`rest` means all other columns, so that no other can be in `grouping`"));
        }
        if let Some(both) = grouping.iter().find(|name| entry.contains(name)) {
            return Err(Failure::input(format!("`{both}` is both in `entry` and in `grouping`")));
        }
        let table = set.index().table();
        let constant = common(table, &grouped(table, &[])?, &FOLLOWS)?;
        let constant = words_of(&constant).into_iter().filter(|name| !entry.contains(name) && !grouping.contains(name));
        if grouping.first().is_none_or(|first| first != REST) {
            let stamp = constant.filter(|name| name == data_table::STAMP.name);
            return Ok(Self { by: grouping.clone(), constant: stamp.collect() });
        }
        let constant: Vec<String> = constant.collect();
        let fixed_by_entry = words_of(&common(table, &grouped(table, entry)?, &[])?);
        let makes_groups = |name: &String| {
            let with_layer = name == RANK && entry.iter().any(|entry| entry == "layer");
            let known = [entry, &constant, &fixed_by_entry].iter().any(|names| names.contains(name));
            !known && !with_layer && name != ID && !is_one_of(name, &FOLLOWS)
        };
        Ok(Self { by: words_of(table).into_iter().filter(makes_groups).collect(), constant })
    }
}

/// The columns of a table that hold words, whole numbers or truth values.
fn words_of(table: &DataFrame) -> Vec<String> {
    let holds_words = |holds: &DataType| matches!(holds, DataType::String | DataType::Boolean) || holds.is_integer();
    let columns = table.columns().iter().filter(|column| holds_words(column.dtype()));
    columns.map(|column| column.name().to_string()).collect()
}

/// Which RDM of each group is which entry.
struct EntriesOfGroups {
    keys: Vec<String>,
    /// By group, the RDM of every key.
    rdms: Vec<Vec<usize>>,
}

impl EntriesOfGroups {
    fn of(set: &RdmSet, groups: &[RowGroup], parameters: &Parameters) -> Result<Self, Failure> {
        let of_rdms = keys(set, &parameters.entry)?;
        let first = groups.first().map_or(&[][..], |group| group.rows.as_slice());
        let keys: Vec<String> = first.iter().map(|rdm| of_rdms[*rdm].clone()).collect();
        let mut rdms = Vec::new();
        for group in groups {
            let mut places: BTreeMap<&str, usize> = BTreeMap::new();
            for rdm in &group.rows {
                if let Some(other) = places.insert(&of_rdms[*rdm], *rdm) {
                    let ids = set.index().ids();
                    return Err(Failure::input(format!(
                        "`{}` and `{}` are both the entry `{}` of group `{}`, expected one RDM an entry",
                        ids[other],
                        ids[*rdm],
                        of_rdms[*rdm],
                        group.name()
                    ))
                    .hint("add the columns in which they differ to `entry` or to `grouping`, or choose with `only`"));
                }
            }
            let lacking = keys.iter().find(|key| !places.contains_key(key.as_str()));
            let known: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
            let more = places.keys().find(|key| !known.contains(*key));
            if lacking.is_some() || more.is_some() {
                let (has, name) = match (lacking, more) {
                    (Some(key), _) => ("lacks", key.as_str()),
                    (None, more) => ("has, unlike the first group,", more.copied().unwrap_or_default()),
                };
                return Err(Failure::input(format!(
                    "group `{}` {has} the entry `{name}`; the first group is `{}`",
                    group.name(),
                    groups[0].name()
                ))
                .hint("RDMs of a set have the same entries: compare groups with other entries in a stage of their own (`only`)"));
            }
            rdms.push(keys.iter().map(|key| places[key.as_str()]).collect());
        }
        Ok(Self { keys, rdms })
    }

    /// The entries with what all RDMs of each have in common.
    fn axis(&self, set: &RdmSet, groups: &[RowGroup], parameters: &Parameters) -> Result<MatrixAxis, Failure> {
        let of_entry = |at: usize| RowGroup {
            key: vec![self.keys[at].clone()],
            rows: (0..groups.len()).map(|group| self.rdms[group][at]).collect(),
        };
        let entries: Vec<RowGroup> = (0..self.keys.len()).map(of_entry).collect();
        let known = common(set.index().table(), &entries, &FOLLOWS)?;
        // What is the same for all entries too says nothing of an entry.
        let all = [RowGroup { key: Vec::new(), rows: self.rdms.concat() }];
        let same = common(set.index().table(), &all, &[])?;
        let without: Vec<String> = same
            .columns()
            .iter()
            .map(|column| column.name().to_string())
            .filter(|name| !parameters.entry.contains(name))
            .collect();
        let table = beside(self.keys.clone(), &known.drop_many(without), DataFrame::empty())?;
        MatrixAxis::new(table)
    }
}

/// How the sub-entries of each entry are shuffled.
struct Shuffles {
    seed: u64,
    entries: usize,
    sub_entries: usize,
}

impl Shuffles {
    /// The order of the sub-entries of an entry in this permutation.
    fn order(&self, number: usize, entry: usize) -> Vec<usize> {
        let own = if number == 0 { 0 } else { (number - 1) * self.entries + entry + 1 };
        entry_permutation(self.seed, own, self.sub_entries)
    }

    /// Whether orders are listed in the index: not where so many RDMs have them that the index would be larger than the RDMs may be.
    fn check_size(&self, rdms: usize, permutations: usize) -> Result<bool, Failure> {
        let all = rdms.saturating_mul(permutations.saturating_add(1));
        if all.saturating_mul(pair_count(self.entries)) > MOST_NUMBERS {
            return Err(Failure::input(format!(
                "{all} RDMs of {} entries have more than {MOST_NUMBERS} numbers, which is the most of one set",
                self.entries
            ))
            .hint("ask for fewer permutations, or divide the groups among several stages (`only`)"));
        }
        Ok(all.saturating_mul(self.entries).saturating_mul(self.sub_entries) <= MOST_LISTED)
    }

    fn unlisted_note(&self, listed: bool) -> Option<String> {
        let seed = self.seed;
        (!listed).then(|| {
            format!("{IMPORTANT}orders of permuted entries are too many for the column `{SCRAMBLE}`; the seed {seed} decides them")
        })
    }

    /// All orders of a permutation in JSON; empty of that which leaves all as it is.
    fn words(&self, number: usize) -> Result<String, Failure> {
        if number == 0 {
            return Ok(String::new());
        }
        let orders: Vec<Vec<usize>> = (0..self.entries).map(|entry| self.order(number, entry)).collect();
        serde_json::to_string(&orders).map_err(|error| Failure::internal(error.to_string()))
    }

    fn compared(&self, set: &RdmSet, rdms: &[usize], number: usize) -> Result<ComparedRdms, Failure> {
        let triangles = rdms.iter().enumerate().map(|(entry, rdm)| match number {
            0 => set.triangle(*rdm).to_vec(),
            _ => reordered(set.triangle(*rdm), self.sub_entries, &self.order(number, entry)),
        });
        let table = set.index().table();
        let distances = match table.column(DISSIMILARITY) {
            Ok(_) => {
                let words = data_table::words(table, DISSIMILARITY)?;
                rdms.iter().map(|rdm| DISTANCES.contains(&words[*rdm].as_str())).collect()
            }
            Err(_) => vec![false; rdms.len()],
        };
        Ok(ComparedRdms { triangles: triangles.collect(), entries: self.sub_entries, distances })
    }
}

/// RDMs that are made one after the other.
#[derive(Default)]
struct MadeRdms {
    ids: Vec<String>,
    groups: Vec<usize>,
    values: Vec<f64>,
    diagonals: Vec<f64>,
    dissimilarities: Vec<RdmDissimilarity>,
    permutations: Vec<i64>,
    scrambles: Vec<String>,
    undefined: Vec<String>,
}

impl MadeRdms {
    fn add(
        &mut self,
        place: usize,
        group: &RowGroup,
        of: RdmDissimilarity,
        number: usize,
        found: &Dissimilarities,
        scramble: String,
    ) {
        let plain = format!("{}/{}", group.name(), of.word());
        let id = if number == 0 { plain } else { format!("{plain}/{number}") };
        if found.triangle.iter().any(|value| value.is_nan()) {
            self.undefined.push(id.clone());
        }
        self.ids.push(id);
        self.groups.push(place);
        self.values.extend_from_slice(&found.triangle);
        self.diagonals.extend_from_slice(&found.diagonal);
        self.dissimilarities.push(of);
        self.permutations.push(i64::try_from(number).unwrap_or(i64::MAX));
        self.scrambles.push(scramble);
    }

    fn undefined_note(&self) -> Option<String> {
        let first = self.undefined.first()?;
        let (some, all) = (self.undefined.len(), self.ids.len());
        Some(format!(
            "{IMPORTANT}{some} of {all} RDMs have undefined dissimilarities, the first of them `{first}`; they are NaN"
        ))
    }

    /// A row an RDM: the columns of its group, renamed, and what it is itself.
    fn index(
        &self,
        set: &RdmSet,
        groups: &[RowGroup],
        columns: &GroupColumns,
        parameters: &Parameters,
    ) -> Result<MatrixAxis, Failure> {
        let known = common(set.index().table(), groups, &[])?;
        // A set of several dissimilarities has no unit in common, but each group may have one.
        let units = match known.column("unit") {
            Ok(_) => data_table::words(&known, "unit")?,
            Err(_) => vec![set.about().unit.clone(); groups.len()],
        };
        let mut names: Vec<String> = columns.by.iter().chain(&columns.constant).cloned().collect();
        let with_rank = columns.by.iter().any(|name| name == "layer") && known.column(RANK).is_ok();
        if with_rank && !names.iter().any(|name| name == RANK) {
            names.push(RANK.to_owned());
        }
        let known = known.select(&names).map_err(|error| Failure::internal(error.to_string()))?;
        let above = known.columns().iter().map(|column| column.clone().with_name(renamed(column.name()).into()));
        let known =
            DataFrame::new(groups.len(), above.collect()).map_err(|error| Failure::internal(error.to_string()))?;
        let unit = |(of, group): (&RdmDissimilarity, &usize)| match (of, units[*group].as_str()) {
            (RdmDissimilarity::Euclidean, unit) => unit.to_owned(),
            (RdmDissimilarity::SquaredEuclidean, unit) if !unit.is_empty() => format!("{unit}^2"),
            _ => String::new(),
        };
        let more = DataTable::new()
            .text("entry_subset", vec![parameters.entry_subset.clone(); self.ids.len()])
            .text(DISSIMILARITY, self.dissimilarities.iter().map(|of| of.word()))
            .text("unit", self.dissimilarities.iter().zip(&self.groups).map(unit))
            .integers(PERMUTATION, self.permutations.iter().copied())
            .text(SCRAMBLE, self.scrambles.iter().map(String::as_str))
            .build()?;
        MatrixAxis::new(beside(self.ids.clone(), &data_table::rows(&known, &self.groups)?, more)?)
    }
}
