//! `net/random`: an untrained network, whose weights a seed decides.
//!
//! Only the seed is written: weights are sampled where they are used. GoogLeNet's is the guide's `random`: without the heads of its
//! training, the offset of its last layer 0, and without the second normalisation of its input.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::network_folder::{NetworkAbout, WeightSource, write_network};
use super::network_parameters::NetworkParameters;

/// The kind.
pub(super) struct RandomNetwork;

impl StageKind for RandomNetwork {
    fn kind(&self) -> Kind {
        let kind = Kind::new("net/random", 1, "an untrained network with weights that depend on its seed")
            .folder("network", "network", "`network.json` with the seed; weights are made where they are used")
            .parameters::<NetworkParameters>();
        Kind { random: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let params: NetworkParameters = task.parameters()?;
        let seed = task.seed()?;
        let about = NetworkAbout {
            name: params.name_or(&format!("{}_random", params.architecture)),
            preprocessing: params.preparation()?,
            architecture: params.architecture,
            classes: params.classes,
            answers: Vec::new(),
            weights: WeightSource::Seed(seed),
            origin: format!("untrained, seed {seed}"),
            sha256: None,
        };
        write_network(task.output("network")?, &about, None)?;
        Ok(Ended::done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::network_folder::NetworkFolder;
    use crate::test_support::tasks::{run, set, task};

    #[test]
    fn a_network_of_a_seed_is_small_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(&RandomNetwork, folder.path());
        set(&mut task, "architecture", pipe_contract::Value::Text("googlenet".to_owned()));
        assert!(run(&RandomNetwork, &task).unwrap().is_empty());
        let opened = NetworkFolder::open(&folder.path().join("network")).unwrap();
        let about = &opened.about;
        assert_eq!((about.name.as_str(), &about.weights), ("googlenet_random", &WeightSource::Seed(1)));
        assert_eq!((about.preprocessing.side, about.preprocessing.transform_input), (224, false));
        set(&mut task, "name", pipe_contract::Value::Text("untrained".to_owned()));
        set(&mut task, "side", pipe_contract::Value::Int(64));
        run(&RandomNetwork, &task).unwrap();
        let about = NetworkFolder::open(&folder.path().join("network")).unwrap().about;
        assert_eq!((about.name.as_str(), about.preprocessing.side), ("untrained", 64));
    }
}
