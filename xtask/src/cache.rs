//! The cache of fetched files: one folder per user, shared by all checkouts.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cache folder and the names inside it.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `XCEPTION_CACHE`, else `$XDG_CACHE_HOME/xception-rs`, else `~/.cache/xception-rs`.
    ///
    /// # Errors
    ///
    /// When none of the variables `XCEPTION_CACHE`, `XDG_CACHE_HOME` and `HOME` is set.
    pub fn from_env() -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("XCEPTION_CACHE")
            .or_else(|| Some(set("XDG_CACHE_HOME")?.join("xception-rs")))
            .or_else(|| Some(env::home_dir()?.join(".cache/xception-rs")))
            .context("no home folder: set XCEPTION_CACHE to a folder for downloads")?;
        let root = std::path::absolute(&root)
            .with_context(|| format!("XCEPTION_CACHE: bad path {}", root.display()))?;
        Ok(Self { root })
    }

    /// A cache at a place of the caller's choice.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself; it may not exist yet.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Downloads, named by their hash, from the first byte until they are extracted.
    pub fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }

    /// One lock file per artefact.
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }
}
