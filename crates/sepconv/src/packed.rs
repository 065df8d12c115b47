//! Layers for inference: normalisations folded into the weights ahead of them, and the weights packed once.

use tch::Tensor;
use torch_ext::{DepthwiseHalf, Factors, PackedConv, PackedConvConfig};

use crate::{
    Activation, BatchNorm2d, Conv2d, Conv2dConfig, NormAct, Order, Padding, PointwiseConv2d,
    SeparableConv2d,
};

/// A convolution with normalisations folded in, and all that it takes to run it anywhere.
#[derive(Debug)]
pub struct Folded {
    /// `[c_out, c_in / groups, kh, kw]`.
    pub weight: Tensor,
    /// `[c_out]`.
    pub bias: Tensor,
    /// Its geometry.
    pub config: Conv2dConfig,
}

impl Folded {
    fn of(conv: &Conv2d) -> Self {
        let weight = conv.weight.detach();
        let bias = conv.bias.as_ref().map(Tensor::detach);
        let none = || Tensor::zeros([weight.size()[0]], (weight.kind(), weight.device()));
        Self { bias: bias.unwrap_or_else(none), weight, config: conv.config }
    }

    /// `scale * (conv + bias - mean) + shift` is a convolution too.
    fn then(self, norm: Option<&BatchNorm2d>) -> Self {
        let Some(norm) = norm else { return self };
        let [scale, shift, mean, var] =
            [&norm.weight, &norm.bias, &norm.running_mean, &norm.running_var].map(Tensor::detach);
        let scale = scale * (var + norm.config.eps).rsqrt();
        Self {
            bias: (self.bias - mean) * &scale + shift,
            weight: self.weight * scale.view([-1, 1, 1, 1]),
            config: self.config,
        }
    }
}

impl Conv2d {
    /// This convolution and `norm` after it as one, in evaluation mode.
    pub fn folded(&self, norm: Option<&BatchNorm2d>) -> Folded {
        tch::no_grad(|| Folded::of(self).then(norm))
    }
}

impl PointwiseConv2d {
    /// This convolution and `norm` after it as one, in evaluation mode.
    pub fn folded(&self, norm: Option<&BatchNorm2d>) -> Folded {
        self.conv().folded(norm)
    }
}

impl SeparableConv2d {
    /// The depthwise half, the activation after it, and the pointwise half with `norm` after it, in evaluation mode;
    /// `None` where the pointwise half comes first, or an activation last.
    pub fn folded(&self, norm: Option<&BatchNorm2d>) -> Option<(Folded, Activation, Folded)> {
        let NormAct { activation: closing, .. } = self.config.after;
        if self.config.order != Order::DepthwiseFirst || closing != Activation::None {
            return None;
        }
        let depthwise = self.depthwise().conv().folded(self.depthwise_norm());
        let pointwise = self.pointwise().conv();
        let pointwise =
            tch::no_grad(|| Folded::of(pointwise).then(self.pointwise_norm()).then(norm));
        Some((depthwise, self.config.between.activation, pointwise))
    }
}

impl BatchNorm2d {
    /// What it does in evaluation mode, as a convolution of each channel with a kernel of one pixel.
    pub fn folded(&self) -> Folded {
        let channels = self.weight.size()[0];
        let options = (self.weight.kind(), self.weight.device());
        let identity = Folded {
            weight: Tensor::ones([channels, 1, 1, 1], options),
            bias: Tensor::zeros([channels], options),
            config: Conv2dConfig { kernel_size: [1, 1], groups: channels, ..Default::default() },
        };
        tch::no_grad(|| identity.then(Some(self)))
    }
}

impl Padding {
    /// The same padding on all sides, whatever the size of the image; `None` where it depends on that.
    fn at_every_size(
        self,
        kernel: [i64; 2],
        stride: [i64; 2],
        dilation: [i64; 2],
    ) -> Option<[i64; 2]> {
        match self {
            Padding::Explicit(padding) => Some(padding),
            Padding::Same if kernel == [1, 1] => Some([0, 0]),
            Padding::Same if stride == [1, 1] && kernel.iter().all(|size| size % 2 == 1) => {
                Some([0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) / 2))
            }
            Padding::Same => None,
        }
    }
}

impl Conv2d {
    /// This convolution and `norm` after it as one, for inference; `None` where the packed kernel knows no such one.
    pub fn packed(&self, norm: Option<&BatchNorm2d>, factors: Factors) -> Option<PackedConv> {
        let config = self.config;
        if config.groups != 1 {
            return None;
        }
        let padding =
            config.padding.at_every_size(config.kernel_size, config.stride, config.dilation)?;
        let Folded { weight, bias, .. } = self.folded(norm);
        let (stride, dilation) = (config.stride, config.dilation);
        let config = PackedConvConfig { depthwise: None, weight, bias, stride, padding, dilation };
        PackedConv::new(&config, factors)
    }
}

impl SeparableConv2d {
    /// Both halves, what stands between them, and `norm` after them as one kernel, for inference; `None` where the
    /// packed kernel knows no such one: the pointwise half first, an activation at the end, or channels that mix in
    /// the depthwise half.
    pub fn packed(&self, norm: Option<&BatchNorm2d>, factors: Factors) -> Option<PackedConv> {
        let (depthwise, pointwise) = (self.depthwise().conv(), self.pointwise().conv());
        let config = depthwise.config;
        let NormAct { activation: closing, .. } = self.config.after;
        let relu = match self.config.between.activation {
            Activation::None => false,
            Activation::Relu => true,
            Activation::Elu => return None,
        };
        let known = self.config.order == Order::DepthwiseFirst
            && closing == Activation::None
            && depthwise.weight.size()[1] == 1;
        if !known {
            return None;
        }
        let padding =
            config.padding.at_every_size(config.kernel_size, config.stride, config.dilation)?;
        let (spatial, channel) = tch::no_grad(|| {
            let spatial = Folded::of(depthwise).then(self.depthwise_norm());
            (spatial, Folded::of(pointwise).then(self.pointwise_norm()).then(norm))
        });
        let bare = depthwise.bias.is_none() && self.depthwise_norm().is_none();
        let config = PackedConvConfig {
            depthwise: Some(DepthwiseHalf {
                weight: spatial.weight,
                bias: (!bare).then_some(spatial.bias),
                relu,
            }),
            weight: channel.weight,
            bias: channel.bias,
            stride: config.stride,
            padding,
            dilation: config.dilation,
        };
        PackedConv::new(&config, factors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchNormConfig, Groups, SeparableConv2dConfig};
    use tch::{Device, Kind, nn, nn::ModuleT};
    use torch_ext::Around;

    fn image() -> Tensor {
        Tensor::randn([2, 8, 7, 6], (Kind::Float, Device::Cpu))
    }

    /// A norm that has seen something.
    fn used_norm(path: &nn::Path) -> BatchNorm2d {
        let norm = BatchNorm2d::new(path, 12, BatchNormConfig::default()).unwrap();
        let spread = |tensor: &Tensor, least, most| {
            drop(tch::no_grad(|| tensor.shallow_clone().uniform_(least, most)));
        };
        spread(&norm.weight, -1.0, 2.0);
        spread(&norm.bias, -1.0, 1.0);
        spread(&norm.running_mean, -1.0, 1.0);
        spread(&norm.running_var, 0.5, 2.0);
        norm
    }

    #[track_caller]
    fn near(got: &Tensor, expected: &Tensor) {
        let off = (got - expected).abs().max().double_value(&[]);
        assert!(off < 1e-5, "off by {off:e}");
    }

    #[test]
    fn a_folded_separable_layer_computes_the_same() {
        tch::manual_seed(0);
        let half = NormAct { norm: Some(BatchNormConfig::default()), activation: Activation::Relu };
        let plain = SeparableConv2dConfig::default();
        for config in [
            SeparableConv2dConfig { padding: Padding::Same, ..plain },
            SeparableConv2dConfig { between: half, bias: true, stride: [2, 2], ..plain },
        ] {
            let store = nn::VarStore::new(Device::Cpu);
            let layer = SeparableConv2d::new(&store.root(), 8, 12, config).unwrap();
            let norm = used_norm(&(store.root() / "norm"));
            let xs = image();
            let expected = layer.forward_t(&xs, false).apply_t(&norm, false);
            let packed = layer.packed(Some(&norm), Factors::Fp32).unwrap();
            near(&packed.run(&xs, Around::default()), &expected);
        }
    }

    #[test]
    fn a_folded_convolution_computes_the_same() {
        tch::manual_seed(1);
        let store = nn::VarStore::new(Device::Cpu);
        let config = Conv2dConfig { stride: [2, 2], bias: true, ..Default::default() };
        let layer = Conv2d::new(&store.root(), 8, 12, config).unwrap();
        let norm = used_norm(&(store.root() / "norm"));
        let xs = image();
        let packed = layer.packed(Some(&norm), Factors::Fp32).unwrap();
        let expected = layer.forward_t(&xs, false).apply_t(&norm, false);
        near(&packed.run(&xs, Around::default()), &expected);
    }

    #[test]
    fn what_cannot_be_folded_is_left_alone() {
        let store = nn::VarStore::new(Device::Cpu);
        let plain = SeparableConv2dConfig::default();
        let closing = NormAct { norm: None, activation: Activation::Relu };
        for (index, config) in [
            SeparableConv2dConfig { after: closing, ..plain },
            SeparableConv2dConfig { groups: Groups::Count(1), ..plain },
            SeparableConv2dConfig { order: Order::PointwiseFirst, ..plain },
            SeparableConv2dConfig { padding: Padding::Same, stride: [2, 2], ..plain },
        ]
        .into_iter()
        .enumerate()
        {
            let layer = SeparableConv2d::new(&(store.root() / index), 8, 12, config).unwrap();
            assert!(layer.packed(None, Factors::Fp32).is_none(), "{config:?}");
        }
    }
}
