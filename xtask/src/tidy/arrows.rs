//! Which crate may depend on which.

use std::ffi::OsStr;
use std::path::Path;

use toml::{Table, Value};

use super::Problem;
use super::tree::SourceFile;

/// Each crate, by its folder, and the crates of this workspace that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("torch-ext", &[]),
    ("sepconv", &["torch-ext"]),
    ("weight-files", &[]),
    ("fuzz", &["datasets", "weight-files", "xception"]),
    ("xception", &["sepconv", "torch-ext", "weight-files"]),
    ("datasets", &["torch-ext", "weight-files"]),
    ("trainer", &["datasets", "sepconv", "torch-ext", "xception"]),
    ("tests", &["datasets", "sepconv", "torch-ext", "trainer", "xception"]),
    ("xtask", &[]),
    ("launcher", &[]),
];

/// xtask has to run before libtorch is there.
const NOT_IN_XTASK: &[&str] = &["tch", "torch-sys"];

const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks one crate's Cargo.toml.
pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    let mut problem = |message: String| problems.push(Problem::new(&file.path, 0, message));
    let manifest: Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(err) => return problem(format!("not TOML: {}", err.to_string().trim_end())),
    };
    let folder = file.path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
    let Some(name) = folder.filter(|_| manifest.contains_key("package")) else { return };
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return problem(format!(
            "crate `{name}` has no place in the arrows: add it to xtask's tidy"
        ));
    };
    for dependency in dependencies(&manifest) {
        let ours = ARROWS.iter().any(|(known, _)| *known == dependency);
        if ours && !allowed.contains(&dependency.as_str()) {
            let allowed = if allowed.is_empty() { "none".into() } else { allowed.join(", ") };
            problem(format!(
                "`{name}` must not depend on `{dependency}` (of this workspace it may use: \
                 {allowed}): move the code to where the arrows in ARCHITECTURE.md allow it"
            ));
        }
        if name == "launcher" {
            problem(format!(
                "the launcher must not depend on `{dependency}`, or on anything: it has to be there in a second"
            ));
        }
        if name == "xtask" && NOT_IN_XTASK.contains(&dependency.as_str()) {
            problem(format!(
                "xtask must not depend on `{dependency}`: it runs before libtorch is there"
            ));
        }
    }
}

/// The crates in all dependency tables, also those for one target only: a package of the workspace has the name of its
/// crate's folder, after `xception-`.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let tables = std::iter::once(manifest).chain(targets);
    let tables = tables.flat_map(|table| TABLES.iter().filter_map(|name| table.get(*name)));
    tables
        .filter_map(Value::as_table)
        .flatten()
        .map(|(key, value)| {
            let renamed = value.get("package").and_then(Value::as_str).unwrap_or(key);
            renamed.strip_prefix("xception-").unwrap_or(renamed).to_owned()
        })
        .collect()
}
