//! Batches of a set, epoch by epoch.

mod by_class;
mod contents;
mod epoch;
mod finish;
mod lanes;
mod share;
mod targets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tch::{Device, Tensor};

pub use self::by_class::ClassShare;
use self::contents::Form;
use self::epoch::Epoch;
use self::finish::Finisher;
pub use self::finish::Rest;
pub use self::share::Share;
use crate::prefetch::Prefetch;
use crate::source::{Decoded, Source};
use crate::transform::Transform;
use crate::{Augmentation, Error, Fit, Mixed, Normalization};

/// Options of a [`Loader`]. There is no default: a recipe states every one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderConfig {
    /// Images in a batch, over all ranks.
    pub batch_size: usize,
    /// The part of each batch that this rank loads.
    pub share: Share,
    /// The order of the images in an epoch.
    pub order: Order,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Random changes to every image.
    pub augmentation: Augmentation,
    /// From bytes to the numbers that a network reads.
    pub normalization: Normalization,
    /// The treatment of a last batch that is not full.
    pub last_batch: LastBatch,
    /// Brings images of any size to one; `None` for a set whose images have one size, which they keep.
    pub fit: Option<Fit>,
    /// The treatment of an image that cannot be read.
    pub broken: Broken,
    /// Batches that are prepared in other threads while the consumer is busy; with 0 each is made on demand, in the
    /// consumer's thread. The batches are the same.
    pub prefetch: usize,
    /// Number of those threads; each makes whole batches in turn. The batches are the same.
    pub workers: usize,
}

/// The treatment of an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Broken {
    /// The epoch ends with an error that names it.
    #[default]
    Refuse,
    /// Its batch is yielded without it, and lists it in [`Batch::left_out`].
    LeaveOut,
}

/// An image that could not be read.
#[derive(Debug)]
pub struct BrokenImage {
    /// Its number in the set.
    pub index: u32,
    /// The reason.
    pub error: Error,
}

/// The order of the images in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The order of the set.
    Sequential,
    /// A permutation for each epoch ([`permutation`](crate::random::permutation)).
    Shuffled,
    /// Shuffled so that each place of a batch reads one file after the other ([`Source::stretches`]): the files are in
    /// random order, the images of each file are in random order, and each place of a batch has its own part of them.
    ///
    /// A rank, which has some of the places, then reads only its part of the files in an epoch, and a batch still has
    /// images from the whole set. The order depends on the batch size, but not on the number of ranks.
    ShuffledByFile,
    /// Shuffled so that each class has its share of the epoch: images of rare classes are repeated, each time with other
    /// random changes, and of common ones some wait for a later epoch. An epoch has as many images as the set. A multi-label
    /// set is refused: its classes cannot be repeated one by one.
    Balanced(ClassShare),
}

/// The treatment of a last batch that is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastBatch {
    /// It is yielded, smaller than the other batches.
    #[default]
    Keep,
    /// The epoch ends before it.
    Drop,
}

/// The images of a batch on the CPU, ready for a network unless [`Batch::rest`] says otherwise.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 3, height, width]`, float32, normalised, with channels-last strides. With [`Batch::rest`], what
    /// [`Batch::images_by`] makes these from.
    pub images: Tensor,
    /// The last operations on the images, where the network's device does them.
    pub rest: Option<Rest>,
    /// The classes of the images: `[n]`, int64, counted from 0. Of a multi-label set ([`Source::is_multi_label`])
    /// `[n, classes]`, float32: 1 for each class that the image is of, 0 for the others.
    pub labels: Tensor,
    /// The images that are mixed into these, if any. Their labels have the form of `labels`.
    pub mixed: Option<Mixed>,
    /// The numbers of the images in the set.
    pub indices: Vec<u32>,
    /// Number of images that the batch should have, over all ranks.
    pub in_all: usize,
    /// The images of this rank that could not be read.
    pub left_out: Vec<BrokenImage>,
}

/// Yields the batches of an epoch.
///
/// Order and augmentation depend only on the seed, the epoch and an image's number in the set: not on the batch size,
/// `prefetch`, the number of ranks, or the batches loaded before. Only mixing ([`Mix`](crate::Mix)) depends on the
/// share of the batch that an image is in.
pub struct Loader {
    images: Arc<dyn Source>,
    /// Height and width of its images.
    size: [usize; 2],
    transform: Arc<Transform>,
    config: LoaderConfig,
    /// Finishes batches on the network's device.
    finisher: Option<Finisher>,
}

impl Loader {
    /// A loader of `images`.
    ///
    /// # Errors
    /// An epoch without a batch, a batch without an image for some rank, or an option that does not suit the images.
    pub fn new(images: Arc<dyn Source>, config: LoaderConfig) -> Result<Self, Error> {
        let LoaderConfig { batch_size, augmentation, normalization, fit, last_batch, .. } = config;
        if batch_size == 0 {
            return Err(Error::EmptyBatch);
        }
        if u32::try_from(images.len()).is_err() {
            return Err(Error::TooManyImages(images.len()));
        }
        if matches!(config.order, Order::Balanced(_)) && images.is_multi_label() {
            return Err(Error::BalancedSeveral);
        }
        let size = match fit {
            Some(fit) => {
                fit.check()?;
                [fit.side; 2]
            }
            None => images.size().ok_or(Error::NoFit)?,
        };
        let transform = Arc::new(Transform::new(augmentation, normalization, fit, size)?);
        let loader = Self { images, size, transform, config, finisher: None };
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

    /// The same batches, to the bit, whose last operations [`Batch::images_by`] does on `device`, the network's: bytes travel
    /// there, a quarter of the normalised numbers. A set in memory of less than 2 GiB is copied there now, if the device
    /// has room, and batches are then places in it.
    ///
    /// Batches that are mixed, filled with noise or resized ([`Loader::epoch_at`]) are ready as before.
    #[must_use]
    pub fn finished_on(self, device: Device) -> Self {
        let with_set = self.transform.ends_on_bytes() && self.transform.only_moves();
        let normalization = &self.config.normalization;
        let finisher = Finisher::new(&*self.images, normalization, device, with_set);
        Self { finisher: Some(finisher), ..self }
    }

    /// The form of the batches of an epoch in the images' own size.
    fn form(&self) -> Form {
        match &self.finisher {
            Some(_) if !self.transform.ends_on_bytes() => Form::Normalized,
            Some(finisher) if finisher.has_set() => Form::Places,
            Some(_) => Form::Bytes,
            None => Form::Normalized,
        }
    }

    /// The set.
    #[must_use]
    pub fn images(&self) -> &dyn Source {
        &*self.images
    }

    /// Height and width of the images of [`Loader::epoch`], in pixels.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// An image before all random changes, `[height, width]` of RGB in [`Loader::size`].
    ///
    /// # Errors
    /// An image that cannot be read.
    ///
    /// # Panics
    /// Past the last image.
    pub fn plain(&self, index: usize) -> Result<Vec<[u8; 3]>, Error> {
        let mut room = Decoded::default();
        let image = self.images.image(index, &mut room)?;
        Ok(match self.config.fit {
            Some(fit) => fit.square(image),
            None => image.pixels.to_vec(),
        })
    }

    /// The options that the loader was made with.
    #[must_use]
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// Number of batches in an epoch, the same for every rank.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        let LoaderConfig { batch_size, share, last_batch, .. } = self.config;
        match last_batch {
            LastBatch::Keep => share.batches(self.images.len(), batch_size),
            LastBatch::Drop => self.images.len() / batch_size,
        }
    }

    /// Number of images in an epoch, over all ranks.
    #[must_use]
    pub fn images_per_epoch(&self) -> usize {
        match self.config.last_batch {
            LastBatch::Keep => self.images.len(),
            LastBatch::Drop => self.batches_per_epoch() * self.config.batch_size,
        }
    }

    /// The batches of epoch `epoch`, counted from 0.
    ///
    /// # Panics
    /// As [`Loader::epoch_from`].
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Batches {
        self.epoch_from(epoch, 0)
    }

    /// The batches that [`Loader::epoch`] yields, starting at number `first_batch`; none where the epoch has no more
    /// than `first_batch`.
    ///
    /// # Panics
    /// With prefetching, where the system has no thread left.
    #[must_use]
    pub fn epoch_from(&self, epoch: u64, first_batch: usize) -> Batches {
        self.start(epoch, first_batch, None)
    }

    /// The batches of [`Loader::epoch_from`] in another size, for progressive resizing (Howard 2018; Tan and Le 2021).
    /// Images are resized to `side` by `side` pixels after all random changes (bilinear, antialiased), then mixed.
    ///
    /// # Panics
    /// A `side` of 0; with prefetching, where the system has no thread left.
    #[must_use]
    pub fn epoch_at(&self, epoch: u64, first_batch: usize, side: usize) -> Batches {
        assert!(side > 0, "expected images of a side of at least 1 pixel, got 0");
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
            // The channel allocates its capacity at once.
            Box::new(Prefetch::new(prefetch.min(remaining).div_ceil(workers), epoch))
        };
        Batches { makers: (0..workers).map(maker).collect(), next: 0, remaining }
    }
}

type Maker = Box<dyn Iterator<Item = Result<Batch, Error>> + Send>;

/// The batches of one epoch, in order.
pub struct Batches {
    /// Maker i of n makes the batches i, i + n, i + 2n, …
    makers: Vec<Maker>,
    /// The maker of the next batch.
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
