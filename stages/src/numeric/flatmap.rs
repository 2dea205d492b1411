//! The flat map of the occipital cortex, its pictures, and the way back from pictures to vertices.
//!
//! Reproduces sections 2.1 to 2.3 and 4.1 of the analysis by Benson, Song et al. (2025): the orthographic
//! projection of the registered sphere, a pixel grid over the bounding box of the subject's map, painting, and
//! nearest-pixel sampling. Two oddities of the original are kept, because published weights have seen them:
//! the radius of the disc of candidate pixels takes the middle of y from x and the other way round, and the pixel
//! grid is single precision.

use pipe_contract::Failure;
use rayon::prelude::*;

use super::address::Address;
use super::mesh;
use super::plane::PlaneLocator;
use super::projection::{Rotation, occipital_pole};
use super::resize::resize;
use super::vector::Point;
use crate::hemisphere::Hemisphere;

/// Rows, and columns per hemisphere, of the images that the original paints and keeps before any resizing.
pub const PAINTED_PIXELS: usize = 512;

/// The map of one hemisphere: the part of the mesh around the occipital pole, flattened.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatMap {
    /// The hemisphere's vertices that lie on the map, ascending. "Map vertex `i`" below is the `i`-th of these.
    pub vertices: Vec<u32>,
    /// Where they lie: x to the right, y up, in units of the sphere (mm at a radius of 100).
    pub coordinates: Vec<[f64; 2]>,
    /// Triangles between map vertices (indices into [`vertices`](Self::vertices)).
    pub faces: Vec<[u32; 3]>,
    /// The box around the coordinates.
    pub bounds: Bounds,
}

/// A box of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Least and greatest x.
    pub x: [f64; 2],
    /// Least and greatest y.
    pub y: [f64; 2],
}

/// Projects the registered sphere of a hemisphere: the triangles of which all three vertices are closer than `radius`
/// (radians) to the occipital pole, and the vertices of these triangles.
///
/// `sphere` and `faces` are the native mesh registered to fsaverage, at any radius.
///
/// # Errors
/// Input: a broken mesh, a surface that is not a sphere, or no triangle near the pole.
pub fn project(sphere: &[Point], faces: &[[u32; 3]], hemisphere: Hemisphere, radius: f64) -> Result<FlatMap, Failure> {
    mesh::check(sphere, faces)?;
    let sphere_radius = mesh::sphere_radius(sphere)?;
    let rotation = Rotation::facing(&occipital_pole(hemisphere));
    let turned: Vec<Point> = sphere.iter().map(|&point| rotation.apply(point)).collect();
    let near: Vec<bool> =
        turned.iter().map(|point| libm::acos((point[2] / sphere_radius).clamp(-1.0, 1.0)) < radius).collect();
    let kept: Vec<[u32; 3]> =
        faces.iter().copied().filter(|face| face.iter().all(|&vertex| near[vertex as usize])).collect();
    let mut vertices: Vec<u32> = kept.iter().flatten().copied().collect();
    vertices.sort_unstable();
    vertices.dedup();
    let coordinates: Vec<[f64; 2]> = vertices.iter().map(|&v| [turned[v as usize][0], turned[v as usize][1]]).collect();
    let bounds = Bounds::around(&coordinates).ok_or_else(|| {
        Failure::input(format!(
            "no triangle of the sphere of hemisphere `{}` lies within {radius:.3} rad of the occipital pole",
            hemisphere.name()
        ))
    })?;
    let mut number = vec![0u32; sphere.len()];
    for (index, &vertex) in (0u32..).zip(&vertices) {
        number[vertex as usize] = index;
    }
    let faces = kept.into_iter().map(|face| face.map(|vertex| number[vertex as usize])).collect();
    Ok(FlatMap { vertices, coordinates, faces, bounds })
}

impl Bounds {
    fn around(points: &[[f64; 2]]) -> Option<Self> {
        let extent = |axis: usize| {
            points.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], point| {
                [low.min(point[axis]), high.max(point[axis])]
            })
        };
        (!points.is_empty()).then(|| Bounds { x: extent(0), y: extent(1) })
    }

    /// The radius of the disc of candidate pixels. The middles of x and y are swapped, as in the original.
    pub fn disc_radius(&self) -> f64 {
        let middle = |[low, high]: [f64; 2]| (high + low) / 2.0;
        (self.x[1] - middle(self.y)).max(self.y[1] - middle(self.x))
    }
}

impl FlatMap {
    /// Values of the map's vertices, out of values of all vertices of the hemisphere.
    ///
    /// # Panics
    /// If `values` is shorter than the hemisphere.
    pub fn pick<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.vertices.iter().map(|&vertex| values[vertex as usize]).collect()
    }

    /// Values of all `count` vertices of the hemisphere, out of values of the map's vertices; `fill` elsewhere.
    ///
    /// # Panics
    /// If `count` is less than the hemisphere has.
    pub fn spread<T: Copy>(&self, values: &[T], count: usize, fill: T) -> Vec<T> {
        let mut all = vec![fill; count];
        for (&vertex, &value) in self.vertices.iter().zip(values) {
            all[vertex as usize] = value;
        }
        all
    }

    /// Which points of the mesh the pixels of a square image show. Row 0 is the top (greatest y), column 0 the left.
    pub fn raster(&self, pixels: usize) -> FlatMapRaster {
        let xs = linspace(self.bounds.x[0], self.bounds.x[1], pixels);
        let ys = linspace(self.bounds.y[1], self.bounds.y[0], pixels);
        let disc = self.bounds.disc_radius() as f32;
        let locator = PlaneLocator::new(&self.coordinates, &self.faces);
        let rows: Vec<(usize, Vec<(u32, Address)>)> = (0..pixels)
            .into_par_iter()
            .map(|row| {
                let y = ys[row];
                let inside = (0..pixels).filter(|&column| (xs[column] * xs[column] + y * y).sqrt() < disc);
                let mut candidates = 0;
                let painted = inside.inspect(|_| candidates += 1).filter_map(|column| {
                    let address = locator.locate([f64::from(xs[column]), f64::from(y)])?;
                    let corners = address.corners.map(|vertex| self.vertices[vertex as usize]);
                    Some(((row * pixels + column) as u32, Address { corners, ..address }))
                });
                let painted = painted.collect();
                (candidates, painted)
            })
            .collect();
        let candidates = rows.iter().map(|(candidates, _)| candidates).sum();
        FlatMapRaster { pixels, candidates, painted: rows.into_iter().flat_map(|(_, painted)| painted).collect() }
    }

    /// The pixel, as (row, column), that is nearest to each map vertex in a square image; halves go to even numbers.
    pub fn pixels_of_vertices(&self, pixels: usize) -> Vec<(usize, usize)> {
        let last = pixels as f64 - 1.0;
        let place = |value: f64, from: f64, to: f64| (last * (value - from) / (to - from)).round_ties_even() as usize;
        let Bounds { x, y } = self.bounds;
        let clip = |index: usize| index.min(pixels - 1);
        let pixel = |&[px, py]: &[f64; 2]| (clip(place(py, y[1], y[0])), clip(place(px, x[0], x[1])));
        self.coordinates.iter().map(pixel).collect()
    }
}

/// `count` equally spaced numbers in single precision, both ends included, computed from the nearer end as libtorch
/// does. It multiplies and adds with one rounding on every processor that can (AVX2), so this does on all.
fn linspace(from: f64, to: f64, count: usize) -> Vec<f32> {
    let (from, to) = (from as f32, to as f32);
    let step = (to - from) / (count.max(2) - 1) as f32;
    (0..count)
        .map(|i| if i < count / 2 { step.mul_add(i as f32, from) } else { (-step).mul_add((count - 1 - i) as f32, to) })
        .collect()
}

/// Which points of a hemisphere's mesh the pixels of a square image show.
#[derive(Clone, Debug)]
pub struct FlatMapRaster {
    /// Rows and columns.
    pub pixels: usize,
    /// Pixels inside the disc; those of them that lie in a triangle are painted.
    pub candidates: usize,
    /// Painted pixels (row times pixels plus column), ascending, with addresses in the hemisphere's own vertex numbers.
    pub painted: Vec<(u32, Address)>,
}

impl FlatMapRaster {
    /// An image of values at the hemisphere's vertices, interpolated; 0 outside the map and where nothing is finite.
    ///
    /// # Panics
    /// If `values` is shorter than the hemisphere.
    pub fn linear(&self, values: &[f32]) -> Vec<f32> {
        self.paint(|address| address.linear(values) as f32)
    }

    /// An image of the values at each pixel's heaviest corner, passed through `show`; 0 outside the map.
    ///
    /// # Panics
    /// If `values` is shorter than the hemisphere.
    pub fn nearest<T: Copy>(&self, values: &[T], show: impl Fn(T) -> f32) -> Vec<f32> {
        self.paint(|address| show(address.nearest(values)))
    }

    fn paint(&self, value: impl Fn(&Address) -> f32) -> Vec<f32> {
        let mut image = vec![0.0; self.pixels * self.pixels];
        for (pixel, address) in &self.painted {
            let value = value(address);
            image[*pixel as usize] = if value.is_nan() { 0.0 } else { value };
        }
        image
    }
}

/// Both hemispheres side by side: `rows` by `2 * rows`, left hemisphere on the left.
///
/// # Panics
/// If one is not `rows` by `rows`.
pub fn side_by_side(left: &[f32], right: &[f32], rows: usize) -> Vec<f32> {
    assert!(left.len() == rows * rows && right.len() == rows * rows, "halves of a picture are not square");
    left.chunks_exact(rows).zip(right.chunks_exact(rows)).flat_map(|(l, r)| l.iter().chain(r).copied()).collect()
}

/// The half of one hemisphere of `channels` images of `pixels` by `2 * pixels`.
///
/// # Panics
/// If `images` has another length.
pub fn half(images: &[f32], channels: usize, pixels: usize, hemisphere: Hemisphere) -> Vec<f32> {
    assert_eq!(images.len(), channels * pixels * 2 * pixels, "images and their size disagree");
    let side = usize::from(hemisphere == Hemisphere::Right);
    images.chunks_exact(pixels).skip(side).step_by(2).flatten().copied().collect()
}

/// Probabilities at the map's vertices, `classes` a vertex, by steps 3 and 4 of the original's section 4.1: enlarge to 512 x 512 and take the
/// pixel nearest to each vertex.
///
/// `probabilities` is one hemisphere's half of the prediction, `classes` images of `pixels` by `pixels`.
///
/// # Panics
/// If `probabilities` is not `classes * pixels * pixels` long.
pub fn probabilities_at_vertices(probabilities: &[f32], classes: usize, pixels: usize, map: &FlatMap) -> Vec<f32> {
    let size = (PAINTED_PIXELS, PAINTED_PIXELS);
    let large = resize(probabilities, classes, (pixels, pixels), size);
    let at = |(row, column): (usize, usize)| {
        let pixel = row * PAINTED_PIXELS + column;
        (0..classes).map(|class| large[class * PAINTED_PIXELS * PAINTED_PIXELS + pixel]).collect::<Vec<f32>>()
    };
    map.pixels_of_vertices(PAINTED_PIXELS).into_iter().flat_map(at).collect()
}

/// The label of a vertex by step 5 of that section: the most probable class `k` as label `k + 1` if its probability is more than 1 minus
/// the sum of all, else 0.
pub fn label_of(probabilities: &[f32]) -> i32 {
    let (mut sum, mut best) = (0.0f32, (f32::NEG_INFINITY, 0));
    for (probability, label) in probabilities.iter().zip(1..) {
        sum += probability;
        if *probability > best.0 {
            best = (*probability, label);
        }
    }
    if best.0 > 1.0 - sum { best.1 } else { 0 }
}

/// Labels of the map's vertices from predicted probabilities: both steps. See [`FlatMap::spread`] for the whole hemisphere.
///
/// # Panics
/// As [`probabilities_at_vertices`].
pub fn labels_at_vertices(probabilities: &[f32], classes: usize, pixels: usize, map: &FlatMap) -> Vec<i32> {
    probabilities_at_vertices(probabilities, classes, pixels, map).chunks_exact(classes).map(label_of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::icosahedron::subdivided;
    use super::super::projection::HCP_RADIUS;
    use super::super::vector::scale;
    use super::*;

    fn map(level: u32) -> FlatMap {
        let (points, faces) = subdivided(level);
        let sphere: Vec<Point> = points.iter().map(|&p| scale(p, 100.0)).collect();
        project(&sphere, &faces, Hemisphere::Left, HCP_RADIUS).unwrap()
    }

    #[test]
    fn a_map_is_a_disc_of_the_right_size() {
        let map = map(5);
        let edge = 100.0 * HCP_RADIUS.sin();
        for &[x, y] in &map.coordinates {
            assert!((x * x + y * y).sqrt() < edge);
        }
        assert!(map.bounds.x[1] > edge - 1.0 && map.bounds.y[0] < 1.0 - edge);
        assert!(map.vertices.is_sorted());
        assert_eq!(map.pick(&map.spread(&map.coordinates, 10_242, [0.0; 2])), map.coordinates);
        // Half the sphere less the rim between 80 and 90 degrees, which is sin(10 degrees) of a hemisphere.
        let share = map.vertices.len() as f64 / 10_242.0;
        assert!((share - (1.0 - (10f64).to_radians().sin()) / 2.0).abs() < 0.01, "{share}");
    }

    #[test]
    fn painting_coordinates_gives_the_pixel_grid() {
        let map = map(5);
        let xs: Vec<f32> = map.coordinates.iter().map(|c| c[0] as f32).collect();
        let raster = map.raster(64);
        let image = raster.linear(&map.spread(&xs, 10_242, f32::NAN));
        let expected = linspace(map.bounds.x[0], map.bounds.x[1], 64);
        for (pixel, _) in &raster.painted {
            assert!((image[*pixel as usize] - expected[*pixel as usize % 64]).abs() < 1e-4);
        }
        assert!(raster.painted.len() <= raster.candidates && raster.painted.len() > 3000);
        assert_eq!(image[0], 0.0, "corners lie outside");
    }

    /// The bits of `torch.linspace(-98.34567, 98.12345, 16)` of torch 2.11 with AVX2. With two roundings, the four in
    /// the middle are others.
    #[test]
    fn the_grid_is_that_of_libtorch_to_the_last_bit() {
        let expected: [u32; 16] = [
            0xc2c4_b0fc,
            0xc2aa_7ed7,
            0xc290_4cb1,
            0xc26c_3518,
            0xc237_d0cd,
            0xc203_6c82,
            0xc19e_106f,
            0xc0d5_1f66,
            0x40ce_02f6,
            0x419c_4953,
            0x4202_88f4,
            0x4236_ed3f,
            0x426b_518a,
            0x428f_daea,
            0x42aa_0d10,
            0x42c4_3f35,
        ];
        assert_eq!(linspace(-98.34567, 98.12345, 16).into_iter().map(f32::to_bits).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_vertex_finds_its_own_pixel() {
        let map = map(5);
        let image = map.raster(512).nearest(&(0..10_242).collect::<Vec<u32>>(), |vertex| vertex as f32);
        let hits = map.pixels_of_vertices(512).into_iter().zip(&map.vertices);
        let right = hits.filter(|((row, column), vertex)| image[row * 512 + column] == **vertex as f32).count();
        assert!(right as f64 > 0.97 * map.vertices.len() as f64, "{right}");
    }

    #[test]
    fn pictures_do_not_depend_on_the_number_of_threads() {
        let map = map(4);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| map.raster(100).painted)
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn labels_follow_the_rule() {
        let map = map(3);
        let pixels = 16;
        let paint = |a: f32, b: f32| [vec![a; pixels * pixels], vec![b; pixels * pixels]].concat();
        let label = |a, b| labels_at_vertices(&paint(a, b), 2, pixels, &map)[0];
        assert_eq!(label(0.25, 0.5), 2, "0.5 is more than 1 - 0.75");
        assert_eq!(label(0.25, 0.25), 0);
        assert_eq!(label(0.25, 0.375), 0, "0.375 is no more than 1 - 0.625");
        assert_eq!(label(0.5, 0.5), 1, "the first of equals");
        assert_eq!(label(f32::NAN, 0.9), 0);
    }

    #[test]
    fn halves_come_apart_as_they_were_joined() {
        let left: Vec<f32> = (0..9).map(|x| x as f32).collect();
        let right: Vec<f32> = (9..18).map(|x| x as f32).collect();
        let joined = side_by_side(&left, &right, 3);
        assert_eq!(joined[..6], [0.0, 1.0, 2.0, 9.0, 10.0, 11.0]);
        assert_eq!(half(&joined, 1, 3, Hemisphere::Left), left);
        assert_eq!(half(&joined, 1, 3, Hemisphere::Right), right);
    }

    #[test]
    fn unusable_spheres_are_refused() {
        let (points, faces) = subdivided(1);
        let away: Vec<Point> = points.iter().map(|p| [p[0] + 3.0, p[1], p[2]]).collect();
        assert!(project(&away, &faces, Hemisphere::Left, HCP_RADIUS).unwrap_err().message.contains("not a sphere"));
        let none = project(&points, &faces, Hemisphere::Right, 0.01).unwrap_err();
        assert!(none.message.contains("hemisphere `rh`"), "{none}");
    }
}
