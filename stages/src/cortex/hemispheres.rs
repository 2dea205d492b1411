//! What cortices of every source need: which hemispheres are taken, and their curvature where no file has it.

use pipe_contract::{Failure, choice, parameters};
use rayon::prelude::*;

use crate::formats::cortex::NewCortexHemisphere;
use crate::formats::gifti::Surface;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::curvature::{STEP, smoothed_mean};
use crate::numeric::vector::{add, scale};

parameters! {
    pub(super) struct SharedParameters {
        /// which hemispheres are taken
        pub hemispheres: Sides = Sides::Both;
        /// where curvature is from: `given` takes the file's and computes it where there is none, `computed` always computes it
        pub curvature: CurvatureFrom = CurvatureFrom::Given;
        /// how much computed curvature is smoothed: the time of one implicit step of diffusion, mm^2
        pub smoothing: f64 = STEP, in 0.0..=10_000.0;
    }
}

choice! {
    /// Hemispheres that are taken.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Sides {
        /// Both.
        Both = "both",
        /// The left one alone.
        Left = "lh",
        /// The right one alone.
        Right = "rh",
    }
}

choice! {
    /// Where curvature is from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum CurvatureFrom {
        /// The file's, else computed.
        Given = "given",
        /// Computed.
        Computed = "computed",
    }
}

/// A hemisphere as its files have it.
pub(super) struct Files {
    pub flat: Surface,
    pub pial: Surface,
    pub white: Surface,
    /// Curvature, gyri positive, and what its file is called.
    pub curvature: Option<(Vec<f32>, String)>,
}

impl SharedParameters {
    /// Reads every hemisphere that is taken, and computes its curvature if need be.
    pub(super) fn read(
        &self,
        read: impl Fn(Hemisphere) -> Result<Files, Failure> + Sync,
    ) -> Result<Vec<NewCortexHemisphere>, Failure> {
        let sides = match self.hemispheres {
            Sides::Both => HEMISPHERES.to_vec(),
            Sides::Left => vec![Hemisphere::Left],
            Sides::Right => vec![Hemisphere::Right],
        };
        let all: Vec<Result<NewCortexHemisphere, Failure>> =
            sides.into_par_iter().map(|hemisphere| self.finished(hemisphere, read(hemisphere)?)).collect();
        // One after the other, so that of two failures the left hemisphere's is reported.
        all.into_iter().collect()
    }

    fn finished(&self, hemisphere: Hemisphere, files: Files) -> Result<NewCortexHemisphere, Failure> {
        let Files { flat, pial, white, curvature } = files;
        let name = hemisphere.name();
        if pial.coordinates.len() != white.coordinates.len() {
            return Err(Failure::input(format!(
                "the pial surface of `{name}` has {} vertices, the white one {}, expected the same ones",
                pial.coordinates.len(),
                white.coordinates.len()
            )));
        }
        let given = curvature.filter(|_| self.curvature == CurvatureFrom::Given);
        let (curvature, curvature_from) = match given {
            Some((values, file)) => (values, format!("file `{file}`")),
            None => {
                let middle = white.points().into_iter().zip(pial.points()).map(|(a, b)| scale(add(a, b), 0.5));
                let values = smoothed_mean(&middle.collect::<Vec<_>>(), &white.triangles, self.smoothing)
                    .map_err(|failure| failure.at(format!("the surface between white and pial of `{name}`")))?;
                #[expect(clippy::cast_possible_truncation, reason = "stored as 32-bit floats")]
                let values = values.into_iter().map(|value| value as f32).collect();
                (values, "computed".to_owned())
            }
        };
        Ok(NewCortexHemisphere { hemisphere, flat, pial, white, curvature, curvature_from })
    }
}
