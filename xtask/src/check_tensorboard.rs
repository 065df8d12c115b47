//! `cargo xtask check-tensorboard`: TensorBoard's own reader must find in `tb/` the values that a run wrote.
//!
//! The trainer writes event files by code of its own; TensorBoard's reader is the reference for it.

pub mod compare;
pub mod run_files;

use std::io::{self, Write};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cache::Cache;
use crate::cli::CheckTensorboardArgs;
use crate::failure::usage;
use crate::python::{self, Environment};
use crate::workspace::Workspace;

/// Differences that are shown; the rest are counted.
const SHOWN: usize = 10;

/// Makes the environment, reads both sides, prints what was compared and the first differences.
///
/// # Errors
///
/// When the folder is no run with events, when one side cannot be read, or when the two differ.
pub fn run(workspace: &Workspace, args: &CheckTensorboardArgs) -> Result<()> {
    let run = std::path::absolute(&args.run)?;
    let (events, metrics) = (run.join("tb"), run.join("metrics.jsonl"));
    for needed in [&events, &metrics] {
        if !needed.exists() {
            return Err(usage(format!(
                "there is no {}: name the folder of a run of `xception train`",
                needed.display()
            )));
        }
    }
    let scalars = run_files::scalars(&metrics)?;
    let weights = run_files::weights(&run.join("last.safetensors"))?;

    let folder = workspace.root().join("xtask/tensorboard");
    let requirements = folder.join("requirements.txt");
    let environment =
        Environment { name: "tensorboard", size: "180 MB", requirements: &requirements };
    let python = python::ensure(&Cache::from_env()?, &args.python, environment)?;
    let mut reader = workspace.command(&python);
    reader.env("PYTHONDONTWRITEBYTECODE", "1").arg(folder.join("read_events.py")).arg(&events);
    let output = reader.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run {}", python.display()))?;
    if !output.status.success() {
        bail!("TensorBoard's reader failed ({}), see its messages above", output.status);
    }
    let read: Value = serde_json::from_slice(&output.stdout)
        .context("TensorBoard's reader did not print JSON")?;

    let report = compare::compare(&read, &scalars, weights.as_ref());
    io::stdout().write_all(report.compared.as_bytes())?;
    for difference in report.differences.iter().take(SHOWN) {
        eprintln!("{difference}");
    }
    match report.differences.len() {
        0 => Ok(()),
        n if n > SHOWN => bail!("{n} differences, of which the first {SHOWN} are above"),
        n => bail!("{n} difference{} between events and run", if n == 1 { "" } else { "s" }),
    }
}
