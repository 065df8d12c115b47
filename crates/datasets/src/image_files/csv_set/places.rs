//! The files that the cells of a table name: paths, or names of files anywhere in a folder, with or without an ending.

use std::path::{Path, PathBuf};

use super::super::files::images;
use super::super::role::Role;
use super::super::skipped::Skipped;
use crate::Error;
use crate::image_endings::{is_image, stem};

/// The files below the folder of the images.
#[derive(Debug)]
pub(super) struct Places {
    root: PathBuf,
    /// The name of the table without its ending.
    table: String,
    /// The files by their names relative to the root, sorted by [`place_of`]. They are listed when
    /// a cell is no path.
    files: Option<Vec<String>>,
}

/// The file of a cell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its name relative to the root, or its path.
    File(String),
    /// None.
    Missing,
    /// One of several.
    Doubt(String, String),
}

impl Places {
    /// The files in `folder`, relative to the folder of the table `file`, or else in that folder.
    pub(super) fn new(file: &Path, folder: Option<&Path>) -> Result<Self, Error> {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let root = folder.map_or_else(|| parent.to_path_buf(), |folder| parent.join(folder));
        let unreadable = |source| Error::Unreadable { file: root.clone(), source };
        std::fs::read_dir(&root).map_err(unreadable)?;
        let table = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        Ok(Self { root, table, files: None })
    }

    /// The folder that names are relative to.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a cell names one file at least.
    pub(super) fn has(&mut self, cell: &str) -> bool {
        !cell.is_empty() && !matches!(self.find(cell, None), Place::Missing)
    }

    /// The file that a cell names. Of several, those are taken whose folder is called as the part `role` that the image is
    /// for, or else as the table.
    pub(super) fn find(&mut self, cell: &str, role: Option<Role>) -> Place {
        let cell = cell.trim_start_matches("./");
        if let Some(name) = self.as_path(cell) {
            return Place::File(name);
        }
        let slashes = cell.replace('\\', "/");
        if slashes != cell
            && let Some(name) = self.as_path(&slashes)
        {
            return Place::File(name);
        }
        let wanted: Vec<&str> = slashes.split('/').filter(|part| !part.is_empty()).collect();
        let Some(last) = wanted.last() else { return Place::Missing };
        let table = self.table.clone();
        let files = self.files();
        // Of files with this name those in the wanted folder, and one directly in the root, which a longer path finds, too.
        let ranges: Vec<(&str, Option<&str>)> = match wanted[..] {
            [.., folder, last] => vec![(stem(last), Some("")), (stem(last), Some(folder))],
            _ => vec![(stem(last), None)],
        };
        let mut named: Vec<&String> = Vec::new();
        for (name, folder) in ranges {
            let start =
                files.partition_point(|file| place_of(file) < (name, folder.unwrap_or_default()));
            let is_in = |file: &&String| {
                let (own, own_folder) = place_of(file);
                own == name && folder.is_none_or(|folder| own_folder == folder)
            };
            let found = files[start..].iter().take_while(is_in);
            named.extend(found.filter(|file| is_named(file, &wanted)));
        }
        // A table for training takes nothing from a folder for testing.
        let own = role.or_else(|| Role::within(&table));
        let score = |name: &str| {
            let folders = name.rsplit_once('/').map_or("", |(folders, _)| folders).to_lowercase();
            let is = |wanted: &dyn Fn(&str) -> bool| folders.split('/').any(wanted);
            let is_own = own.is_some_and(|own| is(&|folder| Role::of(folder) == Some(own)));
            let is_other = own
                .is_some_and(|own| is(&|folder| Role::of(folder).is_some_and(|role| role != own)));
            let is_called = is(&|folder| folder == table);
            2 * i32::from(is_own) + i32::from(is_called) - 4 * i32::from(is_other && role.is_none())
        };
        let best = named.iter().map(|name| score(name)).max().unwrap_or(-1);
        let mut best = named.into_iter().filter(|name| score(name) == best && best >= 0);
        match (best.next(), best.next()) {
            (None, _) => Place::Missing,
            (Some(only), None) => Place::File(only.clone()),
            (Some(first), Some(second)) => Place::Doubt(first.clone(), second.clone()),
        }
    }

    /// The name of the file that `cell` is the path of, relative to the root if it lies there.
    fn as_path(&self, cell: &str) -> Option<String> {
        let path = self.root.join(cell);
        if cell.is_empty() || !path.is_file() {
            return None;
        }
        let inner = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
        Some(inner.unwrap_or(cell).to_string())
    }

    /// The images below the root. A folder that cannot be read has none: what is missing is reported by its row.
    fn files(&mut self) -> &[String] {
        let root = &self.root;
        self.files.get_or_insert_with(|| {
            let mut files = images(root, "", &mut Skipped::default()).unwrap_or_default();
            files.sort_by(|one, other| place_of(one).cmp(&place_of(other)).then(one.cmp(other)));
            files
        })
    }
}

/// The name of a file without its ending, and that of its folder: of many files of one name few lie in folders of one name.
fn place_of(name: &str) -> (&str, &str) {
    (stem(name), name.rsplit('/').nth(1).unwrap_or_default())
}

/// Whether a file is the one that is `wanted`, a path in parts: one of the two is the end of the other. An ending may be
/// missing.
fn is_named(name: &str, wanted: &[&str]) -> bool {
    let mut own = name.rsplit('/');
    let mut wanted = wanted.iter().rev();
    let (Some(file), Some(last)) = (own.next(), wanted.next()) else { return false };
    (if is_image(last) { file == *last } else { stem(file) == *last })
        && own.zip(wanted).all(|(one, other)| one == *other)
}
