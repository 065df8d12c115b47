//! The images of classes, listed from folders.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::skipped::Skipped;
use super::{ImageFiles, Places};
use crate::image_endings::is_image;
use crate::{Error, LayoutError};

/// A folder of metadata that macOS puts into its archives.
const LEFT_BY_MACOS: &str = "__MACOSX";
/// The deepest nesting of folders: a link may lead to a folder above.
const DEEPEST: usize = 16;

/// The images of a class by their names relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) images: Vec<String>,
}

/// The names in a folder, in order, without hidden ones.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) folders: Vec<String>,
    pub(super) files: Vec<String>,
}

impl Entries {
    /// Lists the folder `within` of `root`. Links are followed.
    pub(super) fn list(root: &Path, within: &str, skipped: &mut Skipped) -> Result<Self, Error> {
        let folder = root.join(within);
        let unreadable = |source| Error::Unreadable { file: folder.clone(), source };
        let mut entries = Self::default();
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = match entry.file_name().into_string() {
                Ok(name) => name,
                Err(name) => {
                    skipped.add_not_utf8(within, &name);
                    continue;
                }
            };
            if name.starts_with('.') || name == LEFT_BY_MACOS {
                continue;
            }
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()) {
                entries.folders.push(name);
            } else {
                entries.files.push(name);
            }
        }
        entries.folders.sort_unstable();
        entries.files.sort_unstable();
        Ok(entries)
    }

    /// Whether a file in the folder is an image by its name.
    pub(super) fn has_images(&self) -> bool {
        self.files.iter().any(|name| is_image(name))
    }
}

/// `name` in the folder `within`.
pub(super) fn join(within: &str, name: &str) -> String {
    if within.is_empty() { name.to_string() } else { format!("{within}/{name}") }
}

/// The images below the folder `within` of `root`, in the order of their names.
pub(super) fn images(
    root: &Path,
    within: &str,
    skipped: &mut Skipped,
) -> Result<Vec<String>, Error> {
    let mut images = Vec::new();
    collect(root, within, 0, &mut images, skipped)?;
    Ok(images)
}

fn collect(
    root: &Path,
    within: &str,
    depth: usize,
    images: &mut Vec<String>,
    skipped: &mut Skipped,
) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(LayoutError::TooDeep { folder: root.join(within), most: DEEPEST }.into());
    }
    let entries = Entries::list(root, within, skipped)?;
    for folder in &entries.folders {
        collect(root, &join(within, folder), depth + 1, images, skipped)?;
    }
    for file in &entries.files {
        if is_image(file) {
            images.push(join(within, file));
        } else {
            skipped.add(file);
        }
    }
    Ok(())
}

/// The set of `classes` in `root`, labelled by the places of their names in `names`.
pub(super) fn set(root: &Path, names: &Arc<[String]>, classes: &[Class]) -> Arc<ImageFiles> {
    let number =
        |class: &Class| names.iter().position(|name| *name == class.name).expect("a class");
    let label = |class: &Class| std::iter::repeat_n(number(class) as u32, class.images.len());
    Arc::new(ImageFiles {
        root: root.to_path_buf(),
        labels: classes.iter().flat_map(label).collect(),
        names: classes.iter().flat_map(|class| &class.images).map(String::as_str).collect(),
        label_lists: None,
        class_names: Arc::clone(names),
        places: Places::Files,
    })
}
