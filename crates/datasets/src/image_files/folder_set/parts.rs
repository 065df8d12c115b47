//! The folders of a set's parts: which is to train on, which to choose the best epoch by, which to measure on.

use std::path::{Path, PathBuf};

use super::super::files::{Entries, join};
use super::super::role::Role;
use super::super::skipped::Skipped;
use crate::first_few::first_few;
use crate::image_endings::ending;
use crate::{Error, LayoutError};

/// The deepest folder in which the classes of a part are looked for.
const DEEPEST: usize = 4;

/// The folders of classes of each part, relative to the root.
#[derive(Debug, Default)]
pub(super) struct Parts([Option<String>; 3]);

impl Parts {
    /// The parts that the folders in `root` are named for; `None` where these are classes.
    ///
    /// # Errors
    /// Folders that may mean one thing or another.
    pub(super) fn find(root: &Path, skipped: &mut Skipped) -> Result<Option<Self>, Error> {
        // Listed again for the classes, which then takes down names that are skipped.
        let entries = Entries::list(root, "", &mut Skipped::default())?;
        let (named, others): (Vec<&String>, Vec<&String>) =
            entries.folders.iter().partition(|name| Role::of(name).is_some());
        let mut parts = Self::default();
        let (mut first, mut without_classes) = ([None; 3], Vec::new());
        for name in named {
            let Some(role) = Role::of(name) else { continue };
            let Some(classes) = folder_of_classes(root, name, 0)? else {
                without_classes.push(name);
                continue;
            };
            if let Some(first) = first[role as usize].replace(name) {
                return Err(two(root, role, first, name));
            }
            parts.0[role as usize] = Some(classes);
        }
        if parts.of(Role::Train).is_none() {
            return match without_training(root, &entries, &others, &without_classes, &parts) {
                Some(error) => Err(error.into()),
                None => Ok(None),
            };
        }
        let measured = [Role::Validation, Role::Test].iter().any(|role| parts.of(*role).is_some());
        let train = first[Role::Train as usize].map(String::as_str).unwrap_or_default();
        for other in &others {
            let holds = Entries::list(root, other, &mut Skipped::default())?;
            if !measured && holds.has_images() {
                let (train, other) = (train.to_string(), other.to_string());
                return Err(
                    LayoutError::TrainingOrClass { folder: root.into(), train, other }.into()
                );
            }
        }
        let ignored: Vec<&String> = others.into_iter().chain(without_classes).collect();
        if !ignored.is_empty() {
            let (names, are) = (first_few(&ignored), if ignored.len() == 1 { "is" } else { "are" });
            skipped.remarks.push(format!(
                "beside {train}, {names} {are} ignored: no folders of classes for another part of the set"
            ));
        }
        for file in entries.files {
            skipped.add_beside_classes(file);
        }
        Ok(Some(parts))
    }

    /// The folder of classes of a part, relative to the root.
    pub(super) fn of(&self, role: Role) -> Option<&str> {
        self.0[role as usize].as_deref()
    }
}

fn two(root: &Path, role: Role, first: &str, second: &str) -> Error {
    LayoutError::TwoOfOnePart {
        folder: root.into(),
        part: role.prose(),
        first: first.to_string(),
        second: second.to_string(),
    }
    .into()
}

/// The error of a root without a training set, unless its folders are classes: then one at least is not named as a part.
fn without_training(
    root: &Path,
    entries: &Entries,
    others: &[&String],
    without_classes: &[&String],
    parts: &Parts,
) -> Option<LayoutError> {
    if !others.is_empty() {
        return None;
    }
    if let Some(train) = without_classes.iter().find(|name| Role::of(name) == Some(Role::Train)) {
        let tables = || entries.files.iter().filter(|file| ending(file).as_deref() == Some("csv"));
        // Beside it may be a list of images without labels, or an empty form for answers.
        let is_of_training = |file: &&String| {
            Role::within(file) == Some(Role::Train) || file.to_lowercase().contains("label")
        };
        let table = tables().find(is_of_training).or_else(|| tables().next());
        let table = table.map_or("FILE".to_string(), |file| root.join(file).display().to_string());
        return Some(LayoutError::NoLabels { folder: root.join(train), table });
    }
    let role = [Role::Test, Role::Validation].into_iter().find(|role| parts.of(*role).is_some())?;
    let name = parts.of(role)?.to_string();
    Some(LayoutError::NoTraining { folder: root.into(), part: role.prose(), name })
}

/// The folder of classes in `within`: itself, or a folder alone in it. `None` for a folder of images, or of nothing.
fn folder_of_classes(root: &Path, within: &str, depth: usize) -> Result<Option<String>, Error> {
    let entries = Entries::list(root, within, &mut Skipped::default())?;
    match &entries.folders[..] {
        [] => Ok(None),
        [_] if entries.has_images() || depth == DEEPEST => Ok(None),
        [only] => {
            let deeper = folder_of_classes(root, &join(within, only), depth + 1)?;
            Ok(Some(deeper.unwrap_or_else(|| within.to_string())))
        }
        _ => Ok(Some(within.to_string())),
    }
}

/// The first folder below `folder` that holds several, where each folder above it holds one and no images.
pub(super) fn deeper(folder: &Path) -> Option<PathBuf> {
    let mut folder = folder.to_path_buf();
    for depth in 0..=DEEPEST {
        let entries = Entries::list(&folder, "", &mut Skipped::default()).ok()?;
        match &entries.folders[..] {
            [only] if !entries.has_images() => folder = folder.join(only),
            [_, _, ..] if depth > 0 => return Some(folder),
            _ => return None,
        }
    }
    None
}

/// Refuses classes in the folder `within` of `root` that are sets themselves: each holds only folders, and two or more of
/// these have names in common with all others.
pub(super) fn check_classes(root: &Path, within: &str, classes: &[String]) -> Result<(), Error> {
    let mut common: Option<Vec<String>> = None;
    for class in classes {
        let entries = Entries::list(root, &join(within, class), &mut Skipped::default())?;
        if entries.has_images() {
            return Ok(());
        }
        common = Some(match common {
            None => entries.folders,
            Some(common) => {
                common.into_iter().filter(|name| entries.folders.contains(name)).collect()
            }
        });
        if common.as_ref().is_some_and(|common| common.len() < 2) {
            return Ok(());
        }
    }
    let Some(common) = common else { return Ok(()) };
    let folder = root.join(within);
    Err(if common.iter().all(|name| Role::of(name).is_some()) {
        LayoutError::PartsInClasses { folder, class: classes[0].clone(), parts: common }.into()
    } else {
        let give = folder.join(&classes[0]);
        LayoutError::SetsInFolder { folder, classes: common, give }.into()
    })
}
