//! One lock per artefact, so that parallel fetches of the same thing wait for each other.

use std::fs::{File, TryLockError};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::durable;

/// Held until dropped; the operating system lets go of it when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of the artefact `name`, and says so if it has to.
    ///
    /// # Errors
    ///
    /// When the cache folder cannot be written, or its file system knows no locks.
    pub fn acquire(cache: &Cache, name: &str) -> Result<Self> {
        durable::create_folder(&cache.locks())?;
        let path = cache.locks().join(format!("{name}.lock"));
        let failed = || format!("cannot lock {}", path.display());
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("waiting for another fetch of {name}");
                file.lock().with_context(failed)?;
            }
            Err(TryLockError::Error(err)) => return Err(err).with_context(failed),
        }
        Ok(Self { _file: file })
    }
}
