//! Findings about the machine: data sets, processor features, a GPU, disk space.

use std::path::Path;
use std::process::Command;

use super::Finding;
use crate::cache::Cache;
use crate::fetch::cifar::{CIFAR10, CIFAR100, DataSet};
use crate::fetch::install::{self, State};
use crate::workspace::Workspace;

/// A libtorch for CPU, its archive while it is unpacked, and both data sets.
const COMFORTABLE_MEGABYTES: u64 = 2000;

/// Examines data sets, processor and disk.
pub(super) fn examine(workspace: &Workspace, cache: &Cache) -> Vec<Finding> {
    let mut findings =
        vec![data_set(&CIFAR10, workspace, cache), data_set(&CIFAR100, workspace, cache)];
    findings.push(Finding::fine("CPU", cpu()));
    findings.extend(disk(cache));
    findings
}

fn data_set(set: &DataSet<'_>, workspace: &Workspace, cache: &Cache) -> Finding {
    let subject = if set.name == "cifar10" { "CIFAR-10" } else { "CIFAR-100" };
    let fetch = format!("cargo xtask fetch {} [--from PATH_OR_URL]", set.name);
    let local = workspace.root().join("data").join(set.folder);
    if local.is_dir() {
        return Finding::fine(subject, format!("in {}", local.display()));
    }
    let folder = cache.root().join(set.folder);
    match install::state(&folder) {
        State::Whole => {
            let official = install::is_official(&folder);
            let whose = if official { "" } else { " (from a mirror, not the official archive)" };
            Finding::fine(subject, format!("in {}{whose}", folder.display()))
        }
        State::Absent => {
            let what = format!("neither in {} nor in the cache", local.display());
            Finding::note(subject, what, fetch)
        }
        State::Damaged(why) => {
            Finding::note(subject, format!("{} is damaged: {why}", folder.display()), fetch)
        }
        State::Foreign => {
            let what = format!("in {}, not put there by fetch", folder.display());
            Finding::fine(subject, what)
        }
    }
}

/// The GPU's name, or that there is one.
pub(super) fn gpu() -> Option<String> {
    let mut command = Command::new("nvidia-smi");
    let output = command.args(["--query-gpu=name", "--format=csv,noheader"]).output();
    let output = output.ok().filter(|output| output.status.success());
    let names = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match names.as_deref().and_then(|names| names.lines().next()) {
        Some(name) => Some(name.trim().to_owned()),
        None => Path::new("/dev/nvidia0").exists().then(|| "/dev/nvidia0".to_owned()),
    }
}

fn cpu() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let features: Vec<_> =
        features().into_iter().filter_map(|(name, has)| has.then_some(name)).collect();
    let features =
        if features.is_empty() { "neither avx512f nor amx".into() } else { features.join(" ") };
    format!("{cores} cores, {features}")
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<(&'static str, bool)> {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // Detection of AMX is not in the standard library's stable part.
    let amx = flags.split_whitespace().any(|flag| flag == "amx_bf16");
    vec![
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512_bf16", std::is_x86_feature_detected!("avx512bf16")),
        ("amx_bf16", amx),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<(&'static str, bool)> {
    vec![(std::env::consts::ARCH, true)]
}

/// Space left where the cache is or will be; nothing where `df` cannot tell.
fn disk(cache: &Cache) -> Option<Finding> {
    let existing = cache.root().ancestors().find(|folder| folder.is_dir())?;
    let output = Command::new("df").args(["-Pk"]).arg(existing).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kibibytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    let megabytes = kibibytes * 1024 / 1_000_000;
    let what = format!("{megabytes} MB free for {}", cache.root().display());
    Some(if megabytes < COMFORTABLE_MEGABYTES {
        let cure = format!(
            "free {COMFORTABLE_MEGABYTES} MB, or set XCEPTION_CACHE to a folder on another disk"
        );
        Finding::note("disk", what, cure)
    } else {
        Finding::fine("disk", what)
    })
}
