//! Samples a subject: where the anatomy lies against the average one, where the maps lie on the anatomy, and what a scanner
//! would measure of both.
//!
//! Every vertex has the same place in the anatomy (its coordinates, its curvature, ...) and is moved on the registered
//! sphere: this is what imperfect registration looks like, and it makes anatomy informative, because areas move along.
//! The maps then shift once more against the anatomy, which affects only functional channels.

use pipe_contract::parameters;

use super::atlas::{Atlas, Spot};
use super::field::{Field, displaced};
use super::random_stream::Stream;
use crate::numeric::projection::HCP_RADIUS;
use crate::numeric::vector::{Point, cross};

parameters! {
    /// How much subjects, maps, raters and measurements differ. Lengths are in units of the sphere of radius 100, of
    /// which one is about a millimetre; standard deviations are per axis along the sphere.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Amplitudes {
        /// s.d. of the misalignment that anatomy and maps share, in units of the sphere of radius 100
        pub anatomy_warp: f64 = 7.5, in 0.0..=15.0;
        /// s.d. of the shift of maps against anatomy, in sphere units
        pub map_warp: f64 = 2.6, in 0.0..=15.0;
        /// s.d. of the raters' random errors, in sphere units
        pub rater_jitter: f64 = 1.5, in 0.0..=15.0;
        /// scale of the raters' biases; 0 is none
        pub rater_habit: f64 = 1.0, in 0.0..=10.0;
        /// noise of structural channels, as a share of their spread
        pub channel_noise: f64 = 0.12, in 0.0..=10.0;
        /// scale of the noise of receptive fields
        pub prf_noise: f64 = 1.0, in 0.0..=10.0;
        /// correlation length of warps, in sphere units
        pub correlation: f64 = 40.0, in 5.0..=100.0;
    }
}

/// Correlation length of channel noise, in sphere units: about two vertices of fsaverage5.
const CHANNEL_LENGTH: f64 = 8.0;
/// Correlation length of the raters' random errors, in sphere units.
const JITTER_LENGTH: f64 = 15.0;
/// S.d. of the registration of functional areas (MSMAll) against that of folds, in sphere units.
const MSMALL_WARP: f64 = 1.5;
/// S.d. of head size along each axis, as a share.
const HEAD_SIZE: f64 = 0.04;
/// S.d. of the turn of the head about each axis, in radians.
const HEAD_TURN: f64 = 0.03;
/// S.d. of the place of the head along each axis, in mm.
const HEAD_PLACE: f64 = 2.0;
/// The myelin map is a ratio of two images: noise against that of other channels.
const MYELIN_NOISE: f64 = 3.0;
/// Diffusion measures little of where fibres end: noise of tract end points against that of other channels.
const TRACT_NOISE: f64 = 8.0;

/// One hemisphere of a subject, one entry per vertex.
pub struct Side {
    /// On the sphere registered to fsaverage.
    pub registered: Vec<Point>,
    /// On the sphere registered to fs_LR.
    pub msmall: Vec<Point>,
    /// Border of white matter, in mm.
    pub white: Vec<Point>,
    /// Halfway between white matter and pia, in mm.
    pub midthickness: Vec<Point>,
    /// Curvature, 1/mm.
    pub curvature: Vec<f32>,
    /// Sulcal depth.
    pub convexity: Vec<f32>,
    /// Thickness, mm.
    pub thickness: Vec<f32>,
    /// Area of the vertex, mm^2.
    pub area: Vec<f32>,
    /// T1w / T2w.
    pub myelin: Vec<f32>,
    /// End points of the optic radiation, 0 to 1.
    pub optic_radiation: Vec<f32>,
    /// End points of the vertical occipital fasciculus, 0 to 1.
    pub vertical_occipital: Vec<f32>,
    /// The subject's own maps.
    pub spots: Vec<Spot>,
    /// The same with each rater's random errors, in the order of [`super::raters::RATERS`].
    pub rated: [Vec<Spot>; 4],
}

/// Size, turn and place of a head: the same for both hemispheres.
pub struct Head {
    size: Point,
    turn: Point,
    place: Point,
}

impl Head {
    /// Samples a head.
    pub fn sample(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "head");
        let mut three = |mean: f64, sd: f64| std::array::from_fn(|_| mean + sd * stream.normal());
        Self { size: three(1.0, HEAD_SIZE), turn: three(0.0, HEAD_TURN), place: three(0.0, HEAD_PLACE) }
    }

    /// A point of the average head in this one, bent by `bend`.
    fn transform(&self, point: Point, bend: Point) -> Point {
        let turn = cross(self.turn, point);
        std::array::from_fn(|axis| self.size[axis] * point[axis] + turn[axis] + self.place[axis] + bend[axis])
    }
}

impl Side {
    /// Samples a hemisphere.
    pub fn sample(seed: u64, head: &Head, atlas: &Atlas, amplitudes: &Amplitudes) -> Self {
        let streams = Streams { seed, hemisphere: atlas.hemisphere.name() };
        let (spots, rated) = sample_maps(&streams, atlas, amplitudes);
        let (registered, msmall) = sample_registration(&streams, atlas, amplitudes);
        let spread = Spread::of(atlas);
        let bends = sample_bends(&streams, atlas, &spread, amplitudes);
        let in_head =
            |points: &[Point]| points.iter().zip(&bends).map(|(point, bend)| head.transform(*point, *bend)).collect();
        let channels = Channels::sample(&streams, atlas, spread, amplitudes);
        let each = |of: fn(&Spot) -> f64| spots.iter().map(|spot| of(spot) as f32).collect::<Vec<_>>();
        let mut thickness = channels.measured(&atlas.thickness, 2, 1.0, 0.1);
        for (vertex, thickness) in thickness.iter_mut().enumerate() {
            if !atlas.is_cortex(vertex) {
                *thickness = 0.0;
            }
        }
        Self {
            registered,
            msmall,
            white: in_head(&atlas.white),
            midthickness: in_head(&atlas.midthickness),
            curvature: channels.measured(&atlas.curvature, 0, 1.0, f64::NEG_INFINITY),
            convexity: channels.measured(&atlas.convexity, 1, 1.0, f64::NEG_INFINITY),
            thickness,
            area: channels.measured(&atlas.area, 3, 1.0, 0.05),
            myelin: channels.measured(&each(myelin), 4, MYELIN_NOISE, 0.0),
            optic_radiation: channels.measured(&each(optic_radiation), 5, TRACT_NOISE, 0.0),
            vertical_occipital: channels.measured(&each(vertical_occipital), 6, TRACT_NOISE, 0.0),
            spots,
            rated,
        }
    }
}

/// The random numbers of a hemisphere: what is sampled has a stream of its own, by its name.
struct Streams<'a> {
    seed: u64,
    hemisphere: &'a str,
}

impl Streams<'_> {
    fn of(&self, what: &str) -> Stream {
        Stream::new(self.seed, &format!("{} {what}", self.hemisphere))
    }
}

/// The maps at each vertex, and as each rater sees them, who errs.
fn sample_maps(streams: &Streams, atlas: &Atlas, amplitudes: &Amplitudes) -> (Vec<Spot>, [Vec<Spot>; 4]) {
    let warp = Field::<3>::new(&mut streams.of("map warp"), amplitudes.correlation, amplitudes.map_warp);
    let jitter = Field::<12>::new(&mut streams.of("jitter"), JITTER_LENGTH, amplitudes.rater_jitter);
    let places: Vec<Point> = atlas.sphere.iter().map(|point| displaced(*point, warp.at(*point))).collect();
    let errors: Vec<[f64; 12]> = places.iter().map(|place| jitter.at(*place)).collect();
    let rated = std::array::from_fn(|rater| {
        let push = |error: &[f64; 12]| std::array::from_fn(|axis| error[3 * rater + axis]);
        places.iter().zip(&errors).map(|(place, error)| atlas.spot(displaced(*place, push(error)))).collect()
    });
    (places.iter().map(|place| atlas.spot(*place)).collect(), rated)
}

/// The places of the vertices on the sphere registered to fsaverage, and on that registered to fs_LR.
fn sample_registration(streams: &Streams, atlas: &Atlas, amplitudes: &Amplitudes) -> (Vec<Point>, Vec<Point>) {
    let anatomy = Field::<3>::new(&mut streams.of("anatomy warp"), amplitudes.correlation, amplitudes.anatomy_warp);
    let functional = Field::<3>::new(&mut streams.of("msmall warp"), amplitudes.correlation, MSMALL_WARP);
    let registered: Vec<Point> = atlas.sphere.iter().map(|point| anatomy.flow(*point)).collect();
    let msmall = registered.iter().map(|point| displaced(*point, functional.at(*point))).collect();
    (registered, msmall)
}

/// How far the cortex of this subject is bent at each vertex, in mm: a share of the extent of the average cortex.
fn sample_bends(streams: &Streams, atlas: &Atlas, spread: &Spread, amplitudes: &Amplitudes) -> Vec<Point> {
    let field = Field::<3>::new(&mut streams.of("bend"), amplitudes.correlation, amplitudes.channel_noise);
    let extent: Point = std::array::from_fn(|axis| {
        spread.of_values(&atlas.midthickness.iter().map(|point| point[axis] as f32).collect::<Vec<_>>())
    });
    let bend = |point: &Point| {
        let bend = field.at(*point);
        std::array::from_fn(|axis| extent[axis] * bend[axis])
    };
    atlas.sphere.iter().map(bend).collect()
}

/// What a scanner adds to the structural channels.
struct Channels {
    noise: Vec<[f64; 7]>,
    spread: Spread,
}

impl Channels {
    fn sample(streams: &Streams, atlas: &Atlas, spread: Spread, amplitudes: &Amplitudes) -> Self {
        let field = Field::<7>::new(&mut streams.of("channels"), CHANNEL_LENGTH, amplitudes.channel_noise);
        Self { noise: atlas.sphere.iter().map(|point| field.at(*point)).collect(), spread }
    }

    /// The values of a channel with its noise, `scale` times that of others, and at least `least`.
    fn measured(&self, values: &[f32], channel: usize, scale: f64, least: f64) -> Vec<f32> {
        let spread = scale * self.spread.of_values(values);
        let noisy = |(value, noise): (&f32, &[f64; 7])| (f64::from(*value) + spread * noise[channel]).max(least) as f32;
        values.iter().zip(&self.noise).map(noisy).collect()
    }
}

/// The vertices over which the spread of a channel is taken: the cortex that the flat maps show.
struct Spread {
    vertices: Vec<usize>,
}

impl Spread {
    fn of(atlas: &Atlas) -> Self {
        let shown =
            |vertex: &usize| atlas.is_cortex(*vertex) && atlas.angle_to_pole(atlas.sphere[*vertex]) < HCP_RADIUS;
        Self { vertices: (0..atlas.sphere.len()).filter(shown).collect() }
    }

    /// The standard deviation of a channel.
    fn of_values(&self, values: &[f32]) -> f64 {
        let count = self.vertices.len().max(1) as f64;
        let shown = || self.vertices.iter().map(|vertex| f64::from(values[*vertex]));
        let mean = shown().sum::<f64>() / count;
        (shown().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt()
    }
}

/// A bump of height 1 around an area, that fades over `width` sphere units.
fn around(distance: f64, width: f64) -> f64 {
    libm::exp(-(distance / width) * (distance / width))
}

/// V1 is the most heavily myelinated, V2 and V3 less, the cortex around them least.
fn myelin(spot: &Spot) -> f64 {
    let [_, v1, v2, v3] = spot.distance;
    1.25 + 0.3 * around(v1, 5.0) + 0.12 * around(v2.min(v3), 5.0)
}

/// The optic radiation ends in V1, more densely where the periphery is.
fn optic_radiation(spot: &Spot) -> f64 {
    let eccentricity = spot.eccentricity();
    let out = if eccentricity.is_finite() { eccentricity / (eccentricity + 4.0) } else { 0.5 };
    around(spot.distance[1], 8.0) * (0.4 + 0.4 * out)
}

/// The vertical occipital fasciculus ends around V3 and beyond it.
fn vertical_occipital(spot: &Spot) -> f64 {
    let [_, v1, _, v3] = spot.distance;
    0.7 * around(v3, 8.0) * (1.0 - around(v1, 6.0))
}
