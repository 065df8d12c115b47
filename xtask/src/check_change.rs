//! `cargo xtask check-change`: a change that should alter no number must alter none, and cost no time.
//!
//! A seeded run of `quick` on the synthetic set must end with the same bits before and after the change, and a training
//! step must take as long. Bits depend on the machine, so both programs run on the same one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cli::CheckChangeArgs;
use crate::fetch::libtorch;
use crate::peers;
use crate::peers::machine;
use crate::peers::race::{self, Rules};
use crate::workspace::Workspace;

/// The run whose weights are compared: two epochs of the synthetic set see every kind of batch.
const SEEDED_RUN: &[&str] =
    &["--recipe", "quick", "--data", "synthetic", "--set", "epochs=2", "--set", "seed=7"];

/// The steps that are timed: preset and images a step.
const STEPS: [(&str, u32); 2] = [("notebook-cifar10", 128), ("notebook-cifar10", 16)];

/// The part by which a step may be slower: less is not told apart from noise.
const MARGIN: f64 = 0.01;

/// Builds both programs, compares their weights, and times their training steps in turns.
///
/// # Errors
///
/// When a build or a run fails, the weights differ, or a step is slower by more than the margin.
pub fn run(workspace: &Workspace, args: &CheckChangeArgs) -> Result<()> {
    libtorch::ensure(workspace, false)?;
    let folder = workspace.root().join("target/check-change");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let before = program_before(workspace, &folder, &args.before)?;
    let after = peers::build(workspace)?;
    compare_weights(workspace, &folder, &before, &after)?;
    if args.rounds == 0 {
        return Ok(());
    }
    for (preset, batch_size) in STEPS {
        compare_steps(workspace, &folder, [&before, &after], (preset, batch_size), args.rounds)?;
    }
    Ok(())
}

/// The program of the state before the change: a binary as it is, a commit built in a worktree of its own.
fn program_before(workspace: &Workspace, folder: &Path, before: &str) -> Result<PathBuf> {
    if Path::new(before).is_file() {
        return Ok(fs::canonicalize(before)?);
    }
    let resolved = workspace
        .command("git")
        .args(["rev-parse", "--verify", "--quiet", &format!("{before}^{{commit}}")])
        .output()
        .context("cannot run git")?;
    if !resolved.status.success() {
        bail!(
            "`{before}` is neither a file nor a commit: give an `xception` binary, or a commit of this checkout"
        );
    }
    let commit = String::from_utf8_lossy(&resolved.stdout).trim().to_owned();
    let tree = folder.join(&commit);
    if !tree.is_dir() {
        let mut git = workspace.command("git");
        git.args(["worktree", "add", "--detach"]).arg(&tree).arg(&commit);
        if !git.status().context("cannot run git")?.success() {
            bail!("git made no worktree of {commit}: see above");
        }
    }
    let other = Workspace::at(&tree);
    libtorch::ensure(&other, false)?;
    peers::build(&other)
}

/// Refuses weights that differ in a bit.
fn compare_weights(
    workspace: &Workspace,
    folder: &Path,
    before: &Path,
    after: &Path,
) -> Result<()> {
    let threads = machine::physical_cores().to_string();
    let mut sums = Vec::new();
    for (name, program) in [("before", before), ("after", after)] {
        let run = folder.join(format!("run-{name}"));
        if run.exists() {
            fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
        }
        let mut command = workspace.command(program);
        command.arg("train").args(SEEDED_RUN).arg("--quiet").arg("--out").arg(&run);
        let output = command.env("OMP_NUM_THREADS", &threads).output();
        let output = output.with_context(|| format!("cannot run {}", program.display()))?;
        if !output.status.success() {
            bail!("the run {name} the change failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let weights = run.join("last.safetensors");
        let bytes = fs::read(&weights).with_context(|| format!("no {}", weights.display()))?;
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(std::io::stdout(), "weights {name}: sha256 {sum}")?;
        sums.push(sum);
    }
    if sums[0] != sums[1] {
        bail!(
            "the weights of `xception train {}` differ: the change alters what training computes",
            SEEDED_RUN.join(" ")
        );
    }
    Ok(())
}

/// Refuses a step that is slower by more than the margin, as far as the rounds can tell.
fn compare_steps(
    workspace: &Workspace,
    folder: &Path,
    programs: [&Path; 2],
    (preset, batch_size): (&str, u32),
    rounds: usize,
) -> Result<()> {
    let command = |program: &Path| {
        let mut command = workspace.command(program);
        command.args(["bench", "--mode", "train", "--preset", preset]);
        command.args(["--batch-size", &batch_size.to_string(), "--on-request", "1"]);
        command.args(["--threads", &machine::physical_cores().to_string()]);
        command
    };
    let rules = Rules {
        rounds,
        rest: Duration::from_millis(200),
        start_limit: Duration::from_secs(600),
        round_limit: Duration::from_secs(600),
    };
    let names = ["before", "after"];
    let contenders =
        names.iter().zip(programs).map(|(name, program)| (name.to_string(), command(program)));
    let outcomes = race::run(contenders.collect(), &rules, folder);
    if let Some(failed) = outcomes.iter().find_map(|outcome| outcome.failure.as_deref()) {
        bail!("{preset}, batch {batch_size}: {failed}");
    }
    let ratios =
        outcomes[1].rounds.iter().zip(&outcomes[0].rounds).map(|(after, before)| after / before);
    let Ratios { mean, error } = Ratios::of(&ratios.collect::<Vec<_>>());
    writeln!(
        std::io::stdout(),
        "{preset}, batch {batch_size}: a step takes {mean:.4} ± {error:.4} times as long (two standard errors, n {rounds})"
    )?;
    if mean - error > 1.0 + MARGIN {
        bail!(
            "the step of {preset} at batch {batch_size} became slower by more than {} %",
            MARGIN * 100.0
        );
    }
    Ok(())
}

/// Ratios of rounds that were timed in turns.
#[derive(Debug, PartialEq)]
struct Ratios {
    mean: f64,
    /// Two standard errors of the mean; 0 for a single ratio.
    error: f64,
}

impl Ratios {
    fn of(ratios: &[f64]) -> Self {
        let count = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
        let error =
            if ratios.len() < 2 { 0.0 } else { 2.0 * (squares / (count - 1.0) / count).sqrt() };
        Self { mean, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_worked_by_hand() {
        assert_eq!(Ratios::of(&[1.5]), Ratios { mean: 1.5, error: 0.0 });
        // Deviations ±1: variance 2, of the mean 1.
        assert_eq!(Ratios::of(&[1.0, 3.0]), Ratios { mean: 2.0, error: 2.0 });
    }
}
