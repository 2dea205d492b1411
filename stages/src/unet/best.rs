//! `unet/best`: of several restarts of one training, the one with the smallest validation Dice loss.
//!
//! A restart that diverged is absent, and the others are compared; if all are, so is the best one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{Context, Coordinates, Ended, Failure, IMPORTANT, Kind, Presence, StageKind, Task, io_reason};

use super::model_folder::{
    EPOCH_COLUMNS, EPOCHS, OPTIONS, PLAN, RESTART_COLUMNS, RESTARTS, RestartOutcome, TRAINING, TRAINING_COLUMNS,
    WEIGHTS, header,
};
use crate::formats::channel_statistics::{CHANNEL_COLUMNS, CHANNELS};
use crate::formats::epoch_table::DIVERGED;

/// The kind.
pub struct Best;

impl StageKind for Best {
    fn kind(&self) -> Kind {
        let kind = Kind::new("unet/best", 3, "selects the restart with the smallest validation Dice loss")
            .gather("trained", &["model"], "the restarts of one network (axis `restart`)")
            .folder("model", "model", "the chosen one, with `restarts.tsv` on all of them")
            .described(&[TRAINING], TRAINING_COLUMNS)
            .described(&[EPOCHS], EPOCH_COLUMNS)
            .described(&[RESTARTS], RESTART_COLUMNS)
            .described(&[CHANNELS], CHANNEL_COLUMNS);
        Kind { absences: vec![DIVERGED], ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let restarts = read(task)?;
        let missing = missing(task);
        if restarts.is_empty() && task.many("trained").iter().any(|cell| cell.artifact == diverged()) {
            return Ok(Ended::Absent { cause: DIVERGED.to_owned(), detail: format!("no restart is left: {missing}") });
        }
        let chosen = choose(&restarts)?;
        let (at, folder, outcome) = &restarts[chosen];
        context.log(&format!("selected {at}: validation Dice loss {:.4} of {} restarts", outcome.dice, restarts.len()));
        let output = task.output("model")?;
        fs::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        for name in [WEIGHTS, OPTIONS, PLAN, TRAINING, EPOCHS] {
            copy(&folder.join(name), &output.join(name))?;
        }
        // Trainings on few subjects do not describe them.
        if folder.join(CHANNELS).exists() {
            copy(&folder.join(CHANNELS), &output.join(CHANNELS))?;
        }
        let path = output.join(RESTARTS);
        fs::write(&path, table(&restarts, chosen)).map_err(|error| Failure::io("write", &path, &error))?;
        let note = (!missing.is_empty())
            .then(|| format!("{IMPORTANT}chosen from fewer restarts than were trained: {missing}"));
        Ok(Ended::noted(note.into_iter().collect()))
    }
}

fn diverged() -> Presence {
    Presence::Absent(DIVERGED.to_owned())
}

/// Which restarts are absent, and why: `diverged: 2, 10`.
fn missing(task: &Task) -> String {
    let mut by_cause: BTreeMap<&str, Vec<&Coordinates>> = BTreeMap::new();
    for cell in task.many("trained") {
        if let Presence::Absent(cause) = &cell.artifact {
            by_cause.entry(cause).or_default().push(&cell.at);
        }
    }
    let words = |(cause, mut cells): (&str, Vec<&Coordinates>)| {
        cells.sort_by_key(|at| (number(at), *at));
        format!("{cause}: {}", cells.into_iter().map(name).collect::<Vec<_>>().join(", "))
    };
    by_cause.into_iter().map(words).collect::<Vec<_>>().join("; ")
}

/// The number of a restart, if that is what it is called.
fn number(at: &Coordinates) -> Option<u64> {
    at.get("restart").and_then(|text| text.parse().ok())
}

/// The restart, or all coordinates if it has none.
fn name(at: &Coordinates) -> String {
    at.get("restart").cloned().unwrap_or_else(|| at.to_string())
}

type Restart<'a> = (&'a Coordinates, &'a Path, RestartOutcome);

/// The restarts in order of their numbers (`2` before `10`), other coordinates as text.
fn read(task: &Task) -> Result<Vec<Restart<'_>>, Failure> {
    let mut restarts = Vec::new();
    for (at, folder) in task.present("trained") {
        restarts.push((at, folder, RestartOutcome::read(folder)?));
    }
    restarts.sort_by(|a, b| (number(a.0), a.0).cmp(&(number(b.0), b.0)));
    Ok(restarts)
}

/// The index of the smallest Dice loss, the first of equal ones; a restart that diverged (NaN) is never chosen.
fn choose(restarts: &[Restart<'_>]) -> Result<usize, Failure> {
    let usable = restarts.iter().enumerate().filter(|(_, restart)| restart.2.dice.is_finite());
    usable.min_by(|a, b| a.1.2.dice.total_cmp(&b.1.2.dice)).map(|(index, _)| index).ok_or_else(|| {
        Failure::stage(format!("none of {} trained networks has a finite validation Dice loss", restarts.len()))
            .hint("lower `learning_rate` of the training, or add restarts")
    })
}

fn table(restarts: &[Restart<'_>], chosen: usize) -> String {
    let mut text = header(RESTART_COLUMNS);
    for (index, (at, _, outcome)) in restarts.iter().enumerate() {
        let name = name(at);
        let kept = if index == chosen { "*" } else { "" };
        let _ = writeln!(text, "{name}\t{:?}\t{:?}\t{kept}", outcome.loss, outcome.dice);
    }
    text
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    // Bytes only: the store's files are read-only, and so would be a copy of their permissions.
    let mut source = fs::File::open(from).map_err(|error| {
        Failure::input(format!("a trained network lacks `{}`: {}", from.display(), io_reason(&error)))
            .hint("give the `model` port of `unet/train`, with its weights (`keep_weights: true`, the default)")
    })?;
    let mut target = fs::File::create(to).map_err(|error| Failure::io("create", to, &error))?;
    std::io::copy(&mut source, &mut target).map_err(|error| Failure::io("write", to, &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use pipe_contract::{Cell, Given, Presence, Silent};

    use super::*;

    fn trained(folder: &Path, restart: u32, dice: f64) -> Cell {
        let model = folder.join(restart.to_string());
        fs::create_dir_all(&model).unwrap();
        for name in [WEIGHTS, OPTIONS, PLAN, EPOCHS] {
            fs::write(model.join(name), format!("{name} {restart}")).unwrap();
        }
        let outcome = RestartOutcome { input: "anat".into(), loss: 1.0, dice };
        fs::write(model.join(TRAINING), outcome.to_tsv()).unwrap();
        Cell { at: [("restart", restart.to_string())].into_iter().collect(), artifact: Presence::Present(model) }
    }

    fn task(folder: &Path, cells: Vec<Cell>) -> Task {
        serde_json::from_value(serde_json::json!({
            "kind": "unet/best", "version": 3, "params": {}, "at": {}, "inputs": {"trained": Given::Many(cells)},
            "outputs": {"model": folder.join("out")}, "device": "cpu", "threads": 1, "scratch": folder,
        }))
        .unwrap()
    }

    #[test]
    fn the_smallest_dice_wins_and_all_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let cells =
            [(1, 0.4), (10, 0.2), (2, f64::NAN), (3, 0.2)].map(|(restart, dice)| trained(folder.path(), restart, dice));
        Best.run(&task(folder.path(), cells.to_vec()), &Silent).unwrap();
        let out = folder.path().join("out");
        assert_eq!(fs::read_to_string(out.join(WEIGHTS)).unwrap(), format!("{WEIGHTS} 3"));
        assert_eq!(
            fs::read_to_string(out.join(RESTARTS)).unwrap(),
            "restart\tloss\tdice_loss\tkept\n1\t1.0\t0.4\t\n2\t1.0\tNaN\t\n3\t1.0\t0.2\t*\n10\t1.0\t0.2\t\n"
        );
    }

    /// An absent restart.
    fn absent(restart: u32, cause: &str) -> Cell {
        Cell { at: [("restart", restart.to_string())].into_iter().collect(), artifact: Presence::Absent(cause.into()) }
    }

    #[test]
    fn restarts_that_diverged_are_named_and_the_others_compared() {
        let folder = tempfile::tempdir().unwrap();
        let there = [trained(folder.path(), 1, 0.4), trained(folder.path(), 3, 0.3)];
        let cells = [&there[..], &[absent(10, DIVERGED), absent(2, DIVERGED)]].concat();
        let ended = Best.run(&task(folder.path(), cells), &Silent).unwrap();
        let note = "important: chosen from fewer restarts than were trained: diverged: 2, 10";
        assert_eq!(ended, Ended::noted(vec![note.to_owned()]));
        let weights = fs::read_to_string(folder.path().join("out").join(WEIGHTS)).unwrap();
        assert_eq!(weights, format!("{WEIGHTS} 3"));
    }

    #[test]
    fn where_all_restarts_diverged_the_best_one_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let cells = vec![absent(1, DIVERGED), absent(2, "not-found"), absent(3, DIVERGED)];
        let ended = Best.run(&task(folder.path(), cells), &Silent).unwrap();
        let detail = "no restart is left: diverged: 1, 3; not-found: 2".to_owned();
        assert_eq!(ended, Ended::Absent { cause: DIVERGED.to_owned(), detail });
        assert!(Best.kind().absences.contains(&DIVERGED) && !folder.path().join("out").exists());
    }

    #[test]
    fn nothing_to_choose_from_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let absent = Cell { at: Coordinates::none(), artifact: Presence::Absent("not-found".into()) };
        let diverged = trained(folder.path(), 1, f64::INFINITY);
        let failure = Best.run(&task(folder.path(), vec![absent, diverged]), &Silent).unwrap_err();
        assert!(failure.message.contains("none of 1"), "{failure}");
        assert!(!PathBuf::from(folder.path()).join("out").exists());
    }
}
