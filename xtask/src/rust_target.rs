//! Rust's library for another system, which rustup installs.

use anyhow::{Context, Result};

use crate::failure::usage;
use crate::workspace::Workspace;

/// Installs it, unless it is there.
///
/// # Errors
///
/// When there is no rustup, or it cannot install it.
pub(crate) fn add(workspace: &Workspace, target: &str) -> Result<()> {
    let status = workspace.command("rustup").args(["target", "add", target]).status();
    if !status.context("cannot run rustup: see rustup.rs")?.success() {
        return Err(usage(format!("`rustup target add {target}` failed: see its messages above")));
    }
    Ok(())
}
