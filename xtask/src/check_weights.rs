//! `cargo xtask check-weights`: weights must come from timm and Keras unharmed, and go to timm, `torch.jit` and ONNX
//! Runtime.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::cli::CheckWeightsArgs;
use crate::peers;
use crate::python::{self, Environment};
use crate::workspace::Workspace;

/// Builds `xception`, makes the environment, and runs `xtask/interchange/check.py`, which prints every distance.
///
/// # Errors
///
/// When the build, pip or the script fails, or when an answer is too far from the original's.
pub fn run(workspace: &Workspace, args: &CheckWeightsArgs) -> Result<()> {
    let folder = Path::new("xtask/interchange");
    let requirements = workspace.root().join(folder).join("requirements.txt");
    let environment =
        Environment { name: "interchange", size: "1.4 GB", requirements: &requirements };
    let python = python::ensure(&Cache::from_env()?, &args.python, environment)?;
    let xception = peers::build(workspace)?;
    let mut script = workspace.command(&python);
    script.env("PYTHONDONTWRITEBYTECODE", "1").arg(folder.join("check.py")).arg(&xception);
    let status = script.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {}", python.display()))?;
    if !status.success() {
        bail!("an answer is missing or too far from the original's ({status}), see above");
    }
    Ok(())
}
