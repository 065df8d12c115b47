//! `<workspace>/libtorch`, the link that the build follows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::table::{HOST, Platform, VERSION};
use crate::cache::Cache;
use crate::cli::Variant;
use crate::durable;
use crate::workspace::Workspace;

/// The folder of one build in the cache; that of another platform has its name.
pub fn folder_of(cache: &Cache, platform: Platform, variant: Variant) -> PathBuf {
    let (system, architecture) = platform;
    let other = if platform == HOST { String::new() } else { format!("-{system}-{architecture}") };
    cache.root().join(format!("libtorch-{VERSION}-{}{other}", variant.name()))
}

/// The variant of the cache that the workspace links now.
pub fn linked_variant(workspace: &Workspace, cache: &Cache) -> Option<Variant> {
    let linked = fs::read_link(workspace.libtorch_link()).ok()?;
    let variants = [Variant::Cpu, Variant::Cu130, Variant::Cu132];
    variants.into_iter().find(|variant| folder_of(cache, HOST, *variant) == linked)
}

/// Whether `folder` holds a libtorch.
pub fn holds_libtorch(folder: &Path) -> bool {
    let names = ["libtorch_cpu.so", "libtorch_cpu.dylib", "torch_cpu.dll"];
    names.iter().any(|name| folder.join("lib").join(name).is_file())
}

/// Points `<workspace>/libtorch` at `target`, and says what the build will use.
///
/// # Errors
///
/// When the link cannot be written. A real folder of that name is the user's, and stays.
pub fn link(workspace: &Workspace, target: &Path) -> Result<()> {
    let place = workspace.libtorch_link();
    let is_link = match fs::symlink_metadata(&place) {
        Ok(meta) => Some(meta.is_symlink()),
        Err(_) => None,
    };
    if is_link == Some(false) {
        eprintln!(
            "{} is a folder of your own, so it stays and the build uses it; remove it and run this \
             again to use {}",
            place.display(),
            target.display()
        );
    } else if fs::read_link(&place).ok().as_deref() != Some(target) {
        let temporary = workspace.root().join(format!(".libtorch.{}", std::process::id()));
        symlink(target, &temporary)
            .and_then(|()| durable::rename(&temporary, &place))
            .with_context(|| {
                format!(
                    "cannot link {} to {}: set LIBTORCH to the latter instead",
                    place.display(),
                    target.display()
                )
            })?;
        eprintln!("linked {} to {}", place.display(), target.display());
    }
    if let Some(own) = workspace.libtorch_of_the_user() {
        eprintln!(
            "LIBTORCH is set to {}, and that wins: unset it to build with what was fetched",
            own.display()
        );
    }
    Ok(())
}

/// A link at `place` to the folder `target`.
///
/// # Errors
///
/// The system's.
#[cfg(unix)]
pub fn symlink(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

/// As on Unix.
///
/// # Errors
///
/// The system's: on Windows, links need a right of their own.
#[cfg(windows)]
pub fn symlink(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(target, place)
}
