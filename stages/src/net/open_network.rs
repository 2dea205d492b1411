//! `net/open`: a network with weights from a file.
//!
//! Takes a file of `torch.save` (a state dict, or a checkpoint with the states of an optimiser, from which only the weights are taken) or a
//! safetensors file; every name and shape is compared with the architecture, so that weights of another network are an error here and not
//! a picture.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::network_folder::{
    InputTransform, NETWORK, NETWORK_WEIGHTS, NetworkAbout, StatedUse, WeightSource, read_stated_weights, write_network,
};
use super::network_parameters::NetworkParameters;
use super::shipped_architectures::named;
use crate::transfer::checksum::Sha256;

/// The kind.
pub(super) struct OpenNetwork;

parameters! {
    struct Parameters {
        /// whether the network normalises its input a second time: `own` as the file says (those of `net/weights` do), else for GoogLeNet
        /// alone, as torchvision's weights need it
        transform_input: InputTransform = InputTransform::Own;
        ..network: NetworkParameters;
    }
}

impl StageKind for OpenNetwork {
    fn kind(&self) -> Kind {
        Kind::new("net/open", 1, "a network with weights from a file")
            .input(
                "weights",
                &[],
                "a file of `torch.save` (a state dict, or a checkpoint that has one under `state_dict`) or a safetensors file",
            )
            .folder("network", "network", "`network.json` and the weights (safetensors) under the names of PyTorch's state dict")
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { transform_input, network } = task.parameters()?;
        let path = task.one("weights")?;
        if path.is_dir() {
            return Err(Failure::input("a folder, expected a file of weights").at(path.display().to_string()).hint(
                format!(
                    "the folder of a network has `{NETWORK_WEIGHTS}`, unless its `{NETWORK}` has a seed (`net/random`)"
                ),
            ));
        }
        let (weights, stated) = read_stated_weights(path, &named(&network.architecture, network.classes)?)?;
        let about = about(&network, (transform_input, stated), "a file of weights", &Sha256::of_file(path)?)?;
        write_network(task.output("network")?, &about, Some(&weights))?;
        Ok(Ended::noted(transform_note(&about).into_iter().collect()))
    }
}

/// What to say of a network that normalises its input a second time.
pub(super) fn transform_note(about: &NetworkAbout) -> Option<String> {
    about.preprocessing.transform_input.then(|| {
        format!(
            "`{}` normalises its input a second time (`transform_input`), as torchvision's trained GoogLeNet does",
            about.name
        )
    })
}

/// What a network with weights from a file is.
pub(super) fn about(
    network: &NetworkParameters,
    (transform_input, stated): (InputTransform, StatedUse),
    origin: &str,
    digest: &Sha256,
) -> Result<NetworkAbout, Failure> {
    let mut preprocessing = network.preparation()?;
    preprocessing.transform_input = transform_input.applies(&network.architecture, stated.transform_input);
    if let (0, Some(side)) = (network.side, stated.side) {
        preprocessing.side = side;
    }
    Ok(NetworkAbout {
        name: network.name_or(&network.architecture),
        architecture: network.architecture.clone(),
        classes: network.classes,
        answers: Vec::new(),
        weights: WeightSource::File(NETWORK_WEIGHTS.to_owned()),
        preprocessing,
        origin: origin.to_owned(),
        sha256: Some(digest.as_str().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::tensors;
    use crate::net::network_folder::NetworkFolder;
    use crate::net::start::fresh_weights;
    use crate::test_support::tasks::{give, run, set, task};

    fn open(folder: &Path, weights: &Path, architecture: &str, classes: i64) -> Result<NetworkFolder, Failure> {
        let mut task = task(&OpenNetwork, folder);
        give(&mut task, "weights", weights);
        set(&mut task, "architecture", Value::Text(architecture.to_owned()));
        set(&mut task, "classes", Value::Int(classes));
        run(&OpenNetwork, &task)?;
        NetworkFolder::open(&folder.join("network"))
    }

    #[test]
    fn weights_of_the_network_are_taken_and_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let small = named("small", 4).unwrap();
        let weights = fresh_weights(&small, 3);
        tensors::write(&path, &weights).unwrap();
        let opened = open(folder.path(), &path, "small", 4).unwrap();
        assert_eq!(opened.weights().unwrap(), weights);
        assert_eq!(opened.about.name, "small");
        assert_eq!(opened.about.sha256.as_deref(), Some(Sha256::of_file(&path).unwrap().as_str()));
        let failure = open(folder.path(), &path, "small", 5).unwrap_err();
        assert!(
            failure.message.contains("`classifier.2.weight` has the shape [4, 128], expected [5, 128]"),
            "{failure}"
        );
        let failure = open(folder.path(), &path, "googlenet", 4).unwrap_err();
        assert!(failure.message.starts_with("the weights are not those of `googlenet`: missing: "), "{failure}");
        assert!(failure.hint.unwrap().contains("`architecture`") && failure.place.is_some());
        assert!(open(folder.path(), folder.path(), "small", 4).unwrap_err().message.starts_with("a folder"));
    }
}
