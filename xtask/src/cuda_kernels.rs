//! `cargo xtask cuda-kernels`: compiles the kernels for a GPU into the image that `torch-ext` embeds.
//!
//! The image is kept in the repository, so that a build needs no CUDA compiler. Beside it stands the sum of the sources that it
//! was made of, and `tidy` compares the two.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::cli::CudaKernelsArgs;
use crate::durable;
use crate::python::{self, Environment};
use crate::workspace::Workspace;

/// The folder of the kernels.
pub(crate) const FOLDER: &str = "crates/torch-ext/cuda";
/// The file of the sum, in that folder.
pub(crate) const SUM: &str = "kernels.sources.sha256";
/// The kinds of GPUs whose machine code the image has: A100, H100 and H200, B200, RTX 50. Others get it at start, compiled by
/// the driver from the first one's PTX.
const KINDS: [&str; 4] = ["80", "90", "100", "120"];
/// The kind whose PTX is in the image.
const OLDEST: &str = KINDS[0];

/// Compiles the kernels.
///
/// # Errors
///
/// When the compiler cannot be had, or refuses the kernels.
pub fn run(workspace: &Workspace, args: &CudaKernelsArgs) -> Result<()> {
    let requirements = workspace.root().join("xtask/cuda/requirements.txt");
    let environment =
        Environment { name: "cuda-compiler", size: "about 0.3 GB", requirements: &requirements };
    let python = python::ensure(&Cache::from_env()?, &args.python, environment)?;
    let nvcc = compiler(&python)?;
    let folder = workspace.root().join(FOLDER);
    let image = folder.join("kernels.fatbin");
    let made = folder.join("kernels.fatbin.incomplete");
    let mut command = workspace.command(&nvcc);
    command.args(["-O3", "-std=c++17", "-fatbin", "--compress-mode=size"]);
    for kind in KINDS {
        command.args(["-gencode", &format!("arch=compute_{kind},code=sm_{kind}")]);
    }
    command.args(["-gencode", &format!("arch=compute_{OLDEST},code=compute_{OLDEST}")]);
    command.arg(folder.join("kernels.cu")).arg("-o").arg(&made);
    let status = command.status().with_context(|| format!("cannot run {}", nvcc.display()))?;
    if !status.success() {
        durable::remove_any(&made)?;
        bail!("{} failed ({status}), see its messages above", nvcc.display());
    }
    durable::rename(&made, &image)?;
    durable::write(&folder.join(SUM), &format!("{}\n", sum(&folder)?))?;
    eprintln!("wrote {} ({} bytes)", image.display(), fs::metadata(&image)?.len());
    Ok(())
}

/// The compiler in the environment of `python`.
fn compiler(python: &Path) -> Result<PathBuf> {
    let libraries = python.parent().and_then(Path::parent).map(|root| root.join("lib"));
    let libraries = libraries.context("the environment's Python is in a folder bin")?;
    for entry in fs::read_dir(&libraries)? {
        let nvcc = entry?.path().join("site-packages/nvidia/cu13/bin/nvcc");
        if nvcc.is_file() {
            return Ok(nvcc);
        }
    }
    bail!("no nvcc below {}; remove the environment and run this again", libraries.display())
}

/// The SHA-256 of all sources in `folder`, each with its name, in the order of the names.
pub(crate) fn sum(folder: &Path) -> Result<String> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cu" || extension == "cuh") {
            sources.push(path);
        }
    }
    sources.sort();
    let mut hash = Sha256::new();
    for source in sources {
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text =
            fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        hash.update(format!("{name} {}\n", text.len()));
        hash.update(text);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_follows_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.cu", "one");
        write("b.cuh", "two");
        write("notes.txt", "no source");
        let first = sum(folder.path()).unwrap();
        write("notes.txt", "still none");
        assert_eq!(sum(folder.path()).unwrap(), first);
        write("b.cuh", "three");
        assert_ne!(sum(folder.path()).unwrap(), first);
    }
}
