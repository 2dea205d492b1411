//! The one place of the engine that reads the calendar's clock, and the names of runs, which are times.

/// The current time, UTC.
pub(super) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A time as text, to the second.
pub(super) fn utc(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The name of a run: its time, in an order that sorts, and what keeps two runs of one moment apart.
pub(super) fn run_id(began: jiff::Timestamp) -> String {
    let process = std::process::id();
    format!("{}-{process}", began.strftime("%Y-%m-%dT%H-%M-%S-%3f"))
}
