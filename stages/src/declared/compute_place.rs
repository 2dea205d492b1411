//! Where kinds that run in the worker compute: the device, and the threads inside operations.

use pipe_contract::{choice, parameters};

parameters! {
    /// Where a kind computes.
    #[derive(Clone, Debug)]
    pub struct ComputePlace {
        /// threads inside operations on the processor; their number changes the last digits, so it is part of the key
        pub threads: u32 = 1, in 1..=1_024;
        /// `cpu` or `cuda` pin the device; `any` takes what the stage's resources grant
        pub device: Pin = Pin::Any;
    }
}

choice! {
    /// Which device is asked for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Pin {
        /// What the stage's resources grant.
        Any = "any",
        /// The processor.
        Cpu = "cpu",
        /// A GPU.
        Cuda = "cuda",
    }
}
