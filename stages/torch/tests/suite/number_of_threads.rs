//! With one number of threads a training gives the same bytes from process to process; another number changes the last digits.
//!
//! Threads belong to a process, in which other tests run side by side: each training has a process of its own, this program started again.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use pipe_contract::Silent;
use pipe_stages::formats::epoch_table;
use pipe_stages::unet::declarations::{ComputePlace, Pin, Precision};
use pipe_stages::unet::model_folder::{ModelOptions, WEIGHTS};
use pipe_stages::unet::training_schedule::Round;
use pipe_torch::backend::prepare;
use pipe_torch::samples::Samples;
use pipe_torch::training::{Training, shuffled};
use pipe_torch::weights::{NetworkShape, Weights};

use crate::support::{Subjects, bytes, run};

/// Where a training of a process of its own writes; set in such a process only.
const FOLDER: &str = "PIPE_TEST_TRAINING";
/// Its number of threads.
const THREADS: &str = "PIPE_TEST_THREADS";
/// `f32` or `bf16`.
const PRECISION: &str = "PIPE_TEST_PRECISION";

/// What the kind states for numbers that are not the same bytes.
const TOLERANCE: f64 = 0.05;

/// The training of such a process; elsewhere nothing.
#[test]
fn a_training_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let threads: u32 = std::env::var(THREADS).unwrap().parse().unwrap();
    let subjects = Subjects::new(&folder, 4, 1);
    let params = [("epochs", 2.into()), ("rounds", 1.into()), ("threads", threads.into())];
    let task = subjects.training(&folder, &params);
    if std::env::var(PRECISION).unwrap() == "f32" {
        drop(run(&task, &Silent).unwrap());
        return;
    }
    // The loop alone: the kind refuses 16 bits where the processor would have to imitate them, as it may here.
    let device = prepare(&ComputePlace { threads, device: Pin::Any }, &task).unwrap().device;
    let (samples, _) =
        Samples::read(&task, &ModelOptions::new("anat", "area", "resnet18").unwrap(), false, device).unwrap();
    let plan = [Round { lr: 0.00375, gamma: 0.9, bce_weight: 0.75, num_epochs: 1, batch_size: 3 }];
    let weights = Weights::fresh(NetworkShape::new("resnet18", 7, 3).unwrap(), 7, device);
    let mut training = Training::new(weights, &samples, &plan, shuffled(7), &Silent).with_precision(Precision::Bf16);
    while !training.is_done() {
        training.advance().unwrap();
    }
    fs::create_dir(folder.join("model")).unwrap();
    fs::write(folder.join("model/rows"), format!("{:?}", training.state.rows)).unwrap();
    let best = training.state.overall.weights.as_ref().unwrap();
    training.weights.write(best, &folder.join("model").join(WEIGHTS)).unwrap();
}

/// Trains in a process of its own, and gives the folder of the model.
fn trained(folder: &Path, name: &str, threads: u32, precision: &str) -> PathBuf {
    let folder = folder.join(name);
    fs::create_dir(&folder).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "number_of_threads::a_training_in_a_process_of_its_own", "--nocapture"]);
    command.env(FOLDER, &folder).env(THREADS, threads.to_string()).env(PRECISION, precision);
    // Threads that wait do not spin: other tests run at the same time.
    command.env("OMP_WAIT_POLICY", "passive");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("model")
}

#[test]
#[expect(clippy::print_stdout, reason = "what the book's chapter on costs states")]
fn two_threads_give_the_same_bytes_each_time_and_one_thread_other_ones() {
    let folder = tempfile::tempdir().unwrap();
    let [one, first, second] =
        [("one", 1), ("first", 2), ("second", 2)].map(|(name, threads)| trained(folder.path(), name, threads, "f32"));
    assert!(bytes(&first) == bytes(&second), "two processes with two threads give other bytes");
    let losses = |model: &Path| {
        let rows = epoch_table::read(model).unwrap().unwrap();
        rows.iter().flat_map(|row| [row.trn_loss, row.val_loss]).collect::<Vec<_>>()
    };
    let (alone, shared) = (losses(&one), losses(&first));
    let is_same = bytes(&one)[WEIGHTS] == bytes(&first)[WEIGHTS];
    println!("one thread {alone:?}\ntwo threads {shared:?}, the same weights: {is_same}");
    for (alone, shared) in alone.iter().zip(&shared) {
        assert!((alone - shared).abs() < TOLERANCE * alone, "a loss of {alone} with one thread is {shared} with two");
    }
}

#[test]
fn two_threads_give_the_same_bytes_each_time_with_sixteen_bits() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| trained(folder.path(), name, 2, "bf16"));
    assert!(bytes(&first).len() == 2 && bytes(&first) == bytes(&second), "two processes give other bytes");
}
