//! `file/url`: a file fetched over HTTP, resumed where it broke off.

use pipe_contract::{Context, Ended, Failure, Kind, Probe, StageKind, Task, parameters};

use crate::transfer::checksum::Sha256;
use crate::transfer::url::{fetch_url, probe_url};

/// The kind.
pub struct UrlFile;

parameters! {
    struct Parameters {
        /// The address, `http://` or `https://`; redirects are followed.
        url: String;
        /// The SHA-256 that the file must have (64 hexadecimal digits); empty for none.
        sha256: String = String::new();
    }
}

impl StageKind for UrlFile {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("file/url", 1, "A file fetched over HTTP or HTTPS.")
            .file("file", "file", "The bytes that the address gave.")
            .parameters::<Parameters>();
        kind.network = true;
        kind.checkpoint = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let pin = Sha256::parse_optional(&parameters.sha256)?;
        let notes = fetch_url(&parameters.url, pin.as_ref(), task, task.output("file")?, context)?;
        Ok(Ended::noted(notes))
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let parameters: Parameters = task.parameters()?;
        probe_url(&parameters.url, context).map(Some)
    }
}
