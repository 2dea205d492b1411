//! The part of an `HCP_1200` tree that the pipeline reads: which file holds which quantity of which
//! hemisphere, and what must hold between the files. The only place that spells these paths.
//!
//! The choice of file per quantity follows what the original analysis opens: scalars come from the FreeSurfer
//! files under `T1w/<sid>/surf` (where curvature and convexity have FreeSurfer's sign), coordinates and the
//! MSMAll sphere from GIFTI. Everything native has one value per vertex of `{lh,rh}.white`; a file that does
//! not is an error that names subject, hemisphere, file, what was found and what was expected.
//!
//! Subjects of other sources (a FreeSurfer folder) are put into the same layout by [`SubjectWriter`], without what they do not have: the
//! myelin map, the sphere of MSMAll. [`ABOUT`] then says where they come from, and which hemispheres there are.

use std::path::{Path, PathBuf};

use pipe_contract::Failure;
use serde::{Deserialize, Serialize};

use super::fs_lr_meshes::FsLr;
use super::{freesurfer, gifti, mgh};
use crate::hemisphere::{HEMISPHERES, Hemisphere};

/// Files that a subject must have, relative to the folder that holds `<sid>/`, sorted.
///
/// A subject without one of them has an incomplete release and is left out as a whole.
pub fn required_files(sid: &str) -> Vec<String> {
    let mut files: Vec<String> = HEMISPHERES
        .into_iter()
        .flat_map(|hemisphere| {
            let (h, l) = (hemisphere.name(), hemisphere.letter());
            [
                format!("{sid}/T1w/{sid}/surf/{h}.white"),
                format!("{sid}/T1w/{sid}/surf/{h}.sphere.reg"),
                format!("{sid}/T1w/{sid}/surf/{h}.curv"),
                format!("{sid}/T1w/{sid}/surf/{h}.sulc"),
                format!("{sid}/T1w/{sid}/surf/{h}.thickness"),
                format!("{sid}/T1w/{sid}/surf/{h}.area.mid"),
                format!("{sid}/T1w/Native/{sid}.{l}.midthickness.native.surf.gii"),
                format!("{sid}/MNINonLinear/Native/{sid}.{l}.sphere.MSMAll.native.surf.gii"),
                format!("{sid}/MNINonLinear/Native/{sid}.{l}.MyelinMap_BC.native.func.gii"),
            ]
        })
        .collect();
    files.sort();
    files
}

/// Files that are read where a subject has them, relative to the folder that holds `<sid>/`, sorted: the fs_LR
/// spheres (59k and 32k; pRF results need the one of their own resolution) and the end points of the optic
/// radiation and the vertical occipital fasciculus. The tract maps are no part of the `HCP_1200` bucket, only
/// of trees made elsewhere.
pub fn optional_files(sid: &str) -> Vec<String> {
    let mut files: Vec<String> = HEMISPHERES
        .into_iter()
        .flat_map(|hemisphere| {
            let (h, l) = (hemisphere.name(), hemisphere.letter());
            [
                format!("{sid}/MNINonLinear/fsaverage_LR59k/{sid}.{l}.sphere.59k_fs_LR.surf.gii"),
                format!("{sid}/MNINonLinear/fsaverage_LR32k/{sid}.{l}.sphere.32k_fs_LR.surf.gii"),
                format!("{sid}/tracts/{h}.OR_normalized.mgz"),
                format!("{sid}/tracts/{h}.VOF_normalized.mgz"),
            ]
        })
        .collect();
    files.sort();
    files
}

/// A subject's files: the folder `<sid>/` of an `HCP_1200` tree, or of a `subject` artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    sid: String,
    folder: PathBuf,
}

/// The topology of a hemisphere and where it lies on fsaverage's sphere.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// Three vertex indices per triangle.
    pub triangles: Vec<[u32; 3]>,
    /// One point per vertex on the sphere registered to fsaverage, of radius 100 or nearly so.
    pub sphere: Vec<[f64; 3]>,
}

/// Everything structural of a hemisphere, one entry per native vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct Cortex {
    /// Topology and registered sphere.
    pub registered: Registered,
    /// Points halfway between white matter and pia, in mm, T1w space.
    pub midthickness: Vec<[f64; 3]>,
    /// Mean curvature in 1/mm; sulci are positive, as in FreeSurfer.
    pub curvature: Vec<f32>,
    /// Depth (`sulc`), sulci positive, on the scale of FreeSurfer 5 (about cm).
    pub convexity: Vec<f32>,
    /// Thickness in mm, not corrected for curvature; 0 on the medial wall.
    pub thickness: Vec<f32>,
    /// Area of midthickness that belongs to the vertex, in mm^2.
    pub surface_area: Vec<f32>,
    /// Myelin map (T1w / T2w, bias corrected), if the subject has one; NaN where missing.
    pub myelin: Option<Vec<f32>>,
    /// End points of the optic radiation, if the subject has that map; NaN where missing.
    pub optic_radiation: Option<Vec<f32>>,
    /// End points of the vertical occipital fasciculus, if the subject has that map; NaN where missing.
    pub vertical_occipital: Option<Vec<f32>>,
}

/// In the folder of a subject that is not from a release: [`AboutSubject`] as JSON.
pub const ABOUT: &str = "about.json";

/// Where a subject comes from, and what is there of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutSubject {
    /// The form in which the files were, such as `FreeSurfer`.
    pub source: String,
    /// `lh`, `rh` or both: without the other one, every result is marked.
    pub hemispheres: Vec<String>,
    /// The unit in which the depth (`sulc`) was; here it is that of FreeSurfer 5.
    pub sulc: String,
}

/// Everything of a hemisphere that is written for a subject of another source.
pub struct NewHemisphere<'a> {
    /// The border of white matter: topology and points in mm.
    pub white: &'a freesurfer::Surface,
    /// The sphere registered to fsaverage.
    pub sphere: &'a freesurfer::Surface,
    /// Points halfway between white matter and pia.
    pub midthickness: Vec<[f32; 3]>,
    /// As in [`Cortex`].
    pub curvature: &'a [f32],
    /// As in [`Cortex`].
    pub convexity: &'a [f32],
    /// As in [`Cortex`].
    pub thickness: &'a [f32],
    /// As in [`Cortex`].
    pub surface_area: &'a [f32],
}

/// Writes a `subject` artifact from another source.
pub struct SubjectWriter {
    sid: String,
    folder: PathBuf,
}

impl SubjectWriter {
    /// A new artifact, with `<sid>/` in it.
    ///
    /// # Errors
    /// Environment: a file or folder cannot be written.
    pub fn new(artifact: &Path, sid: &str, about: &AboutSubject) -> Result<Self, Failure> {
        let folder = artifact.join(sid);
        for below in [format!("T1w/{sid}/surf"), "T1w/Native".to_owned()] {
            let path = folder.join(below);
            fs_err::create_dir_all(&path).map_err(|error| Failure::io("create", &path, &error))?;
        }
        let path = folder.join(ABOUT);
        let text = serde_json::to_string_pretty(about).map_err(|error| Failure::internal(error.to_string()))?;
        fs_err::write(&path, format!("{text}\n")).map_err(|error| Failure::io("write", &path, &error))?;
        Ok(Self { sid: sid.to_owned(), folder })
    }

    /// Writes a hemisphere.
    ///
    /// # Errors
    /// Environment: a file cannot be written.
    pub fn write(&self, hemisphere: Hemisphere, new: &NewHemisphere<'_>) -> Result<(), Failure> {
        let (sid, h, l) = (&self.sid, hemisphere.name(), hemisphere.letter());
        let surf = self.folder.join(format!("T1w/{sid}/surf"));
        freesurfer::write_surface(&surf.join(format!("{h}.white")), new.white)?;
        freesurfer::write_surface(&surf.join(format!("{h}.sphere.reg")), new.sphere)?;
        for (name, values) in [
            ("curv", new.curvature),
            ("sulc", new.convexity),
            ("thickness", new.thickness),
            ("area.mid", new.surface_area),
        ] {
            freesurfer::write_morphometry(&surf.join(format!("{h}.{name}")), values, new.white.triangles.len())?;
        }
        let middle =
            freesurfer::Surface { coordinates: new.midthickness.clone(), triangles: new.white.triangles.clone() };
        let name = format!("T1w/Native/{sid}.{l}.midthickness.native.surf.gii");
        gifti::write_surface(&self.folder.join(name), &middle)
    }
}

impl Subject {
    /// Opens a `subject` artifact: a folder with exactly one entry, `<sid>/`.
    ///
    /// # Errors
    /// The folder cannot be listed or has another number of entries; input's blame.
    pub fn open(artifact: &Path) -> Result<Self, Failure> {
        let mut names = Vec::new();
        for entry in fs_err::read_dir(artifact).map_err(|error| Failure::io("list", artifact, &error))? {
            let entry = entry.map_err(|error| Failure::io("list", artifact, &error))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        match &names[..] {
            [sid] => Ok(Self { sid: sid.clone(), folder: artifact.join(sid) }),
            _ => Err(Failure::input(format!(
                "the folder of a subject has {} entries [{}], expected one, named as the subject",
                names.len(),
                names.join(", ")
            ))
            .at(artifact.display().to_string())),
        }
    }

    /// The subject's id.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// The hemispheres that are there, left first: both, unless the subject was imported with one.
    ///
    /// # Errors
    /// Input: [`ABOUT`] is there and says something else.
    pub fn hemispheres(&self) -> Result<Vec<Hemisphere>, Failure> {
        let path = self.folder.join(ABOUT);
        if !path.exists() {
            return Ok(HEMISPHERES.to_vec());
        }
        let text = fs_err::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        let about: AboutSubject = serde_json::from_str(&text)
            .map_err(|error| Failure::input(format!("this does not say where a subject comes from: {error}")))
            .map_err(|failure| failure.at(path.display().to_string()))?;
        Ok(HEMISPHERES.into_iter().filter(|h| about.hemispheres.iter().any(|name| name == h.name())).collect())
    }

    /// The place that messages give for a fault in a hemisphere.
    pub fn place(&self, hemisphere: Hemisphere) -> String {
        format!("subject `{}`, {}", self.sid, hemisphere.name())
    }

    /// Topology and registered sphere of a hemisphere: what labels and predictions need.
    ///
    /// # Errors
    /// A file is missing, damaged, or does not fit the others; input's blame.
    pub fn registered(&self, hemisphere: Hemisphere) -> Result<Registered, Failure> {
        let h = hemisphere.name();
        let white_file = format!("T1w/{}/surf/{h}.white", self.sid);
        let white = self.read(hemisphere, &white_file, freesurfer::read_surface)?;
        if white.coordinates.is_empty() || white.triangles.is_empty() {
            return Err(self.fault(hemisphere, &white_file, "the mesh is empty".to_owned()));
        }
        let vertices = white.coordinates.len();
        let sphere_file = format!("T1w/{}/surf/{h}.sphere.reg", self.sid);
        let sphere = self.points(hemisphere, &sphere_file, freesurfer::read_surface, vertices)?;
        self.check_sphere(hemisphere, &sphere_file, &sphere)?;
        Ok(Registered { triangles: white.triangles, sphere })
    }

    /// Everything structural of a hemisphere.
    ///
    /// # Errors
    /// A file is missing, damaged, or does not fit the others; input's blame.
    pub fn cortex(&self, hemisphere: Hemisphere) -> Result<Cortex, Failure> {
        let registered = self.registered(hemisphere)?;
        let vertices = registered.sphere.len();
        let (sid, h, l) = (&self.sid, hemisphere.name(), hemisphere.letter());
        let shape = |file: &str| {
            let path = format!("T1w/{sid}/surf/{h}.{file}");
            let values = self.read(hemisphere, &path, freesurfer::read_morphometry)?;
            self.check_count(hemisphere, &path, values.len(), vertices)?;
            self.check_finite(hemisphere, &path, &values)?;
            Ok(values)
        };
        let native = |file: &str| format!("{file}.native.surf.gii");
        let midthickness = native(&format!("T1w/Native/{sid}.{l}.midthickness"));
        Ok(Cortex {
            midthickness: self.points(hemisphere, &midthickness, gifti::read_surface, vertices)?,
            curvature: shape("curv")?,
            convexity: shape("sulc")?,
            thickness: shape("thickness")?,
            surface_area: shape("area.mid")?,
            myelin: {
                let file = format!("MNINonLinear/Native/{sid}.{l}.MyelinMap_BC.native.func.gii");
                self.if_there(hemisphere, &file, gifti::read_scalars, vertices)?
            },
            optic_radiation: self.tract(hemisphere, "OR", vertices)?,
            vertical_occipital: self.tract(hemisphere, "VOF", vertices)?,
            registered,
        })
    }

    /// The native vertices on the sphere registered to fs_LR by MSMAll.
    ///
    /// # Errors
    /// The file is missing, damaged, or has not `vertices` points; input's blame.
    pub fn msmall_sphere(&self, hemisphere: Hemisphere, vertices: usize) -> Result<Vec<[f64; 3]>, Failure> {
        let file = format!("MNINonLinear/Native/{}.{}.sphere.MSMAll.native.surf.gii", self.sid, hemisphere.letter());
        self.points(hemisphere, &file, gifti::read_surface, vertices)
    }

    /// The sphere of the fs_LR mesh of a resolution.
    ///
    /// # Errors
    /// The file is missing, damaged, or has not the mesh's number of points; input's blame.
    pub fn fs_lr_sphere(&self, hemisphere: Hemisphere, mesh: FsLr) -> Result<Vec<[f64; 3]>, Failure> {
        let (sid, l, k) = (&self.sid, hemisphere.letter(), mesh.name());
        let file = format!("MNINonLinear/fsaverage_LR{k}/{sid}.{l}.sphere.{k}_fs_LR.surf.gii");
        self.points(hemisphere, &file, gifti::read_surface, mesh.vertices())
    }

    fn tract(&self, hemisphere: Hemisphere, tract: &str, vertices: usize) -> Result<Option<Vec<f32>>, Failure> {
        let file = format!("tracts/{}.{tract}_normalized.mgz", hemisphere.name());
        self.if_there(hemisphere, &file, mgh::read_f32, vertices)
    }

    /// A measured map that a subject may lack.
    fn if_there(
        &self,
        hemisphere: Hemisphere,
        file: &str,
        reader: impl Fn(&Path) -> Result<Vec<f32>, Failure>,
        vertices: usize,
    ) -> Result<Option<Vec<f32>>, Failure> {
        if !self.folder.join(file).exists() {
            return Ok(None);
        }
        self.measured(hemisphere, file, reader, vertices).map(Some)
    }

    /// Reads a file of this subject; what goes wrong names subject and hemisphere.
    fn read<T>(
        &self,
        hemisphere: Hemisphere,
        file: &str,
        reader: impl Fn(&Path) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        reader(&self.folder.join(file))
            .map_err(|failure| Failure { place: Some(self.place_of_file(hemisphere, file)), ..failure })
    }

    fn points(
        &self,
        hemisphere: Hemisphere,
        file: &str,
        reader: impl Fn(&Path) -> Result<freesurfer::Surface, Failure>,
        vertices: usize,
    ) -> Result<Vec<[f64; 3]>, Failure> {
        let surface = self.read(hemisphere, file, reader)?;
        self.check_count(hemisphere, file, surface.coordinates.len(), vertices)?;
        self.check_finite(hemisphere, file, surface.coordinates.as_flattened())?;
        Ok(surface.points())
    }

    /// A measured map: single values may be missing (NaN), not all of them.
    fn measured(
        &self,
        hemisphere: Hemisphere,
        file: &str,
        reader: impl Fn(&Path) -> Result<Vec<f32>, Failure>,
        vertices: usize,
    ) -> Result<Vec<f32>, Failure> {
        let values = self.read(hemisphere, file, reader)?;
        self.check_count(hemisphere, file, values.len(), vertices)?;
        if values.iter().any(|value| value.is_finite()) {
            return Ok(values);
        }
        Err(self.fault(hemisphere, file, format!("none of the {vertices} values is a finite number")))
    }

    fn check_count(&self, hemisphere: Hemisphere, file: &str, found: usize, vertices: usize) -> Result<(), Failure> {
        if found == vertices {
            return Ok(());
        }
        let message = format!("the file has values for {found} vertices, expected {vertices}, as the mesh has");
        Err(self
            .fault(hemisphere, file, message)
            .hint("the files of this subject come from different meshes or versions"))
    }

    fn check_finite(&self, hemisphere: Hemisphere, file: &str, values: &[f32]) -> Result<(), Failure> {
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(first) => {
                let count = values.iter().filter(|value| !value.is_finite()).count();
                let message = format!(
                    "{count} of {} values are not finite numbers (the first, {}, at position {first}), expected none",
                    values.len(),
                    values[first]
                );
                Err(self
                    .fault(hemisphere, file, message)
                    .hint("the program that wrote the file has failed for this subject: get the file anew, or leave the subject out"))
            }
        }
    }

    /// A registered sphere is one: every point at nearly the same distance from the origin.
    fn check_sphere(&self, hemisphere: Hemisphere, file: &str, points: &[[f64; 3]]) -> Result<(), Failure> {
        let radius = |point: &[f64; 3]| point.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mean = points.iter().map(radius).sum::<f64>() / points.len() as f64;
        match points.iter().position(|point| (radius(point) - mean).abs() > 0.05 * mean || mean <= 0.0) {
            None => Ok(()),
            Some(vertex) => Err(self.fault(
                hemisphere,
                file,
                format!(
                    "vertex {vertex} lies {:.3} from the origin and the mean is {mean:.3}, expected a sphere",
                    radius(&points[vertex])
                ),
            )),
        }
    }

    fn fault(&self, hemisphere: Hemisphere, file: &str, message: String) -> Failure {
        Failure::input(message).at(self.place_of_file(hemisphere, file))
    }

    fn place_of_file(&self, hemisphere: Hemisphere, file: &str) -> String {
        format!("{}, {}/{file}", self.place(hemisphere), self.sid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::freesurfer::{Surface, write_morphometry, write_surface};

    /// A subject whose hemispheres are octahedra of radius 100.
    fn octahedral_subject() -> (tempfile::TempDir, Subject) {
        let folder = tempfile::tempdir().unwrap();
        let mesh = octahedron(100.0);
        for file in required_files("s01").into_iter().chain(optional_files("s01")) {
            let path = folder.path().join(&file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            match file.rsplit('.').next().unwrap() {
                "white" | "reg" => write_surface(&path, &mesh).unwrap(),
                "gii" if file.ends_with("surf.gii") => gifti::write_surface(&path, &mesh).unwrap(),
                "gii" => gifti::write_scalars(&path, &[1.0, 1.5, f32::NAN, 1.0, 1.0, 1.0]).unwrap(),
                "mgz" => mgh::write_f32(&path, &[0.5; 6]).unwrap(),
                _ => write_morphometry(&path, &[0.25; 6], 8).unwrap(),
            }
        }
        let subject = Subject::open(folder.path()).unwrap();
        (folder, subject)
    }

    fn octahedron(radius: f32) -> Surface {
        Surface {
            coordinates: vec![
                [radius, 0.0, 0.0],
                [-radius, 0.0, 0.0],
                [0.0, radius, 0.0],
                [0.0, -radius, 0.0],
                [0.0, 0.0, radius],
                [0.0, 0.0, -radius],
            ],
            triangles: vec![[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]],
        }
    }

    /// The message and place of what goes wrong with the left hemisphere.
    fn fault(subject: &Subject) -> (String, String) {
        let failure = subject.cortex(Hemisphere::Left).unwrap_err();
        assert_eq!(failure.blame, pipe_contract::Blame::Input);
        (failure.message, failure.place.unwrap())
    }

    #[test]
    fn a_whole_subject_is_read_and_tracts_may_be_missing() {
        let (folder, subject) = octahedral_subject();
        assert_eq!(subject.sid(), "s01");
        let cortex = subject.cortex(Hemisphere::Left).unwrap();
        assert_eq!((cortex.registered.triangles.len(), cortex.midthickness.len()), (8, 6));
        assert!(cortex.myelin.unwrap()[2].is_nan() && cortex.optic_radiation.is_some());
        assert_eq!(subject.msmall_sphere(Hemisphere::Right, 6).unwrap()[1], [-100.0, 0.0, 0.0]);
        fs_err::remove_file(folder.path().join("s01/tracts/lh.VOF_normalized.mgz")).unwrap();
        assert_eq!(subject.cortex(Hemisphere::Left).unwrap().vertical_occipital, None);
    }

    #[test]
    fn lists_are_sorted_and_apart() {
        let (required, optional) = (required_files("100610"), optional_files("100610"));
        assert_eq!((required.len(), optional.len()), (18, 8));
        assert!(required.is_sorted() && optional.is_sorted());
        assert!(required.iter().all(|file| file.starts_with("100610/") && !optional.contains(file)));
    }

    #[test]
    fn files_of_another_mesh_are_refused() {
        let (folder, subject) = octahedral_subject();
        write_morphometry(&folder.path().join("s01/T1w/s01/surf/lh.curv"), &[0.0; 5], 6).unwrap();
        let (message, place) = fault(&subject);
        assert_eq!(message, "the file has values for 5 vertices, expected 6, as the mesh has");
        assert_eq!(place, "subject `s01`, lh, s01/T1w/s01/surf/lh.curv");
        // The right hemisphere is not concerned.
        assert!(subject.cortex(Hemisphere::Right).is_ok());
    }

    #[test]
    fn numbers_that_are_none_are_refused_where_geometry_needs_them() {
        let (folder, subject) = octahedral_subject();
        let thickness = folder.path().join("s01/T1w/s01/surf/lh.thickness");
        write_morphometry(&thickness, &[2.0, f32::NAN, 2.0, f32::NAN, 2.0, 2.0], 8).unwrap();
        assert_eq!(
            fault(&subject).0,
            "2 of 6 values are not finite numbers (the first, NaN, at position 1), expected none"
        );
        write_morphometry(&thickness, &[2.0; 6], 8).unwrap();
        let myelin = folder.path().join("s01/MNINonLinear/Native/s01.L.MyelinMap_BC.native.func.gii");
        gifti::write_scalars(&myelin, &[f32::NAN; 6]).unwrap();
        assert_eq!(fault(&subject).0, "none of the 6 values is a finite number");
    }

    #[test]
    fn what_is_cut_off_missing_or_no_sphere_is_named() {
        let (folder, subject) = octahedral_subject();
        let sphere = folder.path().join("s01/T1w/s01/surf/lh.sphere.reg");
        let whole = fs_err::read(&sphere).unwrap();
        fs_err::write(&sphere, &whole[..100]).unwrap();
        let (message, place) = fault(&subject);
        assert!(message.starts_with("the file is cut off"), "{message}");
        assert_eq!(place, "subject `s01`, lh, s01/T1w/s01/surf/lh.sphere.reg");

        let mut flat = octahedron(100.0);
        flat.coordinates[3] = [0.0, -2.0, 0.0];
        write_surface(&sphere, &flat).unwrap();
        assert_eq!(
            fault(&subject).0,
            "vertex 0 lies 100.000 from the origin and the mean is 83.667, expected a sphere"
        );

        fs_err::remove_file(&sphere).unwrap();
        assert_eq!(fault(&subject).0, "the file does not exist");
    }

    #[test]
    fn a_folder_of_several_subjects_is_refused() {
        let (folder, _) = octahedral_subject();
        fs_err::create_dir(folder.path().join("s02")).unwrap();
        let failure = Subject::open(folder.path()).unwrap_err();
        assert_eq!(
            failure.message,
            "the folder of a subject has 2 entries [s01, s02], expected one, named as the subject"
        );
    }
}
