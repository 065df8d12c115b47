//! The files of a checkout, and the rules on their names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Problem;

/// Folders that are not the project's own text.
const SKIPPED: &[&str] = &["target", "libtorch", "data", "runs"];

/// Folders that a fuzzer leaves in its crate.
const LEFT_BY_FUZZING: &[&str] =
    &["tests/fuzz/target", "tests/fuzz/corpus", "tests/fuzz/artifacts", "tests/fuzz/coverage"];

/// Hidden folders that are; others belong to git, to editors and to virtual environments.
const HIDDEN: &[&str] = &[".cargo", ".ci", ".github"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Extensions of the files that rules read.
const TEXT: &[&str] =
    &["rs", "md", "toml", "py", "cpp", "h", "cu", "cuh", "sh", "sbatch", "yaml", "yml"];

/// A text file of the project.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Relative to the workspace.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl SourceFile {
    pub(super) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or("")
    }

    pub(super) fn extension(&self) -> &str {
        self.path.extension().and_then(|name| name.to_str()).unwrap_or("")
    }
}

/// Every file that a rule may look at, without following links.
pub(super) fn files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let failed = || format!("cannot read {}", full.display());
        for entry in fs::read_dir(&full).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let kind = entry.file_type().with_context(failed)?;
            let path = folder.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            let at_root = folder.as_os_str().is_empty();
            let skipped = (at_root && SKIPPED.contains(&name.as_str()))
                || (name.starts_with('.') && !HIDDEN.contains(&name.as_str()))
                || LEFT_BY_FUZZING.iter().any(|left| path == Path::new(left))
                || name == "__pycache__";
            if kind.is_dir() && !skipped {
                folders.push(path);
            } else if kind.is_file() && is_text(&path) {
                let text = fs::read_to_string(entry.path())
                    .with_context(|| format!("cannot read {}", path.display()))?;
                files.push(SourceFile { path, text });
            }
        }
    }
    Ok(files)
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|name| name.to_str());
    extension.is_some_and(|extension| TEXT.contains(&extension))
}

/// The rules on names and on the size of the map.
pub(super) fn check(files: &[SourceFile]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files {
        let stems = file.path.iter().map(|part| Path::new(part).file_stem().unwrap_or(part));
        if let Some(name) = stems.filter_map(|stem| stem.to_str()).find(|s| EMPTY_NAMES.contains(s))
        {
            let message = format!("`{name}` says nothing: name it after what it is for");
            problems.push(Problem::new(&file.path, 0, message));
        }
    }
    let map = Path::new("ARCHITECTURE.md");
    match files.iter().find(|file| file.path == map).map(|file| file.text.lines().count()) {
        None => problems.push(Problem::new(map, 0, "missing: write the map of the workspace")),
        Some(lines) if lines > 200 => {
            let message = format!("{lines} lines: shorten it to 200, details belong in docs/");
            problems.push(Problem::new(map, 201, message));
        }
        Some(_) => {}
    }
    problems
}
