//! The modules of a crate form a tree of imports: no circle, and in the trainer only the arrows of ARCHITECTURE.md.
//!
//! An import is a path, in a `use` or elsewhere, from one file to the file that defines what the path names:
//! re-exports, renames and globs are followed to there, and a `mod name { … }` belongs to the file around it.
//! It is an arrow between two modules with the same parent: those that hold the two files. So folders form no circle
//! either, and neither do files, since a circle of files is one of the modules below their innermost common parent.
//! Left out are
//!
//! - imports between a module and one inside it, at any depth: a parent re-exports its children, which use its types;
//! - items under `#[cfg(test)]`, and the files that only they declare;
//! - methods and fields that are reached through a value, macros that are reached without a path, and paths in strings
//!   and comments.
//!
//! Refused, since they hide imports, are `include!`, `#[path = …]` and `extern crate self as …`.
//!
//! A crate here is a target of Cargo: `src/lib.rs`, `src/main.rs`, `build.rs`, and each test and example.

mod circles;
mod parse;
mod roots;
mod table;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use self::circles::{Graph, Knot, knots};
use self::tree::Tree;
use super::Problem;
use super::tree::SourceFile;

/// Files that may hide imports, with the reason.
const MAY_HIDE: &[(&str, &str)] = &[(
    "crates/torch-ext/examples/time_kernels.rs",
    "it times the shapes of the tests, which the crate has for its tests only",
)];

/// An import, as an arrow between two modules.
struct Arrow {
    /// The module with the same parent as `to` that is or holds the importing file.
    from: usize,
    to: usize,
    /// The module that is the importing file.
    file: usize,
    line: usize,
    /// `use a::b`, or the path itself.
    text: String,
}

/// Checks the crates of all packages.
pub(super) fn check(files: &[SourceFile], problems: &mut Vec<Problem>) {
    let tables = table::tables(files);
    let by_path: BTreeMap<&Path, &SourceFile> =
        files.iter().map(|file| (file.path.as_path(), file)).collect();
    for manifest in files.iter().filter(|file| file.name() == "Cargo.toml") {
        let package = manifest.path.parent().unwrap_or(Path::new(""));
        for root in roots::of_package(package, manifest, files) {
            let Some(file) = by_path.get(root.as_path()) else { continue };
            let tree = Tree::of(file, &by_path);
            let arrows = arrows(&tree);
            let circles =
                knots(&graph(&arrows)).into_iter().map(|knot| circle(&tree, &arrows, &knot));
            problems.extend(circles);
            hidden(&tree, problems);
            if root == package.join("src/lib.rs") {
                table::check(package, &tables, &tree, &arrows, problems);
            }
        }
    }
}

/// Complains about what hides imports; a file may be part of several crates.
fn hidden(tree: &Tree<'_>, problems: &mut Vec<Problem>) {
    for module in &tree.modules {
        let path = module.file.path.as_path();
        if MAY_HIDE.iter().any(|(file, _)| path == Path::new(file)) {
            continue;
        }
        for (line, message) in &module.scope.hidden {
            let problem = Problem::new(path, *line, *message);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

/// The arrows between files of which neither is inside the other.
fn arrows(tree: &Tree<'_>) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (index, module) in tree.modules.iter().enumerate() {
        let imports = module.scope.imports.iter().map(|import| {
            let glob = if import.name.is_none() { "::*" } else { "" };
            (&import.path, format!("use {}{glob}", import.path.segments.join("::")))
        });
        let paths = module.scope.paths.iter().map(|path| (path, path.segments.join("::")));
        for (path, text) in imports.chain(paths) {
            let used = tree.defining_module(index, &path.segments);
            let siblings =
                used.and_then(|used| tree.siblings(module.of_file, tree.modules[used].of_file));
            if let Some((from, to)) = siblings {
                arrows.push(Arrow { from, to, file: module.of_file, line: path.line, text });
            }
        }
    }
    arrows
}

fn graph(arrows: &[Arrow]) -> Graph {
    let mut graph = Graph::new();
    for arrow in arrows {
        graph.entry(arrow.from).or_default().insert(arrow.to);
    }
    graph
}

/// Names a circle, with one line for each of its arrows.
fn circle(tree: &Tree<'_>, arrows: &[Arrow], Knot { size, circle }: &Knot) -> Problem {
    let next = circle.iter().cycle().skip(1);
    let shown = circle.iter().zip(next).filter_map(|(from, to)| {
        arrows.iter().find(|arrow| (arrow.from, arrow.to) == (*from, *to))
    });
    let lines: Vec<(&Path, usize, &str)> = shown
        .map(|arrow| {
            (tree.modules[arrow.file].file.path.as_path(), arrow.line, arrow.text.as_str())
        })
        .collect();
    let mut message = "import circle".to_owned();
    if *size > circle.len() {
        message += &format!(", the shortest in a knot of {size} modules");
    }
    let names: Vec<String> = circle
        .iter()
        .chain(circle.first())
        .map(|module| format!("`{}`", tree.modules[*module].path.join("::")))
        .collect();
    message += &format!(
        ": {}\n  Move an item of one of these lines into the module that uses it, or into a module below both:",
        names.join(" → ")
    );
    for (path, line, text) in &lines {
        message += &format!("\n    {}:{line}: {text}", path.display());
    }
    let (path, line, _) = lines.first().copied().unwrap_or((Path::new(""), 0, ""));
    Problem::new(path, line, message)
}
