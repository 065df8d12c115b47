//! `cargo xtask public-api`: every public item of the libraries, listed in docs/api, so that a change of one is seen in review.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cli::PublicApiArgs;
use crate::durable;
use crate::failure::usage;
use crate::workspace::Workspace;

/// The folder of the lists, in the workspace.
pub const FOLDER: &str = "docs/api";

/// The libraries that other programs depend on.
const PACKAGES: [&str; 5] = [
    "xception-torch-ext",
    "xception-sepconv",
    "xception-weight-files",
    "xception-datasets",
    "xception",
];

/// Writes the lists, or compares them.
///
/// # Errors
///
/// When the tool is not installed, a crate cannot be documented, or, with `--check`, a list is not what it was.
pub fn run(workspace: &Workspace, args: &PublicApiArgs) -> Result<()> {
    if !is_installed(workspace) {
        return Err(usage(
            "cargo-public-api or the nightly Rust that it needs is not installed: run `rustup toolchain install nightly` and \
             `cargo install cargo-public-api`",
        ));
    }
    let folder = workspace.root().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut changed = Vec::new();
    for package in PACKAGES {
        let listed = list(workspace, package)?;
        let path = folder.join(format!("{package}.txt"));
        let was = fs::read_to_string(&path).unwrap_or_default();
        if was == listed {
            continue;
        }
        changed.push(package);
        for line in difference(&was, &listed).filter(|_| !was.is_empty()) {
            eprintln!("{package}: {line}");
        }
        if !args.check {
            durable::write(&path, &listed)?;
        }
    }
    if args.check && !changed.is_empty() {
        bail!(
            "the public items of {} changed: run `cargo xtask public-api`, and say why in CHANGELOG.md",
            changed.join(", ")
        );
    }
    Ok(())
}

/// Whether the tool is there, and the nightly toolchain whose rustdoc writes for tools.
pub fn is_installed(workspace: &Workspace) -> bool {
    let output = tool(workspace).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// The items of a package, one a line, without those that every type has.
fn list(workspace: &Workspace, package: &str) -> Result<String> {
    let mut command = tool(workspace);
    command.args(["--omit", "blanket-impls,auto-trait-impls", "--features", "doc-only"]);
    command.args(["--package", package, "--target-dir"]);
    let output = command.arg(workspace.root().join("target/public-api")).output();
    let output = output.context("cannot run rustup")?;
    if !output.status.success() {
        bail!("{package} cannot be listed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn tool(workspace: &Workspace) -> Command {
    let mut command = workspace.command("rustup");
    command.args(["run", "nightly", "cargo", "public-api"]);
    command
}

/// The lines that are gone, with a minus, and those that are new, with a plus.
fn difference<'a>(was: &'a str, is: &'a str) -> impl Iterator<Item = String> + 'a {
    let without = |lines: &'a str, others: &'a str, sign: char| {
        let others: std::collections::HashSet<&str> = others.lines().collect();
        let left = lines.lines().filter(move |line| !others.contains(line));
        left.map(move |line| format!("{sign}{line}"))
    };
    without(was, is, '-').chain(without(is, was, '+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_lines_that_are_gone_and_new() {
        let lines: Vec<_> = difference("a\nb\nc\n", "a\nc\nd\n").collect();
        assert_eq!(lines, ["-b", "+d"]);
        assert_eq!(difference("a\n", "a\n").count(), 0);
    }
}
