//! The files that a set leaves out, counted and named, so that a person sees that something is missing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::first_few::{LISTED, first_few};
use crate::image_endings;

/// The files that are in no part of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// The number of files that are no images by their names, by the ending in lower case with its dot; empty for names
    /// without one.
    pub by_ending: BTreeMap<String, usize>,
    /// The images that lie beside the folders of classes, relative to the set's folder.
    pub without_class: Vec<String>,
    /// The names that are not UTF-8, relative to the set's folder, with other bytes escaped.
    pub not_utf8: Vec<String>,
    /// Remarks on other parts of the set, in whole sentences.
    pub remarks: Vec<String>,
}

impl Skipped {
    /// Number of files, but for those of the remarks.
    #[must_use]
    pub fn files(&self) -> usize {
        self.by_ending.values().sum::<usize>() + self.without_class.len() + self.not_utf8.len()
    }

    /// A sentence for each kind of file that was left out.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let count = self.by_ending.values().sum();
        if count > 0 {
            let endings = endings(&self.by_ending);
            sentences.push(match count {
                1 => format!("1 file is no image by its name, and is ignored: {endings}"),
                _ => format!(
                    "{count} files are no images by their names, and are ignored: {endings}"
                ),
            });
        }
        let convertible = self.convertible();
        if !convertible.is_empty() {
            let formats = convertible.join(", ");
            sentences.push(format!("images in {formats} are read once they are JPEG or PNG"));
        }
        if !self.without_class.is_empty() {
            let names = first_few(&self.without_class);
            sentences.push(match self.without_class.len() {
                1 => format!("1 image is in no class's folder, and is ignored: {names}"),
                count => {
                    format!("{count} images are in no class's folder, and are ignored: {names}")
                }
            });
        }
        if !self.not_utf8.is_empty() {
            let names = first_few(&self.not_utf8);
            sentences.push(match self.not_utf8.len() {
                1 => format!("1 name is not UTF-8, and is left out until it is renamed: {names}"),
                count => {
                    format!("{count} names are not UTF-8, and are left out until they are renamed: {names}")
                }
            });
        }
        sentences.extend(self.remarks.iter().cloned());
        sentences
    }

    /// The endings of images in formats that are not read.
    fn convertible(&self) -> Vec<String> {
        const ENDINGS: [&str; 8] =
            [".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".dng"];
        let found = ENDINGS.iter().filter(|ending| self.by_ending.contains_key(**ending));
        found.map(ToString::to_string).collect()
    }

    /// Counts a file that is no image by its name.
    pub(super) fn add(&mut self, name: &str) {
        let ending = image_endings::ending(name).map(|ending| format!(".{ending}"));
        *self.by_ending.entry(ending.unwrap_or_default()).or_default() += 1;
    }

    /// Counts a file beside folders of classes or of parts; `name` is relative to the set's folder.
    pub(super) fn add_beside_classes(&mut self, name: String) {
        if image_endings::is_image(&name) {
            self.without_class.push(name);
        } else {
            self.add(&name);
        }
    }

    /// Takes down a name in the folder `within` that is not UTF-8.
    pub(super) fn add_not_utf8(&mut self, within: &str, name: &OsStr) {
        let shown = format!("{:?}", Path::new(within).join(name));
        self.not_utf8.push(shown.trim_matches('"').to_string());
    }

    pub(super) fn join(&mut self, other: Self) {
        for (ending, count) in other.by_ending {
            *self.by_ending.entry(ending).or_default() += count;
        }
        self.without_class.extend(other.without_class);
        self.not_utf8.extend(other.not_utf8);
        self.remarks.extend(other.remarks);
    }
}

/// `.heic 12, .txt 3, without an ending 1`, the most frequent first.
pub(super) fn endings(by_ending: &BTreeMap<String, usize>) -> String {
    let mut counts: Vec<(&String, &usize)> = by_ending.iter().collect();
    counts.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let shown = counts.iter().take(LISTED).map(|(ending, count)| {
        if ending.is_empty() {
            format!("without an ending {count}")
        } else {
            format!("{ending} {count}")
        }
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    let rest: usize = counts.iter().skip(LISTED).map(|(_, count)| **count).sum();
    if rest > 0 {
        text += &format!(", with other endings {rest}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_beside_the_classes_are_named_as_images() {
        let mut skipped = Skipped::default();
        skipped.add_beside_classes("scene.PNG".to_string());
        skipped.add_beside_classes("train/notes.txt".to_string());
        assert_eq!(
            skipped.sentences(),
            [
                "1 file is no image by its name, and is ignored: .txt 1",
                "1 image is in no class's folder, and is ignored: scene.PNG"
            ]
        );
        skipped.add_beside_classes("train/a.jpg".to_string());
        let sentence = &skipped.sentences()[1];
        assert_eq!(
            sentence,
            "2 images are in no class's folder, and are ignored: scene.PNG, train/a.jpg"
        );
        assert_eq!(skipped.files(), 3);
    }

    #[test]
    fn endings_are_named_with_their_counts() {
        let mut skipped = Skipped::default();
        for name in ["a.HEIC", "b.heic", "c.txt", "README"] {
            skipped.add(name);
        }
        assert_eq!(
            skipped.sentences(),
            [
                "4 files are no images by their names, and are ignored: .heic 2, without an ending 1, .txt 1",
                "images in .heic are read once they are JPEG or PNG"
            ]
        );
        (0..20).for_each(|number| skipped.add(&format!("x.e{number}")));
        let sentence = &skipped.sentences()[0];
        assert!(sentence.ends_with(", with other endings 15"), "{sentence}");
        assert_eq!(skipped.files(), 24);
    }
}
