//! `unet/best`: of several restarts of one training, the one with the smallest validation Dice loss.

use std::fmt::Write as _;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{Context, Coordinates, Ended, Failure, Kind, StageKind, Task, io_reason};

use super::model_folder::{
    EPOCH_COLUMNS, EPOCHS, OPTIONS, PLAN, RESTART_COLUMNS, RESTARTS, RestartOutcome, TRAINING, TRAINING_COLUMNS,
    WEIGHTS, header,
};
use crate::formats::channel_statistics::{CHANNEL_COLUMNS, CHANNELS};

/// The kind.
pub struct Best;

impl StageKind for Best {
    fn kind(&self) -> Kind {
        Kind::new("unet/best", 3, "selects the restart with the smallest validation Dice loss")
            .gather("trained", &["model"], "the restarts of one network (axis `restart`)")
            .folder("model", "model", "the chosen one, with `restarts.tsv` on all of them")
            .described(&[TRAINING], TRAINING_COLUMNS)
            .described(&[EPOCHS], EPOCH_COLUMNS)
            .described(&[RESTARTS], RESTART_COLUMNS)
            .described(&[CHANNELS], CHANNEL_COLUMNS)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let restarts = read(task)?;
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
        Ok(Ended::done())
    }
}

type Restart<'a> = (&'a Coordinates, &'a Path, RestartOutcome);

/// The restarts in order of their numbers (`2` before `10`), other coordinates as text.
fn read(task: &Task) -> Result<Vec<Restart<'_>>, Failure> {
    let mut restarts = Vec::new();
    for (at, folder) in task.present("trained") {
        restarts.push((at, folder, RestartOutcome::read(folder)?));
    }
    let number = |at: &Coordinates| at.get("restart").and_then(|text| text.parse::<u64>().ok());
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
        let name = at.get("restart").cloned().unwrap_or_else(|| at.to_string());
        let kept = if index == chosen { "*" } else { "" };
        let _ = writeln!(text, "{name}\t{:?}\t{:?}\t{kept}", outcome.loss, outcome.dice);
    }
    text
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    // Bytes only: the store's files are read-only, and so would be a copy of their permissions.
    let mut source = fs::File::open(from).map_err(|error| {
        Failure::input(format!("a trained network lacks `{}`: {}", from.display(), io_reason(&error)))
            .hint("give the `model` port of `unet/train`")
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
