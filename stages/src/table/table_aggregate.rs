//! `table/aggregate`: statistics of columns of a table over groups of its rows.
//!
//! A row a group, in the order in which groups first appear; rows without a value in a column of groups are a group of their own.
//! Empty values are not used: a statistic is that of the values that are there, and empty where there is none (`count` is 0). Statistics
//! but `count` and `first` are float64, sums run over the rows in their order, quantiles are interpolated linearly, and `sd` is that of a
//! sample (divided by n - 1), empty for one value. Truth values count as 0 and 1, so that their mean is a share.

use std::collections::BTreeMap;

use pipe_contract::{
    ColumnMeaning, Context, Ended, Failure, InputColumns, Kind, Parameter as _, StageKind, Task, Value, choice,
    parameters,
};

use super::any_table::{ANY, AnyTable, CellKey, ColumnCells, kept};
use crate::formats::data_table::{self, STAMP};
use crate::formats::nearest_names::nearest;
use crate::numeric::counts::real;
use crate::numeric::statistics::quantile;

/// The kind.
pub(super) struct TableAggregate;

choice! {
    /// A statistic.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Statistic {
        /// Values that are there.
        Count = "count",
        /// The first value that is there.
        First = "first",
        /// The least.
        Min = "min",
        /// The first quartile.
        Q1 = "q1",
        /// The median.
        Median = "median",
        /// The third quartile.
        Q3 = "q3",
        /// The greatest.
        Max = "max",
        /// The mean.
        Mean = "mean",
        /// The standard deviation of a sample.
        Sd = "sd",
        /// The sum.
        Sum = "sum",
    }
}

/// All of them, by word.
const WORDS: [&str; 10] = ["count", "first", "min", "q1", "median", "q3", "max", "mean", "sd", "sum"];

parameters! {
    struct Parameters {
        /// the columns whose values make a group; none: all rows are one
        by: Vec<String> = Vec::new();
        /// the columns of the result, in order, such as `{ name: r2, of: r2, take: median }`: `take` is count, first, min, q1, median, q3,
        /// max, mean, sd or sum, `of` the column (without it `count` counts rows), `name` what it is called (without it `r2_median`)
        columns: Vec<BTreeMap<String, String>>;
    }
}

impl StageKind for TableAggregate {
    fn kind(&self) -> Kind {
        let kind = Kind::new("table/aggregate", 1, "statistics of columns of a table over groups of its rows")
            .gather("table", &[], ANY)
            .folder("table", "table", "a row a group, in the order in which they first appear: `by`, then `columns`")
            .described(data_table::FILES, &[STAMP])
            .others(meaning)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { by, columns } = task.parameters()?;
        let summaries = columns.iter().map(ColumnSummary::of).collect::<Result<Vec<_>, Failure>>()?;
        if summaries.is_empty() {
            return Err(Failure::input("`columns` is empty, expected at least one statistic")
                .hint("such as `columns: [{ of: r2, take: median }]`"));
        }
        let (table, notes) = AnyTable::read(task, "table")?;
        let of_groups = table.several(&by, "by")?;
        let groups = table.groups(&of_groups);
        let mut result = AnyTable::with_height(groups.len(), &[&table]);
        let firsts: Vec<Option<usize>> = groups.iter().map(|rows| rows.first().copied()).collect();
        for (name, cells) in by.iter().zip(of_groups) {
            result.add(name, cells.take(&firsts))?;
        }
        for summary in &summaries {
            result.add(&summary.name, summary.cells(&table, &groups)?)?;
        }
        result.write(task, context)?;
        Ok(Ended::noted(notes))
    }
}

/// A column of the result.
struct ColumnSummary {
    name: String,
    /// The column of the table; none to count rows.
    of: Option<String>,
    take: Statistic,
}

impl ColumnSummary {
    fn of(entry: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let shown = || Value::Map(entry.iter().map(|(name, text)| (name.clone(), Value::Text(text.clone()))).collect());
        if let Some(other) = entry.keys().find(|name| !["name", "of", "take"].contains(&name.as_str())) {
            return Err(Failure::input(format!("`columns` has `{other}` in `{}`", shown()))
                .hint("a column has `take`, `of` and `name`"));
        }
        let Some(word) = entry.get("take") else {
            return Err(Failure::input(format!("`columns` has `{}`, which lacks `take`", shown()))
                .hint(format!("`take` is one of {}", WORDS.join(", "))));
        };
        let take = Statistic::read(&Value::Text(word.clone())).ok_or_else(|| {
            let near = nearest(word, WORDS.into_iter());
            Failure::input(format!("`{word}` is not a statistic")).hint(format!("the nearest are {near}"))
        })?;
        let of = entry.get("of").cloned();
        if of.is_none() && take != Statistic::Count {
            return Err(Failure::input(format!("`columns` has `{}`, which lacks `of`", shown()))
                .hint("`of` names the column; only `count` is that of rows without it"));
        }
        let default = || of.as_ref().map_or_else(|| word.clone(), |of| format!("{of}_{word}"));
        Ok(Self { name: entry.get("name").cloned().unwrap_or_else(default), of, take })
    }

    fn cells(&self, table: &AnyTable, groups: &[Vec<usize>]) -> Result<ColumnCells, Failure> {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let Some(of) = &self.of else {
            return Ok(ColumnCells::Whole(groups.iter().map(|rows| Some(whole(rows.len()))).collect()));
        };
        let cells = table.column(of)?;
        let there = |rows: &Vec<usize>| -> Vec<usize> {
            rows.iter().copied().filter(|row| cells.key(*row) != CellKey::Empty).collect()
        };
        let groups = groups.iter().map(there);
        match (self.take, cells) {
            (Statistic::Count, _) => Ok(ColumnCells::Whole(groups.map(|rows| Some(whole(rows.len()))).collect())),
            (Statistic::First, _) => Ok(cells.take(&groups.map(|rows| rows.first().copied()).collect::<Vec<_>>())),
            (_, ColumnCells::Texts(_)) => {
                Err(Failure::input(format!("column `{of}` holds text, expected numbers for `{}`", self.name))
                    .hint("of text there are `count` and `first`"))
            }
            (take, _) => {
                let numbers = |rows: Vec<usize>| rows.iter().filter_map(|row| cells.number(*row)).collect::<Vec<f64>>();
                Ok(ColumnCells::Numbers(groups.map(|rows| statistic(take, numbers(rows))).collect()))
            }
        }
    }
}

/// A statistic of numbers in the order of their rows; none where it is not defined.
fn statistic(take: Statistic, mut numbers: Vec<f64>) -> Option<f64> {
    let count = real(numbers.len());
    let sum: f64 = numbers.iter().sum();
    if numbers.is_empty() {
        return None;
    }
    let mut share = |share: f64| {
        numbers.sort_by(f64::total_cmp);
        Some(quantile(&numbers, share))
    };
    match take {
        Statistic::Count | Statistic::First => None,
        Statistic::Min => share(0.0),
        Statistic::Q1 => share(0.25),
        Statistic::Median => share(0.5),
        Statistic::Q3 => share(0.75),
        Statistic::Max => share(1.0),
        Statistic::Mean => Some(sum / count),
        Statistic::Sum => Some(sum),
        Statistic::Sd => {
            let squares: f64 = numbers.iter().map(|number| (number - sum / count).powi(2)).sum();
            (numbers.len() > 1).then(|| (squares / (count - 1.0)).sqrt())
        }
    }
}

/// A column of groups is kept; a statistic is that of what its column means, in the same unit but for counts.
fn meaning(name: &str, values: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    let parameters = <Parameters as pipe_contract::Parameters>::read(values).ok();
    let entries = parameters.iter().flat_map(|parameters| &parameters.columns);
    let mut summaries = entries.filter_map(|entry| ColumnSummary::of(entry).ok());
    let Some(ColumnSummary { of, take, .. }) = summaries.find(|summary| summary.name == name) else {
        return kept("table", name, inputs);
    };
    let Some(of) = of else {
        return ColumnMeaning { about: "rows of the group".to_owned(), ..ColumnMeaning::default() };
    };
    let ColumnMeaning { about, unit, levels } = kept("table", &of, inputs);
    let what = match take {
        Statistic::Count => "how many values of",
        Statistic::First => "the first value of",
        Statistic::Min => "the least of",
        Statistic::Q1 => "the first quartile of",
        Statistic::Median => "the median of",
        Statistic::Q3 => "the third quartile of",
        Statistic::Max => "the greatest of",
        Statistic::Mean => "the mean of",
        Statistic::Sd => "the standard deviation of",
        Statistic::Sum => "the sum of",
    };
    ColumnMeaning {
        about: format!("{what} `{of}` in the group: {about}"),
        unit: if take == Statistic::Count { String::new() } else { unit },
        levels: if take == Statistic::First { levels } else { Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::table::any_table::tests::{given, list, made, map, text};
    use crate::test_support::tasks::set;

    fn scores() -> DataTable {
        DataTable::new()
            .text("model", ["B", "A", "A", "B", "A", "A", "C"])
            .text("id", ["v1", "v1", "v2", "v2", "v3", "v4", "v1"])
            .optional_numbers("r2", [Some(0.5), Some(1.0), Some(3.0), None, Some(0.0), Some(8.0), None])
            .flags("at_edge", [true, false, false, false, true, false, false])
            .integers("rank", [1, 2, 3, 4, 5, 6, 7])
            .stamped(true)
    }

    fn entry(entry: &[(&str, &str)]) -> Value {
        map(&entry.iter().map(|(name, word)| (*name, text(word))).collect::<Vec<_>>())
    }

    fn aggregated(by: &[&str], columns: &[&[(&str, &str)]]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(&TableAggregate, folder.path(), &[("table", scores())]);
        set(&mut task, "by", list(by));
        set(&mut task, "columns", Value::List(columns.iter().map(|column| entry(column)).collect()));
        Ok(made(&TableAggregate, &task)?.0)
    }

    #[test]
    fn groups_come_in_the_order_of_their_first_row_and_empty_values_are_not_used() {
        let all: Vec<[(&str, &str); 2]> = WORDS.iter().map(|word| [("of", "r2"), ("take", *word)]).collect();
        let all: Vec<&[(&str, &str)]> = all.iter().map(|column| column.as_slice()).collect();
        // A: 1, 3, 0, 8: quartiles 0.75, 2, 4.25, mean 3, squares 4 + 0 + 9 + 25 = 38, sd sqrt(38 / 3).
        insta::assert_snapshot!(aggregated(&["model"], &all).unwrap(), @r"
        model,r2_count,r2_first,r2_min,r2_q1,r2_median,r2_q3,r2_max,r2_mean,r2_sd,r2_sum,simulated
        B,1,0.5,0.5,0.5,0.5,0.5,0.5,0.5,,0.5,true
        A,4,1.0,0.0,0.75,2.0,4.25,8.0,3.0,3.559026084010437,12.0,true
        C,0,,,,,,,,,,true
        ");
    }

    #[test]
    fn rows_flags_and_texts_are_counted_and_columns_are_named() {
        let columns: [&[(&str, &str)]; 4] = [
            &[("take", "count"), ("name", "rows")],
            &[("take", "mean"), ("of", "at_edge"), ("name", "share_at_edge")],
            &[("take", "first"), ("of", "id")],
            &[("take", "max"), ("of", "rank")],
        ];
        insta::assert_snapshot!(aggregated(&[], &columns).unwrap(), @r"
        rows,share_at_edge,id_first,rank_max,simulated
        7,0.2857142857142857,v1,7.0,true
        ");
        insta::assert_snapshot!(aggregated(&["at_edge", "model"], &columns[..1]).unwrap(), @r"
        at_edge,model,rows,simulated
        true,B,1,true
        false,A,3,true
        false,B,1,true
        true,A,1,true
        false,C,1,true
        ");
    }

    #[test]
    fn mistakes_have_a_sentence() {
        let failure = |column: &[(&str, &str)]| aggregated(&["model"], &[column]).unwrap_err();
        assert_eq!(failure(&[("of", "r2")]).message, "`columns` has `{of: r2}`, which lacks `take`");
        assert_eq!(failure(&[("take", "mean")]).message, "`columns` has `{take: mean}`, which lacks `of`");
        let word = failure(&[("of", "r2"), ("take", "meddian")]);
        assert_eq!(word.message, "`meddian` is not a statistic");
        assert!(word.hint.unwrap().starts_with("the nearest are `median`"));
        let key = failure(&[("of", "r2"), ("take", "mean"), ("as", "x")]);
        assert_eq!(key.message, "`columns` has `as` in `{as: x, of: r2, take: mean}`");
        assert_eq!(
            failure(&[("of", "id"), ("take", "mean")]).message,
            "column `id` holds text, expected numbers for `id_mean`"
        );
        let twice = failure(&[("of", "id"), ("take", "count"), ("name", "model")]);
        assert_eq!(twice.message, "two columns would be called `model`, expected each name once");
        assert_eq!(failure(&[("of", "r3"), ("take", "mean")]).message, "there is no column `r3`");
        assert_eq!(aggregated(&[], &[]).unwrap_err().message, "`columns` is empty, expected at least one statistic");
        assert!(WORDS.iter().all(|word| Statistic::read(&text(word)).is_some()));
    }

    #[test]
    fn statistics_mean_what_their_column_means() {
        let known = |port: &str, name: &str| {
            let unit = if name == "r2" { "share of variance" } else { "" };
            Some(ColumnMeaning {
                about: format!("{name} at {port}"),
                unit: unit.to_owned(),
                ..ColumnMeaning::default()
            })
        };
        let columns = [[("of", "r2"), ("take", "median")], [("of", "r2"), ("take", "count")]];
        let columns = columns.iter().map(|column| entry(column)).collect();
        let values =
            BTreeMap::from([("by".to_owned(), list(&["model"])), ("columns".to_owned(), Value::List(columns))]);
        let median = meaning("r2_median", &values, &known);
        assert_eq!(median.about, "the median of `r2` in the group: r2 at table");
        assert_eq!(median.unit, "share of variance");
        assert_eq!(meaning("r2_count", &values, &known).unit, "");
        assert_eq!(meaning("model", &values, &known).about, "model at table");
    }
}
