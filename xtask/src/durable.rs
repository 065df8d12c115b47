//! Files and folders that survive a power cut: written, synced, then renamed into place.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{io, thread};

use anyhow::{Context, Result};

/// Creates a folder and its parents.
///
/// # Errors
///
/// Names the folder when it cannot be created.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| {
        format!(
            "cannot create the folder {} (set XCEPTION_CACHE to a folder that can be written)",
            path.display()
        )
    })
}

/// Writes a file beside `path` and then renames it to `path`, so that no reader sees half of it.
///
/// # Errors
///
/// Names the file when it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let mut incomplete = path.as_os_str().to_owned();
    incomplete.push(".incomplete");
    let incomplete = PathBuf::from(incomplete);
    let written = || -> io::Result<()> {
        let mut file = File::create(&incomplete)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        rename(&incomplete, path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// Renames `from` to `to` and syncs the folder that holds `to`, so that the new name lasts.
///
/// # Errors
///
/// Those of the rename or the sync.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))
}

/// Syncs a folder's list of names. Only Unix can open a folder; elsewhere the rename must do.
///
/// # Errors
///
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Syncs every file and folder under `folder`, and returns the files with their lengths.
///
/// Many at a time: a file system commits together what waits, and libtorch has 9,000 headers.
///
/// # Errors
///
/// When one cannot be opened or synced.
pub fn sync_tree(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                files.push((entry.path(), meta.len()));
            }
        }
    }
    thread::scope(|scope| {
        let share = files.len().div_ceil(32).max(1);
        let workers: Vec<_> = files
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    // Windows syncs only what is open for writing.
                    let open = |path| File::options().append(true).open(path);
                    part.iter().try_for_each(|(path, _)| open(path)?.sync_all())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a sync thread panicked")))
        })
    })?;
    folders.iter().try_for_each(|folder| sync_folder(folder))?;
    files.sort();
    Ok(files)
}

/// Removes a file or folder that may not be there.
///
/// # Errors
///
/// When something is there and cannot be removed.
pub fn remove_any(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(err) => Err(err),
    };
    match removed {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
