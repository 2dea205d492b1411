//! The names under which a `run:` stage finds its inputs. They are visible to its body, so they enter its key; the layout
//! of its folders ([`crate::exec`]) follows them.

use std::path::{Component, Path, PathBuf};

use pipe_contract::Coordinates;

use super::resolved::{GatheredCell, Link, Plan, Source, Work};

/// The folder of inputs that are not at their place in the project, relative to the working folder.
pub const INPUT_FOLDER: &str = "../in";

/// The name of one input, relative to the working folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputName {
    /// Of one artifact.
    One(PathBuf),
    /// Of a gather.
    Many {
        /// Its folder.
        folder: PathBuf,
        /// The name of every cell in it, in the order of the cells.
        entries: Vec<String>,
    },
}

impl Plan {
    /// The name under which a command finds what it reads at a port.
    pub fn input_name(&self, port: &str, source: &Source) -> InputName {
        match source {
            Source::One(link) => InputName::One(name_of(self, port, link)),
            Source::Many(gather) => {
                let entry = |(at, link): &GatheredCell| match extension_of(self, link) {
                    Some(extension) if !extension.is_empty() => format!("{}.{extension}", entry_name(at)),
                    _ => entry_name(at),
                };
                InputName::Many {
                    folder: Path::new(INPUT_FOLDER).join(port),
                    entries: self.gather(*gather).iter().map(entry).collect(),
                }
            }
        }
    }
}

/// The name of a single input, relative to the working folder.
fn name_of(plan: &Plan, port: &str, link: &Link) -> PathBuf {
    if let Link::File(path) = link
        && path.only.is_none()
        && let Ok(inside) = path.strip_prefix(&plan.folder)
        && inside.components().next().is_some()
        && inside.components().all(|part| matches!(part, Component::Normal(_)))
    {
        return inside.to_path_buf();
    }
    // Put together as one text: this is done for every input of every instance.
    match extension_of(plan, link) {
        Some(extension) if !extension.is_empty() => [INPUT_FOLDER, "/", port, ".", extension].concat().into(),
        _ => [INPUT_FOLDER, "/", port].concat().into(),
    }
}

/// The extension of what is behind a link, if its name has one: programs choose their reader by it.
fn extension_of<'a>(plan: &'a Plan, link: &'a Link) -> Option<&'a str> {
    let name = match link {
        Link::File(file) if file.only.is_some() => return None,
        Link::File(path) => path.file_name()?.to_str()?,
        Link::Output { entry: Some(entry), .. } => last_part(entry),
        Link::Output { instance, port, entry: None } => match &plan.stage_of(*instance).work {
            Work::Command(command) => last_part(command.out.get(&**port)?),
            Work::Kind(_) => return None,
        },
    };
    let (stem, last) = cut_at_last(name, b'.').filter(|(stem, _)| !stem.is_empty())?;
    // `x.nii.gz` is a `.nii.gz`: the suffix of a compressor does not name the content.
    if !["gz", "bz2", "xz", "zst"].contains(&last) {
        return Some(last);
    }
    match cut_at_last(stem, b'.') {
        Some((stem, _)) if !stem.is_empty() => Some(&name[stem.len() + 1..]),
        _ => Some(last),
    }
}

fn last_part(path: &str) -> &str {
    cut_at_last(path, b'/').map_or(path, |(_, last)| last)
}

/// What is before and after the last such character (ASCII). For a few characters this is faster than `rsplit_once`.
fn cut_at_last(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == at)?;
    Some((&text[..at], &text[at + 1..]))
}

/// `rater=A1,sid=s01`; what cannot be in a file name is written `%2F`.
fn entry_name(at: &Coordinates) -> String {
    if at.is_empty() {
        return "only".to_owned();
    }
    let safe = |text: &str| text.replace('%', "%25").replace('/', "%2F").replace(',', "%2C");
    at.iter().map(|(axis, at)| format!("{axis}={}", safe(at))).collect::<Vec<_>>().join(",")
}
