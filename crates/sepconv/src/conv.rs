//! The convolution under every layer here: any geometry, TensorFlow's padding too, and a stated initialisation.

use std::borrow::Borrow;

use tch::{Tensor, nn};
use torch_ext::{DepthwiseGeometry, FeatureMap, depthwise_conv2d, in_kind, pointwise_conv2d};

use crate::error::{free, positive};
use crate::layer::{Layer, alone, expect_images};
use crate::{Error, Init, Padding, Pair};

/// Options of [`Conv2d`], with one number for rows and columns (`N = i64`, which is [`Conv2dConfig`]) or with two
/// (`N = [i64; 2]`). tch: `ConvConfigND`.
///
/// All fields are public and may grow in number: end a literal with `..Default::default()`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dConfigND<N> {
    /// Rows and columns of the kernel; 3 by default.
    pub kernel_size: N,
    /// Rows and columns between two outputs; 1 by default.
    pub stride: N,
    /// The treatment of the borders; by default an odd kernel of stride 1 keeps the size of the image.
    pub padding: Padding<N>,
    /// Rows and columns between two taps; 1 by default.
    pub dilation: N,
    /// Channel groups that do not mix; 1 by default.
    pub groups: i64,
    /// Whether a bias is added; not by default, since a normalisation usually follows.
    pub bias: bool,
    /// The distribution of the initial weights.
    pub init: Init,
}

/// Options of [`Conv2d`], the same for rows and columns.
pub type Conv2dConfig = Conv2dConfigND<i64>;

impl<N: Pair> Default for Conv2dConfigND<N> {
    fn default() -> Self {
        Self {
            kernel_size: N::both(3),
            stride: N::both(1),
            padding: Padding::Half,
            dilation: N::both(1),
            groups: 1,
            bias: false,
            init: Init::PyTorch,
        }
    }
}

impl<N: Pair> Conv2dConfigND<N> {
    /// The same options, with rows and columns apart.
    #[must_use]
    pub fn pairs(self) -> Conv2dConfigND<[i64; 2]> {
        let Self { kernel_size, stride, padding, dilation, groups, bias, init } = self;
        Conv2dConfigND {
            kernel_size: kernel_size.pair(),
            stride: stride.pair(),
            padding: padding.pairs(),
            dilation: dilation.pair(),
            groups,
            bias,
            init,
        }
    }
}

/// A convolution. PyTorch: `torch.nn.Conv2d`.
///
/// On a CPU there is no second derivative where the convolution is depthwise (a group for each channel) or pointwise
/// (a kernel of one pixel, not padded).
#[derive(Debug)]
pub struct Conv2d {
    /// `[c_out, c_in / groups, kh, kw]`.
    pub weight: Tensor,
    /// `[c_out]`.
    pub bias: Option<Tensor>,
    config: Conv2dConfigND<[i64; 2]>,
}

impl Conv2d {
    /// A layer from `c_in` to `c_out` channels, its variables `weight` and `bias` at `path`.
    ///
    /// # Errors
    /// A number below 1, padding below 0, channels that do not divide into the groups, or a path that is taken.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        c_in: i64,
        c_out: i64,
        config: Conv2dConfigND<impl Pair>,
    ) -> Result<Self, Error> {
        let (path, config) = (path.borrow(), config.pairs());
        let Conv2dConfigND { kernel_size, stride, padding, dilation, groups, bias, init } = config;
        positive("c_in", c_in)?;
        positive("c_out", c_out)?;
        positive("groups", groups)?;
        for (name, pair) in
            [("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)]
        {
            pair.into_iter().try_for_each(|value| positive(name, value))?;
        }
        padding.validate()?;
        for (name, channels) in [("c_in", c_in), ("c_out", c_out)] {
            if channels % groups != 0 {
                return Err(Error::Groups { name, channels, groups });
            }
        }
        free(path, if bias { &["weight", "bias"] } else { &["weight"] })?;
        let [kh, kw] = kernel_size;
        let shape = [c_out, c_in / groups, kh, kw];
        Ok(Self {
            weight: init.weight(path, "weight", &shape),
            bias: bias.then(|| init.bias(path, "bias", c_out, shape[1..].iter().product())),
            config,
        })
    }

    /// The options that the layer was built with.
    #[must_use]
    pub fn config(&self) -> Conv2dConfigND<[i64; 2]> {
        self.config
    }
}

impl Layer for Conv2d {
    fn forward_map(&self, xs: FeatureMap, _train: bool) -> FeatureMap {
        let Conv2dConfigND { kernel_size, stride, padding, dilation, groups, .. } = self.config;
        expect_images(&xs, self.weight.size()[1] * groups, &self.weight);
        let (xs, padding) = padding.symmetric(xs, kernel_size, stride, dilation);
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        let ys = if groups > 1 {
            let geometry = DepthwiseGeometry { stride, padding, dilation, groups };
            depthwise_conv2d(&xs, weight, bias, geometry)
        } else if kernel_size == [1, 1] && padding == [0, 0] {
            pointwise_conv2d(&xs, weight, bias, stride)
        } else {
            let xs = xs.resolve();
            let bias = bias.map(|bias| in_kind(bias, xs.kind()));
            let weight = in_kind(weight, xs.kind());
            xs.conv2d(&weight, bias.as_ref(), stride, padding, dilation, groups)
        };
        ys.into()
    }
}

impl nn::Module for Conv2d {
    /// `[N, c_in, H, W]` to `[N, c_out, H', W']`, in the kind and layout of `xs`.
    ///
    /// # Panics
    /// As [`Layer::forward_map`].
    fn forward(&self, xs: &Tensor) -> Tensor {
        alone(self, xs, false)
    }
}
