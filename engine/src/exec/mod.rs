//! Does the work of one instance at a time: on a thread, in a worker process, or as a command.
//!
//! About threads, processes and time-outs; independent of keys, caches and what should run next.
//!
//! | work | where it runs | how it is stopped |
//! |---|---|---|
//! | kind with code here | a thread of its own ([`Runs::Thread`](pipe_contract::Runs)) | a flag it checks |
//! | kind of the worker | a process of `pipe-torch`, fresh or reused | a message, SIGTERM, SIGKILL |
//! | `run:` | `bash -euo pipefail -c BODY` in a folder of its own | SIGTERM, SIGKILL |
//!
//! Every process is started by the supervisor process (guard, `guard/`), one small process that outlives a killed
//! engine just long enough to end all others. [`Executor`] has one thread, which waits for everything in [`Executor::next`].

mod command;
mod executor;
mod facts;
mod first_word;
mod guard;
mod hints;
mod job;
mod landlock;
mod memo;
mod metric_file;
mod placed;
mod project_settings;
mod readable;
mod search_path;
mod settings;
mod shell;
mod threads;
mod venv;
mod wake;
mod work_folder;
mod worker_process;

#[cfg(test)]
mod tests;

pub use command::copy_of_project;
pub use executor::Executor;
pub use facts::{DependsOn, Facts, facts_of, what_facts_depend_on};
pub use guard::serve_if_asked;
pub use job::{CommandTask, FileIsolation, Finished, Isolation, Job, JobWork, Message, NetworkIsolation, Usage};
pub use landlock::is_enforced as writes_are_confined;
pub use memo::{Memo, NoMemo};
pub use placed::{Placed, PlacedCell, layout_inputs};
pub use project_settings::ProjectSettings;
pub use settings::{Settings, WorkerSettings};
pub use wake::Waker;
pub use work_folder::{output_path, outputs_folder, scratch_folder, shown_folder};
