//! One download for all stages of a run that take files out of the same distribution.
//!
//! The first stage downloads, under a lock; the others wait for it and read the same file. The lock is that of a file, so it
//! ends with its holder. A download that fails leaves nothing, and the next stage tries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::{self as fs, File};
use pipe_contract::{Context, Failure};

/// How often a lock that another stage holds is tried.
const TICK: Duration = Duration::from_millis(50);

/// The file called `name` among the downloads that the stages of a run share; `download` is called if it is not there. Where
/// stages share nothing, it is always called.
///
/// # Errors
/// As for `download`; environment: the disk.
pub fn file(
    name: &str,
    context: &dyn Context,
    download: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<PathBuf, Failure> {
    let Some(shared) = context.shared_downloads() else { return download() };
    fs::create_dir_all(shared).map_err(|error| Failure::io("create the folder", shared, &error))?;
    let _lock = lock(&shared.join(format!("{name}.lock")), name, context)?;
    let folder = shared.join(name);
    if let Some(there) = only_file(&folder) {
        context.log(&format!("{name} was downloaded by another stage of this run"));
        return Ok(there);
    }
    let downloaded = download()?;
    fs::create_dir_all(&folder).map_err(|error| Failure::io("create the folder", &folder, &error))?;
    let place = folder.join(downloaded.file_name().unwrap_or_default());
    // Both lie in the work folder of the run, so this is one step.
    fs::rename(&downloaded, &place).map_err(|error| Failure::io("move a download to", &place, &error))?;
    Ok(place)
}

/// Waits for the lock, unless the stage is cancelled.
fn lock(path: &Path, name: &str, context: &dyn Context) -> Result<File, Failure> {
    let failed = |error: std::io::Error| Failure::io("lock", path, &error);
    let file = File::options().create(true).append(true).open(path).map_err(failed)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if context.cancelled() => {
                return Err(Failure::stage(format!("stopped while another stage downloads {name}")));
            }
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(TICK),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

fn only_file(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().next().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use pipe_contract::Progress;

    use super::*;

    struct Sharing(Option<PathBuf>);

    impl Context for Sharing {
        fn progress(&self, _: Progress) {}

        fn log(&self, _: &str) {}

        fn cancelled(&self) -> bool {
            false
        }

        fn shared_downloads(&self) -> Option<&Path> {
            self.0.as_deref()
        }
    }

    /// How often four stages at once download a file, and whether all read it.
    fn downloads(shares: bool) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let context = Sharing(shares.then(|| folder.path().join("shared")));
        let count = AtomicUsize::new(0);
        let stage = |number: usize| {
            let scratch = folder.path().join(number.to_string());
            let found = file("demo==1.0", &context, || {
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
                fs::create_dir(&scratch).unwrap();
                fs::write(scratch.join("demo-1.0.whl"), "wheel").unwrap();
                Ok(scratch.join("demo-1.0.whl"))
            });
            assert_eq!(fs::read_to_string(found.unwrap()).unwrap(), "wheel");
        };
        std::thread::scope(|scope| (0..4).for_each(|number| drop(scope.spawn(move || stage(number)))));
        count.into_inner()
    }

    #[test]
    fn stages_at_once_download_once() {
        assert_eq!((downloads(true), downloads(false)), (1, 4));
    }

    #[test]
    fn a_failed_download_is_tried_by_the_next_stage() {
        let folder = tempfile::tempdir().unwrap();
        let context = Sharing(Some(folder.path().join("shared")));
        assert!(file("a==1", &context, || Err(Failure::environment("no network"))).is_err());
        let good = file("a==1", &context, || {
            fs::write(folder.path().join("a.whl"), "a").unwrap();
            Ok(folder.path().join("a.whl"))
        });
        assert!(good.unwrap().ends_with("a==1/a.whl"));
    }
}
