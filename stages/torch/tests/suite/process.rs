//! The protocol, spoken with a real process.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use pipe_contract::worker::{CHANNEL, FromWorker, PROTOCOL, ToWorker};
use pipe_contract::{Ended, Failure, Progress, Task};

use crate::support::People;

struct Worker {
    child: Child,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
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
        Self { child, reader: BufReader::new(ours.try_clone().unwrap()), writer: ours }
    }

    fn say(&mut self, message: &ToWorker) {
        let line = serde_json::to_string(message).unwrap() + "\n";
        self.writer.write_all(line.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> FromWorker {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn ended(&mut self) -> (Vec<Progress>, Result<Ended, Failure>) {
        let mut told = Vec::new();
        loop {
            match self.hear() {
                FromWorker::Progress { progress } => told.push(progress),
                FromWorker::Ended { result } => return (told, result),
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
    let people = People::new(folder, 3, 1);
    let params = [("epochs", epochs.into()), ("rounds", 1.into())];
    ToWorker::Task { task: Box::new(people.training(&folder.join("out"), &params)) }
}

#[test]
fn a_worker_says_hello_does_tasks_and_quits() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    let FromWorker::Hello { protocol, build, kinds } = worker.hear() else { panic!() };
    assert_eq!((protocol, build.as_str()), (PROTOCOL, pipe_stages::BUILD_ID));
    assert_eq!(kinds, [("unet/train".to_string(), 1), ("unet/predict".to_string(), 1)]);

    let ToWorker::Task { task } = training(folder.path(), 1) else { panic!() };
    let unknown = Task { kind: "unet/guess".into(), ..*task.clone() };
    worker.say(&ToWorker::Task { task: Box::new(unknown) });
    assert!(worker.ended().1.unwrap_err().message.contains("no kind `unet/guess`"));
    let stale = Task { version: 99, ..*task.clone() };
    worker.say(&ToWorker::Task { task: Box::new(stale) });
    assert!(worker.ended().1.unwrap_err().message.contains("version 1 of `unet/train`, the task wants 99"));

    worker.say(&ToWorker::Task { task });
    let (told, result) = worker.ended();
    assert!(matches!(result, Ok(Ended::Done { .. })), "{result:?}");
    assert!(!told.is_empty());
    worker.say(&ToWorker::Quit);
    let output = worker.end();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Best val loss"), "{output:?}");
}

#[test]
fn a_running_task_can_be_cancelled_and_the_worker_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    worker.hear();
    worker.say(&training(folder.path(), 1_000));
    assert!(matches!(worker.hear(), FromWorker::Progress { .. }));
    worker.say(&ToWorker::Cancel);
    assert_eq!(worker.ended().1.unwrap_err().message, "cancelled while training");
    // A cancel without a task means nothing to the next one.
    worker.say(&ToWorker::Cancel);
    worker.say(&training(folder.path(), 1));
    assert!(worker.ended().1.is_ok());
    assert!(worker.end().status.success());
}

#[test]
fn a_worker_whose_engine_is_gone_ends_in_the_middle_of_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    worker.hear();
    // More epochs than anyone could wait for.
    worker.say(&training(folder.path(), 1_000_000));
    worker.hear();
    assert!(!worker.end().status.success());
}

#[test]
fn started_by_hand_it_says_what_it_is() {
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
