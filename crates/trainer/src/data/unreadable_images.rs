//! Images that could not be read: a run warns of each once, and lists them in its results.

use std::collections::BTreeMap;

use datasets::{Batch, BrokenImage, Source};
use serde::{Deserialize, Serialize};

use crate::ranks::{self, World};

/// The images of one set that could not be read, by index, with the reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut(BTreeMap<u32, String>);

impl LeftOut {
    /// Adds those of a batch.
    pub(crate) fn add(&mut self, batch: &Batch) {
        for BrokenImage { index, error } in &batch.left_out {
            self.0.entry(*index).or_insert_with(|| in_full(error));
        }
    }

    /// Adds those of a batch, and warns of new ones.
    pub(crate) fn report(&mut self, batch: &Batch) {
        let mut found = Self::default();
        found.add(batch);
        self.report_all(&found);
    }

    /// Adds those of another pass over the set, and warns of new ones.
    pub(crate) fn report_all(&mut self, found: &Self) {
        for (index, reason) in &found.0 {
            if self.0.insert(*index, reason.clone()).is_none() {
                tracing::warn!("left out: {reason}");
            }
        }
    }

    /// The union over all ranks, on each of them.
    pub(crate) fn of_all_ranks(self, world: &World) -> Result<Self, ranks::Error> {
        let lists = world.gather("broken images", self)?;
        Ok(Self(lists.into_iter().flat_map(|list| list.0).collect()))
    }

    /// The number of images.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Their names in the set `images`.
    pub(crate) fn names(&self, images: &dyn Source) -> Vec<String> {
        self.0.keys().map(|&index| images.name(index as usize)).collect()
    }
}

/// Images that could not be read since this process began.
#[derive(Debug, Default)]
pub(crate) struct LeftOutOfRun {
    /// Of the training set.
    pub(crate) train: LeftOut,
    /// Of the validation set.
    pub(crate) validation: LeftOut,
    /// Of the test set.
    pub(crate) test: LeftOut,
}

/// The message of an error, with the system's reason where it has one.
fn in_full(error: &datasets::Error) -> String {
    match std::error::Error::source(error) {
        Some(reason) => format!("{error}: {reason}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use datasets::{Error, Images};
    use tch::Tensor;

    use super::*;

    fn batch(broken: &[u32]) -> Batch {
        let image = |index: &u32| BrokenImage {
            index: *index,
            error: Error::Unreadable {
                file: format!("{index}.png").into(),
                source: std::io::ErrorKind::NotFound.into(),
            },
        };
        Batch {
            images: Tensor::new(),
            rest: None,
            labels: Tensor::new(),
            mixed: None,
            indices: Vec::new(),
            in_all: 0,
            left_out: broken.iter().map(image).collect(),
        }
    }

    #[test]
    fn every_image_is_taken_down_once() {
        let mut left_out = LeftOut::default();
        [[2, 0], [1, 2]].iter().for_each(|broken| left_out.report(&batch(broken)));
        let names = vec!["any".to_string()];
        let images = Images::new(vec![0; 4 * 3], vec![0; 4], 1, 1, names).unwrap();
        assert_eq!(
            (left_out.names(&images), left_out.count()),
            (vec!["0".into(), "1".into(), "2".into()], 3)
        );
        assert_eq!(left_out.0[&2], "cannot read 2.png: entity not found");
    }
}
