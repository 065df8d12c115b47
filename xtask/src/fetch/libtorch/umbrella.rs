//! `libtorch.so`, the library that tch links by name.
//!
//! The zip has one, which is empty but for its dependencies. That of the CUDA wheel depends on the GPU
//! libraries, so a CPU build gets a new one.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::table::{HOST, Platform};

/// The advice that gets a compiler.
pub const INSTALL_ONE: &str = "install one (Debian, Ubuntu: `apt install g++`; Fedora: `dnf install \
                               gcc-c++`; macOS: `xcode-select --install`)";

/// C++ compilers to try: the user's choice, then the usual names.
pub fn compilers() -> Vec<String> {
    let own = env::var("CXX").ok().filter(|name| !name.trim().is_empty());
    own.into_iter().chain(["c++", "g++", "clang++"].map(String::from)).collect()
}

/// The first C++ compiler that answers.
pub fn find_compiler() -> Option<String> {
    compilers().into_iter().find(|name| {
        let output = call(name).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    })
}

/// `CXX` may hold a launcher before the compiler, as in `ccache g++`.
fn call(name: &str) -> Command {
    let mut words = name.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(name));
    command.args(words);
    command
}

/// As [`find_compiler`].
///
/// # Errors
///
/// When there is none; the message says how to get one.
pub fn compiler(platform: Platform) -> Result<String> {
    if platform != HOST {
        return cross_compiler(platform);
    }
    find_compiler().with_context(|| {
        format!(
            "no C++ compiler found (tried {}): {INSTALL_ONE} or set CXX",
            compilers().join(", ")
        )
    })
}

/// The C++ compiler for another architecture, as Debian names it.
fn cross_compiler((system, architecture): Platform) -> Result<String> {
    let name = format!("{architecture}-{system}-gnu-g++");
    let answers = call(&name).arg("--version").output().is_ok_and(|output| output.status.success());
    ensure!(
        answers,
        "{name} is not installed (Debian, Ubuntu: `apt install g++-{architecture}-{system}-gnu`)"
    );
    Ok(name)
}

/// Links `libtorch.so` in the folder `lib`, which holds `libtorch_cpu.so` and `libc10.so`.
///
/// # Errors
///
/// When linking fails.
pub fn link(compiler: &str, lib: &Path) -> Result<()> {
    let arguments = [
        "-shared",
        "-o",
        "libtorch.so",
        "-Wl,--no-as-needed",
        "-L.",
        "-ltorch_cpu",
        "-lc10",
        "-Wl,-soname,libtorch.so",
        "-Wl,-rpath,$ORIGIN",
    ];
    let output = call(compiler)
        .args(arguments)
        .current_dir(lib)
        .output()
        .with_context(|| format!("cannot run {compiler}"))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        bail!("{compiler} could not link libtorch.so: {}", messages.trim());
    }
    Ok(())
}
