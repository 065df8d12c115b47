//! The root files of a package's crates.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::tidy::tree::SourceFile;

/// The root files of a package's crates, whether or not they exist.
pub(super) fn of_package(
    package: &Path,
    manifest: &SourceFile,
    files: &[SourceFile],
) -> Vec<PathBuf> {
    let mut roots =
        vec![package.join("src/lib.rs"), package.join("src/main.rs"), package.join("build.rs")];
    let found = files.iter().map(|file| &file.path).filter(|path| {
        let Ok(inside) = path.strip_prefix(package) else { return false };
        let folder = inside.parent().unwrap_or(Path::new(""));
        let is_target = |folder: &Path| {
            ["src/bin", "tests", "examples", "benches"].map(Path::new).contains(&folder)
        };
        is_target(folder) || (path.ends_with("main.rs") && folder.parent().is_some_and(is_target))
    });
    roots.extend(found.filter(|path| path.extension().is_some_and(|name| name == "rs")).cloned());
    let manifest: Table = manifest.text.parse().unwrap_or_default();
    let named = |target: &Value| Some(package.join(target.get("path")?.as_str()?));
    for kind in ["lib", "bin", "test", "example", "bench"] {
        match manifest.get(kind) {
            Some(Value::Array(targets)) => roots.extend(targets.iter().filter_map(named)),
            Some(target) => roots.extend(named(target)),
            None => {}
        }
    }
    roots.sort();
    roots.dedup();
    roots
}
