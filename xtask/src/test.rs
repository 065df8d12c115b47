//! `cargo xtask test`: everything that must hold before a change is merged, in one command.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cli::TestArgs;
use crate::fetch::libtorch;
use crate::tidy;
use crate::workspace::Workspace;

/// One check.
enum Step {
    /// A cargo command, with variables for its environment.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// `cargo xtask tidy`.
    Tidy,
    /// Fetches libtorch if it is missing.
    Libtorch,
}

const STEPS: &[(&str, Step)] = &[
    ("libtorch", Step::Libtorch),
    ("format", Step::Cargo(&["fmt", "--all", "--check"], &[])),
    ("tidy", Step::Tidy),
    (
        "clippy",
        Step::Cargo(
            &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
            &[],
        ),
    ),
    (
        "docs",
        Step::Cargo(
            &["doc", "--workspace", "--no-deps", "--locked"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        ),
    ),
    // Not the advisories: those need a network, and change with no change of ours.
    ("licences", Step::Cargo(&["deny", "check", "bans", "licenses", "sources"], &[])),
    ("tests", Step::Cargo(&["test", "--workspace", "--locked"], &[])),
];

/// Runs the steps in order, and stops at the first that fails.
///
/// # Errors
///
/// Names the step and the command to run it alone.
pub fn run(workspace: &Workspace, args: &TestArgs) -> Result<()> {
    let start = Instant::now();
    for (name, step) in STEPS {
        if skipped(workspace, step) {
            eprintln!("== {name}: skipped, cargo-deny is not installed (cargo install cargo-deny)");
            continue;
        }
        eprintln!("== {name}");
        let step_start = Instant::now();
        match step {
            Step::Libtorch => libtorch::ensure(workspace, args.offline)?,
            Step::Tidy => tidy::run(workspace)?,
            Step::Cargo(arguments, variables) => {
                let mut command = workspace.cargo();
                command.args(*arguments).envs(variables.iter().copied());
                if args.offline {
                    command.env("CARGO_NET_OFFLINE", "true");
                }
                run_command(&mut command, arguments, variables)?;
            }
        }
        eprintln!("== {name}: passed in {:.1} s", step_start.elapsed().as_secs_f64());
    }
    eprintln!("all passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn skipped(workspace: &Workspace, step: &Step) -> bool {
    let Step::Cargo(["deny", ..], _) = step else { return false };
    let output = workspace.cargo().args(["deny", "--version"]).output();
    !output.is_ok_and(|output| output.status.success())
}

fn run_command(
    command: &mut Command,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<()> {
    let variables: String =
        variables.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
    let shown = format!("{variables}cargo {}", arguments.join(" "));
    let status = command.status().with_context(|| format!("cannot run `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}
