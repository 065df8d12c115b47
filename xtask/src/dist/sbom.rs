//! The list of what an archive is made of, in the words of CycloneDX 1.5.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::libraries::Libraries;
use crate::workspace::Workspace;

/// The list as JSON: every crate of `packages` with the hash of the lock file, and the libraries of libtorch with the hashes of the
/// archives that they came in.
pub(super) fn document(
    workspace: &Workspace,
    libtorch: &Path,
    packages: &[Value],
    libraries: &Libraries,
) -> Result<String> {
    let lock = std::fs::read_to_string(workspace.root().join("Cargo.lock"))?;
    let sums = sums(&lock)?;
    let mut components: Vec<Value> = packages
        .iter()
        .map(|package| {
            let (name, version) = (&package["name"], &package["version"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut component = json!({
                "type": "library", "name": name, "version": version,
                "purl": format!("pkg:cargo/{}@{}", text(name), text(version)),
                "licenses": [{ "expression": package["license"] }],
            });
            if let Some(sum) = sums.get(&(text(name), text(version))) {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
            }
            component
        })
        .collect();
    let provenance = libtorch.join("provenance.json");
    let provenance: Value = match std::fs::read(&provenance) {
        Ok(bytes) => serde_json::from_slice(&bytes).context("provenance.json of libtorch")?,
        Err(_) => Value::Null,
    };
    let archives = provenance["archive_sha256"].as_object().into_iter().flatten();
    components.extend(archives.map(|(name, sum)| {
        json!({ "type": "library", "name": name, "hashes": [{ "alg": "SHA-256", "content": sum }] })
    }));
    let files =
        libraries.found.iter().map(|name| json!({ "type": "file", "name": format!("lib/{name}") }));
    components.extend(files);
    let document = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": {
            "type": "application", "name": "xception", "version": env!("CARGO_PKG_VERSION"),
        } },
        "components": components,
    });
    Ok(format!("{document:#}\n"))
}

/// The packages that are compiled into the program, as `cargo metadata` has them, by name and version.
pub(super) fn packages(workspace: &Workspace) -> Result<Vec<Value>> {
    let mut command = workspace.cargo();
    command.args(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)]);
    let output =
        command.stderr(std::process::Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed ({})", output.status);
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let compiled = compiled(&metadata)?;
    let mut packages: Vec<Value> = packages
        .into_iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| compiled.contains(id)))
        .collect();
    packages
        .sort_by_key(|package| [&package["name"], &package["version"]].map(ToString::to_string));
    Ok(packages)
}

/// The ids of the packages that the program depends on, but for those of build scripts and tests alone.
fn compiled(metadata: &Value) -> Result<BTreeSet<&str>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no graph")?;
    let nodes: BTreeMap<&str, &Value> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let root = packages.iter().find(|package| package["name"] == "xception-cli");
    let root =
        root.and_then(|package| package["id"].as_str()).context("no package xception-cli")?;
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        let dependencies = nodes.get(id).and_then(|node| node["deps"].as_array());
        for dependency in dependencies.into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            let is_linked = kinds.into_iter().flatten().any(|kind| kind["kind"].is_null());
            if let Some(id) = dependency["pkg"].as_str().filter(|_| is_linked)
                && found.insert(id)
            {
                open.push(id);
            }
        }
    }
    Ok(found)
}

/// The checksums of a lock file, by name and version.
fn sums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock is not TOML")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let entry = |package: &toml::Value| {
        let field = |name: &str| Some(package.get(name)?.as_str()?.to_owned());
        Some(((field("name")?, field("version")?), field("checksum")?))
    };
    Ok(packages.into_iter().flatten().filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_builds_or_tests_is_not_in_the_program() {
        let dependency =
            |pkg: &str, kind: Value| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [{ "name": "xception-cli", "id": "a" }],
            "resolve": { "nodes": [
                { "id": "a", "deps": [dependency("b", Value::Null), dependency("c", json!("build"))] },
                { "id": "b", "deps": [dependency("d", json!("dev")), dependency("a", Value::Null)] },
            ] },
        });
        assert_eq!(compiled(&metadata).unwrap(), BTreeSet::from(["a", "b"]));
    }

    #[test]
    fn sums_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ff\"\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let sums = sums(lock).unwrap();
        assert_eq!(sums, BTreeMap::from([(("a".into(), "1.0.0".into()), "ff".into())]));
    }
}
