//! SIGINT, SIGTERM and SIGHUP request the end of a run; a second one ends it at once. SIGHUP stays ignored if the program was
//! started so, as `nohup` does. SIGINT does not: shells without job control start every `pipe run &` with it ignored.

use std::mem::MaybeUninit;
use std::thread;

use pipe_contract::Failure;
use pipe_engine::run::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Starts the thread that waits for signals. It runs as long as the process.
pub fn stop_on_signals(stop: &Stop) -> Result<(), Failure> {
    let stop = stop.clone();
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let wanted = [SIGINT, SIGTERM].into_iter().chain(hang_up);
    let mut signals =
        Signals::new(wanted).map_err(|error| Failure::environment(format!("could not listen for Ctrl-C: {error}")))?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| stop.request()))
        .map_err(|error| Failure::environment(format!("could not start a thread: {error}")))?;
    Ok(())
}

/// Whether the process was started with a signal ignored.
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action the call only writes the present one, for which there is room; zeroed it is valid too.
    unsafe {
        let asked = libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        asked == 0 && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
