//! `rdm/frame`: sets of RDMs as the data frame of the guide, a row an RDM with the whole matrix in a cell.
//!
//! Decides the names and the order of columns: those of `get_rdms` for RDMs of patterns, those of `get_meta_rdms`, by alphabet, for RDMs of RDMs.
//! Cells that are tuples, lists or arrays there are lists here, since Parquet has those; dictionaries are texts in JSON. Our names of
//! dissimilarities become the published ones (`corr`, `euclidean_distance`), as does the unpermuted order (`orig_data`). Rows are sorted as
//! there: by image set and network; of higher orders by the grouping columns. A frame above the size limit is refused before it is made.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use pipe_contract::{
    Arity, Column as Described, ColumnMeaning, Context, Ended, Failure, Kind, StageKind, Task, parameters,
};
use polars::prelude::{Column, DataFrame, DataType, NamedFrom, Series};

use super::rdm_sets;
use crate::formats::data_table;
use crate::formats::matrix::{ID, MatrixAxis};
use crate::formats::rdm_set::{DISSIMILARITY, PERMUTATION, RdmSet, SCRAMBLE};
use crate::numeric::extreme_subset::{RdmTriangle, most_dissimilar};

/// The kind.
pub(super) struct RdmFrame;

parameters! {
    struct Parameters {
        /// the name of the frame, in its column `df_name`
        name: String = "rdms".to_owned();
        /// columns of the entries that make their keys; empty: all but `id` and what describes a stimulus file
        variables: Vec<String> = Vec::new();
        /// columns of the entries one order below that make their keys; as `variables`
        sub_variables: Vec<String> = Vec::new();
        /// a frame of more bytes than this is refused
        most_bytes: u64 = 1 << 30;
    }
}

const COLUMNS: &[Described] = &[
    Described::new("df_name", "the name of the frame"),
    Described::new("model", "the network"),
    Described::new("layer", "the layer's name"),
    Described::new("layer_num", "the layer's rank in its network; 0 is the image itself"),
    Described::new("layer_label", "the layer's name and rank, as a list of two texts"),
    Described::new("dissim_metric", "how patterns are compared: `corr`, `euclidean_distance`, or our name of another"),
    Described::new("activation_type", "what patterns are: `unit_level` or `feature_means`"),
    Described::new("matrix", "the RDM, a list of rows"),
    Described::new("entry_keys", "the entries, each a list of the values of its variables"),
    Described::new("entry_labels", "the entries, each a JSON object from variables to values"),
    Described::new("kernel_set_name", "which features of the layer are used"),
    Described::new("kernel_inds", "the numbers of these features, from 0; empty where that is not known"),
    Described::new("perm", "`orig_data`, or the number of the permutation"),
    Described::new("perm_scramble", "the order of entries in this permutation, from 0; empty where it is not known"),
    Described::new(
        "dissim_rankings",
        "entries from 0, such that each has the largest sum of dissimilarities to those before",
    ),
    Described::new("entry_var_subset", "the subset of entries"),
    Described::new("entry_keys_sub", "the entries one order below, as `entry_keys`"),
    Described::new("entry_labels_sub", "the entries one order below, as `entry_labels`"),
];

/// Columns of an index that the frame does not have, or has under another heading.
const NO_LABELS: [&str; 12] = [
    ID,
    "network",
    "layer",
    RANK,
    DISSIMILARITY,
    "activation",
    "kernel_set",
    PERMUTATION,
    SCRAMBLE,
    "unit",
    FEATURES,
    KERNELS,
];
const RANK: &str = "rank";
const FEATURES: &str = "features";
/// An index's column of the numbers of the kernels in use, in JSON.
const KERNELS: &str = "kernels";
/// Columns that describe the file of a stimulus.
const OF_FILES: [&str; 4] = ["path", "digest", "width", "height"];
/// Bytes that a cell of text or a number takes at least.
const CELL: u64 = 8;

impl StageKind for RdmFrame {
    fn kind(&self) -> Kind {
        Kind::new("rdm/frame", 1, "sets of RDMs as one data frame with the names of the guide")
            .port("rdms", &["rdms"], Arity::Many, false, "sets of RDMs of one order; their entries may differ")
            .file("frame", "rdm-frame", "a Parquet file, a row an RDM; for pandas: `pandas.read_parquet`")
            .described(&[""], COLUMNS)
            .others(|name, _, _| ColumnMeaning {
                about: match name.ends_with("_sub") {
                    true => "as the column without `_sub`, of the RDMs one order below".to_owned(),
                    false => "a label of the image set, or a column by which RDMs were grouped".to_owned(),
                },
                ..ColumnMeaning::default()
            })
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let sets = rdm_sets::all(task, "rdms")?;
        let order = sets[0].1.about().order;
        if let Some((at, other)) = sets.iter().find(|(_, set)| set.about().order != order) {
            return Err(Failure::input(format!(
                "the set at `{at}` has the order {}, but the first has {order}: they have different columns",
                other.about().order
            )));
        }
        check_size(sets.iter().map(|(_, set)| set), parameters.most_bytes)?;
        let mut frames = Vec::new();
        for (at, set) in &sets {
            let index = rdm_sets::with_coordinates(set.index().table(), at)?;
            let source = FrameSource { set, index, parameters: &parameters };
            frames.push(if order == 1 { source.first_order()? } else { source.higher_order()? });
        }
        let mut frame = stacked(&frames)?;
        data_table::write_parquet(task.output("frame")?, &mut frame)?;
        let notes: Vec<String> = task.absences("rdms").into_iter().collect();
        notes.iter().for_each(|note| context.log(note));
        Ok(Ended::noted(notes))
    }
}

fn check_size<'a>(sets: impl Iterator<Item = &'a RdmSet>, most: u64) -> Result<(), Failure> {
    let bytes = sets.fold(0_u64, |all, set| {
        let n = set.entries().len() as u64;
        // The matrix, its keys and labels, rankings and scramble, and the names of the row.
        let row = n.saturating_mul(n).saturating_add(n.saturating_mul(8)).saturating_add(16);
        all.saturating_add((set.len() as u64).saturating_mul(row).saturating_mul(CELL))
    });
    match bytes > most {
        true => Err(Failure::input(format!("the frame would take about {bytes} bytes, expected at most {most}")).hint(
            "export fewer RDMs or entries (`rdm/subset`), or raise `most_bytes`; the set itself takes half as much",
        )),
        false => Ok(()),
    }
}

/// What rows of the frame are made of.
struct FrameSource<'a> {
    set: &'a RdmSet,
    /// The index with the coordinates of the set.
    index: DataFrame,
    parameters: &'a Parameters,
}

impl FrameSource<'_> {
    /// The columns of `get_rdms`, its rows in its order.
    fn first_order(&self) -> Result<FrameRows, Failure> {
        let labels = self.others(&NO_LABELS);
        let ranks = match self.index.column(RANK) {
            Ok(_) => data_table::integers(&self.index, RANK)?,
            Err(_) => vec![0; self.set.len()],
        };
        let layers = self.words_or("layer", "")?;
        let pairs = layers.iter().zip(&ranks).map(|(layer, rank)| texts(&[layer.clone(), rank.to_string()]));
        let (matrices, rankings) = self.matrices();
        let (keys, entry_labels) = self.keys(self.set.entries(), &self.parameters.variables)?;
        let mut columns = vec![
            self.repeated("df_name", &self.parameters.name),
            Column::new("model".into(), self.words_or("network", "")?),
            Column::new("layer".into(), layers.clone()),
            Column::new("layer_num".into(), ranks.clone()),
            lists("layer_label", pairs.collect()),
            Column::new("dissim_metric".into(), published(self.words_or(DISSIMILARITY, "")?)),
            Column::new("activation_type".into(), self.words_or("activation", "")?),
            lists("matrix", matrices),
            lists("entry_keys", vec![keys; self.set.len()]),
            lists("entry_labels", vec![entry_labels; self.set.len()]),
            Column::new("kernel_set_name".into(), self.words_or("kernel_set", "all")?),
            lists("kernel_inds", self.kernels()?),
            Column::new("perm".into(), permutations(self.words_or(PERMUTATION, "0")?)),
            lists("perm_scramble", self.scrambles()?),
            lists("dissim_rankings", rankings),
        ];
        columns.extend(self.named_columns(&labels, str::to_owned)?);
        let sort = labels.into_iter().chain((self.index.column("network").is_ok()).then(|| "network".to_owned()));
        self.rows(columns, &sort.collect::<Vec<_>>())
    }

    /// The columns of `get_meta_rdms`, by alphabet.
    fn higher_order(&self) -> Result<FrameRows, Failure> {
        let own = [ID, DISSIMILARITY, PERMUTATION, SCRAMBLE, "unit", "entry_subset", FEATURES, KERNELS];
        let grouping: Vec<String> = self.others(&own);
        let with_layer = grouping.iter().any(|name| name == "layer");
        let grouping: Vec<String> = grouping.into_iter().filter(|name| !with_layer || name != RANK).collect();
        let (matrices, rankings) = self.matrices();
        let (keys, labels) = self.keys(self.set.entries(), &self.parameters.variables)?;
        let mut columns = vec![
            self.repeated("df_name", &self.parameters.name),
            Column::new("dissim_metric".into(), published(self.words_or(DISSIMILARITY, "")?)),
            lists("matrix", matrices),
            lists("entry_keys", vec![keys; self.set.len()]),
            lists("entry_labels", vec![labels; self.set.len()]),
            Column::new("perm".into(), permutations(self.words_or(PERMUTATION, "0")?)),
            Column::new("entry_var_subset".into(), self.words_or("entry_subset", "all")?),
            lists("dissim_rankings", rankings),
        ];
        if let Some(sub_entries) = self.set.sub_entries() {
            let (keys, labels) = self.keys(sub_entries, &self.parameters.sub_variables)?;
            columns.push(lists("entry_keys_sub", vec![keys; self.set.len()]));
            columns.push(lists("entry_labels_sub", vec![labels; self.set.len()]));
        }
        columns.extend(self.named_columns(&grouping, published_name)?);
        columns.sort_by(|a, b| a.name().as_str().cmp(b.name().as_str()));
        self.rows(columns, &grouping)
    }

    fn rows(&self, columns: Vec<Column>, sort: &[String]) -> Result<FrameRows, Failure> {
        let keys: Vec<Vec<String>> =
            sort.iter().map(|name| data_table::words(&self.index, name)).collect::<Result<_, _>>()?;
        let keys = (0..self.set.len()).map(|row| keys.iter().map(|column| column[row].clone()).collect()).collect();
        let table = DataFrame::new(self.set.len(), columns).map_err(unexpected)?;
        Ok(FrameRows { table, keys })
    }

    /// Columns of the index that hold words or numbers, without some.
    fn others(&self, without: &[&str]) -> Vec<String> {
        let columns = self.index.columns().iter().filter(|column| !without.contains(&column.name().as_str()));
        let words = columns.filter(|column| holds_words(column.dtype()));
        words.map(|column| column.name().to_string()).collect()
    }

    fn named_columns(&self, names: &[String], new_name: impl Fn(&str) -> String) -> Result<Vec<Column>, Failure> {
        let column = |name: &String| -> Result<Column, Failure> {
            let new = new_name(name);
            if suffix(name, DISSIMILARITY).is_some() {
                return Ok(Column::new(new.as_str().into(), published(data_table::words(&self.index, name)?)));
            }
            if suffix(name, PERMUTATION).is_some() {
                return Ok(Column::new(new.as_str().into(), permutations(data_table::words(&self.index, name)?)));
            }
            Ok(self.index.column(name).map_err(unexpected)?.clone().with_name(new.as_str().into()))
        };
        names.iter().map(column).collect()
    }

    fn repeated(&self, name: &str, value: &str) -> Column {
        Column::new(name.into(), vec![value.to_owned(); self.set.len()])
    }

    fn words_or(&self, name: &str, default: &str) -> Result<Vec<String>, Failure> {
        match self.index.column(name) {
            Ok(_) => data_table::words(&self.index, name),
            Err(_) => Ok(vec![default.to_owned(); self.set.len()]),
        }
    }

    /// The matrices as lists of rows, and the entries of each from the most dissimilar on.
    fn matrices(&self) -> (Vec<Series>, Vec<Series>) {
        let n = self.set.entries().len();
        let matrix = |rdm: usize| {
            let rows: Vec<Series> =
                self.set.square(rdm).chunks_exact(n).map(|row| Series::new("".into(), row)).collect();
            Series::new("".into(), rows)
        };
        let ranking = |rdm: usize| {
            let order = most_dissimilar(RdmTriangle { triangle: self.set.triangle(rdm), entries: n }, n);
            whole_numbers(order)
        };
        ((0..self.set.len()).map(matrix).collect(), (0..self.set.len()).map(ranking).collect())
    }

    /// The entries as lists of values, and as JSON objects.
    fn keys(&self, entries: &MatrixAxis, variables: &[String]) -> Result<(Series, Series), Failure> {
        let table = entries.table();
        let all = table.columns().iter().filter(|column| holds_words(column.dtype()));
        let all =
            all.map(|column| column.name().to_string()).filter(|name| name != ID && !OF_FILES.contains(&name.as_str()));
        let mut names: Vec<String> = if variables.is_empty() { all.collect() } else { variables.to_vec() };
        if names.is_empty() {
            names.push(ID.to_owned());
        }
        let words: Vec<Vec<String>> =
            names.iter().map(|name| data_table::words(table, name)).collect::<Result<_, _>>().map_err(
                |failure: Failure| failure.hint("`variables` and `sub_variables` name columns of the entries"),
            )?;
        let (mut keys, mut labels) = (Vec::new(), Vec::new());
        for entry in 0..entries.len() {
            let values: Vec<String> = words.iter().map(|column| column[entry].clone()).collect();
            let pairs: Vec<String> = names.iter().zip(&values).map(pair_in_json).collect::<Result<_, _>>()?;
            labels.push(format!("{{{}}}", pairs.join(", ")));
            keys.push(texts(&values));
        }
        Ok((Series::new("".into(), keys), texts(&labels)))
    }

    /// The order of entries in each permutation; empty where it is not known.
    fn scrambles(&self) -> Result<Vec<Series>, Failure> {
        let n = self.set.entries().len();
        let order = |(text, number): (&String, &String)| -> Result<Series, Failure> {
            match (text.as_str(), number.as_str()) {
                ("", "0") => Ok(whole_numbers(0..n)),
                ("", _) => Ok(whole_numbers(0..0)),
                (text, _) => Ok(whole_numbers(positions(text, SCRAMBLE)?)),
            }
        };
        self.words_or(SCRAMBLE, "")?.iter().zip(&self.words_or(PERMUTATION, "0")?).map(order).collect()
    }

    /// The numbers of the features in use: as the index lists them, else all that the layer has by its row of feature means.
    fn kernels(&self) -> Result<Vec<Series>, Failure> {
        let listed = self.words_or(KERNELS, "")?;
        let layers = self.words_or("network", "")?.into_iter().zip(self.words_or("layer", "")?);
        let places: Vec<((String, String), String)> = layers.zip(self.words_or("kernel_set", "all")?).collect();
        let activations = self.words_or("activation", "")?;
        let counts: Vec<i64> = match self.index.column(FEATURES) {
            Ok(_) => data_table::integers(&self.index, FEATURES)?,
            Err(_) => vec![0; self.set.len()],
        };
        let rows = places.iter().zip(&activations).zip(&counts);
        let means = rows.filter(|((_, activation), _)| *activation == "feature_means");
        let known: BTreeMap<_, i64> = means.map(|((place, _), count)| (place, *count)).collect();
        let of_row = |(listed, place): (&String, &((String, String), String))| -> Result<Series, Failure> {
            match listed.as_str() {
                "" if place.1 == "all" => {
                    let count = known.get(place).copied().unwrap_or(0);
                    Ok(whole_numbers(0..usize::try_from(count).unwrap_or(0)))
                }
                "" => Ok(whole_numbers(0..0)),
                listed => Ok(whole_numbers(positions(listed, KERNELS)?)),
            }
        };
        listed.iter().zip(&places).map(of_row).collect()
    }
}

/// Rows of one set, and what they are sorted by.
struct FrameRows {
    table: DataFrame,
    keys: Vec<Vec<String>>,
}

/// All rows, sorted.
fn stacked(frames: &[FrameRows]) -> Result<DataFrame, Failure> {
    let [first, others @ ..] = frames else { return Err(Failure::internal("there is no frame")) };
    let mut all = first.table.clone();
    for other in others {
        all = all.vstack(&other.table).map_err(|error| {
            Failure::input(format!("sets of RDMs have different columns: {error}"))
                .hint("export sets with the same columns in their index together, others in stages of their own")
        })?;
    }
    let keys: Vec<&Vec<String>> = frames.iter().flat_map(|frame| &frame.keys).collect();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    let order_of = ColumnOrders::of(&keys);
    order.sort_by(|a, b| order_of.compare(keys[*a], keys[*b]));
    data_table::rows(&all, &order)
}

/// By column of a key, whether all its words are whole numbers.
struct ColumnOrders(Vec<bool>);

impl ColumnOrders {
    fn of(keys: &[&Vec<String>]) -> Self {
        let columns = keys.iter().map(|key| key.len()).min().unwrap_or(0);
        Self((0..columns).map(|column| keys.iter().all(|key| key[column].parse::<i64>().is_ok())).collect())
    }

    /// Columns of whole numbers by size, others by code points; the first column that differs decides. A column with both kinds of words
    /// has one order for all of them, because a number before a number by size and before a word by letters has no order that all agree in.
    fn compare(&self, a: &[String], b: &[String]) -> Ordering {
        let one = |((is_number, a), b): ((&bool, &String), &String)| match is_number {
            true => a.parse::<i64>().ok().cmp(&b.parse::<i64>().ok()),
            false => a.cmp(b),
        };
        self.0.iter().zip(a).zip(b).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// What the original calls a column of a higher order.
fn published_name(name: &str) -> String {
    let known = [
        (DISSIMILARITY, "dissim_metric"),
        (PERMUTATION, "perm"),
        ("entry_subset", "entry_var_subset"),
        ("network", "model"),
        ("activation", "activation_type"),
        ("kernel_set", "kernel_set_name"),
        (RANK, "layer_num"),
    ];
    for (ours, theirs) in known {
        if let Some(suffix) = suffix(name, ours) {
            return format!("{theirs}{suffix}");
        }
    }
    name.to_owned()
}

/// What is behind the name of a column in that of one some orders below: any number of `_sub`.
fn suffix<'a>(name: &'a str, of: &str) -> Option<&'a str> {
    name.strip_prefix(of).filter(|rest| rest.split("_sub").all(str::is_empty))
}

fn published(mut words: Vec<String>) -> Vec<String> {
    for word in &mut words {
        match word.as_str() {
            "correlation" => *word = "corr".to_owned(),
            "euclidean" => *word = "euclidean_distance".to_owned(),
            _ => {}
        }
    }
    words
}

fn permutations(mut words: Vec<String>) -> Vec<String> {
    words.iter_mut().filter(|word| *word == "0").for_each(|word| *word = "orig_data".to_owned());
    words
}

fn holds_words(holds: &DataType) -> bool {
    matches!(holds, DataType::String | DataType::Boolean) || holds.is_integer()
}

fn pair_in_json((name, value): (&String, &String)) -> Result<String, Failure> {
    let quoted = |text: &String| serde_json::to_string(text).map_err(|error| Failure::internal(error.to_string()));
    Ok(format!("{}: {}", quoted(name)?, quoted(value)?))
}

/// A JSON list of positions in a column of an index.
fn positions(text: &str, column: &str) -> Result<Vec<usize>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::input(format!("column `{column}` of the index is not a JSON list of positions: {error}"))
    })
}

fn whole_numbers(numbers: impl IntoIterator<Item = usize>) -> Series {
    let numbers: Vec<i64> = numbers.into_iter().map(|number| i64::try_from(number).unwrap_or(i64::MAX)).collect();
    Series::new("".into(), numbers)
}

fn texts(words: &[String]) -> Series {
    Series::new("".into(), words)
}

/// A column of lists; of at least one row.
fn lists(name: &str, cells: Vec<Series>) -> Column {
    Column::from(Series::new(name.into(), cells))
}

fn unexpected(error: polars::prelude::PolarsError) -> Failure {
    Failure::internal(format!("a frame cannot be put together: {error}"))
}
