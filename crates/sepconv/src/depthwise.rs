//! The spatial half: each channel's image meets its own kernels, channels do not mix.

use tch::{Tensor, nn};
use torch_ext::FeatureMap;

use crate::layer::{Layer, module_of_layer};
use crate::{Conv2d, Conv2dConfig, Error, Init, Padding, error::positive};

/// How many channel groups the spatial half has.
///
/// The paper (section 1.2) sees a spectrum from regular convolution, one group, to the depthwise extreme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Groups {
    /// One group a channel: depthwise convolution proper.
    #[default]
    PerChannel,
    /// This many groups, a divisor of `c_in`; 1 is a regular convolution.
    Count(i64),
}

impl Groups {
    /// The number of groups among `c_in` channels.
    pub fn among(self, c_in: i64) -> i64 {
        match self {
            Groups::PerChannel => c_in,
            Groups::Count(count) => count,
        }
    }
}

/// Options of [`DepthwiseConv2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthwiseConv2dConfig {
    /// Rows and columns of the kernel.
    pub kernel_size: [i64; 2],
    /// Rows and columns between two outputs.
    pub stride: [i64; 2],
    /// How the borders are treated.
    pub padding: Padding,
    /// Rows and columns between two taps.
    pub dilation: [i64; 2],
    /// Output channels for each input channel (PyTorch recipes call it `kernels_per_layer`).
    pub depth_multiplier: i64,
    /// How far channels mix after all.
    pub groups: Groups,
    /// Whether a bias is added.
    pub bias: bool,
    /// Where training starts.
    pub init: Init,
}

impl Default for DepthwiseConv2dConfig {
    fn default() -> Self {
        let Conv2dConfig { kernel_size, stride, padding, dilation, bias, init, .. } =
            Conv2dConfig::default();
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
#[derive(Debug)]
pub struct DepthwiseConv2d {
    conv: Conv2d,
}

impl DepthwiseConv2d {
    /// A layer from `c_in` to `c_in * depth_multiplier` channels; `weight` and `bias` at `path`.
    pub fn new(path: &nn::Path, c_in: i64, config: DepthwiseConv2dConfig) -> Result<Self, Error> {
        let DepthwiseConv2dConfig {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            init,
        } = config;
        positive("depth_multiplier", depth_multiplier)?;
        let groups = groups.among(c_in);
        let config = Conv2dConfig { kernel_size, stride, padding, dilation, groups, bias, init };
        Ok(Self { conv: Conv2d::new(path, c_in, c_in * depth_multiplier, config)? })
    }

    pub(crate) fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The kernels, `[c_in * depth_multiplier, c_in / groups, kh, kw]`.
    pub fn weight(&self) -> &Tensor {
        &self.conv.weight
    }

    /// The bias, `[c_in * depth_multiplier]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.conv.bias.as_ref()
    }
}

impl Layer for DepthwiseConv2d {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        self.conv.forward_map(xs, train)
    }
}

module_of_layer!(DepthwiseConv2d);
