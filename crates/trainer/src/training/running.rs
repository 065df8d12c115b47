//! Sums over the images so far, kept on the device until somebody looks, and how fast they go by.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::step::Stepped;
use crate::run::checkpoint::Sums;

/// Sums of a stretch of training. Adding waits for nothing; reading waits for the device and changes nothing, so when
/// somebody looks has no part in the numbers.
pub(super) struct Running {
    images: u64,
    loss: Tensor,
    right: Tensor,
}

impl Running {
    /// `sums`, to be added to on `device`.
    pub(super) fn from(sums: Sums, device: Device) -> Self {
        Self {
            images: sums.images,
            loss: Tensor::from(sums.loss).to_device(device),
            right: Tensor::from(sums.right).to_device(device),
        }
    }

    /// Adds a step.
    pub(super) fn add(&mut self, stepped: &Stepped) {
        self.images += stepped.images as u64;
        self.loss += stepped.loss.to_kind(Kind::Double) * stepped.images as f64;
        self.right += &stepped.right;
    }

    /// The sums so far.
    pub(super) fn read(&self) -> Sums {
        let (loss, right) = (self.loss.double_value(&[]), self.right.int64_value(&[]));
        Sums { images: self.images, loss, right }
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        *self = Self::from(Sums::default(), self.loss.device());
    }
}

impl Sums {
    /// Mean loss of an image.
    pub(super) fn mean_loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// Part of the images that were recognised.
    pub(super) fn accuracy(&self) -> f64 {
        self.right as f64 / self.images as f64
    }
}

/// Images a second since it was started. A resumed run starts it anew: the time in between is nobody's.
pub(super) struct Speed {
    since: Instant,
    images: u64,
}

impl Speed {
    /// Starts the clock.
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), images: 0 }
    }

    /// Counts `images` more.
    pub(super) fn add(&mut self, images: usize) {
        self.images += images as u64;
    }

    /// Images a second; 0 ahead of the first.
    pub(super) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.since.elapsed().as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stepped(images: usize, loss: f32, right: i64) -> Stepped {
        Stepped { loss: loss.into(), right: right.into(), images }
    }

    #[test]
    fn means_weigh_batches_by_their_size() {
        let mut running = Running::from(Sums::default(), Device::Cpu);
        running.add(&stepped(3, 1.0, 3));
        running.add(&stepped(1, 5.0, 0));
        let sums = running.read();
        assert_eq!((sums.images, sums.mean_loss(), sums.accuracy()), (4, 2.0, 0.75));
        running.clear();
        assert_eq!(running.read(), Sums::default());
    }

    #[test]
    fn looking_and_going_on_elsewhere_change_no_bit() {
        let losses = [0.1_f32, 1.7, 3.3, 0.2];
        let mut straight = Running::from(Sums::default(), Device::Cpu);
        let mut resumed = Running::from(Sums::default(), Device::Cpu);
        for loss in losses {
            straight.add(&stepped(7, loss, 1));
            resumed.add(&stepped(7, loss, 1));
            resumed = Running::from(resumed.read(), Device::Cpu);
        }
        assert_eq!(straight.read().loss.to_bits(), resumed.read().loss.to_bits());
    }

    #[test]
    fn one_loss_that_is_not_finite_shows_in_the_sum() {
        let mut running = Running::from(Sums::default(), Device::Cpu);
        for loss in [1.0, f32::NAN, 1.0] {
            running.add(&stepped(1, loss, 0));
        }
        assert!(running.read().loss.is_nan());
    }
}
