//! `cargo xtask golden`: writes the golden parity values again from the original Python code.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::cli::GoldenArgs;
use crate::failure::usage;
use crate::workspace::Workspace;

/// Packages that the script imports.
const PACKAGES: &[&str] = &["torch", "timm", "keras"];

/// Runs `tests/golden/make_golden.py`.
///
/// # Errors
///
/// When the seeds, Python or one of its packages is missing, or the script fails.
pub fn run(workspace: &Workspace, args: &GoldenArgs) -> Result<()> {
    let seeds = std::path::absolute(&args.seeds)?;
    if !seeds.is_dir() {
        return Err(usage(format!("--seeds {}: no such folder", seeds.display())));
    }
    let python = args.python.display();
    for package in PACKAGES {
        let mut probe = workspace.command(&args.python);
        // Found, not imported: importing Keras takes seconds.
        let code = format!("import importlib.util as u; exit(u.find_spec('{package}') is None)");
        let status = probe.args(["-c", &code]).stderr(Stdio::null()).status();
        let status =
            status.with_context(|| format!("cannot run {python}: name one with --python"))?;
        if !status.success() {
            bail!(
                "{python} has no {package}: run `{python} -m pip install {}`, or name another \
                 Python with --python",
                PACKAGES.join(" ")
            );
        }
    }
    let mut script = workspace.command(&args.python);
    script.arg("tests/golden/make_golden.py").arg("--seeds").arg(&seeds);
    let status = script.args(["--out", "tests/golden"]).status();
    let status = status.with_context(|| format!("cannot run {python}"))?;
    if !status.success() {
        bail!("{python} tests/golden/make_golden.py failed ({status})");
    }
    Ok(())
}
