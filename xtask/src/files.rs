//! Copies of folders and programs: of the tree as git sees it, of a kit, and of an archive's parts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::durable;
use crate::workspace::Workspace;

/// Makes `target` a copy of the tree: files that git knows or does not ignore. A file that is the same there is not touched,
/// so that cargo builds only what changed; others are removed.
pub(crate) fn copy_tree(workspace: &Workspace, target: &Path) -> Result<()> {
    let mut git = workspace.command("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().context("cannot run git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("git cannot list the tree ({}): {}", output.status, said.trim());
    }
    let listed = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
    let mut wanted = BTreeSet::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let from = workspace.root().join(name);
        // One that was deleted and not committed, or a folder with a repository of its own.
        if from.is_file() {
            wanted.insert(PathBuf::from(name));
            copy_if_changed(&from, &target.join(name))?;
        }
    }
    for there in files(target)? {
        if !wanted.contains(&there) {
            durable::remove_any(&target.join(&there))?;
        }
    }
    Ok(())
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for name in files(from)? {
        copy_if_changed(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Copies a file unless its bytes are there already.
pub(crate) fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let copied = || -> std::io::Result<()> {
        if to.is_file() && fs::read(from)? == fs::read(to)? {
            return Ok(());
        }
        fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
        fs::copy(from, to).map(drop)
    };
    copied().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Writes a program without its symbols to `to`.
pub(crate) fn strip(workspace: &Workspace, program: &Path, to: &Path) -> Result<()> {
    let status = workspace.command("strip").arg("-o").arg(to).arg(program).status();
    let status = status.context("cannot run strip: install binutils")?;
    if !status.success() {
        bail!("`strip {}` failed ({status})", program.display());
    }
    Ok(())
}

/// The files below a folder, by their paths in it, sorted; none where the folder is missing.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let path = folder.join(&inner);
        if !path.is_dir() {
            continue;
        }
        for entry in
            fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?
        {
            let entry = entry?;
            let name = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() { open.push(name) } else { found.push(name) }
        }
    }
    found.sort();
    Ok(found)
}

/// The files below a folder with their sizes in bytes.
pub(crate) fn sizes(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let sized = |name: PathBuf| -> Result<(u64, PathBuf)> {
        let path = folder.join(&name);
        let found = fs::metadata(&path);
        Ok((found.with_context(|| format!("cannot read {}", path.display()))?.len(), name))
    };
    files(folder)?.into_iter().map(sized).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_keeps_its_time_and_what_is_gone_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, copy) = (folder.path().join("tree"), folder.path().join("copy"));
        let write = |name: &str, text: &str| {
            fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            fs::write(tree.join(name), text).unwrap();
        };
        write(".gitignore", "/target\n");
        write("a/one.rs", "1");
        write("two.rs", "2");
        write("target/program", "big");
        let workspace = Workspace::at(&tree);
        assert!(workspace.command("git").args(["init", "--quiet"]).status().unwrap().success());
        copy_tree(&workspace, &copy).unwrap();
        let names = [".gitignore", "a/one.rs", "two.rs"].map(PathBuf::from);
        assert_eq!(files(&copy).unwrap(), names);

        let old = std::time::SystemTime::UNIX_EPOCH;
        fs::File::open(copy.join("a/one.rs")).unwrap().set_modified(old).unwrap();
        fs::remove_file(tree.join("two.rs")).unwrap();
        write(".gitignore", "/target\n/data\n");
        copy_tree(&workspace, &copy).unwrap();
        assert_eq!(files(&copy).unwrap(), names[..2]);
        assert_eq!(fs::metadata(copy.join("a/one.rs")).unwrap().modified().unwrap(), old);
        assert_eq!(fs::read_to_string(copy.join(".gitignore")).unwrap(), "/target\n/data\n");
    }
}
