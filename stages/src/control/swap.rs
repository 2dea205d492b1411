//! `control/swap`: another subject's images in place of a subject's own.
//!
//! The control of the analysis: a network trained and tested on swapped anatomy has no information about a subject, so the
//! score that remains comes from what all subjects share. It is a stage of its own between `flatmap/images` and its readers, not a
//! switch of `unet/train`, so that training and prediction get the very same swap and nothing else changes:
//!
//! ```yaml
//! own:    { each: { sid: $params.subjects }, uses: flatmap/images, in: { subject: $subject.files, prf: $prf.maps } }
//! images: { each: { sid: $params.subjects }, uses: control/swap, in: { images: $own(*).images, split: $split.table } }
//! ```
//!
//! Subjects are in cyclic order, sorted by id, and each gets the images of the one `shift` positions further: none gets its own, each
//! is used once. With `split`, there is one cycle per side, so that nothing of a held-out subject is trained on.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{Arity, Context, Coordinates, Ended, Failure, Kind, StageKind, Task, parameters};

use crate::formats::data_table;

/// The kind.
pub struct Swap;

parameters! {
    struct Parameters {
        /// how many positions further in the cyclic order of subjects, sorted by id
        shift: usize = 1, in 1..=1_000_000;
    }
}

impl StageKind for Swap {
    fn kind(&self) -> Kind {
        let kind = Kind::new("control/swap", 1, "gives each subject the images of another one, as a control")
            .gather("images", &["images"], "images of every subject (axis `sid`)")
            .port("split", &["split"], Arity::One, true, "swap only within each side of this split")
            .file("images", "images", "the other subject's images, unchanged")
            .parameters::<Parameters>();
        Kind { axes: vec!["sid"], ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let sid = task.coordinate("sid")?;
        let subjects = subjects(task, sid)?;
        let other = partner(&subjects, sid, task.parameters::<Parameters>()?.shift)?;
        let (from, to) = (subjects[other], task.output("images")?);
        let bytes = fs::read(from).map_err(|error| Failure::io("read", from, &error))?;
        fs::write(to, bytes).map_err(|error| Failure::io("write", to, &error))?;
        Ok(Ended::done())
    }
}

/// The subjects on the same side of the split as `sid`, with their images.
fn subjects<'a>(task: &'a Task, sid: &str) -> Result<BTreeMap<&'a str, &'a Path>, Failure> {
    let all = task.present("images").map(|(at, path)| Ok((sid_of(at)?, path)));
    let mut subjects = all.collect::<Result<BTreeMap<_, _>, Failure>>()?;
    if let Some(folder) = task.maybe("split") {
        let split = data_table::split(folder)?;
        let side = split.get(sid).copied();
        subjects.retain(|other, _| split.get(*other).copied() == side);
    }
    Ok(subjects)
}

fn sid_of(at: &Coordinates) -> Result<&str, Failure> {
    at.get("sid").map(String::as_str).ok_or_else(|| {
        Failure::input(format!("`images` has a cell without an axis `sid` ({at})"))
            .hint("gather a stage with an axis `sid`")
    })
}

fn partner<'a>(subjects: &BTreeMap<&'a str, &Path>, sid: &str, shift: usize) -> Result<&'a str, Failure> {
    let order: Vec<_> = subjects.keys().copied().collect();
    let own = order.iter().position(|other| *other == sid).ok_or_else(|| {
        Failure::input(format!("`images` has no cell of `{sid}`"))
            .hint("gather the images of every subject: `$images(*).images`")
    })?;
    let other = order[(own + shift) % order.len()];
    if other == sid {
        return Err(Failure::input(format!(
            "`{sid}` would keep its own images: {} subjects on this side of the split, moved by {shift}",
            order.len()
        ))
        .hint("give at least two subjects to each side, and a `shift` that is not a multiple of their number"));
    }
    Ok(other)
}

#[cfg(test)]
mod tests {
    use pipe_contract::{Cell, Given, Presence, Silent};

    use super::*;
    use crate::formats::data_table::Partition;

    fn swap(folder: &Path, sid: &str, sides: &[(&str, Partition)], shift: i64) -> Result<String, Failure> {
        let cells: Vec<Cell> = sides
            .iter()
            .map(|(sid, _)| {
                let path = folder.join(sid);
                fs::write(&path, format!("images of {sid}")).unwrap();
                Cell { at: [("sid", *sid)].into_iter().collect(), artifact: Presence::Present(path) }
            })
            .collect();
        let split = folder.join("split");
        data_table::write_split(&split, &sides.iter().map(|(sid, side)| (sid.to_string(), *side)).collect())?;
        let out = folder.join("out");
        let task = serde_json::from_value(serde_json::json!({
            "kind": "control/swap", "version": 1, "params": {"shift": shift}, "at": {"sid": sid},
            "inputs": {"images": Given::Many(cells), "split": Given::One(split)},
            "outputs": {"images": out}, "device": "cpu", "threads": 1, "scratch": folder,
        }))
        .unwrap();
        Swap.run(&task, &Silent)?;
        Ok(fs::read_to_string(out).unwrap())
    }

    const SIDES: [(&str, Partition); 5] = [
        ("s01", Partition::Trn),
        ("s02", Partition::Val),
        ("s03", Partition::Trn),
        ("s04", Partition::Val),
        ("s05", Partition::Trn),
    ];

    #[test]
    fn each_subject_gets_another_of_the_same_side() {
        let folder = tempfile::tempdir().unwrap();
        let got: Vec<_> = SIDES.iter().map(|(sid, _)| swap(folder.path(), sid, &SIDES, 1).unwrap()).collect();
        assert_eq!(got, ["images of s03", "images of s04", "images of s05", "images of s02", "images of s01"]);
    }

    #[test]
    fn no_subject_keeps_its_own_images() {
        let folder = tempfile::tempdir().unwrap();
        assert!(swap(folder.path(), "s02", &SIDES, 2).unwrap_err().message.contains("keep its own"));
        assert!(swap(folder.path(), "s02", &SIDES[..3], 1).is_err());
    }
}
