//! A small subject on a sphere of 642 vertices, and a way to run a kind.

use std::path::{Path, PathBuf};

use pipe_contract::{Ended, Failure, Silent, StageKind, Value};

use super::tasks;
use crate::formats::{freesurfer, gifti, mgh};
use crate::hemisphere::HEMISPHERES;
use crate::numeric::icosahedron::subdivided;

/// Vertices of each hemisphere of [`write_subject`].
pub const VERTICES: usize = 642;

/// A finished run of a kind.
#[derive(Debug)]
pub struct Ran {
    outputs: tempfile::TempDir,
    ended: Ended,
}

impl Ran {
    /// Runs a kind; whole numbers become parameters.
    pub fn of(stage: &dyn StageKind, inputs: &[(&str, &Path)], params: &[(&str, i64)]) -> Self {
        Self::try_of(stage, inputs, params).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// As [`of`](Self::of), for runs that shall fail.
    pub fn try_of(stage: &dyn StageKind, inputs: &[(&str, &Path)], params: &[(&str, i64)]) -> Result<Self, Failure> {
        let outputs = tempfile::tempdir().unwrap();
        let mut task = tasks::task(stage, outputs.path());
        params.iter().for_each(|(name, value)| tasks::set(&mut task, name, Value::Int(*value)));
        inputs.iter().for_each(|(port, path)| tasks::give(&mut task, port, path));
        let ended = stage.run(&task, &Silent)?;
        Ok(Self { outputs, ended })
    }

    /// The path of an output.
    pub fn output(&self, port: &str) -> PathBuf {
        self.outputs.path().join(port)
    }

    /// What the kind remarked.
    pub fn notes(&self) -> &[String] {
        match &self.ended {
            Ended::Done { notes, .. } => notes,
            Ended::Absent { .. } => &[],
        }
    }
}

fn sphere(level: u32) -> freesurfer::Surface {
    let (points, triangles) = subdivided(level);
    freesurfer::Surface { coordinates: points.iter().map(|p| p.map(|x| (x * 100.0) as f32)).collect(), triangles }
}

/// A `subject` artifact: both hemispheres are spheres; curvature is -1 on the left and +1 on the right, thickness 2.
pub fn write_subject(folder: &Path, sid: &str) -> PathBuf {
    let artifact = folder.join("subject");
    let surf = artifact.join(format!("{sid}/T1w/{sid}/surf"));
    let native = artifact.join(format!("{sid}/T1w/Native"));
    let atlas = artifact.join(format!("{sid}/MNINonLinear/Native"));
    for folder in [&surf, &native, &atlas] {
        fs_err::create_dir_all(folder).unwrap();
    }
    let mesh = sphere(3);
    for (hemisphere, curvature) in HEMISPHERES.into_iter().zip([-1.0, 1.0]) {
        let (h, l) = (hemisphere.name(), hemisphere.letter());
        for name in ["white", "sphere.reg"] {
            freesurfer::write_surface(&surf.join(format!("{h}.{name}")), &mesh).unwrap();
        }
        for (name, value) in [("curv", curvature), ("sulc", 0.5), ("thickness", 2.0), ("area.mid", 1.5)] {
            let path = surf.join(format!("{h}.{name}"));
            freesurfer::write_morphometry(&path, &[value; VERTICES], mesh.triangles.len()).unwrap();
        }
        gifti::write_surface(&native.join(format!("{sid}.{l}.midthickness.native.surf.gii")), &mesh).unwrap();
        gifti::write_surface(&atlas.join(format!("{sid}.{l}.sphere.MSMAll.native.surf.gii")), &mesh).unwrap();
        let myelin = atlas.join(format!("{sid}.{l}.MyelinMap_BC.native.func.gii"));
        gifti::write_scalars(&myelin, &[1.25; VERTICES]).unwrap();
    }
    artifact
}

/// A `prf` artifact that fits [`write_subject`]; every third value is missing.
pub fn prf(folder: &Path) -> PathBuf {
    let artifact = folder.join("prf");
    fs_err::create_dir_all(&artifact).unwrap();
    let values: Vec<f32> = (0..VERTICES).map(|v| if v % 3 == 0 { f32::NAN } else { 0.75 }).collect();
    for hemisphere in HEMISPHERES {
        for quantity in ["x", "y", "sigma", "cod"] {
            mgh::write_f32(&artifact.join(format!("{}.prf_{quantity}.mgz", hemisphere.name())), &values).unwrap();
        }
    }
    artifact
}

/// A `labels` artifact that fits [`write_subject`]: V2 in ring 3 on the left, V3 in ring 5 on the right.
pub fn labels(folder: &Path) -> PathBuf {
    let artifact = folder.join("labels");
    fs_err::create_dir_all(&artifact).unwrap();
    for (hemisphere, (area, ring)) in HEMISPHERES.into_iter().zip([(2, 3), (3, 5)]) {
        mgh::write_i32(&artifact.join(format!("{}.area.mgz", hemisphere.name())), &[area; VERTICES]).unwrap();
        mgh::write_i32(&artifact.join(format!("{}.ring.mgz", hemisphere.name())), &[ring; VERTICES]).unwrap();
    }
    artifact
}

/// A `files` artifact with a template on an icosahedral sphere: areas and eccentricities in stripes of latitude.
pub fn template_on(folder: &Path, level: u32) -> PathBuf {
    let artifact = folder.join("template");
    fs_err::create_dir_all(&artifact).unwrap();
    let mesh = sphere(level);
    let height: Vec<f32> = mesh.coordinates.iter().map(|point| (point[2] + 100.0) / 200.0).collect();
    let angle: Vec<f32> = mesh.coordinates.iter().map(|point| 90.0 + point[0] / 2.0).collect();
    let eccen: Vec<f32> = height.iter().map(|h| h * 9.0).collect();
    let varea: Vec<i32> = height.iter().map(|h| (h * 40.0) as i32 % 5).collect();
    for hemisphere in HEMISPHERES {
        let file = |name: &str| artifact.join(format!("{}.benson14_{name}", hemisphere.name()));
        freesurfer::write_surface(&file("retinotopy.v4_0.sphere.reg"), &mesh).unwrap();
        mgh::write_f32(&file("angle.v4_0.mgz"), &angle).unwrap();
        mgh::write_f32(&file("eccen.v4_0.mgz"), &eccen).unwrap();
        mgh::write_i32(&file("varea.v4_0.mgz"), &varea).unwrap();
    }
    artifact
}
