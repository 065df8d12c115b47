//! Findings about what a build needs: libtorch of the correct version, a C++ compiler, and pip to fetch libtorch.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::fetch::libtorch::link::holds_libtorch;
use crate::fetch::libtorch::{pip, umbrella};
use crate::workspace::Workspace;

/// Versions of tch and the libtorch that each is made for.
const TCH: &[(&str, &str)] = &[("0.26.", "2.13.0"), ("0.24.", "2.11.0")];

/// Examines libtorch, the compiler and pip.
pub(super) fn examine(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = libtorch(workspace);
    findings.push(match umbrella::find_compiler() {
        Some(name) => Finding::fine("C++ compiler", name),
        None => Finding::broken(
            "C++ compiler",
            format!("none found (tried {})", umbrella::compilers().join(", ")),
            format!("{} or set CXX", umbrella::INSTALL_ONE),
        ),
    });
    findings.push(match pip::find() {
        Some(call) => Finding::fine("pip", call.join(" ")),
        None => Finding::note(
            "pip",
            "not found; only needed to fetch libtorch where its official site cannot be reached",
            "install Python with pip (Debian, Ubuntu: `apt install python3-pip`)",
        ),
    });
    findings
}

fn libtorch(workspace: &Workspace) -> Vec<Finding> {
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        let what = "taken from Python's torch, because LIBTORCH_USE_PYTORCH is set";
        return vec![Finding::fine("libtorch", what)];
    }
    let own = workspace.libtorch_of_the_user();
    let folder = own.clone().unwrap_or_else(|| workspace.libtorch_link());
    let cure = match &own {
        Some(_) => "set LIBTORCH to a libtorch, or unset it and run `cargo xtask fetch libtorch`",
        None => "cargo xtask fetch libtorch",
    };
    if !holds_libtorch(&folder) {
        let what = format!("none in {}", folder.display());
        return vec![Finding::broken("libtorch", what, cure)];
    }
    let real = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
    let whose = if own.is_some() { " (from LIBTORCH)" } else { "" };
    let wanted = wanted_version(workspace);
    let finding = match (version(&folder), &wanted) {
        (Some(found), Ok((tch, wanted))) => {
            let what = format!("{found} in {}{whose}; tch {tch} wants {wanted}", real.display());
            if found.split('+').next() == Some(*wanted) {
                Finding::fine("libtorch", what)
            } else {
                Finding::broken("libtorch", what, cure)
            }
        }
        (Some(found), Err(why)) => {
            Finding::fine("libtorch", format!("{found} in {}{whose}; {why}", real.display()))
        }
        (None, _) => Finding::broken(
            "libtorch",
            format!("{} has neither build-version nor torch/version.h", real.display()),
            cure,
        ),
    };
    vec![finding, cuda(&folder)]
}

/// The version in `build-version`, else in the headers.
fn version(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let headers = ["torch/headeronly/version.h", "torch/version.h"];
    let headers = headers.map(|name| folder.join("include").join(name));
    let text = headers.iter().find_map(|path| fs::read_to_string(path).ok())?;
    let (_, rest) = text.split_once("#define TORCH_VERSION \\\n")?;
    Some(rest.trim().split('"').nth(1)?.to_owned())
}

/// The version of tch in Cargo.lock, and the libtorch that it wants; or why that is unknown.
fn wanted_version(workspace: &Workspace) -> Result<(String, &'static str), String> {
    let path = workspace.root().join("Cargo.lock");
    let text = fs::read_to_string(path).map_err(|err| format!("Cargo.lock: {err}"))?;
    let lock: toml::Table = text.parse().map_err(|err| format!("Cargo.lock: {err}"))?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let tch = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").and_then(toml::Value::as_str) == Some("tch"))
        .and_then(|package| package.get("version")?.as_str())
        .ok_or("no tch in Cargo.lock")?;
    let known = TCH.iter().find(|(prefix, _)| tch.starts_with(prefix));
    let (_, wanted) = known.ok_or(format!("which version tch {tch} wants is not known here"))?;
    Ok((tch.to_owned(), wanted))
}

fn cuda(folder: &Path) -> Finding {
    let library: Option<PathBuf> = ["libtorch_cuda.so", "torch_cuda.dll"]
        .map(|name| folder.join("lib").join(name))
        .into_iter()
        .find(|path| path.is_file());
    match (library.is_some(), super::machine::gpu()) {
        (true, Some(gpu)) => Finding::fine("CUDA", format!("in libtorch; GPU: {gpu}")),
        (true, None) => Finding::note(
            "CUDA",
            "in libtorch, but no GPU is seen",
            "check the NVIDIA driver with `nvidia-smi`",
        ),
        (false, Some(gpu)) => Finding::note(
            "CUDA",
            format!("not in libtorch, but there is a GPU: {gpu}"),
            "cargo xtask fetch libtorch --variant cu130",
        ),
        (false, None) => Finding::fine("CUDA", "neither in libtorch nor a GPU on this machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_from_the_file_or_the_header() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(version(folder.path()), None);
        let headers = folder.path().join("include/torch/headeronly");
        fs::create_dir_all(&headers).unwrap();
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION \\\n  \"2.13.0\"\n";
        fs::write(headers.join("version.h"), header).unwrap();
        assert_eq!(version(folder.path()).as_deref(), Some("2.13.0"));
        fs::write(folder.path().join("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(version(folder.path()).as_deref(), Some("2.11.0+cpu"));
    }

    #[test]
    fn reads_the_wanted_version_from_the_lock_file() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let lock = folder.path().join("Cargo.lock");
        fs::write(&lock, "[[package]]\nname = \"tch\"\nversion = \"0.26.0\"\n").unwrap();
        assert_eq!(wanted_version(&workspace), Ok(("0.26.0".into(), "2.13.0")));
        fs::write(&lock, "[[package]]\nname = \"tch\"\nversion = \"0.99.1\"\n").unwrap();
        let why = wanted_version(&workspace).unwrap_err();
        assert_eq!(why, "which version tch 0.99.1 wants is not known here");
    }
}
