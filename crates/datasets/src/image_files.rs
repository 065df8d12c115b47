//! Sets of image files, decoded when they are needed: of a million images only the names are in memory.

mod archives;
mod column_names;
mod csv_set;
mod files;
mod folder_set;
mod label_texts;
mod long_name;
mod names;
#[cfg(feature = "parquet")]
mod parquet_set;
mod role;
mod shard_set;
mod skipped;
mod test_split;
#[cfg(test)]
mod tests;
mod untrained;
#[cfg(not(feature = "parquet"))]
mod without_parquet;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::csv_set::{TableColumns, table};
pub use self::folder_set::folder;
pub use self::names::content_in_name;
#[cfg(feature = "parquet")]
pub use self::parquet_set::parquet;
pub use self::shard_set::{ShardIndex, Shards, shards};
pub use self::skipped::Skipped;
pub use self::test_split::{Held, folds};
#[cfg(not(feature = "parquet"))]
pub use self::without_parquet::parquet;

use self::archives::Archives;
use self::names::Names;
use crate::Error;
use crate::decode::{decode, read_file};
use crate::label_lists::LabelLists;
use crate::source::{Decoded, ImageRef, Source};

/// The parts of a set of files.
pub struct Found {
    /// The images to train on.
    pub train: Arc<ImageFiles>,
    /// The images to choose the best epoch by, where a set has both these and others to measure on.
    pub validation: Option<Arc<ImageFiles>>,
    /// The images to measure on.
    pub test: Arc<ImageFiles>,
    /// Whether the test set was held back from the training set.
    pub held: bool,
    /// The files that are in no part.
    pub skipped: Skipped,
}

/// Labelled image files.
pub struct ImageFiles {
    /// The folder that the names are relative to.
    root: PathBuf,
    names: Names,
    labels: Vec<u32>,
    /// All labels, of a multi-label set; `labels` are then the first of each image.
    label_lists: Option<LabelLists>,
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

    fn is_multi_label(&self) -> bool {
        self.label_lists.is_some()
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    fn labels(&self, index: usize, into: &mut Vec<u32>) {
        into.clear();
        match &self.label_lists {
            Some(lists) => into.extend_from_slice(lists.get(index)),
            None => into.push(self.labels[index]),
        }
    }

    fn name(&self, index: usize) -> String {
        self.root.join(self.names.get(index)).display().to_string()
    }

    fn file(&self, index: usize) -> Option<(String, u64)> {
        let name = self.names.get(index);
        let length = match &self.places {
            // A missing file is reported when it is read.
            Places::Files => std::fs::metadata(self.root.join(name)).map_or(0, |file| file.len()),
            Places::Archives { places, .. } => places[index].2.into(),
        };
        Some((name.to_string(), length))
    }

    fn identity(&self, digest: &mut dyn FnMut(&[u8])) {
        for index in 0..self.len() {
            let Some((name, length)) = self.file(index) else { continue };
            match &self.label_lists {
                Some(lists) => lists.identity(index, digest),
                None => digest(&self.labels[index].to_le_bytes()),
            }
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

    fn encoded(&self, index: usize, bytes: &mut Vec<u8>) -> Result<bool, Error> {
        match &self.places {
            Places::Files => read_file(&self.root.join(self.names.get(index)), bytes)?,
            Places::Archives { archives, places } => {
                let (archive, offset, length) = places[index];
                bytes.resize(length as usize, 0);
                archives.read(archive, offset, bytes).map_err(|source| Error::Unreadable {
                    file: self.name(index).into(),
                    source,
                })?;
            }
        }
        Ok(true)
    }

    fn image<'a>(&'a self, index: usize, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
        let mut bytes = std::mem::take(&mut room.bytes);
        let read = self.encoded(index, &mut bytes);
        let size = read.and_then(|_| {
            decode(&bytes, room)
                .map(|image| [image.height, image.width])
                .map_err(|error| error.of(self.name(index)))
        });
        room.bytes = bytes;
        Ok(room.image(size?))
    }
}
