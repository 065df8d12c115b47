//! Runs a kit's campaign on the CPU, so that no step meets its first mistake on a minute of GPU time.
//!
//! The very files that would be carried are copied into a folder of their own, and run with an environment in which there is
//! neither cargo nor this checkout.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{self, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{KIT, pack, parts};
use crate::cli::GpuKitArgs;
use crate::durable;
use crate::failure::usage;
use crate::files;
use crate::workspace::Workspace;

/// Runs the stages of `args` by `python`, which has PyTorch.
pub(super) fn run(workspace: &Workspace, args: &GpuKitArgs, python: &Path) -> Result<()> {
    let folder = env::temp_dir().join(format!("gpu-kit-dry-run-{}", process::id()));
    let kit = folder.join("gpu-kit");
    if args.binary.is_some() {
        pack::scripts(workspace, &kit, "commit=none", Path::new("/nonexistent"))?;
    } else {
        let made = workspace.root().join(KIT);
        if !made.join("campaign.sh").is_file() {
            return Err(usage(format!(
                "there is no kit in {KIT}: make it with `cargo xtask gpu-kit`, \
                 or try the scripts alone with --binary and --libraries"
            )));
        }
        files::copy_folder(&made, &kit)?;
        for part in parts::made(workspace) {
            files::copy_folder(&part, &folder.join(part.file_name().unwrap_or_default()))?;
        }
    }
    // An environment of Python is found by the path of its program, so a link to it would not do.
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    let wrapper = bin.join("python3");
    fs::write(&wrapper, format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    }

    let mut campaign = Command::new("bash");
    campaign.arg(kit.join("campaign.sh")).arg("--dry-run").args(&args.stages);
    campaign.current_dir(&folder).env_clear().stdin(Stdio::null());
    campaign.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    for name in ["HOME", "TMPDIR", "OUT"] {
        campaign.env(name, &folder);
    }
    if let (Some(binary), Some(libraries)) = (&args.binary, &args.libraries) {
        campaign.env("BINARY", std::path::absolute(binary)?);
        campaign.env("LIBRARIES", std::path::absolute(libraries)?);
    }
    let status = campaign.status().context("cannot run bash")?;
    if !status.success() {
        bail!(
            "the dry run failed ({status}): its records and logs are in {}",
            folder.join("dry-run").display()
        );
    }
    durable::remove_any(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    eprintln!("every step ran on the CPU");
    Ok(())
}
