//! `cargo xtask peers`: times this project and its peers in turns, and records the ratios.
//!
//! The peers' side is `xtask/peers/worker.py`; ours is `xception bench --on-request`. Both are
//! workers that time a round when they are told to; this module decides whose turn it is.

pub mod machine;
pub mod race;
pub mod report;
pub mod statistics;
pub mod worker;
pub mod workload;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use self::race::Rules;
use self::report::{Contestant, Entry};
use self::workload::{Contender, Runtime, Settings, Workload, our_arguments, python_arguments};
use crate::cache::Cache;
use crate::cli::PeersArgs;
use crate::durable;
use crate::failure::usage;
use crate::fetch::libtorch;
use crate::instructions::Instructions;
use crate::python::{self, Environment};
use crate::workspace::{PROGRAM, Workspace};

/// The pause between two turns: longer than OpenMP's threads and ours spin for more work.
const REST: Duration = Duration::from_millis(200);

/// The longest start; `torch.compile` takes minutes for a whole network.
const START_LIMIT: Duration = Duration::from_secs(1800);

/// The longest round: ten times a step of the slowest contender.
const ROUND_LIMIT: Duration = Duration::from_secs(600);

/// Rounds and seconds per round of `--quick`: enough to see that everything runs, too few to quote.
const QUICK: (usize, f64) = (1, 0.05);

/// Makes the environment, builds ours, runs the workloads, and prints and saves the result.
///
/// The files are written anew after each workload, so that an interrupted run keeps what it has.
///
/// # Errors
///
/// When the selection is wrong, the environment or the build fails, the result cannot be written,
/// or one of ours fails. A peer that fails is part of the result.
pub fn run(workspace: &Workspace, args: &PeersArgs) -> Result<()> {
    let workloads = workload::select(args.only.as_deref())?;
    if args.list {
        return Ok(io::stdout().write_all(workload::list().as_bytes())?);
    }
    if !cfg!(target_os = "linux") {
        return Err(usage("peers runs on Linux only: it reads peak memory from /proc"));
    }
    args.instructions.map_or(Ok(()), Instructions::check)?;
    let (rounds, seconds_per_round) =
        if args.quick { QUICK } else { (args.rounds, args.seconds_per_round) };
    let threads = args.threads.unwrap_or_else(machine::physical_cores);
    let settings = Settings { threads, seconds_per_round };
    let rules = Rules { rounds, rest: REST, start_limit: START_LIMIT, round_limit: ROUND_LIMIT };

    let peers = workspace.root().join("xtask/peers");
    let (xception, python) = match &args.prebuilt {
        Some(program) => (existing(program)?, args.python.clone()),
        None => made(workspace, &args.python, &peers)?,
    };
    let workers = Workers {
        workspace,
        xception,
        python,
        script: peers.join("worker.py"),
        settings,
        held_to: args.instructions,
    };

    let out = match &args.out {
        Some(out) => std::path::absolute(out)?,
        None => workspace.root().join("target/peers").join(machine::now()),
    };
    let machine = machine::describe(workspace);
    let described = json!({
        "threads": threads, "rounds": rounds, "seconds_per_round": seconds_per_round,
        "instructions": args.instructions.map_or("all", Instructions::name),
    });
    let mut entries = Vec::new();
    for workload in workloads {
        eprintln!("== {}", workload.name);
        entries.push(workers.race(&workload, &rules, &out)?);
        save(&out, &machine, &described, &entries)?;
    }
    io::stdout().write_all(report::markdown(&machine, &described, &entries).as_bytes())?;
    eprintln!("saved in {}", out.display());
    let ours = |one: &&Contestant| one.contender.runtime == Runtime::Ours;
    let results = entries.iter().flat_map(|entry| &entry.results).filter(ours);
    match results.filter(|one| one.outcome.failure.is_some()).count() {
        0 => Ok(()),
        n => bail!("{n} of our own timings failed: see {}", out.join("peers.md").display()),
    }
}

/// A program that was built before.
fn existing(program: &Path) -> Result<PathBuf> {
    if !program.is_file() {
        return Err(usage(format!("--prebuilt {} is no file", program.display())));
    }
    Ok(std::path::absolute(program)?)
}

/// Our program, built now, and the Python of an environment with the packages of the peers.
fn made(workspace: &Workspace, python: &Path, peers: &Path) -> Result<(PathBuf, PathBuf)> {
    libtorch::ensure(workspace, false)?;
    let cache = Cache::from_env()?;
    let requirements = peers.join("requirements.txt");
    let environment =
        Environment { name: "peers", size: "5 GB, a few minutes", requirements: &requirements };
    let python = python::ensure(&cache, python, environment)?;
    Ok((build(workspace)?, python))
}

/// Builds `xception` as a user would, and returns where cargo put it.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let shown = format!("cargo build {}", PROGRAM.join(" "));
    let mut cargo = workspace.cargo();
    cargo.arg("build").args(PROGRAM).arg("--message-format=json-render-diagnostics");
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executables.next_back().with_context(|| format!("`{shown}` did not say where the binary is"))
}

/// The means to start a worker of any kind.
struct Workers<'a> {
    workspace: &'a Workspace,
    xception: PathBuf,
    python: PathBuf,
    script: PathBuf,
    settings: Settings,
    held_to: Option<Instructions>,
}

impl Workers<'_> {
    fn race(&self, workload: &Workload, rules: &Rules, out: &Path) -> Result<Entry> {
        let logs = out.join("logs").join(workload.name);
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let onnx = out.join(format!("{}.onnx", workload.name));
        let takes_part =
            |one: &Contender| self.held_to.is_none() || one.can_be_held_to_instructions();
        let contenders: Vec<_> = workload.contenders().filter(takes_part).collect();
        let commands = contenders
            .iter()
            .map(|one| (one.name.to_owned(), self.command(workload, one, &onnx)))
            .collect();
        let outcomes = race::run(commands, rules, &logs);
        durable::remove_any(&onnx).with_context(|| format!("cannot remove {}", onnx.display()))?;
        let results = contenders.into_iter().zip(outcomes);
        let results =
            results.map(|(contender, outcome)| Contestant::new(contender, outcome)).collect();
        Ok(Entry { workload: *workload, results })
    }

    fn command(&self, workload: &Workload, contender: &Contender, onnx: &Path) -> Command {
        let held = self.held_to.iter().flat_map(|set| set.variables());
        if contender.runtime == Runtime::Ours {
            let mut command = self.workspace.command(&self.xception);
            command.envs(held).args(our_arguments(workload, contender, self.settings));
            return command;
        }
        let mut command = self.workspace.command(&self.python);
        // Compilers in processes of their own would still be there while others are timed.
        command.envs(held);
        command.env("TORCHINDUCTOR_COMPILE_THREADS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(&self.script);
        command.args(python_arguments(workload, contender, self.settings, onnx));
        command
    }
}

/// Writes `peers.json` and `peers.md`.
fn save(out: &Path, machine: &Value, settings: &Value, entries: &[Entry]) -> Result<()> {
    let document = format!("{:#}\n", report::json(machine, settings, entries));
    durable::write(&out.join("peers.json"), &document)?;
    durable::write(&out.join("peers.md"), &report::markdown(machine, settings, entries))
}
