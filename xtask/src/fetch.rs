//! `cargo xtask fetch`: libtorch and data sets, checked against pinned hashes, into the cache.

pub mod artefact;
pub mod cifar;
pub mod download;
pub mod extract;
pub mod http;
pub mod install;
pub mod libtorch;
pub mod lock;
pub mod mirror;
pub mod partial;
pub mod patience;
pub mod progress;
pub mod source;
pub mod weights;

use anyhow::{Result, anyhow};

use crate::cache::Cache;
use crate::cli::{FetchArgs, Target};
use crate::failure::{self, integrity, usage};
use crate::workspace::Workspace;
use patience::Patience;
use source::{Context, Source};

/// Runs `cargo xtask fetch`.
///
/// # Errors
///
/// When something cannot be fetched. `all` continues after a failure and reports all of them.
pub fn run(workspace: &Workspace, args: &FetchArgs) -> Result<()> {
    let context = Context {
        cache: Cache::from_env()?,
        source: Source::parse(args.from.as_deref())?,
        offline: args.offline,
        patience: Patience::default(),
    };
    if args.offline && matches!(context.source, Source::Url(_)) {
        return Err(usage("--offline forbids the network, and --from names a URL"));
    }
    let targets = match args.target {
        Target::All => vec![Target::Libtorch, Target::Cifar10, Target::Cifar100],
        one => vec![one],
    };
    if args.variant.is_some() && !targets.contains(&Target::Libtorch) {
        return Err(usage("--variant is for libtorch only"));
    }
    if args.name.is_some() && args.target != Target::Weights {
        return Err(usage("a name is for weights only: cargo xtask fetch weights NAME"));
    }
    let mut failed = Vec::new();
    for target in targets {
        let (name, result) = match target {
            Target::Cifar10 => ("cifar10", cifar::fetch(&cifar::CIFAR10, &context).map(drop)),
            Target::Cifar100 => ("cifar100", cifar::fetch(&cifar::CIFAR100, &context).map(drop)),
            Target::Weights => {
                let weights = weights::named(args.name.as_deref())?;
                (weights.name, weights::fetch(weights, &context).map(drop))
            }
            _ => ("libtorch", libtorch::fetch_for_programs(workspace, args.variant, &context)),
        };
        match result {
            Err(err) if args.target == Target::All => {
                eprintln!("{name} failed");
                failed.push((name, err));
            }
            other => other?,
        }
    }
    report(failed)
}

/// One error for all that failed, with the exit code of the first.
fn report(failed: Vec<(&str, anyhow::Error)>) -> Result<()> {
    let Some((_, first)) = failed.first() else { return Ok(()) };
    let code = failure::exit_code(first);
    let lines: Vec<_> = failed.iter().map(|(name, err)| format!("\n  {name}: {err:#}")).collect();
    let message = format!("not everything could be fetched:{}", lines.concat());
    Err(if code == 3 { integrity(message) } else { anyhow!(message) })
}
