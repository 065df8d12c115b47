//! Puts the kit together: scripts, golden values, compressed programs, data.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::durable;
use crate::files;
use crate::workspace::Workspace;

/// Writes everything that is not built: the campaign and its scripts, the peers' networks, the golden values, and where a
/// test program that was built in `tree` looks for them.
pub(super) fn scripts(workspace: &Workspace, kit: &Path, about: &str, tree: &Path) -> Result<()> {
    let root = workspace.root();
    let scripts = root.join("xtask/gpu");
    for name in files::files(&scripts)? {
        let shown = name.to_string_lossy();
        let inner = if shown == "campaign.sh" { PathBuf::new() } else { PathBuf::from("gpu") };
        if shown.ends_with(".py") || shown.ends_with(".sh") {
            files::copy_if_changed(&scripts.join(&name), &kit.join(inner).join(&name))?;
        }
    }
    files::copy_if_changed(&root.join("xtask/peers/networks.py"), &kit.join("peers/networks.py"))?;
    let golden = root.join("tests/golden");
    for name in files::files(&golden)? {
        if name.extension().is_some_and(|extension| extension == "json") {
            files::copy_if_changed(&golden.join(&name), &kit.join("golden").join(&name))?;
        }
    }
    durable::write(&kit.join("kit.about"), &format!("{about}\n"))?;
    let wanted = tree.join("tests/golden");
    durable::write(&kit.join("golden.path"), &format!("{}\n", wanted.display()))
}

/// Adds a program: without symbols, compressed, and its sum to the list of sums.
pub(super) fn program(
    workspace: &Workspace,
    executable: &Path,
    folder: &Path,
    name: &str,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let stripped = folder.join(name);
    files::strip(workspace, executable, &stripped)?;
    let bytes =
        fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let compressed = folder.join(format!("{name}.xz"));
    let output = File::create(&compressed)
        .with_context(|| format!("cannot write {}", compressed.display()))?;
    let mut xz = workspace.command("xz");
    xz.args(["-9", "--stdout"]).arg(&stripped).stdin(Stdio::null()).stdout(output);
    let status = xz.status().context("cannot run xz: install xz-utils")?;
    if !status.success() {
        bail!("`xz {}` failed ({status})", stripped.display());
    }
    durable::remove_any(&stripped)?;
    let sums = folder.join("SHA256SUMS");
    let mut list = File::options().create(true).append(true).open(&sums)?;
    writeln!(list, "{sum}  {name}").with_context(|| format!("cannot write {}", sums.display()))?;
    let size = fs::metadata(&compressed)?.len();
    eprintln!(
        "{name}: {:.1} MiB, compressed {:.1}",
        mebibytes(bytes.len() as u64),
        mebibytes(size)
    );
    Ok(())
}

/// Packs CIFAR-10 into mosaics in a folder beside the build, where they are kept, and returns it.
pub(super) fn mosaics(workspace: &Workspace, python: &Path, data: &Path) -> Result<PathBuf> {
    let made = workspace.root().join("target/gpu-kit-build/mosaics");
    eprintln!("== mosaics of {}", data.display());
    let mut script = workspace.command(python);
    script.arg("xtask/gpu/mosaics.py").arg("pack").arg(std::path::absolute(data)?).arg(&made);
    let status = script.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {}", python.display()))?;
    if !status.success() {
        bail!("{} could not be packed ({status}), see above", data.display());
    }
    Ok(made)
}

/// Refuses a folder that cannot be carried at once.
pub(super) fn check_size(folder: &Path, limit: u64) -> Result<()> {
    let mut sizes = files::sizes(folder)?;
    let total: u64 = sizes.iter().map(|(size, _)| size).sum();
    eprintln!("{}: {:.1} MiB", folder.display(), mebibytes(total));
    if total < limit {
        return Ok(());
    }
    sizes.sort_by(|one, other| other.cmp(one));
    let largest: Vec<_> = sizes
        .iter()
        .take(3)
        .map(|(size, name)| format!("{} ({:.1} MiB)", name.display(), mebibytes(*size)))
        .collect();
    bail!(
        "{} is {:.1} MiB, and at most {} can be carried at once; the largest files are {}: \
         leave out a program (JOBS in xtask/src/gpu_kit/build.rs)",
        folder.display(),
        mebibytes(total),
        mebibytes(limit),
        largest.join(", ")
    )
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_too_large_is_refused_with_its_largest_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("programs")).unwrap();
        fs::write(folder.path().join("programs/big.xz"), vec![0; 3 << 20]).unwrap();
        fs::write(folder.path().join("small"), "x").unwrap();
        check_size(folder.path(), 4 << 20).unwrap();
        let error = check_size(folder.path(), 2 << 20).unwrap_err().to_string();
        for text in ["is 3.0 MiB, and at most 2", "programs/big.xz (3.0 MiB), small", "JOBS"] {
            assert!(error.contains(text), "{error}");
        }
    }
}
