//! The networks that there are, by name.
//!
//! Decides nothing about any of them.

use pipe_contract::Failure;

use super::alexnet::alexnet;
use super::architecture::Architecture;
use super::cornet_s::cornet_s;
use super::googlenet::googlenet;
use super::resnet::{resnet18, resnet34, resnet50};
use super::small_architecture::small;
use super::vgg19::vgg19;
use crate::formats::nearest_names::nearest;

/// Their names.
pub const ARCHITECTURES: &[&str] =
    &["alexnet", "cornet_s", "googlenet", "resnet18", "resnet34", "resnet50", "small", "vgg19"];

/// The network of a name, with this number of classes.
///
/// # Errors
/// Input: there is no network of this name; the message has those most like it.
pub fn named(name: &str, classes: usize) -> Result<Architecture, Failure> {
    Ok(match name {
        "alexnet" => alexnet(classes),
        "cornet_s" => cornet_s(classes),
        "googlenet" => googlenet(classes),
        "resnet18" => resnet18(classes),
        "resnet34" => resnet34(classes),
        "resnet50" => resnet50(classes),
        "small" => small(classes),
        "vgg19" => vgg19(classes),
        _ => {
            let like = nearest(name, ARCHITECTURES.iter().copied());
            return Err(Failure::input(format!("there is no network `{name}`; most like it: {like}")));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_network() {
        for name in ARCHITECTURES {
            assert_eq!(named(name, 10).unwrap().name, *name);
        }
        let message = named("resnet5", 10).unwrap_err().message;
        assert!(message.starts_with("there is no network `resnet5`; most like it: `resnet50`"), "{message}");
    }
}
