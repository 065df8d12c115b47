//! How weights are drawn. tch's own defaults are not PyTorch's, so every layer here says which it means.

use tch::{Tensor, nn};

/// A distribution for the weights (and biases) of a convolution or linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Init {
    /// U(±1/√fan_in) for weights and biases: what `torch.nn.Conv2d` and `torch.nn.Linear` do.
    #[default]
    PyTorch,
    /// N(0, √(2/fan_out)), biases zero: `kaiming_normal_(mode="fan_out", nonlinearity="relu")`.
    KaimingNormalFanOut,
    /// U(±√(6/(fan_in+fan_out))), biases zero: Keras's `glorot_uniform`.
    GlorotUniform,
    /// N(0, std), biases zero: `normal_(0, std)`.
    Normal {
        /// Standard deviation.
        std: f64,
    },
}

impl Init {
    /// A new weight of `shape` (`[c_out, c_in / groups, kh, kw]` or `[c_out, c_in]`) at `path / name`.
    pub fn weight(self, path: &nn::Path, name: &str, shape: &[i64]) -> Tensor {
        let taps: i64 = shape[2..].iter().product();
        let (fan_in, fan_out) = ((shape[1] * taps) as f64, (shape[0] * taps) as f64);
        let init = match self {
            Init::PyTorch => symmetric(fan_in.recip().sqrt()),
            Init::KaimingNormalFanOut => nn::Init::Randn { mean: 0., stdev: (2. / fan_out).sqrt() },
            Init::GlorotUniform => symmetric((6. / (fan_in + fan_out)).sqrt()),
            Init::Normal { std } => nn::Init::Randn { mean: 0., stdev: std },
        };
        path.var(name, shape, init)
    }

    /// A new bias at `path / name` for a layer whose outputs each see `fan_in` inputs.
    pub fn bias(self, path: &nn::Path, name: &str, c_out: i64, fan_in: i64) -> Tensor {
        let init = match self {
            Init::PyTorch => symmetric((fan_in as f64).recip().sqrt()),
            Init::KaimingNormalFanOut | Init::GlorotUniform | Init::Normal { .. } => {
                nn::Init::Const(0.)
            }
        };
        path.var(name, &[c_out], init)
    }
}

fn symmetric(bound: f64) -> nn::Init {
    nn::Init::Uniform { lo: -bound, up: bound }
}
