//! `net/weights`: the weights of a network as a file for other programs.
//!
//! The file states how images are prepared, so that `net/open` makes the same network of it. Also those of a seed, which are nowhere else in a file: PyTorch loads them with `safetensors.torch.load_file` and
//! `model.load_state_dict`, and then computes with the same numbers.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::network_folder::{NetworkFolder, StatedUse};
use crate::formats::tensors;

/// The kind.
pub(super) struct WeightExport;

impl StageKind for WeightExport {
    fn kind(&self) -> Kind {
        Kind::new("net/weights", 1, "the weights of a network, also those of a seed, as a file for other programs")
            .input("network", &["network"], "the network")
            .file("weights", "file", "a safetensors file: every tensor of PyTorch's state dict under its name there; `architecture`, `transform_input` and `side` in its metadata")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let network = NetworkFolder::open(task.one("network")?)?;
        let weights = network.weights()?.about("architecture", network.architecture.name);
        tensors::write(task.output("weights")?, &StatedUse::state(&network.about.preprocessing, weights))?;
        Ok(Ended::done())
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::net::open_network::OpenNetwork;
    use crate::net::random_network::RandomNetwork;
    use crate::net::shipped_architectures::named;
    use crate::net::start::fresh_weights;
    use crate::test_support::tasks::{give, run, set, task};

    /// GoogLeNet's published weights need a second normalisation, those of a seed have none.
    #[test]
    fn a_network_that_is_opened_again_is_used_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let architecture = |task: &mut pipe_contract::Task| {
            set(task, "architecture", Value::Text("googlenet".to_owned()));
            set(task, "classes", Value::Int(2));
        };
        let mut seeded = task(&RandomNetwork, folder.path());
        architecture(&mut seeded);
        set(&mut seeded, "side", Value::Int(96));
        run(&RandomNetwork, &seeded).unwrap();
        let before = NetworkFolder::open(&folder.path().join("network")).unwrap().about.preprocessing;
        let mut export = task(&WeightExport, folder.path());
        give(&mut export, "network", &folder.path().join("network"));
        run(&WeightExport, &export).unwrap();
        let again = folder.path().join("again");
        let mut open = task(&OpenNetwork, &again);
        architecture(&mut open);
        give(&mut open, "weights", &folder.path().join("weights"));
        assert!(run(&OpenNetwork, &open).unwrap().is_empty());
        let opened = NetworkFolder::open(&again.join("network")).unwrap();
        assert_eq!((before.side, before.transform_input), (96, false));
        assert_eq!(opened.about.preprocessing, before);
        set(&mut open, "transform_input", Value::Text("on".to_owned()));
        assert!(run(&OpenNetwork, &open).unwrap()[0].contains("a second time"));
        assert!(NetworkFolder::open(&again.join("network")).unwrap().about.preprocessing.transform_input);
    }

    #[test]
    fn weights_of_a_seed_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut seeded = task(&RandomNetwork, folder.path());
        set(&mut seeded, "architecture", Value::Text("small".to_owned()));
        set(&mut seeded, "classes", Value::Int(4));
        run(&RandomNetwork, &seeded).unwrap();
        let mut export = task(&WeightExport, folder.path());
        give(&mut export, "network", &folder.path().join("network"));
        run(&WeightExport, &export).unwrap();
        let written = tensors::read(&folder.path().join("weights")).unwrap();
        assert_eq!(written.text("architecture").unwrap(), "small");
        assert_eq!(written.tensors, fresh_weights(&named("small", 4).unwrap(), 1).tensors);
    }
}
