//! The numbers of a batch normalisation: measured or remembered, and made into one multiplication and one addition.
//!
//! A network has dozens of these layers and each has a few hundred channels: as tensor operators the bookkeeping
//! would cost more than some convolutions, so it is plain loops over `C` numbers.

use tch::{Kind, Tensor};

use super::synchronised::{self, SumOverProcesses};
use super::{GradientSums, reduce};
use crate::nhwc::{Nhwc, laid_out, with_element};
use crate::numbers::{self, number_kind};
use crate::parallel::Shared;
use crate::simd::Number;

/// Where the mean and variance come from, which decides what the gradient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// From the very map that is normalised: training.
    OfBatch,
    /// From the running ones: evaluation, or frozen statistics.
    Fixed,
}

/// A batch normalisation's tensors, all `[C]`, and its numbers.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// Scale.
    pub weight: &'a Tensor,
    /// Shift.
    pub bias: &'a Tensor,
    /// Moves with [`Statistics::OfBatch`].
    pub running_mean: &'a Tensor,
    /// Moves with [`Statistics::OfBatch`].
    pub running_var: &'a Tensor,
    /// Weight of the new batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
    /// What the number of pixels is lessened by in the variance that is averaged: 1 in PyTorch, 0 in Keras.
    pub correction: f64,
}

/// `(x - mean) / sqrt(variance + eps) * weight + bias`, channel by channel.
#[derive(Debug)]
pub(super) struct Normalization {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    /// `[4, C]`: mean, inverse deviation, scale, shift, in what the kernels compute in.
    channels: Tensor,
    pub(super) statistics: Statistics,
    /// Where the statistics are of several processes: what adds up, and over how many pixels.
    together: Together,
}

/// `[2, C]`: what is taken off a gradient in any case, and for each unit that the value lies off its mean.
pub(super) struct Centre(Tensor);

impl Normalization {
    pub(super) fn new(values: &Tensor, norm: &BatchNorm, statistics: Statistics) -> Self {
        let (mean, variance, together) = match statistics {
            Statistics::OfBatch => measure(values, norm),
            Statistics::Fixed => {
                (numbers::read(norm.running_mean), numbers::read(norm.running_var), None)
            }
        };
        let [weight, bias]: [Vec<f64>; 2] = [norm.weight, norm.bias].map(numbers::read);
        let c = mean.len();
        assert!(
            values.size()[1] as usize == c
                && [&variance, &weight, &bias].iter().all(|v| v.len() == c),
            "expected statistics of {} channels, got {c}",
            values.size()[1]
        );
        let inverse_deviation: Vec<f64> =
            variance.iter().map(|variance| (variance + norm.eps).sqrt().recip()).collect();
        let scale: Vec<f64> = weight.iter().zip(&inverse_deviation).map(|(w, i)| w * i).collect();
        let shift = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        Self {
            weight: norm.weight.shallow_clone(),
            bias: norm.bias.shallow_clone(),
            channels: rows(&[mean, inverse_deviation, scale, shift], number_kind(values)),
            statistics,
            together,
        }
    }

    pub(super) fn shallow_clone(&self) -> Self {
        let Self { weight, bias, channels, statistics, together } = self;
        let [weight, bias, channels] = [weight, bias, channels].map(Tensor::shallow_clone);
        Self { weight, bias, channels, statistics: *statistics, together: together.clone() }
    }

    pub(super) fn mean<N: Number>(&self) -> Shared<N> {
        row(&self.channels, 0)
    }

    pub(super) fn scale<N: Number>(&self) -> Shared<N> {
        row(&self.channels, 2)
    }

    pub(super) fn shift<N: Number>(&self) -> Shared<N> {
        row(&self.channels, 3)
    }

    /// The gradients in weight and bias.
    pub(super) fn gradients(&self, sums: &GradientSums) -> [Tensor; 2] {
        let [inverse_deviation, _] = self.factors();
        let weight = sums.product.iter().zip(&inverse_deviation);
        let weight: Vec<f64> = weight.map(|(product, i)| product * i).collect();
        let c = [weight.len() as i64];
        [
            numbers::tensor(&weight, &c, self.weight.kind()),
            numbers::tensor(&sums.gradient, &c, self.bias.kind()),
        ]
    }

    /// What the batch's own statistics take off the gradient in its values.
    pub(super) fn centre(&self, sums: &GradientSums, pixels: usize) -> Centre {
        let all;
        let (gradient, product, pixels) = match &self.together {
            None => (&sums.gradient, &sums.product, pixels as f64),
            Some((sum, pixels)) => {
                all = sum.sums([&sums.gradient, &sums.product]);
                (&all[0], &all[1], *pixels)
            }
        };
        let share = 1.0 / pixels;
        let [inverse_deviation, scale] = self.factors();
        let offset = gradient.iter().zip(&scale).map(|(sum, s)| sum * s * share).collect();
        let slope = product.iter().zip(&scale).zip(&inverse_deviation);
        let slope = slope.map(|((product, s), i)| product * s * i * i * share).collect();
        Centre(rows(&[offset, slope], self.channels.kind()))
    }

    /// Inverse deviation and scale.
    fn factors(&self) -> [Vec<f64>; 2] {
        let mut table = numbers::read(&self.channels);
        let c = table.len() / 4;
        table.truncate(3 * c);
        let scale = table.split_off(2 * c);
        [table.split_off(c), scale]
    }
}

impl Centre {
    pub(super) fn offset<N: Number>(&self) -> Shared<N> {
        row(&self.0, 0)
    }

    pub(super) fn slope<N: Number>(&self) -> Shared<N> {
        row(&self.0, 1)
    }
}

/// What [`Normalization`] keeps of several processes.
type Together = Option<(SumOverProcesses, f64)>;

/// The batch's mean and biased variance; moves the running statistics.
fn measure(values: &Tensor, norm: &BatchNorm) -> (Vec<f64>, Vec<f64>, Together) {
    let values = laid_out(&values.detach());
    let sizes = Nhwc::of(&values);
    let (mean, variance) = with_element!(values.kind(), E => reduce::moments::<E>(&values, sizes));
    let pixels = sizes.pixels() as f64;
    let (mean, variance, pixels, together) = match SumOverProcesses::current() {
        None => (mean, variance, pixels, None),
        Some(sum) => {
            let (mean, variance, pixels) = synchronised::moments(&sum, &mean, &variance, pixels);
            (mean, variance, pixels, Some((sum, pixels)))
        }
    };
    // As libtorch: a batch without a pixel, in all processes together, teaches nothing.
    if pixels == 0.0 {
        return (vec![0.0; mean.len()], vec![0.0; mean.len()], together);
    }
    // One pixel has no unbiased variance; libtorch makes infinity of it, which would spoil the run.
    let unbiased = pixels / (pixels - norm.correction).max(1.0);
    blend(norm.running_mean, &mean, norm.momentum, 1.0);
    blend(norm.running_var, &variance, norm.momentum, unbiased);
    (mean, variance, together)
}

/// `running = (1 - momentum) * running + momentum * factor * new`
fn blend(running: &Tensor, new: &[f64], momentum: f64, factor: f64) {
    let mut blended: Vec<f64> = numbers::read(running);
    for (old, new) in blended.iter_mut().zip(new) {
        *old = (1.0 - momentum) * *old + momentum * factor * new;
    }
    numbers::write(running, &blended);
}

fn rows(lists: &[Vec<f64>], kind: Kind) -> Tensor {
    let flat = lists.concat();
    numbers::tensor(&flat, &[lists.len() as i64, lists[0].len() as i64], kind)
}

fn row<N: Number>(table: &Tensor, index: usize) -> Shared<N> {
    let c = table.size()[1] as usize;
    // SAFETY: the row lies within the table.
    Shared(unsafe { numbers::start::<N>(table).0.add(index * c) })
}
