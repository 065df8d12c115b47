//! Sources of an artefact: its own site, or `--from` a folder, a file or a URL.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::artefact::{Artefact, Size};
use super::download::{Download, DownloadError};
use super::mirror::{SUMS, accept_unofficial, download_sums, vouched_sum};
use super::partial::sha256_of;
use super::patience::Patience;
use super::progress::megabytes;
use crate::cache::Cache;
use crate::durable;
use crate::failure::{integrity, usage};

/// A place to look for artefacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The artefact's own site.
    Official,
    /// A local mirror.
    Folder(PathBuf),
    /// One local file.
    File(PathBuf),
    /// A file or a mirror on the web.
    Url(String),
}

/// Settings of fetching, for all artefacts of one command.
#[derive(Clone, Debug)]
pub struct Context {
    /// The cache.
    pub cache: Cache,
    /// The source.
    pub source: Source,
    /// Forbids the network.
    pub offline: bool,
    /// Timeouts and attempts.
    pub patience: Patience,
}

/// An archive that is at hand and has been hashed.
#[derive(Clone, Debug)]
pub struct Obtained {
    /// The artefact's file name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// Whether that is the pinned one.
    pub official: bool,
    /// The URL or path that it came from.
    pub origin: String,
    /// Whether it lies in the cache only until it is extracted.
    pub transient: bool,
}

impl Source {
    /// Reads `--from`.
    ///
    /// # Errors
    ///
    /// When it is neither a URL nor an existing path.
    pub fn parse(from: Option<&str>) -> Result<Self> {
        let Some(from) = from else { return Ok(Source::Official) };
        if from.starts_with("https://") || from.starts_with("http://") {
            return Ok(Source::Url(from.trim_end_matches('/').to_owned()));
        }
        if from.contains("://") {
            return Err(usage(format!("--from {from}: only http and https URLs can be fetched")));
        }
        let path = std::path::absolute(from).map_err(|err| usage(format!("--from: {err}")))?;
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => Ok(Source::Folder(path)),
            Ok(_) => Ok(Source::File(path)),
            Err(err) => Err(usage(format!("--from {from}: {err}"))),
        }
    }
}

impl Context {
    /// Gets `artefact` from the source, or `None` when the source does not have it.
    ///
    /// # Errors
    ///
    /// When the source has it but it is not what it should be, or the network or the disk fails.
    pub fn obtain(&self, artefact: &Artefact<'_>) -> Result<Option<Obtained>> {
        match &self.source {
            Source::Official if self.offline => self.left_in_archives(artefact),
            Source::Official => match artefact.url {
                Some(url) => self.download(artefact, url, None),
                None => Ok(None),
            },
            Source::Folder(folder) => {
                let names = [artefact.name, &artefact.encoded_name(), artefact.sha256];
                match names.map(|name| folder.join(name)).into_iter().find(|path| path.is_file()) {
                    Some(path) => check(artefact, &path).map(Some),
                    None => Ok(None),
                }
            }
            Source::File(path) => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
                // Under another name only the pinned hash can tell what it is.
                if artefact.is_named(name) || artefact.has_sum(&hash(path)?) {
                    check(artefact, path).map(Some)
                } else {
                    Ok(None)
                }
            }
            Source::Url(url) => {
                let (folder, name) = split_url(url);
                match kind(name) {
                    None => {
                        let sums = download_sums(url, &self.patience)?;
                        self.download(artefact, &format!("{url}/{}", artefact.encoded_name()), sums)
                    }
                    of_file if of_file != kind(artefact.name) => Ok(None),
                    Some(_) if artefact.is_named(name) => {
                        let sums = download_sums(folder, &self.patience)?;
                        self.download(artefact, url, sums)
                    }
                    Some(_) => self.download(artefact, url, None),
                }
            }
        }
    }

    /// Downloads `url`, which must have the pinned hash or the one in the mirror's `sums`.
    fn download(
        &self,
        artefact: &Artefact<'_>,
        url: &str,
        sums: Option<String>,
    ) -> Result<Option<Obtained>> {
        let vouched = sums.as_deref().and_then(|sums| vouched_sum(sums, artefact));
        let sha256 = vouched.unwrap_or_else(|| artefact.sha256.to_owned());
        let official = artefact.has_sum(&sha256);
        let size = if official {
            artefact.size
        } else {
            accept_unofficial(artefact, url, &sha256, Some(&sha256))?;
            // A mirror's own packing may be a little larger than the official one.
            Size::AtMost(artefact.size.cap().saturating_mul(2))
        };
        let folder = self.cache.archives();
        let download =
            Download { name: artefact.name, url, sha256: &sha256, size, folder: &folder };
        match download.run(&self.patience) {
            Ok(path) => Ok(Some(Obtained {
                name: artefact.name.into(),
                path,
                sha256,
                official,
                origin: url.to_owned(),
                transient: true,
            })),
            Err(DownloadError::Missing(_)) if self.source != Source::Official => Ok(None),
            Err(err @ DownloadError::Disk(..)) => Err(err.into()),
            Err(err) => Err(integrity(err.to_string())),
        }
    }

    /// A file that an earlier run downloaded and did not extract.
    fn left_in_archives(&self, artefact: &Artefact<'_>) -> Result<Option<Obtained>> {
        let path = self.cache.archives().join(artefact.sha256);
        if !path.is_file() || !artefact.has_sum(&hash(&path)?) {
            return Ok(None);
        }
        Ok(Some(Obtained { transient: true, ..check(artefact, &path)? }))
    }
}

/// Hashes a local file and decides whether it may be used.
fn check(artefact: &Artefact<'_>, path: &Path) -> Result<Obtained> {
    let sha256 = hash(path)?;
    let official = artefact.has_sum(&sha256);
    if !official {
        let folder = path.parent().unwrap_or(Path::new("."));
        let sums = fs::read_to_string(folder.join(SUMS)).ok();
        let vouched = sums.as_deref().and_then(|sums| vouched_sum(sums, artefact));
        let length = fs::metadata(path).map_or(0, |file| file.len());
        let place = match artefact.size {
            Size::Exactly(bytes) if vouched.is_none() && length < bytes => format!(
                "{} ({length} of the official archive's {bytes} bytes: cut off, or packed anew)",
                path.display()
            ),
            _ => path.display().to_string(),
        };
        accept_unofficial(artefact, &place, &sha256, vouched.as_deref())?;
    }
    Ok(Obtained {
        name: artefact.name.into(),
        path: path.to_owned(),
        sha256,
        official,
        origin: path.display().to_string(),
        transient: false,
    })
}

/// Removes archives that were kept only until they were extracted, and says how much that was.
///
/// # Errors
///
/// When one cannot be removed.
pub fn discard(archives: &[Obtained]) -> Result<()> {
    let mut freed = 0;
    for archive in archives.iter().filter(|archive| archive.transient) {
        freed += fs::metadata(&archive.path).map_or(0, |meta| meta.len());
        durable::remove_any(&archive.path)
            .with_context(|| format!("cannot remove {}", archive.path.display()))?;
    }
    if freed > 0 {
        eprintln!("removed what was downloaded, {}", megabytes(freed));
    }
    Ok(())
}

fn hash(path: &Path) -> Result<String> {
    let read = File::open(path).and_then(sha256_of);
    Ok(read.with_context(|| format!("cannot read {}", path.display()))?.0)
}

fn split_url(url: &str) -> (&str, &str) {
    let (folder, name) = url.rsplit_once('/').unwrap_or(("", url));
    (folder, name.split(['?', '#']).next().unwrap_or(name))
}

/// The kind of archive that a file of this name is; `None` for the name of a folder.
fn kind(name: &str) -> Option<&'static str> {
    [".tar.gz", ".zip", ".whl", ".pth"].into_iter().find(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_file_or_a_folder() {
        assert_eq!(split_url("https://a/b/c.zip?x=1"), ("https://a/b", "c.zip"));
        assert_eq!(kind("cifar-10-binary.tar.gz"), Some(".tar.gz"));
        assert_eq!(kind("data-1.0"), None);
    }
}
