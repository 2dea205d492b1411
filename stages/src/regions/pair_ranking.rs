//! `regions/pairs`: pairs of feature spaces, those first that share most of the variance.
//!
//! Every pair is a partition of its own. Pairs are put in order by the mean of their shared part over the units of a region, in every
//! region anew; those without a number come last. Decides nothing about the numbers, which are those of the partitions.
//!
//! It is not made of `table/filter`, `table/pivot` and `table/sort`, whose column of ranks is the same: a pair is named by one cell
//! (`A+B`), no kind of tables takes such a name apart, and the unique parts of the rows `A` and `B` would become as many columns as there are
//! spaces where two are meant, `unique_first` and `unique_second`.

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task};

use crate::formats::data_table::{self, DataTable};

/// The kind.
pub(super) struct PairRanking;

const R2: &str = "share of variance";

const COLUMNS: &[Column] = &[
    Column::new("region", "the region; `all` is every unit"),
    Column::new("rank", "the place of the pair in this region, from 1: the highest `shared_mean` first"),
    Column::new("first", "one space of the pair"),
    Column::new("second", "the other one"),
    Column::new("n", "units of the region that have parts"),
    Column::measured("shared_min", R2, "what both explain: the least"),
    Column::measured("shared_median", R2, "the median"),
    Column::measured("shared_mean", R2, "the mean"),
    Column::measured("shared_max", R2, "the greatest"),
    Column::measured("unique_first", R2, "what the first explains that the second does not: the mean"),
    Column::measured("unique_second", R2, "what the second explains that the first does not: the mean"),
    Column::measured("total", R2, "R2 of both together: the mean"),
    data_table::STAMP,
];

impl StageKind for PairRanking {
    fn kind(&self) -> Kind {
        let kind = Kind::new("regions/pairs", 1, "pairs of feature spaces in the order of what they share, by region")
            .gather("parts", &["table/region-parts"], "parts by region, a partition of two spaces each")
            .folder("table", "table/pairs", "a row a region and pair")
            .described(data_table::FILES, COLUMNS);
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let mut pairs: Vec<PairInRegion> = Vec::new();
        for (_, path) in task.present("parts") {
            pairs.extend(read(path).map_err(|failure| failure.at(path.display().to_string()))?);
        }
        let mut regions: Vec<String> = Vec::new();
        for pair in &pairs {
            if !regions.contains(&pair.region) {
                regions.push(pair.region.clone());
            }
        }
        let mut ranked: Vec<(i64, &PairInRegion)> = Vec::new();
        for region in &regions {
            let mut of_region: Vec<&PairInRegion> = pairs.iter().filter(|pair| pair.region == *region).collect();
            // Stable: pairs that share as much stay in the order of the inputs.
            let shared = |pair: &PairInRegion| pair.shared.mean.unwrap_or(f64::NEG_INFINITY);
            of_region.sort_by(|a, b| shared(b).total_cmp(&shared(a)));
            ranked.extend((1..).zip(of_region));
        }
        let of =
            |pick: fn(&PairInRegion) -> Option<f64>| ranked.iter().map(move |(_, pair)| pick(pair)).collect::<Vec<_>>();
        let table = DataTable::of(COLUMNS)
            .text("region", ranked.iter().map(|(_, pair)| pair.region.as_str()))
            .integers("rank", ranked.iter().map(|(rank, _)| *rank))
            .text("first", ranked.iter().map(|(_, pair)| pair.first.as_str()))
            .text("second", ranked.iter().map(|(_, pair)| pair.second.as_str()))
            .integers("n", ranked.iter().map(|(_, pair)| pair.shared.count))
            .optional_numbers("shared_min", of(|pair| pair.shared.least))
            .optional_numbers("shared_median", of(|pair| pair.shared.median))
            .optional_numbers("shared_mean", of(|pair| pair.shared.mean))
            .optional_numbers("shared_max", of(|pair| pair.shared.greatest))
            .optional_numbers("unique_first", of(|pair| pair.unique_first))
            .optional_numbers("unique_second", of(|pair| pair.unique_second))
            .optional_numbers("total", of(|pair| pair.total))
            .stamped(task.simulated);
        data_table::write(task.output("table")?, &mut table.build()?)?;
        Ok(Ended::noted(task.absences("parts").into_iter().collect()))
    }
}

/// What two spaces share in a region.
struct SharedPart {
    count: i64,
    least: Option<f64>,
    median: Option<f64>,
    mean: Option<f64>,
    greatest: Option<f64>,
}

/// A pair of spaces in a region.
struct PairInRegion {
    region: String,
    first: String,
    second: String,
    shared: SharedPart,
    unique_first: Option<f64>,
    unique_second: Option<f64>,
    total: Option<f64>,
}

/// The pair of a partition in all of its regions.
fn read(folder: &std::path::Path) -> Result<Vec<PairInRegion>, Failure> {
    let table = data_table::read(folder)?;
    let texts = |name: &str| data_table::texts(&table, name);
    let numbers = |name: &str| data_table::maybe_numbers(&table, name);
    let (regions, parts, spaces) = (texts("region")?, texts("part")?, texts("spaces")?);
    let (least, median, mean, greatest) = (numbers("min")?, numbers("median")?, numbers("mean")?, numbers("max")?);
    let counts = data_table::integers(&table, "n")?;
    let mut pairs = Vec::new();
    for row in (0..parts.len()).filter(|row| parts[*row] == "shared") {
        let Some((first, second)) = spaces[row].split_once('+').filter(|(_, second)| !second.contains('+')) else {
            return Err(Failure::input(format!(
                "there is a part of `{}`, expected a partition of two spaces",
                spaces[row]
            ))
            .hint("partition each pair by itself: `spaces: [A, B]` of `encode/partition`"));
        };
        let of = |part: &str, name: &str| {
            let is_it = |at: &usize| regions[*at] == regions[row] && parts[*at] == part && spaces[*at] == name;
            (0..parts.len()).find(is_it).and_then(|at| mean[at])
        };
        pairs.push(PairInRegion {
            region: regions[row].clone(),
            first: first.to_owned(),
            second: second.to_owned(),
            shared: SharedPart {
                count: counts[row],
                least: least[row],
                median: median[row],
                mean: mean[row],
                greatest: greatest[row],
            },
            unique_first: of("unique", first),
            unique_second: of("unique", second),
            total: of("total", &spaces[row]),
        });
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    /// A partition of two spaces in two regions, with the means of its parts in each.
    fn partition(folder: &std::path::Path, spaces: [&str; 2], means: [[f64; 4]; 2]) -> std::path::PathBuf {
        let [first, second] = spaces;
        let both = format!("{first}+{second}");
        let names = [first, second, both.as_str(), both.as_str()];
        let values: Vec<f64> = means.concat();
        let table = DataTable::new()
            .text("region", ["V1", "all"].into_iter().flat_map(|region| [region; 4]))
            .text("part", ["unique", "unique", "shared", "total"].repeat(2))
            .text("spaces", names.repeat(2))
            .integers("n", [3; 8])
            .numbers("min", values.iter().map(|value| value - 0.5))
            .numbers("median", values.iter().map(|value| value + 0.25))
            .numbers("mean", values.iter().copied())
            .numbers("max", values.iter().map(|value| value + 0.5));
        let path = folder.join(&both);
        data_table::write(&path, &mut table.build().unwrap()).unwrap();
        path
    }

    #[test]
    fn the_pair_that_shares_most_comes_first_in_every_region() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&PairRanking, folder.path());
        for (spaces, means) in [
            (["A", "B"], [[0.25, 0.125, 0.5, 0.875], [0.0, 0.0, 0.125, 0.125]]),
            (["A", "C"], [[0.0, 0.0, 0.25, 0.25], [0.25, 0.5, 0.25, 1.0]]),
        ] {
            let path = partition(folder.path(), spaces, means);
            tasks::gather(&mut task, "parts", &[("pair", spaces[1])], Some(&path));
        }
        tasks::run(&PairRanking, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap();
        insta::assert_snapshot!(csv, @r"
        region,rank,first,second,n,shared_min,shared_median,shared_mean,shared_max,unique_first,unique_second,total
        V1,1,A,B,3,0.0,0.75,0.5,1.0,0.25,0.125,0.875
        V1,2,A,C,3,-0.25,0.5,0.25,0.75,0.0,0.0,0.25
        all,1,A,C,3,-0.25,0.5,0.25,0.75,0.25,0.5,1.0
        all,2,A,B,3,-0.375,0.375,0.125,0.625,0.0,0.0,0.125
        ");
    }

    #[test]
    fn three_spaces_are_no_pair() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&PairRanking, folder.path());
        let path = partition(folder.path(), ["A", "B+C"], [[0.0; 4]; 2]);
        tasks::gather(&mut task, "parts", &[("pair", "x")], Some(&path));
        let message = tasks::run(&PairRanking, &task).unwrap_err().message;
        assert_eq!(message, "there is a part of `A+B+C`, expected a partition of two spaces");
    }
}
