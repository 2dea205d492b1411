//! A bucket that speaks the S3 protocol, as an [`ObjectStore`].
//!
//! Requests are signed in a header (`sign`), so an address holds no secret; `rusty-s3` makes the addresses. What arrives is
//! compared with its length, and with its MD5 where the entity tag is one. Servers differ in their codes for the same
//! refusal, so messages go by status first and by code second.

use std::path::Path;

use jiff::Timestamp;
use pipe_contract::{Context, Failure};
use rusty_s3::{Bucket, UrlStyle};
use ureq::http::HeaderMap;

use super::checksum::md5_of_file;
use super::credentials::{self, CredentialVariables, Keys, Profiles};
use super::http::{self, Download, GetRequest, Precondition, Refusal, RequestError};
use super::object_store::{Fetched, ObjectStore};
use super::signature_v4::Get;

const CONCURRENCY: usize = 8;
const DEFAULT_REGION: &str = "us-east-1";

/// A place in a bucket: `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    bucket: String,
    /// Without slashes at its ends.
    prefix: String,
}

impl Location {
    /// Reads `s3://bucket` or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// Input: anything else, or a prefix with `.`, `..` or empty components (addresses normalise them).
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let bad =
            |why: &str| Failure::input(format!("`{}` {why}", http::redact(url))).hint("expected `s3://BUCKET/PREFIX`");
        let rest = url.strip_prefix("s3://").ok_or_else(|| bad("does not begin with `s3://`"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.len() < 3 || !bucket.chars().all(legal) {
            return Err(bad("names no bucket"));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(bad("has a prefix with an empty, `.` or `..` component"));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn key(&self, below: &str) -> String {
        if self.prefix.is_empty() { below.to_owned() } else { format!("{}/{below}", self.prefix) }
    }
}

/// How a stage accesses a bucket; empty text is "not set".
#[derive(Clone, Debug, Default)]
pub struct AccessOptions<'a> {
    /// The name after `credential:`; without one requests are anonymous.
    pub credential: Option<&'a str>,
    /// The server's address.
    pub endpoint: &'a str,
    /// The bucket's region.
    pub region: &'a str,
}

/// A bucket and how to options it.
#[derive(Debug)]
pub struct S3 {
    location: Location,
    bucket: Bucket,
    credential: Option<String>,
    keys: Option<Keys>,
    agent: ureq::Agent,
}

/// What a bucket says of an object without sending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectSize {
    /// It is there and has so many bytes, if the server says so.
    Bytes(Option<u64>),
    /// There is no such object.
    Missing,
}

impl S3 {
    /// Finds keys, server and region. Nothing is sent yet.
    ///
    /// # Errors
    /// Environment: no keys for the credential. Input: a malformed endpoint.
    pub fn new(
        location: Location,
        options: &AccessOptions,
        environment: &CredentialVariables,
    ) -> Result<Self, Failure> {
        let profiles = Profiles::read(environment)?;
        let keys = options.credential.map(|name| credentials::find(name, environment, &profiles)).transpose()?;
        let setting = |name: &str| options.credential.and_then(|profile| profiles.get(profile, name));
        let set = |text: &'_ str| if text.is_empty() { None } else { Some(text.to_owned()) };
        let region = set(options.region)
            .or_else(|| environment.get("AWS_REGION").map(str::to_owned))
            .or_else(|| environment.get("AWS_DEFAULT_REGION").map(str::to_owned))
            .or_else(|| setting("region").map(str::to_owned))
            .unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let endpoint = set(options.endpoint)
            .or_else(|| environment.get("AWS_ENDPOINT_URL_S3").map(str::to_owned))
            .or_else(|| environment.get("AWS_ENDPOINT_URL").map(str::to_owned))
            .or_else(|| setting("endpoint_url").map(str::to_owned));
        let bucket = bucket(&location, endpoint.as_deref(), &region)?;
        Ok(Self { location, bucket, credential: options.credential.map(str::to_owned), keys, agent: http::agent()? })
    }

    /// How many bytes an object has.
    ///
    /// # Errors
    /// As for fetching it.
    pub fn size(&self, key: &str, context: &dyn Context) -> Result<ObjectSize, Failure> {
        let name = self.name(key);
        let key = self.location.key(key);
        let found = http::size(&self.agent, &name, &|| self.request(&key), context);
        Ok(match found {
            Ok(size) => ObjectSize::Bytes(size),
            Err(error) => self.missing_or(error, &name).map(|()| ObjectSize::Missing)?,
        })
    }

    /// What the requests are signed with, for a message.
    pub fn access(&self) -> String {
        match &self.keys {
            Some(keys) => format!("the key {} of {}", keys.short_id(), keys.found_in),
            None => "no key".to_owned(),
        }
    }

    /// An object that does not exist does not count as an error.
    fn missing_or(&self, error: RequestError, name: &str) -> Result<(), Failure> {
        match error {
            RequestError::Refused(refusal) if refusal.status == 404 && !refusal.body.contains("NoSuchBucket") => Ok(()),
            RequestError::Refused(refusal) => Err(self.refused(&refusal, name)),
            other => Err(other.into_failure(name)),
        }
    }

    fn request(&self, key: &str) -> Result<GetRequest, Failure> {
        let url = self.bucket.object_url(key);
        let headers = match &self.keys {
            Some(keys) => {
                let name = url.host_str().unwrap_or_default();
                let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
                let get = Get { host: &host, path: url.path(), region: self.bucket.region() };
                get.headers(keys, Timestamp::now())?
            }
            None => Vec::new(),
        };
        Ok(GetRequest { url: url.into(), headers })
    }

    /// A refusal as a failure with a remedy.
    fn refused(&self, refusal: &Refusal, name: &str) -> Failure {
        let code = element(&refusal.body, "Code").unwrap_or_default();
        let status = if code.is_empty() { refusal.status.to_string() } else { format!("{} {code}", refusal.status) };
        if code == "NoSuchBucket" {
            return Failure::input(format!("there is no bucket `{}` at `{}`", self.location.bucket, self.server()))
                .hint("check `url:` and the endpoint");
        }
        if matches!(refusal.status, 301 | 307)
            || matches!(code.as_str(), "AuthorizationHeaderMalformed" | "PermanentRedirect")
        {
            let region =
                element(&refusal.body, "Region").map_or_else(|| "its own".to_owned(), |region| format!("`{region}`"));
            return Failure::environment(format!(
                "the bucket `{}` is in another region ({status})",
                self.location.bucket
            ))
            .hint(format!("set `region:` of the stage, or AWS_REGION, to {region}"));
        }
        if matches!(refusal.status, 401 | 403) {
            return self.forbidden(&code, &status, name);
        }
        Failure::environment(format!("the server refused `{name}` ({status})")).hint("`pipe log` has the stage's log")
    }

    fn forbidden(&self, code: &str, status: &str, name: &str) -> Failure {
        let (Some(keys), Some(credential)) = (&self.keys, &self.credential) else {
            return Failure::environment(format!("access to `{name}` without a key was denied ({status})"))
                .hint("name the keys to use with `credential: PROFILE` on the stage");
        };
        let which = format!("the key {} of {}", keys.short_id(), keys.found_in);
        match code {
            "SignatureDoesNotMatch" => Failure::environment(format!("the server rejected the secret of {which} ({status})"))
                .hint("the secret access key is mistyped or was renewed: copy it again".to_owned() + &self.where_keys_come_from()),
            "InvalidAccessKeyId" | "NotSignedUp" => Failure::environment(format!("{which} is unknown to the server ({status})"))
                .hint(format!("it was withdrawn or belongs to another server: make a new one{}", self.where_keys_come_from())),
            "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken" => {
                Failure::environment(format!("the session of {which} has ended ({status})"))
                    .hint(format!("get new temporary keys for `{credential}` and run again"))
            }
            "RequestTimeTooSkewed" => Failure::environment(format!("access to `{name}` was denied because this machine's clock is wrong ({status})"))
                .hint("set the clock and run again"),
            _ => Failure::environment(format!("access to `{name}` with {which} was denied ({status})")).hint(format!(
                "the key is refused for this object: check that the data use terms are accepted and the key is current{}; \
                 a bucket that may not be listed also answers 403 for objects that do not exist",
                self.where_keys_come_from()
            )),
        }
    }

    /// Where to get keys for this bucket, if it is a known one.
    fn where_keys_come_from(&self) -> String {
        if self.location.bucket == "hcp-openaccess" {
            " (sign in to ConnectomeDB or BALSA, accept the open access terms, and use \"AWS S3 Key Generation\")"
                .to_owned()
        } else {
            String::new()
        }
    }

    fn server(&self) -> String {
        self.bucket.base_url().host_str().unwrap_or_default().to_owned()
    }
}

impl ObjectStore for S3 {
    fn fetch(
        &self,
        key: &str,
        to: &Path,
        on_bytes: &(dyn Fn(u64, Option<u64>) + Sync),
        context: &dyn Context,
    ) -> Result<Fetched, Failure> {
        let name = self.name(key);
        let key = self.location.key(key);
        let verify = |path: &Path, headers: &HeaderMap| same_md5(path, headers, &name);
        let download = Download {
            name: &name,
            partial: to.to_owned(),
            request: &|| self.request(&key),
            precondition: Precondition::IfMatch,
            verify: &verify,
            on_bytes,
        };
        match http::fetch(&self.agent, &download, context) {
            Ok(()) => Ok(Fetched::Complete),
            Err(error) => self.missing_or(error, &name).map(|()| Fetched::Missing),
        }
    }

    fn name(&self, key: &str) -> String {
        format!("s3://{}/{}", self.location.bucket, self.location.key(key))
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }
}

fn bucket(location: &Location, endpoint: Option<&str>, region: &str) -> Result<Bucket, Failure> {
    // A name with a dot would not fit the certificate, and other servers rarely have a host name per bucket.
    let style =
        if endpoint.is_some() || location.bucket.contains('.') { UrlStyle::Path } else { UrlStyle::VirtualHost };
    let address = endpoint.map_or_else(|| format!("https://s3.{region}.amazonaws.com"), str::to_owned);
    let bad = |why: String| {
        Failure::input(format!("the S3 endpoint `{}` cannot be used: {why}", http::redact(&address)))
            .hint("expected `https://HOST` or `http://HOST:PORT`")
    };
    let url = address.parse().map_err(|error| bad(format!("{error}")))?;
    Bucket::new(url, style, location.bucket.clone(), region.to_owned()).map_err(|error| bad(error.to_string()))
}

/// Compares a file with its entity tag, if that is an MD5: it is for objects stored in one part, unless the server
/// encrypts with keys of its own.
fn same_md5(path: &Path, headers: &HeaderMap, name: &str) -> Result<(), String> {
    let tag = http::header(headers, "etag").unwrap_or_default();
    let tag = tag.trim_matches('"').to_ascii_lowercase();
    let is_md5 = tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let encryption = http::header(headers, "x-amz-server-side-encryption").unwrap_or_default();
    let customer = headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    if !is_md5 || encryption.starts_with("aws:kms") || customer {
        return Ok(());
    }
    match md5_of_file(path) {
        Ok(found) if found == tag => Ok(()),
        Ok(found) => Err(format!("`{name}` has MD5 {found}, expected {tag} (its entity tag)")),
        Err(failure) => Err(failure.to_string()),
    }
}

/// The text of an element of an S3 error, which is a flat piece of XML.
fn element(body: &str, name: &str) -> Option<String> {
    let document = roxmltree::Document::parse(body).ok()?;
    let found = document.descendants().find(|node| node.has_tag_name(name))?;
    found.text().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use pipe_contract::Blame;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> CredentialVariables {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "very/secret")];

    fn store(options: &AccessOptions, variables: &[(&str, &str)]) -> S3 {
        S3::new(Location::parse("s3://hcp-openaccess/HCP_1200").unwrap(), options, &environment(variables)).unwrap()
    }

    fn refusal(status: u16, code: &str) -> Refusal {
        Refusal {
            status,
            body: format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Region>eu-west-1</Region></Error>"),
        }
    }

    #[test]
    fn locations() {
        let location = Location::parse("s3://hcp-openaccess/HCP_1200/").unwrap();
        assert_eq!(location.key("100610/x"), "HCP_1200/100610/x");
        assert_eq!(Location::parse("s3://bucket").unwrap().key("x"), "x");
        for bad in ["hcp-openaccess", "https://x/y", "s3://", "s3://b?x/y", "s3://bucket/a/../b", "s3://bucket//a"] {
            assert_eq!(Location::parse(bad).unwrap_err().blame, Blame::Input, "{bad}");
        }
    }

    #[test]
    fn requests_are_signed_with_key_region_and_token() {
        let options = AccessOptions { credential: Some("x"), ..AccessOptions::default() };
        let variables = [KEYS[0], KEYS[1], ("AWS_SESSION_TOKEN", "tok"), ("AWS_REGION", "eu-central-1")];
        let request = store(&options, &variables).request("HCP_1200/a b+c").unwrap();
        assert_eq!(request.url, "https://hcp-openaccess.s3.eu-central-1.amazonaws.com/HCP_1200/a%20b%2Bc");
        let header = |name: &str| &request.headers.iter().find(|(key, _)| *key == name).unwrap().1;
        assert!(header("authorization").contains("/eu-central-1/s3/aws4_request, SignedHeaders=host;"));
        assert_eq!(header("x-amz-security-token"), "tok");
        assert!(!request.headers.iter().any(|(_, value)| value.contains("secret")));
    }

    #[test]
    fn without_a_credential_requests_are_anonymous() {
        let request = store(&AccessOptions::default(), &KEYS).request("x").unwrap();
        assert_eq!(request.url, "https://hcp-openaccess.s3.us-east-1.amazonaws.com/x");
        assert!(request.headers.is_empty());
    }

    #[test]
    fn endpoints_are_taken_in_order_and_use_paths() {
        let variables = [("AWS_ENDPOINT_URL", "http://b:2"), ("AWS_ENDPOINT_URL_S3", "http://a:1")];
        assert_eq!(
            store(&AccessOptions::default(), &variables).request("x").unwrap().url,
            "http://a:1/hcp-openaccess/x"
        );
        assert_eq!(
            store(&AccessOptions::default(), &variables[..1]).request("x").unwrap().url,
            "http://b:2/hcp-openaccess/x"
        );
        let options = AccessOptions { endpoint: "http://c:3", ..AccessOptions::default() };
        assert_eq!(store(&options, &variables).request("x").unwrap().url, "http://c:3/hcp-openaccess/x");
        let options = AccessOptions { endpoint: "nonsense", ..AccessOptions::default() };
        let failure = S3::new(Location::parse("s3://bucket").unwrap(), &options, &environment(&[])).unwrap_err();
        assert!(failure.message.contains("`nonsense` cannot be used"), "{failure}");
    }

    #[test]
    fn refusals_are_distinguished() {
        let options = AccessOptions { credential: Some("hcp"), ..AccessOptions::default() };
        let store = store(&options, &KEYS);
        let message = |status, code| {
            let failure = store.refused(&refusal(status, code), "s3://b/k");
            format!("{} / {}", failure.message, failure.hint.unwrap_or_default())
        };
        let wrong_secret = message(403, "SignatureDoesNotMatch");
        assert!(wrong_secret.contains("secret of the key ...MPLE") && wrong_secret.contains("AWS S3 Key Generation"));
        let unknown = message(403, "InvalidAccessKeyId");
        assert!(unknown.starts_with("the key ...MPLE of the variable AWS_ACCESS_KEY_ID is unknown"), "{unknown}");
        assert!(message(403, "AccessDenied").starts_with("access to `s3://b/k` with the key"));
        assert!(message(403, "").contains("AWS_ACCESS_KEY_ID was denied (403)"));
        assert!(message(403, "ExpiredToken").contains("session"));
        assert!(message(403, "RequestTimeTooSkewed").contains("clock"));
        assert!(message(301, "PermanentRedirect").contains("to `eu-west-1`"));
        assert!(message(404, "NoSuchBucket").contains("no bucket `hcp-openaccess`"));
        for text in [wrong_secret, message(403, "AccessDenied"), format!("{store:?}")] {
            assert!(!text.contains("very/secret") && !text.contains("AKIDEXAMPLE"), "{text}");
        }
    }

    #[test]
    fn anonymous_refusals_have_a_credential_as_remedy() {
        let failure = store(&AccessOptions::default(), &[]).refused(&refusal(403, "AccessDenied"), "s3://b/k");
        assert!(failure.message.contains("without a key") && failure.hint.unwrap().contains("credential:"));
    }

    #[test]
    fn entity_tags_are_checked_only_where_they_are_digests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs_err::write(&path, "abc").unwrap();
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (ureq::http::HeaderName::from_static(name), value.parse().unwrap()))
                .collect()
        };
        let right = "\"900150983cd24fb0d6963f7d28e17f72\"";
        let wrong = "\"900150983cd24fb0d6963f7d28e17f73\"";
        assert!(same_md5(&path, &headers(&[("etag", right)]), "x").is_ok());
        assert!(
            same_md5(&path, &headers(&[("etag", wrong)]), "x")
                .unwrap_err()
                .contains("900150983cd24fb0d6963f7d28e17f72")
        );
        assert!(same_md5(&path, &headers(&[("etag", "\"900150983cd24fb0d6963f7d28e17f73-2\"")]), "x").is_ok());
        assert!(
            same_md5(&path, &headers(&[("etag", wrong), ("x-amz-server-side-encryption", "aws:kms")]), "x").is_ok()
        );
        assert!(same_md5(&path, &headers(&[]), "x").is_ok());
    }
}
