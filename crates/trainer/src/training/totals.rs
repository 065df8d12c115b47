//! Sums over a stretch of training, kept on the device until they are read.

use tch::{Device, Kind, Tensor};

use crate::learner::StepOutput;
use crate::run::checkpoint::Sums;

/// Sums of a stretch of training. Adding a step does not wait for the device; reading waits and changes nothing, so the
/// sums do not depend on when they are read.
pub(super) struct Totals {
    images: u64,
    loss: Tensor,
    correct: Tensor,
}

impl Totals {
    /// Starts at `sums`, on `device`.
    pub(super) fn from(sums: Sums, device: Device) -> Self {
        Self {
            images: sums.images,
            loss: Tensor::from(sums.loss).to_device(device),
            correct: Tensor::from(sums.correct).to_device(device),
        }
    }

    /// Adds a step.
    pub(super) fn add(&mut self, output: &StepOutput) {
        self.images += output.images as u64;
        self.loss += output.loss.to_kind(Kind::Double) * output.images as f64;
        self.correct += &output.correct;
    }

    /// Returns the sums so far.
    pub(super) fn read(&self) -> Sums {
        let (loss, correct) = (self.loss.double_value(&[]), self.correct.int64_value(&[]));
        Sums { images: self.images, loss, correct }
    }

    /// Starts again at nothing.
    pub(super) fn clear(&mut self) {
        *self = Self::from(Sums::default(), self.loss.device());
    }
}

impl Sums {
    /// Mean loss of an image.
    pub(super) fn mean_loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// Fraction of the images that were classified correctly.
    pub(super) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(images: usize, loss: f32, correct: i64) -> StepOutput {
        StepOutput { loss: loss.into(), correct: correct.into(), images }
    }

    #[test]
    fn means_weigh_batches_by_their_size() {
        let mut totals = Totals::from(Sums::default(), Device::Cpu);
        totals.add(&output(3, 1.0, 3));
        totals.add(&output(1, 5.0, 0));
        let sums = totals.read();
        assert_eq!((sums.images, sums.mean_loss(), sums.accuracy()), (4, 2.0, 0.75));
        totals.clear();
        assert_eq!(totals.read(), Sums::default());
    }

    #[test]
    fn reading_and_resuming_change_no_bit() {
        let losses = [0.1_f32, 1.7, 3.3, 0.2];
        let mut straight = Totals::from(Sums::default(), Device::Cpu);
        let mut resumed = Totals::from(Sums::default(), Device::Cpu);
        for loss in losses {
            straight.add(&output(7, loss, 1));
            resumed.add(&output(7, loss, 1));
            resumed = Totals::from(resumed.read(), Device::Cpu);
        }
        assert_eq!(straight.read().loss.to_bits(), resumed.read().loss.to_bits());
    }

    #[test]
    fn one_loss_that_is_not_finite_shows_in_the_sum() {
        let mut totals = Totals::from(Sums::default(), Device::Cpu);
        for loss in [1.0, f32::NAN, 1.0] {
            totals.add(&output(1, loss, 0));
        }
        assert!(totals.read().loss.is_nan());
    }
}
