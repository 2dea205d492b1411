//! Commands run as a user without rights, where the tests run as root: permissions of files do not stop root.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use fs_err as fs;

/// The user without rights: an id that most systems have for this.
pub const OTHER_USER: u32 = 65534;

/// A command, run by root as [`OTHER_USER`]. `more` are further options of `setpriv`.
pub fn as_other_user(more: &[&str], command: &Command) -> Command {
    let id = OTHER_USER.to_string();
    let mut prefix = vec!["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    prefix.extend(more);
    behind(&prefix, command)
}

/// A command behind another one that runs it: same environment, same folder.
pub fn behind(prefix: &[&str], command: &Command) -> Command {
    let (program, arguments) = prefix.split_first().expect("a program");
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args()).env_clear();
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer.stdin(std::process::Stdio::null());
    outer
}

/// Makes a user the owner of a folder and of everything in it.
pub fn give_away(folder: &Path, user: u32) {
    chown(folder, Some(user), Some(user)).expect("root gives a folder away");
    for entry in fs::read_dir(folder).expect("it can be listed").flatten() {
        if entry.file_type().is_ok_and(|form| form.is_dir()) {
            give_away(&entry.path(), user);
        } else {
            chown(entry.path(), Some(user), Some(user)).expect("root gives a file away");
        }
    }
}
