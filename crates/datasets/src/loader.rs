//! From a set to an epoch of batches.

mod epoch;
mod lanes;
mod share;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tch::Tensor;

use self::epoch::Epoch;
pub use self::share::Share;
use crate::prefetch::Prefetch;
use crate::source::{Decoded, Source};
use crate::transform::Transform;
use crate::{Augmentation, Error, Fit, Mixed, Normalization};

/// What a [`Loader`] does with its images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderConfig {
    /// Images in a batch, of all ranks together.
    pub batch_size: usize,
    /// What of each batch is loaded.
    pub share: Share,
    /// In which order an epoch goes through the set.
    pub order: Order,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Random changes to every image.
    pub augmentation: Augmentation,
    /// From bytes to the numbers a network sees.
    pub normalization: Normalization,
    /// What becomes of a last batch that is not full.
    pub last_batch: LastBatch,
    /// How images of any size come to one; `None` for a set of images of one size, which they keep.
    pub fit: Option<Fit>,
    /// What becomes of an image that cannot be read.
    pub broken: Broken,
    /// Batches made ready in threads of their own while the consumer is busy; with 0 each is made
    /// when it is asked for. The batches are the same.
    pub prefetch: usize,
    /// Those threads; each makes whole batches in turn. The batches are the same.
    pub workers: usize,
}

/// What becomes of an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Broken {
    /// The epoch ends with an error that names it.
    #[default]
    Refuse,
    /// Its batch is yielded without it and names it.
    LeaveOut,
}

/// An image that could not be read.
#[derive(Debug)]
pub struct BrokenImage {
    /// Which image of the set.
    pub index: u32,
    /// Why.
    pub error: Error,
}

/// In which order an epoch goes through the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As the set has it.
    Sequential,
    /// By the epoch's permutation ([`permutation`](crate::random::permutation)).
    Shuffled,
    /// Shuffled such that a place in the batches goes through one file after the other
    /// ([`Source::stretches`]): files in random order, the images of each in random order, and each place of a batch
    /// with its own part of them all.
    ///
    /// So a rank, which has some of the places, reads in an epoch its part of the files, and a batch has images from
    /// all over the set. It depends on the batch size, and not on the number of ranks.
    ShuffledByFile,
}

/// What becomes of a last batch that is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastBatch {
    /// It is yielded, smaller than the others.
    #[default]
    Keep,
    /// Its images are left out of the epoch.
    Drop,
}

/// Some images, ready for a network, on the CPU.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 3, height, width]`, float32, normalised, with channels-last strides.
    pub images: Tensor,
    /// `[n]`, int64.
    pub labels: Tensor,
    /// What other images are in these, if any are.
    pub mixed: Option<Mixed>,
    /// Which images of the set these are.
    pub indices: Vec<u32>,
    /// How many images the batch should have, of all ranks together.
    pub in_all: usize,
    /// Those that should be here and could not be read.
    pub left_out: Vec<BrokenImage>,
}

/// Yields the batches of an epoch.
///
/// Order and augmentation depend on the seed, the epoch and an image's index in the set alone: not
/// on the batch size, on `prefetch`, on the number of ranks, or on what was loaded before. Only how images are mixed
/// ([`Mix`](crate::Mix)) depends on the share of the batch that they are in.
pub struct Loader {
    images: Arc<dyn Source>,
    /// Height and width of its images.
    size: [usize; 2],
    transform: Arc<Transform>,
    config: LoaderConfig,
}

impl Loader {
    /// A loader over `images`.
    ///
    /// # Errors
    ///
    /// When an epoch would have no batch, or none for some rank, or when an option does not suit the images.
    pub fn new(images: Arc<dyn Source>, config: LoaderConfig) -> Result<Self, Error> {
        let LoaderConfig { batch_size, augmentation, normalization, fit, last_batch, .. } = config;
        if batch_size == 0 {
            return Err(Error::EmptyBatch);
        }
        if u32::try_from(images.len()).is_err() {
            return Err(Error::TooManyImages(images.len()));
        }
        let size = match fit {
            Some(fit) => {
                fit.check()?;
                [fit.side; 2]
            }
            None => images.size().ok_or(Error::NoFit)?,
        };
        let transform = Arc::new(Transform::new(augmentation, normalization, fit, size)?);
        let loader = Self { images, size, transform, config };
        if loader.batches_per_epoch() == 0 {
            let images = loader.images.len();
            let dropped = last_batch == LastBatch::Drop;
            return Err(Error::NoBatch { images, batch_size, dropped });
        }
        let Share { rank, world_size } = config.share;
        let smallest = batch_size.min(loader.images.len());
        if rank >= world_size || smallest < world_size {
            return Err(Error::LessThanRanks { images: smallest, rank, world_size });
        }
        Ok(loader)
    }

    /// The set.
    pub fn images(&self) -> &dyn Source {
        &*self.images
    }

    /// Height and width of the images of [`Loader::epoch`].
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// An image as it is ahead of all random changes, in [`Loader::size`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn plain(&self, index: usize) -> Result<Vec<[u8; 3]>, Error> {
        let mut room = Decoded::default();
        let image = self.images.image(index, &mut room)?;
        Ok(match self.config.fit {
            Some(fit) => fit.square(image),
            None => image.pixels.to_vec(),
        })
    }

    /// What it was made with.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// Number of batches in an epoch, the same for every rank.
    pub fn batches_per_epoch(&self) -> usize {
        let LoaderConfig { batch_size, share, last_batch, .. } = self.config;
        match last_batch {
            LastBatch::Keep => share.batches(self.images.len(), batch_size),
            LastBatch::Drop => self.images.len() / batch_size,
        }
    }

    /// Number of images that an epoch yields, to all ranks together.
    pub fn images_per_epoch(&self) -> usize {
        match self.config.last_batch {
            LastBatch::Keep => self.images.len(),
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

    /// The batches of [`Loader::epoch_from`] in another size: images are brought to `side` by `side`
    /// pixels after all random changes (bilinear, antialiased) and mixed in that size. For progressive
    /// resizing (Howard 2018; Tan and Le 2021).
    ///
    /// # Panics
    ///
    /// When `side` is 0; with prefetching, when the system has no thread left to give.
    pub fn epoch_at(&self, epoch: u64, first_batch: usize, side: usize) -> Batches {
        assert!(side > 0, "images of side 0 were asked for; take 1 or more");
        let own = self.size == [side; 2];
        self.start(epoch, first_batch, (!own).then_some(side))
    }

    fn start(&self, epoch: u64, first_batch: usize, side: Option<usize>) -> Batches {
        let batches = first_batch.min(self.batches_per_epoch())..self.batches_per_epoch();
        let remaining = batches.len();
        let LoaderConfig { prefetch, workers, .. } = self.config;
        if prefetch == 0 {
            let epoch = Epoch::new(self, epoch, batches.step_by(1), side);
            return Batches { makers: vec![Box::new(epoch)], next: 0, remaining };
        }
        let workers = workers.clamp(1, prefetch).min(remaining.max(1));
        let maker = |worker: usize| -> Maker {
            let own = (batches.start + worker)..batches.end;
            let epoch = Epoch::new(self, epoch, own.step_by(workers), side);
            // The channel reserves its room at once.
            Box::new(Prefetch::new(prefetch.min(remaining).div_ceil(workers), epoch))
        };
        Batches { makers: (0..workers).map(maker).collect(), next: 0, remaining }
    }
}

type Maker = Box<dyn Iterator<Item = Result<Batch, Error>> + Send>;

/// The batches of one epoch, in order.
pub struct Batches {
    /// Each makes every how many-th batch.
    makers: Vec<Maker>,
    /// Whose turn it is.
    next: usize,
    remaining: usize,
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Result<Batch, Error>> {
        let batch = self.makers[self.next].next()?;
        self.next = (self.next + 1) % self.makers.len();
        self.remaining -= 1;
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Batches {}
