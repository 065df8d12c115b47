//! `cargo xtask test-aarch64`: the tests of the kernels and of the networks on 64-bit Arm, emulated on another machine.
//!
//! Emulation is some tens of times as slow as the CPU, so this runs what differs between architectures: `torch-ext`, whose
//! kernels are compiled for NEON there, the layers above it, and two of the golden networks.

use std::env::consts;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::Cache;
use crate::cli::{TestAarch64Args, Variant};
use crate::durable;
use crate::failure::usage;
use crate::fetch::libtorch;
use crate::fetch::patience::Patience;
use crate::fetch::source::{Context, Source};
use crate::rust_target;
use crate::workspace::Workspace;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Everything that is built for it, in the workspace.
const FOLDER: &str = "target/aarch64";

/// Tools that have to be installed, and their packages on Debian and Ubuntu.
const TOOLS: [(&str, &str); 3] = [
    ("aarch64-linux-gnu-g++", "apt install g++-aarch64-linux-gnu"),
    ("qemu-aarch64", "apt install qemu-user"),
    ("rustup", "see rustup.rs"),
];

/// The folder in which Debian's cross compiler has the C library of that architecture.
const SYSTEM_ROOT: &str = "/usr/aarch64-linux-gnu";

/// A core of Arm's as the kernel describes it. libtorch reads this, and the emulator would show it the host's.
const CPUINFO: &str = "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\nCPU implementer\t: 0x41\n\
                       CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n";

/// The golden networks: the notebook's, by value and gradient, in a size that emulation takes in minutes.
const GOLDEN: [&str; 2] =
    ["golden::notebook_cifar10_is_the_notebooks", "golden::plain_shared_is_the_posts"];

/// Builds and runs the tests.
///
/// # Errors
///
/// When a tool is missing, the libtorch of that architecture cannot be fetched, or a test fails.
pub fn run(workspace: &Workspace, args: &TestAarch64Args) -> Result<()> {
    if consts::ARCH == "aarch64" {
        return Err(usage("this machine is one of that architecture: run `cargo xtask test`"));
    }
    for (tool, cure) in TOOLS {
        if Command::new(tool).arg("--version").output().is_err() {
            return Err(usage(format!("{tool} is not installed: {cure}")));
        }
    }
    let patience = Patience::default();
    let offline = args.offline;
    let context =
        Context { cache: Cache::from_env()?, source: Source::Official, offline, patience };
    let libtorch = libtorch::cached(("linux", "aarch64"), Variant::Cpu, &context)?;
    rust_target::add(workspace, TARGET)?;
    eprintln!("== warnings");
    succeeds(
        cargo(workspace, &libtorch, offline)
            .args(["clippy", "--workspace", "--locked", "--exclude", "xtask"])
            .args(["--", "-D", "warnings"]),
    )?;
    let root = emulated_root(workspace)?;
    // One selection of packages, or what they depend on would be built twice.
    let test = || {
        let mut command = cargo(workspace, &libtorch, offline);
        command.env("QEMU_LD_PREFIX", &root).args(["test", "--locked"]);
        for package in ["xception-torch-ext", "xception-sepconv", "integration-tests"] {
            command.args(["--package", package]);
        }
        command
    };
    eprintln!("== kernels and layers");
    succeeds(test().arg("--lib"))?;
    eprintln!("== golden networks");
    let golden = || {
        let mut command = test();
        command.args(["--test", "integration", "--", "--exact"]).args(GOLDEN);
        command
    };
    let listed = golden().arg("--list").stderr(Stdio::inherit()).output();
    let listed = String::from_utf8(listed.context("cannot run cargo")?.stdout)?;
    let found = listed.lines().filter(|line| line.ends_with(": test")).count();
    ensure!(found == GOLDEN.len(), "expected the tests {}, found {listed:?}", GOLDEN.join(", "));
    succeeds(&mut golden())
}

/// Cargo for that architecture.
fn cargo(workspace: &Workspace, libtorch: &Path, offline: bool) -> Command {
    let mut command = workspace.cargo_for(offline);
    command
        .env("LIBTORCH", libtorch)
        .env("CARGO_BUILD_TARGET", TARGET)
        .env("CARGO_TARGET_DIR", workspace.root().join(FOLDER))
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-g++")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64")
        // Before any compiler and any flags that the user has for this machine.
        .env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc")
        .env("CXX_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-g++")
        .env("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Those of this machine are of another architecture.
        .env_remove("LD_LIBRARY_PATH");
    command
}

/// The folder in which the emulator looks before the host's: the C library of that architecture, and its CPU.
fn emulated_root(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.root().join(FOLDER).join("root");
    durable::remove_any(&root)?;
    durable::create_folder(&root.join("proc"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = (0..cores).map(|core| format!("processor\t: {core}\n{CPUINFO}\n"));
    durable::write(&root.join("proc/cpuinfo"), &cpuinfo.collect::<String>())?;
    libtorch::link::symlink(&Path::new(SYSTEM_ROOT).join("lib"), &root.join("lib"))?;
    Ok(root)
}

fn succeeds(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!("`cargo {}` for {TARGET} failed ({status})", arguments.join(" "));
    }
    Ok(())
}
