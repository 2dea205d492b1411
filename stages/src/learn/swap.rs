//! `control/swap`: another person's images in place of one's own.
//!
//! The control of the analysis: a network trained and tested on swapped anatomy cannot know anything about a person, so what it
//! still scores comes from what all people share. It is a stage of its own between `flatmap/images` and its readers, not a
//! switch of `unet/train`, so that training and prediction get the very same swap and nothing else changes:
//!
//! ```yaml
//! own:    { each: { sid: $params.subjects }, uses: flatmap/images, in: { subject: $subject.files, prf: $prf.maps } }
//! images: { each: { sid: $params.subjects }, uses: control/swap, in: { images: $own(*).images, split: $split.table } }
//! ```
//!
//! People stand in a circle, sorted by id, and each gets the images of the one `shift` places on: nobody gets their own, everybody
//! is used once. With `split`, there is a circle for each side, so that nothing of a held-out person is trained on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pipe_contract::{Arity, Context, Coordinates, Ended, Failure, Kind, StageKind, Task, Type, Value};
use serde::Deserialize;

use crate::formats::table;

/// The kind.
pub struct Swap;

#[derive(Deserialize)]
struct Params {
    shift: usize,
}

impl StageKind for Swap {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("control/swap", 1, "gives each person the images of another one, as a control")
            .gather("images", &["images"], "images of every person (axis `sid`)")
            .port("split", &["split"], Arity::One, true, "swap only within each side of this split")
            .file("images", "images", "the other person's images, unchanged")
            .param(
                "shift",
                Type::Int(1, 1_000_000),
                Value::Int(1),
                "how many places on in the circle of people, sorted by id",
            );
        kind.axes = vec!["sid"];
        kind
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let sid = task.coordinate("sid")?;
        let people = people(task, sid)?;
        let other = partner(&people, sid, task.parameters::<Params>()?.shift)?;
        let (from, to) = (people[other], task.output("images")?);
        let bytes = fs::read(from).map_err(|error| Failure::io("read", from, &error))?;
        fs::write(to, bytes).map_err(|error| Failure::io("write", to, &error))?;
        Ok(Ended::done())
    }
}

/// The people on the same side of the split as `sid`, with their images.
fn people<'a>(task: &'a Task, sid: &str) -> Result<BTreeMap<&'a str, &'a Path>, Failure> {
    let all = task.present("images").map(|(at, path)| Ok((person(at)?, path)));
    let mut people = all.collect::<Result<BTreeMap<_, _>, Failure>>()?;
    if let Some(folder) = task.maybe("split") {
        let split = table::split(folder)?;
        let side = split.get(sid).copied();
        people.retain(|other, _| split.get(*other).copied() == side);
    }
    Ok(people)
}

fn person(at: &Coordinates) -> Result<&str, Failure> {
    at.get("sid").map(String::as_str).ok_or_else(|| {
        Failure::input(format!("`images` has a cell without a person ({at})")).hint("gather a stage with an axis `sid`")
    })
}

fn partner<'a>(people: &BTreeMap<&'a str, &Path>, sid: &str, shift: usize) -> Result<&'a str, Failure> {
    let order: Vec<_> = people.keys().copied().collect();
    let own = order.iter().position(|other| *other == sid).ok_or_else(|| {
        Failure::input(format!("`images` has no cell of `{sid}`"))
            .hint("gather the images of every person: `$images(*).images`")
    })?;
    let other = order[(own + shift) % order.len()];
    if other == sid {
        return Err(Failure::input(format!(
            "`{sid}` would keep their own images: {} people on this side of the split, moved by {shift}",
            order.len()
        ))
        .hint("give at least two people to each side, and a `shift` that is no multiple of their number"));
    }
    Ok(other)
}

#[cfg(test)]
mod tests {
    use pipe_contract::{Cell, Given, Presence, Silent};

    use super::*;
    use crate::formats::table::Partition;

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
        table::write_split(&split, &sides.iter().map(|(sid, side)| (sid.to_string(), *side)).collect())?;
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
    fn everybody_gets_somebody_else_of_the_same_side() {
        let folder = tempfile::tempdir().unwrap();
        let got: Vec<_> = SIDES.iter().map(|(sid, _)| swap(folder.path(), sid, &SIDES, 1).unwrap()).collect();
        assert_eq!(got, ["images of s03", "images of s04", "images of s05", "images of s02", "images of s01"]);
    }

    #[test]
    fn nobody_may_keep_their_own() {
        let folder = tempfile::tempdir().unwrap();
        assert!(swap(folder.path(), "s02", &SIDES, 2).unwrap_err().message.contains("keep their own"));
        assert!(swap(folder.path(), "s02", &SIDES[..3], 1).is_err());
    }
}
