//! Installs a folder in the cache: it appears whole or not at all, and records its source.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::source::{Obtained, discard};
use crate::durable;
use crate::failure::Failure;

/// The file in every installed folder that names its source and lists its files with their sizes.
/// It is written last, so a folder that has it is complete.
pub const PROVENANCE: &str = "provenance.json";

/// The state of an installation's folder.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// All files that were installed, with their sizes.
    Whole,
    /// Installed once, and changed since.
    Damaged(String),
    /// A folder or file that `fetch` did not put there.
    Foreign,
}

/// Looks at an installed folder: every file of its [`PROVENANCE`] must have the size given there.
pub fn state(target: &Path) -> State {
    if fs::symlink_metadata(target).is_err() {
        return State::Absent;
    }
    let Ok(text) = fs::read_to_string(target.join(PROVENANCE)) else { return State::Foreign };
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    let Some(files) = parsed.as_ref().and_then(|value| value["files"].as_object()) else {
        return State::Damaged(format!("{PROVENANCE} cannot be read"));
    };
    for (name, size) in files {
        let found = fs::metadata(target.join(name)).ok().map(|meta| meta.len());
        if found != size.as_u64() {
            let found = found.map_or("missing".into(), |size| format!("{size} bytes"));
            return State::Damaged(format!("{name} is {found}, was {size} bytes"));
        }
    }
    State::Whole
}

/// Whether an installed folder came from the pinned archive.
pub fn is_official(target: &Path) -> bool {
    let text = fs::read_to_string(target.join(PROVENANCE)).unwrap_or_default();
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    parsed.is_some_and(|value| value["official"] == true)
}

/// Fills a folder beside `target` and renames it to `target` when it is complete. Archives that were
/// downloaded for it go then, and also when they turn out to be unusable.
///
/// The caller holds the artefact's lock and has seen that `target` is not [`State::Foreign`].
///
/// # Errors
///
/// Those of `fill`, and of the disk. Then `target` is what it was before.
pub fn install(
    target: &Path,
    archives: &[Obtained],
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let parent = target.parent().context("an installation has a parent folder")?;
    durable::create_folder(parent)?;
    let incomplete = beside(target, "incomplete");
    let failed = || format!("cannot write {}", incomplete.display());
    durable::remove_any(&incomplete).with_context(failed)?;
    fs::create_dir(&incomplete).with_context(failed)?;
    let filled = fill(&incomplete).and_then(|()| describe(&incomplete, archives));
    if let Err(err) = filled {
        durable::remove_any(&incomplete).with_context(failed)?;
        if err.downcast_ref::<Failure>().is_some() {
            discard(archives)?;
        }
        return Err(err);
    }
    let old = beside(target, "old");
    let replaced = || format!("cannot replace {}", target.display());
    durable::remove_any(&old).with_context(replaced)?;
    if target.exists() {
        fs::rename(target, &old).with_context(replaced)?;
    }
    durable::rename(&incomplete, target).with_context(replaced)?;
    durable::remove_any(&old).with_context(replaced)?;
    discard(archives)
}

/// Refuses to touch what `fetch` did not make.
///
/// # Errors
///
/// Always; the message says what to do.
pub fn refuse_foreign(target: &Path) -> Result<()> {
    bail!(
        "{} is there, and `cargo xtask fetch` did not put it there: move it elsewhere and run this again",
        target.display()
    )
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

/// Syncs everything in `folder`, and then writes its [`PROVENANCE`].
fn describe(folder: &Path, archives: &[Obtained]) -> Result<()> {
    let path = folder.join(PROVENANCE);
    let failed = || format!("cannot write {}", path.display());
    let mut files = Map::new();
    for (file, size) in durable::sync_tree(folder).with_context(failed)? {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        files.insert(name, json!(size));
    }
    let hashes: Map<_, _> =
        archives.iter().map(|one| (one.name.clone(), json!(one.sha256))).collect();
    let provenance = json!({
        "source": archives.first().map(|one| one.origin.clone()),
        "official": archives.iter().all(|one| one.official),
        "archive_sha256": hashes,
        "files": files,
    });
    let mut file = File::create_new(&path).with_context(failed)?;
    writeln!(file, "{provenance:#}").with_context(failed)?;
    file.sync_all().with_context(failed)?;
    durable::sync_folder(folder).with_context(failed)
}
