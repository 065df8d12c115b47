//! A folder as one archive, the same bytes whenever its files are the same.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::durable;
use crate::fetch::partial::sha256_of;
use crate::workspace::Workspace;

/// Packs the folder `name` in `out` into `name.tar.zst`, and writes its sum into `SHA256SUMS`.
pub(super) fn pack(workspace: &Workspace, out: &Path, name: &str) -> Result<PathBuf> {
    let packed = out.join(format!("{name}.tar.zst"));
    let file =
        File::create(&packed).with_context(|| format!("cannot create {}", packed.display()))?;
    let mut tar = workspace.command("tar");
    // One order, one owner, one time, and one set of rights, whoever packs and whenever.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"]);
    tar.args(["--mode=u=rwX,go=rX", "--format=gnu", "--use-compress-program=zstd -12 --threads=1"]);
    tar.args(["--create", "--file=-", "--directory"]).arg(out).arg(name);
    let status = tar.stdout(file).status().context("cannot run tar")?;
    if !status.success() {
        bail!("tar failed ({status}); it needs GNU tar and zstd");
    }
    let opened = File::open(&packed);
    let summed = opened.and_then(sha256_of);
    let (sum, _) = summed.with_context(|| format!("cannot read {}", packed.display()))?;
    durable::write(&out.join("SHA256SUMS"), &format!("{sum}  {name}.tar.zst\n"))?;
    Ok(packed)
}
