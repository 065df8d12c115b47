//! The arrows between a crate's top modules are those of a table in ARCHITECTURE.md.
//!
//! The table is read from the document, so the two cannot part. Its header is `| module of CRATE | may use |`, its rows
//! name modules in backticks. The row `any module` has the base modules, which all may use; `any module` in the second
//! column allows everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Arrow;
use super::tree::Tree;
use crate::tidy::Problem;
use crate::tidy::markdown::{self, code_spans};
use crate::tidy::tree::SourceFile;

const DOCUMENT: &str = "ARCHITECTURE.md";

/// Crates that must have a table.
const WITH_TABLE: &[&str] = &["crates/trainer"];

/// The arrows that one crate may have.
pub(super) struct Table {
    /// The folder of the package.
    package: String,
    rows: Vec<Row>,
    base: BTreeSet<String>,
}

struct Row {
    line: usize,
    modules: Vec<String>,
    may_use: Allowed,
}

enum Allowed {
    Any,
    These(BTreeSet<String>),
}

/// The tables of ARCHITECTURE.md.
pub(super) fn tables(files: &[SourceFile]) -> Vec<Table> {
    let document = files.iter().find(|file| file.path == Path::new(DOCUMENT));
    let tables = document.map(|file| markdown::tables(&file.text)).unwrap_or_default();
    tables.iter().filter_map(Table::read).collect()
}

impl Table {
    fn read(table: &markdown::Table<'_>) -> Option<Self> {
        let [first, ..] = table.header.cells[..] else { return None };
        let package = code_spans(first.strip_prefix("module of ")?).next()?.to_owned();
        let mut read = Self { package, rows: Vec::new(), base: BTreeSet::new() };
        for row in &table.rows {
            let [modules, may_use, ..] = row.cells[..] else { continue };
            let named = || code_spans(may_use).map(str::to_owned).collect();
            if modules == "any module" {
                read.base = named();
                continue;
            }
            let may_use =
                if may_use == "any module" { Allowed::Any } else { Allowed::These(named()) };
            let modules = code_spans(modules).map(str::to_owned).collect();
            read.rows.push(Row { line: row.line, modules, may_use });
        }
        Some(read)
    }

    fn allows(&self, from: &str, to: &str) -> bool {
        let of = |row: &&Row| row.modules.iter().any(|module| module == from);
        let by_row = self.rows.iter().find(of).is_some_and(|row| match &row.may_use {
            Allowed::Any => true,
            Allowed::These(modules) => modules.contains(to),
        });
        by_row || self.base.contains(to)
    }

    fn names(&self, module: &str) -> bool {
        self.base.contains(module)
            || self.rows.iter().any(|row| row.modules.iter().any(|m| m == module))
    }
}

/// Compares the arrows of the crate in `package` with its table.
pub(super) fn check(
    package: &Path,
    tables: &[Table],
    tree: &Tree<'_>,
    arrows: &[Arrow],
    problems: &mut Vec<Problem>,
) {
    let Some(table) = tables.iter().find(|table| package == Path::new(&table.package)) else {
        if WITH_TABLE.iter().any(|known| package == Path::new(known)) {
            let package = package.display();
            let message =
                format!("no table `module of {package}`: write which module may use which");
            problems.push(Problem::new(Path::new(DOCUMENT), 0, message));
        }
        return;
    };
    for module in tree.modules.iter().filter(|module| module.path.len() == 1) {
        let name = &module.path[0];
        if !table.names(name) {
            let message =
                format!("`{name}` is missing in the table of modules in {DOCUMENT}: add its row");
            problems.push(Problem::new(&module.file.path, 0, message));
        }
    }
    let mut first: BTreeMap<(&str, &str), &Arrow> = BTreeMap::new();
    for arrow in arrows {
        let top = |module: usize| match &tree.modules[module].path[..] {
            [name] => Some(name.as_str()),
            _ => None,
        };
        if let (Some(from), Some(to)) = (top(arrow.from), top(arrow.to)) {
            first.entry((from, to)).or_insert(arrow);
        }
    }
    for ((from, to), arrow) in first.iter().filter(|((from, to), _)| !table.allows(from, to)) {
        let message = format!(
            "`{from}` must not use `{to}` (`{}`): move the code to where the table of modules in {DOCUMENT} allows it, \
             or argue there for the arrow",
            arrow.text
        );
        problems.push(Problem::new(&tree.modules[arrow.file].file.path, arrow.line, message));
    }
    let mut stale = |line, message| problems.push(Problem::new(Path::new(DOCUMENT), line, message));
    for row in &table.rows {
        for from in &row.modules {
            if !tree.modules.iter().any(|module| module.path[..] == [from.clone()]) {
                stale(row.line, format!("there is no module `{from}`: remove its row"));
            }
        }
        let Allowed::These(may_use) = &row.may_use else { continue };
        let is_used =
            |to: &str| row.modules.iter().any(|from| first.contains_key(&(from.as_str(), to)));
        for to in may_use.iter().filter(|to| !is_used(to)) {
            let from = row.modules.join(", ");
            stale(row.line, format!("`{from}` does not use `{to}`: remove the arrow"));
        }
    }
}
