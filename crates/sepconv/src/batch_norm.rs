//! Batch normalisation with the conventions written down: tch draws the scale from U(0, 1) unless told otherwise.

use tch::{Tensor, nn, nn::ModuleT};

use crate::{Error, error::positive};

/// Which estimate of the batch's variance enters the running one. The forward pass always uses the biased one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunningVariance {
    /// Divided by n - 1: PyTorch.
    #[default]
    Unbiased,
    /// Divided by n: Keras.
    Biased,
}

/// Options of [`BatchNorm2d`]; the default is PyTorch's.
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
    /// What it was built with.
    pub config: BatchNormConfig,
}

impl BatchNorm2d {
    /// A layer for `channels` channels, its variables at `path`.
    pub fn new(path: &nn::Path, channels: i64, config: BatchNormConfig) -> Result<Self, Error> {
        positive("channels", channels)?;
        Ok(Self {
            weight: path.var("weight", &[channels], nn::Init::Const(1.)),
            bias: path.var("bias", &[channels], nn::Init::Const(0.)),
            running_mean: path.zeros_no_train("running_mean", &[channels]),
            running_var: path.ones_no_train("running_var", &[channels]),
            config,
        })
    }

    fn normalize(&self, xs: &Tensor, train: bool) -> Tensor {
        let BatchNormConfig { eps, momentum, .. } = self.config;
        xs.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            momentum,
            eps,
            true,
        )
    }
}

impl ModuleT for BatchNorm2d {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        if !train || self.config.running_variance == RunningVariance::Unbiased {
            return self.normalize(xs, train);
        }
        // libtorch averages the unbiased estimate; what it added is scaled back by (n - 1) / n.
        let kept = tch::no_grad(|| &self.running_var * (1. - self.config.momentum));
        let ys = self.normalize(xs, train);
        tch::no_grad(|| {
            let samples = (xs.numel() as i64 / xs.size()[1]) as f64;
            let added = &self.running_var - &kept;
            self.running_var.shallow_clone().copy_(&(kept + added * ((samples - 1.) / samples)));
        });
        ys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn layer(running_variance: RunningVariance) -> (nn::VarStore, BatchNorm2d) {
        let store = nn::VarStore::new(Device::Cpu);
        let config = BatchNormConfig { running_variance, ..Default::default() };
        let layer = BatchNorm2d::new(&store.root(), 1, config).unwrap();
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

    #[test]
    fn the_scale_starts_at_one() {
        let (_store, layer) = layer(RunningVariance::Unbiased);
        assert_eq!(layer.weight.double_value(&[0]), 1.0);
    }
}
