//! `pipe show`: what is in an artifact, as its type says: the first rows of a table, a thumbnail of a picture, a summary of anything else.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::{ArtifactType, Failure, FileFormat, Form, Preview};
use pipe_engine::run;

use super::inspect::{artifact, single};
use super::{CommandError, planned, registry, run_options};
use crate::args;
use crate::printer;
use crate::quantities::bytes;

/// So many files of a folder are listed.
const LISTED: usize = 40;

/// What is in an artifact.
pub fn show(args: &args::ShowArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let options = run_options(&args.pipeline, &args.place, registry.clone())?;
    let (stage, port, entry) = artifact(&args.artifact)?;
    let id = single(&plan, stage)?;
    let path = run::path_of(&plan, &options, id, port, entry)?;
    let whole = run::type_of_output(&plan, &registry, id, port);
    let artifact = whole.filter(|_| entry.is_none());
    let mut text = String::new();
    if let Some(artifact) = artifact {
        let _ = writeln!(text, "{} ({}): {}", artifact.name, form_word(artifact.form), artifact.about);
    }
    let (file, name) = if path.is_dir() {
        let files = files_of(&path)?;
        text.push_str(&listing(&files));
        match shown(artifact, &files) {
            Some(name) => {
                let _ = writeln!(text, "\n{name}");
                (path.join(name), name.to_owned())
            }
            None => {
                printer::data(&text);
                printer::note(&format!("name one of the files to see what is in it: `{}/NAME`", args.artifact));
                return Ok(0);
            }
        }
    } else {
        let declared = entry.or_else(|| run::declared_name(&plan, id, port));
        (path, declared.unwrap_or(port).to_owned())
    };
    let format = registry.format_of(whole.map(|artifact| artifact.name), &name);
    let format = format.or_else(|| registry.format_of(None, &name));
    let preview = preview(args, format, &file)?;
    match args.png {
        // A program that asked for a file needs its name and nothing else.
        Some(_) => printer::data(&preview),
        // What an artifact holds must not move the cursor.
        None => printer::data(&format!("{text}{}", without_controls(&preview))),
    }
    Ok(0)
}

fn form_word(form: Form) -> &'static str {
    match form {
        Form::File => "file",
        Form::Folder => "folder",
    }
}

/// The file of a folder that is to be seen: what its type says, or its only one.
fn shown<'f>(artifact: Option<&ArtifactType>, files: &'f [(String, u64)]) -> Option<&'f str> {
    let wanted = artifact.and_then(|artifact| artifact.shown);
    let found = files.iter().find(|(name, _)| Some(name.as_str()) == wanted);
    match (found, files) {
        (Some((name, _)), _) | (None, [(name, _)]) => Some(name),
        _ => None,
    }
}

fn files_of(folder: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(|error| Failure::io("list", &next, &error))? {
            let path: PathBuf = entry.map_err(|error| Failure::io("list", &next, &error))?.path();
            let found = fs::metadata(&path).map_err(|error| Failure::io("read", &path, &error))?;
            if found.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                files.push((name, found.len()));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn listing(files: &[(String, u64)]) -> String {
    let shown = &files[..files.len().min(LISTED)];
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, size) in shown {
        let _ = writeln!(text, "  {name:width$}  {}", bytes(*size));
    }
    if files.len() > LISTED {
        let _ = writeln!(text, "  and {} more files", files.len() - LISTED);
    }
    text
}

fn preview(args: &args::ShowArgs, format: Option<&FileFormat>, file: &Path) -> Result<String, Failure> {
    match (format.map(|format| format.preview), &args.png) {
        (Some(Preview::Thumbnail(thumbnail)), Some(target)) => {
            let picture = thumbnail(file, args.pixels)?;
            fs::write(target, picture).map_err(|error| Failure::io("write", target, &error))?;
            Ok(format!("{}\n", target.display()))
        }
        (_, Some(_)) => Err(Failure::input(format!("`{}` is not a picture", args.artifact))
            .hint("leave out `--png` to see what is in it")),
        (Some(Preview::Thumbnail(_)), None) => {
            Ok(format!("a picture: `--png FILE` writes a thumbnail; the whole is\n{}\n", file.display()))
        }
        (Some(Preview::TableHead(head)), None) => head(file, args.rows),
        (Some(Preview::Summary(summary)), None) => summary(file),
        (None, None) => {
            let size = fs::metadata(file).map_err(|error| Failure::io("read", file, &error))?.len();
            Ok(format!("{} of a form without a preview:\n{}\n", bytes(size), file.display()))
        }
    }
}

fn without_controls(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}
