//! Tests of the worker: its networks and training against PyTorch, its promises (it learns, same bytes, resumes), its protocol.
//!
//! `PIPE_TEST_DEVICE=cuda:0` runs the numeric ones on a GPU, with the same bodies and the same tolerances.

mod against_pytorch;
mod against_torchvision;
mod network_passes;
mod network_results;
mod network_support;
mod number_of_threads;
mod operations;
mod precision;
mod resuming;
mod step_time;
mod support;
mod train_and_predict;
mod worker_protocol;
