//! `net/fetch`: a network with weights from an address.
//!
//! Published weights have the first digits of their SHA-256 in their name (`alexnet-owt-7be5be79.pth`), which are compared; all digits are
//! written to `network.json` and reported, so that they can be given from then on. The file itself is not kept: the network's folder has
//! its weights in one form, whatever form the source has.

use std::path::Path;

use fs_err as fs;
use pipe_contract::{Context, Ended, Failure, Kind, Probe, StageKind, Task, parameters};

use super::network_folder::{InputTransform, read_stated_weights, write_network};
use super::network_parameters::NetworkParameters;
use super::open_network::{about, transform_note};
use super::shipped_architectures::named;
use crate::transfer::checksum::Sha256;
use crate::transfer::http::redact;
use crate::transfer::url::{fetch_url, probe_url};

/// The kind.
pub(super) struct FetchNetwork;

parameters! {
    struct Parameters {
        /// the address of the weights, `http://` or `https://`; redirects are followed
        url: String;
        /// the SHA-256 that the file must have, or its first digits (8 at least), as published weights have them in their name; empty for none
        sha256: String = String::new();
        /// whether the network normalises its input a second time: `own` as the file says (those of `net/weights` do), else for GoogLeNet
        /// alone, as torchvision's weights need it
        transform_input: InputTransform = InputTransform::Own;
        ..network: NetworkParameters;
    }
}

/// The fewest digits of a digest that say anything.
const FEWEST_DIGITS: usize = 8;

impl StageKind for FetchNetwork {
    fn kind(&self) -> Kind {
        let kind = Kind::new("net/fetch", 1, "a network with weights from an address")
            .folder(
                "network",
                "network",
                "`network.json` and the weights (safetensors) under the names of PyTorch's state dict",
            )
            .parameters::<Parameters>();
        Kind { network: true, checkpoint: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { url, sha256, transform_input, network } = task.parameters()?;
        let digits = digits(&sha256)?;
        // Whether the architecture is one is known before megabytes are fetched.
        let architecture = named(&network.architecture, network.classes)?;
        let path = task.scratch.join("weights");
        fetch_url(&url, None, task, &path, context)?;
        let name = redact(&url);
        let digest = checked_digest(&path, &name, &digits)?;
        let (weights, stated) =
            read_stated_weights(&path, &architecture).map_err(|failure| failure.at(name.clone()))?;
        let about = about(&network, (transform_input, stated), &name, &digest)?;
        write_network(task.output("network")?, &about, Some(&weights))?;
        fs::remove_file(&path).map_err(|error| Failure::io("remove", &path, &error))?;
        let is_whole = digits.len() == digest.as_str().len();
        let of_digest = (!is_whole).then(|| format!("`{name}` has sha256 {}", digest.as_str()));
        Ok(Ended::noted(of_digest.into_iter().chain(transform_note(&about)).collect()))
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let parameters: Parameters = task.parameters()?;
        digits(&parameters.sha256)?;
        probe_url(&parameters.url, context).map(Some)
    }
}

/// The digits of a digest or of its beginning, in lower case; none for empty text.
fn digits(text: &str) -> Result<String, Failure> {
    let digits = text.trim().strip_prefix("sha256:").unwrap_or(text.trim()).to_ascii_lowercase();
    let is_digest = (FEWEST_DIGITS..=64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.is_empty() || is_digest {
        return Ok(digits);
    }
    Err(Failure::input(format!("`{text}` is not a SHA-256 or its beginning, expected 8 to 64 hexadecimal digits"))
        .hint("published weights have the first 8 in their name: `alexnet-owt-7be5be79.pth`"))
}

/// The digest of what was fetched, if it begins with these digits; else it is removed.
fn checked_digest(path: &Path, name: &str, digits: &str) -> Result<Sha256, Failure> {
    let digest = Sha256::of_file(path)?;
    if digest.as_str().starts_with(digits) {
        return Ok(digest);
    }
    // No later run must take bytes for right that are known to be wrong.
    let _ = fs::remove_file(path);
    let found = digest.as_str();
    Err(Failure::input(format!("`{name}` has SHA-256 {found}, expected one that begins with {digits}"))
        .hint("the source serves another file than the one that was pinned: find out why before you change `sha256`"))
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::tensors;
    use crate::net::network_folder::NetworkFolder;
    use crate::net::start::fresh_weights;
    use crate::test_support::tasks::{run, set, task};
    use crate::transfer::loopback::{LoopbackAnswer, Server};

    fn fetched(server: &Server, folder: &Path, sha256: &str) -> Result<Vec<String>, Failure> {
        let mut task = task(&FetchNetwork, folder);
        let text = |text: &str| Value::Text(text.to_owned());
        set(&mut task, "architecture", text("small"));
        set(&mut task, "classes", Value::Int(4));
        set(&mut task, "url", text(&format!("{}/small.safetensors", server.address())));
        set(&mut task, "sha256", text(sha256));
        run(&FetchNetwork, &task)
    }

    #[test]
    fn the_beginning_of_the_digest_is_compared_and_all_of_it_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source");
        let weights = fresh_weights(&named("small", 4).unwrap(), 3);
        tensors::write(&path, &weights).unwrap();
        let bytes = fs::read(&path).unwrap();
        let digest = Sha256::of_file(&path).unwrap();
        let server = Server::start(move |_, _| LoopbackAnswer::ok(bytes.clone()));
        let notes = fetched(&server, folder.path(), &digest.as_str()[..8].to_uppercase()).unwrap();
        assert!(notes.len() == 1 && notes[0].ends_with(digest.as_str()), "{notes:?}");
        let opened = NetworkFolder::open(&folder.path().join("network")).unwrap();
        assert_eq!(opened.about.sha256.as_deref(), Some(digest.as_str()));
        assert!(opened.about.origin.ends_with("/small.safetensors"));
        assert_eq!(opened.weights().unwrap(), weights);
        assert!(fetched(&server, folder.path(), digest.as_str()).unwrap().is_empty());
        let failure = fetched(&server, folder.path(), "00000000").unwrap_err();
        assert!(failure.message.ends_with("expected one that begins with 00000000"), "{failure}");
        assert!(!folder.path().join("weights").exists());
        for wrong in ["7be5be7", "weights1"] {
            let failure = fetched(&server, folder.path(), wrong).unwrap_err();
            assert!(failure.message.contains("is not a SHA-256 or its beginning"), "{failure}");
        }
    }
}
