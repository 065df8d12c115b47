//! A set with another numbering of its classes: that of weights trained on more classes, or in another order.

use std::ops::Range;
use std::sync::Arc;

use super::{Decoded, ImageRef, Source};
use crate::Error;
use crate::label_lists::first;

/// The images of a set, each labelled with the place of its class's name in another list of names.
pub struct Renumbered {
    images: Arc<dyn Source>,
    /// The new label for each label of the set.
    labels: Vec<u32>,
    class_names: Vec<String>,
}

impl Renumbered {
    /// Numbers the classes of `images` by their places in `class_names`.
    ///
    /// # Errors
    /// The names of the set's classes that the list lacks.
    pub fn new(images: Arc<dyn Source>, class_names: &[String]) -> Result<Self, Vec<String>> {
        let place = |name: &String| class_names.iter().position(|known| known == name);
        let places: Vec<Option<usize>> = images.class_names().iter().map(place).collect();
        let unknown: Vec<String> = images
            .class_names()
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let labels = places.into_iter().flatten().map(|place| place as u32).collect();
        Ok(Self { images, labels, class_names: class_names.to_vec() })
    }
}

impl Source for Renumbered {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn size(&self) -> Option<[usize; 2]> {
        self.images.size()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn is_multi_label(&self) -> bool {
        self.images.is_multi_label()
    }

    fn label(&self, index: usize) -> u32 {
        if !self.is_multi_label() {
            return self.labels[self.images.label(index) as usize];
        }
        let mut labels = Vec::new();
        self.labels(index, &mut labels);
        first(&labels)
    }

    fn labels(&self, index: usize, into: &mut Vec<u32>) {
        self.images.labels(index, into);
        into.iter_mut().for_each(|label| *label = self.labels[*label as usize]);
        into.sort_unstable();
        into.dedup();
    }

    fn name(&self, index: usize) -> String {
        self.images.name(index)
    }

    fn file(&self, index: usize) -> Option<(String, u64)> {
        self.images.file(index)
    }

    fn encoded(&self, index: usize, bytes: &mut Vec<u8>) -> Result<bool, Error> {
        self.images.encoded(index, bytes)
    }

    fn stretches(&self) -> Vec<Range<usize>> {
        self.images.stretches()
    }

    fn identity(&self, digest: &mut dyn FnMut(&[u8])) {
        self.images.identity(digest);
        self.labels.iter().for_each(|label| digest(&label.to_le_bytes()));
    }

    fn image<'a>(&'a self, index: usize, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
        self.images.image(index, room)
    }
}
