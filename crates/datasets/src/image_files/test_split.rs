//! The images that are held back as the test set, where a set has none of its own.
//!
//! A hash of an image's name decides. So an image stays on its side when others are added or removed, and images of one
//! name in two formats are on the same side only by chance.

use sha2::{Digest, Sha256};

use super::files::Class;
use crate::{Error, LayoutError};

/// The part of a set that is held back as its test set, where it has none of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// The expected fraction of every class, at least 0 and below 1; with 0 the test set is empty. Of a multi-label set it is
    /// that of all images, since an image of two classes cannot be held back of one.
    pub fraction: f64,
    /// The seed of the hash that chooses the images.
    pub seed: u64,
}

impl Held {
    pub(super) fn check(self) -> Result<(), Error> {
        if (0. ..1.).contains(&self.fraction) {
            Ok(())
        } else {
            Err(Error::HeldFraction(self.fraction))
        }
    }

    /// The images of one class that are held back, by their names. Of two or more, one at least is
    /// held back, and one at least is not: the one with the smallest hash, and the one with the largest.
    #[must_use]
    pub fn among<'a>(self, names: impl Iterator<Item = &'a str>) -> Vec<bool> {
        let hashes: Vec<u64> = names.map(|name| self.hash(name)).collect();
        let limit = self.fraction * 2_f64.powi(64);
        let mut held: Vec<bool> = hashes.iter().map(|&hash| (hash as f64) < limit).collect();
        let by_hash = |place: &usize| hashes[*place];
        if held.len() < 2 || self.fraction == 0. {
            held.fill(false);
        } else if let (Some(smallest), Some(largest)) =
            ((0..held.len()).min_by_key(by_hash), (0..held.len()).max_by_key(by_hash))
        {
            held[smallest] = true;
            held[largest] = smallest == largest;
        }
        held
    }

    fn hash(self, name: &str) -> u64 {
        let digest =
            Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(name).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(first)
    }
}

/// The part, from 0, of `of` equal ones that each of `names` is in. A part is the same whatever the order of the names.
/// Of a multi-label set, `names` are best those of all images rather than of a class.
///
/// # Panics
/// No part at all.
#[must_use]
pub fn folds(names: &[String], of: u32, seed: u64) -> Vec<u32> {
    assert!(of > 0, "expected at least 1 part, got 0");
    let held = Held { fraction: 0., seed };
    let mut places: Vec<usize> = (0..names.len()).collect();
    places.sort_by_cached_key(|&place| (held.hash(&names[place]), &names[place]));
    let mut folds = vec![0; names.len()];
    for (rank, place) in (0..).zip(places) {
        folds[place] = rank % of;
    }
    folds
}

/// Splits every class. `start` is the length of the part of all names that leads to the folder of classes.
pub(super) fn split(all: Vec<Class>, held: Held, start: usize) -> Result<[Vec<Class>; 2], Error> {
    if held.fraction == 0. {
        return Ok([all, Vec::new()]);
    }
    let single: Vec<String> =
        all.iter().filter(|class| class.images.len() < 2).map(|class| class.name.clone()).collect();
    if !single.is_empty() {
        return Err(LayoutError::OneImage { classes: single }.into());
    }
    let mut parts = [Vec::new(), Vec::new()];
    for Class { name, images } in all {
        let is_held = held.among(images.iter().map(|image| &image[start..]));
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (image, is_held) in images.into_iter().zip(is_held) {
            if is_held { test.push(image) } else { train.push(image) }
        }
        parts[0].push(Class { name: name.clone(), images: train });
        parts[1].push(Class { name, images: test });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Held = Held { fraction: 0.2, seed: 0 };

    fn held(names: &[String]) -> Vec<String> {
        let held = HELD.among(names.iter().map(String::as_str));
        names.iter().zip(held).filter(|(_, held)| *held).map(|(name, _)| name.clone()).collect()
    }

    #[test]
    fn an_image_stays_on_its_side_when_others_come() {
        let names: Vec<String> = (0..400).map(|number| format!("cat/{number}.jpg")).collect();
        let all = held(&names);
        assert!((60..100).contains(&all.len()), "about a fifth: {}", all.len());
        for few in [50, 100, 399] {
            let expected: Vec<String> =
                all.iter().filter(|name| names[..few].contains(name)).cloned().collect();
            assert_eq!(held(&names[..few]), expected, "of the first {few}");
        }
    }

    #[test]
    fn two_images_are_on_two_sides() {
        for first in 0..50 {
            let names = [0, 1].map(|number| format!("cat/{first}-{number}.png"));
            assert_eq!(held(&names).len(), 1);
        }
        assert!(held(&["cat/only.png".to_string()]).is_empty());
        let almost_all = Held { fraction: 0.999_999, seed: 0 };
        let names: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let held = almost_all.among(names.iter().map(String::as_str));
        assert_eq!(held.iter().filter(|held| **held).count(), 8);
    }

    #[test]
    fn folds_are_of_one_size_and_do_not_depend_on_the_order() {
        let names: Vec<String> = (0..11).map(|number| format!("{number}.png")).collect();
        let own = folds(&names, 3, 0);
        let sizes = [0, 1, 2].map(|fold| own.iter().filter(|own| **own == fold).count());
        assert_eq!(sizes, [4, 4, 3]);
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        let back: Vec<u32> = folds(&reversed, 3, 0).into_iter().rev().collect();
        assert_eq!(own, back);
        assert_ne!(own, folds(&names, 3, 1));
    }

    #[test]
    fn another_seed_holds_back_others() {
        let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let names = || names.iter().map(String::as_str);
        assert_ne!(HELD.among(names()), Held { seed: 1, ..HELD }.among(names()));
    }
}
