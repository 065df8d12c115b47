//! `cargo xtask dist`: an archive to unpack and run, on a machine without Rust, a compiler or Python.
//!
//! It holds the program, the libraries of libtorch that it needs, man pages, completions, recipes, the licences of all that
//! is inside, and a list of it (`sbom.json`, CycloneDX). Two builds of one tree have one hash: paths are cut from the
//! program, and the archive has one time, one owner and one order.

mod archive;
mod libraries;
mod licences;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::libraries::Libraries;
use crate::cli::DistArgs;
use crate::durable;
use crate::fetch::libtorch;
use crate::fetch::weights::{self, Weights};
use crate::files;
use crate::workspace::{PROGRAM, Workspace};

/// The shells whose completions are written, with the names of their files.
const SHELLS: [(&str, &str); 3] =
    [("bash", "xception"), ("zsh", "_xception"), ("fish", "xception.fish")];

/// Builds the program and packs the archive.
///
/// # Errors
///
/// When the build fails, a tool (`readelf`, `strip`, `tar`, `zstd`) is missing, or a licence is.
pub fn run(workspace: &Workspace, args: &DistArgs) -> Result<()> {
    libtorch::ensure(workspace, args.offline)?;
    let out = args.out.clone().unwrap_or_else(|| workspace.root().join("target/dist"));
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let out = out.canonicalize().with_context(|| format!("cannot find {}", out.display()))?;
    let lib = workspace.libtorch_of_the_user().unwrap_or_else(|| workspace.libtorch_link());
    let libtorch = lib.canonicalize().with_context(|| format!("cannot find {}", lib.display()))?;
    licences::check(&libtorch)?;
    let is_cuda = libtorch.join("lib/libtorch_cuda.so").exists();
    let name = name(is_cuda);
    let folder = out.join(&name);
    durable::remove_any(&folder)?;

    let program = build(workspace, is_cuda, args.offline)?;
    let libraries = libraries::needed(workspace, &program, &libtorch.join("lib"))?;
    eprintln!("packing {name}");
    fill(workspace, &folder, &program, &libtorch, &libraries)?;
    let packed = archive::pack(workspace, &out, &name)?;
    eprintln!("{} is written, with its sum in SHA256SUMS", packed.display());
    Ok(())
}

/// `xception-0.1.0-linux-x86_64`, with `-cuda` for a libtorch that has it.
fn name(is_cuda: bool) -> String {
    let variant = if is_cuda { "-cuda" } else { "" };
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("xception-{}-{system}-{machine}{variant}", env!("CARGO_PKG_VERSION"))
}

/// Builds the program so that it finds libtorch beside itself, and nowhere else.
fn build(workspace: &Workspace, is_cuda: bool, offline: bool) -> Result<PathBuf> {
    let target = workspace.root().join("target/dist-build");
    let mut command = workspace.cargo_for(offline);
    command.arg("build").args(PROGRAM);
    command.arg("--target-dir").arg(&target);
    if is_cuda {
        command.args(["--features", "cuda"]);
    }
    // The build machine's paths are in no message and no symbol.
    let root = workspace.root().display().to_string();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let home = home.context("no home folder is known: set CARGO_HOME")?.display().to_string();
    let remap = [(&root, "/xception"), (&home, "/cargo")]
        .map(|(from, to)| format!("--remap-path-prefix={from}={to}"));
    let files = [(&root, "/xception"), (&home, "/cargo")]
        .map(|(from, to)| format!("-ffile-prefix-map={from}={to}"));
    command
        .env("XCEPTION_RPATH", "$ORIGIN/../lib")
        .env("CARGO_ENCODED_RUSTFLAGS", remap.join("\u{1f}"))
        .env("CXXFLAGS", files.join(" "))
        // A compiler cache makes paths relative, so that they begin with none of these.
        .env("CCACHE_DISABLE", "1")
        .env("XCEPTION_COMMIT", commit(workspace)?);
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the program could not be built ({status})");
    }
    Ok(target.join("release/xception"))
}

/// The commit of the tree, with `-dirty` where it was changed.
fn commit(workspace: &Workspace) -> Result<String> {
    let mut git = workspace.command("git");
    let output = git.args(["describe", "--always", "--dirty", "--abbrev=40"]).output();
    let output = output.context("cannot run git")?;
    if !output.status.success() {
        bail!("git does not know this tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Puts everything into `folder`.
fn fill(
    workspace: &Workspace,
    folder: &Path,
    program: &Path,
    libtorch: &Path,
    libraries: &Libraries,
) -> Result<()> {
    let made = |inner: &str| -> Result<PathBuf> {
        let path = folder.join(inner);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    };
    let installed = made("bin")?.join("xception");
    files::strip(workspace, program, &installed)?;
    let lib = made("lib")?;
    for file in &libraries.found {
        files::copy_if_changed(&libtorch.join("lib").join(file), &lib.join(file))?;
    }
    files::copy_folder(&workspace.root().join("crates/trainer/recipes"), &made("share/recipes")?)?;
    let says = |arguments: &[&str]| -> Result<Vec<u8>> {
        let output = workspace.command(&installed).args(arguments).output();
        let output = output.with_context(|| format!("cannot run {}", installed.display()))?;
        if !output.status.success() {
            bail!(
                "`xception {}` failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(output.stdout)
    };
    let man = made("share/man/man1")?;
    says(&["man", "--out", &man.display().to_string()])?;
    for (shell, file) in SHELLS {
        let path = made(&format!("share/completions/{shell}"))?.join(file);
        durable::write(&path, &String::from_utf8_lossy(&says(&["completions", shell])?))?;
    }
    let packages = sbom::packages(workspace)?;
    licences::write(workspace, libtorch, &packages, &made("share/licences")?)?;
    let listed = sbom::document(workspace, libtorch, &packages, libraries)?;
    durable::write(&folder.join("sbom.json"), &listed)?;
    durable::write(&folder.join("README.md"), &readme(libraries))
}

/// The page that lies beside the program.
fn readme(libraries: &Libraries) -> String {
    let links: String = weights::KNOWN
        .iter()
        .filter_map(|weights| Some(format!("- `{}`: {}\n", weights.name, weights.file.url?)))
        .collect();
    // Weights are named by their preset, a point, and how they were trained.
    let Weights { name: preset, file } = weights::KNOWN[0];
    let mut text = "# xception\n\n\
        Trains, evaluates and explains Xception and its relatives. Nothing has to be installed: run `bin/xception`, or put \
        `bin` on your PATH. `lib` has to stay beside `bin`.\n\n\
        ```console\n\
        $ bin/xception train --data synthetic --set epochs=1      # a first run, on drawn shapes\n\
        $ bin/xception train --data folder:pets --out pets-run    # your images, one folder for each class\n\
        $ bin/xception predict --weights pets-run new.jpg\n\
        $ bin/xception --help\n\
        ```\n\n\
        `share` has man pages, completions, the named recipes, and the licences of all that is inside; `sbom.json` lists it.\n"
        .to_owned();
    text += &format!(
        "\nPublished weights are files to download. Before the first point of a name stands the preset:\n\n{links}\n\
         ```console\n\
         $ bin/xception import --preset {preset} {} -o {preset}.safetensors\n\
         $ bin/xception predict --weights {preset}.safetensors frog.jpg\n\
         ```\n",
        file.name
    );
    text += "\nThe system has to have:\n\n";
    for name in &libraries.of_the_system {
        text += &format!("- `{name}`\n");
    }
    text
}
