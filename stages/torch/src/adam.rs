//! Adam with PyTorch's defaults: no weight decay, betas 0.9 and 0.999, epsilon 1e-8.
//!
//! Of our own because the state must be saved and restored exactly, which `tch`'s optimiser does not allow. The arithmetic is
//! libtorch's fused kernel; a test holds it against PyTorch's plain formula.

use pipe_contract::Failure;
use tch::{Device, Kind, Tensor};

use crate::backend::{AdamStep, adam_step, forget_gradients};

/// The optimiser of one round.
#[derive(Debug)]
pub struct Adam {
    parameters: Vec<Tensor>,
    /// Running means of gradients and of their squares, one a parameter.
    pub(crate) means: Vec<Tensor>,
    pub(crate) squares: Vec<Tensor>,
    /// Steps done.
    pub(crate) steps: u64,
}

impl Adam {
    /// A fresh optimiser for parameters, which it changes in place.
    pub fn new(parameters: Vec<Tensor>) -> Self {
        let zeros = |parameters: &[Tensor]| parameters.iter().map(|tensor| tensor.detach().zeros_like()).collect();
        Self { means: zeros(&parameters), squares: zeros(&parameters), parameters, steps: 0 }
    }

    /// Forgets the gradients.
    pub fn forget_gradients(&self) {
        forget_gradients(&self.parameters);
    }

    /// One step with the gradients that are there.
    ///
    /// # Errors
    /// Internal: libtorch refuses, such as for a parameter that has no gradient.
    pub fn step(&mut self, rate: f64) -> Result<(), Failure> {
        self.steps += 1;
        let device = self.parameters.first().map_or(Device::Cpu, Tensor::device);
        let step = Tensor::from(self.steps as f64).to_kind(Kind::Float).to_device(device);
        let gradients: Vec<Tensor> = self.parameters.iter().map(Tensor::grad).collect();
        let constants = AdamStep { rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        adam_step(&self.parameters, &gradients, &self.means, &self.squares, &step, constants)
    }
}
