//! What a run may use at one time, and who holds how much of it.

use pipe_contract::Failure;

use crate::plan::Amounts;

/// What a run may use at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Processor slots (`-j`), at least 1.
    pub cpu: u32,
    /// The GPUs by their CUDA index; a slot is one whole GPU.
    pub gpus: Vec<u32>,
    /// Memory, bytes.
    pub mem: u64,
    /// How many instances may use the network at one time, at least 1.
    pub net: u32,
}

/// What an instance holds while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Processor slots: the number of threads it may use.
    pub cpu: u32,
    /// CUDA indexes of its GPUs.
    pub gpus: Vec<u32>,
    /// Memory, bytes.
    pub mem: u64,
    /// Network slots.
    pub net: u32,
}
