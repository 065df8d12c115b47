//! Sets of image files, decoded when they are needed: of a million images only the names are in memory.

mod archives;
mod folder_set;
mod names;
mod shard_set;
mod test_split;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::folder_set::folder;
pub use self::shard_set::{ShardIndex, Shards, shards};
pub use self::test_split::Held;

use self::archives::Archives;
use self::names::Names;
use crate::decode::decode;
use crate::source::{Decoded, ImageRef, Source};
use crate::{Error, decode_file};

/// The endings of the names of image files.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// Whether a file of this name is an image.
fn is_image(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The training set and the test set of a folder.
pub struct Found {
    /// The images to train on.
    pub train: Arc<ImageFiles>,
    /// The images to measure on.
    pub test: Arc<ImageFiles>,
    /// Whether the test set was held back from the training set.
    pub held: bool,
    /// Number of files whose names are not those of images.
    pub ignored: usize,
}

/// Labelled image files.
pub struct ImageFiles {
    /// The folder that the names are relative to.
    root: PathBuf,
    names: Names,
    labels: Vec<u32>,
    class_names: Arc<[String]>,
    places: Places,
}

/// The places of the images' bytes.
enum Places {
    /// Each image is the file of its name.
    Files,
    /// Each image is a part of an archive: number of the archive, first byte, length in bytes.
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

    fn identity(&self, digest: &mut dyn FnMut(&[u8])) {
        for (index, label) in self.labels.iter().enumerate() {
            let name = self.names.get(index);
            let length = match &self.places {
                // A missing file is reported when it is read.
                Places::Files => {
                    std::fs::metadata(self.root.join(name)).map_or(0, |file| file.len())
                }
                Places::Archives { places, .. } => places[index].2.into(),
            };
            digest(&label.to_le_bytes());
            digest(name.as_bytes());
            digest(&[0]);
            digest(&length.to_le_bytes());
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
        decode(&bytes, room).map_err(|error| error.of(self.name(index)))
    }
}
