//! Virtual environments with the Python software that we compare with, each made once and kept in the cache.

use std::fs;
use std::io::stderr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::durable;
use crate::failure::integrity;
use crate::fetch::lock::Lock;

/// An environment that a command needs.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// Its folder in the cache, and its lock.
    pub name: &'a str,
    /// Its size, and time where that is long, for the user who waits.
    pub size: &'a str,
    /// The pinned packages.
    pub requirements: &'a Path,
}

/// The Python of an environment that holds exactly its requirements; makes it by `python` if it is not there.
///
/// An environment is complete when it has a copy of its requirements, which is written last. One with other
/// requirements, or one that was interrupted, is made again.
///
/// # Errors
///
/// When `python` cannot be run or has no venv, or when pip cannot get what is pinned.
pub fn ensure(cache: &Cache, python: &Path, environment: Environment) -> Result<PathBuf> {
    let Environment { name, size, requirements } = environment;
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let _lock = Lock::acquire(cache, name)?;
    let folder = cache.root().join(name);
    let interpreter = folder.join("bin/python");
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) && interpreter.exists() {
        return Ok(interpreter);
    }
    eprintln!("makes a virtual environment in {} ({size})", folder.display());
    let failed = || format!("cannot replace {}", folder.display());
    durable::remove_any(&folder).with_context(failed)?;
    let mut venv = Command::new(python);
    venv.args(["-m", "venv"]).arg(&folder).stdin(Stdio::null()).stdout(stderr());
    let shown = python.display();
    let status =
        venv.status().with_context(|| format!("cannot run {shown}: name one with --python"))?;
    if !status.success() {
        bail!(
            "`{shown} -m venv` failed ({status}): install Python with venv, or name another with --python"
        );
    }
    let mut pip = Command::new(&interpreter);
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "-r"]);
    pip.arg(requirements).env("PIP_REQUIRE_VIRTUALENV", "0");
    let status = pip.stdin(Stdio::null()).stdout(stderr()).status();
    let status = status.with_context(|| format!("cannot run {}", interpreter.display()))?;
    if !status.success() {
        return Err(integrity(format!(
            "pip install of {} failed ({status}), see its messages above; without these packages \
             the comparison cannot run",
            requirements.display()
        )));
    }
    durable::write(&installed, &wanted)?;
    Ok(interpreter)
}
