//! `cargo xtask sanitize`: the tests of `torch-ext` under AddressSanitizer.
//!
//! Both languages are instrumented: Rust by `-Zsanitizer=address`, which the stable compiler accepts with
//! `RUSTC_BOOTSTRAP=1`, and the C++ glue by `-fsanitize=address`, which the build script of `torch-ext` adds where
//! `TORCH_EXT_SANITIZE` says so. Programs link Rust's runtime, and the glue uses the same: GCC and Clang emit calls to one
//! interface. libtorch itself is not instrumented, but its memory comes from the runtime's `malloc`, so that a kernel
//! which reads beyond a tensor is seen.
//!
//! Everything is built once more in `target/sanitize`, torch-sys included: 25 minutes of processor time, and 42 seconds for
//! the tests. An overrun planted in Rust and one in the glue were both reported.

use std::env;

use anyhow::{Context, Result, bail};

use crate::cli::SanitizeArgs;
use crate::failure::usage;
use crate::fetch::libtorch;
use crate::workspace::Workspace;

/// The platform whose runtime comes with Rust. Naming it keeps build scripts uninstrumented.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Settings of the runtime, before those in the user's `ASAN_OPTIONS`.
const OPTIONS: &[&str] = &[
    // libtorch keeps its registries until the process ends, and the leak check needs ptrace, which containers refuse.
    "detect_leaks=0",
    // Every library of libtorch carries its own copy of some inline variables, on purpose.
    "detect_odr_violation=0",
    // Tests ask for more memory than there is, and expect libtorch's error.
    "allocator_may_return_null=1",
    // A test fails with the report, and those that expect a panic cannot mistake it for one.
    "halt_on_error=1",
    "abort_on_error=1",
];

/// Builds the tests with AddressSanitizer and runs them.
///
/// # Errors
///
/// On another platform than x86-64 Linux, and when the build or a test fails.
pub fn run(workspace: &Workspace, args: &SanitizeArgs) -> Result<()> {
    if !(cfg!(target_os = "linux") && cfg!(target_arch = "x86_64")) {
        let machine = format!("{} on {}", env::consts::OS, env::consts::ARCH);
        return Err(usage(format!("expected Linux on x86_64 for AddressSanitizer, got {machine}")));
    }
    libtorch::ensure(workspace, args.offline)?;
    let mut arguments =
        vec!["test", "--package", "xception-torch-ext", "--lib", "--tests", "--locked"];
    arguments.extend(["--target", TARGET, "--target-dir", "target/sanitize"]);
    if !args.tests.is_empty() {
        arguments.push("--");
        arguments.extend(args.tests.iter().map(String::as_str));
    }
    let mut command = workspace.cargo_for(args.offline);
    command.args(&arguments).env_remove("CARGO_ENCODED_RUSTFLAGS").envs([
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTFLAGS", "-Zsanitizer=address"),
        ("TORCH_EXT_SANITIZE", "address"),
        ("ASAN_OPTIONS", &options(env::var("ASAN_OPTIONS").ok())),
    ]);
    let shown = format!("cargo {}", arguments.join(" "));
    let status = command.status().with_context(|| format!("cannot run `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed under AddressSanitizer ({status}), see above");
    }
    eprintln!("AddressSanitizer found nothing");
    Ok(())
}

/// Later settings win, so that the user's do.
fn options(users: Option<String>) -> String {
    let users = users.filter(|users| !users.is_empty());
    let all: Vec<&str> = OPTIONS.iter().copied().chain(users.as_deref()).collect();
    all.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_options_come_last() {
        assert!(options(None).ends_with(":abort_on_error=1"));
        assert_eq!(options(Some(String::new())), options(None));
        let all = options(Some("halt_on_error=0".into()));
        assert!(all.ends_with(":abort_on_error=1:halt_on_error=0"), "{all}");
    }
}
