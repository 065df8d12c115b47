//! Means over the pictures so far, and the sums on the device that they are made from when somebody looks.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::step::Stepped;

/// Sums over the steps since they were last read. Adding waits for nothing; reading waits for the device.
pub(super) struct Unread {
    images: u64,
    loss: Tensor,
    right: Tensor,
}

impl Unread {
    /// Nothing yet, to be summed on `device`.
    pub(super) fn new(device: Device) -> Self {
        let zero = |kind| Tensor::zeros([], (kind, device));
        Self { images: 0, loss: zero(Kind::Double), right: zero(Kind::Int64) }
    }

    /// Adds a step over `images` pictures.
    pub(super) fn add(&mut self, images: usize, stepped: &Stepped) {
        self.images += images as u64;
        self.loss += stepped.loss.to_kind(Kind::Double) * images as f64;
        self.right += &stepped.right;
    }

    /// Pictures, their mean loss and how many were recognised; begins anew.
    pub(super) fn read(&mut self) -> (u64, f64, i64) {
        let loss = self.loss.double_value(&[]) / self.images as f64;
        let read = (self.images, loss, self.right.int64_value(&[]));
        *self = Self::new(self.loss.device());
        read
    }
}

/// Means over the pictures since it was started.
pub(super) struct Running {
    since: Instant,
    pub(super) images: u64,
    right: i64,
    pub(super) loss: f64,
    pub(super) accuracy: f64,
    pub(super) images_per_second: f64,
}

impl Running {
    /// Starts the clock.
    pub(super) fn start() -> Self {
        Self {
            since: Instant::now(),
            images: 0,
            right: 0,
            loss: 0.0,
            accuracy: 0.0,
            images_per_second: 0.0,
        }
    }

    /// Adds `images` pictures of this mean loss, `right` of them recognised.
    pub(super) fn add(&mut self, images: u64, loss: f64, right: i64) {
        let before = self.images as f64;
        self.images += images;
        self.right += right;
        self.loss = (self.loss * before + loss * images as f64) / self.images as f64;
        self.accuracy = self.right as f64 / self.images as f64;
        self.images_per_second = self.images as f64 / self.since.elapsed().as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_weigh_batches_by_their_size() {
        let mut running = Running::start();
        running.add(3, 1.0, 3);
        running.add(1, 5.0, 0);
        assert_eq!((running.loss, running.accuracy, running.images), (2.0, 0.75, 4));
    }

    #[test]
    fn sums_weigh_batches_by_their_size_and_begin_anew() {
        let stepped = |loss: f32, right: i64| Stepped { loss: loss.into(), right: right.into() };
        let mut unread = Unread::new(Device::Cpu);
        unread.add(3, &stepped(1.0, 3));
        unread.add(1, &stepped(5.0, 0));
        assert_eq!(unread.read(), (4, 2.0, 3));
        unread.add(2, &stepped(0.5, 1));
        assert_eq!(unread.read(), (2, 0.5, 1));
    }

    #[test]
    fn one_loss_that_is_not_finite_shows_in_the_sum() {
        let mut unread = Unread::new(Device::Cpu);
        for loss in [1.0_f32, f32::NAN, 1.0] {
            unread.add(1, &Stepped { loss: loss.into(), right: 0_i64.into() });
        }
        assert!(unread.read().1.is_nan());
    }
}
