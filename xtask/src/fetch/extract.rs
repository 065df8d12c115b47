//! Archives are walked by hand: only what the caller names comes out, with the size it must have.
//!
//! Nothing here ever unpacks "whatever is in the archive". With an allow-list of names and sizes, a
//! path that climbs out of the folder or a file that fills the disk has nowhere to go.

pub mod tar;
pub mod zip;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::artefact::Size;
use super::partial::hex;
use crate::failure::integrity;

/// A file that an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its path inside the archive's only folder.
    pub path: &'a str,
    /// The size it must have.
    pub size: Size,
    /// Its hash in the official archive.
    pub sha256: Option<&'a str>,
    /// Whether an archive without it is refused.
    pub required: bool,
}

/// The parts of a path inside an archive, or why it is refused.
fn safe_path(name: &str) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(integrity(format!("entry {name:?} leads out of the folder"))),
        }
    }
    if name.contains(['\\', '\0']) || path.as_os_str().is_empty() {
        return Err(integrity(format!("entry {name:?} is no proper path")));
    }
    Ok(path)
}

/// Writes one entry to the new file `to`, and returns its SHA-256. The caller syncs the folder.
///
/// The header's size was checked before; `size` caps what the data may really be.
fn write_entry(name: &str, data: &mut impl Read, size: u64, to: &Path) -> Result<String> {
    let failed = || format!("cannot write {}", to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    let mut file = File::options().write(true).create_new(true).open(to).with_context(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut written = 0;
    loop {
        let n = data
            .read(&mut buffer)
            .map_err(|err| integrity(format!("entry {name:?} cannot be read: {err}")))?;
        if n == 0 {
            break;
        }
        written += n as u64;
        if written > size {
            return Err(integrity(format!("entry {name:?} is longer than its {size} bytes")));
        }
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n]).with_context(failed)?;
    }
    if written < size {
        let message = format!("entry {name:?} ends after {written} of {size} bytes");
        return Err(integrity(message));
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["a", "a/b.bin", "./a/b", "a/./b", "a/"] {
            assert!(safe_path(good).is_ok(), "{good}");
        }
        for bad in ["/a", "../a", "a/../../b", "..", "", ".", "a\\b", "a\0b"] {
            assert!(safe_path(bad).is_err(), "{bad:?}");
        }
    }
}
