//! The channel half: a 1×1 convolution, which is a matrix product at every pixel.

use tch::{Tensor, nn};
use torch_ext::{Factors, FeatureMap, PackedConv};

use crate::layer::{Layer, module_of_layer};
use crate::{BatchNorm2d, Conv2d, Conv2dConfig, Error, Init};

/// Options of [`PointwiseConv2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointwiseConv2dConfig {
    /// Rows and columns between two pixels that are looked at: 2 on the projecting shortcuts.
    pub stride: [i64; 2],
    /// Whether a bias is added.
    pub bias: bool,
    /// Where training starts.
    pub init: Init,
}

impl Default for PointwiseConv2dConfig {
    fn default() -> Self {
        Self { stride: [1, 1], bias: false, init: Init::PyTorch }
    }
}

/// A pointwise convolution. PyTorch: `torch.nn.Conv2d(c_in, c_out, kernel_size=1)`.
#[derive(Debug)]
pub struct PointwiseConv2d {
    conv: Conv2d,
}

impl PointwiseConv2d {
    /// A layer from `c_in` to `c_out` channels; `weight` and `bias` at `path`.
    pub fn new(
        path: &nn::Path,
        c_in: i64,
        c_out: i64,
        config: PointwiseConv2dConfig,
    ) -> Result<Self, Error> {
        let PointwiseConv2dConfig { stride, bias, init } = config;
        let config = Conv2dConfig { kernel_size: [1, 1], stride, bias, init, ..Default::default() };
        Ok(Self { conv: Conv2d::new(path, c_in, c_out, config)? })
    }

    /// This layer and `norm` after it as one, for inference; see [`Conv2d::packed`].
    pub fn packed(&self, norm: Option<&BatchNorm2d>, factors: Factors) -> Option<PackedConv> {
        self.conv.packed(norm, factors)
    }

    pub(crate) fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The mixing matrix, `[c_out, c_in, 1, 1]`.
    pub fn weight(&self) -> &Tensor {
        &self.conv.weight
    }

    /// The bias, `[c_out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.conv.bias.as_ref()
    }
}

impl Layer for PointwiseConv2d {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        self.conv.forward_map(xs, train)
    }
}

module_of_layer!(PointwiseConv2d);
