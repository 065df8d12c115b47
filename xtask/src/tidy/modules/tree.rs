//! The modules of one crate, from its root file down, and the names that they see.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::tidy::modules::parse::{Scope, parse};
use crate::tidy::tree::SourceFile;

/// The modules of one crate; the first is its root.
pub(super) struct Tree<'a> {
    pub(super) modules: Vec<Module<'a>>,
}

pub(super) struct Module<'a> {
    /// The names from the root down; empty for the root.
    pub(super) path: Vec<String>,
    pub(super) file: &'a SourceFile,
    pub(super) scope: Scope,
    /// The module that is the whole file.
    pub(super) of_file: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
}

/// The place to which a path leads.
#[derive(Clone, Copy, Debug)]
enum Found {
    Module(usize),
    /// An item of this module.
    Item(usize),
}

impl<'a> Tree<'a> {
    /// The crate whose root is `root`.
    pub(super) fn of(root: &'a SourceFile, files: &BTreeMap<&Path, &'a SourceFile>) -> Self {
        let mut tree = Self { modules: Vec::new() };
        tree.add_file(root, None, Vec::new(), files);
        tree
    }

    fn add_file(
        &mut self,
        file: &'a SourceFile,
        parent: Option<usize>,
        path: Vec<String>,
        files: &BTreeMap<&Path, &'a SourceFile>,
    ) -> usize {
        let of_file = self.modules.len();
        for scope in parse(&file.text) {
            let (parent, path) = match scope.parent {
                None => (parent, path.clone()),
                Some(outer) => {
                    let mut path = self.modules[of_file + outer].path.clone();
                    path.push(scope.name.clone());
                    (Some(of_file + outer), path)
                }
            };
            let index = self.modules.len();
            if let Some(parent) = parent.filter(|_| !scope.name.is_empty()) {
                self.modules[parent].children.insert(scope.name.clone(), index);
            }
            let children = BTreeMap::new();
            self.modules.push(Module { path, file, scope, of_file, parent, children });
        }
        for module in of_file..self.modules.len() {
            for name in self.modules[module].scope.files.clone() {
                let mut path = self.modules[module].path.clone();
                path.push(name.clone());
                let inline = &self.modules[module].path[self.modules[of_file].path.len()..];
                if let Some(file) = module_file(&file.path, inline, &name, files) {
                    let child = self.add_file(file, Some(module), path, files);
                    self.modules[module].children.insert(name, child);
                }
            }
        }
        of_file
    }

    /// The module that defines the last name of a path that `module` writes; re-exports are followed.
    ///
    /// `None` where the path leads to another crate, or is no path of modules at all.
    pub(super) fn defining_module(&self, module: usize, path: &[String]) -> Option<usize> {
        match self.resolve(module, path, &mut BTreeSet::new())? {
            Found::Module(found) | Found::Item(found) => Some(found),
        }
    }

    /// The modules below the innermost common parent that are or hold two modules.
    ///
    /// `None` where one of the two is inside the other.
    pub(super) fn siblings(&self, one: usize, other: usize) -> Option<(usize, usize)> {
        let (a, b) = (&self.modules[one].path, &self.modules[other].path);
        let depth = a.iter().zip(b).take_while(|(a, b)| a == b).count() + 1;
        if depth > a.len() || depth > b.len() {
            return None;
        }
        Some((self.holder(one, depth)?, self.holder(other, depth)?))
    }

    /// The module at `depth` that is or holds `module`.
    fn holder(&self, mut module: usize, depth: usize) -> Option<usize> {
        while self.modules[module].path.len() > depth {
            module = self.modules[module].parent?;
        }
        Some(module)
    }

    fn resolve<'b>(
        &'b self,
        module: usize,
        path: &'b [String],
        seen: &mut BTreeSet<(usize, &'b str)>,
    ) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let mut found = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(module),
            "super" => Found::Module(self.modules[module].parent?),
            name => self.look_up(module, name, seen)?,
        };
        for name in rest {
            let Found::Module(at) = found else { break };
            found = match name.as_str() {
                "super" => Found::Module(self.modules[at].parent?),
                // An item that no keyword announces comes from a macro, and from another crate what is imported.
                name => self.look_up(at, name, seen).unwrap_or(Found::Item(at)),
            };
        }
        Some(found)
    }

    /// A name as `module` sees it: a child, an import, an item of its own, or one that a glob imports.
    fn look_up<'b>(
        &'b self,
        module: usize,
        name: &'b str,
        seen: &mut BTreeSet<(usize, &'b str)>,
    ) -> Option<Found> {
        if !seen.insert((module, name)) {
            return None;
        }
        let Module { children, scope, .. } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return Some(Found::Module(*child));
        }
        let mut named = scope.imports.iter().filter(|import| import.name.as_deref() == Some(name));
        if let Some(found) =
            named.find_map(|import| self.resolve(module, &import.path.segments, seen))
        {
            return Some(found);
        }
        if scope.items.contains(name) {
            return Some(Found::Item(module));
        }
        let mut globs = scope.imports.iter().filter(|import| import.name.is_none());
        globs.find_map(|glob| match self.resolve(module, &glob.path.segments, seen)? {
            Found::Module(from) => self.look_up(from, name, seen),
            Found::Item(_) => None,
        })
    }
}

/// The file of `mod name;` inside the inline modules `inline` of `file`.
fn module_file<'a>(
    file: &Path,
    inline: &[String],
    name: &str,
    files: &BTreeMap<&Path, &'a SourceFile>,
) -> Option<&'a SourceFile> {
    let inline: PathBuf = inline.iter().collect();
    // Crate roots have their modules beside them, other files in the folder of their own name.
    let folders = [file.with_extension(""), file.parent().unwrap_or(Path::new("")).to_owned()];
    let mut places = folders.iter().flat_map(|folder| {
        let folder = folder.join(&inline);
        [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]
    });
    places.find_map(|place| files.get(place.as_path()).copied())
}
