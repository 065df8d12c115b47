//! `cargo xtask train`: from an empty machine to a training run, with no other step.

mod early_build;

use std::io::Write;
use std::process::Command;

use anyhow::{Context as _, Result};

use self::early_build::EarlyBuild;
use crate::cache::Cache;
use crate::cli::TrainArgs;
use crate::failure::usage;
use crate::fetch::cifar::{self, CIFAR10};
use crate::fetch::libtorch;
use crate::fetch::patience::Patience;
use crate::fetch::source::{Context, Source};
use crate::workspace::{PROGRAM, Workspace};

/// Minutes of one core that the trainer and its dependencies take to compile.
const CORE_MINUTES: usize = 10;

const HELP: &str = "\
cargo xtask train [--offline] [ARGS]...

Fetches libtorch if it is missing, tries once to fetch CIFAR-10 if the run wants it and it is
missing, and runs `cargo run --release --package xception-cli --bin xception -- train ARGS`, with
`--recipe quick` unless ARGS hold --recipe or --resume.

  --offline  fetch nothing (must come first)

Everything else is the trainer's:
";

/// Fetches what is missing, and replaces this process by the trainer.
///
/// # Errors
///
/// When libtorch is missing and cannot be fetched, or cargo cannot be started. The trainer's own
/// exit code is this process's.
pub fn run(workspace: &Workspace, args: &TrainArgs) -> Result<()> {
    let cargo = |subcommand: &str| {
        let mut command = workspace.cargo_for(args.offline);
        command.arg(subcommand).args(PROGRAM);
        command
    };
    let mut command = cargo("run");
    command.env("XCEPTION_TRAIN_COMMAND", "cargo xtask train");
    command.args(["--", "train"]);
    if args.args.iter().any(|arg| arg == "--help" || arg == "-h") {
        std::io::stdout().write_all(HELP.as_bytes())?;
        if !libtorch::is_ready(workspace) {
            return Err(usage(
                "the trainer is not built yet: run `cargo xtask fetch libtorch`, then this again",
            ));
        }
        return become_it(command.arg("--help"));
    }
    let is_built = workspace.release_program().exists();
    let must_fetch = !args.offline && libtorch::must_be_fetched(workspace)?;
    let early = must_fetch.then(|| EarlyBuild::start(&mut cargo("build"))).flatten();
    libtorch::ensure(workspace, args.offline)?;
    if wants_cifar10(workspace, &args.args) {
        get_cifar10(workspace, args.offline);
    }
    if value_of("--recipe", &args.args).is_none() && value_of("--resume", &args.args).is_none() {
        command.args(["--recipe", "quick"]);
    }
    if !is_built {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let minutes = CORE_MINUTES.div_ceil(cores);
        eprintln!(
            "compiling the trainer: up to {minutes} min on this machine's {cores} cores, once"
        );
    }
    drop(early);
    become_it(command.args(&args.args))
}

/// The value of `--name value` or `--name=value`; empty when there is none.
fn value_of<'a>(name: &str, args: &'a [String]) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(index, arg)| match arg.strip_prefix(name)? {
        "" => Some(args.get(index + 1).map_or("", String::as_str)),
        rest => rest.strip_prefix('='),
    })
}

/// Whether the run would use CIFAR-10 from `data/` or the cache.
fn wants_cifar10(workspace: &Workspace, args: &[String]) -> bool {
    // A resumed run has its data in its config.
    if value_of("--resume", args).is_some() {
        return false;
    }
    let recipe = value_of("--recipe", args).and_then(|recipe| data_of_recipe(workspace, recipe));
    let data = value_of("--data", args).map(String::from).or(recipe);
    matches!(data.as_deref(), None | Some("auto" | "cifar10"))
}

/// The `data` of a recipe, given by name or file.
fn data_of_recipe(workspace: &Workspace, recipe: &str) -> Option<String> {
    let named = workspace.root().join("crates/trainer/recipes").join(format!("{recipe}.toml"));
    let file = if named.is_file() { named } else { recipe.into() };
    let recipe: toml::Table = std::fs::read_to_string(file).ok()?.parse().ok()?;
    Some(recipe.get("data")?.as_str()?.to_owned())
}

/// One attempt, whose failure is not an error: the trainer says what it uses instead.
fn get_cifar10(workspace: &Workspace, offline: bool) {
    let Ok(cache) = Cache::from_env() else { return };
    let places = [workspace.root().join("data"), cache.root().to_owned()];
    if offline || places.iter().any(|place| place.join(CIFAR10.folder).is_dir()) {
        return;
    }
    let patience = Patience::one_attempt();
    let context = Context { cache, source: Source::Official, offline, patience };
    if let Err(err) = cifar::fetch(&CIFAR10, &context) {
        eprintln!("CIFAR-10 could not be fetched: {err:#}");
    }
}

/// Replaces this process, so that signals and the exit code are the trainer's own.
#[cfg(unix)]
fn become_it(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("cannot run cargo")
}

/// Waits for the trainer and exits with its code.
#[cfg(not(unix))]
fn become_it(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot run cargo")?;
    std::process::exit(status.code().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn finds_values_in_both_spellings() {
        assert_eq!(value_of("--data", &args("--out x --data cifar10")), Some("cifar10"));
        assert_eq!(value_of("--data", &args("--data=auto")), Some("auto"));
        assert_eq!(value_of("--data", &args("--data-dir x")), None);
        assert_eq!(value_of("--data", &args("--data")), Some(""));
    }

    #[test]
    fn fetches_cifar10_only_for_runs_that_look_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        std::fs::create_dir_all(folder.path().join("crates/trainer/recipes")).unwrap();
        let recipe = |name, text| std::fs::write(folder.path().join(name), text).unwrap();
        recipe("crates/trainer/recipes/drawn.toml", "data = \"synthetic\"\n");
        recipe("crates/trainer/recipes/real.toml", "data = \"cifar10\"\n");
        for (line, expected) in [
            ("", true),
            ("--data auto", true),
            ("--data=cifar10 --set epochs=1", true),
            ("--data cifar10:/d", false),
            ("--data synthetic", false),
            ("--data folder:x", false),
            ("--resume runs/a", false),
            ("--recipe real", true),
            ("--recipe drawn", false),
            ("--recipe drawn --data auto", true),
            ("--recipe none", true),
        ] {
            assert_eq!(wants_cifar10(&workspace, &args(line)), expected, "{line}");
        }
    }
}
