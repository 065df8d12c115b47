//! A folder of folders of images, one for each class, or of such folders for the parts of a set.

mod parts;

use std::path::Path;
use std::sync::Arc;

use self::parts::Parts;
use super::files::{Class, Entries, images, join, set};
use super::role::Role;
use super::skipped::{Skipped, endings};
use super::test_split::{Held, split};
use super::untrained::left_out;
use super::{Found, ImageFiles};
use crate::{Error, LayoutError};

/// The images `root/CLASS/…/NAME.jpg` (or another ending), or the same below `root/train` and `root/val` or `root/test`,
/// whatever the case and the common spelling of these three. Classes are numbered in the order of their names. With only
/// one of `val` and `test`, that is the test set; without both, `held` of the images become it. These two may have some of
/// the classes only; images of classes that the training set lacks are left out of them. torchvision:
/// `ImageFolder`.
///
/// # Errors
/// A folder that cannot be read or has no classes, a class without an image, a test set that has no class in common with the
/// training set, or folders that may mean one thing or another.
pub fn folder(root: &Path, held: Held) -> Result<Found, Error> {
    held.check()?;
    let mut skipped = Skipped::default();
    let parts = Parts::find(root, &mut skipped)?;
    let [train, validation, test] = match &parts {
        Some(parts) => Role::ALL.map(|role| parts.of(role)),
        None => [Some(""), None, None],
    };
    let within = train.unwrap_or_default();
    let train = classes(root, within, 2, &mut skipped)?;
    let names: Arc<[String]> = train.iter().map(|class| class.name.clone()).collect();
    let mut part = |within: Option<&str>, role: Role| -> Result<Option<Arc<ImageFiles>>, Error> {
        let Some(within) = within else { return Ok(None) };
        let classes = classes(root, within, 1, &mut skipped)?;
        let classes = left_out(classes, &names, role, root, &mut skipped)?;
        Ok(Some(set(root, &names, &classes)))
    };
    let (validation, test) = (part(validation, Role::Validation)?, part(test, Role::Test)?);
    // One of them alone is measured after every epoch and at the end.
    let (validation, test) = if test.is_some() { (validation, test) } else { (None, validation) };
    if let Some(test) = test {
        let train = set(root, &names, &train);
        return Ok(Found { train, validation, test, held: false, skipped });
    }
    let start = if within.is_empty() { 0 } else { within.len() + 1 };
    let [train, test] = split(train, held, start)?.map(|part| set(root, &names, &part));
    Ok(Found { train, validation: None, test, held: held.fraction > 0., skipped })
}

/// The classes in the folder `within` of `root`, `least` or more, in the order of their names.
fn classes(
    root: &Path,
    within: &str,
    least: usize,
    skipped: &mut Skipped,
) -> Result<Vec<Class>, Error> {
    let entries = Entries::list(root, within, skipped)?;
    entries.files.iter().for_each(|file| skipped.add_beside_classes(join(within, file)));
    if entries.folders.len() < least {
        let (folder, found) = (root.join(within), entries.folders.len());
        let hint = parts::deeper(&folder)
            .map_or_else(String::new, |deeper| format!("; did you mean {}?", deeper.display()));
        return Err(LayoutError::NoClasses { folder, found, hint }.into());
    }
    if entries.folders.len() > 1 {
        parts::check_classes(root, within, &entries.folders)?;
    }
    let class = |name: String| {
        let within = join(within, &name);
        let mut own = Skipped::default();
        let images = images(root, &within, &mut own)?;
        if images.is_empty() {
            let (folder, others) = (root.join(&within), endings(&own.by_ending));
            return Err(LayoutError::EmptyClass { folder, others }.into());
        }
        skipped.join(own);
        Ok(Class { name, images })
    };
    entries.folders.into_iter().map(class).collect()
}
