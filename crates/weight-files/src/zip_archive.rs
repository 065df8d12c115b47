//! Zip archives in memory, the outer form of PyTorch's `.pth` and Keras's `.keras`.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;

use crate::Error;

/// A zip archive in memory.
pub(crate) type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Opens the archive that `bytes` are.
pub(crate) fn open(bytes: &[u8]) -> Result<Archive<'_>, Error> {
    // The archive is the whole file. Left to find its start, a reader is led astray by what PyTorch puts before the
    // directory of some archives.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    ZipArchive::with_config(config, Cursor::new(bytes)).map_err(damaged)
}

/// The first entry whose name ends in `end`.
pub(crate) fn ending_in(archive: &Archive, end: &str) -> Option<String> {
    let mut names = archive.file_names().filter_map(Result::ok);
    names.find(|name| name.ends_with(end)).map(|name| name.to_string())
}

/// Returns the entry `name` of at most `most` bytes, if there is one.
pub(crate) fn entry(
    archive: &mut Archive,
    name: &str,
    most: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(damaged(error)),
    };
    let mut data = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut data);
    read.map_err(|error| Error::Damaged(format!("{name}: {error}")))?;
    if data.len() as u64 > most {
        return Err(Error::Damaged(format!("{name} has more than the allowed {most} bytes")));
    }
    Ok(Some(data))
}

fn damaged(error: ZipError) -> Error {
    Error::Damaged(error.to_string())
}
