//! Some images of a set.

use std::ops::Range;
use std::sync::Arc;

use super::{Decoded, ImageRef, Source};
use crate::Error;

/// The chosen images of a set, with its classes.
pub struct Selected {
    images: Arc<dyn Source>,
    indices: Vec<u32>,
}

impl Selected {
    /// The images of `images` that `indices` number, in their order.
    ///
    /// # Panics
    /// A number past the last image.
    #[must_use]
    pub fn new(images: Arc<dyn Source>, indices: Vec<u32>) -> Self {
        let last = indices.iter().max();
        assert!(
            last.is_none_or(|&last| (last as usize) < images.len()),
            "expected images below {}, got {last:?}",
            images.len()
        );
        Self { images, indices }
    }

    fn index(&self, index: usize) -> usize {
        self.indices[index] as usize
    }
}

impl Source for Selected {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn size(&self) -> Option<[usize; 2]> {
        self.images.size()
    }

    fn class_names(&self) -> &[String] {
        self.images.class_names()
    }

    fn is_multi_label(&self) -> bool {
        self.images.is_multi_label()
    }

    fn label(&self, index: usize) -> u32 {
        self.images.label(self.index(index))
    }

    fn labels(&self, index: usize, into: &mut Vec<u32>) {
        self.images.labels(self.index(index), into);
    }

    fn name(&self, index: usize) -> String {
        self.images.name(self.index(index))
    }

    fn file(&self, index: usize) -> Option<(String, u64)> {
        self.images.file(self.index(index))
    }

    fn encoded(&self, index: usize, bytes: &mut Vec<u8>) -> Result<bool, Error> {
        self.images.encoded(self.index(index), bytes)
    }

    fn identity(&self, digest: &mut dyn FnMut(&[u8])) {
        self.images.identity(digest);
        self.indices.iter().for_each(|index| digest(&index.to_le_bytes()));
    }

    fn stretches(&self) -> Vec<Range<usize>> {
        if !self.indices.is_sorted() {
            return std::iter::once(0..self.len()).collect();
        }
        let place = |index: usize| self.indices.partition_point(|own| (*own as usize) < index);
        let own = |stretch: Range<usize>| place(stretch.start)..place(stretch.end);
        self.images.stretches().into_iter().map(own).filter(|stretch| !stretch.is_empty()).collect()
    }

    fn image<'a>(&'a self, index: usize, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
        self.images.image(self.index(index), room)
    }
}
