//! Two sets as one.

use std::sync::Arc;

use super::{Decoded, ImageRef, Source};
use crate::Error;

/// The images of one set, then those of another set of the same classes.
pub struct Joined {
    first: Arc<dyn Source>,
    second: Arc<dyn Source>,
}

impl Joined {
    /// Joins two sets.
    ///
    /// # Panics
    /// Sets of different classes.
    #[must_use]
    pub fn new(first: Arc<dyn Source>, second: Arc<dyn Source>) -> Self {
        assert_eq!(
            first.class_names(),
            second.class_names(),
            "expected two sets of the same classes"
        );
        Self { first, second }
    }

    fn part(&self, index: usize) -> (&dyn Source, usize) {
        match index.checked_sub(self.first.len()) {
            None => (&*self.first, index),
            Some(index) => (&*self.second, index),
        }
    }
}

impl Source for Joined {
    fn len(&self) -> usize {
        self.first.len() + self.second.len()
    }

    fn size(&self) -> Option<[usize; 2]> {
        self.first.size().filter(|size| self.second.size() == Some(*size))
    }

    fn class_names(&self) -> &[String] {
        self.first.class_names()
    }

    /// Whether one of the two is such a set. Images of the other then have one label each.
    fn is_multi_label(&self) -> bool {
        self.first.is_multi_label() || self.second.is_multi_label()
    }

    fn label(&self, index: usize) -> u32 {
        let (part, index) = self.part(index);
        part.label(index)
    }

    fn labels(&self, index: usize, into: &mut Vec<u32>) {
        let (part, index) = self.part(index);
        part.labels(index, into);
    }

    fn name(&self, index: usize) -> String {
        let (part, index) = self.part(index);
        part.name(index)
    }

    fn file(&self, index: usize) -> Option<(String, u64)> {
        let (part, index) = self.part(index);
        part.file(index)
    }

    fn encoded(&self, index: usize, bytes: &mut Vec<u8>) -> Result<bool, Error> {
        let (part, index) = self.part(index);
        part.encoded(index, bytes)
    }

    fn identity(&self, digest: &mut dyn FnMut(&[u8])) {
        self.first.identity(digest);
        self.second.identity(digest);
    }

    fn image<'a>(&'a self, index: usize, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
        let (part, index) = self.part(index);
        part.image(index, room)
    }
}
