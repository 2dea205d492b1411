//! What a run leaves for people: results, the lockfile, checked claims, the manifest.

mod claims;
mod publish;

pub use claims::ClaimReport;
pub use publish::Results;
