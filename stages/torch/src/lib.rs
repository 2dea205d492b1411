//! What runs inside the worker process `pipe-torch`: the kinds that need libtorch, and the loop that takes tasks for them.
//!
//! The kinds are declared in `pipe_stages::unet`, which never links libtorch; here is their code. libtorch's random generator,
//! thread count and GPU context belong to the process, hence a process: this crate never draws from that generator, sets the
//! threads before each task, and leaves parallelism to processes side by side.
//!
//! From the bottom: [`backend`] (device, threads, the calls `tch` lacks), [`draws`], [`weights`], [`kernels`] and [`unet`], [`loss`],
//! [`adam`], [`samples`], [`training`] with [`checkpoint`], and on top the kinds ([`train`], [`predict`], [`device`]) and the [`task_loop`].

pub mod adam;
pub mod backend;
pub mod checkpoint;
pub mod device;
pub mod draws;
pub mod kernels;
pub mod loss;
pub mod predict;
pub mod samples;
pub mod task_loop;
pub mod train;
pub mod training;
pub mod unet;
pub mod weights;

/// The code of every kind this binary runs.
pub fn stages() -> Vec<Box<dyn pipe_contract::StageKind>> {
    vec![Box::new(train::Train), Box::<predict::Predict>::default(), Box::new(device::DeviceCheck)]
}
