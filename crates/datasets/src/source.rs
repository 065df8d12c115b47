//! The images of a loader: in memory, or in files that are decoded when they are needed.

mod joined;
mod renumbered;
mod selected;
#[cfg(test)]
mod tests;

pub use joined::Joined;
pub use renumbered::Renumbered;
pub use selected::Selected;

use std::ops::Range;

use crate::{Error, Images};

/// The pixels of one image, `[height, width]` of RGB, row by row.
#[derive(Debug, Clone, Copy)]
pub struct ImageRef<'a> {
    /// Red, green and blue.
    pub pixels: &'a [[u8; 3]],
    /// Rows, in pixels.
    pub height: usize,
    /// Columns, in pixels.
    pub width: usize,
}

/// The buffers that decoding an image fills, reused for the next image.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The bytes of the file.
    pub(crate) bytes: Vec<u8>,
    /// The decoded pixels: red, green and blue of each in turn.
    pub(crate) pixels: Vec<u8>,
}

/// A set of labelled images.
pub trait Source: Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there is no image.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height and width of every image in pixels; `None` where they differ.
    fn size(&self) -> Option<[usize; 2]>;

    /// Names of the classes; a label is an index into them.
    fn class_names(&self) -> &[String];

    /// Whether an image may have several labels, or none, as in the paper's JFT.
    fn is_multi_label(&self) -> bool {
        false
    }

    /// The label of an image. Of a multi-label set it stands for all labels of the image, and is the first of them or 0
    /// where it has none; [`Source::labels`] has them.
    ///
    /// # Panics
    /// Past the last image.
    fn label(&self, index: usize) -> u32;

    /// Fills `into`, in place of its content, with the labels of an image in ascending order, each once. There is one,
    /// but for a multi-label set, which may have none for an image of no class.
    ///
    /// # Panics
    /// Past the last image.
    fn labels(&self, index: usize, into: &mut Vec<u32>) {
        into.clear();
        into.push(self.label(index));
    }

    /// Images of each class, in the order of [`Source::class_names`]. An image counts for each of its labels.
    fn images_by_class(&self) -> Vec<u64> {
        let mut counts = vec![0; self.class_names().len()];
        let mut labels = Vec::new();
        for index in 0..self.len() {
            self.labels(index, &mut labels);
            labels.iter().for_each(|&label| counts[label as usize] += 1);
        }
        counts
    }

    /// The name of the image in messages: its file, or its number.
    ///
    /// # Panics
    /// Past the last image.
    fn name(&self, index: usize) -> String;

    /// The file of the image: its name relative to the set, and its length in bytes, 0 where that cannot be found out.
    /// `None` for images in memory.
    ///
    /// # Panics
    /// Past the last image.
    fn file(&self, _index: usize) -> Option<(String, u64)> {
        None
    }

    /// Fills `bytes` with the image as its file has it, and returns whether it has one.
    ///
    /// # Errors
    /// A file that cannot be read, or is larger than 256 MiB.
    ///
    /// # Panics
    /// Past the last image.
    fn encoded(&self, _index: usize, _bytes: &mut Vec<u8>) -> Result<bool, Error> {
        Ok(false)
    }

    /// Passes the bytes that identify the set to `digest`, such as a hash: of images in memory all pixels and labels,
    /// of files their names, lengths and labels. Another order of the images gives other bytes.
    fn identity(&self, digest: &mut dyn FnMut(&[u8]));

    /// The ranges of images that lie in one file each, in the order of the set. One reader reads a range best.
    fn stretches(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
    }

    /// The set itself, where all its pixels are in memory.
    fn in_memory(&self) -> Option<&Images> {
        None
    }

    /// The pixels of an image, in `room` if they had to be decoded.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no image.
    ///
    /// # Panics
    /// Past the last image.
    fn image<'a>(&'a self, index: usize, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error>;
}

impl Source for Images {
    fn len(&self) -> usize {
        self.len()
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some([self.height(), self.width()])
    }

    fn class_names(&self) -> &[String] {
        self.class_names()
    }

    fn is_multi_label(&self) -> bool {
        self.label_lists().is_some()
    }

    fn label(&self, index: usize) -> u32 {
        self.labels()[index]
    }

    fn labels(&self, index: usize, into: &mut Vec<u32>) {
        into.clear();
        match self.label_lists() {
            Some(lists) => into.extend_from_slice(lists.get(index)),
            None => into.push(self.labels()[index]),
        }
    }

    fn name(&self, index: usize) -> String {
        index.to_string()
    }

    fn in_memory(&self) -> Option<&Images> {
        Some(self)
    }

    fn identity(&self, digest: &mut dyn FnMut(&[u8])) {
        for (index, label) in self.labels().iter().enumerate() {
            match self.label_lists() {
                Some(lists) => lists.identity(index, digest),
                None => digest(&label.to_le_bytes()),
            }
            digest(self.image(index).as_flattened());
        }
    }

    fn image<'a>(&'a self, index: usize, _: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
        let (height, width) = (self.height(), self.width());
        Ok(ImageRef { pixels: self.image(index), height, width })
    }
}
