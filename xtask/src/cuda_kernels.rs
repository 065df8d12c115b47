//! `cargo xtask cuda-kernels`: compiles the kernels for a GPU into the image that `torch-ext` embeds.
//!
//! The image is kept in the repository, so that a build needs no CUDA compiler. Beside it stand its own sum, that of its
//! sources and that of its compiler with all flags, and `tidy` compares them.

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
/// The image, in that folder.
pub(crate) const IMAGE: &str = "kernels.fatbin";
/// The file of the sums, in that folder.
pub(crate) const SUMS: &str = "kernels.sha256";
/// The packages of the compiler.
const COMPILER: &str = "xtask/cuda/requirements.txt";
/// The compiler's flags, but for the kinds of GPUs.
const FLAGS: [&str; 4] = ["-O3", "-std=c++17", "-fatbin", "--compress-mode=size"];
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
    let requirements = workspace.root().join(COMPILER);
    let environment =
        Environment { name: "cuda-compiler", size: "about 0.3 GB", requirements: &requirements };
    let python = python::ensure(&Cache::from_env()?, &args.python, environment)?;
    let nvcc = compiler(&python)?;
    let folder = workspace.root().join(FOLDER);
    let image = folder.join(IMAGE);
    let made = folder.join("kernels.fatbin.incomplete");
    let mut command = workspace.command(&nvcc);
    command.args(flags());
    command.arg(folder.join("kernels.cu")).arg("-o").arg(&made);
    let status = command.status().with_context(|| format!("cannot run {}", nvcc.display()))?;
    if !status.success() {
        durable::remove_any(&made)?;
        bail!("{} failed ({status}), see its messages above", nvcc.display());
    }
    durable::rename(&made, &image)?;
    let sums = sums(workspace.root())?.map(|(name, sum)| format!("{sum}  {name}\n"));
    durable::write(&folder.join(SUMS), &sums.concat())?;
    eprintln!("wrote {} ({} bytes)", image.display(), fs::metadata(&image)?.len());
    Ok(())
}

/// The compiler's flags.
fn flags() -> Vec<String> {
    let kinds = KINDS.iter().map(|kind| format!("arch=compute_{kind},code=sm_{kind}"));
    let kinds = kinds.chain([format!("arch=compute_{OLDEST},code=compute_{OLDEST}")]);
    let kinds = kinds.flat_map(|kind| ["-gencode".to_owned(), kind]);
    FLAGS.map(str::to_owned).into_iter().chain(kinds).collect()
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

/// All that the image follows from, and the image itself, each with its SHA-256.
pub(crate) fn sums(root: &Path) -> Result<[(&'static str, String); 3]> {
    let read =
        |path: PathBuf| fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    let packages = String::from_utf8(read(root.join(COMPILER))?)?;
    let packages = packages.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let compiler: Vec<String> = packages.map(str::to_owned).chain(flags()).collect();
    let folder = root.join(FOLDER);
    let image = Sha256::new().chain_update(read(folder.join(IMAGE))?);
    let compiler = Sha256::new().chain_update(compiler.join("\n"));
    Ok([
        ("sources", sum_of_sources(&folder)?),
        ("compiler and flags", hexadecimal(compiler)),
        ("image", hexadecimal(image)),
    ])
}

/// The SHA-256 of all sources in `folder`, each with its name, in the order of the names.
fn sum_of_sources(folder: &Path) -> Result<String> {
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
    Ok(hexadecimal(hash))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
        let first = sum_of_sources(folder.path()).unwrap();
        write("notes.txt", "still none");
        assert_eq!(sum_of_sources(folder.path()).unwrap(), first);
        write("b.cuh", "three");
        assert_ne!(sum_of_sources(folder.path()).unwrap(), first);
    }

    #[test]
    fn the_flags_name_every_kind_of_gpu() {
        let flags = flags().join(" ");
        assert!(flags.starts_with("-O3 "), "{flags}");
        for kind in KINDS {
            assert!(flags.contains(&format!(" -gencode arch=compute_{kind},code=sm_{kind}")));
        }
        assert!(flags.ends_with(" -gencode arch=compute_80,code=compute_80"), "{flags}");
    }
}
