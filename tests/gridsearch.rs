//! The search for hyperparameters: the authors' archive by its address and from a folder, and trainings of our own.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use fs_err as fs;

use crate::support::paper::{offline, worker};
use crate::support::{Shown, Space, workspace};

const FILE: &str = "pipelines/gridsearch.yaml";

/// Where its results are, by profile.
const RESULTS: &str = "results/gridsearch";

/// The levels of the published grid, the first factor fastest.
const BASE_MODELS: [&str; 2] = ["resnet18", "resnet34"];
const RATES: [f64; 5] = [0.00167, 0.0025, 0.00375, 0.00562, 0.00844];
const GAMMAS: [&str; 5] = ["0.8", "0.85", "0.9", "0.95", "1"];
const WEIGHTS: [f64; 3] = [0.5, 0.67, 0.75];
const BATCHES: [u32; 3] = [4, 2, 6];
const INPUTS: [&str; 2] = ["full", "anat"];
const PREDICTIONS: [&str; 2] = ["area", "ring"];

/// A project with the shipped pipeline.
fn project() -> Space {
    let space = Space::new();
    for name in ["gridsearch.yaml", "hcp_subjects.txt"] {
        let shipped = workspace().join("pipelines").join(name);
        space.write(&format!("pipelines/{name}"), fs::read(&shipped).expect("a shipped file can be read"));
    }
    space
}

/// The validation Dice loss of an epoch, in thousandths.
fn dice(cell: usize, iteration: usize, epoch: usize) -> usize {
    60 + (cell * 7919 + iteration * 104_729 + epoch * 9176) % 311
}

/// A log of two iterations of one round of ten epochs; odd epochs have a star.
fn run_log(cell: usize, inputs: &str) -> String {
    let mut text = String::new();
    for iteration in 0..2 {
        writeln!(text, "\nIteration {iteration}\n{}\n\n{inputs} ----------\n", "=".repeat(85)).expect("text");
        for epoch in 1..=10 {
            let value = dice(cell, iteration, epoch) as f64 / 1000.0;
            let star = if epoch % 2 == 1 { "*" } else { "" };
            writeln!(
                text,
                "{epoch:2}/10  0.00375   50.9 |    0.367     0.888     0.579 |    0.426  {value:8.3}     0.579 {star}"
            )
            .expect("text");
        }
        text.push_str("Best val loss: 0.579000\n");
    }
    text
}

/// Writes a cell below a folder.
fn write_cell(folder: &Path, cell: usize) {
    let mut rest = cell;
    let mut digit = |size: usize| {
        let digit = rest % size;
        rest /= size;
        digit
    };
    let (base, lr, gamma) = (BASE_MODELS[digit(2)], RATES[digit(5)], GAMMAS[digit(5)]);
    let (weight, batch, inputs) = (WEIGHTS[digit(3)], BATCHES[digit(3)], INPUTS[digit(2)]);
    let prediction = PREDICTIONS[digit(2)];
    let options = format!(
        r#"{{"model_key": "grid{cell:05}", "partition": [[1, 2, 3], [4, 5]], "pretrained": false, "multiproc": false, "until": 2,
        "base_model": "{base}", "gamma": {gamma}, "batch_size": {batch}, "inputs": "{inputs}", "prediction": "{prediction}"}}"#
    );
    let plan = format!(r#"[{{"lr": {lr}, "bce_weight": {weight}}}]"#);
    let folder = folder.join(format!("grid{cell:05}"));
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [("opts.json", options), ("plan.json", plan), ("run.log", run_log(cell, inputs))] {
        fs::write(folder.join(name), text).expect("a file");
    }
}

/// The whole grid without two cells and with one of them twice.
fn write_archive(folder: &Path) {
    (0..1800).filter(|cell| ![17, 1000].contains(cell)).for_each(|cell| write_cell(&folder.join("grid-search"), cell));
    write_cell(&folder.join("grid-search/again"), 42);
}

/// Serves one file to so many requests, at an address.
fn serve(file: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|count| count > 0) {
                request.push(byte[0]);
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", file.len());
            // The client may have left.
            let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&file));
        }
    });
    format!("http://{address}/9wfde/")
}

/// What ended up in the table of cells: the column `loss_min`.
fn least_losses(space: &Space, profile: &str) -> Vec<String> {
    let text = space.read(&format!("{RESULTS}/{profile}/grid.csv"));
    let column = text.lines().next().and_then(|line| line.split(',').position(|name| name == "loss_min"));
    let column = column.expect("a column `loss_min`");
    text.lines().skip(1).map(|line| line.split(',').nth(column).expect("a cell").to_owned()).collect()
}

/// The least loss of a cell of the archive; of odd epochs only, or of all.
fn expected(cell: usize, starred_only: bool) -> String {
    if [17, 42, 1000].contains(&cell) {
        return String::new();
    }
    let epochs = (0..2).flat_map(|iteration| (1..=10).map(move |epoch| (iteration, epoch)));
    let counted = epochs.filter(|(_, epoch)| epoch % 2 == 1 || !starred_only);
    let least = counted.map(|(iteration, epoch)| dice(cell, iteration, epoch)).min().expect("epochs");
    (least as f64 / 1000.0).to_string()
}

#[test]
fn the_archive_is_read_by_its_address_and_from_a_folder() {
    let space = project();
    write_archive(&space.project());
    let packed = space.root().join("a.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&packed).arg("-C").arg(space.project()).arg("grid-search");
    assert!(tar.status().expect("tar starts").success());
    let address = serve(fs::read(&packed).expect("the archive"));
    space.edit(FILE, "https://osf.io/download/9wfde/", &address);
    space.edit(FILE, "archive: grid-search ", "archive: ../grid-search ");

    let published = |profile: &str| space.pipe(["run", FILE, "--profile", profile]).exits(0);
    let about_cells = |shown: Shown| {
        let shown = shown.shows("2 of 1800 cells are missing and have no loss: 17, 1000");
        shown.shows("1 of 1800 cells is there more than once and has no loss: 42 (")
    };
    about_cells(published("published").shows("ran 9, hits 0")).shows("partition 0x1c (3 train, 2 validate)");
    published("published").shows("ran 0, hits 9");
    assert_eq!(least_losses(&space, "published"), (0..1800).map(|cell| expected(cell, true)).collect::<Vec<_>>());
    for name in
        ["grid_anat_area", "grid_full_area", "grid_anat_ring", "grid_full_ring", "supplement_area", "supplement_ring"]
    {
        let figure = space.path(format!("{RESULTS}/published/{name}.pdf"));
        assert!(figure.is_file(), "no {name}");
    }
    let log = space.pipe(["log", FILE, "--profile", "published", "plots(inputs=anat, prediction=area)"]).exits(0);
    log.shows("[anat:area]  ResNet18: 0.06;  ResNet34: 0.06");

    // A folder gives the same figures and table.
    about_cells(published("folder"));
    for file in ["grid.csv", "best.csv", "grid_anat_ring.svg", "supplement_area.png"] {
        let read = |profile: &str| fs::read(space.path(format!("{RESULTS}/{profile}/{file}"))).expect("a result");
        assert!(read("published") == read("folder"), "{file} differs");
    }

    // The right rule reads every epoch; the archive is not fetched again.
    space.edit(FILE, "compat: [iterations, last-line, starred, token-9]", "compat: []");
    published("published").shows("ran 8, hits 1").shows("cells would have other losses by the original's rules");
    assert_eq!(least_losses(&space, "published"), (0..1800).map(|cell| expected(cell, false)).collect::<Vec<_>>());
}

#[test]
fn a_damaged_archive_is_one_sentence() {
    let space = project();
    space.edit(FILE, "archive: grid-search ", "archive: ../grid-search ");
    let run = || space.pipe(["run", FILE, "--profile", "folder"]).exits(2);
    run().shows("grid-search").hides("panicked");
    space.write("grid-search/readme.txt", "nothing");
    run().shows("found no cell of a grid search in 1 files").shows("hint: give the authors' `grid-search.tar.gz`");
    write_cell(&space.path("grid-search"), 3);
    let log = space.path("grid-search/grid00003/run.log");
    let text = fs::read_to_string(&log).expect("the log");
    fs::write(&log, text.replacen("0.579 *", "0.579 ?", 1)).expect("written");
    run().shows("grid-search/grid00003/run.log:7").shows("expected ` 1/10  0.00375");
}

/// Two cells of two trainings each, as small as they can be.
const SMALL: &str = "    extends: demo
    params:
      base_model: [resnet18]
      lr: [0.00167, 0.00844]
      gamma: [1]
      subjects: [s01, s02, s03]
      raters: [A1]
      epochs: 1
    stages:
      best:
        uses: grid/best
        in: { cells: $cells.table }
";

#[test]
fn trainings_of_our_own_give_the_same_table_and_figure() {
    worker();
    let space = project();
    space.edit(FILE, "\n  full:\n", &format!("\n  small:\n{SMALL}\n  full:\n"));
    let run = || {
        let mut command = space.command(["run", FILE, "--profile", "small", "--plain"]);
        offline(&mut command);
        Shown::of(&mut command).exits(0)
    };
    let shown = run();
    assert!(shown.stderr.contains("best validation/dice so far 0."), "the best so far is shown:\n{}", shown.stderr);
    let status = space.pipe(["status", FILE, "--profile", "small"]).exits(0);
    status.shows("best train: validation/dice of 4 instances, best first").shows(" in round ");
    let losses = least_losses(&space, "small");
    assert_eq!(losses.len(), 2);
    let figure = space.read(&format!("{RESULTS}/small/grid_anat_area.csv"));
    assert_eq!(figure.lines().count(), 3, "{figure}");
    assert!(figure.lines().next().expect("a header").ends_with("value,star,simulated"), "{figure}");
    let table = space.read(&format!("{RESULTS}/small/grid.csv"));
    let first = table.lines().nth(1).expect("a row");
    assert!(first.starts_with("0,resnet18,0.00167,1.0,0.75,2,anat,area,whole,2,2,0,1,"), "{table}");
    let mut least: Vec<f64> = losses.iter().map(|loss| loss.parse().expect("a number")).collect();
    least.sort_by(f64::total_cmp);
    let best = space.read(&format!("{RESULTS}/small/best.csv"));
    let ranked: Vec<&str> = best.lines().skip(1).filter_map(|line| line.split(',').nth(10)).collect();
    assert_eq!(ranked, least.iter().map(ToString::to_string).collect::<Vec<_>>(), "{best}");
    assert!(space.path(format!("{RESULTS}/small/plans/anat_area_resnet18.json")).is_file());
    run().shows("ran 0,");

    // One more level trains its cell only, though every number of a cell is another one.
    space.edit(FILE, "lr: [0.00167, 0.00844]\n      gamma: [1]", "lr: [0.00167, 0.0025, 0.00844]\n      gamma: [1]");
    let mut command = space.command(["plan", FILE, "--profile", "small"]);
    offline(&mut command);
    let plan = Shown::of(&mut command).exits(0);
    let train = plan.stdout.lines().find(|line| line.starts_with("train ")).expect("the stage").to_owned();
    assert!(train.contains("4 hit, 2 to run"), "{train}");

    // A rate at which both trainings of a cell diverge: the cell is marked in table and figure, and the others have losses.
    space.edit(FILE, "lr: [0.00167, 0.0025, 0.00844]", "lr: [0.00167, 0.00844, 1000000]");
    let shown = run();
    let train = "train(base_model=resnet18, batch_size=2, bce_weight=0.75, gamma=1, inputs=anat, lr=1000000, prediction=area, restart=1)";
    let shown = shown
        .shows("absent train: diverged in 2 cells")
        .shows(&format!("  {train}: the training diverged: its loss became"));
    shown.shows("1 of 3 cells diverged and has no loss: 2");
    let log = space.pipe(["log", FILE, "--profile", "small", train]).exits(0);
    log.shows(
        "absent (diverged): the training diverged: its loss became NaN in round 1, epoch 1, validation (learning rate 1000000.0)",
    );
    let table = space.read(&format!("{RESULTS}/small/grid.csv"));
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert!(rows[0].contains(",whole,2,2,0,1,0.") && rows[1].contains(",whole,2,2,0,1,0."), "{table}");
    assert_eq!(rows[2], "2,resnet18,1000000.0,1.0,0.75,2,anat,area,diverged,2,0,2,0,,,,,,true");
    let figure = space.read(&format!("{RESULTS}/small/grid_anat_area.csv"));
    assert_eq!(figure.lines().last(), Some("2,resnet18,1000000.0,1.0,0.75,2,anat,area,diverged,,false,true"));
    let picture = space.read(&format!("{RESULTS}/small/grid_anat_area.svg"));
    assert!(picture.contains("Crossed: 1 of 3 cells without a loss (1 diverged)."), "the cross is explained");
    run().shows("ran 0,");
}
