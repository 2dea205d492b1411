//! What runs inside the worker process `pipe-torch`: the kinds that need libtorch, and the loop that takes tasks for them.
//!
//! The kinds are declared in `pipe_stages::unet` and `pipe_stages::net`, which never link libtorch; here is their code. libtorch's random
//! generator, thread count and GPU context belong to the process, hence a process: this crate never draws from that generator, sets the
//! threads before each task, and leaves parallelism to processes side by side.
//!
//! From the bottom: [`backend`] (device, threads, the calls `tch` lacks), [`draws`], [`weights`], [`kernels`] and [`unet`], [`loss`],
//! [`adam`], [`samples`], [`training`] with [`checkpoint`], and on top the kinds ([`train`], [`predict`], [`device`]) and the [`task_loop`].
//!
//! Networks of `pipe_stages::net`: [`network_forward`] computes, [`network_images`] prepares images, [`activation_passes`] hands out what
//! layers give, [`network_run`] is what all kinds on them share, [`classifier_training`] trains; the kinds are [`network_rdms`]
//! (which RDMs there are: [`layer_rdms`]), [`network_features`], [`network_anova`], [`network_decoding`] (tables begin with [`layer_table_rows`]) [`network_training`] and
//! [`network_calibration`].

pub mod activation_passes;
pub mod adam;
pub mod backend;
pub mod checkpoint;
pub mod classifier_training;
pub mod device;
pub mod draws;
pub mod kernels;
pub mod layer_rdms;
pub mod layer_table_rows;
pub mod loss;
pub mod network_anova;
pub mod network_calibration;
pub mod network_decoding;
pub mod network_features;
pub mod network_forward;
pub mod network_images;
pub mod network_rdms;
pub mod network_run;
pub mod network_training;
pub mod predict;
pub mod samples;
pub mod task_loop;
pub mod train;
pub mod training;
pub mod unet;
pub mod weights;

/// The code of every kind this binary runs.
pub fn stages() -> Vec<Box<dyn pipe_contract::StageKind>> {
    vec![
        Box::new(train::Train),
        Box::<predict::Predict>::default(),
        Box::new(device::DeviceCheck),
        Box::new(network_rdms::NetworkRdms),
        Box::new(network_features::NetworkFeatures),
        Box::new(network_anova::NetworkAnova),
        Box::new(network_decoding::NetworkDecoding),
        Box::new(network_training::TrainNetwork),
        Box::new(network_calibration::CalibrateNetwork),
    ]
}
