//! Sets of image files that are decoded when their turn comes: of a million images only the names are in memory.

mod archives;
mod folder_set;
mod names;
mod shard_set;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::folder_set::folder;
pub use self::shard_set::{ShardIndex, Shards, shards};

use self::archives::Archives;
use self::names::Names;
use crate::decode::decode;
use crate::source::{Decoded, ImageRef, Source};
use crate::{Error, decode_file};

/// What the names of image files end with.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// Whether a file of this name is an image.
fn is_image(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// How much of a set without a test set of its own is held back as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// Part of every class, below 1; 0 holds nothing back, and the test set is empty.
    pub fraction: f64,
    /// Which images those are.
    pub seed: u64,
}

impl Held {
    fn check(self) -> Result<(), Error> {
        match (0. ..1.).contains(&self.fraction) {
            true => Ok(()),
            false => Err(Error::HeldFraction(self.fraction)),
        }
    }
}

/// A training and a test set that were found.
pub struct Found {
    /// What is trained on.
    pub train: Arc<ImageFiles>,
    /// What is measured on.
    pub test: Arc<ImageFiles>,
    /// Whether the test set was held back from the only set there is.
    pub held: bool,
    /// Files that are no images by their names.
    pub ignored: usize,
}

/// Labelled image files.
pub struct ImageFiles {
    /// What names are relative to.
    root: PathBuf,
    names: Names,
    labels: Vec<u32>,
    class_names: Arc<[String]>,
    places: Places,
}

/// Where the bytes of the images are.
enum Places {
    /// Each in the file of its name.
    Files,
    /// In archives: which, from which byte on, and how many.
    Archives { archives: Arc<Archives>, places: Vec<(u32, u64, u32)> },
}

impl Source for ImageFiles {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn size(&self) -> Option<[usize; 2]> {
        None
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    fn name(&self, index: usize) -> String {
        self.root.join(self.names.get(index)).display().to_string()
    }

    fn identity(&self, hear: &mut dyn FnMut(&[u8])) {
        for (index, label) in self.labels.iter().enumerate() {
            let name = self.names.get(index);
            let length = match &self.places {
                // One that is gone is found out when its turn comes.
                Places::Files => {
                    std::fs::metadata(self.root.join(name)).map_or(0, |file| file.len())
                }
                Places::Archives { places, .. } => places[index].2.into(),
            };
            hear(&label.to_le_bytes());
            hear(name.as_bytes());
            hear(&[0]);
            hear(&length.to_le_bytes());
        }
    }

    fn stretches(&self) -> Vec<Range<usize>> {
        let Places::Archives { places, .. } = &self.places else {
            return std::iter::once(0..self.len()).collect();
        };
        let mut start = 0;
        let stretch = |images: &[(u32, u64, u32)]| {
            start += images.len();
            start - images.len()..start
        };
        places.chunk_by(|one, next| one.0 == next.0).map(stretch).collect()
    }

    fn image<'a>(&'a self, index: usize, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
        let Places::Archives { archives, places } = &self.places else {
            return decode_file(&self.root.join(self.names.get(index)), room);
        };
        let (archive, offset, length) = places[index];
        let mut bytes = vec![0; length as usize];
        archives
            .read(archive, offset, &mut bytes)
            .map_err(|source| Error::Unreadable { file: self.name(index).into(), source })?;
        decode(&bytes, room).map_err(|reason| Error::Image { name: self.name(index), reason })
    }
}
