//! The images that are held back as the test set, where a folder has none of its own.

use std::path::Path;

use crate::Error;
use crate::random::permutation;

/// The images of each class by their names relative to the root.
pub(super) type Classes = Vec<(String, Vec<String>)>;

/// The part of a set that is held back as its test set, where it has none of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// The fraction of every class, at least 0 and below 1; with 0 the test set is empty.
    pub fraction: f64,
    /// The seed that chooses the images.
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
}

/// Splits every class at random; both parts get at least one image of it.
pub(super) fn split(all: Classes, held: Held, root: &Path) -> Result<(Classes, Classes), Error> {
    held.check()?;
    if held.fraction == 0. {
        return Ok((all, Classes::new()));
    }
    let (mut train, mut test) = (Classes::new(), Classes::new());
    for (number, (class, images)) in (0..).zip(all) {
        if images.len() < 2 {
            return Err(Error::OneImage { class, root: root.into() });
        }
        let count = (images.len() as f64 * held.fraction).round() as usize;
        let count = count.clamp(1, images.len() - 1);
        let order = permutation(images.len() as u32, held.seed, number);
        let mut is_held = vec![false; images.len()];
        order[..count].iter().for_each(|&index| is_held[index as usize] = true);
        let part = |wanted: bool| {
            let images = images.iter().zip(&is_held).filter(|(_, held)| **held == wanted);
            images.map(|(image, _)| image.clone()).collect()
        };
        train.push((class.clone(), part(false)));
        test.push((class, part(true)));
    }
    Ok((train, test))
}
