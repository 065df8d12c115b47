//! The work of an epoch, in whichever thread it is done.

use std::ops::Range;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::{Batch, Loader, LoaderConfig, Order};
use crate::Pictures;
use crate::augment::{Mixed, Resize};
use crate::random::{Counter, Purpose, permutation, stream};
use crate::transform::{Room, Transform};

/// Makes the batches of one epoch, one after the other.
pub(super) struct Epoch {
    pictures: Arc<Pictures>,
    transform: Arc<Transform>,
    config: LoaderConfig,
    epoch: u64,
    /// Which pictures, in the order of the epoch.
    order: Vec<u32>,
    /// Numbers of the batches that are still to be made.
    batches: Range<usize>,
    /// To the size of this epoch, if it has one of its own.
    resize: Option<Resized>,
    /// `[n, height, width]` of RGB; kept from batch to batch to save its allocation.
    pixels: Vec<[f32; 3]>,
    room: Room,
}

/// Bringing pictures to another size.
struct Resized {
    side: usize,
    resize: Resize<[f32; 3]>,
    /// A picture in the set's size, and half way.
    picture: Vec<[f32; 3]>,
    between: Vec<[f32; 3]>,
}

impl Resized {
    fn new(pictures: &Pictures, side: usize) -> Self {
        let (height, width) = (pictures.height(), pictures.width());
        Self {
            side,
            resize: Resize::new([height, width], [side; 2]),
            picture: vec![[0.; 3]; height * width],
            between: Vec::new(),
        }
    }
}

impl Epoch {
    pub(super) fn new(
        loader: &Loader,
        epoch: u64,
        batches: Range<usize>,
        side: Option<usize>,
    ) -> Self {
        let Loader { pictures, transform, config } = loader;
        // `Pictures` holds no more than 32 bits can count.
        let count = pictures.len() as u32;
        let order = match config.order {
            Order::Sequential => (0..count).collect(),
            Order::Shuffled => permutation(count, config.seed, epoch),
        };
        Self {
            pictures: Arc::clone(pictures),
            transform: Arc::clone(transform),
            config: *config,
            epoch,
            order,
            batches,
            resize: side.map(|side| Resized::new(pictures, side)),
            pixels: Vec::new(),
            room: Room::default(),
        }
    }
}

impl Iterator for Epoch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let number = self.batches.next()?;
        let start = number * self.config.batch_size;
        let end = self.order.len().min(start + self.config.batch_size);
        let indices = self.order[start..end].to_vec();

        let [height, width] = match &self.resize {
            Some(Resized { side, .. }) => [*side; 2],
            None => [self.pictures.height(), self.pictures.width()],
        };
        self.pixels.resize(indices.len() * height * width, [0.; 3]);
        let LoaderConfig { seed, augmentation, .. } = self.config;
        for (&index, image) in indices.iter().zip(self.pixels.chunks_exact_mut(height * width)) {
            let counter = Counter { seed, epoch: self.epoch, index: u64::from(index) };
            let picture = self.pictures.picture(index as usize);
            match &mut self.resize {
                Some(Resized { resize, picture: whole, between, .. }) => {
                    self.transform.apply(counter, picture, whole, &mut self.room);
                    resize.apply(whole, self.pictures.width(), between, image);
                }
                None => self.transform.apply(counter, picture, image, &mut self.room),
            }
        }
        let weight = augmentation.mix.map(|mix| {
            let mut rng = stream(seed, Purpose::Mix, self.epoch, number as u64);
            mix.apply(&mut rng, &mut self.pixels, [height, width])
        });
        let images = tensor(self.pixels.as_flattened())
            .view([indices.len() as i64, height as i64, width as i64, 3])
            .permute([0, 3, 1, 2]);

        let label = |&index: &u32| i64::from(self.pictures.labels()[index as usize]);
        let labels: Vec<_> = indices.iter().map(label).collect();
        let mixed = weight.map(|weight| {
            let partners: Vec<_> = labels.iter().rev().copied().collect();
            Mixed { partner_labels: Tensor::from_slice(&partners), weight }
        });
        Some(Batch { images, labels: Tensor::from_slice(&labels), mixed, indices })
    }
}

/// What libtorch handles in the calling thread: one element fewer than `at::internal::GRAIN_SIZE`.
const ONE_THREAD: usize = 32_767;

/// `values` as a tensor. Piece by piece, for libtorch spreads a larger one over OpenMP threads: here
/// that would be a pool of the loader's own, which fights for the cores with the network's.
fn tensor(values: &[f32]) -> Tensor {
    let tensor = Tensor::empty([values.len() as i64], (Kind::Float, Device::Cpu));
    let pieces = tensor.split(ONE_THREAD as i64, 0);
    for (mut piece, values) in pieces.into_iter().zip(values.chunks(ONE_THREAD)) {
        piece.copy_(&Tensor::from_slice(values));
    }
    tensor
}
