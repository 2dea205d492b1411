//! SIGINT, SIGTERM and SIGHUP request the end of a run; a second one ends it at once.

use std::thread;

use pipe_contract::Failure;
use pipe_engine::run::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Starts the thread that waits for signals. It lives as long as the process.
pub fn stop_on_signals(stop: &Stop) -> Result<(), Failure> {
    let stop = stop.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::environment(format!("could not listen for Ctrl-C: {error}")))?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| stop.request()))
        .map_err(|error| Failure::environment(format!("could not start a thread: {error}")))?;
    Ok(())
}
