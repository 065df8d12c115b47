//! From a set in memory to an epoch of batches.

mod epoch;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tch::Tensor;

use self::epoch::Epoch;
use crate::prefetch::Prefetch;
use crate::transform::Transform;
use crate::{Augmentation, Error, Mixed, Normalization, Pictures};

/// What a [`Loader`] does with its pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderConfig {
    /// Pictures in a batch.
    pub batch_size: usize,
    /// In which order an epoch goes through the set.
    pub order: Order,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Random changes to every picture.
    pub augmentation: Augmentation,
    /// From bytes to the numbers a network sees.
    pub normalization: Normalization,
    /// What becomes of a last batch that is not full.
    pub last_batch: LastBatch,
    /// Batches made ready in a thread of their own while the consumer is busy; with 0 each is made
    /// when it is asked for. The batches are the same.
    pub prefetch: usize,
}

/// In which order an epoch goes through the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As the set has it.
    Sequential,
    /// By the epoch's permutation ([`permutation`](crate::random::permutation)).
    Shuffled,
}

/// What becomes of a last batch that is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastBatch {
    /// It is yielded, smaller than the others.
    #[default]
    Keep,
    /// Its pictures are left out of the epoch.
    Drop,
}

/// Some pictures, ready for a network, on the CPU.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 3, height, width]`, float32, normalised, with channels-last strides.
    pub images: Tensor,
    /// `[n]`, int64.
    pub labels: Tensor,
    /// What other pictures are in these, if any are.
    pub mixed: Option<Mixed>,
    /// Which pictures of the set these are.
    pub indices: Vec<u32>,
}

/// Yields the batches of an epoch.
///
/// Order and augmentation depend on the seed, the epoch and a picture's index in the set alone: not
/// on the batch size, on `prefetch`, or on what was loaded before. Only how pictures are mixed
/// ([`Mix`](crate::Mix)) depends on the batch that they are in.
pub struct Loader {
    pictures: Arc<Pictures>,
    transform: Arc<Transform>,
    config: LoaderConfig,
}

impl Loader {
    /// A loader over `pictures`.
    ///
    /// # Errors
    ///
    /// When an epoch would have no batch, or when an option does not suit the pictures.
    pub fn new(pictures: Arc<Pictures>, config: LoaderConfig) -> Result<Self, Error> {
        let LoaderConfig { batch_size, augmentation, normalization, last_batch, .. } = config;
        if batch_size == 0 {
            return Err(Error::EmptyBatch);
        }
        let (height, width) = (pictures.height(), pictures.width());
        let transform = Arc::new(Transform::new(augmentation, normalization, height, width)?);
        let loader = Self { pictures, transform, config };
        if loader.batches_per_epoch() == 0 {
            let pictures = loader.pictures.len();
            let dropped = last_batch == LastBatch::Drop;
            return Err(Error::NoBatch { pictures, batch_size, dropped });
        }
        Ok(loader)
    }

    /// The set.
    pub fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// What it was made with.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// Number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        match self.config.last_batch {
            LastBatch::Keep => self.pictures.len().div_ceil(self.config.batch_size),
            LastBatch::Drop => self.pictures.len() / self.config.batch_size,
        }
    }

    /// Number of pictures that an epoch yields.
    pub fn pictures_per_epoch(&self) -> usize {
        match self.config.last_batch {
            LastBatch::Keep => self.pictures.len(),
            LastBatch::Drop => self.batches_per_epoch() * self.config.batch_size,
        }
    }

    /// The batches of epoch `epoch`, counted from 0.
    pub fn epoch(&self, epoch: u64) -> Batches {
        self.epoch_from(epoch, 0)
    }

    /// The batches of epoch `epoch` from number `first_batch` on, as [`Loader::epoch`] would yield
    /// them; none when the epoch has no more than `first_batch`.
    ///
    /// # Panics
    ///
    /// With prefetching, when the system has no thread left to give.
    pub fn epoch_from(&self, epoch: u64, first_batch: usize) -> Batches {
        self.start(epoch, first_batch, None)
    }

    /// The batches of [`Loader::epoch_from`] in another size: pictures are brought to `side` by `side`
    /// pixels after all random changes (bilinear, antialiased) and mixed in that size. For progressive
    /// resizing (Howard 2018; Tan and Le 2021).
    ///
    /// # Panics
    ///
    /// When `side` is 0; with prefetching, when the system has no thread left to give.
    pub fn epoch_at(&self, epoch: u64, first_batch: usize, side: usize) -> Batches {
        assert!(side > 0, "pictures of side 0 were asked for; take 1 or more");
        let own = [self.pictures.height(), self.pictures.width()] == [side; 2];
        self.start(epoch, first_batch, (!own).then_some(side))
    }

    fn start(&self, epoch: u64, first_batch: usize, side: Option<usize>) -> Batches {
        let batches = first_batch.min(self.batches_per_epoch())..self.batches_per_epoch();
        let remaining = batches.len();
        let epoch = Epoch::new(self, epoch, batches, side);
        let batches: Box<dyn Iterator<Item = Batch> + Send> = match self.config.prefetch {
            0 => Box::new(epoch),
            // The channel reserves its room at once.
            ahead => Box::new(Prefetch::new(ahead.min(remaining), epoch)),
        };
        Batches { batches, remaining }
    }
}

/// The batches of one epoch, in order.
pub struct Batches {
    batches: Box<dyn Iterator<Item = Batch> + Send>,
    remaining: usize,
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch = self.batches.next()?;
        self.remaining -= 1;
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Batches {}
