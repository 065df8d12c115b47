//! Zips and wheels: the caller picks entries by name, the rest stays in the archive.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Result;
use zip::ZipArchive;
use zip::result::ZipError;

use super::{safe_path, write_entry};
use crate::failure::integrity;
use crate::fetch::progress::Progress;

/// A file to take out of a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its path inside the target folder.
    pub to: PathBuf,
    /// The size it must have, where that is known.
    pub size: Option<u64>,
}

/// Extracts what `pick` wants of `archive` into the folder `into`; returns how many files came.
///
/// `cap` bounds the sum of their sizes.
///
/// # Errors
///
/// Names the first picked entry that is a link, leads out of the folder, comes twice, is encrypted,
/// or has a wrong size or checksum.
pub fn extract(
    name: &str,
    archive: File,
    pick: &dyn Fn(&str) -> Option<Pick>,
    cap: u64,
    into: &Path,
) -> Result<usize> {
    let broken = |err: ZipError| integrity(format!("{name} is not a readable zip: {err}"));
    let mut archive = ZipArchive::new(BufReader::new(archive)).map_err(broken)?;
    // A zip with two entries of one name reads differently from program to program.
    if archive.has_duplicate_names() {
        return Err(integrity(format!("{name} has two entries of the same name")));
    }
    if archive.has_overlapping_files().map_err(broken)? {
        return Err(integrity(format!("{name} has entries that overlap")));
    }
    let mut total = 0;
    let mut picked = Vec::new();
    let mut targets = BTreeSet::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(broken)?;
        let entry_name = entry.name().map_err(broken)?.into_owned();
        let path = safe_path(&entry_name)?;
        let Some(pick) = pick(&entry_name).filter(|_| !entry.is_dir()) else { continue };
        if entry.is_symlink() || path.to_str() != Some(entry_name.as_str()) {
            return Err(integrity(format!("entry {entry_name:?} is not a regular file")));
        }
        let size = entry.size();
        if let Some(expected) = pick.size.filter(|expected| *expected != size) {
            let message = format!("entry {entry_name:?} has {size} bytes, expected {expected}");
            return Err(integrity(message));
        }
        if !targets.insert(pick.to.clone()) {
            return Err(integrity(format!("entry {entry_name:?} comes twice")));
        }
        total += size;
        if total > cap {
            let message = format!("{name} unpacks to more than {cap} bytes, at {entry_name:?}");
            return Err(integrity(message));
        }
        picked.push((index, entry_name, pick.to, size));
    }
    let progress = Progress::extraction(name, total);
    for (index, entry_name, to, size) in &picked {
        let mut entry = archive.by_index(*index).map_err(broken)?;
        write_entry(entry_name, &mut entry, *size, &into.join(to))?;
        progress.advance(*size);
    }
    Ok(picked.len())
}
