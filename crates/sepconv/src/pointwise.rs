//! The channel half: a 1×1 convolution, which is a matrix product at every pixel.

use std::borrow::Borrow;

use tch::{Tensor, nn};
use torch_ext::FeatureMap;

use crate::layer::{Layer, alone};
use crate::{Conv2d, Conv2dConfigND, Error, Init, Padding, Pair};

/// Options of [`PointwiseConv2d`], with one number for rows and columns ([`PointwiseConv2dConfig`]) or with two
/// (`N = [i64; 2]`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointwiseConv2dConfigND<N> {
    /// Rows and columns between two pixels that are read; 1 by default, 2 on the projecting shortcuts of Xception.
    pub stride: N,
    /// Whether a bias is added; not by default.
    pub bias: bool,
    /// The distribution of the initial weights.
    pub init: Init,
}

/// Options of [`PointwiseConv2d`], the same for rows and columns.
pub type PointwiseConv2dConfig = PointwiseConv2dConfigND<i64>;

impl<N: Pair> Default for PointwiseConv2dConfigND<N> {
    fn default() -> Self {
        Self { stride: N::both(1), bias: false, init: Init::PyTorch }
    }
}

/// A pointwise convolution. PyTorch: `torch.nn.Conv2d(c_in, c_out, kernel_size=1)`.
///
/// On a CPU there is no second derivative.
#[derive(Debug)]
pub struct PointwiseConv2d {
    conv: Conv2d,
}

impl PointwiseConv2d {
    /// A layer from `c_in` to `c_out` channels, its variables `weight` and `bias` at `path`.
    ///
    /// # Errors
    /// As [`Conv2d::new`].
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        c_in: i64,
        c_out: i64,
        config: PointwiseConv2dConfigND<impl Pair>,
    ) -> Result<Self, Error> {
        let PointwiseConv2dConfigND { stride, bias, init } = config;
        let config = Conv2dConfigND {
            kernel_size: [1, 1],
            stride: stride.pair(),
            padding: Padding::VALID,
            bias,
            init,
            ..Default::default()
        };
        Ok(Self { conv: Conv2d::new(path, c_in, c_out, config)? })
    }

    pub(crate) fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The mixing matrix, `[c_out, c_in, 1, 1]`.
    pub fn weight(&self) -> &Tensor {
        &self.conv.weight
    }

    /// The bias, `[c_out]`.
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor> {
        self.conv.bias.as_ref()
    }
}

impl Layer for PointwiseConv2d {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        self.conv.forward_map(xs, train)
    }
}

impl nn::Module for PointwiseConv2d {
    /// `[N, c_in, H, W]` to `[N, c_out, H', W']`, in the kind and layout of `xs`.
    ///
    /// # Panics
    /// As [`Layer::forward_map`].
    fn forward(&self, xs: &Tensor) -> Tensor {
        alone(self, xs, false)
    }
}
