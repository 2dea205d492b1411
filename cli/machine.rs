//! What this machine has: processors, memory, GPUs, and where the worker lies. Looked up once, at the start.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;

use fs_err as fs;
use pipe_engine::sched::Capacities;

/// Everything of this machine, with `jobs` in place of its processors if given.
pub fn capacities(jobs: Option<u32>) -> Capacities {
    let processors =
        thread::available_parallelism().map_or(1, |number| u32::try_from(number.get()).unwrap_or(u32::MAX));
    Capacities { cpu: jobs.unwrap_or(processors), gpus: gpus(), mem: memory(), net: NETWORK_SLOTS }
}

/// Fetching stages at one time: enough to fill a line, few enough for a polite client. Each has connections of its own.
const NETWORK_SLOTS: u32 = 4;

/// The worker beside this program, whether or not it exists; `PIPE_WORKER` names another one.
pub fn worker() -> PathBuf {
    match std::env::var_os("PIPE_WORKER") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe().unwrap_or_default().with_file_name("pipe-torch"),
    }
}

/// Identifies this binary: what another build has cached for itself is not used.
pub fn build() -> String {
    let file = fs::metadata("/proc/self/exe");
    let identity = file.map(|file| (file.ino(), file.size(), file.mtime(), file.mtime_nsec())).unwrap_or_default();
    format!("{} {identity:?}", pipe_stages::BUILD_ID)
}

/// Bytes of memory; no limit if the system does not report it.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.map_or(u64::MAX, |amount| amount * 1024)
}

/// CUDA indexes of the GPUs that the driver shows. `CUDA_VISIBLE_DEVICES` renumbers them from 0, so its length counts.
fn gpus() -> Vec<u32> {
    let there = fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, |entries| entries.flatten().count());
    let visible = match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(list) => list.split(',').filter(|id| !id.trim().is_empty() && id.trim() != "-1").count(),
        Err(_) => there,
    };
    (0..u32::try_from(visible.min(there)).unwrap_or(0)).collect()
}
