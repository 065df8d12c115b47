//! The spatial half: each channel's image meets its own kernels, channels do not mix.

use std::borrow::Borrow;

use tch::{Tensor, nn};
use torch_ext::FeatureMap;

use crate::error::positive;
use crate::layer::{Layer, alone};
use crate::{Conv2d, Conv2dConfigND, Error, Init, Padding, Pair};

/// The channel groups of the spatial half.
///
/// The paper (section 1.2) sees a spectrum from regular convolution, one group, to the depthwise extreme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Groups {
    /// One group for each channel: depthwise convolution proper.
    #[default]
    PerChannel,
    /// This many groups, a divisor of `c_in`; 1 is a regular convolution.
    Count(i64),
}

impl Groups {
    /// The number of groups among `c_in` channels.
    #[must_use]
    pub fn among(self, c_in: i64) -> i64 {
        match self {
            Groups::PerChannel => c_in,
            Groups::Count(count) => count,
        }
    }
}

/// Options of [`DepthwiseConv2d`], with one number for rows and columns ([`DepthwiseConv2dConfig`]) or with two
/// (`N = [i64; 2]`).
///
/// All fields are public and may grow in number: end a literal with `..Default::default()`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthwiseConv2dConfigND<N> {
    /// Rows and columns of the kernel; 3 by default.
    pub kernel_size: N,
    /// Rows and columns between two outputs; 1 by default.
    pub stride: N,
    /// The treatment of the borders; by default an odd kernel of stride 1 keeps the size of the image.
    pub padding: Padding<N>,
    /// Rows and columns between two taps; 1 by default.
    pub dilation: N,
    /// Output channels for each input channel; 1 by default. Keras: `depth_multiplier`; PyTorch recipes:
    /// `kernels_per_layer`.
    pub depth_multiplier: i64,
    /// The channel groups, if other than one for each channel.
    pub groups: Groups,
    /// Whether a bias is added; not by default.
    pub bias: bool,
    /// The distribution of the initial weights.
    pub init: Init,
}

/// Options of [`DepthwiseConv2d`], the same for rows and columns.
pub type DepthwiseConv2dConfig = DepthwiseConv2dConfigND<i64>;

impl<N: Pair> Default for DepthwiseConv2dConfigND<N> {
    fn default() -> Self {
        let Conv2dConfigND { kernel_size, stride, padding, dilation, bias, init, .. } =
            Conv2dConfigND::default();
        Self {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier: 1,
            groups: Groups::PerChannel,
            bias,
            init,
        }
    }
}

/// A depthwise convolution.
///
/// PyTorch: `torch.nn.Conv2d(c, c * depth_multiplier, kernel_size, groups=c)`; Keras: `DepthwiseConv2D`.
///
/// On a CPU there is no second derivative.
#[derive(Debug)]
pub struct DepthwiseConv2d {
    conv: Conv2d,
}

impl DepthwiseConv2d {
    /// A layer from `c_in` to `c_in * depth_multiplier` channels, its variables `weight` and `bias` at `path`.
    ///
    /// # Errors
    /// As [`Conv2d::new`]; a depth multiplier below 1, or one that makes more channels than a number can count.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        c_in: i64,
        config: DepthwiseConv2dConfigND<impl Pair>,
    ) -> Result<Self, Error> {
        let DepthwiseConv2dConfigND {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            init,
        } = config;
        let c_out = multiplied(c_in, depth_multiplier)?;
        let groups = groups.among(c_in);
        let config = Conv2dConfigND { kernel_size, stride, padding, dilation, groups, bias, init };
        Ok(Self { conv: Conv2d::new(path, c_in, c_out, config)? })
    }

    pub(crate) fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The kernels, `[c_in * depth_multiplier, c_in / groups, kh, kw]`.
    pub fn weight(&self) -> &Tensor {
        &self.conv.weight
    }

    /// The bias, `[c_in * depth_multiplier]`.
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor> {
        self.conv.bias.as_ref()
    }
}

/// The output channels of a depthwise convolution of `c_in` channels.
pub(crate) fn multiplied(c_in: i64, depth_multiplier: i64) -> Result<i64, Error> {
    positive("depth_multiplier", depth_multiplier)?;
    c_in.checked_mul(depth_multiplier).ok_or(Error::TooManyChannels { c_in, depth_multiplier })
}

impl Layer for DepthwiseConv2d {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        self.conv.forward_map(xs, train)
    }
}

impl nn::Module for DepthwiseConv2d {
    /// `[N, c_in, H, W]` to `[N, c_in * depth_multiplier, H', W']`, in the kind and layout of `xs`.
    ///
    /// # Panics
    /// As [`Layer::forward_map`].
    fn forward(&self, xs: &Tensor) -> Tensor {
        alone(self, xs, false)
    }
}
