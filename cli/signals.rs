//! SIGINT, SIGTERM and SIGHUP become the wish that the run ends; a second one makes it urgent.

use std::thread;

use pipe_contract::Failure;
use pipe_engine::run::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Starts the thread that waits for signals. It lives as long as the process.
pub fn ask_on_signals(stop: &Stop) -> Result<(), Failure> {
    let stop = stop.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::environment(format!("could not listen for Ctrl-C: {error}")))?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| stop.ask()))
        .map_err(|error| Failure::environment(format!("could not start a thread: {error}")))?;
    Ok(())
}
