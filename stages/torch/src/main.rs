//! The worker binary: takes tasks over the channel that `pipe` gives it, until it is told to quit.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "the one sentence for somebody who starts the worker by hand")]
fn main() -> ExitCode {
    let served = pipe_torch::worker::Channel::from_environment()
        .and_then(|channel| pipe_torch::worker::serve(channel, &pipe_torch::stages()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            if let Some(hint) = &failure.hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(failure.blame.exit_code())
        }
    }
}
