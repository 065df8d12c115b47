//! The labels of images that have any number of them, in two allocations: a set of a hundred million images has no vector
//! for each.

/// Labels, by the number of their image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelLists {
    labels: Vec<u32>,
    /// The end of each image's labels.
    ends: Vec<usize>,
}

impl LabelLists {
    /// Adds an image with these labels, in any order.
    pub(crate) fn push(&mut self, labels: &[u32]) {
        let start = self.labels.len();
        self.labels.extend_from_slice(labels);
        self.labels[start..].sort_unstable();
        let mut kept = start;
        for place in start..self.labels.len() {
            if place == start || self.labels[place] != self.labels[kept - 1] {
                self.labels[kept] = self.labels[place];
                kept += 1;
            }
        }
        self.labels.truncate(kept);
        self.ends.push(kept);
    }

    /// The labels of an image, in ascending order, each once. Panics past the last image.
    pub(crate) fn get(&self, index: usize) -> &[u32] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.labels[start..self.ends[index]]
    }

    /// The first label of every image, 0 where it has none.
    pub(crate) fn firsts(&self) -> Vec<u32> {
        (0..self.ends.len()).map(|index| first(self.get(index))).collect()
    }

    /// Passes all labels to `digest`, so that no two lists of labels give the same bytes.
    pub(crate) fn identity(&self, index: usize, digest: &mut dyn FnMut(&[u8])) {
        let labels = self.get(index);
        digest(&(labels.len() as u64).to_le_bytes());
        labels.iter().for_each(|label| digest(&label.to_le_bytes()));
    }
}

/// The label that stands for all labels of an image.
pub(crate) fn first(labels: &[u32]) -> u32 {
    labels.first().copied().unwrap_or(0)
}

impl<'a> FromIterator<&'a [u32]> for LabelLists {
    fn from_iter<I: IntoIterator<Item = &'a [u32]>>(images: I) -> Self {
        let mut all = Self::default();
        images.into_iter().for_each(|labels| all.push(labels));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_each_is_there_once() {
        let lists: LabelLists = [&[3, 1, 3, 2, 1][..], &[], &[1], &[2, 1]].into_iter().collect();
        let all: Vec<&[u32]> = (0..4).map(|index| lists.get(index)).collect();
        assert_eq!(all, [&[1, 2, 3][..], &[], &[1], &[1, 2]]);
        assert_eq!(lists.firsts(), [1, 0, 1, 1]);
    }

    #[test]
    fn lists_that_follow_each_other_are_told_apart() {
        let bytes = |images: [&[u32]; 2]| {
            let lists: LabelLists = images.into_iter().collect();
            let mut bytes: Vec<u8> = Vec::new();
            (0..2).for_each(|index| lists.identity(index, &mut |part| bytes.extend(part)));
            bytes
        };
        assert_ne!(bytes([&[1, 2], &[]]), bytes([&[1], &[2]]));
        assert_ne!(bytes([&[0], &[]]), bytes([&[], &[0]]));
    }
}
