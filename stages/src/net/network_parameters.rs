//! Parameters that all kinds share which give a network.

use pipe_contract::{Failure, parameters};

use super::network_folder::{ImagePreparation, MOST_CLASSES};
use super::shipped_architectures::{ARCHITECTURES, named};

parameters! {
    /// Which network it is.
    #[derive(Clone, Debug)]
    pub struct NetworkParameters {
        /// the architecture
        pub architecture: String, one_of ARCHITECTURES;
        /// number of answers
        pub classes: usize = 1000, in 1..=MOST_CLASSES;
        /// what tables call the network; empty for the architecture, with `_random` behind it where the weights are those of a seed
        pub name: String = String::new();
        /// pixels of the shorter side of images; 0 for those that a file of `net/weights` states, else those that the architecture is made
        /// for (224; 64 for `small`)
        pub side: usize = 0, in 0..=4096;
    }
}

impl NetworkParameters {
    /// What tables call the network, if it is this where no name is given.
    pub fn name_or(&self, own: &str) -> String {
        if self.name.is_empty() { own.to_owned() } else { self.name.clone() }
    }

    /// How images are prepared.
    ///
    /// # Errors
    /// Input: there is no such architecture.
    pub fn preparation(&self) -> Result<ImagePreparation, Failure> {
        let own = named(&self.architecture, self.classes)?.side;
        Ok(ImagePreparation::imagenet(if self.side == 0 { own } else { self.side }))
    }
}
