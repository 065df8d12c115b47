//! The rows of the table: a stem convolution, a residual module, the middle flow, the last separable convolutions.

use sepconv::{
    Activation, Conv2dConfig, Init, Padding, PointwiseConv2dConfig, SeparableConv2dConfig,
};

use super::Architecture;
use crate::vocabulary::{Downsampling, MiddleWeights, Norm, Shortcut};

/// One 3×3 convolution of the stem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StemConv {
    /// Output channels.
    pub c_out: i64,
    /// Pixels between two outputs, along both axes.
    pub stride: i64,
    /// Zeros on each side.
    pub padding: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// The normalisation after the convolution.
    pub norm: Norm,
    /// The activation after the normalisation.
    pub activation: Activation,
}

impl StemConv {
    /// The options of the convolution, with the weights drawn from `init`.
    pub(crate) fn config(&self, init: Init) -> Conv2dConfig {
        Conv2dConfig {
            stride: self.stride,
            padding: Padding::Explicit(self.padding),
            bias: self.bias,
            init,
            ..Conv2dConfig::default()
        }
    }
}

/// A residual module: separable convolutions with ReLU between them, and a shortcut around them.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualRow {
    /// Output channels of each separable convolution.
    pub widths: Vec<i64>,
    /// Spatial downsampling factor; [`Downsampling`] says which layer applies it.
    pub stride: i64,
    /// Whether the input of this row is the last map of its size, which makes it a level of the feature pyramid. True of
    /// strided rows, and of those that [`Architecture::with_output_stride`] has dilated instead.
    pub ends_level: bool,
    /// Pixels between two taps of every depthwise kernel, along both axes; 1 is a dense kernel.
    pub dilation: i64,
    /// The activation before the first separable convolution.
    pub opens_with: Activation,
    /// The normalisation of each separable convolution.
    pub norm: Norm,
    /// The activation between the halves of each separable convolution; [`Activation::None`] leaves that to
    /// [`Architecture::separable`].
    pub within: Activation,
    /// The shortcut around the separable convolutions.
    pub shortcut: Shortcut,
}

impl ResidualRow {
    /// The paper's row: opens with ReLU, normalises each convolution, adds its input.
    #[must_use]
    pub fn new(widths: &[i64], stride: i64) -> Self {
        Self {
            widths: widths.to_vec(),
            stride,
            ends_level: stride != 1,
            dilation: 1,
            opens_with: Activation::Relu,
            norm: Norm::Batch,
            within: Activation::None,
            shortcut: Shortcut::Sum,
        }
    }

    /// Output channels of the module; 0 without any width, which [`Architecture::validate`] refuses.
    #[must_use]
    pub fn c_out(&self) -> i64 {
        self.widths.last().copied().unwrap_or(0)
    }

    /// Whether there is a shortcut that must project its `c_in` channels: the sum needs equal shapes.
    #[must_use]
    pub fn projects(&self, c_in: i64) -> bool {
        self.shortcut == Shortcut::Sum && (self.stride != 1 || c_in != self.c_out())
    }

    /// The options of the row's `index`-th separable convolution.
    pub(crate) fn separable(&self, index: usize, table: &Architecture) -> SeparableConv2dConfig {
        let is_last = index + 1 == self.widths.len();
        let mut config = table.separable;
        if is_last && table.downsampling == Downsampling::LastSeparable {
            config.stride = self.stride;
        }
        if self.dilation != 1 {
            config.dilation = self.dilation;
            config.padding = Padding::Half;
        }
        if self.within != Activation::None {
            config.between.activation = self.within;
        }
        config
    }

    /// The options of the 1×1 convolution of a shortcut that projects.
    pub(crate) fn projection(&self, table: &Architecture) -> PointwiseConv2dConfig {
        PointwiseConv2dConfig {
            stride: self.stride,
            bias: table.projection.bias(),
            init: table.init,
        }
    }

    /// The stride of the max-pool at the end of the module; 1 where there is none.
    pub(crate) fn pool_stride(&self, table: &Architecture) -> i64 {
        match table.downsampling {
            Downsampling::MaxPool => self.stride,
            Downsampling::LastSeparable => 1,
        }
    }
}

/// The middle flow: one row, repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct MiddleFlow {
    /// The module.
    pub row: ResidualRow,
    /// Number of times that it is applied.
    pub repeats: usize,
    /// Whether the repeats share their weights.
    pub weights: MiddleWeights,
}

impl MiddleFlow {
    /// Number of modules with weights of their own.
    #[must_use]
    pub fn stored(&self) -> usize {
        match self.weights {
            MiddleWeights::Separate => self.repeats,
            MiddleWeights::Shared => self.repeats.min(1),
        }
    }

    /// Number of times that the stored modules are applied, all in a row.
    pub(crate) fn passes(&self) -> usize {
        match self.weights {
            MiddleWeights::Separate => 1,
            MiddleWeights::Shared => self.repeats,
        }
    }
}

/// The last separable convolutions, which are in no module; ReLU stands between them.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitSeparables {
    /// The activation before the first.
    pub opens_with: Activation,
    /// Output channels of each.
    pub widths: Vec<i64>,
    /// The activation after the last; after the last module where there are none.
    pub closes_with: Activation,
    /// The normalisation after each.
    pub norm: Norm,
}

impl ExitSeparables {
    /// The activation before the `index`-th, from 0.
    pub(crate) fn opening(&self, index: usize) -> Activation {
        if index == 0 { self.opens_with } else { Activation::Relu }
    }
}
