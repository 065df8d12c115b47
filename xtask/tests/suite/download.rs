//! One download against every misbehaviour: right bytes, or a clear error and nothing in its place.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xtask::fetch::artefact::Size;
use xtask::fetch::download::{Download, DownloadError};
use xtask::fetch::partial::sha256_of;
use xtask::fetch::patience::Patience;

use super::server::{Server, head, ranged, respond, whole};

const LENGTH: usize = 300_000;

const HASTY: Patience = Patience {
    connect: Duration::from_millis(500),
    stall: Duration::from_secs(2),
    window: Duration::from_secs(60),
    least: 0,
    attempts: 4,
    attempts_to_connect: 2,
    worthwhile: 1 << 20,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(20),
};

/// Bytes without a pattern that a mistake could reproduce.
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let step = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(step).take(LENGTH).collect()
}

struct Case {
    server: Server,
    folder: TempDir,
    body: Arc<Vec<u8>>,
    sha256: String,
    size: Size,
    patience: Patience,
}

impl Case {
    fn new(
        answer: impl Fn(&super::server::Request, &mut std::net::TcpStream, &[u8]) -> std::io::Result<()>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let body = Arc::new(bytes(1));
        let sha256 = sha256_of(body.as_slice()).unwrap().0;
        let kept = body.clone();
        let server = Server::start(move |request, stream| answer(request, stream, &kept));
        let folder = tempfile::tempdir().unwrap();
        let size = Size::Exactly(LENGTH as u64);
        Self { server, folder, body, sha256, size, patience: HASTY }
    }

    /// Leaves `bytes` as an interrupted download would.
    fn with_partial(self, bytes: &[u8]) -> Self {
        fs::write(self.partial(), bytes).unwrap();
        self
    }

    fn with_validator(self, etag: &str) -> Self {
        let text = format!("{}/file\n{etag}\n", self.server.url);
        fs::write(self.folder.path().join(format!("{}.validator", self.sha256)), text).unwrap();
        self
    }

    fn partial(&self) -> PathBuf {
        self.folder.path().join(format!("{}.partial", self.sha256))
    }

    fn kept(&self) -> usize {
        fs::metadata(self.partial()).map_or(0, |meta| meta.len() as usize)
    }

    /// Runs the download, and checks what lies in the folder afterwards.
    fn run(&self) -> Result<(), DownloadError> {
        let url = format!("{}/file", self.server.url);
        let (sha256, size) = (self.sha256.as_str(), self.size);
        let download =
            Download { name: "file", url: &url, sha256, size, folder: self.folder.path() };
        let result = download.run(&self.patience);
        let there = self.folder.path().join(sha256);
        let names: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        match &result {
            Ok(path) => {
                assert_eq!(path, &there);
                assert_eq!(fs::read(path).unwrap(), *self.body);
                assert_eq!(names, [sha256], "something is left over");
            }
            Err(err) => {
                assert!(!there.exists(), "a final file after {err}");
                for name in &names {
                    let partial = format!("{sha256}.partial");
                    let validator = format!("{sha256}.validator");
                    assert!(*name == partial || *name == validator, "stray {name}");
                    assert!(self.kept() > 0, "an empty partial file is left");
                }
            }
        }
        result.map(drop)
    }

    #[track_caller]
    fn succeeds(&self, offsets: &[usize]) {
        self.run().unwrap();
        assert_eq!(self.server.offsets("/file"), offsets);
    }

    #[track_caller]
    fn fails(&self, expected: &str) -> DownloadError {
        let err = self.run().unwrap_err();
        assert!(err.to_string().contains(expected), "{err}");
        err
    }
}

#[test]
fn downloads_and_then_uses_what_is_there() {
    let case = Case::new(ranged);
    case.succeeds(&[0]);
    case.succeeds(&[0]);
    fs::write(case.folder.path().join(&case.sha256), b"rotten").unwrap();
    case.succeeds(&[0, 0]);
}

#[test]
fn resumes_where_the_partial_file_ends() {
    let case = Case::new(ranged);
    let part = case.body[..100_000].to_vec();
    let case = case.with_partial(&part);
    case.succeeds(&[100_000]);
    assert_eq!(case.server.requests()[0].if_range, None);
}

#[test]
fn finishes_without_a_request_when_all_bytes_came() {
    for size in [Size::Exactly(LENGTH as u64), Size::AtMost(2 * LENGTH as u64)] {
        let case = Case::new(ranged);
        let all = case.body.to_vec();
        let mut case = case.with_partial(&all);
        case.size = size;
        case.succeeds(&[]);
    }
}

#[test]
fn a_known_validator_is_sent_and_a_changed_file_starts_again() {
    for (etag, resumed) in [("\"v1\"", true), ("\"v0\"", false)] {
        let case = Case::new(ranged);
        let start = if resumed { case.body[..7].to_vec() } else { vec![0; 7] };
        let case = case.with_partial(&start).with_validator(etag);
        case.succeeds(&[7]);
        assert_eq!(case.server.requests()[0].if_range.as_deref(), Some(etag));
    }
}

#[test]
fn a_validator_from_another_place_is_not_sent() {
    let case = Case::new(ranged);
    let part = case.body[..9].to_vec();
    let case = case.with_partial(&part);
    let path = case.folder.path().join(format!("{}.validator", case.sha256));
    fs::write(path, "https://other.example/file\n\"v0\"\n").unwrap();
    case.succeeds(&[9]);
    assert_eq!(case.server.requests()[0].if_range, None);
}

#[test]
fn a_server_without_ranges_starts_from_zero() {
    let case = Case::new(|_, stream, body| whole(stream, body));
    let part = case.body[..100_000].to_vec();
    case.with_partial(&part).succeeds(&[100_000]);
}

#[test]
fn a_wrong_content_range_is_not_continued() {
    for lie in ["bytes 5-299999/300000", "bytes 0-299999/300000", "garbage"] {
        let case = Case::new(move |request, stream, body| match request.range {
            Some(_) => {
                respond(stream, "206 Partial Content", &[&format!("Content-Range: {lie}")], body)
            }
            None => whole(stream, body),
        });
        let part = case.body[..100_000].to_vec();
        case.with_partial(&part).succeeds(&[100_000, 0]);
    }
}

#[test]
fn an_unsatisfiable_range_drops_the_partial_file() {
    let case = Case::new(|request, stream, body| match request.range {
        Some(_) => respond(stream, "416 Range Not Satisfiable", &["Content-Length: 0"], b""),
        None => whole(stream, body),
    });
    let part = case.body[..100_000].to_vec();
    case.with_partial(&part).succeeds(&[100_000, 0]);
}

#[test]
fn a_wrong_partial_file_is_found_out_and_downloaded_again() {
    let case = Case::new(ranged).with_partial(&[7; 100_000]);
    case.succeeds(&[100_000, 0]);
    let case = Case::new(ranged).with_partial(&[7; LENGTH]);
    case.succeeds(&[0]);
    let case = Case::new(ranged).with_partial(&[7; LENGTH + 1]);
    case.succeeds(&[0]);
}

#[test]
fn resumes_after_each_broken_connection() {
    let case = Case::new(|request, stream, body| {
        let rest = head(request, stream, body, "\"v1\"")?;
        stream.write_all(&rest[..rest.len().min(100_000)])
    });
    case.succeeds(&[0, 100_000, 200_000]);
    let requests = case.server.requests();
    assert!(requests[1..].iter().all(|request| request.if_range.as_deref() == Some("\"v1\"")));
}

#[test]
fn a_server_that_always_breaks_off_is_given_up_and_the_bytes_are_kept() {
    let case = Case::new(|request, stream, body| {
        let rest = head(request, stream, body, "\"v1\"")?;
        stream.write_all(&rest[..10_000])
    });
    let err =
        case.fails("the connection ended too early (4 attempts); the 40 kB that arrived are kept");
    assert!(matches!(err, DownloadError::Network(_)));
    assert_eq!((case.kept(), case.server.offsets("/file").len()), (40_000, 4));
    case.fails("the 80 kB that arrived are kept, and the same command resumes from there");
}

#[test]
fn worthwhile_progress_earns_the_attempts_back() {
    let mut case = Case::new(|request, stream, body| {
        let rest = head(request, stream, body, "\"v1\"")?;
        stream.write_all(&rest[..rest.len().min(30_000)])
    });
    case.patience.worthwhile = 30_000;
    case.run().unwrap();
    assert_eq!(case.server.offsets("/file").len(), 10);
}

#[test]
fn progress_that_is_lost_again_earns_nothing() {
    let mut case = Case::new(|_, stream, body| {
        respond(stream, "200 OK", &["Content-Length: 300000"], &body[..200_000])
    });
    case.patience.worthwhile = 30_000;
    case.fails("(4 attempts)");
    assert_eq!(case.server.offsets("/file").len(), 4);
}

#[test]
fn more_bytes_than_pinned_are_not_taken() {
    let case = Case::new(|_, stream, body| whole(stream, &[body, &[0; 10]].concat()));
    let err = case.fails("the server announces 300010 bytes, expected 300000 bytes");
    assert!(matches!(err, DownloadError::Refused(_)));
    let case =
        Case::new(|_, stream, body| respond(stream, "200 OK", &[], &[body, &[0; 10]].concat()));
    let err = case.fails("more came than 300000 bytes");
    assert!(matches!(err, DownloadError::Wrong(_)));
    assert_eq!(case.kept(), 0);
}

#[test]
fn a_login_page_instead_of_the_file_costs_no_bytes() {
    let case = Case::new(|_, stream, _| whole(stream, b"<html>Please log in</html>"));
    let part = case.body[..100_000].to_vec();
    let case = case.with_partial(&part);
    case.fails("the server announces 26 bytes, expected 300000 bytes");
    assert_eq!(case.kept(), 100_000);
}

#[test]
fn wrong_bytes_of_the_right_length_are_deleted() {
    let case = Case::new(|_, stream, _| whole(stream, &bytes(2)));
    let err = case.fails(&format!("expected {}", case.sha256));
    assert!(matches!(err, DownloadError::Wrong(_)));
    assert_eq!(case.kept(), 0);
}

#[test]
fn without_a_pinned_length_the_end_is_the_servers() {
    for announce in [true, false] {
        let mut case = Case::new(move |_, stream, body| {
            if announce { whole(stream, body) } else { respond(stream, "200 OK", &[], body) }
        });
        case.size = Size::AtMost(LENGTH as u64);
        case.succeeds(&[0]);
        let mut case = Case::new(move |_, stream, body| {
            if announce { whole(stream, body) } else { respond(stream, "200 OK", &[], body) }
        });
        case.size = Size::AtMost(LENGTH as u64 - 1);
        case.fails("at most 299999 bytes");
    }
}

#[test]
fn a_stalled_connection_is_cut_and_resumed() {
    let mut case = Case::new(|request, stream, body| {
        let rest = head(request, stream, body, "\"v1\"")?;
        if request.number == 0 {
            stream.write_all(&rest[..100_000])?;
            thread::sleep(Duration::from_secs(5));
        }
        stream.write_all(rest)
    });
    case.patience.stall = Duration::from_millis(300);
    let start = Instant::now();
    case.succeeds(&[0, 100_000]);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// A byte now and then keeps no connection alive.
#[test]
fn a_connection_that_trickles_is_cut_and_given_up() {
    let mut case = Case::new(|request, stream, body| {
        let rest = head(request, stream, body, "\"v1\"")?;
        for byte in rest {
            stream.write_all(&[*byte])?;
            stream.flush()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    (case.patience.window, case.patience.least) = (Duration::from_millis(200), 1000);
    let start = Instant::now();
    case.fails("expected at least 1000 (4 attempts)");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    // A slow line that brings enough is left alone.
    let mut case = Case::new(|request, stream, body| {
        for part in head(request, stream, body, "\"v1\"")?.chunks(50_000) {
            stream.write_all(part)?;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    });
    (case.patience.window, case.patience.least) = (Duration::from_millis(200), 1000);
    case.succeeds(&[0]);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let mut case = Case::new(|_, _, _| {
        thread::sleep(Duration::from_secs(5));
        Ok(())
    });
    case.patience.stall = Duration::from_millis(300);
    let start = Instant::now();
    case.fails("nothing came within the time limit (4 attempts)");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn too_many_requests_waits_as_long_as_the_server_asks() {
    let mut case = Case::new(|request, stream, body| match request.number {
        0 => {
            respond(stream, "429 Too Many Requests", &["Retry-After: 1", "Content-Length: 0"], b"")
        }
        _ => whole(stream, body),
    });
    case.patience.longest_pause = Duration::from_secs(5);
    let start = Instant::now();
    case.succeeds(&[0, 0]);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_busy_server_is_asked_again_but_not_for_ever() {
    let busy =
        |stream: &mut _| respond(stream, "503 Service Unavailable", &["Content-Length: 0"], b"");
    let case = Case::new(move |request, stream, body| match request.number {
        0 | 1 => busy(stream),
        _ => whole(stream, body),
    });
    case.succeeds(&[0, 0, 0]);
    let case = Case::new(move |_, stream, _| busy(stream));
    case.fails("the server answered 503 Service Unavailable (4 attempts)");
}

#[test]
fn answers_that_will_not_change_are_not_asked_for_again() {
    for (status, expected) in [
        ("404 Not Found", "the server answered 404 Not Found"),
        ("403 Forbidden", "the server answered 403 Forbidden"),
        ("204 No Content", "unexpected answer 204"),
    ] {
        let case =
            Case::new(move |_, stream, _| respond(stream, status, &["Content-Length: 0"], b""));
        case.fails(expected);
        assert_eq!(case.server.offsets("/file"), [0]);
    }
}

#[test]
fn redirects_to_plain_http_are_refused() {
    for place in ["http://127.0.0.1:9/file", "/file", "file"] {
        let location = format!("Location: {place}");
        let case = Case::new(move |_, stream, _| {
            respond(stream, "302 Found", &[&location, "Content-Length: 0"], b"")
        });
        case.fails("only https is followed");
        assert_eq!(case.server.requests().len(), 1);
    }
}

#[test]
fn an_unreachable_server_is_an_error_soon() {
    let case = Case::new(ranged);
    let folder = case.folder.path();
    let (sha256, size) = (case.sha256.as_str(), case.size);
    for url in ["http://127.0.0.1:1/file", "http://no-such-host.invalid/file"] {
        let download = Download { name: "file", url, sha256, size, folder };
        let err = download.run(&HASTY).unwrap_err();
        assert!(err.to_string().ends_with("(2 attempts)"), "{err}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }
}
