//! Fetches one file over HTTP: resumed where it broke off, retried where that can help, complete or not there.
//!
//! About ranges, validators, retries and bytes; independent of buckets, pins and stages. The caller words what a refusal (403, 404)
//! means. Addresses may carry tokens, so no message from here ever shows a query string.
//!
//! A body grows in a `partial` file whose validator (entity tag or date) lies beside it; a later attempt, or a later
//! run that is given the same file, asks for the rest under the condition that the object is still the same one.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fs_err::{File, OpenOptions};
use pipe_contract::{Context, Failure};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

/// Tries without any new byte before giving up; an attempt that brought bytes starts the count again.
pub const ATTEMPTS: u32 = 5;

const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 400 });
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that a server may ask for with `Retry-After`: one that counts requests by the hour asks for longer ones, and is
/// asked again by the next run.
const LONGEST_REQUESTED: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 600 });
const SILENCE: Duration = Duration::from_secs(30);
/// What is read of a refusal's body to be shown or parsed.
const REFUSAL_BYTES: u64 = 16 * 1024;

/// One request: made anew for every attempt, because signatures hold the time.
pub struct GetRequest {
    /// The full address.
    pub url: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

/// How a resumed request makes sure that the rest belongs to the bytes already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Range`: the server sends everything when the object changed.
    IfRange,
    /// `If-Match`: the server answers 412 when the object changed (S3 supports only this one).
    IfMatch,
}

/// A file to fetch.
pub struct Download<'a> {
    /// What messages call it; never an address with a signature.
    pub name: &'a str,
    /// Where it grows; beside it lies `<name>.state`.
    pub partial: PathBuf,
    /// Makes the request of an attempt.
    pub request: &'a (dyn Fn() -> Result<GetRequest, Failure> + Sync),
    /// The condition of a resumed request.
    pub precondition: Precondition,
    /// Compares the whole file with what the headers promise; a difference discards it and counts as an attempt.
    pub verify: &'a (dyn Fn(&Path, &HeaderMap) -> Result<(), String> + Sync),
    /// Called with the bytes in the file so far, and in all if known.
    pub on_bytes: &'a (dyn Fn(u64, Option<u64>) + Sync),
}

/// Why a file was not fetched.
#[derive(Debug)]
pub enum RequestError {
    /// The server refused, and a retry would not help.
    Refused(Refusal),
    /// It may work later: the message has the last error and the number of attempts.
    Transient(String),
    /// The run was cancelled.
    Cancelled,
    /// A fault of this machine, such as a full disk, or of the address.
    Local(Failure),
}

/// A refusal by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
}

impl RequestError {
    /// As a failure, for callers that have no better words for a refusal than its status.
    pub fn into_failure(self, name: &str) -> Failure {
        match self {
            RequestError::Refused(Refusal { status: status @ (404 | 410), .. }) => {
                Failure::input(format!("`{name}` does not exist (HTTP status {status})")).hint("check the address")
            }
            RequestError::Refused(Refusal { status: status @ (401 | 403), .. }) => {
                Failure::environment(format!("access to `{name}` was denied (HTTP status {status})"))
                    .hint("check that the address is public")
            }
            RequestError::Refused(refusal) => {
                Failure::environment(format!("the server refused `{name}` with status {}", refusal.status))
            }
            RequestError::Transient(message) => Failure::environment(message)
                .hint("check the network and run again; the download resumes where it stopped")
                .transient(),
            RequestError::Cancelled => Failure::stage(format!("stopped while `{name}` was fetched")),
            RequestError::Local(failure) => failure,
        }
    }
}

/// What is known about a partial file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    validator: Option<String>,
    total: Option<u64>,
}

/// How one attempt failed.
enum AttemptError {
    Final(RequestError),
    /// Worth another attempt, after the pause that the server requested if it did.
    Again(String, Option<Duration>),
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        AttemptError::Final(RequestError::Local(failure))
    }
}

/// The connections of this process. Proxies come from the usual environment variables, certificates are the built-in
/// ones, or those of the file named by `SSL_CERT_FILE`.
///
/// # Errors
/// Environment: `SSL_CERT_FILE` names a file that cannot be read.
pub fn agent() -> Result<Agent, Failure> {
    static AGENT: OnceLock<Result<Agent, Failure>> = OnceLock::new();
    AGENT.get_or_init(new_agent).clone()
}

fn new_agent() -> Result<Agent, Failure> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("pipe/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(root_certificates()?).build())
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(SILENCE))
        .max_idle_connections_per_host(16)
        .build();
    Ok(Agent::new_with_config(config))
}

fn root_certificates() -> Result<RootCerts, Failure> {
    let Some(path) = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from) else { return Ok(RootCerts::WebPki) };
    let bytes = fs_err::read(&path).map_err(|error| {
        Failure::io("read the certificates of SSL_CERT_FILE in", &path, &error).hint("correct or unset SSL_CERT_FILE")
    })?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    Ok(RootCerts::from(certificates))
}

/// Fetches the whole file to `download.partial`, with several attempts.
///
/// # Errors
/// See [`RequestError`]. After `Transient` and `Cancelled` the partial file stays, to be resumed.
pub fn fetch(agent: &Agent, download: &Download, context: &dyn Context) -> Result<(), RequestError> {
    let mut failed = 0;
    loop {
        let before = length_of(&download.partial);
        let (message, wait) = match attempt(agent, download, context) {
            Ok(()) => {
                // The state only serves to resume; a file that is whole is moved away by the caller.
                let _ = fs_err::remove_file(state_path(&download.partial));
                return Ok(());
            }
            Err(AttemptError::Final(error)) => return Err(error),
            Err(AttemptError::Again(message, wait)) => (message, wait),
        };
        failed = if length_of(&download.partial) > before { 1 } else { failed + 1 };
        if failed >= ATTEMPTS {
            return Err(RequestError::Transient(format!("{message}; {ATTEMPTS} attempts in a row got no further")));
        }
        pause_after(message, wait, failed, context)?;
    }
}

/// Waits before the next attempt, as long as the server asked for.
fn pause_after(
    message: String,
    wait: Option<Duration>,
    failed: u32,
    context: &dyn Context,
) -> Result<(), RequestError> {
    let Some(wait) = wait else {
        context.log(&format!("{message}; trying again"));
        return pause((FIRST_PAUSE * 2_u32.pow(failed - 1)).min(LONGEST_PAUSE), context);
    };
    let seconds = wait.as_secs();
    if wait > LONGEST_REQUESTED {
        return Err(RequestError::Transient(format!("{message} and asks to be left alone for {seconds} s")));
    }
    context.log(&format!("{message} and asks to wait {seconds} s; trying again then"));
    pause(wait, context)
}

/// The text of a small answer, such as a listing, with the same retries.
///
/// # Errors
/// See [`RequestError`].
pub fn text(
    agent: &Agent,
    name: &str,
    request: &dyn Fn() -> GetRequest,
    context: &dyn Context,
) -> Result<String, RequestError> {
    with_attempts(ATTEMPTS, context, || {
        send(agent, name, &request(), &[]).and_then(|response| read_text(name, response))
    })
}

/// How many bytes an object has, by a request for its first one; `None` if the server does not say. Tried twice, because it is
/// a question of a user who waits.
///
/// # Errors
/// See [`RequestError`].
pub fn size(
    agent: &Agent,
    name: &str,
    request: &dyn Fn() -> Result<GetRequest, Failure>,
    context: &dyn Context,
) -> Result<Option<u64>, RequestError> {
    with_attempts(2, context, || {
        let first_byte = [("range", "bytes=0-0".to_owned())];
        match send(agent, name, &request()?, &first_byte) {
            Ok(response) => {
                let headers = response.headers();
                let range = header(headers, "content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok());
                Ok(range.or_else(|| number(headers, "content-length").filter(|_| response.status() == 200)))
            }
            // No byte can be the first of none.
            Err(AttemptError::Final(RequestError::Refused(Refusal { status: 416, .. }))) => Ok(Some(0)),
            Err(error) => Err(error),
        }
    })
}

/// Tries until an answer is there or no retry can help, so many times at most.
fn with_attempts<T>(
    attempts: u32,
    context: &dyn Context,
    attempt: impl Fn() -> Result<T, AttemptError>,
) -> Result<T, RequestError> {
    let mut failed = 0;
    loop {
        let (message, wait) = match attempt() {
            Ok(answer) => return Ok(answer),
            Err(AttemptError::Final(error)) => return Err(error),
            Err(AttemptError::Again(message, wait)) => (message, wait),
        };
        failed += 1;
        if failed >= attempts {
            return Err(RequestError::Transient(format!("{message}; tried {attempts} times")));
        }
        pause_after(message, wait, failed, context)?;
    }
}

fn read_text(name: &str, mut response: Response<ureq::Body>) -> Result<String, AttemptError> {
    let body = response.body_mut().with_config().limit(64 << 20).read_to_string();
    body.map_err(|error| {
        AttemptError::Again(format!("the answer about `{name}` broke off ({})", describe(&error)), None)
    })
}

fn attempt(agent: &Agent, download: &Download, context: &dyn Context) -> Result<(), AttemptError> {
    let partial = &download.partial;
    let state = read_state(partial);
    let have = length_of(partial);
    let resumed = state.validator.as_deref().filter(|_| have > 0);
    if resumed.is_none() {
        discard(partial)?;
    }
    let extra = resumed.map_or_else(Vec::new, |validator| range_headers(have, validator, download.precondition));
    let response = match send(agent, download.name, &(download.request)()?, &extra) {
        // The object changed, or the file was already whole when we were stopped: begin again.
        Err(AttemptError::Final(RequestError::Refused(Refusal { status: 412 | 416, .. }))) if resumed.is_some() => {
            discard(partial)?;
            return Err(AttemptError::Again(
                format!("`{}` changed at its source; beginning again", download.name),
                None,
            ));
        }
        other => other?,
    };
    let headers = response.headers().clone();
    let from = match response.status().as_u16() {
        206 if resumed.is_some() => resumed_from(&headers, have, download.name).inspect_err(|_| {
            let _ = discard(partial);
        })?,
        206 => {
            return Err(AttemptError::Again(
                format!("`{}` arrived as a part, but the whole file was requested", download.name),
                None,
            ));
        }
        _ => 0,
    };
    let total = number(&headers, "content-length").map(|rest| from + rest);
    if from == 0 {
        discard(partial)?;
        write_state(partial, &State { validator: validator(&headers, download.precondition), total })?;
    }
    receive(response, download, from, total, context)?;
    (download.verify)(partial, &headers).map_err(|message| {
        let _ = discard(partial);
        AttemptError::Again(message, None)
    })
}

/// Sends one request; gives the response only if it is a success.
fn send(
    agent: &Agent,
    name: &str,
    request: &GetRequest,
    extra: &[(&'static str, String)],
) -> Result<Response<ureq::Body>, AttemptError> {
    // Compressed transfer would break offsets and lengths.
    let mut builder = agent.get(&request.url).header("accept-encoding", "identity");
    for (key, value) in request.headers.iter().chain(extra) {
        builder = builder.header(*key, value);
    }
    let response = builder.call().map_err(|error| {
        let message = format!("could not reach the server of `{name}` ({})", describe(&error));
        if is_lasting(&error) {
            AttemptError::Final(RequestError::Local(Failure::input(message)))
        } else {
            AttemptError::Again(message, None)
        }
    })?;
    match response.status().as_u16() {
        200 | 206 => Ok(response),
        status @ (408 | 425 | 429 | 500..=599) => {
            let wait = retry_after(response.headers());
            Err(AttemptError::Again(format!("the server of `{name}` answered {status}"), wait))
        }
        status => Err(AttemptError::Final(RequestError::Refused(refusal(status, response)))),
    }
}

fn refusal(status: u16, response: Response<ureq::Body>) -> Refusal {
    let mut body = Vec::new();
    // The status is enough if the body breaks off.
    let _ = response.into_body().into_reader().take(REFUSAL_BYTES).read_to_end(&mut body);
    Refusal { status, body: String::from_utf8_lossy(&body).into_owned() }
}

fn receive(
    response: Response<ureq::Body>,
    download: &Download,
    from: u64,
    total: Option<u64>,
    context: &dyn Context,
) -> Result<(), AttemptError> {
    let partial = &download.partial;
    let failed = |error: std::io::Error| AttemptError::from(Failure::io("write", partial, &error));
    let mut file = OpenOptions::new().append(true).create(true).open(partial).map_err(failed)?;
    let mut body = response.into_body().into_reader();
    let mut block = vec![0; 1 << 16];
    let mut have = from;
    loop {
        if context.cancelled() {
            return Err(AttemptError::Final(RequestError::Cancelled));
        }
        let count = match body.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(broken_off(download.name, have, total, &error.to_string())),
        };
        file.write_all(&block[..count]).map_err(failed)?;
        have += count as u64;
        (download.on_bytes)(have, total);
    }
    match total {
        Some(total) if have != total => Err(broken_off(download.name, have, Some(total), "the connection was closed")),
        _ => Ok(()),
    }
}

fn broken_off(name: &str, have: u64, total: Option<u64>, why: &str) -> AttemptError {
    let of = total.map_or_else(String::new, |total| format!(" of {total}"));
    AttemptError::Again(format!("`{name}` is truncated: it broke off after {have}{of} bytes ({})", redact(why)), None)
}

fn range_headers(have: u64, validator: &str, precondition: Precondition) -> Vec<(&'static str, String)> {
    let condition = match precondition {
        Precondition::IfRange => "if-range",
        Precondition::IfMatch => "if-match",
    };
    vec![("range", format!("bytes={have}-")), (condition, validator.to_owned())]
}

/// Checks that the server sends the requested range.
fn resumed_from(headers: &HeaderMap, have: u64, name: &str) -> Result<u64, AttemptError> {
    let range = header(headers, "content-range").unwrap_or_default();
    let start = range.strip_prefix("bytes ").and_then(|rest| rest.split('-').next()).and_then(|text| text.parse().ok());
    if start == Some(have) {
        return Ok(have);
    }
    Err(AttemptError::Again(format!("requested `{name}` from byte {have}, received `{range}`"), None))
}

/// What makes a later range safe: a strong entity tag, else (not for `If-Match`) the date of the last change.
fn validator(headers: &HeaderMap, precondition: Precondition) -> Option<String> {
    let tag = header(headers, "etag").filter(|tag| !tag.starts_with("W/"));
    match precondition {
        Precondition::IfMatch => tag,
        Precondition::IfRange => tag.or_else(|| header(headers, "last-modified")),
    }
}

/// A header as text, if it is there and is text.
pub fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    header(headers, name)?.trim().parse().ok()
}

/// How long a server asks to wait: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, "retry-after")?;
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
            let seconds = at.as_second().saturating_sub(jiff::Timestamp::now().as_second());
            Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        }
    }
}

/// Errors that no retry can fix: they lie in the address or the certificate, not in the moment.
fn is_lasting(error: &ureq::Error) -> bool {
    matches!(
        error,
        ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::InvalidProxyUrl
            | ureq::Error::TooManyRedirects
            | ureq::Error::Tls(_)
            | ureq::Error::Pem(_)
            | ureq::Error::Rustls(_)
    )
}

fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "the host name is not known".to_owned(),
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::BadUri(_) => "the address is malformed".to_owned(),
        other => redact(&other.to_string()),
    }
}

/// Takes query strings out of a text: they may hold signatures and tokens.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut hidden = false;
    for c in text.chars() {
        if hidden && (c.is_whitespace() || matches!(c, '`' | '"' | '\'' | ')' | '>' | '<')) {
            hidden = false;
        }
        if !hidden {
            out.push(c);
        }
        if c == '?' && !hidden {
            // A question mark that ends a sentence has nothing after it to hide.
            hidden = true;
        }
    }
    out
}

fn pause(length: Duration, context: &dyn Context) -> Result<(), RequestError> {
    let until = Instant::now() + length;
    while Instant::now() < until {
        if context.cancelled() {
            return Err(RequestError::Cancelled);
        }
        std::thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

fn state_path(partial: &Path) -> PathBuf {
    let mut name = partial.as_os_str().to_owned();
    name.push(".state");
    PathBuf::from(name)
}

fn length_of(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}

fn read_state(partial: &Path) -> State {
    // Unreadable or half-written state only costs the resume.
    fs_err::read(state_path(partial)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write_state(partial: &Path, state: &State) -> Result<(), Failure> {
    let path = state_path(partial);
    let failed = |error: std::io::Error| Failure::io("write", &path, &error);
    let text = serde_json::to_vec(state).map_err(|error| Failure::internal(format!("state of a download: {error}")))?;
    File::create(&path).and_then(|mut file| file.write_all(&text)).map_err(failed)
}

fn discard(partial: &Path) -> Result<(), Failure> {
    for path in [partial.to_owned(), state_path(partial)] {
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::io("remove", &path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::super::loopback::{LoopbackAnswer, LoopbackRequest, Server};
    use super::*;

    fn body() -> Vec<u8> {
        (0..200_000_u32).flat_map(|number| number.to_le_bytes()).collect()
    }

    fn get(server: &Server, partial: &Path) -> Result<(), RequestError> {
        get_with(server, partial, Precondition::IfRange, &|_, _| Ok(()))
    }

    fn get_with(
        server: &Server,
        partial: &Path,
        precondition: Precondition,
        verify: &(dyn Fn(&Path, &HeaderMap) -> Result<(), String> + Sync),
    ) -> Result<(), RequestError> {
        let url = format!("{}/file?X-Amz-Signature=abc", server.address());
        let request = || Ok(GetRequest { url: url.clone(), headers: Vec::new() });
        let on_bytes = |_, _| {};
        let partial = partial.to_owned();
        let download = Download { name: "file", partial, request: &request, precondition, verify, on_bytes: &on_bytes };
        fetch(&agent().unwrap(), &download, &Silent)
    }

    fn message(result: Result<(), RequestError>) -> String {
        match result.unwrap_err() {
            RequestError::Transient(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_resumed_from_there() {
        let server = Server::start(|request: &LoopbackRequest, _: &str| match request.first_byte() {
            None => LoopbackAnswer::ok(body()).with("etag", "\"v1\"").cut_after(300_000),
            Some(from) => {
                assert_eq!(request.header("if-range"), Some("\"v1\""));
                let cut = if request.number == 2 { 100_000 } else { body().len() - from };
                LoopbackAnswer::rest(&body(), from).with("etag", "\"v1\"").cut_after(cut)
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("f");
        get(&server, &partial).unwrap();
        assert_eq!(fs_err::read(&partial).unwrap(), body());
        assert_eq!(server.requests(), 3);
        assert!(!state_path(&partial).exists());
    }

    #[test]
    fn a_later_run_goes_on_where_the_first_was_stopped() {
        let server = Server::start(|request: &LoopbackRequest, _: &str| match request.first_byte() {
            None => LoopbackAnswer::ok(body()).with("etag", "\"v1\"").cut_after(5_000),
            Some(_) if request.number <= 6 => LoopbackAnswer::status(503),
            Some(from) => LoopbackAnswer::rest(&body(), from),
        });
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("f");
        assert!(message(get(&server, &partial)).contains("answered 503; 5 attempts in a row got no further"));
        assert_eq!(length_of(&partial), 5_000);
        get(&server, &partial).unwrap();
        assert_eq!(fs_err::read(&partial).unwrap(), body());
    }

    #[test]
    fn an_object_that_changed_meanwhile_is_fetched_anew() {
        for precondition in [Precondition::IfRange, Precondition::IfMatch] {
            let server =
                Server::start(move |request: &LoopbackRequest, _: &str| match (request.number, precondition) {
                    (1, _) => LoopbackAnswer::ok(vec![1; 90_000]).with("etag", "\"old\"").cut_after(70_000),
                    (2, Precondition::IfMatch) => LoopbackAnswer::status(412),
                    _ => LoopbackAnswer::ok(body()).with("etag", "\"new\""),
                });
            let folder = tempfile::tempdir().unwrap();
            let partial = folder.path().join("f");
            get_with(&server, &partial, precondition, &|_, _| Ok(())).unwrap();
            assert_eq!(fs_err::read(&partial).unwrap(), body());
        }
    }

    #[test]
    fn without_a_validator_nothing_is_resumed() {
        let server = Server::start(|request: &LoopbackRequest, _: &str| {
            assert_eq!(request.first_byte(), None);
            LoopbackAnswer::ok(body()).cut_after(if request.number == 1 { 70_000 } else { body().len() })
        });
        let folder = tempfile::tempdir().unwrap();
        get(&server, &folder.path().join("f")).unwrap();
        assert_eq!(fs_err::read(folder.path().join("f")).unwrap(), body());
    }

    #[test]
    fn a_server_that_always_cuts_is_named_with_the_bytes() {
        let server = Server::start(|_: &LoopbackRequest, _: &str| LoopbackAnswer::ok(vec![0; 1000]).cut_after(10));
        let folder = tempfile::tempdir().unwrap();
        let shown = message(get(&server, &folder.path().join("f")));
        assert!(shown.starts_with("`file` is truncated: it broke off after 10 of 1000 bytes"), "{shown}");
    }

    #[test]
    fn another_range_than_the_requested_one_is_not_appended() {
        let server = Server::start(|request: &LoopbackRequest, _: &str| match request.number {
            1 => LoopbackAnswer::ok(body()).with("etag", "\"v\"").cut_after(100_000),
            2 => LoopbackAnswer::rest(&body(), 7).with("etag", "\"v\""),
            _ => LoopbackAnswer::ok(body()).with("etag", "\"v\""),
        });
        let folder = tempfile::tempdir().unwrap();
        get(&server, &folder.path().join("f")).unwrap();
        assert_eq!(fs_err::read(folder.path().join("f")).unwrap(), body());
    }

    #[test]
    fn what_arrives_wrong_is_fetched_again_and_then_given_up() {
        let server = Server::start(|_: &LoopbackRequest, _: &str| LoopbackAnswer::ok("wrong"));
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("f");
        let verify = |_: &Path, _: &HeaderMap| Err("`file` arrived with another MD5".to_owned());
        let shown = message(get_with(&server, &partial, Precondition::IfMatch, &verify));
        assert!(shown.contains("another MD5; 5 attempts"), "{shown}");
        assert!(!partial.exists());
    }

    #[test]
    fn refusals_are_final_and_redirects_are_followed() {
        let server = Server::start(|request: &LoopbackRequest, address: &str| match request.target.as_str() {
            "/moved" => LoopbackAnswer::ok("here"),
            _ if request.number == 1 => LoopbackAnswer::status(302).with("location", &format!("{address}/moved")),
            _ => LoopbackAnswer::status(404),
        });
        let folder = tempfile::tempdir().unwrap();
        get(&server, &folder.path().join("f")).unwrap();
        assert_eq!(fs_err::read(folder.path().join("f")).unwrap(), b"here");
        match get(&server, &folder.path().join("g")).unwrap_err() {
            RequestError::Refused(refusal) => assert_eq!(refusal.status, 404),
            other => panic!("{other:?}"),
        }
        assert_eq!(server.requests(), 3);
    }

    #[test]
    fn a_server_that_asks_to_wait_is_left_alone_until_then() {
        // In a second or two, depending on the part of the second that it is now.
        let date = |seconds: i64| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap()
        };
        let server = Server::start(move |request: &LoopbackRequest, _: &str| match request.number {
            1 => LoopbackAnswer::status(429).with("retry-after", "1"),
            2 => LoopbackAnswer::status(503).with("retry-after", &date(2)),
            3 => LoopbackAnswer::status(429).with("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),
            4 => LoopbackAnswer::status(429).with("retry-after", "soon"),
            5 => LoopbackAnswer::ok(body()),
            _ => LoopbackAnswer::status(429).with("retry-after", "3600"),
        });
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        get(&server, &folder.path().join("f")).unwrap();
        assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
        let shown = message(get(&server, &folder.path().join("g")));
        assert_eq!(shown, "the server of `file` answered 429 and asks to be left alone for 3600 s");
        assert_eq!(server.requests(), 6);
    }

    #[test]
    fn connections_that_close_without_an_answer_are_opened_again() {
        let server = Server::start(|request: &LoopbackRequest, _: &str| match request.number {
            1..=3 => LoopbackAnswer::nothing(),
            _ => LoopbackAnswer::ok(body()),
        });
        let folder = tempfile::tempdir().unwrap();
        get(&server, &folder.path().join("f")).unwrap();
        assert_eq!(fs_err::read(folder.path().join("f")).unwrap(), body());
        assert_eq!(server.requests(), 4);
    }

    /// As the Open Science Framework: an address that does not change leads to one of a storage, another one each time.
    #[test]
    fn a_download_is_resumed_through_redirects() {
        let server = Server::start(|request: &LoopbackRequest, address: &str| {
            let stored = |from: Option<usize>| match from {
                None => LoopbackAnswer::ok(body()).cut_after(300_000),
                Some(from) => LoopbackAnswer::rest(&body(), from),
            };
            match request.target.as_str() {
                target if target.starts_with("/file?") => {
                    LoopbackAnswer::status(302).with("location", &format!("{address}/api/{}", request.number))
                }
                target if target.starts_with("/api/") => {
                    LoopbackAnswer::status(301).with("location", &format!("{address}/storage/{}", request.number))
                }
                _ => stored(request.first_byte()).with("etag", "\"v1\""),
            }
        });
        let folder = tempfile::tempdir().unwrap();
        get(&server, &folder.path().join("f")).unwrap();
        assert_eq!(fs_err::read(folder.path().join("f")).unwrap(), body());
        assert_eq!(server.requests(), 6, "three for each part");
    }

    #[test]
    fn endless_redirects_are_given_up() {
        let server = Server::start(|_: &LoopbackRequest, address: &str| {
            LoopbackAnswer::status(302).with("location", &format!("{address}/again"))
        });
        let folder = tempfile::tempdir().unwrap();
        match get(&server, &folder.path().join("f")).unwrap_err() {
            RequestError::Local(failure) => assert!(failure.message.contains("redirect"), "{failure}"),
            other => panic!("{other:?}"),
        }
        assert!(server.requests() <= 12, "{}", server.requests());
    }

    #[test]
    fn an_unreachable_server_is_a_transient_error_that_shows_no_signature() {
        let server = Server::start(|_: &LoopbackRequest, _: &str| LoopbackAnswer::ok(""));
        let url = format!("{}/x?X-Amz-Signature=topsecret", server.address());
        drop(server);
        let request = || GetRequest { url: url.clone(), headers: Vec::new() };
        let shown = match text(&agent().unwrap(), "x", &request, &Silent).unwrap_err() {
            RequestError::Transient(message) => message,
            other => panic!("{other:?}"),
        };
        assert!(shown.contains("could not reach the server of `x`") && !shown.contains("topsecret"), "{shown}");
    }

    #[test]
    fn query_strings_are_hidden() {
        assert_eq!(redact("GET http://h/k?X-Amz-Signature=ab&c=d: refused"), "GET http://h/k? refused");
        assert_eq!(redact("`http://h/k?a=b` failed. Why?"), "`http://h/k?` failed. Why?");
        assert_eq!(redact("nothing"), "nothing");
    }
}
