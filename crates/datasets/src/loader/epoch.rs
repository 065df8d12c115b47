//! The batches of an epoch, made in any thread.

use std::ops::Range;
use std::sync::Arc;

use super::contents::{Finished, Form, Unfinished, tensor};
use super::finish::Finisher;
use super::targets::targets;
use super::{Batch, Broken, BrokenImage, LastBatch, Loader, LoaderConfig, Order, by_class, lanes};
use crate::Error;
use crate::augment::{Interpolation, Mixed, Resize};
use crate::random::{Counter, Purpose, permutation, stream};
use crate::source::{Decoded, Source};
use crate::transform::{Room, Transform};

/// Makes the batches of one epoch, one after the other.
pub(super) struct Epoch {
    images: Arc<dyn Source>,
    /// Height and width of the transformed images.
    size: [usize; 2],
    transform: Arc<Transform>,
    config: LoaderConfig,
    epoch: u64,
    /// Number of batches in the whole epoch.
    in_epoch: usize,
    /// The numbers of the images, in the order of the epoch.
    order: Vec<u32>,
    /// The number of times that each of them came before in the epoch, in an order in which images repeat.
    times: Option<Vec<u32>>,
    /// The numbers of the batches that are still to be made.
    batches: std::iter::StepBy<Range<usize>>,
    /// The change to the size of this epoch, if it has its own.
    resize: Option<Resized>,
    /// `[n, height, width]` of RGB; kept from batch to batch to save allocations.
    pixels: Vec<[f32; 3]>,
    /// In place of `pixels`, images that the network's device finishes.
    unfinished: Option<(Unfinished, Finisher)>,
    room: Room,
    decoded: Decoded,
}

/// The change of images to another size.
struct Resized {
    side: usize,
    resize: Resize<[f32; 3]>,
    /// An image in its own size.
    image: Vec<[f32; 3]>,
    /// A buffer between the two passes.
    between: Vec<[f32; 3]>,
}

impl Resized {
    fn new([height, width]: [usize; 2], side: usize) -> Self {
        Self {
            side,
            resize: Resize::new([height, width], [side; 2], Interpolation::Bilinear),
            image: vec![[0.; 3]; height * width],
            between: Vec::new(),
        }
    }
}

impl Epoch {
    pub(super) fn new(
        loader: &Loader,
        epoch: u64,
        batches: std::iter::StepBy<Range<usize>>,
        side: Option<usize>,
    ) -> Self {
        let Loader { images, size, transform, config, finisher } = loader;
        let form = if side.is_some() { Form::Normalized } else { loader.form() };
        let finisher = finisher.clone().filter(|_| form != Form::Normalized);
        let unfinished = finisher.map(|finisher| (Unfinished::new(form, *size), finisher));
        // The loader refuses sets of more than 2³² images.
        let count = images.len() as u32;
        let mut times = None;
        let order = match config.order {
            Order::Sequential => (0..count).collect(),
            Order::Shuffled => permutation(count, config.seed, epoch),
            Order::ShuffledByFile => {
                lanes::order(&images.stretches(), config.batch_size, config.seed, epoch)
            }
            Order::Balanced(share) => {
                let labels: Vec<u32> = (0..images.len()).map(|index| images.label(index)).collect();
                let order = by_class::order(&labels, share, config.seed, epoch);
                let (order, repetitions) = order.into_iter().unzip();
                times = Some(repetitions);
                order
            }
        };
        Self {
            images: Arc::clone(images),
            size: *size,
            transform: Arc::clone(transform),
            config: *config,
            epoch,
            in_epoch: loader.batches_per_epoch(),
            order,
            times,
            batches,
            resize: side.map(|side| Resized::new(*size, side)),
            pixels: Vec::new(),
            unfinished,
            room: Room::default(),
            decoded: Decoded::default(),
        }
    }

    /// The places in the order that make up batch `number`, over all ranks.
    fn whole_batch(&self, number: usize) -> Range<usize> {
        let LoaderConfig { batch_size, last_batch, .. } = self.config;
        let start = number * batch_size;
        match last_batch {
            LastBatch::Keep if number + 1 == self.in_epoch => start..self.order.len(),
            _ => start..start + batch_size,
        }
    }

    /// The counters of the images at `places` of the order. A repeated image has one of its own each time.
    fn counters(&self, places: Range<usize>) -> Vec<Counter> {
        let counter = |place: usize| {
            let time = self.times.as_ref().map_or(0, |times| times[place]);
            let epoch = self.epoch + (u64::from(time) << 32);
            Counter { seed: self.config.seed, epoch, index: u64::from(self.order[place]) }
        };
        places.map(counter).collect()
    }

    /// Writes an image to a place of the batch, whose images have `area` pixels.
    fn write(&mut self, counter: Counter, place: usize, area: usize) -> Result<(), Error> {
        if let Some((unfinished, _)) = &mut self.unfinished {
            let room = (&mut self.room, &mut self.decoded);
            return unfinished.write(counter, place, &*self.images, &self.transform, room);
        }
        let image = self.images.image(counter.index as usize, &mut self.decoded)?;
        let output = &mut self.pixels[place * area..][..area];
        match &mut self.resize {
            Some(Resized { resize, image: whole, between, .. }) => {
                self.transform.apply(counter, image, whole, &mut self.room);
                resize.apply(whole, self.size[1], between, output);
            }
            None => self.transform.apply(counter, image, output, &mut self.room),
        }
        Ok(())
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Result<Batch, Error>> {
        let number = self.batches.next()?;
        let whole = self.whole_batch(number);
        let requested = self.counters(self.config.share.of(&whole));

        let [height, width] = match &self.resize {
            Some(Resized { side, .. }) => [*side; 2],
            None => self.size,
        };
        let area = height * width;
        match &mut self.unfinished {
            Some((unfinished, _)) => unfinished.resize(requested.len()),
            None => self.pixels.resize(requested.len() * area, [0.; 3]),
        }
        let LoaderConfig { seed, augmentation, broken, .. } = self.config;
        let mut indices = Vec::with_capacity(requested.len());
        let mut left_out = Vec::new();
        for counter in requested {
            let index = counter.index as u32;
            match (self.write(counter, indices.len(), area), broken) {
                (Ok(()), _) => indices.push(index),
                (Err(error), Broken::Refuse) => return Some(Err(error)),
                (Err(error), Broken::LeaveOut) => left_out.push(BrokenImage { index, error }),
            }
        }
        let weight = augmentation.mix.map(|mix| {
            self.pixels.truncate(indices.len() * area);
            let mut rng = stream(seed, Purpose::Mix, self.epoch, number as u64);
            mix.apply(&mut rng, &mut self.pixels, [height, width])
        });
        let (images, rest) = match &self.unfinished {
            Some((unfinished, finisher)) => {
                let Finished { images, blanks } = unfinished.finish(indices.len());
                (images, Some(finisher.rest(unfinished.are_places(), blanks)))
            }
            None => {
                let n = indices.len();
                let images = tensor(self.pixels[..n * area].as_flattened())
                    .view([n as i64, height as i64, width as i64, 3])
                    .permute([0, 3, 1, 2]);
                (images, None)
            }
        };

        let labels = targets(&*self.images, indices.iter().copied());
        let mixed = weight.map(|weight| {
            let partner_labels = targets(&*self.images, indices.iter().rev().copied());
            Mixed { partner_labels, weight }
        });
        Some(Ok(Batch { images, rest, labels, mixed, indices, in_all: whole.len(), left_out }))
    }
}
