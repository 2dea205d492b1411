//! The provenance that a record carries: where, when and how an instance worked.

use std::collections::BTreeMap;

use pipe_cache::Record;
use pipe_contract::RanOn;

use super::clock::{now, written};
use crate::exec::Usage;
use crate::report::Machine;

/// Where, when and how an instance worked, for its record.
pub(super) fn provenance(
    label: &str,
    usage: Usage,
    ran_on: Option<&RanOn>,
    notes: &[String],
    aggregated: &BTreeMap<String, u64>,
) -> serde_json::Value {
    let mut provenance = serde_json::json!({
        "instance": label,
        "ended": written(now()),
        "wall_seconds": usage.wall.as_secs_f64(),
        "cpu_seconds": usage.cpu.as_secs_f64(),
        "peak_memory_bytes": peak_memory(usage),
        "host": host(),
        "architecture": std::env::consts::ARCH,
        "pipe_version": env!("CARGO_PKG_VERSION"),
        "ran_on": ran_on,
        "isolation": usage.isolation.map(|isolation| isolation.files.word()),
        "network": usage.isolation.map(|isolation| isolation.network.word()),
        "notes": notes,
    });
    if !aggregated.is_empty() {
        provenance[AGGREGATED] = serde_json::json!(aggregated);
    }
    provenance
}

/// By output that aggregates: the fewest subjects behind anything that it shows.
const AGGREGATED: &str = "aggregated_subjects";

/// The fewest subjects behind anything that an output shows, if it aggregates.
pub(super) fn subjects_behind(record: &Record, port: &str) -> Option<u64> {
    record.provenance.get(AGGREGATED)?.get(port)?.as_u64()
}

/// The largest resident set of the processes of an attempt, bytes; `None` if it had none of its own: what works on a thread of
/// this process shares its memory.
pub(super) fn peak_memory(usage: Usage) -> Option<u64> {
    Some(usage.peak_rss).filter(|bytes| *bytes > 0)
}

/// The machine's name, read once.
fn host() -> &'static str {
    static HOST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HOST.get_or_init(|| Machine::this(0, 0).host)
}

/// How long the work behind a record took.
pub(super) fn wall_seconds_of(record: &Record) -> Option<f64> {
    record.provenance.get("wall_seconds")?.as_f64()
}

/// The notes of a record, which belong to every run that uses it.
pub(super) fn notes_of(record: &Record) -> Vec<String> {
    let notes = record.provenance.get("notes").and_then(|notes| notes.as_array());
    notes.into_iter().flatten().filter_map(|note| note.as_str().map(str::to_owned)).collect()
}
