//! `pipe init`: the pipelines that ship inside the binary, written into the user's folder. Never overwrites a file.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use clap::builder::PossibleValue;
use pipe_contract::Failure;

use super::CommandError;
use crate::args;
use crate::printer;

/// A pipeline with everything it reads beside it.
struct Shipped {
    name: &'static str,
    about: &'static str,
    /// Names and texts; the first is the pipeline file.
    files: &'static [(&'static str, &'static str)],
    /// What is worth a look first, as commands with what they do.
    next: &'static [(&'static str, &'static str)],
}

const SHIPPED: [Shipped; 2] = [
    Shipped {
        name: "hello",
        about: "a first pipeline: two `run:` stages, one of them over an axis",
        files: &[("hello.yaml", include_str!("../../pipelines/hello.yaml"))],
        next: &[("pipe run hello.yaml", "runs it and publishes into results/hello/")],
    },
    Shipped {
        name: "benson2025",
        about: "segment V1-V3 with convolutional networks (Benson, Song et al. 2025)",
        files: &[
            ("benson2025.yaml", include_str!("../../pipelines/benson2025.yaml")),
            ("hcp_subjects.txt", include_str!("../../pipelines/hcp_subjects.txt")),
        ],
        next: &[
            ("pipe plan benson2025.yaml", "shows what the demo on simulated subjects would do"),
            ("pipe run benson2025.yaml", "runs the demo; its networks need libtorch (`pip install torch==2.11.0`)"),
            ("pipe plan benson2025.yaml --profile hcp", "shows the paper's analysis of the Human Connectome data"),
        ],
    },
];

/// The names for the command line, with what each is.
pub fn names() -> impl Iterator<Item = PossibleValue> {
    SHIPPED.iter().map(|shipped| PossibleValue::new(shipped.name).help(shipped.about))
}

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
    for (done, (name, text)) in shipped.files.iter().enumerate() {
        if let Err(failure) = write_new(&folder.join(name), text) {
            for (earlier, _) in &shipped.files[..done] {
                let _ = fs::remove_file(folder.join(earlier));
            }
            return Err(failure);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_pipeline_is_listed_with_all_files_beside_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut there: Vec<String> = fs::read_dir(root.join("pipelines"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        there.sort();
        let mut shipped: Vec<&str> = SHIPPED.iter().flat_map(|shipped| shipped.files).map(|(name, _)| *name).collect();
        shipped.sort_unstable();
        assert_eq!(shipped, there);
        for Shipped { name, files, .. } in SHIPPED {
            assert_eq!(files[0].0, format!("{name}.yaml"));
            assert!(files[0].1.contains(&format!("\npipeline: {name}\n")));
        }
    }
}
