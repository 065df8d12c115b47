//! `cargo xtask check-targets`: compiles the workspace's Rust for systems that this project is not tested on.
//!
//! Neither libtorch nor a C++ compiler of those systems is needed: C and C++ are left out, and nothing is linked.

use anyhow::{Context, Result, bail};

use crate::rust_target;
use crate::workspace::Workspace;

/// As rustup names them.
const TARGETS: [&str; 2] = ["aarch64-apple-darwin", "x86_64-pc-windows-msvc"];

/// The tools of C. One script stands in for all of them, as nothing is linked and nobody looks at what they make.
const TOOLS: [&str; 3] = ["CC", "CXX", "AR"];

/// Checks all crates for each system, with warnings as errors.
///
/// # Errors
///
/// When Rust's library for a system is not installed, or the workspace does not compile for it.
pub fn run(workspace: &Workspace) -> Result<()> {
    let no_tool = workspace.root().join("xtask/check-targets/no-tool");
    for target in TARGETS {
        eprintln!("== {target}");
        rust_target::add(workspace, target)?;
        let mut command = workspace.cargo();
        command.args(["clippy", "--workspace", "--locked", "--target", target]);
        command.args(["--features", "doc-only", "--target-dir", "target/check-targets"]);
        command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
        command.args(["--", "-D", "warnings"]);
        for tool in TOOLS {
            command.env(format!("{tool}_{}", target.replace('-', "_")), &no_tool);
        }
        let status = command.status().context("cannot run cargo")?;
        if !status.success() {
            bail!("the workspace does not compile for {target} ({status})");
        }
    }
    Ok(())
}
