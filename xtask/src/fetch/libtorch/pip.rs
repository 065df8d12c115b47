//! Wheels through pip, from whatever index the user's pip is set up for.
//!
//! pip checks the pinned hashes itself, and the caller checks them again.

use std::fs;
use std::io::stderr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::table::Wheel;
use crate::durable;
use crate::failure::integrity;

/// Ways to call pip, in the order of trying.
const CALLS: &[&[&str]] = &[&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// The wheels are for these systems; pip would otherwise ask for that of the Python it runs in.
const SYSTEMS: &[&str] = &[
    "manylinux_2_28",
    "manylinux_2_27",
    "manylinux_2_25",
    "manylinux_2_18",
    "manylinux2014",
    "manylinux_2_17",
];

/// The first call of pip that answers.
pub fn find() -> Option<&'static [&'static str]> {
    CALLS.iter().copied().find(|call| {
        let mut command = Command::new(call[0]);
        command.args(&call[1..]).arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// Downloads `wheels` for an architecture into `folder`, and returns their paths in the same order.
///
/// # Errors
///
/// When there is no pip, or it fails.
pub fn download(wheels: &[Wheel], architecture: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let paths: Vec<_> = wheels.iter().map(|wheel| folder.join(wheel.archive.name)).collect();
    if paths.iter().all(|path| path.is_file()) {
        return Ok(paths);
    }
    let Some(call) = find() else {
        let tried: Vec<_> = CALLS.iter().map(|call| call.join(" ")).collect();
        let tried = tried.join(", ");
        return Err(integrity(format!("no pip found (tried {tried}): install Python with pip")));
    };
    // pip unpacks in TMPDIR, which may be a small RAM disk; and whatever it leaves, we remove.
    let temporary = folder.join("tmp");
    durable::remove_any(&temporary)?;
    durable::create_folder(&temporary)?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, requirements_of(wheels))
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let mut command = Command::new(call[0]);
    command.args(&call[1..]);
    command.args(["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]);
    for system in SYSTEMS {
        command.arg("--platform").arg(format!("{system}_{architecture}"));
    }
    command.args(["--no-cache-dir", "--no-input", "--disable-pip-version-check"]);
    command.arg("--require-hashes").arg("-r").arg(&requirements).arg("-d").arg(folder);
    command.env("TMPDIR", &temporary).env("PIP_REQUIRE_VIRTUALENV", "0");
    let status = command.stdin(Stdio::null()).stdout(stderr()).status();
    durable::remove_any(&temporary)?;
    let call = call.join(" ");
    let status = status.with_context(|| format!("cannot run {call}"))?;
    if !status.success() {
        return Err(integrity(format!(
            "{call} download failed ({status}), see its messages above"
        )));
    }
    match paths.iter().find(|path| !path.is_file()) {
        Some(path) => Err(integrity(format!("{call} did not bring {}", path.display()))),
        None => Ok(paths),
    }
}

fn requirements_of(wheels: &[Wheel]) -> String {
    let line =
        |wheel: &Wheel| format!("{} --hash=sha256:{}\n", wheel.requirement, wheel.archive.sha256);
    wheels.iter().map(line).collect()
}
