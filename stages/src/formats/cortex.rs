//! A subject's cortex as an artifact: its surfaces in space and flattened, curvature, the place of volumes, and outlines of regions.
//!
//! A folder: `{lh,rh}.{flat,pial,white}.surf.gii`, `{lh,rh}.curvature.func.gii` (gyri positive), `transforms/<name>.json` (where voxels of a
//! volume lie), `overlays.svg` if there are outlines, `about.json`. Decides this form, and what must hold between its files. All surfaces
//! of a hemisphere have the same vertices; only triangles of the flat one count in the plane. Independent of who made the surfaces.

use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::gifti::{self, Surface};
use super::json_file::{read_json, write_json};
use crate::hemisphere::Hemisphere;
use crate::numeric::depth_samples::Affine;
use crate::numeric::flat_grid::FlatMesh;
use crate::numeric::vector::Point;

/// The file about the cortex.
pub const ABOUT: &str = "about.json";
/// The file of outlines of regions.
pub const OVERLAYS: &str = "overlays.svg";
/// The folder of transforms.
pub const TRANSFORMS: &str = "transforms";

/// A surface of a hemisphere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurfaceName {
    /// Cut and flattened.
    Flat,
    /// The outer border of the cortex.
    Pial,
    /// The inner border of the cortex.
    White,
}

impl SurfaceName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flat, Self::Pial, Self::White];

    /// The word in names of files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Pial => "pial",
            Self::White => "white",
        }
    }
}

/// What a cortex is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutCortex {
    /// The form in which its files were, such as `pycortex`.
    pub source: String,
    /// The subject's name there.
    pub subject: String,
    /// The hemispheres that there are, left first.
    pub hemispheres: Vec<AboutHemisphere>,
    /// Names of its transforms, sorted.
    pub transforms: Vec<String>,
}

/// What a hemisphere of a cortex is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutHemisphere {
    /// `lh` or `rh`.
    pub name: String,
    /// How many vertices every surface has.
    pub vertices: usize,
    /// Where its curvature is from.
    pub curvature: String,
}

/// Where the voxels of a volume lie in the space of the surfaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Points of the surfaces (mm) to indices of voxels along the axes of the volume, 0 at the centre of the first one.
    pub to_voxels: Affine,
    /// Voxels of the volume along its axes, in the order of NIfTI.
    pub shape: [usize; 3],
    /// Indices of voxels to the scanner's space (mm), as the header of the reference volume has it.
    pub affine: Affine,
}

/// A hemisphere's surfaces and curvature, to be written.
pub struct NewCortexHemisphere {
    /// Which.
    pub hemisphere: Hemisphere,
    /// The flat one.
    pub flat: Surface,
    /// The outer one.
    pub pial: Surface,
    /// The inner one.
    pub white: Surface,
    /// One value a vertex, gyri positive.
    pub curvature: Vec<f32>,
    /// Where the curvature is from.
    pub curvature_from: String,
}

/// A cortex that is read.
#[derive(Debug)]
pub struct FlattenedCortex {
    folder: PathBuf,
    about: AboutCortex,
}

impl FlattenedCortex {
    /// Opens a cortex.
    ///
    /// # Errors
    /// Input: the folder is none, or has a hemisphere that is neither left nor right.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let about: AboutCortex = read_json(&folder.join(ABOUT))?;
        let cortex = Self { folder: folder.to_path_buf(), about };
        cortex.hemispheres()?;
        Ok(cortex)
    }

    /// What it is.
    pub fn about(&self) -> &AboutCortex {
        &self.about
    }

    /// Its hemispheres, left first, with their numbers of vertices.
    ///
    /// # Errors
    /// Input: there is none, or another word than `lh` or `rh`, or both in another order.
    pub fn hemispheres(&self) -> Result<Vec<(Hemisphere, usize)>, Failure> {
        let of =
            |about: &AboutHemisphere| Hemisphere::named(&about.name).map(|hemisphere| (hemisphere, about.vertices));
        let found: Option<Vec<_>> = self.about.hemispheres.iter().map(of).collect();
        found.filter(|all| !all.is_empty() && all.is_sorted_by(|a, b| a.0 < b.0)).ok_or_else(|| {
            Failure::input("the hemispheres of the cortex are not `lh`, `rh` or both in this order").at(self
                .folder
                .join(ABOUT)
                .display()
                .to_string())
        })
    }

    /// A surface.
    ///
    /// # Errors
    /// Input: its file is missing, damaged, or has another number of vertices than [`AboutHemisphere::vertices`].
    pub fn surface(&self, hemisphere: Hemisphere, name: SurfaceName) -> Result<Surface, Failure> {
        let path = self.folder.join(surface_file(hemisphere, name));
        let surface = gifti::read_surface(&path)?;
        self.check_count(&path, hemisphere, surface.coordinates.len())?;
        Ok(surface)
    }

    /// Curvature of every vertex, gyri positive.
    ///
    /// # Errors
    /// As [`surface`](Self::surface).
    pub fn curvature(&self, hemisphere: Hemisphere) -> Result<Vec<f32>, Failure> {
        let path = self.folder.join(curvature_file(hemisphere));
        let values = gifti::read_scalars(&path)?;
        self.check_count(&path, hemisphere, values.len())?;
        Ok(values)
    }

    /// The flat surfaces of all hemispheres.
    ///
    /// # Errors
    /// As [`surface`](Self::surface).
    pub fn flat_sheets(&self) -> Result<FlatSheets, Failure> {
        let surfaces = self.of_each(|hemisphere| self.surface(hemisphere, SurfaceName::Flat))?;
        let sheets = surfaces.into_iter().map(|surface| {
            let points = surface.points().into_iter().map(|[x, y, _]| [x, y]).collect();
            (points, surface.triangles)
        });
        Ok(FlatSheets { sheets: sheets.collect() })
    }

    /// Points (mm) of all vertices of a surface, those of the left hemisphere first.
    ///
    /// # Errors
    /// As [`surface`](Self::surface).
    pub fn points(&self, name: SurfaceName) -> Result<Vec<Point>, Failure> {
        Ok(self.of_each(|hemisphere| Ok(self.surface(hemisphere, name)?.points()))?.concat())
    }

    /// Curvature of all vertices, those of the left hemisphere first; gyri are positive.
    ///
    /// # Errors
    /// As [`surface`](Self::surface).
    pub fn curvatures(&self) -> Result<Vec<f32>, Failure> {
        Ok(self.of_each(|hemisphere| self.curvature(hemisphere))?.concat())
    }

    /// What is read of every hemisphere, left first. Files of both are unpacked at the same time.
    fn of_each<T: Send>(&self, read: impl Fn(Hemisphere) -> Result<T, Failure> + Sync) -> Result<Vec<T>, Failure> {
        let all: Vec<Result<T, Failure>> =
            self.hemispheres()?.into_par_iter().map(|(hemisphere, _)| read(hemisphere)).collect();
        // One after the other, so that of two failures the left hemisphere's is reported.
        all.into_iter().collect()
    }

    fn check_count(&self, path: &Path, hemisphere: Hemisphere, found: usize) -> Result<(), Failure> {
        match self.about.hemispheres.iter().find(|about| about.name == hemisphere.name()) {
            Some(about) if about.vertices == found => Ok(()),
            about => {
                let expected = about.map_or(0, |about| about.vertices);
                Err(Failure::input(format!("found {found} vertices, expected {expected}"))
                    .at(path.display().to_string()))
            }
        }
    }

    /// The transform of this name and the name itself; an empty one is the only transform.
    ///
    /// # Errors
    /// Input: there is no such transform, or an empty name and not exactly one.
    pub fn transform(&self, name: &str) -> Result<(String, Transform), Failure> {
        let there = || quoted(&self.about.transforms);
        let name = match (name, &self.about.transforms[..]) {
            ("", [only]) => only,
            ("", []) => {
                return Err(Failure::input(
                    "the cortex has no transform: there is no volume whose voxels it could show",
                )
                .hint("a cortex from FreeSurfer has vertices only: give data by vertex"));
            }
            ("", _) => {
                return Err(Failure::input(format!("the cortex has several transforms: {}", there()))
                    .hint("say which with `transform:`"));
            }
            (name, known) => known
                .iter()
                .find(|known| *known == name)
                .ok_or_else(|| Failure::input(format!("the cortex has no transform `{name}`, only {}", there())))?,
        };
        Ok((name.clone(), read_json(&self.folder.join(TRANSFORMS).join(format!("{name}.json")))?))
    }

    /// Outlines of regions, if there are any.
    pub fn overlays(&self) -> Option<PathBuf> {
        Some(self.folder.join(OVERLAYS)).filter(|path| path.is_file())
    }
}

/// The plane's coordinates of every vertex of a hemisphere, and the triangles.
type FlatSheet = (Vec<[f64; 2]>, Vec<[u32; 3]>);

/// The flat surfaces of a cortex, left first: the one form in which they are laid out in a plane.
#[derive(Clone, Debug)]
pub struct FlatSheets {
    /// By hemisphere.
    sheets: Vec<FlatSheet>,
}

impl FlatSheets {
    /// The meshes, as [`lay_out`](crate::numeric::flat_grid::lay_out) and [`plane`](crate::numeric::flat_grid::plane) take them.
    pub fn meshes(&self) -> Vec<FlatMesh<'_>> {
        self.sheets.iter().map(|(points, triangles)| FlatMesh { points, triangles }).collect()
    }

    /// Of every vertex, those of the left hemisphere first, whether a triangle has it. The others lie nowhere in the plane.
    pub fn are_flat(&self) -> Vec<bool> {
        let of_sheet = |(points, triangles): &FlatSheet| {
            let mut are_flat = vec![false; points.len()];
            triangles.iter().flatten().for_each(|vertex| are_flat[*vertex as usize] = true);
            are_flat
        };
        self.sheets.iter().flat_map(of_sheet).collect()
    }
}

/// Writes a cortex, without outlines: place them as [`OVERLAYS`].
///
/// # Errors
/// Input: the surfaces of a hemisphere have different numbers of vertices. Environment: a file cannot be written.
pub fn write(
    folder: &Path,
    source: &str,
    subject: &str,
    hemispheres: &[NewCortexHemisphere],
    transforms: &[(String, Transform)],
) -> Result<(), Failure> {
    let below = folder.join(TRANSFORMS);
    fs::create_dir_all(&below).map_err(|error| Failure::io("make the folder", &below, &error))?;
    let mut about = AboutCortex {
        source: source.to_owned(),
        subject: subject.to_owned(),
        hemispheres: Vec::new(),
        transforms: transforms.iter().map(|(name, _)| name.clone()).collect(),
    };
    about.transforms.sort();
    for new in hemispheres {
        let (name, vertices) = (new.hemisphere.name(), new.flat.coordinates.len());
        let counts = [vertices, new.pial.coordinates.len(), new.white.coordinates.len(), new.curvature.len()];
        if counts.iter().any(|count| *count != vertices) {
            let [flat, pial, white, curvature] = counts;
            return Err(Failure::input(format!(
                "the surfaces of `{name}` have different numbers of vertices: flat {flat}, pial {pial}, white {white}, \
                 curvature {curvature}"
            ))
            .hint("they are not of one subject, or the flat one was cut out of another mesh"));
        }
        for surface in SurfaceName::ALL {
            let mesh = match surface {
                SurfaceName::Flat => &new.flat,
                SurfaceName::Pial => &new.pial,
                SurfaceName::White => &new.white,
            };
            gifti::write_surface(&folder.join(surface_file(new.hemisphere, surface)), mesh)?;
        }
        gifti::write_scalars(&folder.join(curvature_file(new.hemisphere)), &new.curvature)?;
        let curvature = new.curvature_from.clone();
        about.hemispheres.push(AboutHemisphere { name: name.to_owned(), vertices, curvature });
    }
    for (name, transform) in transforms {
        write_json(&below.join(format!("{name}.json")), transform)?;
    }
    write_json(&folder.join(ABOUT), &about)
}

fn surface_file(hemisphere: Hemisphere, name: SurfaceName) -> String {
    format!("{}.{}.surf.gii", hemisphere.name(), name.word())
}

fn curvature_file(hemisphere: Hemisphere) -> String {
    format!("{}.curvature.func.gii", hemisphere.name())
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hemisphere(hemisphere: Hemisphere) -> NewCortexHemisphere {
        let surface = |z: f32| Surface {
            coordinates: vec![[0.0, 0.0, z], [2.0, 0.0, z], [0.0, 2.0, z], [2.0, 2.0, z]],
            triangles: vec![[0, 1, 2], [1, 3, 2]],
        };
        let flat = Surface { triangles: vec![[0, 1, 2]], ..surface(0.0) };
        NewCortexHemisphere {
            hemisphere,
            flat,
            pial: surface(3.0),
            white: surface(1.0),
            curvature: vec![0.5, -0.25, 0.0, 1.0],
            curvature_from: "computed".to_owned(),
        }
    }

    fn transform() -> Transform {
        let unit = [[1.0, 0.0, 0.0, 0.1], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        Transform { to_voxels: unit, shape: [4, 5, 6], affine: unit }
    }

    #[test]
    fn a_cortex_comes_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let both = [hemisphere(Hemisphere::Left), hemisphere(Hemisphere::Right)];
        let transforms = [("b".to_owned(), transform()), ("a".to_owned(), transform())];
        write(folder.path(), "pycortex", "S1", &both, &transforms).unwrap();
        let cortex = FlattenedCortex::open(folder.path()).unwrap();
        assert_eq!(cortex.hemispheres().unwrap(), [(Hemisphere::Left, 4), (Hemisphere::Right, 4)]);
        assert_eq!(cortex.surface(Hemisphere::Right, SurfaceName::Flat).unwrap(), both[1].flat);
        assert_eq!(cortex.surface(Hemisphere::Left, SurfaceName::Pial).unwrap(), both[0].pial);
        assert_eq!(cortex.curvature(Hemisphere::Left).unwrap(), both[0].curvature);
        assert_eq!(cortex.transform("b").unwrap(), ("b".to_owned(), transform()));
        assert_eq!(cortex.transform("").unwrap_err().message, "the cortex has several transforms: `a`, `b`");
        assert_eq!(cortex.transform("c").unwrap_err().message, "the cortex has no transform `c`, only `a`, `b`");
        assert_eq!(cortex.overlays(), None);
    }

    #[test]
    fn hemispheres_are_joined_left_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut right = hemisphere(Hemisphere::Right);
        right.flat.triangles = vec![[1, 3, 2]];
        right.pial.coordinates[3] = [7.0, 8.0, 9.0];
        right.curvature[0] = -1.0;
        write(folder.path(), "", "", &[hemisphere(Hemisphere::Left), right], &[]).unwrap();
        let cortex = FlattenedCortex::open(folder.path()).unwrap();
        let points = cortex.points(SurfaceName::Pial).unwrap();
        assert_eq!((points.len(), points[3], points[7]), (8, [2.0, 2.0, 3.0], [7.0, 8.0, 9.0]));
        assert_eq!(cortex.curvatures().unwrap(), [0.5, -0.25, 0.0, 1.0, -1.0, -0.25, 0.0, 1.0]);
        let sheets = cortex.flat_sheets().unwrap();
        assert_eq!(sheets.are_flat(), [true, true, true, false, false, true, true, true]);
        let meshes = sheets.meshes();
        assert_eq!((meshes[0].triangles, meshes[1].triangles), (&[[0, 1, 2]][..], &[[1, 3, 2]][..]));
        assert_eq!(meshes[1].points, [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]);
        fs::remove_file(folder.path().join("lh.flat.surf.gii")).unwrap();
        fs::remove_file(folder.path().join("rh.flat.surf.gii")).unwrap();
        let failure = cortex.flat_sheets().unwrap_err();
        assert!(failure.place.unwrap().ends_with("lh.flat.surf.gii"));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut left = hemisphere(Hemisphere::Left);
        left.pial.coordinates.push([0.0; 3]);
        let failure = write(folder.path(), "", "", &[left], &[]).unwrap_err();
        assert!(failure.message.contains("flat 4, pial 5, white 4"), "{failure}");
        write(folder.path(), "", "", &[hemisphere(Hemisphere::Left)], &[]).unwrap();
        let cortex = FlattenedCortex::open(folder.path()).unwrap();
        assert!(cortex.transform("").unwrap_err().message.contains("has no transform"));
        gifti::write_scalars(&folder.path().join("lh.curvature.func.gii"), &[0.0; 3]).unwrap();
        assert_eq!(cortex.curvature(Hemisphere::Left).unwrap_err().message, "found 3 vertices, expected 4");
        let text = fs::read_to_string(folder.path().join(ABOUT)).unwrap().replace("\"lh\"", "\"mid\"");
        fs::write(folder.path().join(ABOUT), text).unwrap();
        assert!(FlattenedCortex::open(folder.path()).unwrap_err().message.contains("not `lh`, `rh` or both"));
    }
}
