//! The checkout that xtask serves, and child processes that run in it undisturbed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of this project, as its users have it: what follows `cargo build` or `cargo run`.
pub const PROGRAM: [&str; 6] =
    ["--release", "--locked", "--package", "xception-cli", "--bin", "xception"];

/// A checkout of this project.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout that this binary was built from or, under `cargo run`, started in.
    pub fn of_this_checkout() -> Self {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let crate_folder = manifest.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = crate_folder.parent().unwrap_or(Path::new("."));
        Self::at(root)
    }

    /// The checkout at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder with the workspace's Cargo.toml.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that `cargo build` with [`PROGRAM`] makes.
    pub fn release_program(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let name = format!("xception{}", env::consts::EXE_SUFFIX);
        self.root.join(target).join("release").join(name)
    }

    /// The path at which the build looks for libtorch, unless the user sets `LIBTORCH`.
    pub fn libtorch_link(&self) -> PathBuf {
        self.root.join("libtorch")
    }

    /// `LIBTORCH` if the user set it; cargo's own value from `.cargo/config.toml` does not count.
    pub fn libtorch_of_the_user(&self) -> Option<PathBuf> {
        let value = PathBuf::from(env::var_os("LIBTORCH")?);
        (!value.as_os_str().is_empty() && value != self.libtorch_link()).then_some(value)
    }

    /// A child that starts in the workspace root, without the variables that cargo set for xtask alone.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_cargos_own) {
                command.env_remove(name);
            }
        }
        // A build script takes it for a change of environment, and cargo would build torch-sys again.
        if self.libtorch_of_the_user().is_none() {
            command.env_remove("LIBTORCH");
        }
        command
    }

    /// `cargo` of the same toolchain, as [`Workspace::command`].
    pub fn cargo(&self) -> Command {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// As [`Workspace::cargo`]; with `offline`, it uses no network either.
    pub fn cargo_for(&self, offline: bool) -> Command {
        let mut command = self.cargo();
        if offline {
            command.env("CARGO_NET_OFFLINE", "true");
        }
        command
    }
}

/// Variables that `cargo run` sets for the crate it runs; the user's settings (`CARGO_HOME`,
/// `CARGO_TARGET_DIR`, `CARGO_BUILD_*`, …) are not among them.
fn is_cargos_own(name: &str) -> bool {
    let exact = [
        "CARGO",
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_MAKEFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
    ];
    exact.contains(&name) || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_EXE_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_cargo_settings_stay() {
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            assert!(is_cargos_own(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "RUSTFLAGS", "PATH"] {
            assert!(!is_cargos_own(name), "{name}");
        }
    }
}
