//! The supervisor process (guard): one small process per run that starts every process of the run and ends them all.
//!
//! Why a process of its own, and not `Command::spawn` in the engine:
//! - *Nothing survives the engine.* If `pipe` is killed with SIGKILL, the guard reads the end of its socket, kills
//!   every process group it started, then every orphaned process: it is a subreaper, so what detaches itself
//!   from its group or session ends up as the guard's child. If the guard itself is killed, the parent-death signal
//!   kills the processes it started, and the engine those that these started ([`kill_inside`]).
//! - *One thread.* The parent-death signal belongs to the thread that started a process; the guard has one, which
//!   exists as long as the process.
//! - *Cheap.* A process costs one message there and one back. The guard is small, starts processes with `vfork`
//!   semantics, and waits for them by pidfd, so the engine has no thread per process and no signal handlers.
//!
//! The guard is the `pipe` binary itself, started again with [`GUARD_VARIABLE`] in its environment; `main` hands over to
//! [`serve_if_asked`] before anything else. It has a session of its own, so Ctrl-C reaches only the engine, which
//! decides. Started with the first process of a run, so a null run does without it (some 3 ms).

mod client;
mod frames;
mod mounts;
mod namespaces;
mod network;
mod serve;
mod spawn;

pub(super) use client::{Guard, kill_inside};
pub(super) use frames::{Answer, CHANNEL_NUMBER, Confined, Exit, How, Limits, ProcessId, Spawn};
pub use serve::serve_if_asked;

/// The environment variable that makes a `pipe` binary a guard; its value is [`VERSION`].
const GUARD_VARIABLE: &str = "PIPE_GUARD";

/// Engine and guard are the same binary; a different value shows that they are not.
const VERSION: &str = concat!("3 ", env!("CARGO_PKG_VERSION"));
