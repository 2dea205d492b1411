//! A subject of any size whose hemispheres are spheres, and tasks to run a kind with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipe_contract::{Cell, Coordinates, Device, Ended, Failure, Given, Presence, Silent, StageKind, Task, Value};

use crate::formats::{freesurfer, gifti, mgh};
use crate::hemisphere::HEMISPHERES;
use crate::numeric::icosahedron::subdivided;

/// A task for a kind, with default parameters and no inputs; outputs lie below `folder`.
pub fn task(stage: &dyn StageKind, folder: &Path) -> Task {
    let kind = stage.kind();
    let params = kind.params.iter().filter_map(|param| Some((param.name.to_owned(), param.default.clone()?)));
    Task {
        kind: kind.name.to_owned(),
        version: kind.version,
        params: params.collect(),
        at: Coordinates::none(),
        inputs: BTreeMap::new(),
        outputs: kind.outputs.iter().map(|port| (port.name.to_owned(), folder.join(port.name))).collect(),
        seed: kind.random.then_some(1),
        simulated: false,
        device: Device::Cpu,
        threads: 1,
        credential: None,
        accepts_absent: Vec::new(),
        coverage: BTreeMap::new(),
        checkpoint: None,
        scratch: folder.to_path_buf(),
    }
}

/// Gives a task one artifact at a port.
pub fn give(task: &mut Task, port: &str, path: &Path) {
    task.inputs.insert(port.to_owned(), Given::One(path.to_path_buf()));
}

/// Adds a cell to a gather; `None` is absent, not found.
pub fn gather(task: &mut Task, port: &str, at: &[(&str, &str)], path: Option<&Path>) {
    let artifact = path.map_or(Presence::Absent("not-found".into()), |path| Presence::Present(path.to_path_buf()));
    let cell = Cell { at: at.iter().copied().collect(), artifact };
    match task.inputs.entry(port.to_owned()).or_insert_with(|| Given::Many(Vec::new())) {
        Given::Many(cells) => cells.push(cell),
        Given::One(_) => panic!("port `{port}` takes one artifact"),
    }
}

/// Sets a parameter.
pub fn set(task: &mut Task, name: &str, value: Value) {
    task.params.insert(name.to_owned(), value);
}

/// Runs a task and returns its notes.
///
/// # Errors
/// Those of the kind.
pub fn run(stage: &dyn StageKind, task: &Task) -> Result<Vec<String>, Failure> {
    match stage.run(task, &Silent)? {
        Ended::Done { notes, .. } => Ok(notes),
        Ended::Absent { cause, detail } => panic!("absent: {cause}, {detail}"),
    }
}

/// Runs a task and returns how many subjects are behind its outputs that aggregate.
///
/// # Errors
/// Those of the kind.
pub fn aggregated(stage: &dyn StageKind, task: &Task) -> Result<BTreeMap<String, u64>, Failure> {
    match stage.run(task, &Silent)? {
        Ended::Done { aggregated, .. } => Ok(aggregated),
        Ended::Absent { cause, detail } => panic!("absent: {cause}, {detail}"),
    }
}

/// Unit points of the sphere that both hemispheres of [`write_subject`] are, of `10 * 4^level + 2` vertices.
pub fn points(level: u32) -> Vec<[f64; 3]> {
    subdivided(level).0
}

/// A `subject` artifact: both hemispheres are spheres, curvature alternates with depth.
pub fn write_subject(folder: &Path, sid: &str, level: u32) -> PathBuf {
    let artifact = folder.join("subject");
    let surf = artifact.join(format!("{sid}/T1w/{sid}/surf"));
    let native = artifact.join(format!("{sid}/T1w/Native"));
    let atlas = artifact.join(format!("{sid}/MNINonLinear/Native"));
    for folder in [&surf, &native, &atlas] {
        fs_err::create_dir_all(folder).unwrap();
    }
    let (points, triangles) = subdivided(level);
    #[expect(clippy::cast_possible_truncation, reason = "surfaces are stored as 32-bit floats")]
    let coordinates: Vec<[f32; 3]> = points.iter().map(|p| p.map(|x| (x * 100.0) as f32)).collect();
    let curvature: Vec<f32> =
        coordinates.iter().map(|[x, y, z]| (x / 9.0).sin() * ((y + z) / 11.0).cos() / 5.0).collect();
    let mesh = freesurfer::Surface { coordinates, triangles };
    for hemisphere in HEMISPHERES {
        let (h, l) = (hemisphere.name(), hemisphere.letter());
        for name in ["white", "sphere.reg"] {
            freesurfer::write_surface(&surf.join(format!("{h}.{name}")), &mesh).unwrap();
        }
        for name in ["curv", "sulc", "thickness", "area.mid"] {
            freesurfer::write_morphometry(&surf.join(format!("{h}.{name}")), &curvature, mesh.triangles.len()).unwrap();
        }
        gifti::write_surface(&native.join(format!("{sid}.{l}.midthickness.native.surf.gii")), &mesh).unwrap();
        gifti::write_surface(&atlas.join(format!("{sid}.{l}.sphere.MSMAll.native.surf.gii")), &mesh).unwrap();
        gifti::write_scalars(&atlas.join(format!("{sid}.{l}.MyelinMap_BC.native.func.gii")), &curvature).unwrap();
    }
    artifact
}

/// A `labels` artifact with these values, one per vertex, as areas and as rings of both hemispheres.
pub fn labels(folder: &Path, values: &[i32]) -> PathBuf {
    fs_err::create_dir_all(folder).unwrap();
    for hemisphere in HEMISPHERES {
        for parcellation in ["area", "ring"] {
            mgh::write_i32(&folder.join(format!("{}.{parcellation}.mgz", hemisphere.name())), values).unwrap();
        }
    }
    folder.to_path_buf()
}

/// A folder of the real data for tests: below `PIPE_TEST_DATA`, else below `../shared/data` beside the project. Tests
/// that use it are ignored by default, so that a run without the data counts them; `just data` runs them.
pub fn data(below: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("PIPE_TEST_DATA").map_or_else(beside, PathBuf::from).join(below);
    assert!(folder.is_dir(), "the real data is not there: no folder `{}`", folder.display());
    folder
}
