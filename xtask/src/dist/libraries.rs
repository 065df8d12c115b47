//! The shared libraries that a program needs, and those of them that libtorch brings.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The libraries of a program and of its libraries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Libraries {
    /// Those in libtorch's folder.
    pub(super) found: BTreeSet<String>,
    /// Those that the system has to have.
    pub(super) of_the_system: BTreeSet<String>,
}

/// Follows what `program` needs through the folder `lib`.
pub(super) fn needed(workspace: &Workspace, program: &Path, lib: &Path) -> Result<Libraries> {
    let mut libraries = Libraries::default();
    let mut open = vec![program.to_path_buf()];
    // Loaded by name when a GPU is used, so no program names it.
    let loaded = ["libtorch_cuda.so"].into_iter().map(|name| lib.join(name));
    open.extend(loaded.filter(|path| path.exists()));
    while let Some(path) = open.pop() {
        let mut command = workspace.command("readelf");
        let output = command.args(["-d", "-W"]).arg(&path).env("LC_ALL", "C").output();
        let output = output.context("cannot run readelf: install binutils")?;
        if !output.status.success() {
            bail!("readelf cannot read {}", path.display());
        }
        for name in names(&String::from_utf8_lossy(&output.stdout)) {
            let here = lib.join(&name);
            if !here.exists() {
                libraries.of_the_system.insert(name);
            } else if libraries.found.insert(name) {
                open.push(here);
            }
        }
    }
    Ok(libraries)
}

/// The names in lines such as `0x1 (NEEDED) Shared library: [libc10.so]`.
fn names(listing: &str) -> Vec<String> {
    let needed = listing.lines().filter(|line| line.contains("(NEEDED)"));
    let name = |line: &str| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned());
    needed.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_are_needed() {
        let listing = "Dynamic section at offset 0x1 contains 3 entries:\n\
             0x01 (NEEDED)   Shared library: [libtorch_cpu.so]\n\
             0x01 (NEEDED)   Shared library: [libc.so.6]\n\
             0x1d (RUNPATH)  Library runpath: [$ORIGIN/../lib]\n";
        assert_eq!(names(listing), ["libtorch_cpu.so", "libc.so.6"]);
    }
}
