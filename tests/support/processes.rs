//! The process table, as `/proc` shows it.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's number.
    pub parent: u32,
    /// Its name, as the kernel keeps it.
    pub name: String,
}

/// All processes that have not ended. A zombie has: its new parent will collect it.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc can be listed").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    numbers.filter_map(read).collect()
}

fn read(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    (state != "Z").then(|| Process { pid, parent, name: head.split_once('(').map_or("", |(_, name)| name).to_owned() })
}

/// All descendants of a process.
pub fn below(root: u32) -> Vec<Process> {
    let mut children = BTreeMap::<u32, Vec<Process>>::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(pid) = open.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        open.extend(below.iter().map(|process| process.pid));
        found.extend(below);
    }
    found
}

/// Processes of this user that work in a folder or hold one of its files open.
pub fn touching(folder: &Path) -> Vec<Process> {
    let inside = |link: &Path| fs::read_link(link).is_ok_and(|target| target.starts_with(folder));
    let touches = |process: &Process| {
        let own = Path::new("/proc").join(process.pid.to_string());
        let files = fs::read_dir(own.join("fd")).into_iter().flatten().flatten();
        inside(&own.join("cwd")) || files.map(|file| file.path()).any(|file| inside(&file))
    };
    all().into_iter().filter(touches).collect()
}
