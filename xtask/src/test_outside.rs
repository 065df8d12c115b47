//! `cargo xtask test-outside`: programs of other people, made in the cache from what README says.
//!
//! The manifest, the build script and the program are README's own, so that what it says works. Each way of naming libtorch
//! compiles tch's C++ once more, which takes minutes; so this is a command of its own, and not a part of `test`.

mod readme;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::cli::TestOutsideArgs;
use crate::durable;
use crate::failure::usage;
use crate::fetch::libtorch;
use crate::workspace::Workspace;

/// A name, and what is tried.
type Way = (&'static str, fn(&Outside<'_>) -> Result<()>);

/// The ways in, those that take no time first.
const WAYS: [Way; 10] = [
    ("missing", missing),
    ("spaces", spaces),
    ("apart", apart),
    ("pytorch", pytorch),
    ("readme", readme_program),
    ("git", git),
    ("release", release),
    ("docs", docs),
    ("package", package),
    ("install", install),
];

/// The packages that nobody depends on.
const NOT_PUBLISHED: [&str; 6] =
    ["--exclude", "xtask", "--exclude", "xtask-launcher", "--exclude", "integration-tests"];

/// Tries the ways in that are asked for, or all of them.
///
/// # Errors
///
/// An unknown way, and the first way that does not work.
pub fn run(workspace: &Workspace, args: &TestOutsideArgs) -> Result<()> {
    let known = WAYS.map(|(name, _)| name);
    if let Some(unknown) = args.ways.iter().find(|way| !known.contains(&way.as_str())) {
        return Err(usage(format!("expected one of {}, got {unknown}", known.join(", "))));
    }
    libtorch::ensure(workspace, args.offline)?;
    // In the workspace, cargo would read its configuration, which says where libtorch is.
    let folder = Cache::from_env()?.root().join("outside");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let libtorch = workspace.libtorch_of_the_user().unwrap_or_else(|| workspace.libtorch_link());
    let libtorch = libtorch.canonicalize().context("cannot find libtorch")?;
    let outside = Outside { workspace, folder, libtorch, offline: args.offline };
    let by_path = format!("path = \"{}\"", workspace.root().join("crates/xception").display());
    outside.write(&outside.folder, &by_path)?;
    let status = workspace.command("git").args(["status", "--porcelain"]).output();
    if status.is_ok_and(|output| !output.stdout.is_empty()) {
        eprintln!(
            "the ways missing, git and install try the last commit, without what was changed since"
        );
    }
    for (name, way) in WAYS {
        if args.ways.is_empty() || args.ways.iter().any(|asked| asked == name) {
            eprintln!("== {name}");
            let start = Instant::now();
            way(&outside).with_context(|| format!("the way {name:?}"))?;
            eprintln!("== {name}: works, {:.0} s", start.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

/// A package that is in no workspace.
struct Outside<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
    libtorch: PathBuf,
    offline: bool,
}

/// A program that needs no file: a network with random weights, forwards and backwards.
const PROGRAM: &str = r#"
use xception::tch::{Device, Kind, Tensor, nn, nn::ModuleT};
use xception::{ModelSpec, Preset};

fn main() -> Result<(), xception::Error> {
    let store = nn::VarStore::new(Device::Cpu);
    let mut spec = ModelSpec::new(Preset::NotebookCifar10);
    spec.classes = 3;
    let model = spec.build(store.root())?;
    let images = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let logits = model.forward_t(&images, true);
    logits.sum(Kind::Float).backward();
    println!("{:?}", logits.size());
    Ok(())
}
"#;

impl Outside<'_> {
    /// Writes the package into `folder`, with `xception` as a dependency from `source`.
    fn write(&self, folder: &Path, source: &str) -> Result<()> {
        let text = fs::read_to_string(self.workspace.root().join("README.md"))?;
        let said = readme::Said::in_text(&text)?;
        let manifest = said.manifest(source);
        let parts = [
            ("Cargo.toml", manifest.as_str()),
            ("build.rs", said.build_script.as_str()),
            ("src/main.rs", PROGRAM),
            ("src/bin/readme.rs", said.program.as_str()),
        ];
        for (name, text) in parts {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            durable::write(&path, text)?;
        }
        // The versions that are tested.
        let lock = fs::copy(self.workspace.root().join("Cargo.lock"), folder.join("Cargo.lock"));
        lock.map(drop).context("cannot copy Cargo.lock")
    }

    /// Cargo in the package, without anything that says where libtorch is.
    fn cargo(&self) -> Command {
        let mut command = self.workspace.cargo_for(self.offline);
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", self.folder.join("target"));
        for variable in [
            "LIBTORCH",
            "LIBTORCH_INCLUDE",
            "LIBTORCH_LIB",
            "LIBTORCH_USE_PYTORCH",
            "LD_LIBRARY_PATH",
        ] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs a program that was built, with nothing that says where libtorch is.
    fn starts(&self, profile: &str) -> Result<()> {
        let program = self.folder.join("target").join(profile).join("outside");
        let output = Command::new(&program).env_remove("LD_LIBRARY_PATH").output();
        let output = output.with_context(|| format!("cannot run {}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said == "[2, 3]\n", "the program says {said:?}: {}", text(&output));
        Ok(())
    }

    /// A new clone of the project.
    fn clone(&self) -> Result<PathBuf> {
        let clone = self.folder.join("clone");
        durable::remove_any(&clone)?;
        let mut git = self.workspace.command("git");
        succeeds(git.args(["clone", "--quiet", "."]).arg(&clone))?;
        Ok(clone)
    }

    /// A folder of that name with a link to a part of libtorch.
    fn link(&self, folder: &str, part: &str) -> Result<PathBuf> {
        let folder = self.folder.join(folder);
        fs::create_dir_all(&folder)?;
        let link = folder.join(part);
        durable::remove_any(&link)?;
        #[cfg(unix)]
        std::os::unix::fs::symlink(self.libtorch.join(part), &link)?;
        Ok(folder)
    }
}

/// Everything that a command printed.
fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a command whose output is shown only if it fails.
fn succeeds(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", text(&output));
    }
    Ok(())
}

/// A clone without libtorch is told the command that fetches it.
fn missing(outside: &Outside<'_>) -> Result<()> {
    let mut command = outside.cargo();
    command.current_dir(outside.clone()?);
    let output = command.args(["build", "--package", "xception-torch-ext"]).output()?;
    let said = text(&output);
    ensure!(
        !output.status.success() && said.contains("run `cargo xtask fetch libtorch`"),
        "it says {said}"
    );
    Ok(())
}

/// A dependency by git, as the project is before it is published.
fn git(outside: &Outside<'_>) -> Result<()> {
    if outside.offline {
        eprintln!("left out: cargo takes no new dependency by git when offline");
        return Ok(());
    }
    let folder = outside.folder.join("git");
    outside.write(&folder, &format!("git = \"file://{}\"", outside.workspace.root().display()))?;
    let mut command = outside.cargo();
    command.current_dir(&folder).env("LIBTORCH", &outside.libtorch);
    succeeds(command.arg("build"))?;
    outside.starts("debug")
}

/// With optimisation.
fn release(outside: &Outside<'_>) -> Result<()> {
    succeeds(outside.cargo().env("LIBTORCH", &outside.libtorch).args(["build", "--release"]))?;
    outside.starts("release")
}

/// A folder with a space in its name.
fn spaces(outside: &Outside<'_>) -> Result<()> {
    for part in ["include", "lib", "build-version"] {
        outside.link("a folder", part)?;
    }
    let folder = outside.folder.join("a folder");
    succeeds(outside.cargo().env("LIBTORCH", folder).arg("build"))?;
    outside.starts("debug")
}

/// Headers and libraries in two places, as tch documents it and Nix has it.
fn apart(outside: &Outside<'_>) -> Result<()> {
    let (include, lib) = (outside.link("headers", "include")?, outside.link("libraries", "lib")?);
    let mut command = outside.cargo();
    command.envs([("LIBTORCH_INCLUDE", &include), ("LIBTORCH_LIB", &lib), ("LIBTORCH", &lib)]);
    succeeds(command.arg("build"))?;
    outside.starts("debug")
}

/// The libtorch of the installed PyTorch. A program that answers as Python would stands for it.
fn pytorch(outside: &Outside<'_>) -> Result<()> {
    let folder = outside.folder.join("python");
    fs::create_dir_all(&folder)?;
    let python = folder.join("python3");
    let (libtorch, shell) = (outside.libtorch.display(), "#!/bin/sh");
    let version = fs::read_to_string(outside.libtorch.join("build-version"))?;
    durable::write(
        &python,
        &format!(
            "{shell}\necho 'LIBTORCH_VERSION: {}'\necho 'LIBTORCH_CXX11: True'\n\
             echo 'LIBTORCH_INCLUDE: {libtorch}/include'\n\
             echo 'LIBTORCH_INCLUDE: {libtorch}/include/torch/csrc/api/include'\necho 'LIBTORCH_LIB: {libtorch}/lib'\n",
            version.trim()
        ),
    )?;
    #[cfg(unix)]
    fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = outside.cargo();
    command.env("PATH", format!("{}:{path}", folder.display())).env_remove("VIRTUAL_ENV");
    succeeds(command.env("LIBTORCH_USE_PYTORCH", "1").arg("build"))?;
    outside.starts("debug")
}

/// README's program, which needs weights and an image to run.
fn readme_program(outside: &Outside<'_>) -> Result<()> {
    let mut command = outside.cargo();
    command.env("LIBTORCH", &outside.libtorch);
    succeeds(command.args(["check", "--bin", "readme"]))
}

/// Documentation on a machine without libtorch.
fn docs(outside: &Outside<'_>) -> Result<()> {
    let mut command = outside.workspace.cargo_for(outside.offline);
    command.env("LIBTORCH", outside.folder.join("nowhere")).env("DOCS_RS", "1");
    command.args(["doc", "--workspace"]).args(NOT_PUBLISHED).args([
        "--no-deps",
        "--locked",
        "--features",
        "doc-only",
        "--target-dir",
        "target/doc-only",
    ]);
    succeeds(&mut command)
}

/// Every crate as it would be published, compiled from its package.
fn package(outside: &Outside<'_>) -> Result<()> {
    let mut command = outside.workspace.cargo_for(outside.offline);
    command.env("LIBTORCH", &outside.libtorch);
    command.args(["package", "--workspace"]).args(NOT_PUBLISHED);
    command.args(["--allow-dirty", "--target-dir", "target/package-check"]);
    succeeds(&mut command)
}

/// `cargo install` in a clone, and the program after the clone is gone.
fn install(outside: &Outside<'_>) -> Result<()> {
    let root = outside.folder.join("installed");
    let clone = outside.clone()?;
    #[cfg(unix)]
    std::os::unix::fs::symlink(&outside.libtorch, clone.join("libtorch"))?;
    let mut command = outside.cargo();
    command.current_dir(&clone).args(["install", "--locked", "--path", "crates/trainer"]);
    succeeds(command.arg("--root").arg(&root))?;
    durable::remove_any(&clone)?;
    let program: &Path = &root.join("bin/xception");
    succeeds(Command::new(program).arg("--version").env_remove("LD_LIBRARY_PATH"))
}
