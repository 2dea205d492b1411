//! A small HTTP server on the loopback device, whose answers a story makes: a thread for each connection, one request each.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// How a request is answered.
pub enum Answer {
    /// 200 and a body; the rest of it where the request asks for a range.
    Body(Vec<u8>),
    /// The same, but the connection is closed after so many bytes.
    Cut(Vec<u8>, usize),
    /// 302 to another path of this server.
    Moved(String),
    /// A status, with `Retry-After` in seconds if there is a number.
    Status(u16, Option<u32>),
    /// The connection is closed without an answer.
    Nothing,
}

/// A running server; it stops when it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl HttpServer {
    /// Starts on a free port; `answer` is given path and query, and how often the path was asked for, from 1.
    pub fn start(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopping, noted) = (Arc::clone(&stop), Arc::clone(&seen));
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                // A client that goes away is part of some stories.
                std::thread::spawn(move || serve(client, &*answer, &noted, address));
            }
        });
        Self { address, stop, seen }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for so far, in order.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no thread panics with it").clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut client: TcpStream,
    answer: &(dyn Fn(&str, usize) -> Answer + Send + Sync),
    seen: &Mutex<Vec<String>>,
    address: SocketAddr,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = None;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("range") {
            from = value.trim().strip_prefix("bytes=").and_then(|range| range.split('-').next()?.parse::<usize>().ok());
        }
    }
    let times = {
        let mut seen = seen.lock().expect("no thread panics with it");
        seen.push(target.clone());
        seen.iter().filter(|path| **path == target).count()
    };
    let head = |status: u16, more: &str, length: usize| {
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n").into_bytes()
    };
    let (body, cut) = match answer(&target, times) {
        Answer::Nothing => return Ok(()),
        Answer::Status(status, None) => return client.write_all(&head(status, "", 0)),
        Answer::Status(status, Some(wait)) => {
            return client.write_all(&head(status, &format!("retry-after: {wait}\r\n"), 0));
        }
        Answer::Moved(to) => {
            return client.write_all(&head(302, &format!("location: http://{address}{to}\r\n"), 0));
        }
        Answer::Body(body) => (body, None),
        Answer::Cut(body, after) => (body, Some(after)),
    };
    let tag = "etag: \"one\"\r\n";
    let (head, rest) = match from.filter(|from| *from < body.len()) {
        Some(from) => {
            let range = format!("{tag}content-range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            (head(206, &range, body.len() - from), &body[from..])
        }
        None => (head(200, tag, body.len()), &body[..]),
    };
    client.write_all(&head)?;
    client.write_all(&rest[..cut.unwrap_or(rest.len()).min(rest.len())])
}
