//! Initial weights. tch's own defaults are not PyTorch's, so every layer here states its distribution.

use std::borrow::Borrow;

use tch::{Tensor, nn};

/// A distribution for the weights (and biases) of a convolution or linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Init {
    /// U(±1/√fan_in) for weights and biases, as in `torch.nn.Conv2d` and `torch.nn.Linear`.
    #[default]
    PyTorch,
    /// N(0, √(2/fan_out)), biases zero. PyTorch: `kaiming_normal_(mode="fan_out", nonlinearity="relu")`.
    KaimingNormalFanOut,
    /// U(±√(6/(fan_in+fan_out))), biases zero. Keras: `glorot_uniform`.
    GlorotUniform,
    /// N(0, std), biases zero. PyTorch: `normal_(0, std)`.
    Normal {
        /// Standard deviation.
        std: f64,
    },
}

impl Init {
    /// Creates the weight of `shape`, `[c_out, c_in / groups, kh, kw]` or `[c_out, c_in]`, as the variable `name` at
    /// `path`.
    ///
    /// # Panics
    /// A shape of fewer than two axes.
    pub fn weight<'a>(self, path: impl Borrow<nn::Path<'a>>, name: &str, shape: &[i64]) -> Tensor {
        assert!(shape.len() >= 2, "expected a weight [c_out, c_in, …], got the shape {shape:?}");
        let taps: i64 = shape[2..].iter().product();
        let (fan_in, fan_out) = ((shape[1] * taps) as f64, (shape[0] * taps) as f64);
        let init = match self {
            Init::PyTorch => symmetric(fan_in.recip().sqrt()),
            Init::KaimingNormalFanOut => nn::Init::Randn { mean: 0., stdev: (2. / fan_out).sqrt() },
            Init::GlorotUniform => symmetric((6. / (fan_in + fan_out)).sqrt()),
            Init::Normal { std } => nn::Init::Randn { mean: 0., stdev: std },
        };
        path.borrow().var(name, shape, init)
    }

    /// Creates the bias `[c_out]` of a layer whose outputs each read `fan_in` inputs, as the variable `name` at `path`.
    pub fn bias<'a>(
        self,
        path: impl Borrow<nn::Path<'a>>,
        name: &str,
        c_out: i64,
        fan_in: i64,
    ) -> Tensor {
        let init = match self {
            Init::PyTorch => symmetric((fan_in as f64).recip().sqrt()),
            Init::KaimingNormalFanOut | Init::GlorotUniform | Init::Normal { .. } => {
                nn::Init::Const(0.)
            }
        };
        path.borrow().var(name, &[c_out], init)
    }
}

fn symmetric(bound: f64) -> nn::Init {
    nn::Init::Uniform { lo: -bound, up: bound }
}
