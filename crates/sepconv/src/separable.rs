//! The two halves in a row, with an optional normalisation and activation after each.

use std::borrow::Borrow;

use tch::{Tensor, nn};
use torch_ext::FeatureMap;

use crate::depthwise::multiplied;
use crate::layer::{Chain, Layer, alone};
use crate::{
    Activation, BatchNorm2d, BatchNormConfig, DepthwiseConv2d, DepthwiseConv2dConfigND, Error,
    Groups, Init, Padding, Pair, PointwiseConv2d, PointwiseConv2dConfig,
};

/// The order of the two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Space, then channels: the usual order, and that of Xception.
    #[default]
    DepthwiseFirst,
    /// Channels, then space: the "extreme Inception" side of the paper's figure 4.
    PointwiseFirst,
}

/// The names of the halves' variables: names are the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HalfNames {
    /// `conv1` and `pointwise`, as in Cadene's published Xception checkpoint.
    #[default]
    Cadene,
    /// `conv_dw` and `conv_pw`, as in timm's aligned networks.
    Timm,
}

impl HalfNames {
    /// The names of the depthwise and of the pointwise half.
    #[must_use]
    pub fn names(self) -> [&'static str; 2] {
        match self {
            HalfNames::Cadene => ["conv1", "pointwise"],
            HalfNames::Timm => ["conv_dw", "conv_pw"],
        }
    }
}

/// An optional normalisation followed by an optional activation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NormAct {
    /// Batch normalisation, if any.
    pub norm: Option<BatchNormConfig>,
    /// The activation after it.
    pub activation: Activation,
}

/// Options of [`SeparableConv2d`], with one number for rows and columns ([`SeparableConv2dConfig`]) or with two
/// (`N = [i64; 2]`). The spatial ones belong to the depthwise half.
///
/// All fields are public and may grow in number: end a literal with `..Default::default()`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeparableConv2dConfigND<N> {
    /// Rows and columns of the depthwise kernel; 3 by default.
    pub kernel_size: N,
    /// Rows and columns between two outputs; 1 by default.
    pub stride: N,
    /// The treatment of the borders; by default an odd kernel of stride 1 keeps the size of the image.
    pub padding: Padding<N>,
    /// Rows and columns between two taps; 1 by default.
    pub dilation: N,
    /// Depthwise outputs for each of its input channels; 1 by default.
    pub depth_multiplier: i64,
    /// The channel groups of the depthwise half, if other than one for each channel.
    pub groups: Groups,
    /// Whether both halves add a bias; not by default.
    pub bias: bool,
    /// The order of the halves.
    pub order: Order,
    /// Normalisation and activation between the halves; the paper finds none to be best (figure 10).
    pub between: NormAct,
    /// Normalisation and activation after the second half.
    pub after: NormAct,
    /// The distribution of the initial weights.
    pub init: Init,
    /// The names of the halves' variables.
    pub names: HalfNames,
}

/// Options of [`SeparableConv2d`], the same for rows and columns.
pub type SeparableConv2dConfig = SeparableConv2dConfigND<i64>;

impl<N: Pair> Default for SeparableConv2dConfigND<N> {
    fn default() -> Self {
        let DepthwiseConv2dConfigND {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            init,
        } = DepthwiseConv2dConfigND::default();
        Self {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            order: Order::DepthwiseFirst,
            between: NormAct::default(),
            after: NormAct::default(),
            init,
            names: HalfNames::default(),
        }
    }
}

/// A depthwise separable convolution. Keras: `SeparableConv2D`.
///
/// Variables, under `path`: those of the halves by their [`HalfNames`] (`conv1.*`, `pointwise.*`), and for each half's
/// normalisation `bn_dw.*` and `bn_pw.*`. On a CPU there is no second derivative.
#[derive(Debug)]
pub struct SeparableConv2d {
    depthwise: DepthwiseConv2d,
    depthwise_norm: Option<BatchNorm2d>,
    pointwise: PointwiseConv2d,
    pointwise_norm: Option<BatchNorm2d>,
    order: Order,
    between: NormAct,
    after: NormAct,
}

impl SeparableConv2d {
    /// A layer from `c_in` to `c_out` channels; with the pointwise half first, `c_out` is a multiple of the
    /// `depth_multiplier`.
    ///
    /// # Errors
    /// As [`DepthwiseConv2d::new`] and [`BatchNorm2d::new`]; a `c_out` that is no such multiple.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        c_in: i64,
        c_out: i64,
        config: SeparableConv2dConfigND<impl Pair>,
    ) -> Result<Self, Error> {
        let path = path.borrow();
        let SeparableConv2dConfigND {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            order,
            between,
            after,
            init,
            names,
        } = config;
        let multiplied_in = multiplied(c_in, depth_multiplier)?;
        let (depthwise_in, pointwise_in, pointwise_out) = match order {
            Order::DepthwiseFirst => (c_in, multiplied_in, c_out),
            Order::PointwiseFirst if c_out % depth_multiplier != 0 => {
                return Err(Error::Groups {
                    name: "c_out",
                    channels: c_out,
                    groups: depth_multiplier,
                });
            }
            Order::PointwiseFirst => (c_out / depth_multiplier, c_in, c_out / depth_multiplier),
        };
        let (after_depthwise, after_pointwise) = match order {
            Order::DepthwiseFirst => (between, after),
            Order::PointwiseFirst => (after, between),
        };
        let depthwise = DepthwiseConv2dConfigND {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            init,
        };
        let pointwise = PointwiseConv2dConfig { bias, init, ..Default::default() };
        let norm = |name: &str, part: NormAct, channels| {
            part.norm.map(|norm| BatchNorm2d::new(path / name, channels, norm)).transpose()
        };
        let [depthwise_name, pointwise_name] = names.names();
        let depthwise = DepthwiseConv2d::new(path / depthwise_name, depthwise_in, depthwise)?;
        let depthwise_norm = norm("bn_dw", after_depthwise, depthwise.weight().size()[0])?;
        let pointwise =
            PointwiseConv2d::new(path / pointwise_name, pointwise_in, pointwise_out, pointwise)?;
        let pointwise_norm = norm("bn_pw", after_pointwise, pointwise_out)?;
        Ok(Self { depthwise, depthwise_norm, pointwise, pointwise_norm, order, between, after })
    }

    /// The spatial half.
    #[must_use]
    pub fn depthwise(&self) -> &DepthwiseConv2d {
        &self.depthwise
    }

    /// The channel half.
    #[must_use]
    pub fn pointwise(&self) -> &PointwiseConv2d {
        &self.pointwise
    }

    pub(crate) fn depthwise_norm(&self) -> Option<&BatchNorm2d> {
        self.depthwise_norm.as_ref()
    }

    pub(crate) fn pointwise_norm(&self) -> Option<&BatchNorm2d> {
        self.pointwise_norm.as_ref()
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// The activations between the halves and after the second.
    pub(crate) fn activations(&self) -> [Activation; 2] {
        [self.between.activation, self.after.activation]
    }
}

impl Layer for SeparableConv2d {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        let depthwise = |xs: FeatureMap, part: NormAct| {
            let ys = xs.through(&self.depthwise, train).through(&self.depthwise_norm, train);
            part.activation.on(ys)
        };
        let pointwise = |xs: FeatureMap, part: NormAct| {
            let ys = xs.through(&self.pointwise, train).through(&self.pointwise_norm, train);
            part.activation.on(ys)
        };
        match self.order {
            Order::DepthwiseFirst => pointwise(depthwise(xs, self.between), self.after),
            Order::PointwiseFirst => depthwise(pointwise(xs, self.between), self.after),
        }
    }
}

impl nn::ModuleT for SeparableConv2d {
    /// `[N, c_in, H, W]` to `[N, c_out, H', W']`, in the kind and layout of `xs`.
    ///
    /// # Panics
    /// As [`Layer::forward_map`].
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        alone(self, xs, train)
    }
}

#[cfg(test)]
mod tests;
