//! The file in which a `run:` stage reports metrics: `METRICS`, one `NAME STEP VALUE` a line, separated by spaces or tabs.
//!
//! The engine reads what was added, about once a second and at the end of the body. A file and not a pipe, because bodies
//! append to it with `>>`, from any program, and need no reader that keeps up. Other lines are counted and
//! reported in a note; they do not fail the stage.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fs_err::os::unix::fs::OpenOptionsExt;
use fs_err::{File, OpenOptions};
use pipe_contract::Metric;

/// How often the file of a running command is read.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much is read at a time.
const PORTION: u64 = 1 << 20;
/// What is behind so many bytes is not read.
const MOST: u64 = 8 << 20;
/// A line without an end that is longer is skipped.
const LONGEST_LINE: usize = 4096;

/// The file of one running command, as far as it was read.
pub(super) struct MetricFile {
    path: PathBuf,
    /// Up to here.
    read: u64,
    /// In all, also of what was replaced meanwhile.
    taken: u64,
    /// The beginning of a line whose end is not there yet.
    open_line: Vec<u8>,
    wrong: usize,
    first_wrong: String,
    next: Instant,
}

impl MetricFile {
    /// The file of a command that starts now; it need not exist.
    pub fn new(path: PathBuf) -> Self {
        let next = Instant::now() + INTERVAL;
        Self { path, read: 0, taken: 0, open_line: Vec::new(), wrong: 0, first_wrong: String::new(), next }
    }

    /// When it is to be read next.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// What was added since the last time, or the first portion of it; then it is due again at once.
    pub fn read(&mut self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        let portion = self.portion().unwrap_or_default();
        self.take_lines(&portion, &mut metrics);
        let pause = if portion.len() as u64 == PORTION { Duration::ZERO } else { INTERVAL };
        self.next = Instant::now() + pause;
        metrics
    }

    /// The rest, with a last line that has no end; and a note if some lines were no metrics.
    pub fn finish(mut self) -> (Vec<Metric>, Option<String>) {
        let mut metrics = Vec::new();
        while let Some(portion) = self.portion() {
            self.take_lines(&portion, &mut metrics);
        }
        let rest = std::mem::take(&mut self.open_line);
        self.take_line(&rest, &mut metrics);
        let note = (self.wrong > 0 || self.taken >= MOST).then(|| {
            if self.taken >= MOST {
                return format!("`METRICS` has more than {} MiB; the rest was not read", MOST >> 20);
            }
            let lines = if self.wrong == 1 { "line".to_owned() } else { format!("{} lines", self.wrong) };
            format!("in `METRICS`, {lines} not of the form `NAME STEP VALUE`, first `{}`", self.first_wrong)
        });
        (metrics, note)
    }

    /// The next bytes; `None` at the end, behind the most that is read, or if there is no such file.
    fn portion(&mut self) -> Option<Vec<u8>> {
        // A body may have put anything there; a pipe must not stop the engine.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut file: File = OpenOptions::new().read(true).custom_flags(flags).open(&self.path).ok()?;
        let found = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        if found.len() < self.read {
            // Written anew instead of appended to.
            self.read = 0;
            self.open_line.clear();
        }
        let mut portion = Vec::new();
        file.seek(SeekFrom::Start(self.read)).ok()?;
        file.take(PORTION.min(MOST - self.taken)).read_to_end(&mut portion).ok()?;
        self.read += portion.len() as u64;
        self.taken += portion.len() as u64;
        (!portion.is_empty()).then_some(portion)
    }

    fn take_lines(&mut self, portion: &[u8], metrics: &mut Vec<Metric>) {
        let mut pieces = portion.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = (LONGEST_LINE + 1).saturating_sub(self.open_line.len());
            self.open_line.extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                let line = std::mem::take(&mut self.open_line);
                self.take_line(&line, metrics);
            }
        }
    }

    fn take_line(&mut self, line: &[u8], metrics: &mut Vec<Metric>) {
        let text = String::from_utf8_lossy(line);
        if text.trim().is_empty() {
            return;
        }
        match metric(&text).filter(|_| line.len() <= LONGEST_LINE) {
            Some(metric) => metrics.push(metric),
            None => {
                if self.wrong == 0 {
                    self.first_wrong = text.chars().filter(|c| !c.is_control()).take(60).collect();
                }
                self.wrong += 1;
            }
        }
    }
}

/// `NAME STEP VALUE`.
fn metric(line: &str) -> Option<Metric> {
    let mut fields = line.split_whitespace();
    let (name, step, value) = (fields.next()?, fields.next()?, fields.next()?);
    let metric = Metric::new(name, step.parse().ok()?, value.parse().ok()?);
    metric.filter(|_| fields.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn named(metrics: &[Metric]) -> Vec<(&str, u64, f64)> {
        metrics.iter().map(|metric| (metric.name(), metric.step(), metric.value())).collect()
    }

    #[test]
    fn lines_are_read_as_they_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics");
        let mut file = MetricFile::new(path.clone());
        assert_eq!(file.read(), []);
        let mut body = File::options().create(true).append(true).open(&path).unwrap();
        body.write_all(b"loss 1 0.5\nloss 2 2.5e-1\nlo").unwrap();
        assert_eq!(named(&file.read()), [("loss", 1, 0.5), ("loss", 2, 0.25)]);
        body.write_all(b"ss\t3 0.125").unwrap();
        assert_eq!(file.read(), []);
        let (metrics, note) = file.finish();
        assert_eq!((named(&metrics), note), (vec![("loss", 3, 0.125)], None));
    }

    #[test]
    fn other_lines_are_counted_and_a_file_written_anew_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics");
        fs_err::write(&path, format!("loss 1 nan\n\nloss x 1\nloss 1 1 1\n{}\nloss 1 1\n", "y".repeat(9999))).unwrap();
        let mut file = MetricFile::new(path.clone());
        assert_eq!(named(&file.read()), [("loss", 1, 1.0)]);
        fs_err::write(&path, "loss 2 2\n").unwrap();
        let (metrics, note) = file.finish();
        assert_eq!(named(&metrics), [("loss", 2, 2.0)]);
        assert!(note.unwrap().contains("4 lines not of the form `NAME STEP VALUE`, first `loss 1 nan`"));
    }

    #[test]
    fn a_large_file_is_read_in_portions_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics");
        let sparse = File::create(&path).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let mut file = MetricFile::new(path);
        assert_eq!(file.read(), []);
        assert_eq!(file.taken, PORTION);
        assert!(file.due() <= Instant::now());
        let (metrics, note) = file.finish();
        assert_eq!(metrics, []);
        assert_eq!(note.unwrap(), "`METRICS` has more than 8 MiB; the rest was not read");
    }

    #[test]
    fn only_a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics");
        fs_err::os::unix::fs::symlink("/proc/self/status", &path).unwrap();
        assert_eq!(MetricFile::new(path).finish(), (Vec::new(), None));
        assert_eq!(MetricFile::new(folder.path().to_owned()).finish(), (Vec::new(), None));
    }
}
