//! `cargo xtask test`: everything that must hold before a change is merged, in one command.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cli::{PublicApiArgs, TestArgs};
use crate::fetch::libtorch;
use crate::instructions::Instructions;
use crate::minimum_rust;
use crate::public_api;
use crate::tidy;
use crate::workspace::Workspace;

/// One check.
enum Step {
    /// A cargo command, with variables for its environment.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// `cargo xtask tidy`.
    Tidy,
    /// `cargo xtask minimum-rust`, where that Rust is installed.
    MinimumRust,
    /// `cargo xtask public-api --check`, where its tool is installed.
    PublicApi,
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
    ("minimum Rust", Step::MinimumRust),
    ("public items", Step::PublicApi),
    ("tests", Step::Cargo(&["test", "--workspace", "--locked"], &[])),
];

/// Runs the steps in order, and stops at the first that fails.
///
/// # Errors
///
/// Names the step and the command to run it alone.
pub fn run(workspace: &Workspace, args: &TestArgs) -> Result<()> {
    args.instructions.map_or(Ok(()), Instructions::check)?;
    let held = args.instructions.iter().flat_map(|set| set.variables());
    let start = Instant::now();
    for (name, step) in STEPS {
        if let Some(missing) = missing(workspace, step) {
            eprintln!("== {name}: skipped, {missing}");
            continue;
        }
        eprintln!("== {name}");
        let step_start = Instant::now();
        match step {
            Step::Libtorch => libtorch::ensure(workspace, args.offline)?,
            Step::Tidy => tidy::run(workspace)?,
            Step::MinimumRust => minimum_rust::run(workspace)?,
            Step::PublicApi => public_api::run(workspace, &PublicApiArgs { check: true })?,
            Step::Cargo(arguments, variables) => {
                let mut command = workspace.cargo_for(args.offline);
                let variables: Vec<_> = variables.iter().copied().chain(held.clone()).collect();
                command.args(*arguments).envs(variables.iter().copied());
                run_command(&mut command, arguments, &variables)?;
            }
        }
        eprintln!("== {name}: passed in {:.1} s", step_start.elapsed().as_secs_f64());
    }
    eprintln!("all passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// The tool that a step needs and that is not there, with the way to get it.
fn missing(workspace: &Workspace, step: &Step) -> Option<&'static str> {
    match step {
        Step::Cargo(["deny", ..], _) => {
            let output = workspace.cargo().args(["deny", "--version"]).output();
            let is_there = output.is_ok_and(|output| output.status.success());
            (!is_there).then_some("cargo-deny is not installed (cargo install cargo-deny)")
        }
        Step::MinimumRust => (!minimum_rust::is_installed(workspace))
            .then_some("that Rust is not installed (cargo xtask minimum-rust names it)"),
        Step::PublicApi if !workspace.root().join(public_api::FOLDER).is_dir() => {
            Some("there is no list of them")
        }
        Step::PublicApi => (!public_api::is_installed(workspace)).then_some(
            "cargo-public-api or a nightly Rust is not installed (cargo xtask public-api)",
        ),
        _ => None,
    }
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
