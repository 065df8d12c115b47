//! `cargo xtask gpu-kit`: everything that a machine with a GPU needs, since its minutes are too few to build on it.
//!
//! Folders that are each small enough to be carried at once: `target/gpu-kit` has the programs, the scripts and the first part
//! of the data, `target/gpu-kit-data-1` and so on have the rest. The programs are built in a copy of the tree, whose lock file
//! has the tch that fits the machine's libtorch.

mod build;
mod dry_run;
mod pack;
mod parts;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::cli::GpuKitArgs;
use crate::durable;
use crate::fetch::cifar::CIFAR10;
use crate::python::{self, Environment};
use crate::workspace::Workspace;

/// The version of PyTorch that machines with a GPU have, and the tch that speaks to its libtorch.
const TORCH: &str = "2.11.0";
const TCH: &str = "0.24.0";
/// The kit. Folders with the rest of its data stand beside it.
const KIT: &str = "target/gpu-kit";
/// The size of a folder: 64 MiB can be carried at once, and 7 MiB of them are the tree, which travels too.
const LIMIT: u64 = 56 << 20;

/// Makes the kit, or runs it on the CPU.
///
/// # Errors
///
/// When the environment cannot be had, a build fails, the kit is too large, or a step of the dry run fails.
pub fn run(workspace: &Workspace, args: &GpuKitArgs) -> Result<()> {
    let python = environment(workspace, &args.python)?;
    if args.dry_run {
        return dry_run::run(workspace, args, &python);
    }
    let site = match &args.site {
        Some(site) => std::path::absolute(site)?,
        None => build::site_of(&python)?,
    };
    let build = build::Build::prepare(workspace, site)?;
    let kit = workspace.root().join(format!("{KIT}.incomplete"));
    durable::remove_any(&kit).with_context(|| format!("cannot remove {}", kit.display()))?;
    pack::scripts(workspace, &kit, &build.about()?, build.tree())?;
    let programs = kit.join("programs");
    build.all(|name, executable| pack::program(workspace, executable, &programs, name))?;
    match data(workspace, args) {
        Some(data) => {
            let mosaics = pack::mosaics(workspace, &python, &data)?;
            parts::divide(workspace, &mosaics, &kit, LIMIT)?;
        }
        None => eprintln!(
            "no CIFAR-10: the kit has no data, so the stages B, B', C and train cannot run; \
             run `cargo xtask fetch cifar10` first, or name its folder with --data"
        ),
    }
    pack::check_size(&kit, LIMIT)?;
    let place = workspace.root().join(KIT);
    durable::remove_any(&place).with_context(|| format!("cannot replace {}", place.display()))?;
    durable::rename(&kit, &place)?;
    eprintln!("the kit is in {KIT}; try it with `cargo xtask gpu-kit --dry-run`");
    Ok(())
}

/// The Python with the PyTorch of a machine with a GPU: what programs are built against, and what runs the dry run.
fn environment(workspace: &Workspace, python: &Path) -> Result<PathBuf> {
    let requirements = workspace.root().join("xtask/gpu/requirements.txt");
    let environment =
        Environment { name: "gpu-kit", size: "5 GB, a few minutes", requirements: &requirements };
    python::ensure(&Cache::from_env()?, python, environment)
}

/// The folder of CIFAR-10, if it is anywhere.
fn data(workspace: &Workspace, args: &GpuKitArgs) -> Option<PathBuf> {
    let cache = Cache::from_env().ok()?;
    let places = [workspace.root().join("data"), cache.root().to_owned()];
    let found = places.into_iter().map(|place| place.join(CIFAR10.folder)).find(|it| it.is_dir());
    args.data.clone().or(found)
}
