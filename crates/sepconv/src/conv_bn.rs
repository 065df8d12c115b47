//! A convolution, the normalisation after it, and the name of both: what most layers of a network are.

use std::fmt::Debug;

use tch::{Tensor, nn};
use torch_ext::FeatureMap;

use crate::layer::{Chain, Layer, alone};
use crate::{
    BatchNorm2d, Conv2d, Folded, FoldedSeparable, PackError, PointwiseConv2d, SeparableConv2d,
};

/// A convolution and the optional normalisation after it, under the convolution's name in the network.
///
/// `C` is [`Conv2d`], [`PointwiseConv2d`], [`SeparableConv2d`] or any other [`Layer`]. Whatever walks through a network
/// (a forward pass, a table of times, an export) asks the layer for its name.
#[derive(Debug)]
pub struct ConvBn<C> {
    /// The name of the convolution's variables below the network's own path, such as `block2.rep.1`.
    pub name: String,
    /// The convolution.
    pub conv: C,
    /// The normalisation after it.
    pub norm: Option<BatchNorm2d>,
}

impl<C> ConvBn<C> {
    /// `conv` and then `norm`, called `name`.
    #[must_use]
    pub fn new(name: impl Into<String>, conv: C, norm: Option<BatchNorm2d>) -> Self {
        Self { name: name.into(), conv, norm }
    }
}

impl ConvBn<Conv2d> {
    /// The two as one convolution, in evaluation mode.
    #[must_use]
    pub fn folded(&self) -> Folded {
        self.conv.folded(self.norm.as_ref())
    }
}

impl ConvBn<PointwiseConv2d> {
    /// The two as one convolution, in evaluation mode.
    #[must_use]
    pub fn folded(&self) -> Folded {
        self.conv.folded(self.norm.as_ref())
    }
}

impl ConvBn<SeparableConv2d> {
    /// The two as one separable convolution, in evaluation mode.
    ///
    /// # Errors
    /// As [`SeparableConv2d::folded`].
    pub fn folded(&self) -> Result<FoldedSeparable, PackError> {
        self.conv.folded(self.norm.as_ref())
    }
}

impl<C: Layer> Layer for ConvBn<C> {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        xs.through(&self.conv, train).through(&self.norm, train)
    }
}

impl<C: Layer + Debug + Send> nn::ModuleT for ConvBn<C> {
    /// `[N, c_in, H, W]` to `[N, c_out, H', W']`, in the kind and layout of `xs`.
    ///
    /// # Panics
    /// As [`Layer::forward_map`].
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        alone(self, xs, train)
    }
}
