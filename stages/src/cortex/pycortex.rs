//! `cortex/pycortex`: a subject of a pycortex store as a cortex.
//!
//! Decides where a subject's files are in a store, a subject's own folder, or a zip archive of either, and which of them are used:
//! `surfaces/{flat,pia,wm}_{lh,rh}.gii`, `transforms/*/{matrices.xfm,reference.nii.gz}` (the matrix `coord`), `surface-info/curvature.npz`,
//! `overlays.svg`. Nothing else of an archive is unpacked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};
use serde::Deserialize;
use walkdir::WalkDir;
use zip::ZipArchive;

use super::hemispheres::{Files, SharedParameters};
use crate::formats::cortex::{self, OVERLAYS, Transform};
use crate::formats::gifti::{self, Surface};
use crate::formats::{nifti, numpy};
use crate::hemisphere::Hemisphere;
use crate::numeric::depth_samples::Affine;
use crate::transfer::local_file::copy;

/// Folders between the one that is given and a subject's surfaces.
const DEPTH: usize = 5;
/// The most bytes that one file of an archive unpacks to.
const MOST_BYTES: u64 = 1 << 30;

/// The kind.
pub(super) struct Pycortex;

parameters! {
    struct Parameters {
        /// the subject's name in the store; empty if there is one alone
        subject: String = String::new();
        /// transforms that are taken; none for all of them
        transforms: Vec<String> = Vec::new();
        ..shared: SharedParameters;
    }
}

impl StageKind for Pycortex {
    fn kind(&self) -> Kind {
        Kind::new("cortex/pycortex", 1, "Takes over a subject of pycortex: surfaces, transforms and outlines of regions.")
            .input("store", &[], "a pycortex store, the folder of one of its subjects, or a zip archive of either")
            .folder(
                "cortex",
                "cortex",
                "{lh,rh}.{flat,pial,white}.surf.gii, {lh,rh}.curvature.func.gii (gyri positive), transforms/<name>.json, overlays.svg, about.json",
            )
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let store = task.one("store")?;
        let at = |failure: Failure| match failure.place {
            Some(_) => failure,
            None => failure.at(store.display().to_string()),
        };
        let unpacked = task.scratch.join("store");
        if store.is_file() {
            unpack(store, &unpacked).map_err(at)?;
        }
        let (subject, folder) =
            find(if store.is_file() { &unpacked } else { store }, &parameters.subject).map_err(at)?;
        let hemispheres = parameters.shared.read(|hemisphere| read(&folder, hemisphere)).map_err(at)?;
        let transforms = transforms(&folder, &parameters.transforms).map_err(at)?;
        let target = task.output("cortex")?;
        cortex::write(target, "pycortex", &subject, &hemispheres, &transforms).map_err(at)?;
        let overlays = folder.join("overlays.svg");
        if overlays.is_file() {
            copy(&overlays, &target.join(OVERLAYS))?;
        }
        let names: Vec<&str> = transforms.iter().map(|(name, _)| name.as_str()).collect();
        context.log(&format!("subject `{subject}`, transforms: {}", names.join(", ")));
        Ok(Ended::done())
    }
}

/// The subject's name and folder. A folder that is a subject's itself has the name that is asked for, or its own.
fn find(folder: &Path, wanted: &str) -> Result<(String, PathBuf), Failure> {
    let mut found: BTreeMap<PathBuf, String> = BTreeMap::new();
    for entry in WalkDir::new(folder).max_depth(DEPTH).sort_by_file_name() {
        let entry =
            entry.map_err(|error| Failure::environment(format!("cannot list `{}`: {error}", folder.display())))?;
        let is_flat = matches!(entry.file_name().to_str(), Some("flat_lh.gii" | "flat_rh.gii"));
        let surfaces = entry.path().parent().filter(|parent| is_flat && parent.ends_with("surfaces"));
        if let Some(subject) = surfaces.and_then(Path::parent) {
            let name = subject.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.insert(subject.to_path_buf(), name);
        }
    }
    let names = || found.values().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut all = found.iter();
    match (all.next(), all.next()) {
        (None, _) => {
            Err(Failure::input("there is no pycortex subject: no `surfaces/flat_lh.gii` or `surfaces/flat_rh.gii`")
                .hint(
                    "a subject without flat surfaces has no flat map; from `package/files` take `filestore/db/S1/**`",
                ))
        }
        (Some((path, name)), None) if wanted.is_empty() => Ok((name.clone(), path.clone())),
        (Some((path, _)), None) if path == folder => Ok((wanted.to_owned(), path.clone())),
        _ if wanted.is_empty() => {
            Err(Failure::input(format!("there are several subjects: {}", names())).hint("say which with `subject:`"))
        }
        _ => {
            let of_name = found.iter().find(|(_, name)| *name == wanted);
            of_name
                .map(|(path, name)| (name.clone(), path.clone()))
                .ok_or_else(|| Failure::input(format!("there is no subject `{wanted}`, only {}", names())))
        }
    }
}

/// Unpacks from an archive what this kind reads.
fn unpack(archive: &Path, target: &Path) -> Result<(), Failure> {
    let damaged = |problem: String| Failure::input(format!("not a readable zip archive: {problem}"));
    let file = File::open(archive).map_err(|error| Failure::io("open", archive, &error))?;
    let mut zip = ZipArchive::new(file.into_file()).map_err(|error| damaged(error.to_string()))?;
    for index in 0..zip.len() {
        let entry = zip.by_index(index).map_err(|error| damaged(error.to_string()))?;
        // Names that lead outside are none of those that are read.
        let Some(name) = entry.enclosed_name().filter(|name| is_read(name)) else { continue };
        let path = target.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| Failure::io("make the folder", parent, &error))?;
        }
        let mut out = File::create(&path).map_err(|error| Failure::io("create", &path, &error))?;
        match std::io::copy(&mut std::io::Read::take(entry, MOST_BYTES + 1), &mut out) {
            Ok(bytes) if bytes <= MOST_BYTES => {}
            Ok(_) => return Err(damaged(format!("`{}` unpacks to more than {MOST_BYTES} bytes", name.display()))),
            Err(error) => return Err(damaged(format!("`{}`: {error}", name.display()))),
        }
    }
    Ok(())
}

/// Whether a file of a subject is read. Those that macOS adds to its archives are not.
fn is_read(name: &Path) -> bool {
    let parts: Vec<&str> = name.iter().filter_map(|part| part.to_str()).collect();
    match parts[..] {
        ["__MACOSX", ..] => false,
        [.., "surfaces", file] => {
            ["flat", "pia", "wm"].iter().any(|start| file.starts_with(start)) && file.ends_with(".gii")
        }
        [.., "transforms", _, file] => file == "matrices.xfm" || file.starts_with("reference.nii"),
        [.., "surface-info", "curvature.npz"] | [.., "overlays.svg"] => true,
        _ => false,
    }
}

fn read(folder: &Path, hemisphere: Hemisphere) -> Result<Files, Failure> {
    let surface = |name: &str| -> Result<Surface, Failure> {
        gifti::read_surface(&folder.join(format!("surfaces/{name}_{}.gii", hemisphere.name())))
    };
    let path = folder.join("surface-info/curvature.npz");
    let curvature = if path.is_file() {
        let side = if hemisphere == Hemisphere::Left { "left" } else { "right" };
        let values = numpy::Npz::open(&path)?.array(side)?.floats()?;
        #[expect(clippy::cast_possible_truncation, reason = "stored as 32-bit floats")]
        let values = values.into_iter().map(|value| value as f32).collect();
        Some((values, "surface-info/curvature.npz".to_owned()))
    } else {
        None
    };
    Ok(Files { flat: surface("flat")?, pial: surface("pia")?, white: surface("wm")?, curvature })
}

/// pycortex's file of a transform.
#[derive(Deserialize)]
struct Matrices {
    /// Points of the surfaces to indices of voxels.
    coord: Affine,
}

fn transforms(folder: &Path, wanted: &[String]) -> Result<Vec<(String, Transform)>, Failure> {
    let all = folder.join("transforms");
    let mut names: Vec<String> = Vec::new();
    if all.is_dir() {
        for entry in fs::read_dir(&all).map_err(|error| Failure::io("list", &all, &error))? {
            let entry = entry.map_err(|error| Failure::io("list", &all, &error))?;
            if entry.path().join("matrices.xfm").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    if let Some(lacking) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(Failure::input(format!("the subject has no transform `{lacking}`, only [{}]", names.join(", "))));
    }
    names.retain(|name| wanted.is_empty() || wanted.contains(name));
    names.into_iter().map(|name| transform(&all.join(&name)).map(|transform| (name, transform))).collect()
}

/// The transform in a folder.
pub(super) fn transform(folder: &Path) -> Result<Transform, Failure> {
    let path = folder.join("matrices.xfm");
    let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let matrices: Matrices = serde_json::from_str(&text).map_err(|error| {
        Failure::input(format!("not a transform of pycortex: {error}"))
            .at(path.display().to_string())
            .hint("expected JSON with a matrix `coord` of 4 rows of 4 numbers")
    })?;
    let references = ["reference.nii.gz", "reference.nii"].map(|name| folder.join(name));
    let reference = references.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::input("the transform has no `reference.nii.gz`, which says how large its volume is")
            .at(folder.display().to_string())
    })?;
    let nifti::VolumePlace { shape, affine } = nifti::read_place(&reference)?;
    Ok(Transform { to_voxels: matrices.coord, shape, affine })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::cortex::{FlattenedCortex, SurfaceName};
    use crate::test_support::tasks::{self, give, set, task};

    /// A store with a subject whose hemispheres are squares.
    fn store(folder: &Path, subject: &str) {
        let surfaces = folder.join(subject).join("surfaces");
        let transform = folder.join(subject).join("transforms/full");
        for below in [&surfaces, &transform] {
            fs::create_dir_all(below).unwrap();
        }
        for hemisphere in ["lh", "rh"] {
            for (name, z) in [("flat", 0.0), ("pia", 2.0), ("wm", 0.0)] {
                let surface = Surface {
                    coordinates: vec![[0.0, 0.0, z], [4.0, 0.0, z], [0.0, 4.0, z], [4.0, 4.0, z]],
                    triangles: vec![[0, 1, 2], [1, 3, 2]],
                };
                gifti::write_surface(&surfaces.join(format!("{name}_{hemisphere}.gii")), &surface).unwrap();
            }
        }
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let text = serde_json::json!({ "coord": unit, "magnet": unit }).to_string();
        fs::write(transform.join("matrices.xfm"), text).unwrap();
        let place = nifti::VolumePlace { shape: [5, 6, 7], affine: unit };
        nifti::write_volume(&transform.join("reference.nii.gz"), &place, &[0.0; 210], "").unwrap();
        fs::write(folder.join(subject).join("overlays.svg"), "<svg/>").unwrap();
    }

    fn run(source: &Path, out: &Path, subject: &str) -> Result<FlattenedCortex, Failure> {
        let mut task = task(&Pycortex, out);
        give(&mut task, "store", source);
        set(&mut task, "subject", Value::Text(subject.to_owned()));
        tasks::run(&Pycortex, &task)?;
        FlattenedCortex::open(task.output("cortex").unwrap())
    }

    #[test]
    fn a_subject_is_found_in_a_store_a_folder_and_an_archive() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("store/db");
        store(&db, "S1");
        let check = |source: &Path, out: &str, subject: &str| {
            let cortex = run(source, &folder.path().join(out), subject).unwrap();
            assert_eq!(cortex.about().subject, "S1");
            assert_eq!(cortex.about().hemispheres.len(), 2);
            assert_eq!(cortex.transform("").unwrap().1.shape, [5, 6, 7]);
            assert_eq!(cortex.surface(Hemisphere::Right, SurfaceName::Pial).unwrap().coordinates[3], [4.0, 4.0, 2.0]);
            assert_eq!(cortex.curvature(Hemisphere::Left).unwrap(), [0.0; 4]);
            assert_eq!(fs::read_to_string(cortex.overlays().unwrap()).unwrap(), "<svg/>");
        };
        check(&folder.path().join("store"), "a", "");
        check(&db.join("S1"), "b", "S1");

        let path = folder.path().join("store.zip");
        let mut zip = zip::ZipWriter::new(fs_err::File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for entry in WalkDir::new(&db).sort_by_file_name().into_iter().map(Result::unwrap) {
            if entry.path().is_file() {
                let name = entry.path().strip_prefix(&db).unwrap().to_str().unwrap().to_owned();
                let other = format!("S1/cache/{}", entry.file_name().to_str().unwrap());
                for name in [format!("__MACOSX/{name}"), name] {
                    zip.start_file(name, options).unwrap();
                    zip.write_all(&fs::read(entry.path()).unwrap()).unwrap();
                }
                if !other.ends_with("overlays.svg") {
                    zip.start_file(other, options).unwrap();
                }
            }
        }
        zip.start_file("../../evil/surfaces/flat_lh.gii", options).unwrap();
        zip.finish().unwrap();
        check(&path, "c", "S1");
        assert!(folder.path().join("c/store/S1").is_dir() && !folder.path().join("c/store/S1/cache").exists());

        store(&db, "S2");
        let failure = run(&db, &folder.path().join("d"), "").unwrap_err();
        assert_eq!(failure.message, "there are several subjects: `S1`, `S2`");
        assert!(run(&db, &folder.path().join("d"), "S3").unwrap_err().message.contains("no subject `S3`"));
        let nothing = tempfile::tempdir().unwrap();
        assert!(run(nothing.path(), &folder.path().join("e"), "").unwrap_err().message.contains("no pycortex subject"));
    }

    #[test]
    fn hemispheres_transforms_and_curvature_are_chosen() {
        let folder = tempfile::tempdir().unwrap();
        store(folder.path(), "S1");
        let mut task = task(&Pycortex, &folder.path().join("out"));
        give(&mut task, "store", &folder.path().join("S1"));
        set(&mut task, "hemispheres", Value::Text("rh".to_owned()));
        tasks::run(&Pycortex, &task).unwrap();
        let cortex = FlattenedCortex::open(task.output("cortex").unwrap()).unwrap();
        assert_eq!(cortex.hemispheres().unwrap(), [(Hemisphere::Right, 4)]);
        assert_eq!(cortex.about().hemispheres[0].curvature, "computed");
        set(&mut task, "transforms", Value::List(vec![Value::Text("other".to_owned())]));
        let failure = tasks::run(&Pycortex, &task).unwrap_err();
        assert_eq!(failure.message, "the subject has no transform `other`, only [full]");
        fs::remove_file(folder.path().join("S1/surfaces/pia_rh.gii")).unwrap();
        assert!(tasks::run(&Pycortex, &task).unwrap_err().to_string().contains("pia_rh.gii"));
    }
}
