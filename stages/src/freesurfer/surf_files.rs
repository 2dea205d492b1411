//! The files of one hemisphere in the `surf/` folder of a FreeSurfer subject: which are needed, which of them there are, and what must
//! hold of them and between them.
//!
//! The least that is needed: `white`, `pial`, `curv`, `sulc`, `thickness`, `sphere.reg`, and `area` or `area.mid`. Missing files are
//! all named at once, because an unfinished `recon-all` lacks many. What FreeSurfer writes only in some versions is computed
//! as it does: the surface halfway between white and pial, and `area.mid` as the mean of the areas of both. fsaverage5 as the
//! package nilearn has it (`white_left.gii.gz`, ...) is read too.

use std::path::{Path, PathBuf};

use pipe_contract::{Failure, choice};

use crate::formats::freesurfer::{self, Surface};
use crate::formats::gifti;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::mesh::{self, vertex_areas};
use crate::numeric::vector::norm;

/// The files that are always needed, without `lh.` or `rh.`; `area` may be `area.mid`.
const NEEDED: [&str; 6] = ["white", "pial", "sphere.reg", "curv", "sulc", "thickness"];

choice! {
    /// In which unit the depth (`sulc`) is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum SulcUnit {
        /// Decided from its spread.
        Auto = "auto",
        /// About centimetres: FreeSurfer 5.
        Cm = "cm",
        /// About millimetres: FreeSurfer 6 and later.
        Mm = "mm",
    }
}

/// Standard deviations of `sulc` over a hemisphere that FreeSurfer 5 gives (adults: about 0.6), with room for other heads.
const CM_SPREAD: std::ops::Range<f64> = 0.2..1.4;
/// The same from FreeSurfer 6 on: ten times as much.
const MM_SPREAD: std::ops::Range<f64> = 2.4..14.0;

/// How files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// `lh.white`.
    FreeSurfer,
    /// `white_left.gii.gz`.
    Nilearn,
}

/// The `surf/` folder of a subject.
pub(super) struct SurfFolder {
    folder: PathBuf,
    layout: Layout,
}

/// One hemisphere as FreeSurfer has it, checked.
#[derive(Debug)]
pub(super) struct SurfHemisphere {
    pub(super) white: Surface,
    pub(super) pial: Surface,
    pub(super) sphere: Surface,
    pub(super) curvature: Vec<f32>,
    /// As in the file.
    pub(super) sulc: Vec<f32>,
    pub(super) thickness: Vec<f32>,
    /// Area of the surface halfway between white and pial, mm^2.
    pub(super) area: Vec<f32>,
}

impl SurfFolder {
    /// A folder: `surf/` itself, one that has it, or nilearn's files.
    pub(super) fn open(folder: &Path) -> Self {
        let below = folder.join("surf");
        let folder = if below.is_dir() { below } else { folder.to_path_buf() };
        let nilearn = ["left", "right"].iter().any(|side| folder.join(format!("white_{side}.gii.gz")).is_file());
        Self { layout: if nilearn { Layout::Nilearn } else { Layout::FreeSurfer }, folder }
    }

    /// What a file is called here.
    fn name(&self, hemisphere: Hemisphere, file: &str) -> String {
        let side = if hemisphere == Hemisphere::Left { "left" } else { "right" };
        match (self.layout, file) {
            (Layout::FreeSurfer, _) => format!("{}.{file}", hemisphere.name()),
            (Layout::Nilearn, "sphere.reg") => format!("sphere_{side}.gii.gz"),
            (Layout::Nilearn, "thickness") => format!("thick_{side}.gii.gz"),
            (Layout::Nilearn, _) => format!("{file}_{side}.gii.gz"),
        }
    }

    fn has(&self, hemisphere: Hemisphere, file: &str) -> bool {
        self.folder.join(self.name(hemisphere, file)).is_file()
    }

    /// The names of the needed files of a hemisphere that are not there.
    fn missing(&self, hemisphere: Hemisphere) -> Vec<String> {
        let needed = NEEDED.iter().filter(|file| !self.has(hemisphere, file)).map(|file| self.name(hemisphere, file));
        let no_area = !self.has(hemisphere, "area") && !self.has(hemisphere, "area.mid");
        needed.chain(no_area.then(|| self.name(hemisphere, "area"))).collect()
    }

    /// The hemispheres that can be read: both, or one if that is accepted.
    ///
    /// # Errors
    /// Input: files are missing, all of which are named.
    pub(super) fn hemispheres(&self, accept_one: bool) -> Result<Vec<Hemisphere>, Failure> {
        let missing: Vec<Vec<String>> = HEMISPHERES.iter().map(|hemisphere| self.missing(*hemisphere)).collect();
        let lacks_all = |names: &Vec<String>| names.len() == NEEDED.len() + 1;
        let whole: Vec<Hemisphere> =
            HEMISPHERES.into_iter().zip(&missing).filter(|(_, names)| names.is_empty()).map(|(h, _)| h).collect();
        match (&whole[..], missing.iter().find(|names| lacks_all(names))) {
            ([_, _], _) => Ok(whole),
            ([_], Some(_)) if accept_one => Ok(whole),
            ([there], Some(_)) => {
                let other = if *there == Hemisphere::Left { "right" } else { "left" };
                Err(Failure::input(format!("no file of the {other} hemisphere is there")).hint(
                    "networks see both hemispheres at once; `one_hemisphere: true` predicts from one alone, and marks the results",
                ))
            }
            _ => Err(self.unfinished(&missing.concat())),
        }
    }

    fn unfinished(&self, missing: &[String]) -> Failure {
        let count = 2 * (NEEDED.len() + 1);
        let message = format!("{} of {count} needed files are missing: {}", missing.len(), missing.join(", "));
        let failure = Failure::input(message);
        match missing.len() == count {
            true => failure.hint("is this the `surf` folder of a subject that `recon-all` has finished?"),
            false => failure.hint("`recon-all` has not finished, or only a part of its files was copied: `recon-all -all` makes all of them"),
        }
    }

    /// Reads a hemisphere.
    ///
    /// # Errors
    /// Input: a file is damaged, does not fit the others, or cannot be of a human cortex.
    pub(super) fn read(&self, hemisphere: Hemisphere) -> Result<SurfHemisphere, Failure> {
        let white = self.surface(hemisphere, "white")?;
        let vertices = white.coordinates.len();
        let pial = self.same_mesh(hemisphere, "pial", &white)?;
        let sphere = self.surface(hemisphere, "sphere.reg")?;
        self.check_count(hemisphere, "sphere.reg", sphere.coordinates.len(), vertices)?;
        mesh::sphere_radius(&sphere.points()).map_err(|failure| self.placed(failure, hemisphere, "sphere.reg"))?;
        self.check_size(hemisphere, &white)?;
        let curvature = self.map(hemisphere, "curv", vertices)?;
        self.check_varies(hemisphere, "curv", &curvature)?;
        let area = self.area(hemisphere, &pial)?;
        Ok(SurfHemisphere {
            sulc: self.map(hemisphere, "sulc", vertices)?,
            thickness: self.map(hemisphere, "thickness", vertices)?,
            white,
            pial,
            sphere,
            curvature,
            area,
        })
    }

    /// `area.mid`, or the mean of the areas of white and pial, which is what FreeSurfer writes there.
    fn area(&self, hemisphere: Hemisphere, pial: &Surface) -> Result<Vec<f32>, Failure> {
        let vertices = pial.coordinates.len();
        if self.has(hemisphere, "area.mid") {
            return self.map(hemisphere, "area.mid", vertices);
        }
        let white = self.map(hemisphere, "area", vertices)?;
        let outer = vertex_areas(&pial.points(), &pial.triangles);
        Ok(white.iter().zip(outer).map(|(white, pial)| ((f64::from(*white) + pial) / 2.0) as f32).collect())
    }

    fn surface(&self, hemisphere: Hemisphere, file: &str) -> Result<Surface, Failure> {
        let path = self.folder.join(self.name(hemisphere, file));
        let read = match self.layout {
            Layout::FreeSurfer => freesurfer::read_surface(&path),
            Layout::Nilearn => gifti::read_surface(&path),
        };
        let surface = read.map_err(|failure| self.placed(failure, hemisphere, file))?;
        mesh::check(&surface.points(), &surface.triangles).map_err(|failure| self.placed(failure, hemisphere, file))?;
        Ok(surface)
    }

    /// A surface with the triangles of `white`.
    fn same_mesh(&self, hemisphere: Hemisphere, file: &str, white: &Surface) -> Result<Surface, Failure> {
        let surface = self.surface(hemisphere, file)?;
        self.check_count(hemisphere, file, surface.coordinates.len(), white.coordinates.len())?;
        if surface.triangles == white.triangles {
            return Ok(surface);
        }
        let message = format!("its triangles are not those of `{}`", self.name(hemisphere, "white"));
        Err(self.placed(Failure::input(message).hint(MIXED), hemisphere, file))
    }

    fn map(&self, hemisphere: Hemisphere, file: &str, vertices: usize) -> Result<Vec<f32>, Failure> {
        let path = self.folder.join(self.name(hemisphere, file));
        let read = match self.layout {
            Layout::FreeSurfer => freesurfer::read_morphometry(&path),
            Layout::Nilearn => gifti::read_scalars(&path),
        };
        let values = read.map_err(|failure| self.placed(failure, hemisphere, file))?;
        self.check_count(hemisphere, file, values.len(), vertices)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(first) => {
                let count = values.iter().filter(|value| !value.is_finite()).count();
                let message =
                    format!("{count} of {vertices} values are not numbers (the first, {}, at {first})", values[first]);
                let hint = "the program that wrote it has failed for this subject: run it again";
                Err(self.placed(Failure::input(message).hint(hint), hemisphere, file))
            }
        }
    }

    fn check_count(&self, hemisphere: Hemisphere, file: &str, found: usize, vertices: usize) -> Result<(), Failure> {
        if found == vertices {
            return Ok(());
        }
        let white = self.name(hemisphere, "white");
        let message = format!("it is of a mesh of {found} vertices, but `{white}` has {vertices}");
        Err(self.placed(Failure::input(message).hint(MIXED), hemisphere, file))
    }

    fn check_varies(&self, hemisphere: Hemisphere, file: &str, values: &[f32]) -> Result<(), Failure> {
        if values.iter().any(|value| *value != values[0]) {
            return Ok(());
        }
        let message = format!("all {} values are {}", values.len(), values[0]);
        Err(self.placed(Failure::input(message).hint("the file was not computed for this subject"), hemisphere, file))
    }

    /// A hemisphere of a human brain, newborns included, is 60 to 250 mm long.
    fn check_size(&self, hemisphere: Hemisphere, white: &Surface) -> Result<(), Failure> {
        let extent = |axis: usize| {
            let range = white.coordinates.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], point| {
                [low.min(point[axis]), high.max(point[axis])]
            });
            f64::from(range[1] - range[0])
        };
        let longest = (0..3).map(extent).fold(0.0, f64::max);
        if (60.0..=250.0).contains(&longest) {
            return Ok(());
        }
        let message = format!("the hemisphere is {longest:.3} mm long, expected 60 to 250");
        Err(self.placed(
            Failure::input(message).hint("coordinates are expected in millimetres, on a human brain"),
            hemisphere,
            "white",
        ))
    }

    fn placed(&self, failure: Failure, hemisphere: Hemisphere, file: &str) -> Failure {
        let hint = failure.hint.clone().or_else(|| Some("copy the file again, or run `recon-all` again".to_owned()));
        Failure { place: Some(format!("surf/{}", self.name(hemisphere, file))), hint, ..failure }
    }
}

/// What to do about files that do not fit each other.
const MIXED: &str = "the files of this subject are from different runs of `recon-all`: copy all of one run";

/// Checks that left and right are not swapped: FreeSurfer's x axis points to the right.
///
/// # Errors
/// Input: the left hemisphere lies to the right of the right one.
pub(super) fn check_sides(left: &SurfHemisphere, right: &SurfHemisphere) -> Result<(), Failure> {
    let middle = |side: &SurfHemisphere| {
        side.white.coordinates.iter().map(|point| f64::from(point[0])).sum::<f64>()
            / side.white.coordinates.len() as f64
    };
    let (left, right) = (middle(left), middle(right));
    if left < right {
        return Ok(());
    }
    Err(Failure::input(format!(
        "the left hemisphere lies to the right of the right one (mean x {left:.1} and {right:.1} mm)"
    ))
    .at("surf/lh.white, surf/rh.white")
    .hint("the files of left and right are swapped, or the image was read with left and right flipped"))
}

/// The unit of the depth, and the sentence that shows how it was decided.
///
/// # Errors
/// Input: the spread is that of neither unit.
pub(super) fn unit_of_sulc(asked: SulcUnit, sulc: &[&[f32]]) -> Result<(SulcUnit, String), Failure> {
    let spread = spread(sulc);
    let shown = format!("the spread (s.d.) of `sulc` is {spread:.2}");
    match asked {
        SulcUnit::Auto if CM_SPREAD.contains(&spread) => {
            Ok((SulcUnit::Cm, format!("{shown}: the unit of FreeSurfer 5, about cm")))
        }
        SulcUnit::Auto if MM_SPREAD.contains(&spread) => {
            Ok((SulcUnit::Mm, format!("{shown}: the unit of FreeSurfer 6 to 8, about mm; divided by 10")))
        }
        SulcUnit::Auto => Err(Failure::input(format!(
            "{shown}, expected {} to {} (FreeSurfer 5, about cm) or {} to {} (FreeSurfer 6 to 8, about mm)",
            CM_SPREAD.start, CM_SPREAD.end, MM_SPREAD.start, MM_SPREAD.end
        ))
        .at("surf/lh.sulc, surf/rh.sulc")
        .hint("if the files are right, say the unit: `sulc: cm` or `sulc: mm`")),
        SulcUnit::Cm => Ok((SulcUnit::Cm, format!("{shown}; taken as cm, because `sulc: cm` says so"))),
        SulcUnit::Mm => {
            Ok((SulcUnit::Mm, format!("{shown}; taken as mm and divided by 10, because `sulc: mm` says so")))
        }
    }
}

/// The standard deviation over all values.
fn spread(maps: &[&[f32]]) -> f64 {
    let values = || maps.iter().flat_map(|map| map.iter().map(|value| f64::from(*value)));
    let count = values().count().max(1) as f64;
    let mean = values().sum::<f64>() / count;
    (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

impl SurfHemisphere {
    /// Points halfway between white and pial.
    pub(super) fn midthickness(&self) -> Vec<[f32; 3]> {
        let half = |(white, pial): (&[f32; 3], &[f32; 3])| std::array::from_fn(|axis| (white[axis] + pial[axis]) / 2.0);
        self.white.coordinates.iter().zip(&self.pial.coordinates).map(half).collect()
    }

    /// The mean radius of the registered sphere.
    pub(super) fn radius(&self) -> f64 {
        self.sphere.points().iter().map(|point| norm(*point)).sum::<f64>() / self.sphere.coordinates.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_depth_follows_from_its_spread() {
        let map = |size: f32| -> Vec<f32> { (0..1000).map(|at| if at % 2 == 0 { size } else { -size }).collect() };
        let unit = |size: f32| unit_of_sulc(SulcUnit::Auto, &[&map(size), &map(size)]);
        assert_eq!(unit(0.58).unwrap().0, SulcUnit::Cm);
        assert_eq!(
            unit(5.8).unwrap(),
            (
                SulcUnit::Mm,
                "the spread (s.d.) of `sulc` is 5.80: the unit of FreeSurfer 6 to 8, about mm; divided by 10".into()
            )
        );
        for odd in [0.0, 0.1, 1.8, 30.0] {
            let failure = unit(odd).unwrap_err();
            assert!(failure.message.contains("expected 0.2 to 1.4") && failure.hint.unwrap().contains("sulc: mm"));
        }
        assert_eq!(unit_of_sulc(SulcUnit::Mm, &[&map(1.8)]).unwrap().0, SulcUnit::Mm);
    }
}
