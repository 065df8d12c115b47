//! Batch normalisation with its conventions written down. tch's own layer draws the scale from U(0, 1) by default.

use std::borrow::Borrow;

use tch::{Tensor, nn};
use torch_ext::{FeatureMap, Statistics};

use crate::Error;
use crate::error::{free, positive, within};
use crate::layer::{Layer, alone, expect_images};

/// The estimate of the batch's variance that enters the running one. The forward pass always uses the biased one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunningVariance {
    /// Divided by n - 1: PyTorch.
    #[default]
    Unbiased,
    /// Divided by n: Keras.
    Biased,
}

/// Options of [`BatchNorm2d`]; the default is PyTorch's.
///
/// All fields are public and may grow in number: end a literal with `..Default::default()`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormConfig {
    /// Added to the variance. PyTorch 1e-5, Keras 1e-3.
    pub eps: f64,
    /// Weight of the new batch in the running statistics: PyTorch's momentum, one minus Keras's.
    pub momentum: f64,
    /// The estimate that is averaged.
    pub running_variance: RunningVariance,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1, running_variance: RunningVariance::Unbiased }
    }
}

/// Normalises each channel of `[N, C, H, W]`. PyTorch: `torch.nn.BatchNorm2d(C, eps, momentum)`.
///
/// In training a batch without images or pixels leaves the running statistics as they are. On a CPU there is no second
/// derivative.
#[derive(Debug)]
pub struct BatchNorm2d {
    /// Scale, `[C]`, starts at one.
    pub weight: Tensor,
    /// Shift, `[C]`, starts at zero.
    pub bias: Tensor,
    /// `[C]`, starts at zero; moves in training only.
    pub running_mean: Tensor,
    /// `[C]`, starts at one; moves in training only.
    pub running_var: Tensor,
    config: BatchNormConfig,
}

impl BatchNorm2d {
    /// A layer for `channels` channels, its variables `weight`, `bias`, `running_mean` and `running_var` at `path`.
    ///
    /// # Errors
    /// Fewer channels than 1, an `eps` below 0, a `momentum` outside 0 to 1, or a path that is taken.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        channels: i64,
        config: BatchNormConfig,
    ) -> Result<Self, Error> {
        let path = path.borrow();
        positive("channels", channels)?;
        within("eps", config.eps, "0 or above", |eps| eps >= 0. && eps.is_finite())?;
        within("momentum", config.momentum, "between 0 and 1", |m| (0. ..=1.).contains(&m))?;
        free(path, &["weight", "bias", "running_mean", "running_var"])?;
        Ok(Self {
            weight: path.var("weight", &[channels], nn::Init::Const(1.)),
            bias: path.var("bias", &[channels], nn::Init::Const(0.)),
            running_mean: path.zeros_no_train("running_mean", &[channels]),
            running_var: path.ones_no_train("running_var", &[channels]),
            config,
        })
    }

    /// The layer of the tensors `[weight, bias, running_mean, running_var]`, which it shares with the caller.
    ///
    /// # Panics
    /// Tensors that are not all `[C]` of one `C`.
    #[must_use]
    pub fn from_tensors(tensors: [Tensor; 4], config: BatchNormConfig) -> Self {
        let shapes = tensors.each_ref().map(Tensor::size);
        assert!(
            shapes[0].len() == 1 && shapes.iter().all(|shape| *shape == shapes[0]),
            "expected weight, bias, mean and variance [C], got {shapes:?}"
        );
        let [weight, bias, running_mean, running_var] = tensors;
        Self { weight, bias, running_mean, running_var, config }
    }

    /// The options that the layer was built with.
    #[must_use]
    pub fn config(&self) -> BatchNormConfig {
        self.config
    }

    /// A copy that later training does not move, without gradients.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let [weight, bias, running_mean, running_var] =
            [&self.weight, &self.bias, &self.running_mean, &self.running_var]
                .map(|tensor| tensor.detach().copy());
        Self { weight, bias, running_mean, running_var, config: self.config }
    }

    /// The normalisation on the devices and kinds that are left to libtorch's kernels.
    fn by_libtorch(&self, xs: &Tensor, train: bool) -> Tensor {
        let is_biased = self.config.running_variance == RunningVariance::Biased;
        if train && is_biased && xs.numel() > 0 {
            self.train_biased(xs)
        } else {
            self.normalize(xs, &self.running_mean, &self.running_var, train)
        }
    }

    fn normalize(&self, xs: &Tensor, mean: &Tensor, var: &Tensor, train: bool) -> Tensor {
        let BatchNormConfig { eps, momentum, .. } = self.config;
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        xs.batch_norm(weight, bias, Some(mean), Some(var), train, momentum, eps, true)
    }

    /// Trains with the biased estimate in the running variance, which libtorch does not offer.
    fn train_biased(&self, xs: &Tensor) -> Tensor {
        // Copies, because autograd refuses a backward pass through statistics that were written to afterwards.
        let (mean, var) = (self.running_mean.copy(), self.running_var.copy());
        let ys = self.normalize(xs, &mean, &var, true);
        tch::no_grad(|| {
            // libtorch added the unbiased variance to the kept part; scale it back by (n - 1) / n.
            let samples = (xs.numel() as i64 / xs.size()[1]) as f64;
            let kept = &self.running_var * (1. - self.config.momentum);
            let added = (var - &kept) * ((samples - 1.) / samples);
            self.running_mean.shallow_clone().copy_(&mean);
            self.running_var.shallow_clone().copy_(&(kept + added));
        });
        ys
    }
}

impl Layer for BatchNorm2d {
    /// `[N, C, H, W]` to the same shape and kind.
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        expect_images(&xs, self.weight.size()[0], &self.weight);
        let BatchNormConfig { eps, momentum, running_variance } = self.config;
        let xs = xs.resolve();
        let norm = torch_ext::BatchNorm {
            weight: &self.weight,
            bias: &self.bias,
            running_mean: &self.running_mean,
            running_var: &self.running_var,
            momentum,
            eps,
            correction: match running_variance {
                RunningVariance::Unbiased => 1.0,
                RunningVariance::Biased => 0.0,
            },
        };
        let statistics = if train { Statistics::OfBatch } else { Statistics::Fixed };
        if let Some(ys) = FeatureMap::batch_normalized(xs.shallow_clone(), &norm, statistics) {
            return ys;
        }
        let together = if train { torch_ext::synchronised_batch_norm(&xs, &norm) } else { None };
        together.unwrap_or_else(|| self.by_libtorch(&xs, train)).into()
    }
}

impl nn::ModuleT for BatchNorm2d {
    /// `[N, C, H, W]` to the same shape, kind and layout.
    ///
    /// # Panics
    /// As [`Layer::forward_map`].
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        alone(self, xs, train)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, nn::ModuleT};

    fn layer(running_variance: RunningVariance) -> (nn::VarStore, BatchNorm2d) {
        let store = nn::VarStore::new(Device::Cpu);
        let config = BatchNormConfig { running_variance, ..Default::default() };
        let layer = BatchNorm2d::new(store.root(), 1, config).unwrap();
        (store, layer)
    }

    /// Two passes over 1, 2, 3, 4: mean 2.5, variance 1.25 (n) or 5/3 (n - 1).
    #[track_caller]
    fn check(running_variance: RunningVariance, variance: f64) {
        let (_store, layer) = layer(running_variance);
        let xs = Tensor::from_slice(&[1.0_f32, 2., 3., 4.]).view([1, 1, 2, 2]);
        for _ in 0..2 {
            drop(layer.forward_t(&xs, true));
        }
        let expected = (0.81 + 0.19 * variance, 0.19 * 2.5);
        let got = (layer.running_var.double_value(&[0]), layer.running_mean.double_value(&[0]));
        assert!(
            (got.0 - expected.0).abs() < 1e-6 && (got.1 - expected.1).abs() < 1e-6,
            "{got:?}, expected {expected:?}"
        );
        drop(layer.forward_t(&(&xs * 100), false));
        assert_eq!(
            (layer.running_var.double_value(&[0]), layer.running_mean.double_value(&[0])),
            got,
            "evaluation moves nothing"
        );
    }

    #[test]
    fn pytorch_averages_the_unbiased_variance() {
        check(RunningVariance::Unbiased, 5. / 3.);
    }

    #[test]
    fn keras_averages_the_biased_variance() {
        check(RunningVariance::Biased, 1.25);
    }

    /// The two differ in what they remember, not in what they compute.
    #[test]
    fn both_have_the_same_gradient() {
        let gradient = |running_variance| {
            let (_store, layer) = layer(running_variance);
            let xs = Tensor::from_slice(&[1.0_f32, 2., 3., 5.])
                .view([1, 1, 2, 2])
                .set_requires_grad(true);
            (layer.forward_t(&xs, true) * xs.detach().square()).sum(Kind::Float).backward();
            xs.grad()
        };
        let (pytorch, keras) =
            (gradient(RunningVariance::Unbiased), gradient(RunningVariance::Biased));
        assert!(
            pytorch.norm().double_value(&[]) > 0.1 && pytorch.equal(&keras),
            "{pytorch} {keras}"
        );
    }

    /// libtorch: a batch norm of nothing returns before it measures.
    #[test]
    fn an_empty_batch_leaves_the_statistics_alone() {
        for running_variance in [RunningVariance::Unbiased, RunningVariance::Biased] {
            let (_store, layer) = layer(running_variance);
            for shape in [[0, 1, 2, 2], [3, 1, 0, 2]] {
                let xs = Tensor::zeros(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
                let ys = layer.forward_t(&xs, true);
                assert_eq!(ys.size(), shape);
                ys.sum(Kind::Float).backward();
            }
            assert_eq!(layer.running_mean.double_value(&[0]), 0.0);
            assert_eq!(layer.running_var.double_value(&[0]), 1.0);
            assert_eq!(layer.weight.grad().double_value(&[0]), 0.0, "{running_variance:?}");
        }
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let refusal = |config| {
            let store = nn::VarStore::new(Device::Cpu);
            BatchNorm2d::new(store.root(), 4, config).unwrap_err().to_string()
        };
        let base = BatchNormConfig::default();
        assert_eq!(
            refusal(BatchNormConfig { eps: -1e-5, ..base }),
            "eps must be 0 or above, got -0.00001"
        );
        assert_eq!(
            refusal(BatchNormConfig { momentum: 1.5, ..base }),
            "momentum must be between 0 and 1, got 1.5"
        );
    }

    #[test]
    #[should_panic(expected = "expected images [N, 1, H, W], got [2, 3, 4, 4]")]
    fn other_channels_are_refused_before_anything_moves() {
        let (_store, layer) = layer(RunningVariance::Unbiased);
        drop(layer.forward_t(&Tensor::zeros([2, 3, 4, 4], (Kind::Float, Device::Cpu)), true));
    }

    #[test]
    fn the_scale_starts_at_one() {
        let (_store, layer) = layer(RunningVariance::Unbiased);
        assert_eq!(layer.weight.double_value(&[0]), 1.0);
    }
}
