//! The licences of everything in an archive: ours, those of the crates that are compiled in, and libtorch's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::durable;
use crate::files;
use crate::workspace::Workspace;

/// The folder of libtorch's licences in it.
const FOLDER: &str = "licenses";

/// The beginnings of the names of files that hold a licence, in upper case.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"];

/// Refuses a libtorch without its licences, before anything is built.
pub(super) fn check(libtorch: &Path) -> Result<()> {
    if !libtorch.join(FOLDER).is_dir() {
        bail!(
            "{} has no licences, which an archive must carry: remove that folder and run `cargo xtask fetch libtorch`",
            libtorch.display()
        );
    }
    Ok(())
}

/// Writes ours, `crates.txt` on those of `packages`, and libtorch's into `folder`.
pub(super) fn write(
    workspace: &Workspace,
    libtorch: &Path,
    packages: &[Value],
    folder: &Path,
) -> Result<()> {
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        files::copy_if_changed(&workspace.root().join(name), &folder.join(name))?;
    }
    durable::write(&folder.join("crates.txt"), &of_crates(packages)?)?;
    files::copy_folder(&libtorch.join(FOLDER), &folder.join("libtorch"))
}

/// Each crate with its licence, then the texts, each once.
fn of_crates(packages: &[Value]) -> Result<String> {
    let mut list = String::from("The program is made of these crates:\n\n");
    let mut texts = BTreeSet::new();
    for package in packages {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        list += &format!("{} {}: {}\n", field("name"), field("version"), field("license"));
        for path in licence_files(package)? {
            let text =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            texts.insert(String::from_utf8_lossy(&text).trim().to_owned());
        }
    }
    for text in texts {
        list += &format!("\n{}\n\n{text}\n", "-".repeat(80));
    }
    Ok(list)
}

/// The licence files of a package, in the folder of its manifest.
fn licence_files(package: &Value) -> Result<Vec<PathBuf>> {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let folder = manifest.parent().context("a manifest is in a folder")?;
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
