//! The convolution under every layer here: any geometry, TensorFlow's padding too, and a stated initialisation.

use tch::{Tensor, nn};
use torch_ext::{DepthwiseGeometry, FeatureMap, depthwise_conv2d, pointwise_conv2d};

use crate::layer::{Layer, module_of_layer};
use crate::{Error, Init, Padding, error::positive};

/// Options of [`Conv2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dConfig {
    /// Rows and columns of the kernel.
    pub kernel_size: [i64; 2],
    /// Rows and columns between two outputs.
    pub stride: [i64; 2],
    /// How the borders are treated.
    pub padding: Padding,
    /// Rows and columns between two taps.
    pub dilation: [i64; 2],
    /// Channel groups that do not see each other.
    pub groups: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// Where training starts.
    pub init: Init,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            kernel_size: [3, 3],
            stride: [1, 1],
            padding: Padding::VALID,
            dilation: [1, 1],
            groups: 1,
            bias: false,
            init: Init::PyTorch,
        }
    }
}

/// A convolution. PyTorch: `torch.nn.Conv2d`.
#[derive(Debug)]
pub struct Conv2d {
    /// `[c_out, c_in / groups, kh, kw]`.
    pub weight: Tensor,
    /// `[c_out]`.
    pub bias: Option<Tensor>,
    /// What it was built with.
    pub config: Conv2dConfig,
}

impl Conv2d {
    /// A layer from `c_in` to `c_out` channels, its variables `weight` and `bias` at `path`.
    pub fn new(
        path: &nn::Path,
        c_in: i64,
        c_out: i64,
        config: Conv2dConfig,
    ) -> Result<Self, Error> {
        let Conv2dConfig { kernel_size: [kh, kw], stride, padding, dilation, groups, bias, init } =
            config;
        positive("c_in", c_in)?;
        positive("c_out", c_out)?;
        positive("groups", groups)?;
        for (name, pair) in [("kernel_size", [kh, kw]), ("stride", stride), ("dilation", dilation)]
        {
            pair.into_iter().try_for_each(|value| positive(name, value))?;
        }
        padding.validate()?;
        for (name, channels) in [("c_in", c_in), ("c_out", c_out)] {
            if channels % groups != 0 {
                return Err(Error::Groups { name, channels, groups });
            }
        }
        let shape = [c_out, c_in / groups, kh, kw];
        Ok(Self {
            weight: init.weight(path, "weight", &shape),
            bias: bias.then(|| init.bias(path, "bias", c_out, shape[1..].iter().product())),
            config,
        })
    }
}

impl Layer for Conv2d {
    fn forward_map(&self, xs: FeatureMap, _train: bool) -> FeatureMap {
        let Conv2dConfig { kernel_size, stride, padding, dilation, groups, .. } = self.config;
        let (size, c_in) = (xs.size(), self.weight.size()[1] * groups);
        assert!(
            size.len() == 4 && size[1] == c_in,
            "expected images [N, {c_in}, H, W], got {size:?}; the weight is {:?} in {groups} groups",
            self.weight.size()
        );
        let (xs, padding) = padding.symmetric(xs, kernel_size, stride, dilation);
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        let ys = if groups > 1 {
            let geometry = DepthwiseGeometry { stride, padding, dilation, groups };
            depthwise_conv2d(&xs, weight, bias, geometry)
        } else if kernel_size == [1, 1] && padding == [0, 0] {
            pointwise_conv2d(&xs, weight, bias, stride)
        } else {
            let xs = xs.resolve();
            let bias = bias.map(|bias| in_kind_of(&xs, bias));
            xs.conv2d(&in_kind_of(&xs, weight), bias.as_ref(), stride, padding, dilation, groups)
        };
        ys.into()
    }
}

module_of_layer!(Conv2d);

/// `weight` cast to the kind of `xs`, differentiably, or itself where the kinds agree.
fn in_kind_of(xs: &Tensor, weight: &Tensor) -> Tensor {
    if xs.kind() == weight.kind() { weight.shallow_clone() } else { weight.to_kind(xs.kind()) }
}
