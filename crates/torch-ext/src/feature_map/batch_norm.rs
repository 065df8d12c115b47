//! The numbers of a batch normalisation: measured or remembered, and combined into one multiplication and one addition.
//!
//! A network has dozens of these layers and each has a few hundred channels: as tensor operators the bookkeeping
//! would cost more than some convolutions, so it is plain loops over `C` numbers.

use tch::{Kind, Tensor};

use super::GradientSums;
use super::moments::moments;
use super::sum_over_processes::{SumOverProcesses, moments_of_all};
use crate::channel_values::{self, ChannelRows, expect_channels, number_kind};
use crate::nhwc::{Nhwc, laid_out, with_element};
use crate::simd::Number;

/// The source of mean and variance, which also decides the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// From the very map that is normalised: training.
    OfBatch,
    /// From the running ones: evaluation, or frozen statistics.
    Fixed,
}

/// The tensors of a batch normalisation, all `[C]`, and its numbers.
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
    /// Subtracted from the number of pixels in the variance that is averaged: 1 in PyTorch, 0 in Keras.
    pub correction: f64,
}

impl BatchNorm<'_> {
    /// Each tensor with its name in an error.
    pub(super) fn tensors(&self) -> [(&'static str, &Tensor); 4] {
        [
            ("a weight", self.weight),
            ("a bias", self.bias),
            ("a running mean", self.running_mean),
            ("a running variance", self.running_var),
        ]
    }
}

/// `(x - mean) / sqrt(variance + eps) * weight + bias`, channel by channel.
#[derive(Debug)]
pub(super) struct Normalization {
    /// Mean, inverse deviation, scale and shift, in the type that the kernels compute in.
    channels: ChannelRows,
    pub(super) statistics: Statistics,
    /// For statistics of several processes: the sum over them, and its number of pixels.
    together: Together,
    /// The kinds of weight and bias.
    kinds: [Kind; 2],
}

/// The rows of [`Normalization::channels`].
const MEAN: usize = 0;
const INVERSE_DEVIATION: usize = 1;
const SCALE: usize = 2;
const SHIFT: usize = 3;

/// For each channel, the part of a gradient that is subtracted in any case, and the part for each unit of the value's
/// distance from its mean.
pub(super) struct Centre(ChannelRows);

impl Normalization {
    /// The normalisation of `values: [N, C, H, W]`; moves the running statistics where the batch's are measured.
    ///
    /// # Panics
    /// Where a tensor of `norm` is not `[C]` on the CPU.
    pub(super) fn new(values: &Tensor, norm: &BatchNorm, statistics: Statistics) -> Self {
        let c = Nhwc::of(values).c;
        norm.tensors().into_iter().for_each(|(name, tensor)| expect_channels(name, tensor, c));
        let (mean, variance, together) = match statistics {
            Statistics::OfBatch => measure(values, norm),
            Statistics::Fixed => (
                channel_values::read(norm.running_mean),
                channel_values::read(norm.running_var),
                None,
            ),
        };
        let [weight, bias]: [Vec<f64>; 2] = [norm.weight, norm.bias].map(channel_values::read);
        let inverse_deviation: Vec<f64> =
            variance.iter().map(|variance| (variance + norm.eps).sqrt().recip()).collect();
        let scale: Vec<f64> = weight.iter().zip(&inverse_deviation).map(|(w, i)| w * i).collect();
        let shift = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        let rows = [mean, inverse_deviation, scale, shift];
        let channels = ChannelRows::new(&rows, number_kind(values));
        Self { channels, statistics, together, kinds: [norm.weight, norm.bias].map(Tensor::kind) }
    }

    /// The number of channels.
    pub(super) fn channels(&self) -> usize {
        self.channels.channels()
    }

    pub(super) fn mean<N: Number>(&self) -> &[N] {
        self.channels.row(MEAN)
    }

    pub(super) fn scale<N: Number>(&self) -> &[N] {
        self.channels.row(SCALE)
    }

    pub(super) fn shift<N: Number>(&self) -> &[N] {
        self.channels.row(SHIFT)
    }

    /// The gradients in weight and bias.
    pub(super) fn gradients(&self, sums: &GradientSums) -> [Tensor; 2] {
        let weight = sums.product.iter().zip(self.channels.wide(INVERSE_DEVIATION));
        let weight: Vec<f64> = weight.map(|(product, i)| product * i).collect();
        let c = [weight.len() as i64];
        [
            channel_values::tensor(&weight, &c, self.kinds[0]),
            channel_values::tensor(&sums.gradient, &c, self.kinds[1]),
        ]
    }

    /// The part of the gradient in the values that comes from the batch's own statistics.
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
        let [inverse_deviation, scale] =
            [INVERSE_DEVIATION, SCALE].map(|row| self.channels.wide(row));
        let offset = gradient.iter().zip(&scale).map(|(sum, s)| sum * s * share).collect();
        let slope = product.iter().zip(&scale).zip(&inverse_deviation);
        let slope = slope.map(|((product, s), i)| product * s * i * i * share).collect();
        let kind = self.channels.kind();
        Centre(ChannelRows::new(&[offset, slope], kind))
    }
}

impl Centre {
    pub(super) fn offset<N: Number>(&self) -> &[N] {
        self.0.row(0)
    }

    pub(super) fn slope<N: Number>(&self) -> &[N] {
        self.0.row(1)
    }
}

/// The part of a [`Normalization`] that concerns several processes: their sum, and the pixels of all.
type Together = Option<(SumOverProcesses, f64)>;

/// The batch's mean and biased variance; moves the running statistics.
fn measure(values: &Tensor, norm: &BatchNorm) -> (Vec<f64>, Vec<f64>, Together) {
    let values = laid_out(&values.detach());
    let sizes = Nhwc::of(&values);
    let (mean, variance) = with_element!(values.kind(), E => moments::<E>(&values));
    let pixels = sizes.pixels() as f64;
    let (mean, variance, pixels, together) = match SumOverProcesses::current() {
        None => (mean, variance, pixels, None),
        Some(sum) => {
            let (mean, variance, pixels) = moments_of_all(&sum, &mean, &variance, pixels);
            (mean, variance, pixels, Some((sum, pixels)))
        }
    };
    if pixels == 0.0 {
        return (mean, variance, together);
    }
    // One pixel has no unbiased variance; libtorch's would be infinite and spoil the run.
    let unbiased = pixels / (pixels - norm.correction).max(1.0);
    blend(norm.running_mean, &mean, norm.momentum, 1.0);
    blend(norm.running_var, &variance, norm.momentum, unbiased);
    (mean, variance, together)
}

/// `running = (1 - momentum) * running + momentum * factor * new`
fn blend(running: &Tensor, new: &[f64], momentum: f64, factor: f64) {
    let mut blended: Vec<f64> = channel_values::read(running);
    for (old, new) in blended.iter_mut().zip(new) {
        *old = (1.0 - momentum) * *old + momentum * factor * new;
    }
    channel_values::write(running, &blended);
}
