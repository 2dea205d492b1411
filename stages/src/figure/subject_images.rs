//! Images of a subject's flat map as figures show them: channels by name, and how much of each pixel the map covers.
//!
//! The networks' images are painted with zeros around the map and then made smaller, so a pixel at the rim holds its value times the
//! share of it that is painted. Shown as it is, that is a dark rim which is not in the data. Decides how it is undone: the share is
//! computed from the subject's mesh as the images were, values are divided by it, and figures show a pixel with that opacity. Without
//! the mesh, the two pixels at the rim that can be mixtures are left out. Independent of what is shown.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Coordinates, Failure};

use super::outline::{Segment, level_lines};
use crate::formats::drawing::{CanvasPoint, Colour, Raster};
use crate::formats::subject_folder::Subject;
use crate::formats::tensors;
use crate::hemisphere::Hemisphere;
use crate::numeric::counts::real;
use crate::numeric::flatmap::{self, PAINTED_PIXELS, side_by_side};
use crate::numeric::resize::resize;

/// The subject of an artifact at a gathering port.
///
/// # Errors
/// Input: it has no coordinate `sid`.
pub(super) fn sid<'a>(at: &'a Coordinates, port: &str) -> Result<&'a str, Failure> {
    at.get("sid").map(String::as_str).ok_or_else(|| {
        Failure::input(format!("an artifact at port `{port}` has the coordinates [{at}], expected one on `sid`"))
    })
}

/// One subject's images.
pub(super) struct SubjectImages {
    pub sid: String,
    pub rows: usize,
    /// Both hemispheres, left first.
    pub columns: usize,
    /// One value a pixel, as if the whole pixel were painted; 0 where nothing is.
    pub channels: BTreeMap<String, Vec<f32>>,
    /// Share of each pixel that the map covers, 0 to 1.
    pub coverage: Vec<f32>,
}

/// Share of a pixel below which its value cannot be recovered from rounding.
const LEAST: f32 = 0.05;

impl SubjectImages {
    /// Reads the images; `subject` are the files of the subject they were painted from.
    ///
    /// # Errors
    /// Input: not images, or images and files that belong to different subjects; as [`tensors::read`] and [`Subject::registered`].
    pub(super) fn read(sid: &str, file: &Path, subject: Option<&Path>) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(file.display().to_string());
        let NamedImages { names, rows, columns, values, radius } = NamedImages::read(file, "images")?;
        if columns != 2 * rows {
            let message =
                format!("images of {rows} x {columns} pixels, expected both hemispheres, twice as wide as high");
            return Err(at(Failure::input(message)));
        }
        let size = rows * columns;
        let coverage = match subject {
            Some(folder) => painted_share(&Subject::open(folder)?, radius, rows, file)?,
            None => inner_pixels(&values, rows, columns),
        };
        let mut channels = BTreeMap::new();
        for (name, image) in names.into_iter().zip(values.chunks_exact(size)) {
            let whole = |(value, share): (&f32, &f32)| if *share >= LEAST { value / share } else { 0.0 };
            channels.insert(name, image.iter().zip(&coverage).map(whole).collect());
        }
        Ok(Self { sid: sid.to_string(), rows, columns, channels, coverage })
    }

    /// Whether a pixel shows enough cortex to have a value.
    pub(super) fn shows(&self, pixel: usize) -> bool {
        self.coverage[pixel] >= LEAST
    }

    /// The pixels as a picture; those without a colour stay transparent.
    pub(super) fn picture(&self, colour: impl Fn(usize) -> Option<Colour>) -> Raster {
        let mut picture = Raster::new(self.columns, self.rows);
        for pixel in (0..self.coverage.len()).filter(|pixel| self.shows(*pixel)) {
            if let Some(colour) = colour(pixel) {
                let share = f64::from(self.coverage[pixel]);
                picture.set_partly(pixel % self.columns, pixel / self.columns, colour, share);
            }
        }
        picture
    }
}

/// The share of every pixel that is painted, of the hemisphere to which it belongs; 0 where the other hemisphere is mixed in, across the
/// seam in the middle.
fn painted_share(subject: &Subject, radius: f64, rows: usize, images: &Path) -> Result<Vec<f32>, Failure> {
    let nothing = vec![0.0; PAINTED_PIXELS * PAINTED_PIXELS];
    let mask = |hemisphere: Hemisphere| -> Result<Vec<f32>, Failure> {
        let mesh = subject.registered(hemisphere)?;
        let map = flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, radius.to_radians())
            .map_err(|failure| failure.at(format!("{}, {}", images.display(), subject.place(hemisphere))))?;
        Ok(map.raster(PAINTED_PIXELS).linear(&vec![1.0; mesh.sphere.len()]))
    };
    let small = |left: &[f32], right: &[f32]| {
        let both = side_by_side(left, right, PAINTED_PIXELS);
        resize(&both, 1, (PAINTED_PIXELS, 2 * PAINTED_PIXELS), (rows, 2 * rows))
    };
    let left = small(&mask(Hemisphere::Left)?, &nothing);
    let right = small(&nothing, &mask(Hemisphere::Right)?);
    let share = |(pixel, (left, right)): (usize, (&f32, &f32))| {
        let (own, other) = if pixel % (2 * rows) < rows { (left, right) } else { (right, left) };
        if *other > 0.0 { 0.0 } else { *own }
    };
    Ok(left.iter().zip(&right).enumerate().map(share).collect())
}

/// 1 for pixels that are farther than two from any without a value, from the border and from the seam in the middle, else 0.
fn inner_pixels(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let size = rows * columns;
    // Outside the map every channel is exactly 0; on it coordinates practically never all are.
    let cortex: Vec<bool> = (0..size).map(|pixel| values.chunks_exact(size).any(|image| image[pixel] != 0.0)).collect();
    let inner = |pixel: usize| {
        let (row, column) = (pixel / columns, pixel % columns);
        let of_half = column % rows;
        let far = |at: usize| (RIM..rows.saturating_sub(RIM)).contains(&at);
        let mut around = (row.saturating_sub(RIM)..(row + RIM + 1).min(rows)).flat_map(|row| {
            let beside = column.saturating_sub(RIM)..(column + RIM + 1).min(columns);
            beside.map(move |column| row * columns + column)
        });
        far(row) && far(of_half) && around.all(|pixel| cortex[pixel])
    };
    (0..size).map(|pixel| if inner(pixel) { 1.0 } else { 0.0 }).collect()
}

/// How many pixels at the rim can be mixtures: making images smaller reads one pixel beyond each, and a pixel with a value may itself be
/// mostly outside.
const RIM: usize = 2;

/// A tensor of named images, all channels of one size.
pub(super) struct NamedImages {
    pub names: Vec<String>,
    pub rows: usize,
    pub columns: usize,
    /// Channel by channel, row by row.
    pub values: Vec<f32>,
    /// How far the map reaches, in degrees.
    radius: f64,
}

impl NamedImages {
    /// Reads `images` or `targets`.
    ///
    /// # Errors
    /// Input: another shape than the names of its channels say, or no radius.
    pub(super) fn read(file: &Path, tensor: &str) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(file.display().to_string());
        let file = tensors::read(file)?;
        let (shape, values) = file.floats(tensor).map_err(at)?;
        let names: Vec<String> = file.names("channels").map_err(at)?.into_iter().map(String::from).collect();
        let radius = file.text("radius").map_err(at)?;
        let radius: f64 = radius.parse().map_err(|_| {
            at(Failure::input(format!("the radius of the map is `{radius}`, expected a number of degrees")))
        })?;
        match *shape {
            [channels, rows, columns] if channels == names.len() && rows > 0 && columns > 0 => {
                Ok(Self { names, rows, columns, values: values.to_vec(), radius })
            }
            _ => Err(at(Failure::input(format!(
                "`{tensor}` has the shape {shape:?}, expected [{}, rows, columns] for its {} channels",
                names.len(),
                names.len()
            )))),
        }
    }

    /// Reads the label images of a subject whose images are given.
    ///
    /// # Errors
    /// As [`read`](Self::read); Input: another size.
    pub(super) fn targets(file: &Path, of: &SubjectImages) -> Result<Self, Failure> {
        let targets = Self::read(file, "targets")?;
        if (targets.rows, targets.columns) != (of.rows, of.columns) {
            let message = format!(
                "targets of {} x {} pixels, but images of {} x {}",
                targets.rows, targets.columns, of.rows, of.columns
            );
            return Err(Failure::input(message).at(file.display().to_string()));
        }
        Ok(targets)
    }

    /// The channels whose names begin with a letter: `V` for areas, `E` for rings.
    pub(super) fn beginning(&self, letter: char) -> impl Iterator<Item = (&str, &[f32])> {
        let images = self.values.chunks_exact(self.rows * self.columns);
        let all = self.names.iter().map(String::as_str).zip(images);
        all.filter(move |(name, _)| name.starts_with(letter))
    }

    /// The borders of areas, in pixels.
    pub(super) fn borders(&self) -> Vec<Segment> {
        self.beginning('V').flat_map(|(_, image)| level_lines(image, self.columns, 0.5)).collect()
    }

    /// Segments in pixels as lines on a drawing, in a rectangle with its upper left corner at `at`.
    pub(super) fn placed(
        &self,
        segments: &[Segment],
        at: CanvasPoint,
        (width, height): (f64, f64),
    ) -> Vec<Vec<CanvasPoint>> {
        let (columns, rows) = (real(self.columns), real(self.rows));
        let place = |[x, y]: [f64; 2]| (at.0 + x / columns * width, at.1 + y / rows * height);
        segments.iter().map(|segment| segment.map(place).to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::small_subject::write_subject;

    /// Images of 16 rows whose first channel is `value` wherever the map is, painted as `flatmap/images` does.
    fn images(folder: &Path, sid: &str, value: f32) -> (std::path::PathBuf, std::path::PathBuf) {
        let subject = write_subject(folder, sid);
        let opened = Subject::open(&subject).unwrap();
        let half = |hemisphere| {
            let mesh = opened.registered(hemisphere).unwrap();
            let map = flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, 80f64.to_radians()).unwrap();
            map.raster(PAINTED_PIXELS).linear(&vec![value; mesh.sphere.len()])
        };
        let both = side_by_side(&half(Hemisphere::Left), &half(Hemisphere::Right), PAINTED_PIXELS);
        let small = resize(&both, 1, (PAINTED_PIXELS, 2 * PAINTED_PIXELS), (16, 32));
        let file = folder.join(format!("{sid}.safetensors"));
        let tensors = tensors::Tensors::new()
            .with("images", tensors::Tensor::f32(&[1, 16, 32], small))
            .about("channels", "thickness")
            .about("radius", "80");
        tensors::write(&file, &tensors).unwrap();
        (subject, file)
    }

    #[test]
    fn the_rim_has_the_value_of_the_map() {
        let folder = tempfile::tempdir().unwrap();
        let (subject, file) = images(folder.path(), "s01", 2.5);
        let raw = NamedImages::read(&file, "images").unwrap();
        assert!(raw.values.iter().any(|value| (0.2..2.4).contains(value)), "the fixture has no mixed pixel");
        let whole = SubjectImages::read("s01", &file, Some(&subject)).unwrap();
        let shown: Vec<f32> =
            (0..512).filter(|pixel| whole.shows(*pixel)).map(|pixel| whole.channels["thickness"][pixel]).collect();
        assert!(shown.len() > 300, "{}", shown.len());
        assert!(shown.iter().all(|value| (value - 2.5).abs() < 1e-4), "{shown:?}");
        assert!(whole.coverage.iter().any(|share| (0.2..0.8).contains(share)), "the rim is partly covered");
    }

    #[test]
    fn without_the_mesh_pixels_that_can_be_mixed_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let (_, file) = images(folder.path(), "s01", 2.5);
        let inner = SubjectImages::read("s01", &file, None).unwrap();
        let shown: Vec<usize> = (0..512).filter(|pixel| inner.shows(*pixel)).collect();
        assert!(shown.len() > 100, "{}", shown.len());
        assert!(shown.iter().all(|pixel| (inner.channels["thickness"][*pixel] - 2.5).abs() < 1e-4));
        assert!(shown.iter().all(|pixel| !(14..=17).contains(&(pixel % 32))), "the seam is left out");
    }
}
