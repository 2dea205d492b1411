//! `pipe init`: writes a shipped pipeline into the user's folder. Never overwrites a file; one that is there with the same bytes, as
//! two pipelines may read it, is left.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write};
use std::path::Path;

use fs_err::{self as fs, File};
use pipe_contract::Failure;

use super::CommandError;
use crate::args;
use crate::printer;
use crate::shipped::{SHIPPED, Shipped};

/// Lists what ships, or writes one pipeline into the working folder.
pub fn init(args: &args::InitArgs) -> Result<u8, CommandError> {
    match &args.name {
        None => printer::data(&list()),
        Some(name) => {
            let shipped = SHIPPED.iter().find(|shipped| shipped.name == *name).expect("clap accepts no other name");
            write_all(shipped, Path::new("."))?;
            printer::note(written(shipped).trim_end());
        }
    }
    Ok(0)
}

fn list() -> String {
    let width = SHIPPED.iter().map(|shipped| shipped.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Shipped { name, about, .. } in SHIPPED {
        let _ = writeln!(text, "{name:width$}  {about}");
    }
    text.push_str("\n`pipe init NAME` writes one into this folder.\n");
    text
}

fn written(shipped: &Shipped) -> String {
    let names: Vec<String> = shipped.files.iter().map(|(name, _)| format!("`{name}`")).collect();
    let mut text = format!("wrote {}; next:\n", names.join(" and "));
    let width = shipped.next.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, what) in shipped.next {
        let _ = writeln!(text, "    {command:width$}  # {what}");
    }
    text
}

/// Writes all files of a pipeline, or none.
fn write_all(shipped: &Shipped, folder: &Path) -> Result<(), Failure> {
    let mut written = Vec::new();
    for (name, text) in shipped.files {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            continue;
        }
        if let Err(failure) = write_new(&path, text) {
            for earlier in written {
                let _ = fs::remove_file(earlier);
            }
            return Err(failure);
        }
        written.push(path);
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let shown = path.strip_prefix(".").unwrap_or(path);
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::input(format!("`{}` exists and is not overwritten", shown.display()))
            .hint("move it away, or run `pipe init` in another folder"),
        _ => Failure::io("write", shown, &error),
    })?;
    file.write_all(text.as_bytes()).map_err(|error| {
        let _ = fs::remove_file(path);
        Failure::io("write", shown, &error)
    })
}
