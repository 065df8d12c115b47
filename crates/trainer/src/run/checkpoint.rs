//! Checkpoints that can be trusted: each is complete and verified, or it is not there.
//!
//! Each is a folder `checkpoints/step-N`. It is written under another name, every file synced, and then renamed, so a
//! crash at any moment leaves earlier ones as they were. Checksums over every byte show later whether it is still what was
//! written. Loading takes the newest valid one. Old ones are removed only after a newer one was read back from the disk.

mod disk;
mod manifest;
mod state;
mod watch;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use xception::weights::{self, Tensors};

use crate::file_error::FileError;
use crate::run::{Error, SaveError};
pub(crate) use manifest::Files;

pub(crate) use disk::{Disk, RealDisk};
pub(crate) use manifest::hexadecimal;
pub(crate) use state::{Arithmetic, Best, Fingerprint, Logs, Origin, State, Sums, differences};
pub(crate) use watch::Watch;

const STATE: &str = "state.json";
const LOGS: &str = "logs.json";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const AVERAGE: &str = "average.safetensors";

/// The complete state of a run between two steps.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The state but for tensors.
    pub(crate) state: State,
    /// The ends of its logs.
    pub(crate) logs: Logs,
    /// Weights and running statistics.
    pub(crate) model: Tensors,
    /// The state of the optimizer.
    pub(crate) optimizer: Tensors,
    /// Averaged weights; empty where the recipe has none.
    pub(crate) average: Tensors,
}

impl Checkpoint {
    /// The files of this checkpoint.
    pub(crate) fn to_files(&self) -> Result<Files, xception::Error> {
        let tensors = |name: &str, tensors| {
            let bytes = weights::serialize(Path::new(name), tensors, &Default::default())?;
            Ok::<_, xception::Error>((name.to_string(), bytes))
        };
        let mut files = Files::from([
            (STATE.to_string(), json(&self.state)),
            (LOGS.to_string(), json(&self.logs)),
            tensors(MODEL, &self.model)?,
            tensors(OPTIMIZER, &self.optimizer)?,
        ]);
        if !self.average.is_empty() {
            files.extend([tensors(AVERAGE, &self.average)?]);
        }
        Ok(files)
    }

    /// The checkpoint in `files`.
    ///
    /// # Errors
    /// The first problem, in words.
    pub(crate) fn from_files(files: &Files) -> Result<Self, String> {
        let tensors = |name: &str| match files.get(name) {
            Some(bytes) => weights::parse(Path::new(name), bytes)
                .map(|(tensors, _)| tensors)
                .map_err(|error| error.to_string()),
            None => Ok(Tensors::new()),
        };
        Ok(Self {
            state: parse(files, STATE)?,
            logs: parse(files, LOGS)?,
            model: tensors(MODEL)?,
            optimizer: tensors(OPTIMIZER)?,
            average: tensors(AVERAGE)?,
        })
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain values");
    text.push(b'\n');
    text
}

fn parse<T: DeserializeOwned>(files: &Files, name: &str) -> Result<T, String> {
    let bytes = files.get(name).ok_or_else(|| format!("{name} is missing"))?;
    serde_json::from_slice(bytes).map_err(|error| format!("{name} is not understood: {error}"))
}

/// A checkpoint that was skipped, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// The reason.
    pub(crate) reason: String,
}

/// The result of a search for a valid checkpoint.
#[derive(Debug)]
pub(crate) struct Found {
    /// The newest good checkpoint and its folder.
    pub(crate) newest: Option<(PathBuf, Checkpoint)>,
    /// Newer ones that are not valid.
    pub(crate) skipped: Vec<Skipped>,
}

/// The checkpoints of a run.
pub(crate) struct Checkpoints<D = RealDisk> {
    disk: D,
    folder: PathBuf,
    keep: usize,
    /// Checkpoints that were verified.
    verified: BTreeSet<PathBuf>,
}

impl<D: Disk> Checkpoints<D> {
    /// Opens the checkpoints in `folder`, of which the `keep` newest valid ones are kept. Removes half-written ones that a
    /// crash left.
    ///
    /// No other process may write there; the lock of the run ensures this.
    pub(crate) fn open(disk: D, folder: PathBuf, keep: usize) -> Result<Self, Error> {
        disk.create_folder(&folder).map_err(FileError::on("create", &folder))?;
        let there = disk.list(&folder).map_err(FileError::on("read", &folder))?;
        for half in there.iter().filter(|path| path.extension().is_some_and(|end| end == "tmp")) {
            disk.remove_folder(half).map_err(FileError::on("remove", half))?;
        }
        Ok(Self { disk, folder, keep, verified: BTreeSet::new() })
    }

    /// Saves `checkpoint`, reads it back, and removes those that are no longer kept. On an error nothing of it is left,
    /// and earlier ones are as they were.
    pub(crate) fn save(&mut self, checkpoint: &Checkpoint) -> Result<PathBuf, SaveError> {
        let place = self.folder.join(format!("step-{:09}", checkpoint.state.step));
        if self.is_good(&place) {
            return Ok(place);
        }
        let files = manifest::sealed(checkpoint.to_files()?);
        let half = place.with_extension("tmp");
        if let Err(error) = self.write(&files, &half, &place) {
            // If it cannot be removed now, it is removed when the run is opened again.
            drop(self.disk.remove_folder(&half));
            return Err(self.explained(error, &files));
        }
        manifest::verified(&self.disk, &place)
            .map_err(|reason| SaveError::NotAsWritten { folder: place.clone(), reason })?;
        self.verified.insert(place.clone());
        self.remove_old();
        Ok(place)
    }

    fn write(&self, files: &Files, half: &Path, place: &Path) -> Result<(), SaveError> {
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| SaveError::Io { action, path, source }
        };
        let disk = &self.disk;
        let free = disk.free_bytes(&self.folder).map_err(failed("measure", &self.folder))?;
        let needed = bytes_of(files);
        if free < needed {
            let (missing, folder) = (needed - free, self.folder.clone());
            return Err(SaveError::Full { missing, needed, folder });
        }
        disk.create_folder(half).map_err(failed("create", half))?;
        for (name, bytes) in files {
            let path = half.join(name);
            let mut file = disk.create_file(&path).map_err(failed("create", &path))?;
            disk.write(&mut file, bytes).map_err(failed("write", &path))?;
            disk.sync(&file).map_err(failed("sync", &path))?;
        }
        let sync = |folder: &Path| disk.open(folder).and_then(|folder| disk.sync(&folder));
        sync(half).map_err(failed("sync", half))?;
        if disk.list(&self.folder).is_ok_and(|there| there.iter().any(|path| path == place)) {
            // A damaged checkpoint of this name. It is kept for inspection.
            let aside = place.with_extension(format!("damaged-{}", std::process::id()));
            disk.rename(place, &aside).map_err(failed("rename", place))?;
        }
        disk.rename(half, place).map_err(failed("rename", half))?;
        sync(&self.folder).map_err(failed("sync", &self.folder))
    }

    /// Turns the error of a full disk into one that says how many bytes are missing.
    fn explained(&self, error: SaveError, files: &Files) -> SaveError {
        let full = |source: &io::Error| {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match error {
            SaveError::Io { source, .. } if full(&source) => {
                let needed = bytes_of(files);
                let free = self.disk.free_bytes(&self.folder).unwrap_or(0);
                let missing = needed.saturating_sub(free).max(1);
                SaveError::Full { missing, needed, folder: self.folder.clone() }
            }
            other => other,
        }
    }

    fn is_good(&mut self, place: &Path) -> bool {
        if self.verified.contains(place) {
            return true;
        }
        let good = manifest::verified(&self.disk, place).is_ok();
        if good {
            self.verified.insert(place.to_path_buf());
        }
        good
    }

    /// Removes valid checkpoints that are older than the newest ones. Damaged ones are not counted and are kept for
    /// inspection. A removal that fails is tried again after the next save.
    fn remove_old(&mut self) {
        let Ok(places) = self.newest_first() else { return };
        let good: Vec<PathBuf> = places.into_iter().filter(|place| self.is_good(place)).collect();
        for old in good.iter().skip(self.keep) {
            // Renamed first, so that a crash does not leave something that looks like a damaged checkpoint.
            let doomed = old.with_extension("tmp");
            let removed =
                self.disk.rename(old, &doomed).and_then(|()| self.disk.remove_folder(&doomed));
            match removed {
                Ok(()) => drop(self.verified.remove(old)),
                Err(error) => tracing::warn!("cannot remove {}: {error}", old.display()),
            }
        }
    }

    /// Finds the newest valid checkpoint, and the damaged ones that are newer.
    pub(crate) fn newest(&mut self) -> Result<Found, Error> {
        let mut skipped = Vec::new();
        for place in self.newest_first().map_err(FileError::on("read", &self.folder))? {
            let read = manifest::verified(&self.disk, &place)
                .and_then(|files| Checkpoint::from_files(&files));
            match read {
                Ok(checkpoint) => {
                    self.verified.insert(place.clone());
                    return Ok(Found { newest: Some((place, checkpoint)), skipped });
                }
                Err(reason) => skipped.push(Skipped { folder: place, reason }),
            }
        }
        Ok(Found { newest: None, skipped })
    }

    fn newest_first(&self) -> io::Result<Vec<PathBuf>> {
        let step = |path: &PathBuf| -> Option<u64> {
            path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
        };
        let mut places = self.disk.list(&self.folder)?;
        places.retain(|path| step(path).is_some());
        places.sort_by_key(|path| std::cmp::Reverse(step(path)));
        Ok(places)
    }
}

fn bytes_of(files: &Files) -> u64 {
    files.values().map(|bytes| bytes.len() as u64).sum()
}

#[cfg(test)]
mod tests;
