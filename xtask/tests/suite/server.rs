//! A web server that misbehaves on request, and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as far as the tests care.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Counted from 0, over all connections.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    /// N of `Range: bytes=N-`.
    pub(crate) range: Option<usize>,
    pub(crate) if_range: Option<String>,
}

/// Runs until the process ends.
pub(crate) struct Server {
    pub(crate) url: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server whose `answer` writes the whole response; the connection closes after it.
    pub(crate) fn start(
        answer: impl Fn(&Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), Arc::clone(&log));
        let count = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log, count) = (answer.clone(), kept.clone(), count.clone());
                thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    let Some(mut request) = read_request(&stream) else { return };
                    if request.method == "CONNECT" {
                        // As a proxy: whatever the host, the answers come from here.
                        log.lock().unwrap().push(request);
                        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                        let Some(inner) = read_request(&stream) else { return };
                        request = inner;
                    }
                    request.number = count.fetch_add(1, Ordering::SeqCst);
                    log.lock().unwrap().push(request.clone());
                    // The client may hang up on a bad answer.
                    answer(&request, &mut stream).ok();
                });
            }
        });
        Self { url, log }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// The start of each request for `path`, 0 without a `Range`.
    pub(crate) fn offsets(&self, path: &str) -> Vec<usize> {
        let requests = self.requests();
        let hits = requests.iter().filter(|request| request.path == path);
        hits.map(|request| request.range.unwrap_or(0)).collect()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(String::from);
    let mut request = Request { method: words.next()?, path: words.next()?, ..Request::default() };
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let start = value.strip_prefix("bytes=")?.strip_suffix('-')?;
                request.range = Some(start.parse().ok()?);
            }
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

/// Writes a response; `Content-Length` is up to `headers`.
pub(crate) fn respond(
    stream: &mut TcpStream,
    status: &str,
    headers: &[&str],
    body: &[u8],
) -> std::io::Result<()> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n")?;
    stream.write_all(body)
}

/// Writes all of `body` with status 200.
pub(crate) fn whole(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    respond(stream, "200 OK", &[&format!("Content-Length: {}", body.len())], body)
}

/// The head of a correct answer to a request that may have a `Range`; returns what is left to send.
pub(crate) fn head<'a>(
    request: &Request,
    stream: &mut TcpStream,
    body: &'a [u8],
    etag: &str,
) -> std::io::Result<&'a [u8]> {
    let stale = request.if_range.as_deref().is_some_and(|tag| tag != etag);
    let start = request.range.filter(|_| !stale).unwrap_or(0);
    let rest = &body[start..];
    let mut headers = vec![format!("Content-Length: {}", rest.len()), format!("ETag: {etag}")];
    let mut status = "200 OK";
    if start > 0 {
        status = "206 Partial Content";
        let (last, all) = (body.len() - 1, body.len());
        headers.push(format!("Content-Range: bytes {start}-{last}/{all}"));
    }
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    respond(stream, status, &headers, b"")?;
    Ok(rest)
}

/// As [`head`], with all of the body.
pub(crate) fn ranged(
    request: &Request,
    stream: &mut TcpStream,
    body: &[u8],
) -> std::io::Result<()> {
    let rest = head(request, stream, body, "\"v1\"")?;
    stream.write_all(rest)
}

/// Sends slowly: a piece, a pause, and so on.
pub(crate) fn slowly(stream: &mut TcpStream, body: &[u8], piece: usize) -> std::io::Result<()> {
    for part in body.chunks(piece) {
        stream.write_all(part)?;
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
