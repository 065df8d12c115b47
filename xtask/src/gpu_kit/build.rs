//! Builds the programs of the kit against the machine's libtorch, in a copy of the tree with a lock file of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{TCH, TORCH};
use crate::failure::usage;
use crate::files;
use crate::workspace::Workspace;

/// A call of cargo, and the executables that the kit takes from it: cargo's name, the kit's name.
struct Job {
    arguments: &'static [&'static str],
    executables: &'static [(&'static str, &'static str)],
}

/// The builds of the program and the tests: for comparison without CUDA graphs, and with them and libtorch's kernels; then
/// with everything.
const JOBS: [Job; 5] = [
    Job {
        arguments: &["build", "-p", "xception-cli", "--bin", "xception"],
        executables: &[("xception", "xception-plain")],
    },
    Job {
        arguments: &[
            "build",
            "-p",
            "xception-cli",
            "--bin",
            "xception",
            "--features",
            "cuda-graphs",
        ],
        executables: &[("xception", "xception-libtorch")],
    },
    Job {
        arguments: &[
            "test",
            "--no-run",
            "-p",
            "xception-cli",
            "--lib",
            "--features",
            "cuda-graphs",
        ],
        executables: &[("trainer", "trainer-libtorch")],
    },
    Job {
        arguments: &["build", "-p", "xception-cli", "--bin", "xception", "--features", "cuda"],
        executables: &[("xception", "xception")],
    },
    Job {
        arguments: &[
            "test",
            "--no-run",
            "-p",
            "xception-torch-ext",
            "-p",
            "xception-cli",
            "-p",
            "integration-tests",
            "-p",
            "xception-sepconv",
            "--lib",
            "--test",
            "integration",
            "--test",
            "on_gpu",
            "--features",
            "xception-cli/cuda",
        ],
        executables: &[
            ("torch_ext", "torch_ext"),
            ("trainer", "trainer"),
            ("integration", "integration"),
            ("sepconv", "sepconv"),
            ("on_gpu", "on_gpu"),
        ],
    },
];

/// A copy of the tree that is ready to be built.
pub(super) struct Build {
    origin: Workspace,
    copy: Workspace,
    site: PathBuf,
    target: PathBuf,
}

impl Build {
    /// Copies the tree to `target/gpu-kit-build/tree`, where only files that changed are written again, and gives the copy
    /// the other tch.
    pub(super) fn prepare(workspace: &Workspace, site: PathBuf) -> Result<Self> {
        check_site(&site)?;
        let folder = workspace.root().join("target/gpu-kit-build");
        let copy = Workspace::at(folder.join("tree"));
        files::copy_tree(workspace, copy.root())?;
        let target = folder.join("target");
        let build = Self { origin: workspace.clone(), copy, site, target };
        build.run(&["update", "-p", "tch", "--precise", TCH])?;
        Ok(build)
    }

    /// The folder of the copy. Test programs look for their files there.
    pub(super) fn tree(&self) -> &Path {
        self.copy.root()
    }

    /// Commit and versions of the programs, as words KEY=VALUE.
    pub(super) fn about(&self) -> Result<String> {
        let git = |arguments: &[&str]| -> Result<String> {
            let output = self.origin.command("git").args(arguments).output();
            let output = output.context("cannot run git")?;
            if !output.status.success() {
                bail!("`git {}` failed ({})", arguments.join(" "), output.status);
            }
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
        let changed = if git(&["status", "--porcelain"])?.is_empty() { "no" } else { "yes" };
        Ok(format!("commit={commit} changed={changed} tch={TCH} libtorch={TORCH}"))
    }

    /// Builds everything, and passes each executable on before the next build replaces it.
    pub(super) fn all(&self, mut take: impl FnMut(&str, &Path) -> Result<()>) -> Result<()> {
        for job in &JOBS {
            let mut arguments = job.arguments.to_vec();
            arguments.extend(["--release", "--locked", "--message-format=json-render-diagnostics"]);
            eprintln!("== cargo {}", arguments.join(" "));
            let is_test = job.arguments[0] == "test";
            let messages = self.run(&arguments)?;
            for (theirs, ours) in job.executables {
                let path = executable(&messages, theirs, is_test).with_context(|| {
                    format!(
                        "`cargo {}` named no executable of {theirs}: \
                         the list in xtask/src/gpu_kit/build.rs is not the workspace's",
                        arguments.join(" ")
                    )
                })?;
                take(ours, &path)?;
            }
        }
        Ok(())
    }

    /// Runs cargo in the copy, and returns its output.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let shown = format!("cargo {}", arguments.join(" "));
        let mut cargo = self.copy.cargo();
        cargo.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        self.set_libtorch(&mut cargo);
        let output = cargo.output().with_context(|| format!("cannot run `{shown}`"))?;
        if !output.status.success() {
            bail!("`{shown}` failed in {} ({})", self.copy.root().display(), output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn set_libtorch(&self, command: &mut Command) {
        command.env("LIBTORCH", self.site.join("torch"));
        command.env("CUDA_HOME", self.site.join("nvidia/cu13"));
        command.env("NCCL_HOME", self.site.join("nvidia/nccl"));
        command.env("LD_LIBRARY_PATH", self.site.join("torch/lib"));
        command.env("CARGO_TARGET_DIR", &self.target);
    }
}

/// The executable of cargo's target `name` among its messages.
fn executable(messages: &str, name: &str, is_test: bool) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let wanted = message["target"]["name"] == name && message["profile"]["test"] == is_test;
        wanted.then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}

/// The folder `site-packages` of the environment of `python`.
pub(super) fn site_of(python: &Path) -> Result<PathBuf> {
    let libraries = python.parent().and_then(Path::parent).map(|root| root.join("lib"));
    let libraries = libraries.context("the environment's Python is in a folder bin")?;
    let unreadable = || format!("cannot read {}", libraries.display());
    for entry in fs::read_dir(&libraries).with_context(unreadable)? {
        let site = entry?.path().join("site-packages");
        if site.join("torch/lib").is_dir() {
            return Ok(site);
        }
    }
    bail!("no torch below {}; remove the environment and run this again", libraries.display())
}

/// Refuses a folder that the programs cannot be built against, before minutes are spent on it.
fn check_site(site: &Path) -> Result<()> {
    let shown = site.display();
    for needed in ["torch/lib/libtorch_cuda.so", "torch/include", "nvidia/cu13/include"] {
        if !site.join(needed).exists() {
            return Err(usage(format!(
                "{shown} has no {needed}: name a site-packages with PyTorch for CUDA and NVIDIA's headers, or omit --site"
            )));
        }
    }
    let version = fs::read_to_string(site.join("torch/version.py")).unwrap_or_default();
    let version = version.lines().find_map(|line| line.strip_prefix("__version__ = "));
    let version = version.unwrap_or("of no known version").trim_matches('\'');
    if version.split('+').next() != Some(TORCH) {
        return Err(usage(format!(
            "{shown} holds torch {version}, and tch {TCH} wants {TORCH}: name another --site"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_told_from_the_program_of_the_same_name() {
        let message = |name: &str, test: bool, path: &str| {
            format!(
                "{{\"target\":{{\"name\":\"{name}\"}},\"profile\":{{\"test\":{test}}},\"executable\":{path}}}\n"
            )
        };
        let messages = [
            message("trainer", false, "null"),
            message("xception", true, "\"/t/xception-1\""),
            message("xception", false, "\"/t/xception\""),
            "not JSON\n".to_owned(),
        ]
        .concat();
        assert_eq!(executable(&messages, "xception", false), Some("/t/xception".into()));
        assert_eq!(executable(&messages, "xception", true), Some("/t/xception-1".into()));
        assert_eq!(executable(&messages, "trainer", false), None);
    }

    #[test]
    fn a_site_of_another_version_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = || check_site(folder.path()).unwrap_err().to_string();
        assert!(error().contains("has no torch/lib/libtorch_cuda.so: name a site-packages"));
        for needed in ["torch/lib", "torch/include", "nvidia/cu13/include"] {
            fs::create_dir_all(folder.path().join(needed)).unwrap();
        }
        fs::write(folder.path().join("torch/lib/libtorch_cuda.so"), "").unwrap();
        fs::write(folder.path().join("torch/version.py"), "__version__ = '2.13.0+cu130'\n")
            .unwrap();
        assert!(error().contains("holds torch 2.13.0+cu130, and tch 0.24.0 wants 2.11.0"));
    }
}
