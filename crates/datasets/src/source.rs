//! Where a loader takes its images from: memory, or files that are decoded when their turn comes.

mod joined;
mod renumbered;
#[cfg(test)]
mod tests;

pub use joined::Joined;
pub use renumbered::Renumbered;

use std::ops::Range;

use crate::{Error, Images};

/// The pixels of one image, `[height, width]` of RGB, row by row.
#[derive(Debug, Clone, Copy)]
pub struct ImageRef<'a> {
    /// Red, green and blue.
    pub pixels: &'a [[u8; 3]],
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

/// Room that decoding an image takes; kept for the next.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// What was in it, red, green and blue one after the other.
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

    /// The label of an image. Panics past the last one.
    fn label(&self, index: usize) -> u32;

    /// What a person knows the image by.
    fn name(&self, index: usize) -> String;

    /// Gives `hear` bytes that other images, labels or an other order would not have: of a set in memory all, of files
    /// their names, lengths and labels.
    fn identity(&self, hear: &mut dyn FnMut(&[u8]));

    /// The images that lie in one file, file by file, in their order: what is best read by one reader.
    fn stretches(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
    }

    /// The pixels of an image. Panics past the last one.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no image.
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

    fn label(&self, index: usize) -> u32 {
        self.labels()[index]
    }

    fn name(&self, index: usize) -> String {
        index.to_string()
    }

    fn identity(&self, hear: &mut dyn FnMut(&[u8])) {
        for (index, label) in self.labels().iter().enumerate() {
            hear(&label.to_le_bytes());
            hear(self.image(index).as_flattened());
        }
    }

    fn image<'a>(&'a self, index: usize, _: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
        let (height, width) = (self.height(), self.width());
        Ok(ImageRef { pixels: self.image(index), height, width })
    }
}
