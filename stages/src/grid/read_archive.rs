//! `grid/read`: the authors' archive of the grid search as a table.
//!
//! A cell is what its files say (`opts.json`, the first round of `plan.json`), not what its folder is called. The
//! losses are those of [`super::run_log`], by the right rules or by those of the notebook; both are always
//! computed, and a note says how many cells differ.

use std::collections::BTreeSet;

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cell_table::{self, FoundCell, counted, first};
use super::factors::{CellFactors, Factors};
use super::grid_archive::{self, CELL_FILES, CellFolder};
use super::public_partition;
use super::run_log::{self, LoggedIteration, ORIGINAL, OriginalRule};
use crate::formats::data_table;

/// The kind.
pub(super) struct ReadArchive;

parameters! {
    struct Parameters {
        /// rules of the original's reader that are followed, by name: `iterations` (a log without a line `Iteration`
        /// has no value), `last-line` (which is not read), `starred` (only epochs whose loss was the least so far
        /// count), `token-9` (the value is the tenth word of a line); none of them: the least validation Dice loss of
        /// any epoch
        compat: Vec<OriginalRule> = Vec::new();
        ..grid: Factors;
    }
}

impl StageKind for ReadArchive {
    fn kind(&self) -> Kind {
        let kind = Kind::new("grid/read", 2, "The cells of a grid search from the authors' archive, a row a cell.")
            .input(
                "archive",
                &[],
                "A folder with `grid00000/`, `grid00001/`, ..., each with `opts.json`, `plan.json`, `run.log`, or its `.tar.gz`.",
            )
            .folder("table", "table/grid", "Factors and validation Dice losses of every cell of the grid.")
            .described(data_table::FILES, cell_table::COLUMNS)
            .aggregating()
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { compat, grid } = task.parameters()?;
        let archive = task.one("archive")?;
        let mut read = ReadCells::default();
        for (path, folder) in grid_archive::read(archive)? {
            read.add(&path, &folder, &compat, &grid).map_err(|failure| {
                let file = failure.place.as_ref().map_or(path.clone(), |file| format!("{path}/{file}"));
                failure.at(archive.join(file).display().to_string())
            })?;
        }
        let notes = read.notes(&compat);
        let (rows, mut all_notes) = cell_table::rows(&grid, read.cells)?;
        all_notes.extend(notes);
        all_notes.iter().for_each(|note| context.log(note));
        cell_table::write(task.output("table")?, &rows, task.simulated)?;
        Ok(Ended::noted(all_notes).aggregating("table", cell_table::fewest_subjects(&rows)))
    }
}

/// What is read of `opts.json`.
#[derive(Deserialize)]
struct CellOptions {
    model_key: Option<String>,
    partition: Option<(Vec<SubjectId>, Vec<SubjectId>)>,
    until: Option<usize>,
    base_model: String,
    gamma: f64,
    batch_size: u32,
    inputs: String,
    prediction: String,
}

/// A subject's id, a number in the published files.
#[derive(Deserialize)]
#[serde(untagged)]
enum SubjectId {
    Number(u64),
    Text(String),
}

impl SubjectId {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What is read of a round of `plan.json`.
#[derive(Deserialize)]
struct CellRound {
    lr: f64,
    bce_weight: f64,
}

/// What an archive holds, as its folders are read.
#[derive(Default)]
struct ReadCells {
    cells: Vec<FoundCell>,
    /// Folders that lack a file, with its name.
    lacking: Vec<String>,
    /// Folders whose name or `model_key` is another cell's than their values.
    misnamed: Vec<String>,
    /// Partitions, in words.
    partitions: BTreeSet<String>,
    /// Cells that have another loss by the other rules.
    differing: usize,
    /// Iterations of other inputs than the cell's, in logs that say it.
    foreign: usize,
}

impl ReadCells {
    /// Reads one folder. A failure is placed at the file in it.
    fn add(&mut self, path: &str, folder: &CellFolder, rules: &[OriginalRule], grid: &Factors) -> Result<(), Failure> {
        let files = CELL_FILES.map(|name| folder.files.get(name));
        let [Some(options), Some(plan), Some(log)] = files else {
            let lacking = CELL_FILES.into_iter().zip(files).filter(|(_, file)| file.is_none()).map(|(name, _)| name);
            self.lacking.push(format!("{path} ({})", lacking.collect::<Vec<_>>().join(", ")));
            return Ok(());
        };
        let options: CellOptions = json("opts.json", options)?;
        let plan: Vec<CellRound> = json("plan.json", plan)?;
        let Some(first) = plan.first() else {
            return Err(
                Failure::input("found a plan without rounds, expected a list of `{ lr, bce_weight }`").at("plan.json")
            );
        };
        let factors = CellFactors {
            base_model: options.base_model,
            lr: first.lr,
            gamma: options.gamma,
            bce_weight: first.bce_weight,
            batch_size: options.batch_size,
            inputs: options.inputs,
            prediction: options.prediction,
        };
        let stated = options.model_key.as_deref().map(|key| key.trim_start_matches("grid").parse().ok());
        let is_named = |number| folder.number == number && stated.is_none_or(|stated| stated == Some(number));
        if let Some(number) = grid.number(&factors).ok().filter(|number| !is_named(*number)) {
            self.misnamed.push(format!("{path} (cell {number})"));
        }
        let log = String::from_utf8_lossy(log);
        let others = if rules.is_empty() { ORIGINAL.as_slice() } else { &[] };
        let (iterations, foreign) = own_iterations(&log, rules, &factors.inputs)?;
        let (by_others, _) = own_iterations(&log, others, &factors.inputs)?;
        self.differing += usize::from(losses(&iterations) != losses(&by_others));
        self.foreign += foreign;
        let mut subjects = 0;
        if let Some((training, validation)) = &options.partition {
            subjects = validation.len();
            self.partitions.insert(public_partition::in_words(&ids(training), &ids(validation)));
        }
        self.cells.push(FoundCell {
            place: path.to_owned(),
            factors,
            until: options.until.unwrap_or(iterations.len()),
            losses: losses(&iterations),
            diverged: iterations.iter().filter(|iteration| iteration.has_diverged).count(),
            is_whole: iterations.iter().all(|iteration| iteration.is_ended && iteration.rounds == plan.len()),
            subjects,
        });
        Ok(())
    }

    /// What there is to say, but for cells without a loss.
    fn notes(&self, rules: &[OriginalRule]) -> Vec<String> {
        let mut notes = Vec::new();
        let mut listed = |folders: &[String], what: &str| {
            if !folders.is_empty() {
                notes.push(format!(
                    "{IMPORTANT}{} of the archive {what}: {}",
                    counted(folders.len(), "folder"),
                    first(folders)
                ));
            }
        };
        listed(&self.lacking, "without all of a cell's files");
        listed(&self.misnamed, "named for another cell than their values are");
        if self.partitions.len() > 1 {
            let all: Vec<String> = self.partitions.iter().cloned().collect();
            notes.push(format!("{IMPORTANT}the cells do not have one partition: {}", first(&all)));
        }
        if self.foreign > 0 {
            notes.push(format!("{} of other inputs than the cell's left out", counted(self.foreign, "iteration")));
        }
        notes.extend(
            self.partitions.iter().filter(|_| self.partitions.len() == 1).map(|one| format!("partition {one}")),
        );
        let others = if rules.is_empty() { "the original's rules" } else { "no rule of the original" };
        notes.push(format!(
            "{} of {} would have other losses by {others}",
            self.differing,
            counted(self.cells.len(), "cell")
        ));
        notes
    }
}

/// The iterations of a log that are of these inputs, and how many are of others.
fn own_iterations(log: &str, rules: &[OriginalRule], inputs: &str) -> Result<(Vec<LoggedIteration>, usize), Failure> {
    let all = run_log::iterations(log, rules).map_err(|error| {
        Failure::input(error.message)
            .at(format!("run.log:{}", error.line))
            .hint("the log is damaged: fetch the archive again")
    })?;
    let is_own = |one: &LoggedIteration| one.inputs.as_deref().is_none_or(|named| named == inputs);
    let (own, foreign): (Vec<_>, Vec<_>) = all.into_iter().partition(is_own);
    Ok((own, foreign.len()))
}

fn losses(iterations: &[LoggedIteration]) -> Vec<f64> {
    iterations.iter().filter_map(|iteration| iteration.dice).collect()
}

fn ids(subjects: &[SubjectId]) -> Vec<String> {
    subjects.iter().map(SubjectId::text).collect()
}

fn json<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::input(format!("not the {name} of a cell: {error}"))
            .at(name)
            .hint("the file is damaged: fetch the archive again")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;
    use serde_json::json;

    use super::*;
    use crate::grid::cell_table::GridCellState;
    use crate::grid::factors::tests::published;
    use crate::grid::simulated_archive::{cell_files, least, packed, run_log};
    use crate::test_support::tasks::{self, data, give, set, task};

    /// The files of some cells.
    fn files_of(numbers: impl Iterator<Item = usize>) -> Vec<(String, String)> {
        let grid = published();
        numbers.flat_map(|number| cell_files(number, &grid.cell(number).unwrap())).collect()
    }

    fn pack(folder: &Path, files: &[(String, String)]) -> std::path::PathBuf {
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let path = folder.join("file");
        fs::write(&path, packed(&files, true)).unwrap();
        path
    }

    fn read(folder: &Path, archive: &Path, rules: &[&str]) -> (Vec<cell_table::CellRow>, Vec<String>) {
        let mut task = task(&ReadArchive, folder);
        give(&mut task, "archive", archive);
        set(
            &mut task,
            "compat",
            pipe_contract::Value::List(rules.iter().map(|rule| pipe_contract::Value::Text((*rule).into())).collect()),
        );
        let notes = tasks::run(&ReadArchive, &task).unwrap();
        (cell_table::read(task.output("table").unwrap()).unwrap(), notes)
    }

    /// Two cells are missing, one lacks its log, one is there twice under different folders.
    fn with_defects() -> Vec<(String, String)> {
        let mut files = files_of((0..1799).filter(|number| *number != 17));
        files.retain(|(name, _)| name != "grid-search/grid00100/run.log");
        let again = cell_files(42, &published().cell(42).unwrap());
        files.extend(again.map(|(name, text)| (name.replace("grid-search/", "grid-search/grid-search/"), text)));
        files
    }

    #[test]
    fn an_archive_of_1800_cells_is_read_and_its_defects_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let archive = pack(folder.path(), &with_defects());
        let (rows, notes) = read(folder.path(), &archive, &[]);
        assert_eq!(rows.len(), 1800);
        for row in &rows {
            let state = match row.number {
                17 | 100 | 1799 => GridCellState::Missing,
                42 => GridCellState::Doubled,
                _ => GridCellState::Whole,
            };
            assert_eq!(row.state, state, "cell {}", row.number);
            let expected = [0, 1].map(|iteration| least(row.number, iteration, false));
            if let Some(losses) = row.losses {
                let thousandths = |value: f64| (value * 1000.0).round();
                assert_eq!(thousandths(losses.min), f64::from(expected[0].min(expected[1])), "cell {}", row.number);
                assert_eq!(thousandths(losses.max), f64::from(expected[0].max(expected[1])), "cell {}", row.number);
                assert_eq!((row.iterations, row.until, row.subjects), (2, 2, 2));
            }
        }
        let differing = (0..1800).filter(|number| {
            ![17, 100, 1799].contains(number) && (0..2).any(|i| least(*number, i, true) != least(*number, i, false))
        });
        // The doubled cell counts twice.
        let differing = differing.count() + usize::from((0..2).any(|i| least(42, i, true) != least(42, i, false)));
        assert!(differing > 100, "the simulated logs do not distinguish the rules");
        assert_eq!(
            notes,
            [
                "important: 3 of 1800 cells are missing and have no loss: 17, 100, 1799".to_owned(),
                "important: 1 of 1800 cells is there more than once and has no loss: \
                 42 (grid-search/grid-search/grid00042, grid-search/grid00042)"
                    .into(),
                "important: 1 folder of the archive without all of a cell's files: grid-search/grid00100 (run.log)"
                    .into(),
                "partition 0x3c (4 train, 2 validate)".into(),
                format!("{differing} of 1798 cells would have other losses by the original's rules"),
            ]
        );
    }

    #[test]
    fn the_rules_of_the_original_are_followed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let archive = pack(folder.path(), &files_of((0..1800).step_by(13)));
        let (rows, notes) = read(folder.path(), &archive, &["iterations", "last-line", "starred", "token-9"]);
        for row in rows.iter().step_by(13) {
            let expected = least(row.number, 0, true).min(least(row.number, 1, true));
            assert_eq!((row.losses.unwrap().min * 1000.0).round(), f64::from(expected), "cell {}", row.number);
        }
        assert!(
            notes.last().unwrap().ends_with("of 139 cells would have other losses by no rule of the original"),
            "{notes:?}"
        );
    }

    #[test]
    fn a_folder_and_its_packed_form_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let files = files_of(30..60);
        let archive = pack(folder.path(), &files);
        let unpacked = folder.path().join("unpacked");
        for (name, text) in &files {
            let path = unpacked.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let bytes = |archive: &Path, out: &str| {
            read(&folder.path().join(out), archive, &[]);
            data_table::FILES
                .iter()
                .map(|file| fs::read(folder.path().join(out).join("table").join(file)).unwrap())
                .collect::<Vec<_>>()
        };
        assert!(bytes(&archive, "a") == bytes(&unpacked, "b"));
    }

    /// One cell with other files than the simulated ones.
    fn of_one(change: impl Fn(&str, String) -> String) -> Result<Vec<String>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let cell = cell_files(3, &published().cell(3).unwrap());
        let files: Vec<_> = cell
            .into_iter()
            .map(|(name, text)| {
                let text = change(&name, text);
                (name, text)
            })
            .collect();
        let mut task = task(&ReadArchive, folder.path());
        give(&mut task, "archive", &pack(folder.path(), &files));
        tasks::run(&ReadArchive, &task)
    }

    #[test]
    fn a_cell_is_what_its_values_say() {
        let notes = of_one(
            |name, text| if name.ends_with("opts.json") { text.replace("grid00003", "grid00007") } else { text },
        )
        .unwrap();
        assert!(
            notes
                .iter()
                .any(|note| note
                    .ends_with("named for another cell than their values are: grid-search/grid00003 (cell 3)")),
            "{notes:?}"
        );
    }

    #[test]
    fn damaged_files_are_named_with_their_line() {
        let failure = of_one(|name, text| if name.ends_with("run.log") { text.replacen("| ", "| x", 1) } else { text })
            .unwrap_err();
        // `dt[s]   trn` of the header has no bar, so the first bar is that of the first epoch.
        assert!(failure.place.as_deref().unwrap().ends_with("grid-search/grid00003/run.log:9"), "{failure}");
        let failure =
            of_one(|name, text| if name.ends_with("opts.json") { text[..20].to_owned() } else { text }).unwrap_err();
        assert!(
            failure.message.starts_with("not the opts.json of a cell: ")
                && failure.place.unwrap().ends_with("opts.json")
        );
        let failure = of_one(|name, text| if name.ends_with("plan.json") { "[]".into() } else { text }).unwrap_err();
        assert!(failure.message.contains("a plan without rounds"), "{failure}");
        let failure = of_one(|_, text| text.replace("0.0025", "0.0026")).unwrap_err();
        assert!(failure.message.starts_with("`lr` is 0.0026, which is not a level"), "{failure}");
    }

    #[test]
    fn a_cell_with_less_than_its_options_and_plan_say_is_partial() {
        let partial = "important: 1 of 1800 cells has fewer iterations, rounds or epochs than asked for: 3";
        let options = |name: &str, text: String| {
            if name.ends_with("opts.json") { text.replace("\"until\":2", "\"until\":3") } else { text }
        };
        let plan = |name: &str, text: String| {
            if name.ends_with("plan.json") { text.replace("]", ",{\"lr\":0.001,\"bce_weight\":0}]") } else { text }
        };
        assert!(of_one(options).unwrap().contains(&partial.to_owned()));
        assert!(of_one(plan).unwrap().contains(&partial.to_owned()));
        assert!(!of_one(|_, text| text).unwrap().contains(&partial.to_owned()));
    }

    #[test]
    fn cells_of_several_partitions_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files_of(3..5);
        files[0].1 = files[0].1.replace("400],[500,600]", "500],[400,600]");
        let (_, notes) = read(folder.path(), &pack(folder.path(), &files), &[]);
        let expected =
            "important: the cells do not have one partition: 0x3a (4 train, 2 validate), 0x3c (4 train, 2 validate)";
        assert!(notes.contains(&expected.to_owned()), "{notes:?}");
    }

    #[test]
    fn parts_of_other_inputs_are_not_the_cells() {
        let named = |name: &str, text: String| {
            let other = run_log(9, "func", 1).replace("Iteration 0", "Training: func\n");
            if name.ends_with("run.log") { text.replace("Iteration", "Training: full\n") + &other } else { text }
        };
        let notes = of_one(named).unwrap();
        assert!(notes.contains(&"1 iteration of other inputs than the cell's left out".to_owned()), "{notes:?}");
        assert!(!notes.iter().any(|note| note.contains("fewer iterations")), "{notes:?}");
    }

    /// The published levels and partition are the defaults, and the real log of 2022 is read as the log of a cell of
    /// its inputs.
    #[test]
    #[ignore = "reads real data that is not part of the project"]
    fn the_real_parameters_and_the_real_log_fit() {
        let real = data("visual-autolabel");
        let text = fs::read_to_string(real.join("grid-params.json")).unwrap();
        let parameters: serde_json::Value = serde_json::from_str(&text).unwrap();
        let grid = published();
        let levels = json!({"base_model": grid.base_model, "lr": grid.lr, "gamma": grid.gamma,
            "bce_weight": grid.bce_weight, "batch_size": grid.batch_size, "inputs": grid.inputs, "prediction": grid.prediction});
        let as_numbers = |value: &serde_json::Value| value.to_string().replace(".0]", "]");
        assert_eq!(as_numbers(&parameters["hyper"]), as_numbers(&levels));
        let log = fs::read_to_string(real.join("train-unet_2022_output.log")).unwrap();
        let partition = parameters["static"]["partition"].clone();
        // Cell 574 is the published one of `anat` whose rates and gamma are those of the log.
        let (number, cell) = (574, grid.cell(574).unwrap());
        let options = json!({"model_key": "grid00574", "partition": partition, "until": 1,
            "base_model": cell.base_model, "gamma": cell.gamma, "batch_size": cell.batch_size, "inputs": "anat", "prediction": "area"});
        let round = |lr: f64, bce_weight: f64| json!({"lr": lr, "bce_weight": bce_weight});
        let plan = json!([round(cell.lr, cell.bce_weight), round(0.0025, 0.375), round(0.00125, 0.0)]);
        let files = [("opts.json", options.to_string()), ("plan.json", plan.to_string()), ("run.log", log)];
        let files: Vec<_> = files.into_iter().map(|(name, text)| (format!("grid{number:05}/{name}"), text)).collect();
        let folder = tempfile::tempdir().unwrap();
        let (rows, notes) = read(folder.path(), &pack(folder.path(), &files), &[]);
        let losses = rows[574].losses.unwrap();
        assert_eq!(
            (rows[574].state, losses.min, rows[574].iterations, rows[574].subjects),
            (GridCellState::Whole, 0.174, 1, 33)
        );
        assert!(
            notes
                .contains(&"partition 0x3ffbe8deffff7efdf7fe7edbd5ff1fb5ff7afdf3b (130 train, 33 validate)".to_owned()),
            "{notes:?}"
        );
        assert!(notes.contains(&"2 iterations of other inputs than the cell's left out".to_owned()), "{notes:?}");
        let (rows, _) =
            read(folder.path(), &pack(folder.path(), &files), &["iterations", "last-line", "starred", "token-9"]);
        assert_eq!(rows[574].state, GridCellState::WithoutLoss);
    }
}
