//! An S3 server that checks signatures, and a proxy in front of it that can break answers off.
//!
//! The server is moto in IAM mode, got once with pip (`scripts/tools`); it runs as long as its [`Server`]. The proxy passes
//! every byte on unchanged, so signatures stay valid, and cuts the bodies that the test selects.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::python_package::installed;
use super::workspace;

/// A running server with one bucket.
pub struct Server {
    process: Child,
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// The access key id that it accepts.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

impl Server {
    /// Serves the files below `folder` as objects of `bucket`.
    pub fn start(bucket: &str, folder: &Path) -> Self {
        let mut process = Command::new("python3")
            .arg(workspace().join("tests/support/s3_server.py"))
            .args([bucket.as_ref(), folder.as_os_str()])
            .env("PYTHONPATH", installed("moto"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("it prints a line");
        let line: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("the S3 server did not start: `{line}`"));
        let text = |name: &str| line[name].as_str().expect("its line has all three").to_owned();
        let (endpoint, key, secret) = (text("endpoint"), text("key"), text("secret"));
        Self { process, endpoint, key, secret }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A proxy that breaks off the bodies of some answers.
pub struct Proxy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// Passes on to `server`; the answers to the first `times` requests for an address that contains `what` are broken
    /// off after `keep` bytes of their body.
    pub fn start(server: &Server, what: &str, times: usize, keep: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopping, counted) = (Arc::clone(&stop), Arc::clone(&cuts));
        let behind = server.endpoint.trim_start_matches("http://").to_owned();
        let what = what.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (behind, what, counted) = (behind.clone(), what.clone(), Arc::clone(&counted));
                // A client that goes away is part of the test.
                std::thread::spawn(move || pass_on(client, &behind, &what, times, keep, &counted));
            }
        });
        Self { address, stop, cuts }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many answers were broken off.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// One request, one connection: `Connection: close` is added, which signatures do not cover.
fn pass_on(
    mut client: TcpStream,
    behind: &str,
    what: &str,
    times: usize,
    keep: usize,
    cuts: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let cut = request.contains(what)
        && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < times).then_some(n + 1)).is_ok();
    let mut server = TcpStream::connect(behind)?;
    server.write_all(request.as_bytes())?;
    server.write_all(b"Connection: close\r\n")?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !line.to_ascii_lowercase().starts_with("connection:") {
            server.write_all(line.as_bytes())?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let end = if cut { (body + keep).min(answer.len()) } else { answer.len() };
    client.write_all(&answer[..end])
}
