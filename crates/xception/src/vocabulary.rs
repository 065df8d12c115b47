//! The words that a table is written in: the choices in which published and handwritten Xceptions differ.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The normalisation of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Batch normalisation: the paper.
    Batch,
    /// None.
    None,
}

/// The place of the normalisations in a residual module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlace {
    /// After each separable convolution: the paper.
    After,
    /// Before each separable convolution and its ReLU, so that the output of a module is not normalised
    /// ("pre-activation", He et al. 2016). timm: the networks whose names end in `p`.
    Before,
}

/// The shortcut around the separable convolutions of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shortcut {
    /// The module's input is added to their output, projected where the shapes differ: the paper.
    Sum,
    /// There is none (the paper's figure 9).
    None,
}

/// The layer that applies the stride of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downsampling {
    /// A 3×3 max-pool after the separable convolutions: the paper.
    MaxPool,
    /// The last separable convolution ("aligned Xception", Dai et al. 2017).
    LastSeparable,
}

/// The pooling of the last feature map to one number for each channel. timm: `global_pool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GlobalPool {
    /// The mean of each channel: the paper.
    #[default]
    Avg,
    /// The maximum of each channel.
    Max,
    /// The mean of those two.
    AvgMax,
}

impl GlobalPool {
    /// `[N, C, h, w]` to `[N, C]` of `kind`.
    pub(crate) fn apply(self, features: &Tensor, kind: Kind) -> Tensor {
        let axes = [2_i64, 3];
        let mean = || features.mean_dim(axes.as_slice(), false, kind);
        let maximum = || features.amax(axes.as_slice(), false).to_kind(kind);
        match self {
            GlobalPool::Avg => mean(),
            GlobalPool::Max => maximum(),
            GlobalPool::AvgMax => (mean() + maximum()) * 0.5,
        }
    }
}

/// The weights of repeated modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MiddleWeights {
    /// Each module has its own: the paper.
    Separate,
    /// One module is applied again and again.
    Shared,
}

/// The layers of a shortcut that changes the shape, besides its 1×1 convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// Batch normalisation, no bias: the paper.
    Normalized,
    /// A bias, no normalisation.
    Biased,
    /// Neither.
    Bare,
}

impl Projection {
    /// Whether the convolution has a bias.
    #[must_use]
    pub fn bias(self) -> bool {
        self == Projection::Biased
    }
}

/// The value that a shortcut reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipFrom {
    /// The module's input: the paper.
    Input,
    /// The input after the opening normalisation and activation. Networks with [`NormPlace::Before`] are like this, and
    /// those in whose original code an in-place ReLU changes the input before the shortcut reads it.
    Activated,
}

/// Fully connected layers before the head, each with a ReLU (the paper's section 4.2 and table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullyConnected {
    /// Number of layers; the paper has 2.
    pub layers: usize,
    /// Outputs of each layer; the paper has 4096.
    pub width: i64,
}
