//! `rdm/mds`: layouts of entries whose distances are those of RDMs, or have their order, by multidimensional scaling.
//!
//! Decides which RDMs of a set get a layout, what happens to pairs without a dissimilarity, and which layouts are turned onto each other:
//! those of neighbouring layers are comparable only if they are (Procrustes; nothing is stretched, so that stress stays what it was).
//! How a layout is found is in [`scaling`](crate::numeric::scaling). Diagonals play no part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use pipe_contract::{
    Column, Context, Ended, Failure, IMPORTANT, Kind, Progress, Repro, StageKind, Task, Value, choice, parameters,
};
use rayon::prelude::*;

use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::rdm_set::RdmSet;
use crate::formats::row_words::{rows_with, words_of};
use crate::numeric::counts::real;
use crate::numeric::dissimilarity::{pair_index, pairs};
use crate::numeric::procrustes::{turn_onto, turn_some_onto};
use crate::numeric::scaling::{ScaledLayout, ScalingOptions, ScalingProblem, scale};
use crate::numeric::stress_descent::DescentLimits;

/// The kind.
pub(super) struct Mds;

choice! {
    /// What of the dissimilarities a layout shows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum ScalingModel {
        /// Distances shall equal them.
        Metric = "metric",
        /// Distances shall have their order; equal ones get equal distances.
        NonMetric = "non-metric",
    }
}

choice! {
    /// Where descents begin.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum ScalingStart {
        /// At the points of classical scaling, and at random ones.
        Classical = "classical",
        /// At random points only.
        Random = "random",
    }
}

choice! {
    /// What happens where a dissimilarity is missing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum MissingPairs {
        /// It is an error.
        Refuse = "refuse",
        /// The pair has weight 0.
        LeaveOut = "leave-out",
    }
}

choice! {
    /// Which layout another one is turned onto.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum AlignTo {
        /// None.
        None = "none",
        /// The first.
        First = "first",
        /// The one before it, which was itself turned.
        Previous = "previous",
    }
}

parameters! {
    struct Parameters {
        /// which RDMs get a layout, by columns of their index: one value or a list, such as `layer: [conv1, fc3]`; none for all
        only: BTreeMap<String, Value> = BTreeMap::new();
        /// axes of a layout
        dims: usize = 2, in 2..=3;
        /// whether distances shall equal dissimilarities, or only have their order
        model: ScalingModel = ScalingModel::Metric;
        /// where descents begin; of all ends the one with the least stress is kept
        start: ScalingStart = ScalingStart::Classical;
        /// random starts; four times as many for at most 100 entries, where starts lead to more different ends and cost little
        restarts: usize = 4, in 0..=10_000;
        /// steps of a descent at most
        steps: usize = 3000, in 1..=1_000_000;
        /// a descent ends when three steps in a row lower stress by less than this share of it, and could not lower it by more
        tolerance: f64 = 1e-9, in 0.0..=0.1;
        /// what happens where a dissimilarity is missing
        missing: MissingPairs = MissingPairs::Refuse;
        /// onto which layout each is turned, in the order of the index
        align: AlignTo = AlignTo::Previous;
        /// columns of the index: only layouts of RDMs with equal values are turned onto each other, such as `[network, dissimilarity]`
        align_within: Vec<String> = Vec::new();
    }
}

const LAYOUT: &[Column] = &[
    Column::new("rdm", "the RDM, as its index has it"),
    Column::new("id", "the entry: a row and column of the RDM"),
    Column::measured(
        "x",
        "unit of the dissimilarities",
        "place on the first axis; the mean is 0, and axes have falling variance but in layouts turned onto another",
    ),
    Column::measured("y", "unit of the dissimilarities", "place on the second axis"),
    Column::measured("z", "unit of the dissimilarities", "place on the third axis; only in layouts of three axes"),
    STRESS,
    STRESS_1,
    STAMP,
];

const STRESS: Column = Column::measured(
    "stress",
    "squared unit of the dissimilarities",
    "raw stress: sum of (distance - what it should be)^2; in a non-metric layout the latter has the mean square 1",
);

const STRESS_1: Column =
    Column::new("stress_1", "stress-1 of the layout: the square root of raw stress over the sum of squared distances");

const FITS: &[Column] = &[
    Column::new("rdm", "the RDM, as its index has it"),
    STRESS,
    STRESS_1,
    Column::new("start", "the start that led to the least stress: `classical`, or `random` and its number"),
    Column::new("steps", "steps from that start"),
    Column::new("converged", "whether the descent ended by its tolerance").levels(&[
        ("true", "steps lowered stress by less than the tolerance"),
        ("false", "it was stopped after the greatest number of steps"),
    ]),
    Column::new("entries", "entries that have a place: those with a dissimilarity to some other"),
    Column::new("pairs", "pairs of all entries of the RDM"),
    Column::new("missing", "pairs without a dissimilarity, which have weight 0"),
    STAMP,
];

impl StageKind for Mds {
    fn kind(&self) -> Kind {
        let kind = Kind::new("rdm/mds", 1, "layouts of entries whose distances are those of RDMs")
            .input("rdms", &["rdms"], "RDMs; each gets a layout of its own")
            .folder("layout", "table/layout", "a row an RDM and entry: its place, and how well the layout fits")
            .described(data_table::FILES, LAYOUT)
            .folder("fits", "table", "a row an RDM: both stresses, and how the layout was found")
            .described(data_table::FILES, FITS)
            .parameters::<Parameters>();
        Kind { stamped: true, random: true, repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let rdms = RdmSet::read(task.one("rdms")?)?;
        let chosen = rows_with(rdms.index().table(), &parameters.only, "only")?;
        if parameters.missing == MissingPairs::Refuse {
            chosen.iter().try_for_each(|rdm| refuse_missing(&rdms, *rdm))?;
        }
        let mut layouts = layouts(&rdms, &chosen, &parameters.options(task.seed()?, rdms.entries().len()), context)?;
        align(&rdms, &chosen, &mut layouts, &parameters)?;
        let mut table = layout_table(&rdms, &chosen, &layouts, parameters.dims, task.simulated)?;
        data_table::write(task.output("layout")?, &mut table)?;
        data_table::write(task.output("fits")?, &mut fit_table(&rdms, &chosen, &layouts, task.simulated)?)?;
        let notes = notes(&rdms, &chosen, &layouts, parameters.steps);
        notes.iter().for_each(|note| context.log(note));
        Ok(Ended::noted(notes))
    }
}

impl Parameters {
    fn options(&self, seed: u64, entries: usize) -> ScalingOptions {
        let times = if entries <= FEW_ENTRIES { TIMES_FOR_FEW } else { 1 };
        ScalingOptions {
            dims: self.dims,
            ordinal: self.model == ScalingModel::NonMetric,
            classical: self.start == ScalingStart::Classical,
            restarts: self.restarts * times,
            limits: DescentLimits { steps: self.steps, tolerance: self.tolerance },
            seed,
        }
    }
}

/// So many entries are named in a note.
const NAMED: usize = 5;
/// So many entries are laid out from more starts.
const FEW_ENTRIES: usize = 100;
/// How many times more.
const TIMES_FOR_FEW: usize = 4;

/// A layout of the entries of an RDM that have a dissimilarity to some other.
#[derive(Clone, Debug)]
struct EntryLayout {
    /// Their places in the RDM.
    entries: Vec<usize>,
    found: ScaledLayout,
}

impl EntryLayout {
    /// Of an RDM.
    ///
    /// # Errors
    /// Those of [`scale`]; Input: no dissimilarity at all.
    fn of(
        rdms: &RdmSet,
        rdm: usize,
        options: &ScalingOptions,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, Failure> {
        let (count, triangle) = (rdms.entries().len(), rdms.triangle(rdm));
        let is_known = |one: usize, other: usize| !triangle[pair_index(count, one.min(other), one.max(other))].is_nan();
        let has_some = |one: &usize| (0..count).any(|other| other != *one && is_known(*one, other));
        let entries: Vec<usize> = (0..count).filter(has_some).collect();
        if entries.is_empty() {
            return Err(Failure::input("no pair of entries has a dissimilarity"));
        }
        let names: Vec<String> = entries.iter().map(|entry| rdms.entries().ids()[*entry].clone()).collect();
        let between = pairs(entries.len()).map(|(i, j)| triangle[pair_index(count, entries[i], entries[j])]);
        let between: Vec<f64> = between.collect();
        let found = scale(ScalingProblem { names: &names, triangle: &between }, options, stop)?;
        let missing = triangle.iter().filter(|value| value.is_nan()).count();
        Ok(Self { entries, found: ScaledLayout { missing, ..found } })
    }

    fn turn_onto(&mut self, target: &Self, dims: usize) -> Result<(), Failure> {
        if self.entries == target.entries {
            return turn_onto(&mut self.found.points, &target.found.points, self.entries.len());
        }
        let counterpart = |(place, entry): (usize, &usize)| Some([place, target.entries.binary_search(entry).ok()?]);
        let common: Vec<[usize; 2]> = self.entries.iter().enumerate().filter_map(counterpart).collect();
        turn_some_onto(&mut self.found.points, &target.found.points, dims, &common)
    }
}

fn problem(rdms: &RdmSet, rdm: usize) -> ScalingProblem<'_> {
    ScalingProblem { names: rdms.entries().ids(), triangle: rdms.triangle(rdm) }
}

fn refuse_missing(rdms: &RdmSet, rdm: usize) -> Result<(), Failure> {
    let problem = problem(rdms, rdm);
    let Some((count, [one, two])) = problem.missing() else { return Ok(()) };
    let (id, pairs) = (&rdms.index().ids()[rdm], rdms.triangle(rdm).len());
    Err(Failure::input(format!(
        "{count} of {pairs} pairs of the RDM `{id}` have no dissimilarity, the first of them `{one}` and `{two}`"
    ))
    .hint("write `missing: leave-out` to give these pairs the weight 0, or leave out entries with `rdm/subset`"))
}

/// A layout of each chosen RDM.
fn layouts(
    rdms: &RdmSet,
    chosen: &[usize],
    options: &ScalingOptions,
    context: &dyn Context,
) -> Result<Vec<EntryLayout>, Failure> {
    let (done, total) = (AtomicU64::new(0), chosen.len() as u64);
    let found: Vec<Result<EntryLayout, Failure>> = chosen
        .par_iter()
        .map(|rdm| {
            let layout = EntryLayout::of(rdms, *rdm, options, &|| context.cancelled())
                .map_err(|failure| of_rdm(failure, &rdms.index().ids()[*rdm]))?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            context.progress(Progress { done, total, unit: "layouts".to_owned(), note: String::new() });
            Ok(layout)
        })
        .collect();
    // Of several failures the first RDM's is reported, whichever came first.
    found.into_iter().collect()
}

fn of_rdm(failure: Failure, id: &str) -> Failure {
    Failure { message: format!("RDM `{id}`: {}", failure.message), ..failure }
}

/// Turns layouts onto the first of their group, or the one before.
fn align(rdms: &RdmSet, chosen: &[usize], layouts: &mut [EntryLayout], parameters: &Parameters) -> Result<(), Failure> {
    if parameters.align == AlignTo::None {
        return Ok(());
    }
    let by: Vec<Vec<Option<String>>> =
        parameters.align_within.iter().map(|name| words_of(rdms.index().table(), name)).collect::<Result<_, _>>()?;
    let mut targets: BTreeMap<Vec<Option<&String>>, EntryLayout> = BTreeMap::new();
    for (rdm, layout) in chosen.iter().zip(layouts) {
        let group: Vec<Option<&String>> = by.iter().map(|words| words[*rdm].as_ref()).collect();
        let target = targets.get(&group);
        if let Some(target) = target {
            layout.turn_onto(target, parameters.dims)?;
        }
        if target.is_none() || parameters.align == AlignTo::Previous {
            targets.insert(group, layout.clone());
        }
    }
    Ok(())
}

fn layout_table(
    rdms: &RdmSet,
    chosen: &[usize],
    layouts: &[EntryLayout],
    dims: usize,
    simulated: bool,
) -> Result<polars::prelude::DataFrame, Failure> {
    let each = |value: fn(&ScaledLayout) -> f64| {
        let repeated = |layout: &EntryLayout| std::iter::repeat_n(value(&layout.found), layout.entries.len());
        layouts.iter().flat_map(repeated).collect::<Vec<f64>>()
    };
    let name = |(rdm, layout): (&usize, &EntryLayout)| {
        std::iter::repeat_n(rdms.index().ids()[*rdm].clone(), layout.entries.len())
    };
    let names: Vec<String> = chosen.iter().zip(layouts).flat_map(name).collect();
    let entries = layouts.iter().flat_map(|layout| &layout.entries);
    let ids: Vec<&str> = entries.map(|entry| rdms.entries().ids()[*entry].as_str()).collect();
    let mut table = DataTable::of(LAYOUT).text("rdm", names).text("id", ids);
    for (axis, name) in ["x", "y", "z"].into_iter().take(dims).enumerate() {
        let of_layout = |layout: &EntryLayout| {
            let count = layout.entries.len();
            layout.found.points[axis * count..(axis + 1) * count].to_vec()
        };
        let of_axis: Vec<f64> = layouts.iter().flat_map(of_layout).collect();
        table = table.numbers(name, of_axis);
    }
    table
        .numbers("stress", each(|layout| layout.stress))
        .numbers("stress_1", each(|layout| layout.stress_1))
        .stamped(simulated)
        .build()
}

fn fit_table(
    rdms: &RdmSet,
    chosen: &[usize],
    layouts: &[EntryLayout],
    simulated: bool,
) -> Result<polars::prelude::DataFrame, Failure> {
    let start = |layout: &EntryLayout| match layout.found.start {
        0 => "classical".to_owned(),
        number => format!("random {number}"),
    };
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let pairs = rdms.triangle(0).len();
    DataTable::of(FITS)
        .text("rdm", chosen.iter().map(|rdm| rdms.index().ids()[*rdm].as_str()))
        .numbers("stress", layouts.iter().map(|layout| layout.found.stress))
        .numbers("stress_1", layouts.iter().map(|layout| layout.found.stress_1))
        .text("start", layouts.iter().map(start))
        .integers("steps", layouts.iter().map(|layout| whole(layout.found.steps)))
        .flags("converged", layouts.iter().map(|layout| layout.found.converged))
        .integers("entries", layouts.iter().map(|layout| whole(layout.entries.len())))
        .integers("pairs", layouts.iter().map(|_| whole(pairs)))
        .integers("missing", layouts.iter().map(|layout| whole(layout.found.missing)))
        .stamped(simulated)
        .build()
}

fn notes(rdms: &RdmSet, chosen: &[usize], layouts: &[EntryLayout], steps: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let ids_of = |is: fn(&ScaledLayout) -> bool| {
        let of = chosen.iter().zip(layouts).filter(|(_, layout)| is(&layout.found));
        of.map(|(rdm, _)| format!("`{}`", rdms.index().ids()[*rdm])).collect::<Vec<String>>()
    };
    let running = ids_of(|layout| !layout.converged);
    if !running.is_empty() {
        let count = running.len();
        notes.push(format!("{IMPORTANT}{count} layouts had not converged after {steps} steps: {}", running.join(", ")));
    }
    let lacking = ids_of(|layout| layout.missing > 0);
    if !lacking.is_empty() {
        let missing: usize = layouts.iter().map(|layout| layout.found.missing).sum();
        let share = 100.0 * real(missing) / real(rdms.triangle(0).len() * layouts.len());
        notes.push(format!(
            "{IMPORTANT}{missing} pairs ({share:.1} %) have no dissimilarity and weight 0, in {}",
            lacking.join(", ")
        ));
    }
    let lost = chosen.iter().zip(layouts).flat_map(|(rdm, layout)| {
        let without = (0..rdms.entries().len()).filter(move |entry| layout.entries.binary_search(entry).is_err());
        without.map(move |entry| format!("`{}` of `{}`", rdms.entries().ids()[entry], rdms.index().ids()[*rdm]))
    });
    let lost: Vec<String> = lost.collect();
    if !lost.is_empty() {
        let (count, more) = (lost.len(), if lost.len() > NAMED { ", ..." } else { "" });
        let named = lost[..count.min(NAMED)].join(", ");
        notes.push(format!("{IMPORTANT}{count} entries have no dissimilarity at all and no place: {named}{more}"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::RdmAbout;
    use crate::test_support::tasks::{give, run, set, task};

    /// Two layers of two networks: a rectangle of 4 by 3, twice as large in the second layer of `a`; the last RDM lacks a pair.
    fn write(folder: &std::path::Path) {
        let index = DataTable::new()
            .text("id", ["a1", "b1", "a2", "b2"])
            .text("network", ["a", "b", "a", "b"])
            .integers("rank", [1, 1, 2, 2]);
        let index = MatrixAxis::new(index.build().unwrap()).unwrap();
        let entries = MatrixAxis::of_ids(["p", "q", "r", "s"]).unwrap();
        let rectangle = [4.0, 5.0, 3.0, 3.0, 5.0, 4.0];
        let mut values = rectangle.repeat(4);
        values[12..18].iter_mut().for_each(|value| *value *= 2.0);
        values[23] = f64::NAN;
        RdmSet::new(index, entries, values, None, RdmAbout::of("stimuli")).unwrap().write(folder).unwrap();
    }

    fn mds(folder: &std::path::Path) -> Task {
        write(&folder.join("rdms"));
        let mut task = task(&Mds, folder);
        give(&mut task, "rdms", &folder.join("rdms"));
        task
    }

    fn text(word: &str) -> Value {
        Value::Text(word.to_owned())
    }

    #[test]
    fn every_chosen_rdm_gets_a_layout_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = mds(folder.path());
        task.simulated = true;
        set(&mut task, "only", Value::Map(BTreeMap::from([("network".to_owned(), text("a"))])));
        assert!(run(&Mds, &task).unwrap().is_empty());
        let table = data_table::read(&folder.path().join("layout")).unwrap();
        let names: Vec<&str> = table.get_column_names().into_iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["rdm", "id", "x", "y", "stress", "stress_1", "simulated"]);
        assert_eq!(data_table::texts(&table, "rdm").unwrap(), ["a1", "a1", "a1", "a1", "a2", "a2", "a2", "a2"]);
        assert_eq!(data_table::texts(&table, "id").unwrap()[..5], ["p", "q", "r", "s", "p"]);
        let (x, y) = (data_table::numbers(&table, "x").unwrap(), data_table::numbers(&table, "y").unwrap());
        for (layout, size) in [(0, 1.0), (4, 2.0)] {
            let distances = [4.0, 5.0, 3.0, 3.0, 5.0, 4.0];
            for ((one, two), expected) in pairs(4).zip(distances) {
                let (one, two) = (layout + one, layout + two);
                let distance = libm::hypot(x[one] - x[two], y[one] - y[two]);
                assert!((distance - size * expected).abs() < 1e-6, "{one} {two}: {distance}");
            }
        }
        assert!((x[0] - 2.0).abs() < 1e-6 && (y[0] - 1.5).abs() < 1e-6, "the first is on the positive sides");
        let fits = data_table::read(&folder.path().join("fits")).unwrap();
        assert_eq!(data_table::texts(&fits, "start").unwrap(), ["classical", "classical"]);
        assert!(data_table::numbers(&fits, "stress_1").unwrap().iter().all(|stress| *stress < 1e-6));
        set(&mut task, "dims", Value::Int(3));
        run(&Mds, &task).unwrap();
        let table = data_table::read(&folder.path().join("layout")).unwrap();
        assert!(data_table::numbers(&table, "z").unwrap().iter().all(|z| z.abs() < 1e-3));
    }

    #[test]
    fn missing_pairs_are_refused_or_have_no_weight() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = mds(folder.path());
        let failure = run(&Mds, &task).unwrap_err();
        assert_eq!(
            failure.message,
            "1 of 6 pairs of the RDM `b2` have no dissimilarity, the first of them `r` and `s`"
        );
        set(&mut task, "missing", text("leave-out"));
        let notes = run(&Mds, &task).unwrap();
        assert_eq!(notes, ["important: 1 pairs (4.2 %) have no dissimilarity and weight 0, in `b2`"]);
        set(&mut task, "only", Value::Map(BTreeMap::from([("network".to_owned(), text("c"))])));
        assert!(run(&Mds, &task).unwrap_err().message.contains("no row has `c`"));
    }

    /// A layer in which `q` is constant: its correlations are undefined, and it has no place; the others keep theirs.
    #[test]
    fn entries_without_a_dissimilarity_have_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = mds(folder.path());
        let rdms = RdmSet::read(&folder.path().join("rdms")).unwrap();
        let mut values: Vec<f64> = (0..2).flat_map(|rdm| rdms.triangle(rdm).to_vec()).collect();
        [6, 9, 10].into_iter().for_each(|pair| values[pair] = f64::NAN);
        let index = rdms.index().part(&[0, 1]).unwrap();
        let some = RdmSet::new(index, rdms.entries().clone(), values, None, rdms.about().clone()).unwrap();
        some.write(&folder.path().join("rdms")).unwrap();
        set(&mut task, "missing", text("leave-out"));
        let notes = run(&Mds, &task).unwrap();
        assert_eq!(notes[1], "important: 1 entries have no dissimilarity at all and no place: `q` of `b1`");
        let table = data_table::read(&folder.path().join("layout")).unwrap();
        assert_eq!(data_table::texts(&table, "id").unwrap(), ["p", "q", "r", "s", "p", "r", "s"]);
        let (x, y) = (data_table::numbers(&table, "x").unwrap(), data_table::numbers(&table, "y").unwrap());
        // The second is turned onto the first, but its mean is that of three corners.
        for (one, other) in [(0, 2), (0, 3), (2, 3)] {
            let (a, b) = ([4, 0, 5, 6][one], [4, 0, 5, 6][other]);
            assert!(
                (x[one] - x[other] - (x[a] - x[b])).abs() < 1e-6 && (y[one] - y[other] - (y[a] - y[b])).abs() < 1e-6
            );
        }
        let fits = data_table::read(&folder.path().join("fits")).unwrap();
        assert_eq!(data_table::integers(&fits, "entries").unwrap(), [4, 3]);
        assert_eq!(data_table::integers(&fits, "missing").unwrap(), [0, 3]);
    }

    #[test]
    fn layouts_are_turned_onto_each_other_within_groups() {
        let names: Vec<String> = ["p", "q", "r"].map(str::to_owned).to_vec();
        let entries = MatrixAxis::of_ids(names).unwrap();
        let index = DataTable::new().text("id", ["one", "two", "three", "four"]).text("group", ["A", "A", "B", "A"]);
        let index = MatrixAxis::new(index.build().unwrap()).unwrap();
        let rdms = RdmSet::new(index, entries, vec![1.0; 12], None, RdmAbout::of("stimuli")).unwrap();
        // The second is the first by 90 degrees, the third too, the fourth the first mirrored and slightly turned.
        let first = vec![2.0, -1.0, -1.0, 0.0, 1.0, -1.0];
        let turned = vec![0.0, -1.0, 1.0, 2.0, -1.0, -1.0];
        let mirrored = vec![-2.0, 1.0, 1.0, 0.0, 1.0, -1.0];
        let layout = |points: &[f64]| EntryLayout {
            entries: vec![0, 1, 2],
            found: ScaledLayout {
                points: points.to_vec(),
                stress: 0.0,
                stress_1: 0.0,
                start: 0,
                steps: 1,
                converged: true,
                missing: 0,
            },
        };
        let folder = tempfile::tempdir().unwrap();
        let aligned = |to: &str| {
            let mut task = task(&Mds, folder.path());
            set(&mut task, "align", text(to));
            set(&mut task, "align_within", Value::List(vec![text("group")]));
            let mut layouts = [&first, &turned, &turned, &mirrored].map(|points| layout(points));
            align(&rdms, &[0, 1, 2, 3], &mut layouts, &task.parameters().unwrap()).unwrap();
            layouts.map(|layout| layout.found.points)
        };
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        for to in ["first", "previous"] {
            let found = aligned(to);
            assert!(near(&found[0], &first) && near(&found[1], &first) && near(&found[3], &first), "{to}: {found:?}");
            assert_eq!(found[2], turned, "the only one of its group");
        }
        assert_eq!(aligned("none")[3], mirrored);
    }
}
