//! Layers in a row: each hands on a feature map on which its last, cheap steps are still pending.

use torch_ext::FeatureMap;

/// A layer from feature maps to feature maps.
///
/// Unlike a [`tch::nn::ModuleT`] it may leave a normalisation or a ReLU to the layer that reads its output next,
/// which applies them while it reads.
pub trait Layer {
    /// `[N, c_in, H, W]` to `[N, c_out, H', W']`; `train` is whether batch statistics are measured.
    fn forward_map(&self, xs: FeatureMap, train: bool) -> FeatureMap;
}

/// A layer that is not there changes nothing.
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
    /// What `layer` makes of the map.
    fn through(self, layer: &impl Layer, train: bool) -> FeatureMap;
}

impl Chain for FeatureMap {
    fn through(self, layer: &impl Layer, train: bool) -> FeatureMap {
        layer.forward_map(self, train)
    }
}

/// Makes a [`Layer`] a [`tch::nn::ModuleT`] too: nothing is left pending on its output.
macro_rules! module_of_layer {
    ($layer:ty) => {
        impl tch::nn::ModuleT for $layer {
            /// `[N, c_in, H, W]` to `[N, c_out, H', W']`.
            fn forward_t(&self, xs: &tch::Tensor, train: bool) -> tch::Tensor {
                self.forward_map(torch_ext::FeatureMap::from(xs), train).resolve()
            }
        }
    };
}
pub(crate) use module_of_layer;
