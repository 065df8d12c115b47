//! `cargo xtask minimum-rust`: checks the workspace with the oldest Rust that it promises, `rust-version` in Cargo.toml.
//!
//! Nothing is linked and nothing of C++ is compiled (feature `doc-only`), so it needs no libtorch.

use anyhow::{Context, Result, bail};
use toml::Table;

use crate::failure::usage;
use crate::workspace::Workspace;

/// Checks all crates, tests and examples.
///
/// # Errors
///
/// If the toolchain is not installed, or does not compile the workspace.
pub fn run(workspace: &Workspace) -> Result<()> {
    let version = version(workspace).context("Cargo.toml names no rust-version")?;
    let Some(toolchain) = installed(workspace, &version) else {
        return Err(usage(format!(
            "Rust {version} is not installed: rustup toolchain install {version} --profile minimal"
        )));
    };
    let mut command = workspace.command("rustup");
    command.args(["run", &toolchain, "cargo", "check", "--workspace", "--all-targets", "--locked"]);
    command.args(["--features", "doc-only", "--target-dir", "target/minimum-rust"]);
    // Macros run for seconds, and would be optimised for minutes.
    command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
    let status = command.status().context("cannot run rustup")?;
    if !status.success() {
        bail!("the workspace does not compile with Rust {version} ({status})");
    }
    Ok(())
}

/// Whether the toolchain is there.
pub fn is_installed(workspace: &Workspace) -> bool {
    version(workspace).is_some_and(|version| installed(workspace, &version).is_some())
}

/// The version that Cargo.toml promises.
fn version(workspace: &Workspace) -> Option<String> {
    let text = std::fs::read_to_string(workspace.root().join("Cargo.toml")).ok()?;
    let manifest: Table = text.parse().ok()?;
    let package = manifest.get("workspace")?.get("package")?;
    Some(package.get("rust-version")?.as_str()?.to_owned())
}

/// The name of the installed toolchain of `version`: `1.89` or `1.89.0`, with its platform.
fn installed(workspace: &Workspace, version: &str) -> Option<String> {
    let output = workspace.command("rustup").args(["toolchain", "list"]).output().ok()?;
    let listed = String::from_utf8(output.stdout).ok()?;
    find(&listed, version)
}

fn find(listed: &str, version: &str) -> Option<String> {
    let mut names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let is_of = |name: &&str| {
        name.strip_prefix(version)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    };
    names.find(is_of).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_is_found_by_its_version() {
        let listed = "stable-x86_64-unknown-linux-gnu (active, default)\n1.8.0-x86_64-unknown-linux-gnu\n\
                      1.89.0-x86_64-unknown-linux-gnu\n";
        assert_eq!(find(listed, "1.89").unwrap(), "1.89.0-x86_64-unknown-linux-gnu");
        assert_eq!(find(listed, "1.8").unwrap(), "1.8.0-x86_64-unknown-linux-gnu");
        assert_eq!(find(listed, "1.9"), None);
    }
}
