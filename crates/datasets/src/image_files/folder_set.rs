//! A folder of folders of images, one for each class.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::test_split::{Classes, Held, split};
use super::{Found, ImageFiles, Places, is_image};
use crate::Error;

/// The names of a folder with a test set, beside one called `train`.
const TESTS: [&str; 4] = ["val", "valid", "validation", "test"];
const TRAIN: &str = "train";
/// A folder of metadata that macOS puts into its archives.
const LEFT_BY_MACOS: &str = "__MACOSX";
/// The deepest nesting of folders in a class: a link may lead to a folder above.
const DEEPEST: usize = 16;

/// The images `root/CLASS/…/NAME.jpg` (or `.jpeg`, `.png`, `.webp`, `.bmp`), or the same below `root/train` and
/// `root/val` (or `valid`, `validation`, `test`). Classes are numbered in the order of their names. Without a test set
/// `held` of the images become one. torchvision: `ImageFolder`.
///
/// # Errors
/// A folder that cannot be read or has no classes, a class without an image, a class that only the test set has.
pub fn folder(root: &Path, held: Held) -> Result<Found, Error> {
    let tests = TESTS.iter().find(|name| root.join(name).is_dir());
    let mut ignored = 0;
    if let Some(test) = tests.filter(|_| root.join(TRAIN).is_dir()) {
        let train = classes(root, TRAIN, &mut ignored)?;
        let names: Arc<[String]> = train.iter().map(|(name, _)| name.clone()).collect();
        let test = classes(root, test, &mut ignored)?;
        if let Some((unknown, _)) = test.iter().find(|(name, _)| !names.contains(name)) {
            return Err(Error::UntrainedClass { class: unknown.clone(), root: root.into() });
        }
        let (train, test) = (files(root, &names, train), files(root, &names, test));
        return Ok(Found { train, test, held: false, ignored });
    }
    let all = classes(root, "", &mut ignored)?;
    let names: Arc<[String]> = all.iter().map(|(name, _)| name.clone()).collect();
    let (train, test) = split(all, held, root)?;
    let (train, test) = (files(root, &names, train), files(root, &names, test));
    Ok(Found { train, test, held: held.fraction > 0., ignored })
}

fn files(root: &Path, names: &Arc<[String]>, classes: Classes) -> Arc<ImageFiles> {
    let number = |class: &String| names.iter().position(|name| name == class).expect("a class");
    let label = |(class, images): &(String, Vec<String>)| {
        std::iter::repeat_n(number(class) as u32, images.len())
    };
    Arc::new(ImageFiles {
        root: root.to_path_buf(),
        labels: classes.iter().flat_map(label).collect(),
        names: classes.iter().flat_map(|(_, images)| images).map(String::as_str).collect(),
        class_names: Arc::clone(names),
        places: Places::Files,
    })
}

/// The classes in the folder `part` of `root`, in the order of their names.
fn classes(root: &Path, part: &str, ignored: &mut usize) -> Result<Classes, Error> {
    let mut classes = Classes::new();
    for entry in entries(&root.join(part))? {
        if !root.join(part).join(&entry).is_dir() {
            *ignored += 1;
            continue;
        }
        let mut images = Vec::new();
        let within = if part.is_empty() { entry.clone() } else { format!("{part}/{entry}") };
        collect(root, &within, 0, &mut images, ignored)?;
        if images.is_empty() {
            return Err(Error::EmptyClass { folder: root.join(within) });
        }
        classes.push((entry, images));
    }
    if classes.len() < 2 {
        let mut names = classes.iter().map(|(name, _)| name);
        let test = names.find(|name| part.is_empty() && TESTS.contains(&name.as_str()));
        return Err(match test.cloned() {
            Some(test) => Error::TestAlone { folder: root.into(), test },
            None => Error::NoClasses { folder: root.join(part), found: classes.len() },
        });
    }
    Ok(classes)
}

/// Collects every image below `within`, in the order of the names.
fn collect(
    root: &Path,
    within: &str,
    depth: usize,
    images: &mut Vec<String>,
    ignored: &mut usize,
) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::TooDeep { folder: root.join(within), most: DEEPEST });
    }
    for entry in entries(&root.join(within))? {
        let name = format!("{within}/{entry}");
        if root.join(&name).is_dir() {
            collect(root, &name, depth + 1, images, ignored)?;
        } else if is_image(&entry) {
            images.push(name);
        } else {
            *ignored += 1;
        }
    }
    Ok(())
}

/// The names in a folder in order, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |source| Error::Unreadable { file: folder.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().into_string();
        let name = name.map_err(|name| Error::Name { folder: folder.into(), name })?;
        if !name.starts_with('.') && name != LEFT_BY_MACOS {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
