//! Sets that lie in memory: CIFAR, and the shapes that this program draws.

use std::path::PathBuf;
use std::sync::Arc;

use datasets::{Cifar, Source, Split, synthetic};

use crate::data::{Data, Error};

/// Images of the synthetic training and test set: enough to learn from in about two minutes.
const SYNTHETIC: (usize, usize) = (10_000, 2_000);
/// Images of the synthetic set of several labels: 420 of the rarest class to train on, 4,647 of the commonest.
const SYNTHETIC_MULTI: (usize, usize) = (8_000, 2_000);
/// The side of its images, in pixels.
const SYNTHETIC_MULTI_SIDE: usize = 64;
/// The seed of the synthetic sets, which are the same for all runs.
const SYNTHETIC_SEED: u64 = 0;

impl Data {
    /// A CIFAR set in `folder`.
    pub(super) fn cifar(set: Cifar, folder: PathBuf) -> Result<Self, Error> {
        Ok(Self {
            name: set.name().to_string(),
            kind: set.name(),
            train: Arc::new(set.load(&folder, Split::Train)?),
            validation: None,
            test: Arc::new(set.load(&folder, Split::Test)?),
            origin: folder.display().to_string(),
            held: false,
            skipped: Vec::new(),
            stands_in: false,
        })
    }

    /// The drawn shapes, one an image. They may stand in for a set that was not found.
    pub(super) fn synthetic(stands_in: bool) -> Result<Self, Error> {
        let draw = |split, count| -> Result<Arc<dyn Source>, datasets::Error> {
            let side = datasets::cifar::SIDE;
            Ok(Arc::new(synthetic::images(split, count, side, SYNTHETIC_SEED)?))
        };
        let (train, test) = SYNTHETIC;
        let [train, test] = [draw(Split::Train, train)?, draw(Split::Test, test)?];
        Ok(Self { stands_in, ..Self::drawn("synthetic", train, test) })
    }

    /// The drawn shapes, several an image.
    pub(super) fn synthetic_multi() -> Result<Self, Error> {
        let draw = |split, count| -> Result<Arc<dyn Source>, datasets::Error> {
            let side = SYNTHETIC_MULTI_SIDE;
            Ok(Arc::new(synthetic::multi_label_images(split, count, side, SYNTHETIC_SEED)?))
        };
        let (train, test) = SYNTHETIC_MULTI;
        let [train, test] = [draw(Split::Train, train)?, draw(Split::Test, test)?];
        Ok(Self::drawn("synthetic-multi", train, test))
    }

    /// A set that this program draws.
    fn drawn(name: &'static str, train: Arc<dyn Source>, test: Arc<dyn Source>) -> Self {
        Self {
            name: name.to_string(),
            kind: name,
            origin: "drawn by this program".to_string(),
            train,
            validation: None,
            test,
            held: false,
            skipped: Vec::new(),
            stands_in: false,
        }
    }
}
