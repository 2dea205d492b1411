//! `simulate/subject`: a simulated subject, so that the whole analysis runs without real data.
//!
//! A subject is a warp of a real anatomy with a real retinotopic template on it: `individual` samples it, `subject_files` writes it.
//! The ordinary kinds read these files like those of real subjects.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::atlas::Atlas;
use super::individual::{Amplitudes, Head, Side};
use super::{fs_lr_sphere, receptive_fields, subject_files};
use crate::formats::fs_lr_meshes::{FsLr, cortex_mask, number_of};
use crate::hemisphere::HEMISPHERES;

/// The kind.
pub struct SimulateSubject;

impl StageKind for SimulateSubject {
    fn kind(&self) -> Kind {
        let kind =
            Kind::new("simulate/subject", 1, "Makes a subject on a real anatomy: files, raters' labels, pRF results")
                .formerly("simulate/person")
                .input(
                    "anatomy",
                    &["files"],
                    "fsaverage5 as nilearn packages it: {sphere,white,pial,curv,sulc,thick,area}_{left,right}.gii.gz",
                )
                .input("template", &["files"], "{lh,rh}.benson14_{varea,angle,eccen}.v4_0.mgz on fsaverage")
                .input("masks", &["files"], "{lh,rh}.atlasroi.32k_fs_LR.shape.gii: which fs_LR vertices are cortex")
                .folder(
                    "tree",
                    "hcp-tree",
                    "<sid>/T1w/... and <sid>/MNINonLinear/... as below HCP_1200/, and <sid>/tracts/",
                )
                .folder("labels", "labels-raw", "<rater>/<sid>.labels.hdf5 of the raters A1 to A4")
                .file(
                    "prf",
                    "prf-raw",
                    "MATLAB v7.3: subjectids, allresults [split, subject, quantity, grayordinate], 32k",
                )
                .parameters::<Amplitudes>();
        Kind { axes: vec!["sid"], random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let amplitudes: Amplitudes = task.parameters()?;
        let sid = task.coordinate("sid")?;
        let number = number_of(sid)?;
        let (anatomy, template, masks) = (task.one("anatomy")?, task.one("template")?, task.one("masks")?);
        let (tree, seed) = (task.output("tree")?, task.seed()?);
        let head = Head::sample(seed);
        let mut sides = Vec::new();
        let mut results = Vec::new();
        for hemisphere in HEMISPHERES {
            if context.cancelled() {
                return Err(Failure::stage("stopped before the subject was made"));
            }
            let atlas = Atlas::read(anatomy, template, hemisphere)?;
            let mask = cortex_mask(masks, hemisphere, FsLr::K32)?;
            let side = Side::sample(seed, &head, &atlas, &amplitudes);
            let fs_lr = fs_lr_sphere::sphere(&mask, atlas.medial_wall());
            subject_files::write_hemisphere(tree, sid, &atlas, &side, &fs_lr)?;
            let noise = amplitudes.prf_noise;
            results.push(receptive_fields::measure(seed, &atlas, &side, &fs_lr.points(), &mask, noise));
            sides.push(side);
        }
        let [left, right] = &sides[..] else { return Err(Failure::internal("a subject has two hemispheres")) };
        subject_files::write_labels(task.output("labels")?, sid, [left, right], &amplitudes)?;
        subject_files::write_results(task.output("prf")?, number, [&results[0], &results[1]])?;
        Ok(Ended::done())
    }
}
