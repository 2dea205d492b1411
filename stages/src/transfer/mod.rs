//! What kinds that fetch data share: HTTP, S3, the Open Science Framework, credentials, checksums.
//!
//! Everything that touches the network is here and nothing here is a kind. What arrives is checked (lengths, digests) before it
//! becomes an artifact; what the source does not have is either *absent* or a failure with its blame. No message shows a secret.

pub mod checksum;
pub mod credentials;
pub mod http;
pub mod local_file;
#[cfg(test)]
pub mod loopback;
pub mod object_store;
pub mod osf_listing;
pub mod osf_project;
pub mod s3_client;
mod signature_v4;
pub mod tree_source;
pub mod url;
