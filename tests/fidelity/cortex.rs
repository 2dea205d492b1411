//! The subjects of the fidelity check, made from fsaverage5 with the Benson 2014 template in place of measured maps: in
//! the layout of `HCP_1200`, and as FreeSurfer leaves them.

use std::path::Path;

use pipe_contract::Failure;
use pipe_stages::formats::freesurfer::{self, Surface};
use pipe_stages::formats::{gifti, mgh};
use pipe_stages::hemisphere::Hemisphere;
use pipe_stages::numeric::bands::area_and_ring;

use crate::program::folder;

/// One hemisphere of the subject, with the template's maps as its function.
pub struct Cortex {
    hemisphere: Hemisphere,
    white: Surface,
    pial: Surface,
    pub sphere: Surface,
    midthickness: Surface,
    curvature: Vec<f32>,
    convexity: Vec<f32>,
    thickness: Vec<f32>,
    area: Vec<f32>,
    angle: Vec<f32>,
    eccentricity: Vec<f32>,
    sigma: Vec<f32>,
    varea: Vec<i32>,
}

impl Cortex {
    /// Vertex 0 and the first one of V1 change places: the original addresses pixels outside of the mesh by face 0, and
    /// fails unless vertex 0 is on the map, as it is on most subjects that FreeSurfer made.
    pub fn read(anatomy: &Path, template: &Path, hemisphere: Hemisphere) -> Result<Self, Failure> {
        let mut cortex = Self::read_in_order(anatomy, template, hemisphere)?;
        let other = cortex.varea.iter().position(|area| *area == 1).unwrap_or(0);
        for surface in [&mut cortex.white, &mut cortex.pial, &mut cortex.sphere, &mut cortex.midthickness] {
            surface.coordinates.swap(0, other);
            for corner in surface.triangles.iter_mut().flatten() {
                *corner = match *corner as usize {
                    0 => other as u32,
                    vertex if vertex == other => 0,
                    _ => *corner,
                };
            }
        }
        let Self { curvature, convexity, thickness, area, angle, eccentricity, sigma, varea, .. } = &mut cortex;
        varea.swap(0, other);
        for map in [curvature, convexity, thickness, area, angle, eccentricity, sigma] {
            map.swap(0, other);
        }
        Ok(cortex)
    }

    fn read_in_order(anatomy: &Path, template: &Path, hemisphere: Hemisphere) -> Result<Self, Failure> {
        let side = if hemisphere == Hemisphere::Left { "left" } else { "right" };
        let surface = |name: &str| gifti::read_surface(&anatomy.join(format!("{name}_{side}.gii.gz")));
        let scalars = |name: &str| gifti::read_scalars(&anatomy.join(format!("{name}_{side}.gii.gz")));
        let (white, pial) = (surface("white")?, surface("pial")?);
        let count = white.coordinates.len();
        let map = |name: &str| template.join(format!("{}.benson14_{name}.v4_0.mgz", hemisphere.name()));
        // fsaverage5's vertices are the first of fsaverage's.
        let first = |name: &str| Ok::<_, Failure>(mgh::read_f32(&map(name))?[..count].to_vec());
        let between = |(a, b): (&[f32; 3], &[f32; 3])| std::array::from_fn(|axis| (a[axis] + b[axis]) / 2.0);
        Ok(Self {
            midthickness: Surface {
                coordinates: white.coordinates.iter().zip(&pial.coordinates).map(between).collect(),
                triangles: white.triangles.clone(),
            },
            hemisphere,
            white,
            pial,
            sphere: surface("sphere")?,
            curvature: scalars("curv")?,
            convexity: scalars("sulc")?,
            thickness: scalars("thick")?,
            area: scalars("area")?,
            angle: first("angle")?,
            eccentricity: first("eccen")?,
            sigma: first("sigma")?,
            varea: mgh::read_i32(&map("varea"))?[..count].to_vec(),
        })
    }

    /// The files of an `HCP_1200` tree that the kinds read; the myelin map has holes.
    pub fn write_subject(&self, artifact: &Path, sid: &str, sphere: &Surface) -> Result<(), Failure> {
        let (h, l) = (self.hemisphere.name(), self.hemisphere.letter());
        let surf = folder(artifact.join(format!("{sid}/T1w/{sid}/surf")))?;
        let native = folder(artifact.join(format!("{sid}/T1w/Native")))?;
        let atlas = folder(artifact.join(format!("{sid}/MNINonLinear/Native")))?;
        let file = |name: &str| surf.join(format!("{h}.{name}"));
        freesurfer::write_surface(&file("white"), &self.white)?;
        freesurfer::write_surface(&file("sphere.reg"), sphere)?;
        self.write_maps(&surf, "area.mid", &self.convexity)?;
        let file = |name: &str| native.join(format!("{sid}.{l}.{name}.native.surf.gii"));
        gifti::write_surface(&file("midthickness"), &self.midthickness)?;
        let hole = |(vertex, value): (usize, &f32)| if vertex % 7 == 0 { f32::NAN } else { *value };
        let myelin: Vec<f32> = self.thickness.iter().enumerate().map(hole).collect();
        gifti::write_scalars(&atlas.join(format!("{sid}.{l}.MyelinMap_BC.native.func.gii")), &myelin)
    }

    fn write_maps(&self, surf: &Path, area: &str, depth: &[f32]) -> Result<(), Failure> {
        let maps = [("curv", &self.curvature[..]), ("sulc", depth), ("thickness", &self.thickness), (area, &self.area)];
        maps.iter().try_for_each(|(name, values)| {
            let path = surf.join(format!("{}.{name}", self.hemisphere.name()));
            freesurfer::write_morphometry(&path, values, self.white.triangles.len())
        })
    }

    /// The spheres under MSMAll between which pRF results go: the native one, and that of fs_LR.
    pub fn write_msmall(&self, artifact: &Path, sid: &str, native: &Surface, fs_lr: &Surface) -> Result<(), Failure> {
        let (l, atlas) = (self.hemisphere.letter(), artifact.join(format!("{sid}/MNINonLinear")));
        let own = folder(atlas.join("Native"))?;
        gifti::write_surface(&own.join(format!("{sid}.{l}.sphere.MSMAll.native.surf.gii")), native)?;
        let shared = folder(atlas.join("fsaverage_LR59k"))?;
        gifti::write_surface(&shared.join(format!("{sid}.{l}.sphere.59k_fs_LR.surf.gii")), fs_lr)
    }

    /// A subject as FreeSurfer 6 and later leave it, with depth in millimetres.
    pub fn write_freesurfer(
        &self,
        subject: &Path,
        sphere: &Surface,
        pose: fn([f64; 3]) -> [f64; 3],
    ) -> Result<(), Failure> {
        let surf = folder(subject.join("surf"))?;
        for (name, surface) in
            [("white", &moved(&self.white, pose)), ("pial", &moved(&self.pial, pose)), ("sphere.reg", sphere)]
        {
            freesurfer::write_surface(&surf.join(format!("{}.{name}", self.hemisphere.name())), surface)?;
        }
        let depth: Vec<f32> = self.convexity.iter().map(|depth| 10.0 * depth).collect();
        self.write_maps(&surf, "area.mid", &depth)
    }

    /// pRF maps: the template where it has an area, missing elsewhere.
    pub fn write_prf(&self, artifact: &Path) -> Result<(), Failure> {
        folder(artifact.to_path_buf())?;
        let map = |value: &dyn Fn(usize) -> f32| -> Vec<f32> {
            (0..self.varea.len()).map(|vertex| if self.varea[vertex] > 0 { value(vertex) } else { f32::NAN }).collect()
        };
        let radians = |vertex: usize| (90.0 - self.angle[vertex]).to_radians();
        let maps = [
            ("x", map(&|v| self.eccentricity[v] * radians(v).cos())),
            ("y", map(&|v| self.eccentricity[v] * radians(v).sin())),
            ("sigma", map(&|v| self.sigma[v])),
            ("cod", map(&|v| 1.0 / (1.0 + self.sigma[v]))),
        ];
        maps.iter().try_for_each(|(name, values)| {
            mgh::write_f32(&artifact.join(format!("{}.prf_{name}.mgz", self.hemisphere.name())), values)
        })
    }

    /// Areas and sectors as a rater's file has them.
    pub fn labels(&self) -> [Vec<i32>; 2] {
        let labels = self.varea.iter().zip(&self.eccentricity).map(|(&area, &e)| area_and_ring(area, f64::from(e)));
        let (area, ring): (Vec<i32>, Vec<i32>) = labels.unzip();
        let sector = (0..area.len()).map(|vertex| sector(area[vertex], ring[vertex], vertex % 2 == 0)).collect();
        [area, sector]
    }
}

/// The sector of the raters' labels with some area, ring and half; the innermost rings of V2 and V3 have none.
fn sector(area: i32, ring: i32, dorsal: bool) -> i32 {
    let half = |of_dorsal: i32, of_ventral: i32| if dorsal { of_dorsal } else { of_ventral };
    match (area, ring) {
        (1, 1..) => half(0, 5) + ring,
        (2, 2..) => half(9, 13) + ring,
        (3, 2..) => half(17, 21) + ring,
        _ => 0,
    }
}

/// The sphere turned by about three degrees, so that its vertices lie between those of fsaverage.
pub fn turned(sphere: &Surface) -> Surface {
    let (a, b) = (0.04f64, 0.03f64);
    moved(sphere, |[x, y, z]| {
        let (x, y) = (x * a.cos() - y * a.sin(), x * a.sin() + y * a.cos());
        let (y, z) = (y * b.cos() - z * b.sin(), y * b.sin() + z * b.cos());
        [x, y, z]
    })
}

/// A head that is smaller than fsaverage's, and lies in the scanner turned by 37 degrees and elsewhere.
pub fn in_scanner([x, y, z]: [f64; 3]) -> [f64; 3] {
    [0.95 * x + 12.0, 0.95 * (0.8 * y - 0.6 * z) - 30.0, 0.95 * (0.6 * y + 0.8 * z) + 7.0]
}

fn moved(surface: &Surface, place: impl Fn([f64; 3]) -> [f64; 3]) -> Surface {
    let point = |point: &[f32; 3]| place(point.map(f64::from)).map(|x| x as f32);
    Surface { coordinates: surface.coordinates.iter().map(point).collect(), triangles: surface.triangles.clone() }
}
