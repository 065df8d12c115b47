//! Layers in a row: each returns a feature map on which its last, cheap steps are still pending.

use tch::{Kind, Tensor};
use torch_ext::FeatureMap;

/// A layer from feature maps to feature maps.
///
/// Unlike a [`tch::nn::ModuleT`] it may leave a normalisation or a ReLU to the layer that reads its output next,
/// which applies them while it reads. On a CPU the output is channels-last, whatever the layout of the input.
pub trait Layer {
    /// `[N, c_in, H, W]` to `[N, c_out, H', W']`; `train` says whether batch statistics are measured.
    ///
    /// # Panics
    /// A map of another shape, of integers, or on another device than the weights; the message says what was expected.
    #[must_use]
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap;
}

/// An absent layer changes nothing.
impl<L: Layer> Layer for Option<L> {
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap {
        match self {
            Some(layer) => layer.forward_map(xs, train),
            None => xs,
        }
    }
}

/// Chaining for feature maps, as [`tch::Tensor::apply_t`] chains modules.
pub trait Chain {
    /// The output of `layer` for this map; [`Layer::forward_map`] has the shapes and panics.
    #[must_use]
    fn through(self, layer: &impl Layer, train: bool) -> FeatureMap;
}

impl Chain for FeatureMap {
    fn through(self, layer: &impl Layer, train: bool) -> FeatureMap {
        layer.forward_map(self, train)
    }
}

/// The output of a layer that is used alone: nothing is pending on it, and it has the layout of `xs`.
pub(crate) fn alone(layer: &impl Layer, xs: &Tensor, train: bool) -> Tensor {
    let ys = layer.forward_map(FeatureMap::from(xs), train).resolve();
    // Nothing is copied where the layout is that already.
    if suggests_channels_last(xs) { ys } else { ys.contiguous() }
}

/// Whether libtorch would give an output channels-last strides because `xs` has them: its `suggest_memory_format`,
/// which takes images of one pixel or one channel for contiguous where both layouts fit.
fn suggests_channels_last(xs: &Tensor) -> bool {
    let (sizes, strides) = (xs.size(), xs.stride());
    let (&[n, c, h, w], &[sn, sc, sh, sw]) = (&sizes[..], &strides[..]) else { return false };
    if sc == 0 {
        return false;
    }
    let mut least = 0;
    for (size, stride, is_batch) in [(c, sc, false), (w, sw, false), (h, sh, false), (n, sn, true)]
    {
        if size == 0 || stride < least || (is_batch && least == sc) {
            return false;
        }
        least = stride * size.max(1);
    }
    true
}

/// Refuses everything but `[N, c_in, H, W]` of floating-point numbers on the device of `weight`.
///
/// The kinds are checked because weights are cast to that of the images: cast to bytes, they would be zeros.
#[track_caller]
pub(crate) fn expect_images(xs: &FeatureMap, c_in: i64, weight: &Tensor) {
    let (size, kind, device) = (xs.size(), xs.kind(), xs.device());
    assert!(
        size.len() == 4 && size[1] == c_in,
        "expected images [N, {c_in}, H, W], got {size:?}; the weight is {:?}",
        weight.size()
    );
    assert!(
        is_floating_point(kind),
        "expected floating-point images, got {kind:?}; convert them with `to_kind(Kind::Float)`"
    );
    assert!(
        device == weight.device(),
        "expected images on {:?}, where the weights are, got {device:?}",
        weight.device()
    );
}

fn is_floating_point(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

#[cfg(test)]
mod tests;
