//! `.tar.gz` against a list of wanted files; anything else in it is an error.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use anyhow::Result;
use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{Wanted, safe_path, write_entry};
use crate::failure::integrity;
use crate::fetch::progress::Progress;

/// A PAX header is a few dozen bytes; this much is still harmless.
const LONGEST_PAX_HEADER: u64 = 64 << 10;

/// The files that may come out of an archive.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The only folder in the archive.
    pub folder: &'a str,
    /// The files in it.
    pub files: &'a [Wanted<'a>],
    /// Whether the files' official hashes must match.
    pub official: bool,
}

/// A stream that fails where it should have ended.
struct Capped<R> {
    stream: R,
    cap: u64,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::other(format!("it unpacks to more than {} bytes", self.cap))
        })?;
        Ok(n)
    }
}

/// Extracts the wanted files of `archive` into the folder `into`.
///
/// # Errors
///
/// Names the first entry that is not wanted (unknown, a link, a device, absolute, duplicate, wrong
/// size or hash), or the first file that is missing.
pub fn extract(archive: File, contents: &Contents<'_>, into: &Path) -> Result<()> {
    let bytes: u64 = contents.files.iter().map(|file| file.size.cap()).sum();
    let progress = Progress::extraction(contents.folder, bytes);
    // Headers and padding are small beside this; a stream without end is a bomb.
    let cap = bytes + (16 << 20);
    let stream = GzDecoder::new(BufReader::with_capacity(1 << 20, archive));
    let stream = Capped { stream, cap, left: cap };
    let mut archive = Archive::new(stream);
    let mut seen = BTreeSet::new();
    let broken = |err| integrity(format!("not a readable .tar.gz: {err}"));
    // Raw: the tar crate would read a "long name" of any length into memory, and follow a PAX size.
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        if let Some(wanted) = sort(&entry, contents)? {
            if !seen.insert(wanted.path) {
                return Err(integrity(format!("entry {:?} comes twice", wanted.path)));
            }
            let size = entry.size();
            let sha256 = write_entry(wanted.path, &mut entry, size, &into.join(wanted.path))?;
            if let Some(official) = wanted.sha256.filter(|_| contents.official)
                && official != sha256
            {
                let message =
                    format!("entry {:?} has sha256 {sha256}, expected {official}", wanted.path);
                return Err(integrity(message));
            }
            progress.advance(size);
        }
    }
    match contents.files.iter().find(|file| file.required && !seen.contains(file.path)) {
        Some(missing) => Err(integrity(format!("{:?} is not in the archive", missing.path))),
        None => Ok(()),
    }
}

/// The wanted file that `entry` is, `None` for what is harmless to pass over, else an error.
fn sort<'a, R: Read>(
    entry: &Entry<'_, R>,
    contents: &Contents<'a>,
) -> Result<Option<&'a Wanted<'a>>> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let path = safe_path(&name)?;
    let size = entry.size();
    match entry.header().entry_type() {
        EntryType::Directory => return Ok(None),
        EntryType::XHeader | EntryType::XGlobalHeader if size <= LONGEST_PAX_HEADER => {
            return Ok(None);
        }
        EntryType::Regular => {}
        other => {
            let message = format!("entry {name:?} is {}, not a regular file", describe(other));
            return Err(integrity(message));
        }
    }
    let wanted = path
        .strip_prefix(contents.folder)
        .ok()
        .and_then(|inner| contents.files.iter().find(|file| Path::new(file.path) == inner))
        .ok_or_else(|| {
            let folder = contents.folder;
            integrity(format!("entry {name:?} is not one of the known files of {folder}"))
        })?;
    if !wanted.size.allows(size) {
        let message = format!("entry {name:?} has {size} bytes, expected {}", wanted.size);
        return Err(integrity(message));
    }
    Ok(Some(wanted))
}

fn describe(kind: EntryType) -> String {
    match kind {
        EntryType::Link => "a hard link".into(),
        EntryType::Symlink => "a symbolic link".into(),
        EntryType::Char | EntryType::Block => "a device".into(),
        EntryType::Fifo => "a pipe".into(),
        EntryType::GNUSparse => "a sparse file".into(),
        EntryType::GNULongName | EntryType::GNULongLink => "an overlong name".into(),
        EntryType::XHeader | EntryType::XGlobalHeader => "an overlong PAX header".into(),
        other => format!("of type {:?}", char::from(other.as_byte())),
    }
}
