//! `cargo xtask check-ranks`: several ranks under the real torchrun, disturbed ranks, and what their talk costs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::cli::{CheckRanksArgs, RanksCheck};
use crate::peers;
use crate::python::{self, Environment};
use crate::workspace::Workspace;

/// Builds `xception` and runs the script of `xtask/ranks` that checks what was asked for.
///
/// # Errors
///
/// When the build, pip or the script fails, or when the ranks do not do what they should.
pub fn run(workspace: &Workspace, args: &CheckRanksArgs) -> Result<()> {
    let folder = Path::new("xtask/ranks");
    let xception = peers::build(workspace)?;
    let mut script = match args.what {
        RanksCheck::Torchrun => {
            let requirements = workspace.root().join(folder).join("requirements.txt");
            let environment =
                Environment { name: "ranks", size: "5 GB", requirements: &requirements };
            let python = python::ensure(&Cache::from_env()?, &args.python, environment)?;
            let mut script = workspace.command(&python);
            script.arg(folder.join("check_torchrun.py")).arg(&xception);
            script
        }
        RanksCheck::Faults => {
            let mut script = workspace.command(&args.python);
            script.arg(folder.join("check_faults.py")).arg(&xception);
            script.args(["--trials", &args.trials.to_string()]);
            script
        }
        RanksCheck::Scaling => {
            let all_reduce = example(workspace)?;
            let mut script = workspace.command(&args.python);
            script.arg(folder.join("scaling.py")).args([&xception, &all_reduce]);
            script
        }
    };
    let status = script.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {}", args.python.display()))?;
    if !status.success() {
        bail!("the ranks did not do what they should ({status}), see above");
    }
    Ok(())
}

/// The program that times all-reduce.
fn example(workspace: &Workspace) -> Result<std::path::PathBuf> {
    let name = "time_all_reduce";
    let mut build: Command = workspace.command(Path::new(env!("CARGO")));
    build.args(["build", "--release", "--locked", "--package", "torch-ext", "--example", name]);
    let status = build.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the example {name} does not build ({status})");
    }
    Ok(workspace.root().join("target/release/examples").join(name))
}
