//! `cargo xtask check-ranks`: several ranks under the real torchrun, disturbed ranks, and the cost of communication.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::cli::{CheckRanksArgs, RanksCheck};
use crate::peers;
use crate::python::{self, Environment};
use crate::workspace::Workspace;

const FOLDER: &str = "xtask/ranks";

/// Builds what is needed and runs the script of `xtask/ranks` that checks what was asked for.
///
/// # Errors
///
/// When the build, pip or the script fails, or when the ranks do not do what they should.
pub fn run(workspace: &Workspace, args: &CheckRanksArgs) -> Result<()> {
    let trials = args.trials.to_string();
    let text = |path: PathBuf| path.display().to_string();
    let (python, script, arguments) = match args.what {
        RanksCheck::Torchrun => {
            let python = environment(workspace, args, "ranks", "5 GB", "requirements.txt")?;
            (python, "check_torchrun.py", vec![text(peers::build(workspace)?)])
        }
        RanksCheck::Deploy => {
            let python =
                environment(workspace, args, "deploy", "50 MB", "deploy-requirements.txt")?;
            (python, "check_deploy.py", vec!["deploy/kubernetes.yaml".to_string()])
        }
        RanksCheck::Faults => {
            let arguments = vec![text(peers::build(workspace)?), "--trials".to_string(), trials];
            (args.python.clone(), "check_faults.py", arguments)
        }
        RanksCheck::Scaling => {
            let programs = [peers::build(workspace)?, example(workspace)?].map(text);
            (args.python.clone(), "scaling.py", programs.into())
        }
    };
    let mut command = workspace.command(&python);
    command.arg(Path::new(FOLDER).join(script)).args(arguments);
    let status = command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {}", python.display()))?;
    if !status.success() {
        bail!("the ranks did not do what they should ({status}), see above");
    }
    Ok(())
}

fn environment(
    workspace: &Workspace,
    args: &CheckRanksArgs,
    name: &str,
    size: &str,
    requirements: &str,
) -> Result<PathBuf> {
    let requirements = workspace.root().join(FOLDER).join(requirements);
    let environment = Environment { name, size, requirements: &requirements };
    python::ensure(&Cache::from_env()?, &args.python, environment)
}

/// The program that times all-reduce.
fn example(workspace: &Workspace) -> Result<PathBuf> {
    let name = "time_all_reduce";
    let mut build = workspace.command(env!("CARGO"));
    build.args([
        "build",
        "--release",
        "--locked",
        "--package",
        "xception-torch-ext",
        "--example",
        name,
    ]);
    let status = build.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the example {name} does not build ({status})");
    }
    Ok(workspace.root().join("target/release/examples").join(name))
}
