//! The protocol between engine and worker, tested with a real process.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use pipe_contract::worker::{CHANNEL, FromWorker, PROTOCOL, ToWorker};
use pipe_contract::{Ended, Failure, Metric, Progress, Task};

use crate::support::Subjects;

struct Worker {
    child: Child,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    metrics: Vec<Metric>,
}

impl Worker {
    fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pipe-torch"))
            .env_clear()
            .env(CHANNEL, theirs.as_raw_fd().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(theirs);
        Self { child, reader: BufReader::new(ours.try_clone().unwrap()), writer: ours, metrics: Vec::new() }
    }

    fn send(&mut self, message: &ToWorker) {
        let line = serde_json::to_string(message).unwrap() + "\n";
        self.writer.write_all(line.as_bytes()).unwrap();
    }

    fn receive(&mut self) -> FromWorker {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn ended(&mut self) -> (Vec<Progress>, Result<Ended, Failure>) {
        let mut reports = Vec::new();
        loop {
            match self.receive() {
                FromWorker::Progress { progress } => reports.push(progress),
                FromWorker::Metric { metric } => self.metrics.push(metric),
                FromWorker::Ended { result } => return (reports, result),
                FromWorker::Hello { .. } => panic!("a second hello"),
            }
        }
    }

    fn end(self) -> Output {
        drop((self.reader, self.writer));
        self.child.wait_with_output().unwrap()
    }
}

fn training(folder: &Path, epochs: u32) -> ToWorker {
    let subjects = Subjects::new(folder, 3, 1);
    let params = [("epochs", epochs.into()), ("rounds", 1.into())];
    ToWorker::Task { task: Box::new(subjects.training(&folder.join("out"), &params)) }
}

#[test]
fn a_worker_sends_hello_runs_tasks_and_quits() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    let FromWorker::Hello { protocol, build, kinds } = worker.receive() else { panic!() };
    assert_eq!((protocol, build.as_str()), (PROTOCOL, pipe_stages::BUILD_ID));
    let kinds: Vec<(&str, u32)> = kinds.iter().map(|(name, version)| (name.as_str(), *version)).collect();
    assert_eq!(
        kinds,
        [
            ("unet/train", 3),
            ("unet/predict", 3),
            ("unet/device", 1),
            ("net/rdms", 1),
            ("net/features", 1),
            ("net/anova", 1),
            ("net/decode", 1),
            ("net/train", 1),
            ("net/calibrate", 1),
        ]
    );

    let ToWorker::Task { task } = training(folder.path(), 1) else { panic!() };
    let unknown = Task { kind: "unet/guess".into(), ..*task.clone() };
    worker.send(&ToWorker::Task { task: Box::new(unknown) });
    assert!(worker.ended().1.unwrap_err().message.contains("no kind `unet/guess`"));
    let stale = Task { version: 99, ..*task.clone() };
    worker.send(&ToWorker::Task { task: Box::new(stale) });
    assert!(worker.ended().1.unwrap_err().message.contains("version 3 of `unet/train`, the task needs 99"));

    worker.send(&ToWorker::Task { task });
    let (reports, result) = worker.ended();
    assert!(matches!(result, Ok(Ended::Done { .. })), "{result:?}");
    assert!(!reports.is_empty());
    assert!(worker.metrics.iter().any(|metric| metric.name() == "train/loss" && metric.step() == 1));
    worker.send(&ToWorker::Quit);
    let output = worker.end();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Best val loss"), "{output:?}");
}

#[test]
fn a_running_task_can_be_cancelled_and_the_worker_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    worker.receive();
    worker.send(&training(folder.path(), 1_000));
    assert!(matches!(worker.receive(), FromWorker::Progress { .. }));
    worker.send(&ToWorker::Cancel);
    assert_eq!(worker.ended().1.unwrap_err().message, "cancelled while training");
    // A cancellation without a task does not affect the next one.
    worker.send(&ToWorker::Cancel);
    worker.send(&training(folder.path(), 1));
    assert!(worker.ended().1.is_ok());
    assert!(worker.end().status.success());
}

#[test]
fn a_worker_whose_engine_is_gone_ends_in_the_middle_of_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    worker.receive();
    // More epochs than a test could wait for.
    worker.send(&training(folder.path(), 1_000_000));
    worker.receive();
    assert!(!worker.end().status.success());
}

#[test]
fn started_by_hand_it_explains_itself() {
    for channel in [None, Some("7777"), Some("one")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe-torch"));
        command.env_clear().envs(channel.map(|number| (CHANNEL, number)));
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{words}");
        assert!(
            words.starts_with("error: this is the worker that `pipe` starts") && words.contains("pipe run FILE"),
            "{words}"
        );
    }
}
