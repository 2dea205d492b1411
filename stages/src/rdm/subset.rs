//! `rdm/subset`: fewer entries of a set of RDMs, chosen by one of them: the most dissimilar, those of a given mean dissimilarity, the most
//! evenly spread, or those listed.
//!
//! One RDM decides, and all RDMs of the set keep the same entries, in the order in which they were chosen (those listed: in their order in the
//! set). The order is greedy ([`extreme_subset`](crate::numeric::extreme_subset)). Decides what is reported: the mean over pairs, and
//! over all cells with the diagonal, as the published functions print it, before and after.

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, choice, parameters};

use crate::formats::data_table::{self, DataTable};
use crate::formats::nearest_names::nearest;
use crate::formats::rdm_set::RdmSet;
use crate::numeric::counts::real;
use crate::numeric::dissimilarity::pair_index;
use crate::numeric::extreme_subset::{RdmTriangle, distance_to_uniform, most_dissimilar, most_uniform, nearest_mean};

/// The kind.
pub(super) struct RdmSubset;

parameters! {
    struct Parameters {
        /// the id of the RDM that decides; empty: the only one
        rdm: String = String::new();
        /// how entries are chosen: `most_dissimilar`, `nearest_mean` (a mean dissimilarity near `target`), `most_uniform` (dissimilarities
        /// spread over 0 to 1 as evenly as possible) or `listed`
        method: SubsetMethod = SubsetMethod::MostDissimilar;
        /// how many entries
        count: usize = 10, in 2..=1_000_000;
        /// the mean dissimilarity of `nearest_mean`
        target: f64 = 0.5;
        /// the ids of entries that `listed` keeps
        entries: Vec<String> = Vec::new();
    }
}

choice! {
    /// How entries are chosen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum SubsetMethod {
        /// The largest sum of dissimilarities to those before.
        MostDissimilar = "most_dissimilar",
        /// The mean dissimilarity nearest a target.
        NearestMean = "nearest_mean",
        /// Dissimilarities nearest a uniform distribution.
        MostUniform = "most_uniform",
        /// Those listed.
        Listed = "listed",
    }
}

const COLUMNS: &[Column] = &[
    Column::new("place", "in which step the entry was chosen, from 1; the first two come together"),
    Column::new("id", "the entry"),
    Column::new("mean", "mean dissimilarity over the pairs of this entry and those before; none for the first"),
];

const SUMMARY: &[Column] = &[
    Column::new("rdm", "the RDM that decides"),
    Column::new("part", "which entries").levels(&[("all", "all of the set"), ("chosen", "the subset")]),
    Column::new("n", "how many entries"),
    Column::new("mean_pairs", "mean dissimilarity over pairs of different entries; undefined ones left out"),
    Column::new("mean_cells", "mean over all cells of the square matrix with its diagonal; undefined ones left out"),
    Column::new("to_uniform", "largest distance of the dissimilarities' distribution to the uniform one on 0 to 1"),
    Column::new("undefined", "pairs without a defined dissimilarity"),
];

impl StageKind for RdmSubset {
    fn kind(&self) -> Kind {
        Kind::new(
            "rdm/subset",
            1,
            "fewer entries of RDMs: the most dissimilar, of a given mean, evenly spread, or listed",
        )
        .input("rdms", &["rdms"], "RDMs of the same entries")
        .folder("rdms", "rdms", "all RDMs of the set with the chosen entries alone")
        .folder("table", "table/subset", "a row a chosen entry, in order")
        .described(data_table::FILES, COLUMNS)
        .folder("summary", "table/subset-summary", "dissimilarities before and after")
        .described(data_table::FILES, SUMMARY)
        .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let folder = task.one("rdms")?;
        let set = RdmSet::read(folder)?;
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let rdm = deciding(&set, &parameters.rdm).map_err(at)?;
        let entries = chosen(&set, rdm, &parameters, context).map_err(at)?;
        let kept = set.with_room_for(&entries).map_err(at)?;
        let part = set.part(&kept, &entries)?;
        part.write(task.output("rdms")?)?;
        let in_part = kept.iter().position(|kept| *kept == rdm).ok_or_else(|| {
            at(Failure::input(format!("the RDM `{}`, which decides, is of permuted entries", set.index().ids()[rdm]))
                .hint("take one whose `permutation` is 0"))
        })?;
        let ids = part.entries().ids();
        let mut means = vec![None];
        means.extend((2..=entries.len()).map(|count| Some(mean_of_first(&part, in_part, count))));
        let table = DataTable::of(COLUMNS)
            .integers("place", (1..).take(ids.len()))
            .text("id", ids.iter().map(String::as_str))
            .optional_numbers("mean", means);
        data_table::write(task.output("table")?, &mut table.build()?)?;
        let rows = [RdmSpread::of("all", &set, rdm), RdmSpread::of("chosen", &part, in_part)];
        data_table::write(task.output("summary")?, &mut summary(&set.index().ids()[rdm], &rows)?)?;
        let fewer =
            parameters.method != SubsetMethod::Listed && entries.len() < parameters.count.min(set.entries().len());
        let mut notes = Vec::new();
        if fewer {
            let (found, wanted) = (entries.len(), parameters.count);
            notes.push(format!(
                "{IMPORTANT}{found} of {wanted} entries were chosen: the others have undefined dissimilarities"
            ));
        }
        if kept.len() < set.len() {
            notes.push(format!(
                "{IMPORTANT}{} RDMs of permuted entries are left out: in the places of the chosen entries they have others",
                set.len() - kept.len()
            ));
        }
        notes.iter().for_each(|note| context.log(note));
        Ok(Ended::noted(notes))
    }
}

fn deciding(set: &RdmSet, id: &str) -> Result<usize, Failure> {
    let ids = || set.index().ids().iter().map(String::as_str);
    match (id, set.len()) {
        ("", 1) => Ok(0),
        ("", count) => {
            let first: Vec<String> = ids().take(3).map(|id| format!("`{id}`")).collect();
            Err(Failure::input(format!("the set has {count} RDMs, but `rdm` does not say which one decides"))
                .hint(format!("`rdm` is an id of the index; the ids begin with {}", first.join(", "))))
        }
        (id, _) => set.index().position(id).ok_or_else(|| {
            Failure::input(format!("the set has no RDM `{id}`")).hint(format!("most like it: {}", nearest(id, ids())))
        }),
    }
}

fn chosen(set: &RdmSet, rdm: usize, parameters: &Parameters, context: &dyn Context) -> Result<Vec<usize>, Failure> {
    let Parameters { method, count, target, entries, .. } = parameters;
    if (*method == SubsetMethod::Listed) == entries.is_empty() {
        return Err(Failure::input("`entries` lists what `method: listed` keeps, and goes with no other method"));
    }
    let view = RdmTriangle { triangle: set.triangle(rdm), entries: set.entries().len() };
    let found = match method {
        SubsetMethod::MostDissimilar => most_dissimilar(view, *count),
        SubsetMethod::NearestMean => nearest_mean(view, *target, *count),
        SubsetMethod::MostUniform => most_uniform(view, *count, || context.cancelled())
            .ok_or_else(|| Failure::stage("stopped before all entries were chosen"))?,
        SubsetMethod::Listed => {
            let mut listed = set.entries().positions_of(entries, "ids of `entries`")?;
            listed.sort_unstable();
            listed
        }
    };
    match found.is_empty() {
        true => Err(Failure::input(format!("no dissimilarity of the RDM `{}` is defined", set.index().ids()[rdm]))),
        false => Ok(found),
    }
}

/// The mean over the pairs of the first entries.
fn mean_of_first(set: &RdmSet, rdm: usize, count: usize) -> f64 {
    let (triangle, n) = (set.triangle(rdm), set.entries().len());
    let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| triangle[pair_index(n, i, j)]));
    mean(pairs)
}

/// The mean of what is defined; NaN of nothing.
fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        numbers.filter(|number| !number.is_nan()).fold((0.0, 0), |(sum, count), number| (sum + number, count + 1));
    sum / real(count)
}

/// How the dissimilarities of an RDM are spread.
struct RdmSpread {
    part: &'static str,
    entries: usize,
    pairs: f64,
    cells: f64,
    to_uniform: f64,
    undefined: usize,
}

impl RdmSpread {
    fn of(part: &'static str, set: &RdmSet, rdm: usize) -> Self {
        let triangle = set.triangle(rdm);
        let mut defined: Vec<f64> = triangle.iter().copied().filter(|value| !value.is_nan()).collect();
        let undefined = triangle.len() - defined.len();
        defined.sort_by(f64::total_cmp);
        Self {
            part,
            entries: set.entries().len(),
            pairs: mean(triangle.iter().copied()),
            cells: mean(set.square(rdm).into_iter()),
            to_uniform: distance_to_uniform(&defined, &[]),
            undefined,
        }
    }
}

fn summary(rdm: &str, rows: &[RdmSpread]) -> Result<polars::prelude::DataFrame, Failure> {
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    DataTable::of(SUMMARY)
        .text("rdm", rows.iter().map(|_| rdm))
        .text("part", rows.iter().map(|row| row.part))
        .integers("n", rows.iter().map(|row| whole(row.entries)))
        .numbers("mean_pairs", rows.iter().map(|row| row.pairs))
        .numbers("mean_cells", rows.iter().map(|row| row.cells))
        .numbers("to_uniform", rows.iter().map(|row| row.to_uniform))
        .integers("undefined", rows.iter().map(|row| whole(row.undefined)))
        .build()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::{PERMUTATION, RdmAbout, SCRAMBLE, scramble_text};
    use crate::numeric::dissimilarity::{pairs, reordered};
    use crate::test_support::tasks;

    /// Five places on a line; a second RDM has their squared distances.
    fn set() -> RdmSet {
        let places = [1.0_f64, 0.0, 3.0, 10.0, 6.0];
        let distances = pairs(5).map(|(i, j)| (places[i] - places[j]).abs());
        let squares = pairs(5).map(|(i, j)| (places[i] - places[j]).powi(2));
        let axis = |ids: &[&str]| MatrixAxis::of_ids(ids.iter().copied()).unwrap();
        let values = distances.chain(squares).collect();
        RdmSet::new(axis(&["line", "square"]), axis(&["a", "b", "c", "d", "e"]), values, None, RdmAbout::of("places"))
            .unwrap()
    }

    fn run(
        folder: &Path,
        set: &RdmSet,
        parameters: &[(&str, Value)],
    ) -> Result<(RdmSet, String, String, Vec<String>), Failure> {
        set.write(&folder.join("in")).unwrap();
        let mut task = tasks::task(&RdmSubset, folder);
        tasks::give(&mut task, "rdms", &folder.join("in"));
        for (name, value) in parameters {
            tasks::set(&mut task, name, value.clone());
        }
        let notes = tasks::run(&RdmSubset, &task)?;
        let csv = |port: &str| fs_err::read_to_string(folder.join(port).join(data_table::CSV)).unwrap();
        Ok((RdmSet::read(&folder.join("rdms")).unwrap(), csv("table"), csv("summary"), notes))
    }

    fn text(word: &str) -> Value {
        Value::Text(word.to_owned())
    }

    #[test]
    fn all_rdms_keep_what_one_chooses() {
        let folder = tempfile::tempdir().unwrap();
        let set_of = [("rdm", text("line")), ("count", Value::Int(3))];
        let (found, table, summary, notes) = run(folder.path(), &set(), &set_of).unwrap();
        assert_eq!(found.entries().ids(), ["b", "d", "a"]);
        assert_eq!(
            (found.triangle(0), found.triangle(1)),
            ([10.0, 1.0, 9.0].as_slice(), [100.0, 1.0, 81.0].as_slice())
        );
        insta::assert_snapshot!(table, @r"
        place,id,mean
        1,b,
        2,d,10.0
        3,a,6.666666666666667
        ");
        // Pairs of all: 1, 2, 9, 5, 3, 10, 6, 7, 3, 4: 50. Cells: 100 of 25, and 40 of 9.
        assert!(
            summary.contains("line,all,5,5.0,4.0,")
                && summary.contains("line,chosen,3,6.666666666666667,4.444444444444445,"),
            "{summary}"
        );
        assert!(notes.is_empty());
    }

    #[test]
    fn permuted_rdms_with_other_entries_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let plain = set().triangle(0).to_vec();
        // The first exchanges `d` and `e`, which leaves the chosen three among themselves; the second takes `e` to the place of `a`.
        let orders = [[0, 1, 2, 4, 3], [4, 1, 2, 3, 0]];
        let index = DataTable::new().text("id", ["line", "within", "across"]).integers(PERMUTATION, [0, 1, 2]);
        let index = index.text(SCRAMBLE, [String::new(), scramble_text(&orders[0]), scramble_text(&orders[1])]);
        let values = [plain.clone(), reordered(&plain, 5, &orders[0]), reordered(&plain, 5, &orders[1])].concat();
        let index = MatrixAxis::new(index.build().unwrap()).unwrap();
        let permuted = RdmSet::new(index, set().entries().clone(), values, None, RdmAbout::of("places")).unwrap();
        let entries = Value::List(["a", "b", "c"].map(text).to_vec());
        let listed = [("rdm", text("line")), ("method", text("listed")), ("entries", entries)];
        let (found, _, _, notes) = run(folder.path(), &permuted, &listed).unwrap();
        assert_eq!(
            (found.index().ids(), found.triangle(1)),
            (["line", "within"].map(String::from).as_slice(), found.triangle(0))
        );
        assert_eq!(data_table::texts(found.index().table(), SCRAMBLE).unwrap(), ["", "[0,1,2]"]);
        assert!(notes[0].starts_with("important: 1 RDMs of permuted entries are left out"), "{notes:?}");
        let deciding = [&[("rdm", text("across"))][..], &listed[1..]].concat();
        let failure = run(folder.path(), &permuted, &deciding).unwrap_err();
        assert_eq!(failure.message, "the RDM `across`, which decides, is of permuted entries");
    }

    #[test]
    fn listed_entries_keep_the_order_of_the_set() {
        let folder = tempfile::tempdir().unwrap();
        let entries = Value::List(vec![text("e"), text("b")]);
        let set_of = [("rdm", text("square")), ("method", text("listed")), ("entries", entries)];
        let (found, ..) = run(folder.path(), &set(), &set_of).unwrap();
        assert_eq!(
            (found.entries().ids(), found.triangle(0)),
            (["b", "e"].map(String::from).as_slice(), [6.0].as_slice())
        );
        let failure = run(folder.path(), &set(), &[("rdm", text("line")), ("method", text("listed"))]).unwrap_err();
        assert!(failure.message.contains("goes with no other method"));
    }

    #[test]
    fn the_deciding_rdm_is_named_and_undefined_entries_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let failure = run(folder.path(), &set(), &[]).unwrap_err();
        assert!(failure.message.contains("2 RDMs") && failure.hint.unwrap().contains("`line`"));
        let failure = run(folder.path(), &set(), &[("rdm", text("lines"))]).unwrap_err();
        assert!(failure.hint.unwrap().contains("`line`"));
        let whole = set();
        let mut values = [whole.triangle(0), whole.triangle(1)].concat();
        // All pairs of the first entry.
        values[..4].fill(f64::NAN);
        let (index, entries, about) = (whole.index().clone(), whole.entries().clone(), whole.about().clone());
        let lacking = RdmSet::new(index, entries, values, None, about).unwrap();
        let (found, _, summary, notes) = run(folder.path(), &lacking, &[("rdm", text("line"))]).unwrap();
        assert_eq!(found.entries().len(), 4);
        assert!(notes[0].starts_with("important: 4 of 10 entries") && summary.contains(",4\n"), "{notes:?} {summary}");
    }
}
