//! One GET over https: redirects followed by hand, errors sorted by what a retry can mend.
//!
//! Plain http is for a URL that the user typed, and never through a redirect: whoever sits on the
//! line could otherwise send the download anywhere.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use ureq::http::{Response, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::patience::Patience;

/// Redirects before a chain counts as a loop.
const HOPS: usize = 8;

/// The message for a stalled connection.
const SILENCE: &str = "nothing came within the time limit";

/// Why a GET brought no answer, sorted by what helps.
#[derive(Debug)]
pub enum Trouble {
    /// No connection: name lookup or connect failed.
    Unreachable(String),
    /// Trying again may help: the connection broke, or the server is busy.
    Passing {
        /// The reason.
        why: String,
        /// The pause that the server asks for.
        retry_after: Option<Duration>,
    },
    /// Trying again does not help.
    Final(String),
}

impl Trouble {
    fn passing(why: impl Into<String>) -> Self {
        Trouble::Passing { why: why.into(), retry_after: None }
    }
}

/// A client with the given timeouts and the proxies of the environment.
pub fn client(patience: &Patience) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("xception-xtask/", env!("CARGO_PKG_VERSION")))
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_send_request(Some(patience.stall))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .build()
        .into()
}

/// Gets `url` with the given headers. The answer's status is 2xx, 404, 410 or 416.
///
/// # Errors
///
/// Every other answer, and none, sorted into [`Trouble`].
pub fn get(
    client: &Agent,
    url: &str,
    headers: &[(header::HeaderName, String)],
) -> Result<Response<Body>, Trouble> {
    let mut url = url.to_owned();
    for _ in 0..=HOPS {
        let mut request = client.get(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.call().map_err(|err| sort_error(&err))?;
        let status = response.status().as_u16();
        match status {
            200..=299 | 404 | 410 | 416 => return Ok(response),
            301 | 302 | 303 | 307 | 308 => {
                let location = header_text(&response, header::LOCATION).unwrap_or("");
                url = redirect(&url, location).map_err(Trouble::Final)?;
            }
            408 | 429 | 500..=599 => {
                let why = format!("the server answered {}", response.status());
                let retry_after = retry_after(&response);
                return Err(Trouble::Passing { why, retry_after });
            }
            _ => return Err(Trouble::Final(format!("the server answered {}", response.status()))),
        }
    }
    Err(Trouble::Final(format!("more than {HOPS} redirects, the last to {url}")))
}

/// The target of `location`, answered by `from`; only https is followed.
fn redirect(from: &str, location: &str) -> Result<String, String> {
    let base: Uri = from.parse().map_err(|err| format!("bad URL {from}: {err}"))?;
    let scheme = base.scheme_str().unwrap_or("https");
    let host = base.authority().map_or("", |authority| authority.as_str());
    let target = if location.is_empty() {
        return Err(format!("{from} answered a redirect that names no place"));
    } else if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{host}{folder}/{location}")
    };
    if target.starts_with("https://") {
        Ok(target)
    } else {
        Err(format!("refused a redirect to {target}: only https is followed"))
    }
}

/// The value of a header, if it is text.
pub fn header_text(response: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// Start and total of `Content-Range: bytes START-END/TOTAL`.
pub fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let value = header_text(response, header::CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (range, total) = value.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds =
        response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn sort_error(err: &ureq::Error) -> Trouble {
    use ureq::{Error, Timeout};
    match err {
        Error::HostNotFound => Trouble::Unreachable("its name does not resolve".into()),
        Error::ConnectionFailed => Trouble::Unreachable("no connection".into()),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Trouble::Unreachable("no connection within the time limit".into())
        }
        Error::Timeout(_) => Trouble::passing(SILENCE),
        Error::Io(err) => sort_io_error(err),
        Error::ConnectProxyFailed(why) => Trouble::Unreachable(format!("proxy: {why}")),
        Error::Protocol(err) => Trouble::passing(format!("broken answer: {err}")),
        other => Trouble::Final(other.to_string()),
    }
}

/// Sorts an error that came while reading a body, where ureq hides its own errors in `io::Error`.
pub fn sort_io_error(err: &io::Error) -> Trouble {
    let inner = err.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    if let Some(inner) = inner {
        return sort_error(inner);
    }
    match err.kind() {
        // rustls reports a bad certificate this way.
        io::ErrorKind::InvalidData => {
            let source = err.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            Trouble::Final(format!("{err}{source}"))
        }
        io::ErrorKind::UnexpectedEof => Trouble::passing("the connection ended too early"),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Trouble::passing(SILENCE),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Trouble::passing(err.to_string()),
        // Refused, no route, and a failed name lookup, which has no kind of its own.
        _ => Trouble::Unreachable(err.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_https() {
        let from = "https://a.example/x/y.zip?q=1";
        for (location, expected) in [
            ("https://b.example/z", Ok("https://b.example/z")),
            ("/z", Ok("https://a.example/z")),
            ("z.zip", Ok("https://a.example/x/z.zip")),
            ("//b.example/z", Ok("https://b.example/z")),
            (
                "http://a.example/z",
                Err("refused a redirect to http://a.example/z: only https is followed"),
            ),
            (
                "ftp://a.example/z",
                Err("refused a redirect to ftp://a.example/z: only https is followed"),
            ),
            ("", Err("https://a.example/x/y.zip?q=1 answered a redirect that names no place")),
        ] {
            let got = redirect(from, location);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{location}");
        }
        let err = redirect("http://a.example/x", "/z").unwrap_err();
        assert_eq!(err, "refused a redirect to http://a.example/z: only https is followed");
    }
}
