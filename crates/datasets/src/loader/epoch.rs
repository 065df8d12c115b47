//! The work of an epoch, in whichever thread it is done.

use std::ops::Range;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::{Batch, Loader, LoaderConfig, Order};
use crate::Pictures;
use crate::random::{Purpose, permutation, stream};
use crate::transform::Transform;

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
    /// `[n, height, width, 3]`; kept from batch to batch to save its allocation.
    pixels: Vec<f32>,
}

impl Epoch {
    pub(super) fn new(loader: &Loader, epoch: u64, batches: Range<usize>) -> Self {
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
            pixels: Vec::new(),
        }
    }
}

impl Iterator for Epoch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let start = self.batches.next()? * self.config.batch_size;
        let end = self.order.len().min(start + self.config.batch_size);
        let indices = self.order[start..end].to_vec();

        let (height, width) = (self.pictures.height(), self.pictures.width());
        self.pixels.resize(indices.len() * height * width * 3, 0.);
        let (pixels, _) = self.pixels.as_chunks_mut::<3>();
        for (&index, image) in indices.iter().zip(pixels.chunks_exact_mut(height * width)) {
            let mut rng = stream(self.config.seed, Purpose::Augment, self.epoch, u64::from(index));
            self.transform.apply(&mut rng, self.pictures.picture(index as usize), image);
        }
        let images = tensor(&self.pixels)
            .view([indices.len() as i64, height as i64, width as i64, 3])
            .permute([0, 3, 1, 2]);

        let label = |&index: &u32| i64::from(self.pictures.labels()[index as usize]);
        let labels: Vec<_> = indices.iter().map(label).collect();
        Some(Batch { images, labels: Tensor::from_slice(&labels), indices })
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
