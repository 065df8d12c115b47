//! Downloads one file over http: resumes where an earlier attempt ended, and leaves a correct file or none.
//!
//! The partial file is named by the hash that the whole must have, so an interrupted download resumes
//! from any source. Network trouble keeps it; wrong content deletes it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs, io, thread};

use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::artefact::{Size, is_sum};
use super::http::{self, Trouble, content_range, header_text};
use super::partial::{Partial, Validator, sha256_of};
use super::patience::Patience;
use super::progress::{Progress, megabytes};
use crate::durable;

/// The file to download.
#[derive(Clone, Debug)]
pub struct Download<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// Its address.
    pub url: &'a str,
    /// The hash that it must have, in lower-case hex.
    pub sha256: &'a str,
    /// The length that it must have.
    pub size: Size,
    /// The folder that it is put into, as `<folder>/<sha256>`.
    pub folder: &'a Path,
}

/// Why a download failed.
#[derive(Debug)]
pub enum DownloadError {
    /// The server could not be reached, or the connection kept breaking; what came is kept.
    Network(String),
    /// The server does not have it.
    Missing(String),
    /// The server answered something that cannot be accepted.
    Refused(String),
    /// Complete, and not what it should be; deleted.
    Wrong(String),
    /// Our side: the file cannot be written.
    Disk(PathBuf, io::Error),
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownloadError::Network(why)
            | DownloadError::Missing(why)
            | DownloadError::Refused(why)
            | DownloadError::Wrong(why) => f.write_str(why),
            DownloadError::Disk(path, err) => write!(f, "cannot write {}: {err}", path.display()),
        }
    }
}

impl std::error::Error for DownloadError {}

/// Why one attempt ended without the whole file.
enum Setback {
    /// The failure of [`http`], or of a body that broke off.
    Trouble(Trouble),
    /// Not worth another attempt.
    Fatal(DownloadError),
}

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Setback::Trouble(trouble)
    }
}

impl Setback {
    fn again(why: impl Into<String>) -> Self {
        Setback::Trouble(Trouble::Passing { why: why.into(), retry_after: None })
    }
}

impl Download<'_> {
    /// Downloads the file, unless it is there from an earlier run, and returns its path.
    ///
    /// # Errors
    ///
    /// [`DownloadError`]; whatever happens, the file under the final name is correct or absent.
    pub fn run(&self, patience: &Patience) -> Result<PathBuf, DownloadError> {
        let to = self.folder.join(self.sha256);
        let disk = |err| DownloadError::Disk(self.folder.to_owned(), err);
        fs::create_dir_all(self.folder).map_err(disk)?;
        if self.is_there(&to).map_err(disk)? {
            return Ok(to);
        }
        let mut partial = Partial::open(self.folder, self.sha256).map_err(disk)?;
        match self.fill(&mut partial, patience) {
            Ok(()) => {
                partial.finish(&to).map_err(disk)?;
                Ok(to)
            }
            Err(err) if partial.is_empty() || matches!(err, DownloadError::Wrong(_)) => {
                partial.delete().map_err(disk)?;
                Err(err)
            }
            Err(DownloadError::Network(why)) => Err(DownloadError::Network(format!(
                "{why}; the {} that arrived are kept, and the same command resumes from there",
                megabytes(partial.len())
            ))),
            Err(err) => Err(err),
        }
    }

    fn is_there(&self, path: &Path) -> io::Result<bool> {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(err) => return Err(err),
        };
        let right = is_sum(&sha256_of(file)?.0, self.sha256);
        if !right {
            durable::remove_any(path)?;
        }
        Ok(right)
    }

    /// Makes attempts until `partial` is the whole file.
    fn fill(&self, partial: &mut Partial, patience: &Patience) -> Result<(), DownloadError> {
        let client = http::client(patience);
        let progress = Progress::download(self.name, self.size);
        let mut inherited = !partial.is_empty();
        if partial.len() > self.size.cap() {
            self.on_disk(partial.restart())?;
        }
        let mut failures = 0;
        let mut best = partial.len();
        loop {
            let complete = self.size == Size::Exactly(partial.len());
            let result = if complete || is_sum(&partial.sha256(), self.sha256) {
                Ok(())
            } else {
                self.attempt(&client, partial, &progress, patience)
            };
            let setback = match result {
                Ok(()) if is_sum(&partial.sha256(), self.sha256) => return Ok(()),
                Ok(()) if inherited => {
                    self.on_disk(partial.restart())?;
                    Setback::again("what an earlier run left was wrong")
                }
                Ok(()) => {
                    return Err(DownloadError::Wrong(format!(
                        "{} from {} has sha256 {}, expected {}",
                        self.name,
                        self.url,
                        partial.sha256(),
                        self.sha256
                    )));
                }
                Err(setback) => setback,
            };
            inherited &= !partial.is_empty();
            if partial.len() >= best + patience.worthwhile {
                best = partial.len();
                failures = 0;
            }
            failures += 1;
            let pause = self.pause(setback, failures, patience)?;
            progress.note(&format!("{}; trying again in {:.1} s", pause.1, pause.0.as_secs_f64()));
            thread::sleep(pause.0);
        }
    }

    /// The pause before the next attempt and its reason, or the error when there is no next attempt.
    fn pause(
        &self,
        setback: Setback,
        failures: u32,
        patience: &Patience,
    ) -> Result<(Duration, String), DownloadError> {
        let (attempts, why, asked) = match setback {
            Setback::Fatal(err) => return Err(err),
            Setback::Trouble(Trouble::Final(why)) => {
                return Err(DownloadError::Refused(format!("{}: {why}", self.url)));
            }
            Setback::Trouble(Trouble::Unreachable(why)) => {
                (patience.attempts_to_connect, why, None)
            }
            Setback::Trouble(Trouble::Passing { why, retry_after }) => {
                (patience.attempts, why, retry_after)
            }
        };
        if failures < attempts {
            return Ok((patience.pause(failures, asked), format!("{}: {why}", self.url)));
        }
        let times = if attempts == 1 { String::new() } else { format!(" ({attempts} attempts)") };
        Err(DownloadError::Network(format!("{}: {why}{times}", self.url)))
    }

    /// One request, and its body added to `partial`; `Ok` when the server says that is all.
    fn attempt(
        &self,
        client: &Agent,
        partial: &mut Partial,
        progress: &Progress,
        patience: &Patience,
    ) -> Result<(), Setback> {
        let response = http::get(client, self.url, &self.range_headers(partial))?;
        let announced: Option<u64> =
            header_text(&response, header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let total = match response.status().as_u16() {
            200 => announced,
            206 => match content_range(&response) {
                Some((start, total)) if start == partial.len() && start > 0 => {
                    total.or(announced.map(|rest| start + rest))
                }
                other => {
                    let got = other.map_or("none".into(), |(start, _)| start.to_string());
                    let why = format!("asked for bytes from {}, got {got}", partial.len());
                    self.on_disk(partial.restart()).map_err(Setback::Fatal)?;
                    return Err(Setback::again(why));
                }
            },
            416 => {
                self.on_disk(partial.restart()).map_err(Setback::Fatal)?;
                return Err(Setback::again("the server has no bytes after those that we have"));
            }
            404 | 410 => {
                let why = format!("{}: the server answered {}", self.url, response.status());
                return Err(Setback::Fatal(DownloadError::Missing(why)));
            }
            status => {
                let why = format!("unexpected answer {status}");
                return Err(Trouble::Final(why).into());
            }
        };
        if let Some(total) = total.filter(|total| !self.size.allows(*total)) {
            let why = format!("the server announces {total} bytes, expected {}", self.size);
            return Err(Trouble::Final(why).into());
        }
        if response.status().as_u16() == 200 {
            self.on_disk(partial.restart()).map_err(Setback::Fatal)?;
            self.keep_validator(&response, partial).map_err(Setback::Fatal)?;
        }
        self.read_body(response, total, partial, progress, patience)
    }

    fn read_body(
        &self,
        response: Response<Body>,
        total: Option<u64>,
        partial: &mut Partial,
        progress: &Progress,
        patience: &Patience,
    ) -> Result<(), Setback> {
        use io::Read;
        let (mut since, mut before) = (Instant::now(), partial.len());
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 128 << 10];
        loop {
            progress.at(partial.len(), total);
            let n = body.read(&mut buffer).map_err(|err| http::sort_io_error(&err))?;
            if n == 0 {
                break;
            }
            if partial.len() + n as u64 > self.size.cap() {
                let why = format!("{}: more came than {}", self.url, self.size);
                return Err(Setback::Fatal(DownloadError::Wrong(why)));
            }
            self.on_disk(partial.append(&buffer[..n])).map_err(Setback::Fatal)?;
            if since.elapsed() >= patience.window {
                let came = partial.len() - before;
                if came < patience.least {
                    let seconds = since.elapsed().as_secs_f64();
                    let least = patience.least;
                    return Err(Setback::again(format!(
                        "only {came} bytes came in {seconds:.1} s, expected at least {least}"
                    )));
                }
                (since, before) = (Instant::now(), partial.len());
            }
        }
        let expected = match self.size {
            Size::Exactly(bytes) => Some(bytes),
            Size::AtMost(_) => total,
        };
        match expected {
            Some(bytes) if partial.len() < bytes => {
                Err(Setback::again(format!("ended at byte {} of {bytes}", partial.len())))
            }
            _ => Ok(()),
        }
    }

    fn range_headers(&self, partial: &Partial) -> Vec<(header::HeaderName, String)> {
        if partial.is_empty() {
            return Vec::new();
        }
        let mut headers = vec![(header::RANGE, format!("bytes={}-", partial.len()))];
        if let Some(validator) = partial.validator().filter(|known| known.url == self.url) {
            headers.push((header::IF_RANGE, validator.value));
        }
        headers
    }

    /// A weak `ETag` may not stand in `If-Range`; without any validator the hash is the judge.
    fn keep_validator(
        &self,
        response: &Response<Body>,
        partial: &Partial,
    ) -> Result<(), DownloadError> {
        let etag = header_text(response, header::ETAG).filter(|tag| !tag.starts_with("W/"));
        match etag.or_else(|| header_text(response, header::LAST_MODIFIED)) {
            Some(value) => self.on_disk(
                partial.keep_validator(&Validator { url: self.url.into(), value: value.into() }),
            ),
            None => Ok(()),
        }
    }

    fn on_disk<T>(&self, result: io::Result<T>) -> Result<T, DownloadError> {
        result.map_err(|err| DownloadError::Disk(self.folder.to_owned(), err))
    }
}
