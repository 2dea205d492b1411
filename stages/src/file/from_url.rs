//! `file/url`: a file fetched over HTTP, resumed where it broke off.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type, Value};
use serde::Deserialize;

use crate::transfer::checksum::Sha256;
use crate::transfer::url::fetch_url;

/// The kind.
pub struct UrlFile;

#[derive(Deserialize)]
struct UrlParameters {
    url: String,
    sha256: String,
}

impl StageKind for UrlFile {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("file/url", 1, "A file fetched over HTTP or HTTPS.")
            .file("file", "file", "The bytes that the address gave.")
            .required("url", Type::Text, "The address, `http://` or `https://`; redirects are followed.")
            .param(
                "sha256",
                Type::Text,
                Value::Text(String::new()),
                "The SHA-256 that the file must have (64 hexadecimal digits); empty for none.",
            );
        kind.network = true;
        kind.checkpoint = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: UrlParameters = task.parameters()?;
        let pin = Sha256::parse_optional(&parameters.sha256)?;
        let notes = fetch_url(&parameters.url, pin.as_ref(), task, task.output("file")?, context)?;
        Ok(Ended::Done { ran_on: None, notes })
    }
}
