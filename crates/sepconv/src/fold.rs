//! Folding and packing for inference: a normalisation becomes part of the convolution before it, and the weights are
//! laid out once for the packed kernel.

mod error;

use tch::Tensor;
use torch_ext::{DepthwiseHalf, Factors, PackedConv, PackedConvConfig};

use crate::{
    Activation, BatchNorm2d, Conv2d, Conv2dConfigND, Order, Padding, PointwiseConv2d,
    SeparableConv2d,
};

pub use error::PackError;

/// A convolution with normalisations folded in, and everything that it takes to run it anywhere.
#[derive(Debug)]
pub struct Folded {
    /// `[c_out, c_in / groups, kh, kw]`.
    pub weight: Tensor,
    /// `[c_out]`; zeros where neither the convolution nor a normalisation adds anything.
    pub bias: Tensor,
    /// Its geometry.
    pub config: Conv2dConfigND<[i64; 2]>,
}

/// A separable convolution with normalisations folded into its halves, the depthwise one first.
#[derive(Debug)]
pub struct FoldedSeparable {
    /// The spatial half.
    pub depthwise: Folded,
    /// The activation between the halves.
    pub between: Activation,
    /// The channel half.
    pub pointwise: Folded,
}

impl Folded {
    fn of(conv: &Conv2d) -> Self {
        let weight = conv.weight.detach();
        let bias = conv.bias.as_ref().map(Tensor::detach);
        let none = || Tensor::zeros([weight.size()[0]], (weight.kind(), weight.device()));
        Self { bias: bias.unwrap_or_else(none), weight, config: conv.config() }
    }

    /// This convolution and `norm` after it as one, in evaluation mode, without gradients.
    ///
    /// # Panics
    /// A `norm` of another number of channels.
    #[must_use]
    pub fn then(self, norm: &BatchNorm2d) -> Self {
        tch::no_grad(|| self.normalized(norm))
    }

    /// `scale * (conv + bias - mean) + shift` is a convolution too.
    fn normalized(self, norm: &BatchNorm2d) -> Self {
        let [scale, shift, mean, var] =
            [&norm.weight, &norm.bias, &norm.running_mean, &norm.running_var].map(Tensor::detach);
        let scale = scale * (var + norm.config().eps).rsqrt();
        Self {
            bias: (self.bias - mean) * &scale + shift,
            weight: self.weight * scale.view([-1, 1, 1, 1]),
            config: self.config,
        }
    }

    /// The same padding on all sides, whatever the size of the image.
    fn padding(&self) -> Result<[i64; 2], PackError> {
        let Conv2dConfigND { kernel_size, stride, padding, dilation, .. } = self.config;
        let at_every_size = padding.at_every_size(kernel_size, stride, dilation);
        at_every_size.ok_or(PackError::Padding { padding, kernel_size, stride })
    }

    /// Whether the bias is anything but zeros, which need not be added.
    fn adds_something(&self) -> bool {
        self.bias.abs().max().double_value(&[]) != 0.0
    }

    /// This convolution with its weights laid out for the packed kernel, which multiplies in `factors`.
    ///
    /// # Errors
    /// Several groups, padding that depends on the size of the image, or tensors that [`PackedConv::new`] refuses.
    pub fn packed(&self, factors: Factors) -> Result<PackedConv, PackError> {
        let Conv2dConfigND { stride, dilation, groups, .. } = self.config;
        if groups != 1 {
            return Err(PackError::Groups(groups));
        }
        let config = PackedConvConfig {
            depthwise: None,
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            stride,
            padding: self.padding()?,
            dilation,
        };
        pack(&config, factors)
    }
}

impl FoldedSeparable {
    /// Both halves as one packed kernel, which multiplies in `factors`.
    ///
    /// # Errors
    /// An ELU between the halves, a depthwise half that mixes or multiplies channels, padding that depends on the size of
    /// the image, or tensors that [`PackedConv::new`] refuses.
    pub fn packed(&self, factors: Factors) -> Result<PackedConv, PackError> {
        let Self { depthwise, between, pointwise } = self;
        let relu = match between {
            Activation::None => false,
            Activation::Relu => true,
            Activation::Elu => return Err(PackError::Between(*between)),
        };
        if depthwise.weight.size()[1] != 1 {
            return Err(PackError::Mixing(depthwise.config.groups));
        }
        let outputs = depthwise.weight.size()[0];
        if outputs != depthwise.config.groups {
            return Err(PackError::Multiplier(outputs / depthwise.config.groups.max(1)));
        }
        let half = DepthwiseHalf {
            weight: depthwise.weight.shallow_clone(),
            bias: depthwise.adds_something().then(|| depthwise.bias.shallow_clone()),
            relu,
        };
        let config = PackedConvConfig {
            depthwise: Some(half),
            weight: pointwise.weight.shallow_clone(),
            bias: pointwise.bias.shallow_clone(),
            stride: depthwise.config.stride,
            padding: depthwise.padding()?,
            dilation: depthwise.config.dilation,
        };
        pack(&config, factors)
    }
}

fn pack(config: &PackedConvConfig, factors: Factors) -> Result<PackedConv, PackError> {
    Ok(PackedConv::new(config, factors)?)
}

impl Conv2d {
    /// This convolution and `norm` after it as one, in evaluation mode. The tensors are new, or share the memory of the
    /// layer's where there is nothing to fold.
    ///
    /// # Panics
    /// A `norm` of another number of channels.
    #[must_use]
    pub fn folded(&self, norm: Option<&BatchNorm2d>) -> Folded {
        let folded = Folded::of(self);
        match norm {
            Some(norm) => folded.then(norm),
            None => folded,
        }
    }
}

impl PointwiseConv2d {
    /// This convolution and `norm` after it as one, in evaluation mode.
    ///
    /// # Panics
    /// A `norm` of another number of channels.
    #[must_use]
    pub fn folded(&self, norm: Option<&BatchNorm2d>) -> Folded {
        self.conv().folded(norm)
    }
}

impl SeparableConv2d {
    /// Both halves, what stands between them, and `norm` after them, in evaluation mode.
    ///
    /// # Errors
    /// A layer that starts with its pointwise half, or ends in an activation.
    ///
    /// # Panics
    /// A `norm` of another number of channels.
    pub fn folded(&self, norm: Option<&BatchNorm2d>) -> Result<FoldedSeparable, PackError> {
        let [between, closing] = self.activations();
        if self.order() != Order::DepthwiseFirst {
            return Err(PackError::PointwiseFirst);
        }
        if closing != Activation::None {
            return Err(PackError::Closing(closing));
        }
        let depthwise = self.depthwise().conv().folded(self.depthwise_norm());
        let pointwise = self.pointwise().conv().folded(self.pointwise_norm());
        let pointwise = match norm {
            Some(norm) => pointwise.then(norm),
            None => pointwise,
        };
        Ok(FoldedSeparable { depthwise, between, pointwise })
    }
}

impl BatchNorm2d {
    /// The normalisation in evaluation mode, as a convolution of each channel with a kernel of one pixel.
    #[must_use]
    pub fn folded(&self) -> Folded {
        let channels = self.weight.size()[0];
        let options = (self.weight.kind(), self.weight.device());
        let identity = Folded {
            weight: Tensor::ones([channels, 1, 1, 1], options),
            bias: Tensor::zeros([channels], options),
            config: Conv2dConfigND {
                kernel_size: [1, 1],
                padding: Padding::VALID,
                groups: channels,
                ..Default::default()
            },
        };
        identity.then(self)
    }
}

#[cfg(test)]
mod tests;
