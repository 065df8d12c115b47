//! The two halves in a row, with what may stand between and after them.

use tch::nn;
use torch_ext::FeatureMap;

use crate::layer::{Chain, Layer, module_of_layer};
use crate::{
    Activation, BatchNorm2d, BatchNormConfig, DepthwiseConv2d, DepthwiseConv2dConfig, Error,
    Groups, Init, Padding, PointwiseConv2d, PointwiseConv2dConfig,
};

/// Which half comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Space, then channels: the usual order, and that of Xception.
    #[default]
    DepthwiseFirst,
    /// Channels, then space: the "extreme Inception" side of the paper's figure 4.
    PointwiseFirst,
}

/// What the variables of the two halves are called: names are the file format.
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

/// Options of [`SeparableConv2d`]. The spatial ones belong to the depthwise half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeparableConv2dConfig {
    /// Rows and columns of the depthwise kernel.
    pub kernel_size: [i64; 2],
    /// Rows and columns between two outputs.
    pub stride: [i64; 2],
    /// How the borders are treated.
    pub padding: Padding,
    /// Rows and columns between two taps.
    pub dilation: [i64; 2],
    /// Depthwise outputs for each of its input channels.
    pub depth_multiplier: i64,
    /// How far the depthwise half mixes channels.
    pub groups: Groups,
    /// Whether both halves add a bias.
    pub bias: bool,
    /// Which half comes first.
    pub order: Order,
    /// What stands between the halves; the paper finds nothing to be best (figure 10).
    pub between: NormAct,
    /// What stands after the second half.
    pub after: NormAct,
    /// Where training starts.
    pub init: Init,
    /// What the halves' variables are called.
    pub names: HalfNames,
}

impl Default for SeparableConv2dConfig {
    fn default() -> Self {
        let DepthwiseConv2dConfig {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            init,
        } = DepthwiseConv2dConfig::default();
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
/// normalisation `bn_dw.*` and `bn_pw.*`.
#[derive(Debug)]
pub struct SeparableConv2d {
    depthwise: DepthwiseConv2d,
    depthwise_norm: Option<BatchNorm2d>,
    pointwise: PointwiseConv2d,
    pointwise_norm: Option<BatchNorm2d>,
    /// What it was built with.
    pub config: SeparableConv2dConfig,
}

impl SeparableConv2d {
    /// A layer from `c_in` to `c_out` channels; with the pointwise half first, `c_out` must count the
    /// `depth_multiplier` in.
    pub fn new(
        path: &nn::Path,
        c_in: i64,
        c_out: i64,
        config: SeparableConv2dConfig,
    ) -> Result<Self, Error> {
        let SeparableConv2dConfig {
            kernel_size,
            stride,
            padding,
            dilation,
            depth_multiplier,
            groups,
            bias,
            init,
            ..
        } = config;
        crate::error::positive("depth_multiplier", depth_multiplier)?;
        let (depthwise_in, pointwise_in, pointwise_out) = match config.order {
            Order::DepthwiseFirst => (c_in, c_in * depth_multiplier, c_out),
            Order::PointwiseFirst if c_out % depth_multiplier != 0 => {
                return Err(Error::Groups {
                    name: "c_out",
                    channels: c_out,
                    groups: depth_multiplier,
                });
            }
            Order::PointwiseFirst => (c_out / depth_multiplier, c_in, c_out / depth_multiplier),
        };
        let (after_depthwise, after_pointwise) = match config.order {
            Order::DepthwiseFirst => (config.between, config.after),
            Order::PointwiseFirst => (config.after, config.between),
        };
        let depthwise = DepthwiseConv2dConfig {
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
            part.norm.map(|norm| BatchNorm2d::new(&(path / name), channels, norm)).transpose()
        };
        let [depthwise_name, pointwise_name] = config.names.names();
        Ok(Self {
            depthwise: DepthwiseConv2d::new(&(path / depthwise_name), depthwise_in, depthwise)?,
            depthwise_norm: norm("bn_dw", after_depthwise, depthwise_in * depth_multiplier)?,
            pointwise: PointwiseConv2d::new(
                &(path / pointwise_name),
                pointwise_in,
                pointwise_out,
                pointwise,
            )?,
            pointwise_norm: norm("bn_pw", after_pointwise, pointwise_out)?,
            config,
        })
    }

    /// The spatial half.
    pub fn depthwise(&self) -> &DepthwiseConv2d {
        &self.depthwise
    }

    pub(crate) fn depthwise_norm(&self) -> Option<&BatchNorm2d> {
        self.depthwise_norm.as_ref()
    }

    pub(crate) fn pointwise_norm(&self) -> Option<&BatchNorm2d> {
        self.pointwise_norm.as_ref()
    }

    /// The channel half.
    pub fn pointwise(&self) -> &PointwiseConv2d {
        &self.pointwise
    }
}

impl Layer for SeparableConv2d {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        let SeparableConv2dConfig { order, between, after, .. } = self.config;
        let depthwise = |xs: FeatureMap, part: NormAct| {
            let ys = xs.through(&self.depthwise, train).through(&self.depthwise_norm, train);
            part.activation.on(ys)
        };
        let pointwise = |xs: FeatureMap, part: NormAct| {
            let ys = xs.through(&self.pointwise, train).through(&self.pointwise_norm, train);
            part.activation.on(ys)
        };
        match order {
            Order::DepthwiseFirst => pointwise(depthwise(xs, between), after),
            Order::PointwiseFirst => depthwise(pointwise(xs, between), after),
        }
    }
}

module_of_layer!(SeparableConv2d);

#[cfg(test)]
mod tests;
