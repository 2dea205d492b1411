//! The worker binary: runs the tasks that `pipe` sends over a socket, until `pipe` sends `quit`.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "the error message when the worker is started by hand")]
fn main() -> ExitCode {
    let served = pipe_torch::task_loop::Channel::from_environment()
        .and_then(|channel| pipe_torch::task_loop::serve(channel, &pipe_torch::stages()));
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
