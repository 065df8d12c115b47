//! The manifest of a checkpoint: it reveals every file that is cut short, altered, missing or added.
//!
//! `manifest.json` has the size and sha256 of every other file, and `manifest.json.sha256` is the output of `sha256sum
//! manifest.json`. Together they cover every byte of the folder.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Disk;

/// The manifest.
pub(super) const MANIFEST: &str = "manifest.json";
/// The checksum of the manifest.
pub(super) const MANIFEST_SUM: &str = "manifest.json.sha256";

/// The format of checkpoints. Other versions are refused.
const FORMAT: u32 = 1;

/// The files of a checkpoint, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    written_by: String,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: String,
}

impl Entry {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

/// `files` with their manifest and its checksum.
pub(super) fn sealed(mut files: Files) -> Files {
    let manifest = Manifest {
        format: FORMAT,
        written_by: format!("xception {}, {}", env!("CARGO_PKG_VERSION"), torch_ext::version()),
        files: files.iter().map(|(name, bytes)| (name.clone(), Entry::of(bytes))).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain values");
    text.push(b'\n');
    files.insert(MANIFEST_SUM.to_string(), sum_line(&text).into_bytes());
    files.insert(MANIFEST.to_string(), text);
    files
}

/// Reads all files in `folder` and verifies them.
///
/// # Errors
/// The first difference from what was written, in words.
pub(super) fn verified(disk: &dyn Disk, folder: &Path) -> Result<Files, String> {
    let read = |name: &str| {
        disk.read(&folder.join(name)).map_err(|error| format!("{name} cannot be read: {error}"))
    };
    let text = read(MANIFEST)?;
    if read(MANIFEST_SUM)? != sum_line(&text).into_bytes() {
        return Err(format!("{MANIFEST} does not have the sha256 that {MANIFEST_SUM} says"));
    }
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| format!("{MANIFEST} is not understood: {error}"))?;
    if manifest.format != FORMAT {
        return Err(format!(
            "it is of format {}, written by {}, and this program reads format {FORMAT}",
            manifest.format, manifest.written_by
        ));
    }
    let there = disk.list(folder).map_err(|error| format!("it cannot be listed: {error}"))?;
    let known = |name: &str| name == MANIFEST || name == MANIFEST_SUM;
    for path in there {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !known(&name) && !manifest.files.contains_key(&name) {
            return Err(format!("{name} does not belong to it"));
        }
    }
    let mut files = Files::new();
    for (name, entry) in manifest.files {
        let bytes = read(&name)?;
        if bytes.len() as u64 != entry.bytes {
            return Err(format!(
                "{name} has {} bytes and should have {}",
                bytes.len(),
                entry.bytes
            ));
        }
        if sha256(&bytes) != entry.sha256 {
            return Err(format!("{name} does not have the sha256 of what was written"));
        }
        files.insert(name, bytes);
    }
    Ok(files)
}

/// The output of `sha256sum manifest.json`.
fn sum_line(manifest: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", sha256(manifest))
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal, lower case.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
